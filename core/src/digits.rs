//! Numbers as text, for formulas and messages: SI prefixes, plain digits, and no more of them than the number deserves.

/// Prefixes of units by powers of 1000, from 10^-18 to 10^24.
pub const PREFIXES: [&str; 15] = [
    "a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y",
];

/// The minus sign, as wide as a plus.
pub const MINUS: &str = "−";

/// From this size on, and below the other, numbers are written with a power of ten.
const POWERS_FROM: f64 = 1e15;
const POWERS_BELOW: f64 = 1e-12;

/// A value with an SI prefix and three significant digits: `si(0.00123, "J")` is "1.23 mJ".
pub fn si(value: f64, unit: &str) -> String {
    si_digits(value, unit, 3)
}

fn si_digits(value: f64, unit: &str, digits: i32) -> String {
    if value == 0.0 {
        return format!("0 {unit}");
    }
    if !value.is_finite() {
        return "–".to_owned();
    }
    let (scaled, prefix) = prefixed(value);
    if !(1e-3..1e6).contains(&scaled.abs()) {
        return format!("{} {unit}", significant(value, digits));
    }
    format!("{} {prefix}{unit}", significant(scaled, digits))
}

/// A value divided by the power of 1000 that leaves it between 1 and 1000, and the prefix for that power.
pub fn prefixed(value: f64) -> (f64, &'static str) {
    let rounded = round_significant(value.abs(), 3);
    let power = (rounded.log10() / 3.0).floor().clamp(-6.0, 8.0);
    // The clamp keeps the index within the table.
    let index = (power + 6.0) as usize;
    (value / 1000_f64.powf(power), PREFIXES[index])
}

/// A large round number in words people say: "1 million", "250 k" stays "250,000".
pub fn amount(value: f64) -> String {
    let words = [(1e12, "trillion"), (1e9, "billion"), (1e6, "million")];
    for (size, word) in words {
        if value >= size * 0.9995 && value < POWERS_FROM {
            return format!("{} {word}", trimmed(value / size, 3));
        }
    }
    count(value)
}

/// A whole number with its thousands apart: "1,234,567"; from 10¹⁵ on with a power of ten.
pub fn count(value: f64) -> String {
    if value.abs() >= POWERS_FROM {
        return power_of_ten(value, 3);
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 {
        format!("{MINUS}{text}")
    } else {
        text
    }
}

/// A number of things, as formulas write it: with three digits, "1.23 million", "35,200", "0.42".
pub fn many(value: f64) -> String {
    if value.abs() < 999.5 {
        trimmed(value, 3)
    } else {
        amount(round_significant(value, 3))
    }
}

/// How much more is asked for than there is room for, with the digits that tell the two apart: the amount, the room and
/// their ratio, as in "1.04 GB", "262 kB", "4,000".
pub fn too_much(wanted: f64, room: f64, unit: &str) -> [String; 3] {
    /// More are never needed: the amounts are whole bytes or come out of measurements.
    const MOST: i32 = 9;
    let write = |value: f64, digits: i32| si_digits(value, unit, digits);
    let enough = (3..MOST)
        .find(|&digits| write(wanted, digits) != write(room, digits))
        .unwrap_or(MOST);
    let ratio = wanted / room;
    let places = (2..MOST)
        .find(|&digits| round_significant(ratio, digits) != 1.0)
        .unwrap_or(MOST);
    let ratio = if ratio < 999.5 {
        trimmed(ratio, places)
    } else {
        many(round_significant(ratio, 2))
    };
    [write(wanted, enough), write(room, enough), ratio]
}

/// A value with this many significant digits, with a power of ten only where it would have many zeros.
pub fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(POWERS_BELOW..POWERS_FROM).contains(&value.abs()) {
        return power_of_ten(value, digits);
    }
    let rounded = round_significant(value, digits);
    let magnitude = rounded.abs().log10().floor() as i32;
    let decimals = usize::try_from(digits - 1 - magnitude).unwrap_or(0);
    signed_text(rounded, decimals)
}

/// A value as digits and a power of ten: "1.00 × 10³⁰⁰".
fn power_of_ten(value: f64, digits: i32) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let decimals = usize::try_from(digits - 1).unwrap_or(0);
    let text = format!("{:.decimals$e}", value.abs());
    let Some((digits, power)) = text.split_once('e') else {
        return text;
    };
    let power: String = power
        .chars()
        .map(|c| match c.to_digit(10) {
            Some(digit) => RAISED[digit as usize],
            None => '⁻',
        })
        .collect();
    let sign = if value < 0.0 { MINUS } else { "" };
    format!("{sign}{digits} × 10{power}")
}

/// Like [`significant`], without zeros at the end.
pub fn trimmed(value: f64, digits: i32) -> String {
    let text = significant(value, digits);
    if text.contains('.') && !text.contains('×') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A value with fixed decimals and a real minus sign.
pub fn signed_text(value: f64, decimals: usize) -> String {
    if value.abs() >= POWERS_FROM {
        return power_of_ten(value, 3);
    }
    let text = format!("{:.decimals$}", value.abs());
    let zero = text.chars().all(|c| matches!(c, '0' | '.'));
    if value < 0.0 && !zero {
        format!("{MINUS}{text}")
    } else {
        text
    }
}

/// A value rounded to this many significant digits.
pub fn round_significant(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(digits - 1 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_write_plain_digits() {
        assert_eq!(si(2.2, "J"), "2.20 J");
        assert_eq!(si(35_281.469e6, "B"), "35.3 GB");
        assert_eq!(many(1_234_567.0), "1.23 million");
        assert_eq!(many(35_247.0), "35,200");
        assert_eq!(many(0.42), "0.42");
        assert_eq!(many(3.14e23), "3.14 × 10²³");
        assert_eq!(many(0.0), "0");
        assert_eq!(significant(-2.5e-200, 3), "−2.50 × 10⁻²⁰⁰");
    }

    #[test]
    fn what_is_too_large_is_never_written_like_the_room_that_there_is() {
        assert_eq!(
            too_much(35_281.469e6, 0.262e6, "B"),
            ["35.3 GB", "262 kB", "130,000"]
        );
        assert_eq!(
            too_much(1_000_400.0, 1e6, "B"),
            ["1.0004 MB", "1.0000 MB", "1.0004"]
        );
        assert_eq!(too_much(3e6, 2e6, "B"), ["3.00 MB", "2.00 MB", "1.5"]);
    }
}
