//! What the window keeps, forgets and says of what it keeps: rest, values of others, pins, messages.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use std::path::Path;

use egui::accesskit::Role;
use egui::{Event, Key, Modifiers};
use egui_kittest::kittest::Queryable;
use scripted::{Script, Setup, Window, accuracy};
use wattif::app::{Command, Configuration, Session};
use wattif_core::model::ModelReference;
use wattif_core::preset::Preset;
use wattif_core::recipe::Recipe;

impl Window {
    /// A key goes down and does not come up.
    fn hold(&mut self, modifiers: Modifiers, key: Key, repeat: bool) {
        self.key(modifiers, key, true, repeat);
    }

    fn key(&mut self, modifiers: Modifiers, key: Key, pressed: bool, repeat: bool) {
        self.harness.event(Event::Key {
            key,
            physical_key: None,
            pressed,
            repeat,
            modifiers,
        });
        self.harness.step();
    }

    /// Chooses the first entry with these words in a menu that is searched.
    fn choose(&mut self, menu: &str, search: &str, words: &str) {
        self.harness
            .get_by_role_and_label(Role::ComboBox, menu)
            .click();
        self.harness.run();
        self.harness
            .get_by_role_and_label(Role::TextInput, search)
            .set_text_value_accesskit(words);
        self.harness.run();
        self.press(Modifiers::NONE, Key::Enter);
    }

    fn open_model(&mut self, words: &str) {
        self.choose("Model", "Search models", words);
    }

    /// Goes to a region, by a preset of what is in use there.
    fn region(&mut self, id: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("elsewhere.ron");
        let now = self.configuration();
        let mut scenario = now.scenario;
        id.clone_into(&mut scenario.region);
        let preset = Preset::new(now.model, "", now.recipe, scenario).unwrap();
        preset.save(&path).unwrap();
        self.click("Open preset…");
        self.path(&path, "Open");
    }

    fn configuration(&mut self) -> Configuration {
        self.app().session().configuration.clone()
    }

    /// How often a text stands on screen.
    fn count(&self, text: &str) -> usize {
        let words = self.words();
        let words = words.iter().map(|words| words.replace('\u{a0}', " "));
        words.filter(|words| words == text).count()
    }

    /// Answers the field that asks for a path.
    fn path(&mut self, path: &Path, verb: &str) {
        self.harness
            .get_by_role_and_label(Role::TextInput, "Path")
            .set_text_value_accesskit(&path.display().to_string());
        self.harness.run();
        self.click(verb);
    }

    /// Lets seconds of the window's clock pass.
    fn pass(&mut self, seconds: usize) {
        self.harness.run_steps(seconds * 4);
    }
}

fn slow_training() -> Window {
    Setup {
        script: Script {
            slow_training: true,
            ..Script::default()
        },
        ..Setup::default()
    }
    .open()
}

fn kept(folder: &Path) -> Session {
    ron::from_str(&std::fs::read_to_string(folder.join("session.ron")).unwrap()).unwrap()
}

#[test]
fn no_key_that_stays_down_keeps_rest_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Setup {
        folder: Some(folder.path()),
        ..Setup::default()
    }
    .open();
    // Shift comes up first: the press was that of one key, the release is that of another.
    for (pressed, released) in [(Key::Plus, Key::Equals), (Key::Colon, Key::Semicolon)] {
        let shifted = Modifiers::COMMAND | Modifiers::SHIFT;
        window.hold(shifted, pressed, false);
        window.key(Modifiers::COMMAND, released, false, false);
    }
    // The same for any key that there is and does nothing by itself.
    let does_something = |key: &Key| {
        let shortcuts = Command::ALL.iter().filter_map(|c| c.shortcut());
        let mut plain = shortcuts.filter(|shortcut| shortcut.modifiers.is_none());
        *key == Key::Tab || plain.any(|shortcut| shortcut.logical_key == *key)
    };
    for key in Key::ALL.iter().filter(|key| !does_something(key)) {
        window.hold(Modifiers::NONE, *key, false);
    }
    let filled = window.log.borrow().filled;
    window.slider("Sparsity", 0.4);
    assert_eq!(
        kept(folder.path()).configuration.recipe.pruning.sparsity,
        0.4
    );
    assert!(window.log.borrow().filled > filled, "the charts fill");
    window.slider("Distillation ratio", 0.33);
    assert_eq!(
        window.log.borrow().trained.len(),
        1,
        "the student is trained"
    );
    window.click("Undo");
    window.click("Undo");
    assert_eq!(window.recipe(), Recipe::default());
}

