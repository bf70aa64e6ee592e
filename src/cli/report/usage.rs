//! What a report says around the cost of one unit of work: what the energy covers, whole answers and thousands of them,
//! memory, and notes.

use serde::Serialize;
use wattif_core::footprint::{Estimate, Footprint};
use wattif_core::hardware::{HardwareTarget, MemoryUse};
use wattif_core::measurement::Provenance;
use wattif_core::profile::{ModelProfile, Unit};
use wattif_core::scenario::Scenario;
use wattif_core::software::is_served;
use wattif_core::units::{Bytes, GramsCo2e, Joules, Seconds};

use super::super::out::{aligned, entry, row, wrapped};
use super::Report;
use super::lifecycle::numbers;
use crate::format::{bytes, count, lower_first, si, significant};

const JOULES_PER_WATT_HOUR: f64 = 3600.0;
/// Answers or images that the larger amounts are said for.
const MANY: u32 = 1000;

/// Everything around the cost of one unit of work.
#[derive(Debug, Serialize)]
pub struct Usage {
    /// What is in the energy, and what is not.
    pub scope: &'static str,
    /// What runs the network, where that is a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<SoftwareView>,
    /// A whole answer, of language models whose scenario says how long it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_answer: Option<AnswerView>,
    /// A thousand images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_1000_images: Option<AmountView>,
    /// Memory of the devices, where they are processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryView>,
    /// What a reader of the numbers should know about the scenario.
    pub notes: Vec<String>,
}

/// What stands between the network and the device.
#[derive(Debug, Serialize)]
pub struct SoftwareView {
    /// Its name.
    pub name: &'static str,
    /// Why it is this one.
    pub reason: &'static str,
    /// What predicts time and energy.
    pub prediction: &'static str,
}

impl SoftwareView {
    fn of(
        profile: &ModelProfile,
        scenario: &Scenario,
        target: &HardwareTarget,
    ) -> wattif_core::Result<Option<Self>> {
        if !profile.network.as_deref().is_some_and(is_served) {
            return Ok(None);
        }
        let runtime = target.runtime(profile, scenario)?;
        Ok(Some(Self {
            name: runtime.name(),
            reason: runtime.reason(),
            prediction: runtime.prediction(),
        }))
    }
}

/// What one answer costs, its share of reading the prompt included.
#[derive(Debug, Serialize)]
pub struct AnswerView {
    /// Its tokens.
    pub tokens: u32,
    /// Joules at the machine.
    pub energy_j: Estimate<Joules>,
    /// The same in watt-hours.
    pub energy_wh: Estimate<f64>,
    /// Grams of CO2e, building and embodied share included.
    pub co2e_g: Estimate<GramsCo2e>,
    /// Seconds from its first token to its last, beside the others of the batch.
    pub seconds: Estimate<Seconds>,
    /// Grams of CO2e of a thousand answers.
    pub co2e_g_per_1000: Estimate<GramsCo2e>,
}

/// What several units of work cost.
#[derive(Debug, Serialize)]
pub struct AmountView {
    /// Joules at the machine.
    pub energy_j: Estimate<Joules>,
    /// Grams of CO2e, building and embodied share included.
    pub co2e_g: Estimate<GramsCo2e>,
}

