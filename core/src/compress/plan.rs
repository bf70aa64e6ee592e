//! What a recipe would give, from shapes alone: the curves that are drawn over the whole range of a slider before
//! anything is measured.

mod blocks;
mod own;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(super) use self::blocks::BLOCKS_KEY;
pub(super) use self::blocks::untouched;
use super::blocks::{Choice, bytes, keeps_zeros};
use super::layout::{self, CHECKSUM_KEY, Entry, Kept, Matrix, NO_CHECKSUM, Storage, Version};
use super::survey::Survey;
use crate::error::{Error, Result};
use crate::model::{Architecture, Blocks, StoredFormat};
use crate::profile::{Layer, LayerProfile, ModelProfile, Unit};
use crate::recipe::{Pattern, Recipe};
use crate::serving::architecture::Architecture as Network;

/// Everything that the arithmetic of compression needs to know of a model: its layers and the names and shapes of its
/// tensors. A [`super::Compressor`] has one too, so that planned and counted profiles differ in the zeros only.
#[derive(Debug, Clone)]
pub struct Planner {
    model: String,
    unit: Unit,
    layers: Vec<Layer>,
    tensors: Vec<FileTensor>,
    /// The metadata of the file up to the recipe, as JSON.
    metadata: String,
    /// What is known of the weights, by layer.
    survey: Arc<HashMap<String, Survey>>,
    /// The same network as one that is known by its shapes, for what needs only those.
    network: Option<Arc<Network>>,
}

/// Bits of a weight in single and in half precision.
const SINGLE: u8 = 32;
const HALF: u8 = 16;
/// An expected number of groups that is as good as none.
const NO_GROUP: f64 = 1e-3;

/// A tensor in the order in which the file holds them.
#[derive(Debug, Clone)]
pub(super) struct FileTensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// The layer that it belongs to.
    layer: Option<usize>,
    /// The layer whose compressible weight it is.
    pub(super) compressible: Option<usize>,
    /// The format of 16 bits in which the original's file holds it, if any.
    original: Option<StoredFormat>,
    /// The blocks in which the original's file holds it, if any.
    blocks: Option<Blocks>,
}

impl Planner {
    /// Takes what is needed of a model. `tensors` are all names and shapes that the file will hold; the weight tensor of
    /// a layer is called `{layer}.weight`. `architecture` is kept in the file's metadata.
    ///
    /// # Errors
    /// [`Error::Compute`] if a compressible layer has no weight tensor or one of another shape.
    pub fn new(
        model: &str,
        unit: Unit,
        layers: &[Layer],
        tensors: &[(String, Vec<usize>)],
        architecture: &str,
    ) -> Result<Self> {
        let planner = Self::assemble(model, unit, layers, tensors, architecture);
        for (i, layer) in layers.iter().enumerate() {
            if !layer.compressible {
                continue;
            }
            let Some(file) = planner.tensors.iter().find(|f| f.compressible == Some(i)) else {
                return Err(Error::Compute(format!(
                    "layer {0} has no tensor {0}.weight",
                    layer.name
                )));
            };
            if file.shape != layer.shape {
                return Err(Error::Compute(format!(
                    "tensor {} has shape {:?}, its layer expects {:?}",
                    file.name, file.shape, layer.shape
                )));
            }
        }
        Ok(planner)
    }

    fn assemble(
        model: &str,
        unit: Unit,
        layers: &[Layer],
        tensors: &[(String, Vec<usize>)],
        architecture: &str,
    ) -> Self {
        let tensors = tensors
            .iter()
            .map(|(name, shape)| FileTensor {
                layer: owner(layers, name),
                compressible: name
                    .strip_suffix(".weight")
                    .and_then(|prefix| layers.iter().position(|l| l.name == prefix))
                    .filter(|&i| layers[i].compressible),
                name: name.clone(),
                shape: shape.clone(),
                original: None,
                blocks: None,
            })
            .collect();
        let mut metadata = String::new();
        for (key, value) in [
            ("format", "wattif"),
            (layout::VERSION_KEY, Version::WRITTEN),
            ("wattif.model", model),
            (Architecture::METADATA_KEY, architecture),
        ] {
            layout::push_string(&mut metadata, key);
            metadata.push(':');
            layout::push_string(&mut metadata, value);
            metadata.push(',');
        }
        Self {
            model: model.to_owned(),
            unit,
            layers: layers.to_vec(),
            tensors,
            metadata,
            survey: Arc::default(),
            network: None,
        }
    }

