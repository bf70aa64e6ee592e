//! Compression of weights: [`plan`](Planner::plan) says from shapes alone what a recipe would give, a [`Compressor`]
//! really does it, [`Compressor::export`] writes the packed file whose size both state, and [`unpack`] reads it back.
//! Distillation, which chooses the network before its weights are compressed, is apart.

mod blocks;
mod cuts;
pub mod distill;
mod fuse;
mod ggml;
mod layout;
mod on_demand;
mod originals;
mod pack;
mod plan;
mod prune;
mod quantize;
mod survey;
#[cfg(test)]
mod tests;
mod unpack;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use half::f16;

use self::fuse::Prune;
use self::layout::{Kept, Matrix};
use self::prune::{Cut, Histogram};
use self::survey::Survey;
use crate::error::{Error, Result};
use crate::model::Tensors;
use crate::profile::{Layer, ModelProfile};
use crate::recipe::{Pattern, Quantization, Recipe};
use crate::weights::BlockTensor;

pub use self::blocks::{LayerFormat, layer_formats};
pub(crate) use self::layout::{CHECKSUM_KEY, VERSION_KEY, Version};
pub use self::on_demand::{Grid, LayerError, LayerLook, Looks};
pub(crate) use self::on_demand::{Looking, OnDemand};
pub use self::originals::Originals;
pub use self::plan::{Planner, plan};
pub(crate) use self::unpack::unpack_bytes;
pub use self::unpack::{Unpacked, unpack};

/// A model's weights with everything that makes compressing them again quick: magnitude histograms, the last threshold,
/// buffers.
#[derive(Debug)]
pub struct Compressor {
    planner: Planner,
    originals: Originals,
    /// The compressible weights by layer.
    weights: BTreeMap<usize, Weights>,
    /// The cuts of the last pruning that compared magnitudes.
    cuts: Option<cuts::Cuts>,
}

/// A compressible weight tensor.
#[derive(Debug)]
struct Weights {
    name: String,
    matrix: Matrix,
    /// Weights that are not zero in the original; not known of a file before they were read once.
    nonzero: Option<u64>,
    histogram: Option<Histogram>,
    /// A tensor given back, to be written again.
    spare: Option<Tensor>,
    /// The scales of the last compression, zero where a group is empty.
    scales: Vec<f16>,
}

/// Compressed weights.
#[derive(Debug, Clone)]
pub struct Compressed {
    /// All tensors of the model, single precision, rounded to what the recipe leaves of them: ready to run. Tensors that
    /// the recipe does not touch are shared with the original.
    pub tensors: Tensors,
    /// The codes of the compressible tensors by name, where the recipe asks for blocks.
    pub blocks: BTreeMap<String, BlockTensor>,
    /// The layers with their zeros counted and the bytes that [`Compressor::export`] would write.
    pub profile: ModelProfile,
}

impl Compressor {
    /// Takes a model's tensors (shared, not copied), or the file that they are read from whenever they are needed.
    ///
    /// # Errors
    /// [`Error::Compute`] if a tensor is missing or of another shape than its layer, or one that is held is not contiguous
    /// single precision on the CPU or holds a number that is not finite. Of a file the numbers are checked when they are
    /// read.
    pub fn new(planner: Planner, originals: impl Into<Originals>) -> Result<Self> {
        let originals = originals.into();
        let mut weights = BTreeMap::new();
        for file in planner.tensors() {
            originals.check(&file.name, &file.shape)?;
            let Some(layer) = file.compressible else {
                continue;
            };
            let nonzero = match originals.are_held() {
                true => Some(originals.nonzero(&file.name)?),
                false => None,
            };
            let state = Weights {
                name: file.name.clone(),
                matrix: Matrix::of(&file.shape),
                nonzero,
                histogram: None,
                spare: None,
                scales: Vec::new(),
            };
            weights.insert(layer, state);
        }
        Ok(Self {
            planner,
            originals,
            weights,
            cuts: None,
        })
    }

