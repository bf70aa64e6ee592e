//! The block formats of llama.cpp: which layer takes which one, and the codes of its weights.
//!
//! Rules of the mixes and stand-ins are those of `llama_tensor_get_type` and `tensor_type_fallback` in
//! <https://github.com/ggml-org/llama.cpp/blob/master/src/llama-quant.cpp>.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor};
use half::f16;
use rayon::prelude::*;

use super::{fuse, ggml};
use crate::error::{Error, Result};
use crate::profile::Layer;
use crate::recipe::{BlockFormat, Group, Recipe, Width};
use crate::weights::{self, BlockTensor, StoredFormat};

/// Weights that one task rounds; whole blocks of every format.
const TASK: usize = 1 << 15;

/// How a block format stores one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerFormat {
    /// The layer.
    pub layer: String,
    /// Its blocks; half precision where no block fits its rows.
    pub format: StoredFormat,
    /// The blocks that its place in the network asks for, whether they fit or not.
    pub wanted: StoredFormat,
    /// Weights of a row.
    pub row: u64,
    /// Bytes of its weights.
    pub bytes: u64,
}

impl fmt::Display for LayerFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.format.name())?;
        match self.reason() {
            Some(reason) => write!(f, " for {}, {reason}", self.wanted.name()),
            None => Ok(()),
        }
    }
}

impl LayerFormat {
    /// Why other blocks than the wanted ones hold it.
    pub fn reason(&self) -> Option<String> {
        let multiple = self.multiple()?;
        let row = self.row;
        Some(format!("its rows of {row} are no multiple of {multiple}"))
    }

    /// What its rows are no multiple of, where other blocks than the wanted ones hold it.
    pub fn multiple(&self) -> Option<usize> {
        let smallest = StoredFormat::Q8_0.elements_per_block();
        match self.format {
            same if same == self.wanted => None,
            StoredFormat::F16 => Some(smallest),
            _ => Some(self.wanted.elements_per_block()),
        }
    }
}

/// How a block format stores the weights of these layers; those that are not compressed are left out.
pub fn layer_formats<'a>(
    layers: impl IntoIterator<Item = &'a Layer>,
    recipe: &Recipe,
) -> Vec<LayerFormat> {
    let layers: Vec<&Layer> = layers.into_iter().collect();
    let choices = choose_all(&layers, recipe);
    let all = layers.iter().zip(choices);
    all.filter_map(|(layer, choice)| {
        let Choice { wanted, format } = choice?;
        Some(LayerFormat {
            layer: layer.name.clone(),
            format,
            wanted,
            row: layer.fan_in(),
            bytes: bytes(format, layer.weights()),
        })
    })
    .collect()
}

/// What a format stores a layer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// What its place in the network asks for.
    pub(super) wanted: StoredFormat,
    /// What fits its rows.
    pub(super) format: StoredFormat,
}

/// What a recipe stores each of a network's layers in; empty where it asks for no blocks.
pub(super) fn choose_all(layers: &[&Layer], recipe: &Recipe) -> Vec<Option<Choice>> {
    let all = recipe.quantization.blocks;
    let mut choices = all.map_or_else(Vec::new, |format| choose(layers, format));
    // What each format does to all layers, for those that ask for it.
    let mut others = HashMap::new();
    for (i, layer) in layers.iter().enumerate() {
        let own = recipe.layers.get(&layer.name).and_then(|own| own.weights);
        let choice = match own {
            None => continue,
            Some(Width::Bits(_)) => None,
            Some(Width::Blocks(format)) => {
                let chosen = others
                    .entry(format)
                    .or_insert_with(|| choose(layers, format));
                choices.resize(layers.len(), None);
                chosen[i]
            }
        };
        if let Some(chosen) = choices.get_mut(i) {
            *chosen = choice;
        }
    }
    choices
}

/// Bytes of so many weights in whole blocks.
pub(super) fn bytes(format: StoredFormat, weights: u64) -> u64 {
    weights / format.elements_per_block() as u64 * format.bytes_per_block() as u64
}

