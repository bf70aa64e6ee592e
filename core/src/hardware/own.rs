//! The user's own devices: files of the same form as those that ship, in the folder `hardware` of the configuration.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::catalogue::{catalogue, find, options, parse, ships};
use super::{CostModel, HardwareTarget};
use crate::error::{Error, Result};

/// Ending of the files.
const EXTENSION: &str = "ron";

/// The folder of the own devices in a configuration folder.
pub fn folder(configuration: &Path) -> PathBuf {
    configuration.join("hardware")
}

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// The devices, by file name.
    pub(super) targets: Vec<HardwareTarget>,
    /// The files that hold none, each with its reason.
    pub(super) broken: Vec<Error>,
}

/// Reads every device file of a folder; one that is broken does not hide the others. No folder is no device.
pub(super) fn read(folder: &Path) -> Own {
    let mut own = Own::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                own.broken.push(unreadable(&error, folder));
            }
            return own;
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == EXTENSION))
        .collect();
    paths.sort();
    for path in paths {
        let checked = check(&path).and_then(|target| match same_name(&own.targets, &target.id) {
            true => Err(Error::file(
                format!("another of your files already describes '{}'", target.id),
                &path,
            )),
            false => Ok(target),
        });
        match checked {
            Ok(target) => own.targets.push(target),
            Err(error) => own.broken.push(error),
        }
    }
    own
}

fn same_name(targets: &[HardwareTarget], id: &str) -> bool {
    targets
        .iter()
        .any(|target| target.id.eq_ignore_ascii_case(id))
}

/// Reads one file as a device of the user's.
///
/// # Errors
/// [`Error::File`] with line and field where it breaks the schema, and where its identifier cannot be used.
pub fn check(path: &Path) -> Result<HardwareTarget> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error, path))?;
    let target = parse(&text, path)?;
    check_id(&target.id).map_err(|fact| Error::file(fact, path))?;
    Ok(HardwareTarget {
        yours: true,
        ..target
    })
}

fn unreadable(error: &std::io::Error, path: &Path) -> Error {
    Error::file(format!("cannot be read ({error})"), path)
}

/// An identifier is a file name on every system, and not the name of something else.
fn check_id(id: &str) -> std::result::Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if id.is_empty() || !id.chars().all(plain) {
        return Err(format!(
            "the identifier '{id}' may hold only letters, digits, '-' and '_', at least one of them"
        ));
    }
    if ships(id) {
        return Err(format!(
            "'{id}' is the identifier of a device that ships with WattIf; presets that name it would change their \
             meaning, so choose another"
        ));
    }
    Ok(())
}

/// Copies a device file into the folder of the own devices, under the name of its identifier.
///
/// # Errors
/// Those of [`check`]; a file of that name with other contents is there already; the folder cannot be written.
pub fn install(path: &Path, folder: &Path) -> Result<HardwareTarget> {
    let target = check(path)?;
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error, path))?;
    let place = folder.join(&target.id).with_extension(EXTENSION);
    match fs::read_to_string(&place) {
        Ok(there) if there == text => {}
        Ok(_) => {
            return Err(Error::file(
                format!(
                    "your folder already holds another device '{}'; edit or remove that file first",
                    target.id
                ),
                place,
            ));
        }
        Err(_) => write(&text, &place)?,
    }
    Ok(target)
}

/// Writes a copy of a device under another identifier into the folder of the own devices, for people to edit, and
/// returns its path. The copy of this machine holds what was found out here.
///
/// # Errors
/// No device is called `id`; `new_id` cannot be used or is taken; the folder cannot be written.
pub fn clone(id: &str, new_id: &str, folder: &Path) -> Result<PathBuf> {
    let original = find(id)?;
    let place = folder.join(new_id).with_extension(EXTENSION);
    check_id(new_id).map_err(|fact| Error::file(fact, &place))?;
    if same_name(catalogue()?, new_id) || place.exists() {
        return Err(Error::file(
            format!("one of your devices is already called '{new_id}'"),
            place,
        ));
    }
    let copy = HardwareTarget {
        id: new_id.to_owned(),
        name: format!("{} ({new_id})", original.name),
        notes: format!("Copy of {id}. {}", original.notes)
            .trim()
            .to_owned(),
        ..original.clone()
    };
    write(&to_text(&copy)?, &place)?;
    Ok(place)
}

/// A device as the text of its file.
///
/// # Errors
/// [`Error::Compute`] where a value has no text.
fn to_text(target: &HardwareTarget) -> Result<String> {
    // One line per figure: the outer levels are broken up, what is inside them is not.
    let levels = match target.model {
        CostModel::Processor(_) => 3,
        CostModel::Fpga(_) | CostModel::Neuromorphic(_) | CostModel::Microcontroller(_) => 2,
    };
    let layout = ron::ser::PrettyConfig::new().depth_limit(levels);
    let body = options()
        .to_string_pretty(target, layout)
        .map_err(|error| Error::Compute(format!("the device cannot be written: {error}")))?;
    Ok(format!(
        "// A device of your own. Every figure carries its source; `trust` says whether that source was read: Published,\n\
         // Quoted, Detected, Derived, Fitted, or Assumed (which needs low and high). SI units: watts, operations per\n\
         // second, bytes, joules, seconds, grams of CO2 equivalent.\n{body}\n"
    ))
}

