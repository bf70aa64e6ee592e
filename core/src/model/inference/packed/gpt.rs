//! The byte language model: several texts at once, so that a token of each is one row of every product.

use super::super::super::{GptConfig, Tensors};
use super::super::gpt::{Attention, Norm};
use super::super::{rows, values};
use super::PackedMatrix;
use crate::error::{Error, Result};

/// A language model with packed weights.
#[derive(Debug)]
pub(super) struct LanguageModel {
    config: GptConfig,
    words: PackedMatrix,
    positions: PackedMatrix,
    blocks: Vec<Block>,
    norm: Norm,
    head: PackedMatrix,
}

#[derive(Debug)]
struct Block {
    norm_1: Norm,
    qkv: PackedMatrix,
    attention: PackedMatrix,
    norm_2: Norm,
    up: PackedMatrix,
    down: PackedMatrix,
}

/// Texts of equal length that are read together.
#[derive(Debug)]
pub(super) struct Texts {
    count: usize,
    /// Tokens of each that were read.
    len: usize,
    /// Query, key and value of every token, block by block, text by text: `[context, 3 · width]`.
    qkv: Vec<Vec<Vec<f32>>>,
    attention: Attention,
}

impl Texts {
    /// Forgets the last tokens.
    pub(super) fn back(&mut self, tokens: usize) {
        self.len = self.len.saturating_sub(tokens);
    }
}

impl LanguageModel {
    pub(super) fn new(config: &GptConfig, tensors: &Tensors, bits: u8) -> Result<Self> {
        let (d, hidden) = (config.width, config.hidden);
        let matrix = |name: &str, outputs: usize, inputs: usize| {
            let weights = values(tensors, &format!("{name}.weight"))?;
            PackedMatrix::new(outputs, inputs, &weights, bits)
        };
        let table = |name: &str, rows: usize| {
            PackedMatrix::table(rows, d, &values(tensors, &format!("{name}.weight"))?, bits)
        };
        let blocks = (0..config.blocks)
            .map(|i| {
                Ok(Block {
                    norm_1: Norm::new(tensors, &format!("h.{i}.ln_1"))?,
                    qkv: matrix(&format!("h.{i}.attn.qkv"), 3 * d, d)?,
                    attention: matrix(&format!("h.{i}.attn.proj"), d, d)?,
                    norm_2: Norm::new(tensors, &format!("h.{i}.ln_2"))?,
                    up: matrix(&format!("h.{i}.mlp.fc"), hidden, d)?,
                    down: matrix(&format!("h.{i}.mlp.proj"), d, hidden)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            words: table("wte", config.vocabulary)?,
            positions: table("wpe", config.context)?,
            blocks,
            norm: Norm::new(tensors, "ln_f")?,
            head: matrix("head", config.vocabulary, d)?,
            config: config.clone(),
        })
    }

    pub(super) fn matrices(&self) -> Vec<&PackedMatrix> {
        let mut matrices = vec![&self.words, &self.positions];
        for block in &self.blocks {
            matrices.extend([&block.qkv, &block.attention, &block.up, &block.down]);
        }
        matrices.push(&self.head);
        matrices
    }

    /// Texts of which nothing was read yet.
    pub(super) fn texts(&self, count: usize) -> Texts {
        let each = || vec![0.0; self.config.context * 3 * self.config.width];
        Texts {
            count,
            len: 0,
            qkv: self
                .blocks
                .iter()
                .map(|_| (0..count).map(|_| each()).collect())
                .collect(),
            attention: Attention::new(self.config.context),
        }
    }

    /// Sets texts to a length as if so many zero tokens had been read: the first text reads them, the others copy it.
    pub(super) fn pretend(&self, texts: &mut Texts, len: usize) -> Result<()> {
        let mut first = self.texts(1);
        if len > 0 {
            self.read(&mut first, &vec![0; len])?;
        }
        for (all, one) in texts.qkv.iter_mut().zip(&first.qkv) {
            for (text, read) in all.iter_mut().zip(one.iter().cycle()) {
                text.copy_from_slice(read);
            }
        }
        texts.len = len;
        Ok(())
    }

    /// Reads on, `[texts, n]` tokens; the logits for what follows each, `[texts, n, vocabulary]`.
    pub(super) fn read(&self, texts: &mut Texts, tokens: &[u32]) -> Result<Vec<f32>> {
        let GptConfig {
            context, width: d, ..
        } = self.config;
        let (from, n) = (texts.len, tokens.len() / texts.count);
        if from + n > context || n * texts.count != tokens.len() {
            return Err(Error::Compute(format!(
                "{} tokens of each of {} texts are more than the context of {context}",
                from + n,
                texts.count
            )));
        }
        texts.len += n;
        let mut x = self.words.rows(tokens)?;
        let places: Vec<u32> = (from..from + n)
            .filter_map(|p| u32::try_from(p).ok())
            .collect();
        let positions = self.positions.rows(&places)?;
        for text in x.chunks_exact_mut(n * d) {
            add(text, &positions);
        }
        let mut normed = vec![0.0; x.len()];
        let mut mixed = vec![0.0; x.len()];
        for (block, cache) in self.blocks.iter().zip(&mut texts.qkv) {
            block.norm_1.run(&x, &mut normed);
            let new = block.qkv.run(&normed)?;
            for ((text, new), mixed) in cache
                .iter_mut()
                .zip(new.chunks_exact(n * 3 * d))
                .zip(mixed.chunks_exact_mut(n * d))
            {
                text[from * 3 * d..(from + n) * 3 * d].copy_from_slice(new);
                let heads = (self.config.heads, d);
                texts.attention.run(heads, text, from..from + n, mixed);
            }
            add(&mut x, &block.attention.run(&mixed)?);
            block.norm_2.run(&x, &mut normed);
            let mut up = block.up.run(&normed)?;
            rows::gelu(&mut up);
            add(&mut x, &block.down.run(&up)?);
        }
        self.norm.run(&x, &mut normed);
        self.head.run(&normed)
    }
}

fn add(x: &mut [f32], more: &[f32]) {
    for (x, more) in x.iter_mut().zip(more) {
        *x += more;
    }
}
