//! Predicted against measured for the published rows, with the error figures of every group.

mod chart;
mod figures;
mod rows;

use std::sync::Arc;

use egui::{ComboBox, Ui, vec2};
use poll_promise::Promise;

use self::rows::{Constants, Filters, Item, Outcome, Quantity, Shown, work_out};
use crate::app::pages::sheet;
use crate::app::{App, widgets};
use crate::format;

/// The page.
#[derive(Default)]
pub(super) struct Validation {
    work: Option<Promise<Outcome>>,
    filters: Filters,
    /// The hardware whose points stand out.
    focus: Option<String>,
    /// The row whose detail is shown.
    pinned: Option<String>,
    shown: Option<Shown>,
}

impl Validation {
    /// Whether the rows are being predicted.
    pub(super) fn is_busy(&self) -> bool {
        let work = self.work.as_ref();
        work.is_some_and(|work| work.ready().is_none())
    }

    /// Begins to predict the rows, once.
    fn begin(&mut self, app: &App) {
        if self.work.is_some() {
            return;
        }
        let (sender, promise) = Promise::new();
        let wake = Arc::clone(&app.wake);
        let run = move || {
            // Polling panics if the work did, so it must not.
            let outcome = std::panic::catch_unwind(work_out)
                .unwrap_or_else(|_| Err("The predictions broke off".to_owned()));
            sender.send(outcome);
            wake();
        };
        let named = std::thread::Builder::new().name("wattif-validation".to_owned());
        self.work = Some(match named.spawn(run) {
            Ok(_) => promise,
            Err(error) => Promise::from_ready(Err(format!("There is no thread for it: {error}"))),
        });
    }

    pub(super) fn show(&mut self, ui: &mut Ui, app: &App) {
        self.begin(app);
        let Some(work) = self.work.take() else { return };
        match work.ready() {
            None => sheet::empty(
                ui,
                "Predicting the published rows, each by constants fitted to the other families…",
            ),
            Some(Err(error)) => sheet::empty(ui, error),
            Some(Ok(items)) => sheet::card(ui, |ui| self.page(ui, items)),
        }
        self.work = Some(work);
    }

    fn page(&mut self, ui: &mut Ui, items: &[Item]) {
        let shown = match self.shown.take() {
            Some(shown) if shown.of == self.filters => shown,
            _ => Shown::new(self.filters, items),
        };
        sheet::reading(ui, &reading(&shown, self.filters.quantity));
        self.choose(ui, items);
        let wide = ui.available_width() > 1000.0;
        let detail = if self.pinned.is_some() { 84.0 } else { 22.0 };
        if wide {
            let height = ui.available_height();
            ui.horizontal_top(|ui| {
                let width = (ui.available_width() * 0.52).floor();
                ui.vertical(|ui| {
                    ui.set_width(width);
                    // Both axes have the same bounds, so the chart is not taller than wide.
                    let size = vec2(width, (height - detail).min(width));
                    self.chart(ui, size, items, &shown);
                    self.detail(ui, items);
                });
                ui.vertical(|ui| self.table_of(ui, &shown));
            });
        } else {
            let height = ((ui.available_height() - detail) * 0.62).max(200.0);
            self.chart(ui, vec2(ui.available_width(), height), items, &shown);
            self.detail(ui, items);
            self.table_of(ui, &shown);
        }
        self.shown = Some(shown);
    }

    fn choose(&mut self, ui: &mut Ui, items: &[Item]) {
        ui.horizontal_wrapped(|ui| {
            let quantities = [
                (Quantity::Energy, "Energy", "Joules per unit of work"),
                (
                    Quantity::Throughput,
                    "Throughput",
                    "Units of work per second",
                ),
            ];
            if let Some(quantity) = widgets::choices(ui, &quantities, self.filters.quantity) {
                self.filters.quantity = quantity;
            }
            let constants = [
                (
                    Constants::HeldOut,
                    "Held out",
                    "Every family is predicted by constants that were fitted to the other families",
                ),
                (
                    Constants::Shipped,
                    "As shipped",
                    "The constants that the program uses; they were fitted to these rows",
                ),
            ];
            if let Some(constants) = widgets::choices(ui, &constants, self.filters.constants) {
                self.filters.constants = constants;
            }
            let mut scopes: Vec<&'static str> = items.iter().map(Item::scope).collect();
            if let Some(scope) = filter(ui, "scopes", &mut scopes, self.filters.scope) {
                self.filters.scope = scope;
            }
            let mut kinds: Vec<&'static str> = items.iter().map(|item| item.kind).collect();
            if let Some(kind) = filter(ui, "work", &mut kinds, self.filters.kind) {
                self.filters.kind = kind;
            }
        });
    }

