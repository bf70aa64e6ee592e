use std::path::Path;
use std::sync::OnceLock;

use super::chips::SmallChips;
use super::small_fit::SmallConstants;
use super::*;
use crate::serving::Group;

fn shipped(name: &str) -> Table {
    let (path, text) = SHIPPED
        .iter()
        .find(|(path, _)| path.contains(name))
        .unwrap();
    read(text, Path::new(path)).unwrap()
}

fn validated(name: &str, cross_validate: bool) -> Validation {
    let options = Options {
        models: None,
        cross_validate,
    };
    validate(&[shipped(name)], options).unwrap()
}

/// Every chip predicted by constants fitted without it.
fn held_out() -> &'static Validation {
    static VALIDATION: OnceLock<Validation> = OnceLock::new();
    VALIDATION.get_or_init(|| validated("fpga_measured", true))
}

fn summary<'a>(validation: &'a Validation, device: &str, task: &str) -> &'a Group {
    validation
        .summary
        .iter()
        .find(|group| group.device == device && group.task == task)
        .unwrap()
}

fn small_rows() -> Vec<SmallRow> {
    match shipped("fpga_measured") {
        Table::Small(rows) => rows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn chips_that_the_fit_saw_are_within_the_bars() {
    let validation = validated("fpga_measured", false);
    assert_eq!(validation.rows.len(), small_rows().len());
    for class in ["Microcontroller", "Edge accelerator", "FPGA"] {
        let group = summary(&validation, class, "MLPerf Tiny");
        for (of, figures) in [("energy", group.energy), ("throughput", group.throughput)] {
            let figures = figures.unwrap();
            assert!(figures.median_factor < 1.5, "{class} {of}: {figures:?}");
            assert!(figures.within_factor_2 > 0.95, "{class} {of}: {figures:?}");
            assert!(figures.inside_range > 0.85, "{class} {of}: {figures:?}");
        }
    }
}

#[test]
fn chips_that_the_fit_has_not_seen_are_within_the_bars() {
    for (class, median, within) in [
        ("Microcontroller", 1.7, 0.75),
        ("Edge accelerator", 1.6, 0.95),
    ] {
        let group = summary(held_out(), class, "MLPerf Tiny");
        for (of, figures) in [("energy", group.energy), ("throughput", group.throughput)] {
            let figures = figures.unwrap();
            assert!(figures.median_factor < median, "{class} {of}: {figures:?}");
            assert!(
                figures.within_factor_2 > within,
                "{class} {of}: {figures:?}"
            );
            assert!(figures.inside_range > 0.8, "{class} {of}: {figures:?}");
        }
    }
}

#[test]
fn the_shipped_constants_of_small_chips_are_what_fitting_gives() {
    /// Digits in the file.
    const ROUNDED: f64 = 0.02;
    let (cases, _) = small_validate::cases(&small_rows());
    let chips = SmallChips::shipped().unwrap();
    let again = SmallConstants::fitted(chips, &cases.iter().collect::<Vec<_>>());
    let shipped = SmallConstants::shipped(chips);
    let list = |constants: &SmallConstants| -> Vec<f64> {
        let (k, a) = (constants.kernels, constants.accelerator);
        let mut all = vec![
            k.cycles_per_mac,
            k.cycles_per_output,
            k.cycles_per_weight_byte,
        ];
        all.extend(constants.factors);
        all.extend([
            a.cycles_per_output,
            a.cycles_per_weight_byte,
            constants.over_data_sheet,
        ]);
        all.extend(constants.energies.values().map(|(_, energy)| energy));
        all
    };
    let (again, shipped) = (list(&again), list(&shipped));
    for (a, b) in again.iter().zip(&shipped) {
        assert!(
            (a / b - 1.0).abs() < ROUNDED,
            "fitted {again:?}, shipped {shipped:?}"
        );
    }
}

#[test]
fn spiking_chips_are_within_a_factor_of_two_on_most_rows() {
    let validation = validated("neuromorphic_measured", false);
    let power = summary(&validation, "all", "power of the chip")
        .other
        .unwrap();
    assert!(
        power.n >= 11 && power.median_factor < 1.2 && power.within_factor_2 == 1.0,
        "{power:?}"
    );
    for scope in ["above idle", "chip"] {
        let group = validation
            .summary
            .iter()
            .find(|group| group.scope == scope && group.energy.is_some())
            .unwrap();
        let energy = group.energy.unwrap();
        assert!(energy.median_factor < 2.0, "{scope}: {energy:?}");
        assert!(energy.inside_range > 0.8, "{scope}: {energy:?}");
    }
}

#[test]
fn constants_agree_with_the_tables_that_they_are_from() {
    let sheets = validated("hardware_specs", false);
    for group in &sheets.summary {
        let other = group.other.unwrap();
        assert!(
            other.median_factor < 1.01 && other.within_factor_2 == 1.0,
            "{group:?}"
        );
    }
    let operations = summary(&validated("energy_per_op", false), "all", "one operation")
        .energy
        .unwrap();
    assert!(
        operations.median_factor < 1.1 && operations.inside_range > 0.85,
        "{operations:?}"
    );
    let carbon = validated("carbon_examples", false);
    let intensity = summary(&carbon, "all", "carbon intensity").other.unwrap();
    assert!(
        intensity.n >= 38 && intensity.within_factor_2 == 1.0,
        "{intensity:?}"
    );
    assert_eq!(
        summary(&carbon, "all", "embodied emissions")
            .other
            .unwrap()
            .n,
        1
    );
}

#[test]
fn every_row_of_every_table_is_predicted_or_skipped_with_a_reason() {
    for (path, _) in SHIPPED.iter().filter(|(path, _)| !path.contains("serving")) {
        let rows = match shipped(path) {
            Table::Serving(rows) => rows.len(),
            Table::Small(rows) => rows.len(),
            Table::Neuromorphic(rows) => rows.len(),
            Table::Operations(rows) => rows.len(),
            Table::Devices(rows) => rows.len(),
            Table::Carbon(rows) => rows.len(),
            Table::Quality(rows) => rows.len(),
            Table::Runs(rows) => rows.len(),
        };
        let validation = validated(path, false);
        assert_eq!(
            validation.rows.len() + validation.skipped.len(),
            rows,
            "{path}"
        );
        assert!(
            validation.skipped.iter().all(|row| row.reason.len() > 10),
            "{path}"
        );
        for row in &validation.rows {
            let ranges = [row.predicted_energy_j, row.predicted_throughput];
            let others = row.figures.iter().map(|figure| figure.predicted);
            let mut all = ranges.into_iter().flatten().chain(others).peekable();
            assert!(all.peek().is_some(), "{row:?}");
            for range in all {
                assert!(
                    range.low >= 0.0 && range.low <= range.typical && range.typical <= range.high,
                    "{row:?}"
                );
            }
        }
    }
}

#[test]
fn chips_of_the_hardware_catalogue_cost_what_the_fit_says() {
    /// Digits in the files.
    const ROUNDED: f64 = 0.02;
    let chips = SmallChips::shipped().unwrap();
    let constants = SmallConstants::shipped(chips);
    for (id, device) in [
        ("st-nucleo-l4r5zi", "NUCLEO-L4R5ZI"),
        ("st-nucleo-h7a3zi-q", "NUCLEO-H7A3ZI-Q"),
        ("st-nucleo-u575zi-q", "NUCLEO-U575ZI-Q"),
        ("syntiant-ndp120", "syntiant_9120_1v1_98.7mhz"),
        ("greenwaves-gap9", "gap9_800_370"),
    ] {
        let row = SmallRow {
            device: device.to_owned(),
            task: "keyword spotting".to_owned(),
            precision: "int8".to_owned(),
            latency_us: "1".to_owned(),
            ..SmallRow::default()
        };
        let case = small::SmallCase::new(&row).unwrap();
        let (time, energy) = small_validate::predict(&case, &constants, chips.spread).unwrap();
        let target = crate::hardware::find(id).unwrap();
        let (same_time, same_energy) = small::inference(target, &case.profile, None, 1).unwrap();
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < ROUNDED;
        assert!(close(time.typical.0, same_time.typical.0), "{id}");
        assert!(close(energy.typical.0, same_energy.typical.0), "{id}");
    }
}

#[test]
fn cells_that_are_no_numbers_are_listed_for_small_and_spiking_chips_too() {
    let spoil = |name: &str, column: &str| {
        let (path, text) = SHIPPED.iter().find(|(p, _)| p.contains(name)).unwrap();
        let mut reader = reader(text, Path::new(path)).unwrap();
        let headers = reader.headers().unwrap().clone();
        let place = headers.iter().position(|header| header == column).unwrap();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&headers).unwrap();
        for record in reader.records() {
            let record = record.unwrap();
            let cells = record.iter().enumerate();
            let cells = cells.map(|(i, cell)| if i == place { "0,5" } else { cell });
            writer.write_record(cells).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let table = read(&text, Path::new(path)).unwrap();
        validate(&[table], Options::default()).unwrap()
    };
    for (name, column) in [
        ("fpga_measured", "energy_uj_per_inf"),
        ("neuromorphic_measured", "joules_per_inference"),
    ] {
        let found = spoil(name, column);
        let reason = format!("{column} '0,5' is not a positive number");
        assert!(!found.notes.is_empty(), "{name}");
        let all = found.notes.iter().chain(&found.skipped);
        assert!(all.into_iter().all(|row| row.reason == reason), "{name}");
        let rows = found.rows.len() + found.skipped.len();
        assert_eq!(found.notes.len() + found.skipped.len(), rows, "{name}");
    }
}

/// Most by which the typical energy and speed of bare 16-bit kernels of language models may miss, as factors.
const BARE_16_BIT: (f64, f64) = (1.6, 1.4);

#[test]
fn bare_kernels_in_16_bits_cost_what_was_measured() {
    let validation = validated("bare_runs", false);
    let language =
        |row: &&ValidatedRow| row.model.starts_with("llama") && row.family.contains(" bf16 ");
    let rows: Vec<_> = validation.rows.iter().filter(language).collect();
    assert_eq!(rows.len(), 18);
    for row in rows {
        let miss = |predicted: Option<crate::units::Range<f64>>, measured: Option<f64>| {
            let ratio = predicted.unwrap().typical / measured.unwrap();
            ratio.max(1.0 / ratio)
        };
        let energy = miss(row.predicted_energy_j, row.measured_energy_j);
        let speed = miss(row.predicted_throughput, row.measured_throughput);
        assert!(energy < BARE_16_BIT.0, "{}: {energy}", row.id);
        assert!(speed < BARE_16_BIT.1, "{}: {speed}", row.id);
    }
    // What only a host or a framework explains is left out with the reason.
    assert_eq!(validation.skipped.len(), 9);
}
