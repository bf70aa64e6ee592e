//! The user's own devices: files of the same form as those that ship, in the folder `hardware` of the configuration.

mod identifier;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use self::identifier::check_id;
use super::catalogue::{find, options, parse};
use super::{CostModel, HardwareTarget};
use crate::error::{Error, Result};
use crate::files::{self, LONGEST_SETTINGS};

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
    let paths = match device_files(folder) {
        Ok(paths) => paths,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                own.broken.push(unreadable(&error, folder));
            }
            return own;
        }
    };
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

/// The files of a folder that should hold devices, by name.
fn device_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == EXTENSION))
        .collect();
    paths.sort();
    Ok(paths)
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
    read_device(&files::read_text(path, LONGEST_SETTINGS)?, path)
}

fn read_device(text: &str, path: &Path) -> Result<HardwareTarget> {
    let target = parse(text, path)?;
    check_id(&target.id).map_err(|fact| Error::file(fact, path))?;
    Ok(HardwareTarget {
        yours: true,
        ..target
    })
}

fn unreadable(error: &std::io::Error, path: &Path) -> Error {
    Error::file(format!("cannot be read ({error})"), path)
}

/// Copies a device file into the folder of the own devices, under the name of its identifier.
///
/// # Errors
/// Those of [`check`]; a file of that name with other contents is there already; the folder cannot be written.
pub fn install(path: &Path, folder: &Path) -> Result<HardwareTarget> {
    let text = files::read_text(path, LONGEST_SETTINGS)?;
    let target = read_device(&text, path)?;
    let place = path_of(&target.id, folder);
    match files::read_text_if_there(&place, LONGEST_SETTINGS)? {
        Some(there) if there == text => {}
        Some(_) => {
            return Err(Error::file(
                format!(
                    "your folder already holds another device '{}'; edit or remove that file first",
                    target.id
                ),
                place,
            ));
        }
        None => {
            create_folder(folder)?;
            files::create_with(&place, text)?;
        }
    }
    Ok(target)
}

/// Writes a copy of a device under another identifier into the folder of the own devices, for people to edit, and
/// returns its path. The copy of this machine holds what was found out here.
///
/// # Errors
/// No device is called `id`; those of [`add`].
pub fn clone(id: &str, new_id: &str, folder: &Path) -> Result<PathBuf> {
    add(&copy(find(id)?, new_id), folder)
}

/// A copy of a device under another identifier, of the user's own; nothing is written.
pub fn copy(original: &HardwareTarget, new_id: &str) -> HardwareTarget {
    let origin = original
        .like
        .clone()
        .or_else(|| (!original.yours).then(|| original.id.clone()));
    HardwareTarget {
        id: new_id.to_owned(),
        name: format!("{} ({new_id})", original.name),
        notes: format!("Copy of {}. {}", original.id, original.notes)
            .trim()
            .to_owned(),
        like: origin,
        yours: true,
        ..original.clone()
    }
}

/// Whether a new device may have this identifier.
///
/// # Errors
/// It cannot be an identifier, or one of the user's devices in `folder` has it.
pub fn check_new_id(id: &str, folder: &Path) -> std::result::Result<(), String> {
    check_id(id)?;
    if same_name(&read(folder).targets, id) || path_of(id, folder).exists() {
        return Err(format!("one of your devices is already called '{id}'"));
    }
    Ok(())
}

fn path_of(id: &str, folder: &Path) -> PathBuf {
    folder.join(id).with_extension(EXTENSION)
}

/// Writes a new device into the folder of the own devices, and returns its path.
///
/// # Errors
/// Those of [`check_new_id`]; the device fails the checks of its file; the folder cannot be written.
pub fn add(target: &HardwareTarget, folder: &Path) -> Result<PathBuf> {
    let place = path_of(&target.id, folder);
    // What is no identifier is no file name either.
    check_new_id(&target.id, folder).map_err(|fact| Error::file(fact, folder))?;
    let text = checked_text(target, &place)?;
    create_folder(folder)?;
    files::create_with(&place, text)?;
    Ok(place)
}

