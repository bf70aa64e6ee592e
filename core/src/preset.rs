//! [`Preset`]: a model, a recipe, a scenario and what was measured of them, in one RON file.
//!
//! A preset is read by people as well as by the program, and it outlives both the constants and the formulas behind its
//! figures. So it carries the method version and a hash of the constants, and reading one never silently drops or
//! replaces anything: what is not understood is refused with the line and column.

use std::fmt::Write as _;
use std::path::Path;

use ron::extensions::Extensions;
use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::files;
use crate::footprint::Footprint;
use crate::measurement::{Measurement, Quality};
use crate::model::ModelReference;
use crate::profile::ModelProfile;
use crate::recipe::Recipe;
use crate::scenario::Scenario;
use crate::serving;
use crate::units::{GramsCo2e, Joules, Range, Seconds, UnitsPerSecond};

/// Version of the file format that [`Preset::save`] writes and the newest that [`Preset::load`] reads.
pub const VERSION: u32 = 1;

/// The name ending of a preset file, without the dot.
pub const EXTENSION: &str = "ron";

/// A configuration that can be reopened, and what was measured of it when it was saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Version of the file format, see [`VERSION`].
    pub version: u32,
    /// Version of the formulas behind `measured`, see [`crate::METHOD_VERSION`].
    pub method_version: u32,
    /// Hash of the constants of the device and the grid behind `measured`, see [`constants_hash`].
    pub constants_hash: String,
    /// One line that says what this is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Anything else worth knowing about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Which model.
    pub model: PresetModel,
    /// How it is compressed.
    #[serde(default)]
    pub recipe: Recipe,
    /// Where and how it runs.
    #[serde(default)]
    pub scenario: Scenario,
    /// What was measured when the preset was saved; absent in one written by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// The model that a preset is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename = "Model")]
pub struct PresetModel {
    /// A bundled model or a file; in the file, a path below the preset's folder is written relative to it.
    pub reference: ModelReference,
    /// SHA-256 of its weights as [`crate::model::Model`] has it; empty in a preset written by hand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// The figures a preset was saved with, to be shown beside new ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Quality on the held-out data; absent for a network known by its shapes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Size of the exported file in bytes.
    pub stored_bytes: u64,
    /// Weights that pruning and quantisation apply to.
    pub weights: u64,
    /// Those of `weights` that are not zero.
    pub nonzero_weights: u64,
    /// Units of work per second.
    pub throughput: Range<UnitsPerSecond>,
    /// Seconds per batch, for language models per generated token.
    pub latency_s: Range<Seconds>,
    /// Joules per unit of work at the machine.
    pub energy_j_per_unit: Range<Joules>,
    /// Grams of CO2e per unit of work.
    pub co2e_g_per_unit: Range<GramsCo2e>,
}

impl Measured {
    /// The figures worth keeping of a measurement and the footprint that follows from it.
    pub fn new(measurement: &Measurement, footprint: &Footprint) -> Self {
        Self {
            quality: Some(measurement.quality),
            ..Self::of_shapes(&measurement.profile, footprint)
        }
    }

    /// The same where there are no weights to measure.
    pub fn of_shapes(profile: &ModelProfile, footprint: &Footprint) -> Self {
        Self {
            quality: None,
            stored_bytes: profile.stored_bytes(),
            weights: profile.weights(),
            nonzero_weights: profile.nonzero_weights(),
            throughput: footprint.throughput.range,
            latency_s: footprint.latency.range,
            energy_j_per_unit: footprint.energy_per_unit.range,
            co2e_g_per_unit: footprint.co2e_per_unit.range,
        }
    }

