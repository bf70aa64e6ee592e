//! The pages of the centre: the what-if charts, and what else can be asked of the same configuration. One file each.

mod devices;

use egui::{Key, Rect, Response, RichText, Ui};
use serde::{Deserialize, Serialize};
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

use super::command::{Action, Command};
use super::{App, theme};

/// What the centre of the window shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Page {
    /// Quality, speed and emissions over one knob.
    #[default]
    WhatIf,
    /// The configuration on every device.
    Devices,
}

impl Page {
    /// All pages, in the order of their tabs.
    pub const ALL: [Self; 2] = [Self::WhatIf, Self::Devices];

    /// The word on its tab.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WhatIf => "What if",
            Self::Devices => "Devices",
        }
    }

    /// The digit that leads to it, with Ctrl.
    pub(super) const fn key(self) -> Key {
        match self {
            Self::WhatIf => Key::Num1,
            Self::Devices => Key::Num2,
        }
    }

    /// What it answers.
    const fn question(self) -> &'static str {
        match self {
            Self::WhatIf => "What happens to quality, speed and CO₂e when one knob moves",
            Self::Devices => "This configuration on every device, sorted by time, energy or CO₂e",
        }
    }
}

/// What the pages keep from one frame to the next.
#[derive(Default)]
pub(super) struct Pages {
    devices: devices::Devices,
    /// Where the page was drawn, in points; for the picture that is exported.
    pub(super) rect: Option<Rect>,
}

impl Pages {
    /// Draws a page other than the what-if charts over the rest of the room.
    pub(super) fn show(&mut self, ui: &mut Ui, app: &App, page: Page, queue: &mut Vec<Action>) {
        self.rect = Some(ui.available_rect_before_wrap());
        match page {
            Page::WhatIf => {}
            Page::Devices => self.devices.show(ui, app, queue),
        }
    }

    /// What a page shows as a table with a heading line; `None` where it has nothing to show.
    pub(super) fn table(&mut self, app: &App, page: Page) -> Option<Vec<Vec<String>>> {
        match page {
            Page::WhatIf => None,
            Page::Devices => self.devices.table(app),
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
                    recipe: configuration.recipe,
                    scenario: configuration.scenario.clone(),
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
