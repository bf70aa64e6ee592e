//! What METHODS.md has to say as it is counted today.

use std::path::Path;

use crate::files;

/// Four digits that count, of thousand millions.
pub(super) fn billions(value: f64) -> String {
    let short: f64 = format!("{:.3e}", value / 1e9).parse().unwrap();
    short.to_string()
}

/// The document has a table as it is counted today.
pub(super) fn stands_in_methods(lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../METHODS.md");
    let methods = files::read_text(&path, 16 << 20).unwrap();
    let table = lines.join("\n");
    assert!(methods.contains(&table), "METHODS.md lacks:\n{table}\n");
}
