//! The page of weights, driven by accessible names: layers in a table, and what one of them has of its own.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use scripted::{Setup, Window, decibels};
use wattif::app::{Command, Page};
use wattif_core::compress::plan;
use wattif_core::model::{Architecture, CnnConfig};
use wattif_core::recipe::{Override, Recipe, Width};

/// The window with all weights at 4 bits, on the page.
fn open() -> Window {
    let mut window = Setup::default().open();
    window.slider("Weight bits", 3.0);
    let page = Command::Show(Page::Weights).shortcut().unwrap();
    window.press(page.modifiers, page.logical_key);
    assert_eq!(window.app().session().settings.page, Page::Weights);
    window.rest();
    window
}

impl Window {
    fn recipe(&self) -> Recipe {
        self.app().session().configuration.recipe.clone()
    }

    /// What is said of each layer, from the first to the last.
    fn layers(&self) -> Vec<String> {
        let is_layer = |words: &String| words.contains(" parameters, ") && words.contains(": ");
        self.words().into_iter().filter(is_layer).collect()
    }

    fn names(&self) -> Vec<String> {
        let name = |words: String| words.split(':').next().unwrap().to_owned();
        self.layers().into_iter().map(name).collect()
    }

    fn choose(&mut self, layer: &str) {
        let begin = format!("{layer}: ");
        self.harness
            .get_by(|node| {
                node.role() == Role::Button
                    && node.label().is_some_and(|label| label.starts_with(&begin))
            })
            .click_accesskit();
        self.harness.run();
    }
}

fn layers() -> Vec<wattif_core::profile::Layer> {
    Architecture::Cnn(CnnConfig::fashion()).layers()
}

#[test]
fn every_layer_is_listed_with_the_engine_s_numbers() {
    let window = open();
    let all = layers();
    let names: Vec<String> = all.iter().map(|layer| layer.name.clone()).collect();
    assert_eq!(window.names(), names);
    let recipe = window.recipe();
    let profile = plan(
        "",
        Architecture::Cnn(CnnConfig::fashion()).unit(),
        &all,
        &recipe,
    );
    for (words, layer) in window.layers().iter().zip(&profile.layers) {
        if !layer.layer.compressible {
            continue;
        }
        let bits = layer.weight_bits;
        assert!(words.contains(&format!("{bits} bits")), "{words}");
        let error = format!("error {:.1} dB", decibels(bits));
        assert!(words.contains(&error), "{words}");
    }
}

#[test]
fn columns_sort_and_words_filter() {
    let mut window = open();
    window.click("Sort by parameters");
    let most = layers()
        .into_iter()
        .max_by_key(|l| l.weights() + l.other_parameters);
    assert_eq!(
        window.names().first(),
        most.map(|layer| layer.name).as_ref()
    );
    window.click("Sort by parameters");
    let last = window.names().last().cloned();
    let most = layers()
        .into_iter()
        .max_by_key(|l| l.weights() + l.other_parameters);
    assert_eq!(last, most.map(|layer| layer.name));
    window
        .harness
        .get_by_role_and_label(Role::TextInput, "Find")
        .set_text_value_accesskit("convolution");
    window.harness.run();
    assert!(!window.layers().is_empty());
    assert!(
        window
            .layers()
            .iter()
            .all(|words| words.contains("convolution"))
    );
}

#[test]
fn a_layer_is_given_bits_and_zeros_of_its_own_and_they_are_taken_back() {
    let mut window = open();
    let layer = layers()
        .into_iter()
        .rfind(|layer| layer.compressible)
        .unwrap()
        .name;
    window.choose(&layer);
    assert!(window.says(&format!("Histogram of {layer}")));
    let before = window.recipe();
    window
        .harness
        .get_by_role_and_label(Role::ComboBox, "Weights")
        .click();
    window.harness.run();
    window.click("8 bits");
    let own = Override {
        sparsity: None,
        weights: Some(Width::Bits(8)),
    };
    assert_eq!(window.recipe().layers.get(&layer), Some(own));
    window.rest();
    assert!(window.says("of its own: 8-bit weights"));
    assert!(window.says(&format!("error {:.1} dB", decibels(8))));
    window.click("Zeros of its own");
    assert_eq!(
        window.recipe().layers.get(&layer).unwrap().sparsity,
        Some(0.0)
    );
    window.slider(&format!("Sparsity of {layer}"), 50.0);
    assert_eq!(
        window.recipe().layers.get(&layer).unwrap().sparsity,
        Some(0.5)
    );
    window.rest();
    // Each is a step of its own.
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(
        window.recipe().layers.get(&layer).unwrap().sparsity,
        Some(0.0)
    );
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.recipe().layers.get(&layer), Some(own));
    window.click("As the model");
    assert_eq!(window.recipe(), before);
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.recipe().layers.get(&layer), Some(own));
}
