//! Images and labels in an archive of NumPy, `.npz`, under names that such archives use.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::images::Form;
use crate::error::{Error, Result};
use crate::weights::Source;
use crate::weights::arrays::{self, Arrays, Writer};

/// What images and their labels are called; the first pair that is there is taken.
const NAMES: [(&str, &str); 6] = [
    ("x_test", "y_test"),
    ("test_images", "test_labels"),
    ("x", "y"),
    ("images", "labels"),
    ("data", "labels"),
    ("arr_0", "arr_1"),
];
/// Numbers of all images at most.
const MOST_NUMBERS: usize = 1 << 30;
/// Images that are looked at to tell how they count.
const LOOKED_AT: usize = 64;

/// Images and their labels.
pub(super) struct Npz {
    path: PathBuf,
    arrays: Arrays,
    images: usize,
    labels: Vec<u32>,
    extents: Extents,
    /// What white is.
    white: f32,
    names: (&'static str, &'static str),
}

/// How the numbers of an image lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extents {
    rows: usize,
    columns: usize,
    /// 1 or 3.
    colours: usize,
    /// Whether all of one colour stand together.
    by_colour: bool,
}

/// The arrays of images and labels of a file, where it has some.
fn pair(arrays: &Arrays) -> Option<(usize, usize, (&'static str, &'static str))> {
    NAMES.iter().find_map(|&names| {
        let (images, labels) = (arrays.find(names.0)?, arrays.find(names.1)?);
        let rank = arrays.tensors()[images].shape.len();
        (3..=4).contains(&rank).then_some((images, labels, names))
    })
}

/// Whether a file is such an archive.
pub(super) fn is_npz(path: &Path) -> bool {
    let ending = path.extension();
    let named = ending.is_some_and(|ending| ending.eq_ignore_ascii_case("npz"));
    named
        && path.is_file()
        && arrays::open(path, Writer::NumPy).is_ok_and(|arrays| pair(&arrays).is_some())
}

impl Extents {
    fn of(shape: &[usize]) -> std::result::Result<Self, String> {
        let is_colours = |extent: usize| extent == 1 || extent == 3;
        let (rows, columns, colours, by_colour) = match *shape {
            [_, rows, columns] => (rows, columns, 1, true),
            [_, first, rows, columns] if is_colours(first) && !is_colours(columns) => {
                (rows, columns, first, true)
            }
            [_, rows, columns, last] if is_colours(last) && !is_colours(rows) => {
                (rows, columns, last, false)
            }
            _ => {
                return Err(format!(
                    "the shape {shape:?} is none of images: [n, rows, columns], with 1 or 3 colours before or behind them"
                ));
            }
        };
        let edges = 1..=super::idx::LARGEST;
        if !edges.contains(&rows) || !edges.contains(&columns) {
            return Err(format!("images of {rows} x {columns} pixels are not read"));
        }
        Ok(Self {
            rows,
            columns,
            colours,
            by_colour,
        })
    }

    /// Where a colour of a pixel lies.
    fn place(self, pixel: usize, colour: usize) -> usize {
        let colour = colour.min(self.colours - 1);
        match self.by_colour {
            true => colour * self.rows * self.columns + pixel,
            false => pixel * self.colours + colour,
        }
    }
}

