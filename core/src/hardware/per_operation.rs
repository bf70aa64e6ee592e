//! Published energies per operation that other tools multiply by a count of operations. They leave memory, routing and
//! leakage out, so they are shown beside a footprint for comparison and never used as one.

use crate::units::Joules;

const PICOJOULE: f64 = 1e-12;

/// A process in which single operations were estimated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arithmetic {
    /// Addition and multiplication of 8-bit integers.
    pub(crate) int8: (f64, f64),
    /// Addition and multiplication of 32-bit integers.
    pub(crate) int32: (f64, f64),
    /// Addition and multiplication in half precision.
    pub(crate) fp16: (f64, f64),
    /// Addition and multiplication in single precision.
    pub(crate) fp32: (f64, f64),
}

/// 45 nm at 0.9 V, picojoules: Horowitz, "Computing's energy problem", ISSCC 2014.
pub(crate) const HOROWITZ_45NM: Arithmetic = Arithmetic {
    int8: (0.03, 0.2),
    int32: (0.1, 3.1),
    fp16: (0.4, 1.1),
    fp32: (0.9, 3.7),
};

impl Arithmetic {
    /// Energy of one multiply-accumulate at the narrowest of the three formats that holds `bits`.
    pub(crate) fn multiply_accumulate(&self, bits: u8) -> Joules {
        let (add, multiply) = match bits {
            ..=8 => self.int8,
            9..=16 => self.fp16,
            _ => self.fp32,
        };
        Joules((add + multiply) * PICOJOULE)
    }

    /// Energy of one accumulation, all that a synaptic event costs in the proxies of the spiking literature.
    pub(crate) fn accumulate(&self) -> Joules {
        Joules(self.fp32.0 * PICOJOULE)
    }
}

/// Energy per synapse and per neuron of an Intel i7-4960X, as `KerasSpiking` uses it (Cao et al., "Spiking deep
/// convolutional neural networks for energy-efficient object recognition", IJCV 113, 2015; IEEE 7054508).
const KERAS_SPIKING_CPU: Joules = Joules(8.6e-9);

/// What `KerasSpiking` reports for a layer on its "cpu": every synapse and every neuron costs the same.
pub(crate) fn keras_spiking_cpu(synapses: f64, neurons: f64) -> Joules {
    KERAS_SPIKING_CPU * (synapses + neurons)
}

/// Spikes per neuron and step below which a spiking network of `steps` steps costs less than one with quantised
/// activations that say as much, `⌈log₂(steps + 1)⌉ / (8 steps)`: every spike of every step moves a weight, where the
/// other network moves it once per inference and its activation bit by bit (spyx, kmheckel/spyx pull request 76, after
/// arXiv 2409.08290).
pub(crate) fn break_even_activity(steps: u32) -> f64 {
    let steps = f64::from(steps);
    (steps + 1.0).log2().ceil() / (8.0 * steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::KilowattHours;

    /// Energy of one output token on an H100 in the regression of `EcoLogits` (docs/methodology/llm_inference.md):
    /// `1.17e-6 e^(-0.0112 B) P + 4.05e-5` Wh, with P in thousand millions of active parameters and a batch of B.
    fn ecologits_token(active_billions: f64, batch: f64) -> KilowattHours {
        let watt_hours = 1.17e-6 * (-0.0112 * batch).exp() * active_billions + 4.05e-5;
        KilowattHours(watt_hours / 1e3)
    }

    /// Relative error of sums and products in f64.
    const EXACT: f64 = 1e-12;

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < EXACT
    }

    #[test]
    fn the_45_nm_table_is_the_printed_one() {
        assert!(close(HOROWITZ_45NM.multiply_accumulate(32).0, 4.6e-12));
        assert!(close(HOROWITZ_45NM.multiply_accumulate(16).0, 1.5e-12));
        assert!(close(HOROWITZ_45NM.multiply_accumulate(8).0, 0.23e-12));
        assert!(close(HOROWITZ_45NM.accumulate().0, 0.9e-12));
    }

    #[test]
    fn qkeras_multiplications() {
        // qkeras/qtools, 45 nm: 0.2 pJ for 8 bits, 3.1 pJ for 32 bits.
        assert_eq!(HOROWITZ_45NM.int8.1, 0.2);
        assert_eq!(HOROWITZ_45NM.int32.1, 3.1);
    }

    #[test]
    fn spyx_break_even_activity() {
        // kmheckel/spyx pull request 76 prints 7.50, 6.25, 5.36, 6.25, 5.56, 5.00 % for 5 to 10 steps.
        let printed = [7.50, 6.25, 5.36, 6.25, 5.56, 5.00];
        for (steps, percent) in (5..=10).zip(printed) {
            let activity = 100.0 * break_even_activity(steps);
            assert!((activity - percent).abs() < 0.005, "{steps}: {activity} %");
        }
    }

    #[test]
    fn ecologits_energy_of_a_token() {
        // Eight thousand million parameters, batch of 64: 4.51e-5 Wh per output token.
        let energy = ecologits_token(8.0, 64.0);
        assert_eq!(format!("{:.2e}", 1e3 * energy.0), "4.51e-5");
    }

    #[test]
    fn keras_spiking_s_own_example_of_a_dense_layer() {
        // Its documentation: Dense 784 → 128 on "cpu" takes 8.64e-4 J.
        let energy = keras_spiking_cpu(784.0 * 128.0, 128.0);
        assert_eq!(format!("{:.2e}", energy.0), "8.64e-4");
    }

    #[test]
    fn kilowatt_hours_of_gpt_3_training_and_its_intensity() {
        // Patterson et al. 2021: 1,287 MWh and 552 t, hence 429 g/kWh.
        let energy = KilowattHours(1287e3);
        let tonnes = (crate::units::GramsPerKwh(429.0) * energy).0 / 1e6;
        assert!((tonnes - 552.0).abs() < 0.5, "{tonnes} t");
        assert!(close(crate::units::Joules::from(energy).0, 4.6332e12));
    }
}
