//! What this processor reaches: bandwidths, matrix products, the start of a layer, and whole forward passes, with the
//! program's own kernels. It takes about ten seconds.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use candle_core::{Device, Tensor};
use pulp::Arch;
use rayon::prelude::*;
use serde::Serialize;

use super::packed::{PackedTiming, packed_speeds};
use crate::engine;
use crate::error::Result;
use crate::graph::{Input, Op};
use crate::hardware::{
    self, Calibration, Cost, HardwareTarget, PackedCalibration, Request, identity, this_machine,
};
use crate::model::{Architecture, GptConfig, Model};
use crate::profile::LayerKind;
use crate::recipe::Recipe;
use crate::run::{LayerRun, PackedFormat, PackedMatrix};
use crate::scenario::Scenario;
use crate::spread::{Spread, seconds};
use crate::units::Range;

/// Shortest repeat of a timing: long beside the clock's resolution and a scheduler's tick of 4 ms.
const LEAST: Duration = Duration::from_millis(40);
/// Values read for the memory bandwidth: 256 MB, more than the caches of any processor hold of them.
const MEMORY_VALUES: usize = 64 << 20;
/// Values read for the bandwidth of the caches, per core: 512 kB, more than a first-level cache holds.
const CACHE_VALUES: usize = 128 << 10;
/// Times that a core reads its caches in one go: long enough that waking the cores does not count.
const CACHE_PASSES: usize = 256;
/// Operations that a core does in one go, for the same reason: about a millisecond.
const GO: f64 = 3e7;
/// Share of a model's work below which a layer's speed does not count towards the range.
const LEAST_SHARE: f64 = 0.01;
/// Samples at once in the comparison with predictions.
const BATCHES: [usize; 3] = [1, 8, 64];

/// Steps of the measurement before whole passes.
const CONSTANTS: usize = 4;

/// What was measured on this machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The constants.
    pub calibration: Calibration,
    /// Per model: its speeds, and the constants with the share of whole passes taken from the other models only, so that
    /// predictions for it can be tested against something they do not know.
    pub models: Vec<(Vec<Speed>, Calibration)>,
    /// Per model: its speeds with packed weights.
    pub packed: Vec<Vec<PackedTiming>>,
}

/// Measures the constants of this processor, and whole forward passes, with the layers and passes of `models`.
/// `progress` hears what is measured next and the share of the steps that are done.
///
/// # Errors
/// A computation failed.
pub fn measure_machine(models: &[Model], progress: &mut dyn FnMut(&str, f64)) -> Result<Machine> {
    let steps = (CONSTANTS + models.len()) as f64;
    let mut step = |done: usize, what: &str| progress(what, done as f64 / steps);
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    step(0, "memory bandwidth");
    let memory_bandwidth = bandwidth(MEMORY_VALUES, 1)?;
    step(1, "cache bandwidth");
    let cache_bandwidth = bandwidth(CACHE_VALUES * rayon::current_num_threads(), CACHE_PASSES)?;
    step(2, "matrix products");
    let single_precision = products(models)?;
    step(3, "start of a layer");
    let products = Calibration {
        machine: identity(),
        date: date.chars().take("2000-01-01".len()).collect(),
        memory_bandwidth,
        cache_bandwidth,
        single_precision,
        whole_pass: Spread::of(vec![1.0]),
        launch: launch()?,
        packed: Some(packed_kernels(models)?).filter(PackedCalibration::is_of_kernels),
    };
    let target = this_machine(Some(&products))?;
    let mut speeds = Vec::with_capacity(models.len());
    let mut packed = Vec::with_capacity(models.len());
    // Shares of plain passes and of packed ones.
    let mut shares: Vec<[Vec<f64>; 2]> = Vec::with_capacity(models.len());
    for (place, model) in models.iter().enumerate() {
        step(
            CONSTANTS + place,
            &format!("whole passes of {}", model.name),
        );
        let measured = forward_speeds(model)?;
        let packed_here = packed_speeds(model)?;
        let packed_share = packed_here.iter().map(|timed| timed.share(&target));
        shares.push([
            whole_pass(model, &measured, &target)?,
            packed_share.collect::<Result<_>>()?,
        ]);
        speeds.push(measured);
        packed.push(packed_here);
    }
    let with = |shares: &mut dyn Iterator<Item = &[Vec<f64>; 2]>| {
        let (plain, packed): (Vec<_>, Vec<_>) = shares.cloned().map(|[a, b]| (a, b)).unzip();
        let mut calibration = products.clone();
        calibration.whole_pass = Spread::full(plain.concat());
        if let Some(kernels) = &mut calibration.packed {
            kernels.whole_pass = Spread::full(packed.concat());
        }
        calibration
    };
    let models = speeds
        .into_iter()
        .enumerate()
        .map(|(model, speeds)| {
            let others = shares.iter().enumerate().filter(|(i, _)| *i != model);
            (speeds, with(&mut others.map(|(_, shares)| shares)))
        })
        .collect();
    Ok(Machine {
        calibration: with(&mut shares.iter()),
        models,
        packed,
    })
}

