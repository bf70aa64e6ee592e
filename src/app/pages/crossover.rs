//! Where another choice begins to cost less: weight widths over the batch, and on event-driven chips the spiking
//! network over its activity beside the same network on a conventional device.

use egui::{Align2, ComboBox, Pos2, Response, RichText, Stroke, TextStyle, Ui, vec2};
use wattif_core::carbon::{self, Grid};
use wattif_core::footprint::footprint;
use wattif_core::hardware::{self, CostModel, HardwareTarget};
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;
use wattif_core::units::Range;

use super::curves::{Curve, EQUAL, Line, Stretch, line, lowest};
use super::{Cached, Inputs};
use crate::app::charts::plane::{self, Plane, Side, Sign};
use crate::app::command::Action;
use crate::app::theme::Palette;
use crate::app::{App, theme, widgets};
use crate::format;

/// The page.
#[derive(Default)]
pub(super) struct Crossover {
    sweep: Cached<Sweep>,
    /// The conventional device that was picked for the comparison, by identifier.
    reference: Option<String>,
    worked_out_for: Option<String>,
}

/// What the page shows.
struct Sweep {
    kind: Kind,
    /// Batch sizes, or spikes per neuron and time step.
    x: Vec<f64>,
    series: Vec<Series>,
    stretches: Vec<Stretch>,
    /// For every crossing, where it lies at the low and at the high ends of the ranges.
    spread: Vec<Option<(f64, f64)>>,
    /// What could not be drawn, with the reason.
    missing: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Weight widths over the batch.
    Widths,
    /// A spiking network over its activity; the constant of the chip, low to high.
    Activity(Range<f64>),
    /// The device cannot be looked up.
    Nothing,
}

/// Reads one end off a range.
type End = fn(&Range<f64>) -> f64;

/// One curve: joules per unit of work.
struct Series {
    name: String,
    sign: Sign,
    /// Whether it is the configuration of the sliders.
    current: bool,
    energy: Curve,
}

/// The widths that are compared, widest first.
const WIDTHS: [u8; 4] = [32, 16, 8, 4];
/// Batch sizes: powers of two up to what the slider holds.
const MOST_DOUBLINGS: u32 = 12;
const SIGNS: [Sign; 5] = [
    Sign::Circle,
    Sign::Square,
    Sign::Triangle,
    Sign::Diamond,
    Sign::Wedge,
];

fn bits_name(bits: u8) -> String {
    if bits == 1 {
        "1 bit".to_owned()
    } else {
        format!("{bits} bits")
    }
}

fn energy(
    profile: &ModelProfile,
    scenario: &Scenario,
    target: &HardwareTarget,
    grid: &Grid,
) -> Result<Range<f64>, String> {
    footprint(profile, scenario, target, grid)
        .map(|f| f.energy_per_unit.range.map(|v| v.0))
        .map_err(|error| error.to_string())
}

fn sweep(app: &App, inputs: &Inputs, reference: Option<&str>) -> Sweep {
    let target = hardware::find(&inputs.scenario.hardware);
    let grid = carbon::find_grid(&inputs.scenario.region);
    match (target, grid) {
        (Ok(target), Ok(grid)) if matches!(target.model, CostModel::Neuromorphic(_)) => {
            over_activity(inputs, target, grid, reference)
        }
        (Ok(target), Ok(grid)) => over_batch(app, inputs, target, grid),
        _ => Sweep::new(Kind::Nothing, Vec::new(), Vec::new(), Vec::new()),
    }
}