    /// The layers in the order in which they run.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The same for a model whose file holds some tensors in 16 bits: what a recipe leaves as it is stays as narrow, in the
    /// original, in what is planned and in what is written.
    #[must_use]
    pub fn stored_in(mut self, formats: &BTreeMap<String, StoredFormat>) -> Self {
        for tensor in &mut self.tensors {
            tensor.original = formats.get(&tensor.name).copied();
        }
        self
    }

    /// The same with the network's shapes, which profiles then carry: how it is served is predicted from those.
    #[must_use]
    pub fn shaped_like(mut self, network: Option<Network>) -> Self {
        self.network = network.map(Arc::new);
        self
    }

    /// The same for a network whose layers of the same name hold weights that are spread like those of `other`: of a
    /// student, say, that is not trained yet.
    #[must_use]
    pub fn informed_by(mut self, other: &Self) -> Self {
        self.survey = Arc::clone(&other.survey);
        self
    }

    pub(super) fn with_survey(mut self, survey: HashMap<String, Survey>) -> Self {
        self.survey = Arc::new(survey);
        self
    }

    /// The profile that a valid recipe leads to, without touching a weight; microseconds.
    ///
    /// From shapes alone the zeros are those of pruning. With layer scope and with 2:4 their number is exact; with global
    /// scope the same fraction is taken in each layer, which is right in total but not layer by layer. Weights that are
    /// zero already and those that rounding to 2 to 8 bits makes zero are not known: nonzero weights are an upper bound
    /// there, and exactly what [`super::Compressor::compress`] gives otherwise. Of the groups of weights that share a scale
    /// as many count as empty as would be if the pruned weights were spread by chance: where rows differ in size, more
    /// are, and stored bytes err upwards.
    ///
    /// After a [`super::Compressor::survey`] those zeros are counted too: exactly without pruning and with 2:4 (sampled
    /// in layers of more than 131,072 weights), as an upper bound where unstructured pruning and rounding meet. With
    /// global scope each layer then loses what the threshold takes of it, to a fraction of a percent; empty are the groups
    /// whose largest weight it takes.
    pub fn plan(&self, recipe: &Recipe) -> ModelProfile {
        let recipe = recipe.canonical();
        let formats = self.formats(&recipe);
        let choice = |layer: usize| formats.get(layer).copied().flatten();
        let common = self.common(&recipe);
        let kept: Vec<Kept> = self
            .layers
            .iter()
            .enumerate()
            .map(|(i, layer)| self.kept(&recipe.of_layer(&layer.name), layer, choice(i), common))
            .collect();
        self.profile(&recipe, &kept)
    }

    /// What the recipe of a layer is expected to leave of its weights; `common` is the magnitude where those that are cut
    /// together are cut.
    fn kept(
        &self,
        recipe: &Recipe,
        layer: &Layer,
        choice: Option<Choice>,
        common: Option<f64>,
    ) -> Kept {
        if !layer.compressible {
            return Kept {
                nonzero: layer.weights(),
                scales: 0,
            };
        }
        let matrix = Matrix::of(&layer.shape);
        let group = matrix.group(recipe.quantization.group);
        let pruned = pruned(recipe, matrix);
        if choice.is_some_and(|choice| !keeps_zeros(choice.format)) {
            // Zeros become steps from the least weight of their group; few of these are zero.
            return Kept {
                nonzero: layer.weights(),
                scales: 0,
            };
        }
        let (zeros, empty) = match self.survey.get(&layer.name) {
            Some(survey) => (
                survey.zeros(recipe, matrix, pruned, common),
                survey.empty(recipe, common) * matrix.groups(group) as f64,
            ),
            None => (pruned, empty_by_chance(recipe, matrix, group, pruned)),
        };
        let nonzero = layer.weights() - zeros;
        let scales = if recipe.quantization.weight_bits <= 8 {
            let filled = (matrix.groups(group) as u64).saturating_sub(empty.round() as u64);
            // A group that has a scale holds between one weight and as many as fit into it.
            filled.clamp(nonzero.div_ceil(group as u64), nonzero)
        } else {
            0
        };
        Kept { nonzero, scales }
    }

