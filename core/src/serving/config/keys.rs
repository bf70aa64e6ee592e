//! The keys of a configuration: a key that is there has the type and the size that its name promises, or the file is
//! refused. `null` is no key.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::transformer::{HEADS, HIDDEN, INNER, LAYERS};

use crate::error::{Error, Result};
use crate::text;

/// The most that a kind of number can be: far above every published network, far below where products of three of them
/// leave their types.
pub(super) mod most {
    /// Widths of vectors, matrices and images' channels.
    pub(in super::super) const WIDTH: u32 = 1 << 20;
    /// Width of one head.
    pub(in super::super) const HEAD: u32 = 1 << 14;
    /// Heads, experts of a layer.
    pub(in super::super) const PARTS: u32 = 1 << 16;
    /// Shared experts.
    pub(in super::super) const SHARED: u32 = 1 << 10;
    /// Layers and blocks.
    pub(in super::super) const LAYERS: u32 = 1 << 12;
    /// Words.
    pub(in super::super) const VOCABULARY: u32 = 1 << 24;
    /// Tokens of a context or a window.
    pub(in super::super) const TOKENS: u32 = 1 << 30;
    /// Latents of an image in one direction, latents of a token.
    pub(in super::super) const LATENTS: u32 = 1 << 12;
    /// Levels of a U-Net: each halves the image.
    pub(in super::super) const LEVELS: usize = 12;
}

/// Whether a key is one of the sizes that every configuration states.
fn is_size(name: &str) -> bool {
    let sizes: [&[&str]; 4] = [&HIDDEN, &LAYERS, &HEADS, &INNER];
    sizes.iter().any(|names| names.contains(&name))
}

/// What most keys are.
const WHOLE: &str = "a whole number";
/// Characters of a wrong value that are shown.
const SHOWN: usize = 40;

/// A configuration, or the part of one that has the shapes.
pub(super) struct Keys<'a> {
    pub(super) config: &'a Value,
    pub(super) path: &'a Path,
    /// What the class of the configuration has where the file says nothing.
    pub(super) defaults: Option<&'a BTreeMap<String, Value>>,
    /// Whether it is a part of another configuration, which states only the sizes that are not its class's. One that stands
    /// alone states them all, so that one that is missing is a mistake.
    pub(super) is_part: bool,
    /// Keys that were asked for.
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Keys<'a> {
    pub(super) const fn new(config: &'a Value, path: &'a Path) -> Self {
        Self {
            config,
            path,
            defaults: None,
            is_part: false,
            asked: RefCell::new(BTreeSet::new()),
        }
    }

    /// Keys that are there and were not asked for.
    pub(super) fn unused(&self) -> Vec<&'a str> {
        let asked = self.asked.borrow();
        let all = self.config.as_object().into_iter().flatten();
        all.filter(|(name, value)| !value.is_null() && !asked.contains(*name))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// A number for each of so many layers: one for all of them, or a list.
    pub(super) fn per_layer(
        &self,
        names: &[&'static str],
        layers: u32,
        most: u32,
    ) -> Result<Option<Vec<u32>>> {
        let Some((name, value)) = self.first(names) else {
            return Ok(None);
        };
        let Value::Array(list) = value else {
            let number = self.whole(name, value, 0, most)?;
            return Ok(Some(vec![number; layers as usize]));
        };
        if u32::try_from(list.len()) != Ok(layers) {
            return self.refuse(format!(
                "'{name}' is a list of {} numbers for {layers} layers",
                list.len()
            ));
        }
        list.iter()
            .map(|item| self.whole(name, item, 0, most))
            .collect::<Result<_>>()
            .map(Some)
    }

    /// A number that need not be whole.
    pub(super) fn real(&self, name: &str) -> Result<Option<f64>> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) if number.is_finite() => Ok(Some(number)),
                _ => self.wrong(name, value, "a number"),
            },
        }
    }
}

impl<'a> Keys<'a> {
    pub(super) fn refuse<T>(&self, fact: impl Into<String>) -> Result<T> {
        Err(Error::file(fact, self.path))
    }