/// Memory that a model takes on all devices together.
#[derive(Debug, Serialize)]
pub struct MemoryView {
    /// Weights as they lie there.
    pub weights_bytes: Bytes,
    /// Keys and values at the average context, for the whole batch.
    pub cache_bytes: Bytes,
    /// What the largest layer reads and writes.
    pub activation_bytes: Bytes,
    /// What the devices have.
    pub capacity_bytes: Bytes,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// `estimate` so many times over.
fn times<T>(estimate: &Estimate<T>, factor: f64, unit: &str, of: &str) -> Estimate<T>
where
    T: Copy + std::ops::Mul<f64, Output = T>,
    f64: From<T>,
{
    let one = f64::from(estimate.range.typical);
    Estimate {
        range: estimate.range * factor,
        provenance: Provenance::Modelled {
            formula: format!("{} per {of} × {}", si(one, unit), count(factor)),
        },
    }
}

impl AnswerView {
    fn new(footprint: &Footprint, tokens: u32) -> Self {
        let many = f64::from(tokens);
        let energy_j = times(&footprint.energy_per_unit, many, "J", "token");
        let co2e_g = times(&footprint.co2e_per_unit, many, "g", "token");
        Self {
            tokens,
            energy_wh: Estimate {
                range: energy_j.range.map(|joules| joules.0 / JOULES_PER_WATT_HOUR),
                provenance: Provenance::Modelled {
                    formula: format!("{} / 3600 J per Wh", si(energy_j.range.typical.0, "J")),
                },
            },
            seconds: times(&footprint.latency, many, "s", "token"),
            co2e_g_per_1000: times(&co2e_g, f64::from(MANY), "g", "answer"),
            energy_j,
            co2e_g,
        }
    }
}

impl From<MemoryUse> for MemoryView {
    fn from(used: MemoryUse) -> Self {
        Self {
            weights_bytes: used.weights,
            cache_bytes: used.cache,
            activation_bytes: used.activations,
            capacity_bytes: used.capacity,
            provenance: Provenance::Modelled {
                formula: "weights at the width that they are stored in here + keys and values at the average context \
                          × batch + inputs and outputs of the largest layer × batch; of all devices"
                    .to_owned(),
            },
        }
    }
}

impl Usage {
    /// What surrounds a footprint.
    ///
    /// # Errors
    /// Those of the footprint itself.
    pub(super) fn new(
        footprint: &Footprint,
        profile: &ModelProfile,
        scenario: &Scenario,
        target: &HardwareTarget,
    ) -> wattif_core::Result<Self> {
        let answer = profile.unit == Unit::Token && scenario.answer_tokens > 0;
        let images = profile.unit == Unit::Image;
        let many = f64::from(MANY);
        Ok(Self {
            scope: target.energy_scope(profile, scenario)?,
            software: SoftwareView::of(profile, scenario, target)?,
            per_answer: answer.then(|| AnswerView::new(footprint, scenario.answer_tokens)),
            per_1000_images: images.then(|| AmountView {
                energy_j: times(&footprint.energy_per_unit, many, "J", "image"),
                co2e_g: times(&footprint.co2e_per_unit, many, "g", "image"),
            }),
            memory: target.memory_use(profile, scenario)?.map(MemoryView::from),
            notes: too_long(profile, scenario).into_iter().collect(),
        })
    }
}

/// That a scenario asks for more tokens than the network was made for.
fn too_long(profile: &ModelProfile, scenario: &Scenario) -> Option<String> {
    let network = profile.network.as_ref()?;
    let limit = network.context_limit?;
    let (tokens, what) = if scenario.answer_tokens > 0 {
        let both = scenario.prompt_tokens + scenario.answer_tokens;
        (both, "prompt and answer have")
    } else {
        (scenario.context, "the context has")
    };
    let text = |tokens: u32| count(f64::from(tokens));
    (profile.unit == Unit::Token && tokens > limit).then(|| {
        format!(
            "{} was made for {} tokens; {what} {}",
            network.id,
            text(limit),
            text(tokens)
        )
    })
}

/// The lines of the report.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let usage = &report.usage;
    let mut lines = wrapped(&format!("Energy of {}.", usage.scope));
    if let Some(software) = &usage.software {
        lines.extend(wrapped(&format!(
            "Software: {}, {}; time and energy {}.",
            lower_first(software.name),
            software.reason,
            software.prediction
        )));
    }
    if let Some(memory) = &usage.memory {
        lines.extend(wrapped(&memory_line(memory)));
    }
    for note in &usage.notes {
        lines.extend(wrapped(&format!("Note: {note}.")));
    }
    let heading = || row(["", "low", "typical", "high", ""]);
    let table = |rows: &[Vec<String>]| aligned(rows, &[false, true, true, true, false]);
    if let Some(answer) = &usage.per_answer {
        let tokens = count(f64::from(answer.tokens));
        lines.push(String::new());
        lines.push(format!("Per answer of {tokens} tokens (modelled)"));
        lines.extend(table(&[
            heading(),
            numbers("Time", answer.seconds.range.map(|x| x.0), "s", ""),
            numbers("Energy", answer.energy_j.range.map(|x| x.0), "J", ""),
            numbers("Energy", answer.energy_wh.range, "Wh", ""),
            numbers("CO2e", answer.co2e_g.range.map(|x| x.0), "g", ""),
            numbers(
                "CO2e",
                answer.co2e_g_per_1000.range.map(|x| x.0),
                "g",
                " per 1,000 answers",
            ),
        ]));
    }
    if let Some(images) = &usage.per_1000_images {
        lines.push(String::new());
        lines.push("Per 1,000 images (modelled)".to_owned());
        lines.extend(table(&[
            heading(),
            numbers("Energy", images.energy_j.range.map(|x| x.0), "J", ""),
            numbers("CO2e", images.co2e_g.range.map(|x| x.0), "g", ""),
        ]));
    }
    lines
}

/// "Memory: 35.3 GB weights + 4.20 GB cache + 12.0 MB activations of 80.0 GB (49 %)."
fn memory_line(memory: &MemoryView) -> String {
    let parts = [
        (memory.weights_bytes, "weights"),
        (memory.cache_bytes, "cache"),
        (memory.activation_bytes, "activations"),
    ];
    let used: f64 = parts.iter().map(|(part, _)| part.0).sum();
    let words: Vec<String> = parts
        .iter()
        .filter(|(part, _)| part.0 > 0.0)
        .map(|(part, name)| format!("{} {name}", bytes(part.0)))
        .collect();
    format!(
        "Memory: {} of {} ({} %).",
        words.join(" + "),
        bytes(memory.capacity_bytes.0),
        significant(100.0 * used / memory.capacity_bytes.0, 2)
    )
}

/// The formulas behind those lines.
pub(super) fn formulas(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(answer) = &report.usage.per_answer {
        lines.extend(entry("Time of an answer", &answer.seconds));
        lines.extend(entry("Energy of an answer", &answer.energy_j));
        lines.extend(entry("CO2e of an answer", &answer.co2e_g));
    }
    if let Some(images) = &report.usage.per_1000_images {
        lines.extend(entry("Energy of 1,000 images", &images.energy_j));
        lines.extend(entry("CO2e of 1,000 images", &images.co2e_g));
    }
    lines
}
