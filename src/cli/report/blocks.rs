//! In which blocks of llama.cpp a recipe stores each layer: one line for people, all layers in JSON.

use std::collections::BTreeSet;

use serde::Serialize;
use wattif_core::compress::{LayerFormat, layer_formats};
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::{BlockFormat, Recipe};

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
    let layers = profile.layers.iter().map(|l| &l.layer);
    let mut all = layer_formats(layers, &recipe.canonical());
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

/// How many layers are in which format, and why not in others: "180 in Q5_0 for Q4_K (rows of 576, no multiple of 256), 30 in
/// Q4_K; 5.5 bits per weight".
pub(super) fn summary(
    formats: &[LayerFormat],
    profile: &ModelProfile,
    recipe: &Recipe,
) -> Option<String> {
    let mut kinds: Vec<(&LayerFormat, usize, BTreeSet<u64>)> = Vec::new();
    for layer in formats {
        let same =
            |known: &LayerFormat| known.format == layer.format && known.wanted == layer.wanted;
        match kinds.iter_mut().find(|(known, ..)| same(known)) {
            Some((_, count, rows)) => {
                *count += 1;
                rows.insert(layer.row);
            }
            None => kinds.push((layer, 1, BTreeSet::from([layer.row]))),
        }
    }
    kinds.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    let bits = trimmed(profile.bits_per_weight()?, 3);
    let texts: Vec<String> = (kinds.iter())
        .map(|(layer, count, rows)| match layer.multiple() {
            None => format!("{count} in {}", layer.format.name()),
            Some(multiple) => {
                let rows: Vec<String> = rows.iter().map(u64::to_string).collect();
                format!(
                    "{count} in {} for {} (rows of {}, no multiple of {multiple})",
                    layer.format.name(),
                    layer.wanted.name(),
                    rows.join(", ")
                )
            }
        })
        .collect();
    let merged = profile.layers.iter().any(|l| l.layer.execution.layers > 1);
    let mix = recipe.quantization.blocks.is_some_and(BlockFormat::is_mix);
    let bound = match merged && mix {
        true => ", at least: blocks that the mix gives more are not told apart here",
        false => "",
    };
    (!texts.is_empty()).then(|| {
        format!(
            "of {} layers {}; {bits} bits per weight{bound}",
            formats.len(),
            texts.join(", ")
        )
    })
}
