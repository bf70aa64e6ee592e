//! AWQ (Lin et al. 2023, <https://arxiv.org/abs/2306.00978>) in the order of AutoAWQ's matrix products
//! (<https://github.com/casper-hansen/AutoAWQ/blob/main/awq/utils/packing_utils.py>): eight outputs in a word, not in
//! their order, inputs below each other, zeros likewise.

use super::{Fact, Matrix, Parts, Reading, Rows, StoredFormat};
use crate::error::Result;

pub(super) const PARTS: Parts = Parts {
    main: ".qweight",
    needed: &[".qzeros", ".scales"],
    perhaps: &[],
};

/// Where in a word each of eight outputs stands.
const PLACES: [u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

pub(super) fn shape(reading: &Reading<'_>, group: usize) -> Fact<[usize; 2]> {
    use StoredFormat as F;
    let [inputs, words] = reading.matrix(".qweight", &[F::I32])?;
    let outputs = words.saturating_mul(PLACES.len());
    let groups = if group == 0 {
        1
    } else {
        inputs.div_ceil(group)
    };
    reading.matrix(".qzeros", &[F::I32])?;
    reading.has(".qzeros", &[groups, words])?;
    reading.matrix(".scales", &[F::F16, F::BF16, F::F32])?;
    reading.has(".scales", &[groups, outputs])?;
    Ok([outputs, inputs])
}

struct Read {
    words: Vec<u32>,
    zeros: Vec<u32>,
    scales: Vec<f32>,
    outputs: usize,
    group: usize,
}

pub(super) fn read(reading: &Reading<'_>, matrix: &Matrix, group: usize) -> Result<Box<dyn Rows>> {
    Ok(Box::new(Read {
        words: reading.words(".qweight")?,
        zeros: reading.words(".qzeros")?,
        scales: reading.floats(".scales")?,
        outputs: matrix.rows,
        group: if group == 0 { matrix.columns } else { group },
    }))
}

impl Rows for Read {
    fn row(&self, row: usize, out: &mut [f32]) {
        let words = self.outputs / PLACES.len();
        let (word, shift) = (row / PLACES.len(), 4 * PLACES[row % PLACES.len()]);
        for (input, out) in out.iter_mut().enumerate() {
            let group = input / self.group;
            let code = (self.words[input * words + word] >> shift) & 15;
            let zero = (self.zeros[group * words + word] >> shift) & 15;
            *out = (code as f32 - zero as f32) * self.scales[group * self.outputs + row];
        }
    }
}
