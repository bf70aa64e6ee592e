//! What the spiking version of a compressed network does with held-out images: how many it gets right, and how often
//! its neurons fire.

use crate::error::{Error, Result};
use crate::evaluate::EvaluationSet;
use crate::evaluate::statistics::wilson;
use crate::measurement::{LayerActivity, Spiking};
use crate::model::{Architecture, Tensors};

/// Images that are run between two looks at whether the result is still wanted.
const STEP: usize = 50;

/// Runs the spiking version of a network on the first images of a held-out set.
///
/// `calibration` are images `[n, channels, size, size]`, values 0 to 1, that thresholds are taken from; `steps` is how
/// many time steps an image is presented for. `stop` is asked now and then.
///
/// # Errors
/// [`Error::Infeasible`] where the network has no spiking version; [`Error::Cancelled`] if `stop` said so; the tensors are
/// not those of the architecture.
pub(crate) fn run_spiking(
    architecture: &Architecture,
    tensors: &Tensors,
    set: &EvaluationSet,
    calibration: &[f32],
    images: usize,
    steps: u32,
    stop: &dyn Fn() -> bool,
) -> Result<Spiking> {
    let network = architecture.ready(tensors, 32)?;
    let spiking = network.spiking(calibration).ok_or_else(|| {
        Error::Infeasible(
            "only a chain of convolutions has a rate-coded form here, so that this network has no spiking version"
                .to_owned(),
        )
    })?;
    let images = images.min(set.items());
    let (mut right, mut original_right) = (0, 0);
    let mut spikes: Vec<u64> = Vec::new();
    let mut at = 0;
    while at < images {
        if stop() {
            return Err(Error::Cancelled);
        }
        let items = at..(at + STEP).min(images);
        at = items.end;
        let input = set.input(items.clone())?;
        let plain = network.run(&input)?.to_vec2::<f32>()?;
        let run = spiking.run(&input.flatten_all()?.to_vec1::<f32>()?, steps)?;
        let rows = run.logits.chunks_exact(network.outputs());
        for ((item, logits), plain) in items.zip(rows).zip(&plain) {
            let label = set.targets(item).first().map(|&label| label as usize);
            right += u64::from(largest(logits) == label);
            original_right += u64::from(largest(plain) == label);
        }
        spikes.resize(run.spikes.len(), 0);
        for (sum, count) in spikes.iter_mut().zip(run.spikes) {
            *sum += count;
        }
    }
    let shown = images as f64 * f64::from(steps.max(1));
    let layers = architecture.layers();
    let weighted = layers.iter().filter(|layer| layer.weights() > 0);
    Ok(Spiking {
        steps,
        accuracy: wilson(right, images as u64),
        dense: wilson(original_right, images as u64).value,
        n: images as u64,
        activity: weighted
            .zip(&spikes)
            .map(|(layer, &count)| LayerActivity {
                layer: layer.name.clone(),
                spikes_per_step: count as f64 / shown,
                activity: count as f64 / shown / layer.inputs.max(1.0),
            })
            .collect(),
    })
}

fn largest(values: &[f32]) -> Option<usize> {
    values
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map(|(place, _)| place)
}
