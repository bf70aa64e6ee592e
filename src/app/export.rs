//! What the window shows as tables for spreadsheets. Every row carries the conditions that it holds under, so that it can
//! be sorted, filtered and copied elsewhere without losing them.

mod conditions;

use std::path::Path;

use anyhow::Result;
use wattif_core::files;
use wattif_core::footprint::{self, Footprint};
use wattif_core::measurement::{Depth, Measurement, Metric};
use wattif_core::recipe::Recipe;
use wattif_core::units::Range;

use self::conditions::{Cell, conditions, identity, versions};
use super::derived::{Curve, Derived, Figures, Store};
use super::session::{Configuration, Session};

/// Writes one row per place of the curves and per measured point, and one for each configuration: the sliders', the
/// original's and the pins'.
///
/// # Errors
/// The file cannot be written.
pub(super) fn csv(path: &Path, session: &Session, store: &Store, derived: &Derived) -> Result<()> {
    let rows = rows(session, store, derived);
    let heading = rows.first().map_or_else(Vec::new, |row| {
        row.iter().map(|(name, _)| (*name).to_owned()).collect()
    });
    let lines: Vec<Vec<String>> = std::iter::once(heading)
        .chain(
            rows.into_iter()
                .map(|row| row.into_iter().map(|(_, value)| value).collect()),
        )
        .collect();
    write(path, &lines)
}

/// Writes the table of a page, with the conditions that the sliders stand at in further columns of every row.
///
/// # Errors
/// The file cannot be written.
pub(super) fn table(
    path: &Path,
    rows: &[Vec<String>],
    configuration: Option<&Configuration>,
) -> Result<()> {
    let mut more: Vec<(String, String)> = Vec::new();
    if let Some(configuration) = configuration {
        // Rows of a page may be of other devices, batches or widths; these columns say what the sliders say.
        let set = identity(configuration)
            .into_iter()
            .chain(conditions(configuration));
        more.extend(set.map(|(name, value)| (format!("set_{name}"), value)));
    }
    more.extend(versions().map(|(name, value)| (name.to_owned(), value)));
    let mut lines = rows.to_vec();
    for (place, line) in lines.iter_mut().enumerate() {
        line.extend(
            more.iter()
                .map(|(name, value)| if place == 0 { name } else { value }.clone()),
        );
    }
    write(path, &lines)
}

fn write(path: &Path, rows: &[Vec<String>]) -> Result<()> {
    Ok(files::replace(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        for row in rows {
            for text in row {
                writer.write_field(plain(text).as_bytes())?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
        writer.flush()
    })?)
}

/// A cell that no spreadsheet takes for a formula: names of files and devices are other people's texts.
fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err() {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

/// One row: what it is of, what it costs, its quality, and under what conditions.
struct Row<'a> {
    series: &'static str,
    configuration: &'a Configuration,
    costs: Option<Costs>,
    quality: Option<&'a Measurement>,
    reason: String,
}

/// The figures that all parts of the window share, without their provenance.
#[derive(Default)]
struct Costs {
    throughput: Option<Range<f64>>,
    latency: Option<Range<f64>>,
    energy: Option<Range<f64>>,
    co2e_unit: Option<Range<f64>>,
    co2e_day: Option<Range<f64>>,
}

impl Costs {
    fn of(footprint: &Footprint) -> Self {
        Self {
            throughput: Some(footprint.throughput.range.map(|v| v.0)),
            latency: Some(footprint.latency.range.map(|v| v.0)),
            energy: Some(footprint.energy_per_unit.range.map(|v| v.0)),
            co2e_unit: Some(footprint.co2e_per_unit.range.map(|v| v.0)),
            co2e_day: Some(footprint.co2e_per_day.range.map(|v| v.0)),
        }
    }

    fn at(curve: &Curve, place: usize) -> Self {
        let of = |list: &[Option<Range<f64>>]| list.get(place).copied().flatten();
        Self {
            throughput: of(&curve.throughput),
            latency: of(&curve.latency),
            energy: of(&curve.energy),
            co2e_unit: of(&curve.co2e_unit),
            co2e_day: of(&curve.co2e_day),
        }
    }
}

fn rows(session: &Session, store: &Store, derived: &Derived) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    let unit = derived
        .now
        .as_ref()
        .map_or("", |figures| figures.profile.unit.name());
    let mut push = |row: &Row<'_>| rows.push(cells(row, session, unit));
    let now = &session.configuration;
    for (series, curve, recipe) in [
        ("what if", &derived.curve, now.recipe.clone()),
        (
            "original along the axis",
            &derived.original_curve,
            Recipe::default(),
        ),
    ] {
        let base = Configuration {
            recipe,
            ..now.clone()
        };
        for (place, &value) in curve.values.iter().enumerate() {
            let mut configuration = base.clone();
            let Configuration {
                recipe, scenario, ..
            } = &mut configuration;
            session.axis.set(value, recipe, scenario);
            push(&Row {
                series,
                configuration: &configuration,
                costs: Some(Costs::at(curve, place)),
                quality: None,
                reason: curve
                    .obstacles
                    .get(place)
                    .cloned()
                    .flatten()
                    .unwrap_or_default(),
            });
        }
    }
    if session.axis.is_recipe() {
        let mut measured: Vec<_> = store.along(session.axis, &now.recipe).collect();
        measured.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (value, measurement) in measured {
            let mut configuration = now.clone();
            let Configuration {
                recipe, scenario, ..
            } = &mut configuration;
            session.axis.set(value, recipe, scenario);
            push(&Row {
                series: "measured along the axis",
                configuration: &configuration,
                costs: None,
                quality: Some(measurement),
                reason: String::new(),
            });
        }
    }
    let original = original(now, derived);
    let [a, b] = &session.pins;
    let single = [
        ("now", Some(now), &derived.now),
        ("original", Some(&original), &derived.original),
        ("pin A", a.as_ref(), &derived.as_pinned[0]),
        ("pin B", b.as_ref(), &derived.as_pinned[1]),
    ];
    for (series, configuration, figures) in single {
        let Some(configuration) = configuration else {
            continue;
        };
        for row in both(series, configuration, figures.as_ref()) {
            push(&row);
        }
    }
    rows
}

