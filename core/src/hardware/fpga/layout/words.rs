//! How a layout came about, in words.

use super::Layout;
use crate::digits::{many, si, trimmed};
use crate::hardware::figure::Corner;
use crate::profile::LayerProfile;

impl Layout<'_> {
    pub(in crate::hardware::fpga) fn time_formula(&self, seconds: f64) -> String {
        format!(
            "{} multiply-accumulates in {} soft + {} hard units of {} × {} bits: a result every {} cycles, the first of a \
             batch of {} after {}; / ({} × {}) + {} to hand the batch over; {} of weights streamed; {} per unit",
            many(self.executed),
            many(self.soft_units),
            many(self.hard_units),
            self.widths.0,
            self.widths.1,
            many(self.cycles),
            self.request.scenario.batch,
            many(self.fill_cycles),
            si(self.fpga.clock.typical, "Hz"),
            trimmed(self.efficiency(Corner::Typical), 3),
            si(self.fpga.start.typical.0, "s"),
            si(self.streamed_bytes, "B"),
            si(seconds, "s"),
        )
    }

    /// Whether every weight that is not zero has a multiplier of its own.
    pub(in crate::hardware::fpga) const fn is_unfolded(&self) -> bool {
        self.unfolded
    }

    /// What is to be said of the layout, and of zeros where they count at an end of the range only.
    pub(in crate::hardware::fpga) fn notes(&self, unfolded_at_an_end: bool) -> Vec<String> {
        let units = self.soft_units + self.hard_units;
        let (w, a) = self.widths;
        let mut notes = vec![if self.unfolded {
            format!("every weight that is not zero has {w} × {a}-bit multipliers of its own")
        } else {
            format!("{units:.0} multipliers of {w} × {a} bits fit")
        }];
        if self.streamed_bytes > 0.0 {
            notes.push(
                "weights do not fit in block memory and are streamed, once per batch".to_owned(),
            );
        }
        let pruned = self.request.profile.nonzero_weights() < self.request.profile.weights();
        let layers = &self.request.profile.layers;
        if pruned && self.unfolded {
            notes.push("zeros need no multiplier and take none of its energy".to_owned());
        } else if pruned {
            let needs =
                |layer: &LayerProfile| layer.bitmap_bits(f64::from(layer.weight_bits)) > 0.0;
            let bitmap = if layers.iter().any(needs) {
                ", and cost it bytes: beside 1-bit weights, which cannot be zero, a bitmap says where they are"
            } else {
                ""
            };
            notes.push(format!(
                "zeros are multiplied like other weights, because the multipliers are shared{bitmap}{}",
                if unfolded_at_an_end {
                    " (at an end of the range every other weight has one of its own, and zeros take none)"
                } else {
                    ""
                }
            ));
        }
        if w <= 8 && a > 8 {
            notes.push(format!(
                "activations of {a} bits force floating-point multipliers; 8 bits would free most of the logic"
            ));
        }
        notes
    }
}
