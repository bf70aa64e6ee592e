//! The text of a table as spreadsheets write it: byte order marks, columns apart by commas, semicolons or tabs, names of
//! columns in any case.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use crate::error::{Error, Result};

/// Separators that spreadsheets write; the comma first, which is what one column alone counts as.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// A reader over the rows of a table, with the names of its columns in lower case. Columns are separated by what
/// separates the names.
///
/// # Errors
/// [`Error::File`] when there is nothing, or nothing below the names, or when the names are not text.
pub(crate) fn reader<'a>(text: &'a str, path: &Path) -> Result<csv::Reader<&'a [u8]>> {
    let text = text
        .trim_start_matches('\u{feff}')
        .trim_start_matches(['\r', '\n', ' ']);
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default();
    if names.is_empty() {
        return Err(Error::file(
            "it is empty: a table has a line of column names, then rows",
            path,
        ));
    }
    let count = |separator: &u8| names.bytes().filter(|byte| byte == separator).count();
    // The first of equals, which `max_by_key` would not give.
    let separator = SEPARATORS.iter().rev().max_by_key(|byte| count(byte));
    let mut reader = ReaderBuilder::new()
        .delimiter(separator.copied().unwrap_or(b','))
        .from_reader(text.as_bytes());
    let headers: StringRecord = reader
        .headers()
        .map_err(|error| Error::file(error.to_string(), path))?
        .iter()
        .map(|name| name.trim().to_lowercase())
        .collect();
    let mut sorted: Vec<&str> = headers.iter().filter(|name| !name.is_empty()).collect();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::file(
            format!("the column '{}' stands there twice", pair[0]),
            path,
        ));
    }
    reader.set_headers(headers);
    if lines.all(|line| line.trim().is_empty()) {
        return Err(Error::file("there are column names and no rows", path));
    }
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Vec<String>> {
        let mut reader = reader(text, Path::new("x.csv")).unwrap();
        let header = reader.headers().unwrap().clone();
        std::iter::once(header)
            .chain(reader.records().map(|record| record.unwrap()))
            .map(|record| record.iter().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn spreadsheets_in_all_dialects_read_the_same() {
        let plain = rows("id,energy_j\na,1\nb,2\n");
        assert_eq!(plain, [["id", "energy_j"], ["a", "1"], ["b", "2"]]);
        for text in [
            "id;energy_j\na;1\nb;2\n",
            "id\tenergy_j\na\t1\nb\t2\n",
            "\u{feff}id,energy_j\r\na,1\r\nb,2\r\n",
            "ID, Energy_J\na,1\nb,2",
        ] {
            assert_eq!(rows(text), plain, "{text:?}");
        }
        // A decimal comma stays in its cell.
        assert_eq!(rows("id;energy_j\na;0,5\n")[1], ["a", "0,5"]);
    }

    #[test]
    fn a_column_that_stands_twice_is_named() {
        let message = |text| reader(text, Path::new("x.csv")).unwrap_err().to_string();
        assert_eq!(
            message("id,energy_j,Energy_J\na,1,2\n"),
            "the column 'energy_j' stands there twice: x.csv"
        );
        // Spreadsheets write columns without a name beside a table.
        assert_eq!(rows("id,,\na,,\n").len(), 2);
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let message = |text| reader(text, Path::new("x.csv")).unwrap_err().to_string();
        for text in ["", "\u{feff}", "\n \r\n"] {
            assert_eq!(
                message(text),
                "it is empty: a table has a line of column names, then rows: x.csv"
            );
        }
        for text in ["id,energy_j", "id,energy_j\n\r\n"] {
            assert_eq!(message(text), "there are column names and no rows: x.csv");
        }
    }
}