impl Sweep {
    fn new(kind: Kind, x: Vec<f64>, series: Vec<Series>, missing: Vec<(String, String)>) -> Self {
        let lines = |own: End, other: End| -> Vec<Line> {
            let end = |place: usize| if place == 0 { own } else { other };
            let numbered = series.iter().enumerate();
            numbered
                .map(|(place, series)| line(&series.energy, end(place)))
                .collect()
        };
        let (lowest_end, highest_end): (End, End) = (|r| r.low, |r| r.high);
        let stretches = lowest(&x, &lines(|r| r.typical, |r| r.typical));
        // One device has the same constants at every width; two devices know nothing of each other's.
        let opposite = match kind {
            Kind::Activity(_) => highest_end,
            _ => lowest_end,
        };
        let low = lowest(&x, &lines(lowest_end, opposite));
        let opposite = match kind {
            Kind::Activity(_) => lowest_end,
            _ => highest_end,
        };
        let high = lowest(&x, &lines(highest_end, opposite));
        // The same change of lead at the other ends of the ranges, where there is one.
        let same = |others: &[Stretch], from: usize, to: usize| -> Option<f64> {
            let pair = others
                .windows(2)
                .find(|pair| pair[0].curve == from && pair[1].curve == to)?;
            Some(pair[1].from)
        };
        let spread = stretches
            .windows(2)
            .map(|pair| {
                let (from, to) = (pair[0].curve, pair[1].curve);
                let (a, b) = (same(&low, from, to)?, same(&high, from, to)?);
                Some((a.min(b), a.max(b)))
            })
            .collect();
        Self {
            kind,
            x,
            series,
            stretches,
            spread,
            missing,
        }
    }
}

fn over_batch(app: &App, inputs: &Inputs, target: &HardwareTarget, grid: &Grid) -> Sweep {
    let x: Vec<f64> = (0..=MOST_DOUBLINGS).map(|i| 2_f64.powi(i as i32)).collect();
    let own = inputs.recipe.quantization.weight_bits;
    let mut widths = WIDTHS.to_vec();
    if !widths.contains(&own) {
        widths.push(own);
        widths.sort_by(|a, b| b.cmp(a));
    }
    let mut series = Vec::new();
    let mut missing = Vec::new();
    for (place, bits) in widths.into_iter().enumerate() {
        let profile = if bits == own {
            Some(inputs.now.clone())
        } else {
            let mut recipe: Recipe = inputs.recipe;
            recipe.quantization.weight_bits = bits;
            app.backend
                .as_ref()
                .and_then(|backend| backend.predict(&recipe))
        };
        let Some(profile) = profile else { continue };
        let mut scenario = inputs.scenario.clone();
        let mut reason = None;
        let energy: Curve = x
            .iter()
            .map(|&batch| {
                // Powers of two up to 4096.
                scenario.batch = batch as u32;
                energy(&profile, &scenario, target, grid)
                    .map_err(|error| reason.get_or_insert(error).clone())
                    .ok()
            })
            .collect();
        if let Some(reason) = reason {
            missing.push((bits_name(bits), reason));
        }
        if energy.iter().any(Option::is_some) {
            series.push(Series {
                name: bits_name(bits),
                sign: SIGNS[place % SIGNS.len()],
                current: bits == own,
                energy,
            });
        }
    }
    Sweep::new(Kind::Widths, x, series, missing)
}

/// The conventional devices that can run the network, with what one unit of work takes there.
fn conventional(inputs: &Inputs, grid: &Grid) -> Vec<(&'static HardwareTarget, Range<f64>)> {
    let Ok(all) = hardware::catalogue() else {
        return Vec::new();
    };
    all.iter()
        .filter(|target| !matches!(target.model, CostModel::Neuromorphic(_)))
        .filter_map(|target| {
            let scenario = Scenario {
                hardware: target.id.clone(),
                ..inputs.scenario.clone()
            };
            let range = energy(&inputs.now, &scenario, target, grid).ok()?;
            Some((target, range))
        })
        .collect()
}