    /// The arithmetic of the same model.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// The arithmetic of the same model with what its weights tell about their zeros counted beforehand, so that plans run
    /// where compression will arrive; see [`Planner::plan`]. Takes about as long as ten compressions.
    ///
    /// # Errors
    /// [`Error::Compute`] if the weights cannot be read.
    pub fn survey(&mut self) -> Result<Planner> {
        let mut surveys = Vec::with_capacity(self.weights.len());
        for weights in self.weights.values_mut() {
            let name = weights.name.clone();
            surveys.push(self.originals.with(&name, |numbers| {
                let nonzero = weights.count(numbers);
                Survey::of(numbers, weights.matrix, nonzero)
            })?);
        }
        let mut pairs: Vec<_> = surveys
            .iter_mut()
            .zip(self.weights.values())
            .filter_map(|(survey, weights)| Some((survey, weights.histogram.as_ref()?)))
            .collect();
        survey::spread(&mut pairs);
        let names = self
            .weights
            .keys()
            .map(|&layer| self.planner.layers()[layer].name.clone());
        let surveys = names.zip(surveys).collect();
        Ok(self.planner.clone().with_survey(surveys))
    }

    /// Prunes and quantises the original weights. The recipe's distillation is not looked at: this is the network that it
    /// chose. `cancelled` is asked between layers.
    ///
    /// # Errors
    /// [`Error::Recipe`] for an invalid recipe, [`Error::Cancelled`] when asked to stop.
    pub fn compress(
        &mut self,
        recipe: &Recipe,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Compressed> {
        recipe.validate()?;
        let recipe = recipe.canonical();
        let cuts = self.cuts(&recipe, cancelled)?;
        let mut tensors = self.originals.tensors(&self.planner)?;
        let untouched = |layer: &Layer| Kept {
            nonzero: layer.weights(),
            scales: 0,
        };
        let mut kept: Vec<Kept> = self.planner.layers().iter().map(untouched).collect();
        let formats = self.planner.formats(&recipe);
        let mut blocks = BTreeMap::new();
        for (i, (&layer, weights)) in self.weights.iter_mut().enumerate() {
            if cancelled() {
                return Err(Error::Cancelled);
            }
            let own = self.planner.recipe_of(&recipe, layer);
            let pruning = pruning_of(&own, cuts.get(i).copied());
            let quantization = Quantization {
                weight_bits: self.planner.bits_of(&recipe, layer),
                ..own.quantization
            };
            let format = formats.get(layer).copied().flatten();
            let original = self.originals.tensor(&weights.name)?;
            let written = format.is_some();
            let new = weights.run(&original, pruning, quantization, written, &mut kept[layer])?;
            let tensor = new.unwrap_or(original);
            if let Some(choice) = format {
                let (nonzero, coded) = blocks::round(&tensor, choice.format)?;
                kept[layer].nonzero = nonzero;
                blocks.insert(weights.name.clone(), coded);
            }
            tensors.insert(weights.name.clone(), tensor);
        }
        let profile = self.planner.profile(&recipe, &kept);
        Ok(Compressed {
            tensors,
            blocks,
            profile,
        })
    }

    /// Gives compressed weights back, so that the next compression writes over them instead of asking for fresh memory.
    /// Clones of its tensors change with them: give back only what nobody else keeps.
    pub fn recycle(&mut self, compressed: Compressed) {
        let mut tensors = compressed.tensors;
        for weights in self.weights.values_mut() {
            let spare = tensors.remove(&weights.name);
            weights.spare = spare.filter(|tensor| {
                !self.originals.has(tensor, &weights.name)
                    && tensor.elem_count() == weights.matrix.len()
            });
        }
    }

    /// Compresses, and gives the weights as a file of llama.cpp can hold them: in the blocks that the recipe asks for, or in
    /// half precision.
    ///
    /// # Errors
    /// As [`Self::compress`]; [`Error::Infeasible`] where such a file cannot hold what the recipe asks for, with the
    /// nearest format that it can.
    pub fn in_blocks(&mut self, recipe: &Recipe) -> Result<Compressed> {
        let recipe = recipe.canonical();
        let own: Vec<_> = self
            .weights
            .keys()
            .map(|&layer| self.planner.recipe_of(&recipe, layer))
            .collect();
        let is_changed = |own: &&Cow<'_, Recipe>| !plan::untouched(own);
        let changed: Vec<_> = own.iter().filter(is_changed).collect();
        // Where nothing is changed there is nothing to write.
        for recipe in if changed.is_empty() {
            own.iter().collect()
        } else {
            changed
        } {
            blocks::check(recipe)?;
        }
        let mut compressed = self.compress(&recipe, &|| false)?;
        for (weights, own) in self.weights.values().zip(&own) {
            let in_blocks = compressed.blocks.contains_key(&weights.name);
            let halves = own.quantization.blocks.is_none();
            if in_blocks || plan::untouched(own) || !(halves || own.pruning.sparsity > 0.0) {
                continue;
            }
            let numbers = compressed.tensors[&weights.name].contiguous()?;
            // What no block holds is written as it was measured.
            let as_stored = if halves {
                blocks::halves
            } else {
                blocks::singles
            };
            let stored = with_numbers(&numbers, as_stored)?;
            compressed.blocks.insert(weights.name.clone(), stored);
        }
        Ok(compressed)
    }

    /// Compresses and writes the packed file, completely or not at all. Returns its bytes, which are those that the
    /// profile states.
    ///
    /// # Errors
    /// As [`Self::compress`], and [`Error::File`] if the file cannot be written.
    pub fn export(&mut self, recipe: &Recipe, path: &Path) -> Result<u64> {
        if self.planner.leaves_blocks(&recipe.canonical()) {
            return Err(Error::Infeasible(match recipe.layers.is_empty() {
                true => "this recipe leaves the weights as the original's file holds them; there is nothing to export",
                false => "this recipe leaves some weights in the blocks of the original's file, which only a GGUF holds: give \
                          all layers bits or a format",
            }
            .to_owned()));
        }
        let compressed = self.compress(recipe, &|| false)?;
        let scales = self
            .weights
            .iter()
            .map(|(&layer, weights)| (layer, weights.scales.as_slice()))
            .collect();
        pack::write(
            &self.planner,
            &recipe.canonical(),
            &compressed,
            &scales,
            path,
        )
    }
}

/// What pruning does to a layer with this cut.
fn pruning_of(recipe: &Recipe, cut: Option<Cut>) -> Prune {
    match (recipe.pruning.pattern, cut) {
        _ if recipe.pruning.sparsity == 0.0 => Prune::None,
        (Pattern::TwoOfFour, _) => Prune::TwoOfFour,
        (Pattern::Unstructured, cut) => Prune::Cut(cut.unwrap_or(Cut::NONE)),
    }
}

impl Weights {
    /// Counts what is not counted yet; the numbers that are not zero.
    fn count(&mut self, numbers: &[f32]) -> u64 {
        if self.histogram.is_none() {
            self.histogram = Some(Histogram::of(numbers));
        }
        *self
            .nonzero
            .get_or_insert_with(|| numbers.iter().filter(|&&number| number != 0.0).count() as u64)
    }

