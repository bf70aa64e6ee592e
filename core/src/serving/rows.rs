//! Published measurements as rows of a table, and what the serving model makes of them: which case each is, or why it
//! cannot be predicted.

mod language;
mod machine;
mod mlperf;

use std::path::Path;

use serde::Deserialize;

use super::architecture::{Architecture, Shape, Transformer};
use super::catalogue;
use super::config;
use super::decode::Serving;
use super::denoiser::Pipeline;
use super::device::Device;
use super::diffusion::Generating;
use super::hosted::Hosted;
use super::llama_cpp::GgufFormat;
use super::narrow::LinearFormat;
use super::system::Benchmark;
use super::unread::positive;
use crate::error::{Error, Result};
use crate::graph::Language;
use crate::tables::reader;
use language::{parallel, serving};
use machine::desktop;
pub(super) use machine::host_watts;

/// One published measurement; the columns of the public tables, all text, as many are empty.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Identifier.
    pub id: String,
    /// Published name of the model.
    #[serde(alias = "network")]
    pub model: String,
    /// Parameters, in thousand millions.
    pub params_b: String,
    /// Parameters that a token meets, in thousand millions.
    pub active_params_b: String,
    /// What was done.
    pub task: String,
    /// The device.
    #[serde(alias = "device")]
    pub hardware: String,
    /// How many.
    pub n_devices: String,
    /// How they share the model.
    pub parallelism: String,
    /// Number format.
    pub precision: String,
    /// Software.
    pub engine: String,
    /// Sequences or images at once, averaged.
    pub batch_size: String,
    /// Tokens of the prompt.
    pub input_tokens: String,
    /// Tokens of the answer.
    pub output_tokens: String,
    /// Denoising steps.
    pub steps: String,
    /// Pixels and frames.
    pub resolution: String,
    /// Units per second, all devices.
    pub throughput: String,
    /// What they are.
    pub throughput_unit: String,
    /// Seconds; what they mean differs.
    pub latency_s: String,
    /// Joules.
    pub energy_j: String,
    /// What they are per.
    pub energy_unit: String,
    /// What was measured: boards, system, wall.
    pub scope: String,
    /// Where it was published.
    pub source: String,
    /// What else is said of it.
    pub notes: String,
}

impl Row {
    /// A column as a number.
    fn number(text: &str) -> Option<f64> {
        positive(text)
    }

    /// Measured joules per unit of work; none where they are said to contain time in which nothing was done.
    pub fn measured_energy(&self) -> Option<f64> {
        Self::number(&self.energy_j)
            .filter(|_| !self.energy_unit.contains("Wh") && !self.with_idle_time())
    }

    /// The power at which its devices were held, where it says so.
    pub(super) fn power_cap(&self) -> Option<f64> {
        let (_, after) = self.notes.split_once("power cap ")?;
        after.split_whitespace().next().and_then(Self::number)
    }

    /// Whether its power was averaged over time in which nothing was done.
    pub(super) fn with_idle_time(&self) -> bool {
        self.notes.contains("idle") && !self.energy_j.trim().is_empty()
    }

    /// Measured units per second, all devices; of a stream of single queries, the inverse of its latency.
    pub fn measured_throughput(&self) -> Option<f64> {
        let per_query = if self.task.contains("MultiStream") {
            8.0
        } else {
            1.0
        };
        Self::number(&self.throughput).or_else(|| {
            Self::number(&self.latency_s)
                .filter(|_| self.task.contains("Stream"))
                .map(|seconds| per_query / seconds)
        })
    }
}

/// Reads a table.
///
/// # Errors
/// [`Error::File`] when the text is not a table, or has no column for the model or for the hardware.
pub fn read(text: &str, path: &Path) -> Result<Vec<Row>> {
    let mut reader = reader(text, path)?;
    let headers = reader
        .headers()
        .map_err(|error| Error::file(error.to_string(), path))?;
    for needed in [["model", "network"], ["hardware", "device"]] {
        if !headers.iter().any(|header| needed.contains(&header)) {
            let [name, _] = needed;
            return Err(Error::file(format!("there is no column '{name}'"), path));
        }
    }
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy())
        .unwrap_or_default();
    reader
        .deserialize()
        .zip(2..)
        .map(|(row, line)| {
            let mut row: Row = row.map_err(|error| Error::file(error.to_string(), path))?;
            if row.id.is_empty() {
                row.id = format!("{stem}-{line}");
            }
            Ok(row)
        })
        .collect()
}

/// What was measured, so that unlike things never meet in one error figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Boards of the devices alone.
    Boards,
    /// The whole system at the wall.
    Wall,
    /// Speed only.
    Speed,
}

impl Scope {
    /// The words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boards => "boards",
            Self::Wall => "wall",
            Self::Speed => "speed only",
        }
    }
}