/// The device whose power limit is nearest, as a factor.
fn comparable<'a>(
    all: &'a [(&'static HardwareTarget, Range<f64>)],
    target: &HardwareTarget,
    wanted: Option<&str>,
) -> Option<&'a (&'static HardwareTarget, Range<f64>)> {
    let picked = all
        .iter()
        .find(|(other, _)| Some(other.id.as_str()) == wanted);
    picked.or_else(|| {
        all.iter().min_by(|a, b| {
            let distance = |other: &HardwareTarget| {
                (other.power_limit.typical.0 / target.power_limit.typical.0)
                    .ln()
                    .abs()
            };
            distance(a.0).total_cmp(&distance(b.0))
        })
    })
}

fn over_activity(
    inputs: &Inputs,
    target: &HardwareTarget,
    grid: &Grid,
    reference: Option<&str>,
) -> Sweep {
    const STEPS: i32 = 30;
    const DECADES: f64 = 3.0;
    let mut chip = target.clone();
    let CostModel::Neuromorphic(constants) = &target.model else {
        return Sweep::new(Kind::Nothing, Vec::new(), Vec::new(), Vec::new());
    };
    let assumed = constants.activity.range();
    let x: Vec<f64> = (0..=STEPS)
        .map(|i| 10_f64.powf(DECADES * (f64::from(i) / f64::from(STEPS) - 1.0)))
        .collect();
    let mut missing = Vec::new();
    let spiking: Curve = x
        .iter()
        .map(|&activity| {
            if let CostModel::Neuromorphic(constants) = &mut chip.model {
                constants.activity.low = None;
                constants.activity.typical = activity;
                constants.activity.high = None;
            }
            match energy(&inputs.now, &inputs.scenario, &chip, grid) {
                Ok(range) => Some(range),
                Err(reason) => {
                    if missing.is_empty() {
                        missing.push((target.name.clone(), reason));
                    }
                    None
                }
            }
        })
        .collect();
    let mut series = Vec::new();
    if spiking.iter().any(Option::is_some) {
        series.push(Series {
            name: target.name.clone(),
            sign: Sign::Circle,
            current: true,
            energy: spiking,
        });
    }
    let others = conventional(inputs, grid);
    if let Some((other, range)) = comparable(&others, target, reference) {
        series.push(Series {
            name: other.name.clone(),
            sign: Sign::Square,
            current: false,
            energy: vec![Some(*range); x.len()],
        });
    }
    Sweep::new(Kind::Activity(assumed), x, series, missing)
}

/// A place on the level axis as it is said.
fn place_text(kind: Kind, value: f64) -> String {
    match kind {
        Kind::Activity(_) => format::significant(value, 2),
        _ => format::count(value.round().max(1.0)),
    }
}

/// Which choice costs least where, in words.
fn reading(sweep: &Sweep, unit: &str, batch: f64) -> String {
    let name = |stretch: &Stretch| sweep.series[stretch.curve].name.as_str();
    match sweep.kind {
        Kind::Nothing => String::new(),
        Kind::Widths => {
            let Some((first, rest)) = sweep.stretches.split_first() else {
                return "This device can run none of the widths".to_owned();
            };
            if rest.is_empty() {
                let gain = gain_at(sweep, first.curve, batch).map_or_else(String::new, |gain| {
                    let batch = format::count(batch);
                    let gain = format::percent(gain, 0);
                    format!(", at batch {batch} {gain} less than the most")
                });
                return format!(
                    "{} take the least energy per {unit} at every batch{gain}",
                    equals(sweep, first.curve)
                );
            }
            let mut text = format!(
                "{} save energy up to batch {}",
                name(first),
                place_text(sweep.kind, rest[0].from)
            );
            for (place, stretch) in rest.iter().enumerate() {
                text += &match rest.get(place + 1) {
                    Some(next) => format!(
                        ", then {} up to {}",
                        name(stretch),
                        place_text(sweep.kind, next.from)
                    ),
                    None => format!(", beyond that {} do", name(stretch)),
                };
            }
            text
        }
        Kind::Activity(_) => activity_reading(sweep, unit),
    }
}

