//! Operations with gradients that training spends its time in. candle differentiates compositions of its own
//! operations, but runs most of them on one core and keeps every intermediate result; each operation here is one
//! parallel pass. Sums are taken over fixed blocks and added in order, so a result does not depend on timing.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

/// Rows that one task of a row-wise operation takes.
const ROWS: usize = 256;

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("the input is not contiguous"),
    }
}

/// Runs `f` on the values of tensors of any layout.
pub(super) fn with_values<const N: usize, R>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&[f32]; N]) -> R,
) -> Result<R> {
    let mut contiguous = Vec::with_capacity(N);
    for tensor in tensors {
        contiguous.push(tensor.contiguous()?);
    }
    let mut guards = Vec::with_capacity(N);
    for tensor in &contiguous {
        guards.push(tensor.storage_and_layout());
    }
    let mut slices = [&[] as &[f32]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        match &**storage {
            Storage::Cpu(storage) => *slice = values(storage, layout)?,
            _ => bail!("the tensor is not on the CPU"),
        }
    }
    Ok(f(slices))
}

/// e^x to about two units in the last place, without branches so that loops over it vectorise; the polynomial of the
/// Cephes library (Moshier, <https://www.netlib.org/cephes/>).
#[inline(always)]
#[allow(clippy::excessive_precision)]
fn exp(x: f32) -> f32 {
    /// 1.5·2²³: adding it leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_375 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_15e-4;
    p = p * r + 1.398_199_95e-3;
    p = p * r + 8.333_451_9e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_55e-1;
    p = p * r + 5.000_000_1e-1;
    let scale = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127)
        << 23;
    (p * r * r + r + 1.0) * f32::from_bits(scale)
}

/// The patches of a 3x3 convolution with padding 1: `[n, h, w, c]` → `[n·h·w, 9·c]`, rows of the kernel outermost.
pub(super) struct Patches;

impl CustomOp1 for Patches {
    fn name(&self) -> &'static str {
        "patches"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        let x = values(storage, layout)?;
        let mut out = vec![0f32; n * h * w * 9 * c];
        out.par_chunks_mut(h * w * 9 * c)
            .zip(x.par_chunks(h * w * c))
            .for_each(|(patches, image)| {
                each_run(h, w, c, |to, from, len| {
                    patches[to..to + len].copy_from_slice(&image[from..from + len]);
                });
            });
        Ok((CpuStorage::F32(out), Shape::from((n * h * w, 9 * c))))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, h, w, c) = arg.dims4()?;
        let mut out = vec![0f32; arg.elem_count()];
        with_values([grad], |[grad]| {
            out.par_chunks_mut(h * w * c)
                .zip(grad.par_chunks(h * w * 9 * c))
                .for_each(|(image, patches)| {
                    each_run(h, w, c, |from, to, len| {
                        for (sum, g) in image[to..to + len].iter_mut().zip(&patches[from..]) {
                            *sum += g;
                        }
                    });
                });
        })?;
        Ok(Some(Tensor::from_vec(out, arg.shape(), arg.device())?))
    }
}

/// Calls `f(offset in the patches, offset in the image, length)` for every run of pixels that lies inside the image:
/// up to three neighbours of a row are contiguous in both.
fn each_run(h: usize, w: usize, c: usize, mut f: impl FnMut(usize, usize, usize)) {
    for y in 0..h {
        for dy in 0..3 {
            if y + dy < 1 || y + dy > h {
                continue;
            }
            let row = (y + dy - 1) * w;
            for x in 0..w {
                let first = usize::from(x == 0);
                let last = if x + 1 == w { 2 } else { 3 };
                let to = ((y * w + x) * 9 + dy * 3 + first) * c;
                f(to, (row + x + first - 1) * c, (last - first) * c);
            }
        }
    }
}

/// Mean and (biased) variance of each channel in a batch.
pub(super) type Moments = Arc<OnceLock<(Vec<f32>, Vec<f32>)>>;