/// Share of the speed predicted from products alone that whole passes reach, with more samples than one.
fn whole_pass(model: &Model, speeds: &[Speed], target: &HardwareTarget) -> Result<Vec<f64>> {
    speeds
        .iter()
        .skip(1)
        .map(|speed| {
            let predicted = predicted_speed(model, speed.batch, target)?.typical;
            Ok((speed.measured.median / predicted).min(1.0))
        })
        .collect()
}

/// Bytes per second at which all cores together read `values` numbers, each core its share `passes` times.
fn bandwidth(values: usize, passes: usize) -> Result<Spread> {
    let numbers = vec![1_f32; values];
    let share = values.div_ceil(rayon::current_num_threads());
    let times = seconds(LEAST, || {
        numbers.par_chunks(share).for_each(|numbers| {
            for _ in 0..passes {
                let sum = Arch::new().dispatch(|| add_up(black_box(numbers)));
                black_box(sum);
            }
        });
        Ok(())
    })?;
    let bytes = (values * passes * size_of::<f32>()) as f64;
    Ok(Spread::of(times.into_iter().map(|t| bytes / t).collect()))
}

/// A sum in many strands, so that reading limits it and not the latency of additions. Inlined to use the vectors of
/// whatever calls it.
#[inline(always)]
fn add_up(numbers: &[f32]) -> f32 {
    let mut strands = [0_f32; 64];
    for chunk in numbers.chunks_exact(strands.len()) {
        for (strand, number) in strands.iter_mut().zip(chunk) {
            *strand += number;
        }
    }
    strands.iter().sum()
}

/// Operations per second of all layers of the models one after another, on all cores; the range also holds the slowest
/// and the fastest layer that matters.
fn products(models: &[Model]) -> Result<Spread> {
    let cores = rayon::current_num_threads() as f64;
    rates(models, |shape| {
        let mut layer = LayerRun::new(shape.outputs, shape.inputs, shape.rows);
        let runs = (GO / shape.operations()).ceil();
        let times = seconds(LEAST / 4, || {
            black_box(layer.run(runs as usize));
            Ok(())
        })?;
        let times = times.into_iter().map(|time| time / runs).collect();
        Ok(Some((times, shape.operations() * cores)))
    })
}

/// What kernels for packed weights reach with all threads, whole passes aside.
fn packed_kernels(models: &[Model]) -> Result<PackedCalibration> {
    let tiny = PackedMatrix::new(32, 32, &[0.5; 32 * 32], 8)?;
    let launch = Spread::of(seconds(LEAST / 4, || {
        black_box(tiny.run(&[0.5; 32])?);
        Ok(())
    })?);
    let rate = |bits| {
        rates(models, |shape| {
            if PackedFormat::nearest(bits, shape.inputs).bits() != bits {
                return Ok(None);
            }
            let (outputs, inputs) = (shape.outputs, shape.inputs);
            let weights: Vec<f32> = (0..outputs * inputs)
                .map(|i| (i % 7) as f32 - 3.0)
                .collect();
            let matrix = PackedMatrix::new(outputs, inputs, &weights, bits)?;
            let values = vec![0.5; shape.rows * inputs];
            let times = seconds(LEAST / 16, || {
                black_box(matrix.run(&values)?);
                Ok(())
            })?;
            // A product takes its start even where it seems to take no longer.
            let times = times.into_iter().map(|t| (t - launch.median).max(0.1 * t));
            Ok(Some((times.collect(), shape.operations())))
        })
    };
    Ok(PackedCalibration {
        eight_bits: rate(8)?,
        four_bits: rate(4)?,
        launch,
        whole_pass: Spread::of(vec![1.0]),
    })
}

