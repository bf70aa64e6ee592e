//! How long recompression takes, next to what the memory of this machine allows and to the same done with candle's
//! operations, in one run: `cargo bench -p wattif-core --bench compress`.
//!
//! Memory bandwidth differs between machines and moments, so ratios count, not milliseconds. Where the system tells it,
//! the processor time of all threads is there too: other programs disturb it less than the time on the clock.
#![allow(
    clippy::print_stdout,
    reason = "a benchmark reports to whoever runs it"
)]

use std::hint::black_box;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use wattif_core::compress::{Compressor, Planner};
use wattif_core::model::Tensors;
use wattif_core::profile::{Execution, Layer, LayerKind, Unit};
use wattif_core::recipe::{Group, Pattern, Recipe, Scope};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// 24 matrices of 4 million weights: 100.7 million, 403 MB.
const LAYERS: usize = 24;
const SHAPE: [usize; 2] = [1024, 4096];
const ROUNDS: usize = 7;
const CHUNK: usize = 1 << 15;

fn main() -> Outcome {
    let (planner, tensors) = model(LAYERS, SHAPE)?;
    let weights = LAYERS * SHAPE[0] * SHAPE[1];
    println!(
        "{:.1} M weights in {LAYERS} layers, medians of {ROUNDS}",
        weights as f64 / 1e6
    );

    let mut buffer: Vec<f32> = vec![1.0; weights];
    let limit = measure(ROUNDS, |_| {
        buffer
            .par_chunks_mut(CHUNK)
            .for_each(|chunk| chunk.iter_mut().for_each(|w| *w += 1.0));
        Ok(())
    })?;
    let report = |what: &str, time: Time| {
        print!(
            "{what:<52} {:8.1} ms {:7.2} x in place",
            time.clock * 1e3,
            time.clock / limit.clock
        );
        match (time.processor, limit.processor) {
            (Some(time), Some(limit)) => println!(
                "; processor {:8.1} ms {:7.2} x in place",
                time * 1e3,
                time / limit
            ),
            _ => println!(),
        }
    };
    report("read and write every weight in place", limit);
    let source: Vec<f32> = vec![2.0; weights];
    let copy = measure(ROUNDS, |_| {
        buffer
            .par_chunks_mut(CHUNK)
            .zip(source.par_chunks(CHUNK))
            .for_each(|(to, from)| to.copy_from_slice(from));
        Ok(())
    })?;
    report("copy every weight to a buffer", copy);
    drop((buffer, source));

    let candle = measure(3, |_| {
        for tensor in tensors.values() {
            black_box(candle_prune_and_round(tensor, 0.5)?);
        }
        Ok(())
    })?;
    report("prune and round to 4 bits with candle's operations", candle);

    let first = measure(1, |_| {
        let mut fresh = Compressor::new(planner.clone(), &tensors)?;
        let recipe = recipe(0.5, Pattern::Unstructured, Scope::Layer, 4);
        black_box(fresh.compress(&recipe, &|| false)?);
        Ok(())
    })?;
    report("first compression: check, histograms, fresh memory", first);

    let mut compressor = Compressor::new(planner, &tensors)?;
    let cases: [(&str, &dyn Fn(usize) -> Recipe); 9] = [
        ("prune and round to 4 bits, threshold kept", &|_| {
            recipe(0.5, Pattern::Unstructured, Scope::Layer, 4)
        }),
        ("  the same in groups of 32", &|_| {
            grouped(recipe(0.5, Pattern::Unstructured, Scope::Layer, 4), 32)
        }),
        ("  the same with 1 bit", &|_| {
            recipe(0.5, Pattern::Unstructured, Scope::Layer, 1)
        }),
        ("  the same with 16 bits", &|_| {
            recipe(0.5, Pattern::Unstructured, Scope::Layer, 16)
        }),
        ("  the same with 32 bits (pruning alone)", &|_| {
            recipe(0.5, Pattern::Unstructured, Scope::Layer, 32)
        }),
        ("round to 4 bits alone", &|_| {
            recipe(0.0, Pattern::Unstructured, Scope::Layer, 4)
        }),
        ("2:4 and 4 bits", &|_| {
            recipe(0.5, Pattern::TwoOfFour, Scope::Layer, 4)
        }),
        ("new sparsity per layer and 4 bits", &|i| {
            recipe(
                0.3 + 0.05 * i as f64,
                Pattern::Unstructured,
                Scope::Layer,
                4,
            )
        }),
        ("new global sparsity and 4 bits", &|i| {
            recipe(
                0.3 + 0.05 * i as f64,
                Pattern::Unstructured,
                Scope::Global,
                4,
            )
        }),
    ];
    for (what, case) in cases {
        let time = measure(ROUNDS, |i| {
            let compressed = compressor.compress(&case(i), &|| false)?;
            compressor.recycle(compressed);
            Ok(())
        })?;
        report(what, time);
        if what.starts_with("prune and round") {
            println!(
                "{:<52} {:8.1} times as fast as candle's operations",
                "",
                candle.clock / time.clock
            );
        }
    }
    small()
}

