//! A report for people: aligned, with units, intervals and where each number comes from.

use wattif_core::carbon::Grid;
use wattif_core::hardware::HardwareTarget;
use wattif_core::measurement::Quality;
use wattif_core::scenario::Scenario;
use wattif_core::units::Range;

use super::super::out::{aligned, entry, row, wrapped};
use super::super::packed;
use super::quality::{Shown, measured, spiking_lines};
use super::usage;
use super::{FootprintView, Report, SavedView, SavingsView};
use super::{lifecycle, nearest, own};
use crate::app::compare::{Verdict, verdict};
use crate::format::{
    Counted, amount, count, lower_first, percent, realised, saving, si, si_range, significant,
};
use crate::words::recipe;

/// The report as lines.
pub(super) fn lines(
    report: &Report,
    target: &HardwareTarget,
    grid: &Grid,
    explain: bool,
) -> Vec<String> {
    let mut lines = heading(report, target, grid);
    if !report.understood.is_empty() {
        lines.push(String::new());
        lines.extend(report.understood.iter().cloned());
    }
    lines.push(String::new());
    lines.extend(measured(report));
    lines.push(String::new());
    if let Some(spiking) = &report.measurement.spiking {
        lines.extend(spiking_lines(spiking));
        lines.push(String::new());
    }
    lines.push(format!("On {} (modelled)", device(report, target)));
    lines.extend(costs(report, &report.footprint));
    lines.extend(usage::lines(report));
    if let Some(reason) = &report.original_infeasible {
        lines.extend(wrapped(&format!("The original cannot run here: {reason}.")));
    }
    if let Some(savings) = &report.savings {
        lines.push(String::new());
        let ties = Ties::of(report);
        lines.extend(savings_table(savings, ties));
        let (nominal, actual) = (savings.nominal.energy, savings.realised.energy);
        let text = if ties.energy {
            Some("Energy: tied with the original within the ranges".to_owned())
        } else {
            realised("energy", nominal, actual)
        };
        if let Some(text) = text {
            let why = lower_first(&report.footprint.limit);
            lines.extend(wrapped(&format!("{text}; {why}.")));
        }
    }
    if !report.measurement.nearest.is_empty() {
        lines.push(String::new());
        lines.extend(nearest::lines(&report.measurement.nearest));
    }
    if let Some(view) = &report.written {
        lines.push(String::new());
        lines.extend(own::lines(view));
    }
    if let Some(view) = &report.packed {
        lines.push(String::new());
        lines.push(format!("Packed, on {} (measured)", view.hardware));
        lines.extend(packed::lines(view));
    }
    lines.extend(lifecycle::lines(report));
    if let Some(saved) = &report.saved {
        lines.push(String::new());
        lines.extend(comparison(report, saved));
    }
    if explain {
        lines.push(String::new());
        lines.extend(formulas(&report.footprint, report.model.unit));
        lines.extend(usage::formulas(report));
        if let Some(view) = &report.packed {
            lines.extend(packed::formulas(view));
        }
        lines.extend(lifecycle::formulas(report));
    }
    lines
}

fn heading(report: &Report, target: &HardwareTarget, grid: &Grid) -> Vec<String> {
    let model = &report.model;
    let scenario = &report.scenario;
    let mut rows = vec![
        row([
            "Model",
            &format!(
                "{} ({}): {}, {} parameters, {} multiply-accumulates per {}",
                model.name,
                model.reference,
                model.family,
                count(model.parameters as f64),
                amount(model.macs_per_unit),
                model.unit
            ),
        ]),
        row(["Recipe", &recipe(&report.recipe)]),
        row([
            "Runs on",
            &format!(
                "{}, batch {}{}",
                device(report, target),
                scenario.batch,
                if model.unit == "token" {
                    context(scenario)
                } else {
                    String::new()
                }
            ),
        ]),
        row([
            "Electricity",
            &format!(
                "{}, {} gCO2e/kWh ({}), PUE {}",
                grid.name,
                significant(grid.intensity.typical.0, 3),
                grid.year,
                scenario.pue
            ),
        ]),
        row([
            "Demand",
            &format!(
                "{} {}s per day",
                amount(scenario.demand_per_day),
                model.unit
            ),
        ]),
    ];
    if let Some(data) = &report.measurement.data {
        rows.insert(1, row(["Measured on", data]));
    }
    if let Some(summary) = &report.blocks_summary {
        let place = 2 + usize::from(report.measurement.data.is_some());
        rows.insert(place, row(["Blocks", summary]));
    }
    if let Some(packed) = &model.packed_with {
        let words = format!(
            "{}; opened as 32-bit numbers, so ask for the same recipe to see the size of the file",
            recipe(packed)
        );
        rows.insert(1, row(["Exported with", &words]));
    }
    if let Some(source) = &model.source {
        rows.insert(1, row(["Shapes from", source]));
    }
    let student = &report.measurement.student;
    if report.recipe.distillation.ratio < 1.0 {
        let state = if student.exact {
            ""
        } else {
            "; the nearest finished student, not the one asked for"
        };
        rows.insert(
            2,
            row([
                "Network",
                &format!(
                    "{} of the original's parameters, {}{state}{}",
                    percent(student.actual, 1),
                    student.description,
                    report.measurement.training.as_ref().map_or_else(
                        String::new,
                        |record| format!(
                            "; trained in {} steps and {} multiply-accumulates on {}",
                            count(record.steps as f64),
                            amount(record.macs),
                            record.data
                        )
                    )
                ),
            ]),
        );
    }
    aligned(&rows, &[])
}

