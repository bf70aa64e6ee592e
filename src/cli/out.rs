//! The one place that writes to standard output and standard error.

use std::io::{self, IsTerminal as _, Write as _};

use wattif_core::footprint::Estimate;
use wattif_core::measurement::Provenance;
use wattif_core::text;

/// Longest line of running text, in characters.
const WIDTH: usize = 100;

/// Standard output; a reader that has gone away ends the output quietly, as `head` expects it.
#[derive(Debug, Default)]
pub(super) struct Out {
    closed: bool,
}

impl Out {
    /// Writes a line, or several. What would act on a terminal is written out: texts may come from files.
    ///
    /// # Errors
    /// Every failure but a closed pipe (a full disk, say).
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{}", text::lines(text.as_ref())).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result,
        }
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// Those of [`Self::line`], and a value that is not JSON.
    pub(super) fn json(&mut self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        Ok(self.line(serde_json::to_string_pretty(value)?)?)
    }

    /// Writes rows with aligned columns; the first row is the heading. `right` says which columns are numbers.
    ///
    /// # Errors
    /// Those of [`Self::line`].
    pub(super) fn table(&mut self, rows: &[Vec<String>], right: &[bool]) -> io::Result<()> {
        for line in aligned(rows, right) {
            self.line(line)?;
        }
        Ok(())
    }
}

/// Rows as lines with aligned columns, two spaces apart.
pub(super) fn aligned(rows: &[Vec<String>], right: &[bool]) -> Vec<String> {
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| text::one_line(cell)).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.chars().count());
                if column > 0 {
                    line.push_str("  ");
                }
                if right.get(column).copied().unwrap_or(false) {
                    line.push_str(&gap);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&gap);
                }
            }
            line.trim_end().to_owned()
        })
        .collect()
}

/// A row of a table out of its cells.
pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Running text, indented by two and broken between words.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::from(" ");
        for word in paragraph.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH && line.trim() != "" {
                lines.push(std::mem::replace(&mut line, String::from(" ")));
            }
            line.push(' ');
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// Where an estimate comes from, as running text.
pub(super) fn entry<T>(name: &str, estimate: &Estimate<T>) -> Vec<String> {
    let text = match &estimate.provenance {
        Provenance::Measured { n } => format!("measured on {n} samples"),
        Provenance::Published { source } => format!("published by {source}"),
        Provenance::Modelled { formula } => formula.clone(),
        Provenance::Assumed { reason } => format!("assumed: {reason}"),
    };
    wrapped(&format!("{name}: {text}"))
}

/// Writes a line to standard error; there is nowhere to report that this failed.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text::lines(text));
}

/// A line on standard error that is rewritten as work goes on; silent unless a person looks at it.
#[derive(Debug)]
pub(super) struct Progress {
    visible: bool,
    last: std::sync::Mutex<String>,
}

impl Progress {
    /// Shows progress where standard error is a terminal.
    pub(super) fn new() -> Self {
        Self {
            visible: io::stderr().is_terminal(),
            last: std::sync::Mutex::default(),
        }
    }

    /// Replaces the line: what is being done, and the fraction that is done if it is known.
    pub(super) fn show(&self, what: &str, done: Option<f64>) {
        if !self.visible {
            return;
        }
        let text = done.map_or_else(
            || format!("{what} …"),
            |done| format!("{what} … {:.0} %", done * 100.0),
        );
        let Ok(mut last) = self.last.lock() else {
            return;
        };
        if *last != text {
            let _ = write!(io::stderr().lock(), "\r\x1b[2K{}", text::one_line(&text));
            *last = text;
        }
    }
}

impl Drop for Progress {
    /// Leaves the terminal as it was.
    fn drop(&mut self) {
        if self.visible && self.last.lock().is_ok_and(|last| !last.is_empty()) {
            let _ = write!(io::stderr().lock(), "\r\x1b[2K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_lean_right() {
        let cell = |text: &str| text.to_owned();
        let rows = [
            vec![cell("id"), cell("value"), cell("note")],
            vec![cell("long-name"), cell("7"), cell("µ")],
        ];
        assert_eq!(
            aligned(&rows, &[false, true, false]),
            ["id         value  note", "long-name      7  µ"]
        );
    }

    #[test]
    fn running_text_is_indented_and_keeps_every_word() {
        let text = "word ".repeat(50);
        let lines = wrapped(&text);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines.iter().all(|line| line.starts_with("  word")));
        assert_eq!(lines.join(" ").split_whitespace().count(), 50);
    }
}
