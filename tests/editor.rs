//! The hardware editor and the measurement of this machine in the real window, driven by accessible names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use scripted::{Setup, Window};
use wattif::app::{Command, Page, Start};
use wattif::format;
use wattif::machine::{MeasuredMachine, bundled_models};
use wattif_core::benchmark::{Machine, Speed, Spread};
use wattif_core::carbon;
use wattif_core::footprint::footprint;
use wattif_core::hardware::{self, Calibration, Figure, HardwareClass, Trust, own};
use wattif_core::outline::Outline;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

/// The catalogue belongs to the whole program, so that only one test may change it at a time.
static CATALOGUE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    CATALOGUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for every field of the editor.
const TALL: [f32; 2] = [1280.0, 3000.0];

fn open(folder: &Path) -> Window {
    hardware::reload(folder).unwrap();
    Setup {
        folder: Some(folder),
        size: TALL,
        ..Setup::default()
    }
    .open()
}

impl Window {
    fn edit(&mut self) {
        self.press(Modifiers::COMMAND, Key::H);
    }

    fn type_into(&mut self, field: &str, text: &str) {
        self.harness
            .get_by_role_and_label(Role::TextInput, field)
            .set_text_value_accesskit(text);
        self.harness.run();
    }

    fn can_save(&self) -> bool {
        let node = self.harness.get_by_role_and_label(Role::Button, "Save");
        !node.accesskit_node().is_disabled()
    }

    fn is_open(&self) -> bool {
        self.harness
            .query_by_role_and_label(Role::TextInput, "Name of the device")
            .is_some()
    }

    fn hardware(&mut self) -> String {
        self.app().session().configuration.scenario.hardware.clone()
    }

    /// Chooses a device on the page of devices.
    fn choose(&mut self, device: &str) {
        self.harness
            .get_by_role_and_label(Role::Tab, Page::Devices.name())
            .click();
        self.harness.run();
        let begin = format!("{device}: ");
        self.harness
            .get_by(|node| {
                node.role() == Role::Button
                    && node.label().is_some_and(|label| label.starts_with(&begin))
            })
            .click_accesskit();
        self.harness.run();
    }
}

const POWER: &str = "Power and making: Power limit, typical";
const STATIC: &str = "Power and making: Static power, typical";

#[test]
fn a_device_is_copied_changed_saved_changed_again_and_removed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(folder.path());
    let original = window.hardware();
    window.click("Copy and change…");
    assert!(window.is_open());
    window.type_into("Name of the device", "My board");
    window.type_into("Identifier", "my-board");
    window.type_into(POWER, "0.021 kW");
    assert!(window.says("1 figure changed"), "{:?}", window.words());
    window.click("Save");
    assert!(!window.is_open());
    assert_eq!(window.app().messages(), Vec::<String>::new());
    assert_eq!(window.hardware(), "my-board");
    let path = own::folder(folder.path()).join("my-board.ron");
    let saved = own::check(&path).unwrap();
    assert_eq!(saved.name, "My board");
    assert_eq!(saved.power_limit.typical.0, 21.0);
    assert_eq!(saved.power_limit.trust, Trust::Given);
    assert_eq!(saved.like.as_ref(), Some(&original));
    let shipped = hardware::find(&original).unwrap();
    assert_eq!(saved.model, shipped.model);

    // The same keys now change the file itself, and the old text stays.
    let text = std::fs::read_to_string(&path).unwrap();
    window.edit();
    assert!(!window.can_save(), "nothing was changed");
    window.type_into(POWER, "22");
    window.click("Save");
    assert_eq!(own::check(&path).unwrap().power_limit.typical.0, 22.0);
    let kept = own::folder(folder.path()).join("my-board.ron.bak");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), text);
    assert_eq!(
        hardware::find("my-board").unwrap().power_limit.typical.0,
        22.0
    );

    window.click("Remove…");
    window.click("Keep it");
    assert!(path.exists());
    window.click("Remove…");
    window.click("Remove");
    assert!(!path.exists());
    assert_eq!(window.hardware(), original, "what it was a copy of");
    assert!(hardware::find("my-board").is_err());
}

#[test]
fn what_is_wrong_stands_by_its_field_and_cannot_be_saved() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(folder.path());
    window.edit();
    assert!(window.can_save());
    for (field, wrong, fact, right) in [
        (POWER, "5 J", "typical: '5 J' is not a number of W", "20 W"),
        (
            STATIC,
            "30 W",
            "static power is not below power limit",
            "4 W",
        ),
        ("Identifier", "a/b", "may hold only letters", "mine"),
        (
            "Identifier",
            "nvidia-t4",
            "the identifier of a device that ships",
            "mine",
        ),
        ("Name of the device", "", "a device needs a name", "Mine"),
        (
            "Rows × columns of the matrix unit",
            "128",
            "type rows × columns",
            "128 x 64",
        ),
        (
            "What is reached: Share of peak rate, high",
            "120 %",
            "compute efficiency is 1.2; it must lie between 0.0001 and 1",
            "90 %",
        ),
        (
            "Power and making: Static power, source",
            "",
            "static power has an empty source",
            "a meter",
        ),
    ] {
        window.type_into(field, wrong);
        assert!(window.says(fact), "{fact}: {:?}", window.words());
        assert!(!window.can_save(), "{field}");
        window.type_into(field, right);
        assert!(window.can_save(), "{field}: {:?}", window.words());
    }
    assert!(!own::folder(folder.path()).exists(), "nothing was saved");
}

