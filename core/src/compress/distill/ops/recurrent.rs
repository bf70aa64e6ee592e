//! Recurrent layers over whole sequences, and back through them.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{Kept, exp, kept, tensor, values, vectors, with_values};
use crate::graph::Cell;
use crate::run::{Matrix, Product};

/// The steps of a recurrent layer: what its gates are given `[n·t, gates·units]`, weights `[gates·units, units]` and biases
/// `[gates·units]` → `[n·t, units]`. Every core takes some sequences from their beginning to their end.
pub(in super::super) struct Recurrent {
    cell: Cell,
    /// Positions of a sequence.
    length: usize,
    steps: Kept<Steps>,
}

/// What every position leaves for the way back.
struct Steps {
    /// Gates after their functions, `[n·t, gates·units]`.
    gates: Vec<f32>,
    /// Of a memory its content, of a gated unit what its own last output gives to the new content: `[n·t, units]`.
    contents: Vec<f32>,
}

/// What one core works on: some sequences on their way forward.
struct Forward<'a> {
    given: &'a [f32],
    gates: &'a mut [f32],
    contents: &'a mut [f32],
    out: &'a mut [f32],
}

/// The same on their way back.
struct Backward<'a> {
    gates: &'a [f32],
    contents: &'a [f32],
    outputs: &'a [f32],
    /// Of the outputs.
    slopes: &'a [f32],
    /// Of what gates are given.
    of_given: &'a mut [f32],
    /// Of what they get from the layer's own last output.
    of_own: &'a mut [f32],
    /// That last output itself.
    before: &'a mut [f32],
}

#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0 * logistic(2.0 * x) - 1.0
}

/// The parts of a row, as long as each other.
#[inline(always)]
fn split<const N: usize>(row: &[f32], width: usize) -> [&[f32]; N] {
    std::array::from_fn(|part| &row[part * width..][..width])
}

