//! Compression of weights: [`plan`](Planner::plan) says from shapes alone what a recipe would give, a [`Compressor`]
//! really does it, [`Compressor::export`] writes the packed file whose size both state, and [`unpack`] reads it back.
//! Distillation, which chooses the network before its weights are compressed, is apart.

mod blocks;
pub mod distill;
mod fuse;
mod ggml;
mod layout;
mod pack;
mod plan;
mod prune;
mod quantize;
mod survey;
#[cfg(test)]
mod tests;
mod unpack;

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
use crate::recipe::{Pattern, Pruning, Quantization, Recipe, Scope};

pub use self::blocks::{BlockTensor, LayerFormat, layer_formats};
pub(crate) use self::layout::{CHECKSUM_KEY, VERSION_KEY, Version};
pub use self::plan::{Planner, plan};
pub(crate) use self::unpack::unpack_bytes;
pub use self::unpack::{Unpacked, unpack};

/// A model's weights with everything that makes compressing them again quick: magnitude histograms, the last threshold,
/// buffers.
#[derive(Debug)]
pub struct Compressor {
    planner: Planner,
    originals: Tensors,
    /// The compressible weights by layer.
    weights: BTreeMap<usize, Weights>,
    /// The cuts of the last pruning that compared magnitudes.
    cuts: Option<(Pruning, Vec<Cut>)>,
}

