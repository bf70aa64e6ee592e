//! Weights in the block formats of ggml, multiplied by candle's kernels.

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Tensor};
use serde::Serialize;

use super::super::matrix::{Matrix, Product};
use crate::error::{Error, Result};
use crate::weights::BlockTensor;
use crate::weights::{self, StoredFormat};

/// A format that weights are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum PackedFormat {
    /// 2-bit integers, blocks of 256.
    Q2K,
    /// 3-bit integers, blocks of 256.
    Q3K,
    /// 4-bit integers, blocks of 256.
    Q4K,
    /// 4-bit integers, blocks of 32.
    #[serde(rename = "Q4_0")]
    Q4,
    /// 4-bit steps from the least weight of a block of 32.
    #[serde(rename = "Q4_1")]
    Q4Steps,
    /// 5-bit integers, blocks of 32.
    #[serde(rename = "Q5_0")]
    Q5,
    /// 5-bit steps from the least weight of a block of 32.
    #[serde(rename = "Q5_1")]
    Q5Steps,
    /// 5-bit integers, blocks of 256.
    Q5K,
    /// 6-bit integers, blocks of 256.
    Q6K,
    /// 8-bit integers, blocks of 32.
    #[serde(rename = "Q8_0")]
    Q8,
    /// Half precision.
    F16,
    /// Single precision.
    F32,
}

impl PackedFormat {
    /// Those that are chosen by bits, narrowest first; of equally wide ones the finer first. For the others (Q4_1, Q5_0,
    /// Q5_1) candle has no vector instructions on every processor.
    const ALL: [Self; 9] = [
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q4,
        Self::Q5K,
        Self::Q6K,
        Self::Q8,
        Self::F16,
        Self::F32,
    ];

    /// The narrowest format that has `bits` and whose blocks fill a row of `inputs` weights; single precision where no
    /// block of integers does.
    pub(crate) fn nearest(bits: u8, inputs: usize) -> Self {
        let fits = |format: &Self| {
            format.bits() >= bits
                && inputs.is_multiple_of(format.block())
                && (format.is_integer() || bits > 8)
        };
        Self::ALL.into_iter().find(fits).unwrap_or(Self::F32)
    }

    /// Bits of a weight without its share of the scales.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Q2K => 2,
            Self::Q3K => 3,
            Self::Q4K | Self::Q4 | Self::Q4Steps => 4,
            Self::Q5K | Self::Q5 | Self::Q5Steps => 5,
            Self::Q6K => 6,
            Self::Q8 => 8,
            Self::F16 => 16,
            Self::F32 => 32,
        }
    }

    /// The name in ggml.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q4 => "Q4_0",
            Self::Q4Steps => "Q4_1",
            Self::Q5 => "Q5_0",
            Self::Q5Steps => "Q5_1",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::Q8 => "Q8_0",
            Self::F16 => "F16",
            Self::F32 => "F32",
        }
    }

    /// The format of blocks that were stored for rows of so many inputs; single precision where candle has no kernel.
    pub(crate) fn of(stored: StoredFormat, inputs: usize) -> Self {
        use StoredFormat as F;
        match stored {
            F::Q2_K => Self::Q2K,
            F::Q3_K => Self::Q3K,
            F::Q4_K => Self::Q4K,
            F::Q4_0 => Self::Q4,
            F::Q5_K => Self::Q5K,
            F::Q6_K => Self::Q6K,
            F::Q8_0 => Self::Q8,
            F::F16 => Self::F16,
            // candle's kernels for these take two blocks at a time.
            _ if !inputs.is_multiple_of(64) => Self::F32,
            F::Q4_1 => Self::Q4Steps,
            F::Q5_0 => Self::Q5,
            F::Q5_1 => Self::Q5Steps,
            _ => Self::F32,
        }
    }

    /// Whether weights are integers with scales; activations are then rounded to 8 bits, block by block.
    pub const fn is_integer(self) -> bool {
        self.bits() <= 8
    }

    fn block(self) -> usize {
        self.kernel().block_size()
    }

    const fn kernel(self) -> GgmlDType {
        match self {
            Self::Q2K => GgmlDType::Q2K,
            Self::Q3K => GgmlDType::Q3K,
            Self::Q4K => GgmlDType::Q4K,
            Self::Q4 => GgmlDType::Q4_0,
            Self::Q4Steps => GgmlDType::Q4_1,
            Self::Q5 => GgmlDType::Q5_0,
            Self::Q5Steps => GgmlDType::Q5_1,
            Self::Q5K => GgmlDType::Q5K,
            Self::Q6K => GgmlDType::Q6K,
            Self::Q8 => GgmlDType::Q8_0,
            Self::F16 => GgmlDType::F16,
            Self::F32 => GgmlDType::F32,
        }
    }
}

