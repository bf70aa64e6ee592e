//! Layers out of shapes: equal layers of all blocks stand together as one entry.

use crate::profile::{Execution, Layer, LayerKind, Unit};
use crate::serving::PassCount;
use crate::serving::architecture::{Architecture, Shape, Transformer};
use crate::serving::{Generating, Pipeline};

/// Tokens of a text that an encoder reads: the sequence length of MLPerf Inference's BERT (Reddi et al. 2020).
pub(super) const READ_TOKENS: f64 = 384.0;
/// Bytes that a pixel's worth of decoder weights is counted with: parameters of the image decoder of latent diffusion
/// (Rombach et al., CVPR 2022; the `AutoencoderKL` decoders of Stable Diffusion and FLUX.1 have 49.5 million).
const DECODER_PARAMETERS: f64 = 49.5e6;
/// Matrix products in one block of a denoiser whose kernels start one after another.
const PRODUCTS_PER_BLOCK: f64 = 4.0;

/// Name of the table of learned positions.
pub(super) const POSITIONS: &str = "positions";

/// What one unit of work of a network is.
pub(super) fn unit(shape: &Shape) -> Unit {
    match shape {
        Shape::Transformer(network) if network.encoder => Unit::Sample,
        Shape::Transformer(_) => Unit::Token,
        Shape::DiffusionTransformer(_) | Shape::UNet(_) => match shape.pipeline() {
            Some(pipeline) if pipeline.frames > 1 => Unit::Video,
            _ => Unit::Image,
        },
        Shape::Layers(list) => list.unit,
    }
}

/// The layers of a network.
pub(super) fn of(network: &Architecture) -> Vec<Layer> {
    match &network.shape {
        Shape::Transformer(transformer) => Blocks::new(transformer).layers(),
        Shape::DiffusionTransformer(_) | Shape::UNet(_) => network
            .shape
            .pipeline()
            .and_then(|pipeline| {
                let generating = Generating::new(&network.shape, &pipeline, 1.0, 1.0)?;
                Some(denoiser(&network.shape, &pipeline, &generating))
            })
            .unwrap_or_default(),
        Shape::Layers(list) => list.layers(),
    }
}

/// A matrix of about so many weights with rows of `inputs`, and the work that goes with it.
fn matrix(name: &str, weights: f64, inputs: f64, macs: f64) -> Layer {
    let outputs = whole_number(weights / inputs.max(1.0));
    Layer {
        name: name.to_owned(),
        kind: LayerKind::Linear,
        shape: vec![outputs, whole_number(inputs)],
        other_parameters: 0,
        compressible: true,
        macs,
        inputs,
        outputs: outputs as f64,
        cache: 0.0,
        execution: Execution::default(),
    }
}

/// Shapes are positive and far below the limit of the type.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole_number(value: f64) -> usize {
    value.round().max(1.0) as usize
}

struct Blocks<'a> {
    network: &'a Transformer,
    /// Tokens of one unit of work.
    tokens: f64,
    layers: Vec<Layer>,
}

impl<'a> Blocks<'a> {
    fn new(network: &'a Transformer) -> Self {
        Self {
            network,
            tokens: if network.encoder { READ_TOKENS } else { 1.0 },
            layers: Vec::new(),
        }
    }

    fn layers(mut self) -> Vec<Layer> {
        let network = self.network;
        let hidden = f64::from(network.hidden);
        let count = network.parameters();
        let all = network.layers;
        let dense = all - network.experts.map_or(0, |e| all - e.dense_layers.min(all));
        let vocabulary = f64::from(network.vocabulary);
        if !network.tied && network.vocabulary > 0 || network.encoder {
            self.table("embedding", vocabulary, hidden);
        }
        if network.positions > 0 {
            self.table(POSITIONS, f64::from(network.positions), hidden);
        }
        self.attention(hidden, all);
        let feed = f64::from(network.ffn);
        let inner = if network.gated { 2.0 } else { 1.0 };
        if dense > 0 && network.ffn > 0 {
            self.matrices("mlp.up", inner * feed, hidden, dense, None);
            self.matrices("mlp.down", hidden, feed, dense, None);
        }
        if let Some(experts) = network.experts {
            let with = all - dense;
            let chosen = Some((experts.active, experts.count));
            let each = f64::from(experts.count);
            let feed = f64::from(experts.ffn);
            self.matrices("router", each, hidden, with, None);
            self.matrices("experts.up", each * inner * feed, hidden, with, chosen);
            self.matrices("experts.down", each * hidden, feed, with, chosen);
            if experts.shared_ffn > 0 {
                let shared = f64::from(experts.shared_ffn);
                self.matrices("shared_experts.up", inner * shared, hidden, with, None);
                self.matrices("shared_experts.down", hidden, shared, with, None);
            }
        }
        self.norms(hidden, 2 * all + 1);
        if network.vocabulary > 0 && !network.encoder {
            self.matrices("lm_head", count.head / hidden, hidden, 1, None);
        }
        self.layers
    }

    fn table(&mut self, name: &str, rows: f64, width: f64) {
        self.layers.push(Layer {
            kind: LayerKind::Embedding,
            macs: 0.0,
            inputs: self.tokens,
            outputs: width * self.tokens,
            ..matrix(name, rows * width, width, 0.0)
        });
    }

