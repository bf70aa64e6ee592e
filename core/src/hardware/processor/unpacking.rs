//! Weights that are stored narrower than they are computed: how often kernels unpack them, and where to.
//!
//! A kernel unpacks the weights that it needs for some rows of a product (units of work that share the weights), and again
//! for the next rows, on the general arithmetic units; or all weights are unpacked into memory first, and the product then
//! reads them as wide as it computes them. What is faster is done, as libraries do: vLLM's AWQ unpacks into memory from
//! 256 rows on, its GPTQ from 50 on, AutoAWQ from 1024 on.

use super::rates::Rates;
use super::{Demand, Processor};
use crate::hardware::figure::Corner;
use crate::units::Range;

/// Operations to unpack one weight: a shift or mask and a multiplication by the scale.
pub(super) const UNPACK_OPS: f64 = 2.0;
/// How many times that many it may take: half where one instruction does both, twice with a mask, a shift, a conversion and
/// the multiplication (assumed).
const UNPACKING: Range<f64> = Range {
    low: 0.5,
    typical: 1.0,
    high: 2.0,
};
/// Rows that share what was unpacked. 64: the largest tile of Marlin (from memory; github.com/IST-DASLab/marlin has it as
/// fast at 16 to 32 rows as at one). 8: the rows of one instruction of a matrix unit (m16n8k16), and of
/// the block of ExLlamaV2's kernel (vLLM, q_gemm.cu). 1: kernels that take as long again for every row, such as PyTorch's
/// (pytorch/ao, prototype/hqq/README.md: 2.1 µs a row of 4096 × 4096 on an RTX A6000).
const ROWS: Range<f64> = Range {
    low: 1.0,
    typical: 8.0,
    high: 64.0,
};

/// The narrow weights of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Narrow {
    /// Operations to unpack all of those that are read once, at the typical effort.
    pub(super) ops: f64,
    /// Products that each of these weights is part of.
    pub(super) rows: f64,
    /// Bytes of them as they are read from memory and on the chip.
    pub(super) packed: [f64; 2],
    /// Bytes of them as wide as they are computed, in memory and on the chip.
    pub(super) wide: [f64; 2],
}

/// How many times the usual operations unpacking takes at a corner.
pub(super) const fn effort(corner: Corner) -> f64 {
    match corner {
        Corner::Best => UNPACKING.low,
        Corner::Typical => UNPACKING.typical,
        Corner::Worst => UNPACKING.high,
    }
}

/// Rows that share what was unpacked at a corner.
pub(super) const fn rows(corner: Corner) -> f64 {
    match corner {
        Corner::Best => ROWS.high,
        Corner::Typical => ROWS.typical,
        Corner::Worst => ROWS.low,
    }
}

impl<'a> Demand<'a> {
    /// The same with the weights unpacked within the product.
    fn unpacked_within(self, rates: &Rates) -> Self {
        let Some(narrow) = self.narrow else {
            return self;
        };
        // Kernels with a rate of their own have it in that.
        let times = if self.packed.is_some() {
            1.0
        } else {
            (narrow.rows / rates.rows).max(1.0)
        };
        Self {
            unpack_ops: narrow.ops * rates.unpacking * times,
            narrow: None,
            ..self
        }
    }

    /// The same with weights that were unpacked into memory, and what unpacking them asked for.
    fn unpacked_before(&self, rates: &Rates) -> Option<[Self; 2]> {
        let narrow = self.narrow.filter(|_| self.packed.is_none())?;
        let ([packed, packed_on_chip], [wide, wide_on_chip]) = (narrow.packed, narrow.wide);
        let product = Self {
            narrow: None,
            memory_bytes: self.memory_bytes - packed + wide,
            on_chip_bytes: self.on_chip_bytes - packed_on_chip + wide_on_chip,
            ..*self
        };
        let unpacking = Self {
            unpack_ops: narrow.ops * rates.unpacking,
            memory_bytes: packed + wide,
            on_chip_bytes: packed_on_chip + wide_on_chip,
            launches: self.launches,
            unpacks: true,
            ..Self::nothing(self.name, self.precision)
        };
        Some([product, unpacking])
    }
}

/// Demands with all weights unpacked as is fastest on `n` devices; what unpacking into memory asks for follows its layer.
pub(super) fn unpacked<'a>(demands: Vec<Demand<'a>>, rates: &Rates, n: f64) -> Vec<Demand<'a>> {
    let seconds = |demand: &Demand<'_>| Processor::seconds(demand, rates, n);
    let mut all = Vec::with_capacity(demands.len());
    for demand in demands {
        let within = demand.unpacked_within(rates);
        match demand.unpacked_before(rates) {
            Some(before) if before.iter().map(seconds).sum::<f64>() < seconds(&within) => {
                all.extend(before);
            }
            _ => all.push(within),
        }
    }
    all
}