#[test]
fn a_figure_is_put_back_and_a_part_is_taken_and_given() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(folder.path());
    window.edit();
    window.type_into(STATIC, "10 W");
    // Low and high follow.
    let value = |window: &Window, field: &str| {
        let node = window.harness.get_by_role_and_label(Role::TextInput, field);
        node.accesskit_node().value().unwrap()
    };
    let typical = hardware::find(&window.hardware())
        .unwrap()
        .static_power
        .clone();
    let low = typical.low.unwrap().0 * 10.0 / typical.typical.0;
    let written = format!("{low} W");
    assert_eq!(
        value(&window, "Power and making: Static power, low"),
        written
    );
    window.click("Put back Power and making: Static power");
    assert_eq!(value(&window, STATIC), format!("{} W", typical.typical.0));
    assert!(!window.says("figure changed"));

    let toggle = |window: &mut Window, part: &str| {
        window
            .harness
            .get_by_role_and_label(Role::CheckBox, part)
            .click();
        window.harness.run();
    };
    let peak = "Peak rate, dense: INT4, typical";
    toggle(&mut window, "INT4");
    assert!(window.says("peak INT4") || window.says("typical: type a number of op/s"));
    assert!(!window.can_save(), "nobody knows its speed yet");
    window.type_into(peak, "100 TOPS");
    window.type_into("Energy per operation: INT4, typical", "0.1 pJ");
    assert!(window.can_save(), "{:?}", window.words());
    toggle(&mut window, "INT4");
    let gone = window
        .harness
        .query_by_role_and_label(Role::TextInput, peak);
    assert!(gone.is_none());
}

#[test]
fn closing_asks_before_changes_are_lost() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(folder.path());
    window.edit();
    window.press(Modifiers::NONE, Key::Escape);
    assert!(!window.is_open(), "nothing to lose");
    window.edit();
    window.type_into(POWER, "20 W");
    // The keys of the window are off while the editor has them.
    let before = window.app().session().clone();
    window.press(Modifiers::NONE, Key::F5);
    assert_eq!(*window.app().session(), before);
    window.press(Modifiers::NONE, Key::Escape);
    assert!(window.says("Close without saving?"));
    window.press(Modifiers::NONE, Key::Escape);
    assert!(window.is_open() && !window.says("Close without saving?"));
    window.click("Cancel");
    window.click("Keep editing");
    assert!(window.is_open());
    window.click("Cancel");
    window.click("Discard changes");
    assert!(!window.is_open());
    window.edit();
    assert!(!window.says("figure changed"));
}

#[test]
fn every_class_of_device_has_its_figures_in_the_editor() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(folder.path());
    let all = hardware::catalogue().unwrap();
    for class in HardwareClass::ALL {
        let target = all.iter().find(|target| target.class == class).unwrap();
        window.choose(&target.name);
        window.edit();
        assert!(window.can_save(), "{}: {:?}", target.id, window.words());
        for listed in target.figures() {
            let field = format!("{}: {}, typical", listed.group, listed.name);
            assert!(
                window
                    .harness
                    .query_by_role_and_label(Role::TextInput, &field)
                    .is_some(),
                "{}: {field}",
                target.id
            );
        }
        window.press(Modifiers::NONE, Key::Escape);
    }
}

