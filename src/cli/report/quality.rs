//! What was measured, in lines: quality, stored bytes, zeros, spikes.

use wattif_core::compress::distill;
use wattif_core::engine::Engine;
use wattif_core::measurement::{
    DENOISING_STEPS, Interval, Measurement, Metric, Paired, Pictures, Quality, Spiking,
};

use super::super::out::{Progress, aligned, row, wrapped};
use super::{MeasurementView, Report, RivalView};
use crate::format::{count, decimals_for, percent, saving, signed_text, significant};
use crate::words;

pub(super) fn measured(report: &Report) -> Vec<String> {
    let mut lines = match &report.measurement.quality {
        Some(quality) => quality_lines(quality),
        None if report.measurement.is_not_run() => vec!["Quality: not measured".to_owned()],
        None => vec!["Quality: not measured, no weights are loaded".to_owned()],
    };
    if let Some(fidelity) = &report.measurement.weight_fidelity {
        lines = vec![
            "Quality: not measured, the network is not run here".to_owned(),
            format!(
                "Weight fidelity: {} (how near the weights stay)",
                fidelity.words()
            ),
        ];
    }
    let MeasurementView {
        stored_bytes,
        nonzero_weights,
        weights,
        ..
    } = &report.measurement;
    lines.extend(aligned(
        &[
            row([
                "  Stored",
                &format!(
                    "{} B; the original takes {} B ({})",
                    count(*stored_bytes as f64),
                    count(report.model.stored_bytes as f64),
                    saving(1.0 - *stored_bytes as f64 / report.model.stored_bytes as f64)
                ),
            ]),
            row([
                "  Nonzero",
                &format!(
                    "{} of {} weights ({})",
                    count(*nonzero_weights as f64),
                    count(*weights as f64),
                    percent(*nonzero_weights as f64 / *weights as f64, 1)
                ),
            ]),
        ],
        &[],
    ));
    if let Some(rival) = &report.measurement.rival {
        lines.extend(wrapped(&format!("{}.", rival.words)));
    }
    lines
}

/// What the spiking version did.
pub(super) fn spiking_lines(spiking: &Spiking) -> Vec<String> {
    let accuracy = Shown::new(
        Metric::Accuracy,
        (spiking.accuracy.high - spiking.accuracy.low) / 2.0,
    );
    let activities = || spiking.activity.iter();
    let mut lines = vec![format!(
        "As a spiking network, {} time steps an image, run here on {} held-out images",
        spiking.steps,
        count(spiking.n as f64)
    )];
    lines.extend(aligned(
        &[
            row([
                "  Accuracy",
                &format!(
                    "{} [{}, {}] %; with activations as numbers {}",
                    accuracy.number(spiking.accuracy.value),
                    accuracy.number(spiking.accuracy.low),
                    accuracy.number(spiking.accuracy.high),
                    accuracy.with_unit(spiking.dense)
                ),
            ]),
            row([
                "  Spikes",
                &format!(
                    "per input and time step {}",
                    activities()
                        .map(|layer| format!("{} {}", layer.layer, significant(layer.activity, 2)))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            ]),
        ],
        &[],
    ));
    lines
}

fn quality_lines(quality: &Quality) -> Vec<String> {
    let data = quality.metric.facts().samples;
    let mut lines = vec![format!(
        "Measured here on {} {data}",
        count(quality.n as f64)
    )];
    let shown = Shown::new(quality.metric, (quality.high - quality.low) / 2.0);
    let change = Shown::new(
        quality.metric,
        (quality.change.high - quality.change.low) / 2.0,
    );
    if quality.metric == Metric::Fidelity {
        lines.extend(fidelity(quality, &shown));
        return lines;
    }
    let mut rows = vec![
        row([
            &format!("  {}", quality.metric.name()),
            &format!(
                "{} [{}, {}]{}; the original has {}",
                shown.number(quality.value),
                shown.number(quality.low),
                shown.number(quality.high),
                shown.unit(),
                shown.with_unit(quality.baseline)
            ),
        ]),
        row([
            "  Change",
            &format!(
                "{} [{}, {}]{}, paired sample by sample",
                change.number(quality.change.value),
                change.number(quality.change.low),
                change.number(quality.change.high),
                change.points()
            ),
        ]),
        row(["  Bits per byte", &bits_per_byte(quality.bits_per_byte)]),
        row(["  Same choice", &same_top(quality.same_top)]),
        row(["  Divergence", &divergence(quality)]),
        row(["  Neighbours", &neighbours(quality.neighbours)]),
    ];
    rows.extend(pictures(
        &quality.pictures.unwrap_or_default(),
        quality.metric,
    ));
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|row| row.iter().all(|cell| !cell.is_empty()))
        .collect();
    lines.extend(aligned(&rows, &[]));
    lines
}

/// How near outputs come to the original's.
fn fidelity(quality: &Quality, shown: &Shown) -> Vec<String> {
    let share = |of: Option<Interval>, words: &str| {
        of.map_or_else(String::new, |share| {
            format!(
                "{} [{}, {}] {words}",
                percent(share.value, 1),
                percent(share.low, 1),
                percent(share.high, 1)
            )
        })
    };
    let cosine = quality.cosine.map_or_else(String::new, |cosine| {
        let number = |value| signed_text(value, 5);
        format!(
            "{} [{}, {}] between its outputs and the original's",
            number(cosine.value),
            number(cosine.low),
            number(cosine.high)
        )
    });
    let rows = [
        row([
            "  Fidelity",
            &format!(
                "{} [{}, {}] dB, signal over noise of its outputs; equal ones count as {} dB",
                shown.number(quality.value),
                shown.number(quality.low),
                shown.number(quality.high),
                count(quality.baseline)
            ),
        ]),
        row([
            "  Same largest",
            &share(
                quality.same_top,
                "of the rows have their largest number where the original's have it",
            ),
        ]),
        row(["  Cosine", &cosine]),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|row| row.iter().all(|cell| !cell.is_empty()))
        .collect();
    aligned(&rows, &[])
}

