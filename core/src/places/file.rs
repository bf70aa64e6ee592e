//! The file of names of places.

use serde::Deserialize;

use crate::error::{Error, Result};

const FILE: &str = include_str!("../../../assets/places.ron");

/// `assets/places.ron`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Alpha-2 and alpha-3 code, name, other names.
    pub(super) countries: Vec<(String, String, String, Vec<String>)>,
    /// Unions and continents.
    pub(super) without_grid: Vec<String>,
    /// Code, name, identifiers of grids.
    pub(super) parts: Vec<(String, String, Vec<String>)>,
    /// The cloud providers.
    pub(super) clouds: Vec<Cloud>,
}

/// A cloud provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cloud {
    /// Its short name.
    pub(super) provider: String,
    /// Other names of it.
    pub(super) names: Vec<String>,
    /// Where the regions and their grids are from; for the reader of the file.
    #[serde(rename = "source")]
    pub(super) _source: String,
    /// Identifier, place, identifier of the grid.
    pub(super) regions: Vec<(String, String, String)>,
}

/// Reads the file.
///
/// # Errors
/// [`Error::File`] when it does not follow the schema.
pub(super) fn read() -> Result<File> {
    ron::from_str(FILE).map_err(|error| Error::file(error.to_string(), "assets/places.ron"))
}