/// A row that the model can predict.
#[derive(Debug, Clone)]
pub struct Case {
    /// The row.
    pub row: Row,
    /// Family of the model; cross-validation leaves out whole ones.
    pub family: String,
    /// The device.
    pub device: &'static Device,
    /// What was measured.
    pub scope: Scope,
    /// The work.
    pub work: CaseWork,
    /// What the row leaves open.
    pub open: Vec<Open>,
}

/// What a row of a language model leaves open, and its prediction assumes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Open {
    /// The length of its prompts lies between these, as far as its task tells.
    Prompt(f64, f64),
    /// The version of its software: taken as new.
    Software,
    /// The work of a sample lies between these shares of what is taken as typical.
    Work(f64, f64),
    /// Nothing: its figures are per sample, whose answer has so many tokens.
    Answer(f64),
}

/// The work of a case.
#[derive(Debug, Clone)]
pub enum CaseWork {
    /// A language model served to many.
    Decode(Language, Serving),
    /// Images (`false`) or videos (`true`).
    Diffusion(Generating, bool),
    /// An MLPerf benchmark.
    System(Benchmark),
    /// An MLPerf benchmark that serves a language model or generates images.
    Hosted(Hosted),
    /// llama.cpp writing (`true`) or reading (`false`) so many tokens.
    LlamaCpp(Language, GgufFormat, f64, bool),
}

/// A network as a language model.
pub(super) fn language_of(network: &Architecture) -> std::result::Result<Language, String> {
    let language = network.graph().language();
    language.ok_or_else(|| format!("{} is no language model", network.id))
}

impl Case {
    /// What the model makes of a row; `models` is a folder with `<model>/config.json` for models that are not in the
    /// catalogue.
    ///
    /// # Errors
    /// Why the row cannot be predicted, in words.
    pub fn new(row: &Row, models: Option<&Path>) -> std::result::Result<Self, String> {
        let scope = scope(row)?;
        if row.measured_energy().is_none() && row.measured_throughput().is_none() {
            return Err("neither energy nor throughput was measured".to_owned());
        }
        let device = machine::device_of(&row.hardware)?;
        let devices = match row.n_devices.trim() {
            "" => 1.0,
            text => {
                Row::number(text).ok_or_else(|| format!("'{text}' is not a number of devices"))?
            }
        };
        if row.task.to_lowercase().contains("mlperf") {
            let (network, work, open) = mlperf::case(row, device, devices, models)?;
            return Ok(Self {
                row: row.clone(),
                family: network.family,
                device,
                scope,
                work,
                open,
            });
        }
        let network = network(row, models)?;
        let language = || language_of(&network);
        let mut open = Vec::new();
        let work = match &network.shape {
            Shape::Transformer(_) if row.engine.contains("llama.cpp") => {
                let (format, tokens, writing) = desktop(row)?;
                CaseWork::LlamaCpp(language()?, format, tokens, writing)
            }
            Shape::Transformer(_) => {
                let language = language()?;
                let (serving, assumed) = serving(row, &language, devices)?;
                open = assumed;
                CaseWork::Decode(language, serving)
            }
            Shape::DiffusionTransformer(_) | Shape::UNet(_) => {
                let (generating, video) = generating(row, &network, devices)?;
                CaseWork::Diffusion(generating, video)
            }
            Shape::Layers(_) | Shape::Listed(_) => {
                return Err(format!(
                    "'{}' is not a benchmark that is modelled",
                    row.task
                ));
            }
        };
        Ok(Self {
            row: row.clone(),
            family: network.family.clone(),
            device,
            scope,
            work,
            open,
        })
    }

    /// The same with another length of prompts.
    pub(super) fn with_prompt(&self, prompt: f64) -> Self {
        let mut case = self.clone();
        let work = match &mut case.work {
            CaseWork::Hosted(hosted) => &mut *hosted.work,
            work => work,
        };
        if let CaseWork::Decode(_, serving) = work {
            serving.prompt = prompt;
        }
        case
    }

    /// The same with so many times the work.
    pub(super) fn with_work(&self, share: f64) -> Self {
        let mut case = self.clone();
        if let CaseWork::System(benchmark) = &mut case.work {
            benchmark.operations *= share;
        }
        case
    }

    /// Name of the device.
    pub fn device_name(&self) -> &str {
        &self.device.name
    }

    /// Number of devices.
    pub fn devices(&self) -> f64 {
        match &self.work {
            CaseWork::Decode(_, serving) => serving.all_devices(),
            CaseWork::Diffusion(generating, _) => generating.devices,
            CaseWork::System(benchmark) => benchmark.devices,
            CaseWork::Hosted(hosted) => hosted.devices,
            CaseWork::LlamaCpp(..) => Row::number(&self.row.n_devices).unwrap_or(1.0),
        }
    }
}

