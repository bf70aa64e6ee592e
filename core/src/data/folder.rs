//! A folder with one folder of images for each class.

use std::fs;
use std::path::{Path, PathBuf};

use image::{ImageReader, Limits, RgbImage};

use super::images::Form;
use crate::error::{Error, Result};
use crate::files::{self, unreadable};

/// Endings of images that are read.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
/// Longest file of an image.
const LONGEST: u64 = 64 << 20;
/// Pixels of an edge, and bytes that an image takes while it is read, at most.
const LARGEST: (u32, u64) = (16_384, 1 << 28);
/// Images that are listed at most.
const MOST: usize = 1_000_000;

/// Images by class.
pub(super) struct Folder {
    files: Vec<PathBuf>,
    labels: Vec<u32>,
    names: Vec<String>,
    folders: usize,
}

/// Whether a folder holds folders with images.
pub(super) fn is_folder(path: &Path) -> bool {
    let Ok(folders) = folders(path) else {
        return false;
    };
    folders.iter().any(|folder| {
        fs::read_dir(folder)
            .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| is_image(&e.path()))))
    })
}

fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|ending| {
        ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// The folders in a folder by their names; hidden ones apart.
fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).map_err(|error| unreadable(&error, path))?;
    let mut found = Vec::new();
    for entry in entries {
        let inner = entry.map_err(|error| unreadable(&error, path))?.path();
        let hidden = name_of(&inner).starts_with('.');
        if inner.is_dir() && !hidden {
            found.push(inner);
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

impl Folder {
    /// Lists a folder for a network of so many classes. Folders stand for the classes in the order of their names; where
    /// all are called by whole numbers below the number of classes, for these, and some may be missing.
    ///
    /// # Errors
    /// [`Error::File`] where there are more or fewer folders than classes, or one cannot be read.
    pub(super) fn open(path: &Path, classes: usize) -> Result<Self> {
        let folders = folders(path)?;
        let numbers: Option<Vec<u32>> = folders
            .iter()
            .map(|folder| name_of(folder).parse::<u32>().ok())
            .collect();
        let numbers = numbers.filter(|all| all.iter().all(|&n| (n as usize) < classes));
        if folders.is_empty() || (numbers.is_none() && folders.len() != classes) {
            return Err(Error::file(
                format!(
                    "the folder has {} folders, one for each class, but the network tells {classes} classes apart; folders called by the numbers of classes, 0 to {}, may be fewer",
                    folders.len(),
                    classes.saturating_sub(1)
                ),
                path,
            ));
        }
        let names = match numbers {
            Some(_) => Vec::new(),
            None => folders.iter().map(|folder| name_of(folder)).collect(),
        };
        let mut all = Self {
            files: Vec::new(),
            labels: Vec::new(),
            names,
            folders: folders.len(),
        };
        for (place, folder) in folders.iter().enumerate() {
            let label = match &numbers {
                Some(numbers) => numbers[place],
                None => u32::try_from(place).unwrap_or(u32::MAX),
            };
            let entries = fs::read_dir(folder).map_err(|error| unreadable(&error, folder))?;
            let mut files = Vec::new();
            for entry in entries {
                let file = entry.map_err(|error| unreadable(&error, folder))?.path();
                if is_image(&file) {
                    files.push(file);
                }
            }
            files.sort();
            all.labels.extend(files.iter().map(|_| label));
            all.files.extend(files);
            if all.files.len() > MOST {
                return Err(Error::file(format!("more than {MOST} images"), path));
            }
        }
        Ok(all)
    }
}

impl Form for Folder {
    fn name(&self) -> String {
        format!("a folder of {} classes", self.folders)
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn image(&self, index: usize) -> Result<RgbImage> {
        let Some(path) = self.files.get(index) else {
            return Err(Error::Compute(format!("there is no image {index}")));
        };
        let bytes = files::read_bytes(path, LONGEST)?;
        let wrong = |error: &dyn std::fmt::Display| {
            Error::file(format!("this image cannot be read ({error})"), path)
        };
        let mut reader = ImageReader::new(std::io::Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| wrong(&error))?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(LARGEST.0);
        limits.max_image_height = Some(LARGEST.0);
        limits.max_alloc = Some(LARGEST.1);
        reader.limits(limits);
        let image = reader.decode().map_err(|error| wrong(&error))?;
        Ok(image.into_rgb8())
    }
}
