//! The rotary angles of a configuration: their base, and what Llama 3 divides them by.

use std::f64::consts::TAU;

use serde_json::{Map, Value};

use super::{Reader, not_run};

/// The base where a configuration does not say one.
const USUAL_BASE: f64 = 10_000.0;
/// Widest head for which a table is made.
const WIDEST: usize = 1 << 16;

/// How angles follow from positions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Angles {
    pub(super) base: f64,
    divided: Option<Divided>,
}

/// Slow angles are divided by a factor, fast ones are not, and between the two the share changes evenly.
#[derive(Debug, Clone, PartialEq)]
struct Divided {
    factor: f64,
    low: f64,
    high: f64,
    /// Tokens that the network was trained on before.
    original: f64,
}

/// A positive number in a list of keys that has a name of its own.
fn positive(list: &Map<String, Value>, name: &str, key: &str) -> Result<Option<f64>, String> {
    let Some(value) = list.get(key).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let number = value.as_f64().filter(|n| n.is_finite() && *n > 0.0);
    number.map(Some).ok_or_else(|| {
        format!("its config.json says {name}.{key} = {value}, which is no number above zero")
    })
}

impl Angles {
    /// By `rope_theta` and `rope_scaling`, or `rope_parameters`, in which both stand since transformers 5.
    pub(super) fn of(reader: &Reader<'_>, context: usize) -> Result<Self, String> {
        let said = |key| {
            reader
                .value(key)
                .filter(|value| **value != Value::from(Map::new()))
        };
        let (name, list) = match (said("rope_scaling"), said("rope_parameters")) {
            (Some(scaling), Some(parameters)) if scaling != parameters => {
                return Err(
                    "its config.json says rope_scaling and rope_parameters, which differ"
                        .to_owned(),
                );
            }
            (Some(scaling), _) => ("rope_scaling", scaling),
            (None, Some(parameters)) => ("rope_parameters", parameters),
            (None, None) => {
                return Ok(Self {
                    base: reader.float("rope_theta")?.unwrap_or(USUAL_BASE),
                    divided: None,
                });
            }
        };
        let wrong = || not_run(name, list);
        let fields = list.as_object().ok_or_else(wrong)?;
        let base = match positive(fields, name, "rope_theta")? {
            Some(base) => base,
            None => reader.float("rope_theta")?.unwrap_or(USUAL_BASE),
        };
        if positive(fields, name, "partial_rotary_factor")?.is_some_and(|share| share != 1.0) {
            return Err(wrong());
        }
        // `type` is the older name.
        let kind = ["rope_type", "type"]
            .iter()
            .find_map(|key| fields.get(*key).filter(|value| !value.is_null()));
        let known = |key: &String, others: &[&str]| {
            ["rope_type", "type", "rope_theta", "partial_rotary_factor"]
                .iter()
                .chain(others)
                .any(|name| name == key)
        };
        match kind.map(Value::as_str) {
            None | Some(Some("default")) => {
                // Without a factor there is nothing to be divided.
                let others = ["original_max_position_embeddings"];
                if fields
                    .iter()
                    .any(|(key, value)| !known(key, &others) && !value.is_null())
                {
                    return Err(wrong());
                }
                Ok(Self {
                    base,
                    divided: None,
                })
            }
            Some(Some("llama3")) => {
                let needed = ["factor", "low_freq_factor", "high_freq_factor"];
                let original = "original_max_position_embeddings";
                let others = [needed[0], needed[1], needed[2], original];
                if let Some((key, value)) = fields.iter().find(|(key, _)| !known(key, &others)) {
                    return Err(not_run(&format!("{name}.{key}"), value));
                }
                let number = |key| {
                    positive(fields, name, key)?
                        .ok_or_else(|| format!("its config.json does not say {name}.{key}"))
                };
                let before = match positive(fields, name, original)? {
                    Some(original) => original,
                    None => reader.float(original)?.unwrap_or(context as f64),
                };
                if !(before > 0.0 && before.is_finite()) {
                    return Err(format!(
                        "its config.json says {original} = {before}, which is no number above zero"
                    ));
                }
                let divided = Divided {
                    factor: number(needed[0])?,
                    low: number(needed[1])?,
                    high: number(needed[2])?,
                    original: before,
                };
                if divided.high <= divided.low {
                    return Err(format!(
                        "its config.json says {name} with high_freq_factor {} and low_freq_factor {}, and the first must be \
                         the larger",
                        divided.high, divided.low
                    ));
                }
                Ok(Self {
                    base,
                    divided: Some(divided),
                })
            }
            Some(Some(other)) => Err(format!(
                "its config.json says {name} of the type '{other}', which is not run here yet"
            )),
            Some(None) => Err(wrong()),
        }
    }

    /// What the angles of a head of so many turning numbers are divided by, slowest last.
    pub(super) fn factors(&self, width: usize) -> Result<Option<Vec<f32>>, String> {
        let Some(divided) = &self.divided else {
            return Ok(None);
        };
        if width > WIDEST {
            return Err(format!("its heads are {width} wide, which is absurd"));
        }
        let of = |pair: usize| {
            // Tokens of a whole turn.
            let turn = TAU * self.base.powf((2 * pair) as f64 / width as f64);
            if turn < divided.original / divided.high {
                return 1.0;
            }
            if turn > divided.original / divided.low {
                return divided.factor;
            }
            let share = (divided.original / turn - divided.low) / (divided.high - divided.low);
            1.0 / ((1.0 - share) / divided.factor + share)
        };
        let factors: Vec<f32> = (0..width / 2).map(|pair| of(pair) as f32).collect();
        match factors.iter().find(|n| !(n.is_finite() && **n > 0.0)) {
            // Angles divided by nothing, or by more than any number, are none.
            Some(absurd) => Err(format!(
                "by its config.json rotary angles are divided by {absurd}"
            )),
            None => Ok(Some(factors)),
        }
    }
}
