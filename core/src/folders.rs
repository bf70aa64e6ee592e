//! Where the program keeps what belongs to the person who runs it.

use std::path::PathBuf;

/// Folder for settings and own hardware: `$WATTIF_CONFIG_DIR`, else the system's configuration folder for `wattif`;
/// `None` where the system names none.
pub fn configuration() -> Option<PathBuf> {
    folder("WATTIF_CONFIG_DIR", directories::ProjectDirs::config_dir)
}

/// Folder for what can be computed again: `$WATTIF_CACHE_DIR`, else the system's cache folder for `wattif`.
pub(crate) fn cache() -> Option<PathBuf> {
    folder("WATTIF_CACHE_DIR", directories::ProjectDirs::cache_dir)
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
