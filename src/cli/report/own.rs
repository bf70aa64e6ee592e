//! A text of the user's to measure a language model on.

use std::path::Path;

use wattif_core::engine::OwnText;
use wattif_core::files;

use super::super::arguments::ScenarioArguments;

/// Far more than is measured in an hour.
const LONGEST: u64 = 64 << 20;

/// The text at a path, where one is given; its contexts are as long as the scenario's.
///
/// # Errors
/// The file cannot be read or is no text.
pub(super) fn own_text(
    path: Option<&Path>,
    scenario: &ScenarioArguments,
) -> wattif_core::Result<Option<OwnText>> {
    let Some(path) = path else {
        return Ok(None);
    };
    Ok(Some(OwnText {
        text: files::read_text(path, LONGEST)?,
        context: scenario.context,
    }))
}
