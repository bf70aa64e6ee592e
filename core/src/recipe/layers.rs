//! [`Override`]: what a recipe does to one layer in place of what it does to all.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{BlockFormat, Pattern, Quantization, Recipe, Scope, round_to};
use crate::error::{Error, Result};

/// What one layer has of its own; what is `None` is as the recipe says.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Override {
    /// Fraction of its weights that become zero, those of smallest magnitude within the layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sparsity: Option<f64>,
    /// What its weights are rounded to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Width>,
}

/// What weights are rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Width {
    /// So many bits each, as [`super::Quantization::weight_bits`].
    Bits(u8),
    /// Blocks of llama.cpp, the same for the whole layer.
    Blocks(BlockFormat),
}

impl Width {
    /// Bits of a weight's code, scales apart.
    pub const fn code_bits(self) -> u8 {
        match self {
            Self::Bits(bits) => bits,
            Self::Blocks(format) => format.bits(),
        }
    }
}

impl Override {
    /// Nothing of its own.
    pub const NONE: Self = Self {
        sparsity: None,
        weights: None,
    };

    /// Whether it says nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The same with what `other` says in place of what this one does.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            sparsity: other.sparsity.or(self.sparsity),
            weights: other.weights.or(self.weights),
        }
    }
}

/// Overrides by the names of layers, in their order. Copies share them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(
    from = "BTreeMap<String, Override>",
    into = "BTreeMap<String, Override>"
)]
pub struct Overrides(Arc<BTreeMap<String, Override>>);

impl From<BTreeMap<String, Override>> for Overrides {
    fn from(map: BTreeMap<String, Override>) -> Self {
        Self(Arc::new(map))
    }
}

impl From<Overrides> for BTreeMap<String, Override> {
    fn from(overrides: Overrides) -> Self {
        Arc::unwrap_or_clone(overrides.0)
    }
}

impl Overrides {
    /// Whether no layer has anything of its own.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Layers that have something of their own.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What a layer has of its own.
    pub fn get(&self, layer: &str) -> Option<Override> {
        self.0.get(layer).copied()
    }

    /// All of them, by the names of their layers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Override)> {
        self.0.iter().map(|(name, own)| (name.as_str(), *own))
    }

    /// Gives a layer something of its own, or takes it back with [`Override::NONE`].
    pub fn set(&mut self, layer: &str, own: Override) {
        if self.get(layer).unwrap_or_default() == own {
            return;
        }
        let map = Arc::make_mut(&mut self.0);
        if own.is_none() {
            map.remove(layer);
        } else {
            map.insert(layer.to_owned(), own);
        }
    }

    /// Takes back what layers have of their own for which a function says no.
    pub fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        if self.0.keys().any(|layer| !keeps(layer)) {
            Arc::make_mut(&mut self.0).retain(|layer, _| keeps(layer));
        }
    }

    /// Whether some layer has a sparsity of its own that is not zero.
    pub(super) fn prune(&self) -> bool {
        self.iter()
            .any(|(_, own)| own.sparsity.is_some_and(|sparsity| sparsity > 0.0))
    }

    /// Whether some layer is rounded to integers with scales of its own.
    pub(super) fn have_scales(&self) -> bool {
        let scaled = |own: Override| matches!(own.weights, Some(Width::Bits(bits)) if bits <= 8);
        self.iter().any(|(_, own)| scaled(own))
    }

    /// Those that do something else than the recipe does anyway.
    pub(super) fn canonical(&self, recipe: &Recipe) -> Self {
        if self.is_empty() {
            return self.clone();
        }
        let pruning = recipe.pruning;
        // With one threshold for all, a layer that is cut on its own is not cut like the others.
        let alone = pruning.pattern == Pattern::TwoOfFour || pruning.scope == Scope::Layer;
        let all = recipe.quantization.width();
        let keep = |(name, own): (&str, Override)| {
            let sparsity = own.sparsity.map(|sparsity| round_to(sparsity, 1e4));
            let own = Override {
                sparsity: sparsity.filter(|&sparsity| {
                    sparsity != pruning.sparsity || (sparsity != 0.0 && !alone)
                }),
                weights: own.weights.filter(|&weights| weights != all),
            };
            (!own.is_none()).then(|| (name.to_owned(), own))
        };
        self.iter()
            .filter_map(keep)
            .collect::<BTreeMap<_, _>>()
            .into()
    }

    /// A text that two share exactly when they do the same.
    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        for (name, own) in self.iter() {
            // Quoted, for a name may hold anything. Writing to a text never fails.
            let _ = write!(key, "l{name:?}");
            if let Some(sparsity) = own.sparsity {
                let _ = write!(key, "p{sparsity}");
            }
            match own.weights {
                Some(Width::Bits(bits)) => _ = write!(key, "w{bits}"),
                Some(Width::Blocks(format)) => _ = write!(key, "b{format}"),
                None => {}
            }
        }
        key
    }

    /// Checks each against what can be done.
    pub(super) fn validate(&self, recipe: &Recipe) -> Result<()> {
        for (name, own) in self.iter() {
            if let Some(Width::Blocks(format)) = own.weights
                && format.is_mix()
            {
                return Err(Error::Recipe(format!(
                    "layer {name}: {format} is a mix for a whole model; one layer takes one format, such as {}",
                    format.base().name()
                )));
            }
            // Overrides of one layer are checked like the recipe of a model that is that layer.
            let alone = recipe.of_layer(name).into_owned();
            alone.validate().map_err(|error| match error {
                Error::Recipe(fact) => Error::Recipe(format!("layer {name}: {fact}")),
                other => other,
            })?;
        }
        Ok(())
    }
}

