//! Whole forward passes with packed weights, timed beside the prediction for this machine: what running a compressed
//! model really takes here.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use candle_core::{Device, Tensor};
use serde::Serialize;

use super::machine::sample_input;
pub use super::work::Work;
use crate::engine;
use crate::error::Result;
use crate::footprint::Estimate;
use crate::graph::Input;
use crate::hardware::{HardwareTarget, Machine, Request};
use crate::measurement::{Provenance, Quality};
use crate::model::{Architecture, Model};
use crate::power::{Answer, Meter};
use crate::profile::{ModelProfile, Unit};
use crate::recipe::Recipe;
use crate::run::{PackedFormat, PackedNetwork, WithBlocks};
use crate::scenario::Scenario;
use crate::spread::{Spread, seconds_watched};
use crate::units::{Range, UnitsPerSecond};

/// Shortest repeat: long beside the millisecond in which a processor's energy counter moves.
pub(crate) const LEAST: Duration = Duration::from_millis(50);
/// Predicted over measured speed from which on something is in the way; predictions on a quiet machine are not that far
/// off (METHODS.md).
const FAR_BELOW: f64 = 3.0;
/// Most units of work that are run at once; beyond that nothing gets faster.
const MOST_AT_ONCE: u32 = 256;
/// Units at once, and tokens of context, of the passes that tell how much of the products' speed whole passes reach.
const CALIBRATION_BATCH: u32 = 16;
const CALIBRATION_CONTEXT: u32 = 64;
/// Most memory for what texts being written have left behind.
const MOST_CACHE_BYTES: usize = 1 << 30;
/// Tokens of a text that is read at once, at most.
const MOST_READ: u32 = 512;

/// Weights in one format.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FormatShare {
    /// The format.
    pub format: PackedFormat,
    /// Matrices in it.
    pub matrices: usize,
    /// Their bytes in memory, scales included.
    pub bytes: u64,
}

/// Measured speed of one kind of work.
#[derive(Debug, Clone, Serialize)]
pub struct PackedSpeed {
    /// What was done.
    #[serde(flatten)]
    pub work: Work,
    /// Units of work per second, measured here.
    pub units_per_s: Spread,
    /// Energy of the processor package.
    #[serde(flatten)]
    pub energy: Energy,
}

/// Energy that was measured, or why it was not.
#[derive(Debug, Clone, Serialize)]
pub enum Energy {
    /// Joules per unit of work, idle power included.
    #[serde(rename = "joules_per_unit")]
    Measured(Spread),
    /// Why there is none.
    #[serde(rename = "no_joules_because")]
    Unknown(String),
}

/// Quality through the packed kernels beside that of the engine's own pass, on the same held-out samples.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PackedQuality {
    /// Through the packed kernels.
    pub packed: Quality,
    /// Of the weights as the recipe left them, activations rounded as it says.
    pub engine: Quality,
}

/// A compressed model run packed on this machine.
#[derive(Debug, Clone, Serialize)]
pub struct PackedRun {
    /// How it was compressed.
    pub recipe: Recipe,
    /// What one unit of work is.
    pub unit: Unit,
    /// The formats of its matrices, narrowest first.
    pub formats: Vec<FormatShare>,
    /// Bytes of all weights in memory, biases and normalisation included.
    pub bytes: u64,
    /// Threads that share each product.
    pub threads: usize,
    /// What it does to held-out data.
    pub quality: Option<PackedQuality>,
    /// Its speeds.
    pub speeds: Vec<PackedSpeed>,
    /// What was run, as cost models see it.
    #[serde(skip)]
    pub profile: ModelProfile,
}

/// Threads that candle's kernels use: those of the machine, or what `RAYON_NUM_THREADS` says.
pub fn packed_threads() -> usize {
    candle_core::utils::get_num_threads()
}

/// A compressed model with packed weights, ready to be timed.
pub(crate) struct PackedModel {
    pub(crate) network: PackedNetwork,
    architecture: Architecture,
    profile: ModelProfile,
    recipe: Recipe,
}