#[test]
fn rest_comes_by_itself_after_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Setup {
        folder: Some(folder.path()),
        ..Setup::default()
    }
    .open();
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Sparsity")
        .set_value_accesskit(0.4);
    window.harness.run();
    let file = folder.path().join("session.ron");
    assert!(!file.exists(), "it may be moved further");
    let viewport = &window.harness.output().viewport_output[&egui::ViewportId::ROOT];
    assert!(
        viewport.repaint_delay < std::time::Duration::from_secs(1),
        "a frame is wished for in {:?}",
        viewport.repaint_delay
    );
    window.pass(1);
    assert_eq!(
        kept(folder.path()).configuration.recipe.pruning.sparsity,
        0.4
    );
}

#[test]
fn a_key_that_is_held_is_one_step_back() {
    let mut window = Setup::default().open();
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Sparsity")
        .focus();
    window.harness.run();
    for place in 0..10 {
        window.hold(Modifiers::NONE, Key::ArrowRight, place > 0);
    }
    window.key(Modifiers::NONE, Key::ArrowRight, false, false);
    window.rest();
    assert!(window.recipe().pruning.sparsity > 0.05);
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.recipe(), Recipe::default());
    assert!(!window.app().can(Command::Undo));
}

#[test]
fn two_knobs_in_a_hurry_are_two_steps_back() {
    let mut window = Setup::default().open();
    for (knob, place) in [("Sparsity", 0.4), ("Weight bits", 3.0)] {
        window
            .harness
            .get_by_role_and_label(Role::Slider, knob)
            .set_value_accesskit(place);
        window.harness.step();
    }
    window.press(Modifiers::COMMAND, Key::Z);
    let recipe = window.recipe();
    assert_eq!(recipe.quantization.weight_bits, 32);
    assert_eq!(recipe.pruning.sparsity, 0.4);
}

/// How the window writes an accuracy.
fn percent(accuracy: f64) -> String {
    format!("{:.1}", accuracy * 100.0)
}

#[test]
fn nothing_of_a_stand_in_is_shown_without_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = slow_training();
    window.slider("Weight bits", 2.0);
    window.slider("Distillation ratio", 0.61);
    let mut nearest = window.recipe();
    nearest.distillation.ratio = 0.5;
    let borrowed = percent(accuracy(&nearest));
    let said = window.words();
    let with_it: Vec<_> = said
        .iter()
        .filter(|words| words.contains(&borrowed))
        .collect();
    assert!(!with_it.is_empty(), "the chart says what stands in");
    for words in with_it {
        assert!(words.contains("50 % student"), "{words}");
    }
    assert!(window.says("Of the 50 % student: this student is not trained"));
    // Nor is it kept as if it were measured.
    let preset = folder.path().join("mine.ron");
    window.click("Save preset…");
    window.path(&preset, "Save");
    assert!(Preset::load(&preset).unwrap().measured.is_none());
    let table = folder.path().join("charts.csv");
    window.press(Modifiers::COMMAND, Key::E);
    window.path(&table, "Save");
    let table = std::fs::read_to_string(&table).unwrap();
    let row = |ratio: &str| {
        let row = format!("Distillation ratio,{ratio},");
        table
            .lines()
            .any(|line| line.contains(&row) && line.contains(",measured,"))
    };
    assert!(row("0.5") && !row("0.61"), "{table}");
    assert!(!window.app().can(Command::MeasureSpeed));
    // A pin of it has a dash as well.
    window.click("Pin as A");
    let columns = window.words();
    assert!(
        columns
            .iter()
            .filter(|words| words.contains(&borrowed))
            .all(|words| words.contains("50 % student"))
    );
}

#[test]
fn a_language_model_without_texts_is_not_said_to_answer_images() {
    let mut window = Setup {
        script: Script {
            speaks: true,
            ..Script::default()
        },
        ..Setup::default()
    }
    .open();
    window.slider("Weight bits", 0.0);
    assert!(!window.says("held-out image"));
    assert!(window.says("Its texts come after the full measurement…"));
}