/// Weights `[outputs, inputs]` in one format.
#[derive(Debug)]
pub(crate) struct PackedMatrix {
    kernel: Kernel,
    format: PackedFormat,
    outputs: usize,
    inputs: usize,
    bytes: usize,
    /// Numbers of a channel that lie together in a row of weights, where they lie channel by channel in what it is
    /// multiplied with.
    taps: usize,
}

#[derive(Debug)]
enum Kernel {
    /// candle's, for weights as they are stored.
    Candle(QMatMul),
    /// The engine's own, in single precision, on one thread.
    Own(Matrix),
}

impl PackedMatrix {
    /// Stores weights in the format nearest to `bits`.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] where the weights do not fill the matrix.
    pub(crate) fn new(outputs: usize, inputs: usize, weights: &[f32], bits: u8) -> Result<Self> {
        if PackedFormat::nearest(bits, inputs) != PackedFormat::F32 {
            return Self::table(outputs, inputs, weights, bits);
        }
        Ok(Self {
            kernel: Kernel::Own(Matrix::new(outputs, inputs, weights)),
            format: PackedFormat::F32,
            outputs,
            inputs,
            bytes: size_of_val(weights),
            taps: 1,
        })
    }

    /// Weights in stored blocks, exactly as they are; `table` is one of which rows are read. A row of a convolution has
    /// `taps` numbers of each channel.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(in super::super) fn of_blocks(
        (outputs, inputs): (usize, usize),
        coded: &BlockTensor,
        taps: usize,
        table: bool,
    ) -> Result<Self> {
        let format = PackedFormat::of(coded.format, inputs);
        let kind = weights::of_candle(coded.format);
        let mut matrix = if let Some(kind) = kind.filter(|_| format != PackedFormat::F32) {
            let blocks = weights::candle_blocks(kind, &coded.bytes).map_err(Error::Compute)?;
            let packed = QTensor::new(QStorage::Cpu(blocks), (outputs, inputs))?;
            let bytes = packed.storage_size_in_bytes();
            Self {
                kernel: Kernel::Candle(QMatMul::from_qtensor(packed)?),
                format,
                outputs,
                inputs,
                bytes,
                taps,
            }
        } else {
            let mut numbers = vec![0.0; outputs * inputs];
            weights::decode(coded.format, &coded.bytes, &mut numbers).map_err(Error::Compute)?;
            match table {
                true => Self::table(outputs, inputs, &numbers, format.bits())?,
                false => Self::new(outputs, inputs, &numbers, format.bits())?,
            }
        };
        matrix.taps = taps;
        Ok(matrix)
    }

    /// See [`Self::of_blocks`].
    pub(in super::super) const fn taps(&self) -> usize {
        self.taps
    }

    /// The same for a table, of which rows are read and nothing is multiplied.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(in super::super) fn table(
        outputs: usize,
        inputs: usize,
        weights: &[f32],
        bits: u8,
    ) -> Result<Self> {
        let format = PackedFormat::nearest(bits, inputs);
        let tensor = Tensor::from_slice(weights, (outputs, inputs), &Device::Cpu)?;
        let (kernel, bytes) = match format {
            PackedFormat::F32 => (QMatMul::Tensor(tensor), size_of_val(weights)),
            // candle's products of whole tensors: its kernel for packed half precision has no vector instructions.
            PackedFormat::F16 => (
                QMatMul::TensorF16(tensor.to_dtype(DType::F16)?),
                size_of_val(weights) / 2,
            ),
            _ => {
                let packed = QTensor::quantize(&tensor, format.kernel())?;
                let bytes = packed.storage_size_in_bytes();
                (QMatMul::from_qtensor(packed)?, bytes)
            }
        };
        Ok(Self {
            kernel: Kernel::Candle(kernel),
            format,
            outputs,
            inputs,
            bytes,
            taps: 1,
        })
    }

    /// Outputs and inputs.
    pub(in super::super) const fn shape(&self) -> (usize, usize) {
        (self.outputs, self.inputs)
    }

    pub(crate) fn format(&self) -> PackedFormat {
        self.format
    }

    /// Bytes in memory, scales included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Rows `[n, inputs]` times the weights: `[n, outputs]`.
    pub(crate) fn run(&self, values: &[f32]) -> Result<Vec<f32>> {
        let rows = values.len() / self.inputs;
        match &self.kernel {
            Kernel::Candle(kernel) => {
                let values = Tensor::from_slice(values, (rows, self.inputs), &Device::Cpu)?;
                numbers(&kernel.forward(&values)?, rows * self.outputs)
            }
            Kernel::Own(weights) => {
                let mut out = vec![0.0; rows * self.outputs];
                Product::new(values, rows, weights, &mut out).run();
                Ok(out)
            }
        }
    }

    /// Rows of a table: `[n, inputs]`.
    pub(in super::super) fn rows(&self, places: &[u32]) -> Result<Vec<f32>> {
        let Kernel::Candle(kernel) = &self.kernel else {
            return Err(Error::Compute(
                "rows are wanted of what is no table".to_owned(),
            ));
        };
        let wanted = Tensor::from_slice(places, places.len(), &Device::Cpu)?;
        numbers(&kernel.embedding(&wanted)?, places.len() * self.inputs)
    }
}

