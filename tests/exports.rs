//! What the window writes for others to look at, and what it makes of a session that others changed.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::time::Duration;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use scripted::{Setup, Window, accuracy};
use wattif::app::{Page, Session};

type Row = HashMap<String, String>;

fn export(
    window: &mut Window,
    modifiers: Modifiers,
    name: &str,
) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    save(window, modifiers, &path);
    (folder, path)
}

fn save(window: &mut Window, modifiers: Modifiers, path: &Path) {
    window.press(modifiers, Key::E);
    window
        .harness
        .get_by_role_and_label(Role::TextInput, "Path")
        .set_text_value_accesskit(&path.display().to_string());
    window.harness.run();
    window
        .harness
        .get_by_role_and_label(Role::Button, "Save")
        .click();
    window.harness.run();
    let said = format!("Saved: {}", path.display());
    assert_eq!(window.app().messages().last(), Some(&said));
}

fn table(window: &mut Window) -> Vec<Row> {
    let (_folder, path) = export(window, Modifiers::COMMAND, "table.csv");
    let mut reader = csv::Reader::from_path(&path).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn every_row_of_the_table_says_under_which_conditions_it_holds() {
    let mut window = Setup::default().open();
    window.slider("Weight bits", 3.0);
    window.click("Pin as A");
    window.slider("Sparsity", 0.5);
    let rows = table(&mut window);
    let version = wattif_core::METHOD_VERSION.to_string();
    for row in &rows {
        for column in [
            "model",
            "hardware",
            "hardware_name",
            "region",
            "region_name",
            "series",
            "sparsity",
            "weight_bits",
            "activation_bits",
            "distillation_ratio",
            "devices",
            "batch",
            "demand_units_per_day",
            "pue",
            "grid_typical_g_per_kwh",
            "grid_source",
            "hardware_sources",
            "program_version",
        ] {
            assert_ne!(row[column], "", "{column} of {row:?}");
        }
        assert_eq!(row["method_version"], version);
        assert_eq!(row["axis"], "Sparsity");
        // The knob of the axis has the value that the row is for.
        assert_eq!(row["sparsity"], row["value"]);
    }
    let of = |series: &str, provenance: &str| {
        let mut rows = rows
            .iter()
            .filter(|row| row["series"] == series && row["provenance"] == provenance);
        let row = rows.next().unwrap();
        assert!(rows.next().is_none(), "one {series} is {provenance}");
        row
    };
    let number = |row: &Row, column: &str| row[column].parse::<f64>().unwrap();
    let (now, pin) = (of("now", "modelled"), of("pin A", "modelled"));
    assert_eq!(
        (now["sparsity"].as_str(), pin["sparsity"].as_str()),
        ("0.5", "0")
    );
    assert_eq!(of("original", "modelled")["sparsity"], "0");
    for row in [now, pin] {
        assert!(number(row, "energy_typical_j_per_unit") > 0.0);
        assert_eq!(row["quality"], "");
    }
    let measured = of("now", "measured");
    assert!((number(measured, "quality") - accuracy(&window.recipe())).abs() < 1e-9);
    assert_eq!(measured["energy_typical_j_per_unit"], "");
}

#[test]
fn the_table_of_every_page_says_what_the_sliders_say() {
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.5);
    for page in [Page::Devices, Page::Layers, Page::Crossover] {
        window
            .harness
            .get_by_role_and_label(Role::Tab, page.name())
            .click();
        window.harness.run();
        let rows = table(&mut window);
        assert!(!rows.is_empty(), "{page:?}");
        for row in rows {
            assert_eq!(row["set_sparsity"], "0.5", "{page:?}");
            for column in [
                "set_model",
                "set_hardware",
                "set_region",
                "set_batch",
                "set_pue",
                "method_version",
            ] {
                assert_ne!(row[column], "", "{column} of {page:?}");
            }
        }
    }
}

/// How many pixels of a part of a picture, in shares of its sides, differ from its corner.
fn drawn(picture: &image::RgbaImage, x: (f32, f32), y: (f32, f32)) -> f32 {
    let (width, height) = picture.dimensions();
    let ground = *picture.get_pixel(0, 0);
    let at = |share: f32, side: u32| (share * side as f32) as u32;
    let (mut all, mut other) = (0.0, 0.0);
    for row in at(y.0, height)..at(y.1, height) {
        for column in at(x.0, width)..at(x.1, width) {
            all += 1.0;
            other += f32::from(u8::from(*picture.get_pixel(column, row) != ground));
        }
    }
    other / all
}

