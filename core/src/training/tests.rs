use super::*;
use crate::hardware;
use crate::model::{Architecture, CnnConfig};
use crate::recipe::Recipe;
use crate::units::{GramsPerKwh, KilowattHours};

/// Published inputs are printed with two or three digits, so their product differs from the printed result by as much.
const PRINTED: f64 = 0.011;

fn grid(intensity: f64) -> Grid {
    Grid {
        id: "given".to_owned(),
        name: "as given".to_owned(),
        intensity: Range::exact(GramsPerKwh(intensity)),
        year: 2021,
        source: "the test".to_owned(),
    }
}

fn scenario(pue: f64) -> Scenario {
    Scenario {
        pue,
        ..Scenario::default()
    }
}

fn megawatt_hours(energy: Joules) -> f64 {
    KilowattHours::from(energy).0 / 1e3
}

fn direct(device_hours: f64, watts: f64, pue: f64, intensity: f64) -> TrainingCost {
    cost(
        given_time(device_hours).unwrap(),
        given_power(Watts(watts)).unwrap(),
        None,
        &scenario(pue),
        &grid(intensity),
    )
    .unwrap()
}

fn predicted(name: &str, hardware: &str, pue: f64) -> TrainingCost {
    let run = constants()
        .unwrap()
        .runs
        .iter()
        .find(|run| run.name == name);
    let run = run.unwrap();
    let target = hardware::find(hardware).unwrap();
    let work = Transformer {
        parameters: run.parameters,
        active: run.parameters,
        tokens: run.tokens,
        attention: None,
    };
    let time = device_time(
        work.operations().unwrap(),
        TrainingPrecision::Mixed,
        target,
        None,
    );
    let power = device_power(target, None).unwrap();
    cost(
        time.unwrap(),
        power,
        Some(target),
        &scenario(pue),
        &grid(429.0),
    )
    .unwrap()
}

#[test]
fn published_hours_watts_pue_and_intensity_give_the_published_energy_and_emissions() {
    // Name, device-hours, W, PUE, g/kWh, MWh, t. Patterson et al. 2021, arXiv 2104.10350, table 4 (gross); Touvron et
    // al. 2023, arXiv 2302.13971, table 15; Chowdhery et al. 2022, arXiv 2204.02311, appendix B; Luccioni et al. 2022.
    let days = 24.0;
    let rows = [
        (
            "Evolved Transformer NAS",
            200.0 * 6.8 * days,
            208.0,
            1.10,
            431.0,
            7.5,
            3.2,
        ),
        ("T5", 512.0 * 20.0 * days, 310.0, 1.12, 545.0, 85.7, 46.7),
        (
            "Meena",
            1024.0 * 30.0 * days,
            289.0,
            1.09,
            415.0,
            232.0,
            96.4,
        ),
        (
            "GShard-600B",
            1024.0 * 3.1 * days,
            288.0,
            1.09,
            201.0,
            24.1,
            4.8,
        ),
        (
            "Switch Transformer",
            1024.0 * 27.0 * days,
            245.0,
            1.10,
            403.0,
            179.0,
            72.2,
        ),
        (
            "GPT-3",
            10_000.0 * 14.8 * days,
            330.0,
            1.10,
            429.0,
            1287.0,
            552.1,
        ),
        ("LLaMA 13B", 135_168.0, 400.0, 1.1, 385.0, 59.0, 23.0),
        ("LLaMA 33B", 530_432.0, 400.0, 1.1, 385.0, 233.0, 90.0),
        ("LLaMA 65B", 1_022_362.0, 400.0, 1.1, 385.0, 449.0, 173.0),
        ("OPT 175B", 809_472.0, 400.0, 1.1, 385.0, 356.0, 137.0),
        ("BLOOM 175B", 1_082_880.0, 400.0, 1.1, 385.0, 475.0, 183.0),
        ("PaLM", 8_404_992.0, 378.5, 1.08, 79.0, 3436.0, 271.43),
        (
            "BLOOM, its own grid",
            1_082_990.0,
            400.0,
            1.0,
            57.0,
            433.196,
            24.7,
        ),
    ];
    for (name, hours, watts, pue, intensity, energy, tonnes) in rows {
        let cost = direct(hours, watts, pue, intensity);
        let found = megawatt_hours(cost.energy_j.range.typical);
        assert!(
            (found / energy - 1.0).abs() < PRINTED,
            "{name}: {found} MWh"
        );
        let found = cost.operational_g.range.typical.0 / 1e6;
        assert!(
            (found / tonnes - 1.0).abs() < 2.0 * PRINTED,
            "{name}: {found} t"
        );
        assert_eq!(cost.embodied_g, None);
        assert_eq!(cost.co2e_g.range, cost.operational_g.range);
    }
}

