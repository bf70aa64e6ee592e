//! A recipe as a sentence.

use wattif_core::recipe::{Group, Pattern, Recipe, Scope};

use crate::format::{percent, trimmed};

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
    match quantization.weight_bits {
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
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_said_in_words() {
        let mut words = Recipe::default();
        assert_eq!(recipe(&words), "nothing is changed");
        words.pruning.sparsity = 0.5;
        words.quantization.weight_bits = 4;
        words.quantization.group = Group::Size(32);
        words.quantization.activation_bits = 8;
        assert_eq!(
            recipe(&words),
            "50 % of the weights zero, the same in each layer; 4-bit weights with a scale per 32 of them; 8-bit activations"
        );
    }
}