/// Operations per second through all layers of the models, one after another; the range also holds the slowest and the
/// fastest layer that matters. `timed` gives the seconds of every repeat of a layer and the operations in one, or nothing
/// for a layer that is left out.
fn rates(
    models: &[Model],
    timed: impl Fn(&Shape) -> Result<Option<(Vec<f64>, f64)>>,
) -> Result<Spread> {
    let mut all: Vec<f64> = Vec::new();
    let mut operations = 0.0;
    let mut speeds = Vec::new();
    for model in models {
        let shapes = shapes(&model.architecture);
        let work: f64 = shapes.iter().map(|s| s.operations()).sum();
        for shape in &shapes {
            let Some((times, operations_here)) = timed(shape)? else {
                continue;
            };
            all.resize(times.len(), 0.0);
            for (sum, time) in all.iter_mut().zip(&times) {
                *sum += time;
            }
            operations += operations_here;
            if shape.operations() >= LEAST_SHARE * work {
                speeds.push(operations_here / Spread::of(times).median);
            }
        }
    }
    let together = Spread::of(all.into_iter().map(|t| operations / t).collect());
    let slowest = speeds.iter().copied().fold(f64::INFINITY, f64::min);
    let fastest = speeds.iter().copied().fold(0.0, f64::max);
    Ok(together.widened(slowest, fastest))
}

/// A matrix product of one sample.
struct Shape {
    outputs: usize,
    inputs: usize,
    rows: usize,
}

impl Shape {
    fn operations(&self) -> f64 {
        2.0 * (self.outputs * self.inputs * self.rows) as f64
    }
}

/// The matrix products of one sample: an image, or a text as long as the context.
fn shapes(architecture: &Architecture) -> Vec<Shape> {
    let layers = architecture.layers();
    layers
        .iter()
        .filter(|layer| matches!(layer.kind, LayerKind::Linear | LayerKind::Conv2d))
        .map(|layer| {
            let outputs = layer.shape.first().copied().unwrap_or(1);
            let rows = match architecture.input() {
                Input::Tokens { context, .. } => context as usize,
                Input::Image(_) | Input::Noise { .. } | Input::Noisy(_) => {
                    (layer.outputs / outputs as f64) as usize
                }
            };
            Shape {
                outputs,
                inputs: layer.shape.iter().skip(1).product(),
                rows: rows.max(1),
            }
        })
        .collect()
}

/// Seconds per layer of a network so narrow that nothing but starting its layers takes time.
fn launch() -> Result<Spread> {
    let config = GptConfig {
        vocabulary: 2,
        context: 1,
        width: 1,
        heads: 1,
        hidden: 1,
        blocks: 64,
    };
    let architecture = Architecture::Gpt(config);
    let launches = architecture
        .layers()
        .iter()
        .filter(|layer| layer.kind != LayerKind::Elementwise)
        .count();
    let network = architecture.ready(&architecture.initial_tensors(1)?, 32)?;
    let token = Tensor::new(&[[1_u32]], &Device::Cpu)?;
    let times = seconds(LEAST, || {
        black_box(network.run(&token)?);
        Ok(())
    })?;
    let per_layer = |time: f64| time / launches as f64;
    Ok(Spread::of(times.into_iter().map(per_layer).collect()))
}

/// Measured speed of a model's forward pass here.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// The model.
    pub model: String,
    /// Units of work at once: images, or tokens of as many whole contexts.
    pub batch: u32,
    /// Name of a unit of work.
    pub unit: &'static str,
    /// Units of work per second.
    pub measured: Spread,
}

