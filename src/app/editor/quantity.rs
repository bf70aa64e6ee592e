//! Figures of devices as people write them: "700 W", "3.35 TB/s", "0.6 pJ". Nothing is lost on the way: what is written
//! is read back as the same number.

use crate::format::PREFIXES;

/// Place of the prefix that is none.
const NO_PREFIX: i32 = 6;

/// A number with all its digits and a prefix, or without a prefix where there is no unit; empty for one that is missing.
pub(super) fn write(value: f64, unit: &str) -> String {
    if !value.is_finite() {
        return String::new();
    }
    if value == 0.0 || unit.is_empty() {
        return format!("{value} {unit}").trim_end().to_owned();
    }
    // The shortest digits that stand for this number, and where the point belongs.
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let place = exponent.div_euclid(3) + NO_PREFIX;
    let Some(prefix) = usize::try_from(place).ok().and_then(|i| PREFIXES.get(i)) else {
        return format!("{text} {unit}");
    };
    format!(
        "{} {prefix}{unit}",
        with_point(mantissa, exponent.rem_euclid(3))
    )
}

/// A mantissa with one digit before its point, the point moved to the right.
fn with_point(mantissa: &str, places: i32) -> String {
    let before = 1 + places.unsigned_abs() as usize;
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest.replace('.', "")),
        None => ("", mantissa.replace('.', "")),
    };
    let digits = format!("{digits:0<before$}");
    let (whole, rest) = digits.split_at(before);
    if rest.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest}")
    }
}

/// Reads what people type, with or without a prefix and the unit; `None` where it is no number of that unit. Shares may
/// be in percent, bytes in binary prefixes, and thousands may be apart: "75 %", "80 GiB", "1,728,000".
pub(super) fn read(text: &str, unit: &str) -> Option<f64> {
    let text = text.trim();
    let end = number_end(text);
    let (number, rest) = text.split_at(end);
    let number = without_thousands(number)?;
    let rest = rest.trim();
    if unit.is_empty() && rest == "%" {
        return number.parse::<f64>().ok().map(|percent| percent / 100.0);
    }
    let prefix = without_unit(rest, unit).trim();
    if let Some(binary) = prefix.strip_suffix('i').filter(|_| unit.starts_with('B')) {
        let power = ["K", "M", "G", "T", "P"]
            .iter()
            .position(|p| *p == binary)?
            + 1;
        let power = i32::try_from(power).ok()?;
        return number.parse::<f64>().ok().map(|n| n * 1024_f64.powi(power));
    }
    let exponent = exponent(prefix)?;
    // As text, so that a number of few digits stays one.
    let (mantissa, own) = number.split_once(['e', 'E']).unwrap_or((&number, "0"));
    let own: i32 = own.parse().ok()?;
    format!("{mantissa}e{}", own + exponent).parse().ok()
}

/// Where the number at the beginning ends: an "e" belongs to it only where digits follow.
fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        let signed = end == 0 && matches!(byte, b'-' | b'+');
        let sign_follows = matches!(bytes.get(end + 1), Some(b'-' | b'+'));
        match byte {
            b'0'..=b'9' | b'.' | b',' => end += 1,
            _ if signed => end += 1,
            b'e' | b'E' if digit(end + 1) => end += 1,
            b'e' | b'E' if sign_follows && digit(end + 2) => end += 2,
            _ => break,
        }
    }
    end
}

/// A number without the commas between its thousands; `None` where a comma may be a decimal one.
fn without_thousands(number: &str) -> Option<String> {
    let mut parts = number.split(',');
    let mut joined = parts.next()?.to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit());
        if digits.unwrap_or(part.len()) != 3 {
            return None;
        }
        joined += part;
    }
    (!joined.is_empty()).then_some(joined)
}

/// What is left before the unit, in any of the ways in which it is written.
fn without_unit<'a>(text: &'a str, unit: &str) -> &'a str {
    let spellings: &[&str] = match unit {
        // The longer spellings first, as they end like the shorter ones.
        "op/s" => &["FLOP/s", "FLOPS", "op/s", "OP/s", "OPS"],
        "gCO2e" => &["gCO2e", "gCO₂e", "g"],
        _ => &[],
    };
    spellings
        .iter()
        .copied()
        .chain([unit])
        .find_map(|spelling| text.strip_suffix(spelling))
        .unwrap_or(text)
}

fn exponent(prefix: &str) -> Option<i32> {
    let prefix = match prefix {
        "u" | "μ" => "µ",
        "K" => "k",
        prefix => prefix,
    };
    let place = PREFIXES.iter().position(|known| *known == prefix)?;
    Some((i32::try_from(place).ok()? - NO_PREFIX) * 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattif_core::hardware;

    #[test]
    fn every_figure_of_the_catalogue_is_read_back_as_it_was() {
        for target in hardware::catalogue().unwrap() {
            for listed in target.figures() {
                let figure = listed.figure;
                let values = [figure.low, Some(figure.typical), figure.high];
                for value in values.into_iter().flatten() {
                    let text = write(value, listed.unit);
                    assert_eq!(read(&text, listed.unit), Some(value), "{text}");
                }
            }
        }
    }

    #[test]
    fn figures_are_written_as_in_data_sheets() {
        for (value, unit, text) in [
            (700.0, "W", "700 W"),
            (3.35e12, "B/s", "3.35 TB/s"),
            (2.99141e-13, "J", "299.141 fJ"),
            (6e-11, "J", "60 pJ"),
            (9.89e14, "op/s", "989 Top/s"),
            (1e6, "gCO2e", "1 MgCO2e"),
            (0.0, "s", "0 s"),
            (-1500.0, "W", "-1.5 kW"),
            (0.6, "", "0.6"),
            (1_728_000.0, "", "1728000"),
            (f64::NAN, "W", ""),
        ] {
            assert_eq!(write(value, unit), text);
        }
    }

    #[test]
    fn figures_are_read_as_people_type_them() {
        for (text, unit, value) in [
            ("700", "W", 700.0),
            ("0.7kW", "W", 700.0),
            (" 3.35 TB/s ", "B/s", 3.35e12),
            ("3350 G", "B/s", 3.35e12),
            ("3.35e12", "B/s", 3.35e12),
            ("1e-3 TB/s", "B/s", 1e9),
            ("0.6 pJ", "J", 0.6e-12),
            ("4 us", "s", 4e-6),
            ("989 TFLOPS", "op/s", 9.89e14),
            ("1.979 POPS", "op/s", 1.979e15),
            ("164 kg", "gCO2e", 164_000.0),
            ("80 GiB", "B", 80.0 * 1024.0 * 1024.0 * 1024.0),
            ("75 %", "", 0.75),
            ("1,728,000", "", 1_728_000.0),
            ("1.2 M", "", 1.2e6),
        ] {
            assert_eq!(read(text, unit), Some(value), "{text}");
        }
        for (text, unit) in [
            ("", "W"),
            ("many", "W"),
            ("3,35 TB/s", "B/s"),
            ("3 Tb/s", "B/s"),
            ("3 TB", "B/s"),
            ("700 J", "W"),
            ("1.2.3 W", "W"),
            ("5 %", "W"),
        ] {
            assert_eq!(read(text, unit), None, "{text}");
        }
    }
}