impl Npz {
    /// Opens an archive.
    ///
    /// # Errors
    /// [`Error::File`] where there are no images and labels in it that fit each other, or their numbers are neither bytes
    /// nor shades between 0 and 1.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let wrong = |fact: String| Error::file(fact, path);
        let arrays = arrays::open(path, Writer::NumPy)?;
        let Some((images, labels, names)) = pair(&arrays) else {
            let known = NAMES.map(|(images, labels)| format!("{images} and {labels}"));
            return Err(wrong(format!(
                "no images and labels are in it under names that are known: {}",
                known.join(", ")
            )));
        };
        let (of_images, of_labels) = (&arrays.tensors()[images], &arrays.tensors()[labels]);
        let n = of_images.rows();
        let single = matches!(of_labels.shape[..], [_] | [_, 1]);
        if of_labels.rows() != n || !single {
            return Err(wrong(format!(
                "'{}' of shape {:?} are no classes of {n} images",
                names.1, of_labels.shape
            )));
        }
        if of_images.elements() > MOST_NUMBERS {
            return Err(wrong(format!("more than {MOST_NUMBERS} numbers")));
        }
        let extents = Extents::of(&of_images.shape).map_err(wrong)?;
        let mut classes = vec![0.0; n];
        arrays.decode(labels, 0..n, &mut classes)?;
        let whole = |class: &f32| class.fract() == 0.0 && (0.0..1e6).contains(class);
        if let Some(class) = classes.iter().find(|class| !whole(class)) {
            return Err(wrong(format!(
                "the label {class} is the number of no class"
            )));
        }
        let mut found = Self {
            path: path.to_owned(),
            images,
            // Whole and far below the limit of the type.
            labels: classes.into_iter().map(|class| class as u32).collect(),
            extents,
            white: 255.0,
            names,
            arrays,
        };
        found.white = found.white()?;
        Ok(found)
    }

    fn row(&self, index: usize) -> Result<Vec<f32>> {
        let info = &self.arrays.tensors()[self.images];
        let mut row = vec![0.0; info.row_length()];
        self.arrays
            .decode(self.images, index..index + 1, &mut row)?;
        Ok(row)
    }

    /// What white is, by the numbers of images spread over all: 255 where all are whole, 1 where they lie between 0 and 1.
    fn white(&self) -> Result<f32> {
        let n = self.labels.len();
        let step = n.div_ceil(LOOKED_AT).max(1);
        let (mut least, mut most, mut whole) = (f32::INFINITY, f32::NEG_INFINITY, true);
        for index in (0..n).step_by(step) {
            for value in self.row(index)? {
                least = least.min(value);
                most = most.max(value);
                whole &= value.fract() == 0.0;
            }
        }
        match (least >= 0.0, whole && most > 1.0, most) {
            (true, true, most) if most <= 255.0 => Ok(255.0),
            (true, false, most) if most <= 1.0 => Ok(1.0),
            _ => Err(Error::file(
                format!(
                    "the images have values from {least} to {most}; what is read is whole ones up to 255, or shades between 0 and 1 (what is done to them afterwards is stated by preprocessing)"
                ),
                &self.path,
            )),
        }
    }
}

impl Form for Npz {
    fn name(&self) -> String {
        let Extents {
            rows,
            columns,
            colours,
            ..
        } = self.extents;
        format!(
            "arrays '{}' and '{}', {rows} x {columns} pixels of {colours} {}, white at {}",
            self.names.0,
            self.names.1,
            if colours == 1 { "colour" } else { "colours" },
            self.white
        )
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn image(&self, index: usize) -> Result<RgbImage> {
        let row = self.row(index)?;
        let Extents { rows, columns, .. } = self.extents;
        let shade = |value: f32| {
            let shade = value * 255.0 / self.white;
            (-0.5..255.5)
                .contains(&shade)
                .then(|| shade.round_ties_even() as u8)
        };
        let colours = (0..rows * columns)
            .flat_map(|pixel| (0..3).map(move |colour| (pixel, colour)))
            .map(|(pixel, colour)| row.get(self.extents.place(pixel, colour)).copied())
            .map(|value| value.and_then(shade))
            .collect::<Option<Vec<u8>>>();
        let size = (u32::try_from(columns), u32::try_from(rows));
        match (colours, size) {
            (Some(colours), (Ok(columns), Ok(rows))) => RgbImage::from_raw(columns, rows, colours),
            _ => None,
        }
        .ok_or_else(|| {
            Error::file(
                format!(
                    "image {index} has values that are no shades up to {}",
                    self.white
                ),
                &self.path,
            )
        })
    }
}
