//! Steps between the rows of a text: attention, positions, parts of rows.

use std::mem::take;

use super::super::attention::{Heads, Strip};
use super::super::program::{Frame, Layout};

/// Attention; queries, keys and values by buffer and place in a row.
#[derive(Debug)]
pub(in super::super) struct Attend {
    pub(in super::super) queries: (usize, usize),
    pub(in super::super) keys: (usize, usize),
    pub(in super::super) values: (usize, usize),
    pub(in super::super) heads: Heads,
    /// Its place among the attentions.
    pub(in super::super) place: usize,
    pub(in super::super) out: usize,
}

/// Turns the pairs of every head in place.
#[derive(Debug)]
pub(in super::super) struct Rotate {
    pub(in super::super) buffer: usize,
    /// Width of a head.
    pub(in super::super) width: usize,
    /// Angle per position of each pair.
    pub(in super::super) frequencies: Vec<f64>,
    pub(in super::super) interleaved: bool,
    /// What the turned numbers are multiplied by.
    pub(in super::super) magnitude: f32,
}

impl Attend {
    pub(super) fn run(&self, layouts: &[Layout], frame: &mut Frame) {
        let mut attention = take(&mut frame.attention);
        let mut out = take(&mut frame.buffers[self.out]);
        let mut caches = take(&mut frame.caches[self.place]);
        // All tokens of this call are read before any rows are picked.
        let n = frame.rows.len() / frame.texts.max(1);
        let kept = self.heads.kv_heads * self.heads.width;
        let width = layouts[self.out].width();
        let texts = caches.iter_mut().zip(out.chunks_exact_mut(n * width));
        for (text, (cache, out)) in texts.enumerate() {
            for ((buffer, at), rows) in [
                (self.keys, &mut cache.keys),
                (self.values, &mut cache.values),
            ] {
                let step = layouts[buffer].width();
                let new = frame.buffers[buffer][text * n * step..].chunks_exact(step);
                for row in new.take(n) {
                    rows.extend_from_slice(&row[at..at + kept]);
                }
            }
            let strip = |values, step, first| Strip {
                values,
                step,
                first,
            };
            let (buffer, at) = self.queries;
            let step = layouts[buffer].width();
            let strips = (
                strip(&frame.buffers[buffer], step, text * n * step + at),
                strip(&cache.keys, kept, 0),
                strip(&cache.values, kept, 0),
            );
            attention.run(&self.heads, strips, frame.from..frame.from + n, out);
        }
        frame.caches[self.place] = caches;
        frame.buffers[self.out] = out;
        frame.attention = attention;
    }
}

impl Rotate {
    pub(super) fn run(&self, layouts: &[Layout], frame: &mut Frame) {
        let layout = &layouts[self.buffer];
        let range = frame.range(layout);
        let mut buffer = take(&mut frame.buffers[self.buffer]);
        let half = self.frequencies.len();
        let mut turns = vec![(0.0_f32, 0.0_f32); half];
        let rows = buffer[range].chunks_exact_mut(layout.width());
        for (i, row) in frame.rows.clone().zip(rows) {
            let position = frame.position(i) as f64;
            for (turn, frequency) in turns.iter_mut().zip(&self.frequencies) {
                let (sin, cos) = (position * frequency).sin_cos();
                *turn = (sin as f32 * self.magnitude, cos as f32 * self.magnitude);
            }
            for head in row.chunks_exact_mut(self.width) {
                for (pair, &(sin, cos)) in turns.iter().enumerate() {
                    let (a, b) = if self.interleaved {
                        (2 * pair, 2 * pair + 1)
                    } else {
                        (pair, pair + half)
                    };
                    let (x, y) = (head[a], head[b]);
                    head[a] = x * cos - y * sin;
                    head[b] = x * sin + y * cos;
                }
            }
        }
        frame.buffers[self.buffer] = buffer;
    }
}

/// Some numbers of every row, from a place on.
pub(super) fn slice(layouts: &[Layout], frame: &mut Frame, (from, at): (usize, usize), to: usize) {
    let (all, some) = (&layouts[from], &layouts[to]);
    let mut out = take(&mut frame.buffers[to]);
    let rows = frame.buffers[from][frame.range(all)].chunks_exact(all.width());
    let outs = out[frame.range(some)].chunks_exact_mut(some.width());
    for (row, out) in rows.zip(outs) {
        out.copy_from_slice(&row[at..at + out.len()]);
    }
    frame.buffers[to] = out;
}