    /// The profile of a recipe once it is known what it leaves of each layer.
    pub(super) fn profile(&self, recipe: &Recipe, kept: &[Kept]) -> ModelProfile {
        let entries = self.entries(recipe, kept);
        let metadata = self.metadata(recipe);
        let header = layout::header(&metadata, &entries);
        let mut header_bytes = (size_of::<u64>() + header.len()) as u64;
        let mut stored = vec![0; self.layers.len()];
        let mut widths = vec![SINGLE; self.layers.len()];
        // Bits and parameters outside the weight tensors.
        let mut others = vec![(0, 0); self.layers.len()];
        for (file, entry) in self.tensors.iter().zip(&entries) {
            let Some(layer) = file.layer else {
                header_bytes += entry.bytes;
                continue;
            };
            stored[layer] += entry.bytes;
            let Layer { name, shape, .. } = &self.layers[layer];
            let of_weights = file.name.strip_suffix(".weight") == Some(name.as_str());
            if of_weights && !shape.is_empty() {
                if file.original.is_some() {
                    widths[layer] = HALF;
                }
            } else {
                others[layer].0 += 8 * entry.bytes;
                others[layer].1 += file.shape.iter().product::<usize>() as u64;
            }
        }
        let formats = self.formats(recipe);
        let choice = |layer: usize| formats.get(layer).copied().flatten();
        let layers = self
            .layers
            .iter()
            .enumerate()
            .zip(kept.iter().zip(stored))
            .zip(widths.into_iter().zip(others))
            .map(
                |(((i, layer), (&kept, stored_bytes)), (width, others))| LayerProfile {
                    nonzero: kept.nonzero,
                    // What enters the other layers is not rounded either: see `Architecture::forward`.
                    weight_bits: match self.held(recipe, i, choice(i)) {
                        _ if !layer.compressible => width,
                        Some((bits, _)) => bits,
                        None => self.bits_of(recipe, i).min(width),
                    },
                    other_bits: match others {
                        (_, 0) => f64::from(SINGLE),
                        (bits, parameters) => bits as f64 / parameters as f64,
                    },
                    activation_bits: if layer.compressible {
                        recipe.quantization.activation_bits
                    } else {
                        32
                    },
                    pattern: pattern(&recipe.of_layer(&layer.name), layer)
                        .filter(|_| choice(i).is_none_or(|choice| keeps_zeros(choice.format))),
                    scales: match self.held(recipe, i, choice(i)) {
                        // Whatever is not codes, in numbers of 16 bits.
                        Some((bits, bytes)) => {
                            let codes = layer.weights() * u64::from(bits);
                            (8 * bytes).saturating_sub(codes) / 16
                        }
                        None => kept.scales,
                    },
                    stored_bytes,
                    layer: layer.clone(),
                },
            )
            .collect();
        ModelProfile {
            model: self.model.clone(),
            unit: self.unit,
            layers,
            header_bytes,
            network: self.network.clone(),
            spiking: None,
        }
    }

    /// The tensors in the order of the file.
    pub(super) fn tensors(&self) -> &[FileTensor] {
        &self.tensors
    }

    /// How each tensor is stored, in the order of the file.
    pub(super) fn entries(&self, recipe: &Recipe, kept: &[Kept]) -> Vec<Entry<'_>> {
        let formats = self.formats(recipe);
        self.tensors
            .iter()
            .map(|file| {
                let choice = |layer: usize| formats.get(layer).copied().flatten();
                let (storage, bytes) = match file.compressible {
                    None => {
                        let elements = file.shape.iter().product::<usize>() as u64;
                        match file.original {
                            None => (Storage::Single, 4 * elements),
                            Some(format) => (Storage::Half(format), 2 * elements),
                        }
                    }
                    Some(i) if file.blocks.is_some() && untouched(&self.recipe_of(recipe, i)) => {
                        let bytes = file.blocks.as_ref().map_or(0, |blocks| blocks.bytes);
                        (Storage::Blocks, bytes)
                    }
                    Some(i) if let Some(Choice { format, .. }) = choice(i) => {
                        let elements = file.shape.iter().product::<usize>() as u64;
                        let storage = match format.bits_of_codes() {
                            Some(_) => Storage::Coded,
                            None => Storage::Half(StoredFormat::Half),
                        };
                        (storage, bytes(format, elements))
                    }
                    Some(i) => self.contents(recipe, i, kept[i]).smallest(),
                };
                Entry {
                    name: &file.name,
                    shape: &file.shape,
                    storage,
                    bytes,
                }
            })
            .collect()
    }

    fn file_of(&self, layer: usize) -> Option<&FileTensor> {
        let mut files = self.tensors.iter();
        files.find(|file| file.compressible == Some(layer))
    }

    /// The inside of the `__metadata__` object, with room for a checksum.
    pub(super) fn metadata(&self, recipe: &Recipe) -> String {
        let mut metadata = self.metadata.clone();
        self.say_blocks(recipe, &mut metadata);
        metadata.push_str("\"wattif.recipe\":");
        // A recipe of numbers and unit variants always has a JSON text.
        layout::push_string(
            &mut metadata,
            &serde_json::to_string(recipe).unwrap_or_default(),
        );
        metadata.push(',');
        layout::push_string(&mut metadata, CHECKSUM_KEY);
        metadata.push(':');
        layout::push_string(&mut metadata, NO_CHECKSUM);
        metadata
    }
}

