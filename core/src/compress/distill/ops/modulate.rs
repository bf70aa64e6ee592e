//! Channels of images scaled and shifted by a row of numbers.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{tensor, values, vectors, with_values};

/// Images `[n, pixels, c]` and rows `[n, 2c]` of scales and shifts → x · (1 + scale) + shift.
pub(in super::super) struct Modulate;

impl CustomOp2 for Modulate {
    fn name(&self) -> &'static str {
        "modulate"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, pixels, c) = l1.shape().dims3()?;
        let (x, by) = (values(s1, l1)?, values(s2, l2)?);
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(pixels * c)
            .zip(x.par_chunks(pixels * c).zip(by.par_chunks(2 * c)))
            .for_each(|(out, (x, by))| {
                let (scales, shifts) = by.split_at(c);
                vectors(|| {
                    for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                        let lines = scales.iter().zip(shifts);
                        for ((out, x), (scale, shift)) in out.iter_mut().zip(x).zip(lines) {
                            *out = x * (1.0 + scale) + shift;
                        }
                    }
                });
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        by: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, pixels, c) = x.dims3()?;
        let mut out = vec![0f32; x.elem_count()];
        let mut d_by = vec![0f32; by.elem_count()];
        with_values([x, by, grad], |[x, by, grad]| {
            let given = x.par_chunks(pixels * c).zip(by.par_chunks(2 * c));
            out.par_chunks_mut(pixels * c)
                .zip(d_by.par_chunks_mut(2 * c))
                .zip(given.zip(grad.par_chunks(pixels * c)))
                .for_each(|((out, d_by), ((x, by), grad))| {
                    let (d_scales, d_shifts) = d_by.split_at_mut(c);
                    vectors(|| {
                        let rows = x.chunks_exact(c).zip(grad.chunks_exact(c));
                        for (out, (x, grad)) in out.chunks_exact_mut(c).zip(rows) {
                            let sums = d_scales.iter_mut().zip(&mut *d_shifts).zip(by);
                            let pairs = out.iter_mut().zip(x.iter().zip(grad));
                            for (((d_scale, d_shift), scale), (out, (x, g))) in sums.zip(pairs) {
                                *out = g * (1.0 + scale);
                                *d_scale += g * x;
                                *d_shift += g;
                            }
                        }
                    });
                });
        })?;
        Ok((
            Some(tensor(out, x.shape())?),
            Some(tensor(d_by, by.shape())?),
        ))
    }
}
