//! Graphs of networks that denoise images and videos: parts of which the size and the work are known.

use super::super::architecture::Shape;
use super::super::denoiser::{PassCount, Pipeline};
use super::super::diffusion::Generating;
use crate::graph::{Graph, Node, Op, Role, Sized};
use crate::profile::{LayerKind, Unit};

/// Parameters of the image decoder of latent diffusion (Rombach et al., CVPR 2022; the `AutoencoderKL` decoders of Stable
/// Diffusion and FLUX.1 have 49.5 million).
const DECODER_PARAMETERS: f64 = 49.5e6;
/// Matrix products in one block of a denoiser whose kernels start one after another.
const PRODUCTS_PER_BLOCK: f64 = 4.0;

/// A denoiser with what surrounds it, for one image or video.
pub(super) fn denoiser(shape: &Shape) -> Graph {
    let pipeline = shape.pipeline();
    let generating = pipeline
        .as_ref()
        .and_then(|pipeline| Generating::new(shape, pipeline, 1.0, 1.0));
    let unit = match &pipeline {
        Some(pipeline) if pipeline.frames > 1 => Unit::Video,
        _ => Unit::Image,
    };
    let nodes = pipeline
        .zip(generating)
        .map(|(pipeline, generating)| generator(shape, &pipeline, &generating))
        .unwrap_or_default();
    Graph {
        unit,
        positions: 1,
        blocks: 0,
        nodes,
        input: None,
    }
}

fn generator(shape: &Shape, pipeline: &Pipeline, generating: &Generating) -> Vec<Node> {
    let pass: &PassCount = &generating.pass;
    let passes = generating.steps * generating.passes;
    let width = match shape {
        Shape::DiffusionTransformer(network) => f64::from(network.hidden),
        Shape::UNet(network) => network.channels.last().copied().map_or(1.0, f64::from),
        Shape::Transformer(_) | Shape::Layers(_) | Shape::Listed(_) => 1.0,
    };
    let blocks = pass.blocks.max(1.0);
    let values = passes * blocks * pass.tokens.max(1.0) * width;
    let part = |name: &str, kind, parameters, width, macs, moved| {
        let op = Op::Sized(Sized {
            kind,
            parameters,
            width,
            macs: Some(macs),
            moved,
        });
        Node::new(name, Role::Other, op)
    };
    // Work is that of all blocks together; how many kernels start is what blocks are counted for.
    let runs = |node: Node, products: f64| Node {
        kernels: whole(blocks * products),
        passes: pipeline.steps.max(1),
        ..node
    };
    let moved = values * PRODUCTS_PER_BLOCK;
    let (linear, attention) = (passes * pass.linear / 2.0, passes * pass.attention / 2.0);
    let mut nodes = vec![
        runs(
            part(
                "denoiser",
                LayerKind::Linear,
                pass.parameters,
                width,
                linear,
                Some((moved, moved)),
            ),
            PRODUCTS_PER_BLOCK,
        ),
        // The attention of U-Nets is counted among their other operations; that there is some still matters to what can
        // run it.
        runs(
            part(
                "denoiser.attention",
                LayerKind::Attention,
                1.0,
                1.0,
                attention,
                Some((3.0 * values, values)),
            ),
            1.0,
        ),
    ];
    let text = pipeline.text_encoder_parameters;
    if text > 0.0 {
        let macs = generating.passes * generating.text / 2.0;
        nodes.push(part(
            "text_encoder",
            LayerKind::Linear,
            text,
            4096.0,
            macs,
            None,
        ));
    }
    let decoder = generating.decoder / 2.0;
    nodes.push(part(
        "image_decoder",
        LayerKind::Conv2d,
        DECODER_PARAMETERS,
        512.0,
        decoder,
        None,
    ));
    nodes
}

/// Shapes are positive and far below the limit of the type.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(value: f64) -> u32 {
    value.round().clamp(1.0, f64::from(u32::MAX)) as u32
}
