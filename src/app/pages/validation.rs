//! Predicted against measured for the published rows, with the error figures of every group.

use std::path::Path;
use std::sync::Arc;

use egui::{
    Align, Color32, ComboBox, Hyperlink, RichText, ScrollArea, Sense, Stroke, TextStyle, Ui, Vec2,
    vec2,
};
use poll_promise::Promise;
use wattif_core::serving::{self, Options, Pair, Row, Statistics, ValidatedRow};
use wattif_core::units::Range;

use crate::app::charts::plane::{self, Plane, Side, Sign};
use crate::app::{App, theme, widgets};
use crate::format;

/// A published row with its predictions.
struct Item {
    row: Row,
    /// By constants that were fitted without its family, and by the constants that ship.
    predicted: [ValidatedRow; 2],
    kind: &'static str,
}

/// What the points compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Quantity {
    #[default]
    Energy,
    Throughput,
}

/// Which constants predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Constants {
    #[default]
    HeldOut,
    Shipped,
}

impl Item {
    fn pair(&self, quantity: Quantity, constants: Constants) -> Option<Pair> {
        let row = &self.predicted[constants as usize];
        let (predicted, measured) = match quantity {
            Quantity::Energy => (row.predicted_energy_j?, row.measured_energy_j?),
            Quantity::Throughput => (row.predicted_throughput, row.measured_throughput?),
        };
        Some(Pair {
            predicted,
            measured,
        })
    }

    fn scope(&self) -> &'static str {
        self.predicted[0].scope
    }
}

/// The kind of work of a row, for its sign and for the filter.
fn kind(row: &Row) -> &'static str {
    if row.task.contains("MLPerf") {
        "MLPerf"
    } else if row.task.contains("text-to-image") || row.task.contains("image generation") {
        "images"
    } else if row.task.contains("text-to-video") {
        "videos"
    } else if row.engine.contains("llama.cpp") {
        "llama.cpp"
    } else {
        "language"
    }
}

fn sign_of(kind: &str) -> Sign {
    match kind {
        "MLPerf" => Sign::Triangle,
        "images" => Sign::Square,
        "videos" => Sign::Diamond,
        "llama.cpp" => Sign::Wedge,
        _ => Sign::Circle,
    }
}

/// Reads the table and predicts every row twice.
fn work_out() -> Result<Vec<Item>, String> {
    let path = Path::new("assets/ground_truth/serving.csv");
    let rows = serving::read(serving::PUBLIC_ROWS, path).map_err(|error| error.to_string())?;
    let validate = |cross_validate: bool| {
        let options = Options {
            models: None,
            cross_validate,
        };
        serving::validate(&rows, options).map_err(|error| error.to_string())
    };
    let (held_out, shipped) = (validate(true)?, validate(false)?);
    let pairs = held_out.rows.into_iter().zip(shipped.rows);
    Ok(pairs
        .filter_map(|(held_out, shipped)| {
            let row = rows.iter().find(|row| row.id == held_out.id)?.clone();
            Some(Item {
                kind: kind(&row),
                row,
                predicted: [held_out, shipped],
            })
        })
        .collect())
}

type Outcome = Result<Vec<Item>, String>;

/// The page.
#[derive(Default)]
pub(super) struct Validation {
    work: Option<Promise<Outcome>>,
    quantity: Quantity,
    constants: Constants,
    scope: Option<&'static str>,
    kind: Option<&'static str>,
    /// The hardware whose points stand out.
    focus: Option<String>,
    /// The row whose detail is shown.
    pinned: Option<String>,
    shown: Option<Shown>,
}

/// What the filters leave, worked out when they change.
struct Shown {
    of: (
        Quantity,
        Constants,
        Option<&'static str>,
        Option<&'static str>,
    ),
    /// Places in the list of items, with predicted and measured.
    points: Vec<(usize, Pair)>,
    all: Option<Statistics>,
    groups: Vec<Group>,
}

struct Group {
    hardware: String,
    scope: &'static str,
    statistics: Statistics,
}

