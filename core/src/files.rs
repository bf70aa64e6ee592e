//! The one place that opens and writes files. Nothing else in the program does, and a test reads the sources for it.
//!
//! What is opened is a regular file: a pipe or a device named like one is refused before it is opened, so that no
//! command waits for a writer that never comes. What is read whole has a limit.
//!
//! What is written is written beside its place, under a name that no other writer has, and moved there once it is on the
//! disk. A file is therefore the old one or the new one, whole, whoever else writes it and whenever the program ends.
//! The writer holds a lock on its draft as long as it lives; a draft that nobody holds is a leftover, and the next
//! writer in that folder removes it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Longest file of settings: a session, a preset, a device. The longest that ships has 20 kB; what people write by hand
/// or the program keeps stays far below.
pub const LONGEST_SETTINGS: u64 = 1 << 20;

/// Longest table of measurements. The longest that ships has 1 MB; a row takes some five times its text in memory, so a
/// table of this length is still read in the memory of a small machine.
pub const LONGEST_TABLE: u64 = 64 << 20;

/// Opens a regular file, links followed, for reading; whoever calls bounds what is read, or reads piece by piece.
///
/// # Errors
/// [`Error::File`] where there is none, it may not be read, or it is a folder, a pipe, a socket or a device.
pub fn open_regular(path: &Path) -> Result<File> {
    // A pipe is found out before it is opened, as opening is what waits; what took its place since, after it.
    let found = fs::metadata(path).map_err(|error| unreadable(&error, path))?;
    require_regular(&found, path)?;
    let mut options = OpenOptions::new();
    options.read(true);
    without_waiting(&mut options);
    let file = options
        .open(path)
        .map_err(|error| unreadable(&error, path))?;
    let opened = file.metadata().map_err(|error| unreadable(&error, path))?;
    require_regular(&opened, path)?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// Those of [`open_regular`]; the file is longer, with both sizes.
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    let length = file
        .metadata()
        .map_err(|error| unreadable(&error, path))?
        .len();
    let mut bytes = Vec::new();
    if length <= limit {
        // The file may grow while it is read, and some system files do not know their length.
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(&error, path))?;
    }
    let length = length.max(bytes.len() as u64);
    if length > limit {
        return Err(Error::file(
            format!(
                "the file has {length} bytes, and files of this kind are read up to {limit} bytes"
            ),
            path,
        ));
    }
    Ok(bytes)
}

/// Reads a regular file of at most `limit` bytes as UTF-8.
///
/// # Errors
/// Those of [`read_bytes`]; the file is no text, with the first byte that is none.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read_bytes(path, limit)?).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        Error::file(format!("this is not a text file (byte {byte})"), path)
    })
}

/// Reads a text that need not be there: `None` where no file is.
///
/// # Errors
/// Those of [`read_text`], but for a file that is not there.
pub fn read_text_if_there(path: &Path, limit: u64) -> Result<Option<String>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => read_text(path, limit).map(Some),
    }
}

/// Whether two paths lead to one file; not where one of them leads to none.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| fs::canonicalize(path).ok();
    place(one).is_some_and(|one| place(other) == Some(one))
}

/// Writes a file, new or in the place of the old one: `fill` writes to a draft beside it, which is moved there when all
/// of it is on the disk. A link is followed; the file that it names is replaced and keeps its mode.
///
/// # Errors
/// [`Error::File`] where it cannot be written, is write-protected, or is no regular file; the old file is then as it was.
/// An [`Error`] that `fill` wraps ([`io::Error::other`]) comes back as it is.
pub fn replace<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
) -> Result<T> {
    write(path, fill, true)
}

/// As [`replace`], with the whole contents at hand.
///
/// # Errors
/// Those of [`replace`].
pub fn replace_with(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    replace(path, |writer| writer.write_all(contents.as_ref()))
}