/// Writes a device in the place of the one with its identifier. The old file stays beside it, its name with
/// [`BACKUP`] at the end, as comments and layout are not carried over.
///
/// # Errors
/// No file of the folder holds that device; it fails the checks of its file; the folder cannot be written.
pub fn replace(target: &HardwareTarget, folder: &Path) -> Result<PathBuf> {
    let place = file_of(&target.id, folder)?;
    let text = checked_text(target, &place)?;
    let old = files::read_bytes(&place, LONGEST_SETTINGS)?;
    files::replace_with(&backup(&place), old)?;
    files::replace_with(&place, text)?;
    Ok(place)
}

/// Takes a device out of the folder and returns where its file lies now: its name with [`BACKUP`] at the end.
///
/// # Errors
/// No file of the folder holds that device; the folder cannot be written.
pub fn remove(id: &str, folder: &Path) -> Result<PathBuf> {
    let place = file_of(id, folder)?;
    let kept = backup(&place);
    files::rename(&place, &kept)?;
    Ok(kept)
}

/// What the names of files that were replaced or removed end with.
pub const BACKUP: &str = ".bak";

fn backup(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(BACKUP);
    PathBuf::from(name)
}

/// The file that describes a device: usually of its name, but people name files as they like.
fn file_of(id: &str, folder: &Path) -> Result<PathBuf> {
    device_files(folder)
        .map_err(|error| unreadable(&error, folder))?
        .into_iter()
        .find(|path| check(path).is_ok_and(|target| target.id.eq_ignore_ascii_case(id)))
        .ok_or_else(|| Error::file(format!("no file here describes '{id}'"), folder))
}

/// The text of a device, after it was read back as its file will be.
fn checked_text(target: &HardwareTarget, place: &Path) -> Result<String> {
    let text = to_text(target)?;
    let read = parse(&text, place)?;
    check_id(&read.id).map_err(|fact| Error::file(fact, place))?;
    Ok(text)
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
         // Quoted, Detected, Derived, Fitted, Given (by you), or Assumed (which needs low and high). SI units: watts,\n\
         // operations per second, bytes, joules, seconds, grams of CO2 equivalent.\n{body}\n"
    ))
}

fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .map_err(|error| Error::file(format!("cannot be written ({error})"), folder))
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::catalogue;
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
            assert_eq!(copy.like.as_ref(), Some(&target.id));
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
        for taken in ["nvidia-a40", "", "a/b", "con"] {
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

    #[test]
    fn a_changed_device_takes_the_place_of_its_file_and_the_old_text_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut target = copy(find("nvidia-t4").unwrap(), "mine");
        add(&target, folder.path()).unwrap();
        // People name their files as they like, and write comments.
        let path = folder.path().join("a card.ron");
        let text = fs::read_to_string(folder.path().join("mine.ron")).unwrap() + "// keep me\n";
        fs::remove_file(folder.path().join("mine.ron")).unwrap();
        fs::write(&path, &text).unwrap();
        let taken = add(&target, folder.path()).unwrap_err().to_string();
        assert!(
            taken.starts_with("one of your devices is already called 'mine'"),
            "{taken}"
        );
        target.name = "Mine, changed".to_owned();
        assert_eq!(replace(&target, folder.path()), Ok(path.clone()));
        assert_eq!(check(&path).unwrap(), target);
        let kept = folder.path().join("a card.ron.bak");
        assert_eq!(fs::read_to_string(&kept).unwrap(), text);
        // What fails its checks leaves the file alone.
        target.power_limit.source.clear();
        let refused = replace(&target, folder.path()).unwrap_err().to_string();
        assert!(
            refused.contains("power_limit has an empty source"),
            "{refused}"
        );
        assert_eq!(check(&path).unwrap().name, "Mine, changed");
        assert_eq!(remove("mine", folder.path()), Ok(kept));
        assert!(!path.exists());
        assert!(read(folder.path()).targets.is_empty());
        for gone in [
            remove("mine", folder.path()).map(drop),
            replace(&target, folder.path()).map(drop),
        ] {
            let message = gone.unwrap_err().to_string();
            assert!(
                message.starts_with("no file here describes 'mine'"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_copy_of_a_copy_remembers_what_ships() {
        let first = copy(find("nvidia-h100-sxm").unwrap(), "first");
        let second = copy(&first, "second");
        assert_eq!(second.like.as_deref(), Some("nvidia-h100-sxm"));
        let unrelated = HardwareTarget {
            like: None,
            ..first
        };
        assert_eq!(copy(&unrelated, "third").like, None);
    }
}