fn numbers(tensor: &Tensor, expected: usize) -> Result<Vec<f32>> {
    let tensor = tensor.to_dtype(DType::F32)?;
    Ok(tensor.reshape(expected)?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_format_has_the_bits_and_fits_the_row() {
        use PackedFormat::*;
        for (bits, inputs, expected) in [
            (32, 96, F32),
            (16, 9, F16),
            (8, 96, Q8),
            (7, 512, Q8),
            (6, 96, Q8),
            (6, 512, Q6K),
            (5, 256, Q5K),
            (4, 96, Q4),
            (4, 768, Q4K),
            (3, 288, Q4),
            (3, 256, Q3K),
            (2, 256, Q2K),
            (1, 96, Q4),
            (8, 144, F32),
            (4, 67, F32),
        ] {
            assert_eq!(
                PackedFormat::nearest(bits, inputs),
                expected,
                "{bits} {inputs}"
            );
        }
    }

    #[test]
    fn products_are_exact_to_the_rounding_of_the_format() {
        /// Largest relative error (root mean square) of a product, narrowest first: about half a step of weights whose
        /// largest is three times their spread, and of activations at 8 bits.
        const WORST: [f32; 9] = [0.4, 0.2, 0.1, 0.12, 0.05, 0.03, 0.01, 1e-3, 1e-6];
        let (outputs, inputs, rows) = (24, 512, 5);
        // A fixed sequence that looks random.
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let weights: Vec<f32> = (0..outputs * inputs).map(|_| next()).collect();
        let values: Vec<f32> = (0..rows * inputs).map(|_| next()).collect();
        let exact: Vec<f32> = values
            .chunks(inputs)
            .flat_map(|row| {
                weights
                    .chunks(inputs)
                    .map(move |w| row.iter().zip(w).map(|(a, b)| a * b).sum())
            })
            .collect();
        let size =
            |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
        for (format, worst) in PackedFormat::ALL.into_iter().zip(WORST) {
            // Of Q4_K and Q4_0 the first is taken.
            let bits = format.bits();
            let matrix = PackedMatrix::new(outputs, inputs, &weights, bits).unwrap();
            assert_eq!(matrix.format().bits(), bits);
            let found = matrix.run(&values).unwrap();
            let error = size(&mut found.iter().zip(&exact).map(|(a, b)| a - b))
                / size(&mut exact.iter().copied());
            assert!(error < worst, "{}: {error}", format.name());
            let stored = matrix.bytes() as f64 * 8.0 / weights.len() as f64;
            assert!(
                stored >= f64::from(bits) && stored < f64::from(bits) + 0.7,
                "{stored}"
            );
        }
    }
}
