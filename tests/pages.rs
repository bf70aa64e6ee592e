//! The pages of the centre, driven by accessible names, with their numbers against the engine's.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use scripted::{Script, Setup, Window};
use wattif::app::{Command, Page};
use wattif_core::carbon;
use wattif_core::compress::plan;
use wattif_core::footprint::{Footprint, footprint};
use wattif_core::hardware::{self, HardwareTarget};
use wattif_core::model::{Architecture, CnnConfig};
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

impl Window {
    fn go(&mut self, page: Page) {
        self.harness
            .get_by_role_and_label(Role::Tab, page.name())
            .click();
        self.harness.run();
        assert_eq!(self.app().session().settings.page, page);
    }

    /// Chooses a device on the page of devices.
    fn choose(&mut self, device: &str) {
        let begin = format!("{device}: ");
        self.harness
            .get_by(|node| {
                node.role() == Role::Button
                    && node.label().is_some_and(|label| label.starts_with(&begin))
            })
            .click_accesskit();
        self.harness.run();
    }

    fn table(&mut self) -> Vec<csv::StringRecord> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.csv");
        self.press(Modifiers::COMMAND, Key::E);
        self.harness
            .get_by_role_and_label(Role::TextInput, "Path")
            .set_text_value_accesskit(&path.display().to_string());
        self.harness.run();
        self.harness
            .get_by_role_and_label(Role::Button, "Save")
            .click();
        self.harness.run();
        let said = format!("Saved: {}", path.display());
        assert_eq!(self.app().messages().last(), Some(&said));
        csv::Reader::from_path(&path)
            .unwrap()
            .records()
            .map(Result::unwrap)
            .collect()
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

/// What the engine says of the scripted model.
fn engine(recipe: &Recipe, scenario: &Scenario) -> wattif_core::Result<Footprint> {
    let architecture = Architecture::Cnn(CnnConfig::fashion());
    let profile = plan(
        "Fashion classifier",
        architecture.unit(),
        &architecture.layers(),
        recipe,
    );
    let target = hardware::find(&scenario.hardware)?;
    footprint(
        &profile,
        scenario,
        target,
        carbon::find_grid(&scenario.region)?,
    )
}

fn on(target: &HardwareTarget, scenario: &Scenario) -> Scenario {
    Scenario {
        hardware: target.id.clone(),
        ..scenario.clone()
    }
}

#[test]
fn tabs_and_keys_lead_to_every_page_and_the_session_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        Setup {
            folder: Some(folder.path()),
            ..Setup::default()
        }
        .open()
    };
    let mut window = open();
    for page in Page::ALL {
        window.go(page);
    }
    for page in Page::ALL {
        let keys = Command::Show(page).shortcut().unwrap();
        window.press(keys.modifiers, keys.logical_key);
        assert_eq!(window.app().session().settings.page, page);
    }
    window.go(Page::Layers);
    window.rest();
    drop(window);
    assert_eq!(open().app().session().settings.page, Page::Layers);
}

#[test]
fn pages_need_no_measurement() {
    let mut window = Setup {
        script: Script {
            silent: true,
            ..Script::default()
        },
        ..Setup::default()
    }
    .open();
    window.go(Page::Devices);
    assert!(window.says("Least energy: "));
    window.go(Page::Layers);
    assert!(window.says("of the time"));
    window.go(Page::Crossover);
    assert!(window.says("energy per image at every batch") || window.says("up to batch"));
}

#[test]
fn every_device_is_listed_with_the_engine_s_numbers() {
    let mut window = Setup::default().open();
    window.slider("Weight bits", 3.0);
    window.go(Page::Devices);
    let recipe = window.recipe();
    let scenario = window.app().session().configuration.scenario.clone();
    let rows = window.table();
    let catalogue = hardware::catalogue().unwrap();
    assert_eq!(rows.len(), 2 * catalogue.len());
    for row in rows {
        let target = hardware::find(&row[0]).unwrap();
        let recipe = if &row[3] == "now" {
            recipe.clone()
        } else {
            Recipe::default()
        };
        match engine(&recipe, &on(target, &scenario)) {
            Ok(expected) => {
                let seconds = 1.0 / expected.throughput.range.typical.0;
                assert!((number(&row[7]) / seconds - 1.0).abs() < 1e-9, "{row:?}");
                assert_eq!(number(&row[10]), expected.energy_per_unit.range.typical.0);
                assert_eq!(number(&row[14]), expected.co2e_per_unit.range.high.0);
                assert_eq!(&row[15], "");
                assert_eq!((&row[4], &row[5]), ("1", "data sheet"));
            }
            Err(error) => assert_eq!(row[15], error.to_string()),
        }
    }
    for target in catalogue {
        let listed = format!("{}: ", target.name);
        assert!(
            window
                .words()
                .iter()
                .any(|words| words.starts_with(&listed)),
            "{} is not listed",
            target.name
        );
    }
}