#[test]
fn gpt_3_is_1287_megawatt_hours_and_552_tonnes() {
    let cost = direct(10_000.0 * 14.8 * 24.0, 330.0, 1.1, 429.0);
    let energy = megawatt_hours(cost.energy_j.range.typical);
    // 14.8 days may be anything from 14.75 to 14.85.
    assert!((energy / 1287.0 - 1.0).abs() < 0.05 / 14.8, "{energy}");
    let tonnes = cost.operational_g.range.typical.0 / 1e6;
    assert!((tonnes / 552.1 - 1.0).abs() < 0.05 / 14.8, "{tonnes}");
}

#[test]
fn predictions_from_size_include_the_published_energy() {
    // Energy in MWh with the building at the PUE of the source.
    for (name, hardware, pue, energy) in [
        ("GPT-3 175B", "nvidia-v100-sxm2", 1.1, 1287.0),
        ("PaLM 540B", "google-tpu-v4", 1.08, 3436.0),
        ("Gopher 280B", "google-tpu-v3", 1.08, 1151.0),
        ("OPT 175B", "nvidia-a100-sxm4-80gb", 1.1, 356.0),
        ("BLOOM 176B", "nvidia-a100-sxm4-80gb", 1.0, 433.2),
        ("LLaMA 65B", "nvidia-a100-sxm4-80gb", 1.1, 449.0),
        ("Llama 2 70B", "nvidia-a100-sxm4-80gb", 1.0, 688.1),
        ("Llama 3.1 405B", "nvidia-h100-sxm", 1.0, 21_588.0),
    ] {
        let range = predicted(name, hardware, pue).energy_j.range;
        let range = range.map(megawatt_hours);
        assert!(
            range.low < energy && energy < range.high,
            "{name}: {energy} not in {range:?}"
        );
        assert!(
            range.high / range.low < 25.0,
            "{name}: {range:?} says nothing"
        );
    }
}

/// Families left out of the range must lie in it nearly always, or the range is too narrow to be of use.
#[test]
fn the_utilisation_of_a_family_lies_in_the_range_of_the_others() {
    let runs = &constants().unwrap().runs;
    let mut inside = 0;
    for run in runs {
        let others = runs.iter().filter(|other| other.family != run.family);
        let range = utilization(&others.collect::<Vec<_>>()).unwrap().range();
        let reached = run.utilization().unwrap();
        inside += usize::from(range.low <= reached && reached <= range.high);
    }
    let share = inside as f64 / runs.len() as f64;
    assert!(share >= 0.8, "{share}");
}

#[test]
fn operations_are_six_per_parameter_and_token_and_attention_where_it_is_known() {
    let mut gpt_3 = Transformer {
        parameters: 175e9,
        active: 175e9,
        tokens: 300e9,
        attention: None,
    };
    // Brown et al. 2020, table D.1, print 3.14e23 with 174.6 billion parameters.
    let plain = gpt_3.operations().unwrap().0;
    assert!((plain / 3.14e23 - 1.0).abs() < 0.005, "{plain:e}");
    gpt_3.attention = Some(Attention {
        layers: 96.0,
        width: 12_288.0,
        sequence: 2048.0,
    });
    let share = gpt_3.operations().unwrap().0 / plain - 1.0;
    assert!((0.02..0.04).contains(&share), "{share}");
    let experts = Transformer {
        active: 37e9,
        parameters: 671e9,
        ..gpt_3
    };
    assert!(experts.operations().unwrap().0 < plain);
    let swapped = Transformer {
        active: 671e9,
        parameters: 37e9,
        ..gpt_3
    };
    let error = swapped.operations().unwrap_err().to_string();
    assert_eq!(
        error,
        "671 billion parameters are active; the model has 37 billion"
    );
    let error = Transformer {
        tokens: 0.0,
        ..gpt_3
    }
    .operations()
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the number of tokens is 0; it must be above 0 and at most 1e18"
    );
}

