//! The chosen layer: its weights, and what it may have of its own.

use egui::{Button, ComboBox, DragValue, RichText, Slider, Ui};
use wattif_core::recipe::{BlockFormat, Override, Pattern, Recipe, Width};

use super::histogram;
use super::rows::{Row, decibels_text, kind_name};
use crate::app::command::Action;
use crate::app::{App, theme};
use crate::format;

/// Draws it.
pub(super) fn show(ui: &mut Ui, app: &App, chosen: Option<&Row>, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let muted = |text: String| RichText::new(text).color(palette.muted);
    let Some(row) = chosen else {
        let text = "Choose a layer to see its weights and to give it bits or zeros of its own";
        ui.label(muted(text.to_owned()));
        return;
    };
    let heading = RichText::new(&row.name)
        .text_style(theme::heading())
        .color(palette.strong);
    ui.label(heading);
    let mut facts = vec![kind_name(row.kind).to_owned()];
    if !row.shape.is_empty() {
        facts.push(row.shape.clone());
    }
    facts.push(format!(
        "{} parameters",
        format::grouped(row.parameters as f64)
    ));
    ui.label(muted(facts.join(", ")));
    if !row.compressible {
        ui.label(muted("Nothing of it is pruned or rounded".to_owned()));
        return;
    }
    own(ui, &app.session.configuration.recipe, row, queue);
    ui.add_space(4.0);
    if let Some(look) = app.model.looking.of(&row.name) {
        histogram::show(ui, look, 130.0);
    } else if app.model.has_weights() {
        ui.label(muted("Looking at its weights…".to_owned()));
    }
    let error = app
        .model
        .looking
        .errors()
        .and_then(|errors| row.decibels(Some(errors)));
    if let Some(decibels) = error {
        ui.label(format!("Error of the recipe: {}", decibels_text(decibels)));
    }
}

/// What it has of its own.
fn own(ui: &mut Ui, recipe: &Recipe, row: &Row, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let now = recipe.layers.get(&row.name).unwrap_or_default();
    let mut set = |own: Override, drags: bool| {
        queue.push(Action::SetLayer(row.name.clone(), own, drags));
    };
    ui.horizontal(|ui| {
        let mut its = now.sparsity.is_some();
        let check = ui.checkbox(&mut its, "Zeros of its own");
        let check = check.on_hover_text(
            "A sparsity that is reached within this layer, which the common threshold then leaves out",
        );
        if check.changed() {
            let sparsity = its.then_some(recipe.pruning.sparsity);
            set(Override { sparsity, ..now }, false);
        }
        if now.sparsity.is_none() {
            let text = format!("as the model: {}", format::percent(row.zeros, 0));
            ui.label(RichText::new(text).color(palette.muted));
        }
    });
    if let Some(sparsity) = now.sparsity {
        let mut percent = 100.0 * sparsity;
        let halves = recipe.pruning.pattern == Pattern::TwoOfFour;
        let step = if halves { 50.0 } else { 1.0 };
        let most = if halves { 50.0 } else { 99.0 };
        ui.horizontal(|ui| {
            let number = ui.add(
                DragValue::new(&mut percent)
                    .range(0.0..=most)
                    .speed(step / 2.0)
                    .update_while_editing(false)
                    .suffix(" %"),
            );
            theme::accent_sliders(ui);
            ui.spacing_mut().slider_width = (ui.available_width() - 8.0).max(60.0);
            let slider = Slider::new(&mut percent, 0.0..=most).show_value(false);
            let slider = ui.add(slider.step_by(step));
            for response in [&number, &slider] {
                ui.ctx().accesskit_node_builder(response.id, |node| {
                    node.set_label(format!("Sparsity of {}", row.name));
                });
            }
            if number.changed() || slider.changed() {
                let percent = (percent / step).round() * step;
                let sparsity = Some(percent / 100.0);
                set(Override { sparsity, ..now }, true);
            }
        });
    }
    ui.horizontal(|ui| {
        let label = ui.label("Weights");
        let model = width_text(recipe.quantization.width());
        let text = |weights: Option<Width>| match weights {
            None => format!("as the model: {model}"),
            Some(width) => width_text(width),
        };
        let combo = ComboBox::from_id_salt("own weights")
            .selected_text(text(now.weights))
            .width(170.0)
            .show_ui(ui, |ui| {
                let bits = Recipe::WEIGHT_BITS.map(Width::Bits);
                let blocks = BlockFormat::ALL
                    .into_iter()
                    .filter(|format| !format.is_mix());
                let all = bits.into_iter().chain(blocks.map(Width::Blocks)).map(Some);
                for weights in std::iter::once(None).chain(all) {
                    let chosen = now.weights == weights;
                    if ui.selectable_label(chosen, text(weights)).clicked() && !chosen {
                        set(Override { weights, ..now }, false);
                    }
                }
            });
        combo.response.labelled_by(label.id);
    });
    let reset = ui.add_enabled(!now.is_none(), Button::new("As the model"));
    if reset
        .on_hover_text("Takes back what this layer has of its own")
        .clicked()
    {
        set(Override::NONE, false);
    }
    let others = recipe.layers.len() - usize::from(!now.is_none());
    if others > 0 {
        let words = if others == 1 {
            "1 other layer has something of its own".to_owned()
        } else {
            format!("{others} other layers have something of their own")
        };
        ui.label(RichText::new(words).color(palette.muted));
    }
}

fn width_text(width: Width) -> String {
    match width {
        Width::Bits(1) => "1 bit".to_owned(),
        Width::Bits(16) => "16 bits, half precision".to_owned(),
        Width::Bits(32) => "32 bits, as they are".to_owned(),
        Width::Bits(bits) => format!("{bits} bits"),
        Width::Blocks(format) => format!("block of {format}"),
    }
}
