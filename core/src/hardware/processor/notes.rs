//! What of a recipe a processor cannot use, in clauses that each say which layers they are about.

use super::Precision;
use super::plan::Plan;
use crate::hardware::share::{LayerShare, unused_zeros};
use crate::profile::LayerProfile;

/// What a device makes of the widths of a layer; layers that share it share a note.
#[derive(Clone, Copy, PartialEq)]
struct Widths {
    /// Bits per weight and activation that the recipe asks for.
    weights: u8,
    activations: u8,
    /// Bits that a weight takes in memory.
    stored: f64,
    computed: Precision,
    /// The format in which activations lie in memory.
    moved: Precision,
    /// Whether kernels multiply the weights as they are packed.
    packed: bool,
}

impl Plan<'_> {
    /// What of the recipe this device could not use; clauses without full stops.
    pub(super) fn notes(&self) -> Vec<String> {
        let name = self.class.name();
        let arithmetic = self.processor.two_of_four.is_some();
        let zeros = unused_zeros(
            self.request,
            name,
            arithmetic,
            |layer| self.sparse(layer),
            |layer| self.storage_bits(layer).unwrap_or(32.0),
        );
        let groups = self.by_widths();
        let alone = groups.len() == 1;
        let frugal = self.frugal.map(|(size, energy, time)| {
            format!(
                "parts of {size} would take {:.0} % less energy and {:.0} % more time",
                100.0 * (1.0 - energy),
                100.0 * (time - 1.0)
            )
        });
        zeros
            .into_iter()
            .chain(frugal)
            .chain(groups.iter().flat_map(|(widths, layers)| {
                let about = if alone {
                    String::new()
                } else {
                    format!("in {}, ", LayerShare::new(layers, self.request))
                };
                let clauses = self.of_widths(widths, layers);
                clauses
                    .into_iter()
                    .map(move |clause| about.clone() + &clause)
            }))
            .collect()
    }

    /// The layers that multiply compressed weights, by what becomes of their widths.
    fn by_widths(&self) -> Vec<(Widths, Vec<&LayerProfile>)> {
        let mut groups: Vec<(Widths, Vec<&LayerProfile>)> = Vec::new();
        let layers = self.request.profile.layers.iter();
        for layer in layers.filter(|l| l.layer.compressible && l.layer.macs > 0.0) {
            let (Ok(computed), Ok(stored)) = (self.precision(layer), self.storage_bits(layer))
            else {
                continue;
            };
            let packed = self.packed_rate(layer, computed, stored).is_some();
            let widths = Widths {
                weights: layer.weight_bits,
                activations: layer.activation_bits,
                stored,
                computed,
                moved: self.moved_as(computed, packed),
                packed,
            };
            match groups.iter_mut().find(|(other, _)| *other == widths) {
                Some((_, layers)) => layers.push(layer),
                None => groups.push((widths, vec![layer])),
            }
        }
        groups
    }

    fn of_widths(&self, widths: &Widths, layers: &[&LayerProfile]) -> Vec<String> {
        let mut clauses = Vec::new();
        let (weights, name) = (f64::from(widths.weights), widths.computed.name());
        let width = f64::from(widths.computed.bits());
        if widths.stored < width {
            let held = if widths.stored > weights {
                format!("stored in {} bits and ", widths.stored)
            } else {
                String::new()
            };
            let fewer = 100.0 * (1.0 - self.bytes_against(layers, width));
            clauses.push(format!(
                "{weights}-bit weights are {held}computed as {name}: {fewer:.0} % fewer bytes than as {name}, and the \
                 width saves no operations"
            ));
        } else if weights < width {
            clauses.push(format!(
                "{weights}-bit weights are stored and computed as {name} here"
            ));
        } else if weights > width {
            clauses.push(format!(
                "{weights}-bit weights are rounded to {name}, its widest format"
            ));
        }
        if widths.packed {
            clauses
                .push("weights are unpacked in every product, which its rate includes".to_owned());
        }
        if widths.activations < widths.moved.bits() {
            clauses.push(format!(
                "{}-bit activations travel as {}",
                widths.activations,
                widths.moved.name()
            ));
        }
        clauses
    }

    /// Bytes of the weights of layers as they lie in memory / the same at so many bits each.
    fn bytes_against(&self, layers: &[&LayerProfile], bits: f64) -> f64 {
        let rest = f64::from(self.ambient.bits()) / 8.0;
        let (mut held, mut wide) = (0.0, 0.0);
        for layer in layers {
            let others = layer.layer.other_parameters as f64 * rest;
            held += self.weight_bytes(layer).map_or(0.0, |bytes| bytes - others);
            wide += layer.layer.weights() as f64 * bits / 8.0;
        }
        if wide > 0.0 { held / wide } else { 1.0 }
    }
}
