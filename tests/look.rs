//! How the window looks in any size: no text on another, none cut, every word and figure explained.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use egui::accesskit::Role;
use egui::epaint::{ClippedShape, Shape};
use egui::{Key, Modifiers, Rect, Theme, vec2};
use egui_kittest::kittest::{NodeT, Queryable};
use scripted::{Setup, Window};
use wattif::app::{Command, Page, Start};
use wattif_core::model::ModelReference;

/// A line of a text as it was painted.
struct Text {
    words: String,
    /// All of its ink, also where it is clipped away.
    ink: Rect,
    /// Where it may be seen.
    clip: Rect,
}

impl Text {
    fn visible(&self) -> Rect {
        self.ink.intersect(self.clip)
    }
}

fn collect(shape: &Shape, clip: Rect, texts: &mut Vec<Text>) {
    match shape {
        Shape::Vec(shapes) => shapes.iter().for_each(|s| collect(s, clip, texts)),
        Shape::Text(text) => texts.extend(text.galley.rows.iter().map(|row| {
            Text {
                words: row.text(),
                ink: row
                    .visuals
                    .mesh_bounds
                    .translate(text.pos.to_vec2() + row.pos.to_vec2()),
                clip,
            }
        })),
        _ => {}
    }
}

impl Window {
    /// The texts on screen.
    fn texts(&self) -> Vec<Text> {
        let mut texts = Vec::new();
        for ClippedShape {
            clip_rect, shape, ..
        } in &self.harness.output().shapes
        {
            collect(shape, *clip_rect, &mut texts);
        }
        texts.retain(|text| !text.words.trim().is_empty() && text.visible().is_positive());
        texts
    }

    /// Texts that lie on others, and texts whose beginning or end is cut off.
    fn flaws(&self) -> Vec<String> {
        /// Ink of neighbours may touch by so much, in points: italics and descenders.
        const TOUCH: f32 = 1.5;
        let texts = self.texts();
        let mut flaws = Vec::new();
        for (place, one) in texts.iter().enumerate() {
            let visible = one.visible();
            let cut = visible.width() < one.ink.width() - TOUCH;
            // A name may end early, a number may not.
            let halved = one.words.ends_with('…') && is_number(&one.words);
            if cut || halved {
                flaws.push(format!("cut: {:?} at {:?}", one.words, one.ink));
            }
            for other in &texts[place + 1..] {
                let both = visible.intersect(other.visible());
                if both.width() > TOUCH && both.height() > TOUCH {
                    flaws.push(format!("{:?} and {:?} at {both:?}", one.words, other.words));
                }
            }
        }
        flaws
    }

    fn go(&mut self, page: Page) {
        self.press(Modifiers::COMMAND, key_of(page));
        assert_eq!(self.app().session().settings.page, page);
    }

    /// Shows or hides controls and results, as far as the window has room.
    fn panels(&mut self, controls: bool, results: bool) {
        if self.app().session().settings.show_controls {
            self.press(Modifiers::NONE, Key::F8);
        }
        if self.app().session().settings.show_results != results {
            self.press(Modifiers::NONE, Key::F9);
        }
        if controls {
            self.press(Modifiers::NONE, Key::F8);
        }
    }
}

const fn key_of(page: Page) -> Key {
    match page {
        Page::WhatIf => Key::Num1,
        Page::Devices => Key::Num2,
        Page::Layers => Key::Num3,
        Page::Weights => Key::Num6,
        Page::Crossover => Key::Num4,
        Page::Validation => Key::Num5,
    }
}

/// Windows and text sizes that people have.
const SIZES: [[f32; 2]; 3] = [[1024.0, 700.0], [1280.0, 800.0], [1920.0, 1080.0]];
const SCALES: [f32; 3] = [1.0, 1.6, 2.5];

fn classifier() -> ModelReference {
    ModelReference::Bundled("fashion-cnn".to_owned())
}

fn busy(model: ModelReference, theme: Theme) -> Window {
    let mut window = Setup {
        theme,
        start: Start {
            preset: None,
            model: Some(model),
        },
        ..Setup::default()
    }
    .open();
    window.wait();
    window.slider("Weight bits", 3.0);
    window.press(Modifiers::NONE, Key::F2);
    window.slider("Sparsity", 0.5);
    window.press(Modifiers::NONE, Key::F3);
    window
}

#[test]
fn no_text_lies_on_another_and_none_is_cut_in_any_window() {
    let mut flaws = Vec::new();
    // The theme changes no place; a served language model has other controls.
    let served = ModelReference::Catalogue("gpt-oss-120b".to_owned());
    for (model, theme) in [(classifier(), Theme::Light), (served, Theme::Dark)] {
        let mut window = busy(model, theme);
        window.go(Page::Validation);
        window.wait();
        for size in SIZES {
            for scale in SCALES {
                // Larger text is fewer points in the same window.
                window.harness.set_size(vec2(size[0], size[1]) / scale);
                window.harness.run();
                for (controls, results) in [(false, false), (false, true), (true, true)] {
                    for page in Page::ALL {
                        window.go(page);
                        window.panels(controls, results);
                        for flaw in window.flaws() {
                            flaws.push(format!(
                                "{} × {} at {scale}, {}, controls {controls}, results {results}: {flaw}",
                                size[0],
                                size[1],
                                page.name()
                            ));
                        }
                    }
                }
                window.go(Page::WhatIf);
                let present = Command::Present.shortcut().unwrap();
                window.press(present.modifiers, present.logical_key);
                for flaw in window.flaws() {
                    flaws.push(format!(
                        "{} × {} at {scale}, presenting: {flaw}",
                        size[0], size[1]
                    ));
                }
                window.press(Modifiers::NONE, Key::Escape);
            }
        }
    }
    flaws.sort();
    assert!(
        flaws.is_empty(),
        "{} flaws:\n{}",
        flaws.len(),
        flaws.join("\n")
    );
}