/// Runs a model in single precision on 1, 8 and 64 samples at once: images, or texts as long as the context.
///
/// # Errors
/// A computation failed.
fn forward_speeds(model: &Model) -> Result<Vec<Speed>> {
    let network = model.architecture.ready(&model.tensors, 32)?;
    BATCHES
        .iter()
        .map(|&samples| {
            let (input, units) = sample_input(&model.architecture, samples)?;
            let times = seconds(LEAST, || {
                black_box(network.run(&input)?);
                Ok(())
            })?;
            Ok(Speed {
                model: model.name.clone(),
                batch: units,
                unit: model.architecture.unit().name(),
                measured: Spread::of(times.into_iter().map(|t| f64::from(units) / t).collect()),
            })
        })
        .collect()
}

/// Inputs of the right shape, and the units of work in them; what they show does not change how long they take.
pub(super) fn sample_input(architecture: &Architecture, samples: usize) -> Result<(Tensor, u32)> {
    let (input, units) = match architecture.input() {
        given @ (Input::Image(_) | Input::Noise { .. } | Input::Noisy(_)) => {
            let shape = given.shape(samples);
            (Tensor::rand(0_f32, 1.0, shape, &Device::Cpu)?, samples)
        }
        Input::Tokens {
            vocabulary,
            context,
        } => {
            let (vocabulary, context) = (vocabulary as usize, context as usize);
            let tokens: Vec<u32> = (0..samples * context)
                .map(|i| (i * 31 % vocabulary) as u32)
                .collect();
            let units = tokens.len();
            let input = Tensor::from_vec(tokens, (samples, context), &Device::Cpu)?;
            (input, units)
        }
    };
    Ok((input, u32::try_from(units).unwrap_or(u32::MAX)))
}

/// Units of work per second that the cost model predicts for a model in single precision on a device, with `batch` of
/// them at once. Texts are read as prompts are: one after another, with keys and values shared by their tokens.
///
/// # Errors
/// The device cannot run the model.
pub fn predicted_speed(model: &Model, batch: u32, target: &HardwareTarget) -> Result<Range<f64>> {
    let graph = model.architecture.graph();
    let mut nodes = graph.nodes.iter();
    let recurrent = nodes.any(|node| matches!(node.op, Op::Recurrent { .. }));
    let batch = match model.architecture.input() {
        // The positions of a text come one after another, those of several texts together.
        Input::Tokens { context, .. } if recurrent => (batch / context.max(1)).max(1),
        Input::Tokens { context, .. } => context,
        Input::Image(_) | Input::Noise { .. } | Input::Noisy(_) => batch,
    };
    let cost = predicted(model, &Recipe::default(), batch, target)?;
    Ok(cost.time.map_decreasing(|time| 1.0 / time.0))
}

fn predicted(model: &Model, recipe: &Recipe, batch: u32, target: &HardwareTarget) -> Result<Cost> {
    let profile = engine::planner(&model.name, &model.architecture)?.plan(recipe);
    let scenario = Scenario {
        hardware: target.id.clone(),
        batch,
        // A token of a text looks back over half of it on average.
        context: (batch / 2).max(1),
        // What is timed is one pass.
        denoising_steps: 1,
        ..Scenario::default()
    };
    target.cost(&Request {
        profile: &profile,
        scenario: &scenario,
        machine: hardware::Machine::Real,
        explain: false,
        reading: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::bundled;

    #[test]
    fn the_timed_products_are_those_of_the_models() {
        for entry in bundled::all() {
            let architecture = bundled::load(entry.name).unwrap().architecture;
            let timed: f64 = shapes(&architecture).iter().map(Shape::operations).sum();
            let (_, units) = sample_input(&architecture, 1).unwrap();
            let layers = architecture.layers();
            let expected: f64 = layers
                .iter()
                .filter(|layer| matches!(layer.kind, LayerKind::Linear | LayerKind::Conv2d))
                .map(|layer| 2.0 * layer.macs * f64::from(units))
                .sum();
            assert!((timed / expected - 1.0).abs() < 1e-12, "{}", entry.name);
        }
    }

    #[test]
    fn a_sum_in_strands_is_the_sum() {
        let numbers: Vec<f32> = (0..256).map(|i| i as f32).collect();
        assert_eq!(add_up(&numbers), 255.0 * 128.0);
    }
}
