//! What is done to the weights.

use egui::{ComboBox, RichText, Ui};
use wattif_core::outline::PublishedBits;
use wattif_core::recipe::{BlockFormat, Group, Pattern, Recipe, Scope};

use crate::app::axis::Axis;
use crate::app::command::Action;
use crate::app::widgets::{self, Room};
use crate::app::{App, glossary, looking, theme};
use crate::format;

/// Draws the sliders and choices of the recipe.
pub(super) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let recipe = &app.session.configuration.recipe;
    slider(ui, app, Axis::Sparsity, Room::Wide, queue);
    pattern(ui, recipe, queue);
    slider(ui, app, Axis::WeightBits, Room::Wide, queue);
    group(ui, recipe, queue);
    slider(ui, app, Axis::ActivationBits, Room::Wide, queue);
    let has_students = (app.model.facts.as_ref()).is_none_or(|facts| facts.has_students);
    let knob = ui.add_enabled_ui(has_students, |ui| {
        slider(ui, app, Axis::Ratio, Room::Wide, queue);
    });
    if has_students {
        temperature(ui, recipe, queue);
    } else {
        // In the place of the temperature, which only students have.
        knob.response
            .on_hover_text("Smaller networks of this family are not trained here");
        caption(ui, "No students of this kind of network");
    }
}

/// One slider of the recipe or the scenario.
pub(in crate::app) fn slider(
    ui: &mut Ui,
    app: &App,
    axis: Axis,
    room: Room,
    queue: &mut Vec<Action>,
) {
    let configuration = &app.session.configuration;
    let (mut recipe, mut scenario) = (configuration.recipe.clone(), configuration.scenario.clone());
    let marks: Vec<f64> = match axis {
        Axis::Ratio => app
            .model
            .facts
            .as_ref()
            .map(|facts| facts.ratios.clone())
            .unwrap_or_default(),
        Axis::WeightBits => Recipe::WEIGHT_BITS.map(f64::from).to_vec(),
        Axis::ActivationBits => Recipe::ACTIVATION_BITS.map(f64::from).to_vec(),
        _ => Vec::new(),
    };
    let value = axis.get(&recipe, &scenario);
    let published = app.model.facts.as_ref().and_then(|facts| facts.published);
    let blocks = recipe
        .quantization
        .blocks
        .filter(|_| axis == Axis::WeightBits);
    let profile = app.derived.now.as_ref().map(|now| &now.profile);
    let write = |value: f64| match published {
        _ if let Some(format) = blocks.filter(|format| value == f64::from(format.bits())) => {
            let bits = profile.and_then(|profile| profile.bits_per_weight());
            let bits = bits.unwrap_or_else(|| format.base().bits_per_element());
            format!("{format}, {} bits", format::trimmed(bits, 3))
        }
        Some(published) => as_published(axis, value, published),
        None => axis.value_text(value),
    };
    if let Some(value) = widgets::knob(ui, axis, value, help(axis), room, &marks, &write) {
        axis.set(value, &mut recipe, &mut scenario);
        queue.push(if axis.is_recipe() {
            Action::SetRecipe(recipe, Some(axis))
        } else {
            Action::SetScenario(scenario, Some(axis))
        });
    }
}

/// A value in words for a network that is published in so many bits: nothing is made wider than that.
fn as_published(axis: Axis, value: f64, published: PublishedBits) -> String {
    let (body, experts) = match axis {
        Axis::WeightBits => (published.weights, published.experts),
        Axis::ActivationBits => (published.activations, published.activations),
        _ => return axis.value_text(value),
    };
    let own = value.min(f64::from(body));
    let mut text = axis.value_text(own);
    if value >= f64::from(body) {
        text = format!("as published, {text}");
    }
    if own > f64::from(experts) {
        text += &format!(" (experts {experts})");
    }
    text
}

/// What a knob does, for its tooltip.
pub(in crate::app) const fn help(axis: Axis) -> &'static str {
    match axis {
        Axis::Sparsity => "Fraction of the weights set to zero, smallest magnitudes first",
        Axis::WeightBits => {
            "Bits per weight: 1 to 8 are integers with a scale, 16 is half precision, 32 leaves them as they are; the list below has the block formats of llama.cpp too"
        }
        Axis::ActivationBits => {
            "Bits per value passed from layer to layer, quantised with one scale per image or token"
        }
        Axis::Ratio => {
            "Parameters of a smaller student, trained on the original's answers, as a share of the original's; notches are students that are ready"
        }
        Axis::Batch => "Units of work processed together; weights are read once for all of them",
        Axis::Devices => "Devices that share the model: all of them work on every batch",
        Axis::Context => "Tokens that a language model attends to on average",
        Axis::Prompt => {
            "Tokens of a prompt; reading it is shared out over the tokens of its answer"
        }
        Axis::Answer => "Tokens that the model writes in answer to a prompt, one after the other",
        Axis::TimeSteps => {
            "Time steps that one unit of work is presented for: more come nearer to the network's own activations, and cost more"
        }
        Axis::Demand => {
            "Units of work per day; emissions of a day follow from it, those of one unit do not"
        }
        Axis::Pue => {
            "Power usage effectiveness: energy of the whole building / energy of the machines in it; 1 is no overhead"
        }
        Axis::Lifetime => {
            "Years a device is used before it is replaced; spreads the embodied emissions, those of making it"
        }
        Axis::Steps => {
            "Steps in which an image is made of noise, each a pass through the network: time and energy grow with them, and more make better images"
        }
        Axis::Utilization => {
            "Share of its life that a device is busy; the embodied emissions fall on that"
        }
    }
}