/// What a language model reads and writes, after a comma.
fn context(scenario: &Scenario) -> String {
    if scenario.answer_tokens > 0 {
        format!(
            ", prompts of {} and answers of {} tokens",
            count(f64::from(scenario.prompt_tokens)),
            count(f64::from(scenario.answer_tokens))
        )
    } else {
        format!(", {} tokens of context", scenario.context)
    }
}

fn device(report: &Report, target: &HardwareTarget) -> String {
    let scenario = &report.scenario;
    match (scenario.devices, scenario.stages) {
        (1, _) => target.name.clone(),
        (devices, 1) => format!("{devices} × {}", target.name),
        (devices, stages) => {
            format!("{devices} × {} in {stages} pipeline stages", target.name)
        }
    }
}

/// What the latency of a batch is called: of a language model it is that of one step.
fn latency(unit: &str) -> &'static str {
    if unit == "token" {
        "Time per output step"
    } else {
        "Latency"
    }
}

fn costs(report: &Report, footprint: &FootprintView) -> Vec<String> {
    let unit = report.model.unit;
    let line = |name: &str, range: Range<f64>, symbol: &str, per: &str| {
        let (numbers, symbol) = si_range(range, symbol);
        let mut cells = vec![format!("  {name}")];
        cells.extend(numbers);
        cells.push(format!("{symbol}{per}"));
        cells
    };
    let rows = [
        row(["", "low", "typical", "high", ""]).to_vec(),
        rate_line(footprint.throughput.range.map(|x| x.0), unit),
        line(
            latency(unit),
            footprint.latency_s.range.map(|x| x.0),
            "s",
            "",
        ),
        line(
            "Energy",
            footprint.energy_j_per_unit.range.map(|x| x.0),
            "J",
            &format!(" per {unit}"),
        ),
        line(
            "CO2e",
            footprint.co2e_g_per_unit.range.map(|x| x.0),
            "g",
            &format!(" per {unit}"),
        ),
        line(
            "CO2e",
            footprint.co2e_g_per_day.range.map(|x| x.0),
            "g",
            " per day",
        ),
    ];
    let mut lines = aligned(&rows, &[false, true, true, true, false]);
    let parts = &footprint.energy_breakdown_j;
    let total = footprint.energy_j_per_unit.range.typical.0;
    let shares: Vec<String> = [
        ("compute", &parts.compute),
        ("on-chip data", &parts.on_chip),
        ("memory", &parts.memory),
        ("static", &parts.static_power),
        ("interconnect", &parts.interconnect),
    ]
    .map(|(name, part)| (name, part.range.typical))
    .into_iter()
    .filter(|(_, energy)| energy.0 > 0.0)
    .map(|(name, energy)| {
        let share = energy.0 / total;
        let share = if share < 0.005 {
            "under 1 %".to_owned()
        } else {
            percent(share, 0)
        };
        format!("{name} {} ({share})", si(energy.0, "J"))
    })
    .collect();
    lines.extend(wrapped(&format!(
        "The energy goes to {}.",
        shares.join(", ")
    )));
    lines.extend(wrapped(&format!("{}.", footprint.explanation)));
    lines
}

/// Throughput is counted, so its prefix stands before the word: `12.3 k images/s`.
fn rate_line(range: Range<f64>, unit: &str) -> Vec<String> {
    // Below one a prefix would be read as millions.
    let (numbers, prefix) = if (0.001..1.0).contains(&range.typical) {
        let write = |value| significant(value, 3);
        let numbers = [range.low, range.typical, range.high].map(write);
        (numbers, String::new())
    } else {
        si_range(range, "")
    };
    let mut cells = vec!["  Throughput".to_owned()];
    cells.extend(numbers);
    let space = if prefix.is_empty() { "" } else { " " };
    cells.push(format!("{prefix}{space}{unit}s/s"));
    cells
}

