//! What recipes are refused, and which do the same.

use super::*;

fn recipe(change: impl FnOnce(&mut Recipe)) -> Recipe {
    let mut recipe = Recipe::default();
    change(&mut recipe);
    recipe
}

#[test]
fn each_field_out_of_range_is_named() {
    let cases = [
        (
            recipe(|r| r.pruning.sparsity = 1.2),
            "sparsity is 1.2; it must lie between 0 and 0.99",
        ),
        (
            recipe(|r| r.pruning.sparsity = f64::NAN),
            "sparsity is NaN; it must lie between 0 and 0.99",
        ),
        (
            recipe(|r| r.quantization.weight_bits = 9),
            "weight bits are 9; they must be 1 to 8, 16 or 32",
        ),
        (
            recipe(|r| r.quantization.activation_bits = 1),
            "activation bits are 1; they must be 2 to 8, 16 or 32",
        ),
        (
            recipe(|r| r.quantization.group = Group::Size(48)),
            "the group size is 48; it must be a power of two from 8 to 1024",
        ),
        (
            recipe(|r| r.distillation.ratio = 0.01),
            "the distillation ratio is 0.01; it must lie between 0.05 and 1",
        ),
        (
            recipe(|r| r.distillation.temperature = 0.0),
            "the distillation temperature is 0; it must lie between 0.5 and 20",
        ),
    ];
    for (recipe, message) in cases {
        assert_eq!(
            recipe.validate().map_err(|error| error.to_string()),
            Err(message.to_owned())
        );
    }
    assert_eq!(Recipe::default().validate(), Ok(()));
}

#[test]
fn two_of_four_is_half_or_nothing() {
    let mut wrong = recipe(|r| r.pruning.pattern = Pattern::TwoOfFour);
    assert_eq!(wrong.validate(), Ok(()));
    wrong.pruning.sparsity = 0.7;
    assert!(wrong.validate().is_err());
}

#[test]
fn knobs_without_effect_do_not_change_the_key() {
    let idle = recipe(|r| {
        r.pruning.pattern = Pattern::TwoOfFour;
        r.quantization.group = Group::Size(32);
        r.distillation.temperature = 7.0;
        r.seed = 9;
    });
    assert!(idle.is_identity());
    assert_eq!(idle.key(), Recipe::default().key());
    let active = recipe(|r| r.quantization.weight_bits = 4);
    assert_ne!(active.key(), Recipe::default().key());
    let blocks = recipe(|r| r.quantization.blocks = Some(BlockFormat::Q4_K));
    assert!(!blocks.is_identity());
    let mut idle = blocks.clone();
    idle.quantization.weight_bits = 3;
    idle.quantization.group = Group::Size(64);
    assert_eq!(idle.key(), blocks.key());
    assert_eq!(idle.quantization.code_bits(), 4);
    let mut keys: Vec<String> = BlockFormat::ALL
        .map(|format| recipe(|r| r.quantization.blocks = Some(format)).key())
        .to_vec();
    keys.extend([active.key(), Recipe::default().key()]);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), BlockFormat::ALL.len() + 2);
}

fn own(sparsity: Option<f64>, weights: Option<Width>) -> Override {
    Override { sparsity, weights }
}

#[test]
fn what_all_layers_have_is_nothing_of_their_own() {
    let mut all = recipe(|r| {
        r.pruning.sparsity = 0.5;
        r.quantization.weight_bits = 4;
    });
    let key = all.key();
    all.layers.set("head", own(None, Some(Width::Bits(4))));
    assert_eq!(all.key(), key);
    assert!(all.canonical().layers.is_empty());
    // With one threshold for all, half of a layer is not what the layer loses.
    all.layers.set("head", own(Some(0.5), Some(Width::Bits(4))));
    assert_eq!(
        all.canonical().layers.get("head"),
        Some(own(Some(0.5), None))
    );
    all.pruning.scope = Scope::Layer;
    assert!(all.canonical().layers.is_empty());
    all.layers.set("head", Override::NONE);
    assert!(all.layers.is_empty());
    // Knobs of one layer are knobs with an effect.
    let mut one = recipe(|r| {
        r.pruning.pattern = Pattern::TwoOfFour;
        r.quantization.group = Group::Size(32);
    });
    one.layers.set("head", own(Some(0.5), Some(Width::Bits(8))));
    let same = one.canonical();
    assert_eq!(same.pruning.pattern, Pattern::TwoOfFour);
    assert_eq!(same.quantization.group, Group::Size(32));
    assert_eq!(same, same.canonical());
    assert!(!one.is_identity());
    assert_ne!(one.key(), Recipe::default().key());
}

