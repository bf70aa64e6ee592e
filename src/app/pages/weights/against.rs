//! The layers beside those of another configuration: what they differ by, and how much.

use std::collections::HashMap;

use egui::{ComboBox, RichText, Ui};
use wattif_core::recipe::Recipe;

use super::rows::{self, Errors, Row};
use crate::app::command::Action;
use crate::app::derived::Figures;
use crate::app::{App, theme};
use crate::format;

/// What the configuration is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Other {
    /// Nothing.
    #[default]
    None,
    /// The original.
    Original,
    /// The first or the second pin.
    Pin(usize),
}

/// What layers differ by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Measure {
    #[default]
    Energy,
    Stored,
    Bits,
    Error,
}

/// What is compared, and by what.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Against {
    pub(super) other: Other,
    pub(super) measure: Measure,
}

/// The other configuration.
struct Counterpart<'a> {
    figures: &'a Figures,
    recipe: Recipe,
}

impl Other {
    fn name(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Original => "the original",
            Self::Pin(0) => "A",
            Self::Pin(_) => "B",
        }
    }

    /// Its figures, where they are known.
    fn counterpart(self, app: &App) -> Option<Counterpart<'_>> {
        match self {
            Self::None => None,
            Self::Original => Some(Counterpart {
                figures: app.derived.original.as_ref()?,
                recipe: Recipe::default(),
            }),
            Self::Pin(place) => {
                let pin = app.derived.pins.get(place)?.as_ref()?;
                Some(Counterpart {
                    figures: &pin.figures,
                    recipe: pin.configuration.recipe.clone(),
                })
            }
        }
    }
}

impl Measure {
    const ALL: [Self; 4] = [Self::Energy, Self::Stored, Self::Bits, Self::Error];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::Stored => "bytes",
            Self::Bits => "bits",
            Self::Error => "error",
        }
    }

    /// A difference in words, with its sign.
    pub(super) fn text(self, difference: f64) -> String {
        let sign = if difference < 0.0 { "\u{2212}" } else { "+" };
        let size = difference.abs();
        match self {
            _ if size == 0.0 => "same".to_owned(),
            Self::Energy => format!("{sign}{}", format::si(size, "J")),
            Self::Stored => format!("{sign}{}", format::bytes(size)),
            Self::Bits => format!("{sign}{size:.0}"),
            Self::Error => format!("{sign}{}", rows::decibels_text(size)),
        }
    }

    /// Whether more of it is better.
    pub(super) const fn more_is_better(self) -> bool {
        // The error is given as signal over noise.
        matches!(self, Self::Error)
    }

    fn of(self, row: &Row, errors: Option<&Errors>) -> Option<f64> {
        match self {
            Self::Energy => row.joules,
            Self::Stored => Some(row.stored as f64),
            Self::Bits => row.compressible.then_some(f64::from(row.bits)),
            Self::Error => row.decibels(errors),
        }
    }
}

impl Against {
    /// The choice of what the layers are compared with, and by what.
    pub(super) fn show(&mut self, ui: &mut Ui, app: &App) {
        let palette = theme::palette(ui.visuals());
        // A pin that is gone is compared with no longer.
        if self.other != Other::None && self.other.counterpart(app).is_none() {
            self.other = Other::None;
        }
        let choices = [Other::None, Other::Original, Other::Pin(0), Other::Pin(1)];
        let there = |other: &Other| *other == Other::None || other.counterpart(app).is_some();
        ui.label(RichText::new("Compared with").color(palette.muted));
        let combo = ComboBox::from_id_salt("weights compared with")
            .selected_text(self.other.name())
            .show_ui(ui, |ui| {
                for other in choices.into_iter().filter(there) {
                    ui.selectable_value(&mut self.other, other, other.name());
                }
            });
        combo.response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Compared with")
        });
        if self.other == Other::None {
            return;
        }
        ui.label(RichText::new("by").color(palette.muted));
        let combo = ComboBox::from_id_salt("weights compared by")
            .selected_text(self.measure.name())
            .show_ui(ui, |ui| {
                for measure in Measure::ALL {
                    ui.selectable_value(&mut self.measure, measure, measure.name());
                }
            });
        combo.response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Compared by")
        });
    }

    /// What each layer has more than in the other configuration, by its name. The errors of a pin are asked for.
    pub(super) fn differences(
        self,
        app: &App,
        rows: &[Row],
        errors: Option<&Errors>,
        queue: &mut Vec<Action>,
    ) -> HashMap<String, f64> {
        let Some(other) = self.other.counterpart(app) else {
            return HashMap::new();
        };
        let looking = &app.model.looking;
        let key = other.recipe.key();
        if self.measure == Measure::Error && !other.recipe.is_identity() {
            looking.ask_other(app, &other.recipe, queue);
        }
        let other_errors = looking.errors_of(&key);
        let others = rows::of(other.figures, app.derived.original.as_ref(), &other.recipe);
        let others: HashMap<&str, &Row> =
            others.iter().map(|row| (row.name.as_str(), row)).collect();
        let difference = |row: &Row| {
            let before = self
                .measure
                .of(others.get(row.name.as_str())?, other_errors)?;
            Some((row.name.clone(), self.measure.of(row, errors)? - before))
        };
        rows.iter().filter_map(difference).collect()
    }
}