/// Bits of a code; 16 for half precision.
pub(super) fn code_bits(format: StoredFormat) -> u8 {
    format.bits_of_codes().unwrap_or(16)
}

/// Whether a zero is still zero after rounding. The other formats store the least weight of a group and steps from it.
pub(super) const fn keeps_zeros(format: StoredFormat) -> bool {
    !matches!(
        format,
        StoredFormat::Q4_1
            | StoredFormat::Q5_1
            | StoredFormat::Q2_K
            | StoredFormat::Q4_K
            | StoredFormat::Q5_K
    )
}

/// For each layer what a format stores it in; `None` where it is not compressed, and of what llama.cpp never rounds: the
/// matrix that picks experts, and tables of positions (`tensor_allows_quantization`).
pub(super) fn choose(layers: &[&Layer], format: BlockFormat) -> Vec<Option<Choice>> {
    let roles = Roles::of(layers);
    let mut places = [0_usize; 2];
    layers
        .iter()
        .map(|layer| {
            if !layer.compressible || ends(&layer.name, &KEPT) {
                return None;
            }
            let role = roles.role(&layer.name);
            let place = match role {
                Role::Values => Some(&mut places[0]),
                Role::Last => Some(&mut places[1]),
                _ => None,
            };
            let place = place.map_or(0, |next| {
                *next += 1;
                *next - 1
            });
            let row = layer.fan_in();
            let wanted = roles.wanted(format, role, place, row);
            Some(Choice {
                wanted,
                format: fitting(wanted, row),
            })
        })
        .collect()
}

/// What llama.cpp takes where a row is no multiple of a block. Beside `Q2_K` and `Q3_K` older versions of it took `IQ4_NL`,
/// of as many bits.
fn fitting(wanted: StoredFormat, row: u64) -> StoredFormat {
    use StoredFormat as F;
    let fits = |format: F| row.is_multiple_of(format.elements_per_block() as u64);
    let other = match wanted {
        F::Q2_K | F::Q3_K => F::Q4_0,
        F::Q4_K => F::Q5_0,
        F::Q5_K => F::Q5_1,
        F::Q6_K => F::Q8_0,
        same => same,
    };
    [wanted, other]
        .into_iter()
        .find(|format| fits(*format))
        .unwrap_or(F::F16)
}

/// What a layer does, as far as mixes tell layers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The values of attention, alone or with queries and keys.
    Values,
    /// What leads out of attention.
    Output,
    /// The last matrix of a block.
    Last,
    /// The head, or a table that is the head as well.
    Head,
    Other,
}

/// What the rules ask about a network, from the names of its layers.
struct Roles {
    /// Layers that have values.
    values: usize,
    /// Last matrices of blocks.
    last: usize,
    has_head: bool,
    /// Heads of queries for each of keys.
    shared: usize,
}

/// Names as GGUF files, this program and Transformers have them.
const VALUES: [&str; 4] = ["attn_v", "attn_qkv", "attn.qkv", "v_proj"];
const QUERIES: [&str; 2] = ["attn_q", "q_proj"];
const KEYS: [&str; 2] = ["attn_k", "k_proj"];
const OUTPUT: [&str; 3] = ["attn_output", "attn.proj", "o_proj"];
const LAST: [&str; 3] = ["ffn_down", "mlp.proj", "down_proj"];
const HEAD: [&str; 3] = ["output", "head", "lm_head"];
const KEPT: [&str; 3] = ["ffn_gate_inp", "position_embd", "wpe"];
const TABLE: [&str; 3] = ["token_embd", "wte", "model.embed_tokens"];
/// Heads of queries for each of keys from which values are so small that they get more bits.
const MANY: usize = 4;

