//! Operations of the language model.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{Kept, ROWS, exp, kept, product, softmax, tensor, values, vectors, with_values};

/// Layer normalisation: `[rows, d]`, scale `[d]`, shift `[d]`.
pub(in super::super) struct LayerNorm {
    /// Added to the variance.
    pub(in super::super) epsilon: f32,
}

impl LayerNorm {
    /// Mean and inverse deviation of a row.
    #[inline(always)]
    fn moments(&self, row: &[f32]) -> (f32, f32) {
        let d = row.len() as f32;
        let mean = row.iter().sum::<f32>() / d;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / d;
        (mean, 1.0 / (variance + self.epsilon).sqrt())
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
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
        let (_, d) = l1.shape().dims2()?;
        let (x, scale, shift) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(ROWS * d)
            .zip(x.par_chunks(ROWS * d))
            .for_each(|(out, x)| {
                vectors(|| {
                    for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                        let (mean, inverse) = self.moments(x);
                        for j in 0..d {
                            out[j] = (x[j] - mean) * inverse * scale[j] + shift[j];
                        }
                    }
                });
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        _shift: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (rows, d) = x.dims2()?;
        let mut out = vec![0f32; rows * d];
        let sums: Vec<[Vec<f32>; 2]> = with_values([x, scale, grad], |[x, scale, grad]| {
            out.par_chunks_mut(ROWS * d)
                .zip(x.par_chunks(ROWS * d).zip(grad.par_chunks(ROWS * d)))
                .map(|(out, (x, grad))| {
                    vectors(|| {
                        let (mut d_scale, mut d_shift) = (vec![0f32; d], vec![0f32; d]);
                        let rows = out.chunks_exact_mut(d).zip(x.chunks_exact(d));
                        for ((out, x), g) in rows.zip(grad.chunks_exact(d)) {
                            let (mean, inverse) = self.moments(x);
                            let (mut along, mut total) = (0f32, 0f32);
                            for j in 0..d {
                                let normed = (x[j] - mean) * inverse;
                                d_scale[j] += g[j] * normed;
                                d_shift[j] += g[j];
                                along += g[j] * scale[j] * normed;
                                total += g[j] * scale[j];
                            }
                            let (along, total) = (along / d as f32, total / d as f32);
                            for j in 0..d {
                                let normed = (x[j] - mean) * inverse;
                                out[j] = inverse * (g[j] * scale[j] - total - normed * along);
                            }
                        }
                        [d_scale, d_shift]
                    })
                })
                .collect()
        })?;
        let device = x.device();
        let total = |part: usize| {
            let sum: Vec<f32> = (0..d)
                .map(|j| sums.iter().map(|s| f64::from(s[part][j])).sum::<f64>() as f32)
                .collect();
            Tensor::from_vec(sum, d, device)
        };
        Ok((
            Some(Tensor::from_vec(out, (rows, d), device)?),
            Some(total(0)?),
            Some(total(1)?),
        ))
    }
}

/// The two linear layers of a block with GELU (tanh form, as the inference pass has it) between them: `[rows, d]`,
/// `[hidden, d]`, `[d, hidden]` → `[rows, d]`.
#[derive(Default)]
pub(in super::super) struct Mlp {
    /// What enters the GELU and what leaves it, `[rows, hidden]`.
    hidden: Kept<(Tensor, Tensor)>,
}

/// √(2/π) and the cubic coefficient of the tanh form (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>).
const GELU: (f32, f32) = (0.797_884_6, 0.044_715);

/// 0.5·(1 + tanh u) of the tanh form, which is the logistic function of 2u.
#[inline(always)]
fn gate(x: f32) -> f32 {
    let u = GELU.0 * x * (1.0 + GELU.1 * x * x);
    1.0 / (1.0 + exp(-2.0 * u))
}

impl CustomOp3 for Mlp {
    fn name(&self) -> &'static str {
        "mlp"
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
        let (rows, d) = l1.shape().dims2()?;
        let (hidden, _) = l2.shape().dims2()?;
        let x = tensor(values(s1, l1)?.to_vec(), (rows, d))?;
        let entering = product(&x, values(s2, l2)?, hidden)?;
        let mut leaving = vec![0f32; rows * hidden];
        let all = Layout::contiguous((rows, hidden));
        leaving
            .par_chunks_mut(ROWS * hidden)
            .zip(values(&entering, &all)?.par_chunks(ROWS * hidden))
            .for_each(|(out, x)| {
                vectors(|| {
                    for (out, &x) in out.iter_mut().zip(x) {
                        *out = x * gate(x);
                    }
                });
            });
        let entering = match entering {
            CpuStorage::F32(entering) => tensor(entering, (rows, hidden))?,
            _ => candle_core::bail!("the product is not f32"),
        };
        let leaving = tensor(leaving, (rows, hidden))?;
        let out = product(&leaving, values(s3, l3)?, d)?;
        let _ = self.hidden.set((entering, leaving));
        Ok((out, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        fc: &Tensor,
        proj: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (entering, leaving) = kept(&self.hidden)?;
        let (rows, hidden) = entering.dims2()?;
        let d_proj = grad.t()?.matmul(leaving)?;
        let mut out = vec![0f32; rows * hidden];
        with_values([entering, &grad.matmul(proj)?], |[x, grad]| {
            out.par_chunks_mut(ROWS * hidden)
                .zip(x.par_chunks(ROWS * hidden))
                .zip(grad.par_chunks(ROWS * hidden))
                .for_each(|((out, x), grad)| {
                    vectors(|| {
                        for ((out, &x), g) in out.iter_mut().zip(x).zip(grad) {
                            let gate = gate(x);
                            let slope = GELU.0 * (1.0 + 3.0 * GELU.1 * x * x);
                            *out = g * (gate + 2.0 * x * gate * (1.0 - gate) * slope);
                        }
                    });
                });
        })?;
        let d_entering = tensor(out, (rows, hidden))?;
        let d_fc = d_entering.t()?.matmul(x)?;
        Ok((Some(d_entering.matmul(fc)?), Some(d_fc), Some(d_proj)))
    }
}

/// Causal attention of all heads: queries, keys and values `[n·t, 3·d]` → `[n·t, d]`.
pub(in super::super) struct Attention {
    /// Tokens in a sequence.
    pub(in super::super) length: usize,
    /// Number of heads.
    pub(in super::super) heads: usize,
    kept: Kept<Heads>,
}

/// Queries, keys, values `[n·heads, t, d/heads]` and attention weights `[n·heads, t, t]`.
struct Heads {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    weights: Tensor,
}

impl Attention {
    pub(in super::super) fn new(length: usize, heads: usize) -> Self {
        Self {
            length,
            heads,
            kept: Kept::default(),
        }
    }

