//! The same networks in plain tensor operations, one after another: the oracle of the fast path.

mod graph;
mod pictures;
mod recurrent;

use candle_core::{D, DType, Device, Tensor};

pub(crate) use graph::Plain;

use crate::error::Result;
use crate::graph::Graph;
use crate::model::{
    Architecture, BATCH_NORM_EPSILON, BlockKind, CnnConfig, DecoderConfig, GptConfig,
    LAYER_NORM_EPSILON, ResidualConfig, Tensors,
};

fn get<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a Tensor> {
    (tensors.get(name)).ok_or_else(|| crate::Error::Compute(format!("tensor '{name}' is missing")))
}

/// As [`Architecture::forward`].
pub(super) fn forward(
    architecture: &Architecture,
    tensors: &Tensors,
    input: &Tensor,
    activation_bits: u8,
) -> Result<Tensor> {
    match architecture {
        Architecture::Cnn(config) => cnn(config, tensors, input, activation_bits),
        Architecture::Gpt(config) => gpt(config, tensors, input, activation_bits),
        Architecture::Decoder(config) => decoder(config, tensors, input, activation_bits),
        Architecture::Residual(config) => residual(config, tensors, input, activation_bits),
        Architecture::Vae(config) => pictures::vae(config, tensors, input, activation_bits),
        Architecture::Gan(config) => pictures::gan(config, tensors, input, activation_bits),
        Architecture::Rnn(config) => recurrent::logits(config, tensors, input, activation_bits),
        Architecture::Encoder(_) => any(&architecture.graph(), tensors, input, activation_bits),
        Architecture::Onnx(_) => Err(crate::Error::Compute("another library runs it".to_owned())),
    }
}

/// A network over tokens, node by node.
fn any(graph: &Graph, tensors: &Tensors, tokens: &Tensor, bits: u8) -> Result<Tensor> {
    let plain = Plain {
        tensors,
        bits,
        half_gelu: false,
    };
    let rows = tokens.to_vec2::<u32>()?;
    let rows = rows.iter().map(|tokens| plain.run(graph, tokens));
    Ok(Tensor::stack(&rows.collect::<Result<Vec<_>>>()?, 0)?)
}

/// Logits `[n, classes]` of images `[n, channels, size, size]` with values from 0 to 1.
fn cnn(
    config: &CnnConfig,
    tensors: &Tensors,
    images: &Tensor,
    activation_bits: u8,
) -> Result<Tensor> {
    let mut x = images.permute((0, 2, 3, 1))?.contiguous()?; // [n, h, w, c]
    for (i, stage) in config.stages.iter().enumerate() {
        let n = i + 1;
        x = quantize_activations(&x, 3, activation_bits)?;
        x = convolve(&x, get(tensors, &format!("conv{n}.weight"))?)?;
        let (scale, shift) = normalization(tensors, n)?;
        x = x.broadcast_mul(&scale)?.broadcast_add(&shift)?.relu()?;
        if stage.pool {
            x = max_pool(&x)?;
        }
    }
    let x = quantize_activations(&x.mean((1, 2))?, 1, activation_bits)?; // [n, c]
    let logits = x.matmul(&get(tensors, "head.weight")?.t()?)?;
    Ok(logits.broadcast_add(get(tensors, "head.bias")?)?)
}

/// Scale and shift `[c]` that batch normalisation n comes down to once its statistics are fixed.
fn normalization(tensors: &Tensors, n: usize) -> Result<(Tensor, Tensor)> {
    let part = |name: &str| get(tensors, &format!("bn{n}.{name}"));
    let deviation = (part("running_var")? + BATCH_NORM_EPSILON)?.sqrt()?;
    let scale = (part("weight")? / deviation)?;
    let shift = (part("bias")? - (part("running_mean")? * &scale)?)?;
    Ok((scale, shift))
}

