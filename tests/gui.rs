//! The real window, driven by the accessible names of its controls, on a scripted engine.

mod scripted;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use scripted::{Script, Setup, Window, accuracy};
use wattif::app::{Axis, Command, Start};
use wattif_core::data::OwnData;
use wattif_core::hardware;
use wattif_core::model::ModelReference;
use wattif_core::preset::Preset;
use wattif_core::recipe::{Pattern, Recipe};
use wattif_core::scenario::Scenario;

impl Window {
    fn value(&mut self, axis: Axis) -> f64 {
        let configuration = &self.app().session().configuration;
        axis.get(&configuration.recipe, &configuration.scenario)
    }

    fn answer_path(&mut self, path: &std::path::Path, verb: &str) {
        self.harness
            .get_by_role_and_label(Role::TextInput, "Path")
            .set_text_value_accesskit(&path.display().to_string());
        self.harness.run();
        self.click(verb);
    }
}

#[test]
fn each_slider_by_role_and_name_changes_its_number() {
    let mut window = Setup::default().open();
    let cases = [
        (Axis::Sparsity, 0.3, 0.3),
        (Axis::WeightBits, 3.0, 4.0),
        (Axis::ActivationBits, 6.0, 8.0),
        (Axis::Ratio, 0.5, 0.5),
        (Axis::Batch, 64_f64.log10(), 64.0),
        (Axis::Devices, 8_f64.log10(), 8.0),
        (Axis::Demand, 7.0, 1e7),
        (Axis::Pue, 1.5, 1.5),
        (Axis::Lifetime, 6.0, 6.0),
        (Axis::Utilization, 0.8, 0.8),
    ];
    for (axis, place, value) in cases {
        let before: Vec<f64> = Axis::ALL.iter().map(|a| window.value(*a)).collect();
        window.slider(axis.name(), place);
        assert!((window.value(axis) - value).abs() < 1e-9, "{axis:?}");
        assert_eq!(
            window.app().session().axis,
            axis,
            "charts follow the slider"
        );
        for (other, old) in Axis::ALL.iter().zip(before) {
            assert!(
                *other == axis || window.value(*other) == old,
                "{axis:?} moved {other:?}"
            );
        }
    }
}

#[test]
fn readings_follow_the_sliders() {
    let mut window = Setup::default().open();
    assert_eq!(window.app().readings()[0], "Accuracy 90.5 ± 1.3 %");
    window.slider("Sparsity", 0.9);
    let expected = accuracy(&window.recipe());
    let [quality, throughput, carbon] = window.app().readings();
    assert!(
        quality.starts_with(&format!("Accuracy {:.1} ± ", expected * 100.0)),
        "{quality}"
    );
    assert!(quality.ends_with("points below the original"), "{quality}");
    assert!(throughput.starts_with("Throughput "), "{throughput}");
    assert!(carbon.starts_with("CO₂e "), "{carbon}");
    let before = carbon;
    window.slider("PUE", 2.0);
    assert_ne!(window.app().readings()[2], before, "CO2e follows the PUE");
}

#[test]
fn one_drag_is_one_step_back() {
    let mut window = Setup::default().open();
    let rect = window
        .harness
        .get_by_role_and_label(Role::Slider, "Sparsity")
        .rect();
    let at = |share: f32| egui::pos2(rect.left() + rect.width() * share, rect.center().y);
    window.harness.hover_at(at(0.03));
    window.harness.run();
    window.harness.drag_at(at(0.03));
    window.harness.run();
    for step in 1..=20 {
        window.harness.hover_at(at(0.03 + 0.03 * step as f32));
        window.harness.run();
    }
    window.harness.drop_at(at(0.63));
    window.harness.run();
    let dragged = window.value(Axis::Sparsity);
    assert!((0.55..0.7).contains(&dragged), "{dragged}");
    window.click("Undo");
    assert_eq!(window.value(Axis::Sparsity), 0.0);
    assert!(!window.app().can(Command::Undo));
    window.click("Redo");
    assert_eq!(window.value(Axis::Sparsity), dragged);
}

#[test]
fn steps_back_go_through_recipe_and_scenario_in_order() {
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.4);
    window.slider("PUE", 1.8);
    window.slider("Weight bits", 3.0);
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.value(Axis::WeightBits), 32.0);
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.value(Axis::Pue), 1.2);
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(window.value(Axis::Sparsity), 0.0);
    window.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(window.value(Axis::Sparsity), 0.4);
}