/// Batch normalisation with the batch's own statistics, then ReLU: `[rows, c]`, scale `[c]`, shift `[c]`.
pub(super) struct BatchNormRelu {
    /// Filled by the forward pass, for the running statistics and the backward pass.
    pub(super) moments: Moments,
    /// Added to the variance.
    pub(super) epsilon: f32,
}

impl BatchNormRelu {
    fn inverse_deviation(&self) -> Result<(&[f32], Vec<f32>)> {
        match self.moments.get() {
            Some((mean, variance)) => Ok((
                mean,
                variance
                    .iter()
                    .map(|v| 1.0 / (v + self.epsilon).sqrt())
                    .collect(),
            )),
            None => bail!("batch normalisation went backward before forward"),
        }
    }
}

impl CustomOp3 for BatchNormRelu {
    fn name(&self) -> &'static str {
        "batch-norm-relu"
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
        let (rows, c) = l1.shape().dims2()?;
        let (x, scale, shift) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let [sum, squares] = column_sums(x, c, |row, [sum, squares]| {
            for ((s, q), v) in sum.iter_mut().zip(squares).zip(row) {
                *s += v;
                *q += v * v;
            }
        });
        let mean: Vec<f32> = sum.iter().map(|s| (s / rows as f64) as f32).collect();
        let variance: Vec<f32> = squares
            .iter()
            .zip(&sum)
            .map(|(q, s)| ((q - s * s / rows as f64) / rows as f64).max(0.0) as f32)
            .collect();
        // A second forward pass through one operation would be a mistake of the caller's; the first statistics stay.
        let _ = self.moments.set((mean, variance));
        let (mean, inverse) = self.inverse_deviation()?;
        let a: Vec<f32> = scale.iter().zip(&inverse).map(|(g, i)| g * i).collect();
        let b: Vec<f32> = (0..c).map(|j| shift[j] - mean[j] * a[j]).collect();
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(ROWS * c)
            .zip(x.par_chunks(ROWS * c))
            .for_each(|(out, x)| {
                for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                    for j in 0..c {
                        out[j] = (x[j] * a[j] + b[j]).max(0.0);
                    }
                }
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        _shift: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (rows, c) = x.dims2()?;
        let (mean, inverse) = self.inverse_deviation()?;
        let mut out = vec![0f32; rows * c];
        let (d_scale, d_shift) = with_values([x, scale, res, grad], |[x, scale, res, grad]| {
            // Gradients that pass the ReLU, beside the normalised input.
            let joined: Vec<[f64; 2]> = {
                let sums: Vec<[Vec<f32>; 2]> = x
                    .par_chunks(ROWS * c)
                    .zip(res.par_chunks(ROWS * c))
                    .zip(grad.par_chunks(ROWS * c))
                    .map(|((x, y), g)| {
                        let mut sums = [vec![0f32; c], vec![0f32; c]];
                        for ((x, y), g) in x
                            .chunks_exact(c)
                            .zip(y.chunks_exact(c))
                            .zip(g.chunks_exact(c))
                        {
                            let [by_scale, by_shift] = &mut sums;
                            for j in 0..c {
                                let g = if y[j] > 0.0 { g[j] } else { 0.0 };
                                by_scale[j] += g * (x[j] - mean[j]) * inverse[j];
                                by_shift[j] += g;
                            }
                        }
                        sums
                    })
                    .collect();
                (0..c)
                    .map(|j| [0, 1].map(|part| sums.iter().map(|s| f64::from(s[part][j])).sum()))
                    .collect()
            };
            let d_scale: Vec<f32> = joined.iter().map(|s| s[0] as f32).collect();
            let d_shift: Vec<f32> = joined.iter().map(|s| s[1] as f32).collect();
            let m = rows as f32;
            out.par_chunks_mut(ROWS * c)
                .zip(x.par_chunks(ROWS * c))
                .zip(res.par_chunks(ROWS * c).zip(grad.par_chunks(ROWS * c)))
                .for_each(|((out, x), (y, g))| {
                    for i in 0..out.len() / c {
                        for j in 0..c {
                            let k = i * c + j;
                            let g = if y[k] > 0.0 { g[k] } else { 0.0 };
                            let normed = (x[k] - mean[j]) * inverse[j];
                            out[k] = scale[j]
                                * inverse[j]
                                * (g - (d_shift[j] + normed * d_scale[j]) / m);
                        }
                    }
                });
            (d_scale, d_shift)
        })?;
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(out, (rows, c), device)?),
            Some(Tensor::from_vec(d_scale, c, device)?),
            Some(Tensor::from_vec(d_shift, c, device)?),
        ))
    }
}

