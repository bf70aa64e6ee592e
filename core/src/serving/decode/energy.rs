//! Joules of one step on one device.

use super::Serving;
use super::work::packed_bytes;
use crate::graph::Language;
use crate::serving::constants::DecodeEnergy;
use crate::serving::device::Device;
use crate::serving::format::WeightFormat;
use crate::serving::rates::{HELD, Rates};
use crate::serving::step::{StepEnergy, Work};

impl Serving {
    /// Joules of one step on one device, over `seconds` of which `waiting` are spent waiting for the host.
    pub fn energy(
        &self,
        network: &Language,
        work: &Work,
        device: &Device,
        constants: &DecodeEnergy,
        seconds: f64,
        waiting: f64,
    ) -> StepEnergy {
        self.uncapped(network, work, device, constants, seconds, waiting)
            .held(HELD * device.power_limit * seconds)
    }

    /// Joules of one step without a power limit.
    pub(super) fn uncapped(
        &self,
        network: &Language,
        work: &Work,
        device: &Device,
        constants: &DecodeEnergy,
        seconds: f64,
        waiting: f64,
    ) -> StepEnergy {
        let rates = Rates::new(device, constants);
        // Several devices spin while they wait for each other and for the host.
        let several = self.devices > 1.0 || self.stages > 1.0;
        let waiting = if several { 0.0 } else { waiting };
        let busy = self.busy();
        let native = self.mxfp4_experts && device.multiplies_fp4();
        let body = match self.format {
            WeightFormat::Fp8 => constants.fp8_operation,
            WeightFormat::Half | WeightFormat::Int8 | WeightFormat::Packed(_) => 1.0,
        };
        let experts = match () {
            () if native => constants.fp4_operation,
            () if self.own_experts() => 1.0,
            () => body,
        };
        let in_experts = work.expert_operations + work.expert_prompt;
        let attention = work.attention + work.prompt_attention;
        let products = work.operations + work.prompt - in_experts - work.prompt_attention;
        let operations =
            body * products + experts * (in_experts + constants.padding * work.padding) + attention;
        let mut convert = constants.fp8_layer
            * self.fp8_layers(network.blocks, network.expert_layers())
            + constants.fp8_expert * self.over_every_expert(network);
        if let WeightFormat::Packed(bits) = self.format {
            let in_body = work.body_bytes / packed_bytes(bits, self.scale);
            let own = if self.own_experts() {
                0.0
            } else {
                work.expert_weights
            };
            convert += constants.fp4_weight * (in_body + own);
        }
        if self.own_experts() && !native {
            convert += constants.fp4_weight * work.expert_weights;
        }
        StepEnergy {
            standing: rates.idle * seconds + rates.active * (seconds - waiting).max(0.0),
            arithmetic: busy * rates.operation * operations,
            convert: busy * convert,
            weights: busy * rates.byte * (work.body_bytes + work.expert_bytes),
            cache: busy * rates.byte * constants.cache_byte * work.cache_bytes,
            activations: busy * constants.activation * work.activations,
            link: busy * constants.link_byte * work.link_bytes,
        }
    }
}
