//! The layers that a note is about, so that no note speaks for layers of which it is not true.

use std::fmt;

use super::cost::Request;
use crate::profile::LayerProfile;
use crate::recipe::Pattern;

/// Some of the layers of a model. Written with their part of the multiplications: "conv1 (3 % of the multiplications)".
pub(crate) struct LayerShare<'a> {
    names: Vec<&'a str>,
    /// Their multiply-accumulates / those of all layers.
    work: f64,
}

/// Layers that are called by name; of more, the rest is counted.
const NAMED: usize = 2;

impl<'a> LayerShare<'a> {
    pub(crate) fn new(layers: &[&'a LayerProfile], request: &Request<'_>) -> Self {
        let macs = |layer: &LayerProfile| request.work(&layer.layer).0;
        let all: f64 = request.profile.layers.iter().map(macs).sum();
        let some: f64 = layers.iter().map(|layer| macs(layer)).sum();
        Self {
            names: layers
                .iter()
                .map(|layer| layer.layer.name.as_str())
                .collect(),
            work: if all > 0.0 { some / all } else { 0.0 },
        }
    }
}

impl fmt::Display for LayerShare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.work;
        let work = if percent < 0.5 {
            "under 1 %".to_owned()
        } else {
            format!("{percent:.0} %")
        };
        let (named, others) = self.names.split_at(NAMED.min(self.names.len()));
        let names = match (named, others.len()) {
            ([one, two], 0) => format!("{one} and {two}"),
            (named, 0) => named.join(", "),
            (named, 1) => format!("{} and 1 more layer", named.join(", ")),
            (named, more) => format!("{} and {more} more layers", named.join(", ")),
        };
        write!(f, "{names} ({work} of the multiplications)")
    }
}

/// Layers whose weights can be zeros to skip: a table lookup multiplies nothing, so zeros in it are neither used nor lost.
pub(crate) fn with_zeros<'a>(
    request: &Request<'a>,
) -> impl Iterator<Item = &'a LayerProfile> + use<'a> {
    request.profile.layers.iter().filter(|layer| {
        layer.layer.compressible
            && layer.layer.macs > 0.0
            && layer.pattern.is_some()
            && layer.sparsity() > 0.0
    })
}

/// What becomes of zeros on a processor called `name`, where some are not used: by which layers, and why. `used` tells
/// of a layer whether its zeros are skipped, `arithmetic` whether the processor can skip any, `stored` in how many bits it
/// holds a weight of a layer.
pub(crate) fn unused_zeros(
    request: &Request<'_>,
    name: &str,
    arithmetic: bool,
    used: impl Fn(&LayerProfile) -> bool,
    stored: impl Fn(&LayerProfile) -> f64,
) -> Option<String> {
    let all: Vec<&LayerProfile> = with_zeros(request).collect();
    let unused: Vec<&LayerProfile> = all.iter().copied().filter(|layer| !used(layer)).collect();
    let first = unused.first()?;
    let of = if unused.len() == all.len() {
        String::new()
    } else {
        format!(" of {}", LayerShare::new(&unused, request))
    };
    if unused
        .iter()
        .any(|layer| layer.bitmap_bits(stored(layer)) > 0.0)
    {
        return Some(format!(
            "the zeros{of} give this {name} nothing and cost it bytes: beside 1-bit weights, which cannot be zero, a bitmap \
             says where they are"
        ));
    }
    Some(match first.pattern {
        Some(Pattern::TwoOfFour) if arithmetic => format!(
            "the zeros{of} give this {name} nothing: its 2:4 arithmetic needs half of every row to be zero"
        ),
        Some(Pattern::TwoOfFour) => {
            format!("this {name} has no 2:4 arithmetic, so the zeros{of} give it nothing")
        }
        _ => format!("unstructured zeros{of} give this {name} nothing: it multiplies by them"),
    })
}
