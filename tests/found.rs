//! What people who saw the window for the first time stumbled over, so that it does not come back.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use std::path::Path;

use egui::accesskit::Role;
use egui::{Event, Key, Modifiers};
use egui_kittest::kittest::Queryable;
use scripted::{Setup, Window};
use wattif::app::{App, Command, Options, Start, engine_opener};
use wattif::format::{Counted, si};
use wattif_core::carbon;
use wattif_core::footprint::{Footprint, footprint};
use wattif_core::hardware;
use wattif_core::model::ModelReference;
use wattif_core::outline::Outline;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

impl Window {
    /// Opens a network of the catalogue in the menu of models.
    fn pick(&mut self, network: &str) {
        self.harness
            .get_by_role_and_label(Role::ComboBox, "Model")
            .click();
        self.harness.run();
        self.harness
            .get_by_role_and_label(Role::TextInput, "Search models")
            .set_text_value_accesskit(network);
        self.harness.run();
        self.press(Modifiers::NONE, Key::Enter);
    }

    /// Chooses the first device with these words in its name.
    fn choose_hardware(&mut self, words: &str) {
        self.harness
            .get_by_role_and_label(Role::ComboBox, "Hardware")
            .click();
        self.harness.run();
        self.harness
            .get_by_role_and_label(Role::TextInput, "Search hardware")
            .set_text_value_accesskit(words);
        self.harness.run();
        self.press(Modifiers::NONE, Key::Enter);
    }

    fn model(&mut self) -> String {
        self.app().session().configuration.model.to_string()
    }
}

/// A window on a network of the catalogue.
fn catalogue(name: &str) -> Window {
    Setup {
        start: Start {
            model: Some(ModelReference::Catalogue(name.to_owned())),
            ..Start::default()
        },
        ..Setup::default()
    }
    .open()
}

#[test]
fn steps_go_along_one_line_across_models() {
    let mut window = catalogue("llama-3-1-8b");
    window.pick("resnet-50");
    window.pick("flux-1-dev");
    let line = [
        "catalogue:llama-3-1-8b",
        "catalogue:resnet-50",
        "catalogue:flux-1-dev",
    ];
    assert_eq!(window.model(), line[2]);
    for place in [1, 0] {
        window.press(Modifiers::COMMAND, Key::Z);
        assert_eq!(window.model(), line[place]);
        assert!(window.app().can(Command::Redo));
    }
    assert!(!window.app().can(Command::Undo), "that was the first");
    for name in &line[1..] {
        window.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
        assert_eq!(window.model(), *name);
    }
    assert!(!window.app().can(Command::Redo), "that was the last");
}

/// The window on a screen that, like a real one, hands over the pixels of a screenshot a frame after it was asked for.
struct SlowScreen {
    ctx: egui::Context,
    app: App,
    asked: Vec<egui::ScreenshotCallback>,
    time: f64,
}

impl SlowScreen {
    const SIZE: [usize; 2] = [1280, 800];

    fn new() -> Self {
        let ctx = egui::Context::default();
        let options = Options {
            start: Start {
                model: Some(ModelReference::Catalogue("resnet-50".to_owned())),
                ..Start::default()
            },
            opener: engine_opener(),
            folder: None,
            system_dialogs: false,
        };
        let app = App::new(&ctx, options);
        let mut screen = Self {
            ctx,
            app,
            asked: Vec::new(),
            time: 0.0,
        };
        screen.frame(Vec::new());
        screen.frame(Vec::new());
        screen
    }

    fn frame(&mut self, events: Vec<Event>) {
        self.time += 0.02;
        let [width, height] = Self::SIZE.map(|points| points as f32);
        let input = egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(
                egui::Pos2::ZERO,
                egui::vec2(width, height),
            )),
            time: Some(self.time),
            events,
            ..egui::RawInput::default()
        };
        let late = std::mem::take(&mut self.asked);
        let app = &mut self.app;
        let mut output = self.ctx.run_ui(input, |ui| {
            app.logic(&ui.ctx().clone());
            app.ui(ui);
        });
        output.textures_delta.clear();
        let gradient = |place: usize| egui::Color32::from_gray((place % 251) as u8);
        for callback in late {
            let pixels = (0..Self::SIZE.iter().product()).map(gradient).collect();
            let image = egui::ColorImage::new(Self::SIZE, pixels);
            callback.complete(std::sync::Arc::new(image));
        }
        for (_, viewport) in output.viewport_output {
            for command in viewport.commands {
                if let egui::ViewportCommand::Screenshot(callback) = command {
                    self.asked.push(callback);
                }
            }
        }
    }

    fn key(&mut self, modifiers: Modifiers, key: Key) {
        for pressed in [true, false] {
            self.frame(vec![Event::Key {
                key,
                physical_key: None,
                pressed,
                repeat: false,
                modifiers,
            }]);
        }
    }

    /// Asks for a picture of the charts at a path, and waits a few frames.
    fn export(&mut self, path: &Path) {
        self.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::E);
        self.frame(Vec::new());
        self.key(Modifiers::COMMAND, Key::A);
        self.frame(vec![Event::Text(path.display().to_string())]);
        self.key(Modifiers::NONE, Key::Enter);
        for _ in 0..4 {
            self.frame(Vec::new());
        }
    }
}

