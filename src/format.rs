//! Numbers as text: SI prefixes, units always, and no more digits than the number deserves.

pub(crate) use wattif_core::digits::PREFIXES;
pub use wattif_core::digits::{MINUS, amount, count, many, si, signed_text, significant, trimmed};
use wattif_core::digits::{prefixed, round_significant};
use wattif_core::measurement::Metric;
use wattif_core::units::Range;

/// Three values under the prefix of the middle one, and the unit with that prefix, for columns.
pub fn si_range(range: Range<f64>, unit: &str) -> ([String; 3], String) {
    let factor = if range.typical == 0.0 || !range.typical.is_finite() {
        (1.0, "")
    } else {
        let (scaled, prefix) = prefixed(range.typical);
        (range.typical / scaled, prefix)
    };
    (
        [range.low, range.typical, range.high].map(|value| significant(value / factor.0, 3)),
        format!("{}{unit}", factor.1),
    )
}

/// Numbers that stand side by side, under one prefix: that of the largest. Where they lie too far apart for one, each has
/// its own.
pub fn in_one_unit(values: &[f64], unit: &str) -> Vec<String> {
    /// From this ratio on the smallest would be mostly zeros.
    const TOO_FAR: f64 = 1e3;
    let sizes = || {
        values
            .iter()
            .map(|value| value.abs())
            .filter(|size| size.is_finite() && *size > 0.0)
    };
    let (largest, smallest) = (
        sizes().fold(0.0, f64::max),
        sizes().fold(f64::INFINITY, f64::min),
    );
    let (scaled, prefix) = prefixed(largest);
    if largest / smallest >= TOO_FAR || !(1e-3..1e6).contains(&scaled) {
        return values.iter().map(|value| si(*value, unit)).collect();
    }
    let factor = largest / scaled;
    values
        .iter()
        .map(|&value| {
            if value.is_finite() {
                format!("{} {prefix}{unit}", significant(value / factor, 3))
            } else {
                si(value, unit)
            }
        })
        .collect()
}

/// What numbers that stand side by side are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Data.
    Bytes,
    /// Units of work per second.
    Rate,
    /// Time.
    Seconds,
    /// Energy.
    Joules,
    /// Mass of gas.
    Grams,
}

impl Counted {
    /// The numbers of a row, see [`in_one_unit`].
    pub fn row(self, values: &[f64]) -> Vec<String> {
        const TONNE: f64 = 1e6;
        let largest = values.iter().copied().fold(0.0, f64::max);
        match self {
            Self::Bytes => in_one_unit(values, "B"),
            Self::Seconds => in_one_unit(values, "s"),
            Self::Joules => in_one_unit(values, "J"),
            Self::Grams if largest >= TONNE => {
                let tonnes: Vec<f64> = values.iter().map(|grams| grams / TONNE).collect();
                in_one_unit(&tonnes, "t")
            }
            Self::Grams => in_one_unit(values, "g"),
            // Below one a prefix would be read as millions.
            Self::Rate if largest < 1.0 => {
                let write = |value: &f64| format!("{}/s", per_second(*value).trim_end());
                values.iter().map(write).collect()
            }
            Self::Rate => in_one_unit(values, "")
                .iter()
                .map(|text| format!("{}/s", text.trim_end()))
                .collect(),
        }
    }

    /// One number alone.
    pub fn write(self, value: f64) -> String {
        self.row(&[value]).concat()
    }
}

/// A count per second without a prefix below one, where "m" would be read as metres or millions: "0.2", "12.3 k".
pub fn per_second(value: f64) -> String {
    if (0.001..1.0).contains(&value) {
        significant(value, 3)
    } else {
        si(value, "")
    }
}

/// A quality alone: "89.7 %", "1.824 bits per byte".
pub fn quality(metric: Metric, value: f64) -> String {
    let facts = metric.facts();
    if facts.is_fraction {
        percent(value, 1)
    } else {
        match facts.unit {
            "" => significant(value, 4),
            unit => format!("{} {unit}", significant(value, 4)),
        }
    }
}

/// A rate of units of work: "12.3 k images/s".
pub fn rate(value: f64, units: &str) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value == 0.0 {
        return format!("0 {units}/s");
    }
    if (0.001..1000.0).contains(&value) {
        return format!("{} {units}/s", significant(value, 3));
    }
    let (scaled, prefix) = prefixed(value);
    format!("{} {prefix} {units}/s", significant(scaled, 3))
}

/// A mass of gas: grams with a prefix up to kilograms, then tonnes.
pub fn grams(value: f64) -> String {
    if value.abs() >= 1e6 {
        si(value / 1e6, "t")
    } else {
        si(value, "g")
    }
}

/// An amount of data in decimal units, as file managers count.
pub fn bytes(value: f64) -> String {
    if value.abs() < 1000.0 {
        format!("{value:.0} B")
    } else {
        si(value, "B")
    }
}