#[test]
fn a_new_model_opens_as_itself() {
    let mut window = slow_training();
    window.slider("Weight bits", 3.0);
    window.slider("Distillation ratio", 0.33);
    window.click("Measure speed");
    window.harness.get_by_label("Student in training");
    let before = window.configuration();
    window.open_model("tiny-gpt");
    let after = window.configuration();
    assert_ne!(after.model, before.model);
    assert_eq!(after.recipe, Recipe::default());
    assert_eq!(after.scenario, before.scenario, "the place stays");
    for left in ["Student in training", "Of an earlier configuration"] {
        assert!(!window.says(left), "{left}");
    }
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.configuration(), before);
}

#[test]
fn saved_figures_are_not_those_of_another_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.ron");
    let mut window = Setup::default().open();
    window.click("Save preset…");
    window.path(&path, "Save");
    window.click("Dismiss");
    window.harness.get_by_label("Saved");
    window.open_model("tiny-gpt");
    assert!(window.harness.query_by_label("Saved").is_none());
}

#[test]
fn a_pin_says_what_it_is_and_where_it_is_not_as_now() {
    let mut window = Setup::default().open();
    window.slider("Weight bits", 3.0);
    window.region("PL");
    window.click("Pin as A");
    assert!(window.says("fashion-cnn, 4-bit weights"));
    assert!(window.says("batch 32, Poland"));
    assert!(!window.says("Not as now"));
    window.region("FR");
    window.slider("Batch size", 64_f64.log10());
    assert!(window.says("Not as now: batch size 32, region Poland"));
    window.press(Modifiers::NONE, Key::F3);
    assert!(window.says("A is pinned elsewhere than B: batch size 32, region Poland"));
    // In today's scenario the same recipe costs the same.
    window.click("In today's scenario");
    assert!(window.says("In the scenario of now; pinned with batch size 32, region Poland"));
    assert!(window.says("A and B take the same energy: same constants on both sides"));
    assert!(window.says("A and B emit the same: same constants on both sides"));
    assert!(!window.says("A is pinned elsewhere"));
    window.click("As pinned");
    assert!(window.says("Not as now"));
}

#[test]
fn pins_of_another_model_stay_with_their_figures() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        Setup {
            folder: Some(folder.path()),
            ..Setup::default()
        }
        .open()
    };
    let mut window = open();
    window.slider("Weight bits", 2.0);
    let figure = format!("{} %", percent(accuracy(&window.recipe())));
    window.click("Pin as A");
    assert_eq!(window.count(&figure), 2, "now and A: {figure}");
    let other = |window: &Window| {
        assert!(window.says("fashion-vae, 3-bit weights"));
        assert!(window.says("Of another model, with the figures that it had:"));
        assert_eq!(window.count(&figure), 1);
    };
    window.open_model("resnet-50");
    other(&window);
    // Under another unit of work each figure says its own.
    assert!(
        window
            .words()
            .iter()
            .any(|words| words.ends_with("J/image"))
    );
    drop(window);
    let mut window = open();
    assert!(window.configuration().model.is_outline());
    other(&window);
    window.open_model("fashion-vae");
    assert!(!window.says("Of another model"));
    window.harness.get_by_label("A");
    window.click("Remove pins");
    assert!(!window.says("3-bit weights"));
}

/// A window on a script that fails at a sparsity of 0.7.
fn failing() -> Window {
    Setup {
        script: Script {
            fails_at: Some(0.7),
            ..Script::default()
        },
        ..Setup::default()
    }
    .open()
}

#[test]
fn messages_take_no_room_from_the_charts() {
    let mut window = failing();
    let place = |window: &Window| {
        window
            .harness
            .get_by_role_and_label(Role::ComboBox, "What-if axis")
            .rect()
    };
    let before = place(&window);
    window.slider("Sparsity", 0.7);
    assert_eq!(window.app().messages().len(), 1);
    assert_eq!(place(&window), before);
}

#[test]
fn a_failure_leaves_when_the_next_try_succeeds_or_by_escape() {
    let mut window = failing();
    window.slider("Sparsity", 0.7);
    assert_eq!(window.app().messages().len(), 1);
    window.pass(60);
    assert_eq!(window.app().messages().len(), 1, "nobody has read it");
    window.slider("Sparsity", 0.2);
    assert_eq!(window.app().messages(), Vec::<String>::new());
    window.slider("Sparsity", 0.7);
    assert_eq!(window.app().messages().len(), 1);
    window.press(Modifiers::NONE, Key::Escape);
    assert_eq!(window.app().messages(), Vec::<String>::new());
}