#[test]
fn a_picture_that_takes_a_frame_to_arrive_is_written_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("charts.png");
    let mut screen = SlowScreen::new();
    screen.export(&path);
    assert_eq!(
        screen.app.messages(),
        [format!("Saved: {}", path.display())]
    );
    let (width, height) = image::image_dimensions(&path).unwrap();
    assert!(width > 500 && height > 500, "{width} x {height}");
    let nowhere = folder.path().join("no folder").join("charts.png");
    screen.export(&nowhere);
    let messages = screen.app.messages();
    assert_eq!(messages.len(), 1, "of one subject: {messages:?}");
    assert!(
        messages[0].starts_with("The charts were not exported: ")
            && messages[0].contains("no folder"),
        "{messages:?}"
    );
}

fn figures_of(network: &str, recipe: &Recipe, scenario: &Scenario) -> Footprint {
    let outline = Outline::open(&ModelReference::Catalogue(network.to_owned())).unwrap();
    let profile = outline.predict(recipe).unwrap();
    let target = hardware::find(&scenario.hardware).unwrap();
    let grid = carbon::find_grid(&scenario.region).unwrap();
    footprint(&profile, scenario, target, grid).unwrap()
}

#[test]
fn the_table_of_the_charts_has_energy_and_latency_with_their_units() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("charts.csv");
    let mut window = catalogue("resnet-50");
    window.press(Modifiers::COMMAND, Key::E);
    window
        .harness
        .get_by_role_and_label(Role::TextInput, "Path")
        .set_text_value_accesskit(&path.display().to_string());
    window.harness.run();
    window.click("Save");
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let heading = reader.headers().unwrap().clone();
    let column = |name: &str| heading.iter().position(|title| title == name).unwrap();
    let configuration = window.app().session().configuration.clone();
    let mut rows = 0;
    for row in reader.records().map(Result::unwrap) {
        let number = |name: &str| row[column(name)].parse::<f64>().unwrap();
        assert_eq!(&row[column("axis")], "Batch size");
        assert_eq!(&row[column("unit_of_work")], "image");
        let scenario = Scenario {
            batch: number("value") as u32,
            ..configuration.scenario.clone()
        };
        let expected = figures_of("resnet-50", &configuration.recipe, &scenario);
        let (energy, latency) = (
            expected.energy_per_unit.range.map(|v| v.0),
            expected.latency.range.map(|v| v.0),
        );
        for (name, value) in [
            ("energy_low_j_per_unit", energy.low),
            ("energy_typical_j_per_unit", energy.typical),
            ("energy_high_j_per_unit", energy.high),
            ("latency_low_s", latency.low),
            ("latency_typical_s", latency.typical),
            ("latency_high_s", latency.high),
        ] {
            assert!((number(name) / value - 1.0).abs() < 1e-9, "{name}: {row:?}");
        }
        rows += 1;
    }
    assert!(rows > 20, "{rows}");
}

#[test]
fn a_model_asked_for_by_name_opens_as_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let open = |model: Option<&str>| {
        let model = model.map(|name| ModelReference::Catalogue(name.to_owned()));
        Setup {
            folder: Some(folder.path()),
            start: Start {
                model,
                ..Start::default()
            },
            ..Setup::default()
        }
        .open()
    };
    let mut window = open(Some("llama-3-1-8b"));
    window.slider("Weight bits", 3.0);
    assert_eq!(window.recipe().quantization.weight_bits, 4);
    drop(window);
    let mut again = open(None);
    assert_eq!(again.model(), "catalogue:llama-3-1-8b");
    assert_eq!(again.recipe().quantization.weight_bits, 4, "it is kept");
    drop(again);
    let mut named = open(Some("resnet-50"));
    assert_eq!(named.model(), "catalogue:resnet-50");
    assert!(named.recipe().is_identity());
}

#[test]
fn sliders_of_bits_say_how_a_network_is_published() {
    let window = catalogue("llama-3-1-8b");
    assert!(window.says("as published, 16 bits"));
    assert!(!window.says("32 bits"));
    let mut window = catalogue("gpt-oss-20b");
    assert!(window.says("as published, 16 bits (experts 4)"));
    window.slider("Weight bits", 5.0);
    assert!(window.says("6 bits (experts 4)"));
    window.slider("Weight bits", 3.0);
    assert!(!window.says("(experts 4)"), "all weights have 4 bits");
    assert!(Setup::default().open().says("32 bits"));
}

