//! Running networks that are none of this program's own, by another library, in a process of its own with a limited memory:
//! what aborts there, hangs or takes all memory is an error here, and the window lives.

mod local;
mod process;
mod protocol;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::{Error, Result};
pub use process::{ARGUMENT, serve};

/// Name of the library that runs such networks, with its version.
pub const LIBRARY: &str = "rten 0.27";

/// Numbers of a value that goes in or comes out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Numbers {
    /// Single precision; narrower and wider floating-point numbers become such.
    Float(Vec<f32>),
    /// Whole numbers and truth values.
    Int(Vec<i32>),
    /// Whole numbers of 8 bits.
    Signed(Vec<i8>),
    /// The same without a sign.
    Byte(Vec<u8>),
}

/// A value by its name and shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Numbers,
}

/// A network without its weights, and these: the bytes of the external files that it names, by [`crate::formats::buffer_name`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    pub(crate) graph: Arc<[u8]>,
    pub(crate) buffers: Vec<Arc<[u8]>>,
    /// Whether nodes may be put together; the results must be the same.
    pub(crate) optimised: bool,
}

/// Runs a network.
pub(crate) trait Runner: Send {
    /// Takes a network, in the place of the one before.
    ///
    /// # Errors
    /// What of it cannot be run, by node and operator, or why nothing can be.
    fn load(&mut self, network: &Network) -> Result<()>;

    /// Takes other weights for some buffers of the network.
    ///
    /// # Errors
    /// As [`Self::load`].
    fn replace(&mut self, new: Vec<(usize, Vec<u8>)>) -> Result<()>;

    /// Its outputs, by their names, for inputs.
    ///
    /// # Errors
    /// A node cannot compute what it is given; the process stopped, or took too long.
    fn run(&mut self, inputs: &[Array], outputs: &[String]) -> Result<Vec<Array>>;
}

/// Limits of the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of memory, where the system can limit it.
    pub(crate) memory: u64,
    /// The longest that a single answer may take.
    pub(crate) time: Duration,
}

/// The program that runs networks when it is started with [`ARGUMENT`].
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says which program runs networks of others when it is started with [`ARGUMENT`] and calls [`serve`]. Where none is
/// said they run within this process, as in tests.
pub fn set_program(path: PathBuf) {
    let _ = PROGRAM.set(path);
}

/// A runner.
///
/// # Errors
/// Its process cannot be started.
pub(crate) fn start(limits: Limits) -> Result<Box<dyn Runner>> {
    Ok(match PROGRAM.get() {
        Some(program) => Box::new(process::Process::new(program.clone(), limits)),
        None => Box::new(local::Within::start()?),
    })
}

fn failed(fact: impl Into<String>) -> Error {
    Error::Compute(fact.into())
}

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Float(numbers) => numbers.len(),
            Self::Int(numbers) => numbers.len(),
            Self::Signed(numbers) => numbers.len(),
            Self::Byte(numbers) => numbers.len(),
        }
    }

    /// All of them as floating-point numbers.
    pub(crate) fn floats(&self) -> Vec<f32> {
        match self {
            Self::Float(numbers) => numbers.clone(),
            Self::Int(numbers) => numbers.iter().map(|n| *n as f32).collect(),
            Self::Signed(numbers) => numbers.iter().map(|n| f32::from(*n)).collect(),
            Self::Byte(numbers) => numbers.iter().map(|n| f32::from(*n)).collect(),
        }
    }
}
