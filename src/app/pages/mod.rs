//! The pages of the centre: the what-if charts, and what else can be asked of the same configuration. One file each.

mod crossover;
mod curves;
mod devices;
mod layers;
mod sheet;
mod validation;
mod weights;

use egui::{Key, Response, RichText, Ui};
use serde::{Deserialize, Serialize};
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

use super::command::{Action, Command};
use super::{App, theme};

pub(super) use devices::Quantity;

/// What the centre of the window shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Page {
    /// Quality, speed and emissions over one knob.
    #[default]
    WhatIf,
    /// The configuration on every device.
    Devices,
    /// Layer by layer on the chosen device.
    Layers,
    /// What each layer holds, and what it has of its own.
    Weights,
    /// Where another width, or another kind of chip, begins to cost less.
    Crossover,
    /// Predictions against published measurements.
    Validation,
}

impl Page {
    /// All pages, in the order of their tabs.
    pub const ALL: [Self; 6] = [
        Self::WhatIf,
        Self::Devices,
        Self::Layers,
        Self::Weights,
        Self::Crossover,
        Self::Validation,
    ];

    /// The word on its tab.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WhatIf => "What if",
            Self::Devices => "Devices",
            Self::Layers => "Layers",
            Self::Weights => "Weights",
            Self::Crossover => "Crossover",
            Self::Validation => "Validation",
        }
    }

    /// The digit that leads to it, with Ctrl.
    pub(super) const fn key(self) -> Key {
        match self {
            Self::WhatIf => Key::Num1,
            Self::Devices => Key::Num2,
            Self::Layers => Key::Num3,
            Self::Weights => Key::Num6,
            Self::Crossover => Key::Num4,
            Self::Validation => Key::Num5,
        }
    }

    /// What it answers.
    const fn question(self) -> &'static str {
        match self {
            Self::WhatIf => "What happens to quality, speed and CO₂e when one knob moves",
            Self::Devices => "This configuration on every device, sorted by time, energy or CO₂e",
            Self::Layers => {
                "Which layers take time and energy on this device, and what bounds them"
            }
            Self::Weights => {
                "What each layer holds, what the recipe does to it, and what it may have of its own"
            }
            Self::Crossover => {
                "From which batch on, or up to which activity, another choice takes less energy"
            }
            Self::Validation => "How far predictions are from published measurements",
        }
    }
}

/// What a page says while no model is open.
const NO_MODEL: &str = "No model is open yet";

/// What the pages keep from one frame to the next.
#[derive(Default)]
pub(super) struct Pages {
    devices: devices::Devices,
    crossover: crossover::Crossover,
    weights: weights::Weights,
    validation: validation::Validation,
}

impl Pages {
    /// Draws a page other than the what-if charts over the rest of the room.
    pub(super) fn show(&mut self, ui: &mut Ui, app: &App, page: Page, queue: &mut Vec<Action>) {
        match page {
            Page::WhatIf => {}
            Page::Devices => self.devices.show(ui, app, queue),
            Page::Layers => layers::show(ui, app),
            Page::Weights => self.weights.show(ui, app, queue),
            Page::Crossover => self.crossover.show(ui, app, queue),
            Page::Validation => self.validation.show(ui, app),
        }
    }

    /// Whether something is being worked out in the background.
    pub(super) fn is_busy(&self) -> bool {
        self.validation.is_busy()
    }

    /// Why there is no table of a page to write, if so.
    pub(super) fn obstacle(&self, app: &App, page: Page) -> Option<&'static str> {
        match page {
            Page::Layers => layers::obstacle(app),
            Page::Validation => self.validation.obstacle(),
            Page::WhatIf | Page::Devices | Page::Weights | Page::Crossover => None,
        }
    }

    /// What a page other than the what-if charts shows, as a table with a heading line.
    pub(super) fn table(&mut self, app: &App, page: Page) -> Vec<Vec<String>> {
        match page {
            Page::WhatIf => Vec::new(),
            Page::Devices => self.devices.table(app),
            Page::Layers => layers::table(app),
            Page::Weights => self.weights.table(app),
            Page::Crossover => self.crossover.table(app),
            Page::Validation => self.validation.table(),
        }
    }
}

/// Draws the tabs.
pub(super) fn tabs(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let chosen = app.session.settings.page;
    ui.spacing_mut().item_spacing.x = 2.0;
    for page in Page::ALL {
        let selected = page == chosen;
        let words = RichText::new(page.name());
        let words = if selected {
            words.text_style(theme::emphasis()).color(palette.strong)
        } else {
            words
        };
        let response = ui.add(egui::Button::selectable(selected, words));
        name_tab(&response, page, selected);
        let command = Command::Show(page);
        let hint = command.shortcut().map_or_else(
            || page.question().to_owned(),
            |keys| {
                let keys = response.ctx.format_shortcut(&keys);
                format!("{} ({keys})", page.question())
            },
        );
        if response.on_hover_text(hint).clicked() {
            queue.push(Action::Run(command));
        }
    }
}

fn name_tab(response: &Response, page: Page, selected: bool) {
    response.ctx.accesskit_node_builder(response.id, |node| {
        node.set_role(egui::accesskit::Role::Tab);
        node.set_label(page.name());
        node.set_selected(selected);
    });
}

/// What the arithmetic of a page follows from.
#[derive(PartialEq)]
struct Inputs {
    now: ModelProfile,
    original: ModelProfile,
    recipe: Recipe,
    scenario: Scenario,
    /// Which constants of devices it was worked out with.
    constants: u64,
}

/// The figures of a page, worked out again only when something they follow from has changed.
struct Cached<T> {
    generation: Option<u64>,
    inputs: Option<Inputs>,
    value: Option<T>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self {
            generation: None,
            inputs: None,
            value: None,
        }
    }
}

impl<T> Cached<T> {
    /// The figures as they are now; `None` while no model is open.
    fn get(&mut self, app: &App, work_out: impl FnOnce(&Inputs) -> T) -> Option<&T> {
        let derived = &app.derived;
        if self.generation != Some(derived.generation) {
            self.generation = Some(derived.generation);
            let configuration = &app.session.configuration;
            let inputs = match (&derived.now, &derived.original) {
                (Some(now), Some(original)) => Some(Inputs {
                    now: now.profile.clone(),
                    original: original.profile.clone(),
                    recipe: configuration.recipe.clone(),
                    scenario: configuration.scenario.clone(),
                    constants: derived.constants,
                }),
                _ => None,
            };
            // Most new measurements are of other recipes and change nothing here.
            if inputs != self.inputs {
                self.value = inputs.as_ref().map(work_out);
                self.inputs = inputs;
            }
        }
        self.value.as_ref()
    }
}
