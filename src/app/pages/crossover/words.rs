//! Which choice costs least where, in words.

use super::sweep::{Kind, Series, Sweep};
use crate::app::pages::curves::{EQUAL, Stretch};
use crate::format;

/// A place on the level axis as it is said.
pub(super) fn place_text(kind: Kind, value: f64) -> String {
    match kind {
        Kind::Activity(_) => format::trimmed(value, 2),
        _ => format::count(value.round().max(1.0)),
    }
}

/// Where curves cross, and where at the low and at the high ends of the ranges; `spread` is `None` where they do not at
/// both.
pub(super) fn crossing(kind: Kind, at: f64, spread: Option<(f64, f64)>) -> String {
    let at = place_text(kind, at);
    match spread.map(|(low, high)| [low, high].map(|end| place_text(kind, end))) {
        // A range that is one factor on every curve moves no crossing.
        Some([low, high]) if low == at && high == at => {
            format!("; crossing at {at} (the range moves both alike)")
        }
        Some([low, high]) => {
            format!("; crossing at {at} ({low} to {high} at the ends of the ranges)")
        }
        None => format!("; the crossing at {at} is not there at both ends of the ranges"),
    }
}

/// What allows a claim over ranges that overlap: one device has the same constants at every width.
const SAME_CONSTANTS: &str = " (same constants)";

/// Which choice costs least where, in words.
pub(super) fn reading(sweep: &Sweep, unit: &str, batch: f64) -> String {
    let name = |stretch: &Stretch| sweep.series[stretch.curve].name.as_str();
    match sweep.kind {
        Kind::Nothing => String::new(),
        Kind::Widths => {
            let Some((first, rest)) = sweep.stretches.split_first() else {
                return "This device can run none of the widths".to_owned();
            };
            if all_equal(sweep) {
                return format!("All widths take the same energy per {unit}, as far as they fit");
            }
            if rest.is_empty() {
                let gain =
                    gain_at(sweep, first.curve, batch).map_or_else(String::new, |(batch, gain)| {
                        let batch = format::count(batch);
                        let gain = format::percent(gain, 0);
                        format!(", at batch {batch} {gain} less than the most")
                    });
                let everywhere = sweep.series[first.curve].energy.iter().all(Option::is_some);
                let fits = if everywhere { "" } else { " that fits" };
                return format!(
                    "{} take the least energy per {unit} at every batch{fits}{gain}{SAME_CONSTANTS}",
                    equals(sweep, first.curve)
                );
            }
            let mut text = format!("{} save energy", name(first));
            for stretch in rest {
                let place = place_text(sweep.kind, stretch.from);
                text += &if stretch.crossed {
                    format!(" up to batch {place}, beyond that {} do", name(stretch))
                } else {
                    format!(
                        " up to batch {place}, from there on {} cost no more",
                        name(stretch)
                    )
                };
            }
            text + SAME_CONSTANTS
        }
        Kind::Activity(_) => activity_reading(sweep, unit),
    }
}

/// Whether no curve can be told from another wherever both run.
fn all_equal(sweep: &Sweep) -> bool {
    sweep.series.iter().all(|series| {
        sweep.series.iter().all(|other| {
            series
                .energy
                .iter()
                .zip(&other.energy)
                .all(|pair| match pair {
                    (Some(a), Some(b)) => (a.typical / b.typical - 1.0).abs() <= EQUAL,
                    _ => true,
                })
        })
    })
}

/// A curve and those that cannot be told from it at any place: "16, 8 and 4 bits".
fn equals(sweep: &Sweep, best: usize) -> String {
    let base = &sweep.series[best].energy;
    let same = |other: &Series| {
        base.iter().zip(&other.energy).all(|pair| match pair {
            (Some(a), Some(b)) => (a.typical / b.typical - 1.0).abs() <= EQUAL,
            (a, b) => a.is_some() == b.is_some(),
        })
    };
    let names: Vec<&str> = sweep
        .series
        .iter()
        .filter(|series| same(series))
        .map(|series| series.name.as_str())
        .collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => {
            let bare: Vec<&str> = others
                .iter()
                .map(|name| name.trim_end_matches(" bits"))
                .collect();
            format!("{} and {last} alike", bare.join(", "))
        }
        None => String::new(),
    }
}

/// By how much a curve lies below the highest at the calculated batch that is nearest to one, and that batch.
fn gain_at(sweep: &Sweep, best: usize, batch: f64) -> Option<(f64, f64)> {
    let place = nearest_place(&sweep.x, batch)?;
    let at = |curve: &Series| curve.energy[place].map(|range| range.typical);
    let most = sweep.series.iter().filter_map(at).fold(0.0, f64::max);
    let gain = 1.0 - at(&sweep.series[best])? / most;
    (gain > 0.005).then_some((sweep.x[place], gain))
}

fn activity_reading(sweep: &Sweep, unit: &str) -> String {
    let [spiking, other] = sweep.series.as_slice() else {
        return "The spiking network cannot be compared here".to_owned();
    };
    let text = match sweep.stretches.as_slice() {
        [only] => {
            let (winner, loser) = if only.curve == 0 {
                (spiking, other)
            } else {
                (other, spiking)
            };
            format!(
                "{} typically takes less energy per {unit} than {} at every activity",
                winner.name, loser.name
            )
        }
        [_, second, ..] => format!(
            "The spiking network on {} typically takes less energy per {unit} than the same network on {} below an \
             activity of {}",
            spiking.name,
            other.name,
            place_text(sweep.kind, second.from)
        ),
        [] => return String::new(),
    };
    // Ranges that overlap are a tie, whatever the typical values say.
    let ties = spiking
        .energy
        .iter()
        .zip(&other.energy)
        .map(|pair| match pair {
            (Some(a), Some(b)) => a.low <= b.high && b.low <= a.high,
            _ => false,
        });
    let tied: Vec<f64> = sweep
        .x
        .iter()
        .zip(ties)
        .filter_map(|(x, tie)| tie.then_some(*x))
        .collect();
    match (tied.first(), tied.last()) {
        _ if tied.len() == sweep.x.len() => text + "; a tie everywhere, because the ranges overlap",
        (Some(first), Some(last)) => format!(
            "{text}; a tie from {} to {}, where the ranges overlap",
            place_text(sweep.kind, *first),
            place_text(sweep.kind, *last)
        ),
        _ => text,
    }
}

pub(super) fn nearest_place(x: &[f64], value: f64) -> Option<usize> {
    (0..x.len()).min_by(|&a, &b| {
        let distance = |place: usize| (x[place].ln() - value.ln()).abs();
        distance(a).total_cmp(&distance(b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crossing_that_does_not_move_has_no_range() {
        let widths = |spread| crossing(Kind::Widths, 1229.2, spread);
        assert_eq!(
            widths(Some((1229.1, 1229.3))),
            "; crossing at 1,229 (the range moves both alike)"
        );
        assert_eq!(
            widths(Some((900.0, 1400.0))),
            "; crossing at 1,229 (900 to 1,400 at the ends of the ranges)"
        );
        assert_eq!(
            widths(None),
            "; the crossing at 1,229 is not there at both ends of the ranges"
        );
    }
}