/// A value with three digits, from a thousand on with four and its thousands apart: "12.3", "1,287".
pub fn grouped(value: f64) -> String {
    if value.abs() < 999.5 {
        significant(value, 3)
    } else {
        count(round_significant(value, 4))
    }
}

/// An amount that is known to two digits at best: "0.42", "35", "1.2 million"; never for one that never comes.
pub fn roughly(value: Option<f64>) -> String {
    match value {
        None => "never".to_owned(),
        Some(value) if value < 100.0 => trimmed(value, 2),
        Some(value) => amount(round_significant(value, 2)),
    }
}

/// "1.50 mg" as "1.5 mg": ticks are round.
pub fn shorten(text: &str) -> String {
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            let number = number.trim_end_matches('0').trim_end_matches('.');
            format!("{number} {unit}").trim_end().to_owned()
        }
        _ => text.trim_end().to_owned(),
    }
}

/// A fraction in percent with fixed decimals: "89.7 %".
pub fn percent(fraction: f64, decimals: usize) -> String {
    format!("{} %", signed_text(fraction * 100.0, decimals))
}

/// A clause with its first letter small, unless it begins with an abbreviation.
pub fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// What became of a saving on some hardware, in one sentence: "40 % of the energy saved, 68 % nominally". `None` where
/// nothing was promised and nothing came.
pub fn realised(what: &str, nominal: f64, realised: f64) -> Option<String> {
    // What the table calls nothing, a saving or a growth is called so here.
    let grows = |fraction: f64| saving(fraction).starts_with('+');
    let nothing = |fraction: f64| saving(fraction).starts_with('±');
    if nothing(nominal) && nothing(realised) {
        return None;
    }
    let here = if grows(realised) {
        format!("{} more {what} here", magnitude(realised))
    } else {
        format!("{} of the {what} saved here", magnitude(realised))
    };
    let promised = match (grows(realised), grows(nominal)) {
        (true, true) => format!("{} more nominally", magnitude(nominal)),
        (false, true) => format!("though {} more nominally", magnitude(nominal)),
        (true, false) => format!("though {} less nominally", magnitude(nominal)),
        (false, false) => format!("{} nominally", magnitude(nominal)),
    };
    Some(format!("{here}, {promised}"))
}

/// The size of a saving or of a growth without its sign, in the digits of [`saving`]: "75 %", never rounded to everything.
pub fn magnitude(fraction: f64) -> String {
    saving(fraction)
        .trim_start_matches(['+', '±'])
        .trim_start_matches(MINUS)
        .to_owned()
}

/// A saving as people say it: 0.75 saved is "−75 %", growth "+12 %", a tie "±0 %".
pub fn saving(fraction: f64) -> String {
    if !fraction.is_finite() {
        return "–".to_owned();
    }
    let change = -fraction * 100.0;
    let decimals = usize::from(change < -99.0 && change > -100.0);
    if change.abs() < 0.5 && decimals == 0 {
        "±0 %".to_owned()
    } else if change > 0.0 {
        format!(
            "+{} %",
            significant(change, if change < 10.0 { 1 } else { 2 })
        )
    } else {
        format!("{MINUS}{:.decimals$} %", change.abs())
    }
}

/// A factor against the original: "1.8×".
pub fn times(ratio: f64) -> String {
    if !ratio.is_finite() {
        return "–".to_owned();
    }
    format!(
        "{}×",
        significant(ratio, if ratio >= 100.0 { 3 } else { 2 })
    )
}

