//! Weights of a network that is not known: the matrices and kernels of a file by the names of its tensors. How near they
//! stay to themselves under a recipe can be told; what the network answers, and what it takes to run, cannot.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{ORIGINAL, Outline, Variant, tensors};
use crate::compress::{Compressor, Looking, Looks, Originals, Planner};
use crate::error::{Error, Result};
use crate::formats;
use crate::graph::Graph;
use crate::model::ModelReference;
use crate::profile::{Layer, LayerKind, ModelProfile, Unit};
use crate::recipe::Recipe;
use crate::serving::Listed;
use crate::serving::architecture::{Architecture, Shape};
use crate::weights::{self, Chosen, Source, StoredFormat, TensorInfo};

/// What is said of every such network.
const UNKNOWN: &str = "named tensors of an unknown architecture";
/// Parameters of the largest network that is looked at beside its shapes.
const MOST_PARAMETERS: f64 = 1.5e9;
/// The layer of what is neither pruned nor rounded.
const OTHERS: &str = "vectors and numbers";

/// The weights of a network that is not known.
#[derive(Debug)]
pub(super) struct NamedWeights {
    pub(super) network: Architecture,
    pub(super) layers: Vec<Layer>,
    /// The matrices under the names of layers.
    source: Arc<dyn Source>,
    /// What recipes lead to, by shapes.
    planner: Planner,
    /// The same once the weights were looked at, with the zeros that pruning and rounding make of them.
    surveyed: OnceLock<Planner>,
    looking: Mutex<Option<Looking>>,
}

/// Opens the tensors of a file whose network is not known.
///
/// # Errors
/// [`Error::File`] where it cannot be read or none of its tensors is a matrix.
pub(super) fn open(path: &Path) -> Result<NamedWeights> {
    let (source, mut notes): (Box<dyn Source>, Vec<String>) = match formats::arrays::open(path) {
        Some(arrays) => {
            let arrays = arrays?;
            let notes = arrays.notes.clone();
            (Box::new(arrays), notes)
        }
        None => (weights::open(path)?, Vec::new()),
    };
    let sorted = Sorted::of(source.as_ref());
    if sorted.matrices.is_empty() {
        return Err(Error::file(
            "none of its tensors is a matrix of numbers that can be rounded",
            path,
        ));
    }
    notes.extend(sorted.notes());
    let infos = source.tensors();
    let parameters = sorted.parameters(infos);
    let bits = sorted.width(infos);
    let mut layers: Vec<Layer> = sorted
        .matrices
        .iter()
        .map(|(at, name)| layer(name, &infos[*at].shape))
        .collect();
    if sorted.others > 0 {
        layers.push(Layer {
            name: OTHERS.to_owned(),
            kind: LayerKind::Elementwise,
            shape: Vec::new(),
            other_parameters: sorted.others,
            compressible: false,
            ..layer("", &[])
        });
    }
    let network = Architecture {
        id: tensors::name(path),
        names: Vec::new(),
        family: "unknown".to_owned(),
        source: format!("{}: {} named tensors", path.display(), infos.len()),
        parameters: parameters as f64,
        weight_bits: Some(bits),
        expert_bits: None,
        formats: None,
        notes,
        summed: Default::default(),
        context_limit: None,
        shape: Shape::Listed(Arc::new(Listed {
            graph: Graph {
                unit: Unit::Sample,
                positions: 1,
                blocks: 0,
                nodes: Vec::new(),
                input: None,
            },
            stored: Vec::new(),
            activation_bits: 32,
            other_bits: bits.max(16),
            family: UNKNOWN,
        })),
    };
    let chosen = sorted
        .matrices
        .into_iter()
        .map(|(at, name)| (at, format!("{name}.weight")))
        .collect();
    let source: Arc<dyn Source> = Arc::new(Chosen::new(source, chosen));
    let shapes: Vec<(String, Vec<usize>)> = source
        .tensors()
        .iter()
        .map(|info| (info.name.clone(), info.shape.clone()))
        .collect();
    let (stored, blocks) = formats::stored_formats(source.as_ref());
    let planner = Planner::new(&network.id, Unit::Sample, &layers, &shapes, "")?
        .stored_in(&stored)
        .in_blocks(&blocks);
    Ok(NamedWeights {
        network,
        layers,
        source,
        planner,
        surveyed: OnceLock::new(),
        looking: Mutex::new(None),
    })
}

