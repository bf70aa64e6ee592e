//! [`Preprocessing`]: how an image becomes the numbers that a network reads.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use image::RgbImage;
use image::imageops::{self, FilterType};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;

/// Far more than such a file is long.
const LONGEST: u64 = 1 << 20;
/// Pixels of an edge at most.
const LARGEST: u32 = 4096;
/// Pixels that an image is made larger to at most.
const MOST_PIXELS: u64 = 1 << 26;
/// Mean and standard deviation of the colours of ImageNet's training images, as torchvision's models were trained with
/// (<https://docs.pytorch.org/vision/stable/models.html>).
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
/// What that makes small images of: the shorter edge 256 pixels, of which the middle 224 are taken (same source).
const SHORTER_EDGE: (u32, u32) = (256, 224);

/// How an image is made smaller or larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Its shorter edge gets so many pixels, the other as many as its form needs.
    Shorter(u32),
    /// It gets so many rows and columns whatever its form.
    Exactly(u32, u32),
}

/// The order of colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// How an image becomes the numbers that a network reads: made smaller, its middle cut out, its values between 0 and 1
/// less a mean over a standard deviation, colour by colour.
///
/// As text, in any order, each once at most: `resize=256` (shorter edge) or `resize=224x224` (rows x columns), `crop=224`
/// (the middle square), `mean=0.485,0.456,0.406`, `std=0.229,0.224,0.225` (one value stands for all colours), `order=bgr`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocessing {
    /// First it is made smaller or larger, with triangular weights over what a pixel covers.
    pub resize: Option<Resize>,
    /// Then a square of so many pixels is cut out of its middle.
    pub crop: Option<u32>,
    /// What is subtracted from values between 0 and 1: of every colour, or one for all; nothing where empty.
    pub mean: Vec<f32>,
    /// What they are divided by then; as the mean.
    pub std: Vec<f32>,
    /// The order of colours that the network reads.
    pub order: Order,
}

impl Preprocessing {
    /// What networks trained on ImageNet are given as torchvision trains them.
    pub fn imagenet() -> Self {
        Self {
            resize: Some(Resize::Shorter(SHORTER_EDGE.0)),
            crop: Some(SHORTER_EDGE.1),
            mean: IMAGENET.0.to_vec(),
            std: IMAGENET.1.to_vec(),
            order: Order::Rgb,
        }
    }

