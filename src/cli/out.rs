//! The one place that writes to standard output and standard error.

use std::io::{self, Write as _};

/// Writes a line to standard error; there is nowhere to report that this failed.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
