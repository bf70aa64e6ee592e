//! Where the layers of a model are cut: those that share a threshold together, those with a sparsity of their own alone.

use super::prune::{self, Cut, Histogram};
use super::{Compressor, Originals, Weights, plan};
use crate::error::{Error, Result};
use crate::recipe::{Pattern, Recipe, Scope};

/// The cuts of a recipe, and what it asked for.
#[derive(Debug)]
pub(super) struct Cuts {
    wanted: Wanted,
    cuts: Vec<Cut>,
}

/// What a recipe wants of the compressible layers, in order.
#[derive(Debug, PartialEq)]
struct Wanted {
    /// The sparsity of layers that are cut together.
    common: f64,
    /// The sparsity of each layer that is cut alone.
    alone: Vec<Option<f64>>,
}

impl Wanted {
    /// Whether a layer loses weights.
    fn cuts(&self, layer: usize) -> bool {
        self.alone[layer].unwrap_or(self.common) > 0.0
    }

    /// Whether the same layers are cut together to the same sparsity.
    fn has_common_of(&self, other: &Self) -> bool {
        let together = |own: &Self| own.alone.iter().map(Option::is_none).collect::<Vec<_>>();
        self.common == other.common && together(self) == together(other)
    }
}

impl Compressor {
    /// The cuts of each compressible layer, in order; empty where magnitudes are not compared. What was found for the
    /// recipe before stands, where it asked for the same.
    pub(super) fn cuts(
        &mut self,
        recipe: &Recipe,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Cut>> {
        let pruning = recipe.pruning;
        let each = (pruning.scope == Scope::Layer).then_some(pruning.sparsity);
        let own = |layer: &usize| {
            let own = recipe.layers.get(&self.planner.layers()[*layer].name);
            own.and_then(|own| own.sparsity).or(each)
        };
        let wanted = Wanted {
            common: pruning.sparsity,
            alone: self.weights.keys().map(own).collect(),
        };
        let layers = 0..wanted.alone.len();
        if pruning.pattern == Pattern::TwoOfFour || !layers.clone().any(|i| wanted.cuts(i)) {
            return Ok(Vec::new());
        }
        self.count_magnitudes(&wanted, cancelled)?;
        let all: Vec<&Weights> = self.weights.values().collect();
        let mut cuts = vec![Cut::NONE; all.len()];
        let last = self.cuts.as_ref();
        let together: Vec<usize> = layers
            .clone()
            .filter(|&i| wanted.alone[i].is_none())
            .collect();
        match last.filter(|last| last.wanted.has_common_of(&wanted)) {
            Some(last) => together.iter().for_each(|&i| cuts[i] = last.cuts[i]),
            None if wanted.common > 0.0 => {
                let group: Vec<&Weights> = together.iter().map(|&i| all[i]).collect();
                let n = group.iter().map(|w| w.matrix.len() as u64).sum();
                let zeros = plan::fraction(wanted.common, n);
                let found = cuts_of(&self.originals, &group, zeros, cancelled)?;
                together
                    .iter()
                    .zip(found)
                    .for_each(|(&i, cut)| cuts[i] = cut);
            }
            None => {}
        }
        for i in layers.filter(|&i| wanted.cuts(i)) {
            let Some(sparsity) = wanted.alone[i] else {
                continue;
            };
            if cancelled() {
                return Err(Error::Cancelled);
            }
            if let Some(last) = last
                && last.wanted.alone[i] == Some(sparsity)
            {
                cuts[i] = last.cuts[i];
                continue;
            }
            let zeros = plan::fraction(sparsity, all[i].matrix.len() as u64);
            if let [cut] = cuts_of(&self.originals, &[all[i]], zeros, cancelled)?[..] {
                cuts[i] = cut;
            }
        }
        self.cuts = Some(Cuts {
            wanted,
            cuts: cuts.clone(),
        });
        Ok(cuts)
    }

    /// Makes the histograms that are missing of layers that lose weights.
    fn count_magnitudes(&mut self, wanted: &Wanted, cancelled: &dyn Fn() -> bool) -> Result<()> {
        for (i, weights) in self.weights.values_mut().enumerate() {
            if weights.histogram.is_none() && wanted.cuts(i) {
                if cancelled() {
                    return Err(Error::Cancelled);
                }
                let name = weights.name.clone();
                self.originals
                    .with(&name, |numbers| weights.count(numbers))?;
            }
        }
        Ok(())
    }
}

/// The cuts that take the smallest weights of these layers.
fn cuts_of(
    originals: &Originals,
    layers: &[&Weights],
    zeros: u64,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Cut>> {
    let histograms: Vec<&Histogram> = layers
        .iter()
        .filter_map(|weights| weights.histogram.as_ref())
        .collect();
    let together = CutTogether {
        originals,
        layers,
        cancelled,
    };
    prune::cuts(&histograms, zeros, &together)
}

/// Layers that are cut together.
struct CutTogether<'a> {
    originals: &'a Originals,
    layers: &'a [&'a Weights],
    /// Asked before each is searched.
    cancelled: &'a dyn Fn() -> bool,
}

impl prune::Layers for CutTogether<'_> {
    fn show(&self, layer: usize, look: &mut dyn FnMut(&[f32])) -> Result<()> {
        self.originals.with(&self.layers[layer].name, look)
    }

    fn search(
        &self,
        layer: usize,
        look: &(dyn Fn(&[f32]) -> Vec<u16> + Sync),
    ) -> Result<Vec<Vec<u16>>> {
        if (self.cancelled)() {
            return Err(Error::Cancelled);
        }
        let Weights { name, matrix, .. } = self.layers[layer];
        self.originals.in_parts(name, *matrix, look)
    }
}
