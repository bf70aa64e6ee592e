use std::sync::OnceLock;

use super::*;
use crate::serving::rows::{CaseWork, Scope, read};
use crate::serving::{PUBLIC_ROWS, calibrate};

fn public_rows() -> Vec<Row> {
    read(PUBLIC_ROWS, Path::new("serving.csv")).unwrap()
}

fn public_cases() -> (Vec<Case>, Vec<SkippedRow>) {
    cases(&public_rows(), None)
}

/// Every family predicted by constants that never saw it.
fn held_out() -> &'static Validation {
    static VALIDATION: OnceLock<Validation> = OnceLock::new();
    VALIDATION.get_or_init(|| {
        let options = Options {
            cross_validate: true,
            models: None,
        };
        validate(&public_rows(), options).unwrap()
    })
}

fn summary(device: &str, task: &str) -> &'static Group {
    held_out()
        .summary
        .iter()
        .find(|group| group.device == device && group.task == task)
        .unwrap()
}

#[test]
fn language_models_of_other_families_are_within_the_bars() {
    for device in ["A100 SXM4 40GB", "H100 SXM", "B200"] {
        let group = summary(device, "language models");
        for statistics in [group.energy.unwrap(), group.throughput.unwrap()] {
            assert!(statistics.n > 70, "{device}: {statistics:?}");
            assert!(
                statistics.median_absolute_error < 15.0,
                "{device}: {statistics:?}"
            );
            assert!(
                statistics.p90_absolute_error < 35.0,
                "{device}: {statistics:?}"
            );
            assert!(statistics.bias.abs() < 10.0, "{device}: {statistics:?}");
            assert!(statistics.inside_range > 0.8, "{device}: {statistics:?}");
        }
        assert!(
            group.energy.unwrap().rank_correlation.unwrap() > 0.97,
            "{device}"
        );
    }
}

#[test]
fn images_videos_and_systems_are_within_the_bars() {
    for (device, task, median) in [
        ("A100 SXM4 40GB", "images", 20.0),
        ("H100 SXM", "images", 20.0),
        ("B200", "images", 22.0),
        ("H100 SXM", "videos", 15.0),
        ("B200", "videos", 22.0),
        ("all", "MLPerf Inference", 20.0),
    ] {
        let group = summary(device, task);
        let energy = group.energy.unwrap();
        assert!(
            energy.median_absolute_error < median,
            "{device} {task}: {energy:?}"
        );
        assert!(energy.inside_range > 0.75, "{device} {task}: {energy:?}");
    }
    assert_eq!(summary("all", "MLPerf Inference").scope, Scope::Wall.name());
}

#[test]
fn every_row_is_predicted_or_skipped_with_a_reason() {
    let rows = public_rows();
    let validation = held_out();
    assert_eq!(validation.rows.len() + validation.skipped.len(), rows.len());
    // Machines at the wall, speculative decoding, boards that are not known, and what was measured with idle devices.
    assert!(validation.skipped.len() < 130, "{:?}", validation.skipped);
    for row in &validation.rows {
        let speed = row.predicted_throughput.unwrap();
        assert!(
            speed.low > 0.0 && speed.low < speed.typical && speed.typical < speed.high,
            "{row:?}"
        );
        assert!(
            row.predicted_energy_j.is_some() || row.measured_energy_j.is_none(),
            "{row:?}"
        );
    }
    assert!(validation.skipped.iter().all(|row| row.reason.len() > 10));
}

#[test]
fn the_shipped_constants_are_what_calibration_gives() {
    /// Sums in another order move the end of the fit a little.
    const SAME: f64 = 0.03;
    let (cases, _) = public_cases();
    let again = calibrate(&cases, String::new());
    let shipped = Constants::shipped().unwrap();
    for case in &cases {
        let (a, b) = (predict(case, &again), predict(case, shipped));
        let ratio = a.throughput.typical / b.throughput.typical - 1.0;
        assert!(ratio.abs() < SAME, "{}: {ratio}", case.row.id);
        if let (Some(a), Some(b)) = (a.energy, b.energy) {
            let (typical, high) = (a.typical / b.typical - 1.0, a.high / b.high - 1.0);
            assert!(
                typical.abs() < SAME && high.abs() < SAME,
                "{}: {typical}",
                case.row.id
            );
        }
    }
}