#[test]
fn latency_of_a_language_model_is_called_what_it_is() {
    let window = catalogue("llama-3-1-8b");
    assert!(window.says("Time/step") && !window.says("Latency"));
    let window = catalogue("resnet-50");
    assert!(window.says("Latency") && !window.says("Time/step"));
}

#[test]
fn hovering_a_figure_shows_its_range() {
    let mut window = catalogue("resnet-50");
    let configuration = window.app().session().configuration.clone();
    let expected = figures_of("resnet-50", &configuration.recipe, &configuration.scenario);
    let range = expected.energy_per_unit.range;
    let ends = Counted::Joules.row(&[range.low.0, range.typical.0, range.high.0]);
    let text = format!("{} to {}", ends[0], ends[2]);
    let shown = |window: &Window| {
        let all = window.words();
        all.iter().filter(|words| **words == text).count()
    };
    let before = shown(&window);
    let figure = si(range.typical.0, "J");
    let rect = window
        .harness
        .get_all_by_label(&figure)
        .next()
        .unwrap()
        .rect();
    window.harness.hover_at(rect.center());
    window.harness.run();
    window.harness.step();
    window.harness.run();
    assert_eq!(shown(&window), before + 1, "{text}");
}

#[test]
fn a_claim_over_overlapping_ranges_names_the_shared_constants() {
    let mut window = catalogue("llama-3-1-8b");
    window.press(Modifiers::NONE, Key::F2);
    window.slider("Weight bits", 3.0);
    window.press(Modifiers::NONE, Key::F3);
    let configuration = window.app().session().configuration.clone();
    let original = figures_of("llama-3-1-8b", &Recipe::default(), &configuration.scenario);
    let now = figures_of(
        "llama-3-1-8b",
        &configuration.recipe,
        &configuration.scenario,
    );
    let (a, b) = (original.energy_per_unit.range, now.energy_per_unit.range);
    assert!(
        b.typical.0 < a.typical.0 && b.high.0 > a.low.0,
        "less, but the ranges overlap: {a:?} {b:?}"
    );
    assert!(window.says("B takes less energy than A: same constants on both sides"));
    let [_, throughput, carbon] = window.app().readings();
    assert!(
        carbon.ends_with("below the original (same constants)"),
        "{carbon}"
    );
    let (slow, fast) = (original.throughput.range, now.throughput.range);
    assert!(
        fast.low.0 > slow.high.0 && throughput.ends_with("× the original"),
        "the ranges separate: {throughput}"
    );
    assert!(window.says("Typical values; same constants on both sides"));
    // The same network on another device has constants of its own.
    let mut scenario = configuration.scenario.clone();
    "nvidia-h200-sxm".clone_into(&mut scenario.hardware);
    let elsewhere = figures_of("llama-3-1-8b", &configuration.recipe, &scenario);
    let c = elsewhere.energy_per_unit.range;
    assert!(b.low.0 < c.high.0 && c.low.0 < b.high.0, "{b:?} {c:?}");
    window.press(Modifiers::NONE, Key::F2);
    window.choose_hardware("H200");
    window.press(Modifiers::NONE, Key::F3);
    assert!(window.says("Energy: A and B are tied within the ranges"));
}

#[test]
fn hardware_is_found_by_typing() {
    let mut window = Setup::default().open();
    window.choose_hardware("loihi-1");
    let scenario = &window.app().session().configuration.scenario;
    assert_eq!(scenario.hardware, "intel-loihi-1");
}

#[test]
fn the_scroll_bar_has_room_of_its_own() {
    let right_end = |height: f32| {
        let window = Setup {
            size: [1280.0, height],
            ..Setup::default()
        }
        .open();
        let rail = window
            .harness
            .get_by_role_and_label(Role::Slider, "Sparsity")
            .rect();
        rail.right()
    };
    let (without, with) = (right_end(1600.0), right_end(500.0));
    assert!(without - with >= 8.0, "{without} {with}");
}

#[test]
fn without_weights_nothing_is_said_of_measuring() {
    let measured = |window: &Window| {
        window.says("configurations measured")
            || window.says("not measured yet")
            || window.words().iter().any(|words| words == "measured")
    };
    assert!(!measured(&catalogue("resnet-50")));
    assert!(measured(&Setup::default().open()));
}

#[test]
fn a_curve_that_ends_says_why() {
    let mut window = catalogue("llama-3-1-70b");
    let part = "Batch size at ";
    let words = window.words();
    let reason = words.iter().find(|words| words.starts_with(part)).unwrap();
    assert!(
        reason.contains(" and above: ") && reason.contains("GB"),
        "{reason}"
    );
    window.slider("Devices", 1.8);
    assert!(!window.says(part), "64 devices hold every batch");
}
