//! Where the program keeps what belongs to the person who runs it.

use std::path::PathBuf;

use crate::files;

/// Folder for settings and own hardware: `$WATTIF_CONFIG_DIR`, else the system's configuration folder for `wattif`;
/// `None` where the system names none.
pub fn configuration() -> Option<PathBuf> {
    folder("WATTIF_CONFIG_DIR", directories::ProjectDirs::config_dir)
}

/// Folder for what can be computed again: `$WATTIF_CACHE_DIR`, else the system's cache folder for `wattif`.
pub(crate) fn cache() -> Option<PathBuf> {
    folder("WATTIF_CACHE_DIR", directories::ProjectDirs::cache_dir)
}

/// Removes what writers that are gone left in the program's own folders; folders of the user's files are looked through
/// when something is written there.
pub fn remove_leftovers() {
    if let Some(folder) = configuration() {
        files::remove_leftovers(&folder);
        files::remove_leftovers(&crate::hardware::own::folder(&folder));
    }
    for kept in ["students", "measurements"] {
        let folders = cache().and_then(|folder| std::fs::read_dir(folder.join(kept)).ok());
        for folder in folders.into_iter().flatten().flatten() {
            files::remove_leftovers(&folder.path());
        }
    }
}

fn folder(
    variable: &str,
    usual: fn(&directories::ProjectDirs) -> &std::path::Path,
) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).or_else(|| {
        directories::ProjectDirs::from("org", "wattif", "wattif")
            .map(|dirs| usual(&dirs).to_owned())
    })
}