#[test]
fn a_layer_of_its_own_is_checked_like_a_recipe() {
    let cases = [
        (
            own(Some(1.2), None),
            "layer head: sparsity is 1.2; it must lie between 0 and 0.99",
        ),
        (
            own(None, Some(Width::Bits(9))),
            "layer head: weight bits are 9; they must be 1 to 8, 16 or 32",
        ),
        (
            own(None, Some(Width::Blocks(BlockFormat::Q4_K_M))),
            "layer head: Q4_K_M is a mix for a whole model; one layer takes one format, such as Q4_K",
        ),
    ];
    for (own, message) in cases {
        let mut wrong = Recipe::default();
        wrong.layers.set("head", own);
        let said = wrong.validate().map_err(|error| error.to_string());
        assert_eq!(said, Err(message.to_owned()));
    }
    let mut halves = recipe(|r| r.pruning.pattern = Pattern::TwoOfFour);
    halves.layers.set("head", own(Some(0.3), None));
    assert!(halves.validate().is_err());
    halves.layers.set("head", own(Some(0.5), None));
    assert_eq!(halves.validate(), Ok(()));
}

#[test]
fn an_unknown_layer_suggests_the_nearest() {
    let layers = [("conv1", true), ("norm", false), ("head", true)];
    let said = |name: &str| {
        let mut recipe = Recipe::default();
        recipe.layers.set(name, own(Some(0.5), None));
        let checked = recipe.check_layers(layers.into_iter());
        checked.map_err(|error| error.to_string())
    };
    assert_eq!(said("conv1"), Ok(()));
    let error = |text: &str| Err(text.to_owned());
    assert_eq!(
        said("hed"),
        error("the model has no layer 'hed'; did you mean head?")
    );
    assert_eq!(said("xyzzy"), error("the model has no layer 'xyzzy'"));
    assert_eq!(
        said("norm"),
        error("layer norm has no weights that are pruned or rounded")
    );
}

#[test]
fn a_star_stands_for_any_letters() {
    for (pattern, name, expected) in [
        ("head", "head", true),
        ("head", "heads", false),
        ("*", "head", true),
        ("blocks.*.attn.*", "blocks.11.attn.proj", true),
        ("blocks.*.attn.*", "blocks.11.mlp.proj", false),
        ("*a*a*", "banana", true),
        ("*a*a*a*a*", "banana", false),
        ("ab*ba", "aba", false),
        ("*.fc", "", false),
    ] {
        assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn recipes_of_before_are_read_and_words_that_mean_nothing_are_not() {
    let read = |text: &str| ron::from_str::<Recipe>(text);
    assert_eq!(read("()").unwrap(), Recipe::default());
    let with = read("(layers: {\"head\": (weights: Some(Bits(8)), sparsity: Some(0.5))})").unwrap();
    let wanted = own(Some(0.5), Some(Width::Bits(8)));
    assert_eq!(with.layers.get("head"), Some(wanted));
    assert!(read("(layers: {\"head\": (bits: Some(8))})").is_err());
    for recipe in [Recipe::default(), with] {
        let text = ron::to_string(&recipe).unwrap();
        assert_eq!(text.contains("layers"), !recipe.layers.is_empty());
        assert_eq!(read(&text).unwrap(), recipe);
        let json = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    }
}
