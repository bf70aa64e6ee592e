//! Pipeline stages, by the class model and by the serving model.

use super::*;
use crate::carbon::find_grid;
use crate::hardware::find;
use crate::outline::Outline;
use crate::recipe::Recipe;

/// On a device with links: fitted to published rows, or not.
const DEVICES: [&str; 2] = ["nvidia-h100-sxm", "google-tpu-v5p"];

fn cost(hardware: &str, devices: u32, stages: u32, batch: u32) -> Result<Footprint> {
    let outline = Outline::open(&"catalogue:llama-3-1-8b".parse()?)?;
    let scenario = Scenario {
        hardware: hardware.to_owned(),
        devices,
        stages,
        batch,
        ..outline.scenario()?
    };
    let profile = outline.predict(&Recipe::default())?;
    footprint(&profile, &scenario, find(hardware)?, find_grid("WORLD")?)
}

fn throughput(footprint: &Footprint) -> f64 {
    footprint.throughput.range.typical.0
}

fn joules(footprint: &Footprint) -> f64 {
    footprint.energy_per_unit.range.typical.0
}

#[test]
fn full_stages_finish_nearly_as_much_as_as_many_copies() {
    for hardware in DEVICES {
        let one = cost(hardware, 1, 1, 32).unwrap();
        let four = cost(hardware, 4, 4, 128).unwrap();
        let gain = throughput(&four) / throughput(&one);
        assert!((3.2..=4.0).contains(&gain), "{hardware}: {gain}");
        // Each part of the batch reads the weights as the small batch did, and little is sent.
        let more = joules(&four) / joules(&one);
        assert!((0.95..1.15).contains(&more), "{hardware}: {more}");
    }
}

#[test]
fn one_sequence_keeps_one_stage_busy_and_all_devices_powered() {
    for hardware in DEVICES {
        let one = cost(hardware, 1, 1, 1).unwrap();
        let four = cost(hardware, 4, 4, 1).unwrap();
        let gain = throughput(&four) / throughput(&one);
        // On the chips of four devices lies a little more of what one has to fetch.
        assert!((0.8..1.03).contains(&gain), "{hardware}: {gain}");
        assert!(joules(&four) > 1.2 * joules(&one), "{hardware}");
    }
}

#[test]
fn stages_send_less_than_devices_that_share_every_layer() {
    for hardware in DEVICES {
        let tensor = cost(hardware, 4, 1, 64).unwrap();
        let pipeline = cost(hardware, 4, 4, 64).unwrap();
        let link = |footprint: &Footprint| footprint.breakdown.interconnect.0;
        assert!(link(&pipeline) < 0.2 * link(&tensor), "{hardware}");
        // Both parts of the model's layers add up.
        let sum: f64 = pipeline.layers.iter().map(|l| l.energy.total().0).sum();
        assert!((sum / joules(&pipeline) - 1.0).abs() < 1e-9, "{hardware}");
    }
}

#[test]
fn stages_that_cannot_be_are_refused_with_the_reason() {
    let refused =
        |hardware, devices, stages| cost(hardware, devices, stages, 8).unwrap_err().to_string();
    assert_eq!(
        refused("nvidia-h100-sxm", 4, 3),
        "4 devices cannot form 3 pipeline stages of equal size"
    );
    assert!(refused("intel-loihi-2", 4, 2).contains("use 1 stage"));
}

#[test]
fn the_number_asked_for_is_tried_before_the_powers_of_two_above_it() {
    let outline = Outline::open(&"catalogue:llama-3-1-70b".parse().unwrap()).unwrap();
    let profile = outline.predict(&Recipe::default()).unwrap();
    let target = find(DEVICES[0]).unwrap();
    let grid = find_grid("WORLD").unwrap();
    let scenario = outline.scenario().unwrap();
    // 141 GB on devices of 80 GB.
    for (least, found) in [(1, 2), (2, 2), (3, 3), (100, 100)] {
        let (footprint, devices) =
            on_fewest_devices(&profile, &scenario, target, grid, least).unwrap();
        assert_eq!(devices, found);
        let asked = Scenario {
            devices: found,
            ..scenario.clone()
        };
        let own = super::footprint(&profile, &asked, target, grid).unwrap();
        assert_eq!(footprint, own);
    }
    let asked = Scenario {
        devices: 3,
        ..scenario
    };
    let savings = savings(&profile, &profile, &asked, target).unwrap();
    assert_eq!(savings.original_devices, None);
    assert_eq!(savings.energy.realised, 0.0);
}
