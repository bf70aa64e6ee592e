//! Layer by layer: what each holds, what it takes, what the recipe does to it, and what it may have of its own.

mod against;
mod histogram;
mod rows;
mod side;
mod table;

use egui::{RichText, Ui, vec2};

use self::against::Against;
use self::rows::{Column, Difference, Errors, Row};
use super::{Cached, sheet};
use crate::app::command::Action;
use crate::app::{App, theme};
use crate::format;

/// The page.
#[derive(Default)]
pub(super) struct Weights {
    rows: Cached<Vec<Row>>,
    column: Column,
    /// Whether the largest come last.
    rising: bool,
    filter: String,
    against: Against,
    chosen: Option<String>,
    /// How far the table is scrolled and how much of it is seen.
    seen: (f32, f32),
}

/// Least room in which what is chosen has its place beside the table.
const BESIDE: f32 = 900.0;
/// Its width there.
const SIDE: f32 = 320.0;
/// Least height of the table, and that of what is chosen, where one lies under the other.
const UNDER: (f32, f32) = (150.0, 300.0);

impl Weights {
    pub(super) fn show(&mut self, ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
        let against = self.against;
        let Some(all) = self.rows.get(app, |_| rows::rows(app)) else {
            return sheet::empty(ui, super::NO_MODEL);
        };
        let errors = app.model.looking.errors();
        let all = &compared(all, against, app, errors, queue)[..];
        let mut order: Vec<&Row> = all.iter().filter(|row| row.fits(&self.filter)).collect();
        self.column.sort(&mut order, errors, self.rising);
        let chosen = all
            .iter()
            .find(|row| Some(&row.name) == self.chosen.as_ref());
        app.model
            .looking
            .ask(app, chosen.map(|row| row.name.as_str()), queue);
        let mut picked = None;
        sheet::card(ui, |ui| {
            let fidelity = match app.model.is_weights_only() {
                true => fidelity(app),
                false => String::new(),
            };
            sheet::reading(ui, &(fidelity + &reading(all, errors)));
            let mut head = table::Head {
                column: &mut self.column,
                rising: &mut self.rising,
                filter: &mut self.filter,
                seen: &mut self.seen,
            };
            notes(ui, app, all);
            head.filter(ui, (order.len(), all.len()), |ui| {
                self.against.show(ui, app);
            });
            let room = ui.available_size();
            if room.x >= BESIDE {
                ui.horizontal_top(|ui| {
                    let wide = vec2(room.x - SIDE - 16.0, room.y);
                    ui.allocate_ui(wide, |ui| {
                        ui.set_min_size(wide);
                        ui.vertical(|ui| {
                            picked = table::show(ui, &order, errors, chosen, &mut head);
                        });
                    });
                    ui.separator();
                    ui.vertical(|ui| side::show(ui, app, chosen, queue));
                });
            } else {
                let high = (room.y - UNDER.1).max(UNDER.0);
                ui.allocate_ui(vec2(room.x, high), |ui| {
                    ui.set_min_size(vec2(room.x, high));
                    ui.vertical(|ui| {
                        picked = table::show(ui, &order, errors, chosen, &mut head);
                    });
                });
                ui.separator();
                egui::ScrollArea::vertical()
                    .id_salt("chosen layer")
                    .auto_shrink(false)
                    .show(ui, |ui| side::show(ui, app, chosen, queue));
            }
        });
        if picked.is_some() {
            self.chosen = picked;
        }
    }

    /// The table of the page.
    pub(super) fn table(&mut self, app: &App) -> Vec<Vec<String>> {
        let against = self.against;
        let rows = self.rows.get(app, |_| rows::rows(app));
        rows.map_or_else(Vec::new, |rows| {
            let errors = app.model.looking.errors();
            let rows = compared(rows, against, app, errors, &mut Vec::new());
            rows::table(&rows, errors)
        })
    }
}

/// The layers with what they differ by from those of another configuration, where one is chosen.
fn compared(
    rows: &[Row],
    against: Against,
    app: &App,
    errors: Option<&Errors>,
    queue: &mut Vec<Action>,
) -> Vec<Row> {
    let differences = against.differences(app, rows, errors, queue);
    let largest = differences
        .values()
        .fold(0.0, |most: f64, d| most.max(d.abs()));
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.difference = differences.get(&row.name).map(|&more| Difference {
            measure: against.measure,
            more,
            share: if largest > 0.0 {
                (more.abs() / largest) as f32
            } else {
                0.0
            },
        });
    }
    rows
}

/// What the table cannot say, and why.
fn notes(ui: &mut Ui, app: &App, rows: &[Row]) {
    let palette = theme::palette(ui.visuals());
    let mut notes = Vec::new();
    if app.model.is_weights_only() {
        notes.push(
            "of this network only named weights are known: no quality is measured, only how near the weights stay; \
             time and energy are not known"
                .to_owned(),
        );
    } else if app.model.is_outline() {
        notes.push(
            "known by its shapes only: without weights there are no errors and no histograms"
                .to_owned(),
        );
    } else if let Some(error) = app.model.looking.failure() {
        notes.push(format!("the weights could not be looked at: {error}"));
    }
    if rows.iter().all(|row| row.energy.is_none()) && !app.model.is_weights_only() {
        notes.push(
            "on this device energy is known of the whole only, not layer by layer".to_owned(),
        );
    }
    if !notes.is_empty() {
        let mut text = notes.join("; ");
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        ui.label(RichText::new(text).color(palette.muted));
    }
}

/// How near all weights stay: "Weight fidelity 31.2 dB; ".
fn fidelity(app: &App) -> String {
    let recipe = &app.session.configuration.recipe;
    match app.model.looking.fidelity(recipe) {
        Some(Some(decibels)) => format!("Weight fidelity {}; ", rows::decibels_text(decibels)),
        Some(None) => "Weights unchanged; ".to_owned(),
        None => String::new(),
    }
}

/// Where most bytes are, and where the largest error is: "head holds 46 % of the bytes; the largest error is in conv1, 14 dB".
fn reading(rows: &[Row], errors: Option<&rows::Errors>) -> String {
    let all: u64 = rows.iter().map(|row| row.stored).sum();
    let largest = rows.iter().max_by_key(|row| row.stored);
    let mut text = largest.map_or_else(String::new, |row| {
        let share = row.stored as f64 / all.max(1) as f64;
        format!(
            "{} holds {} of the bytes",
            row.name,
            format::percent(share, 0)
        )
    });
    let worst = rows
        .iter()
        .filter_map(|row| Some((row, row.decibels(errors)?)))
        .min_by(|(_, a), (_, b)| a.total_cmp(b));
    if let Some((row, decibels)) = worst {
        text += &format!(
            "; the largest error is in {}, {}",
            row.name,
            rows::decibels_text(decibels)
        );
    }
    text
}