/// 3x3 convolution with padding 1: `[n, h, w, in]` with `[out, in, 3, 3]` → `[n, h, w, out]`.
fn convolve(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let padded = x.pad_with_zeros(1, 1, 1)?.pad_with_zeros(2, 1, 1)?;
    let mut taps = Vec::with_capacity(9);
    for dy in 0..3 {
        for dx in 0..3 {
            taps.push(padded.narrow(1, dy, h)?.narrow(2, dx, w)?);
        }
    }
    let columns = Tensor::cat(&taps, D::Minus1)?.reshape((n * h * w, 9 * c))?;
    let outputs = weight.dim(0)?;
    let kernel = weight.permute((0, 2, 3, 1))?.reshape((outputs, 9 * c))?;
    Ok(columns.matmul(&kernel.t()?)?.reshape((n, h, w, outputs))?)
}

/// 2x2 max pooling with stride 2: `[n, h, w, c]` → `[n, h/2, w/2, c]`; an odd last row or column is dropped.
fn max_pool(x: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let even = x
        .narrow(1, 0, h / 2 * 2)?
        .narrow(2, 0, w / 2 * 2)?
        .contiguous()?;
    let rows = even.reshape((n, h / 2, 2, w / 2, 2, c))?;
    Ok(rows.max(4)?.max(2)?)
}

/// Logits `[n, t, vocabulary]` for the token after each of `[n, t]` tokens (u32), t at most the context.
fn gpt(
    config: &GptConfig,
    tensors: &Tensors,
    tokens: &Tensor,
    activation_bits: u8,
) -> Result<Tensor> {
    let (n, t) = tokens.dims2()?;
    let linear = |x: &Tensor, name: &str| -> Result<Tensor> {
        let x = quantize_activations(x, 1, activation_bits)?;
        Ok(x.matmul(&get(tensors, &format!("{name}.weight"))?.t()?)?)
    };
    let words = get(tensors, "wte.weight")?.index_select(&tokens.flatten_all()?, 0)?;
    let positions = get(tensors, "wpe.weight")?.narrow(0, 0, t)?;
    let mut x = words
        .reshape((n, t, config.width))?
        .broadcast_add(&positions)?
        .reshape((n * t, config.width))?; // [n·t, d]
    let mask = causal_mask(t)?;
    for i in 0..config.blocks {
        let normed = layer_norm(&x, tensors, &format!("h.{i}.ln_1"))?;
        let qkv = linear(&normed, &format!("h.{i}.attn.qkv"))?;
        let mixed = attend(config, &qkv.reshape((n, t, 3, config.heads, ()))?, &mask)?;
        x = (x + linear(&mixed, &format!("h.{i}.attn.proj"))?)?;
        let normed = layer_norm(&x, tensors, &format!("h.{i}.ln_2"))?;
        let hidden = linear(&normed, &format!("h.{i}.mlp.fc"))?.gelu()?;
        x = (x + linear(&hidden, &format!("h.{i}.mlp.proj"))?)?;
    }
    let normed = layer_norm(&x, tensors, "ln_f")?;
    Ok(linear(&normed, "head")?.reshape((n, t, config.vocabulary))?)
}

