//! Weights that are compressed when a network asks for them, one tensor at a time, so that a model that is run part by
//! part is never in memory as a whole.

mod look;
mod looks;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

pub use self::look::{Grid, LayerError, LayerLook};
pub(crate) use self::looks::Looking;
pub use self::looks::Looks;
use super::blocks::Choice;
use super::layout::Kept;
use super::originals::OriginalRows;
use super::prune::Cut;
use super::{Compressor, Prune, blocks, fuse, pruning_of, quantize};

use crate::error::{Error, Result};
use crate::profile::ModelProfile;
use crate::recipe::Recipe;
use crate::run::{MatrixRows, Weights};
use crate::weights::{self, BlockTensor, StoredFormat};

/// A recipe's weights, made when they are asked for; the same numbers as [`Compressor::compress`] gives.
#[derive(Debug)]
pub(crate) struct OnDemand<'a> {
    compressor: &'a Compressor,
    recipe: Recipe,
    /// The layer, and its place among those that are compressed, by the name of its weights.
    layers: HashMap<&'a str, (usize, usize)>,
    cuts: Vec<Cut>,
    /// By layer, the blocks that the recipe asks for.
    formats: Vec<Option<Choice>>,
    /// What is left of each layer that was asked for.
    kept: Mutex<Vec<Option<Kept>>>,
    /// Rows that were rounded to blocks, which takes long, by layer, first row and numbers.
    coded: Mutex<HashMap<(usize, usize, usize), Coded>>,
}

/// Rows as blocks, and what is left of them.
#[derive(Debug, Clone)]
struct Coded {
    bytes: Arc<[u8]>,
    kept: Kept,
}

/// Bytes of blocks that are kept to be decoded when their rows are asked for again.
const MOST_CODED: usize = 1 << 28;

impl Compressor {
    /// Makes ready to compress weights when they are asked for. `cancelled` is asked between layers.
    ///
    /// # Errors
    /// [`Error::Recipe`] for an invalid recipe, [`Error::Cancelled`] when asked to stop, or weights cannot be read.
    pub(crate) fn on_demand(
        &mut self,
        recipe: &Recipe,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<OnDemand<'_>> {
        recipe.validate()?;
        let recipe = recipe.canonical();
        let cuts = self.cuts(&recipe, cancelled)?;
        let layers = self.weights.iter().enumerate();
        Ok(OnDemand {
            formats: self.planner.formats(&recipe),
            recipe,
            layers: layers
                .map(|(place, (&layer, weights))| (weights.name.as_str(), (layer, place)))
                .collect(),
            cuts,
            kept: Mutex::new(vec![None; self.planner.layers().len()]),
            coded: Mutex::default(),
            compressor: self,
        })
    }
}

impl OnDemand<'_> {
    /// The profile, once all weights were asked for.
    ///
    /// # Errors
    /// [`Error::Compute`] if some were not.
    pub(crate) fn profile(&self) -> Result<ModelProfile> {
        let planner = &self.compressor.planner;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: Option<Vec<Kept>> = planner
            .layers()
            .iter()
            .zip(kept.iter())
            .map(|(layer, kept)| {
                let untouched = Kept {
                    nonzero: layer.weights(),
                    scales: 0,
                };
                if layer.compressible {
                    *kept
                } else {
                    Some(untouched)
                }
            })
            .collect();
        let kept =
            kept.ok_or_else(|| Error::Compute("not all weights were compressed".to_owned()))?;
        Ok(planner.profile(&self.recipe, &kept))
    }
}

impl OnDemand<'_> {
    /// Whether the recipe changes a tensor.
    pub(crate) fn changes(&self, name: &str) -> bool {
        let work = self.work(name);
        work.is_some_and(|(_, work)| work.job.is_some() || work.blocks.is_some())
    }

    /// Asks for all of a tensor as a network does: for a matrix a few rows at a time, each of which is laid out.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn lay_out(&self, name: &str, shape: &[usize]) -> Result<()> {
        match shape {
            [rows, width] => crate::run::lay_out(self.matrix(name)?.as_ref(), (*rows, *width)),
            _ => self.numbers(name).map(drop),
        }
    }
}

/// What is done to a layer.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// Pruning and rounding to integers or half precision.
    job: Option<fuse::Job>,
    /// The blocks that the result is rounded to.
    blocks: Option<StoredFormat>,
}