#[test]
fn the_two_of_four_pattern_takes_half() {
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.8);
    window.click("2:4");
    let recipe = window.recipe();
    assert_eq!(recipe.pruning.pattern, Pattern::TwoOfFour);
    assert_eq!(recipe.pruning.sparsity, 0.5);
    assert_eq!(recipe.validate(), Ok(()));
    window.click("Unstructured");
    assert_eq!(window.recipe().pruning.pattern, Pattern::Unstructured);
}

#[test]
fn a_preset_is_saved_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.ron");
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.35);
    window.slider("Weight bits", 3.0);
    window.slider("Batch size", 32_f64.log10());
    let saved = window.app().session().configuration.clone();
    window.click("Save preset…");
    window.answer_path(&path, "Save");
    let said = format!("Saved: {}", path.display());
    assert_eq!(window.app().messages(), [said]);
    window.click("Reset");
    window.slider("Batch size", 0.0);
    assert_ne!(window.app().session().configuration, saved);
    window.click("Open preset…");
    window.answer_path(&path, "Open");
    assert_eq!(window.app().session().configuration, saved);
    // The saved figures are compared with the new ones.
    window
        .harness
        .get_by_label("Measured again: the saved quality holds");
    // Opening it was one step.
    window.click("Undo");
    assert_eq!(window.value(Axis::Batch), 1.0);
}

#[test]
fn saved_figures_are_shown_beside_both_pins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.ron");
    let mut window = Setup::default().open();
    window.slider("Weight bits", 3.0);
    window.click("Save preset…");
    window.answer_path(&path, "Save");
    window.click("Dismiss");
    window.harness.get_by_label("Saved");
    window.click("Pin as A");
    window.click("Pin as B");
    window.harness.get_by_label("Saved");
    window.harness.get_by_label("A");
    window.harness.get_by_label("B");
}

#[test]
fn a_broken_preset_leaves_the_session_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.ron");
    std::fs::write(&path, "(version: 1, nonsense: 3)").unwrap();
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.35);
    let before = window.app().session().configuration.clone();
    window.click("Open preset…");
    window.answer_path(&path, "Open");
    assert_eq!(window.app().session().configuration, before);
    let messages = window.app().messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("broken.ron"), "{messages:?}");
}

#[test]
fn a_storm_of_positions_ends_measured_where_it_stops() {
    let mut window = Setup::default().open();
    for step in 0..100 {
        let place = f64::from(step * 37 % 99) / 100.0;
        window
            .harness
            .get_by_role_and_label(Role::Slider, "Sparsity")
            .set_value_accesskit(place);
        window.harness.step();
    }
    window.slider("Sparsity", 0.77);
    let last = window.log.borrow().submitted.last().unwrap().clone();
    assert_eq!(last.pruning.sparsity, 0.77);
    let expected = format!("Accuracy {:.1} ± ", accuracy(&last) * 100.0);
    let [quality, ..] = window.app().readings();
    assert!(quality.starts_with(&expected), "{quality}");
    assert!(window.app().is_idle());
}

#[test]
fn a_failure_is_one_message_that_can_be_dismissed() {
    let mut window = Setup {
        script: Script {
            fails_at: Some(0.7),
            ..Script::default()
        },
        ..Setup::default()
    }
    .open();
    window.slider("Sparsity", 0.7);
    let text = "computation failed: the weights hold a NaN";
    window.harness.get_by_label(text);
    window.slider("Sparsity", 0.2);
    window.slider("Sparsity", 0.7);
    assert_eq!(
        window.app().messages().len(),
        1,
        "the same failure is one message"
    );
    window.harness.get_by_label(text);
    window.click("Dismiss");
    assert!(window.harness.query_by_label(text).is_none());
    assert_eq!(window.app().messages(), Vec::<String>::new());
}

