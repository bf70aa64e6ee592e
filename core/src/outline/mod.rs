//! [`Outline`]: a network known by its shapes only. It answers everything that follows from shapes (bytes, operations,
//! time, energy, CO2e) like any opened model; its quality is not known, since there are no weights to run.

mod named;
mod published;
mod student;
mod summary;
pub(crate) mod tensors;
#[cfg(test)]
mod tests;

pub use published::PublishedBits;
use published::{PUBLISHED_BITS, stored};
pub use summary::Summary;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::compress;
use crate::error::{Error, Result};
use crate::footprint::on_fewest_devices;
use crate::formats;
use crate::graph::Role;
use crate::model::ModelReference;
use crate::profile::{Layer, LayerKind, LayerProfile, ModelProfile, Unit};
use crate::recipe::{Override, Quantization, Recipe, Width};
use crate::scenario::Scenario;
use crate::serving::architecture::{Architecture, Shape, StoredWeights, Transformer};
use crate::serving::{self, open_config};

/// Prompt and answer that a language model is asked about first, in tokens: a turn of chat (ML.ENERGY's chat requests
/// have answers of about 600 tokens, `assets/ground_truth/serving.csv`; prompts of that length are assumed).
const CHAT: (u32, u32) = (500, 500);
/// Sequences served together at first.
const CHAT_BATCH: u32 = 32;
/// Device that it is asked about first: one that the serving model is fitted to.
const FIRST_DEVICE: &str = "nvidia-h100-sxm";

/// What the network is called that nothing was done to.
const ORIGINAL: &str = "the original network";

/// A network known by its shapes only.
#[derive(Debug)]
pub struct Outline {
    reference: ModelReference,
    original: Arc<Variant>,
    /// The weights in its file by their names there.
    weights: Option<Arc<named::NamedWeights>>,
    /// Smaller versions by their ratio in ten-thousandths.
    students: Mutex<HashMap<u32, Arc<Variant>>>,
}

/// A network and the layers that follow from its shapes.
#[derive(Debug)]
struct Variant {
    network: Arc<Architecture>,
    description: String,
    unit: Unit,
    /// What each layer is there for.
    roles: Vec<Role>,
    layers: Vec<Layer>,
    parameters: f64,
}

impl Variant {
    fn new(network: Architecture, description: String) -> Self {
        let graph = network.graph();
        let layers = graph.layers();
        Self {
            parameters: layers
                .iter()
                .map(|layer| (layer.weights() + layer.other_parameters) as f64)
                .sum(),
            network: Arc::new(network),
            description,
            unit: graph.unit,
            roles: graph.nodes.iter().map(|node| node.role).collect(),
            layers,
        }
    }
}

impl Variant {
    /// Adds to the layer of the norms, or to the first one, what is missing to so many parameters, or takes from it what
    /// is too much.
    fn count_all(&mut self, parameters: u64) {
        let counted: u64 = self
            .layers
            .iter()
            .map(|layer| layer.weights() + layer.other_parameters)
            .sum();
        let norms = self
            .layers
            .iter()
            .position(|layer| layer.kind == LayerKind::Elementwise)
            .unwrap_or(0);
        if let Some(layer) = self.layers.get_mut(norms) {
            layer.other_parameters = (layer.other_parameters + parameters).saturating_sub(counted);
            self.parameters = parameters as f64;
        }
    }
}

