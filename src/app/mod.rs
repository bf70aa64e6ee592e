//! The window.

use std::path::PathBuf;

use wattif_core::model::ModelReference;

/// What the window opens on.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// A preset to open; it wins over `model`.
    pub preset: Option<PathBuf>,
    /// A model to open instead of the default one.
    pub model: Option<ModelReference>,
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// Where no window can be opened.
pub fn run(_start: Start) -> anyhow::Result<()> {
    anyhow::bail!("this build has no window")
}
