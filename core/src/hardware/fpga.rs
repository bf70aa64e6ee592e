//! Cost of a network laid out in programmable logic.
//!
//! Multiply-accumulate units are built at exactly the widths of the recipe, as many as fit; layers share the time in
//! proportion to their work (a balanced dataflow pipeline, as FINN builds it: Blott et al., FINN-R, ACM TRETS 11(3),
//! 2018). Only when every weight that is not zero gets a multiplier of its own do zeros cost nothing. See METHODS.md.

mod layout;

use serde::{Deserialize, Serialize};

use super::cost::{Cost, Explanation, Request};
use super::figure::{Corner, Figure};
use super::per_operation::HOROWITZ_45NM;
use super::processor::Memory;
use super::{HardwareTarget, whole};
use crate::digits::si;
use crate::error::{Error, Result};
use crate::hardware::EnergyBreakdown;
use crate::serving::Folding;
use crate::units::{Bytes, Joules, Range, Seconds};
use layout::Layout;

/// Constants of a field-programmable gate array on its board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fpga {
    /// Six-input lookup tables.
    pub luts: Figure<f64>,
    /// Hard multipliers.
    pub dsps: Figure<f64>,
    /// Width of the wider operand of a hard multiplier in bits: 27 (DSP48E2) packs two 8-bit products, 25 (DSP48E1)
    /// does not.
    pub dsp_width: u8,
    /// Block memory of all kinds.
    pub on_chip: Figure<Bytes>,
    /// Energy to read one byte of block memory.
    pub on_chip_energy_per_byte: Figure<Joules>,
    /// Memory on the board, if any.
    pub memory: Option<Memory>,
    /// Clock in Hz that a full design reaches.
    pub clock: Figure<f64>,
    /// Fraction of the lookup tables and multipliers that a design can use before routing fails.
    pub utilization: Figure<f64>,
    /// Energy of one lookup table switching for one cycle, its share of clock and routing included.
    pub energy_per_lut: Figure<Joules>,
    /// Energy of one hard multiplier for one cycle, its share of clock and routing included.
    pub energy_per_dsp: Figure<Joules>,
    /// Fraction of the multipliers' cycles that do work: pipelines are never perfectly balanced.
    pub efficiency: Figure<f64>,
    /// Time of the processor beside the logic to hand a batch over and to fetch the results.
    pub start: Figure<Seconds>,
}

/// Lookup tables of a multiply-accumulate per product of the two widths, and per bit of the sum. An array multiplier
/// has one partial-product bit per pair of bits; one six-input table with its carry adds two of them. Assumed from that
/// structure; synthesised multipliers lie between 0.5 and 1.2 per pair.
const LUTS_PER_BIT_PRODUCT: f64 = 1.0;
/// Bits of an accumulator beyond those of the product.
const ACCUMULATOR_GUARD_BITS: f64 = 8.0;
/// Hard multipliers and lookup tables of one floating-point multiply-accumulate, single and half precision (the
/// vendor's floating-point operator uses 3 + 2 and 1 + 1 multipliers and several hundred tables; from memory).
const FLOAT32_MAC: Unit = Unit {
    luts: 600.0,
    dsps: 5.0,
};
const FLOAT16_MAC: Unit = Unit {
    luts: 300.0,
    dsps: 2.0,
};

/// Resources of one multiply-accumulate unit.
#[derive(Debug, Clone, Copy)]
struct Unit {
    luts: f64,
    dsps: f64,
}

/// How many multiply-accumulates one hard multiplier does per cycle at these widths.
fn packed(width: u8, bits: u8) -> f64 {
    match (width, bits) {
        // WP521 (2019): four 4-bit products; WP486 (2016): two 8-bit products sharing an operand.
        (27.., ..=4) => 4.0,
        (27.., ..=8) => 2.0,
        (_, ..=4) => 2.0,
        _ => 1.0,
    }
}

impl Fpga {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        whole("dsp_width", self.dsp_width)
    }

    /// One multiply-accumulate in lookup tables only, and one in hard multipliers.
    fn units(&self, weight_bits: u8, activation_bits: u8) -> (Option<Unit>, Unit) {
        match weight_bits.max(activation_bits) {
            17.. => (None, FLOAT32_MAC),
            // Recipes have no integers of 9 to 16 bits; designs in fixed point have some below 16.
            16 => (None, FLOAT16_MAC),
            widest => {
                let (w, a) = (f64::from(weight_bits), f64::from(activation_bits));
                let adder = w + a + ACCUMULATOR_GUARD_BITS;
                let soft = Unit {
                    luts: LUTS_PER_BIT_PRODUCT * w * a + adder,
                    dsps: 0.0,
                };
                let hard = Unit {
                    luts: adder,
                    dsps: 1.0 / packed(self.dsp_width, widest),
                };
                (Some(soft), hard)
            }
        }
    }

    /// Cost of a network in as much of the logic as it can use, or in a given design.
    pub(super) fn cost(
        &self,
        target: &HardwareTarget,
        request: &Request<'_>,
        folding: Option<Folding>,
    ) -> Result<Cost> {
        if request.scenario.devices > 1 {
            return Err(Error::Infeasible(format!(
                "{} has no modelled link over which devices could share a model; use one device per copy",
                target.name
            )));
        }
        let layout = Layout::new(self, target, request, folding, Corner::Typical)?;
        let batch = f64::from(request.scenario.batch);
        let mut seconds = [0.0; 3];
        let mut latency = [0.0; 3];
        let mut joules = [0.0; 3];
        let mut breakdown = EnergyBreakdown::default();
        let mut stretch = 1.0;
        let mut unfolded_at_an_end = false;
        for (i, corner) in Corner::ALL.into_iter().enumerate() {
            // How much of the logic can be used is another share at another corner.
            let (time, energy, stretched) = match corner {
                Corner::Typical => layout.run(target, corner),
                Corner::Best | Corner::Worst => {
                    let end = Layout::new(self, target, request, folding, corner)?;
                    unfolded_at_an_end |= end.is_unfolded();
                    end.run(target, corner)
                }
            };
            seconds[i] = time;
            latency[i] = time * batch;
            joules[i] = energy.total().0;
            if corner == Corner::Typical {
                breakdown = energy;
                stretch = stretched;
            }
        }
        let range = |[low, typical, high]: [f64; 3]| Range { low, typical, high };
        Ok(Cost {
            time: range(seconds).map(Seconds),
            latency: range(latency).map(Seconds),
            energy: range(joules).map(Joules),
            breakdown,
            layers: layout.layers(seconds[1], &breakdown),
            devices: 1,
            weight_bytes: layout.weight_bytes,
            executed: layout.executed,
            explanation: request.explained(|| Explanation {
            limit: String::new(),
            stretch,
            time: layout.time_formula(seconds[1]),
            energy: format!(
                "arithmetic {} + block memory {} + board memory {} + {} × {} = {} static; bare arithmetic at 45 nm \
                 (Horowitz 2014) would be {}",
                si(breakdown.compute.0, "J"),
                si(breakdown.on_chip.0, "J"),
                si(breakdown.memory.0, "J"),
                si(target.static_power.typical.0, "W"),
                si(seconds[1], "s"),
                si(breakdown.static_power.0, "J"),
                si(
                    layout.executed
                        * HOROWITZ_45NM
                            .multiply_accumulate(layout.widths.0.max(layout.widths.1))
                            .0,
                    "J"
                ),
            ),
            notes: layout.notes(unfolded_at_an_end),
            }),
        })
    }
}
