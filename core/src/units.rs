//! Quantities with their units as types, with only the operators that make physical sense, and ranges of them.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

use serde::{Deserialize, Serialize};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $symbol:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl $name {
            /// The symbol of the unit.
            pub const SYMBOL: &'static str = $symbol;

            /// The number in that unit.
            #[must_use]
            pub const fn value(self) -> f64 {
                self.0
            }

            /// The larger of the two.
            #[must_use]
            pub fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }

            /// The smaller of the two.
            #[must_use]
            pub fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }
        }

        impl From<$name> for f64 {
            fn from(quantity: $name) -> Self {
                quantity.0
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }

        impl Mul<$name> for f64 {
            type Output = $name;
            fn mul(self, quantity: $name) -> $name {
                $name(self * quantity.0)
            }
        }

        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, divisor: f64) -> Self {
                Self(self.0 / divisor)
            }
        }

        impl Div for $name {
            type Output = f64;
            fn div(self, other: Self) -> f64 {
                self.0 / other.0
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                Self(iter.map(|quantity| quantity.0).sum())
            }
        }
    };
}

quantity!(
    /// Energy.
    Joules,
    "J"
);
quantity!(
    /// Power.
    Watts,
    "W"
);
quantity!(
    /// Time.
    Seconds,
    "s"
);
quantity!(
    /// Amount of data; fractional where it is an average per unit of work.
    Bytes,
    "B"
);
quantity!(
    /// Memory or link bandwidth.
    BytesPerSecond,
    "B/s"
);
quantity!(
    /// Arithmetic rate; a multiply-accumulate counts as two operations, as in vendors' sheets.
    OpsPerSecond,
    "op/s"
);
quantity!(
    /// Mass of greenhouse gases, as CO2 equivalent over 100 years.
    GramsCo2e,
    "gCO2e"
);
quantity!(
    /// Carbon intensity of electricity.
    GramsPerKwh,
    "gCO2e/kWh"
);
quantity!(
    /// Electrical energy as it is billed.
    KilowattHours,
    "kWh"
);
quantity!(
    /// Volume of water.
    Litres,
    "L"
);
quantity!(
    /// Units of work (images, tokens, samples) in a second.
    UnitsPerSecond,
    "1/s"
);

macro_rules! product {
    ($a:ident * $b:ident = $c:ident) => {
        impl Mul<$b> for $a {
            type Output = $c;
            fn mul(self, other: $b) -> $c {
                $c(self.0 * other.0)
            }
        }
        impl Mul<$a> for $b {
            type Output = $c;
            fn mul(self, other: $a) -> $c {
                $c(self.0 * other.0)
            }
        }
        impl Div<$a> for $c {
            type Output = $b;
            fn div(self, other: $a) -> $b {
                $b(self.0 / other.0)
            }
        }
        impl Div<$b> for $c {
            type Output = $a;
            fn div(self, other: $b) -> $a {
                $a(self.0 / other.0)
            }
        }
    };
}

impl Joules {
    /// From microjoules, as the benchmarks of small chips print.
    pub fn from_micro(microjoules: f64) -> Self {
        Self(microjoules * 1e-6)
    }

    /// From picojoules, as energies per operation are printed.
    pub fn from_pico(picojoules: f64) -> Self {
        Self(picojoules * 1e-12)
    }
}

impl Seconds {
    /// From microseconds.
    pub fn from_micro(microseconds: f64) -> Self {
        Self(microseconds * 1e-6)
    }
}

product!(Watts * Seconds = Joules);
product!(BytesPerSecond * Seconds = Bytes);
product!(GramsPerKwh * KilowattHours = GramsCo2e);

/// Joules in a kilowatt-hour (exact by definition).
pub const JOULES_PER_KWH: f64 = 3.6e6;

impl From<Joules> for KilowattHours {
    fn from(energy: Joules) -> Self {
        Self(energy.0 / JOULES_PER_KWH)
    }
}

impl From<KilowattHours> for Joules {
    fn from(energy: KilowattHours) -> Self {
        Self(energy.0 * JOULES_PER_KWH)
    }
}

/// A quantity with its uncertainty: low ≤ typical ≤ high.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range<T> {
    /// The optimistic end.
    pub low: T,
    /// The best single estimate.
    pub typical: T,
    /// The pessimistic end.
    pub high: T,
}

impl<T: Copy> Range<T> {
    /// A quantity without uncertainty.
    pub const fn exact(value: T) -> Self {
        Self {
            low: value,
            typical: value,
            high: value,
        }
    }

    /// Applies an increasing function to all three.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Range<U> {
        Range {
            low: f(self.low),
            typical: f(self.typical),
            high: f(self.high),
        }
    }

    /// Applies a decreasing function (a rate from a time, say): low and high change places.
    pub fn map_decreasing<U>(self, mut f: impl FnMut(T) -> U) -> Range<U> {
        Range {
            low: f(self.high),
            typical: f(self.typical),
            high: f(self.low),
        }
    }

    /// Combines two ranges whose ends move the result the same way; a worst-case bound, not a standard error.
    pub fn with<U: Copy, V>(self, other: Range<U>, mut f: impl FnMut(T, U) -> V) -> Range<V> {
        Range {
            low: f(self.low, other.low),
            typical: f(self.typical, other.typical),
            high: f(self.high, other.high),
        }
    }
}

impl<T: Copy + PartialOrd> Range<T> {
    /// Whether the two ranges share a value, that is, whether neither may be called the better one.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

impl<T: Copy + Add<Output = T>> Add for Range<T> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
}

impl<T: Copy + Mul<f64, Output = T>> Mul<f64> for Range<T> {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        self.map(|value| value * factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watts_times_seconds_are_joules_and_back() {
        let energy = Watts(700.0) * Seconds(2.0);
        assert_eq!(energy, Joules(1400.0));
        assert_eq!(energy / Seconds(2.0), Watts(700.0));
        assert_eq!(energy / Watts(700.0), Seconds(2.0));
    }

    #[test]
    fn millionths_are_millionths() {
        assert_eq!(Joules::from_micro(2_500_000.0), Joules(2.5));
        assert_eq!(Joules::from_pico(1e12), Joules(1.0));
        assert_eq!(Watts(2.0) * Seconds::from_micro(1e6), Joules(2.0));
    }

    #[test]
    fn a_kilowatt_hour_is_three_point_six_megajoules() {
        assert_eq!(KilowattHours::from(Joules(3.6e6)), KilowattHours(1.0));
        assert_eq!(GramsPerKwh(400.0) * KilowattHours(2.0), GramsCo2e(800.0));
    }

    #[test]
    fn a_decreasing_map_swaps_the_ends() {
        let time = Range {
            low: 1.0,
            typical: 2.0,
            high: 4.0,
        };
        let rate = time.map_decreasing(|t| 1.0 / t);
        assert_eq!(
            rate,
            Range {
                low: 0.25,
                typical: 0.5,
                high: 1.0
            }
        );
    }
}