impl Shown {
    fn new(page: &Validation, items: &[Item]) -> Self {
        let points: Vec<(usize, Pair)> = items
            .iter()
            .enumerate()
            .filter(|(_, item)| page.scope.is_none_or(|scope| item.scope() == scope))
            .filter(|(_, item)| page.kind.is_none_or(|kind| item.kind == kind))
            .filter_map(|(place, item)| Some((place, item.pair(page.quantity, page.constants)?)))
            .collect();
        let mut pairs: std::collections::BTreeMap<(&str, &'static str), Vec<Pair>> =
            std::collections::BTreeMap::new();
        for (place, pair) in &points {
            let item = &items[*place];
            let key = (item.row.hardware.as_str(), item.scope());
            pairs.entry(key).or_default().push(*pair);
        }
        let mut groups: Vec<Group> = pairs
            .into_iter()
            .filter_map(|((hardware, scope), pairs)| {
                Some(Group {
                    hardware: hardware.to_owned(),
                    scope,
                    statistics: Statistics::new(&pairs)?,
                })
            })
            .collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.statistics.n));
        let all: Vec<Pair> = points.iter().map(|(_, pair)| *pair).collect();
        Self {
            of: page.filters(),
            all: Statistics::new(&all),
            points,
            groups,
        }
    }
}

impl Validation {
    /// Whether the rows are being predicted.
    pub(super) fn is_busy(&self) -> bool {
        let work = self.work.as_ref();
        work.is_some_and(|work| work.ready().is_none())
    }

