//! What the sources must not contain, because one place does it for all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

use std::path::{Path, PathBuf};

/// Ways to open, write, copy or move a file that go past `wattif_core::files`.
const PAST_FILES: [&str; 16] = [
    "fs::read(",
    "fs::read_to_string",
    "fs::write(",
    "fs::copy(",
    "fs::rename(",
    "fs::hard_link(",
    "File::open",
    "File::create",
    "File::options",
    "OpenOptions",
    "serialize_to_file",
    "::from_path(",
    "save_buffer",
    "image::open",
    "Mmap",
    "request_screenshot",
];

/// Files that may, and why.
const MAY: [(&str, &str); 4] = [
    ("core/src/files.rs", "the one place"),
    (
        "core/src/power/mod.rs",
        "sensors below /sys, which have no length",
    ),
    (
        "core/src/hardware/this_cpu.rs",
        "what /proc says of the processor",
    ),
    (
        "src/cli/bench.rs",
        "what /proc says of the program's own memory",
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().unwrap() != "tests" {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && path.file_name().unwrap() != "tests.rs"
        {
            found.push(path);
        }
    }
}

/// The lines of a file but those of its tests, which stand at its end.
fn lines_of_program(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = |pair: &[&str]| {
        pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{')
    };
    let end = lines.windows(2).position(tests).unwrap_or(lines.len());
    lines
        .into_iter()
        .take(end)
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn files_are_opened_and_written_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "core/src"] {
        sources(&root.join(folder), &mut found);
    }
    assert!(found.len() > 150, "{} sources", found.len());
    let mut seen = Vec::new();
    let mut wrong = Vec::new();
    for path in found {
        let name = path
            .strip_prefix(root)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        let text = std::fs::read_to_string(&path).unwrap();
        for (place, line) in lines_of_program(&text) {
            if !PAST_FILES.iter().any(|way| line.contains(way)) {
                continue;
            }
            if MAY.iter().any(|(file, _)| *file == name) {
                seen.push(name.clone());
            } else {
                wrong.push(format!("{name}:{}: {}", place + 1, line.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "use wattif_core::files instead:\n{}",
        wrong.join("\n")
    );
    for (file, reason) in MAY {
        assert!(
            seen.iter().any(|name| name == file),
            "{file} need not be allowed: {reason}"
        );
    }
}

/// Modules of the engine from the ground up: none imports what stands below it here.
const FLOORS: [&[&str]; 14] = [
    &[
        "text", "unique", "error", "units", "digits", "spread", "number",
    ],
    &["files", "named", "power"],
    &["recipe", "profile", "scenario", "measurement"],
    &["graph", "places", "carbon"],
    &["serving", "software", "hardware"],
    &[
        "model",
        "outline",
        "formats",
        "run",
        "runner",
        "weights",
        "tokenizer",
    ],
    &["footprint", "storage", "water", "data"],
    &["tables", "training"],
    &["compress", "evaluate", "students", "folders"],
    &["preset"],
    &["engine"],
    &["worker"],
    &["benchmark"],
    &["lib"],
];

/// Imports upward that are still there, the importing module first. The list only gets shorter.
const UPWARD: [(&str, &str); 12] = [
    ("engine", "benchmark"),
    ("formats", "compress"),
    ("hardware", "folders"),
    ("model", "compress"),
    ("outline", "compress"),
    ("outline", "footprint"),
    ("profile", "serving"),
    ("scenario", "software"),
    ("serving", "model"),
    ("serving", "tables"),
    ("training", "compress"),
    ("worker", "benchmark"),
];

#[test]
fn no_module_of_the_engine_imports_upward() {
    let floor = |module: &str| FLOORS.iter().position(|floor| floor.contains(&module));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    let mut upward = Vec::new();
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap();
        let own = first.as_os_str().to_string_lossy().replace(".rs", "");
        let own_floor = floor(&own).unwrap_or_else(|| panic!("'{own}' has no floor"));
        // Files that only tests include see everything.
        let parent = path.parent().unwrap().join("mod.rs");
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let beside = path.parent().unwrap().with_extension("rs");
        let only_tests = [parent, beside].iter().any(|file| {
            std::fs::read_to_string(file)
                .is_ok_and(|text| text.contains(&format!("#[cfg(test)]\nmod {name};")))
        });
        if only_tests {
            continue;
        }
        for (place, line) in lines_of_program(&text) {
            for other in line.split("crate::").skip(1) {
                let end = other.find(|c: char| !c.is_alphanumeric() && c != '_');
                let other = &other[..end.unwrap_or(other.len())];
                if floor(other).is_some_and(|floor| floor > own_floor) {
                    upward.push((own.clone(), other.to_owned(), inside.to_owned(), place + 1));
                }
            }
        }
    }
    let known = |own: &str, other: &str| UPWARD.contains(&(own, other));
    let wrong: Vec<_> = upward
        .iter()
        .filter(|(own, other, ..)| !known(own, other))
        .collect();
    assert!(wrong.is_empty(), "these import upward: {wrong:?}");
    for (own, other) in UPWARD {
        assert!(
            upward
                .iter()
                .any(|(a, b, ..)| (a.as_str(), b.as_str()) == (own, other)),
            "{own} no longer imports {other}: strike it out"
        );
    }
}

/// The table of ARCHITECTURE.md names files that are there, and a family is what it says: a file, a line and a variant.
#[test]
fn additions_touch_what_the_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (_, table) = text.split_once("| addition | files |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let mut named = 0;
    for path in table.split('`').skip(1).step_by(2) {
        assert!(root.join(path).exists(), "{path} is named and not there");
        named += 1;
    }
    assert!(named >= 15, "{named}");
    let families = root.join("core/src/model/families");
    let list = std::fs::read_to_string(families.join("mod.rs")).unwrap();
    let variants = std::fs::read_to_string(root.join("core/src/model/architecture.rs")).unwrap();
    let mut found = 0;
    for entry in std::fs::read_dir(families).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "mod" {
            continue;
        }
        found += 1;
        assert!(list.contains(&format!("mod {name};")), "{name} has no line");
        let variant = name[..1].to_uppercase() + &name[1..];
        assert!(
            variants.contains(&format!("Self::{variant}(config) => config,")),
            "{name} has no arm"
        );
        // Nothing else of the engine but what is trained here knows the families.
        let matched = format!("Architecture::{variant}(config) =>");
        let mut sources_found = Vec::new();
        sources(&root.join("core/src"), &mut sources_found);
        for source in sources_found {
            let inside = source
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let training = inside.starts_with("core/src/compress/distill");
            let oracle = inside.ends_with("run/plain.rs");
            let text = std::fs::read_to_string(&source).unwrap();
            assert!(
                training
                    || oracle
                    || !lines_of_program(&text).any(|(_, line)| line.contains(&matched)),
                "{inside} knows {variant}"
            );
        }
    }
    assert!(found >= 3, "{found}");
}