/// A curve and those that cannot be told from it at any place: "16, 8 and 4 bits".
fn equals(sweep: &Sweep, best: usize) -> String {
    let base = &sweep.series[best].energy;
    let same = |other: &Series| {
        base.iter().zip(&other.energy).all(|pair| match pair {
            (Some(a), Some(b)) => (a.typical / b.typical - 1.0).abs() <= EQUAL,
            (a, b) => a.is_some() == b.is_some(),
        })
    };
    let names: Vec<&str> = sweep
        .series
        .iter()
        .filter(|series| same(series))
        .map(|series| series.name.as_str())
        .collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => {
            let bare: Vec<&str> = others
                .iter()
                .map(|name| name.trim_end_matches(" bits"))
                .collect();
            format!("{} and {last} alike", bare.join(", "))
        }
        None => String::new(),
    }
}

/// By how much a curve lies below the highest at a batch.
fn gain_at(sweep: &Sweep, best: usize, batch: f64) -> Option<f64> {
    let place = nearest_place(&sweep.x, batch)?;
    let at = |curve: &Series| curve.energy[place].map(|range| range.typical);
    let most = sweep.series.iter().filter_map(at).fold(0.0, f64::max);
    let gain = 1.0 - at(&sweep.series[best])? / most;
    (gain > 0.005).then_some(gain)
}

fn activity_reading(sweep: &Sweep, unit: &str) -> String {
    let [spiking, other] = sweep.series.as_slice() else {
        return "The spiking network cannot be compared here".to_owned();
    };
    let text = match sweep.stretches.as_slice() {
        [only] => {
            let (winner, loser) = if only.curve == 0 {
                (spiking, other)
            } else {
                (other, spiking)
            };
            format!(
                "{} typically takes less energy per {unit} than {} at every activity",
                winner.name, loser.name
            )
        }
        [_, second, ..] => format!(
            "The spiking network on {} typically takes less energy per {unit} than the same network on {} below an \
             activity of {}",
            spiking.name,
            other.name,
            place_text(sweep.kind, second.from)
        ),
        [] => return String::new(),
    };
    // Ranges that overlap are a tie, whatever the typical values say.
    let ties = spiking
        .energy
        .iter()
        .zip(&other.energy)
        .map(|pair| match pair {
            (Some(a), Some(b)) => a.low <= b.high && b.low <= a.high,
            _ => false,
        });
    let tied: Vec<f64> = sweep
        .x
        .iter()
        .zip(ties)
        .filter_map(|(x, tie)| tie.then_some(*x))
        .collect();
    match (tied.first(), tied.last()) {
        _ if tied.len() == sweep.x.len() => text + "; a tie everywhere, because the ranges overlap",
        (Some(first), Some(last)) => format!(
            "{text}; a tie from {} to {}, where the ranges overlap",
            place_text(sweep.kind, *first),
            place_text(sweep.kind, *last)
        ),
        _ => text,
    }
}

fn nearest_place(x: &[f64], value: f64) -> Option<usize> {
    (0..x.len()).min_by(|&a, &b| {
        let distance = |place: usize| (x[place].ln() - value.ln()).abs();
        distance(a).total_cmp(&distance(b))
    })
}

impl Crossover {
    fn refresh(&mut self, app: &App) -> Option<&Sweep> {
        if self.worked_out_for != self.reference {
            self.sweep = Cached::default();
            self.worked_out_for.clone_from(&self.reference);
        }
        let reference = self.reference.clone();
        self.sweep
            .get(app, |inputs| sweep(app, inputs, reference.as_deref()))
    }