    fn filters(
        &self,
    ) -> (
        Quantity,
        Constants,
        Option<&'static str>,
        Option<&'static str>,
    ) {
        (self.quantity, self.constants, self.scope, self.kind)
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
            None => widgets::empty(
                ui,
                "Predicting the published rows, each by constants fitted to the other families…",
            ),
            Some(Err(error)) => widgets::empty(ui, error),
            Some(Ok(items)) => widgets::sheet(ui, |ui| self.page(ui, items)),
        }
        self.work = Some(work);
    }

    fn page(&mut self, ui: &mut Ui, items: &[Item]) {
        let shown = match self.shown.take() {
            Some(shown) if shown.of == self.filters() => shown,
            _ => Shown::new(self, items),
        };
        widgets::reading(ui, &reading(&shown, self.quantity));
        self.choose(ui, items);
        let wide = ui.available_width() > 1000.0;
        let detail = if self.pinned.is_some() { 84.0 } else { 22.0 };
        if wide {
            let height = ui.available_height();
            ui.horizontal_top(|ui| {
                let width = (ui.available_width() * 0.52).floor();
                ui.vertical(|ui| {
                    ui.set_width(width);
                    self.chart(ui, vec2(width, height - detail), items, &shown);
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
            if let Some(quantity) = widgets::choices(ui, &quantities, self.quantity) {
                self.quantity = quantity;
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
            if let Some(constants) = widgets::choices(ui, &constants, self.constants) {
                self.constants = constants;
            }
            let mut scopes: Vec<&'static str> = items.iter().map(Item::scope).collect();
            if let Some(scope) = filter(ui, "scopes", &mut scopes, self.scope) {
                self.scope = scope;
            }
            let mut kinds: Vec<&'static str> = items.iter().map(|item| item.kind).collect();
            if let Some(kind) = filter(ui, "work", &mut kinds, self.kind) {
                self.kind = kind;
            }
        });
    }

    fn chart(&mut self, ui: &mut Ui, size: Vec2, items: &[Item], shown: &Shown) {
        let palette = theme::palette(ui.visuals());
        let bounds = plane::around(
            shown
                .points
                .iter()
                .flat_map(|(_, pair)| [pair.predicted.typical, pair.measured]),
        );
        let (title, predicted): (&str, &str) = match self.quantity {
            Quantity::Energy => (
                "Measured, J per unit of work (log scale)",
                "Predicted, J (log scale)",
            ),
            Quantity::Throughput => (
                "Measured, units of work per second (log scale)",
                "Predicted, units per second (log scale)",
            ),
        };
        let unit = if self.quantity == Quantity::Energy {
            "J"
        } else {
            ""
        };
        let write = |value: f64| format::si(value, unit);
        let side = |title| Side {
            title,
            bounds,
            write: &write,
        };
        let (plane, response) = Plane::show(
            ui,
            size,
            "Predicted against measured",
            &side(title),
            &side(predicted),
        );
        diagonals(&plane, bounds, palette.baseline);
        let of_focus = |place: usize| self.focus.as_ref() == Some(&items[place].row.hardware);
        for pass in [false, true] {
            for (place, pair) in &shown.points {
                if of_focus(*place) == pass {
                    let color = match (&self.focus, pass) {
                        (None, _) | (_, true) => palette.accent,
                        _ => palette.baseline,
                    };
                    let opacity = if self.focus.is_some() && !pass {
                        0.35
                    } else {
                        0.65
                    };
                    let at = plane.at(pair.measured, pair.predicted.typical);
                    let fill = theme::faint(color, opacity);
                    plane::sign(
                        &plane.painter,
                        sign_of(items[*place].kind),
                        at,
                        3.5,
                        fill,
                        Stroke::NONE,
                    );
                }
            }
        }
        let strong = |place: usize| {
            let Some((_, pair)) = shown.points.iter().find(|(other, _)| *other == place) else {
                return;
            };
            let Range { low, high, .. } = pair.predicted;
            plane.interval(pair.measured, low, high, Stroke::new(1.5, palette.strong));
            let at = plane.at(pair.measured, pair.predicted.typical);
            let edge = Stroke::new(1.5, palette.strong);
            plane::sign(
                &plane.painter,
                sign_of(items[place].kind),
                at,
                6.0,
                palette.accent,
                edge,
            );
        };
        if let Some(place) = self.place_of_pinned(items) {
            strong(place);
        }
        let near = response.hover_pos().and_then(|pointer| {
            let places = shown.points.iter();
            plane.nearest(
                pointer,
                places.map(|(_, pair)| (pair.measured, pair.predicted.typical)),
            )
        });
        if let Some((place, pair)) = near.and_then(|near| shown.points.get(near)) {
            strong(*place);
            let item = &items[*place];
            if response.clicked() {
                self.pinned = Some(item.row.id.clone());
            }
            response.on_hover_ui_at_pointer(|ui| describe(ui, item, *pair, unit));
        }
    }

    fn place_of_pinned(&self, items: &[Item]) -> Option<usize> {
        let pinned = self.pinned.as_ref()?;
        items.iter().position(|item| item.row.id == *pinned)
    }

    /// The pinned row with its source, or what the marks mean.
    fn detail(&mut self, ui: &mut Ui, items: &[Item]) {
        let palette = theme::palette(ui.visuals());
        let unit = if self.quantity == Quantity::Energy {
            "J"
        } else {
            ""
        };
        let pinned = self.place_of_pinned(items).map(|place| &items[place]);
        let Some(item) = pinned else {
            ui.horizontal_wrapped(|ui| legend(ui, items));
            return;
        };
        ui.horizontal(|ui| {
            let title = format!("{} on {}", item.row.model, item.row.hardware);
            let words = RichText::new(title)
                .text_style(theme::emphasis())
                .color(palette.strong);
            ui.add(egui::Label::new(words).truncate());
            if ui.small_button("Unpin").clicked() {
                self.pinned = None;
            }
        });
        if let Some(pair) = item.pair(self.quantity, self.constants) {
            ui.label(compared(item, pair, unit));
        }
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new("Source").color(palette.muted));
            match link(&item.row.source) {
                Some(address) => {
                    ui.add(Hyperlink::from_label_and_url(&item.row.source, address));
                }
                None => {
                    ui.add(
                        egui::Label::new(&item.row.source)
                            .truncate()
                            .selectable(true),
                    );
                }
            }
        });
    }

    /// The error figures of every group; a group that is clicked stands out in the chart.
    fn table_of(&mut self, ui: &mut Ui, shown: &Shown) {
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
            for (text, help) in heads {
                cell_of(ui, &lanes, text).on_hover_text(help);
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
        let constants = match self.constants {
            Constants::HeldOut => "held out",
            Constants::Shipped => "as shipped",
        };
        let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        for item in self.items().unwrap_or_default() {
            let (row, predicted) = (&item.row, &item.predicted[self.constants as usize]);
            let mut line: Vec<String> = [
                &row.id,
                &row.model,
                &row.hardware,
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
            line.extend([speed.low, speed.typical, speed.high].map(|v| v.to_string()));
            line.push(number(predicted.measured_throughput));
            line.push(row.source.clone());
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

/// The diagonal where both agree, and where one is twice the other.
fn diagonals(plane: &Plane, (low, high): (f64, f64), color: Color32) {
    plane.line(&[(low, low), (high, high)], Stroke::new(1.5, color), false);
    let thin = Stroke::new(1.0, color);
    for factor in [0.5, 2.0] {
        plane.line(&[(low, low * factor), (high, high * factor)], thin, true);
    }
    // A third of the way up, beside the points.
    let third = low * (high / low).powf(0.35);
    let at = plane.at(third, third * 2.0) + vec2(-6.0, -2.0);
    plane.word(at, egui::Align2::RIGHT_BOTTOM, "twice the measured", color);
}

fn legend(ui: &mut Ui, items: &[Item]) {
    let palette = theme::palette(ui.visuals());
    let small = |text: &str| {
        RichText::new(text.to_owned())
            .text_style(TextStyle::Small)
            .color(palette.muted)
    };
    let mut kinds: Vec<&str> = items.iter().map(|item| item.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let (rect, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
        plane::sign(
            ui.painter(),
            sign_of(kind),
            rect.center(),
            4.0,
            palette.accent,
            Stroke::NONE,
        );
        ui.label(small(kind));
    }
    ui.label(small(
        "dashed: a factor of 2; click a point to pin its source",
    ));
}

/// Predicted and measured in words.
fn compared(item: &Item, pair: Pair, unit: &str) -> String {
    let Range { low, typical, high } = pair.predicted;
    let write = |value| format::si(value, unit).trim_end().to_owned();
    let batch = match item.row.batch_size.parse::<f64>() {
        Ok(batch) => format!("batch {}, ", format::trimmed(batch, 3)),
        Err(_) => String::new(),
    };
    let devices = match item.row.n_devices.trim() {
        "" | "1" => String::new(),
        many => format!("{many} devices, "),
    };
    let of = if unit.is_empty() {
        "per second"
    } else {
        "per unit of work"
    };
    format!(
        "{batch}{devices}{}: predicted {} ({} to {}), measured {} {of}",
        item.row.precision,
        write(typical),
        write(low),
        write(high),
        write(pair.measured),
    )
}

fn describe(ui: &mut Ui, item: &Item, pair: Pair, unit: &str) {
    ui.label(RichText::new(&item.row.model).text_style(theme::emphasis()));
    ui.label(format!(
        "{}, {}, {}",
        item.row.hardware,
        item.row.task,
        item.scope()
    ));
    ui.label(compared(item, pair, unit));
    ui.label(&item.row.source);
}

/// The address of a source that is written as `owner/name@commit:path`, or is an address itself.
fn link(source: &str) -> Option<String> {
    if source.starts_with("https://") {
        return Some(source.to_owned());
    }
    let (repository, rest) = source.split_once('@')?;
    let (commit, path) = rest.split_once(':')?;
    let plain = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
    };
    let named = repository.split('/').count() == 2 && plain(repository);
    let commit_ok = !commit.is_empty() && commit.chars().all(|c| c.is_ascii_hexdigit());
    let path = path.split(' ').next().unwrap_or_default();
    (named && commit_ok && plain(path))
        .then(|| format!("https://github.com/{repository}/blob/{commit}/{path}"))
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
}

impl Lanes {
    fn new(ui: &Ui) -> Self {
        let growth = TextStyle::Small.resolve(ui.style()).size / 11.0;
        let number = 54.0 * growth;
        let gaps = 6.0 * ui.spacing().item_spacing.x;
        Self {
            name: (ui.available_width() - 6.0 * number - gaps - 14.0).max(90.0),
            number,
        }
    }

    fn name(&self, ui: &mut Ui, text: RichText) {
        widgets::cell(ui, self.name, Align::Min, text);
    }
}

fn cell_of(ui: &mut Ui, lanes: &Lanes, text: RichText) -> egui::Response {
    widgets::cell(ui, lanes.number, Align::Max, text)
}

/// A group with its figures; true when it was clicked.
fn line(ui: &mut Ui, lanes: &Lanes, name: &str, figures: &Statistics, chosen: bool) -> bool {
    let palette = theme::palette(ui.visuals());
    let size = vec2(ui.available_width(), 20.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    widgets::row_ground(ui.painter(), rect, &response, chosen, palette);
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
    for text in texts {
        cell_of(
            &mut inside,
            lanes,
            RichText::new(text).color(palette.strong),
        );
    }
    let words = format!("Show {name}");
    response.widget_info(|| {
        egui::WidgetInfo::selected(egui::accesskit::Role::Button, true, chosen, &words)
    });
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    response.clicked()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_name_a_file_become_addresses() {
        assert_eq!(
            link("ml-energy/leaderboard@0cd52dab:public/data/tasks/gpqa.json").as_deref(),
            Some(
                "https://github.com/ml-energy/leaderboard/blob/0cd52dab/public/data/tasks/gpqa.json"
            )
        );
        assert_eq!(
            link("https://mlcommons.org/x").as_deref(),
            Some("https://mlcommons.org/x")
        );
        assert_eq!(link("Husom et al. arXiv 2504.03360v1 Table 6"), None);
        assert_eq!(link("someone@example.org: a mail"), None);
    }
}
