//! Image and video generation with matrices in 8 bits.

/// In what the matrices of the linear layers of a denoising transformer are multiplied; attention, convolutions, text
/// and decoding stay in 16 bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinearFormat {
    /// 16 bit, also where weights alone are stored narrower and are unpacked first.
    #[default]
    Half,
    /// Weights and activations in 8-bit floating point.
    Fp8,
    /// Weights and activations as 8-bit integers.
    Int8,
}

impl LinearFormat {
    /// The format that the name of a precision in a table stands for. With 4-bit weights and 8-bit activations
    /// nothing was gained where it was measured (rows `int4dq` of `assets/ground_truth/narrow_generation.csv`).
    pub(super) fn named(precision: &str) -> Self {
        let precision = precision.to_lowercase();
        if precision.contains("fp8") || precision.contains("float8") {
            Self::Fp8
        } else if precision.contains("int8dq") || precision.contains("w8a8") {
            Self::Int8
        } else {
            Self::Half
        }
    }

    /// How many times as fast as in 16 bit linear layers are, quantising activations included: what CogVideoX-5B
    /// gained on an H100 (12.2 s of 87.5 s in FP8) and on an A100 (34.8 s of 212 s in INT8) if its linear layers took
    /// 60 and 65 % of the peak before (assumed); INT8 on the H100 gained 1.4.
    pub(super) const fn speed(self) -> f64 {
        match self {
            Self::Half => 1.0,
            Self::Fp8 => 1.75,
            Self::Int8 => 1.6,
        }
    }

    /// Energy of an operation against one in 16 bit: half the bits (assumed; no energy was published).
    pub(super) const fn energy(self) -> f64 {
        match self {
            Self::Half => 1.0,
            Self::Fp8 | Self::Int8 => 0.5,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::serving::rows::{Case, read};
    use crate::serving::{Constants, predict};

    const MEASURED: &str = include_str!("../../../assets/ground_truth/narrow_generation.csv");

    #[test]
    fn gains_over_16_bit_are_those_that_were_measured() {
        let rows = read(MEASURED, Path::new("narrow_generation.csv")).unwrap();
        let constants = Constants::shipped().unwrap();
        // The first row of a network on a device is in 16 bit.
        let mut whole = None;
        let mut compared = 0;
        for row in rows.iter().filter(|row| row.precision != "int4wo") {
            let case = Case::new(row, None).unwrap();
            let speed = predict(&case, constants).throughput.typical;
            let measured = row.measured_throughput().unwrap();
            if row.precision.ends_with("float16") {
                whole = Some((speed, measured));
                continue;
            }
            let (speed_16, measured_16) = whole.unwrap();
            let (predicted, measured) = (speed / speed_16, measured / measured_16);
            assert!(
                (predicted / measured).ln().abs() < 0.1,
                "{}: {predicted} against {measured}",
                row.id
            );
            compared += 1;
        }
        assert_eq!(compared, 10);
    }
}