/// The original as it is counted: on more devices where it needs them.
fn original(now: &Configuration, derived: &Derived) -> Configuration {
    let mut original = Configuration {
        recipe: Recipe::default(),
        ..now.clone()
    };
    if let (Some(figures), Some(target), Some(grid)) =
        (&derived.original, derived.target, derived.grid)
        && let Ok((_, devices)) = footprint::on_fewest_devices(
            &figures.profile,
            &now.scenario,
            target,
            grid,
            now.scenario.devices,
        )
    {
        original.scenario.set_devices(devices);
    }
    original
}

/// What a configuration costs, which is modelled, and its quality, which is measured: a row each.
fn both<'a>(
    series: &'static str,
    configuration: &'a Configuration,
    figures: Option<&'a Figures>,
) -> impl Iterator<Item = Row<'a>> {
    let (costs, reason) = match figures.map(|figures| &figures.footprint) {
        Some(Ok(footprint)) => (Costs::of(footprint), String::new()),
        Some(Err(error)) => (Costs::default(), error.to_string()),
        None => (
            Costs::default(),
            "of another model than the one that is open".to_owned(),
        ),
    };
    let quality = figures.and_then(|figures| figures.measurement.as_deref());
    let modelled = Row {
        series,
        configuration,
        costs: Some(costs),
        quality: None,
        reason,
    };
    let measured = quality.map(|quality| Row {
        series,
        configuration,
        costs: None,
        quality: Some(quality),
        reason: String::new(),
    });
    std::iter::once(modelled).chain(measured)
}

fn cells(row: &Row<'_>, session: &Session, unit: &str) -> Vec<Cell> {
    let configuration = row.configuration;
    let axis = session.axis;
    let mut cells = identity(configuration);
    cells.extend([
        ("unit_of_work", unit.to_owned()),
        ("axis", axis.name().to_owned()),
        (
            "value",
            axis.get(&configuration.recipe, &configuration.scenario)
                .to_string(),
        ),
        ("value_counted_in", axis.counted_in().to_owned()),
    ]);
    let none = Costs::default();
    let costs = row.costs.as_ref().unwrap_or(&none);
    let named = [
        (
            [
                "throughput_low_units_per_s",
                "throughput_typical_units_per_s",
                "throughput_high_units_per_s",
            ],
            costs.throughput,
        ),
        (
            ["latency_low_s", "latency_typical_s", "latency_high_s"],
            costs.latency,
        ),
        (
            [
                "energy_low_j_per_unit",
                "energy_typical_j_per_unit",
                "energy_high_j_per_unit",
            ],
            costs.energy,
        ),
        (
            [
                "co2e_low_g_per_unit",
                "co2e_typical_g_per_unit",
                "co2e_high_g_per_unit",
            ],
            costs.co2e_unit,
        ),
        (
            [
                "co2e_low_g_per_day",
                "co2e_typical_g_per_day",
                "co2e_high_g_per_day",
            ],
            costs.co2e_day,
        ),
    ];
    for (names, range) in named {
        let values = range.map(|range| [range.low, range.typical, range.high]);
        for (place, name) in names.into_iter().enumerate() {
            cells.push((
                name,
                values.map_or_else(String::new, |v| v[place].to_string()),
            ));
        }
    }
    cells.extend(quality(row.quality));
    let provenance = if row.quality.is_some() {
        "measured"
    } else {
        "modelled"
    };
    cells.extend([
        ("provenance", provenance.to_owned()),
        ("series", row.series.to_owned()),
        ("reason", row.reason.clone()),
    ]);
    cells.extend(conditions(configuration));
    cells.extend(versions());
    cells
}

fn quality(measurement: Option<&Measurement>) -> [Cell; 8] {
    let of = |text: &dyn Fn(&Measurement) -> String| measurement.map_or_else(String::new, text);
    [
        (
            "quality_metric",
            of(&|m| m.quality.metric.name().to_owned()),
        ),
        (
            "quality_counted_in",
            of(&|m| counted_in(m.quality.metric).to_owned()),
        ),
        ("quality", of(&|m| m.quality.value.to_string())),
        ("quality_low", of(&|m| m.quality.low.to_string())),
        ("quality_high", of(&|m| m.quality.high.to_string())),
        ("quality_n", of(&|m| m.quality.n.to_string())),
        (
            "quality_depth",
            of(&|m| {
                match m.depth {
                    Depth::Coarse | Depth::Partial => "part of the data",
                    Depth::Full => "all of the data",
                }
                .to_owned()
            }),
        ),
        (
            "measured_network_ratio",
            of(&|m| m.student.actual.to_string()),
        ),
    ]
}

/// What a quality is counted in.
const fn counted_in(metric: Metric) -> &'static str {
    metric.facts().counted_in
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_numbers_stay_numbers() {
        for (text, expected) in [
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("@x", "'@x"),
            ("-x", "'-x"),
            ("-1.5e-7", "-1.5e-7"),
            ("+inf", "+inf"),
            ("4-bit", "4-bit"),
            ("", ""),
        ] {
            assert_eq!(plain(text), expected);
        }
    }
}