#[test]
fn a_model_that_cannot_be_opened_is_reported_and_the_bundled_one_opened() {
    let mut window = Setup {
        start: Start {
            preset: None,
            model: Some(ModelReference::File("/none/x.safetensors".into())),
        },
        ..Setup::default()
    }
    .open();
    let messages = window.app().messages();
    assert_eq!(
        messages,
        ["The model was not opened: the file is empty: /none/x.safetensors"]
    );
    assert!(window.app().is_idle());
    assert_eq!(
        window.app().session().configuration.model,
        ModelReference::Bundled(wattif::app::DEFAULT_MODEL.to_owned())
    );
}

#[test]
fn everything_can_be_done_from_the_keyboard() {
    let mut window = Setup::default().open();
    let mut reached = std::collections::BTreeSet::new();
    let mut moved = false;
    for _ in 0..120 {
        window.press(Modifiers::NONE, Key::Tab);
        let focused = window
            .harness
            .root()
            .children_recursive()
            .find(|node| node.accesskit_node().is_focused())
            .map(|node| {
                let node = node.accesskit_node();
                let label = node.label().unwrap_or_default();
                let label = if label.is_empty() {
                    node.labelled_by()
                        .filter_map(|by| by.value().or(by.label()))
                        .collect()
                } else {
                    label
                };
                (node.role(), label)
            });
        let Some((role, label)) = focused else {
            continue;
        };
        if role == Role::Slider && label == "Sparsity" && !moved {
            window.press(Modifiers::NONE, Key::ArrowRight);
            window.press(Modifiers::NONE, Key::ArrowRight);
            moved = true;
        }
        reached.insert(format!("{role:?} {label}"));
    }
    let sparsity = window.value(Axis::Sparsity);
    assert!(
        (sparsity - 0.02).abs() < 1e-9,
        "two steps of one percent: {sparsity}"
    );
    window.press(Modifiers::COMMAND, Key::Z);
    assert!(window.value(Axis::Sparsity) < 0.02);
    // Those of other models and other hardware.
    let absent = [Axis::Context, Axis::Prompt, Axis::Answer, Axis::TimeSteps];
    for axis in Axis::ALL {
        if !absent.contains(&axis) {
            assert!(
                reached.contains(&format!("Slider {}", axis.name())),
                "{axis:?} is not reached: {reached:#?}"
            );
        }
    }
    for control in [
        "ComboBox Model",
        "ComboBox Hardware",
        "ComboBox Region",
        "ComboBox What-if axis",
        "Button Save preset…",
        "Button Pin as A",
        "Button Present",
        "Button 2:4",
    ] {
        assert!(
            reached.contains(control),
            "{control} is not reached: {reached:#?}"
        );
    }
}

#[test]
fn pins_are_compared_and_removed() {
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.5);
    window.click("Pin as A");
    window.slider("Sparsity", 0.9);
    window.press(Modifiers::NONE, Key::F3);
    let pins = window.app().session().pins.clone();
    let sparsity = |slot: usize| pins[slot].as_ref().unwrap().recipe.pruning.sparsity;
    assert_eq!((sparsity(0), sparsity(1)), (0.5, 0.9));
    window.harness.get_by_label("A");
    window.harness.get_by_label("B");
    window.click("Remove pins");
    assert!(window.harness.query_by_label("A").is_none());
}

#[test]
fn the_session_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        Setup {
            folder: Some(folder.path()),
            ..Setup::default()
        }
        .open()
    };
    let mut window = open();
    window.slider("Sparsity", 0.6);
    window.click("Pin as B");
    window.click("Results");
    let kept = window.app().session().clone();
    drop(window);
    let mut window = open();
    assert_eq!(*window.app().session(), kept);
    assert!(!window.app().can(Command::Undo), "opening is not a step");
    assert!(
        window.harness.query_by_label("Figures").is_none(),
        "the panel stays folded"
    );
}

#[test]
fn nothing_is_drawn_again_while_nothing_happens() {
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.6);
    window.harness.remove_cursor();
    window.harness.run();
    assert_eq!(window.harness.run(), 1, "one frame and no wish for another");
    let viewport = &window.harness.output().viewport_output[&egui::ViewportId::ROOT];
    assert!(
        viewport.repaint_delay > std::time::Duration::from_secs(3600),
        "the next frame is wished for in {:?}",
        viewport.repaint_delay
    );
}