/// Logits `[n, classes]` of a classifier with residual connections, by candle's convolutions.
fn residual(
    config: &ResidualConfig,
    tensors: &Tensors,
    images: &Tensor,
    activation_bits: u8,
) -> Result<Tensor> {
    let convolve = |x: &Tensor, names: (&str, &str), stride: usize| -> Result<Tensor> {
        let weight = get(tensors, &format!("{}.weight", names.0))?;
        let x = quantize_activations(x, 3, activation_bits)?;
        let groups = x.dim(1)? / weight.dim(1)?;
        let y = x.conv2d(weight, weight.dim(2)? / 2, stride, 1, groups)?;
        let part = |part: &str| get(tensors, &format!("{}.{part}", names.1));
        let along = |t: &Tensor| t.reshape((1, (), 1, 1));
        let deviation = (part("running_var")? + BATCH_NORM_EPSILON)?.sqrt()?;
        let y = y.broadcast_sub(&along(part("running_mean")?)?)?;
        let y = y.broadcast_div(&along(&deviation)?)?;
        let y = y.broadcast_mul(&along(part("weight")?)?)?;
        Ok(y.broadcast_add(&along(part("bias")?)?)?)
    };
    let mobile = config.last.is_some();
    let relu = |x: Tensor| -> Result<Tensor> {
        let x = x.relu()?;
        Ok(if mobile { x.minimum(6.0)? } else { x })
    };
    let stem = if mobile {
        ("features.0.0", "features.0.1")
    } else {
        ("conv1", "bn1")
    };
    let mut x = relu(convolve(images, stem, config.stem.stride)?)?;
    if config.stem.pool {
        // Nothing is below zero, so zeros beyond the edge change nothing.
        let padded = x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?;
        x = padded.max_pool2d_with_stride(3, 2)?;
    }
    let mut i = 0;
    for (stage, blocks) in config.stages.iter().enumerate() {
        for (at, block) in blocks.iter().enumerate() {
            i += 1;
            let own = |conv: &str, norm: &str, y: &Tensor, stride: usize| {
                let name = if mobile {
                    format!("features.{i}.conv")
                } else {
                    format!("layer{}.{at}", stage + 1)
                };
                convolve(
                    y,
                    (&format!("{name}.{conv}"), &format!("{name}.{norm}")),
                    stride,
                )
            };
            let mut y = x.clone();
            match block.kind {
                BlockKind::Basic => {
                    y = relu(own("conv1", "bn1", &y, block.stride)?)?;
                    y = own("conv2", "bn2", &y, 1)?;
                }
                BlockKind::Bottleneck => {
                    y = relu(own("conv1", "bn1", &y, 1)?)?;
                    y = relu(own("conv2", "bn2", &y, block.stride)?)?;
                    y = own("conv3", "bn3", &y, 1)?;
                }
                BlockKind::Inverted if block.hidden == x.dim(1)? => {
                    y = relu(own("0.0", "0.1", &y, block.stride)?)?;
                    y = own("1", "2", &y, 1)?;
                }
                BlockKind::Inverted => {
                    y = relu(own("0.0", "0.1", &y, 1)?)?;
                    y = relu(own("1.0", "1.1", &y, block.stride)?)?;
                    y = own("2", "3", &y, 1)?;
                }
            }
            let shortcut = if block.projected {
                own("downsample.0", "downsample.1", &x, block.stride)?
            } else {
                x.clone()
            };
            if shortcut.dims() == y.dims() {
                y = (y + shortcut)?;
            }
            x = if mobile { y } else { y.relu()? };
        }
    }
    if mobile {
        let names = (
            format!("features.{}.0", i + 1),
            format!("features.{}.1", i + 1),
        );
        x = relu(convolve(&x, (&names.0, &names.1), 1)?)?;
    }
    let x = quantize_activations(&x.mean((2, 3))?, 1, activation_bits)?;
    let head = if mobile { "classifier.1" } else { "fc" };
    let logits = x.matmul(&get(tensors, &format!("{head}.weight"))?.t()?)?;
    Ok(logits.broadcast_add(get(tensors, &format!("{head}.bias"))?)?)
}