#[test]
fn the_picture_has_its_own_size_and_words_on_every_page() {
    let mut window = Setup::default().open();
    window.slider("Sparsity", 0.5);
    window.click("Pin as B");
    for page in [Page::WhatIf, Page::Devices, Page::Layers, Page::Crossover] {
        window
            .harness
            .get_by_role_and_label(Role::Tab, page.name())
            .click();
        window.harness.run();
        let (_folder, path) = export(
            &mut window,
            Modifiers::COMMAND | Modifiers::SHIFT,
            "page.png",
        );
        let picture = image::open(&path).unwrap().to_rgba8();
        assert_eq!(picture.dimensions(), (2400, 1800));
        let colours: HashSet<_> = picture.pixels().map(|pixel| pixel.0).collect();
        assert!(colours.len() > 50, "{} colours on {page:?}", colours.len());
        // Title on top, sources below, the page between them: none of them is empty or a blank sheet.
        for (part, y) in [
            ("title", (0.0, 0.08)),
            ("page", (0.2, 0.9)),
            ("sources", (0.95, 1.0)),
        ] {
            let share = drawn(&picture, (0.0, 1.0), y);
            assert!(share > 0.005, "{part} of {page:?}: {share}");
        }
        let edge = drawn(&picture, (0.0, 0.01), (0.0, 1.0));
        assert!(
            edge < 0.001,
            "something touches the edge of {page:?}: {edge}"
        );
    }
}

#[test]
fn a_session_with_a_text_size_that_is_no_number_opens_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.ron");
    std::fs::write(&path, "(settings: (text_scale: NaN, page: Layers))").unwrap();
    let mut window = Setup {
        folder: Some(folder.path()),
        ..Setup::default()
    }
    .open();
    let messages = window.app().messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(
        messages[0].starts_with(
            "Part of the last session was left out: the text size NaN is not between 0.7 and 2.5"
        ) && messages[0].ends_with("session.damaged-1.ron"),
        "{messages:?}"
    );
    let settings = &window.app().session().settings;
    assert_eq!((settings.text_scale, settings.page), (1.0, Page::Layers));
}

#[test]
fn a_damaged_session_is_kept_beside_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("session.ron"), "(configuration: (").unwrap();
    let mut window = Setup {
        folder: Some(folder.path()),
        ..Setup::default()
    }
    .open();
    assert!(window.app().messages()[0].starts_with("Starting afresh: "));
    assert_eq!(window.app().session().settings, Session::default().settings);
    window.slider("Sparsity", 0.5);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("session.damaged-1.ron"), "(configuration: (");
    assert!(read("session.ron").contains("sparsity: 0.5"));
}

/// Opens the window and writes its session, a table and a picture in turns, for as long as it lives.
fn write_until_killed(folder: &Path) {
    let mut window = Setup {
        folder: Some(folder),
        ..Setup::default()
    }
    .open();
    for round in 0_u32.. {
        window.slider("Sparsity", f64::from(1 + round % 9) / 10.0);
        // At rest the session is kept.
        window.harness.run_steps(8);
        save(&mut window, Modifiers::COMMAND, &folder.join("table.csv"));
        let shifted = Modifiers::COMMAND | Modifiers::SHIFT;
        save(&mut window, shifted, &folder.join("charts.png"));
        // Where tests are watched, what is printed is kept; this is for the one who kills.
        let mut out = std::io::stdout();
        writeln!(out, "\n{WRITTEN}").unwrap();
        out.flush().unwrap();
    }
}

/// What the window that is to be killed says after every round.
const WRITTEN: &str = "written once more";

#[test]
fn a_window_that_is_killed_loses_nothing_and_leaves_nothing() {
    /// Set where the window is to write; the test starts itself.
    const FOLDER: &str = "WATTIF_TEST_WRITES_INTO";
    const TRIALS: u32 = 10;
    if let Some(folder) = std::env::var_os(FOLDER) {
        write_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut rounds = 0;
    for trial in 0..TRIALS {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "a_window_that_is_killed_loses_nothing_and_leaves_nothing",
            ])
            .env(FOLDER, folder.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let lines = said.lines().map(Result::unwrap);
        // Once everything has been written, at another moment of the round each time.
        assert!(
            lines.into_iter().any(|line| line == WRITTEN),
            "the window ended"
        );
        rounds += 1;
        // Nobody sends: the deadline is the moment.
        let (_nobody, moment) = std::sync::mpsc::channel::<()>();
        let _ = moment.recv_timeout(Duration::from_millis(u64::from(trial * 37 % 240)));
        child.kill().unwrap();
        child.wait().unwrap();
        let file = |name: &str| folder.path().join(name);
        let session = std::fs::read_to_string(file("session.ron")).unwrap();
        ron::from_str::<Session>(&session).unwrap();
        let mut reader = csv::Reader::from_path(file("table.csv")).unwrap();
        let rows: Vec<Row> = reader.deserialize().map(Result::unwrap).collect();
        assert!(rows.len() > 10, "{} rows", rows.len());
        let picture = image::open(file("charts.png")).unwrap();
        assert!(picture.width() > 1000);
    }
    assert_eq!(rounds, TRIALS);
    // The next one that starts and writes clears up.
    let mut window = Setup {
        folder: Some(folder.path()),
        ..Setup::default()
    }
    .open();
    window.slider("Sparsity", 0.25);
    window.harness.run_steps(8);
    save(
        &mut window,
        Modifiers::COMMAND,
        &folder.path().join("table.csv"),
    );
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}