impl PackedModel {
    /// Packs the weights that a recipe left in the formats nearest to its bits.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] if the tensors are not those of the architecture.
    pub(crate) fn new(
        architecture: &Architecture,
        weights: WithBlocks<'_>,
        profile: &ModelProfile,
        recipe: &Recipe,
    ) -> Result<Self> {
        let bits = recipe.quantization.weight_bits;
        let mut profile = profile.clone();
        for layer in profile.layers.iter_mut().filter(|l| l.layer.compressible) {
            let inputs = layer.layer.fan_in() as usize;
            let blocks = weights.blocks.get(&format!("{}.weight", layer.layer.name));
            let format = match blocks {
                Some(blocks) => PackedFormat::of(blocks.format, inputs),
                None => PackedFormat::nearest(bits, inputs),
            };
            layer.weight_bits = format.bits();
            layer.activation_bits = if format.is_integer() { 8 } else { 32 };
        }
        Ok(Self {
            network: architecture.packed(weights, bits)?,
            architecture: architecture.clone(),
            profile,
            recipe: recipe.clone(),
        })
    }

    /// What to time in a scenario: one unit of work at a time, its batch, and for language models the reading of a text.
    pub(crate) fn works(&self, scenario: &Scenario) -> Vec<Work> {
        let batch = scenario.batch.clamp(1, MOST_AT_ONCE);
        let graph = self.architecture.graph();
        let mut works = match self.architecture.input() {
            Input::Image(_) | Input::Noise { .. } => {
                vec![Work::Classify { batch: 1 }, Work::Classify { batch }]
            }
            Input::Tokens { context, .. } if graph.is_encoder() => {
                let tokens = graph.positions.min(context);
                vec![Work::Encode { batch: 1, tokens }]
            }
            Input::Tokens { context, .. } => {
                let longest = context.min(MOST_READ);
                // Keys and values are kept in single precision here, not in half.
                let each = 2.0 * graph.kept_bytes(f64::from(longest));
                let room = (MOST_CACHE_BYTES as f64 / each.max(1.0)) as u32;
                let batch = batch.min(room.max(1));
                let context = (scenario.average_context() as u32).min(longest - 1);
                vec![
                    Work::Write { batch: 1, context },
                    Work::Write { batch, context },
                    Work::Read { batch: longest },
                ]
            }
        };
        works.dedup();
        works
    }

    /// The result without any speed.
    pub(crate) fn describe(&self) -> PackedRun {
        let mut shares: BTreeMap<PackedFormat, (usize, u64)> = BTreeMap::new();
        for matrix in self.network.matrices() {
            let share = shares.entry(matrix.format()).or_default();
            share.0 += 1;
            share.1 += matrix.bytes() as u64;
        }
        let others: u64 = self
            .profile
            .layers
            .iter()
            .map(|l| l.layer.other_parameters * size_of::<f32>() as u64)
            .sum();
        PackedRun {
            recipe: self.recipe.clone(),
            unit: self.profile.unit,
            bytes: others + shares.values().map(|(_, bytes)| bytes).sum::<u64>(),
            formats: shares
                .into_iter()
                .map(|(format, (matrices, bytes))| FormatShare {
                    format,
                    matrices,
                    bytes,
                })
                .collect(),
            threads: packed_threads(),
            quality: None,
            speeds: Vec::new(),
            profile: self.profile.clone(),
        }
    }

    /// Times one kind of work; `stop` is asked before every run of it, and ends it with its error.
    pub(crate) fn time(
        &self,
        work: Work,
        least: Duration,
        meter: &mut Meter,
        stop: &dyn Fn() -> Result<()>,
    ) -> Result<PackedSpeed> {
        let units = f64::from(work.batch());
        let mut run = self.job(work)?;
        let mut joules = Ok(Vec::new());
        let times = seconds_watched(
            least,
            || {
                stop()?;
                run()
            },
            &mut |time| {
                let watts = package_watts(meter);
                if let (Some(time), Ok(all)) = (time, &mut joules) {
                    match watts {
                        Ok(watts) => all.push(watts * time / units),
                        Err(reason) => joules = Err(reason),
                    }
                }
            },
        )?;
        Ok(PackedSpeed {
            work,
            units_per_s: Spread::of(times.into_iter().map(|time| units / time).collect()),
            energy: match joules {
                Ok(joules) => Energy::Measured(Spread::of(joules)),
                Err(reason) => Energy::Unknown(reason),
            },
        })
    }

