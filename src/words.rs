//! Sentences that the window and the command line share.

use wattif_core::measurement::Measurement;
use wattif_core::recipe::{Group, Override, Pattern, Recipe, Scope, Width};

use crate::format::{bytes, percent, quality, trimmed};

/// How the original in as few bytes compares with a student: "The original at 4 bits takes 271 kB and has 2.01 bits per
/// byte: better than this student, which has 2.35 in 300 kB".
pub(crate) fn rival(student: &Measurement, rival: &Measurement) -> String {
    let (own, other) = (&student.quality, &rival.quality);
    let apart = own.change.low > other.change.high || other.change.low > own.change.high;
    let higher = other.change.value > own.change.value;
    let verdict = match apart {
        false => "about as good as",
        true if higher == own.metric.higher_is_better() => "better than",
        true => "worse than",
    };
    format!(
        "The original at {} bits takes {} and has {}: {verdict} this student, which takes {} and has {}",
        rival.recipe.quantization.weight_bits,
        bytes(rival.profile.stored_bytes() as f64),
        quality(other.metric, other.value),
        bytes(student.profile.stored_bytes() as f64),
        quality(own.metric, own.value),
    )
}

/// A recipe in words.
pub(crate) fn recipe(recipe: &Recipe) -> String {
    if recipe.is_identity() {
        return "nothing is changed".to_owned();
    }
    let mut parts = Vec::new();
    if recipe.distillation.ratio < 1.0 {
        parts.push(format!(
            "distilled to {} (temperature {}, seed {})",
            percent(recipe.distillation.ratio, 0),
            recipe.distillation.temperature,
            recipe.seed
        ));
    }
    let pruning = &recipe.pruning;
    if pruning.sparsity > 0.0 {
        parts.push(match pruning.pattern {
            Pattern::TwoOfFour => "two of every four weights zero".to_owned(),
            Pattern::Unstructured => format!(
                "{} % of the weights zero, {}",
                trimmed(pruning.sparsity * 100.0, 4),
                match pruning.scope {
                    Scope::Layer => "the same in each layer",
                    Scope::Global => "one threshold for all layers",
                }
            ),
        });
    }
    let quantization = &recipe.quantization;
    if let Some(format) = quantization.blocks {
        parts.push(format!("weights in blocks of llama.cpp, {format}"));
    }
    match quantization.weight_bits {
        _ if quantization.blocks.is_some() => {}
        32 => {}
        16 => parts.push("16-bit weights".to_owned()),
        bits => parts.push(format!(
            "{bits}-bit weights with a scale per {}",
            match quantization.group {
                Group::Channel => "channel".to_owned(),
                Group::Size(size) => format!("{size} of them"),
            }
        )),
    }
    if quantization.activation_bits < 32 {
        parts.push(format!("{}-bit activations", quantization.activation_bits));
    }
    parts.extend(own_layers(&recipe.canonical()));
    parts.join("; ")
}

/// Layers that are named before only their number is said.
const NAMED: usize = 3;

/// What single layers have of their own in a canonical recipe: "8-bit weights in head", "half precision in 12 layers".
pub(crate) fn own_layers(recipe: &Recipe) -> Vec<String> {
    let mut kinds: Vec<(Override, Vec<&str>)> = Vec::new();
    for (name, own) in recipe.layers.iter() {
        match kinds.iter_mut().find(|(known, _)| *known == own) {
            Some((_, names)) => names.push(name),
            None => kinds.push((own, vec![name])),
        }
    }
    if kinds.len() > NAMED {
        return vec![format!(
            "bits or zeros of their own in {} layers",
            recipe.layers.len()
        )];
    }
    let text = |(own, names): (Override, Vec<&str>)| {
        let layers = match names.len() {
            n if n > NAMED => format!("{n} layers"),
            _ => names.join(", "),
        };
        format!("{} in {layers}", own_layer(own))
    };
    kinds.into_iter().map(text).collect()
}

/// What one layer has of its own: "50 % zeros and 8-bit weights".
pub(crate) fn own_layer(own: Override) -> String {
    let zeros = own.sparsity.map(|sparsity| match sparsity {
        0.0 => "no pruning".to_owned(),
        sparsity => format!("{} % zeros", trimmed(sparsity * 100.0, 4)),
    });
    let weights = own.weights.map(|width| match width {
        Width::Bits(32) => "weights as they are".to_owned(),
        Width::Bits(bits) => format!("{bits}-bit weights"),
        Width::Blocks(format) => format!("{format} weights"),
    });
    let parts: Vec<String> = zeros.into_iter().chain(weights).collect();
    parts.join(" and ")
}

#[cfg(test)]
mod tests {
    use wattif_core::recipe::BlockFormat;

    use super::*;

    #[test]
    fn a_recipe_is_said_in_words() {
        let mut blocks = Recipe::default();
        blocks.quantization.blocks = Some(BlockFormat::Q4_K_M);
        assert_eq!(recipe(&blocks), "weights in blocks of llama.cpp, Q4_K_M");
        let mut own = Recipe::default();
        let eight = |sparsity| Override {
            sparsity,
            weights: Some(Width::Bits(8)),
        };
        own.layers.set("head", eight(None));
        own.layers.set("conv1", eight(Some(0.5)));
        assert_eq!(
            recipe(&own),
            "50 % zeros and 8-bit weights in conv1; 8-bit weights in head"
        );
        for i in 0..4 {
            own.layers.set(&format!("mlp{i}"), eight(None));
        }
        assert_eq!(
            recipe(&own),
            "50 % zeros and 8-bit weights in conv1; 8-bit weights in 5 layers"
        );
        let mut words = Recipe::default();
        assert_eq!(recipe(&words), "nothing is changed");
        words.pruning.sparsity = 0.5;
        words.quantization.weight_bits = 4;
        words.quantization.group = Group::Size(32);
        words.quantization.activation_bits = 8;
        assert_eq!(
            recipe(&words),
            "50 % of the weights zero, one threshold for all layers; 4-bit weights with a scale per 32 of them; 8-bit activations"
        );
    }
}
