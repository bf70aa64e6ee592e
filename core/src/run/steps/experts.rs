//! Steps of mixtures of experts. A row of a route has the places of the picked experts, then what each counts.

use std::mem::take;

use super::super::factor::{Factor, Multiply};
use super::super::matrix::{Finish, Rows};
use super::super::program::{Frame, Layout};
use super::super::rows;
use crate::error::Result;

/// The smallest sum that what experts count is divided by, as llama.cpp holds it.
const SMALLEST_SUM: f32 = 6.103_515_6e-5;

/// A matrix of each expert.
#[derive(Debug)]
pub(in super::super) struct Experts {
    pub(in super::super) input: usize,
    pub(in super::super) route: usize,
    pub(in super::super) out: usize,
    pub(in super::super) weights: Vec<Factor>,
    /// Outputs and inputs of each.
    pub(in super::super) shape: (usize, usize),
    /// Bits that what enters them is rounded to.
    pub(in super::super) bits: u8,
}

impl Experts {
    /// The rows of every expert are gathered, multiplied at once, and put where they belong.
    ///
    /// # Errors
    /// A kernel of another library refuses.
    pub(super) fn run(&self, layouts: &[Layout], frame: &mut Frame) -> Result<()> {
        let (outputs, inputs) = self.shape;
        let (from, to) = (&layouts[self.input], &layouts[self.out]);
        let active = layouts[self.route].width() / 2;
        let mut out = take(&mut frame.buffers[self.out]);
        let values = &frame.buffers[self.input][frame.range(from)];
        let routes = &frame.buffers[self.route][frame.range(&layouts[self.route])];
        let written = &mut out[frame.range(to)];
        // All picked experts read the same numbers, or each its own.
        let step = if from.width() == inputs { 0 } else { inputs };
        let mut done = Ok(());
        for (expert, weights) in self.weights.iter().enumerate() {
            let sent: Vec<(usize, usize)> = routes
                .chunks_exact(2 * active)
                .enumerate()
                .flat_map(|(row, route)| {
                    let places = route[..active].iter().enumerate();
                    let here = places.filter(move |(_, place)| **place == expert as f32);
                    here.map(move |(slot, _)| (row, slot))
                })
                .collect();
            if sent.is_empty() {
                continue;
            }
            let mut gathered: Vec<f32> = sent
                .iter()
                .flat_map(|(row, slot)| &values[row * from.width() + slot * step..][..inputs])
                .copied()
                .collect();
            if self.bits < 32 {
                rows::quantize(&mut gathered, inputs, self.bits);
            }
            let mut given = vec![0.0; sent.len() * outputs];
            done = done.and(weights.multiply(Multiply {
                values: &gathered,
                rows: Rows::every(inputs),
                count: sent.len(),
                pieces: (1, 0),
                out: &mut given,
                out_rows: Rows::every(outputs),
                finish: Finish::Store,
            }));
            for ((row, slot), given) in sent.iter().zip(given.chunks_exact(outputs)) {
                written[row * to.width() + slot * outputs..][..outputs].copy_from_slice(given);
            }
        }
        frame.buffers[self.out] = out;
        done
    }
}

/// Calls a function with the rows of two buffers and those of a third, which it writes.
fn each(
    layouts: &[Layout],
    frame: &mut Frame,
    (one, two): (usize, usize),
    to: usize,
    run: impl Fn(&[f32], &[f32], &mut [f32]),
) {
    let mut out = take(&mut frame.buffers[to]);
    let rows = |buffer: usize| {
        let layout = &layouts[buffer];
        frame.buffers[buffer][frame.range(layout)].chunks_exact(layout.width())
    };
    let outs = out[frame.range(&layouts[to])].chunks_exact_mut(layouts[to].width());
    for ((one, two), out) in rows(one).zip(rows(two)).zip(outs) {
        run(one, two, out);
    }
    frame.buffers[to] = out;
}

/// Picks the experts with the largest numbers; of equal ones the first.
pub(super) fn route(
    layouts: &[Layout],
    frame: &mut Frame,
    (from, normalised): (usize, bool),
    to: usize,
) {
    each(layouts, frame, (from, from), to, |numbers, _, out| {
        let largest = numbers.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let all: f32 = numbers.iter().map(|number| (number - largest).exp()).sum();
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]));
        let (places, counts) = out.split_at_mut(out.len() / 2);
        for ((place, count), expert) in places.iter_mut().zip(counts.iter_mut()).zip(order) {
            // There are far fewer experts than whole numbers in single precision.
            *place = expert as f32;
            *count = (numbers[expert] - largest).exp() / all;
        }
        if normalised {
            let sum = counts.iter().sum::<f32>().max(SMALLEST_SUM);
            counts.iter_mut().for_each(|count| *count /= sum);
        }
    });
}

/// Sums up what experts gave.
pub(super) fn mix(layouts: &[Layout], frame: &mut Frame, (from, route): (usize, usize), to: usize) {
    each(layouts, frame, (from, route), to, |given, route, out| {
        out.fill(0.0);
        let counts = &route[route.len() / 2..];
        for (given, count) in given.chunks_exact(out.len()).zip(counts) {
            for (out, given) in out.iter_mut().zip(given) {
                *out += count * given;
            }
        }
    });
}

/// The rows of a buffer times the logistic function of another's product with weights.
pub(super) fn gate(
    layouts: &[Layout],
    frame: &mut Frame,
    (to, by): (usize, usize),
    weights: &[f32],
) {
    each(layouts, frame, (by, by), to, |by, _, out| {
        let product: f32 = by.iter().zip(weights).map(|(by, weight)| by * weight).sum();
        let open = 1.0 / (1.0 + (-product).exp());
        out.iter_mut().for_each(|out| *out *= open);
    });
}
