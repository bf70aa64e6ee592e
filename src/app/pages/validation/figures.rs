//! The error figures of every group as a table.

use egui::{Align, RichText, ScrollArea, Sense, TextStyle, Ui, vec2};
use wattif_core::serving::Statistics;

use super::Validation;
use super::rows::Shown;
use crate::app::explain::{Words, explained, told};
use crate::app::pages::sheet;
use crate::app::{theme, widgets};
use crate::format;

impl Validation {
    /// The error figures of every group; a group that is clicked stands out in the chart.
    pub(super) fn table_of(&mut self, ui: &mut Ui, shown: &Shown) {
        let palette = theme::palette(ui.visuals());
        let lanes = Lanes::new(ui);
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.separator();
        let heads = HEADS.map(|(head, help)| {
            let text = RichText::new(head)
                .text_style(TextStyle::Small)
                .color(palette.muted);
            (text, help)
        });
        ui.horizontal(|ui| {
            lanes.name(
                ui,
                RichText::new("Hardware, scope")
                    .text_style(theme::emphasis())
                    .color(palette.strong),
            );
            for (place, (text, help)) in heads.into_iter().enumerate() {
                if lanes.shows(place) {
                    let cell = widgets::reachable_cell(ui, lanes.number, Align::Max, text);
                    explained(cell, || Words::plain(help));
                }
            }
        });
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            if let Some(all) = &shown.all {
                let chosen = self.focus.is_none();
                if line(ui, &lanes, "All that is shown", all, chosen) {
                    self.focus = None;
                }
            }
            for group in &shown.groups {
                let name = format!("{}, {}", group.hardware, group.scope);
                let chosen = self.focus.as_ref() == Some(&group.hardware);
                if line(ui, &lanes, &name, &group.statistics, chosen) {
                    self.focus = (!chosen).then(|| group.hardware.clone());
                }
            }
        });
    }
}

const HEADS: [(&str, &str); 6] = [
    ("rows", "Rows compared"),
    ("median %", "Median of the absolute error"),
    ("p90 %", "90th percentile of the absolute error"),
    (
        "bias %",
        "Mean of the signed error; positive: predicted too much",
    ),
    (
        "rank",
        "Spearman's rank correlation of predicted and measured",
    ),
    ("inside %", "Share of rows inside the stated range"),
];

struct Lanes {
    name: f32,
    number: f32,
    /// Whether all columns have room.
    wide: bool,
}

impl Lanes {
    fn new(ui: &Ui) -> Self {
        let growth = TextStyle::Small.resolve(ui.style()).size / 11.0;
        let number = 54.0 * growth;
        let gap = ui.spacing().item_spacing.x;
        let room = |columns: f32| ui.available_width() - columns * (number + gap) - 14.0;
        let wide = room(6.0) >= Self::LEAST_NAME;
        let columns = if wide { 6.0 } else { Self::MAIN.len() as f32 };
        Self {
            name: room(columns).max(Self::LEAST_NAME),
            number,
            wide,
        }
    }

    const LEAST_NAME: f32 = 90.0;

    /// The columns that stay in little room: rows, median error, share inside the range.
    const MAIN: [usize; 3] = [0, 1, 5];

    fn shows(&self, column: usize) -> bool {
        self.wide || Self::MAIN.contains(&column)
    }

    fn name(&self, ui: &mut Ui, text: RichText) {
        widgets::cell(ui, self.name, Align::Min, text);
    }
}

/// A group with its figures; true when it was clicked.
fn line(ui: &mut Ui, lanes: &Lanes, name: &str, figures: &Statistics, chosen: bool) -> bool {
    let palette = theme::palette(ui.visuals());
    let size = vec2(ui.available_width(), 20.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    sheet::row_ground(ui.painter(), rect, &response, chosen, palette);
    let mut inside = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(rect.shrink2(vec2(4.0, 0.0)))
            .layout(egui::Layout::left_to_right(Align::Center)),
    );
    lanes.name(&mut inside, RichText::new(name).color(palette.text));
    let rank = figures
        .rank_correlation
        .map_or_else(|| "–".to_owned(), |rank| format!("{rank:.3}"));
    let texts = [
        format::count(figures.n as f64),
        format::significant(figures.median_absolute_error, 2),
        format::significant(figures.p90_absolute_error, 2),
        format::significant(figures.bias, 2),
        rank,
        format!("{:.0}", 100.0 * figures.inside_range),
    ];
    for (place, text) in texts.iter().enumerate() {
        if lanes.shows(place) {
            let text = RichText::new(text).color(palette.strong);
            widgets::cell(&mut inside, lanes.number, Align::Max, text);
        }
    }
    let words = format!("Show {name}");
    response.widget_info(|| {
        egui::WidgetInfo::selected(egui::accesskit::Role::Button, true, chosen, &words)
    });
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    let response = told(response, || {
        HEADS
            .iter()
            .zip(&texts)
            .fold(Words::headed(name), |words, ((head, help), text)| {
                words.line(format!(
                    "{help}: {text}{}",
                    if head.ends_with('%') { " %" } else { "" }
                ))
            })
    });
    response.clicked()
}
