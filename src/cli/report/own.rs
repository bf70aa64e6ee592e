//! Texts of the user's: one to measure a language model on, and a prompt to be continued.

use std::path::Path;

use wattif_core::Error;
use wattif_core::engine::{Engine, Observer, OwnText};
use wattif_core::files;
use wattif_core::measurement::Example;
use wattif_core::model::ModelReference;
use wattif_core::recipe::Recipe;

use super::super::arguments::ScenarioArguments;
use super::super::out::complain;
use super::view::WrittenView;

/// Far more than is measured in an hour.
const LONGEST: u64 = 64 << 20;
/// The name of the program code that ships; a file of this name has a folder before it.
const CODE: &str = "code";

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
    if path == Path::new(CODE) {
        complain(&format!("wattif: measured on {}", OwnText::CODE));
        return OwnText::code(scenario.context).map(Some);
    }
    Ok(Some(OwnText {
        text: files::read_text(path, LONGEST)?,
        context: scenario.context,
    }))
}

/// What the original and the compressed model write after a prompt, where one is given.
///
/// # Errors
/// The model writes no texts, or the prompt is empty or too long.
pub(super) fn written(
    engine: &Engine,
    recipe: &Recipe,
    prompt: Option<&str>,
    observer: &dyn Observer,
) -> wattif_core::Result<Option<WrittenView>> {
    let Some(prompt) = prompt else {
        return Ok(None);
    };
    match engine.write(recipe, prompt, observer)? {
        Example::Text {
            prompt,
            original,
            compressed,
        } => Ok(Some(WrittenView {
            prompt,
            original,
            compressed,
        })),
        _ => Ok(None),
    }
}

/// The two texts, one below the other.
pub(super) fn lines(view: &WrittenView) -> Vec<String> {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    vec![
        format!("After \"{}\"", one_line(&view.prompt)),
        format!("  the original      {}", one_line(&view.original)),
        format!("  compressed        {}", one_line(&view.compressed)),
    ]
}

/// Refuses what needs weights.
///
/// # Errors
/// What cannot be done with a network that is known by its shapes only.
pub(super) fn refuse_outline(
    speed: bool,
    prompt: bool,
    reference: &ModelReference,
) -> wattif_core::Result<()> {
    let what = match (speed, prompt) {
        (true, _) => "its speed cannot be measured here",
        (_, true) => "it writes no texts",
        _ => return Ok(()),
    };
    Err(Error::Infeasible(format!(
        "{reference} is known by its shapes only: there are no weights to run, so {what}"
    )))
}
