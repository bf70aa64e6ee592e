//! What is the user's: data to measure on, and a prompt to be continued.

use std::path::Path;

use wattif_core::Error;
use wattif_core::data::OwnData;
use wattif_core::engine::{Engine, Observer};
use wattif_core::measurement::Example;
use wattif_core::model::ModelReference;
use wattif_core::recipe::Recipe;

use super::view::WrittenView;

/// The name of the program code that ships; a file of this name has a folder before it.
const CODE: &str = "code";

/// The user's data to measure on, where some are given.
///
/// # Errors
/// The preprocessing is not understood.
pub(super) fn own_data(
    text: Option<&Path>,
    images: Option<&Path>,
    preprocessing: Option<&str>,
) -> wattif_core::Result<Option<OwnData>> {
    Ok(match (text, images) {
        (Some(text), _) if text == Path::new(CODE) => Some(OwnData::Code),
        (Some(text), _) => Some(OwnData::Text(text.to_owned())),
        (None, Some(images)) => Some(OwnData::Images {
            path: images.to_owned(),
            preprocessing: preprocessing.map(str::parse).transpose()?,
        }),
        (None, None) => None,
    })
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
    data: bool,
    reference: &ModelReference,
) -> wattif_core::Result<()> {
    let what = match (speed, prompt, data) {
        (true, ..) => "its speed cannot be measured here",
        (_, true, _) => "it writes no texts",
        (.., true) => "it cannot be measured on data of your own",
        _ => return Ok(()),
    };
    Err(Error::Infeasible(format!(
        "{reference} is known by its shapes only: there are no weights to run, so {what}"
    )))
}