impl Recipe {
    /// The recipe of one layer: with what the layer has of its own in place of what all have. A sparsity of its own is
    /// reached within the layer.
    pub fn of_layer(&self, layer: &str) -> Cow<'_, Self> {
        let Some(own) = self.layers.get(layer) else {
            return Cow::Borrowed(self);
        };
        let mut recipe = Self {
            layers: Overrides::default(),
            ..self.clone()
        };
        if let Some(sparsity) = own.sparsity {
            recipe.pruning.sparsity = sparsity;
            recipe.pruning.scope = Scope::Layer;
        }
        match own.weights {
            Some(Width::Bits(bits)) => {
                recipe.quantization.weight_bits = bits;
                recipe.quantization.blocks = None;
            }
            Some(Width::Blocks(format)) => {
                // What is rounded to blocks is not rounded to the bits of the others before.
                recipe.quantization.blocks = Some(format);
                recipe.quantization.weight_bits = Quantization::default().weight_bits;
            }
            None => {}
        }
        Cow::Owned(recipe)
    }

    /// Refuses overrides of layers that a model does not have or does not compress. `layers` are the names of its layers,
    /// and whether each is compressed.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the first such layer, and what is called most like it.
    pub fn check_layers<'a>(
        &self,
        layers: &(impl Iterator<Item = (&'a str, bool)> + Clone),
    ) -> Result<()> {
        if self.layers.is_empty() {
            return Ok(());
        }
        let known: BTreeMap<&str, bool> = layers.clone().collect();
        for (name, _) in self.layers.iter() {
            match known.get(name) {
                Some(true) => {}
                Some(false) => {
                    return Err(Error::Recipe(format!(
                        "layer {name} has no weights that are pruned or rounded"
                    )));
                }
                None => {
                    let compressed = layers.clone().filter(|(_, compressed)| *compressed);
                    let near = nearest(name, compressed.map(|(name, _)| name));
                    let near =
                        near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
                    return Err(Error::Recipe(format!(
                        "the model has no layer '{name}'{near}"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The name with the fewest changes of letters from what was written; none where most letters differ.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    names
        .map(|name| (distance(&wanted, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| 2 * distance <= name.chars().count().max(wanted.chars().count()))
        .map(|(_, name)| name)
}

/// Letters to insert, delete or replace (Levenshtein's distance).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut before = i;
        row[0] = i + 1;
        for (j, b) in b.chars().enumerate() {
            let changed = before + usize::from(a != b);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Whether a name fits a pattern, in which `*` stands for any letters.
pub fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let (between, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut left) = name
        .strip_prefix(start)
        .and_then(|left| left.strip_suffix(end))
    else {
        return false;
    };
    // The first place of each part leaves the most room for those after it.
    between.split('*').all(|part| {
        let found = left.split_once(part);
        left = found.map_or(left, |(_, after)| after);
        found.is_some()
    })
}