#[test]
fn a_student_that_is_missing_is_trained_once_the_slider_rests() {
    let mut window = Setup::default().open();
    window.slider("Distillation ratio", 0.5);
    assert!(window.log.borrow().trained.is_empty(), "0.5 is ready");
    window.slider("Distillation ratio", 0.33);
    let trained: Vec<f64> = window
        .log
        .borrow()
        .trained
        .iter()
        .map(|recipe: &Recipe| recipe.distillation.ratio)
        .collect();
    assert_eq!(trained, [0.33]);
    assert!(
        !window.app().readings()[0].contains("student"),
        "it is finished"
    );
}

#[test]
fn a_training_can_be_stopped_and_does_not_begin_again_by_itself() {
    let mut window = Setup {
        script: Script {
            slow_training: true,
            ..Script::default()
        },
        ..Setup::default()
    }
    .open();
    window.slider("Distillation ratio", 0.33);
    window.harness.get_by_label("Student in training");
    assert!(
        window.app().readings()[0].contains("student"),
        "the stand-in is called what it is"
    );
    window.click("Stop");
    assert_eq!(window.log.borrow().cancelled, 1);
    window.harness.run();
    assert_eq!(window.log.borrow().trained.len(), 1);
    assert!(
        window
            .harness
            .query_by_label("Student in training")
            .is_none()
    );
}

#[test]
fn all_hardware_has_figures_or_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hardware.ron");
    let mut window = Setup::default().open();
    for target in hardware::catalogue().unwrap() {
        let scenario = Scenario {
            hardware: target.id.clone(),
            ..Scenario::default()
        };
        let reference = ModelReference::Bundled(wattif::app::DEFAULT_MODEL.to_owned());
        let preset = Preset::new(reference, "", Recipe::default(), scenario).unwrap();
        preset.save(&path).unwrap();
        window.click("Open preset…");
        window.answer_path(&path, "Open");
        let chosen = window
            .app()
            .session()
            .configuration
            .scenario
            .hardware
            .clone();
        assert_eq!(chosen, target.id);
        let [_, throughput, _] = window.app().readings();
        let reason = format!("{} cannot run this", target.name);
        let refused = window.harness.query_by_label(&reason).is_some();
        assert_eq!(
            refused,
            throughput == "Throughput: not on this hardware",
            "{}: {throughput}",
            target.name
        );
    }
}

#[test]
fn the_presentation_keeps_the_slider_in_use() {
    let mut window = Setup::default().open();
    window.slider("Weight bits", 3.0);
    window.press(Modifiers::NONE, Key::F5);
    assert!(
        window
            .harness
            .query_by_role_and_label(Role::Slider, "Sparsity")
            .is_none()
    );
    window.slider("Weight bits", 2.0);
    assert_eq!(window.value(Axis::WeightBits), 3.0);
    window.press(Modifiers::NONE, Key::Escape);
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Sparsity");
}

#[test]
fn unmeasured_work_is_named_after_a_moment_only() {
    let mut window = Setup {
        script: Script {
            silent: true,
            ..Script::default()
        },
        ..Setup::default()
    }
    .open();
    assert_eq!(window.app().readings()[0], "Accuracy not measured yet");
    assert!(!window.app().is_idle());
    for _ in 0..4 {
        window.harness.step();
    }
    window.harness.get_by_label("Measuring quality");
}

#[test]
fn the_table_of_the_charts_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("charts.csv");
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.5);
    window.press(Modifiers::COMMAND, Key::E);
    window.answer_path(&path, "Save");
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let heading = reader.headers().unwrap().clone();
    let column = |name: &str| heading.iter().position(|title| title == name).unwrap();
    let (value, quality, provenance) = (column("value"), column("quality"), column("provenance"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let of = |kind: &str| rows.iter().filter(|row| &row[provenance] == kind).count();
    let (measured, modelled) = (of("measured"), of("modelled"));
    assert!(
        measured >= 14 && modelled >= 40,
        "{measured} and {modelled}"
    );
    let half = rows
        .iter()
        .find(|row| &row[value] == "0.5" && &row[provenance] == "measured")
        .unwrap();
    let quality: f64 = half[quality].parse().unwrap();
    assert!((quality - accuracy(&window.recipe())).abs() < 1e-9);
}

#[test]
fn the_picture_of_the_charts_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("charts.png");
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.5);
    window.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::E);
    window.answer_path(&path, "Save");
    let said = format!("Saved: {}", path.display());
    assert_eq!(window.app().messages(), [said]);
    let picture = image::open(&path).unwrap().to_rgba8();
    let (width, height) = picture.dimensions();
    assert_eq!((width, height), (2400, 1800));
    let colors: std::collections::HashSet<_> = picture.pixels().map(|pixel| pixel.0).collect();
    assert!(colors.len() > 50, "{} colours", colors.len());
}

