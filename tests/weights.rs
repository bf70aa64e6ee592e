//! The page of weights, driven by accessible names: layers in a table, and what one of them has of its own.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use scripted::{Setup, Window, decibels};
use wattif::app::{Command, Page};
use wattif_core::compress::plan;
use wattif_core::model::{Architecture, CnnConfig};
use wattif_core::recipe::{Override, Width};

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
    let mut window = open();
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
    window.click("Sort by bytes");
    let most = layers()
        .into_iter()
        .max_by_key(|l| l.weights() + l.other_parameters);
    assert_eq!(
        window.names().first(),
        most.map(|layer| layer.name).as_ref()
    );
    window.click("Sort by bytes");
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
    window
        .harness
        .get_by_role_and_label(Role::CheckBox, "Zeros of its own")
        .click();
    window.rest();
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

#[test]
fn layers_are_compared_with_those_of_a_pin() {
    let mut window = open();
    let choose = |window: &mut Window, menu: &str, item: &str| {
        window
            .harness
            .get_by_role_and_label(Role::ComboBox, menu)
            .click();
        window.harness.run();
        window.click(item);
    };
    window.click("Pin as A");
    window.slider("Weight bits", 7.0);
    window.rest();
    choose(&mut window, "Compared with", "A");
    choose(&mut window, "Compared by", "bits");
    let now = f64::from(window.recipe().quantization.weight_bits);
    let compressible = layers().into_iter().filter(|layer| layer.compressible);
    let more = format!("bits +{:.0}", now - 4.0);
    let words = window.layers();
    assert_eq!(
        words.iter().filter(|words| words.contains(&more)).count(),
        compressible.count(),
        "{words:?}"
    );
    // The errors of the pin are looked at as well.
    choose(&mut window, "Compared by", "error");
    window.rest();
    let more = decibels(now as u8) - decibels(4);
    let more = format!("error +{more:.1} dB");
    assert!(window.says(&more), "{more} in {:?}", window.layers());
    choose(&mut window, "Compared with", "nothing");
    assert!(
        window
            .layers()
            .iter()
            .all(|words| !words.contains("bits +"))
    );
}