    /// The work once. What the inputs show does not change how long it takes.
    fn job(&self, work: Work) -> Result<Box<dyn FnMut() -> Result<()> + '_>> {
        let network = &self.network;
        if let Work::Write { batch, context } = work
            && let Some(mut writer) = network.writer(batch as usize, context as usize)?
        {
            let tokens = vec![1; batch as usize];
            return Ok(Box::new(move || {
                black_box(writer.step(&tokens)?);
                Ok(())
            }));
        }
        let input = match work {
            Work::Classify { batch } => sample_input(&self.architecture, batch as usize)?.0,
            Work::Read { batch } | Work::Write { batch, .. } => {
                Tensor::zeros((1, batch as usize), candle_core::DType::U32, &Device::Cpu)?
            }
            Work::Encode { batch, tokens } => {
                let shape = (batch as usize, tokens as usize);
                Tensor::zeros(shape, candle_core::DType::U32, &Device::Cpu)?
            }
        };
        Ok(Box::new(move || {
            black_box(network.run(&input)?);
            Ok(())
        }))
    }
}

impl PackedRun {
    /// What the cost model of a device predicts for work of this run.
    ///
    /// # Errors
    /// The device cannot run the model.
    pub fn predicted(
        &self,
        work: Work,
        target: &HardwareTarget,
    ) -> Result<Estimate<UnitsPerSecond>> {
        predicted(&self.profile, work, target)
    }

    /// What to think of a run that is far slower than predicted, where threads share its products.
    pub fn caution(&self, target: &HardwareTarget) -> Option<&'static str> {
        let far_below = |speed: &PackedSpeed| {
            self.predicted(speed.work, target)
                .is_ok_and(|p| p.range.typical.0 > FAR_BELOW * speed.units_per_s.median)
        };
        (self.threads > 1 && self.speeds.iter().any(far_below)).then_some(
            "Far below the prediction: threads that share a product wait for each other, above all where other programs \
             are running; measure again on a quiet machine or with RAYON_NUM_THREADS=1",
        )
    }

    /// Names of the formats, the one with most bytes first.
    pub fn format_names(&self) -> String {
        let mut shares: Vec<&FormatShare> = self.formats.iter().collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
        let names: Vec<&str> = shares.iter().map(|share| share.format.name()).collect();
        names.join(", ")
    }

    /// What of the recipe is not in this run, in clauses.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let integers = |share: &&FormatShare| share.format.is_integer();
        if self.formats.iter().any(|share| share.format.is_integer()) {
            notes.push(
                "the kernels round activations to 8 bits, block by block, whatever the recipe says"
                    .to_owned(),
            );
            let floats = self.formats.iter().filter(|share| !integers(share));
            let (matrices, bytes) = floats.fold((0, 0), |(m, b), share| {
                (m + share.matrices, b + share.bytes)
            });
            if matrices > 0 {
                let stay = match self.recipe.quantization.blocks {
                    None => "in single precision: the inputs of a row do not fill blocks of 32",
                    Some(_) => {
                        "in half or single precision: the inputs of a row do not fill blocks of 32, or of 64 for Q4_1, \
                         Q5_0 and Q5_1, whose kernels take two blocks at a time"
                    }
                };
                notes.push(format!(
                    "{matrices} of the matrices ({bytes} bytes) stay {stay}"
                ));
            }
        } else if self.recipe.quantization.code_bits() < 16 {
            notes.push(
                "no matrix has rows that fill blocks of 32, so that all stay in single precision"
                    .to_owned(),
            );
        }
        let narrowest = self.formats.first().map_or(32, |share| share.format.bits());
        if narrowest <= 8 && self.recipe.quantization.weight_bits < narrowest {
            notes.push(format!(
                "weights of {} bits are stored at {narrowest}, the nearest width whose blocks fit",
                self.recipe.quantization.weight_bits
            ));
        }
        if self.recipe.pruning.sparsity > 0.0 {
            notes.push("zeros are stored and multiplied like other weights".to_owned());
        }
        notes
    }
}