impl Outline {
    /// Opens a network of the catalogue, one of a given size, a published configuration (a `config.json`, or a folder
    /// with one), or a safetensors or ONNX file whose weights cannot be run.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that the catalogue does not have; [`Error::File`] for a configuration that cannot be
    /// read, naming the missing key, or tensors whose shapes do not tell the network.
    pub fn open(reference: &ModelReference) -> Result<Self> {
        let network = match reference {
            ModelReference::Catalogue(name) => serving::architecture(name)?.clone(),
            ModelReference::Sized { total, active } => of_size(*total, *active),
            ModelReference::File(path) if formats::is_onnx(path) => {
                formats::onnx_outline(path, &[])?
            }
            ModelReference::File(path) if tensors::kind(path) == Some(tensors::Told::Weights) => {
                return named::open(path)
                    .map(|weights| Self::of_weights(reference.clone(), weights));
            }
            ModelReference::File(path) if tensors::is_index(path) || tensors::is_outline(path) => {
                let mut counted = tensors::open(path)?;
                counted.network.notes.extend(not_run(path));
                let mut outline = Self::of(reference.clone(), counted.network);
                outline.weights = named::beside(path).map(Arc::new);
                return Ok(outline.with_parameters(counted.parameters));
            }
            ModelReference::File(path) => {
                let mut network = open_config(&configuration(path))?;
                network.notes.extend(not_run(path));
                network
            }
            ModelReference::Bundled(name) => {
                return Err(Error::unknown(
                    "network of the catalogue",
                    name,
                    serving::architectures()?.iter().map(|n| n.id.as_str()),
                ));
            }
        };
        Ok(Self::of(reference.clone(), network))
    }

    /// Reads the shapes of a network that cannot be run from the bytes of its safetensors file; `path` stands for the file.
    ///
    /// # Errors
    /// [`Error::File`] where the tensors alone do not tell the network.
    pub fn read_weights(bytes: &[u8], path: &Path) -> Result<Self> {
        let counted = tensors::read(bytes, path)?;
        let reference = ModelReference::File(path.to_owned());
        Ok(Self::of(reference, counted.network).with_parameters(counted.parameters))
    }

    /// The outline of a network whose shapes are known already.
    pub fn of(reference: ModelReference, network: Architecture) -> Self {
        Self {
            reference,
            original: Arc::new(Variant::new(network, ORIGINAL.to_owned())),
            weights: None,
            students: Mutex::default(),
        }
    }

    /// The same with so many parameters in all: what the shapes do not count (norms, biases, positions) is added.
    fn with_parameters(mut self, parameters: u64) -> Self {
        if let Some(original) = Arc::get_mut(&mut self.original) {
            original.count_all(parameters);
        }
        self
    }

    /// How it was asked for.
    pub fn reference(&self) -> &ModelReference {
        &self.reference
    }

    /// The shapes.
    pub fn network(&self) -> &Architecture {
        &self.original.network
    }

    /// The widths it is published in; a recipe makes nothing wider than these.
    pub fn published_bits(&self) -> PublishedBits {
        PublishedBits::of(&self.original.network)
    }

    /// Name on screen.
    pub fn name(&self) -> &str {
        &self.original.network.id
    }