/// The weights of a network that is known by its shapes; `None` where they cannot be looked at in a while, or not all are in
/// this file.
pub(super) fn beside(path: &Path) -> Option<NamedWeights> {
    if tensors::is_part(path) {
        return None;
    }
    let weights = open(path).ok()?;
    (weights.network.parameters <= MOST_PARAMETERS).then_some(weights)
}

impl NamedWeights {
    /// The error that a recipe makes in each layer, and the weights of the layer `chosen` before and after it.
    ///
    /// # Errors
    /// The recipe is out of range, [`Error::Cancelled`] when asked to stop, or weights cannot be read.
    pub(super) fn look(
        &self,
        recipe: &Recipe,
        chosen: Option<&str>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Looks> {
        recipe.validate()?;
        let mut kept = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let looking = match &mut *kept {
            Some(looking) => looking,
            None => {
                let originals = Originals::from(&self.source);
                let mut compressor = Compressor::new(self.planner.clone(), originals)?;
                if self.network.parameters <= MOST_PARAMETERS {
                    let surveyed = compressor.survey()?;
                    self.surveyed.get_or_init(|| surveyed);
                }
                kept.insert(Looking::new(compressor))
            }
        };
        let mut looks = looking.look(self.limited(recipe), chosen, cancelled)?;
        looks.recipe = recipe.canonical();
        Ok(looks)
    }
}

impl Outline {
    /// The weights of a network of which nothing else is known.
    pub(super) fn of_weights(reference: ModelReference, weights: NamedWeights) -> Self {
        let original = Variant {
            network: Arc::new(weights.network.clone()),
            description: ORIGINAL.to_owned(),
            unit: Unit::Sample,
            roles: Vec::new(),
            layers: weights.layers.clone(),
            parameters: weights.network.parameters,
        };
        Self {
            reference,
            original: Arc::new(original),
            weights: Some(Arc::new(weights)),
            students: Mutex::default(),
        }
    }

    /// Whether only weights and their names are known: not what they are used for, and not how often.
    pub fn is_weights_only(&self) -> bool {
        !self.network().work_is_known()
    }

    /// Whether the weights of its file can be looked at.
    pub fn has_weights(&self) -> bool {
        self.weights.is_some()
    }

    /// Weights of its file that can be pruned and rounded.
    pub fn compressible_weights(&self) -> u64 {
        let layers = self.weights.iter().flat_map(|weights| &weights.layers);
        layers
            .filter(|layer| layer.compressible)
            .map(Layer::weights)
            .sum()
    }

    /// The error that a recipe makes in each matrix of its file, and the weights of the layer `chosen` before and after it;
    /// `None` where there are no weights, or layers have something of their own that are not those of the file.
    /// `cancelled` is asked between layers.
    ///
    /// # Errors
    /// The recipe is out of range, [`Error::Cancelled`] when asked to stop, or weights cannot be read.
    pub fn look(
        &self,
        recipe: &Recipe,
        chosen: Option<&str>,
        cancelled: &dyn Fn() -> bool,
    ) -> Option<Result<Looks>> {
        let weights = self.weights.as_ref()?;
        let others = !self.is_weights_only();
        if others && (!recipe.layers.is_empty() || recipe.distillation.ratio < 1.0) {
            return None;
        }
        let checked = self.checked(recipe);
        Some(checked.and_then(|recipe| weights.look(&recipe, chosen, cancelled)))
    }

    /// A recipe that is one for this network, without knobs that have no effect.
    pub(super) fn checked(&self, recipe: &Recipe) -> Result<Recipe> {
        recipe.validate()?;
        let layers = self.original.layers.iter();
        recipe.check_layers(&layers.map(|layer| (layer.name.as_str(), layer.compressible)))?;
        let recipe = recipe.canonical();
        if self.is_weights_only() && recipe.distillation.ratio < 1.0 {
            return Err(Error::Infeasible(
                "students of a network that is not known cannot be made; the distillation ratio must be 1".to_owned(),
            ));
        }
        Ok(recipe)
    }
}

impl NamedWeights {
    /// What a recipe leads to: bytes from shapes, the formats of the file, and zeros as far as the weights were looked at.
    pub(super) fn plan(&self, recipe: &Recipe) -> ModelProfile {
        let planner = self.surveyed.get().unwrap_or(&self.planner);
        planner.plan(&self.limited(recipe))
    }