    fn numbers(&self) -> Vec<(&'static str, [f64; 3])> {
        let range = |name, r: Range<f64>| (name, [r.low, r.typical, r.high]);
        let interval = |name, i: &crate::measurement::Interval| (name, [i.low, i.value, i.high]);
        let mut numbers = vec![
            range("throughput", self.throughput.map(|x| x.0)),
            range("latency_s", self.latency_s.map(|x| x.0)),
            range("energy_j_per_unit", self.energy_j_per_unit.map(|x| x.0)),
            range("co2e_g_per_unit", self.co2e_g_per_unit.map(|x| x.0)),
        ];
        if let Some(quality) = &self.quality {
            numbers.extend([
                ("quality", [quality.low, quality.value, quality.high]),
                interval("quality.change", &quality.change),
            ]);
            let divergence = quality.divergence.iter();
            numbers.extend(divergence.map(|nats| interval("quality.divergence", nats)));
            let same_top = quality.same_top.iter();
            numbers.extend(same_top.map(|share| interval("quality.same_top", share)));
            let neighbours = quality.neighbours.iter();
            numbers.extend(neighbours.map(|share| interval("quality.neighbours", share)));
            let per_byte = quality.bits_per_byte.iter();
            numbers.extend(per_byte.map(|f| ("quality.bits_per_byte", [f.low, f.value, f.high])));
            let pictures = quality.pictures.unwrap_or_default();
            for (name, figure) in [
                ("quality.pictures.psnr", pictures.psnr),
                ("quality.pictures.frechet", pictures.frechet),
                ("quality.pictures.precision", pictures.precision),
                ("quality.pictures.recall", pictures.recall),
            ] {
                let figure = figure.iter();
                numbers.extend(figure.map(|f| (name, [f.low, f.value, f.high])));
            }
        }
        numbers
    }

    /// Checks that every figure is one that can be measured and every range is in order.
    ///
    /// # Errors
    /// Which figure is wrong, and how.
    pub fn validate(&self) -> std::result::Result<(), String> {
        for (name, values) in self.numbers() {
            if values.iter().any(|value| !value.is_finite()) {
                return Err(format!(
                    "measured.{name} holds something that is not a number"
                ));
            }
            let [low, typical, high] = values;
            if low > typical || typical > high {
                return Err(format!(
                    "measured.{name} is not in order: {low}, {typical}, {high}"
                ));
            }
            // A change may go either way, and an estimate of a divergence of nothing may come out below it.
            let signed = [
                "quality.change",
                "quality.divergence",
                "quality.pictures.frechet",
            ];
            let may_be_below = name == "quality"
                && (self.quality).is_some_and(|quality| quality.metric.facts().bounds.0 < 0.0);
            let signed = signed.contains(&name) || may_be_below;
            if low < 0.0 && !signed {
                return Err(format!("measured.{name} is below zero: {low}"));
            }
            let real = ["throughput", "latency_s", "energy_j_per_unit"].contains(&name);
            if typical == 0.0 && real {
                return Err(format!("measured.{name} is 0; it must be above 0"));
            }
        }
        if let Some(quality) = &self.quality {
            let (least, most) = quality.metric.facts().bounds;
            for (name, value) in [
                ("low", quality.low),
                ("high", quality.high),
                ("baseline", quality.baseline),
            ] {
                if !(least..=most).contains(&value) {
                    return Err(format!(
                        "measured.quality.{name} is {value}, which no {} is",
                        quality.metric.name().to_lowercase()
                    ));
                }
            }
        }
        let quality = self.quality.as_ref();
        let shares = [
            ("same_top", quality.and_then(|quality| quality.same_top)),
            ("neighbours", quality.and_then(|quality| quality.neighbours)),
        ];
        for (name, share) in shares {
            if let Some(share) = share.filter(|share| share.high > 1.0) {
                return Err(format!(
                    "measured.quality.{name} is {}, more than all of them",
                    share.high
                ));
            }
        }
        if self.nonzero_weights > self.weights {
            return Err(format!(
                "measured.nonzero_weights is {}, more than the {} weights",
                self.nonzero_weights, self.weights
            ));
        }
        Ok(())
    }
}

impl Preset {
    /// A preset of today's method and constants, without title, notes and figures.
    ///
    /// # Errors
    /// Those of [`constants_hash`].
    pub fn new(
        reference: ModelReference,
        hash: impl Into<String>,
        recipe: Recipe,
        scenario: Scenario,
    ) -> Result<Self> {
        Ok(Self {
            version: VERSION,
            method_version: crate::METHOD_VERSION,
            constants_hash: constants_hash(&scenario)?,
            title: String::new(),
            notes: String::new(),
            model: PresetModel {
                reference,
                hash: hash.into(),
            },
            recipe,
            scenario,
            measured: None,
        })
    }