fn scope(row: &Row) -> std::result::Result<Scope, String> {
    let scope = row.scope.to_lowercase();
    if scope.contains("idle draw") {
        return Err(
            "the scope includes the idle power of devices that did not take part".to_owned(),
        );
    }
    if row.model.contains("mean of") || row.model.contains("regression") {
        return Err("it is not a measurement of one model".to_owned());
    }
    if scope.contains("wall") || scope.contains("whole system") {
        return Ok(Scope::Wall);
    }
    if scope.contains("whole board") {
        return Err("single-board computers with a hardware meter are not modelled".to_owned());
    }
    if scope.contains("throughput only") {
        return Ok(Scope::Speed);
    }
    Ok(Scope::Boards)
}

/// The network of a row: from the catalogue, from a configuration in a folder, or like others of its size.
fn network(row: &Row, models: Option<&Path>) -> std::result::Result<Architecture, String> {
    match catalogue::architecture(&row.model) {
        Ok(network) => return Ok(network.clone()),
        Err(Error::Unknown { .. }) => {}
        Err(error) => return Err(error.to_string()),
    }
    // As the command line understands it: "llama 3.1 70b".
    if let Ok(network) = crate::model::known_by_shapes(&row.model) {
        return Ok(network.clone());
    }
    if let Some(folder) = models {
        let path = folder.join(&row.model).join("config.json");
        if path.is_file() {
            return config::open(&path).map_err(|error| error.to_string());
        }
    }
    let total = Row::number(row.params_b.trim_end_matches(['B', 'b']));
    let Some(total) = total else {
        return Err("neither the catalogue nor the parameter columns know this model".to_owned());
    };
    if !(1e-6..=1e6).contains(&total) {
        return Err(format!(
            "{total} thousand million parameters are no network's"
        ));
    }
    if row.task.contains("text-to") || row.task.contains("MLPerf") {
        return Err(format!("the shapes of {} are not known", row.model));
    }
    let active = Row::number(&row.active_params_b).unwrap_or(total);
    Ok(Architecture {
        id: row.model.clone(),
        names: Vec::new(),
        family: row.model.split('/').next().unwrap_or_default().to_owned(),
        source: "like other networks of its size".to_owned(),
        parameters: total * 1e9,
        weight_bits: None,
        expert_bits: None,
        formats: None,
        notes: Vec::new(),
        summed: Default::default(),
        context_limit: None,
        shape: Shape::Transformer(Transformer::of_size(total * 1e9, active * 1e9)),
    })
}

fn generating(
    row: &Row,
    network: &Architecture,
    devices: f64,
) -> std::result::Result<(Generating, bool), String> {
    let batch =
        Row::number(&row.batch_size).ok_or_else(|| "the batch size is not stated".to_owned())?;
    let pipeline = network
        .shape
        .pipeline()
        .ok_or_else(|| "it is not a diffusion network".to_owned())?;
    let (width, height, frames) = resolution(&row.resolution);
    let pipeline = Pipeline {
        width: width.unwrap_or(pipeline.width),
        height: height.unwrap_or(pipeline.height),
        frames: frames.unwrap_or(pipeline.frames),
        ..pipeline
    };
    let mut generating = Generating::new(&network.shape, &pipeline, batch, devices)
        .ok_or_else(|| "it is not a diffusion network".to_owned())?;
    if let Some(steps) = Row::number(&row.steps) {
        generating.steps = steps;
    }
    if let Some(ulysses) = parallel(&row.parallelism, "ulysses") {
        generating.ulysses = ulysses;
    }
    if let Some(ring) = parallel(&row.parallelism, "ring") {
        generating.ring = ring;
    }
    generating.linear = LinearFormat::named(&row.precision);
    generating.recent = !row.engine.contains("2024");
    Ok((generating, pipeline.frames > 1))
}

/// Width, height and frames out of "1024x1024", "xx81f" or "256x256 16 frames".
fn resolution(text: &str) -> (Option<u32>, Option<u32>, Option<u32>) {
    let mut parts = text.split(['x', ' ']).map(|part| {
        part.trim_end_matches(|c: char| !c.is_ascii_digit())
            .parse::<u32>()
            .ok()
    });
    let mut next = || parts.next().flatten();
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_are_read_in_all_spellings() {
        assert_eq!(resolution("1024x768"), (Some(1024), Some(768), None));
        assert_eq!(resolution("xx81f"), (None, None, Some(81)));
        assert_eq!(
            resolution("256x256 16 frames"),
            (Some(256), Some(256), Some(16))
        );
        assert_eq!(resolution(""), (None, None, None));
    }

    #[test]
    fn a_row_that_is_no_measurement_of_one_model_says_so() {
        let row = Row {
            model: "mean of ~8-16 public models".to_owned(),
            energy_j: "7.2".to_owned(),
            ..Row::default()
        };
        assert!(Case::new(&row, None).unwrap_err().contains("one model"));
    }

    #[test]
    fn a_table_without_its_columns_is_refused() {
        let error = read("a,b\n1,2\n", Path::new("x.csv")).unwrap_err();
        assert_eq!(error.to_string(), "there is no column 'model': x.csv");
    }
}
