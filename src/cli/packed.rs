//! `wattif bench --packed`: matrix products with packed weights, measured here beside the prediction for this machine.

use serde::Serialize;
use wattif_core::benchmark::{self, Energy, PackedSpeed};
use wattif_core::hardware;
use wattif_core::model::bundled;

use super::list::heading;
use super::out::{Out, Progress};
use super::this_machine::{quartiles, warn_of_unrest};
use crate::format::{si, significant};

/// The bundled language model.
const MODEL: &str = "tiny-gpt";

#[derive(Serialize)]
struct Measured {
    model: &'static str,
    hardware: String,
    threads: usize,
    /// Matrix products only: no attention, no normalisation.
    measured_here: Vec<PackedSpeed>,
}

/// Measures and prints.
pub(super) fn run(json: bool, out: &mut Out) -> anyhow::Result<()> {
    let target = hardware::find("this-cpu")?;
    let model = bundled::load(MODEL)?;
    let progress = Progress::new();
    let measured_here =
        benchmark::packed_speeds(&model, target, &|what| progress.show(what, None))?;
    drop(progress);
    if json {
        return out.json(&Measured {
            model: MODEL,
            hardware: target.name.clone(),
            threads: benchmark::packed_threads(),
            measured_here,
        });
    }
    let threads = benchmark::packed_threads();
    out.line(format!(
        "Matrix products of {MODEL} on {} with {threads} threads; attention and normalisation are not among them",
        target.name
    ))?;
    let mut rows = vec![heading([
        "FORMAT",
        "BITS/WEIGHT",
        "BATCH",
        "TOKENS/S",
        "QUARTILES",
        "PREDICTED",
        "J/TOKEN",
    ])];
    let mut reasons: Vec<&str> = Vec::new();
    for speed in &measured_here {
        let joules = match &speed.energy {
            Energy::Measured(spread) => {
                format!("{} ({})", si(spread.median, "J"), quartiles(spread))
            }
            Energy::Unknown(reason) => {
                if !reasons.contains(&reason.as_str()) {
                    reasons.push(reason);
                }
                "none".to_owned()
            }
        };
        rows.push(vec![
            speed.format.to_owned(),
            significant(speed.bits_per_weight, 2),
            speed.batch.to_string(),
            si(speed.tokens_per_s.median, ""),
            quartiles(&speed.tokens_per_s),
            si(speed.predicted_tokens_per_s, ""),
            joules,
        ]);
    }
    out.table(&rows, &[false, true, true, true, true, true, true])?;
    for reason in reasons {
        out.line(format!("No joules: {reason}"))?;
    }
    if threads > 1 {
        out.line(
            "Matrices as small as these can be faster without threads that wait for each other: RAYON_NUM_THREADS=1",
        )?;
    }
    let unrest = measured_here
        .iter()
        .map(|speed| speed.tokens_per_s.ratio())
        .fold(1.0, f64::max);
    warn_of_unrest(unrest, out)
}