/// A model of the size that ships with the program: what a slider move costs.
fn small() -> Outcome {
    let (planner, tensors) = model(8, [256, 256])?;
    println!(
        "\n{:.1} M weights in 8 layers, medians of 101",
        8.0 * 65536.0 / 1e6
    );
    let mut compressor = Compressor::new(planner.clone(), &tensors)?;
    for scope in [Scope::Layer, Scope::Global] {
        let time = measure(101, |i| {
            let recipe = recipe(0.3 + 0.001 * i as f64, Pattern::Unstructured, scope, 4);
            black_box(compressor.compress(&recipe, &|| false)?);
            Ok(())
        })?;
        println!(
            "new sparsity ({scope:?}) and 4 bits, fresh memory {:>14.2} ms",
            time.clock * 1e3
        );
    }
    let time = measure(101, |i| {
        black_box(planner.plan(&recipe(
            0.001 * i as f64,
            Pattern::Unstructured,
            Scope::Layer,
            4,
        )));
        Ok(())
    })?;
    println!("one plan {:>52.1} µs", time.clock * 1e6);
    Ok(())
}

fn recipe(sparsity: f64, pattern: Pattern, scope: Scope, bits: u8) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = sparsity;
    recipe.pruning.pattern = pattern;
    recipe.pruning.scope = scope;
    recipe.quantization.weight_bits = bits;
    recipe
}

fn grouped(mut recipe: Recipe, group: u32) -> Recipe {
    recipe.quantization.group = Group::Size(group);
    recipe
}

/// Layers of nearly normal weights.
fn model(
    layers: usize,
    shape: [usize; 2],
) -> Result<(Planner, Tensors), Box<dyn std::error::Error>> {
    let named: Vec<(String, Layer)> = (0..layers)
        .map(|i| {
            let layer = Layer {
                name: format!("h.{i}.fc"),
                kind: LayerKind::Linear,
                shape: shape.to_vec(),
                other_parameters: 0,
                compressible: true,
                macs: (shape[0] * shape[1]) as f64,
                inputs: shape[1] as f64,
                outputs: shape[0] as f64,
                cache: 0.0,
                execution: Execution::default(),
            };
            (format!("h.{i}.fc.weight"), layer)
        })
        .collect();
    let mut tensors = Tensors::new();
    for (i, (name, _)) in named.iter().enumerate() {
        let weights: Vec<f32> = (0..shape[0])
            .into_par_iter()
            .flat_map_iter(|row| {
                let mut rng = ChaCha8Rng::seed_from_u64((i * shape[0] + row) as u64);
                (0..shape[1])
                    .map(move |_| (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * 0.03)
            })
            .collect();
        tensors.insert(
            name.clone(),
            Tensor::from_vec(weights, &shape[..], &Device::Cpu)?,
        );
    }
    let shapes: Vec<_> = named
        .iter()
        .map(|(name, _)| (name.clone(), shape.to_vec()))
        .collect();
    let layers: Vec<_> = named.into_iter().map(|(_, layer)| layer).collect();
    Ok((
        Planner::new("bench", Unit::Token, &layers, &shapes, "{}")?,
        tensors,
    ))
}

/// The same with a given threshold, in candle's operations.
fn candle_prune_and_round(tensor: &Tensor, sparsity: f64) -> candle_core::Result<Tensor> {
    // The threshold is free here: that of the uniform distribution serves for the timing.
    let mask = tensor.abs()?.ge(0.03 * sparsity)?.to_dtype(DType::F32)?;
    let kept = (tensor * mask)?;
    let scale = (kept.abs()?.max_keepdim(1)? / 7.0)?;
    kept.broadcast_div(&scale)?.round()?.broadcast_mul(&scale)
}

/// Seconds of one round.
#[derive(Clone, Copy)]
struct Time {
    /// Median on the clock.
    clock: f64,
    /// Mean over all threads.
    processor: Option<f64>,
}

fn measure(
    rounds: usize,
    mut work: impl FnMut(usize) -> Outcome,
) -> Result<Time, Box<dyn std::error::Error>> {
    // The first time warms up.
    work(0)?;
    let mut times = Vec::with_capacity(rounds);
    let before = processor_time();
    for round in 1..=rounds {
        let start = Instant::now();
        work(round)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let after = processor_time();
    times.sort_by(f64::total_cmp);
    Ok(Time {
        clock: times[rounds / 2],
        processor: before.zip(after).map(|(a, b)| (b - a) / rounds as f64),
    })
}

/// Seconds that the threads of this program have run so far, on Linux.
fn processor_time() -> Option<f64> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(nanoseconds as f64 / 1e9)
}