#[test]
fn of_one_subject_the_newest_message_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Setup::default().open();
    let open = |window: &mut Window, name: &str| {
        window.click("Open preset…");
        window.path(&folder.path().join(name), "Open");
    };
    open(&mut window, "first.ron");
    open(&mut window, "second.ron");
    let messages = window.app().messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("second.ron"), "{messages:?}");
    let there = folder.path().join("third.ron");
    window.click("Save preset…");
    window.path(&there, "Save");
    assert_eq!(window.app().messages().len(), 2, "another subject");
    open(&mut window, "third.ron");
    let said = format!("Saved: {}", there.display());
    assert_eq!(window.app().messages(), [said]);
    window.pass(7);
    assert_eq!(window.app().messages(), Vec::<String>::new());
}

#[test]
fn escape_ends_what_is_in_front_first() {
    let mut window = failing();
    window.slider("Sparsity", 0.7);
    window.click("Open preset…");
    window.press(Modifiers::NONE, Key::Escape);
    assert_eq!(window.app().messages().len(), 1, "it closed the field");
    window.press(Modifiers::NONE, Key::Escape);
    assert_eq!(window.app().messages(), Vec::<String>::new());
}

#[test]
fn a_step_back_stops_the_training_that_it_undoes() {
    let mut window = slow_training();
    window.slider("Distillation ratio", 0.33);
    window.harness.get_by_label("Student in training");
    window.slider("Weight bits", 3.0);
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(
        window.log.borrow().cancelled,
        0,
        "the student is still wanted"
    );
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.recipe(), Recipe::default());
    assert_eq!(window.log.borrow().cancelled, 1);
    assert!(!window.says("Student in training"));
    window.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    let trained = window.log.borrow().trained.len();
    assert_eq!(trained, 2, "a step forward brings it back");
}

#[test]
fn a_training_stopped_from_elsewhere_stays_stopped() {
    let mut window = slow_training();
    window.slider("Distillation ratio", 0.33);
    window.slider("Distillation ratio", 0.5);
    window.click("Stop");
    window.slider("Distillation ratio", 0.33);
    assert_eq!(window.log.borrow().trained.len(), 1);
    assert_eq!(window.app().readings()[0].matches("student").count(), 1);
}

fn open_model(window: &mut Window) {
    let shortcut = Command::OpenModel.shortcut().unwrap();
    window.press(shortcut.modifiers, shortcut.logical_key);
}

#[test]
fn a_preset_whose_model_moved_asks_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (mine, moved, other) = (file("mine.gguf"), file("moved.gguf"), file("other.gguf"));
    std::fs::write(&mine, "weights of mine").unwrap();
    std::fs::write(&other, "weights of another").unwrap();
    let preset = file("mine.ron");
    let mut window = Setup::default().open();
    open_model(&mut window);
    window.path(&mine, "Open");
    window.slider("Sparsity", 0.5);
    window.click("Save preset…");
    window.path(&preset, "Save");
    open_model(&mut window);
    window.path(&other, "Open");
    std::fs::rename(&mine, &moved).unwrap();
    let model = |window: &mut Window| window.app().session().configuration.model.clone();
    let complains = |window: &mut Window| {
        let said = window.app().messages();
        said.iter().any(|said| said.contains("was not opened"))
    };
    let is = |path: &Path| ModelReference::File(path.to_owned());

    window.click("Open preset…");
    window.path(&preset, "Open");
    let said = window.app().messages().join("; ");
    assert!(
        said.contains("is not there any more") && said.contains("mine.gguf"),
        "{said}"
    );
    assert_eq!(model(&mut window), is(&other), "what was open stays");
    // The right one, at once.
    window.click("Find it…");
    window.path(&moved, "Open");
    assert_eq!(model(&mut window), is(&moved));
    assert_eq!(window.recipe().pruning.sparsity, 0.5);
    assert!(!complains(&mut window));

    // Another one, only when that is said twice.
    window.click("Reset");
    window.click("Open preset…");
    window.path(&preset, "Open");
    window.click("Find it…");
    window.path(&other, "Open");
    let said = window.app().messages().join("; ");
    assert!(
        said.contains("another model than the preset was saved with"),
        "{said}"
    );
    assert_eq!(model(&mut window), is(&moved));
    window.click("Open it all the same");
    assert_eq!(model(&mut window), is(&other));
    assert_eq!(window.recipe().pruning.sparsity, 0.5);
    assert!(!complains(&mut window));
}
