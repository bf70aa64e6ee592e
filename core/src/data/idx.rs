//! A pair of IDX files, images and labels, as MNIST and its like come in: magic number, extents, bytes
//! (<http://yann.lecun.com/exdb/mnist/>), plain or compressed by gzip.

use std::io::Read;
use std::path::{Path, PathBuf};

use image::RgbImage;

use super::images::Form;
use crate::error::{Error, Result};
use crate::files;

/// Longest file that is read, and longest contents of a compressed one.
const LONGEST: u64 = 1 << 30;
/// Pixels of an edge at most.
pub(super) const LARGEST: usize = 16_384;

/// Images and their labels.
pub(super) struct Pair {
    path: PathBuf,
    pixels: Vec<u8>,
    labels: Vec<u32>,
    rows: usize,
    columns: usize,
}

/// An IDX file: its extents and its bytes.
struct Idx {
    extents: Vec<usize>,
    values: Vec<u8>,
}

/// Whether a file begins as an IDX file of bytes, or is called like one that is compressed.
pub(super) fn is_idx(path: &Path) -> bool {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().to_lowercase());
    if !path.is_file() {
        return false;
    }
    let head = files::open_regular(path).ok().and_then(|file| {
        let mut head = [0; 4];
        let mut file = file.take(4);
        file.read_exact(&mut head).ok().map(|()| head)
    });
    match head {
        Some([0, 0, 8, rank]) => (1..=4).contains(&rank),
        Some([0x1f, 0x8b, ..]) => name.contains("idx1-ubyte") || name.contains("idx3-ubyte"),
        _ => false,
    }
}

impl Idx {
    fn read(path: &Path) -> Result<Self> {
        let wrong = |fact: String| Error::file(fact, path);
        let mut bytes = files::read_bytes(path, LONGEST)?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&bytes[..])
                .take(LONGEST)
                .read_to_end(&mut plain)
                .map_err(|error| wrong(format!("the compressed file is damaged ({error})")))?;
            bytes = plain;
        }
        let [0, 0, 8, rank, ..] = bytes[..] else {
            return Err(wrong("this is no IDX file of bytes".to_owned()));
        };
        let header = 4 + 4 * usize::from(rank);
        let extents = bytes
            .get(4..header)
            .ok_or_else(|| wrong("the IDX file is cut short".to_owned()))?
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&extent| u32::from_be_bytes(extent) as usize)
            .collect::<Vec<_>>();
        let len = extents.iter().try_fold(1_usize, |n, &m| n.checked_mul(m));
        let values = bytes.split_off(header);
        if len != Some(values.len()) {
            return Err(wrong(format!(
                "the extents {extents:?} do not fit the {} bytes that follow",
                values.len()
            )));
        }
        Ok(Self { extents, values })
    }
}

impl Pair {
    /// Opens a pair by either of its files.
    ///
    /// # Errors
    /// [`Error::File`] where one is missing or damaged, or they do not fit each other.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let first = Idx::read(path)?;
        let (is_labels, other) = match first.extents[..] {
            [_] => (true, partner(path, true)),
            [_, _, _] => (false, partner(path, false)),
            _ => {
                return Err(Error::file(
                    format!(
                        "an IDX file of {} extents: grey images have 3, labels 1",
                        first.extents.len()
                    ),
                    path,
                ));
            }
        };
        let Some(other) = other else {
            let (this, that) = match is_labels {
                true => ("labels", "images-idx3-ubyte"),
                false => ("images", "labels-idx1-ubyte"),
            };
            return Err(Error::file(
                format!(
                    "these are {this}; the file of the same name with '{that}' is not beside it"
                ),
                path,
            ));
        };
        let second = Idx::read(&other)?;
        let (images, labels) = match is_labels {
            true => (second, first),
            false => (first, second),
        };
        let (&[n, rows, columns], &[m]) = (&images.extents[..], &labels.extents[..]) else {
            return Err(Error::file(
                "the two files are not images and labels".to_owned(),
                &other,
            ));
        };
        let edges = 1..=LARGEST;
        if n != m || !edges.contains(&rows) || !edges.contains(&columns) {
            return Err(Error::file(
                format!("{n} images of {rows} x {columns} pixels do not fit {m} labels"),
                path,
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            pixels: images.values,
            labels: labels.values.into_iter().map(u32::from).collect(),
            rows,
            columns,
        })
    }
}

/// The other file of a pair.
fn partner(path: &Path, is_labels: bool) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let (from, to) = match is_labels {
        true => (["labels", "idx1"], ["images", "idx3"]),
        false => (["images", "idx3"], ["labels", "idx1"]),
    };
    let other = name.replace(from[0], to[0]).replace(from[1], to[1]);
    let plain = other.strip_suffix(".gz").unwrap_or(&other).to_owned();
    let names = [other.clone(), plain.clone(), format!("{plain}.gz")];
    let mut paths = names.iter().map(|other| path.with_file_name(other));
    paths.find(|other| other != path && other.is_file())
}

impl Form for Pair {
    fn name(&self) -> String {
        format!("IDX files of {} x {} grey pixels", self.rows, self.columns)
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn image(&self, index: usize) -> Result<RgbImage> {
        let area = self.rows * self.columns;
        let grey = self.pixels.get(index * area..(index + 1) * area);
        let size = (u32::try_from(self.columns), u32::try_from(self.rows));
        match (grey, size) {
            (Some(grey), (Ok(columns), Ok(rows))) => {
                let colours = grey.iter().flat_map(|&value| [value; 3]).collect();
                RgbImage::from_raw(columns, rows, colours)
            }
            _ => None,
        }
        .ok_or_else(|| Error::file(format!("there is no image {index}"), &self.path))
    }
}