    pub(super) fn show(&mut self, ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
        let Some(now) = &app.derived.now else {
            return widgets::empty(ui, super::NO_MODEL);
        };
        let unit = now.profile.unit.name();
        let scenario = &app.session.configuration.scenario;
        let mut picked = self.reference.clone();
        let Some(sweep) = self.refresh(app) else {
            return;
        };
        widgets::sheet(ui, |ui| {
            widgets::reading(ui, &reading(sweep, unit, f64::from(scenario.batch)));
            notes(ui, sweep);
            if let Kind::Activity(assumed) = sweep.kind {
                choose_reference(ui, sweep, assumed, &mut picked);
            }
            let footer = 20.0 * sweep.missing.len() as f32;
            let size = vec2(
                ui.available_width(),
                (ui.available_height() - footer).max(160.0),
            );
            if !sweep.series.is_empty() {
                let clicked = chart(ui, size, sweep, unit, scenario);
                if let (Some(batch), Kind::Widths) = (clicked, sweep.kind) {
                    let scenario = Scenario {
                        batch: batch.round() as u32,
                        ..scenario.clone()
                    };
                    queue.push(Action::SetScenario(scenario, None));
                }
            }
            let palette = theme::palette(ui.visuals());
            for (name, reason) in &sweep.missing {
                let text = RichText::new(format!("{name}: {reason}"))
                    .text_style(TextStyle::Small)
                    .color(palette.muted);
                ui.add(egui::Label::new(text).truncate());
            }
        });
        self.reference = picked;
    }

    /// Every curve, place by place.
    pub(super) fn table(&mut self, app: &App) -> Vec<Vec<String>> {
        let Some(sweep) = self.refresh(app) else {
            return Vec::new();
        };
        let x = match sweep.kind {
            Kind::Activity(_) => "spikes_per_neuron_and_step",
            _ => "batch",
        };
        let heading = [
            x,
            "series",
            "energy_low_j",
            "energy_typical_j",
            "energy_high_j",
        ];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for series in &sweep.series {
            for (x, range) in sweep.x.iter().zip(&series.energy) {
                let Some(range) = range else { continue };
                let mut row = vec![x.to_string(), series.name.clone()];
                row.extend([range.low, range.typical, range.high].map(|v| v.to_string()));
                rows.push(row);
            }
        }
        rows
    }
}

/// Where the crossings lie at the ends of the ranges.
fn notes(ui: &mut Ui, sweep: &Sweep) {
    let palette = theme::palette(ui.visuals());
    let mut text = match sweep.kind {
        Kind::Widths => {
            "Same recipe with other weight bits, modelled; bands are low to high".to_owned()
        }
        _ => "Modelled; bands are low to high of all other constants".to_owned(),
    };
    for (stretch, spread) in sweep.stretches.iter().skip(1).zip(&sweep.spread) {
        let at = place_text(sweep.kind, stretch.from);
        text += &match spread {
            Some((low, high)) => format!(
                "; crossing at {at} ({} to {} at the ends of the ranges)",
                place_text(sweep.kind, *low),
                place_text(sweep.kind, *high)
            ),
            None => format!("; the crossing at {at} is not there at both ends of the ranges"),
        };
    }
    let text = RichText::new(text)
        .text_style(TextStyle::Small)
        .color(palette.muted);
    ui.add(egui::Label::new(text).wrap());
}

/// Which conventional device stands beside the chip.
fn choose_reference(ui: &mut Ui, sweep: &Sweep, assumed: Range<f64>, picked: &mut Option<String>) {
    let palette = theme::palette(ui.visuals());
    let muted = |text: String| RichText::new(text).color(palette.muted);
    let name = sweep.series.iter().find(|series| !series.current);
    ui.horizontal_wrapped(|ui| {
        ui.label(muted("Beside".to_owned()));
        let combo = ComboBox::from_id_salt("crossover reference")
            .selected_text(name.map_or("", |series| series.name.as_str()))
            .width(210.0)
            .show_ui(ui, |ui| {
                let nearest = ui
                    .selectable_label(picked.is_none(), "The nearest power limit")
                    .clicked();
                if nearest {
                    *picked = None;
                }
                for target in hardware::catalogue().unwrap_or_default() {
                    if matches!(target.model, CostModel::Neuromorphic(_)) {
                        continue;
                    }
                    let chosen = picked.as_ref() == Some(&target.id);
                    if ui.selectable_label(chosen, &target.name).clicked() {
                        *picked = Some(target.id.clone());
                    }
                }
            });
        combo.response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Compared with")
        });
        let why = if picked.is_none() {
            "which can run it and whose power limit is nearest"
        } else {
            ""
        };
        ui.label(muted(format!(
            "{why}; shaded: the activity assumed, {} ({} to {})",
            format::significant(assumed.typical, 2),
            format::significant(assumed.low, 2),
            format::significant(assumed.high, 2)
        )));
    });
}

