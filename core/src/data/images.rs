//! [`Images`]: labelled images of the user's, as one network reads them.

use std::path::Path;

use image::RgbImage;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::preprocessing::{Order, Preprocessing};
use super::{folder, idx, npz};
use crate::error::{Error, Result};

/// Bytes that the pixels of all images may take in memory.
const MOST_BYTES: usize = 1 << 29;
/// Seed of the choice where there are more.
const SEED: u64 = 20_261_129;
/// Images that a measurement needs.
const FEWEST: usize = 2;

/// What a network reads and tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Colours: 1 or 3.
    pub channels: usize,
    /// Height and width in pixels.
    pub size: usize,
    /// Classes.
    pub classes: usize,
}

/// Labelled images as a network reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// `[n, channels, size, size]`, 255 as white, colours in the order of the network.
    pub pixels: Vec<u8>,
    /// The class of each.
    pub labels: Vec<u32>,
    /// The names of classes, as far as they are known; empty where they are not.
    pub names: Vec<String>,
    /// Mean and deviation of every colour, that values between 0 and 1 are put on.
    pub scales: Vec<(f32, f32)>,
    /// Whether blue comes first.
    pub blue_first: bool,
    /// What they are and how they were prepared, in a sentence.
    pub said: String,
}

/// Images in one of the forms that they come in, not yet prepared.
pub(super) trait Form {
    /// What they are in a few words: "a folder with 10 classes".
    fn name(&self) -> String;
    /// Names of classes by their number; empty where they are not known.
    fn names(&self) -> Vec<String>;
    /// The class of each image.
    fn labels(&self) -> &[u32];
    /// One of them, by its number.
    ///
    /// # Errors
    /// It cannot be read.
    fn image(&self, index: usize) -> Result<RgbImage>;
}

/// Whether images lie at a path: a folder with folders of images, an IDX file, or an `.npz` of images and labels.
pub fn is_images(path: &Path) -> bool {
    folder::is_folder(path) || idx::is_idx(path) || npz::is_npz(path)
}

/// The form of what lies at a path, for a network of so many classes.
fn form(path: &Path, classes: usize) -> Result<Box<dyn Form>> {
    if path.is_dir() && !idx::is_idx(path) {
        return Ok(Box::new(folder::Folder::open(path, classes)?));
    }
    if idx::is_idx(path) {
        return Ok(Box::new(idx::Pair::open(path)?));
    }
    let ending = path.extension();
    if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("npz")) {
        return Ok(Box::new(npz::Npz::open(path)?));
    }
    Err(Error::file(
        "these are no labelled images: what is read is a folder with one folder of PNG or JPEG files for each class, a pair of IDX files, or an .npz of images and labels",
        path,
    ))
}

