//! What the pinned configurations are: model, recipe, device and place, and where they differ from now.

use egui::{RichText, Ui};

use super::figures;
use crate::app::command::Action;
use crate::app::pins::{KeptFigures, PinView, differences, place_words, recipe_words};
use crate::app::session::Configuration;
use crate::app::{App, theme, widgets};

/// Draws the card while something is pinned.
pub(in crate::app) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let session = &app.session;
    let pins = session.pins.iter().zip(&session.pin_figures);
    let pins: Vec<_> = ["A", "B"].into_iter().zip(pins).enumerate().collect();
    if pins.iter().all(|(_, (_, (pin, _)))| pin.is_none()) {
        return;
    }
    let palette = theme::palette(ui.visuals());
    widgets::card(ui, "Pins", |ui| {
        theme::tighten(ui);
        let options = [
            (
                PinView::AsPinned,
                "As pinned",
                "Each pin where it was pinned, also if that is another place than now",
            ),
            (
                PinView::Today,
                "In today's scenario",
                "Pins on the hardware, in the region and at the batch of now: only what is done to the model differs",
            ),
        ];
        if let Some(view) = widgets::choices(ui, &options, session.pin_view) {
            queue.push(Action::ShowPins(view));
        }
        for (slot, (name, (pin, kept))) in pins {
            if let Some(pin) = pin {
                ui.add_space(2.0);
                ui.horizontal_wrapped(|ui| {
                    ui.label(
                        RichText::new(format!("Pin {name}"))
                            .text_style(theme::emphasis())
                            .color(palette.pins[slot]),
                    );
                    ui.label(what(app, pin, kept.as_ref()));
                });
                whereabouts(ui, app, slot, pin, kept.as_ref());
            }
        }
    });
}

/// Model and recipe.
fn what(app: &App, pin: &Configuration, kept: Option<&KeptFigures>) -> String {
    let open = app.model.facts.as_ref();
    let model = match (open, kept) {
        (Some(facts), _) if facts.reference == pin.model => facts.name.clone(),
        (_, Some(kept)) => kept.model.clone(),
        _ => pin.model.to_string(),
    };
    format!("{model}, {}", recipe_words(&pin.recipe))
}

/// The place, and how it lies to now.
fn whereabouts(
    ui: &mut Ui,
    app: &App,
    slot: usize,
    pin: &Configuration,
    kept: Option<&KeptFigures>,
) {
    let palette = theme::palette(ui.visuals());
    let small = |text: String, color| {
        let text = RichText::new(text).text_style(egui::TextStyle::Small);
        egui::Label::new(text.color(color)).wrap()
    };
    let now = &app.session.configuration;
    let differs = differences(&pin.scenario, &now.scenario);
    if !pin.is_of_model(now) {
        ui.add(small(
            format!("Pinned on {}", place_words(&pin.scenario)),
            palette.muted,
        ));
        match kept {
            Some(kept) => {
                let words = "Of another model, with the figures that it had:".to_owned();
                ui.add(small(words, palette.text));
                figures::in_one_line(ui, "", &kept.measured, kept.unit);
            }
            None => {
                let words = "Of another model: open it to see figures".to_owned();
                ui.add(small(words, palette.text));
            }
        }
        return;
    }
    let text = match app.session.pin_view {
        PinView::Today if differs.is_empty() => "In the scenario of now".to_owned(),
        PinView::Today => format!("In the scenario of now; pinned with {}", differs.join(", ")),
        PinView::AsPinned => place_words(&pin.scenario),
    };
    ui.add(small(text, palette.muted));
    if app.session.pin_view == PinView::AsPinned && !differs.is_empty() {
        let words = format!("Not as now: {}", differs.join(", "));
        ui.add(small(words, palette.text));
    }
    let obstacle = app.derived.pins[slot]
        .as_ref()
        .and_then(|pin| pin.figures.footprint.as_ref().err());
    if let Some(error) = obstacle {
        ui.add(small(error.to_string(), palette.text));
    }
}