#[test]
fn ties_are_said_and_a_device_is_chosen_by_a_click() {
    let mut window = Setup::default().open();
    window.go(Page::Devices);
    let recipe = window.recipe();
    let scenario = window.app().session().configuration.scenario.clone();
    let mut able: Vec<(&HardwareTarget, Footprint)> = hardware::catalogue()
        .unwrap()
        .iter()
        .filter_map(|target| Some((target, engine(&recipe, &on(target, &scenario)).ok()?)))
        .collect();
    let energy = |entry: &(&HardwareTarget, Footprint)| entry.1.energy_per_unit.range;
    able.sort_by(|a, b| energy(a).typical.0.total_cmp(&energy(b).typical.0));
    let best = able[0].0;
    let ties = able[1..]
        .iter()
        .filter(|other| energy(other).low.0 <= energy(&able[0]).high.0)
        .count();
    assert!(ties > 2, "the ranges are wide: {ties}");
    let reading = format!("and {} more", ties - 2);
    assert!(window.says(&format!("Least energy: {}, ", best.name)));
    assert!(window.says(&reading), "{reading}: {:?}", window.words());

    window.choose(&best.name);
    let chosen = |window: &mut Window| {
        window
            .app()
            .session()
            .configuration
            .scenario
            .hardware
            .clone()
    };
    assert_eq!(chosen(&mut window), best.id);
    window.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(
        chosen(&mut window),
        scenario.hardware,
        "choosing is one step"
    );
}

#[test]
fn layers_add_up_to_the_figures_and_other_chips_say_why_there_is_no_roof() {
    let mut window = Setup::default().open();
    window.slider("Weight bits", 3.0);
    window.go(Page::Layers);
    window
        .harness
        .get_by_role_and_label(Role::Image, "Roofline");
    let (recipe, scenario) = {
        let configuration = &window.app().session().configuration;
        (configuration.recipe.clone(), configuration.scenario.clone())
    };
    let rows = window.table();
    let now: Vec<_> = rows.iter().filter(|row| &row[0] == "now").collect();
    let expected = engine(&recipe, &scenario).unwrap();
    assert_eq!(now.len(), expected.layers.len());
    // The panel and the page say the same of what limits the speed.
    assert!(window.says(&expected.explanation));
    assert!(window.says(&format!("{}; the longest, ", expected.limit)));
    let seconds: f64 = now.iter().map(|row| number(&row[7])).sum();
    let joules: f64 = now
        .iter()
        .flat_map(|row| (8..13).map(|column| number(&row[column])))
        .sum();
    assert!((seconds * expected.throughput.range.typical.0 - 1.0).abs() < 1e-9);
    assert!((joules / expected.energy_per_unit.range.typical.0 - 1.0).abs() < 1e-9);

    for (id, sentence) in [
        ("intel-loihi-2", "A neuromorphic chip has no roofline"),
        ("amd-alveo-u250", "An FPGA has no roofline"),
    ] {
        window.go(Page::Devices);
        let name = &hardware::find(id).unwrap().name;
        window.choose(name);
        window.go(Page::Layers);
        assert!(window.says(sentence), "{id}");
        assert!(
            window
                .harness
                .query_by_role_and_label(Role::Image, "Roofline")
                .is_none()
        );
    }
}

