//! Rows of MLPerf Tiny and of designs in programmable logic: a network, a small chip or a board, one inference at a time.

#[cfg(test)]
mod tests;

use serde::Deserialize;

use super::chips::{Running, SmallChips};
use super::read::Identified;
use crate::error::Result;
use crate::hardware::{self, HardwareClass, HardwareTarget, Machine, Request};
use crate::profile::{LayerKind, ModelProfile};
use crate::scenario::Scenario;
use crate::serving::architecture::{Architecture, Shape};
pub(crate) use crate::serving::unread::positive as number;
use crate::serving::unread::unread;
use crate::serving::{self, Folding, LayerList};
use crate::units::{Joules, Range, Seconds, Watts};

/// One published measurement; the columns of the tables, all text, as some are empty.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct SmallRow {
    /// Identifier.
    pub id: String,
    /// Board or chip, often with its software.
    pub device: String,
    /// Kind of device.
    pub device_class: String,
    /// The network.
    pub model: String,
    /// The benchmark.
    pub task: String,
    /// Number format.
    pub precision: String,
    /// Inferences per second.
    pub throughput_inf_per_s: String,
    /// Microseconds of one inference.
    pub latency_us: String,
    /// Watts.
    pub power_w: String,
    /// Microjoules of one inference.
    pub energy_uj_per_inf: String,
    /// What the power is of.
    pub power_scope: String,
    /// Where it was published.
    pub source: String,
    /// Remarks.
    pub notes: String,
}

impl Identified for SmallRow {
    fn id_mut(&mut self) -> &mut String {
        &mut self.id
    }
}

impl SmallRow {
    /// Measured inferences per second.
    pub fn measured_throughput(&self) -> Option<f64> {
        number(&self.throughput_inf_per_s)
            .or_else(|| number(&self.latency_us).map(|us| 1.0 / Seconds::from_micro(us).0))
    }

    /// Measured joules of one inference.
    pub fn measured_energy(&self) -> Option<Joules> {
        number(&self.energy_uj_per_inf)
            .map(Joules::from_micro)
            .or_else(|| {
                let seconds = Seconds(1.0 / self.measured_throughput()?);
                Some(Watts(number(&self.power_w)?) * seconds)
            })
    }

    /// What cannot be read among the figures.
    pub(crate) fn unread(&self) -> Option<String> {
        unread([
            ("energy_uj_per_inf", self.energy_uj_per_inf.as_str()),
            ("throughput_inf_per_s", &self.throughput_inf_per_s),
            ("latency_us", &self.latency_us),
            ("power_w", &self.power_w),
        ])
    }

    /// The scope, so that unlike things never meet in one error figure.
    pub(crate) fn scope(&self) -> &'static str {
        if self.power_scope.to_lowercase().contains("board") {
            "whole board"
        } else {
            "device supply"
        }
    }
}

/// A row that can be predicted.
#[derive(Debug, Clone)]
pub(crate) struct SmallCase {
    pub(crate) row: SmallRow,
    /// Short name of the benchmark.
    pub(crate) task: &'static str,
    pub(crate) device: SmallDevice,
    pub(crate) profile: ModelProfile,
    pub(crate) folding: Option<Folding>,
    /// Inferences that follow each other closely: many where the rate is more than one per latency.
    pub(crate) batch: u32,
}

/// Where a row was measured.
#[derive(Debug, Clone)]
pub(crate) enum SmallDevice {
    /// A microcontroller or accelerator, whose constants are fitted.
    Chip(Running),
    /// A board of the hardware catalogue.
    Board(&'static HardwareTarget),
}

impl SmallCase {
    /// The device of the row: a board as the row calls it, as it may only have the chip of the catalogue's.
    pub(crate) fn device_name(&self) -> &str {
        match &self.device {
            SmallDevice::Board(_) => self.row.device.trim(),
            SmallDevice::Chip(running) => &running.name,
        }
    }
}

impl SmallDevice {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Chip(running) => &running.name,
            Self::Board(target) => &target.name,
        }
    }
}

/// Words of a task, its short name, and the network that the benchmark's reference implementation runs.
const TASKS: [(&[&str], &str, &str); 4] = [
    (
        &["anomaly", "toyadmos"],
        "anomaly detection",
        "mlperf-tiny-autoencoder",
    ),
    (
        &["cifar", "image classification"],
        "image classification",
        "mlperf-tiny-resnet-8",
    ),
    (
        &["keyword", "kws", "speech commands"],
        "keyword spotting",
        "mlperf-tiny-ds-cnn",
    ),
    (
        &["visual wake", "vww", "person detection"],
        "visual wake words",
        "mlperf-tiny-mobilenet",
    ),
];

/// Designs that the submissions of a tool chain run, by task, where a row does not name them.
const DESIGNS: [(&str, &str, &str); 4] = [
    ("hls4ml", "anomaly detection", "hls4ml-ad08"),
    ("hls4ml", "image classification", "hls4ml-rn07"),
    ("finn", "keyword spotting", "finn-kws-w3a3"),
    ("finn", "image classification", "finn-cnv-w1a1"),
];

