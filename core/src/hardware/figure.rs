//! [`Figure`]: a constant of a device with its range and its source.

use serde::{Deserialize, Serialize};

use crate::units::Range;

/// How far a constant can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trust {
    /// Read in the document that is cited.
    Published,
    /// Read in a text that quotes the original.
    Quoted,
    /// Remembered, not checked; the cited document should be looked up.
    FromMemory,
    /// Measured for this project on such a device; the source names the table.
    Measured,
    /// Found out on this machine when the program started.
    Detected,
    /// Calculated from other constants by the stated rule.
    Derived,
    /// Fitted to published measurements by `wattif calibrate`.
    Fitted,
    /// Chosen without a document; the range says how wide the choice is.
    Assumed,
    /// Set by the user to see what it would do; no document says so.
    Given,
}

impl Trust {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Published,
        Self::Quoted,
        Self::FromMemory,
        Self::Measured,
        Self::Detected,
        Self::Derived,
        Self::Fitted,
        Self::Assumed,
        Self::Given,
    ];

    /// The words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Quoted => "quoted from a secondary source",
            Self::FromMemory => "from memory, to be checked",
            Self::Measured => "measured on such a device by this project",
            Self::Detected => "detected on this machine",
            Self::Derived => "derived",
            Self::Fitted => "fitted to published measurements",
            Self::Assumed => "assumed",
            Self::Given => "given by the user",
        }
    }
}

/// A constant of a device: value, range, source, trust.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure<T> {
    /// Smallest value that is still plausible; absent where the source gives none.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub low: Option<T>,
    /// The best single value.
    pub typical: T,
    /// Largest value that is still plausible; absent where the source gives none.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub high: Option<T>,
    /// Document, with its date where it has one, or the rule of calculation.
    pub source: String,
    /// How far it can be trusted.
    pub trust: Trust,
}

fn none<T>() -> Option<T> {
    None
}

/// Which end of every range is taken: a whole footprint is computed at each of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corner {
    /// Everything cheap and fast.
    Best,
    /// Every typical value.
    Typical,
    /// Everything dear and slow.
    Worst,
}

impl Corner {
    pub(crate) const ALL: [Self; 3] = [Self::Best, Self::Typical, Self::Worst];

    /// The other end.
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Best => Self::Worst,
            Self::Typical => Self::Typical,
            Self::Worst => Self::Best,
        }
    }
}

impl<T: Copy> Figure<T> {
    /// The same figure with its values in another form.
    pub(super) fn map<U>(&self, of: impl Fn(T) -> U) -> Figure<U> {
        Figure {
            low: self.low.map(&of),
            typical: of(self.typical),
            high: self.high.map(&of),
            source: self.source.clone(),
            trust: self.trust,
        }
    }

    /// Low, typical, high, in the order of the numbers.
    pub fn range(&self) -> Range<T> {
        Range {
            low: self.low.unwrap_or(self.typical),
            typical: self.typical,
            high: self.high.unwrap_or(self.typical),
        }
    }

    /// The value at a corner, for something of which less is better (power, energy, time).
    pub(crate) fn cost(&self, corner: Corner) -> T {
        let range = self.range();
        match corner {
            Corner::Best => range.low,
            Corner::Typical => range.typical,
            Corner::Worst => range.high,
        }
    }

    /// The value at a corner, for something of which more is better (rates, efficiencies).
    pub(crate) fn gain(&self, corner: Corner) -> T {
        let range = self.range();
        match corner {
            Corner::Best => range.high,
            Corner::Typical => range.typical,
            Corner::Worst => range.low,
        }
    }
}

impl<T: Copy + Into<f64>> Figure<T> {
    /// Checks order, sign and that an assumption comes with a range; `field` names it in the message.
    pub(crate) fn check(&self, field: &str) -> Result<(), String> {
        let Range { low, typical, high } = self.range();
        let (low, typical, high): (f64, f64, f64) = (low.into(), typical.into(), high.into());
        if !(low.is_finite() && high.is_finite() && low >= 0.0) {
            return Err(format!("{field} is not a finite number of at least 0"));
        }
        if !(low <= typical && typical <= high) {
            return Err(format!(
                "{field} has low {low}, typical {typical}, high {high}; they must not decrease"
            ));
        }
        if self.trust == Trust::Assumed && (self.low.is_none() || self.high.is_none()) {
            return Err(format!(
                "{field} is assumed, so it needs both a low and a high value"
            ));
        }
        if self.source.trim().is_empty() {
            return Err(format!("{field} has an empty source"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(low: Option<f64>, typical: f64, high: Option<f64>, trust: Trust) -> Figure<f64> {
        Figure {
            low,
            typical,
            high,
            source: "a document".to_owned(),
            trust,
        }
    }

    #[test]
    fn a_figure_needs_order_sign_and_what_its_trust_asks_for() {
        let assumed = Trust::Assumed;
        for (low, typical, high, trust, fact) in [
            (Some(1.0), 2.0, Some(3.0), assumed, None),
            (Some(2.0), 2.0, Some(2.0), assumed, None),
            (Some(0.0), 0.0, Some(0.0), assumed, None),
            (None, 2.0, None, Trust::Published, None),
            (None, 2.0, Some(3.0), Trust::Published, None),
            (None, 2.0, Some(3.0), assumed, Some("needs both")),
            (Some(1.0), 2.0, None, assumed, Some("needs both")),
            (None, 2.0, None, assumed, Some("needs both")),
            (Some(3.0), 2.0, Some(4.0), assumed, Some("decrease")),
            (Some(1.0), 2.0, Some(1.5), assumed, Some("decrease")),
            (Some(-1.0), 2.0, Some(3.0), assumed, Some("not a finite")),
            (
                Some(1.0),
                2.0,
                Some(f64::INFINITY),
                assumed,
                Some("not a finite"),
            ),
            (
                Some(f64::NAN),
                2.0,
                Some(3.0),
                assumed,
                Some("not a finite"),
            ),
        ] {
            let found = figure(low, typical, high, trust).check("rate");
            match fact {
                None => assert_eq!(found, Ok(())),
                Some(fact) => {
                    let message = found.unwrap_err();
                    assert!(
                        message.starts_with("rate ") && message.contains(fact),
                        "{message}"
                    );
                }
            }
        }
        let mut unnamed = figure(None, 2.0, None, Trust::Published);
        unnamed.source = "  ".to_owned();
        assert_eq!(
            unnamed.check("rate"),
            Err("rate has an empty source".to_owned())
        );
    }

    #[test]
    fn the_favourable_end_is_low_for_costs_and_high_for_rates() {
        let figure = figure(Some(1.0), 2.0, Some(4.0), Trust::Assumed);
        assert_eq!(
            Corner::ALL.map(|corner| figure.cost(corner)),
            [1.0, 2.0, 4.0]
        );
        assert_eq!(
            Corner::ALL.map(|corner| figure.gain(corner)),
            [4.0, 2.0, 1.0]
        );
        let half = figure.map(|value| value / 2.0).range();
        assert_eq!((half.low, half.typical, half.high), (0.5, 1.0, 2.0));
    }
}