/// Two sums per column of a matrix with `c` columns, accumulated row by row within fixed blocks.
fn column_sums(x: &[f32], c: usize, add: impl Fn(&[f32], [&mut [f32]; 2]) + Sync) -> [Vec<f64>; 2] {
    let blocks: Vec<[Vec<f32>; 2]> = x
        .par_chunks(ROWS * c)
        .map(|block| {
            let (mut first, mut second) = (vec![0f32; c], vec![0f32; c]);
            for row in block.chunks_exact(c) {
                add(row, [&mut first, &mut second]);
            }
            [first, second]
        })
        .collect();
    [0, 1].map(|part| {
        (0..c)
            .map(|j| blocks.iter().map(|block| f64::from(block[part][j])).sum())
            .collect()
    })
}

/// 2x2 max pooling with stride 2: `[n, h, w, c]` → `[n, h/2, w/2, c]`.
pub(super) struct MaxPool;

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        let x = values(storage, layout)?;
        let (oh, ow) = (h / 2, w / 2);
        let mut out = vec![0f32; n * oh * ow * c];
        out.par_chunks_mut(oh * ow * c)
            .zip(x.par_chunks(h * w * c))
            .for_each(|(out, image)| {
                for (i, pixel) in out.chunks_exact_mut(c).enumerate() {
                    let [a, b, d, e] = corners(i, w, ow, c).map(|at| &image[at..at + c]);
                    for j in 0..c {
                        pixel[j] = a[j].max(b[j]).max(d[j].max(e[j]));
                    }
                }
            });
        Ok((CpuStorage::F32(out), Shape::from((n, oh, ow, c))))
    }

    fn bwd(&self, arg: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, h, w, c) = arg.dims4()?;
        let (oh, ow) = (h / 2, w / 2);
        let mut out = vec![0f32; arg.elem_count()];
        with_values([arg, res, grad], |[x, y, grad]| {
            out.par_chunks_mut(h * w * c)
                .zip(x.par_chunks(h * w * c))
                .zip(y.par_chunks(oh * ow * c).zip(grad.par_chunks(oh * ow * c)))
                .for_each(|((out, x), (y, grad))| {
                    for i in 0..oh * ow {
                        let corners = corners(i, w, ow, c);
                        for j in 0..c {
                            // The first corner that holds the maximum takes the whole gradient.
                            let largest = y[i * c + j];
                            if let Some(at) = corners.iter().find(|&&at| x[at + j] == largest) {
                                out[at + j] = grad[i * c + j];
                            }
                        }
                    }
                });
        })?;
        Ok(Some(Tensor::from_vec(out, arg.shape(), arg.device())?))
    }
}

/// Offsets of the four inputs of output pixel `i`.
fn corners(i: usize, w: usize, ow: usize, c: usize) -> [usize; 4] {
    let at = (i / ow * 2 * w + i % ow * 2) * c;
    [at, at + c, at + w * c, at + (w + 1) * c]
}

