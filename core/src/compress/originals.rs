//! The weights that are compressed: held in memory, or read from their file whenever they are needed.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use rayon::prelude::*;

use super::layout::Matrix;
use super::{Planner, fuse, prune, with_numbers};
use crate::error::{Error, Result};
use crate::model::Tensors;
use crate::run::{MatrixRows, Weights};
use crate::weights::Source;

/// Where a model's tensors are.
#[derive(Debug, Clone)]
pub enum Originals {
    /// In memory, shared.
    Held(Tensors),
    /// In a file, in the format in which it stores them.
    Stored(Arc<dyn Source>),
}

impl From<&Tensors> for Originals {
    fn from(tensors: &Tensors) -> Self {
        Self::Held(tensors.clone())
    }
}

impl From<&Arc<dyn Source>> for Originals {
    fn from(source: &Arc<dyn Source>) -> Self {
        Self::Stored(Arc::clone(source))
    }
}

impl Originals {
    /// Whether all of them are in memory, so that looking at them costs nothing.
    pub(super) const fn are_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }

    /// Whether there is a tensor of this name and shape that can be used as it is.
    ///
    /// # Errors
    /// What it is instead.
    pub(super) fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let (found, dtype) = match self {
            Self::Held(tensors) => {
                let tensor = tensors.get(name).ok_or_else(|| missing(name))?;
                (tensor.dims().to_vec(), tensor.dtype())
            }
            Self::Stored(_) => (self.shape(name)?, DType::F32),
        };
        if found == shape && dtype == DType::F32 {
            return Ok(());
        }
        Err(Error::Compute(format!(
            "tensor {name} is {dtype:?} {found:?}, expected F32 {shape:?}"
        )))
    }

    /// How many numbers of a tensor are not zero.
    ///
    /// # Errors
    /// One is not finite.
    pub(super) fn nonzero(&self, name: &str) -> Result<u64> {
        self.with(name, fuse::check)?
            .ok_or_else(|| not_finite(name))
    }

    /// All tensors of a model; those that are compressed may be left out where they would have to be read.
    pub(super) fn tensors(&self, planner: &Planner) -> Result<Tensors> {
        let others = planner.tensors().iter();
        let others = others.filter(|file| file.compressible.is_none());
        match self {
            Self::Held(tensors) => Ok(tensors.clone()),
            Self::Stored(_) => others
                .map(|file| Ok((file.name.clone(), self.tensor(&file.name)?)))
                .collect(),
        }
    }

    /// Whether this is the very tensor that is held under a name.
    pub(super) fn has(&self, tensor: &Tensor, name: &str) -> bool {
        match self {
            Self::Held(tensors) => tensors
                .get(name)
                .is_some_and(|held| held.id() == tensor.id()),
            Self::Stored(_) => false,
        }
    }

    fn shape(&self, name: &str) -> Result<Vec<usize>> {
        match self {
            Self::Held(tensors) => tensors.get(name).map(|tensor| tensor.dims().to_vec()),
            Self::Stored(source) => source
                .find(name)
                .map(|at| source.tensors()[at].shape.clone()),
        }
        .ok_or_else(|| missing(name))
    }

    /// A tensor in single precision.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it holds a number that is not finite.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor> {
        match self {
            Self::Held(tensors) => tensors.get(name).cloned().ok_or_else(|| missing(name)),
            Self::Stored(_) => Ok(Tensor::from_vec(
                self.numbers(name)?,
                self.shape(name)?,
                &Device::Cpu,
            )?),
        }
    }

    /// The numbers of a tensor, as [`Self::tensor`].
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        match self {
            Self::Held(tensors) => {
                let tensor = tensors.get(name).ok_or_else(|| missing(name))?;
                Ok(tensor.flatten_all()?.to_vec1()?)
            }
            Self::Stored(source) => {
                let at = source.find(name).ok_or_else(|| missing(name))?;
                let info = &source.tensors()[at];
                let mut values = vec![0.0; info.elements()];
                source.decode(at, 0..info.rows(), &mut values)?;
                match fuse::are_finite(&values) {
                    true => Ok(values),
                    false => Err(not_finite(name)),
                }
            }
        }
    }

    /// What a function makes of parts of a tensor that follow each other, on all cores; of one in a file only as many parts
    /// are in memory as there are cores.
    pub(super) fn in_parts<T: Send>(
        &self,
        name: &str,
        matrix: Matrix,
        f: impl Fn(&[f32]) -> T + Sync,
    ) -> Result<Vec<T>> {
        /// Numbers of a part that is read.
        const READ: usize = 1 << 16;
        if self.are_held() {
            return self.with(name, |numbers| {
                numbers.par_chunks(prune::CHUNK).map(&f).collect()
            });
        }
        let rows = self.rows(name)?;
        let each = (READ / matrix.fan_in.max(1)).max(1);
        (0..matrix.rows.div_ceil(each))
            .into_par_iter()
            .map_init(Vec::new, |numbers, part| {
                let range = part * each..matrix.rows.min((part + 1) * each);
                numbers.resize(range.len() * matrix.fan_in, 0.0);
                rows.read(range, numbers)?;
                Ok(f(numbers))
            })
            .collect()
    }

    /// Calls a function with the numbers of a tensor, of one that is held without a copy.
    pub(super) fn with<T>(&self, name: &str, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
        match self {
            Self::Held(tensors) => {
                let tensor = tensors.get(name).ok_or_else(|| missing(name))?;
                with_numbers(tensor, f)
            }
            Self::Stored(_) => Ok(f(&self.numbers(name)?)),
        }
    }
}