impl Work {
    /// Does it to some whole rows, from row `first` on; `room` is room for a copy of them.
    fn run(
        &self,
        first: usize,
        rows: &mut [f32],
        room: &mut Vec<f32>,
    ) -> Result<(Kept, Option<BlockTensor>)> {
        let mut kept = match self.job {
            Some(job) => job.run_rows(first, rows, room),
            None => Kept {
                nonzero: quantize::count_nonzero(rows),
                scales: 0,
            },
        };
        let mut coded = None;
        if let Some(format) = self.blocks {
            let (nonzero, rounded) = blocks::round_numbers(rows, format)?;
            kept.nonzero = nonzero;
            coded = Some(rounded);
        }
        Ok((kept, coded))
    }
}

impl OnDemand<'_> {
    /// The layer that a tensor is the weights of, and what is done to them; `None` where no recipe touches it.
    fn work(&self, name: &str) -> Option<(usize, Work)> {
        let &(layer, place) = self.layers.get(name)?;
        let weights = self.compressor.weights.get(&layer)?;
        let recipe = self.compressor.planner.recipe_of(&self.recipe, layer);
        let prune = pruning_of(&recipe, self.cuts.get(place).copied());
        let bits = self.compressor.planner.bits_of(&self.recipe, layer);
        let changed = !matches!(prune, Prune::None) || bits != 32;
        let job = changed.then(|| fuse::Job {
            matrix: weights.matrix,
            prune,
            bits,
            group: weights.matrix.group(recipe.quantization.group),
        });
        let choice = self.formats.get(layer).copied().flatten();
        let blocks = choice.map(|choice| choice.format);
        Some((layer, Work { job, blocks }))
    }

    /// Rows that were rounded to blocks before.
    fn coded(&self, key: &(usize, usize, usize)) -> Option<Coded> {
        let coded = self.coded.lock().unwrap_or_else(PoisonError::into_inner);
        coded.get(key).cloned()
    }

    /// Keeps rounded rows, while there is room.
    fn keep(&self, key: (usize, usize, usize), rounded: BlockTensor, kept: Kept) {
        let mut coded = self.coded.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = coded.values().map(|coded| coded.bytes.len()).sum();
        if all + rounded.bytes.len() <= MOST_CODED {
            let bytes = rounded.bytes.into();
            coded.insert(key, Coded { bytes, kept });
        }
    }

    /// More rows of a layer were asked for.
    fn add(&self, layer: usize, new: Kept) {
        self.note(layer, |kept| {
            [kept.unwrap_or_default(), new].into_iter().sum()
        });
    }

    fn note(&self, layer: usize, change: impl FnOnce(Option<Kept>) -> Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get_mut(layer) {
            *known = Some(change(*known));
        }
    }
}

impl Weights for OnDemand<'_> {
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        let mut numbers = self.compressor.originals.numbers(name)?;
        if let Some((layer, work)) = self.work(name) {
            let (kept, _) = work.run(0, &mut numbers, &mut Vec::new())?;
            self.note(layer, |_| kept);
        }
        Ok(numbers)
    }

    fn matrix(&self, name: &str) -> Result<Box<dyn MatrixRows + '_>> {
        let Some((&name, _)) = self.layers.get_key_value(name) else {
            return self.compressor.originals.matrix(name);
        };
        let work = self.work(name);
        if let Some((layer, _)) = work {
            // Counted anew, row by row.
            self.note(layer, |_| Kept::default());
        }
        Ok(Box::new(LayerRows {
            all: self,
            original: self.compressor.originals.rows(name)?,
            work,
        }))
    }
}

/// Rows of a layer's weights, compressed.
struct LayerRows<'a> {
    all: &'a OnDemand<'a>,
    original: OriginalRows<'a>,
    work: Option<(usize, Work)>,
}

impl MatrixRows for LayerRows<'_> {
    fn len(&self) -> usize {
        self.original.len()
    }

    fn read(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        thread_local! {
            static ORIGINAL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
        }
        let first = rows.start;
        let coded = self
            .work
            .and_then(|(layer, work)| Some((work.blocks?, layer, (layer, first, out.len()))));
        if let Some((format, layer, key)) = coded
            && let Some(coded) = self.all.coded(&key)
        {
            weights::decode(format, &coded.bytes, out).map_err(Error::Compute)?;
            self.all.add(layer, coded.kept);
            return Ok(());
        }
        self.original.read(rows, out)?;
        if let Some((layer, work)) = self.work {
            // Taken, for rounding to blocks may run another part of the work on this thread meanwhile.
            let mut room = ORIGINAL.take();
            let (new, rounded) = work.run(first, out, &mut room)?;
            ORIGINAL.set(room);
            if let (Some((_, _, key)), Some(rounded)) = (coded, rounded) {
                self.all.keep(key, rounded, new);
            }
            self.all.add(layer, new);
        }
        Ok(())
    }
}