    /// Part `part` of rows of `parts·d` values, head by head: `[n·t, parts·d]` → `[n·heads, t, d/heads]`.
    fn split(&self, x: &[f32], d: usize, part: usize, parts: usize) -> Result<Tensor> {
        let (t, size) = (self.length, d / self.heads);
        let n = x.len() / (t * parts * d);
        let mut out = vec![0f32; n * t * d];
        out.par_chunks_mut(t * size)
            .enumerate()
            .for_each(|(i, out)| {
                let (sequence, head) = (i / self.heads, i % self.heads);
                for (step, out) in out.chunks_exact_mut(size).enumerate() {
                    let from = (sequence * t + step) * parts * d + part * d + head * size;
                    out.copy_from_slice(&x[from..from + size]);
                }
            });
        tensor(out, (n * self.heads, t, size))
    }

    /// The inverse of [`Self::split`].
    fn join(
        &self,
        heads: &Tensor,
        out: &mut [f32],
        d: usize,
        part: usize,
        parts: usize,
    ) -> Result<()> {
        let (t, size) = (self.length, d / self.heads);
        with_values([heads], |[x]| {
            out.par_chunks_mut(parts * d)
                .enumerate()
                .for_each(|(row, out)| {
                    let (sequence, step) = (row / t, row % t);
                    for head in 0..self.heads {
                        let from = ((sequence * self.heads + head) * t + step) * size;
                        out[part * d + head * size..][..size]
                            .copy_from_slice(&x[from..from + size]);
                    }
                });
        })
    }

    fn scale(&self, d: usize) -> f32 {
        1.0 / ((d / self.heads) as f32).sqrt()
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let (t, d) = (self.length, width / 3);
        let x = values(storage, layout)?;
        let part = |i| self.split(x, d, i, 3);
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = q.matmul(&k.transpose(1, 2)?)?;
        let mut weights = vec![0f32; scores.elem_count()];
        with_values([&scores], |[scores]| {
            weights
                .par_chunks_mut(t * t)
                .zip(scores.par_chunks(t * t))
                .for_each(|(out, x)| {
                    vectors(|| {
                        let rows = out.chunks_exact_mut(t).zip(x.chunks_exact(t));
                        for (i, (out, x)) in rows.enumerate() {
                            softmax(&x[..=i], self.scale(d), &mut out[..=i]);
                        }
                    });
                });
        })?;
        let weights = tensor(weights, scores.shape())?;
        let mut out = vec![0f32; rows * d];
        self.join(&weights.matmul(&v)?, &mut out, d, 0, 1)?;
        let _ = self.kept.set(Heads { q, k, v, weights });
        Ok((CpuStorage::F32(out), Shape::from((rows, d))))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let Heads { q, k, v, weights } = kept(&self.kept)?;
        let (rows, width) = x.dims2()?;
        let (t, d) = (self.length, width / 3);
        let grad = with_values([grad], |[grad]| self.split(grad, d, 0, 1))??;
        let d_v = weights.transpose(1, 2)?.matmul(&grad)?;
        let d_weights = grad.matmul(&v.transpose(1, 2)?)?;
        let mut out = vec![0f32; weights.elem_count()];
        with_values([weights, &d_weights], |[p, grad]| {
            out.par_chunks_mut(t * t)
                .zip(p.par_chunks(t * t).zip(grad.par_chunks(t * t)))
                .for_each(|(out, (p, grad))| {
                    vectors(|| {
                        for i in 0..t {
                            let row = i * t..=i * t + i;
                            let (p, grad) = (&p[row.clone()], &grad[row.clone()]);
                            let mean: f32 = p.iter().zip(grad).map(|(p, g)| p * g).sum();
                            for ((out, p), g) in out[row].iter_mut().zip(p).zip(grad) {
                                *out = self.scale(d) * p * (g - mean);
                            }
                        }
                    });
                });
        })?;
        let d_scores = tensor(out, weights.shape())?;
        let mut out = vec![0f32; rows * width];
        self.join(&d_scores.matmul(k)?, &mut out, d, 0, 3)?;
        self.join(&d_scores.transpose(1, 2)?.matmul(q)?, &mut out, d, 1, 3)?;
        self.join(&d_v, &mut out, d, 2, 3)?;
        Ok(Some(tensor(out, (rows, width))?))
    }
}
