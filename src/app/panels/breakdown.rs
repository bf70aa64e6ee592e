//! Where the energy goes, what limits the speed, and what the emissions are like.

use egui::{Align, Rect, RichText, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use wattif_core::footprint::{EnergyBreakdown, Footprint};

use crate::app::explain::{Words, explained, reachable};
use crate::app::widgets::{self, reachable_cell};
use crate::app::{App, glossary, theme};
use crate::format::{self, Counted};

/// Grams of CO2 per kilometre in a passenger car: 400 g per mile (US EPA, Greenhouse Gas Emissions from a Typical
/// Passenger Vehicle, EPA-420-F-23-014, June 2023), 1.609344 km per mile.
const CAR_GRAMS_PER_KM: f64 = 400.0 / 1.609_344;

const CAR_SOURCE: &str = "An average passenger car emits 400 g of CO₂ per mile, 249 g per km (US EPA, Greenhouse Gas \
                          Emissions from a Typical Passenger Vehicle, EPA-420-F-23-014, June 2023)";

/// Draws the card.
pub(in crate::app) fn show(ui: &mut Ui, app: &App) {
    let Some(now) = &app.derived.now else {
        return;
    };
    let unit = now.profile.unit.name();
    let demand = app.session.configuration.scenario.demand_per_day;
    widgets::card(ui, "", |ui| {
        let palette = theme::palette(ui.visuals());
        let title = RichText::new(format!("Energy per {unit}"))
            .text_style(theme::heading())
            .color(palette.strong);
        match &now.footprint {
            Ok(footprint) => energy(ui, title, footprint, demand),
            Err(error) => {
                ui.label(title);
                ui.label(RichText::new(error.to_string()).color(palette.muted));
            }
        }
    });
}

/// The parts of the energy and what they are, in the order of [`parts`].
pub(in crate::app) const NAMES: [(&str, &str); 5] = [
    ("Compute", "Arithmetic"),
    ("On chip", "Caches and buffers on the chip"),
    ("Memory", "Memory outside the chip"),
    (
        "Static",
        "Leakage, clocks and fans: power that flows for as long as the work takes",
    ),
    ("Links", "Links between devices"),
];

/// The five parts in joules.
pub(in crate::app) fn parts(breakdown: &EnergyBreakdown) -> [f64; 5] {
    [
        breakdown.compute.0,
        breakdown.on_chip.0,
        breakdown.memory.0,
        breakdown.static_power.0,
        breakdown.interconnect.0,
    ]
}

fn energy(ui: &mut Ui, title: RichText, footprint: &Footprint, demand_per_day: f64) {
    let palette = theme::palette(ui.visuals());
    let range = footprint.energy_per_unit.range;
    explained(reachable(ui, title), || Words::plain(glossary::ENERGY));
    theme::tighten(ui);
    let ends = Counted::Joules.row(&[range.low.0, range.typical.0, range.high.0]);
    ui.horizontal(|ui| {
        let figure = RichText::new(&ends[1])
            .text_style(theme::figure())
            .color(palette.strong);
        let figure = reachable(ui, figure);
        let provenance = &footprint.energy_per_unit.provenance;
        widgets::with_provenance(figure, provenance);
        let ends = format!("{} to {}", ends[0], ends[2]);
        let ends = reachable(ui, RichText::new(ends).color(palette.muted));
        explained(ends, || {
            Words::plain("Low and high: every constant at the favourable and at the unfavourable end of its range")
                .and(Words::of(provenance))
        });
    });
    let parts = parts(&footprint.breakdown);
    bar(ui, &parts);
    legend(ui, &parts);
    ui.add_space(2.0);
    ui.label(
        RichText::new(&footprint.explanation)
            .text_style(egui::TextStyle::Small)
            .color(palette.text),
    );
    comparison(ui, footprint, demand_per_day);
}

/// The parts that there are, two in a line where they fit; their shares in the tooltips.
fn legend(ui: &mut Ui, parts: &[f64; 5]) {
    let palette = theme::palette(ui.visuals());
    let total: f64 = parts.iter().sum();
    let some: Vec<usize> = (0..NAMES.len()).filter(|&i| parts[i] > 0.0).collect();
    const BETWEEN: f32 = 12.0;
    let half = ((ui.available_width() - BETWEEN) / 2.0).floor();
    let (swatch, gap) = (12.0, ui.spacing().item_spacing.x);
    let amounts: Vec<f64> = some.iter().map(|&place| parts[place]).collect();
    let texts = Counted::Joules.row(&amounts);
    let widest = |words: &mut dyn Iterator<Item = &str>| {
        let font = egui::TextStyle::Body.resolve(ui.style());
        words.fold(0.0_f32, |width, text| {
            let galley = (ui.painter()).layout_no_wrap(text.to_owned(), font.clone(), palette.text);
            width.max(galley.size().x.ceil())
        })
    };
    let number = widest(&mut texts.iter().map(String::as_str));
    let name = widest(&mut some.iter().map(|&place| NAMES[place].0));
    let beside = swatch + number + 2.0 * gap;
    let (columns, width) = if name + beside <= half {
        (2, half)
    } else {
        (1, ui.available_width())
    };
    for (line, pair) in some.chunks(columns).enumerate() {
        ui.horizontal(|ui| {
            for (column, &place) in pair.iter().enumerate() {
                if column > 0 {
                    ui.add_space(BETWEEN - gap);
                }
                let (name, help) = NAMES[place];
                widgets::swatch(ui, palette.energy[place]);
                let room = (width - beside).max(0.0);
                let share = format::percent(parts[place] / total, 0);
                let help = || Words::plain(format!("{help}: {share} of the energy"));
                explained(reachable_cell(ui, room, Align::Min, name), help);
                let text = texts[columns * line + column].as_str();
                explained(reachable_cell(ui, number, Align::Max, text), help);
            }
        });
    }
}

/// The shares of the parts as one bar, separated by the ground so that colour is not the only sign.
fn bar(ui: &mut Ui, parts: &[f64; 5]) {
    let palette = theme::palette(ui.visuals());
    let total: f64 = parts.iter().sum();
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 11.0), Sense::hover());
    if total <= 0.0 {
        return;
    }
    let mut left = rect.left();
    for (place, part) in parts.iter().enumerate() {
        let width = rect.width() * (part / total) as f32;
        let piece = Rect::from_min_max(pos2(left, rect.top()), pos2(left + width, rect.bottom()));
        if width > 0.0 {
            ui.painter().rect(
                piece,
                0.0,
                palette.energy[place],
                Stroke::new(1.0, palette.surface),
                StrokeKind::Inside,
            );
        }
        left += width;
    }
}

