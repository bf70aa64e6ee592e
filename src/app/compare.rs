//! Which of two costs is the smaller one, said only where it holds over their ranges.

use std::cmp::Ordering;

use wattif_core::scenario::Scenario;
use wattif_core::units::Range;

/// How one range lies to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They do not overlap: the first is smaller or larger.
    Apart(Ordering),
    /// They overlap, but both sides follow from the same constants, and wherever these lie within their ranges the first
    /// is smaller or larger.
    SameConstants(Ordering),
    /// The same constants give both sides the same.
    Equal,
    /// Nothing can be said.
    Tied,
}

/// What is added where only the shared constants allow the claim.
pub(super) const SAME_CONSTANTS: &str = "same constants on both sides";

/// Values nearer than this share count as equal.
const EQUAL: f64 = 0.005;

/// Compares two ranges; `shared` says that one set of constants is behind both, so that their ends belong together.
pub(crate) fn verdict(a: Range<f64>, b: Range<f64>, shared: bool) -> Verdict {
    if a.high < b.low {
        return Verdict::Apart(Ordering::Less);
    }
    if a.low > b.high {
        return Verdict::Apart(Ordering::Greater);
    }
    if !shared {
        return Verdict::Tied;
    }
    let order = |a: f64, b: f64| {
        if (a / b - 1.0).abs() < EQUAL {
            Ordering::Equal
        } else {
            a.total_cmp(&b)
        }
    };
    let middle = order(a.typical, b.typical);
    let agree = order(a.low, b.low) == middle && order(a.high, b.high) == middle;
    match middle {
        _ if !agree => Verdict::Tied,
        Ordering::Equal => Verdict::Equal,
        order => Verdict::SameConstants(order),
    }
}

/// Whether the constants behind time and energy are the same in two scenarios.
pub(super) fn share_constants(a: &Scenario, b: &Scenario) -> bool {
    a.hardware == b.hardware && a.software == b.software
}

/// What a chart says of now against the original: `claim` where it holds, with the reason where the ranges overlap.
pub(super) fn against_original(
    now: Range<f64>,
    original: Range<f64>,
    equal: &str,
    claim: impl FnOnce() -> String,
) -> String {
    // Both stand in the same scenario.
    match verdict(now, original, true) {
        Verdict::Apart(_) => format!(", {}", claim()),
        Verdict::SameConstants(_) => format!(", {} (same constants)", claim()),
        Verdict::Equal => format!(", {equal}"),
        Verdict::Tied => ", tied with the original within the ranges".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(low: f64, typical: f64, high: f64) -> Range<f64> {
        Range { low, typical, high }
    }

    #[test]
    fn a_claim_needs_ranges_apart_or_shared_constants_that_agree() {
        let (small, large) = (range(1.0, 2.0, 3.0), range(4.0, 5.0, 6.0));
        assert_eq!(verdict(small, large, false), Verdict::Apart(Ordering::Less));
        assert_eq!(
            verdict(large, small, false),
            Verdict::Apart(Ordering::Greater)
        );
        let near = range(1.5, 2.5, 3.5);
        assert_eq!(verdict(small, near, false), Verdict::Tied);
        assert_eq!(
            verdict(small, near, true),
            Verdict::SameConstants(Ordering::Less)
        );
        // The typical values say one thing, the high ends another.
        let crossed = range(1.5, 2.5, 2.9);
        assert_eq!(verdict(small, crossed, true), Verdict::Tied);
        assert_eq!(verdict(small, small, true), Verdict::Equal);
    }
}
