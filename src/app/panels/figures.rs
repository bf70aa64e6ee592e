//! The figures of the original, of now, of the pins and of the preset that was opened, side by side.

use egui::{Align, Response, RichText, Ui};
use wattif_core::footprint::{Estimate, Footprint};
use wattif_core::measurement::{Depth, Measurement, Metric, Provenance, Quality};
use wattif_core::preset::Measured;
use wattif_core::profile::Unit;
use wattif_core::units::Range;

use crate::app::derived::Figures;
use crate::app::explain::{Words, explained, reachable};
use crate::app::widgets::{self, cell, reachable_cell};
use crate::app::{App, charts, glossary, theme};
use crate::format::Counted;

/// One column of the table.
struct Column<'a> {
    title: &'static str,
    source: Source<'a>,
}

enum Source<'a> {
    Figures(&'a Figures),
    Saved(&'a Measured),
}

/// One entry.
struct Entry {
    text: String,
    /// Low to high in words, or why there is nothing.
    range: Option<String>,
    /// The number in `text`, where a row writes all of its numbers in one unit, and its ends.
    number: Option<(Counted, Range<f64>)>,
    /// Where it comes from.
    provenance: Option<Provenance>,
}

impl Entry {
    fn new(text: String, provenance: Option<Provenance>) -> Self {
        Self {
            text,
            range: None,
            number: None,
            provenance,
        }
    }

    fn counted(counted: Counted, range: Range<f64>, provenance: Provenance) -> Self {
        Self {
            text: counted.write(range.typical),
            range: None,
            number: Some((counted, range)),
            provenance: Some(provenance),
        }
    }

    fn none() -> Self {
        Self::new(NONE.to_owned(), None)
    }

    /// Says what it is, its range and where it comes from.
    fn explain(&self, response: Response, title: &str) {
        let words = || {
            let mut words = Words::headed(title);
            if let Some(range) = &self.range {
                words = words.line(range);
            }
            if let Some((counted, range)) = self.number
                && range.low < range.high
            {
                let ends = counted.row(&[range.low, range.typical, range.high]);
                words = words.line(format!("{} to {}", ends[0], ends[2]));
            }
            match &self.provenance {
                Some(provenance) => words.and(Words::of(provenance)),
                None if self.range.is_some() => words,
                None => words.line("Not known"),
            }
        };
        explained(response, words);
    }
}

/// Writes the numbers of a row in one unit.
fn in_one_unit(entries: &mut [Entry]) {
    let Some((counted, _)) = entries.iter().find_map(|entry| entry.number) else {
        return;
    };
    let typical: Vec<f64> = entries
        .iter()
        .filter_map(|entry| entry.number.map(|(_, range)| range.typical))
        .collect();
    let texts = counted.row(&typical);
    let numbers = entries.iter_mut().filter(|entry| entry.number.is_some());
    for (entry, text) in numbers.zip(texts) {
        entry.text = text;
    }
}

/// How a row reads its number off a column.
type Reading = fn(&Source<'_>, Unit) -> Entry;

/// Draws the table.
pub(in crate::app) fn show(ui: &mut Ui, app: &App) {
    let derived = &app.derived;
    let (Some(original), Some(now)) = (&derived.original, &derived.now) else {
        return;
    };
    let mut columns = vec![
        Column {
            title: "Original",
            source: Source::Figures(original),
        },
        Column {
            title: "Now",
            source: Source::Figures(now),
        },
    ];
    for (title, pin) in ["A", "B"].into_iter().zip(&derived.pins) {
        if let Some(pin) = pin {
            columns.push(Column {
                title,
                source: Source::Figures(&pin.figures),
            });
        }
    }
    let saved = app
        .preset
        .as_ref()
        .filter(|preset| preset.applies(&app.session.configuration));
    let mut beside = saved.and_then(|preset| preset.preset.measured.as_ref());
    if columns.len() < MOST_COLUMNS
        && let Some(measured) = beside.take()
    {
        columns.push(Column {
            title: "Saved",
            source: Source::Saved(measured),
        });
    }
    widgets::card(ui, "", |ui| {
        table(ui, &columns, now.profile.unit);
        super::verdicts::show(ui, app);
        if let Some(measured) = beside {
            in_one_line(ui, "Saved", measured, now.profile.unit);
        }
        if let Some(preset) = saved {
            verdict(ui, preset, now);
        }
    });
}

const NAME_WIDTH: f32 = 94.0;
/// The same where many columns share the room.
const NARROW_NAME_WIDTH: f32 = 80.0;
/// Columns that still fit.
const MOST_COLUMNS: usize = 4;

fn table(ui: &mut Ui, columns: &[Column<'_>], unit: Unit) {
    let palette = theme::palette(ui.visuals());
    theme::tighten(ui);
    let mut name_width = NAME_WIDTH;
    if columns.len() >= MOST_COLUMNS {
        name_width = NARROW_NAME_WIDTH;
        theme::shrink(ui);
    }
    let count = columns.len() as f32;
    let width = ((ui.available_width() - name_width) / count - 4.0).floor();
    ui.horizontal(|ui| {
        let title = RichText::new("Figures")
            .text_style(theme::heading())
            .color(palette.strong);
        cell(ui, name_width, Align::Min, title);
        for (place, column) in columns.iter().enumerate() {
            let color = match (column.title, place) {
                ("A", _) => palette.pins[0],
                ("B", _) => palette.pins[1],
                (_, 1) => palette.accent,
                _ => palette.muted,
            };
            let title = RichText::new(column.title)
                .text_style(theme::emphasis())
                .color(color);
            let help = glossary::column(column.title);
            explained(reachable_cell(ui, width, Align::Max, title), || {
                Words::plain(help)
            });
        }
    });
    let metric = columns
        .iter()
        .find_map(|column| match &column.source {
            Source::Figures(f) => {
                let known = f.measurement.as_ref().or(f.stand_in.as_ref());
                known.map(|m| m.quality.metric)
            }
            Source::Saved(saved) => saved.quality.map(|quality| quality.metric),
        })
        .map_or("Quality", Metric::name);
    let first: (&str, Reading) = (metric, quality);
    for (name, entry) in std::iter::once(first).chain(ROWS) {
        ui.horizontal(|ui| {
            let help = help(name, unit);
            let name = match name {
                "Energy" | "CO₂e" => format!("{name}/{}", unit.name()),
                "Latency" if unit == Unit::Token => "Time/step".to_owned(),
                "Fréchet distance" => "Fréchet".to_owned(),
                "Embedding cosine" => "Cosine".to_owned(),
                other => other.to_owned(),
            };
            let label = RichText::new(&name).color(palette.muted);
            explained(reachable_cell(ui, name_width, Align::Min, label), || {
                Words::plain(help)
            });
            let mut entries: Vec<Entry> = columns
                .iter()
                .map(|column| entry(&column.source, unit))
                .collect();
            in_one_unit(&mut entries);
            for (place, (column, entry)) in columns.iter().zip(&entries).enumerate() {
                let mut text = RichText::new(&entry.text);
                if place == 1 {
                    text = text.text_style(theme::emphasis()).color(palette.strong);
                }
                let title = format!("{name}, {}", column.title);
                entry.explain(reachable_cell(ui, width, Align::Max, text), &title);
            }
        });
    }
}

/// The rows after the quality.
const ROWS: [(&str, Reading); 6] = [
    ("File size", size),
    ("Throughput", throughput),
    ("Latency", latency),
    ("Energy", energy),
    ("CO₂e", co2e),
    ("CO₂e a day", co2e_day),
];

/// What a row means, for its tooltip.
fn help(row: &str, unit: Unit) -> &'static str {
    match row {
        "File size" => {
            "Bytes of the file that an export writes: weights packed at their width, with their scales"
        }
        "Throughput" => "Units of work finished per second, all devices together",
        "Latency" if unit == Unit::Token => {
            "Time per output step of the whole batch: a step writes one token for every sequence; not the time of a whole answer"
        }
        "Latency" => "Time from the start of a batch to its end",
        "Energy" => "Joules at the machine for one unit of work, without the building",
        "CO₂e" => {
            "CO₂ equivalent: the mass of CO₂ that would warm as much over 100 years. Electricity with the building \
             (PUE), and a share of making the devices"
        }
        "CO₂e a day" => "CO₂ equivalent of a day, at the demand per day",
        "Accuracy" => "Share of held-out images that are classified rightly; no training saw them",
        "Bits per byte" => {
            "Bits that the model needs, on average, to encode a byte of held-out text: fewer are better"
        }
        "Perplexity" => {
            "How many tokens the model hesitates between, as if all were equally likely: 1 would be certain; fewer are better"
        }
        "Fidelity" => {
            "How near its outputs stay to the original's on generated inputs: the power of the outputs over that of their \
             difference, in decibels. 10 more are a tenth of the noise; equal outputs count as 120"
        }
        "Negative ELBO" => {
            "What a held-out image costs the autoencoder at most, in bits per pixel; what is made again badly costs more: fewer \
             are better"
        }
        "Embedding cosine" => {
            "How near what it makes of a held-out sentence points to what the original makes of it: 1 is the same, less is worse"
        }
        "Fréchet distance" => {
            "How far pictures made of noise are from held-out ones, by the features that the bundled classifier sees: less \
             is better. Not comparable with distances by other features"
        }
        _ => "How well the model does on held-out data, which no training saw",
    }
}

/// Kept figures below a name, each with its unit, where there is no column for them.
pub(super) fn in_one_line(ui: &mut Ui, name: &str, measured: &Measured, unit: Unit) {
    let palette = theme::palette(ui.visuals());
    let source = Source::Saved(measured);
    let entries = std::iter::once(quality(&source, unit))
        .chain(ROWS.iter().map(|(row, entry)| {
            let mut entry = entry(&source, unit);
            // Without its row a figure says itself what it is.
            match *row {
                _ if entry.text == NONE => {}
                "Energy" => entry.text += &format!("/{}", unit.name()),
                "CO₂e" => entry.text = format!("{row} {}/{}", entry.text, unit.name()),
                _ => {}
            }
            entry
        }))
        .filter(|entry| entry.text != NONE);
    ui.horizontal_wrapped(|ui| {
        if !name.is_empty() {
            ui.label(RichText::new(name).color(palette.muted));
        }
        for entry in entries {
            // A number stays on one line with its unit.
            let text = entry.text.replace(' ', "\u{a0}");
            entry.explain(reachable(ui, text), "Saved");
        }
    });
}

const NONE: &str = "–";

fn quality(source: &Source<'_>, _: Unit) -> Entry {
    let quality = match source {
        Source::Figures(Figures {
            stand_in: Some(stand_in),
            ..
        }) => return borrowed(stand_in),
        Source::Figures(figures) => figures.measurement.as_ref().map(|m| m.quality),
        Source::Saved(saved) => saved.quality,
    };
    quality.map_or_else(Entry::none, |quality| {
        let half = (quality.high - quality.low) / 2.0;
        let text = |value| charts::quality_text(quality.metric, value, half);
        let mut range = format!("{} to {}", text(quality.low), text(quality.high));
        if let Some(change) = charts::change_text(&quality) {
            range += &format!("; {change} against the original, paired");
        }
        if let Some(bits) = &quality.bits_per_byte {
            let half = (bits.high - bits.low) / 2.0;
            let text = charts::quality_text(Metric::BitsPerByte, bits.value, half);
            range += &format!("; {text} per byte of text, which compares between tokenizers");
        }
        Entry {
            range: Some(range),
            ..Entry::new(
                text(quality.value),
                Some(Provenance::Measured { n: quality.n }),
            )
        }
    })
}

/// A dash for a student that is not trained, and what is known of the network nearest to it.
fn borrowed(stand_in: &Measurement) -> Entry {
    let quality = &stand_in.quality;
    let half = (quality.high - quality.low) / 2.0;
    Entry {
        range: Some(format!(
            "Not measured: this student is not trained; the {} has {}",
            charts::owner(stand_in),
            charts::quality_text(quality.metric, quality.value, half)
        )),
        ..Entry::none()
    }
}

fn size(source: &Source<'_>, _: Unit) -> Entry {
    match source {
        Source::Figures(figures) => {
            let stored = figures.profile.stored_bytes() as f64;
            let formula = if figures.counted {
                "Bytes of the file that would be exported, from the counted zeros of the compressed weights"
            } else {
                "Bytes of the file that would be exported, planned from the shapes: not measured yet"
            };
            let provenance = Provenance::Modelled {
                formula: formula.to_owned(),
            };
            Entry::counted(Counted::Bytes, Range::exact(stored), provenance)
        }
        Source::Saved(saved) => {
            let formula = "Bytes of the file when the preset was saved, and kept in it";
            let provenance = Provenance::Modelled {
                formula: formula.to_owned(),
            };
            let stored = saved.stored_bytes as f64;
            Entry::counted(Counted::Bytes, Range::exact(stored), provenance)
        }
    }
}

/// A modelled cost, as it is now or as it was saved.
fn cost<T: Copy + Into<f64>>(
    source: &Source<'_>,
    now: fn(&Footprint) -> &Estimate<T>,
    saved: fn(&Measured) -> Option<Range<T>>,
    counted: Counted,
) -> Entry {
    match source {
        Source::Figures(figures) => figures.footprint.as_ref().map_or_else(no, |footprint| {
            let estimate = now(footprint);
            let range = estimate.range.map(Into::into);
            Entry::counted(counted, range, estimate.provenance.clone())
        }),
        Source::Saved(measured) => saved(measured).map_or_else(Entry::none, |range| {
            let formula = "Modelled when the preset was saved, and kept in it".to_owned();
            Entry::counted(
                counted,
                range.map(Into::into),
                Provenance::Modelled { formula },
            )
        }),
    }
}

fn throughput(source: &Source<'_>, _: Unit) -> Entry {
    let saved = |m: &Measured| Some(m.throughput);
    cost(source, |f| &f.throughput, saved, Counted::Rate)
}

fn latency(source: &Source<'_>, _: Unit) -> Entry {
    let saved = |m: &Measured| Some(m.latency_s);
    cost(source, |f| &f.latency, saved, Counted::Seconds)
}

fn energy(source: &Source<'_>, _: Unit) -> Entry {
    let saved = |m: &Measured| Some(m.energy_j_per_unit);
    cost(source, |f| &f.energy_per_unit, saved, Counted::Joules)
}

fn co2e(source: &Source<'_>, _: Unit) -> Entry {
    let saved = |m: &Measured| Some(m.co2e_g_per_unit);
    cost(source, |f| &f.co2e_per_unit, saved, Counted::Grams)
}

fn co2e_day(source: &Source<'_>, _: Unit) -> Entry {
    cost(source, |f| &f.co2e_per_day, |_| None, Counted::Grams)
}

fn no(error: &wattif_core::Error) -> Entry {
    let provenance = Provenance::Modelled {
        formula: error.to_string(),
    };
    Entry::new(NONE.to_owned(), Some(provenance))
}

/// Whether figures that were calculated, not measured, are the same today.
fn calculated_again(saved: &Measured, now: &Figures) -> String {
    match &now.footprint {
        Ok(footprint) if Measured::of_shapes(&now.profile, footprint) == *saved => {
            "Calculated again: the saved figures hold".to_owned()
        }
        Ok(_) => "Calculated again: other figures than the saved ones".to_owned(),
        Err(_) => "Saved figures; the hardware cannot run this".to_owned(),
    }
}

/// Whether two qualities agree: their levels, and their changes from the original, whose intervals are narrower.
fn holds(now: &Quality, saved: &Quality) -> bool {
    let levels = now.low <= saved.high && saved.low <= now.high;
    levels && now.change.low <= saved.change.high && saved.change.low <= now.change.high
}

/// Whether the saved figures hold, once the configuration is measured again.
fn verdict(ui: &mut Ui, preset: &crate::app::OpenedPreset, now: &Figures) {
    let palette = theme::palette(ui.visuals());
    let Some(saved) = &preset.preset.measured else {
        return;
    };
    if !preset.preset.title.is_empty() {
        let title = format!("Preset: {}", preset.preset.title);
        ui.label(RichText::new(title).color(palette.muted));
    }
    let text = match (&now.measurement, &saved.quality) {
        (_, None) => calculated_again(saved, now),
        (Some(measurement), Some(b)) if measurement.depth == Depth::Full => {
            if holds(&measurement.quality, b) {
                "Measured again: the saved quality holds".to_owned()
            } else {
                "Measured again: the saved quality does not hold".to_owned()
            }
        }
        _ => "Saved figures; measuring again…".to_owned(),
    };
    ui.label(RichText::new(text).color(palette.strong));
    for difference in &preset.differences {
        ui.label(
            RichText::new(difference)
                .text_style(egui::TextStyle::Small)
                .color(palette.muted),
        );
    }
}
