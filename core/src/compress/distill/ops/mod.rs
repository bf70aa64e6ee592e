//! Operations with gradients that training spends its time in. candle differentiates compositions of its own
//! operations, but runs most of them on one core and keeps every intermediate result; each operation here is one
//! parallel pass. Sums are taken over fixed blocks and added in order, so a result does not depend on timing.

use std::sync::{Arc, OnceLock};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, Tensor, bail};

mod image;
mod modulate;
mod recurrent;
mod text;

pub(super) use image::{BatchNormRelu, Convolution, MaxPool, Moments, Upsample};
pub(super) use modulate::Modulate;
pub(super) use recurrent::Recurrent;
pub(super) use text::{Attention, LayerNorm, Mlp};

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

/// What a forward pass leaves for the backward pass of the same operation.
type Kept<T> = Arc<OnceLock<T>>;

fn kept<T>(kept: &Kept<T>) -> Result<&T> {
    match kept.get() {
        Some(value) => Ok(value),
        None => bail!("an operation went backward before forward"),
    }
}

/// `a·bᵀ` of `[m, k]` and `[n, k]`.
fn product(a: &Tensor, b: &[f32], n: usize) -> Result<CpuStorage> {
    let (m, k) = a.dims2()?;
    let (storage, layout) = a.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        bail!("the tensor is not on the CPU");
    };
    let b = CpuStorage::F32(b.to_vec());
    let transposed = Layout::contiguous((n, k)).transpose(0, 1)?;
    storage.matmul(&b, (1, m, n, k), layout, &transposed)
}

/// Runs a loop compiled for the vectors of the machine it finds itself on.
#[inline(always)]
fn vectors<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// `out = softmax(scale · x)`.
#[inline(always)]
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
