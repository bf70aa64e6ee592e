//! The rotary angles of a configuration: their base, and what they are divided by.

use std::f64::consts::TAU;

use serde_json::{Map, Value};

use super::kinds::Kind;
use super::{Reader, not_run};
use crate::graph::Factors;

/// Widest head for which a table is made.
const WIDEST: usize = 1 << 16;
/// Base of the blocks with a window in Gemma 3, where it is not said.
const LOCAL_BASE: f64 = 10_000.0;

/// Tables that angles are divided by, under their names in a GGUF.
pub(crate) type Tables = Vec<(&'static str, Vec<f32>)>;

/// How angles follow from positions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Angles {
    pub(super) base: f64,
    /// The base of blocks with a window, where it is another.
    pub(super) local_base: Option<f64>,
    /// The share of a head that turns, where that is not all.
    share: Option<f64>,
    /// Numbers of a head that turn, where they are said.
    dims: Option<usize>,
    scaling: Scaling,
}

#[derive(Debug, Clone, PartialEq)]
enum Scaling {
    None,
    /// Positions are divided.
    Linear(f64),
    Llama3(Divided),
    Yarn(Yarn),
    /// In contexts longer than this; in others there is none.
    Dynamic(usize),
    Long(Long),
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

/// The same between two pairs, by the turns that they make in the original context (Peng et al. 2023,
/// <https://arxiv.org/abs/2309.00071>), and what turns is multiplied by one number.
#[derive(Debug, Clone, PartialEq)]
struct Yarn {
    factor: f64,
    /// Turns of the pairs that are not divided, and of those that are.
    fast: f64,
    slow: f64,
    /// Whether the two pairs are whole ones.
    whole: bool,
    original: f64,
    magnitude: f64,
}

impl Yarn {
    /// What the angle of every pair is divided by.
    fn table(&self, base: f64, turning: usize) -> Vec<f32> {
        let pair =
            |turns: f64| turning as f64 * (self.original / (turns * TAU)).ln() / (2.0 * base.ln());
        let (mut first, mut last) = (pair(self.fast), pair(self.slow));
        if self.whole {
            (first, last) = (first.floor(), last.ceil());
        }
        let first = first.max(0.0);
        let mut last = last.min(turning as f64 - 1.0);
        if first == last {
            last += 0.001;
        }
        let of = |pair: usize| {
            let divided = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
            1.0 / (divided / self.factor + (1.0 - divided))
        };
        (0..turning / 2).map(|pair| of(pair) as f32).collect()
    }
}

/// Every angle is divided by a number of its own, by other ones in long contexts, and what turns is multiplied by one.
#[derive(Debug, Clone, PartialEq)]
struct Long {
    short: Vec<f32>,
    long: Vec<f32>,
    magnitude: f64,
    original: usize,
}

/// A list of keys that has a name of its own.
struct List<'a> {
    name: &'a str,
    fields: &'a Map<String, Value>,
}

