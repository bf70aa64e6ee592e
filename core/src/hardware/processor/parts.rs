//! Whole batches or parts of them: which is best.

use super::plan::Plan;
use super::{Processor, Total};
use crate::error::Result;
use crate::hardware::HardwareTarget;
use crate::hardware::cost::{Machine, Request};
use crate::hardware::figure::Corner;

/// A plan that takes at most so much longer than the fastest is as fast.
const AS_FAST: f64 = 1.01;
/// Up to so much more time, and from so much less energy on, another plan is worth a word.
const WORTH_A_WORD: (f64, f64) = (1.25, 0.9);

impl Processor {
    /// How the batch runs best: whole, or in smaller parts, of which more stays on the chip. Of the plans that are about
    /// as fast as the fastest, the one with the least energy. Parts have sizes that do not depend on the batch, so that a
    /// larger batch has all of those of a smaller one to choose from.
    pub(super) fn best_plan<'a>(
        &'a self,
        target: &'a HardwareTarget,
        request: &'a Request<'a>,
    ) -> Result<Plan<'a>> {
        let rates = self.rates(target, Corner::Typical);
        let per_unit = |plan: &Plan<'_>| -> Result<(f64, f64)> {
            let mut total = Total::default();
            for demand in &plan.work(&rates)? {
                Self::layer(demand, &rates, plan.group, &mut total);
            }
            total.finish(&rates, plan.standing());
            Ok((total.seconds / plan.batch, total.energy() / plan.batch))
        };
        let whole = self.plan(target, request)?;
        if whole.stays_on_chip() || request.reading {
            return Ok(whole);
        }
        let mut plans = Vec::new();
        for size in whole.sizes_of_parts() {
            let plan = whole.in_parts_of(size);
            let fits = plan.stays_on_chip();
            let (seconds, joules) = per_unit(&plan)?;
            plans.push((plan, seconds, joules));
            if fits {
                break;
            }
        }
        // Between the sizes tried so far may lie a better one, near any that is faster than its neighbours.
        let times: Vec<f64> = plans.iter().map(|(_, seconds, _)| *seconds).collect();
        let is_slower = |at: Option<usize>, than: f64| {
            let time = at.and_then(|at| times.get(at));
            time.is_none_or(|time| *time >= than)
        };
        let valleys: Vec<(f64, f64)> = (0..plans.len())
            .filter(|&i| is_slower(i.checked_sub(1), times[i]) && is_slower(Some(i + 1), times[i]))
            .map(|i| (plans[i].0.batch, times[i]))
            .collect();
        for (mut best, mut least) in valleys {
            for nearer in [1.09, 1.04, 1.02] {
                for size in [(best * nearer).round(), (best / nearer).round()] {
                    let known = plans.iter().any(|(plan, ..)| plan.batch == size);
                    if (1.0..whole.batch).contains(&size) && !known {
                        let plan = whole.in_parts_of(size);
                        let (seconds, joules) = per_unit(&plan)?;
                        if seconds < least {
                            (best, least) = (size, seconds);
                        }
                        plans.push((plan, seconds, joules));
                    }
                }
            }
        }
        let fastest = plans
            .iter()
            .map(|(_, s, _)| *s)
            .fold(f64::INFINITY, f64::min);
        let within = |factor: f64| {
            let quick = plans.iter().filter(move |(_, s, _)| *s <= fastest * factor);
            quick.min_by(|a, b| a.2.total_cmp(&b.2))
        };
        // The machines that savings are counted with have one aim.
        let as_fast = match request.machine {
            Machine::Real => AS_FAST,
            Machine::Ideal | Machine::FileReader => 1.0,
        };
        let (Some(best), Some(frugal)) = (within(as_fast), within(WORTH_A_WORD.0)) else {
            return Ok(whole);
        };
        let less = frugal.2 / best.2;
        let frugal = (less <= WORTH_A_WORD.1).then(|| (frugal.0.batch, less, frugal.1 / best.1));
        let mut plan = best.0.in_parts_of(best.0.batch);
        plan.frugal = frugal;
        Ok(plan)
    }
}

impl Plan<'_> {
    /// The batch, and every smaller size of parts that is tried, largest first: whole numbers a fifth apart, and those at
    /// which what a layer reads and writes, or all keys and values, just fit on the chip.
    fn sizes_of_parts(&self) -> Vec<f64> {
        let room = self.room(Corner::Typical);
        let native = f64::from(self.ambient.bits()) / 8.0;
        let layers = self.request.profile.layers.iter();
        let fitting = layers.map(|l| self.batch * room / self.working_set(&l.layer, native));
        let cached = self.batch * (room - self.weight_bytes) / self.cache_bytes;
        let steps = (4.0 * self.batch.log2()).ceil().max(0.0) as u32;
        let powers = (0..steps).map(|step| (f64::from(step) / 4.0).exp2().round());
        let mut sizes: Vec<f64> = fitting
            .chain([cached])
            .map(f64::floor)
            .chain(powers)
            .filter(|size| (1.0..self.batch).contains(size))
            .collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        // Sizes closer than that differ by less than anybody knows.
        sizes.dedup_by(|next, kept| *next > 0.99 * *kept);
        sizes.insert(0, self.batch);
        sizes
    }

    /// The same in parts of a size, each of which is finished, of texts the whole answer, before the next begins; what
    /// is left over goes with the next batch.
    fn in_parts_of(&self, size: f64) -> Self {
        Self {
            batch: size,
            parts: self.parts * self.batch / size,
            formats: self.formats.clone(),
            ..*self
        }
    }
}
