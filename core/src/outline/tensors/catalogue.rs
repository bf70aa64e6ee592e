//! Networks of the catalogue by the shapes of their weights.

use crate::formats::Listed;
use crate::graph::Op;
use crate::serving;
use crate::serving::architecture::{Architecture, Shape};

/// The convolutional network of the catalogue whose weights have exactly the shapes of these tensors: the size of its
/// images, which no weight tells, is the catalogue's. `None` where there is none.
///
/// # Errors
/// Several have these shapes.
pub(super) fn listed_in_catalogue(
    tensors: &[Listed],
) -> std::result::Result<Option<Architecture>, String> {
    let mut found: Vec<Vec<usize>> = tensors
        .iter()
        .map(|tensor| tensor.shape.clone())
        .filter(|shape| shape.len() >= 2)
        .collect();
    found.sort_unstable();
    let networks = serving::architectures().map_err(|error| error.to_string())?;
    let same: Vec<&Architecture> = networks
        .iter()
        .filter(|network| {
            let Shape::Layers(list) = &network.shape else {
                return false;
            };
            let layers = list.layers();
            let nodes = network.graph().nodes;
            // PyTorch has the inputs of a transposed convolution first.
            let is_turned = |at: usize| match nodes.get(at).map(|node| &node.op) {
                Some(Op::Conv(conv)) => conv.transposed && nodes.len() == layers.len(),
                _ => false,
            };
            let mut shapes: Vec<Vec<usize>> = (layers.iter().enumerate())
                .map(|(at, layer)| {
                    let mut shape = layer.shape.clone();
                    if is_turned(at) && shape.len() == 4 {
                        shape.swap(0, 1);
                    }
                    shape
                })
                .filter(|shape| shape.len() >= 2)
                .collect();
            shapes.sort_unstable();
            shapes == found && shapes.iter().any(|shape| shape.len() == 4)
        })
        .collect();
    match same.as_slice() {
        [] => Ok(None),
        [network] => Ok(Some(Architecture {
            source: format!(
                "{} tensors with the shapes of {}, whose size of images is taken",
                tensors.len(),
                network.id
            ),
            names: Vec::new(),
            ..(*network).clone()
        })),
        several => Err(format!(
            "its tensors have the shapes of several networks of the catalogue ({}), which differ in the size of images",
            several
                .iter()
                .map(|network| network.id.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}
