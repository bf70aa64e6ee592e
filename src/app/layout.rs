//! Where the parts of the window lie.

use egui::{CentralPanel, Frame, Panel, ScrollArea, Ui, vec2};

use wattif_core::measurement::Metric;

use super::command::Action;
use super::pages::Page;
use super::{App, pages, panels, theme};

/// Width below which a panel does not fall, in points.
const NARROWEST_PANEL: f32 = 280.0;

impl App {
    /// Draws the window.
    pub fn ui(&mut self, ui: &mut Ui) {
        if self.presenting {
            self.present(ui);
        } else {
            self.work(ui);
        }
        let mut queue = std::mem::take(&mut self.queue);
        self.dialogs.show(ui, &mut queue);
        panels::hardware::measured(ui, self, &mut queue);
        self.queue = queue;
        let mut editor = std::mem::take(&mut self.editor);
        let answer = editor.show(ui, self);
        self.editor = editor;
        if let Some(answer) = answer {
            self.edited(answer);
        }
        if self.listing_shortcuts {
            self.listing_shortcuts = panels::shortcuts::show(ui);
        }
        self.show_notices(ui);
        drop_hint(ui);
        if !self.queue.is_empty() {
            ui.ctx().request_repaint();
        }
    }

    /// Draws the messages over the page.
    fn show_notices(&mut self, ui: &Ui) {
        let over = self.centre.unwrap_or_else(|| ui.ctx().content_rect());
        panels::errors::show(ui, over, self.notices.list(), &mut self.queue);
    }

    fn work(&mut self, ui: &mut Ui) {
        let palette = theme::palette(ui.visuals());
        // In a narrow window, or with large text, the charts keep their room and only one of the panels has its own.
        let panels: f32 = theme::PANEL_WIDTHS.iter().sum();
        let width = ui.available_width();
        self.narrow = width < theme::CHART_WIDTH + panels;
        // In a very narrow one a panel takes the place of the charts too.
        self.single = width < theme::LEAST_CHART_WIDTH + theme::PANEL_WIDTHS[0];
        let mut queue = std::mem::take(&mut self.queue);
        let bar = Frame::new()
            .fill(palette.panel)
            .inner_margin(egui::Margin::symmetric(12, 6));
        Panel::top("top")
            .frame(bar)
            .exact_size(38.0)
            .resizable(false)
            .show(ui, |ui| panels::top::show(ui, self, &mut queue));
        Panel::bottom("status")
            .frame(bar.inner_margin(egui::Margin::symmetric(12, 3)))
            .exact_size(28.0)
            .resizable(false)
            .show(ui, |ui| panels::status::show(ui, self, &mut queue));
        let side = Frame::new().fill(palette.panel).inner_margin(12);
        let settings = &self.session.settings;
        let (show_controls, wanted) = (settings.show_controls, settings.show_results);
        let show_results = wanted && !(show_controls && self.narrow);
        if self.single && (show_controls || show_results) {
            self.queue.append(&mut queue);
            self.alone(ui, side, show_controls);
            return;
        }
        let widest = |most: f32| (width - theme::LEAST_CHART_WIDTH).clamp(NARROWEST_PANEL, most);
        if show_controls {
            Panel::left("controls")
                .frame(side)
                .default_size(theme::PANEL_WIDTHS[0])
                .size_range(NARROWEST_PANEL..=widest(380.0))
                .show(ui, |ui| panels::controls::show(ui, self, &mut queue));
        }
        self.queue.append(&mut queue);
        self.run_queue(ui.ctx());
        self.refresh();
        if show_results {
            let ground = side.fill(palette.window).inner_margin(egui::Margin {
                left: 4,
                right: 10,
                top: 10,
                bottom: 10,
            });
            Panel::right("results")
                .frame(ground)
                .default_size(theme::PANEL_WIDTHS[1])
                .size_range(NARROWEST_PANEL..=widest(420.0))
                .show_separator_line(false)
                .show(ui, |ui| self.results(ui));
        }
        let ground = Frame::new().fill(palette.window).inner_margin(10);
        CentralPanel::no_frame()
            .frame(ground)
            .show(ui, |ui| self.centre(ui));
    }

    /// One panel in the place of everything else.
    fn alone(&mut self, ui: &mut Ui, side: Frame, controls: bool) {
        let mut queue = Vec::new();
        CentralPanel::no_frame().frame(side).show(ui, |ui| {
            if controls {
                panels::controls::show(ui, self, &mut queue);
            } else {
                self.results(ui);
            }
        });
        self.queue.append(&mut queue);
        self.run_queue(ui.ctx());
        self.refresh();
    }

