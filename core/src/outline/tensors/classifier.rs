//! A classifier that runs on images of the user's, as a network known by its shapes as long as there are none.

use std::path::Path;
use std::sync::Arc;

use super::{Counted, elements, is_buffer, name, width};
use crate::error::{Error, Result};
use crate::formats::{self, Listed};
use crate::graph::{Graph, Op};
use crate::model;
use crate::serving;
use crate::serving::architecture::{Architecture, Shape, StoredWeights};

/// The network of a classifier whose tensors are these.
///
/// # Errors
/// [`Error::File`] where its matrices are stored in formats that no single width describes.
pub(super) fn counted(
    classifier: &model::Architecture,
    tensors: &[Listed],
    path: &Path,
) -> Result<Counted> {
    let tensors: Vec<Listed> = tensors
        .iter()
        .filter(|own| !is_buffer(own))
        .cloned()
        .collect();
    let parameters = tensors.iter().map(elements).sum();
    let bits = width(&tensors).map_err(|fact| {
        let offers = formats::offers_for(path, parameters);
        Error::file(format!("{fact}; {offers}"), path)
    })?;
    let stored = bits.unwrap_or(16);
    let graph = layers_only(classifier.graph());
    let (channels, rows, columns) = match classifier.input() {
        crate::graph::Input::Image(extent) => extent,
        _ => (0, 0, 0),
    };
    let note = format!(
        "images of {channels} x {rows} x {columns} values are assumed; with labelled images of your own its accuracy is measured"
    );
    let listed = serving::Listed {
        stored: vec![
            StoredWeights {
                bits: stored,
                group: 0,
                scale_bits: 0,
            };
            graph.nodes.len()
        ],
        graph,
        activation_bits: stored,
        other_bits: stored,
        family: classifier.family(),
    };
    Ok(Counted {
        network: Architecture {
            id: name(path),
            names: Vec::new(),
            family: "unknown".to_owned(),
            source: format!("{}: {} tensors", path.display(), tensors.len()),
            parameters: parameters as f64,
            weight_bits: Some(stored),
            expert_bits: None,
            formats: None,
            notes: vec![note],
            context_limit: None,
            shape: Shape::Listed(Arc::new(listed)),
            summed: Default::default(),
        },
        parameters,
    })
}

/// The nodes that are layers; what is done on the way is counted with them. Normalisation is folded.
fn layers_only(graph: Graph) -> Graph {
    let nodes = graph.nodes.into_iter();
    let nodes = nodes.filter(|node| !node.op.is_on_the_way() && node.shares.is_none());
    let nodes = nodes.map(|mut node| {
        node.inputs.clear();
        if let Op::BatchNorm { channels, .. } = node.op {
            node.op = Op::Folded {
                parameters: 4 * channels,
            };
        }
        node
    });
    Graph {
        nodes: nodes.collect(),
        input: None,
        ..graph
    }
}