/// Draws the curves; the value that was clicked.
fn chart(
    ui: &mut Ui,
    size: egui::Vec2,
    sweep: &Sweep,
    unit: &str,
    scenario: &Scenario,
) -> Option<f64> {
    let palette = theme::palette(ui.visuals());
    let values = || {
        sweep
            .series
            .iter()
            .flat_map(|series| series.energy.iter().flatten())
    };
    let y = plane::around(values().flat_map(|range| [range.low, range.high]));
    let (first, last) = (*sweep.x.first()?, *sweep.x.last()?);
    let title = match sweep.kind {
        Kind::Activity(_) => "Activity: spikes per neuron and time step (log scale)",
        _ => "Batch size (log scale)",
    };
    let room = match sweep.kind {
        Kind::Activity(_) => 0.02,
        _ => 0.14,
    };
    let (plane, response) = Plane::show(
        ui,
        size,
        "Energy crossover",
        &Side {
            title,
            // Room at the right for the names of the curves.
            bounds: (first / 1.1, last * (last / first).powf(room)),
            write: &|value| match sweep.kind {
                Kind::Activity(_) => format::trimmed(value, 3),
                _ => format::count(value),
            },
        },
        &Side {
            title: &format!("Energy per {unit} (log scale)"),
            bounds: y,
            write: &|value| format::si(value, "J"),
        },
    );
    if let Kind::Activity(assumed) = sweep.kind {
        plane.band(
            &[(assumed.low, y.0, y.1), (assumed.high, y.0, y.1)],
            theme::faint(palette.baseline, 0.15),
        );
        let line = Stroke::new(1.0, palette.baseline);
        plane.line(
            &[(assumed.typical, y.0), (assumed.typical, y.1)],
            line,
            true,
        );
    }
    for series in &sweep.series {
        draw(&plane, &sweep.x, series, palette);
    }
    names(&plane, sweep, palette);
    if sweep.kind == Kind::Widths {
        let line = Stroke::new(1.0, theme::faint(palette.accent, 0.35));
        let batch = f64::from(scenario.batch);
        plane.line(&[(batch, y.0), (batch, y.1)], line, false);
    }
    crossings(&plane, sweep, palette);
    read_out(&plane, &response, sweep)
}

fn color(series: &Series, palette: &Palette) -> egui::Color32 {
    if series.current {
        palette.accent
    } else {
        palette.text
    }
}

fn draw(plane: &Plane, x: &[f64], series: &Series, palette: &Palette) {
    let color = color(series, palette);
    let known: Vec<(f64, Range<f64>)> = x
        .iter()
        .zip(&series.energy)
        .filter_map(|(x, range)| Some((*x, (*range)?)))
        .collect();
    let band: Vec<(f64, f64, f64)> = known.iter().map(|(x, r)| (*x, r.low, r.high)).collect();
    plane.band(
        &band,
        theme::faint(color, if series.current { 0.16 } else { 0.05 }),
    );
    let line: Vec<(f64, f64)> = known.iter().map(|(x, r)| (*x, r.typical)).collect();
    let width = if series.current { 2.0 } else { 1.0 };
    plane.line(&line, Stroke::new(width, color), false);
    // A sign on every second place keeps curves apart that lie on each other.
    for (x, y) in line.iter().step_by(if x.len() > 20 { 6 } else { 2 }) {
        let edge = Stroke::new(1.0, palette.surface);
        plane::sign(
            &plane.painter,
            series.sign,
            plane.at(*x, *y),
            4.0,
            color,
            edge,
        );
    }
}