    /// The rows, once they are predicted.
    fn items(&self) -> Option<&[Item]> {
        self.work.as_ref()?.ready()?.as_deref().ok()
    }

    /// Why there is no table of this page.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        match self.items() {
            Some(_) => None,
            None => Some("The rows are not predicted yet"),
        }
    }

    /// Every row with its prediction.
    pub(super) fn table(&self) -> Vec<Vec<String>> {
        let heading = [
            "id",
            "model",
            "hardware",
            "n_devices",
            "task",
            "precision",
            "batch_size",
            "scope",
            "constants",
            "energy_low_j",
            "energy_typical_j",
            "energy_high_j",
            "energy_measured_j",
            "throughput_low_per_s",
            "throughput_typical_per_s",
            "throughput_high_per_s",
            "throughput_measured_per_s",
            "source",
        ];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        let constants = match self.filters.constants {
            Constants::HeldOut => "held out",
            Constants::Shipped => "as shipped",
        };
        let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        for item in self.items().unwrap_or_default() {
            let predicted = &item.predicted[self.filters.constants as usize];
            let (row, published) = (&item.conditions, item.published());
            let mut line: Vec<String> = [
                &published.id,
                &published.model,
                &published.hardware,
                &row.n_devices,
                &row.task,
                &row.precision,
                &row.batch_size,
            ]
            .map(Clone::clone)
            .to_vec();
            line.extend([item.scope(), constants].map(str::to_owned));
            let energy = predicted.predicted_energy_j;
            line.extend([
                number(energy.map(|e| e.low)),
                number(energy.map(|e| e.typical)),
                number(energy.map(|e| e.high)),
                number(predicted.measured_energy_j),
            ]);
            let speed = predicted.predicted_throughput;
            line.extend([
                number(speed.map(|s| s.low)),
                number(speed.map(|s| s.typical)),
                number(speed.map(|s| s.high)),
            ]);
            line.push(number(predicted.measured_throughput));
            line.push(published.source.clone());
            rows.push(line);
        }
        rows
    }
}

/// "Energy of 1,087 published rows: median error 11 %, 91 % inside the stated range".
fn reading(shown: &Shown, quantity: Quantity) -> String {
    let what = match quantity {
        Quantity::Energy => "Energy",
        Quantity::Throughput => "Throughput",
    };
    match &shown.all {
        None => format!("{what}: no published row has all of this"),
        Some(all) => format!(
            "{what} of {} published rows: median error {} %, {} inside the stated range",
            format::count(all.n as f64),
            format::significant(all.median_absolute_error, 2),
            format::percent(all.inside_range, 0)
        ),
    }
}

/// A choice among the words that occur, or all of them. Returns the new choice.
fn filter(
    ui: &mut Ui,
    name: &str,
    words: &mut Vec<&'static str>,
    chosen: Option<&'static str>,
) -> Option<Option<&'static str>> {
    words.sort_unstable();
    words.dedup();
    let all = format!("All {name}");
    let mut picked = None;
    let combo = ComboBox::from_id_salt(name)
        .selected_text(chosen.unwrap_or(&all))
        .width(96.0)
        .show_ui(ui, |ui| {
            let options = std::iter::once(None).chain(words.iter().copied().map(Some));
            for option in options {
                let text = option.unwrap_or(&all);
                if ui.selectable_label(option == chosen, text).clicked() {
                    picked = Some(option);
                }
            }
        });
    combo
        .response
        .widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, name));
    picked
}