    /// What kind of network it is, in a few words.
    pub fn family(&self) -> &'static str {
        match &self.original.network.shape {
            Shape::Transformer(network) if network.beside.source.is_some() => {
                "encoder with a decoder"
            }
            Shape::Transformer(network) if network.encoder && network.beside.patches > 0 => {
                "transformer that reads images"
            }
            Shape::Transformer(network) if network.encoder => "transformer that reads text",
            Shape::Transformer(network) if network.experts.is_some() => {
                "language model with a mixture of experts"
            }
            Shape::Transformer(_) => "language model",
            Shape::DiffusionTransformer(network) if network.frames > 1 => {
                "diffusion transformer for videos"
            }
            Shape::DiffusionTransformer(_) => "diffusion transformer for images",
            Shape::UNet(network) if network.frames > 1 => "diffusion U-Net for videos",
            Shape::UNet(_) => "diffusion U-Net for images",
            Shape::Layers(list) => list.family(),
            Shape::Listed(list) => list.family,
        }
    }

    /// What one unit of work is.
    pub fn unit(&self) -> Unit {
        self.original.unit
    }

    /// Parameters: counted from the shapes, of denoisers as published, without the text encoders and decoder that are
    /// costed with them.
    pub fn parameters(&self) -> u64 {
        let network = &self.original.network;
        let count = match network.shape.pipeline() {
            Some(_) => network.parameters,
            None => self.original.parameters,
        };
        // Far below 2^63.
        count as u64
    }

    /// The layers of the network as it was published, in the order in which they run.
    pub fn layers(&self) -> &[Layer] {
        &self.original.layers
    }

    /// What the network looks like once a recipe's distillation ratio is applied: "narrower and shallower: …".
    ///
    /// # Errors
    /// The recipe is out of range.
    pub fn student(&self, recipe: &Recipe) -> Result<(String, f64)> {
        self.checked(recipe)?;
        let variant = self.variant(recipe.canonical().distillation.ratio);
        Ok((
            variant.description.clone(),
            variant.parameters / self.original.parameters,
        ))
    }

    /// The profile that a recipe leads to: pruned and rounded weights counted by arithmetic. Weights and activations are
    /// never wider than published (16 bits unless the network says otherwise): 32 bits in a recipe mean that they are left
    /// as published. A distillation ratio below 1 gives a network of the same kind with that share of the parameters;
    /// whether it can be trained to any use is not said.
    ///
    /// # Errors
    /// The recipe is out of range.
    pub fn predict(&self, recipe: &Recipe) -> Result<ModelProfile> {
        let recipe = self.checked(recipe)?;
        if let Some(weights) = self.weights.as_ref().filter(|_| self.is_weights_only()) {
            return Ok(ModelProfile {
                network: Some(Arc::clone(&self.original.network)),
                ..weights.plan(&recipe)
            });
        }
        let variant = self.variant(recipe.distillation.ratio);
        let network = &variant.network;
        let published = PublishedBits::of(network);
        let plan = |bits: u8| {
            let limited = limited(&recipe, bits, published.activations);
            compress::plan(&network.id, self.unit(), &variant.layers, &limited)
        };
        let mut profile = plan(published.weights);
        let mut plans = BTreeMap::from([(published.weights, profile.clone())]);
        for (i, role) in variant.roles.iter().enumerate() {
            let stored = match &network.shape {
                Shape::Listed(list) => list.stored.get(i).copied(),
                _ => None,
            }
            .unwrap_or_else(|| stored(network, *role));
            let planned = plans
                .entry(stored.bits)
                .or_insert_with(|| plan(stored.bits));
            let (Some(layer), Some(own)) = (profile.layers.get_mut(i), planned.layers.get(i))
            else {
                continue;
            };
            if stored.bits != published.weights {
                *layer = own.clone();
            }
            let recipe = recipe.of_layer(&layer.layer.name);
            if recipe.quantization.code_bits() >= stored.bits {
                as_published(layer, stored);
            }
        }
        // What is not compressed stays as published, in 16 bits where weights are narrower.
        let kept = match &network.shape {
            Shape::Listed(list) => list.other_bits,
            _ => published.weights.max(PUBLISHED_BITS),
        };
        for layer in &mut profile.layers {
            keep(layer, kept);
        }
        profile.network = Some(Arc::clone(network));
        Ok(profile)
    }

    /// The scenario that it is asked about first: a device that the serving model is fitted to, as many of them as hold
    /// it, and a turn of chat for language models.
    ///
    /// # Errors
    /// [`Error::File`] when the hardware catalogue that ships is broken.
    pub fn scenario(&self) -> Result<Scenario> {
        let profile = self.predict(&Recipe::default())?;
        let chat = self.unit() == Unit::Token;
        let mut scenario = Scenario {
            hardware: FIRST_DEVICE.to_owned(),
            batch: if chat { CHAT_BATCH } else { 1 },
            prompt_tokens: if chat { CHAT.0 } else { 0 },
            answer_tokens: if chat { CHAT.1 } else { 0 },
            demand_per_day: if chat { 1e9 } else { 1e6 },
            ..Scenario::default()
        };
        scenario.devices = devices_for(&profile, &scenario)?;
        Ok(scenario)
    }

    /// The fewest devices, a power of two, that hold the network compressed by a recipe in a scenario; 1 where no number
    /// does.
    ///
    /// # Errors
    /// The recipe or the scenario is out of range, or the scenario names something unknown.
    pub fn devices_for(&self, recipe: &Recipe, scenario: &Scenario) -> Result<u32> {
        devices_for(&self.predict(recipe)?, scenario)
    }

    fn variant(&self, ratio: f64) -> Arc<Variant> {
        if ratio >= 1.0 {
            return Arc::clone(&self.original);
        }
        // The ratio lies between 0 and 1: no sign, no overflow.
        let key = (ratio * 1e4).round() as u32;
        let mut students = self.students.lock().unwrap_or_else(PoisonError::into_inner);
        let student = students.entry(key).or_insert_with(|| {
            let (network, description) = student::of(&self.original.network, ratio);
            Arc::new(Variant::new(network, description))
        });
        Arc::clone(student)
    }
}