/// Writes a file beside its place and then moves it there, so that a half-written device is never read.
fn write(text: &str, place: &Path) -> Result<()> {
    let unwritable =
        |error: std::io::Error| Error::file(format!("cannot be written ({error})"), place);
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).map_err(unwritable)?;
    }
    let beside = place.with_extension("part");
    fs::write(&beside, text).map_err(unwritable)?;
    fs::rename(&beside, place).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../../assets/hardware/nvidia-t4.ron");

    /// A device file of one's own, with a part replaced.
    fn mine(from: &str, to: &str) -> String {
        let text = GOOD.replacen("\"nvidia-t4\"", "\"mine\"", 1);
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    }

    fn line_of(text: &str, part: &str) -> usize {
        text.lines().position(|line| line.contains(part)).unwrap() + 1
    }

    #[test]
    fn every_broken_file_names_fact_line_and_field_then_its_path() {
        // What is replaced, by what, the fact, and what stands on the line that is named.
        let cases = [
            ("launch:", "lunch:", "field named `lunch`", "lunch:"),
            ("class: Gpu", "class: Abacus", "Abacus", "class: Abacus"),
            ("year: 20", "year: -20", "line", "year: -20"),
            ("trust: ", "trust: Hearsay", "Hearsay", "Hearsay"),
            (
                "power_limit: (",
                "power_limit: (low: 1e9, ",
                "power_limit has low 1000000000",
                "power_limit: (",
            ),
            (
                "typical: 70.0",
                "typical: -70.0",
                "power_limit is not a finite number of at least 0",
                "power_limit: (",
            ),
            (
                "compute_efficiency: (low: 0.4",
                "compute_efficiency: (low: 1.4",
                "compute_efficiency has low 1.4",
                "compute_efficiency: (",
            ),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.ron");
        for (from, to, fact, place) in cases {
            let text = mine(from, to);
            fs::write(&path, &text).unwrap();
            let message = check(&path).unwrap_err().to_string();
            let line = format!("line {}:", line_of(&text, place));
            assert!(message.starts_with(&line), "{message} ({line})");
            assert!(message.contains(fact), "{message}");
            assert!(
                message.ends_with(&format!(": {}", path.display())),
                "{message}"
            );
        }
        let bandwidth = mine("bandwidth: (", "bandwidth: (low: 1e30, ");
        fs::write(&path, &bandwidth).unwrap();
        let message = check(&path).unwrap_err().to_string();
        let line = line_of(&bandwidth, "low: 1e30");
        assert!(
            message.starts_with(&format!("line {line}: memory bandwidth has low")),
            "{message}"
        );
    }

    #[test]
    fn a_broken_file_does_not_hide_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        put("a.ron", &mine("", ""));
        put("b.ron", "(id: 7)");
        put("c.ron", &mine("", ""));
        put("d.ron", GOOD);
        put("e.ron", &mine("\"mine\"", "\"../mine\""));
        put("notes.txt", "not a device");
        let own = read(folder.path());
        let ids: Vec<&str> = own.targets.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(ids, ["mine"]);
        assert!(own.targets[0].yours);
        let messages: Vec<String> = own.broken.iter().map(ToString::to_string).collect();
        let expected = [
            ("b.ron", "line 1:"),
            ("c.ron", "another of your files already describes 'mine'"),
            (
                "d.ron",
                "'nvidia-t4' is the identifier of a device that ships with WattIf",
            ),
            (
                "e.ron",
                "may hold only letters, digits, '-' and '_', at least one of them",
            ),
        ];
        assert_eq!(messages.len(), expected.len(), "{messages:?}");
        for (message, (file, fact)) in messages.iter().zip(expected) {
            assert!(
                message.ends_with(file) && message.contains(fact),
                "{message}"
            );
        }
        assert!(read(&folder.path().join("nowhere")).broken.is_empty());
    }

    #[test]
    fn a_clone_of_any_device_is_the_device_again() {
        let folder = tempfile::tempdir().unwrap();
        for (place, target) in catalogue().unwrap().iter().enumerate() {
            let path = clone(&target.id, &format!("copy-{place}"), folder.path()).unwrap();
            let copy = check(&path).unwrap();
            assert_eq!(copy.model, target.model, "{}", target.id);
            assert_eq!(copy.power_limit, target.power_limit);
            assert_eq!(copy.static_power, target.static_power);
            assert_eq!(copy.embodied, target.embodied);
        }
        let again = clone("nvidia-t4", "copy-0", folder.path()).unwrap_err();
        assert!(
            again
                .to_string()
                .starts_with("one of your devices is already called 'copy-0'"),
            "{again}"
        );
        for taken in ["nvidia-a40", "", "a/b"] {
            clone("nvidia-t4", taken, folder.path()).unwrap_err();
        }
    }

    #[test]
    fn an_installed_file_is_never_overwritten_by_another() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("in.ron"), folder.path().join("own"));
        fs::write(&from, mine("", "")).unwrap();
        for _ in 0..2 {
            assert_eq!(install(&from, &to).unwrap().id, "mine");
        }
        fs::write(&from, mine("launch: (low: 2e-06", "launch: (low: 1e-06")).unwrap();
        let message = install(&from, &to).unwrap_err().to_string();
        assert!(
            message.starts_with("your folder already holds another device 'mine'"),
            "{message}"
        );
        assert_eq!(
            fs::read_to_string(to.join("mine.ron")).unwrap(),
            mine("", "")
        );
    }
}
