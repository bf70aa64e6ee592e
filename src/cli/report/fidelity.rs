//! The report on weights of a network that is not known: how near they stay to themselves, and their bytes.

use serde::Serialize;
use wattif_core::compress::{LayerError, Looks};
use wattif_core::outline::Outline;
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;

use super::super::out::{Out, aligned, row, wrapped};
use super::ReportArguments;
use crate::format::{amount, bytes, count, times};
use crate::words;

/// Layers that are listed in words, the ones that are changed most first.
const LISTED: usize = 10;

/// What is told of weights alone.
#[derive(Debug, Serialize)]
pub struct WeightsReport {
    /// The file.
    pub model: WeightsView,
    /// The recipe.
    pub recipe: Recipe,
    /// How near the weights stay to themselves. No quality is measured.
    pub weight_fidelity: FidelityView,
    /// Bytes of the original weights.
    pub original_bytes: u64,
    /// Bytes of the compressed weights.
    pub stored_bytes: u64,
    /// Each layer in the order of the file.
    pub layers: Vec<LayerView>,
    /// What was understood of the file, a sentence each.
    pub understood: Vec<String>,
    /// Version of the formulas.
    pub method_version: u32,
}

/// A file of weights.
#[derive(Debug, Serialize)]
pub struct WeightsView {
    /// How it was asked for.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub family: &'static str,
    /// Where the weights are from.
    pub source: String,
    /// Elements of all tensors that are counted.
    pub parameters: u64,
}

/// Weights against what a recipe changes of them.
#[derive(Debug, Serialize)]
pub struct FidelityView {
    /// Ten times the logarithm of signal over noise; nothing where nothing is changed.
    pub decibels: Option<f64>,
    /// Sum of the squares of the weights.
    pub signal: f64,
    /// Sum of the squares of what is changed of them.
    pub noise: f64,
    /// Weights that are pruned and rounded.
    pub weights: u64,
}

impl FidelityView {
    fn of(error: LayerError, weights: u64) -> Self {
        Self {
            decibels: error.decibels(),
            signal: error.signal,
            noise: error.noise,
            weights,
        }
    }

    /// What it says, in a few words.
    pub(super) fn words(&self) -> String {
        format!(
            "{} over {} weights",
            decibels(self.decibels),
            amount(self.weights as f64)
        )
    }
}

/// How near the weights of a network stay that is known by its shapes; nothing where they are not at hand.
///
/// # Errors
/// The recipe is out of range, or the weights cannot be read.
pub(super) fn beside(
    outline: &Outline,
    recipe: &Recipe,
) -> wattif_core::Result<Option<FidelityView>> {
    let looks = outline.look(recipe, None, &|| false).transpose()?;
    Ok(looks.map(|looks| FidelityView::of(looks.all(), outline.compressible_weights())))
}

/// One layer.
#[derive(Debug, Serialize)]
pub struct LayerView {
    /// The name of its tensor.
    pub layer: String,
    /// Its shape, outputs first.
    pub shape: Vec<usize>,
    /// Bits of its weights.
    pub weight_bits: u8,
    /// Bytes of it in an exported file.
    pub stored_bytes: u64,
    /// As of the whole; nothing where nothing is changed.
    pub decibels: Option<f64>,
}

/// The report on a file of which only the weights are known.
///
/// # Errors
/// The recipe is out of range, or the weights cannot be read.
pub fn compute_weights(outline: &Outline, recipe: &Recipe) -> wattif_core::Result<WeightsReport> {
    let looks = outline.look(recipe, None, &|| false).transpose()?;
    let looks = looks
        .ok_or_else(|| wattif_core::Error::Compute("there are no weights to look at".to_owned()))?;
    // Which zeros rounding makes is known once the weights were looked at.
    let plain = outline.predict(&Recipe::default())?;
    let profile = outline.predict(recipe)?;
    Ok(report(outline, &plain, &profile, &looks))
}

