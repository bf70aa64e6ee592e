//! Measuring a network that another library runs: weights are compressed here and replaced there, and its outputs compared
//! with the original's.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Engine, Network, Observer, lock};
use crate::compress::Compressed;
use crate::error::{Error, Result};
use crate::evaluate::{COARSE_INPUTS, EvaluationSet, Fidelity, GeneratedSet, Outputs};
use crate::measurement::{Depth, Measurement};
use crate::model::{Architecture, OnnxConfig};
use crate::outline::Outline;
use crate::profile::{LayerProfile, ModelProfile};
use crate::recipe::Recipe;
use crate::runner::{self, Limits, Runner};

/// Memory of the process that runs a network, beside what its weights take several times.
const ROOM: u64 = 4 << 30;
/// Copies of the weights that it may hold: as they came, as they are packed, and new ones beside.
const COPIES: u64 = 6;
/// The longest that the network may run for one input.
const PATIENCE: Duration = Duration::from_secs(120);
/// A network that runs in so short a time is run once more, to see whether putting nodes together changes what it gives.
const SOON: Duration = Duration::from_secs(2);
/// Decibels from which on that is the same: sums in another order.
const SAME: f64 = 60.0;
/// Bytes of the original's outputs that are kept.
const MOST_KEPT: usize = 256 << 20;

/// A network that another library runs.
pub(super) struct Foreign {
    config: OnnxConfig,
    outline: Outline,
    state: Mutex<State>,
}

/// Which network and weights a runner has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Holds {
    /// The original.
    #[default]
    Original,
    /// What enters the layers is rounded to so many bits, or not, and the weights are other ones.
    Other(u8),
}

#[derive(Default)]
struct State {
    runner: Option<Box<dyn Runner>>,
    /// The original's outputs for the first inputs.
    original: Vec<Outputs>,
    /// What the runner has.
    holds: Holds,
    /// Whether nodes are not put together, since that changes the results.
    plain: bool,
    /// Why it cannot be run at all.
    refused: Option<Error>,
}

impl Foreign {
    /// The network of an architecture, where it is another library's.
    pub(super) fn of(
        architecture: &Architecture,
        reference: &crate::model::ModelReference,
    ) -> Option<Self> {
        let config = architecture.onnx()?;
        Some(Self {
            outline: Outline::of(reference.clone(), config.outlined().clone()),
            config: config.clone(),
            state: Mutex::default(),
        })
    }

    /// A profile in which layers that no recipe changes are as the file has them.
    pub(super) fn completed(&self, profile: ModelProfile) -> Result<ModelProfile> {
        let published = self.outline.predict(&Recipe::default())?;
        let other_bits =
            |layer: &LayerProfile| f64::from(self.config.other_bits()).min(layer.other_bits);
        let layers = profile.layers.into_iter().zip(published.layers);
        let layers = layers
            .map(|(own, published)| {
                if !own.layer.compressible {
                    return published;
                }
                let others = own.layer.other_parameters as f64 * other_bits(&own) / 8.0;
                LayerProfile {
                    stored_bytes: own.stored_bytes + others.ceil() as u64,
                    other_bits: other_bits(&own),
                    activation_bits: own.activation_bits.min(published.activation_bits),
                    ..own
                }
            })
            .collect();
        Ok(ModelProfile { layers, ..profile })
    }
}

impl Engine {
    /// What was understood of a network of another program and of its inputs, a sentence each; nothing of our own.
    pub fn notes(&self) -> Vec<String> {
        let own = self.model.architecture.onnx();
        let mut notes = own.map_or_else(Vec::new, |config| config.outlined().notes.clone());
        if let EvaluationSet::Generated(set) = &self.set {
            notes.extend(set.notes());
        }
        notes
    }

    /// Whether another library runs it.
    pub fn is_foreign(&self) -> bool {
        self.foreign.is_some()
    }

    /// Refuses what only our own networks can do.
    ///
    /// # Errors
    /// [`Error::Infeasible`] where another library runs it.
    pub(super) fn check_own(&self, what: &str) -> Result<()> {
        match self.is_foreign() {
            true => Err(Error::Infeasible(format!(
                "a network of an ONNX file cannot be {what}"
            ))),
            false => Ok(()),
        }
    }
}

/// Inputs that the first results are measured on, and then all.
fn stages(depth: Depth, all: usize) -> Vec<usize> {
    let coarse = COARSE_INPUTS.min(all);
    let mut ends = match depth {
        Depth::Coarse => vec![coarse],
        Depth::Partial | Depth::Full => vec![coarse, (all / 2).max(coarse), all],
    };
    ends.dedup();
    ends
}