#[inline(always)]
fn split_mut<const N: usize>(row: &mut [f32], width: usize) -> [&mut [f32]; N] {
    let mut parts = row.chunks_exact_mut(width);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// A position of a memory: `own` with its biases, `gates` are kept.
#[inline(always)]
fn lstm(given: &[f32], own: &[f32], gates: &mut [f32], content: &mut [f32], out: &mut [f32]) {
    let units = out.len();
    let (given, own) = (split::<4>(given, units), split::<4>(own, units));
    let [i, f, g, o] = split_mut::<4>(gates, units);
    let content = &mut content[..units];
    for unit in 0..units {
        let gate = |gate: usize| given[gate][unit] + own[gate][unit];
        i[unit] = logistic(gate(0));
        f[unit] = logistic(gate(1));
        g[unit] = tanh(gate(2));
        o[unit] = logistic(gate(3));
        content[unit] = f[unit] * content[unit] + i[unit] * g[unit];
        out[unit] = o[unit] * tanh(content[unit]);
    }
}

/// A position of a gated unit, as [`lstm`].
#[inline(always)]
fn gru(given: &[f32], own: &[f32], gates: &mut [f32], content: &mut [f32], out: &mut [f32]) {
    let units = out.len();
    let (given, own) = (split::<3>(given, units), split::<3>(own, units));
    let [r, z, new] = split_mut::<3>(gates, units);
    let content = &mut content[..units];
    for unit in 0..units {
        let gate = |gate: usize| logistic(given[gate][unit] + own[gate][unit]);
        r[unit] = gate(0);
        z[unit] = gate(1);
        content[unit] = own[2][unit];
        new[unit] = tanh(given[2][unit] + r[unit] * content[unit]);
        out[unit] = (1.0 - z[unit]) * new[unit] + z[unit] * out[unit];
    }
}

/// Back through a position of a memory: `slope` is that of its output; `carried` that of its content, which becomes that of
/// the content before.
#[inline(always)]
fn lstm_back(
    gates: &[f32],
    (content, before): (&[f32], &[f32]),
    slope: &[f32],
    carried: &mut [f32],
    out: &mut [f32],
) {
    let units = slope.len();
    let [i, f, g, o] = split::<4>(gates, units);
    let [d_i, d_f, d_g, d_o] = split_mut::<4>(out, units);
    let (content, before, carried) = (&content[..units], &before[..units], &mut carried[..units]);
    for unit in 0..units {
        let (i, f, g, o) = (i[unit], f[unit], g[unit], o[unit]);
        let shown = tanh(content[unit]);
        d_o[unit] = slope[unit] * shown * o * (1.0 - o);
        let of_content = carried[unit] + slope[unit] * o * (1.0 - shown * shown);
        d_i[unit] = of_content * g * i * (1.0 - i);
        d_g[unit] = of_content * i * (1.0 - g * g);
        d_f[unit] = of_content * before[unit] * f * (1.0 - f);
        carried[unit] = of_content * f;
    }
}

/// Back through a position of a gated unit: `slope` becomes the part of the slope of the output before that does not go
/// through the product.
#[inline(always)]
fn gru_back(
    gates: &[f32],
    (content, before): (&[f32], &[f32]),
    slope: &mut [f32],
    of_given: &mut [f32],
    of_own: &mut [f32],
) {
    let units = slope.len();
    let [r, z, new] = split::<3>(gates, units);
    let [d_r, d_z, d_new] = split_mut::<3>(of_given, units);
    let [own_r, own_z, own_new] = split_mut::<3>(of_own, units);
    let (content, before) = (&content[..units], &before[..units]);
    for unit in 0..units {
        let (r, z, new) = (r[unit], z[unit], new[unit]);
        d_new[unit] = slope[unit] * (1.0 - z) * (1.0 - new * new);
        d_z[unit] = slope[unit] * (before[unit] - new) * z * (1.0 - z);
        d_r[unit] = d_new[unit] * content[unit] * r * (1.0 - r);
        own_r[unit] = d_r[unit];
        own_z[unit] = d_z[unit];
        own_new[unit] = d_new[unit] * r;
        slope[unit] *= z;
    }
}

impl Recurrent {
    pub(in super::super) fn new(cell: Cell, length: usize) -> Self {
        Self {
            cell,
            length,
            steps: Kept::default(),
        }
    }

    /// Positions of the sequences that a core takes, of so many.
    fn share(&self, rows: usize) -> usize {
        let sequences = rows / self.length.max(1);
        sequences
            .div_ceil(rayon::current_num_threads())
            .max(1)
            .saturating_mul(self.length)
    }

    fn forward(&self, part: &mut Forward<'_>, weights: &Matrix, bias: &[f32], units: usize) {
        let (t, width) = (self.length, bias.len());
        let n = part.out.len() / (t * units);
        let mut state = vec![0f32; n * units];
        let mut contents = vec![0f32; n * units];
        let mut own = vec![0f32; n * width];
        for position in 0..t {
            Product::new(&state, n, weights, &mut own).run();
            for sequence in 0..n {
                let row = sequence * t + position;
                let given = &part.given[row * width..][..width];
                let own = &mut own[sequence * width..][..width];
                let gates = &mut part.gates[row * width..][..width];
                let state = &mut state[sequence * units..][..units];
                let content = &mut contents[sequence * units..][..units];
                vectors(|| {
                    for (own, bias) in own.iter_mut().zip(bias) {
                        *own += bias;
                    }
                    match self.cell {
                        Cell::Lstm => lstm(given, own, gates, content, state),
                        Cell::Gru => gru(given, own, gates, content, state),
                    }
                });
                part.contents[row * units..][..units].copy_from_slice(content);
                part.out[row * units..][..units].copy_from_slice(state);
            }
        }
    }

    /// `weights` are transposed.
    fn backward(&self, part: &mut Backward<'_>, weights: &Matrix, units: usize) {
        let (t, width) = (self.length, self.cell.gates() as usize * units);
        let n = part.outputs.len() / (t * units);
        let zeros = vec![0f32; units];
        // Of the outputs and of the contents of the position that is gone through.
        let mut slopes = vec![0f32; n * units];
        let mut carried = vec![0f32; n * units];
        let mut of_own = vec![0f32; n * width];
        let mut through = vec![0f32; n * units];
        for position in (0..t).rev() {
            for sequence in 0..n {
                let row = sequence * t + position;
                let here = row * units..(row + 1) * units;
                let (outputs, contents) = match position {
                    0 => (zeros.as_slice(), zeros.as_slice()),
                    _ => {
                        let last = (row - 1) * units..row * units;
                        (&part.outputs[last.clone()], &part.contents[last])
                    }
                };
                part.before[here.clone()].copy_from_slice(outputs);
                let gates = &part.gates[row * width..][..width];
                let content = &part.contents[here.clone()];
                let slope = &mut slopes[sequence * units..][..units];
                let carried = &mut carried[sequence * units..][..units];
                let of_given = &mut part.of_given[row * width..][..width];
                let own = &mut of_own[sequence * width..][..width];
                let from_above = &part.slopes[here];
                vectors(|| {
                    for (slope, above) in slope.iter_mut().zip(from_above) {
                        *slope += above;
                    }
                    match self.cell {
                        Cell::Lstm => {
                            lstm_back(gates, (content, contents), slope, carried, of_given);
                            own.copy_from_slice(of_given);
                            slope.fill(0.0);
                        }
                        Cell::Gru => {
                            gru_back(gates, (content, outputs), slope, of_given, own);
                        }
                    }
                });
                part.of_own[row * width..][..width].copy_from_slice(own);
            }
            Product::new(&of_own, n, weights, &mut through).run();
            for (slope, through) in slopes.iter_mut().zip(&through) {
                *slope += through;
            }
        }
    }
}

impl CustomOp3 for Recurrent {
    fn name(&self) -> &'static str {
        "recurrent"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = l1.shape().dims2()?;
        let (_, units) = l2.shape().dims2()?;
        let (given, bias) = (values(s1, l1)?, values(s3, l3)?);
        let weights = Matrix::new(width, units, values(s2, l2)?);
        let mut steps = Steps {
            gates: vec![0f32; rows * width],
            contents: vec![0f32; rows * units],
        };
        let mut out = vec![0f32; rows * units];
        let share = self.share(rows);
        let gates = steps.gates.par_chunks_mut(share * width);
        let contents = steps.contents.par_chunks_mut(share * units);
        given
            .par_chunks(share * width)
            .zip(gates)
            .zip(contents)
            .zip(out.par_chunks_mut(share * units))
            .for_each(|(((given, gates), contents), out)| {
                let mut part = Forward {
                    given,
                    gates,
                    contents,
                    out,
                };
                self.forward(&mut part, &weights, bias, units);
            });
        let _ = self.steps.set(steps);
        Ok((CpuStorage::F32(out), Shape::from((rows, units))))
    }

    fn bwd(
        &self,
        given: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let steps = kept(&self.steps)?;
        let (rows, width) = given.dims2()?;
        let (_, units) = weight.dims2()?;
        let mut of_given = vec![0f32; rows * width];
        let mut of_own = vec![0f32; rows * width];
        let mut before = vec![0f32; rows * units];
        with_values([weight, res, grad], |[weight, outputs, slopes]| {
            let mut transposed = Matrix::default();
            transposed.fill(units, width, weight, 1, units);
            let share = self.share(rows);
            let (wide, narrow) = (share * width, share * units);
            let read = steps
                .gates
                .par_chunks(wide)
                .zip(steps.contents.par_chunks(narrow))
                .zip(outputs.par_chunks(narrow).zip(slopes.par_chunks(narrow)));
            let written = of_given
                .par_chunks_mut(wide)
                .zip(of_own.par_chunks_mut(wide))
                .zip(before.par_chunks_mut(narrow));
            read.zip(written).for_each(
                |(((gates, contents), (outputs, slopes)), ((of_given, of_own), before))| {
                    let mut part = Backward {
                        gates,
                        contents,
                        outputs,
                        slopes,
                        of_given,
                        of_own,
                        before,
                    };
                    self.backward(&mut part, &transposed, units);
                },
            );
        })?;
        let mut of_bias = vec![0f64; width];
        for row in of_own.chunks_exact(width) {
            for (sum, slope) in of_bias.iter_mut().zip(row) {
                *sum += f64::from(*slope);
            }
        }
        let of_bias = of_bias.into_iter().map(|sum| sum as f32).collect();
        let of_own = tensor(of_own, (rows, width))?;
        let of_weight = of_own.t()?.matmul(&tensor(before, (rows, units))?)?;
        Ok((
            Some(tensor(of_given, (rows, width))?),
            Some(of_weight),
            Some(tensor(of_bias, width)?),
        ))
    }
}