    /// The compressed tensor and, in `kept`, what is left of its weights; `None` if it is the original, which is never
    /// given where it is to be `written` on.
    fn run(
        &mut self,
        original: &Tensor,
        prune: Prune,
        quantization: Quantization,
        written: bool,
        kept: &mut Kept,
    ) -> Result<Option<Tensor>> {
        let bits = quantization.weight_bits;
        if matches!(prune, Prune::None) && bits == 32 && !written {
            if self.nonzero.is_none() {
                self.nonzero = with_numbers(original, fuse::check)?;
            }
            kept.nonzero = self.nonzero.unwrap_or(kept.nonzero);
            self.scales.clear();
            return Ok(None);
        }
        let out = match self.spare.take() {
            Some(tensor) => tensor,
            None => Tensor::zeros(original.dims(), DType::F32, &Device::Cpu)?,
        };
        let scales = std::mem::take(&mut self.scales);
        let job = fuse::Job {
            matrix: self.matrix,
            prune,
            bits,
            group: self.matrix.group(quantization.group),
        };
        (*kept, self.scales) = job.run(original, &out, scales)?;
        Ok(Some(out))
    }
}

/// Calls a function with the numbers of a tensor.
fn with_numbers<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    Ok(f(fuse::numbers(&storage, layout)?))
}