fn caption(ui: &mut Ui, text: &str) -> egui::Response {
    let palette = theme::palette(ui.visuals());
    ui.label(RichText::new(text).color(palette.muted))
}

fn pattern(ui: &mut Ui, recipe: &Recipe, queue: &mut Vec<Action>) {
    let mut recipe = recipe.clone();
    ui.horizontal(|ui| {
        let options = [
            (Pattern::Unstructured, "Unstructured", "Zeros anywhere"),
            (
                Pattern::TwoOfFour,
                "2:4",
                "Two zeros in every four weights, as sparse tensor cores need it; half the weights or none",
            ),
        ];
        if let Some(pattern) = widgets::choices(ui, &options, recipe.pruning.pattern) {
            recipe.pruning.pattern = pattern;
            if pattern == Pattern::TwoOfFour {
                recipe.pruning.sparsity = if recipe.pruning.sparsity == 0.0 { 0.0 } else { 0.5 };
            }
            looking::fit_layers(&mut recipe);
            queue.push(Action::SetRecipe(recipe.clone(), Some(Axis::Sparsity)));
        }
        let options = [
            (Scope::Layer, "Per layer", "Each layer loses the same fraction"),
            (
                Scope::Global,
                "Global",
                "One threshold for the whole model: layers with small weights lose more",
            ),
        ];
        ui.add_enabled_ui(recipe.pruning.pattern == Pattern::Unstructured, |ui| {
            if let Some(scope) = widgets::choices(ui, &options, recipe.pruning.scope) {
                recipe.pruning.scope = scope;
                queue.push(Action::SetRecipe(recipe.clone(), Some(Axis::Sparsity)));
            }
        });
    });
}

fn group_name(group: Group) -> String {
    match group {
        Group::Channel => "output channel".to_owned(),
        Group::Size(size) => format!("{size} weights"),
    }
}

fn group(ui: &mut Ui, recipe: &Recipe, queue: &mut Vec<Action>) {
    let mut recipe = recipe.clone();
    let own = recipe.quantization;
    let selected = match own.blocks {
        Some(format) => format!("block of {format}"),
        None => group_name(own.group),
    };
    ui.horizontal(|ui| {
        let label = caption(ui, "One scale per").on_hover_text(glossary::GROUP);
        let combo = ComboBox::from_id_salt("group")
            .selected_text(selected)
            .width(126.0)
            .show_ui(ui, |ui| {
                let sizes = [256, 128, 64, 32, 16, 8].map(Group::Size);
                for group in std::iter::once(Group::Channel).chain(sizes) {
                    let chosen = own.blocks.is_none() && own.group == group;
                    // Wider weights have no scales.
                    let scaled = own.code_bits() <= 8;
                    let choice = egui::Button::selectable(chosen, group_name(group));
                    if ui.add_enabled(scaled, choice).clicked() {
                        recipe.quantization.weight_bits = own.code_bits();
                        recipe.quantization.blocks = None;
                        recipe.quantization.group = group;
                        queue.push(Action::SetRecipe(recipe.clone(), Some(Axis::WeightBits)));
                    }
                }
                for format in BlockFormat::ALL {
                    let chosen = own.blocks == Some(format);
                    let mix = if format.is_mix() { "about " } else { "" };
                    let bits = format::trimmed(format.base().bits_per_element(), 3);
                    let text = format!("block of {format}, {mix}{bits} bits");
                    if ui.selectable_label(chosen, text).clicked() {
                        recipe.quantization.blocks = Some(format);
                        queue.push(Action::SetRecipe(recipe.clone(), Some(Axis::WeightBits)));
                    }
                }
            });
        let response = combo.response.labelled_by(label.id);
        glossary::describe(&response, glossary::GROUP);
    });
}

fn temperature(ui: &mut Ui, recipe: &Recipe, queue: &mut Vec<Action>) {
    let mut recipe = recipe.clone();
    let student = recipe.distillation.ratio < 1.0;
    ui.add_enabled_ui(student, |ui| {
        ui.horizontal(|ui| {
            let label = caption(ui, "Temperature").on_hover_text(glossary::TEMPERATURE);
            let mut value = recipe.distillation.temperature;
            let response = ui
                .add(
                    egui::DragValue::new(&mut value)
                        .range(0.5..=20.0)
                        .speed(0.05)
                        .update_while_editing(false)
                        .custom_formatter(|value, _| format::trimmed(value, 3)),
                )
                .labelled_by(label.id);
            glossary::describe(&response, glossary::TEMPERATURE);
            if response.changed() {
                recipe.distillation.temperature = (value * 10.0).round() / 10.0;
                queue.push(Action::SetRecipe(recipe.clone(), Some(Axis::Ratio)));
            }
        });
    });
}