    /// `layers` equal matrices of `outputs` rows of `inputs`; with experts, `outputs` counts those of all of them.
    fn matrices(
        &mut self,
        name: &str,
        outputs: f64,
        inputs: f64,
        layers: u32,
        experts: Option<(u32, u32)>,
    ) {
        let n = f64::from(layers);
        let used = experts.map_or(1.0, |(active, count)| {
            f64::from(active) / f64::from(count.max(1))
        });
        let weights = n * outputs * inputs;
        let biases = self.network.biases;
        let biased = match name {
            "attention.qkv" => biases.queries_keys_values,
            "attention.output" | "mlp.up" | "mlp.down" => biases.others,
            _ => false,
        };
        self.layers.push(Layer {
            macs: weights * used * self.tokens,
            inputs: n * inputs * self.tokens,
            outputs: n * outputs * used * self.tokens,
            other_parameters: if biased {
                whole_number(n * outputs) as u64
            } else {
                0
            },
            execution: Execution {
                layers,
                experts,
                ..Execution::default()
            },
            ..matrix(name, weights, inputs, 0.0)
        });
    }

    fn attention(&mut self, hidden: f64, layers: u32) {
        let network = self.network;
        let heads = f64::from(network.heads) * f64::from(network.head_dim);
        match (network.latent, network.attention_weights) {
            (None, None) => {
                let keys = f64::from(network.kv_heads) * f64::from(network.head_dim);
                self.matrices("attention.qkv", heads + 2.0 * keys, hidden, layers, None);
                self.matrices("attention.output", hidden, heads, layers, None);
            }
            _ => {
                let each = network.attention_parameters() / hidden;
                self.matrices("attention.projections", each, hidden, layers, None);
            }
        }
        let full = match network.window {
            None => layers,
            Some(window) if window.full_every == 0 => 0,
            Some(window) => layers / window.full_every,
        };
        self.scores("attention", full, None);
        if let Some(window) = network.window {
            self.scores("attention.windowed", layers - full, Some(window.tokens));
        }
    }

    /// The two products of attention with keys and values.
    fn scores(&mut self, name: &str, layers: u32, window: Option<u32>) {
        if layers == 0 {
            return;
        }
        let network = self.network;
        let n = f64::from(layers);
        // An encoder's text has one length; a decoder's context is the scenario's.
        let context = if network.encoder {
            READ_TOKENS
        } else {
            Layer::REFERENCE_CONTEXT
        };
        let width = f64::from(network.heads) * network.score_width();
        self.layers.push(Layer {
            name: name.to_owned(),
            kind: LayerKind::Attention,
            shape: Vec::new(),
            other_parameters: 0,
            compressible: false,
            macs: n * 2.0 * width * context * self.tokens,
            inputs: n * 3.0 * width * self.tokens,
            outputs: n * width * self.tokens,
            cache: if network.encoder {
                0.0
            } else {
                n * network.cached_per_layer() * context
            },
            execution: Execution {
                layers,
                window,
                ..Execution::default()
            },
        });
    }

    fn norms(&mut self, hidden: f64, layers: u32) {
        let all = f64::from(layers) * hidden;
        let each = if self.network.biases.norms { 2.0 } else { 1.0 };
        self.layers.push(Layer {
            name: "norms".to_owned(),
            kind: LayerKind::Elementwise,
            shape: Vec::new(),
            other_parameters: whole_number(each * all) as u64,
            compressible: false,
            macs: 2.0 * all * self.tokens,
            inputs: all * self.tokens,
            outputs: all * self.tokens,
            cache: 0.0,
            execution: Execution {
                layers,
                ..Execution::default()
            },
        });
    }
}

/// A denoiser with what surrounds it, for one image or video.
fn denoiser(shape: &Shape, pipeline: &Pipeline, generating: &Generating) -> Vec<Layer> {
    let pass: &PassCount = &generating.pass;
    let passes = generating.steps * generating.passes;
    let width = match shape {
        Shape::DiffusionTransformer(network) => f64::from(network.hidden),
        Shape::UNet(network) => network.channels.last().copied().map_or(1.0, f64::from),
        Shape::Transformer(_) | Shape::Layers(_) => 1.0,
    };
    let blocks = pass.blocks.max(1.0);
    let steps = pipeline.steps.max(1);
    let runs = |products: f64| Execution {
        layers: u32::try_from(whole_number(blocks * products)).unwrap_or(u32::MAX),
        passes: steps,
        ..Execution::default()
    };
    let values = passes * blocks * pass.tokens.max(1.0) * width;
    let mut layers = vec![Layer {
        inputs: values * PRODUCTS_PER_BLOCK,
        outputs: values * PRODUCTS_PER_BLOCK,
        execution: runs(PRODUCTS_PER_BLOCK),
        ..matrix(
            "denoiser",
            pass.parameters,
            width,
            passes * pass.linear / 2.0,
        )
    }];
    // The attention of U-Nets is counted among their other operations; that there is some still matters to what can run
    // it.
    layers.push(Layer {
        kind: LayerKind::Attention,
        shape: Vec::new(),
        compressible: false,
        inputs: 3.0 * values,
        outputs: values,
        execution: runs(1.0),
        ..matrix(
            "denoiser.attention",
            1.0,
            1.0,
            passes * pass.attention / 2.0,
        )
    });
    let text = pipeline.text_encoder_parameters;
    if text > 0.0 {
        layers.push(matrix(
            "text_encoder",
            text,
            4096.0,
            generating.passes * generating.text / 2.0,
        ));
    }
    layers.push(Layer {
        kind: LayerKind::Conv2d,
        ..matrix(
            "image_decoder",
            DECODER_PARAMETERS,
            512.0,
            generating.decoder / 2.0,
        )
    });
    layers
}