/// Predicted joules per token of the public row of a model at about a batch size.
fn row_energy(model: &str, devices: &str, batch: f64) -> f64 {
    let (cases, _) = public_cases();
    let case = cases
        .iter()
        .filter(|case| {
            case.row.model == model
                && case.row.hardware == "NVIDIA H100 SXM"
                && case.row.n_devices == devices
                && case.row.task == "lm-arena-chat"
        })
        .min_by(|a, b| {
            let distance = |case: &Case| match &case.work {
                CaseWork::Decode(_, serving) => (serving.batch - batch).abs(),
                other => panic!("{other:?}"),
            };
            distance(a).total_cmp(&distance(b))
        })
        .unwrap();
    predict(case, Constants::shipped().unwrap())
        .energy
        .unwrap()
        .typical
}

#[test]
fn fp8_costs_more_at_a_small_batch_and_less_at_a_large_one() {
    let (half, fp8) = (
        "Qwen/Qwen3-235B-A22B-Instruct-2507",
        "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8",
    );
    // Measured on 8 H100: +56 % at batch 8, -13 % at 256.
    let small = row_energy(fp8, "8", 8.0) / row_energy(half, "8", 8.0);
    let large = row_energy(fp8, "8", 256.0) / row_energy(half, "8", 256.0);
    assert!(small > 1.2, "{small}");
    assert!(large < 1.0, "{large}");
}

#[test]
fn four_bits_cost_more_on_a_small_network_and_less_on_a_larger_one() {
    // Measured on an RTX 5090, one sequence, bitsandbytes: 1.1 B +26 %, 7 B -11 %.
    let ratio = |model: &str| {
        let energy = |precision: &str| {
            let row = Row {
                model: model.to_owned(),
                hardware: "RTX 5090".to_owned(),
                engine: "HF transformers".to_owned(),
                precision: precision.to_owned(),
                batch_size: "1".to_owned(),
                output_tokens: "256".to_owned(),
                energy_j: "1".to_owned(),
                ..Row::default()
            };
            let case = Case::new(&row, None).unwrap();
            predict(&case, Constants::shipped().unwrap())
                .energy
                .unwrap()
                .typical
        };
        energy("nf4") / energy("fp16")
    };
    let (small, large) = (ratio("tinyllama-1-1b"), ratio("qwen2-5-7b"));
    assert!(small > 1.05, "{small}");
    assert!(large < 0.97, "{large}");
}

#[test]
fn a_device_that_the_fit_has_not_seen_gets_a_wider_range() {
    let width = |hardware: &str| {
        let row = Row {
            model: "llama-3-1-70b".to_owned(),
            hardware: hardware.to_owned(),
            n_devices: "4".to_owned(),
            batch_size: "32".to_owned(),
            output_tokens: "500".to_owned(),
            energy_j: "1".to_owned(),
            ..Row::default()
        };
        let case = Case::new(&row, None).unwrap();
        let energy = predict(&case, Constants::shipped().unwrap())
            .energy
            .unwrap();
        energy.high / energy.low
    };
    assert!(width("NVIDIA H200 SXM 141GB") > 1.2 * width("NVIDIA H100 80GB HBM3"));
}

#[test]
fn what_a_row_leaves_open_makes_its_range_wider() {
    let row = |engine: &str, prompt: &str, hardware: &str| {
        let row = Row {
            model: "llama-3-1-70b".to_owned(),
            hardware: hardware.to_owned(),
            engine: engine.to_owned(),
            n_devices: "4".to_owned(),
            batch_size: "32".to_owned(),
            input_tokens: prompt.to_owned(),
            output_tokens: "500".to_owned(),
            throughput: "1".to_owned(),
            ..Row::default()
        };
        let case = Case::new(&row, None).unwrap();
        let prediction = predict(&case, Constants::shipped().unwrap());
        let energy = prediction.energy.unwrap();
        let speed = prediction.throughput;
        (energy.high / energy.low, speed.high / speed.low)
    };
    let wider = |a: (f64, f64), b: (f64, f64)| a.0 > 1.05 * b.0 && a.1 > 1.05 * b.1;
    let known = row("vLLM 0.15.1", "300", "H100 SXM");
    assert!(wider(row("vLLM", "300", "H100 SXM"), known));
    assert!(wider(row("vLLM 0.15.1", "", "H100 SXM"), known));
    assert!(wider(row("vLLM 0.15.1", "300", "MI300X"), known));
}
