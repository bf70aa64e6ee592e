//! What a student is compared with: the original in about as few bytes.

use crate::profile::ModelProfile;
use crate::recipe::{Pruning, Quantization, Recipe};

/// Up to so many times a student's bytes count as about as few.
const ABOUT: f64 = 1.05;
/// Widths that are tried, widest first.
const WIDTHS: [u8; 8] = [16, 8, 7, 6, 5, 4, 3, 2];

/// The recipe of the original, not distilled and not pruned, at the most bits with which it takes about as few bytes as the
/// student of a recipe (at most 5 % more); `None` for the original itself, and where even 2 bits take more. `plan` gives the profile of a
/// recipe.
pub fn rival(recipe: &Recipe, plan: impl Fn(&Recipe) -> Option<ModelProfile>) -> Option<Recipe> {
    if recipe.canonical().distillation.ratio >= 1.0 {
        return None;
    }
    let bytes = ABOUT * plan(recipe)?.stored_bytes() as f64;
    let with = |weight_bits| Recipe {
        quantization: Quantization {
            weight_bits,
            blocks: None,
            ..recipe.quantization
        },
        pruning: Pruning::default(),
        ..Recipe::default()
    };
    WIDTHS
        .into_iter()
        .map(with)
        .find(|recipe| plan(recipe).is_some_and(|profile| profile.stored_bytes() as f64 <= bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::measurement::Depth;
    use crate::model::ModelReference;

    #[test]
    fn half_the_language_model_is_compared_with_all_of_it_in_fewer_bits() {
        let reference = ModelReference::Bundled("tiny-gpt".to_owned());
        let engine = Engine::open(&reference).unwrap();
        let mut half = Recipe::default();
        assert_eq!(rival(&half, |r| engine.predict(r).ok()), None);
        half.distillation.ratio = 0.5;
        half.quantization.weight_bits = 8;
        let other = rival(&half, |r| engine.predict(r).ok()).unwrap();
        let bytes = |recipe| engine.predict(recipe).unwrap().stored_bytes();
        let most = ABOUT * bytes(&half) as f64;
        assert!(bytes(&other) as f64 <= most);
        let mut wider = other.clone();
        wider.quantization.weight_bits += 1;
        assert!(bytes(&wider) as f64 > most, "{other:?}");
        // The student that ships is the weaker of the two.
        let quality = |recipe| {
            let measured = engine.measure(recipe, Depth::Coarse, &crate::engine::Unobserved);
            measured.unwrap().quality.value
        };
        assert!(quality(&other) < quality(&half));
    }
}