/// How far predictions are from the original's; nothing where nothing is predicted.
fn divergence(quality: &Quality) -> String {
    let predicted = match quality.metric {
        Metric::NegativeElbo => "nats per pixel from the original's images",
        _ => "nats from the original's predictions",
    };
    quality.divergence.map_or_else(String::new, |nats| {
        let decimals = decimals_for((nats.high - nats.low) / 2.0, 5);
        let number = |value| signed_text(value, decimals);
        format!(
            "{} [{}, {}] {predicted}",
            number(nats.value),
            number(nats.low),
            number(nats.high)
        )
    })
}

/// What is measured of pictures besides.
fn pictures(pictures: &Pictures, metric: Metric) -> [Vec<String>; 4] {
    let steps = match metric {
        Metric::DenoisingLoss => format!(" in {DENOISING_STEPS} steps"),
        _ => String::new(),
    };
    let made = format!("of pictures made of noise{steps}, by the bundled classifier's features");
    let figure = |name: &str, figure: Option<Paired>, (times, unit): (f64, &str), of: &str| {
        let words = figure.map_or_else(String::new, |figure| {
            let decimals = decimals_for(times * (figure.high - figure.low) / 6.0, 4);
            let number = |value: f64| signed_text(times * value, decimals);
            format!(
                "{} [{}, {}]{unit} {of}; the original has {}",
                number(figure.value),
                number(figure.low),
                number(figure.high),
                number(figure.baseline)
            )
        });
        vec![format!("  {name}"), words]
    };
    let percent = (100.0, " %");
    [
        figure(
            "PSNR",
            pictures.psnr,
            (1.0, " dB"),
            "of held-out images made again",
        ),
        figure("Fréchet distance", pictures.frechet, (1.0, ""), &made),
        figure(
            "Precision",
            pictures.precision,
            percent,
            "of the pictures lie among held-out ones",
        ),
        figure(
            "Recall",
            pictures.recall,
            percent,
            "of the held-out ones lie among pictures",
        ),
    ]
}

/// The original in as few bytes as a student, measured on the same samples.
pub(super) fn compared(
    engine: &Engine,
    student: &Measurement,
    progress: &Progress,
) -> wattif_core::Result<Option<RivalView>> {
    let Some(recipe) = distill::rival(&student.recipe, |recipe| engine.predict(recipe).ok()) else {
        return Ok(None);
    };
    let rival = engine.measure(&recipe, student.depth, progress)?;
    Ok(Some(RivalView {
        recipe: rival.recipe.clone(),
        stored_bytes: rival.profile.stored_bytes(),
        quality: rival.quality,
        words: words::rival(student, &rival),
    }))
}

/// What the text costs by its bytes; nothing where that is the metric itself, or there are no bytes.
fn bits_per_byte(figure: Option<Paired>) -> String {
    figure.map_or_else(String::new, |figure| {
        let shown = Shown::new(Metric::BitsPerByte, (figure.high - figure.low) / 2.0);
        format!(
            "{} [{}, {}]; the original has {}",
            shown.number(figure.value),
            shown.number(figure.low),
            shown.number(figure.high),
            shown.number(figure.baseline)
        )
    })
}

/// How often the most probable token is the original's; nothing where that was not counted.
fn same_top(share: Option<Interval>) -> String {
    share.map_or_else(String::new, |share| {
        format!(
            "{} [{}, {}] of the predictions name the original's most probable token",
            percent(share.value, 1),
            percent(share.low, 1),
            percent(share.high, 1)
        )
    })
}

/// How many of the nearest sentences are the original's; nothing where that was not counted.
fn neighbours(share: Option<Interval>) -> String {
    share.map_or_else(String::new, |share| {
        format!(
            "{} [{}, {}] of the ten sentences nearest to each are the original's",
            percent(share.value, 1),
            percent(share.low, 1),
            percent(share.high, 1)
        )
    })
}

/// Half width from which on decimals of a number are left out.
const WIDE: f64 = 20.0;

/// How numbers of a metric are written: in which scale, and with how many decimals.
pub(super) struct Shown {
    metric: Metric,
    decimals: usize,
}

impl Shown {
    /// For numbers whose interval has this half width, of which one or two digits are shown.
    pub(super) fn new(metric: Metric, half_width: f64) -> Self {
        let decimals = if metric.facts().is_fraction {
            decimals_for(half_width * 100.0 / 3.0, 2)
        } else {
            let least = if half_width < WIDE {
                metric.facts().decimals
            } else {
                0
            };
            decimals_for(half_width / 3.0, 4).max(least)
        };
        Self { metric, decimals }
    }

    fn number(&self, value: f64) -> String {
        let scale = if self.metric.facts().is_fraction {
            100.0
        } else {
            1.0
        };
        signed_text(value * scale, self.decimals)
    }

    const fn unit(&self) -> &'static str {
        if self.metric.facts().is_fraction {
            " %"
        } else {
            ""
        }
    }

    fn points(&self) -> String {
        let facts = self.metric.facts();
        if facts.is_fraction {
            " points".to_owned()
        } else {
            format!(" {}", facts.unit).trim_end().to_owned()
        }
    }

    pub(super) fn with_unit(&self, value: f64) -> String {
        format!("{}{}", self.number(value), self.unit())
    }
}
