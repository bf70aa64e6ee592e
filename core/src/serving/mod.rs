//! What serving a published model costs on published hardware: language models, image and video generation, MLPerf
//! systems. Models are known by their shapes alone, constants are fitted to published measurements, and the error on
//! families that were left out of the fit is the stated range.
//!
//! A [`Row`](rows::Row) of a table of measurements becomes a [`Case`](rows::Case) (shapes, device, work), a case
//! becomes a [`Prediction`]. [`validate`] compares, [`calibrate`] fits. The formulas are in METHODS.md.

pub mod architecture;
mod beside;
mod calibrate;
mod catalogue;
mod compressed;
mod config;
pub(crate) mod constants;
mod decode;
mod denoiser;
mod device;
mod diffusion;
pub(crate) mod fit;
mod format;
mod graphs;
mod hosted;
mod layers;
mod listed;
mod llama_cpp;
mod narrow;
mod predict;
mod rates;
mod rows;
mod served;
mod software;
pub(crate) mod statistics;
mod step;
mod system;
pub(crate) mod unread;
pub(crate) mod validate;
#[cfg(test)]
mod written;

pub use beside::{Beside, Part, PartWork, Source, Words};
pub use calibrate::{calibrate, cross_validate};
pub use catalogue::{architecture, architectures};
pub use compressed::{Compressed, Entries, Index};
pub use config::{open as open_config, parse as parse_config};
pub use constants::{Constants, Spread, Spreads};
pub use decode::Serving;
pub use denoiser::{DiffusionTransformer, PassCount, Pipeline, UNet};
pub use device::{Device, DeviceKind, Generation};
pub use diffusion::{BatchEnergy, BatchTime, Generating};
pub use format::{Engine, Era, WeightFormat};
pub(crate) use graphs::{CROSS, POSITIONS, read_tokens};
pub use hosted::Hosted;
pub use layers::{Folding, LayerList, ListedLayer};
pub use listed::Listed;
pub use llama_cpp::GgufFormat;
pub use predict::{Prediction, predict};
pub use rows::{Case, CaseWork, Row, Scope, read};
pub use served::Fit;
pub(crate) use served::{cost as served_cost, covers, fit_of, software};
pub(crate) use statistics::weighted_quantile;
pub use statistics::{Pair, Statistics};
pub use step::{StepEnergy, StepTime, Work};
pub use system::{Arrival, Benchmark};
pub use validate::{
    ComparedFigure, Group, Options, SkippedRow, ValidatedRow, Validation, cases, validate,
};

/// The public measurements that the constants are fitted to, as a table for [`validate`] and [`read`].
pub const PUBLIC_ROWS: &str = include_str!("../../../assets/ground_truth/serving.csv");