fn report(
    outline: &Outline,
    plain: &ModelProfile,
    profile: &ModelProfile,
    looks: &Looks,
) -> WeightsReport {
    let all = looks.all();
    let compressed = profile
        .layers
        .iter()
        .filter(|layer| layer.layer.compressible);
    let layers: Vec<LayerView> = compressed
        .map(|layer| LayerView {
            layer: layer.layer.name.clone(),
            shape: layer.layer.shape.clone(),
            weight_bits: layer.weight_bits,
            stored_bytes: layer.stored_bytes,
            decibels: looks
                .errors
                .get(&layer.layer.name)
                .and_then(|error| error.decibels()),
        })
        .collect();
    WeightsReport {
        model: WeightsView {
            reference: outline.reference().to_string(),
            name: outline.name().to_owned(),
            family: outline.family(),
            source: outline.network().source.clone(),
            parameters: outline.parameters(),
        },
        recipe: looks.recipe.clone(),
        weight_fidelity: FidelityView::of(all, profile.weights()),
        original_bytes: plain.stored_bytes(),
        stored_bytes: profile.stored_bytes(),
        layers,
        understood: outline.network().notes.clone(),
        method_version: wattif_core::METHOD_VERSION,
    }
}

/// Prints it.
pub(super) fn run(
    arguments: &ReportArguments,
    outline: &Outline,
    recipe: &Recipe,
    understood: Vec<String>,
    out: &mut Out,
) -> anyhow::Result<()> {
    if arguments.save.is_some() {
        return Err(wattif_core::Error::Infeasible(
            "a preset holds what running a network takes, which is not known of weights alone"
                .to_owned(),
        )
        .into());
    }
    let mut report = compute_weights(outline, recipe)?;
    report.understood.extend(understood);
    if arguments.json {
        return out.json(&report);
    }
    for line in lines(&report) {
        out.line(line)?;
    }
    Ok(())
}

fn decibels(value: Option<f64>) -> String {
    value.map_or_else(|| "unchanged".to_owned(), |value| format!("{value:.1} dB"))
}

fn lines(report: &WeightsReport) -> Vec<String> {
    let model = &report.model;
    let fidelity = &report.weight_fidelity;
    let fewer = report.original_bytes as f64 / report.stored_bytes.max(1) as f64;
    let rows = [
        row([
            "Model",
            &format!(
                "{} ({}): {}, {} parameters",
                model.name,
                model.reference,
                model.family,
                count(model.parameters as f64)
            ),
        ]),
        row(["Weights from", &model.source]),
        row(["Recipe", &words::recipe(&report.recipe)]),
        row([
            "Weight fidelity",
            &format!("{} in {} layers", fidelity.words(), report.layers.len()),
        ]),
        row([
            "Bytes",
            &format!(
                "{}, of {} ({})",
                bytes(report.stored_bytes as f64),
                bytes(report.original_bytes as f64),
                times(fewer)
            ),
        ]),
    ];
    let mut lines = aligned(&rows, &[false, false]);
    if !report.understood.is_empty() {
        lines.push(String::new());
        lines.extend(report.understood.iter().cloned());
    }
    lines.push(String::new());
    lines.extend(wrapped(
        "Weight fidelity is the squares of the weights over the squares of what the recipe changes of them. It says how near \
         the weights stay, not how well the network works: no quality is measured, as its architecture is not known. Time, \
         energy and CO2e are not known either: the file does not say how often each weight is used.",
    ));
    let mut worst: Vec<&LayerView> = report
        .layers
        .iter()
        .filter(|layer| layer.decibels.is_some())
        .collect();
    worst.sort_by(|a, b| {
        a.decibels
            .partial_cmp(&b.decibels)
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    if !worst.is_empty() {
        lines.push(String::new());
        let mut rows = vec![row([
            "Layers changed most",
            "shape",
            "bits",
            "bytes",
            "fidelity",
        ])];
        rows.extend(worst.iter().take(LISTED).map(|layer| {
            let shape: Vec<String> = layer.shape.iter().map(usize::to_string).collect();
            row([
                &layer.layer,
                &shape.join(" × "),
                &layer.weight_bits.to_string(),
                &bytes(layer.stored_bytes as f64),
                &decibels(layer.decibels),
            ])
        }));
        lines.extend(aligned(&rows, &[false, false, true, true, true]));
    }
    lines
}
