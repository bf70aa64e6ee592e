//! The byte language model, a text at a time through buffers that stay in a core's cache. What earlier tokens left is
//! kept, so that a text can also be read or written bit by bit.

use std::ops::Range;

use rayon::prelude::*;

use super::super::{GptConfig, Tensors};
use super::matrix::{Finish, Matrix, Product, Rows};
use super::{rows, values};
use crate::error::{Error, Result};

/// Tokens whose attention is computed together; what lies after the last of them is skipped.
const ATTENTION_ROWS: usize = 32;

/// A language model with its weights laid out.
#[derive(Debug)]
pub(super) struct Network {
    config: GptConfig,
    words: Vec<f32>,
    positions: Vec<f32>,
    blocks: Vec<Block>,
    norm: Norm,
    head: Matrix,
    activation_bits: u8,
}

#[derive(Debug)]
struct Block {
    norm_1: Norm,
    qkv: Matrix,
    attention: Matrix,
    norm_2: Norm,
    up: Matrix,
    down: Matrix,
}

#[derive(Debug)]
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// One text being read: what earlier tokens left, and buffers.
#[derive(Debug)]
pub(super) struct State {
    /// Tokens read.
    len: usize,
    /// Query, key and value of every token and block, `[context, 3 · width]`.
    qkv: Vec<Vec<f32>>,
    x: Vec<f32>,
    normed: Vec<f32>,
    mixed: Vec<f32>,
    hidden: Vec<f32>,
    attention: Attention,
}

/// What attention works in.
#[derive(Debug)]
pub(super) struct Attention {
    scores: Vec<f32>,
    keys: Matrix,
    values: Matrix,
}