/// The profile of a recipe when only the layers of a model are known, not the names of its tensors: each layer counts as
/// one weight tensor and one of all other parameters. Otherwise as [`Planner::plan`].
pub fn plan(model: &str, unit: Unit, layers: &[Layer], recipe: &Recipe) -> ModelProfile {
    let mut tensors = Vec::new();
    for layer in layers {
        if layer.weights() > 0 {
            tensors.push((format!("{}.weight", layer.name), layer.shape.clone()));
        }
        if layer.other_parameters > 0 {
            let shape = vec![usize::try_from(layer.other_parameters).unwrap_or(usize::MAX)];
            tensors.push((format!("{}.bias", layer.name), shape));
        }
    }
    Planner::assemble(model, unit, layers, &tensors, "").plan(recipe)
}

/// The layer with the longest name that is a dotted prefix of a tensor's name.
fn owner(layers: &[Layer], tensor: &str) -> Option<usize> {
    layers
        .iter()
        .enumerate()
        .filter(|(_, layer)| {
            tensor
                .strip_prefix(layer.name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        .max_by_key(|(_, layer)| layer.name.len())
        .map(|(i, _)| i)
}

/// Weights of a matrix that pruning sets to zero.
pub(super) fn pruned(recipe: &Recipe, matrix: Matrix) -> u64 {
    if recipe.pruning.sparsity == 0.0 {
        return 0;
    }
    match recipe.pruning.pattern {
        Pattern::Unstructured => fraction(recipe.pruning.sparsity, matrix.len() as u64),
        Pattern::TwoOfFour => {
            // A last group of one or two fits as it is; one of three loses its smallest.
            let rest = usize::from(matrix.fan_in % 4 == 3);
            (matrix.rows * (matrix.fan_in / 4 * 2 + rest)) as u64
        }
    }
}

/// The whole number of weights that a sparsity means.
pub(super) fn fraction(sparsity: f64, weights: u64) -> u64 {
    (sparsity * weights as f64).round() as u64
}

/// Groups without a weight that are to be expected where pruning hits weights by chance. Two of four leave some in each.
fn empty_by_chance(recipe: &Recipe, matrix: Matrix, group: usize, zeros: u64) -> f64 {
    if recipe.pruning.pattern == Pattern::TwoOfFour {
        return 0.0;
    }
    let (weights, zeros) = (matrix.len() as f64, zeros as f64);
    let groups = |per_row: usize| (matrix.rows * per_row) as f64;
    // All weights of a group are among the zeros: one after the other is drawn.
    let empty = |size: usize, groups: f64| {
        let mut expected = groups;
        for drawn in (0..size).map(|drawn| drawn as f64) {
            expected *= (zeros - drawn).max(0.0) / (weights - drawn);
            if expected < NO_GROUP {
                return 0.0;
            }
        }
        expected
    };
    let rest = matrix.fan_in % group;
    empty(group, groups(matrix.fan_in / group)) + empty(rest, groups(usize::from(rest > 0)))
}

/// The pattern of the zeros that a recipe puts into a layer. Rows of one or two weights have no four to take two from.
pub(super) fn pattern(recipe: &Recipe, layer: &Layer) -> Option<Pattern> {
    if !layer.compressible || recipe.pruning.sparsity == 0.0 {
        return None;
    }
    match recipe.pruning.pattern {
        Pattern::TwoOfFour if layer.fan_in() < 3 => None,
        pattern => Some(pattern),
    }
}