impl Images {
    /// Reads labelled images and prepares them; without `preprocessing` they are taken to the size of the network by the
    /// same rule as ImageNet's where they have another, with their values between 0 and 1, or as ImageNet's where the
    /// network tells 1,000 classes of colour images apart; both are said.
    ///
    /// # Errors
    /// [`Error::File`] where they cannot be read, their classes are not those of the network, or they have another size
    /// after what is stated; [`Error::Scenario`] where `preprocessing` is impossible.
    pub fn read(
        path: &Path,
        wanted: Wanted,
        preprocessing: Option<&Preprocessing>,
    ) -> Result<Self> {
        let form = form(path, wanted.classes)?;
        let labels = form.labels();
        if labels.len() < FEWEST {
            return Err(Error::file(
                format!("{} labelled images are too few", labels.len()),
                path,
            ));
        }
        if let Some(label) = labels
            .iter()
            .find(|&&label| label as usize >= wanted.classes)
        {
            return Err(Error::file(
                format!(
                    "an image is of class {label}, but the network tells {} classes apart, 0 to {}",
                    wanted.classes,
                    wanted.classes.saturating_sub(1)
                ),
                path,
            ));
        }
        let (steps, assumed) = match preprocessing {
            Some(stated) => (stated.clone(), false),
            None => (usual(wanted, &form.image(0)?), true),
        };
        steps.check()?;
        let scales = steps.scales(wanted.channels)?;
        let chosen = chosen(labels.len(), wanted);
        let each = wanted.channels * wanted.size * wanted.size;
        let mut images = Self {
            pixels: Vec::with_capacity(chosen.len() * each),
            labels: chosen.iter().map(|&index| labels[index]).collect(),
            names: form.names(),
            scales,
            blue_first: steps.order == Order::Bgr && wanted.channels == 3,
            said: said(
                form.as_ref(),
                path,
                &steps,
                assumed,
                (chosen.len(), labels.len()),
            ),
        };
        for index in chosen {
            let image = form.image(index)?;
            let wrong = |fact: String| Error::file(format!("image {index}: {fact}"), path);
            let image = steps.shape(image).map_err(wrong)?;
            let found = (image.height() as usize, image.width() as usize);
            if found != (wanted.size, wanted.size) {
                return Err(wrong(format!(
                    "{} x {} pixels are left after '{steps}'; the network reads {} x {}",
                    found.0, found.1, wanted.size, wanted.size
                )));
            }
            images.take(&image, wanted.channels, steps.order);
        }
        Ok(images)
    }

    /// Adds the pixels of an image, colour by colour.
    fn take(&mut self, image: &RgbImage, channels: usize, order: Order) {
        if channels == 1 {
            // The luma of ITU-R BT.601, as Pillow's "L" has it; a grey pixel keeps its value.
            self.pixels.extend(image.pixels().map(|pixel| {
                let [r, g, b] = pixel.0.map(u32::from);
                ((r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16) as u8
            }));
            return;
        }
        let colours = match order {
            Order::Rgb => [0, 1, 2],
            Order::Bgr => [2, 1, 0],
        };
        for colour in colours {
            self.pixels
                .extend(image.pixels().map(|pixel| pixel.0[colour]));
        }
    }
}

/// What images are prepared by where nothing is stated.
fn usual(wanted: Wanted, first: &RgbImage) -> Preprocessing {
    let edge = u32::try_from(wanted.size).unwrap_or(u32::MAX);
    let imagenet = Preprocessing::imagenet();
    let mut steps = Preprocessing::default();
    if (first.height(), first.width()) != (edge, edge) {
        // As much larger as ImageNet's are before their middle is taken.
        let larger = f64::from(edge) * 256.0 / 224.0;
        steps.resize = Some(super::Resize::Shorter(larger.round() as u32));
        steps.crop = Some(edge);
    }
    if wanted.channels == 3 && wanted.classes == 1000 {
        steps.mean = imagenet.mean;
        steps.std = imagenet.std;
    }
    steps
}

/// The images that are taken, all where there is room for them, else drawn with a fixed seed.
fn chosen(n: usize, wanted: Wanted) -> Vec<usize> {
    let each = wanted.channels * wanted.size * wanted.size;
    let most = (MOST_BYTES / each.max(1)).max(FEWEST);
    let mut all: Vec<usize> = (0..n).collect();
    if n > most {
        all.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
        all.truncate(most);
        all.sort_unstable();
    }
    all
}

fn said(
    form: &dyn Form,
    path: &Path,
    steps: &Preprocessing,
    assumed: bool,
    (taken, all): (usize, usize),
) -> String {
    let count = match taken == all {
        true => format!("{all} images"),
        false => format!("{taken} of {all} images, drawn with a fixed seed"),
    };
    let steps = match steps.to_string() {
        none if none.is_empty() => "values between 0 and 1".to_owned(),
        steps => steps,
    };
    let by = if assumed {
        " (assumed: nothing is stated)"
    } else {
        ""
    };
    format!(
        "{count} of {} ({}), prepared by {steps}{by}",
        path.display(),
        form.name()
    )
}
