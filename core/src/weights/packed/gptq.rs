//! GPTQ (Frantar et al. 2022, <https://arxiv.org/abs/2210.17323>) as AutoGPTQ and GPTQModel store it
//! (<https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/nn_modules/qlinear/__init__.py>): inputs lie below each
//! other, several of them in a word from its low bits on; zeros likewise along a row. `g_idx` says the group of every
//! input. In the first version of the format a zero is stored as one less.

use super::{Fact, Matrix, Parts, Reading, Rows, StoredFormat};
use crate::error::{Error, Result};

pub(super) const PARTS: Parts = Parts {
    main: ".qweight",
    needed: &[".qzeros", ".scales"],
    perhaps: &[".g_idx"],
};

const FLOATS: [StoredFormat; 3] = [StoredFormat::F16, StoredFormat::BF16, StoredFormat::F32];

/// Codes in a word.
fn per_word(bits: u32) -> usize {
    (32 / bits) as usize
}

pub(super) fn shape(reading: &Reading<'_>, bits: u32, group: usize) -> Fact<[usize; 2]> {
    let [words, outputs] = reading.matrix(".qweight", &[StoredFormat::I32])?;
    let inputs = words.saturating_mul(per_word(bits));
    let [groups, _] = reading.matrix(".scales", &FLOATS)?;
    reading.has(".scales", &[groups, outputs])?;
    reading.matrix(".qzeros", &[StoredFormat::I32])?;
    reading.has(".qzeros", &[groups, outputs.div_ceil(per_word(bits))])?;
    match reading.perhaps(".g_idx") {
        Some((_, info)) if info.format == StoredFormat::I32 => reading.has(".g_idx", &[inputs])?,
        Some((_, info)) => return Err(super::unfit(info)),
        None => {}
    }
    let wanted = if group == 0 {
        1
    } else {
        inputs.div_ceil(group)
    };
    if groups != wanted {
        return Err(format!(
            "{groups} groups of scales do not fit {inputs} inputs in groups of {group}"
        ));
    }
    Ok([outputs, inputs])
}

struct Read {
    words: Vec<u32>,
    zeros: Vec<u32>,
    scales: Vec<f32>,
    groups: Vec<usize>,
    outputs: usize,
    bits: u32,
    less: u32,
}

pub(super) fn read(
    reading: &Reading<'_>,
    matrix: &Matrix,
    bits: u32,
    group: usize,
    less: bool,
) -> Result<Box<dyn Rows>> {
    let scales = reading.floats(".scales")?;
    let count = scales.len() / matrix.rows.max(1);
    let groups: Vec<usize> = match reading.perhaps(".g_idx") {
        Some(_) => {
            let groups = reading.words(".g_idx")?;
            groups.into_iter().map(|group| group as usize).collect()
        }
        None => (0..matrix.columns)
            .map(|input| input.checked_div(group).unwrap_or(0))
            .collect(),
    };
    if let Some(group) = groups.iter().find(|group| **group >= count) {
        return Err(Error::Compute(format!(
            "an input is of group {group}, and there are {count}"
        )));
    }
    Ok(Box::new(Read {
        words: reading.words(".qweight")?,
        zeros: reading.words(".qzeros")?,
        scales,
        groups,
        outputs: matrix.rows,
        bits,
        less: u32::from(less),
    }))
}

impl Rows for Read {
    fn row(&self, row: usize, out: &mut [f32]) {
        let (per, most) = (per_word(self.bits), (1_u32 << self.bits) - 1);
        let code = |word: u32, place: usize| (word >> (place as u32 * self.bits)) & most;
        let zeros_in_row = self.outputs.div_ceil(per);
        for (input, (out, group)) in out.iter_mut().zip(&self.groups).enumerate() {
            let word = self.words[input / per * self.outputs + row];
            let zero = self.zeros[group * zeros_in_row + row / per];
            let zero = (code(zero, row % per) + self.less) & most;
            let steps = code(word, input % per) as f32 - zero as f32;
            *out = self.scales[group * self.outputs + row] * steps;
        }
    }
}