impl Engine {
    /// As [`Engine::measure`].
    pub(super) fn measure_foreign(
        &self,
        foreign: &Foreign,
        network: &Network,
        (recipe, key): (Recipe, &str),
        depth: Depth,
        observer: &dyn Observer,
    ) -> Result<Measurement> {
        let EvaluationSet::Generated(set) = &self.set else {
            return Err(Error::Compute("there are no inputs for it".to_owned()));
        };
        if let Err(fact) = foreign.config.asked() {
            return Err(Error::Infeasible(format!(
                "its quality is not measured: {fact}"
            )));
        }
        if let Some(fact) = set.lacks() {
            return Err(Error::Infeasible(format!(
                "its quality is not measured: {fact}"
            )));
        }
        let bits = recipe.quantization.activation_bits;
        let mut compressor = lock(&network.compressor);
        let compressed = compressor.compress(&recipe, &|| observer.abandoned())?;
        let profile = foreign.completed(compressed.profile.clone())?;
        let mut state = foreign.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut run = Run {
            foreign,
            set,
            state: &mut state,
            observer,
            are_own: false,
        };
        let mut fidelity = Fidelity::default();
        let mut measured = None;
        let all = set.count();
        for end in stages(depth, all) {
            let first = measured.is_none();
            let last = run.original(end, first)?;
            run.compressed((&compressed, bits), &mut fidelity, last, first)?;
            let is_all = end == all || last < end;
            let measurement = Measurement {
                recipe: recipe.clone(),
                model_hash: self.model.hash.clone(),
                depth: match (first, is_all) {
                    (_, true) => Depth::Full,
                    (true, false) => Depth::Coarse,
                    (false, false) => Depth::Partial,
                },
                quality: fidelity.quality(),
                profile: profile.clone(),
                student: network.note(&recipe, true),
                examples: fidelity.examples().to_vec(),
            };
            let measurement = self.remember(key, measurement);
            if is_all {
                measured = Some(measurement);
                break;
            }
            if depth > Depth::Coarse {
                observer.measured(&measurement);
            }
            measured = Some(measurement);
        }
        compressor.recycle(compressed);
        measured.ok_or(Error::Cancelled)
    }
}

struct Run<'a> {
    foreign: &'a Foreign,
    set: &'a GeneratedSet,
    state: &'a mut State,
    observer: &'a dyn Observer,
    /// Whether the weights that the runner has are this measurement's.
    are_own: bool,
}

