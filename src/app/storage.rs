//! Where the last session is kept: `session.ron` in the configuration folder.
//!
//! The file may have been edited, cut short or written by another version. What is wrong in it is left out and said, the
//! rest is kept, and the file as it was stays beside the new one.

use std::fs;
use std::path::Path;

use anyhow::Result;
use ron::value::RawValue;
use serde::{Deserialize, de::DeserializeOwned};
use wattif_core::files::{self, LONGEST_SETTINGS};

use super::pins::KeptFigures;
use super::session::{Configuration, Session, Settings};

/// What was kept of the last session.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The session to go on with.
    pub(super) session: Session,
    /// What is wrong with the file, where something is: a title and the text.
    pub(super) complaint: Option<(&'static str, String)>,
    /// Whether the session may be kept in the folder; a file that could not be moved aside is not written over.
    pub(super) keep: bool,
}

/// The last session; a fresh one where none was kept, and in place of what cannot be used.
pub(super) fn load(folder: &Path) -> Loaded {
    let path = folder.join(FILE);
    let fresh = Loaded {
        keep: true,
        ..Loaded::default()
    };
    let text = match files::read_text_if_there(&path, LONGEST_SETTINGS) {
        Ok(Some(text)) => text,
        Ok(None) => {
            return Loaded {
                session: Session::first(),
                ..fresh
            };
        }
        // The error names the path at its end.
        Err(error) => return aside(Session::default(), AFRESH, &error.to_string(), &path),
    };
    match read(&text) {
        Err(fact) => aside(Session::default(), AFRESH, &fact, &path),
        Ok((session, wrong)) if wrong.is_empty() => Loaded { session, ..fresh },
        Ok((session, wrong)) => {
            let loaded = aside(session, PARTLY, &wrong.join("; "), &path);
            if loaded.keep {
                // Where this fails, the next change tries again and says so.
                let _ = save(folder, &loaded.session);
            }
            loaded
        }
    }
}

const AFRESH: &str = "Starting afresh";
const PARTLY: &str = "Part of the last session was left out";

/// Moves the file out of the way and says what is wrong with it and where it lies.
fn aside(session: Session, title: &'static str, fact: &str, path: &Path) -> Loaded {
    let (keep, place) = match files::set_aside(path) {
        Ok(place) => (true, format!("The file is now {}", place.display())),
        Err(error) => (
            false,
            format!("This session is not kept, as the file cannot be moved aside: {error}"),
        ),
    };
    Loaded {
        session,
        complaint: Some((title, format!("{fact}. {place}"))),
        keep,
    }
}

/// The parts of the file, each as text, so that one that is wrong does not take the others with it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts {
    configuration: Option<Box<RawValue>>,
    axis: Option<Box<RawValue>>,
    pins: Option<(Box<RawValue>, Box<RawValue>)>,
    pin_figures: Option<(Box<RawValue>, Box<RawValue>)>,
    pin_view: Option<Box<RawValue>>,
    settings: Option<Box<RawValue>>,
    recent: Option<Box<RawValue>>,
}

/// The parts of a configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigurationParts {
    model: Option<Box<RawValue>>,
    recipe: Option<Box<RawValue>>,
    scenario: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
}

/// The parts of the settings.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SettingsParts {
    theme: Option<Box<RawValue>>,
    text_scale: Option<Box<RawValue>>,
    show_controls: Option<Box<RawValue>>,
    show_results: Option<Box<RawValue>>,
    page: Option<Box<RawValue>>,
}

/// Reads what can be read of the text of a session, and says what was wrong with the rest.
///
/// # Errors
/// Nothing of it can be read, and why.
pub fn read(text: &str) -> std::result::Result<(Session, Vec<String>), String> {
    let parts: Parts = parse(text)?;
    let mut reader = Reader::default();
    let session = Session {
        configuration: reader.configuration(parts.configuration, "the configuration"),
        axis: reader.part(parts.axis, "the axis of the charts"),
        pins: parts.pins.map_or([None, None], |(a, b)| {
            [reader.pin(&a, "pin A"), reader.pin(&b, "pin B")]
        }),
        pin_figures: parts.pin_figures.map_or([None, None], |(a, b)| {
            [
                reader.kept_figures(&a, "the figures of pin A"),
                reader.kept_figures(&b, "the figures of pin B"),
            ]
        }),
        pin_view: reader.part(parts.pin_view, "the scenario of the pins"),
        settings: reader.settings(parts.settings),
        recent: reader.part(parts.recent, "the models opened before"),
    };
    Ok((session, reader.wrong))
}