    /// The value of a key; `null` is none.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        // What is stated to be nothing is nothing, whatever its class has.
        if self.config.get(name).is_some() {
            return self.stated(name);
        }
        self.asked.borrow_mut().insert(name.to_owned());
        let defaults = self.defaults.filter(|_| self.is_part || !is_size(name));
        defaults.and_then(|defaults| defaults.get(name))
    }

    /// The value that the file itself has.
    pub(super) fn stated(&self, name: &str) -> Option<&'a Value> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.config.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn wrong<T>(&self, name: &str, value: &Value, wanted: &str) -> Result<T> {
        if let Value::Array(list) = value
            && wanted == WHOLE
        {
            let what = if list.iter().all(Value::is_number) {
                "numbers"
            } else {
                "values"
            };
            return self.refuse(format!(
                "the key '{name}' is a list of {} {what}, which is not {wanted}",
                list.len()
            ));
        }
        let shown = value.to_string();
        let short: String = shown.chars().take(SHOWN).collect();
        let dots = if short.len() < shown.len() { "…" } else { "" };
        self.refuse(format!(
            "the key '{name}' is {short}{dots}, which is not {wanted}"
        ))
    }

    /// A whole number that is the value of a key, or part of it.
    pub(super) fn whole(&self, name: &str, value: &Value, least: u32, most: u32) -> Result<u32> {
        let Some(number) = value.as_u64() else {
            return self.wrong(name, value, WHOLE);
        };
        match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => self.refuse(format!(
                "the key '{name}' is {number}; it must lie between {least} and {most}"
            )),
        }
    }

    pub(super) fn first(&self, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        // Under whichever of its names it stands, it is read.
        let mut asked = self.asked.borrow_mut();
        asked.extend(names.iter().map(|name| (*name).to_owned()));
        drop(asked);
        // What the file says under any name comes before what its class has.
        let all = || names.iter();
        all()
            .find_map(|name| Some((*name, self.stated(name)?)))
            .or_else(|| all().find_map(|name| Some((*name, self.value(name)?))))
    }

    /// The number under the first of several names that is there; it may be 0.
    pub(super) fn maybe(&self, names: &[&'static str], most: u32) -> Result<Option<u32>> {
        self.first(names)
            .map(|(name, value)| self.whole(name, value, 0, most))
            .transpose()
    }

    /// The same, where 0 makes no sense.
    pub(super) fn positive(&self, names: &[&'static str], most: u32) -> Result<Option<u32>> {
        self.first(names)
            .map(|(name, value)| self.whole(name, value, 1, most))
            .transpose()
    }

    /// The same, where 0 says that there is none.
    pub(super) fn some(&self, names: &[&'static str], most: u32) -> Result<Option<u32>> {
        Ok(self.maybe(names, most)?.filter(|number| *number > 0))
    }

    /// The same, where one must be there.
    pub(super) fn number(&self, names: &[&'static str], most: u32) -> Result<u32> {
        match self.positive(names, most)? {
            Some(number) => Ok(number),
            None => {
                let name = names.first().copied().unwrap_or_default();
                self.refuse(format!("the key '{name}' is missing"))
            }
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => self.wrong(name, other, "true or false"),
        }
    }

    /// A text; empty where the key is not there.
    pub(super) fn text(&self, name: &str) -> Result<&'a str> {
        match self.value(name) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(other) => self.wrong(name, other, "a text"),
        }
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&'a [Value]>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => self.wrong(name, other, "a list"),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>> {
        let Some(list) = self.list(name)? else {
            return Ok(None);
        };
        list.iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.as_str()),
                other => self.wrong(name, other, "a list of texts"),
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    pub(super) fn numbers(&self, name: &str, most: u32) -> Result<Option<Vec<u32>>> {
        let Some(list) = self.list(name)? else {
            return Ok(None);
        };
        list.iter()
            .map(|item| self.whole(name, item, 1, most))
            .collect::<Result<_>>()
            .map(Some)
    }

    /// A part of the configuration that has keys itself.
    pub(super) fn inner(&self, name: &str) -> Result<Option<Keys<'a>>> {
        match self.value(name) {
            None => Ok(None),
            Some(config @ Value::Object(_)) => Ok(Some(Keys::new(config, self.path))),
            Some(other) => self.wrong(name, other, "a part with keys of its own"),
        }
    }

    /// The number under the first of several names that is there, which must divide into equal parts.
    pub(super) fn divisible(
        &self,
        whole: (&[&'static str], u32),
        parts: (&[&'static str], u32),
    ) -> Result<()> {
        if parts.1 > 0 && whole.1.is_multiple_of(parts.1) {
            return Ok(());
        }
        self.refuse(format!(
            "'{}' is {}, which is not a multiple of '{}', {}",
            self.name(whole.0),
            whole.1,
            self.name(parts.0),
            parts.1
        ))
    }

    /// A part of something cannot be more than the whole.
    pub(super) fn at_most(
        &self,
        part: (&[&'static str], u32),
        whole: (&[&'static str], u32),
    ) -> Result<()> {
        if part.1 <= whole.1 {
            return Ok(());
        }
        self.refuse(format!(
            "'{}' is {}, more than '{}', {}",
            self.name(part.0),
            part.1,
            self.name(whole.0),
            whole.1
        ))
    }

    fn name(&self, names: &[&'static str]) -> &'static str {
        let there = self.first(names).map(|(name, _)| name);
        there.or(names.first().copied()).unwrap_or_default()
    }
}

/// A name out of a configuration, as it may be shown.
pub(super) fn shown(name: &str) -> String {
    let short: String = name.chars().take(SHOWN).collect();
    text::one_line(&short).into_owned()
}
