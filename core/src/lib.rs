//! The engine of WattIf: it recompresses a model, measures what is left of its quality, and turns that measurement
//! into time, energy and CO2e on hardware that need not be present.
//!
//! One path runs through the crate. A [`recipe::Recipe`] (how to compress) applied to a [`model::Model`] gives a
//! [`measurement::Measurement`] (what is left); with a [`scenario::Scenario`] (where and how it runs) that gives a
//! [`footprint::Footprint`] (what it costs). Only the first step needs the weights: everything after it is arithmetic.
//!
//! The crate prints nothing and knows nothing of the window.

pub mod benchmark;
pub mod carbon;
pub mod compress;
pub mod data;
pub mod digits;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod files;
pub mod folders;
pub mod footprint;
pub mod formats;
pub mod graph;
pub mod hardware;
pub mod measurement;
pub mod model;
pub mod named;
pub mod number;
pub mod outline;
mod places;
pub mod power;
pub mod preset;
pub mod profile;
pub mod recipe;
pub mod run;
pub mod runner;
pub mod scenario;
pub mod serving;
pub mod software;
pub mod spread;
pub mod storage;
pub mod students;
pub mod tables;
pub mod text;
pub mod tokenizer;
pub mod training;
mod unique;
pub mod units;
pub mod water;
pub mod weights;
pub mod worker;

pub use error::{Error, Result};

/// Version of the formulas in METHODS.md. It changes whenever the same inputs would give other numbers.
pub const METHOD_VERSION: u32 = 8;

#[cfg(test)]
mod tests {
    #[test]
    fn the_methods_are_of_the_version_of_the_code() {
        let methods = include_str!("../../METHODS.md");
        let stated = format!("Version {} of the formulas", crate::METHOD_VERSION);
        assert!(
            methods.contains(&stated),
            "METHODS.md does not say: {stated}"
        );
    }
}