#[test]
fn the_preview_says_what_half_the_bandwidth_does_to_a_language_model() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    hardware::reload(folder.path()).unwrap();
    let reference = "catalogue:llama-3-1-8b".parse().unwrap();
    let mut window = Setup {
        folder: Some(folder.path()),
        size: TALL,
        start: Start {
            model: Some(reference),
            preset: None,
        },
        ..Setup::default()
    }
    .open();
    window.wait();
    let original = hardware::find("nvidia-h100-sxm").unwrap();
    window.choose(&original.name);
    window.edit();
    window.type_into("Memory outside the chip: Bandwidth, typical", "1.675 TB/s");
    window.type_into("What is reached: Start of a layer, typical", "5 us");
    let mut edited = own::copy(original, "mine");
    let given = |typical: f64| Figure {
        low: None,
        typical,
        high: None,
        source: "a test".to_owned(),
        trust: Trust::Given,
    };
    edited
        .set_figure("memory bandwidth", &given(1.675e12))
        .unwrap();
    let reference = "catalogue:llama-3-1-8b".parse().unwrap();
    let profile = Outline::open(&reference)
        .unwrap()
        .predict(&Recipe::default())
        .unwrap();
    let scenario = window.app().session().configuration.scenario.clone();
    let grid = carbon::find_grid(&scenario.region).unwrap();
    let cost = |target| footprint(&profile, &scenario, target, grid).unwrap();
    let costs = [cost(original), cost(&edited)];
    let energies = costs
        .each_ref()
        .map(|cost| cost.energy_per_unit.range.typical.0);
    let rates = costs.each_ref().map(|cost| cost.throughput.range.typical.0);
    for text in [
        format::Counted::Joules.row(&energies),
        format::Counted::Rate.row(&rates),
    ]
    .concat()
    {
        assert!(window.words().contains(&text), "{text}");
    }
    assert!(
        cost(&edited).throughput.range.typical.0 < 0.95 * cost(original).throughput.range.typical.0
    );
    assert!(window.says("fitted to published measurements"));
    // The start of a layer belongs to the fit, and the preview says so.
    assert!(window.says("no effect on this model here"));
}

/// What a measurement of this machine could give, without measuring.
fn fake() -> MeasuredMachine {
    let models = bundled_models().unwrap();
    let spread = |median: f64| Spread {
        lower_quartile: 0.9 * median,
        median,
        upper_quartile: 1.2 * median,
        repeats: 11,
    };
    let calibration = Calibration {
        machine: hardware::identity(),
        date: "2026-01-31".to_owned(),
        memory_bandwidth: spread(2e10),
        cache_bandwidth: spread(1e11),
        single_precision: spread(8e10),
        whole_pass: spread(0.6),
        launch: spread(3e-7),
        packed: None,
    };
    let speed = |model: &str| Speed {
        model: model.to_owned(),
        batch: 64,
        unit: "image",
        measured: spread(1e4),
    };
    let machine = Machine {
        models: models
            .iter()
            .map(|model| (vec![speed(&model.name)], calibration.clone()))
            .collect(),
        calibration,
        packed: Vec::new(),
    };
    MeasuredMachine::new(&models, machine).unwrap()
}

#[test]
fn this_machine_is_measured_used_and_forgotten() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(folder.path());
    let measured = fake();
    let predicted = measured.before_after.predictions.clone();
    window.app().measure_machine_by(Arc::new(move |progress| {
        progress("memory bandwidth", 0.0);
        Ok(measured.clone())
    }));
    window.choose(&hardware::find(hardware::THIS_MACHINE).unwrap().name);
    assert!(window.says("Constants assumed, not measured"));
    let path = Calibration::path(folder.path());
    for used in [false, true] {
        window.click("Measure this machine (about 10 s)");
        window.wait();
        assert!(window.says("This machine, measured"));
        assert!(window.says("80.0 Gop/s") && window.says("300 ns"));
        for prediction in &predicted {
            let [before, after] = prediction.errors();
            assert!(window.says(&format!("({:+.0} %)", 100.0 * before)));
            assert!(window.says(&format!("({:+.0} %)", 100.0 * after)));
        }
        assert!(window.says("Repeats differ by a factor of up to 1.33"));
        assert!(!path.exists(), "nothing is used before somebody says so");
        window.click(if used { "Use" } else { "Discard" });
        assert!(!window.says("This machine, measured"));
        assert_eq!(path.exists(), used);
    }
    assert!(window.says("Constants measured here on 2026-01-31"));
    let rate = |typical: f64| {
        let target = hardware::find(hardware::THIS_MACHINE).unwrap();
        let listed = target
            .figures()
            .into_iter()
            .find(|f| f.field == "peak FP32");
        (listed.unwrap().figure.typical - typical).abs() < 1.0
    };
    assert!(rate(8e10));
    window.click("Forget");
    assert!(window.says("Constants assumed, not measured"));
    assert!(!path.exists() && !rate(8e10));
    assert_eq!(window.app().messages(), Vec::<String>::new());
}

#[test]
fn a_measurement_that_fails_is_reported_and_can_be_asked_for_again() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut window = open(folder.path());
    window
        .app()
        .measure_machine_by(Arc::new(|_| panic!("a kernel broke")));
    window.choose(&hardware::find(hardware::THIS_MACHINE).unwrap().name);
    window.click("Measure this machine (about 10 s)");
    window.wait();
    assert_eq!(
        window.app().messages(),
        ["This machine was not measured: computation failed: a library stopped without a reason"]
    );
    assert!(window.app().can(Command::MeasureMachine));
    let scenario = Scenario::default().hardware;
    assert_ne!(window.hardware(), scenario, "it went to this machine");
}