/// `Some` may be left out, so that a part that is there and one that is not read alike.
fn parse<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    ron::Options::default()
        .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
        .from_str(text)
        .map_err(|error| error.to_string())
}

/// Reads parts and remembers what was wrong.
#[derive(Default)]
struct Reader {
    wrong: Vec<String>,
}

impl Reader {
    /// A part, or its default where it is absent or cannot be read.
    fn part<T: DeserializeOwned + Default>(&mut self, raw: Option<Box<RawValue>>, name: &str) -> T {
        self.part_or(raw, name, T::default())
    }

    fn part_or<T: DeserializeOwned>(
        &mut self,
        raw: Option<Box<RawValue>>,
        name: &str,
        otherwise: T,
    ) -> T {
        let Some(raw) = raw else {
            return otherwise;
        };
        parse(raw.get_ron()).unwrap_or_else(|fact| {
            self.wrong.push(format!("{name} cannot be read ({fact})"));
            otherwise
        })
    }

    /// A part whose values must pass a check.
    fn checked<T: Default>(
        &mut self,
        part: T,
        name: &str,
        check: impl FnOnce(&T) -> wattif_core::Result<()>,
    ) -> T {
        match check(&part) {
            Ok(()) => part,
            Err(error) => {
                self.wrong.push(format!("{name}: {error}"));
                T::default()
            }
        }
    }

    fn configuration(&mut self, raw: Option<Box<RawValue>>, name: &str) -> Configuration {
        let parts: ConfigurationParts = self.part(raw, name);
        let model = Configuration::default().model;
        let (recipe, scenario) = (
            format!("the recipe of {name}"),
            format!("the scenario of {name}"),
        );
        Configuration {
            model: self.part_or(parts.model, &format!("the model of {name}"), model),
            recipe: {
                let part = self.part(parts.recipe, &recipe);
                // A file edited by hand must not bring in what no slider can.
                self.checked(part, &recipe, wattif_core::recipe::Recipe::validate)
            },
            scenario: {
                let part = self.part(parts.scenario, &scenario);
                self.checked(part, &scenario, wattif_core::scenario::Scenario::validate)
            },
            data: self.part(parts.data, &format!("the data of {name}")),
        }
    }

    /// A pin; one of which a part is wrong is left out as a whole, as it would be another configuration.
    fn pin(&mut self, raw: &RawValue, name: &str) -> Option<Configuration> {
        let before = self.wrong.len();
        let raw: Option<Box<RawValue>> = match parse(raw.get_ron()) {
            Ok(raw) => raw,
            Err(fact) => {
                self.wrong.push(format!("{name} cannot be read ({fact})"));
                None
            }
        };
        let pin = self.configuration(Some(raw?), name);
        (self.wrong.len() == before).then_some(pin)
    }

    /// What is kept of a pin's figures; such as no preset may have are left out.
    fn kept_figures(&mut self, raw: &RawValue, name: &str) -> Option<KeptFigures> {
        match parse::<Option<KeptFigures>>(raw.get_ron()) {
            Ok(kept) => kept.filter(|kept| match kept.check() {
                Ok(()) => true,
                Err(fact) => {
                    self.wrong.push(format!("{name}: {fact}"));
                    false
                }
            }),
            Err(fact) => {
                self.wrong.push(format!("{name} cannot be read ({fact})"));
                None
            }
        }
    }

    fn settings(&mut self, raw: Option<Box<RawValue>>) -> Settings {
        let parts: SettingsParts = self.part(raw, "the settings");
        let usual = Settings::default();
        let mut text_scale = self.part_or(parts.text_scale, "the text size", usual.text_scale);
        let (least, most) = Settings::TEXT_SCALES;
        // Not a number is in no range.
        if !(least..=most).contains(&text_scale) {
            self.wrong.push(format!(
                "the text size {text_scale} is not between {least} and {most}"
            ));
            text_scale = usual.text_scale;
        }
        Settings {
            theme: self.part_or(parts.theme, "the theme", usual.theme),
            text_scale,
            show_controls: self.part_or(
                parts.show_controls,
                "whether controls show",
                usual.show_controls,
            ),
            show_results: self.part_or(
                parts.show_results,
                "whether results show",
                usual.show_results,
            ),
            page: self.part_or(parts.page, "the page", usual.page),
        }
    }
}

/// Keeps the session; the file is either the old or the new one at any moment.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn save(folder: &Path, session: &Session) -> Result<()> {
    fs::create_dir_all(folder)?;
    let text = ron::ser::to_string_pretty(session, ron::ser::PrettyConfig::default())?;
    Ok(files::replace_with(&folder.join(FILE), text)?)
}

const FILE: &str = "session.ron";

#[cfg(test)]
mod tests;
