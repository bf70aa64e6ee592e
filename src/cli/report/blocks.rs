//! In which blocks of llama.cpp a recipe stores each layer: one line for people, all layers in JSON.

use serde::Serialize;
use wattif_core::compress::{LayerFormat, layer_formats};
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;

use crate::format::trimmed;

/// How one layer is stored.
#[derive(Debug, Serialize)]
pub struct BlocksView {
    /// The layer.
    pub layer: String,
    /// Its format.
    pub format: String,
    /// The format that it stands in for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Bytes of its weights.
    pub bytes: u64,
}

/// The layers that a recipe puts into blocks, in their order; published weights of as few bits stay as they are.
pub(super) fn plan(profile: &ModelProfile, recipe: &Recipe) -> Vec<LayerFormat> {
    let Some(format) = recipe.quantization.blocks else {
        return Vec::new();
    };
    let mut all = layer_formats(profile.layers.iter().map(|l| &l.layer), format);
    all.retain(|planned| {
        let layer = profile
            .layers
            .iter()
            .find(|l| l.layer.name == planned.layer);
        layer.is_some_and(|l| Some(l.weight_bits) == planned.format.bits_of_codes().or(Some(16)))
    });
    all
}

impl From<&LayerFormat> for BlocksView {
    fn from(layer: &LayerFormat) -> Self {
        Self {
            layer: layer.layer.clone(),
            format: layer.format.name(),
            instead_of: layer.reason().map(|_| layer.wanted.name()),
            reason: layer.reason(),
            bytes: layer.bytes,
        }
    }
}

/// How many layers are in which format, and why not in others: "180 in Q5_0 for Q4_K, rows of 576 are no multiple of 256; 30
/// in Q4_K".
pub(super) fn summary(views: &[BlocksView], profile: &ModelProfile) -> Option<String> {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for view in views {
        let kind = match (&view.instead_of, &view.reason) {
            (Some(other), Some(reason)) => {
                let rows = reason.trim_start_matches("its ");
                format!("{} for {other}, {rows}", view.format)
            }
            _ => view.format.clone(),
        };
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let bits = profile.bits_per_weight()?;
    let kinds: Vec<String> = (kinds
        .iter()
        .map(|(kind, count)| format!("{count} in {kind}")))
    .collect();
    (!kinds.is_empty()).then(|| {
        format!(
            "of {} layers {}; {} bits per weight",
            views.len(),
            kinds.join("; "),
            trimmed(bits, 3)
        )
    })
}
