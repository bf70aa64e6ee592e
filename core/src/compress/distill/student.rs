//! [`Student`]: a trained smaller network and how it came to be.

use serde::{Deserialize, Serialize};

use crate::model::{Architecture, Tensors};

/// How a student came to be; kept as JSON in the metadata of its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudentRecord {
    /// SHA-256 of the teacher's weights, as [`crate::model::tensors_hash`] gives it.
    pub teacher: String,
    /// Student parameters / teacher parameters that was asked for.
    pub ratio: f64,
    /// Softening temperature.
    pub temperature: f64,
    /// Seed of initialisation and batch order.
    pub seed: u64,
    /// How the network differs from its teacher: "narrower: 16-32 → 8-16 channels".
    pub description: String,
    /// Weight updates.
    pub steps: u64,
    /// Multiply-accumulates spent, teacher and student, forward and backward.
    pub macs: f64,
    /// Wall-clock time of the training in seconds, on the machine that did it.
    pub seconds: f64,
    /// What it was trained on: "60,000 Fashion-MNIST training images".
    pub data: String,
    /// Cores of the machine that did it; absent for students that came with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
}

impl StudentRecord {
    /// Key under which the record stands as JSON in the metadata of a safetensors file.
    pub const METADATA_KEY: &'static str = "wattif.student";
}

/// A finished student: its network, and how it came to be.
#[derive(Debug, Clone)]
pub struct Student {
    /// Shapes of the network.
    pub architecture: Architecture,
    /// Its weights.
    pub tensors: Tensors,
    /// How it came to be.
    pub record: StudentRecord,
}