#[test]
fn a_precision_that_the_chip_lacks_is_refused() {
    let peak = |precision: TrainingPrecision, id: &str| {
        precision
            .peak(hardware::find(id).unwrap())
            .map(|peak| peak.typical.0)
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        peak(TrainingPrecision::Mixed, "nvidia-v100-sxm2"),
        Ok(125e12)
    );
    assert_eq!(
        peak(TrainingPrecision::Tf32, "nvidia-a100-sxm4-80gb"),
        Ok(156e12)
    );
    assert_eq!(
        peak(TrainingPrecision::Tf32, "nvidia-v100-sxm2"),
        Err("NVIDIA V100 SXM2 32 GB has no TF32 arithmetic; it has INT8, FP16, FP32".to_owned())
    );
    assert!(peak(TrainingPrecision::Fp8, "nvidia-a100-sxm4-80gb").is_err());
    assert!(peak(TrainingPrecision::Fp8, "nvidia-h100-sxm").is_ok());
    assert_eq!(
        peak(TrainingPrecision::Mixed, "intel-loihi-2"),
        Err("Intel Loihi 2 is no processor that networks are trained on".to_owned())
    );
}

#[test]
fn a_faster_format_costs_less_time_and_a_given_utilisation_is_taken_as_it_is() {
    let target = hardware::find("nvidia-a100-sxm4-80gb").unwrap();
    let time = |precision, utilization| {
        device_time((1e20, String::new()), precision, target, utilization).map(|time| time.range)
    };
    let mixed = time(TrainingPrecision::Mixed, None).unwrap();
    let single = time(TrainingPrecision::Fp32, None).unwrap();
    assert!((single.typical.0 / mixed.typical.0 - 16.0).abs() < 0.01);
    assert!(mixed.low < mixed.typical && mixed.typical < mixed.high);
    let given = time(TrainingPrecision::Mixed, Some(0.5)).unwrap();
    assert_eq!(given, Range::exact(Seconds(1e20 / (312e12 * 0.5))));
    assert!(time(TrainingPrecision::Mixed, Some(1.5)).is_err());
}

#[test]
fn the_state_of_a_training_needs_this_many_devices() {
    let target = hardware::find("nvidia-a100-sxm4-80gb").unwrap();
    let model = Transformer {
        parameters: 7e9,
        active: 7e9,
        tokens: 1.0,
        attention: None,
    };
    // 112 GB in devices of 80 GB.
    assert_eq!(model.devices_to_hold(target), Ok(Some(2.0)));
}

fn effort(cores: Option<u32>) -> Effort {
    Effort {
        macs: 1.5e12,
        seconds: 400.0,
        cores,
    }
}

#[test]
fn a_student_trained_here_takes_its_seconds_times_the_power_of_the_cores() {
    let world = grid(400.0);
    let cost = student(&effort(Some(2)), &scenario(1.2), &world).unwrap();
    assert_eq!(cost.energy.range.typical, Joules(400.0 * 2.0 * 5.0));
    assert_eq!(cost.seconds.provenance, Provenance::Measured { n: 1 });
    let electricity = cost.energy.range.typical.0 / 3.6e6 * 400.0;
    assert!(
        cost.co2e.range.typical.0 > electricity,
        "the embodied share"
    );
    let building = student(&effort(Some(2)), &scenario(2.0), &world).unwrap();
    assert_eq!(cost, building, "a student is not trained in a data centre");
}