/// How many decimals a value deserves whose uncertainty is `half`: the first digit of the uncertainty is the last shown.
pub fn decimals_for(half: f64, most: usize) -> usize {
    if !(half.is_finite() && half > 0.0) {
        return most;
    }
    let place = -half.log10().floor();
    if place <= 0.0 {
        0
    } else {
        (place as usize).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_saving_is_said_in_one_sentence() {
        let energy = |nominal, actual| realised("energy", nominal, actual);
        assert_eq!(
            energy(0.75, 0.03).unwrap(),
            "3 % of the energy saved here, 75 % nominally"
        );
        assert_eq!(
            energy(0.5, -0.56).unwrap(),
            "56 % more energy here, though 50 % less nominally"
        );
        assert_eq!(
            energy(-0.2, -0.56).unwrap(),
            "56 % more energy here, 20 % more nominally"
        );
        assert_eq!(
            energy(-0.2, 0.1).unwrap(),
            "10 % of the energy saved here, though 20 % more nominally"
        );
        assert_eq!(energy(0.0, 0.0), None);
    }

    #[test]
    fn sentences_have_the_digits_and_directions_of_the_table() {
        for step in -120..=1000 {
            let fraction = f64::from(step) / 1000.0;
            for nominal in [-0.3, 0.0, 0.4, fraction] {
                let Some(text) = realised("energy", nominal, fraction) else {
                    continue;
                };
                let (here, promised) = text.split_once(" here, ").unwrap();
                for (words, value) in [(here, fraction), (promised, nominal)] {
                    let cell = saving(value);
                    let grows = cell.starts_with('+');
                    assert_eq!(words.contains("more"), grows, "{text}: {cell}");
                    let digits = cell
                        .trim_start_matches(['+', '±'])
                        .trim_start_matches(MINUS);
                    assert!(words.contains(digits), "{text}: {cell}");
                }
            }
        }
    }

    #[test]
    fn prefixes_change_at_thousands_also_after_rounding() {
        assert_eq!(si(0.001_234, "J"), "1.23 mJ");
        assert_eq!(si(999.96, "W"), "1.00 kW");
        assert_eq!(si(1.2e-7, "g"), "120 ng");
        assert_eq!(si(0.0, "g"), "0 g");
        assert_eq!(grams(2.5e6), "2.50 t");
        assert_eq!(bytes(812.0), "812 B");
        assert_eq!(rate(12_345.0, "images"), "12.3 k images/s");
    }

    #[test]
    fn a_range_shares_the_prefix_of_its_middle() {
        let (texts, unit) = si_range(
            Range {
                low: 900.0,
                typical: 1200.0,
                high: 15_000.0,
            },
            "W",
        );
        assert_eq!(texts, ["0.900", "1.20", "15.0"]);
        assert_eq!(unit, "kW");
    }

    #[test]
    fn a_row_has_one_unit_as_long_as_its_numbers_are_near_each_other() {
        let texts = |counted: Counted, values: &[f64]| counted.row(values).join(", ");
        assert_eq!(
            texts(Counted::Bytes, &[1.68e6, 210e3, 0.0]),
            "1.68 MB, 0.210 MB, 0 MB"
        );
        assert_eq!(
            texts(Counted::Bytes, &[35_281.469e6, 1.2e6]),
            "35.3 GB, 1.20 MB"
        );
        assert_eq!(texts(Counted::Grams, &[2.5e6, 0.4e6]), "2.50 t, 0.400 t");
        assert_eq!(
            texts(Counted::Rate, &[12_300.0, 950.0]),
            "12.3 k/s, 0.950 k/s"
        );
        assert_eq!(texts(Counted::Rate, &[0.2, 0.1]), "0.200/s, 0.100/s");
        assert_eq!(texts(Counted::Seconds, &[f64::NAN, 1.0]), "–, 1.00 s");
        assert_eq!(Counted::Joules.write(0.0022), "2.20 mJ");
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(count(-1000.0), "−1,000");
        assert_eq!(count(999.0), "999");
        assert_eq!(amount(1e6), "1 million");
        assert_eq!(amount(250_000.0), "250,000");
        assert_eq!(grouped(1289.38), "1,289");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(roughly(Some(1.234e6)), "1.2 million");
        assert_eq!(roughly(Some(34_567.0)), "35,000");
        assert_eq!(roughly(Some(0.4217)), "0.42");
        assert_eq!(roughly(None), "never");
    }

    #[test]
    fn extreme_numbers_have_a_power_of_ten_and_few_digits() {
        assert_eq!(significant(1e300, 2), "1.0 × 10³⁰⁰");
        assert_eq!(significant(-2.5e-200, 3), "−2.50 × 10⁻²⁰⁰");
        assert_eq!(si(1e300, "m"), "1.00 × 10³⁰⁰ m");
        assert_eq!(si(1e-300, "J"), "1.00 × 10⁻³⁰⁰ J");
        assert_eq!(amount(1e18), "1.00 × 10¹⁸");
        for text in [
            count(f64::MAX),
            percent(1e300, 1),
            grouped(1e300),
            saving(-1e300),
            times(1e300),
            trimmed(5e-324, 3),
            rate(1e300, "images"),
        ] {
            assert!(text.chars().count() < 24, "{text}");
        }
    }

    #[test]
    fn a_saving_is_never_rounded_to_everything() {
        assert_eq!(saving(0.75), "−75 %");
        assert_eq!(saving(0.9968), "−99.7 %");
        assert_eq!(saving(0.0), "±0 %");
        assert_eq!(saving(-0.12), "+12 %");
        assert_eq!(saving(f64::NAN), "–");
    }

    #[test]
    fn digits_follow_the_uncertainty() {
        assert_eq!(decimals_for(0.6, 3), 1);
        assert_eq!(decimals_for(0.03, 3), 2);
        assert_eq!(decimals_for(12.0, 3), 0);
        assert_eq!(percent(0.8974, 1), "89.7 %");
        assert_eq!(signed_text(-0.04, 1), "0.0");
    }
}