/// Writes a file that must not be there yet, whole or not at all; of two writers at once one gets the error.
///
/// # Errors
/// Those of [`replace`]; a file of that name is there.
pub fn create_with(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    write(path, |writer| writer.write_all(contents.as_ref()), false)
}

/// Moves a file to another name in the same folder, over what has that name.
///
/// # Errors
/// [`Error::File`] where the folder cannot be written.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| unwritable(&error, to))?;
    sync_folder(folder_of(to));
    Ok(())
}

/// Moves a file that cannot be used out of the way, beside its place and over nothing: `session.ron` becomes
/// `session.damaged-1.ron`, or the first number that is free. Returns where it lies now.
///
/// # Errors
/// [`Error::File`] where the folder cannot be written.
pub fn set_aside(path: &Path) -> Result<PathBuf> {
    let part = |part: Option<&std::ffi::OsStr>| {
        part.map_or_else(String::new, |text| text.to_string_lossy().into_owned())
    };
    let (stem, ending) = (part(path.file_stem()), part(path.extension()));
    for number in 1.. {
        let place = path.with_file_name(format!("{stem}.damaged-{number}.{ending}"));
        // Whoever creates the name has it; moving the file there takes nothing from anybody.
        match File::create_new(&place) {
            Ok(_) => {
                return rename(path, &place)
                    .map(|()| place.clone())
                    .inspect_err(|_| {
                        // The first error is the one that matters.
                        let _ = fs::remove_file(&place);
                    });
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unwritable(&error, &place)),
        }
    }
    Err(Error::file("no name beside it is free", path))
}

/// Removes the drafts of writers that are gone from a folder, and says how many; what cannot be read or removed stays.
pub fn remove_leftovers(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| is_draft(&entry.file_name()))
        .map(|entry| entry.path())
        .filter(|path| is_abandoned(path) && fs::remove_file(path).is_ok())
        .count()
}

/// How the names of drafts begin and end.
const DRAFT: (&str, &str) = (".wattif-", ".part");

/// Age from which a draft is a leftover where the file system knows no locks.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

fn is_draft(name: &std::ffi::OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(DRAFT.0.as_bytes()) && name.ends_with(DRAFT.1.as_bytes())
}

/// Whether nobody writes a draft any more: its lock can be had.
fn is_abandoned(path: &Path) -> bool {
    let Ok(file) = open_regular(path) else {
        return false;
    };
    match file.try_lock() {
        // Whoever created it and has not locked it yet finds its name gone and takes another.
        Ok(()) => true,
        Err(fs::TryLockError::WouldBlock) => false,
        Err(fs::TryLockError::Error(_)) => file
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| {
                SystemTime::now()
                    .duration_since(time)
                    .is_ok_and(|age| age > OLD)
            }),
    }
}

fn write<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
    over: bool,
) -> Result<T> {
    let failed = |error: io::Error| {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        inner.cloned().unwrap_or_else(|| unwritable(&error, path))
    };
    if path.file_name().is_none() {
        return Err(Error::file("this is not the name of a file", path));
    }
    let place = follow(path).map_err(failed)?;
    let old = old_file(&place, path)?;
    if old.is_some() && !over {
        return Err(unwritable(&ErrorKind::AlreadyExists.into(), path));
    }
    let folder = folder_of(&place);
    remove_leftovers(folder);
    let draft = draft(folder).map_err(failed)?;
    let mut writer = BufWriter::new(draft.as_file().try_clone().map_err(failed)?);
    let value = fill(&mut writer).map_err(failed)?;
    writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    if let Some(old) = &old {
        keep_mode(draft.as_file(), old).map_err(failed)?;
    }
    draft.as_file().sync_all().map_err(failed)?;
    let moved = if over {
        draft.persist(&place)
    } else {
        draft.persist_noclobber(&place)
    };
    moved.map_err(|error| failed(error.error))?;
    sync_folder(folder);
    Ok(value)
}

