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

/// How much each pixel counts for one of an image that is made smaller or larger, spread over what it covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Less with the distance, along a straight line: Pillow's bilinear resampling.
    #[default]
    Bilinear,
    /// By the cubic of Catmull and Rom: Pillow's bicubic resampling.
    Bicubic,
    /// By a windowed sine over three pixels.
    Lanczos,
    /// Only the nearest.
    Nearest,
}

impl Filter {
    pub(super) const ALL: [Self; 4] = [Self::Bilinear, Self::Bicubic, Self::Lanczos, Self::Nearest];

    const fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Lanczos => "lanczos",
            Self::Nearest => "nearest",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.name() == name)
    }

    const fn kernel(self) -> FilterType {
        match self {
            Self::Bilinear => FilterType::Triangle,
            Self::Bicubic => FilterType::CatmullRom,
            Self::Lanczos => FilterType::Lanczos3,
            Self::Nearest => FilterType::Nearest,
        }
    }
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
/// As text, in any order, each once at most: `resize=256` (shorter edge) or `resize=224x224` (rows x columns),
/// `filter=bicubic` (bilinear, lanczos, nearest), `crop=224` (the middle square), `mean=0.485,0.456,0.406`, `std=0.229,0.224,0.225` (one value stands for all colours), `order=bgr`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocessing {
    /// First it is made smaller or larger.
    pub resize: Option<Resize>,
    /// How that is done.
    pub filter: Filter,
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
            filter: Filter::Bilinear,
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
        /// From so many pixels on, processors that cut a share of a larger image out of its middle do so no longer.
        const LARGE: u32 = 384;
        let switched = |name: &str| json.get(name).and_then(serde_json::Value::as_bool);
        let share = json.get("crop_pct").and_then(serde_json::Value::as_f64);
        let cuts = switched("do_center_crop") == Some(true);
        let size = |value: &serde_json::Value| -> Option<Resize> {
            let edge = |name: &str| pixels(value.get(name)?);
            match (edge("shortest_edge"), edge("height"), edge("width")) {
                (Some(edge), _, _) => Some(Resize::Shorter(edge)),
                (None, Some(rows), Some(columns)) => Some(Resize::Exactly(rows, columns)),
                // A single number is the shorter edge where the middle is cut out afterwards, and a square else.
                _ => pixels(value).map(|edge| match cuts || share.is_some() {
                    true => Resize::Shorter(edge),
                    false => Resize::Exactly(edge, edge),
                }),
            }
        };
        let resize = match (switched("do_resize"), json.get("size")) {
            (Some(false), _) | (_, None) => None,
            (_, Some(value)) => Some(size(value).ok_or("the size is not understood")?),
        };
        let (resize, cut) = match (share, resize) {
            (Some(_), Some(Resize::Shorter(edge))) if edge >= LARGE => {
                (Some(Resize::Exactly(edge, edge)), None)
            }
            (Some(share), Some(Resize::Shorter(edge))) if (0.1..=1.0).contains(&share) => {
                // Far below the limit of the type.
                let larger = (f64::from(edge) / share).floor() as u32;
                (Some(Resize::Shorter(larger)), Some(edge))
            }
            (Some(share), Some(Resize::Shorter(_))) => {
                return Err(format!("crop_pct of {share} is not understood"));
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
        let values = |name: &str| match (normalised, json.get(name)) {
            (false, _) => Ok(Vec::new()),
            (true, Some(values)) => numbers(values),
            (true, None) => Err(format!("it normalises and does not state '{name}'")),
        };
        let factor = json
            .get("rescale_factor")
            .and_then(serde_json::Value::as_f64);
        let to_one = factor.is_none_or(|factor| (factor * 255.0 - 1.0).abs() < 1e-6);
        if !to_one || switched("do_rescale") == Some(false) {
            return Err("its values do not lie between 0 and 1, which is not done here".to_owned());
        }
        // Pillow's numbers.
        let filter = match json.get("resample").and_then(serde_json::Value::as_u64) {
            None | Some(2) => Filter::Bilinear,
            Some(0) => Filter::Nearest,
            Some(1) => Filter::Lanczos,
            Some(3) => Filter::Bicubic,
            Some(other) => {
                return Err(format!("resampling by Pillow's number {other} is not done"));
            }
        };
        Ok(Some(Self {
            resize,
            filter,
            crop,
            mean: values("image_mean")?,
            std: values("image_std")?,
            order: Order::Rgb,
        }))
    }

    /// As timm evaluates a model unless its test size is asked for: by `input_size` and `crop_pct`.
    fn of_timm(json: &serde_json::Value) -> std::result::Result<Option<Self>, String> {
        let Some(stated) = json.get("pretrained_cfg") else {
            return Ok(None);
        };
        let text = |name: &str| stated.get(name).and_then(serde_json::Value::as_str);
        let size = stated.get("input_size");
        let size = size.and_then(serde_json::Value::as_array);
        let edge = match size.map(Vec::as_slice) {
            Some([_, rows, columns]) if rows == columns => pixels(rows),
            _ => None,
        };
        let edge = edge.ok_or("input_size is no square of some channels")?;
        // What is not stated is as timm has it by default.
        let share = stated.get("crop_pct").and_then(serde_json::Value::as_f64);
        let share = share.unwrap_or(0.875);
        if !(0.1..=1.0).contains(&share) {
            return Err(format!("crop_pct of {share} is not understood"));
        }
        let larger = (f64::from(edge) / share).floor() as u32;
        let resize = match text("crop_mode").unwrap_or("center") {
            "center" => Resize::Shorter(larger),
            "squash" => Resize::Exactly(larger, larger),
            other => return Err(format!("crop_mode '{other}' is not done here")),
        };
        let filter = text("interpolation").unwrap_or("bicubic");
        let filter = Filter::named(filter)
            .ok_or_else(|| format!("interpolation '{filter}' is not done here"))?;
        let values = |name: &str| match stated.get(name) {
            Some(values) => numbers(values),
            None => Err(format!("'{name}' is not stated")),
        };
        Ok(Some(Self {
            resize: Some(resize),
            filter,
            crop: Some(edge),
            mean: values("mean")?,
            std: values("std")?,
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
                    false => imageops::resize(&image, columns, rows, self.filter.kernel()),
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
        if self.filter != Filter::Bilinear {
            parts.push(format!("filter={}", self.filter.name()));
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
        const FORM: &str = "resize=256 or resize=224x224, filter=bilinear, bicubic, lanczos or nearest, crop=224, mean=0.485,0.456,0.406, std=0.229,0.224,0.225, order=rgb or order=bgr";
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
                "filter" => all.filter = Filter::named(value).ok_or_else(|| wrong(part))?,
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