#[test]
fn the_modal_windows_fit_into_the_smallest() {
    for size in SIZES {
        for scale in SCALES {
            let mut window = busy(classifier(), Theme::Light);
            let room = vec2(size[0], size[1]) / scale;
            window.harness.set_size(room);
            window.harness.run();
            for command in [Command::Shortcuts, Command::ChangeHardware] {
                let keys = command.shortcut().unwrap();
                window.press(keys.modifiers, keys.logical_key);
                let inside = Rect::from_min_size(egui::Pos2::ZERO, room);
                for button in ["Close", "Save", "Cancel"] {
                    let found = window.harness.query_by_role_and_label(Role::Button, button);
                    if let Some(node) = found {
                        let rect = node.rect();
                        assert!(
                            inside.contains_rect(rect),
                            "{command:?} at {room:?}: {button} at {rect:?}"
                        );
                    }
                }
                window.press(Modifiers::NONE, Key::Escape);
            }
        }
    }
}

/// Words over tables and beside controls whose meaning nobody has to know.
const HEADINGS: [&str; 26] = [
    "Original",
    "Now",
    "A",
    "B",
    "Accuracy",
    "File size",
    "Throughput",
    "Latency",
    "Energy/image",
    "CO₂e/image",
    "CO₂e a day",
    "Savings",
    "Nominal",
    "Stored",
    "Realised",
    "Size",
    "Operations",
    "Time",
    "Energy",
    "Energy per image",
    "Sparsity",
    "Weight bits",
    "Distillation ratio",
    "One scale per",
    "Temperature",
    "PUE",
];

#[test]
fn every_heading_says_what_it_means() {
    let mut window = busy(classifier(), Theme::Light);
    window.harness.set_size(vec2(1280.0, 2400.0));
    window.harness.run();
    let explained: Vec<String> = window
        .harness
        .root()
        .children_recursive()
        .filter_map(|node| {
            let node = node.accesskit_node();
            node.description().filter(|text| !text.is_empty())?;
            node.value().or(node.label())
        })
        .collect();
    for heading in HEADINGS {
        assert!(
            explained.iter().any(|words| words == heading),
            "{heading} has no description: {explained:?}"
        );
    }
}

#[test]
fn every_control_says_what_it_does() {
    let mut window = busy(classifier(), Theme::Light);
    window.harness.set_size(vec2(1280.0, 2400.0));
    window.harness.run();
    let silent: Vec<String> = window
        .harness
        .root()
        .children_recursive()
        .filter_map(|node| {
            let node = node.accesskit_node();
            let control = matches!(node.role(), Role::Slider | Role::ComboBox);
            let said = node.description().is_some_and(|text| !text.is_empty());
            (control && !said).then(|| node.label().unwrap_or_default())
        })
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

/// Whether a text that ends early is a number or one with a unit.
fn is_number(text: &str) -> bool {
    let text = text.trim_end_matches('…').trim_start_matches('−').trim();
    text.starts_with(|c: char| c.is_ascii_digit()) && text.split(' ').count() <= 2
}

/// Whether a text is a number with a unit.
fn is_figure(text: &str) -> bool {
    let number = text.trim_start_matches(['−', '+', '±']);
    number.starts_with(|c: char| c.is_ascii_digit())
        && number.contains(|c: char| c.is_alphabetic() || c == '%')
        && !number.contains(',')
        && number.split(' ').count() <= 2
}

#[test]
fn every_figure_is_reached_with_tab_and_says_where_it_is_from() {
    let mut window = busy(classifier(), Theme::Light);
    let size = vec2(1280.0, 2400.0);
    window.harness.set_size(size);
    window.harness.run();
    let mut figures = 0;
    for node in window.harness.root().children_recursive() {
        let shown = node.accesskit_node();
        let text = shown.value().unwrap_or_default();
        // The panel of results; the controls are themselves what they say.
        if shown.role() != Role::Label || node.rect().left() < size.x - 330.0 || !is_figure(&text) {
            continue;
        }
        figures += 1;
        let said = shown.description().unwrap_or_default();
        assert!(!said.is_empty(), "{text} says nothing");
    }
    assert!(figures > 30, "only {figures} figures were found");

    // With the keyboard alone: Tab comes to figures, and their text opens.
    let (mut opened, mut way) = (0, Vec::new());
    for _ in 0..150 {
        window.harness.key_press(Key::Tab);
        window.harness.run();
        let focused = window
            .harness
            .root()
            .children_recursive()
            .find(|node| node.is_focused())
            .and_then(|node| node.accesskit_node().value());
        if focused.as_ref().is_some_and(|text| is_figure(text)) && window.says("Modelled") {
            opened += 1;
        }
        way.push(focused);
    }
    assert!(opened > 10, "{opened} figures opened their text: {way:?}");
}