/// Whether a name ends in one of these parts.
fn ends(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| {
        name.strip_suffix(part)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

impl Roles {
    fn of(layers: &[&Layer]) -> Self {
        let names = || layers.iter().filter(|layer| layer.compressible);
        let count = |parts: &[&str]| names().filter(|layer| ends(&layer.name, parts)).count();
        let rows = |parts: &[&str]| {
            let found = names().find(|layer| ends(&layer.name, parts));
            found.and_then(|layer| layer.shape.first().copied())
        };
        Self {
            values: count(&VALUES),
            last: count(&LAST),
            has_head: names().any(|layer| HEAD.contains(&layer.name.as_str())),
            shared: match (rows(&QUERIES), rows(&KEYS)) {
                (Some(queries), Some(keys)) => queries / keys.max(1),
                _ => 1,
            },
        }
    }

    fn role(&self, name: &str) -> Role {
        if HEAD.contains(&name) || (!self.has_head && TABLE.contains(&name)) {
            Role::Head
        } else if ends(name, &VALUES) {
            Role::Values
        } else if ends(name, &OUTPUT) {
            Role::Output
        } else if ends(name, &LAST) {
            Role::Last
        } else {
            Role::Other
        }
    }

    /// The blocks of a layer, the one of so many in its role, whether they fit its rows or not.
    fn wanted(&self, format: BlockFormat, role: Role, place: usize, row: u64) -> StoredFormat {
        use BlockFormat as B;
        use StoredFormat as F;
        let base = format.base();
        if !format.is_mix() {
            return base;
        }
        // The first and the last eighth, and every third between them.
        let more = |of: usize| place < of / 8 || place >= 7 * of / 8 || (place - of / 8) % 3 == 2;
        match (role, format) {
            (Role::Head, _) if !row.is_multiple_of(base.elements_per_block() as u64) => F::Q8_0,
            (Role::Head, _) => F::Q6_K,
            (Role::Values, B::Q2_K_M) if self.shared >= MANY => F::Q4_K,
            (Role::Values | Role::Output | Role::Last, B::Q2_K_M) => F::Q3_K,
            (Role::Values, B::Q3_K_M) if place < 2 => F::Q5_K,
            (Role::Last, B::Q3_K_M) if place < self.last / 16 => F::Q5_K,
            (Role::Values | Role::Output | Role::Last, B::Q3_K_M) => F::Q4_K,
            (Role::Values | Role::Output | Role::Last, B::Q3_K_L) => F::Q5_K,
            (Role::Values, B::Q4_K_S) if place < 4 => F::Q5_K,
            (Role::Last, B::Q4_K_S) if place < self.last / 8 => F::Q5_K,
            (Role::Values, B::Q4_K_M | B::Q5_K_M) if more(self.values) => F::Q6_K,
            (Role::Last, B::Q4_K_M | B::Q5_K_M) if more(self.last) => F::Q6_K,
            _ => base,
        }
    }
}

/// Refuses what no file of llama.cpp can hold.
pub(super) fn check(recipe: &Recipe) -> Result<()> {
    let quantization = recipe.quantization;
    let bits = quantization.weight_bits;
    if quantization.blocks.is_some() || bits == 16 {
        return Ok(());
    }
    if bits == 32 {
        return Err(Error::Infeasible(match recipe.pruning.sparsity > 0.0 {
            true => "a GGUF of pruned weights needs a format of their own: 16 bits or blocks, such as Q8_0".to_owned(),
            false => "this recipe leaves the weights as the original's file holds them; there is nothing to export"
                .to_owned(),
        }));
    }
    let scales = match quantization.group {
        Group::Channel => "output channel".to_owned(),
        Group::Size(size) => format!("{size} weights"),
    };
    let nearest = BlockFormat::nearest(bits).map_or_else(String::new, |nearest| {
        format!(
            "; the nearest format of blocks is {nearest} (--format {})",
            nearest.name().to_lowercase()
        )
    });
    Err(Error::Infeasible(format!(
        "a GGUF cannot hold integers of {bits} {} with a scale per {scales}{nearest}",
        if bits == 1 { "bit" } else { "bits" }
    )))
}

/// Numbers in single precision.
pub(super) fn singles(numbers: &[f32]) -> BlockTensor {
    BlockTensor {
        format: StoredFormat::F32,
        bytes: numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
    }
}

/// Numbers in half precision.
pub(super) fn halves(numbers: &[f32]) -> BlockTensor {
    let halves = numbers.iter().flat_map(|n| f16::from_f32(*n).to_le_bytes());
    BlockTensor {
        format: StoredFormat::F16,
        bytes: halves.collect(),
    }
}

/// Rounds the numbers of a tensor to what a format holds, in place. Returns how many are not zero then, and the blocks.
pub(super) fn round(tensor: &Tensor, format: StoredFormat) -> Result<(u64, BlockTensor)> {
    let pass = Pass {
        format,
        result: Cell::new(None),
    };
    tensor.inplace_op1(&pass)?;
    let rounded = pass.result.into_inner();
    rounded.unwrap_or_else(|| Err(Error::Compute("nothing was rounded".to_owned())))
}

/// Rounding in the form that candle lets write into a tensor.
struct Pass {
    format: StoredFormat,
    result: Cell<Option<Result<(u64, BlockTensor)>>>,
}

impl InplaceOp1 for Pass {
    fn name(&self) -> &'static str {
        "blocks"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(numbers) = storage else {
            candle_core::bail!("blocks are made of single precision numbers");
        };
        let place = fuse::contiguous(layout).and_then(|range| numbers.get_mut(range));
        let Some(numbers) = place else {
            candle_core::bail!("blocks are made of a contiguous tensor");
        };
        self.result.set(Some(round_numbers(numbers, self.format)));
        Ok(())
    }
}

/// Rounds numbers, whose rows are whole blocks, to what a format holds.
pub(super) fn round_numbers(
    numbers: &mut [f32],
    format: StoredFormat,
) -> Result<(u64, BlockTensor)> {
    let (elements, block) = (format.elements_per_block(), format.bytes_per_block());
    if !numbers.len().is_multiple_of(elements) {
        return Err(Error::Compute(format!(
            "{} weights are no whole blocks of {}",
            numbers.len(),
            format.name()
        )));
    }
    let mut bytes = vec![0; numbers.len() / elements * block];
    let nonzero = numbers
        .par_chunks_mut(TASK)
        .zip(bytes.par_chunks_mut(TASK / elements * block))
        .map(|(numbers, bytes)| {
            encode(format, numbers, bytes)?;
            weights::decode(format, bytes, numbers).map_err(Error::Compute)?;
            if numbers.iter().any(|number| !number.is_finite()) {
                return Err(Error::Infeasible(format!(
                    "{} cannot hold its weights: a scale is beyond half precision",
                    format.name()
                )));
            }
            Ok(numbers.iter().filter(|number| **number != 0.0).count() as u64)
        })
        .sum::<Result<u64>>()?;
    Ok((nonzero, BlockTensor { format, bytes }))
}

/// The blocks of numbers, as llama.cpp rounds them: by candle, whose rounding is the same, or by [`super::ggml`].
fn encode(format: StoredFormat, numbers: &[f32], bytes: &mut [u8]) -> Result<()> {
    match format {
        StoredFormat::F16 => {
            for (number, place) in numbers.iter().zip(bytes.as_chunks_mut().0) {
                *place = f16::from_f32(*number).to_le_bytes();
            }
            return Ok(());
        }
        StoredFormat::Q2_K => {
            ggml::q2_k(numbers, bytes);
            return Ok(());
        }
        StoredFormat::Q4_K => {
            ggml::q4_k(numbers, bytes);
            return Ok(());
        }
        StoredFormat::Q5_K => {
            ggml::q5_k(numbers, bytes);
            return Ok(());
        }
        StoredFormat::Q6_K => {
            ggml::q6_k(numbers, bytes);
            return Ok(());
        }
        _ => {}
    }
    let kind = weights::of_candle(format)
        .ok_or_else(|| Error::Compute(format!("{} cannot be written", format.name())))?;
    let mut blocks = kind.cpu_zeros(numbers.len());
    blocks.from_float(numbers);
    let coded = QTensor::new(QStorage::Cpu(blocks), numbers.len())?;
    let coded = coded.data()?;
    if coded.len() != bytes.len() {
        return Err(Error::Compute(format!(
            "{} weights became {} bytes of {}, expected {}",
            numbers.len(),
            coded.len(),
            format.name(),
            bytes.len()
        )));
    }
    bytes.copy_from_slice(&coded);
    Ok(())
}