    /// Reads a preset. A relative model path is taken from the preset's folder.
    ///
    /// Neither the model nor the identifiers of the scenario are looked up; [`Self::check`] does that.
    ///
    /// # Errors
    /// [`Error::File`] saying what is wrong, in the text with line and column, before the path.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_text(&files::read_text(path, files::LONGEST_SETTINGS)?, path)
    }

    /// Reads the text of a preset, as [`Self::load`] does; `path` stands for the file.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_text(text: &str, path: &Path) -> Result<Self> {
        let mut preset = Self::parse(text).map_err(|fact| Error::file(fact, path))?;
        if let ModelReference::File(model) = &mut preset.model.reference
            && model.is_relative()
            && let Some(folder) = path.parent()
        {
            *model = folder.join(&*model);
        }
        Ok(preset)
    }

    /// Writes the preset; the file is either the old or the new one at any moment, never half of it.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut preset = self.clone();
        if let ModelReference::File(model) = &mut preset.model.reference
            && let (Ok(full), Ok(folder)) =
                (model.canonicalize(), files::folder_of(path).canonicalize())
        {
            *model = full
                .strip_prefix(&folder)
                .map_or(full.clone(), Path::to_path_buf);
        }
        let text = preset.to_ron().map_err(|fact| Error::file(fact, path))?;
        files::replace_with(path, text)
    }

    /// The text of the file.
    fn to_ron(&self) -> std::result::Result<String, String> {
        let config = PrettyConfig::new()
            .struct_names(false)
            .indentor("    ".to_owned());
        let mut text =
            ron::ser::to_string_pretty(self, config).map_err(|error| error.to_string())?;
        text.push('\n');
        Ok(text)
    }

    /// Reads the text of a file of any version that ever was.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        /// All that is common to the versions.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        if text.trim().is_empty() {
            return Err("the file is empty".to_owned());
        }
        if text.trim_start().starts_with('{') {
            return Err("this is JSON or a map; a preset is RON and starts with '('".to_owned());
        }
        let head: Head = options()
            .from_str(text)
            .map_err(|error| explain(&error, text))?;
        match head.version {
            VERSION => {}
            0 => return Err("preset version 0 never existed; versions start at 1".to_owned()),
            newer => {
                return Err(format!(
                    "this is a version {newer} preset, written by a newer WattIf; this one reads up to version {VERSION}"
                ));
            }
        }
        let preset: Self = options()
            .from_str(text)
            .map_err(|error| explain(&error, text))?;
        preset
            .recipe
            .validate()
            .map_err(|error| error.to_string())?;
        preset
            .scenario
            .validate()
            .map_err(|error| error.to_string())?;
        if let Some(measured) = &preset.measured {
            measured.validate()?;
        }
        Ok(preset)
    }

    /// Looks up what the preset names: the hardware target, the region, and whether the model is there.
    ///
    /// # Errors
    /// [`Error::Unknown`] with names that resemble it, or [`Error::File`] for a model file that is missing.
    pub fn check(&self) -> Result<()> {
        crate::hardware::find(&self.scenario.hardware)?;
        crate::carbon::find_grid(&self.scenario.region)?;
        match &self.model.reference {
            ModelReference::File(_) => {
                if let Some(path) = self.missing_model() {
                    return Err(Error::file("the preset's model is not there", path));
                }
            }
            ModelReference::Bundled(name) => {
                crate::model::bundled::find(name)?;
            }
            ModelReference::Catalogue(name) => {
                crate::serving::architecture(name)?;
            }
            ModelReference::Sized { .. } => {}
        }
        Ok(())
    }

    /// The file of its model, where that is not there.
    pub fn missing_model(&self) -> Option<&Path> {
        match &self.model.reference {
            ModelReference::File(path) if !path.exists() => Some(path),
            _ => None,
        }
    }

    /// Whether it was saved with other weights than these; where it does not say, it was not.
    pub fn is_of_others(&self, model_hash: &str) -> bool {
        !self.model.hash.is_empty() && self.model.hash != model_hash
    }

    /// What a reader of the saved figures must know before comparing them with new ones: other formulas, other
    /// constants, other weights. Empty where they are directly comparable.
    ///
    /// # Errors
    /// Those of [`constants_hash`].
    pub fn differences(&self, model_hash: &str) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        if self.method_version != crate::METHOD_VERSION {
            differences.push(format!(
                "saved with method version {}; this is version {}",
                self.method_version,
                crate::METHOD_VERSION
            ));
        }
        if !self.constants_hash.is_empty() && self.constants_hash != constants_hash(&self.scenario)?
        {
            differences.push("saved with other hardware or grid constants".to_owned());
        }
        if self.is_of_others(model_hash) {
            differences.push("saved with other weights under the same name".to_owned());
        }
        Ok(differences)
    }
}