fn predicted(
    profile: &ModelProfile,
    work: Work,
    target: &HardwareTarget,
) -> Result<Estimate<UnitsPerSecond>> {
    let reading = matches!(work, Work::Read { .. });
    let scenario = Scenario {
        hardware: target.id.clone(),
        batch: match reading && profile.is_recurrent() {
            // The positions of a text come one after another.
            true => 1,
            false => work.batch(),
        },
        context: match work {
            Work::Classify { .. } | Work::Encode { .. } => Scenario::default().context,
            Work::Write { context, .. } => context.max(1),
            // A token of a text looks back over half of it on average.
            Work::Read { batch } => (batch / 2).max(1),
        },
        ..Scenario::default()
    };
    let cost = target.cost(&Request {
        profile,
        scenario: &scenario,
        machine: Machine::Real,
        explain: true,
        reading,
    })?;
    Ok(Estimate {
        range: cost.time.map_decreasing(|t| UnitsPerSecond(1.0 / t.0)),
        provenance: Provenance::Modelled {
            formula: cost.explanation.time,
        },
    })
}

/// A packed model and how fast one kind of work went with it, to compare predictions with.
#[derive(Debug, Clone)]
pub struct PackedTiming {
    /// The model.
    pub model: String,
    /// What was run.
    pub run: PackedRun,
    /// The speed.
    pub speed: PackedSpeed,
}

impl PackedTiming {
    /// Units of work per second that the cost model predicts for a device.
    ///
    /// # Errors
    /// The device cannot run the model.
    pub fn predicted(&self, target: &HardwareTarget) -> Result<Range<f64>> {
        let estimate = self.run.predicted(self.speed.work, target)?;
        Ok(estimate.range.map(|rate| rate.0))
    }

    /// Share of the speed predicted for a device that was reached, at most 1.
    pub(super) fn share(&self, target: &HardwareTarget) -> Result<f64> {
        let predicted = self.predicted(target)?.typical;
        Ok((self.speed.units_per_s.median / predicted).min(1.0))
    }
}

/// Whole passes of a model with 8-bit and 4-bit weights, one unit of work at a time and several.
///
/// # Errors
/// A computation failed.
pub(super) fn packed_speeds(model: &Model) -> Result<Vec<PackedTiming>> {
    let scenario = Scenario {
        batch: CALIBRATION_BATCH,
        context: CALIBRATION_CONTEXT,
        ..Scenario::default()
    };
    let planner = engine::planner(&model.name, &model.architecture)?;
    let mut meter = Meter::packages();
    let mut timings = Vec::new();
    for bits in [8, 4] {
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = bits;
        // How long a product takes does not depend on the values of the weights.
        let profile = planner.plan(&recipe);
        let weights = WithBlocks::none(&model.tensors);
        let packed = PackedModel::new(&model.architecture, weights, &profile, &recipe)?;
        for work in packed.works(&scenario) {
            timings.push(PackedTiming {
                model: model.name.clone(),
                run: packed.describe(),
                speed: packed.time(work, LEAST / 5, &mut meter, &|| Ok(()))?,
            });
        }
    }
    Ok(timings)
}

/// Average power of all processor packages since the last call, or why there is none.
fn package_watts(meter: &mut Meter) -> std::result::Result<f64, String> {
    meter
        .read_packages()
        .into_iter()
        .map(|source| match source.answer {
            Answer::Reading { watts, .. } => Ok(watts.0),
            Answer::None { reason } => Err(reason),
        })
        .sum()
}