/// A file as the desktop hands it over.
#[derive(Debug)]
struct Dropped(std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

#[test]
fn a_preset_dropped_on_the_window_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped.ron");
    let reference = ModelReference::Bundled(wattif::app::DEFAULT_MODEL.to_owned());
    let mut recipe = Recipe::default();
    recipe.quantization.weight_bits = 5;
    Preset::new(reference, "", recipe, Scenario::default())
        .unwrap()
        .save(&path)
        .unwrap();
    let mut window = Setup::default().open();
    let drop = |window: &mut Window, path: &std::path::Path| {
        let file = std::sync::Arc::new(Dropped(path.to_owned()));
        window.harness.input_mut().dropped_files.push(file);
        window.harness.run();
    };
    drop(&mut window, &path);
    assert_eq!(window.recipe().quantization.weight_bits, 5);
    drop(&mut window, &folder.path().join("holiday.jpg"));
    let messages = window.app().messages();
    assert_eq!(messages.len(), 1);
    assert!(
        messages[0].contains(
            "neither a preset or device (.ron) nor a model (.gguf, .safetensors, .pt, .npz, .onnx, config.json)"
        ),
        "{messages:?}"
    );
    assert_eq!(window.recipe().quantization.weight_bits, 5);
}

#[test]
fn a_model_of_another_program_dropped_on_the_window_says_what_can_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet50.pth");
    std::fs::write(&path, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8").unwrap();
    let mut window = Setup::default().open();
    let file = std::sync::Arc::new(Dropped(path));
    window.harness.input_mut().dropped_files.push(file);
    window.harness.run();
    // It was tried as a model, whose opener then says what it is.
    let messages = window.app().messages();
    assert!(!messages.is_empty());
    assert!(
        messages
            .iter()
            .all(|message| !message.contains("neither a preset")),
        "{messages:?}"
    );
}

#[test]
fn data_dropped_on_the_window_are_what_the_model_is_measured_on() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("book.txt");
    std::fs::write(&text, "Call me Ishmael.").unwrap();
    let images = folder.path().join("photos");
    std::fs::create_dir_all(images.join("cat")).unwrap();
    std::fs::write(images.join("cat/1.png"), "").unwrap();
    let drop = |window: &mut Window, path: &std::path::Path| {
        let file = std::sync::Arc::new(Dropped(path.to_owned()));
        window.harness.input_mut().dropped_files.push(file);
        window.harness.run();
    };
    let data = |window: &mut Window| window.app().session().configuration.data.clone();
    // A classifier is measured on images, and on no text.
    let mut window = Setup::default().open();
    drop(&mut window, &text);
    assert_eq!(data(&mut window), None);
    assert_eq!(window.app().messages().len(), 1);
    drop(&mut window, &images);
    let expected = OwnData::Images {
        path: images.clone(),
        preprocessing: None,
    };
    assert_eq!(data(&mut window), Some(expected.clone()));
    assert!(
        !window.app().can(Command::SavePreset),
        "figures of other data"
    );
    window
        .harness
        .get_by_role_and_label(Role::TextInput, "Preprocessing")
        .set_text_value_accesskit("crop=0");
    window.harness.run();
    window
        .harness
        .get_by_label_contains("an edge has 1 to 4096 pixels");
    // Undo goes back to what ships, and another model has its own data.
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(data(&mut window), None);
    assert!(window.app().can(Command::SavePreset));
    window.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(data(&mut window), Some(expected));

    let mut window = Setup {
        script: Script {
            speaks: true,
            ..Script::default()
        },
        ..Setup::default()
    }
    .open();
    drop(&mut window, &text);
    assert_eq!(data(&mut window), Some(OwnData::Text(text)));
}