fn devices_for(profile: &ModelProfile, scenario: &Scenario) -> Result<u32> {
    let target = crate::hardware::find(&scenario.hardware)?;
    let grid = crate::carbon::find_grid(&scenario.region)?;
    match on_fewest_devices(profile, scenario, target, grid, 1) {
        Err(Error::Infeasible(_)) => Ok(1),
        other => other.map(|(_, devices)| devices),
    }
}

/// The configuration that a path means: the file itself, or the one in a folder.
fn configuration(path: &Path) -> std::path::PathBuf {
    const FILES: [&str; 3] = ["config.json", "params.json", "model_index.json"];
    if path.is_dir() {
        let inside = FILES.iter().map(|name| path.join(name));
        inside
            .clone()
            .find(|file| file.is_file())
            .unwrap_or_else(|| path.join(FILES[0]))
    } else {
        path.to_owned()
    }
}

/// Why the weights that a path leads to are not run, where they are a language model's.
fn not_run(path: &Path) -> Option<String> {
    let fact = crate::formats::published(path)?.err()?;
    Some(format!("known by its shapes only: {fact}"))
}

/// A recipe with no width above what was published.
fn limited(recipe: &Recipe, weights: u8, activations: u8) -> Recipe {
    let mut layers = recipe.layers.clone();
    for (name, own) in recipe.layers.iter() {
        let limited = own.weights.map(|width| match width {
            Width::Blocks(format) if format.bits() < weights => width,
            width => Width::Bits(width.code_bits().min(weights)),
        });
        layers.set(
            name,
            Override {
                weights: limited,
                ..own
            },
        );
    }
    Recipe {
        quantization: Quantization {
            weight_bits: recipe.quantization.weight_bits.min(weights),
            activation_bits: recipe.quantization.activation_bits.min(activations),
            blocks: (recipe.quantization.blocks).filter(|format| format.bits() < weights),
            ..recipe.quantization
        },
        layers,
        ..recipe.clone()
    }
}

/// Gives a layer that no recipe narrows the scales of its published format.
fn as_published(layer: &mut LayerProfile, stored: StoredWeights) {
    if stored.scale_bits == 0 || !layer.layer.compressible || layer.pattern.is_some() {
        return;
    }
    let weights = layer.layer.weights();
    let per_scale = match stored.group {
        0 => layer.layer.fan_in(),
        group => u64::from(group),
    };
    let scale_bytes =
        (weights.div_ceil(per_scale.max(1)) * u64::from(stored.scale_bits)).div_ceil(8);
    let before = 2 * layer.scales;
    layer.scales = scale_bytes.div_ceil(2);
    layer.stored_bytes = (layer.stored_bytes + scale_bytes).saturating_sub(before);
}

fn keep(layer: &mut LayerProfile, bits: u8) {
    if !layer.layer.compressible {
        layer.weight_bits = layer.weight_bits.min(bits);
        layer.activation_bits = layer.activation_bits.min(bits);
    }
    let planned = layer.layer.other_parameters * 4;
    let kept = layer.layer.other_parameters * u64::from(bits.div_ceil(8));
    layer.stored_bytes -= planned.saturating_sub(kept);
}

/// A network like today's open language models with so many parameters.
fn of_size(total: u64, active: u64) -> Architecture {
    let billions = |count: u64| format!("{}B", count as f64 / 1e9);
    let id = if active == total {
        format!("dense-{}", billions(total))
    } else {
        format!("moe-{}-a{}", billions(total), billions(active))
    };
    Architecture {
        id,
        names: Vec::new(),
        family: "unknown".to_owned(),
        source: "shapes assumed: like today's open language models of that size".to_owned(),
        parameters: total as f64,
        weight_bits: None,
        expert_bits: None,
        formats: None,
        notes: Vec::new(),
        summed: Default::default(),
        context_limit: None,
        shape: Shape::Transformer(Transformer::of_size(total as f64, active as f64)),
    }
}