/// Creates a draft and locks it.
fn draft(folder: &Path) -> io::Result<NamedTempFile> {
    /// Others that take every one of so many names are no coincidence.
    const TRIES: usize = 64;
    let mut builder = tempfile::Builder::new();
    builder.prefix(DRAFT.0).suffix(DRAFT.1).rand_bytes(12);
    // As any new file: what the user's mask leaves of it. A draft of one's own eyes only would stay so when moved.
    #[cfg(unix)]
    let builder = {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666))
    };
    for _ in 0..TRIES {
        let draft = builder.tempfile_in(folder)?;
        match draft.as_file().try_lock() {
            // Between creation and lock it may have been taken for a leftover.
            Ok(()) if draft.path().exists() => return Ok(draft),
            Ok(()) | Err(fs::TryLockError::WouldBlock) => {}
            // Without locks, age alone tells leftovers.
            Err(fs::TryLockError::Error(_)) => return Ok(draft),
        }
    }
    Err(io::Error::other("no draft could be kept in the folder"))
}

/// The place that a path leads to when its last links are followed; it need not be there.
fn follow(path: &Path) -> io::Result<PathBuf> {
    /// As the systems' own limits.
    const LINKS: usize = 40;
    let mut place = path.to_owned();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&place) {
            Ok(found) if found.file_type().is_symlink() => {
                let target = fs::read_link(&place)?;
                place = folder_of(&place).join(target);
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => return Ok(place),
        }
    }
    Err(io::Error::other("too many links lead on from it"))
}

/// What is in the place of a file to be written, if anything; only a regular file that may be written can be replaced.
fn old_file(place: &Path, path: &Path) -> Result<Option<Metadata>> {
    let found = match fs::metadata(place) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unwritable(&error, path)),
    };
    require_regular(&found, path)?;
    // Moving over a file needs no right to it; writing does, and write protection is meant.
    let mut options = OpenOptions::new();
    options.write(true);
    without_waiting(&mut options);
    match options.open(place) {
        Ok(_) => Ok(Some(found)),
        Err(error) => Err(unwritable(&error, path)),
    }
}

#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
}

#[cfg(not(unix))]
fn without_waiting(_: &mut OpenOptions) {}

fn require_regular(found: &Metadata, path: &Path) -> Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let fact = if found.is_dir() {
        "this is a folder, not a file"
    } else {
        special(found)
    };
    Err(Error::file(fact, path))
}

#[cfg(unix)]
fn special(found: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = found.file_type();
    if kind.is_fifo() {
        "this is a pipe, not a regular file"
    } else if kind.is_socket() {
        "this is a socket, not a regular file"
    } else {
        "this is a device, not a regular file"
    }
}

#[cfg(not(unix))]
fn special(_: &Metadata) -> &'static str {
    "this is not a regular file"
}

/// Gives a new file the mode of the old one, and its owner where that is allowed.
fn keep_mode(file: &File, old: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            // Only the superuser may give files away; a file of one's own is then the next best.
            let _ = fchown(file, Some(old.uid()), Some(old.gid()));
        }
    }
    file.set_permissions(old.permissions())
}

/// Brings a new name to the disk.
fn sync_folder(folder: &Path) {
    // Not every file system can. The name is there; after a loss of power the old file would be, and whole.
    #[cfg(unix)]
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    #[cfg(not(unix))]
    let _ = folder;
}

/// The folder of a path; that of a bare name is the empty path, which no system call understands.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// What an error of reading a file means.
pub(crate) fn unreadable(error: &io::Error, path: &Path) -> Error {
    let fact = match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "the file may not be read by this user".to_owned(),
        _ => format!("the file cannot be read ({error})"),
    };
    Error::file(fact, path)
}

fn unwritable(error: &io::Error, path: &Path) -> Error {
    let fact = match error.kind() {
        ErrorKind::NotFound => "cannot be written (there is no such folder)".to_owned(),
        ErrorKind::AlreadyExists => "a file of that name is there already".to_owned(),
        _ => format!("cannot be written ({error})"),
    };
    Error::file(fact, path)
}

#[cfg(test)]
mod tests;
