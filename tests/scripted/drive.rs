//! What every test does with the window: press, click, drag, read.

use std::time::Duration;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};

use super::Window;

/// A frame that is wished for later than this comes when something leaves by itself, not when the hand rests.
const SOON: Duration = Duration::from_secs(1);

impl Window {
    /// Draws until no frame is wished for soon, so that the hand has rested.
    pub(crate) fn rest(&mut self) {
        for _ in 0..8 {
            self.harness.run();
            let viewport = &self.harness.output().viewport_output[&egui::ViewportId::ROOT];
            if viewport.repaint_delay > SOON {
                return;
            }
        }
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.rest();
    }

    /// Drags a slider to a place on its rail.
    pub(crate) fn slider(&mut self, name: &str, place: f64) {
        self.harness
            .get_by_role_and_label(Role::Slider, name)
            .set_value_accesskit(place);
        self.rest();
    }

    /// Clicks a button.
    pub(crate) fn click(&mut self, label: &str) {
        self.harness
            .get_by_role_and_label(Role::Button, label)
            .click();
        self.rest();
    }

    /// The words of everything on screen.
    pub(crate) fn words(&self) -> Vec<String> {
        self.harness
            .root()
            .children_recursive()
            .filter_map(|node| {
                let node = node.accesskit_node();
                node.value()
                    .or(node.label())
                    .filter(|text| !text.is_empty())
            })
            .collect()
    }

    /// Whether these words stand somewhere on screen.
    pub(crate) fn says(&self, part: &str) -> bool {
        self.words().iter().any(|words| words.contains(part))
    }
}