impl Run<'_> {
    /// The error where the work is not wanted any more; the first result is finished unless nobody waits for it.
    fn check(&self, first: bool) -> Result<()> {
        match self.observer.abandoned() || !first && self.observer.cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }

    fn runner(&mut self) -> Result<&mut Box<dyn Runner>> {
        if let Some(error) = &self.state.refused {
            return Err(error.clone());
        }
        let network = self.foreign.config.network();
        if self.state.runner.is_none() {
            self.observer.progress("Loading the network", 0.0);
            let bytes = network.buffers.iter().map(|buffer| buffer.len() as u64);
            let limits = Limits {
                memory: ROOM + COPIES * bytes.sum::<u64>(),
                time: PATIENCE,
            };
            let mut runner = runner::start(limits)?;
            let mut loaded = runner.load(&self.network(32)?);
            if loaded.is_err() && !self.state.plain {
                self.state.plain = true;
                loaded = runner.load(&self.network(32)?);
            }
            if let Err(error) = loaded {
                let error = refused(&error);
                self.state.refused = Some(error.clone());
                return Err(error);
            }
            self.state.runner = Some(runner);
            self.state.holds = Holds::Original;
        }
        let runner = self.state.runner.as_mut();
        runner.ok_or_else(|| Error::Compute("there is no runner".to_owned()))
    }

    /// The network with so many bits of activations.
    fn network(&self, bits: u8) -> Result<runner::Network> {
        let config = &self.foreign.config;
        let network = match bits {
            32 => config.network().clone(),
            _ => config.rounded(bits).map_err(Error::Compute)?,
        };
        Ok(runner::Network {
            optimised: !self.state.plain,
            ..network
        })
    }

    /// The original's outputs for the first input, once it is known that putting nodes together does not change them; else
    /// those without that, which all that follow are run without too.
    fn checked(&mut self, outputs: Outputs) -> Result<Outputs> {
        if self.state.plain {
            return Ok(outputs);
        }
        let both = |plain: bool| -> Result<runner::Network> {
            Ok(runner::Network {
                optimised: !plain,
                ..self.network(32)?
            })
        };
        let (one, other) = (both(true)?, both(false)?);
        let plain = match self.runner()?.load(&one) {
            Ok(()) => self.outputs(0).ok(),
            Err(_) => None,
        };
        let differs = plain.filter(|plain| {
            let mut near = Fidelity::default();
            near.add(plain, &outputs).is_err() || near.quality().value < SAME
        });
        if let Some(plain) = differs {
            self.state.plain = true;
            return Ok(plain);
        }
        self.runner()?.load(&other)?;
        Ok(outputs)
    }

    fn outputs(&mut self, item: usize) -> Result<Outputs> {
        let (inputs, names) = (self.set.inputs(item), self.set.outputs().to_vec());
        let outputs = self.runner()?.run(&inputs, &names);
        if outputs.is_err() {
            // What stopped is started again, with the original's weights.
            self.state.runner = None;
        }
        outputs
    }

    /// The original's outputs for the first inputs, up to `end` or as many as there is room for; how many there are.
    fn original(&mut self, end: usize, first: bool) -> Result<usize> {
        let bytes = |outputs: &Outputs| -> usize {
            outputs.iter().map(|array| 4 * array.numbers.len()).sum()
        };
        while self.state.original.len() < end {
            let each = self.state.original.first().map_or(0, bytes);
            let item = self.state.original.len();
            if item >= COARSE_INPUTS.min(2) && each * (item + 1) > MOST_KEPT {
                break;
            }
            self.check(first)?;
            self.observer
                .progress("Measuring the original", item as f64 / end as f64);
            self.runner()?;
            match self.state.holds {
                Holds::Original => {}
                Holds::Other(32) => {
                    let buffers = self.foreign.originals();
                    self.runner()?.replace(buffers)?;
                }
                Holds::Other(_) => {
                    let network = self.network(32)?;
                    self.runner()?.load(&network)?;
                }
            }
            self.state.holds = Holds::Original;
            self.are_own = false;
            let begun = Instant::now();
            let mut outputs = self.outputs(item);
            if item == 0 && begun.elapsed() < SOON {
                outputs = outputs.and_then(|outputs| self.checked(outputs));
            }
            let outputs = outputs.map_err(|error| {
                let error = refused(&error);
                self.state.refused = Some(error.clone());
                error
            })?;
            self.state.original.push(outputs);
        }
        Ok(self.state.original.len().min(end))
    }

    /// Adds the compressed network's outputs up to input `end`.
    fn compressed(
        &mut self,
        (compressed, bits): (&Compressed, u8),
        fidelity: &mut Fidelity,
        end: usize,
        first: bool,
    ) -> Result<()> {
        if fidelity.items() >= end {
            return Ok(());
        }
        self.check(first)?;
        if !self.are_own || self.state.runner.is_none() {
            self.give(compressed, bits)?;
            self.are_own = true;
        }
        for item in fidelity.items()..end {
            self.check(first)?;
            self.observer
                .progress("Measuring quality", item as f64 / end as f64);
            let outputs = self.outputs(item)?;
            fidelity.add(&self.state.original[item], &outputs)?;
        }
        Ok(())
    }

    /// Gives the runner these weights, and the network with so many bits of activations. One that could not take them is
    /// not asked again: what it has is not known.
    fn give(&mut self, compressed: &Compressed, bits: u8) -> Result<()> {
        let given = self.give_all(compressed, bits);
        if given.is_err() {
            self.state.runner = None;
        }
        given
    }

    fn give_all(&mut self, compressed: &Compressed, bits: u8) -> Result<()> {
        let buffers = self.foreign.buffers(compressed)?;
        self.runner()?;
        let held = match self.state.holds {
            Holds::Original => 32,
            Holds::Other(bits) => bits,
        };
        if held != bits {
            let network = self.network(bits)?;
            self.runner()?.load(&network)?;
        }
        self.state.holds = Holds::Other(bits);
        self.runner()?.replace(buffers)
    }
}

/// Why a network cannot be run.
fn refused(error: &Error) -> Error {
    let fact = match error {
        Error::Compute(fact) => fact.clone(),
        other => other.to_string(),
    };
    Error::Infeasible(format!(
        "its quality cannot be measured, since {} does not run it: {fact}",
        runner::LIBRARY
    ))
}

impl Foreign {
    /// The buffers of all layers that are compressed, as the file has them.
    fn originals(&self) -> Vec<(usize, Vec<u8>)> {
        let buffers = &self.config.network().buffers;
        let replaced = self.config.replaced().values();
        let places = replaced.flat_map(|layer| layer.buffers.iter().copied());
        places
            .filter_map(|at| Some((at, buffers.get(at)?.to_vec())))
            .collect()
    }

    /// The same with compressed weights.
    fn buffers(&self, compressed: &Compressed) -> Result<Vec<(usize, Vec<u8>)>> {
        let mut buffers = Vec::new();
        for (layer, replaced) in self.config.replaced() {
            let Some(tensor) = compressed.tensors.get(&format!("{layer}.weight")) else {
                continue;
            };
            let rows = tensor.flatten_all()?.to_vec1::<f32>()?;
            let parts = replaced.scatter(&rows);
            buffers.extend(parts.ok_or_else(|| {
                Error::Compute(format!("the weights of {layer} have another shape"))
            })?);
        }
        Ok(buffers)
    }
}

#[cfg(test)]
mod tests;
