//! The menus of models, devices and places: searched by typing, walked along by the arrow keys, as high as they were.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use scripted::{Setup, Window};
use wattif::app::Start;
use wattif_core::carbon;
use wattif_core::model::ModelReference;

/// A window on a network of the catalogue.
fn catalogue(name: &str) -> Window {
    Setup {
        start: Start {
            model: Some(ModelReference::Catalogue(name.to_owned())),
            ..Start::default()
        },
        ..Setup::default()
    }
    .open()
}

/// Button, field, something that is found by words in any order, what Enter then takes, and what nothing has.
const MENUS: [[&str; 4]; 3] = [
    [
        "Model",
        "Search models",
        "70b LLAMA 3.1",
        "catalogue:llama-3-1-70b",
    ],
    ["Hardware", "Search hardware", "sxm h100", "nvidia-h100-sxm"],
    ["Region", "Search regions", "korea south", "KR"],
];

impl Window {
    /// Opens a menu, which is named as its button is.
    fn open_menu(&mut self, name: &str) {
        self.harness
            .get_by_role_and_label(Role::ComboBox, name)
            .click();
        self.harness.run();
    }

    /// Types into the field of the open menu.
    fn search(&mut self, field: &str, text: &str) {
        self.harness
            .get_by_role_and_label(Role::TextInput, field)
            .set_text_value_accesskit(text);
        self.harness.run();
    }

    fn is_open(&self, field: &str) -> bool {
        self.harness
            .query_by_role_and_label(Role::TextInput, field)
            .is_some()
    }

    /// Height of the open menu.
    fn menu_height(&self) -> f32 {
        self.harness.ctx.memory(|memory| {
            memory
                .areas()
                .visible_layer_ids()
                .into_iter()
                .filter(|layer| layer.order == egui::Order::Foreground)
                .filter_map(|layer| memory.area_rect(layer.id))
                .map(|area| area.height())
                .fold(0.0, f32::max)
        })
    }

    fn chosen(&mut self, menu: &str) -> String {
        let configuration = &self.app().session().configuration;
        match menu {
            "Model" => configuration.model.to_string(),
            "Hardware" => configuration.scenario.hardware.clone(),
            _ => configuration.scenario.region.clone(),
        }
    }
}

#[test]
fn enter_takes_the_first_hit_in_every_menu_whatever_the_order_of_the_words() {
    let mut window = catalogue("llama-3-1-8b");
    for [menu, field, words, expected] in MENUS {
        window.open_menu(menu);
        window.search(field, words);
        window.press(Modifiers::NONE, Key::Enter);
        assert_eq!(window.chosen(menu), expected);
        assert!(!window.is_open(field), "{menu}");
    }
}

#[test]
fn a_menu_keeps_its_height_and_forgets_the_search_when_it_closes() {
    let mut window = catalogue("llama-3-1-8b");
    for [menu, field, words, _] in MENUS {
        window.open_menu(menu);
        let height = window.menu_height();
        assert!(height > 300.0, "{menu}: {height}");
        window.search(field, "nothing has this in its name");
        window.press(Modifiers::NONE, Key::Enter);
        assert!(window.is_open(field), "{menu}: there is nothing to take");
        assert!(window.menu_height() > 300.0, "{menu}");
        window.search(field, words);
        assert!(window.menu_height() > 300.0, "{menu}");
        window.press(Modifiers::NONE, Key::Escape);
        assert!(!window.is_open(field), "{menu}");
        window.open_menu(menu);
        let text = window.harness.get_by_role_and_label(Role::TextInput, field);
        assert_eq!(
            text.accesskit_node().value().unwrap_or_default(),
            "",
            "{menu}"
        );
        assert!(window.menu_height() > 300.0, "{menu}");
        window.press(Modifiers::NONE, Key::Escape);
    }
}

#[test]
fn arrow_keys_move_along_what_was_found() {
    let mut window = catalogue("llama-3-1-8b");
    window.open_menu("Region");
    window.search("Search regions", "california");
    let hits = carbon::search_grids("california").unwrap().items;
    window.press(Modifiers::NONE, Key::ArrowDown);
    window.press(Modifiers::NONE, Key::ArrowDown);
    window.press(Modifiers::NONE, Key::ArrowUp);
    window.press(Modifiers::NONE, Key::Enter);
    assert_eq!(window.chosen("Region"), hits[1].id);
    // Without words Enter takes nothing, until an arrow has led somewhere.
    window.open_menu("Hardware");
    let before = window.chosen("Hardware");
    window.press(Modifiers::NONE, Key::Enter);
    assert_eq!(window.chosen("Hardware"), before);
    assert!(window.is_open("Search hardware"));
}

#[test]
fn a_place_without_a_grid_says_so_and_enter_takes_no_other() {
    let mut window = catalogue("llama-3-1-8b");
    let before = window.chosen("Region");
    window.open_menu("Region");
    window.search("Search regions", "AND");
    assert!(window.says("No grid data for Andorra (AD)"));
    window.press(Modifiers::NONE, Key::Enter);
    assert_eq!(window.chosen("Region"), before);
}
