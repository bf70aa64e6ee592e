//! Passes over the weights of a model that stay in their file, beside a plain copy of as many numbers.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::recipe::Recipe;

/// Rounds of which the median counts.
const ROUNDS: u32 = 5;

/// What passes over all weights take.
#[derive(Debug, Clone, Copy)]
pub struct Passes {
    /// Copying them as single precision, tensor by tensor.
    pub copied: Duration,
    /// Decoding them and laying them out for products.
    pub decoded: Duration,
    /// The same, half of them pruned and the others rounded to four bits on the way.
    pub compressed: Duration,
    /// Decoding them in search of the threshold of a new sparsity.
    pub searched: Duration,
}

/// Times passes over the weights of a model, in turns.
///
/// # Errors
/// The model's weights are in memory, or cannot be read.
pub fn passes(engine: &Engine) -> Result<Passes> {
    let source = engine.model().source.as_ref().ok_or_else(|| {
        Error::Compute(
            "only the weights of another program's language model are read in passes".to_owned(),
        )
    })?;
    let elements: Vec<usize> = source
        .tensors()
        .iter()
        .map(|info| info.elements())
        .collect();
    let identity = Recipe::default();
    let mut compressed = Recipe::default();
    compressed.quantization.weight_bits = 4;
    compressed.pruning.sparsity = 0.5;
    // The histograms are made once.
    engine.stored_pass(&compressed, false)?;
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..ROUNDS {
        let start = Instant::now();
        for &elements in &elements {
            black_box(vec![1.0_f32; elements].clone());
        }
        // Half of it filled the numbers that were copied.
        times[0].push(start.elapsed() / 2);
        times[1].push(engine.stored_pass(&identity, true)?);
        compressed.pruning.sparsity += 0.001 * f64::from(round + 1);
        times[3].push(engine.stored_pass(&compressed, false)?);
        times[2].push(engine.stored_pass(&compressed, true)?);
    }
    let [copied, decoded, compressed, searched] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    Ok(Passes {
        copied,
        decoded,
        compressed,
        searched,
    })
}
