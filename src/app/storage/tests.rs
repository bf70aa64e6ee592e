//! Sessions as they should not be.

use super::super::axis::Axis;
use super::super::theme::ThemeChoice;
use super::*;

/// A session in which nothing is as it is at first.
fn sample() -> Session {
    let mut session = Session {
        axis: Axis::Demand,
        ..Session::default()
    };
    session.configuration.recipe.quantization.weight_bits = 4;
    session.configuration.scenario.batch = 8;
    session.configuration.scenario.wue = Some(1.5);
    session.pins = [
        Some(Configuration::default()),
        Some(session.configuration.clone()),
    ];
    session.settings.theme = ThemeChoice::Dark;
    session.settings.text_scale = 1.3;
    session.settings.show_results = false;
    session
}

fn text_of(session: &Session) -> String {
    ron::ser::to_string_pretty(session, ron::ser::PrettyConfig::default()).unwrap()
}

fn load_text(text: &str) -> (Loaded, Vec<String>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), text).unwrap();
    let loaded = load(folder.path());
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    (loaded, names, folder)
}

#[test]
fn a_session_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(load(folder.path()).session, Session::first());
    save(folder.path(), &sample()).unwrap();
    let loaded = load(folder.path());
    assert_eq!(loaded.session, sample());
    assert_eq!((loaded.complaint, loaded.keep), (None, true));
    // Fields of later versions are missing in an older file.
    let (loaded, names, _folder) = load_text("()");
    assert_eq!(loaded.session, Session::default());
    assert_eq!((loaded.complaint, names), (None, vec![FILE.to_owned()]));
}

#[test]
fn a_session_that_cannot_be_used_is_set_aside_and_said() {
    let damaged = [
        "",
        "(configuration: (",
        "\u{0}",
        "[1, 2]",
        "(configuration: (), configuration: ())",
    ];
    for text in damaged {
        let (loaded, names, folder) = load_text(text);
        assert_eq!(loaded.session, Session::default(), "{text}");
        assert_eq!(names, ["session.damaged-1.ron"], "{text}");
        let (title, said) = loaded.complaint.unwrap();
        assert_eq!(title, AFRESH);
        assert!(said.ends_with("session.damaged-1.ron"), "{said}");
        let kept = folder.path().join("session.damaged-1.ron");
        assert_eq!(fs::read_to_string(kept).unwrap(), text);
        assert!(loaded.keep);
    }
}

#[cfg(unix)]
#[test]
fn a_session_that_is_no_file_is_set_aside_as_well() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join(FILE)).unwrap();
    let (title, said) = load(folder.path()).complaint.unwrap();
    assert_eq!(title, AFRESH);
    assert!(
        said.starts_with("this is a device, not a regular file"),
        "{said}"
    );
    save(folder.path(), &sample()).unwrap();
    assert_eq!(load(folder.path()).session, sample());
}

#[test]
fn what_is_wrong_in_a_session_is_left_out_and_the_rest_kept() {
    let cases = [
        (
            "text_scale: 1.3",
            "text_scale: NaN",
            "the text size NaN is not between 0.7 and 2.5",
        ),
        ("text_scale: 1.3", "text_scale: inf", "the text size inf"),
        ("text_scale: 1.3", "text_scale: 9", "the text size 9"),
        (
            "text_scale: 1.3",
            "text_scale: \"big\"",
            "the text size cannot be read",
        ),
        ("theme: Dark", "theme: Purple", "the theme cannot be read"),
        ("page: WhatIf", "page: Lunch", "the page cannot be read"),
        (
            "axis: Demand",
            "axis: Lunch",
            "the axis of the charts cannot be read",
        ),
        (
            "weight_bits: 4",
            "weight_bits: 99",
            "the recipe of the configuration: ",
        ),
        (
            "batch: 8",
            "batch: 0",
            "the scenario of the configuration: ",
        ),
        (
            "batch: 8",
            "batch: -3",
            "the scenario of the configuration cannot be read",
        ),
        (
            "wue: Some(1.5)",
            "wue: Some(NaN)",
            "the scenario of the configuration: ",
        ),
    ];
    for (from, to, fact) in cases {
        let text = text_of(&sample());
        assert!(text.contains(from), "{from} is not in {text}");
        let changed = text.replacen(from, to, 1);
        let (loaded, names, folder) = load_text(&changed);
        let (title, said) = loaded.complaint.unwrap();
        assert_eq!(title, PARTLY);
        assert!(said.starts_with(fact), "{said}");
        assert!(said.ends_with("session.damaged-1.ron"), "{said}");
        assert_eq!(names, ["session.damaged-1.ron", FILE], "{to}");
        let kept = fs::read_to_string(folder.path().join(&names[0])).unwrap();
        assert_eq!(kept, changed);
        // What is kept has nothing wrong, and the pins as they were.
        assert_eq!(loaded.session.pins, sample().pins, "{to}");
        assert_ne!(loaded.session, Session::default());
        let again = load(folder.path());
        assert_eq!((again.complaint, again.session), (None, loaded.session));
    }
}

#[test]
fn a_pin_that_is_wrong_does_not_take_the_other() {
    // The pins come after the configuration, whose recipe and scenario read the same.
    let text = text_of(&sample());
    let at = text.find("pins:").unwrap();
    for (from, to) in [
        ("sparsity: 0.0", "sparsity: NaN"),
        ("batch: 32", "batch: 0"),
    ] {
        let (head, tail) = text.split_at(at);
        assert!(tail.contains(from), "{from} is not in {tail}");
        let (loaded, _, _folder) = load_text(&(head.to_owned() + &tail.replacen(from, to, 1)));
        let (_, said) = loaded.complaint.unwrap();
        assert!(said.contains("of pin A: "), "{said}");
        let expected = [None, sample().pins[1].clone()];
        assert_eq!(loaded.session.pins, expected);
        assert_eq!(loaded.session.configuration, sample().configuration);
    }
}

/// Every number of a session, one after the other, as what it must not be.
#[test]
fn no_number_of_a_session_is_trusted() {
    let text = text_of(&sample());
    let lines: Vec<&str> = text.lines().collect();
    let mut tried = 0;
    for (place, line) in lines.iter().enumerate() {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        if !value.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        for nonsense in [
            "NaN", "inf", "-inf", "-1", "1e300", "1e400", "\"x\"", "None", "()",
        ] {
            let changed = format!("{name}: {nonsense},");
            let mut lines = lines.clone();
            lines[place] = &changed;
            let (loaded, _, _folder) = load_text(&lines.join("\n"));
            let session = loaded.session;
            let pins = session.pins.iter().flatten();
            for configuration in pins.chain([&session.configuration]) {
                configuration.recipe.validate().unwrap();
                configuration.scenario.validate().unwrap();
            }
            let (least, most) = Settings::TEXT_SCALES;
            assert!((least..=most).contains(&session.settings.text_scale));
            // A session that is equal to itself has no number that is none.
            assert_eq!(session, session.clone(), "{changed}");
            tried += 1;
        }
    }
    assert!(tried > 9 * 40, "{tried} numbers were tried");
}