/// Joules that heat a litre of water from 20 to 100 °C: 4186 J/(kg K) × 80 K.
const KETTLE_JOULES: f64 = 4186.0 * 80.0;

fn comparison(ui: &mut Ui, footprint: &Footprint, demand_per_day: f64) {
    const DAYS_PER_YEAR: f64 = 365.25;
    let kettles = footprint.energy_per_unit.range.typical.0 * demand_per_day / KETTLE_JOULES;
    let palette = theme::palette(ui.visuals());
    let day = footprint.co2e_per_day.range.typical.0 / CAR_GRAMS_PER_KM * 1000.0;
    let text = if day >= 1.0 {
        format!("A day emits as much as driving {}", distance(day))
    } else {
        let year = distance(day * DAYS_PER_YEAR);
        format!("A year emits as much as driving {year}")
    };
    let text = RichText::new(text)
        .text_style(theme::emphasis())
        .color(palette.strong);
    explained(reachable(ui, text), || {
        Words::headed("Published").line(CAR_SOURCE).line(format!(
            "A day's energy at the machine brings {} litres of water to the boil (4186 J/(kg K) × 80 K, no losses)",
            format::roughly(Some(kettles))
        ))
    });
}

/// A length in metres as people say it.
fn distance(metres: f64) -> String {
    if metres < 1.0 {
        "less than a metre".to_owned()
    } else if metres < 1000.0 {
        format!("{} m", format::trimmed(metres, 2))
    } else if metres < 10_000.0 {
        format!("{} km", format::trimmed(metres / 1000.0, 2))
    } else {
        format!("{} km", format::count(metres / 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_said_in_two_digits() {
        assert_eq!(distance(0.2), "less than a metre");
        assert_eq!(distance(14.6), "15 m");
        assert_eq!(distance(1234.0), "1.2 km");
        assert_eq!(distance(2.5e7), "25,000 km");
    }
}