/// Words of a board's name, and the board of the hardware catalogue.
const BOARDS: [(&[&str], &str); 7] = [
    (
        &["arty a7-100t", "arty-a7-100t", "xc7a100t"],
        "digilent-arty-a7-100t",
    ),
    (
        &[
            "pynq-z2", "pynq-z1", "pynq z2", "pynq z1", "xc7z020", "pynq",
        ],
        "digilent-pynq-z1",
    ),
    (&["zcu104", "xczu7ev"], "amd-zcu104"),
    (&["u250"], "amd-alveo-u250"),
    (&["u280"], "amd-alveo-u280"),
    (&["ultra96", "zu3eg"], "avnet-ultra96-v2"),
    (&["zc706", "xc7z045"], "amd-zc706"),
];

impl SmallCase {
    /// What the model makes of a row.
    ///
    /// # Errors
    /// Why the row cannot be predicted, in words.
    pub(crate) fn new(row: &SmallRow) -> std::result::Result<Self, String> {
        if row.measured_energy().is_none() && row.measured_throughput().is_none() {
            return Err("neither energy nor throughput was measured".to_owned());
        }
        let device = device(row)?;
        let logic = matches!(device, SmallDevice::Board(_));
        let (id, list, task) = network(row, logic)?;
        let (weight_bits, activation_bits) = bits(&row.precision, &row.model)
            .ok_or_else(|| format!("'{}' names no bit-width", row.precision))?;
        Ok(Self {
            row: row.clone(),
            task,
            device,
            profile: list.profile(&id, weight_bits, activation_bits),
            folding: list.folding.filter(|_| logic && !names(&row.model, "max")),
            batch: if logic && overlaps(row) { PIPELINED } else { 1 },
        })
    }

    /// Multiply-accumulates, results and bytes of weights: what a chip without parallel layers spends cycles on.
    pub(crate) fn work(&self) -> [f64; 3] {
        let layers = || {
            self.profile
                .layers
                .iter()
                .map(|l| &l.layer)
                .filter(|l| l.kind != LayerKind::Elementwise)
        };
        [
            layers().map(|l| l.macs).sum(),
            layers().map(|l| l.outputs).sum(),
            layers().map(|l| l.weights() as f64).sum(),
        ]
    }
}

/// Inferences in flight and behind each other where a row overlaps them.
const PIPELINED: u32 = 1000;

/// Whether more inferences finish than one per latency; where only a rate was published, it is one of a stream.
fn overlaps(row: &SmallRow) -> bool {
    /// Rates and latencies are rounded, and of different runs.
    const CLEARLY: f64 = 1.5;
    match (number(&row.throughput_inf_per_s), number(&row.latency_us)) {
        (Some(rate), Some(us)) => rate * Seconds::from_micro(us).0 > CLEARLY,
        (Some(_), None) => true,
        _ => false,
    }
}

/// Whether a word stands in a text by itself.
fn names(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|other| other.eq_ignore_ascii_case(word))
}

/// A word of a model's name that numbers a design ("RN08"), if it is not among the names of the network that was found.
fn other_design(model: &str, known: &[&str]) -> Option<String> {
    /// Letters before a number that is a width or a version.
    const NO_DESIGNS: [&str; 6] = ["int", "uint", "fp", "bf", "bit", "v"];
    model
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| {
            let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
            let numbered = (1..=4).contains(&letters.len())
                && letters.len() < word.len()
                && letters.chars().all(|c| c.is_ascii_alphabetic());
            numbered && !NO_DESIGNS.contains(&letters) && !known.iter().any(|n| n.contains(word))
        })
        .map(str::to_uppercase)
}

fn device(row: &SmallRow) -> std::result::Result<SmallDevice, String> {
    let name = row.device.to_lowercase();
    let board = BOARDS
        .iter()
        .find(|(words, _)| words.iter().any(|word| name.contains(word)));
    if let Some((_, id)) = board {
        return hardware::find(id)
            .map(SmallDevice::Board)
            .map_err(|error| error.to_string());
    }
    if row.device_class.to_lowercase().contains("fpga") {
        return Err(format!(
            "'{}' is not a board whose logic cells and power the hardware catalogue has",
            row.device
        ));
    }
    SmallChips::shipped()
        .map_err(|error| error.to_string())?
        .running(&row.device, &row.notes)
        .map(SmallDevice::Chip)
}