/// The names at the right ends of the curves, pushed apart where they would touch.
fn names(plane: &Plane, sweep: &Sweep, palette: &Palette) {
    let mut ends: Vec<(Pos2, &Series)> = sweep
        .series
        .iter()
        .filter_map(|series| {
            let place = series.energy.iter().rposition(Option::is_some)?;
            let range = series.energy[place]?;
            Some((plane.at(sweep.x[place], range.typical), series))
        })
        .collect();
    ends.sort_by(|a, b| a.0.y.total_cmp(&b.0.y));
    let mut free = f32::NEG_INFINITY;
    for (at, series) in ends {
        let y = at.y.max(free);
        free = y + plane.small.size + 3.0;
        let place = egui::pos2(at.x + 8.0, y);
        plane.word(
            place,
            Align2::LEFT_CENTER,
            &series.name,
            color(series, palette),
        );
    }
}

fn crossings(plane: &Plane, sweep: &Sweep, palette: &Palette) {
    for (pair, spread) in sweep.stretches.windows(2).zip(&sweep.spread) {
        let x = pair[1].from;
        let Some(y) = value_at(&sweep.x, &sweep.series[pair[1].curve].energy, x) else {
            continue;
        };
        let at = plane.at(x, y);
        if let Some((low, high)) = spread {
            let ends = [plane.at(*low, y), plane.at(*high, y)];
            plane
                .painter
                .line_segment(ends, Stroke::new(3.0, theme::faint(palette.strong, 0.35)));
        }
        plane.painter.circle(
            at,
            7.0,
            egui::Color32::TRANSPARENT,
            Stroke::new(2.0, palette.strong),
        );
        let words = place_text(sweep.kind, x);
        plane.word(
            at + vec2(0.0, -10.0),
            Align2::CENTER_BOTTOM,
            &words,
            palette.strong,
        );
    }
}

/// The typical value of a curve at any place, both axes taken as logarithms.
fn value_at(x: &[f64], curve: &Curve, at: f64) -> Option<f64> {
    let after = x.iter().position(|&value| value >= at)?;
    let before = after.saturating_sub(1);
    let (a, b) = (curve[before].or(curve[after])?, curve[after]?);
    if before == after {
        return Some(b.typical);
    }
    let share = (at / x[before]).ln() / (x[after] / x[before]).ln();
    Some((a.typical.ln() + (b.typical / a.typical).ln() * share).exp())
}

/// The figures under the pointer; the value that was clicked.
fn read_out(plane: &Plane, response: &Response, sweep: &Sweep) -> Option<f64> {
    let pointer = response
        .hover_pos()
        .filter(|pointer| plane.frame.contains(*pointer))?;
    let place = nearest_place(&sweep.x, plane.value_x(pointer.x))?;
    let x = sweep.x[place];
    response.clone().on_hover_ui_at_pointer(|ui| {
        let title = match sweep.kind {
            Kind::Activity(_) => {
                format!("{} spikes per neuron and step", format::significant(x, 2))
            }
            _ => format!("Batch {}", format::count(x)),
        };
        ui.label(RichText::new(title).text_style(theme::emphasis()));
        for series in &sweep.series {
            if let Some(range) = series.energy[place] {
                ui.label(format!(
                    "{}: {} ({} to {})",
                    series.name,
                    format::si(range.typical, "J"),
                    format::si(range.low, "J"),
                    format::si(range.high, "J")
                ));
            }
        }
        if sweep.kind == Kind::Widths {
            ui.label("Click to set the batch");
        }
    });
    response.clicked().then_some(x)
}