/// Layer normalisation: `[rows, d]`, scale `[d]`, shift `[d]`.
pub(super) struct LayerNorm {
    /// Added to the variance.
    pub(super) epsilon: f32,
}

impl LayerNorm {
    /// Mean and inverse deviation of a row.
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
                for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                    let (mean, inverse) = self.moments(x);
                    for j in 0..d {
                        out[j] = (x[j] - mean) * inverse * scale[j] + shift[j];
                    }
                }
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

/// GELU in its tanh form, as the inference pass has it.
pub(super) struct Gelu;

/// √(2/π) and the cubic coefficient of the tanh form (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>).
const GELU: (f32, f32) = (0.797_884_6, 0.044_715);

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let mut out = vec![0f32; x.len()];
        let block = ROWS * 64;
        out.par_chunks_mut(block)
            .zip(x.par_chunks(block))
            .for_each(|(out, x)| {
                for (out, &x) in out.iter_mut().zip(x) {
                    // 0.5·(1 + tanh u) is the logistic function of 2u.
                    let u = GELU.0 * x * (1.0 + GELU.1 * x * x);
                    *out = x / (1.0 + exp(-2.0 * u));
                }
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut out = vec![0f32; arg.elem_count()];
        let block = ROWS * 64;
        with_values([arg, grad], |[x, grad]| {
            out.par_chunks_mut(block)
                .zip(x.par_chunks(block).zip(grad.par_chunks(block)))
                .for_each(|(out, (x, grad))| {
                    for ((out, &x), g) in out.iter_mut().zip(x).zip(grad) {
                        let u = GELU.0 * x * (1.0 + GELU.1 * x * x);
                        let gate = 1.0 / (1.0 + exp(-2.0 * u));
                        let slope = GELU.0 * (1.0 + 3.0 * GELU.1 * x * x);
                        *out = g * (gate + 2.0 * x * gate * (1.0 - gate) * slope);
                    }
                });
        })?;
        Ok(Some(Tensor::from_vec(out, arg.shape(), arg.device())?))
    }
}

/// Softmax of scaled scores over the keys up to each query: `[.., t, t]` → the same, zero beyond the diagonal.
pub(super) struct CausalSoftmax {
    /// What the scores are multiplied with first.
    pub(super) scale: f32,
}

impl CustomOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let t = layout.dims()[layout.dims().len() - 1];
        let x = values(storage, layout)?;
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(t * t)
            .zip(x.par_chunks(t * t))
            .for_each(|(out, x)| {
                for (i, (out, x)) in out.chunks_exact_mut(t).zip(x.chunks_exact(t)).enumerate() {
                    softmax(&x[..=i], self.scale, &mut out[..=i]);
                }
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let t = arg.dim(candle_core::D::Minus1)?;
        let mut out = vec![0f32; arg.elem_count()];
        with_values([res, grad], |[p, grad]| {
            out.par_chunks_mut(t * t)
                .zip(p.par_chunks(t * t).zip(grad.par_chunks(t * t)))
                .for_each(|(out, (p, grad))| {
                    for i in 0..t {
                        let (row, p) = (i * t, &p[i * t..=i * t + i]);
                        let grad = &grad[row..=row + i];
                        let mean: f32 = p.iter().zip(grad).map(|(p, g)| p * g).sum();
                        for ((out, p), g) in out[row..].iter_mut().zip(p).zip(grad) {
                            *out = self.scale * p * (g - mean);
                        }
                    }
                });
        })?;
        Ok(Some(Tensor::from_vec(out, arg.shape(), arg.device())?))
    }
}

/// `out = softmax(scale · x)`.
pub(super) fn softmax(x: &[f32], scale: f32, out: &mut [f32]) {
    let largest = x
        .iter()
        .fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    for (out, x) in out.iter_mut().zip(x) {
        *out = exp(scale * (x - largest));
    }
    let inverse = 1.0 / out.iter().sum::<f32>();
    for out in out {
        *out *= inverse;
    }
}
