//! What a person feels: how long after a slider move the first measured point arrives, and what a long drag yields.
//! Timings of the worker as it runs in the window, for `wattif bench`; and of this machine, its kernels and whole passes with
//! packed weights, for everything that shows them.

mod before_after;
mod candle;
mod machine;
pub(crate) mod packed;
mod stored;
mod work;

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::measurement::Depth;
use crate::recipe::Recipe;
use crate::worker::{Event, Worker};

pub use crate::spread::Spread;
pub use before_after::{BeforeAfter, Prediction};
pub use candle::{Comparison, compare_with_candle};
pub use machine::{Machine, Speed, measure_machine, predicted_speed};
pub use packed::{
    Energy, FormatShare, PackedQuality, PackedRun, PackedSpeed, PackedTiming, Work, packed_threads,
};
pub use stored::{Passes, passes};

/// Times from one submitted recipe to its results.
#[derive(Debug, Clone, Copy)]
pub struct Response {
    /// Until the first measured quality.
    pub first: Duration,
    /// Until the full measurement.
    pub full: Duration,
}

/// What a scripted drag gave.
#[derive(Debug, Clone, Copy)]
pub struct Drag {
    /// Positions submitted.
    pub positions: usize,
    /// Different positions of which a measured point arrived before the last was submitted.
    pub measured_during: usize,
    /// From the last submission until its full measurement.
    pub last_full: Duration,
}

/// Longest time that any single result may take before a benchmark gives up.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits until the worker has opened its model and measured the original.
///
/// # Errors
/// The worker failed, or took longer than two minutes.
pub fn warm_up(worker: &Worker) -> Result<()> {
    worker.submit(Recipe::default());
    wait_until(worker, |event| matches!(event, Event::Settled)).map(drop)
}

/// Submits one recipe to a settled worker and waits for its full measurement.
///
/// # Errors
/// The worker failed, or took longer than two minutes.
pub fn respond(worker: &Worker, recipe: Recipe) -> Result<Response> {
    let key = recipe.key();
    let start = Instant::now();
    worker.submit(recipe);
    let mut first = None;
    let mut full = None;
    wait_until(worker, |event| {
        if let Event::Measured(measurement) = event
            && measurement.recipe.key() == key
        {
            first.get_or_insert_with(|| start.elapsed());
            if measurement.depth == Depth::Full {
                full.get_or_insert_with(|| start.elapsed());
            }
        }
        matches!(event, Event::Settled) && full.is_some()
    })?;
    let full = full.unwrap_or_else(|| start.elapsed());
    Ok(Response {
        first: first.unwrap_or(full),
        full,
    })
}

/// Submits `positions` evenly over `duration`, as a hand that drags a slider does, then waits for the last one.
///
/// # Errors
/// The worker failed, or took longer than two minutes.
pub fn drag(worker: &Worker, positions: &[Recipe], duration: Duration) -> Result<Drag> {
    let start = Instant::now();
    let mut measured = std::collections::HashSet::new();
    for (i, recipe) in positions.iter().enumerate() {
        let due = start + duration.mul_f64(i as f64 / positions.len() as f64);
        while let Some(left) = due.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            if let Ok(Event::Measured(measurement)) = worker.wait(left) {
                measured.insert(measurement.recipe.key());
            }
        }
        worker.submit(recipe.clone());
    }
    let measured_during = measured.len();
    let submitted = Instant::now();
    let last = positions
        .last()
        .map_or_else(|| Recipe::default().key(), Recipe::key);
    wait_until(
        worker,
        |event| matches!(event, Event::Measured(m) if m.depth == Depth::Full && m.recipe.key() == last),
    )?;
    Ok(Drag {
        positions: positions.len(),
        measured_during,
        last_full: submitted.elapsed(),
    })
}

fn wait_until(worker: &Worker, mut done: impl FnMut(&Event) -> bool) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        match worker.wait(left)? {
            Event::Failed { error, .. } => return Err(error),
            event if done(&event) => return Ok(()),
            _ => {}
        }
    }
    Err(Error::Compute(format!(
        "no result within {} s",
        LIMIT.as_secs()
    )))
}