    /// What the files beside a model state: `preprocessor_config.json` of Hugging Face's image processors, or `config.json`
    /// of timm. `None` where there is no such file.
    ///
    /// # Errors
    /// [`Error::File`] where there is one and it cannot be read, or states what is not done here.
    pub fn beside(model: &Path) -> Result<Option<Self>> {
        let folder = match model.is_dir() {
            true => Some(model),
            false => model.parent(),
        };
        let Some(folder) = folder else {
            return Ok(None);
        };
        for (name, read) in [
            ("preprocessor_config.json", Self::of_processor as Read),
            ("config.json", Self::of_timm),
        ] {
            let path = folder.join(name);
            if !path.is_file() {
                continue;
            }
            let wrong = |fact: String| Error::file(fact, &path);
            let text = files::read_text(&path, LONGEST)?;
            let json = serde_json::from_str(&text)
                .map_err(|error| wrong(format!("this is no JSON ({error})")))?;
            let found = read(&json).map_err(wrong)?;
            if let Some(found) = found {
                found
                    .check()
                    .map_err(|error| Error::file(error.to_string(), &path))?;
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn of_processor(json: &serde_json::Value) -> std::result::Result<Option<Self>, String> {
        let switched = |name: &str| json.get(name).and_then(serde_json::Value::as_bool);
        let size = |value: &serde_json::Value| -> Option<Resize> {
            let edge = |name: &str| pixels(value.get(name)?);
            match (edge("shortest_edge"), edge("height"), edge("width")) {
                (Some(edge), _, _) => Some(Resize::Shorter(edge)),
                (None, Some(rows), Some(columns)) => Some(Resize::Exactly(rows, columns)),
                _ => pixels(value).map(Resize::Shorter),
            }
        };
        let resize = match (switched("do_resize"), json.get("size")) {
            (Some(false), _) | (_, None) => None,
            (_, Some(value)) => Some(size(value).ok_or("the size is not understood")?),
        };
        // Processors that cut a share of a larger image out of its middle.
        let share = json.get("crop_pct").and_then(serde_json::Value::as_f64);
        let (resize, cut) = match (share, resize) {
            (Some(share), Some(Resize::Shorter(edge))) if (0.1..1.0).contains(&share) => {
                let larger = (f64::from(edge) / share).floor() as u32;
                (Some(Resize::Shorter(larger)), Some(edge))
            }
            (_, resize) => (resize, None),
        };
        let crop = match (switched("do_center_crop"), json.get("crop_size")) {
            (Some(false), _) | (_, None) => cut,
            (_, Some(value)) => match size(value) {
                Some(Resize::Shorter(edge)) => Some(edge),
                Some(Resize::Exactly(rows, columns)) if rows == columns => Some(rows),
                _ => return Err("the part that is cut out is no square".to_owned()),
            },
        };
        let normalised = switched("do_normalize") != Some(false);
        let values = |name: &str| json.get(name).filter(|_| normalised).map(numbers);
        let factor = json
            .get("rescale_factor")
            .and_then(serde_json::Value::as_f64);
        let to_one = factor.is_none_or(|factor| (factor * 255.0 - 1.0).abs() < 1e-6);
        if !to_one || switched("do_rescale") == Some(false) {
            return Err("its values do not lie between 0 and 1, which is not done here".to_owned());
        }
        Ok(Some(Self {
            resize,
            crop,
            mean: values("image_mean").transpose()?.unwrap_or_default(),
            std: values("image_std").transpose()?.unwrap_or_default(),
            order: Order::Rgb,
        }))
    }

    fn of_timm(json: &serde_json::Value) -> std::result::Result<Option<Self>, String> {
        let Some(stated) = json.get("pretrained_cfg") else {
            return Ok(None);
        };
        let size = stated.get("test_input_size").or(stated.get("input_size"));
        let size = size.and_then(serde_json::Value::as_array);
        let edge = match size.map(Vec::as_slice) {
            Some([_, rows, columns]) if rows == columns => pixels(rows),
            _ => None,
        };
        let edge = edge.ok_or("input_size is no square of some channels")?;
        let share = stated.get("crop_pct").and_then(serde_json::Value::as_f64);
        let share = share.filter(|share| (0.1..=1.0).contains(share));
        // timm's own default.
        let share = share.unwrap_or(0.875);
        let larger = (f64::from(edge) / share).floor() as u32;
        let values = |name: &str| stated.get(name).map(numbers).transpose();
        Ok(Some(Self {
            resize: Some(Resize::Shorter(larger)),
            crop: Some(edge),
            mean: values("mean")?.unwrap_or_default(),
            std: values("std")?.unwrap_or_default(),
            order: Order::Rgb,
        }))
    }

    /// Checks its numbers.
    ///
    /// # Errors
    /// [`Error::Scenario`] naming the first that is impossible.
    pub fn check(&self) -> Result<()> {
        let wrong = |fact: &str| Err(Error::Scenario(format!("preprocessing: {fact}")));
        let edges = match self.resize {
            None => vec![],
            Some(Resize::Shorter(edge)) => vec![edge],
            Some(Resize::Exactly(rows, columns)) => vec![rows, columns],
        };
        let mut edges = edges.into_iter().chain(self.crop);
        if edges.any(|edge| !(1..=LARGEST).contains(&edge)) {
            return wrong("an edge has 1 to 4096 pixels");
        }
        if !(self.mean.iter().chain(&self.std)).all(|value| value.is_finite()) {
            return wrong("mean and std are numbers");
        }
        if self.std.iter().any(|value| *value <= 0.0) {
            return wrong("std is above 0");
        }
        Ok(())
    }

    /// Rows and columns that it leaves of any image, where it tells them.
    pub fn size(&self) -> Option<(u32, u32)> {
        match (self.crop, self.resize) {
            (Some(edge), _) => Some((edge, edge)),
            (None, Some(Resize::Exactly(rows, columns))) => Some((rows, columns)),
            (None, _) => None,
        }
    }

    /// Mean and standard deviation of each of so many colours.
    ///
    /// # Errors
    /// [`Error::Scenario`] where there are more or fewer of them.
    pub fn scales(&self, channels: usize) -> Result<Vec<(f32, f32)>> {
        let of = |values: &[f32], default: f32, name: &str| match values {
            [] => Ok(vec![default; channels]),
            [one] => Ok(vec![*one; channels]),
            all if all.len() == channels => Ok(all.to_vec()),
            all => Err(Error::Scenario(format!(
                "preprocessing: {name} has {} values; the network reads {channels} colours",
                all.len()
            ))),
        };
        let (mean, std) = (of(&self.mean, 0.0, "mean")?, of(&self.std, 1.0, "std")?);
        Ok(mean.into_iter().zip(std).collect())
    }

    /// The image made smaller and cut.
    ///
    /// # Errors
    /// The part to be cut out is larger than the image.
    pub(super) fn shape(&self, image: RgbImage) -> std::result::Result<RgbImage, String> {
        let (columns, rows) = image.dimensions();
        let resized = match self.resize {
            None => image,
            Some(resize) => {
                let (rows, columns) = match resize {
                    Resize::Exactly(rows, columns) => (rows, columns),
                    Resize::Shorter(edge) => shorter(edge, (rows, columns)),
                };
                if u64::from(rows) * u64::from(columns) > MOST_PIXELS {
                    return Err(format!("{rows} x {columns} pixels are too many"));
                }
                match (rows, columns) == (image.height(), image.width()) {
                    true => image,
                    false => imageops::resize(&image, columns, rows, FilterType::Triangle),
                }
            }
        };
        let Some(edge) = self.crop else {
            return Ok(resized);
        };
        let (columns, rows) = resized.dimensions();
        if rows < edge || columns < edge {
            return Err(format!(
                "the image has {rows} x {columns} pixels, fewer than the {edge} x {edge} that are cut out of it"
            ));
        }
        // As torchvision rounds the middle.
        let middle = |all: u32| (f64::from(all - edge) / 2.0).round_ties_even() as u32;
        let (x, y) = (middle(columns), middle(rows));
        Ok(imageops::crop_imm(&resized, x, y, edge, edge).to_image())
    }
}

type Read = fn(&serde_json::Value) -> std::result::Result<Option<Preprocessing>, String>;

/// Rows and columns where the shorter edge gets so many pixels; the longer one is rounded down, as torchvision does.
fn shorter(edge: u32, (rows, columns): (u32, u32)) -> (u32, u32) {
    let longer = |long: u32, short: u32| {
        let long = u64::from(edge) * u64::from(long) / u64::from(short.max(1));
        u32::try_from(long).unwrap_or(u32::MAX).max(1)
    };
    match rows <= columns {
        true => (edge, longer(columns, rows)),
        false => (longer(rows, columns), edge),
    }
}

fn pixels(value: &serde_json::Value) -> Option<u32> {
    value.as_u64().and_then(|edge| u32::try_from(edge).ok())
}

fn numbers(value: &serde_json::Value) -> std::result::Result<Vec<f32>, String> {
    let all = value.as_array().ok_or("a mean or deviation is no list")?;
    let each = all.iter().map(|value| value.as_f64().map(|x| x as f32));
    each.collect::<Option<Vec<f32>>>()
        .ok_or_else(|| "a mean or deviation holds what is no number".to_owned())
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &[f32]| {
            let texts: Vec<String> = values.iter().map(f32::to_string).collect();
            texts.join(",")
        };
        let mut parts = Vec::new();
        match self.resize {
            None => {}
            Some(Resize::Shorter(edge)) => parts.push(format!("resize={edge}")),
            Some(Resize::Exactly(rows, columns)) => parts.push(format!("resize={rows}x{columns}")),
        }
        parts.extend(self.crop.map(|edge| format!("crop={edge}")));
        if !self.mean.is_empty() {
            parts.push(format!("mean={}", list(&self.mean)));
        }
        if !self.std.is_empty() {
            parts.push(format!("std={}", list(&self.std)));
        }
        if self.order == Order::Bgr {
            parts.push("order=bgr".to_owned());
        }
        f.write_str(&parts.join(" "))
    }
}

impl FromStr for Preprocessing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const FORM: &str = "resize=256 or resize=224x224, crop=224, mean=0.485,0.456,0.406, std=0.229,0.224,0.225, order=rgb or order=bgr";
        let wrong =
            |part: &str| Error::Scenario(format!("preprocessing: '{part}' is none of {FORM}"));
        let mut all = Self::default();
        let mut seen = Vec::new();
        for part in text.split_whitespace() {
            let (key, value) = part.split_once('=').ok_or_else(|| wrong(part))?;
            if seen.contains(&key) {
                return Err(Error::Scenario(format!(
                    "preprocessing: '{key}' stands twice"
                )));
            }
            seen.push(key);
            let edge = |text: &str| text.parse::<u32>().map_err(|_| wrong(part));
            let list = || -> Result<Vec<f32>> {
                let values = value.split(',').map(|x| x.parse::<f32>());
                values
                    .collect::<std::result::Result<_, _>>()
                    .map_err(|_| wrong(part))
            };
            match key {
                "resize" => {
                    all.resize = Some(match value.split_once('x') {
                        Some((rows, columns)) => Resize::Exactly(edge(rows)?, edge(columns)?),
                        None => Resize::Shorter(edge(value)?),
                    });
                }
                "crop" => all.crop = Some(edge(value)?),
                "mean" => all.mean = list()?,
                "std" => all.std = list()?,
                "order" => {
                    all.order = match value {
                        "rgb" => Order::Rgb,
                        "bgr" => Order::Bgr,
                        _ => return Err(wrong(part)),
                    };
                }
                _ => return Err(wrong(part)),
            }
        }
        all.check()?;
        Ok(all)
    }
}