#[test]
fn the_crossover_follows_the_sliders_and_a_chip_of_spikes_has_its_own() {
    let mut window = Setup::default().open();
    window.slider("Weight bits", 3.0);
    window.go(Page::Crossover);
    let mut scenario = window.app().session().configuration.scenario.clone();
    let mut recipe = window.recipe();
    let rows = window.table();
    let widths: std::collections::BTreeSet<&str> = rows.iter().map(|row| &row[1]).collect();
    assert_eq!(widths.len(), 4, "{widths:?}");
    for row in &rows {
        recipe.quantization.weight_bits = row[1].trim_end_matches(" bits").parse().unwrap();
        scenario.batch = row[0].parse().unwrap();
        let expected = engine(&recipe, &scenario).unwrap().energy_per_unit.range;
        assert!(
            (number(&row[3]) / expected.typical.0 - 1.0).abs() < 1e-9,
            "{row:?}"
        );
        assert!(
            (number(&row[4]) / expected.high.0 - 1.0).abs() < 1e-9,
            "{row:?}"
        );
    }
    // A width of its own joins the others.
    window.slider("Weight bits", 2.0);
    let rows = window.table();
    assert!(rows.iter().any(|row| &row[1] == "3 bits"));

    window.go(Page::Devices);
    let name = &hardware::find("intel-loihi-1").unwrap().name;
    window.choose(name);
    window.go(Page::Crossover);
    window
        .harness
        .get_by_role_and_label(Role::ComboBox, "Compared with");
    let rows = window.table();
    let spiking: Vec<f64> = rows
        .iter()
        .filter(|row| row[1] == **name)
        .map(|row| number(&row[3]))
        .collect();
    assert!(spiking.len() > 20);
    assert!(
        spiking.windows(2).all(|pair| pair[0] < pair[1]),
        "more spikes take more energy"
    );
}

#[test]
fn validation_shows_held_out_errors_and_pins_a_group() {
    let mut window = Setup::default().open();
    window
        .harness
        .get_by_role_and_label(Role::Tab, "Validation")
        .click();
    while window.app().session().settings.page != Page::Validation {
        window.harness.step();
    }
    assert!(
        !window.app().can(Command::ExportCsv),
        "there is nothing to write yet"
    );
    window.wait();
    assert!(window.app().can(Command::ExportCsv));
    window
        .harness
        .get_by_role_and_label(Role::Image, "Predicted against measured");
    let rows = window.table();
    assert!(rows.len() > 1000, "{}", rows.len());
    let mut errors: Vec<f64> = rows
        .iter()
        .filter(|row| !row[10].is_empty() && !row[12].is_empty())
        .map(|row| 100.0 * (number(&row[10]) / number(&row[12]) - 1.0).abs())
        .collect();
    assert!(rows.iter().all(|row| &row[8] == "held out"));
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    let reading = format!("median error {median:.0} %");
    assert!(window.says(&reading), "{reading}: {:?}", window.words());
    let count = format!(
        "Energy of {},{:03} published rows",
        errors.len() / 1000,
        errors.len() % 1000
    );
    assert!(window.says(&count), "{count}");
    window
        .harness
        .get_by_role_and_label(Role::Button, "Show NVIDIA H100 SXM, boards")
        .click();
    window.harness.run();
    window
        .harness
        .get_by_role_and_label(Role::Button, "As shipped")
        .click();
    window.harness.run();
    assert!(window.table().iter().all(|row| &row[8] == "as shipped"));
}

#[test]
fn no_page_is_drawn_again_while_nothing_happens() {
    let mut window = Setup::default().open();
    for page in Page::ALL {
        window.go(page);
        window.wait();
        window.harness.remove_cursor();
        window.harness.run();
        assert_eq!(window.harness.run(), 1, "{page:?} wishes for another frame");
    }
}

#[test]
fn the_presentation_shows_the_page() {
    let mut window = Setup::default().open();
    window.go(Page::Devices);
    window.press(Modifiers::NONE, Key::F5);
    assert!(window.says("Least energy: "));
    window.press(Modifiers::COMMAND, Key::Num1);
    assert!(!window.says("Least energy: "));
}

#[test]
fn a_narrow_window_swaps_controls_and_results() {
    let mut window = Setup {
        size: [940.0, 700.0],
        ..Setup::default()
    }
    .open();
    assert!(window.harness.query_by_label("Figures").is_none());
    window.press(Modifiers::NONE, Key::F9);
    window.harness.get_by_label("Figures");
    assert!(
        window
            .harness
            .query_by_role_and_label(Role::Slider, "Sparsity")
            .is_none()
    );
    window.press(Modifiers::NONE, Key::F8);
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Sparsity");
    assert!(window.harness.query_by_label("Figures").is_none());
}
