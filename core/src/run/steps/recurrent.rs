//! Recurrent layers: one position after another, the same position of all texts that are read together as one product.

use std::mem::take;

use super::super::factor::{Factor, Multiply};
use super::super::matrix::{Finish, Rows};
use super::super::program::{Frame, Layout};
use super::super::rows;
use crate::error::Result;
use crate::graph::Cell;

/// A recurrent layer.
#[derive(Debug)]
pub(in super::super) struct Recurrent {
    /// What its gates are given.
    pub(in super::super) input: usize,
    pub(in super::super) out: usize,
    /// `[gates · units, units]`.
    pub(in super::super) weights: Factor,
    /// Ones, as many as biases.
    pub(in super::super) scale: Vec<f32>,
    pub(in super::super) bias: Vec<f32>,
    pub(in super::super) cell: Cell,
    pub(in super::super) units: usize,
    /// Bits that its own last output is rounded to before the product.
    pub(in super::super) bits: u8,
    /// Its place among what is kept of texts.
    pub(in super::super) place: usize,
}

impl Recurrent {
    /// # Errors
    /// A kernel of another library refuses.
    pub(super) fn run(&self, layouts: &[Layout], frame: &mut Frame) -> Result<()> {
        let (units, gates) = (self.units, self.bias.len());
        // All tokens of this call are read before any rows are picked.
        let n = frame.rows.len() / frame.texts.max(1);
        let mut out = take(&mut frame.buffers[self.out]);
        let mut caches = take(&mut frame.caches[self.place]);
        let given = &frame.buffers[self.input];
        debug_assert_eq!(layouts[self.input].width(), gates);
        // Of every text the last row that is kept; zeros before its first token.
        let mut outputs = vec![0.0; caches.len() * units];
        let mut contents = outputs.clone();
        let states = outputs
            .chunks_exact_mut(units)
            .zip(contents.chunks_exact_mut(units));
        for (cache, (output, content)) in caches.iter().zip(states) {
            for (kept, state) in [(&cache.keys, output), (&cache.values, content)] {
                if let Some(last) = kept.rchunks_exact(units).next() {
                    state.copy_from_slice(last);
                }
            }
        }
        let mut rounded = Vec::new();
        let mut own = vec![0.0; caches.len() * gates];
        let mut done = Ok(());
        for position in 0..n {
            let values = if self.bits < 32 {
                rounded.clone_from(&outputs);
                rows::quantize(&mut rounded, units, self.bits);
                &rounded
            } else {
                &outputs
            };
            done = done.and(self.weights.multiply(Multiply {
                values,
                rows: Rows::every(units),
                count: caches.len(),
                pieces: (1, 0),
                out: &mut own,
                out_rows: Rows::every(gates),
                finish: Finish::ScaleShift {
                    scale: &self.scale,
                    shift: &self.bias,
                    bounds: (f32::NEG_INFINITY, f32::INFINITY),
                },
            }));
            for (text, cache) in caches.iter_mut().enumerate() {
                let row = text * n + position;
                let given = &given[row * gates..][..gates];
                let own = &own[text * gates..][..gates];
                let state = text * units..(text + 1) * units;
                let output = &mut outputs[state.clone()];
                match self.cell {
                    Cell::Lstm => {
                        let content = &mut contents[state];
                        rows::lstm(given, own, content, output);
                        cache.values.extend_from_slice(content);
                    }
                    Cell::Gru => rows::gru(given, own, output),
                }
                cache.keys.extend_from_slice(output);
                out[row * units..][..units].copy_from_slice(output);
            }
        }
        frame.caches[self.place] = caches;
        frame.buffers[self.out] = out;
        done
    }
}