    /// A recipe that leaves weights as they are where these are stored in fewer bits than 16, and it asks for no fewer.
    fn limited(&self, recipe: &Recipe) -> Recipe {
        let mut limited = recipe.canonical();
        if self
            .network
            .weight_bits
            .is_some_and(|bits| bits < 16 && limited.quantization.weight_bits >= bits)
        {
            limited.quantization.weight_bits = 32;
        }
        limited
    }
}

fn layer(name: &str, shape: &[usize]) -> Layer {
    Layer {
        name: name.to_owned(),
        kind: match shape.len() {
            ..=2 => LayerKind::Linear,
            _ => LayerKind::Conv2d,
        },
        shape: shape.to_vec(),
        other_parameters: 0,
        compressible: true,
        // Not known.
        macs: 0.0,
        inputs: 0.0,
        outputs: 0.0,
        cache: 0.0,
        execution: Default::default(),
    }
}

/// The tensors of a file by what is done with them.
struct Sorted {
    /// Those that are pruned and rounded, and the names of their layers.
    matrices: Vec<(usize, String)>,
    /// Elements of the other tensors of fractions.
    others: u64,
    /// Tensors of whole numbers, of formats that are not decoded, and those that are others once more.
    whole: usize,
    packed: usize,
    again: usize,
}

impl Sorted {
    fn of(source: &dyn Source) -> Self {
        let infos = source.tensors();
        let all: BTreeSet<&str> = infos.iter().map(|info| info.name.as_str()).collect();
        let mut sorted = Self {
            matrices: Vec::new(),
            others: 0,
            whole: 0,
            packed: 0,
            again: 0,
        };
        for (at, info) in infos.iter().enumerate() {
            if source.same_as(at).is_some() {
                sorted.again += 1;
            } else if is_whole(info.format) {
                sorted.whole += 1;
            } else if !info.format.can_be_decoded() {
                sorted.packed += 1;
            } else if info.shape.len() >= 2 && info.elements() > 1 {
                // 'a' and 'a.weight' are two layers.
                let bare = info.name.strip_suffix(".weight").unwrap_or(&info.name);
                let name = match bare != info.name && all.contains(bare) {
                    true => &info.name,
                    false => bare,
                };
                sorted.matrices.push((at, name.to_owned()));
            } else {
                sorted.others += info.elements() as u64;
            }
        }
        sorted
    }

    fn parameters(&self, infos: &[TensorInfo]) -> u64 {
        let matrices = self.matrices.iter();
        matrices
            .map(|(at, _)| infos[*at].elements() as u64)
            .fold(self.others, u64::saturating_add)
    }

    /// Bits in which most of the matrices' elements are stored.
    fn width(&self, infos: &[TensorInfo]) -> u8 {
        let mut counts = std::collections::BTreeMap::<u8, u64>::new();
        for (at, _) in &self.matrices {
            let info = &infos[*at];
            let bits = info.format.bits_per_element().round().clamp(1.0, 32.0) as u8;
            *counts.entry(bits).or_default() += info.elements() as u64;
        }
        let most = counts.into_iter().max_by_key(|(_, elements)| *elements);
        most.map_or(32, |(bits, _)| bits)
    }

    /// What was left out, in sentences.
    fn notes(&self) -> Vec<String> {
        let line = |count: usize, what: &str| {
            let tensors = if count == 1 { "tensor" } else { "tensors" };
            (count > 0).then(|| format!("{count} {tensors} {what}"))
        };
        [
            line(self.whole, "of whole numbers not counted"),
            line(self.packed, "in formats that are not decoded not counted"),
            line(self.again, "counted once that stand under another name too"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

const fn is_whole(format: StoredFormat) -> bool {
    use StoredFormat as F;
    matches!(
        format,
        F::Bool | F::I8 | F::U8 | F::I16 | F::U16 | F::I32 | F::U32 | F::I64 | F::U64
    )
}