fn missing(name: &str) -> Error {
    Error::Compute(format!("tensor {name} is missing"))
}

fn not_finite(name: &str) -> Error {
    Error::Compute(format!("tensor {name} holds a number that is not finite"))
}

/// Rows of a tensor as it is.
pub(super) struct OriginalRows<'a> {
    name: &'a str,
    place: Place<'a>,
    len: usize,
}

enum Place<'a> {
    Held(&'a Tensor),
    Stored(&'a dyn Source, usize),
}

impl Originals {
    /// Rows of a tensor, all dimensions but the first being one row.
    ///
    /// # Errors
    /// There is none of this name.
    pub(super) fn rows<'a>(&'a self, name: &'a str) -> Result<OriginalRows<'a>> {
        let shape = self.shape(name)?;
        let place = match self {
            Self::Held(tensors) => Place::Held(tensors.get(name).ok_or_else(|| missing(name))?),
            Self::Stored(source) => {
                let at = source.find(name).ok_or_else(|| missing(name))?;
                Place::Stored(source.as_ref(), at)
            }
        };
        let len = shape.iter().product();
        Ok(OriginalRows { name, place, len })
    }
}

impl MatrixRows for OriginalRows<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        match self.place {
            Place::Held(tensor) => with_numbers(tensor, |numbers| {
                let width = out.len() / rows.len().max(1);
                out.copy_from_slice(&numbers[rows.start * width..rows.end * width]);
            }),
            Place::Stored(source, at) => {
                source.decode(at, rows, out)?;
                match fuse::are_finite(out) {
                    true => Ok(()),
                    false => Err(not_finite(self.name)),
                }
            }
        }
    }
}

impl Weights for Originals {
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        self.numbers(name)
    }

    fn matrix(&self, name: &str) -> Result<Box<dyn MatrixRows + '_>> {
        // The name that is kept, which lives as long as the weights do.
        let own = match self {
            Self::Held(tensors) => tensors.get_key_value(name).map(|(name, _)| name.as_str()),
            Self::Stored(source) => source
                .find(name)
                .map(|at| source.tensors()[at].name.as_str()),
        };
        Ok(Box::new(self.rows(own.ok_or_else(|| missing(name))?)?))
    }
}