/// The network of a row, its identifier and the short name of the task.
fn network(
    row: &SmallRow,
    logic: bool,
) -> std::result::Result<(String, LayerList, &'static str), String> {
    let (model, task) = (
        row.model.to_lowercase(),
        row.task.to_lowercase().replace('_', " "),
    );
    let known = TASKS
        .iter()
        .find(|(words, ..)| words.iter().any(|word| task.contains(word)));
    let short = known.map_or("other", |(_, short, _)| short);
    let all = serving::architectures().map_err(|error| error.to_string())?;
    let lists = || {
        all.iter().filter_map(|network| match &network.shape {
            Shape::Layers(list) => Some((network, list)),
            _ => None,
        })
    };
    let named = lists()
        .flat_map(|(network, list)| {
            std::iter::once(&network.id)
                .chain(&network.names)
                .filter(|name| model.contains(&name.to_lowercase()))
                .map(move |name| (name.len(), network, list))
        })
        .max_by_key(|(length, ..)| *length);
    if logic && (names(&model, "fix") || names(&model, "fixed")) {
        return Err(format!(
            "'{}' is a design for a rate that its makers chose, and the row does not say which",
            row.model
        ));
    }
    let tool = DESIGNS.iter().any(|(tool, ..)| model.contains(tool));
    let another = |network: &Architecture| {
        let mut known = vec![network.id.to_lowercase()];
        known.extend(network.names.iter().map(|name| name.to_lowercase()));
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let design = other_design(&model, &known).filter(|_| logic && tool)?;
        Some(format!(
            "the layers of {design} are not in the catalogue, those of {} are",
            network.id
        ))
    };
    if let Some((_, network, list)) = named {
        if let Some(reason) = another(network) {
            return Err(reason);
        }
        return Ok((network.id.clone(), list.clone(), short));
    }
    let design = DESIGNS
        .iter()
        .find(|(tool, of, _)| logic && model.contains(tool) && *of == short);
    let reference = known.filter(|_| model.trim().is_empty() || model.contains("reference"));
    let id = match (design, reference) {
        (Some((.., id)), _) | (None, Some((.., id))) => *id,
        (None, None) => {
            return Err(format!(
                "the layers of '{}' ({}) are not in the catalogue",
                row.model, row.task
            ));
        }
    };
    let (network, list) = lists()
        .find(|(network, _)| network.id == id)
        .ok_or_else(|| format!("the layers of {id} are not in the catalogue"))?;
    if let Some(reason) = another(network) {
        return Err(reason);
    }
    let widths = bits("", id);
    if widths.is_some() && widths != bits(&row.precision, &row.model) {
        return Err(format!(
            "'{}' has other widths than {id}, whose design is known",
            row.model
        ));
    }
    Ok((network.id.clone(), list.clone(), short))
}

/// Bits of weights and activations out of "W3A3", "int8", "6-12 bit mixed" (the widest), "binary" or "fp32".
fn bits(precision: &str, model: &str) -> Option<(u8, u8)> {
    let weights_and_activations = |text: &str| {
        let text = text.to_lowercase();
        text.match_indices('w').find_map(|(at, _)| {
            let (weights, rest) = leading_number(&text[at + 1..])?;
            let (activations, _) = leading_number(rest.strip_prefix('a')?)?;
            Some((weights, activations))
        })
    };
    if let Some(widths) =
        weights_and_activations(precision).or_else(|| weights_and_activations(model))
    {
        return Some(widths);
    }
    let text = precision.to_lowercase();
    if text.contains("binary") {
        return Some((1, 1));
    }
    if text.contains("ternary") {
        return Some((2, 2));
    }
    let widest = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse::<u8>().ok())
        .filter(|bits| (1..=32).contains(bits))
        .max()
        .or_else(|| text.contains("float").then_some(32))?;
    Some((widest, widest))
}

/// The whole number that a text begins with, and the rest.
fn leading_number(text: &str) -> Option<(u8, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let value = text[..end]
        .parse()
        .ok()
        .filter(|bits| (1..=32).contains(bits))?;
    Some((value, &text[end..]))
}

/// Time and energy per inference of a network, in a given design or as the hardware model lays it out, of a batch that
/// follows closely.
///
/// # Errors
/// [`crate::Error::Infeasible`] when the hardware cannot run it.
pub(crate) fn inference(
    target: &HardwareTarget,
    profile: &ModelProfile,
    folding: Option<Folding>,
    batch: u32,
) -> Result<(Range<Seconds>, Range<Joules>)> {
    let scenario = Scenario {
        hardware: target.id.clone(),
        devices: 1,
        batch,
        time_steps: 0,
        ..Scenario::default()
    };
    let cost = target.cost_of_design(
        &Request {
            profile,
            scenario: &scenario,
            machine: Machine::Real,
            explain: false,
            reading: false,
        },
        folding,
    )?;
    Ok((cost.time, cost.energy))
}

/// The word for a class of hardware in the tables of errors.
pub(crate) fn class_name(device: &SmallDevice) -> &'static str {
    match device {
        SmallDevice::Chip(running) => match running.engine {
            super::chips::Engine::Core(_) => HardwareClass::Microcontroller.name(),
            super::chips::Engine::Accelerator { .. } => "Edge accelerator",
        },
        SmallDevice::Board(target) => target.class.name(),
    }
}