/// Of which costs the ranges leave open whether anything is saved.
#[derive(Clone, Copy)]
struct Ties {
    time: bool,
    energy: bool,
}

impl Ties {
    fn of(report: &Report) -> Self {
        let tied = |of: fn(&FootprintView) -> Range<f64>| {
            let original = report.original.as_ref().map(of);
            // Both stand in the same scenario.
            original.is_some_and(|original| {
                verdict(of(&report.footprint), original, true) == Verdict::Tied
            })
        };
        Self {
            time: tied(|f| f.throughput.range.map_decreasing(|rate| 1.0 / rate.0)),
            energy: tied(|f| f.energy_j_per_unit.range.map(|x| x.0)),
        }
    }
}

fn savings_table(savings: &SavingsView, ties: Ties) -> Vec<String> {
    let kinds = [&savings.nominal, &savings.stored, &savings.realised];
    let line = |name: &str, value: fn(&super::SavingView) -> f64| {
        let mut cells = vec![format!("  {name}")];
        cells.extend(kinds.map(|kind| saving(value(kind))));
        let tied = (name == "Time" && ties.time) || (name == "Energy" && ties.energy);
        if tied && let Some(last) = cells.last_mut() {
            "tied".clone_into(last);
        }
        cells
    };
    let mut lines = aligned(
        &[
            row(["Against the original", "nominal", "stored", "realised here"]).to_vec(),
            line("Size", |saving| saving.size),
            line("Operations", |saving| saving.operations),
            line("Time", |saving| saving.time),
            line("Energy", |saving| saving.energy),
        ],
        &[false, true, true, true],
    );
    lines.extend(wrapped(
        "Nominal: what bits and zeros promise. Stored: what the exported file gives. Realised: what this hardware \
         can use.",
    ));
    if let Some(devices) = savings.original_devices {
        lines.extend(wrapped(&format!(
            "The original needs {devices} devices here and is counted on those."
        )));
    }
    if let Some(bits) = savings.original_bits {
        lines.extend(wrapped(&format!(
            "The original is counted at {bits} bits, the widest that this hardware holds, in what is realised here."
        )));
    }
    lines
}

fn comparison(report: &Report, saved: &SavedView) -> Vec<String> {
    let old = &saved.measured;
    let new = &report.measurement;
    let quality = |quality: &Quality| {
        let shown = Shown::new(quality.metric, (quality.high - quality.low) / 2.0);
        shown.with_unit(quality.value)
    };
    // Saved and now in one unit.
    let both = |name: &str, counted: Counted, values: [f64; 2]| {
        let texts = counted.row(&values);
        row([name, &texts[0], &texts[1]])
    };
    let mut table = vec![row(["The preset", "saved", "now"])];
    if let Some(old) = &old.quality {
        table.push(row([
            &format!("  {}", old.metric.name()),
            &quality(old),
            &new.quality
                .as_ref()
                .map_or_else(|| "not measured".to_owned(), quality),
        ]));
    }
    table.extend([
        both(
            "  Stored",
            Counted::Bytes,
            [old.stored_bytes as f64, new.stored_bytes as f64],
        ),
        both(
            "  Energy",
            Counted::Joules,
            [
                old.energy_j_per_unit.typical.0,
                report.footprint.energy_j_per_unit.range.typical.0,
            ],
        ),
        both(
            "  CO2e",
            Counted::Grams,
            [
                old.co2e_g_per_unit.typical.0,
                report.footprint.co2e_g_per_unit.range.typical.0,
            ],
        ),
    ]);
    let mut lines = aligned(&table, &[false, true, true]);
    for difference in &saved.differences {
        lines.extend(wrapped(&format!("It was {difference}.")));
    }
    lines
}

fn formulas(footprint: &FootprintView, unit: &str) -> Vec<String> {
    let mut lines =
        vec!["How it is calculated (METHODS.md has the formulas and sources)".to_owned()];
    // One formula gives the time of a batch, from which both follow.
    if footprint.throughput.provenance == footprint.latency_s.provenance {
        let name = format!("Throughput and {}", lower_first(latency(unit)));
        lines.extend(entry(&name, &footprint.throughput));
    } else {
        lines.extend(entry("Throughput", &footprint.throughput));
        lines.extend(entry(latency(unit), &footprint.latency_s));
    }
    lines.extend(entry("Energy", &footprint.energy_j_per_unit));
    lines.extend(entry("CO2e", &footprint.co2e_g_per_unit));
    lines
}