#[test]
fn a_device_dropped_on_the_window_is_kept_and_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let dropped = folder.path().join("from a friend.ron");
    let shipped = include_str!("../assets/hardware/nvidia-t4.ron");
    let own = shipped.replacen("\"nvidia-t4\"", "\"lab-t4\"", 1).replacen(
        "\"NVIDIA T4\"",
        "\"T4 of the lab\"",
        1,
    );
    let mut window = Setup {
        folder: Some(folder.path()),
        ..Setup::default()
    }
    .open();
    let before = window.app().readings();
    let drop = |window: &mut Window, text: &str| {
        std::fs::write(&dropped, text).unwrap();
        let file = std::sync::Arc::new(Dropped(dropped.clone()));
        window.harness.input_mut().dropped_files.push(file);
        window.harness.run();
    };
    drop(&mut window, &own.replacen("launch:", "lunch:", 1));
    let messages = window.app().messages();
    assert!(
        messages.len() == 1
            && messages[0].starts_with("The hardware file was not added: line ")
            && messages[0].contains("`lunch`"),
        "{messages:?}"
    );
    drop(&mut window, &own);
    let hardware = &window.app().session().configuration.scenario.hardware;
    assert_eq!(hardware, "lab-t4");
    assert!(folder.path().join("hardware").join("lab-t4.ron").is_file());
    assert_ne!(window.app().readings()[1], before[1], "its own throughput");
    window.harness.get_by_value("T4 of the lab");
}

#[test]
fn text_grows_and_the_charts_keep_their_room() {
    let mut window = Setup::default().open();
    window.harness.get_by_label("Figures");
    for _ in 0..5 {
        window.press(Modifiers::COMMAND, Key::Plus);
    }
    assert!((window.app().session().settings.text_scale - 1.5).abs() < 1e-6);
    assert!(
        window.harness.query_by_label("Figures").is_none(),
        "no room beside the controls"
    );
    window.press(Modifiers::NONE, Key::F8);
    window.harness.get_by_label("Figures");
    window.press(Modifiers::COMMAND, Key::Num0);
    assert_eq!(window.app().session().settings.text_scale, 1.0);
}

#[test]
fn a_student_shows_what_its_training_costs_and_when_it_is_paid_back() {
    fn paid_back(window: &Window) -> String {
        let node = window
            .harness
            .get_by_label_contains("Training paid back after ");
        let node = node.accesskit_node();
        node.label().or_else(|| node.value()).unwrap()
    }
    let mut window = Setup {
        script: Script {
            slow_training: true,
            ..Script::default()
        },
        ..Setup::default()
    }
    .open();
    window.slider("Distillation ratio", 0.33);
    window.harness.get_by_label_contains("Energy so far ");
    window.click("Stop");
    window.slider("Distillation ratio", 0.25);
    let at_first = paid_back(&window);
    let parts = |text: &str| {
        let (units, days) = text.split_once(" images (").unwrap();
        let days: f64 = days.strip_suffix(" days)").unwrap().parse().unwrap();
        (units.to_owned(), days)
    };
    let (units, days) = parts(&at_first);
    let demand = window.value(Axis::Demand);
    window.slider("Demand per day", (demand / 10.0).log10());
    let (same_units, longer) = parts(&paid_back(&window));
    assert_eq!(same_units, units);
    // Two digits are shown.
    assert!((longer / days - 10.0).abs() < 1.0, "{longer} and {days}");
    window.slider("Distillation ratio", 1.0);
    let gone = window.harness.query_by_label_contains("paid back");
    assert!(gone.is_none(), "the original was not trained here");
    window.harness.get_by_label_contains("Keeping the file");
}

#[test]
fn a_network_known_by_its_shapes_opens_with_a_scenario_that_suits_it() {
    let mut window = Setup {
        start: Start {
            model: Some(ModelReference::Catalogue("llama-3-1-70b".to_owned())),
            ..Start::default()
        },
        ..Setup::default()
    }
    .open();
    let scenario = window.app().session().configuration.scenario.clone();
    assert_eq!(scenario.hardware, "nvidia-h100-sxm");
    assert_eq!(scenario.devices, 2, "141 GB on devices of 80 GB");
    let [quality, throughput, _] = window.app().readings();
    assert_eq!(quality, "Quality not measured: no weights are loaded");
    assert!(throughput.contains("tokens/s"), "{throughput}");
    for slider in ["Prompt", "Answer"] {
        window.harness.get_by_role_and_label(Role::Slider, slider);
    }
}