impl List<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    fn positive(&self, key: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let number = value.as_f64().filter(|n| n.is_finite() && *n > 0.0);
        number.map(Some).ok_or_else(|| {
            let name = self.name;
            format!("its config.json says {name}.{key} = {value}, which is no number above zero")
        })
    }

    fn needed(&self, key: &str) -> Result<f64, String> {
        let name = self.name;
        self.positive(key)?
            .ok_or_else(|| format!("its config.json does not say {name}.{key}"))
    }

    fn table(&self, key: &str) -> Result<Vec<f32>, String> {
        let number = |value: &Value| {
            let number = value.as_f64().map(|number| number as f32);
            number.filter(|number| number.is_finite() && *number > 0.0)
        };
        let table = self.value(key).and_then(Value::as_array);
        table
            .and_then(|table| table.iter().map(number).collect())
            .ok_or_else(|| {
                let name = self.name;
                format!("its config.json does not say {name}.{key} as a list of numbers above zero")
            })
    }

    /// Whether nothing is said but these.
    fn only(&self, others: &[&str]) -> Result<(), String> {
        let of_all = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];
        let known = |key: &&String| of_all.iter().chain(others).any(|name| name == key);
        let other = self
            .fields
            .iter()
            .find(|(key, value)| !known(key) && !value.is_null());
        other.map_or(Ok(()), |(key, value)| {
            Err(not_run(&format!("{}.{key}", self.name), value))
        })
    }
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
            (Some(scaling), _) => ("rope_scaling", Some(scaling)),
            (None, parameters) => ("rope_parameters", parameters),
        };
        let none = Map::new();
        let fields = match list {
            Some(list) => list.as_object().ok_or_else(|| not_run(name, list))?,
            None => &none,
        };
        if !reader.kind.reads.contains(&"rope_local_base_freq") {
            return Self::listed(reader, context, &List { name, fields });
        }
        // By the type of a block, or all for those without a window.
        let of = |types: &str| fields.get(types).and_then(Value::as_object);
        let (whole, window) = (of("full_attention"), of(super::SLIDING));
        let mut angles = match whole {
            Some(fields) => {
                let name = format!("{name}.full_attention");
                let name = name.as_str();
                Self::listed(reader, context, &List { name, fields })?
            }
            None if window.is_none() => Self::listed(reader, context, &List { name, fields })?,
            None => return Err(not_run(name, &fields.clone().into())),
        };
        if !matches!(angles.scaling, Scaling::None | Scaling::Linear(_)) {
            return Err(not_run(name, &fields.clone().into()));
        }
        let local = match window {
            Some(fields) => {
                let name = format!("{name}.{}", super::SLIDING);
                let list = List {
                    name: &name,
                    fields,
                };
                list.only(&[])?;
                let kind = list.value("rope_type").and_then(Value::as_str);
                if kind.is_some_and(|kind| kind != "default") {
                    return Err(not_run(&name, &fields.clone().into()));
                }
                list.positive("rope_theta")?
            }
            None => reader.float("rope_local_base_freq")?,
        };
        angles.local_base = Some(local.unwrap_or(LOCAL_BASE));
        Ok(angles)
    }

    fn listed(reader: &Reader<'_>, context: usize, list: &List<'_>) -> Result<Self, String> {
        let kind: &Kind = reader.kind;
        let base = match list.positive("rope_theta")? {
            Some(base) => base,
            None => reader.float("rope_theta")?.unwrap_or(kind.base),
        };
        let wrong = || not_run(list.name, &list.fields.clone().into());
        let share = list.positive("partial_rotary_factor")?;
        let share = match kind.turning {
            Some(usual) => match share {
                Some(share) => Some(share),
                None => Some(reader.float("partial_rotary_factor")?.unwrap_or(usual)),
            },
            None if share.is_some_and(|share| share != 1.0) => return Err(wrong()),
            None => None,
        };
        if let Some(share) = share.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
            return Err(not_run("partial_rotary_factor", &share.into()));
        }
        // `type` is the older name.
        let kind_of = ["rope_type", "type"].iter().find_map(|key| list.value(key));
        let original = "original_max_position_embeddings";
        let before = || -> Result<Option<f64>, String> {
            match reader.float(original)? {
                Some(before) if !(before > 0.0 && before.is_finite()) => Err(format!(
                    "its config.json says {original} = {before}, which is no number above zero"
                )),
                Some(before) => Ok(Some(before)),
                None => list.positive(original),
            }
        };
        let scaling = match kind_of.map(Value::as_str) {
            None | Some(Some("default")) => {
                // Without a factor there is nothing to be divided.
                list.only(&[original]).map_err(|_| wrong())?;
                Scaling::None
            }
            Some(Some("linear")) => {
                list.only(&["factor"])?;
                Scaling::Linear(list.needed("factor")?)
            }
            Some(Some("llama3")) => {
                let needed = ["factor", "low_freq_factor", "high_freq_factor"];
                list.only(&[needed[0], needed[1], needed[2], original])?;
                let divided = Divided {
                    factor: list.needed(needed[0])?,
                    low: list.needed(needed[1])?,
                    high: list.needed(needed[2])?,
                    original: before()?.unwrap_or(context as f64),
                };
                if divided.high <= divided.low {
                    return Err(format!(
                        "its config.json says {} with high_freq_factor {} and low_freq_factor {}, and the first must be \
                         the larger",
                        list.name, divided.high, divided.low
                    ));
                }
                Scaling::Llama3(divided)
            }
            Some(Some("dynamic")) => {
                list.only(&["factor"])?;
                list.needed("factor")?;
                Scaling::Dynamic(context)
            }
            Some(Some("yarn")) => Scaling::Yarn(Self::yarn(list, context, before()?)?),
            // `su` is the older name.
            Some(Some("longrope" | "su")) if kind.name == "phi3" => {
                let (short, long) = ("short_factor", "long_factor");
                list.only(&[short, long, original, "factor", "attention_factor"])?;
                let before = before()?.filter(|before| *before >= 1.0);
                let before =
                    before.ok_or_else(|| format!("its config.json does not say {original}"))?;
                let factor = list.positive("factor")?.unwrap_or(context as f64 / before);
                let usual = match factor > 1.0 {
                    true => (1.0 + factor.ln() / before.ln()).sqrt(),
                    false => 1.0,
                };
                Scaling::Long(Long {
                    short: list.table(short)?,
                    long: list.table(long)?,
                    magnitude: list.positive("attention_factor")?.unwrap_or(usual),
                    original: before as usize,
                })
            }
            Some(Some(other)) => {
                return Err(format!(
                    "its config.json says {} of the type '{other}', which is not run here yet",
                    list.name
                ));
            }
            Some(None) => return Err(wrong()),
        };
        Ok(Self {
            base,
            local_base: None,
            share,
            dims: Self::dims(reader)?,
            scaling,
        })
    }

    /// Numbers of a head that turn, of a kind that says them.
    fn dims(reader: &Reader<'_>) -> Result<Option<usize>, String> {
        let key = "rotary_dim";
        if !reader.kind.reads.contains(&key) {
            return Ok(None);
        }
        match reader.config.get(key) {
            None => Ok(Some(64)),
            Some(value) if value.is_null() || *value == 0 => Err(not_run(key, value)),
            Some(_) => reader.whole(key),
        }
    }

    fn yarn(list: &List<'_>, context: usize, original: Option<f64>) -> Result<Yarn, String> {
        list.only(&[
            "factor",
            "original_max_position_embeddings",
            "attention_factor",
            "beta_fast",
            "beta_slow",
            "mscale",
            "mscale_all_dim",
            "truncate",
        ])?;
        let original = original.unwrap_or(context as f64);
        let factor = list.positive("factor")?;
        let factor = factor.unwrap_or(context as f64 / original);
        let of = |by: f64| match factor > 1.0 {
            true => 0.1 * by * factor.ln() + 1.0,
            false => 1.0,
        };
        let usual = match (list.positive("mscale")?, list.positive("mscale_all_dim")?) {
            (Some(one), Some(all)) => of(one) / of(all),
            _ => of(1.0),
        };
        let truncate = "truncate";
        Ok(Yarn {
            factor,
            fast: list.positive("beta_fast")?.unwrap_or(32.0),
            slow: list.positive("beta_slow")?.unwrap_or(1.0),
            whole: match list.value(truncate) {
                None => true,
                Some(Value::Bool(whole)) => *whole,
                Some(other) => return Err(not_run(&format!("{}.{truncate}", list.name), other)),
            },
            original,
            magnitude: list.positive("attention_factor")?.unwrap_or(usual),
        })
    }

    /// Numbers of a head that turn.
    pub(super) fn turning(&self, head_width: usize) -> usize {
        let turning = self.share.map(|share| (head_width as f64 * share) as usize);
        self.dims.or(turning).unwrap_or(head_width)
    }

    /// What positions are divided by.
    pub(super) fn divisor(&self) -> Option<f64> {
        match self.scaling {
            Scaling::Linear(factor) => Some(factor),
            _ => None,
        }
    }

    /// What turns is multiplied by.
    pub(super) fn magnitude(&self) -> Option<f64> {
        match &self.scaling {
            Scaling::Long(long) => Some(long.magnitude),
            Scaling::Yarn(yarn) => Some(yarn.magnitude),
            _ => None,
        }
    }

    /// The longest context that the tables are right for.
    pub(super) fn longest(&self) -> Option<usize> {
        match &self.scaling {
            Scaling::Long(long) => Some(long.original),
            Scaling::Dynamic(original) => Some(*original),
            _ => None,
        }
    }

    /// Whether there are a table for short contexts and one for long ones.
    pub(super) fn has_short(&self) -> bool {
        matches!(self.scaling, Scaling::Long(_))
    }

    /// What the angles of so many turning numbers are divided by, slowest last.
    pub(super) fn tables(&self, turning: usize) -> Result<Tables, String> {
        if turning > WIDEST {
            return Err(format!("its heads are {turning} wide, which is absurd"));
        }
        let one = |table: Vec<f32>| match table.iter().find(|n| !(n.is_finite() && **n > 0.0)) {
            // Angles divided by nothing, or by more than any number, are none.
            Some(absurd) => Err(format!(
                "by its config.json rotary angles are divided by {absurd}"
            )),
            None => Ok(vec![(Factors::ONE, table)]),
        };
        let divided = match &self.scaling {
            Scaling::None | Scaling::Linear(_) | Scaling::Dynamic(_) => return Ok(Vec::new()),
            Scaling::Long(long) => {
                if long.short.len() != turning / 2 || long.long.len() != turning / 2 {
                    return Err(format!(
                        "its config.json divides {} and {} angles, and there are {}",
                        long.short.len(),
                        long.long.len(),
                        turning / 2
                    ));
                }
                return Ok(vec![
                    (Factors::SHORT, long.short.clone()),
                    (Factors::LONG, long.long.clone()),
                ]);
            }
            Scaling::Yarn(yarn) => return one(yarn.table(self.base, turning)),
            Scaling::Llama3(divided) => divided,
        };
        let of = |pair: usize| {
            // Tokens of a whole turn.
            let turn = TAU * self.base.powf((2 * pair) as f64 / turning as f64);
            if turn < divided.original / divided.high {
                return 1.0;
            }
            if turn > divided.original / divided.low {
                return divided.factor;
            }
            let share = (divided.original / turn - divided.low) / (divided.high - divided.low);
            1.0 / ((1.0 - share) / divided.factor + share)
        };
        one((0..turning / 2).map(|pair| of(pair) as f32).collect())
    }
}