/// Logits `[n, t, vocabulary]` of a model of the kind of Llama.
fn decoder(
    config: &DecoderConfig,
    tensors: &Tensors,
    tokens: &Tensor,
    activation_bits: u8,
) -> Result<Tensor> {
    let (n, t) = tokens.dims2()?;
    let linear = |x: &Tensor, name: &str| -> Result<Tensor> {
        let x = quantize_activations(x, 1, activation_bits)?;
        let y = x.matmul(&get(tensors, &format!("{name}.weight"))?.t()?)?;
        Ok(match tensors.get(&format!("{name}.bias")) {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    };
    let norm = |x: &Tensor, name: &str| -> Result<Tensor> {
        let weight = get(tensors, &format!("{name}.weight"))?;
        Ok(candle_nn::ops::rms_norm(
            &x.contiguous()?,
            weight,
            config.epsilon.0,
        )?)
    };
    let width = config.head_width;
    let factors = match tensors.get("rope_freqs.weight") {
        Some(factors) if config.factors => factors.to_vec1::<f32>()?,
        _ => vec![1.0; config.rotary / 2],
    };
    let factors = &factors;
    // [t, rotary / 2]
    let angles: Vec<f32> = (0..t)
        .flat_map(|position| {
            (0..config.rotary / 2).map(move |pair| {
                let frequency = config
                    .base
                    .0
                    .powf(-2.0 * pair as f32 / config.rotary as f32);
                position as f32 * frequency / factors[pair]
            })
        })
        .collect();
    let angles = Tensor::from_vec(angles, (t, config.rotary / 2), &Device::Cpu)?;
    let (cos, sin) = (angles.cos()?, angles.sin()?);
    // [n·t, heads · width] → [n, heads, t, width], turned where it is told by which name it is normalised.
    let split = |x: &Tensor, heads: usize, turned: Option<&str>| -> Result<Tensor> {
        let mut x = x.reshape((n, t, heads, width))?;
        if let Some(name) = turned
            && config.head_norms
        {
            x = norm(&x, name)?;
        }
        let x = x.transpose(1, 2)?.contiguous()?;
        if turned.is_none() {
            return Ok(x);
        }
        let turning = x.narrow(3, 0, config.rotary)?.contiguous()?;
        let turning = if config.interleaved {
            candle_nn::rotary_emb::rope_i(&turning, &cos, &sin)?
        } else {
            candle_nn::rotary_emb::rope(&turning, &cos, &sin)?
        };
        let rest = x.narrow(3, config.rotary, width - config.rotary)?;
        Ok(Tensor::cat(&[turning, rest], 3)?)
    };
    let seen = |query: usize, key: usize| {
        key <= query && config.window.is_none_or(|window| query - key < window)
    };
    let mask: Vec<f32> = (0..t * t)
        .map(|i| {
            if seen(i / t, i % t) {
                0.0
            } else {
                f32::NEG_INFINITY
            }
        })
        .collect();
    let mask = Tensor::from_vec(mask, (t, t), &Device::Cpu)?;
    let mut x = get(tensors, "token_embd.weight")?.index_select(&tokens.flatten_all()?, 0)?;
    for i in 0..config.blocks {
        let own = |name: &str| format!("blk.{i}.{name}");
        let normed = norm(&x, &own("attn_norm"))?;
        let (q, k) = (own("attn_q"), own("attn_k"));
        let q = split(
            &linear(&normed, &q)?,
            config.heads,
            Some(&own("attn_q_norm")),
        )?;
        let k = split(
            &linear(&normed, &k)?,
            config.kv_heads,
            Some(&own("attn_k_norm")),
        )?;
        let v = split(&linear(&normed, &own("attn_v"))?, config.kv_heads, None)?;
        // Every head of keys serves a group of queries: [n, kv heads, group · t, width].
        let group = config.heads / config.kv_heads;
        let q = q.reshape((n, config.kv_heads, group * t, width))?;
        let scores = (q.matmul(&k.t()?)? * (1.0 / (width as f64).sqrt()))?;
        let scores = scores
            .reshape((n, config.heads, t, t))?
            .broadcast_add(&mask)?;
        let weights = candle_nn::ops::softmax_last_dim(&scores)?;
        let weights = weights.reshape((n, config.kv_heads, group * t, t))?;
        let mixed = weights
            .matmul(&v)?
            .reshape((n, config.heads, t, width))?
            .transpose(1, 2)?
            .reshape((n * t, config.heads * width))?;
        x = (x + linear(&mixed, &own("attn_output"))?)?;
        let normed = norm(&x, &own("ffn_norm"))?;
        let gate = candle_nn::ops::silu(&linear(&normed, &own("ffn_gate"))?)?;
        let inner = (gate * linear(&normed, &own("ffn_up"))?)?;
        x = (x + linear(&inner, &own("ffn_down"))?)?;
    }
    let head = if config.tied { "token_embd" } else { "output" };
    Ok(linear(&norm(&x, "output_norm")?, head)?.reshape((n, t, config.vocabulary))?)
}

/// Causal attention: `[n, t, 3, heads, d/heads]` → `[n·t, d]`.
fn attend(config: &GptConfig, qkv: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let (n, t, ..) = qkv.dims5()?;
    let part = |i: usize| {
        qkv.narrow(2, i, 1)?
            .squeeze(2)?
            .transpose(1, 2)?
            .contiguous()
    };
    let (q, k, v) = (part(0)?, part(1)?, part(2)?); // [n, heads, t, d/heads]
    let scale = 1.0 / ((config.width / config.heads) as f64).sqrt();
    let scores = (q.matmul(&k.t()?)? * scale)?.broadcast_add(mask)?; // [n, heads, t, t]
    let weights = candle_nn::ops::softmax_last_dim(&scores)?;
    let mixed = weights.matmul(&v)?.transpose(1, 2)?; // [n, t, heads, d/heads]
    Ok(mixed.reshape((n * t, config.width))?)
}

/// 0 where a token may look, minus infinity where it may not: `[t, t]`.
fn causal_mask(t: usize) -> Result<Tensor> {
    let mask: Vec<f32> = (0..t * t)
        .map(|i| {
            if i % t > i / t {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        })
        .collect();
    Ok(Tensor::from_vec(mask, (t, t), &Device::Cpu)?)
}

/// Layer normalisation of `[rows, d]` with the named scale and shift.
fn layer_norm(x: &Tensor, tensors: &Tensors, name: &str) -> Result<Tensor> {
    let weight = get(tensors, &format!("{name}.weight"))?;
    let bias = get(tensors, &format!("{name}.bias"))?;
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let deviation = (variance + LAYER_NORM_EPSILON)?.sqrt()?;
    let normed = centred.broadcast_div(&deviation)?;
    Ok(normed.broadcast_mul(weight)?.broadcast_add(bias)?)
}

/// Rounds activations whose last `inner` dimensions share a scale. 32 bits change nothing, 16 round to half precision,
/// fewer to the integers from -(2^(bits-1) - 1) to 2^(bits-1) - 1 times a scale that maps the largest absolute value
/// onto the last of them.
pub(super) fn quantize_activations(x: &Tensor, inner: usize, bits: u8) -> Result<Tensor> {
    match bits {
        32.. => return Ok(x.clone()),
        16..32 => return Ok(x.to_dtype(DType::F16)?.to_dtype(DType::F32)?),
        _ => {}
    }
    let steps = f64::from((1u32 << (u32::from(bits.max(2)) - 1)) - 1);
    let outer = x.rank() - inner;
    let rows: usize = x.dims()[..outer].iter().product();
    let flat = x.reshape((rows, ()))?;
    let largest = flat.abs()?.max_keepdim(D::Minus1)?;
    // A row of zeros stays zero whatever its scale is.
    let scale = (largest.maximum(f64::from(f32::MIN_POSITIVE))? / steps)?;
    let rounded = flat.broadcast_div(&scale)?.round()?;
    Ok(rounded.broadcast_mul(&scale)?.reshape(x.shape())?)
}

#[test]
fn activation_rounding_is_within_half_a_step() {
    let x = Tensor::rand(-3f32, 1.0, (5, 40), &Device::Cpu).unwrap();
    for bits in 2..=8u8 {
        let rounded = quantize_activations(&x, 1, bits).unwrap();
        let steps = f64::from((1i32 << (bits - 1)) - 1);
        let half_step = 3.0 / steps / 2.0 * 1.0001;
        let error = (rounded - &x)
            .unwrap()
            .abs()
            .unwrap()
            .flatten_all()
            .unwrap();
        let worst = f64::from(error.max(0).unwrap().to_scalar::<f32>().unwrap());
        assert!(worst <= half_step, "{bits} bits: {worst} > {half_step}");
    }
}
