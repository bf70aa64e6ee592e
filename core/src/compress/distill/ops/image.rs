//! Operations of the convolutional classifier.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{Kept, ROWS, kept, product, tensor, values, vectors, with_values};

/// 3x3 convolution with padding 1: `[n, h, w, in]` and `[out, 9·in]` (rows of the kernel outermost) → `[n·h·w, out]`.
pub(in super::super) struct Convolution {
    patches: Kept<Tensor>,
    inner: bool,
}

impl Convolution {
    /// `inner` says whether the gradient of the input is wanted; it is not in the first layer.
    pub(in super::super) fn new(inner: bool) -> Self {
        Self {
            patches: Kept::default(),
            inner,
        }
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = l1.shape().dims4()?;
        let (outputs, _) = l2.shape().dims2()?;
        let x = values(s1, l1)?;
        let mut patches = vec![0f32; n * h * w * 9 * c];
        patches
            .par_chunks_mut(h * w * 9 * c)
            .zip(x.par_chunks(h * w * c))
            .for_each(|(patches, image)| {
                each_run(h, w, c, |to, from, len| {
                    patches[to..to + len].copy_from_slice(&image[from..from + len]);
                });
            });
        let patches = tensor(patches, (n * h * w, 9 * c))?;
        let sums = product(&patches, values(s2, l2)?, outputs)?;
        // An operation runs forward once; were it twice, the first pass would count.
        let _ = self.patches.set(patches);
        Ok((sums, Shape::from((n * h * w, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let d_kernel = grad.t()?.matmul(kept(&self.patches)?)?;
        if !self.inner {
            return Ok((None, Some(d_kernel)));
        }
        let (_, h, w, c) = x.dims4()?;
        let mut out = vec![0f32; x.elem_count()];
        with_values([&grad.matmul(kernel)?], |[grad]| {
            out.par_chunks_mut(h * w * c)
                .zip(grad.par_chunks(h * w * 9 * c))
                .for_each(|(image, patches)| {
                    each_run(h, w, c, |from, to, len| {
                        let sums = &mut image[to..to + len];
                        for (sum, g) in sums.iter_mut().zip(&patches[from..from + len]) {
                            *sum += g;
                        }
                    });
                });
        })?;
        Ok((Some(tensor(out, x.shape())?), Some(d_kernel)))
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
pub(in super::super) type Moments = Kept<(Vec<f32>, Vec<f32>)>;

/// Batch normalisation with the batch's own statistics, then ReLU: `[rows, c]`, scale `[c]`, shift `[c]`.
pub(in super::super) struct BatchNormRelu {
    /// Filled by the forward pass, for the running statistics and the backward pass.
    pub(in super::super) moments: Moments,
    /// Added to the variance.
    pub(in super::super) epsilon: f32,
}

impl BatchNormRelu {
    fn inverse_deviation(&self) -> Result<(&[f32], Vec<f32>)> {
        let (mean, variance) = kept(&self.moments)?;
        let inverse = variance.iter().map(|v| 1.0 / (v + self.epsilon).sqrt());
        Ok((mean, inverse.collect()))
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
        let _ = self.moments.set((mean, variance));
        let (mean, inverse) = self.inverse_deviation()?;
        let a: Vec<f32> = scale.iter().zip(&inverse).map(|(g, i)| g * i).collect();
        let b: Vec<f32> = (0..c).map(|j| shift[j] - mean[j] * a[j]).collect();
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(ROWS * c)
            .zip(x.par_chunks(ROWS * c))
            .for_each(|(out, x)| {
                vectors(|| {
                    for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                        let lines = a.iter().zip(&b);
                        for ((out, x), (a, b)) in out.iter_mut().zip(x).zip(lines) {
                            *out = (x * a + b).max(0.0);
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
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (rows, c) = x.dims2()?;
        let (mean, inverse) = self.inverse_deviation()?;
        let mut out = vec![0f32; rows * c];
        let (d_scale, d_shift) = with_values([x, scale, res, grad], |[x, scale, res, grad]| {
            let block = ROWS * c;
            // Gradients that pass the ReLU, alone and times the input.
            let sums: Vec<[Vec<f32>; 2]> = x
                .par_chunks(block)
                .zip(res.par_chunks(block).zip(grad.par_chunks(block)))
                .map(|(x, (y, g))| {
                    vectors(|| {
                        let mut sums = [vec![0f32; c], vec![0f32; c]];
                        let [alone, with_input] = &mut sums;
                        let rows = y.chunks_exact(c).zip(g.chunks_exact(c));
                        for (x, (y, g)) in x.chunks_exact(c).zip(rows) {
                            let sums = alone.iter_mut().zip(&mut *with_input).zip(mean);
                            for (((alone, with), mean), (x, (y, g))) in
                                sums.zip(x.iter().zip(y.iter().zip(g)))
                            {
                                let g = if *y > 0.0 { *g } else { 0.0 };
                                *alone += g;
                                *with += g * (x - mean);
                            }
                        }
                        sums
                    })
                })
                .collect();
            let total =
                |part: usize, j: usize| -> f64 { sums.iter().map(|s| f64::from(s[part][j])).sum() };
            let d_shift: Vec<f32> = (0..c).map(|j| total(0, j) as f32).collect();
            let d_scale: Vec<f32> = (0..c)
                .map(|j| (total(1, j) * f64::from(inverse[j])) as f32)
                .collect();
            // d_x = factor · (g - d_shift/m - normed · d_scale/m), as a line in g and x.
            let m = rows as f32;
            let lines: Vec<[f32; 3]> = (0..c)
                .map(|j| {
                    let factor = scale[j] * inverse[j];
                    let slope = factor * inverse[j] * d_scale[j] / m;
                    [factor, slope, mean[j] * slope - factor * d_shift[j] / m]
                })
                .collect();
            let column = |i: usize| -> Vec<f32> { lines.iter().map(|line| line[i]).collect() };
            let (factors, slopes, offsets) = (column(0), column(1), column(2));
            out.par_chunks_mut(block)
                .zip(x.par_chunks(block))
                .zip(res.par_chunks(block).zip(grad.par_chunks(block)))
                .for_each(|((out, x), (y, g))| {
                    vectors(|| {
                        let rows = y.chunks_exact(c).zip(g.chunks_exact(c));
                        let rows = x.chunks_exact(c).zip(rows);
                        for (out, (x, (y, g))) in out.chunks_exact_mut(c).zip(rows) {
                            let lines = factors.iter().zip(&slopes).zip(&offsets);
                            let inputs = x.iter().zip(y.iter().zip(g));
                            for ((out, (x, (y, g))), ((factor, slope), offset)) in
                                out.iter_mut().zip(inputs).zip(lines)
                            {
                                let g = if *y > 0.0 { *g } else { 0.0 };
                                *out = factor * g - slope * x + offset;
                            }
                        }
                    });
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
            vectors(|| {
                let (mut first, mut second) = (vec![0f32; c], vec![0f32; c]);
                for row in block.chunks_exact(c) {
                    add(row, [&mut first, &mut second]);
                }
                [first, second]
            })
        })
        .collect();
    [0, 1].map(|part| {
        (0..c)
            .map(|j| blocks.iter().map(|block| f64::from(block[part][j])).sum())
            .collect()
    })
}

/// 2x2 max pooling with stride 2: `[n, h, w, c]` → `[n, h/2, w/2, c]`.
pub(in super::super) struct MaxPool;

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
                vectors(|| {
                    for (i, pixel) in out.chunks_exact_mut(c).enumerate() {
                        let [a, b, d, e] = corners(i, w, ow, c).map(|at| &image[at..at + c]);
                        let above = a.iter().zip(b);
                        let below = d.iter().zip(e);
                        for (pixel, ((a, b), (d, e))) in pixel.iter_mut().zip(above.zip(below)) {
                            *pixel = a.max(*b).max(d.max(*e));
                        }
                    }
                });
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

/// Every pixel twice along rows and columns: `[n, h, w, c]` → `[n, 2h, 2w, c]`.
pub(in super::super) struct Upsample;

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        let x = values(storage, layout)?;
        let mut out = vec![0f32; 4 * x.len()];
        out.par_chunks_mut(4 * h * w * c)
            .zip(x.par_chunks(h * w * c))
            .for_each(|(out, image)| {
                for (i, pixel) in image.chunks_exact(c).enumerate() {
                    for at in corners(i, 2 * w, w, c) {
                        out[at..at + c].copy_from_slice(pixel);
                    }
                }
            });
        Ok((CpuStorage::F32(out), Shape::from((n, 2 * h, 2 * w, c))))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, h, w, c) = arg.dims4()?;
        let mut out = vec![0f32; arg.elem_count()];
        with_values([grad], |[grad]| {
            out.par_chunks_mut(h * w * c)
                .zip(grad.par_chunks(4 * h * w * c))
                .for_each(|(out, grad)| {
                    for (i, pixel) in out.chunks_exact_mut(c).enumerate() {
                        for at in corners(i, 2 * w, w, c) {
                            for (sum, g) in pixel.iter_mut().zip(&grad[at..at + c]) {
                                *sum += g;
                            }
                        }
                    }
                });
        })?;
        Ok(Some(Tensor::from_vec(out, arg.shape(), arg.device())?))
    }
}