/// A compressible weight tensor.
#[derive(Debug)]
struct Weights {
    name: String,
    tensor: Tensor,
    matrix: Matrix,
    /// Weights that are not zero in the original.
    nonzero: u64,
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
    /// Takes a model's tensors (shared, not copied).
    ///
    /// # Errors
    /// [`Error::Compute`] if a weight tensor is not a contiguous single precision tensor of its layer's shape on the CPU
    /// or holds a number that is not finite.
    pub fn new(planner: Planner, tensors: &Tensors) -> Result<Self> {
        let mut weights = BTreeMap::new();
        for file in planner.tensors() {
            let Some(tensor) = tensors.get(&file.name) else {
                return Err(Error::Compute(format!("tensor {} is missing", file.name)));
            };
            if tensor.dims() != file.shape || tensor.dtype() != DType::F32 {
                return Err(Error::Compute(format!(
                    "tensor {} is {:?} {:?}, expected F32 {:?}",
                    file.name,
                    tensor.dtype(),
                    tensor.dims(),
                    file.shape
                )));
            }
            let Some(layer) = file.compressible else {
                continue;
            };
            let nonzero = with_numbers(tensor, |weights| {
                fuse::check(weights).ok_or_else(|| {
                    Error::Compute(format!(
                        "tensor {} holds a number that is not finite",
                        file.name
                    ))
                })
            })??;
            let state = Weights {
                name: file.name.clone(),
                tensor: tensor.clone(),
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
            originals: tensors.clone(),
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
        self.count_magnitudes(&|| false)?;
        let mut surveys = Vec::with_capacity(self.weights.len());
        for weights in self.weights.values() {
            surveys.push(with_numbers(&weights.tensor, |numbers| {
                Survey::of(numbers, weights.matrix, weights.nonzero)
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
        let cuts = self.cuts(recipe.pruning, cancelled)?;
        let mut tensors = self.originals.clone();
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
            let pruning = match (recipe.pruning.sparsity == 0.0, recipe.pruning.pattern) {
                (true, _) => Prune::None,
                (_, Pattern::TwoOfFour) => Prune::TwoOfFour,
                (_, Pattern::Unstructured) => Prune::Cut(cuts[i]),
            };
            let quantization = Quantization {
                weight_bits: self.planner.bits_of(&recipe, layer),
                ..recipe.quantization
            };
            let format = formats.get(layer).copied().flatten();
            let Some(tensor) =
                weights.run(pruning, quantization, format.is_some(), &mut kept[layer])?
            else {
                continue;
            };
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
                tensor.id() != weights.tensor.id() && tensor.dims() == weights.tensor.dims()
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
        blocks::check(&recipe)?;
        let mut compressed = self.compress(&recipe, &|| false)?;
        if recipe.quantization.blocks.is_none() {
            for weights in self.weights.values() {
                let tensor = &compressed.tensors[&weights.name];
                let halves = with_numbers(&tensor.contiguous()?, blocks::halves)?;
                compressed.blocks.insert(weights.name.clone(), halves);
            }
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
            return Err(Error::Infeasible(
                "this recipe leaves the weights as the original's file holds them; there is nothing to export"
                    .to_owned(),
            ));
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

    /// Makes the histograms that are missing.
    fn count_magnitudes(&mut self, cancelled: &dyn Fn() -> bool) -> Result<()> {
        for weights in self.weights.values_mut() {
            if weights.histogram.is_none() {
                if cancelled() {
                    return Err(Error::Cancelled);
                }
                weights.histogram = Some(with_numbers(&weights.tensor, Histogram::of)?);
            }
        }
        Ok(())
    }

    /// The cuts of each compressible layer, in order; empty where magnitudes are not compared.
    fn cuts(&mut self, pruning: Pruning, cancelled: &dyn Fn() -> bool) -> Result<Vec<Cut>> {
        if pruning.sparsity == 0.0 || pruning.pattern == Pattern::TwoOfFour {
            return Ok(Vec::new());
        }
        if let Some((last, cuts)) = &self.cuts
            && *last == pruning
        {
            return Ok(cuts.clone());
        }
        self.count_magnitudes(cancelled)?;
        let all: Vec<&Weights> = self.weights.values().collect();
        let cuts = match pruning.scope {
            Scope::Layer => {
                let mut cuts = Vec::with_capacity(all.len());
                for weights in all {
                    if cancelled() {
                        return Err(Error::Cancelled);
                    }
                    let n = weights.matrix.len() as u64;
                    cuts.extend(cuts_of(&[weights], plan::fraction(pruning.sparsity, n))?);
                }
                cuts
            }
            Scope::Global => {
                let n = all.iter().map(|w| w.matrix.len() as u64).sum();
                cuts_of(&all, plan::fraction(pruning.sparsity, n))?
            }
        };
        self.cuts = Some((pruning, cuts.clone()));
        Ok(cuts)
    }
}

impl Weights {
    /// The compressed tensor and, in `kept`, what is left of its weights; `None` if it is the original, which is never
    /// given where it is to be `written` on.
    fn run(
        &mut self,
        prune: Prune,
        quantization: Quantization,
        written: bool,
        kept: &mut Kept,
    ) -> Result<Option<Tensor>> {
        let bits = quantization.weight_bits;
        if matches!(prune, Prune::None) && bits == 32 && !written {
            kept.nonzero = self.nonzero;
            self.scales.clear();
            return Ok(None);
        }
        let out = match self.spare.take() {
            Some(tensor) => tensor,
            None => Tensor::zeros(self.tensor.dims(), DType::F32, &Device::Cpu)?,
        };
        let scales = std::mem::take(&mut self.scales);
        let job = fuse::Job {
            matrix: self.matrix,
            prune,
            bits,
            group: self.matrix.group(quantization.group),
        };
        (*kept, self.scales) = job.run(&self.tensor, &out, scales)?;
        Ok(Some(out))
    }
}

/// The cuts that take the smallest weights of these layers.
fn cuts_of(layers: &[&Weights], zeros: u64) -> Result<Vec<Cut>> {
    let guards: Vec<_> = layers
        .iter()
        .map(|w| w.tensor.storage_and_layout())
        .collect();
    let mut pairs = Vec::with_capacity(layers.len());
    for (weights, (storage, layout)) in layers.iter().zip(&guards) {
        if let Some(histogram) = &weights.histogram {
            pairs.push((fuse::numbers(storage, layout)?, histogram));
        }
    }
    Ok(prune::cuts(&pairs, zeros))
}

/// Calls a function with the numbers of a tensor.
fn with_numbers<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    Ok(f(fuse::numbers(&storage, layout)?))
}