/// SHA-256, as hexadecimal, of the constants that a scenario draws on, its device's, its grid's, and those of the serving
/// model where it covers the device: with the same hash and the same method version, a measurement has the same
/// footprint.
///
/// # Errors
/// [`Error::Unknown`] for a device or region that is in no catalogue.
pub fn constants_hash(scenario: &Scenario) -> Result<String> {
    let encode = |json: serde_json::Result<Vec<u8>>| {
        json.map_err(|error| Error::Compute(format!("constants cannot be hashed: {error}")))
    };
    let target = crate::hardware::find(&scenario.hardware)?;
    let grid = crate::carbon::find_grid(&scenario.region)?;
    let mut digest = Sha256::new();
    digest.update(encode(serde_json::to_vec(target))?);
    digest.update(encode(serde_json::to_vec(grid))?);
    if serving::covers(target)? {
        digest.update(encode(serde_json::to_vec(serving::Constants::shipped()?))?);
    }
    let mut hash = String::with_capacity(64);
    for byte in digest.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    Ok(hash)
}

/// `measured: (…)` and `measured: Some((…))` both read well; both are accepted.
fn options() -> ron::Options {
    ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME)
}

/// Says what is wrong with a RON text: the fact, then line and column.
fn explain(error: &ron::error::SpannedError, text: &str) -> String {
    use ron::Error as Ron;
    let place = |outer: &Option<String>| match outer.as_deref() {
        None | Some("Head") => "the preset".to_owned(),
        Some(outer) => format!("the {}", outer.to_lowercase()),
    };
    // The parser stands behind a name when it finds it wrong; people look for its beginning.
    let name = match &error.code {
        Ron::NoSuchStructField { found, .. } | Ron::NoSuchEnumVariant { found, .. } => found,
        Ron::DuplicateStructField { field, .. } => *field,
        _ => "",
    };
    let column = error.span.end.col.saturating_sub(name.chars().count());
    let fact = match &error.code {
        Ron::NoSuchStructField {
            expected,
            found,
            outer,
        } => {
            let near = match Error::unknown("field", found, expected.iter().copied()) {
                Error::Unknown { near, .. } if !near.is_empty() => {
                    format!("; did you mean {}?", near.join(" or "))
                }
                _ => format!("; it has {}", expected.join(", ")),
            };
            format!("{} has no field '{found}'{near}", place(outer))
        }
        Ron::NoSuchEnumVariant {
            expected, found, ..
        } => format!("'{found}' is none of {}", expected.join(", ")),
        Ron::MissingStructField { field, outer } => {
            format!("{} needs the field '{field}'", place(outer))
        }
        Ron::DuplicateStructField { field, .. } => format!("the field '{field}' is given twice"),
        Ron::Eof | Ron::ExpectedStringEnd => "the text ends too early".to_owned(),
        other if at_end(error, text) => format!("the text ends too early ({})", lower(other)),
        other => lower(other),
    };
    format!("{fact} (line {}, column {column})", error.span.end.line)
}

fn at_end(error: &ron::error::SpannedError, text: &str) -> bool {
    let lines = text.trim_end().lines().count();
    error.span.end.line > lines
}

fn lower(error: &ron::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().collect::<String>() + letters.as_str()
    })
}

#[cfg(test)]
mod tests;