impl Network {
    pub(super) fn new(config: &GptConfig, tensors: &Tensors, activation_bits: u8) -> Result<Self> {
        let (d, hidden) = (config.width, config.hidden);
        let norm = |name: &str| Norm::new(tensors, name);
        let matrix = |name: String, outputs: usize, inputs: usize| -> Result<Matrix> {
            let weights = values(tensors, &format!("{name}.weight"))?;
            Ok(Matrix::new(outputs, inputs, &weights))
        };
        let blocks = (0..config.blocks)
            .map(|i| {
                Ok(Block {
                    norm_1: norm(&format!("h.{i}.ln_1"))?,
                    qkv: matrix(format!("h.{i}.attn.qkv"), 3 * d, d)?,
                    attention: matrix(format!("h.{i}.attn.proj"), d, d)?,
                    norm_2: norm(&format!("h.{i}.ln_2"))?,
                    up: matrix(format!("h.{i}.mlp.fc"), hidden, d)?,
                    down: matrix(format!("h.{i}.mlp.proj"), d, hidden)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            words: values(tensors, "wte.weight")?,
            positions: values(tensors, "wpe.weight")?,
            blocks,
            norm: norm("ln_f")?,
            head: matrix("head".to_owned(), config.vocabulary, d)?,
            activation_bits,
        })
    }

    pub(super) fn vocabulary(&self) -> usize {
        self.config.vocabulary
    }

    /// Logits `[n, t, vocabulary]` of `[n, t]` tokens.
    pub(super) fn run(&self, tokens: &[u32], t: usize) -> Result<Vec<f32>> {
        let per_text = t * self.config.vocabulary;
        let mut logits = vec![0.0; tokens.len() * self.config.vocabulary];
        tokens
            .par_chunks_exact(t)
            .zip(logits.par_chunks_exact_mut(per_text))
            .try_for_each_init(
                || self.state(),
                |state, (tokens, logits)| {
                    state.len = 0;
                    self.read(state, tokens, logits)
                },
            )?;
        Ok(logits)
    }

    /// A text of which nothing was read yet.
    pub(super) fn state(&self) -> State {
        let (t, d) = (self.config.context, self.config.width);
        State {
            len: 0,
            qkv: vec![vec![0.0; t * 3 * d]; self.blocks.len()],
            x: vec![0.0; t * d],
            normed: vec![0.0; t * d],
            mixed: vec![0.0; t * d],
            hidden: vec![0.0; t * self.config.hidden],
            attention: Attention::new(t),
        }
    }

    /// Tokens that may still be read.
    pub(super) fn room(&self, state: &State) -> usize {
        self.config.context - state.len
    }

    /// Reads on, and writes the logits for what follows each of the last tokens: as many as `logits` has room for.
    pub(super) fn read(&self, state: &mut State, tokens: &[u32], logits: &mut [f32]) -> Result<()> {
        let GptConfig {
            context,
            width: d,
            hidden,
            vocabulary,
            ..
        } = self.config;
        let (from, n) = (state.len, tokens.len());
        if from + n > context {
            return Err(Error::Compute(format!(
                "{} tokens are more than the context of {context}",
                from + n
            )));
        }
        state.len += n;
        for ((x, &token), position) in state
            .x
            .chunks_exact_mut(d)
            .zip(tokens)
            .zip(self.positions[from * d..].chunks_exact(d))
        {
            let token = token as usize;
            let word = self.words.get(token * d..(token + 1) * d).ok_or_else(|| {
                Error::Compute(format!("token {token} is not among the {vocabulary}"))
            })?;
            for ((x, word), position) in x.iter_mut().zip(word).zip(position) {
                *x = word + position;
            }
        }
        let bits = self.activation_bits;
        for (i, block) in self.blocks.iter().enumerate() {
            let (x, normed) = (&mut state.x[..n * d], &mut state.normed[..n * d]);
            block.norm_1.run(x, normed);
            rows::quantize(normed, d, bits);
            let new = &mut state.qkv[i][from * 3 * d..(from + n) * 3 * d];
            Product::new(normed, n, &block.qkv, new).run();
            let heads = (self.config.heads, d);
            let mixed = &mut state.mixed[..n * d];
            let tokens = from..from + n;
            state.attention.run(heads, &state.qkv[i], tokens, mixed);
            let (x, normed) = (&mut state.x[..n * d], &mut state.normed[..n * d]);
            let mixed = &mut state.mixed[..n * d];
            rows::quantize(mixed, d, bits);
            add(mixed, n, &block.attention, x);
            block.norm_2.run(x, normed);
            rows::quantize(normed, d, bits);
            let up = &mut state.hidden[..n * hidden];
            Product::new(normed, n, &block.up, up).run();
            rows::gelu(up);
            rows::quantize(up, hidden, bits);
            add(up, n, &block.down, x);
        }
        let wanted = (logits.len() / vocabulary).min(n);
        let normed = &mut state.normed[..wanted * d];
        self.norm.run(&state.x[(n - wanted) * d..n * d], normed);
        rows::quantize(normed, d, bits);
        Product::new(normed, wanted, &self.head, logits).run();
        Ok(())
    }
}

impl Attention {
    /// For texts of at most `context` tokens.
    pub(super) fn new(context: usize) -> Self {
        Self {
            scores: vec![0.0; ATTENTION_ROWS * context],
            keys: Matrix::default(),
            values: Matrix::default(),
        }
    }

    /// Causal attention of some tokens, the last that were read, over all that were: a block's `qkv` of a text → `mixed`
    /// `[tokens, width]`.
    pub(super) fn run(
        &mut self,
        (heads, d): (usize, usize),
        qkv: &[f32],
        tokens: Range<usize>,
        mixed: &mut [f32],
    ) {
        let each = d / heads;
        let scale = 1.0 / (each as f32).sqrt();
        let (from, len) = (tokens.start, tokens.end);
        let scores = &mut self.scores;
        for head in 0..heads {
            let at = head * each;
            self.keys.fill(len, each, &qkv[d + at..], 3 * d, 1);
            self.values.fill(each, len, &qkv[2 * d + at..], 1, 3 * d);
            for first in (from..len).step_by(ATTENTION_ROWS) {
                // The last token of the tile sees the most.
                let seen = len.min(first + ATTENTION_ROWS);
                let count = seen - first;
                let mut product = Product::new(qkv, count, &self.keys, scores);
                product.rows = Rows::every(3 * d).from(first * 3 * d + at);
                product.outputs = seen;
                product.run();
                for (i, row) in scores.chunks_exact_mut(len).take(count).enumerate() {
                    rows::softmax(&mut row[..seen], first + i + 1, scale);
                }
                let mut product = Product::new(scores, count, &self.values, mixed);
                product.inputs = seen;
                product.out_rows = Rows::every(d).from((first - from) * d + at);
                product.run();
            }
        }
    }
}

impl Norm {
    pub(super) fn new(tensors: &Tensors, name: &str) -> Result<Self> {
        Ok(Self {
            weight: values(tensors, &format!("{name}.weight"))?,
            bias: values(tensors, &format!("{name}.bias"))?,
        })
    }

    pub(super) fn run(&self, x: &[f32], out: &mut [f32]) {
        rows::layer_norm(x, &self.weight, &self.bias, out);
    }
}

/// Adds a product to what is in `out`.
fn add(values: &[f32], count: usize, weights: &Matrix, out: &mut [f32]) {
    let mut product = Product::new(values, count, weights, out);
    product.finish = Finish::Add;
    product.run();
}