    fn results(&mut self, ui: &mut Ui) {
        let mut pictures = std::mem::take(&mut self.model.pictures);
        let mut queue = Vec::new();
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 8.0;
            panels::training::show(ui, self, &mut queue);
            panels::figures::show(ui, self);
            panels::pins::show(ui, self, &mut queue);
            // What changes first when pictures are made is the pictures.
            let makes_pictures = (self.derived.metric).is_some_and(Metric::is_of_pictures);
            if makes_pictures {
                panels::examples::show(ui, self, &mut pictures, &mut queue);
            }
            panels::savings::show(ui, self);
            panels::breakdown::show(ui, self);
            panels::measured::show(ui, self, &mut queue);
            panels::spiking::show(ui, self);
            panels::beside::student(ui, self);
            if !makes_pictures {
                panels::examples::show(ui, self, &mut pictures, &mut queue);
            }
            panels::beside::show(ui, self);
        });
        self.model.pictures = pictures;
        self.queue.append(&mut queue);
    }

    fn centre(&mut self, ui: &mut Ui) {
        self.centre = Some(ui.max_rect());
        let mut queue = Vec::new();
        panels::errors::infeasible(ui, self, &mut queue);
        ui.horizontal_wrapped(|ui| {
            pages::tabs(ui, self, &mut queue);
            if self.session.settings.page == Page::WhatIf {
                panels::axis::show(ui, self, &mut queue);
            }
        });
        self.queue.append(&mut queue);
        self.draw_page_in_room(ui);
    }

    /// Draws the page as high as it needs to be, scrolled where the window is lower.
    fn draw_page_in_room(&mut self, ui: &mut Ui) {
        if ui.available_height() >= theme::PAGE_HEIGHT {
            return self.draw_page(ui);
        }
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            let scroll = ui.spacing().scroll;
            let size = vec2(ui.available_width() - scroll.bar_width, theme::PAGE_HEIGHT);
            ui.allocate_ui(size, |ui| {
                ui.set_min_size(size);
                self.draw_page(ui);
            });
        });
    }

    fn draw_page(&mut self, ui: &mut Ui) {
        let page = self.session.settings.page;
        if page == Page::WhatIf {
            self.draw_charts(ui);
            return;
        }
        let mut pages = std::mem::take(&mut self.pages);
        let mut queue = Vec::new();
        pages.show(ui, self, page, &mut queue);
        self.pages = pages;
        self.queue.append(&mut queue);
    }

    fn draw_charts(&mut self, ui: &mut Ui) {
        let moved = self
            .charts
            .show(ui, &self.session, &self.model.store, &self.derived);
        if let Some(value) = moved {
            let axis = self.session.axis;
            let mut recipe = self.session.configuration.recipe.clone();
            let mut scenario = self.session.configuration.scenario.clone();
            axis.set(value, &mut recipe, &mut scenario);
            self.queue.push(if axis.is_recipe() {
                Action::SetRecipe(recipe, Some(axis))
            } else {
                Action::SetScenario(scenario, Some(axis))
            });
        }
    }

    fn present(&mut self, ui: &mut Ui) {
        let palette = theme::palette(ui.visuals());
        let mut queue = std::mem::take(&mut self.queue);
        let ground = Frame::new().fill(palette.window).inner_margin(16);
        Panel::bottom("slider in use")
            .frame(ground)
            .resizable(false)
            .show_separator_line(false)
            .show(ui, |ui| {
                theme::enlarge(ui);
                panels::present::show(ui, self, &mut queue);
            });
        self.queue.append(&mut queue);
        self.run_queue(ui.ctx());
        self.refresh();
        CentralPanel::no_frame().frame(ground).show(ui, |ui| {
            theme::enlarge(ui);
            self.centre = Some(ui.max_rect());
            self.draw_page_in_room(ui);
        });
    }
}

/// What to do with a file that hovers over the window.
fn drop_hint(ui: &Ui) {
    if ui.input(|input| input.raw.hovered_files.is_empty()) {
        return;
    }
    let palette = theme::palette(ui.visuals());
    let painter = ui.ctx().layer_painter(egui::LayerId::new(
        egui::Order::Foreground,
        egui::Id::unique("drop hint"),
    ));
    let rect = ui.ctx().content_rect();
    painter.rect_filled(rect, 0.0, theme::faint(palette.window, 0.85));
    painter.text(
        rect.center(),
        egui::Align2::CENTER_CENTER,
        "Drop a preset, a model, a hardware file, or a text or a folder of images to measure on",
        egui::FontId::new(20.0, theme::semibold()),
        palette.strong,
    );
}