#[test]
fn a_shipped_student_takes_no_longer_than_the_clock_said() {
    let cost = student(&effort(None), &scenario(1.2), &grid(400.0)).unwrap();
    let energy = cost.energy.range;
    assert!(energy.low < energy.typical && energy.typical < energy.high);
    assert_eq!(energy.high, Joules(400.0 * 10.0));
    let slow = Effort {
        seconds: 1.0,
        ..effort(None)
    };
    let energy = student(&slow, &scenario(1.2), &grid(400.0))
        .unwrap()
        .energy
        .range;
    assert_eq!(
        energy,
        Range {
            low: 3.0,
            typical: 5.0,
            high: 10.0
        }
        .map(Joules)
    );
}

fn profile(recipe: &Recipe, ratio: f64) -> crate::profile::ModelProfile {
    let original = Architecture::Cnn(CnnConfig::fashion());
    let architecture = if ratio < 1.0 {
        original.student(ratio).0
    } else {
        original
    };
    crate::compress::plan("test", architecture.unit(), &architecture.layers(), recipe)
}

fn spent(joules: f64) -> Estimate<Joules> {
    Estimate {
        range: Range {
            low: joules / 2.0,
            typical: joules,
            high: joules * 2.0,
        }
        .map(Joules),
        provenance: Provenance::Assumed {
            reason: "the test".to_owned(),
        },
    }
}

#[test]
fn a_student_pays_its_training_back_after_energy_over_saving_units() {
    let (original, small) = (
        profile(&Recipe::default(), 1.0),
        profile(&Recipe::default(), 0.1),
    );
    let scenario = Scenario {
        demand_per_day: 1000.0,
        ..Scenario::default()
    };
    let target = hardware::find(&scenario.hardware).unwrap();
    let payback = payback(&spent(100.0), &original, &small, &scenario, target).unwrap();
    let grid = carbon::find_grid(&scenario.region).unwrap();
    let energy = |profile| {
        crate::footprint::footprint(profile, &scenario, target, grid)
            .unwrap()
            .energy_per_unit
            .range
    };
    let (before, after) = (energy(&original), energy(&small));
    let expected = 100.0 / (before.typical - after.typical).0;
    let units = payback.units.range;
    assert!((units.typical.unwrap() / expected - 1.0).abs() < 1e-9);
    assert!(units.low.unwrap() < expected && expected < units.high.unwrap());
    let days = payback.days.range.typical.unwrap();
    assert!((days * 1000.0 / expected - 1.0).abs() < 1e-9);
    assert_eq!(payback.reason, None);
}

#[test]
fn what_saves_nothing_never_pays_back() {
    let original = profile(&Recipe::default(), 1.0);
    let scenario = Scenario::default();
    let target = hardware::find(&scenario.hardware).unwrap();
    let payback = payback(&spent(100.0), &original, &original, &scenario, target).unwrap();
    assert_eq!(payback.units.range, Range::exact(None));
    assert_eq!(payback.days.range, Range::exact(None));
    let reason = payback.reason.unwrap();
    assert!(reason.starts_with("nothing is saved here: "), "{reason}");
}

#[test]
fn a_saving_that_may_be_nothing_has_no_upper_bound() {
    let joules = |low, typical, high| Range { low, typical, high }.map(Joules);
    let payback = payback::divide(
        joules(1.0, 2.0, 4.0),
        joules(1.0, 2.0, 3.0),
        joules(0.5, 1.0, 3.5),
        "image",
        10.0,
    );
    assert_eq!(payback.units.range.low, Some(1.0));
    assert_eq!(payback.units.range.typical, Some(2.0));
    assert_eq!(payback.units.range.high, None);
    assert_eq!(payback.days.range.typical, Some(0.2));
    assert!(payback.reason.unwrap().contains("no upper bound"));
}

#[test]
fn without_demand_no_day_pays_back_but_units_do() {
    let joules = |value| Range::exact(Joules(value));
    let payback = payback::divide(joules(1.0), joules(2.0), joules(1.0), "image", 0.0);
    assert_eq!(payback.units.range, Range::exact(Some(1.0)));
    assert_eq!(payback.days.range, Range::exact(None));
    assert!(payback.reason.is_some());
}
