//! `wattif power`: what this machine draws, as far as its own sensors say.

use std::time::{Duration, Instant};

use clap::Args;
use wattif_core::power::{Answer, Meter};

use super::list::heading;
use super::out::{Out, Progress};
use crate::format::{si, significant};

/// Arguments of `wattif power`.
#[derive(Debug, Args)]
pub(super) struct PowerArguments {
    /// Seconds over which counted energy is averaged; more than 20 minutes can overflow a counter unseen
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=1200.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("not between 0.01 and 1200".to_owned())
    }
}

/// Runs `wattif power`. A machine without any sensor is no failure: the reasons are the answer.
pub(super) fn run(arguments: &PowerArguments, out: &mut Out) -> anyhow::Result<()> {
    let progress = Progress::new();
    progress.show("Reading the sensors", None);
    let mut meter = Meter::new();
    let end = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    while let Some(left) = end.checked_duration_since(Instant::now())
        && !left.is_zero()
    {
        // May wake early.
        std::thread::park_timeout(left);
    }
    let sources = meter.read();
    drop(progress);
    if arguments.json {
        return out.json(&sources);
    }
    let mut rows = vec![heading(["SENSOR", "OF", "POWER", "NOTE"])];
    rows.extend(sources.into_iter().map(|source| {
        let (watts, note) = match source.answer {
            Answer::Reading { watts, over } => (
                si(watts.0, "W"),
                over.map_or_else(
                    || "at this moment".to_owned(),
                    |over| format!("average of {} s", significant(over.0, 3)),
                ),
            ),
            Answer::None { reason } => ("none".to_owned(), reason),
        };
        vec![source.sensor, source.covers.to_owned(), watts, note]
    }));
    Ok(out.table(&rows, &[false, false, true])?)
}
