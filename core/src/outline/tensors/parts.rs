//! Models in several files: `model-00001-of-00004.safetensors` beside its siblings, or the index that lists them.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::files;

/// Ends of the names of files with weights, each of which an index of several adds its own to.
const ENDINGS: [&str; 2] = [".safetensors", ".bin"];
/// What an index adds.
const INDEX: &str = ".index.json";
/// The most parts of a model; published ones have up to a few hundred.
const MOST_PARTS: u32 = 10_000;
/// The longest index; that of DeepSeek V3, with 91,991 tensors one of the longest, has 9 MB.
const LONGEST_INDEX: u64 = 64 << 20;

/// Whether a file is the index of a model in several files, by its name.
pub(crate) fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        let of = name.strip_suffix(INDEX);
        of.is_some_and(|of| ENDINGS.iter().any(|ending| of.ends_with(ending)))
    })
}

/// Whether a file is one of several that hold a model, by its name.
pub(crate) fn is_part(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| numbered(&name.to_string_lossy()).is_some_and(|parts| parts.count > 1))
}

/// All files of the model that a file is, is a part of, or lists.
///
/// # Errors
/// [`Error::File`] for an index that cannot be read, or a part that is not there.
pub(crate) fn of(path: &Path) -> Result<Vec<PathBuf>> {
    let names = if is_index(path) {
        listed(path)?
    } else {
        siblings(path)?
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let parts: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    match parts.iter().find(|part| !part.is_file()) {
        Some(missing) if missing != path => Err(Error::file(
            format!(
                "this is one model in {} files, and {} is not beside it",
                parts.len(),
                missing
                    .file_name()
                    .map(|name| name.to_string_lossy())
                    .unwrap_or_default()
            ),
            path,
        )),
        _ => Ok(parts),
    }
}

/// The names in an index.
fn listed(path: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let text = files::read_text(path, LONGEST_INDEX)?;
    let index: Index = serde_json::from_str(&text).map_err(|error| {
        Error::file(
            format!("is not the index of a model in several files ({error})"),
            path,
        )
    })?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    // A list of files is no way out of its folder.
    let is_plain = |name: &str| {
        let mut components = Path::new(name).components();
        matches!(
            (components.next(), components.next()),
            (Some(Component::Normal(_)), None)
        )
    };
    if let Some(name) = names.iter().find(|name| !is_plain(name)) {
        return Err(Error::file(
            format!(
                "lists '{}', which is no file of its folder",
                name.escape_debug()
            ),
            path,
        ));
    }
    if names.is_empty() {
        return Err(Error::file("lists no files", path));
    }
    Ok(names.into_iter().collect())
}

/// The names of all parts, where a name says that there are several.
fn siblings(path: &Path) -> Result<Vec<String>> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let Some(Parts {
        stem,
        count,
        digits,
        ending,
    }) = numbered(&name)
    else {
        return Ok(vec![name]);
    };
    if count > MOST_PARTS {
        return Err(Error::file(
            format!(
                "its name says that it is one of {count} files; more than {MOST_PARTS} are not read"
            ),
            path,
        ));
    }
    Ok((1..=count)
        .map(|part| format!("{stem}-{part:0digits$}-of-{count:0digits$}{ending}"))
        .collect())
}

/// What the name of one file of several says.
struct Parts<'a> {
    stem: &'a str,
    count: u32,
    digits: usize,
    ending: &'static str,
}

/// `model`, 4 and five digits from `model-00002-of-00004.safetensors`.
fn numbered(name: &str) -> Option<Parts<'_>> {
    let (bare, ending) = ENDINGS
        .into_iter()
        .find_map(|ending| Some((name.strip_suffix(ending)?, ending)))?;
    let (rest, count) = bare.rsplit_once("-of-")?;
    let (stem, part) = rest.rsplit_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(part) || !is_number(count) || part.len() != count.len() {
        return None;
    }
    let (part, all): (u32, u32) = (part.parse().ok()?, count.parse().ok()?);
    (1..=all).contains(&part).then_some(Parts {
        stem,
        count: all,
        digits: count.len(),
        ending,
    })
}
