//! Quality of a model on held-out data: accuracy or bits per byte with its interval, always paired with the original on
//! the same samples.
//!
//! A measurement is a sequence of short steps ([`Accumulator::step`]) through an [`EvaluationSet`] whose order is random
//! but fixed, so that it can be read, shown or dropped after any of them. [`Baseline`] holds the original's answers.

mod accumulator;
mod baseline;
mod denoised;
mod frechet;
mod generated;
mod parts;
mod pictures;
mod sentences;
mod set;
mod spiking;
pub mod statistics;
mod text;

pub use accumulator::Accumulator;
pub(crate) use baseline::{Answers, Written, written};
pub use baseline::{Baseline, DIVERGENCE_PREDICTIONS};
pub(crate) use generated::MOST_OWN;
pub use generated::{COARSE_INPUTS, EQUAL, GeneratedSet, INPUTS};
pub(crate) use generated::{Fidelity, Outputs};
pub(crate) use parts::Original;
pub use pictures::PictureSet;
pub use sentences::SentenceSet;
pub(crate) use set::wanted;
pub use set::{
    COARSE_CONTEXTS, COARSE_IMAGES, COARSE_PICTURES, COARSE_SENTENCES, EvaluationSet, ImageSet,
    STRETCHES, TextSet,
};
pub(crate) use spiking::run_spiking;
pub(crate) use text::{Choice, Task, go_on, readable};
