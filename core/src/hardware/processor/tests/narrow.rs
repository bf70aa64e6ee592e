//! Weights that are stored narrower than they are computed, at many rows.

use super::*;
use crate::hardware::Cost;
use crate::profile::{Execution, Layer, LayerKind, Unit};
use crate::recipe::Group;
use crate::units::Range;

/// One product of 4096 × 4096 weights of so many bits, 128 to a scale, with 16-bit operands, for so many rows at once.
fn product(device: &str, bits: u8, rows: u32) -> Cost {
    product_on(find(device).unwrap(), (bits, 16), (rows, 1), Machine::Real)
}

/// The same on any device or several that share it, with weights and operands of so many bits.
fn product_on(
    target: &HardwareTarget,
    (weight_bits, activation_bits): (u8, u8),
    (rows, devices): (u32, u32),
    machine: Machine,
) -> Cost {
    let layer = Layer {
        name: "product".to_owned(),
        kind: LayerKind::Linear,
        shape: vec![4096, 4096],
        other_parameters: 0,
        compressible: true,
        macs: 4096.0 * 4096.0,
        inputs: 4096.0,
        outputs: 4096.0,
        cache: 0.0,
        execution: Execution::default(),
    };
    let recipe = Recipe {
        quantization: Quantization {
            weight_bits,
            activation_bits,
            group: Group::Size(128),
            ..Quantization::default()
        },
        ..Recipe::default()
    };
    let profile = compress::plan("product", Unit::Token, &[layer], &recipe);
    let scenario = Scenario {
        hardware: target.id.clone(),
        batch: rows,
        devices,
        ..Scenario::default()
    };
    let request = Request {
        profile: &profile,
        scenario: &scenario,
        machine,
        explain: false,
        // All rows at once, in no parts.
        reading: true,
    };
    target.cost(&request).unwrap()
}

/// Seconds for all rows.
fn seconds(device: &str, bits: u8, rows: u32) -> Range<f64> {
    product(device, bits, rows)
        .time
        .map(|time| time.0 * f64::from(rows))
}

#[test]
fn unpacking_takes_what_is_computed_by_hand() {
    // An RTX A6000 does 154.8e12 operations in FP16 and 38.7e12 in FP32, 0.54 of them; 768e9 and, on the chip, 2304e9 bytes
    // per second, 0.75 of them. 4096² weights: 8,388,608 bytes and 262,144 of scales, of which its 6 MB of cache
    // keep nothing; unpacked 33,554,432.
    let n = 4096.0 * 4096.0;
    let within = |rows: f64| {
        let products = 2.0 * n * rows / 154.8e12;
        let unpacking = 2.0 * n * (rows / 8.0).max(1.0) / 38.7e12;
        (products + unpacking) / 0.54
    };
    let start = |device: &str| match &find(device).unwrap().model {
        CostModel::Processor(processor) => processor.launch.typical.0,
        _ => unreachable!(),
    };
    let device = "nvidia-rtx-a6000";
    for rows in [64, 128, 160] {
        let expected = within(f64::from(rows)) + start(device);
        let found = seconds(device, 4, rows).typical;
        assert!(
            (found / expected - 1.0).abs() < 1e-3,
            "{rows}: {found}, by hand {expected}"
        );
    }
    // At 4096 rows the product reads unpacked weights, which were written before: it takes its operations, and unpacking
    // the bytes.
    let cost = product(device, 4, 4096);
    assert_eq!(cost.layers.len(), 1);
    let bytes = 42_205_184.0;
    let moved = cost.layers[0].memory_bytes.0 * 4096.0;
    let activations = 4096.0 * 2.0 * 4096.0 * 2.0;
    assert!(
        (moved - bytes - 33_554_432.0 - activations).abs() < 1.0,
        "{moved}"
    );
    let expected =
        2.0 * n * 4096.0 / 154.8e12 / 0.54 + bytes / (768e9 * 0.75) + 2.0 * start(device);
    let found = cost.time.typical.0 * 4096.0;
    assert!(
        (found / expected - 1.0).abs() < 1e-3,
        "{found}, by hand {expected}"
    );
}

#[test]
fn kernels_that_were_measured_lie_in_the_range() {
    // Milliseconds on an RTX A6000 (github.com/pytorch/ao, prototype/hqq/README.md): rows, a kernel of Triton, PyTorch's.
    for (rows, triton, pytorch) in [
        (16, 0.0633, Some(0.0382)),
        (32, 0.0704, Some(0.0649)),
        // From here on PyTorch's (0.2523 ms) is slower than unpacking all weights first would be.
        (128, 0.0960, None),
        (256, 0.1355, None),
        (512, 0.2369, None),
        (1024, 0.4753, None),
    ] {
        let range = seconds("nvidia-rtx-a6000", 4, rows).map(|seconds| 1e3 * seconds);
        for measured in [Some(triton), pytorch].into_iter().flatten() {
            assert!(
                range.low <= measured && measured <= range.high,
                "{rows} rows: {measured} ms, predicted {range:?}"
            );
        }
    }
}

#[test]
fn narrow_weights_cost_at_most_unpacking_first_more_than_wide_ones() {
    let mut compared = 0;
    for target in catalogue().unwrap() {
        let CostModel::Processor(processor) = &target.model else {
            continue;
        };
        let packed = processor.weight_storage == WeightStorage::Packed;
        if !processor.peak.contains_key(&Precision::Fp16) || !packed || processor.packed.is_some() {
            continue;
        }
        compared += 1;
        let n = 4096.0 * 4096.0;
        let reached = processor.bandwidth_efficiency.typical;
        let memory = processor.memory.as_ref();
        let memory = memory.map_or(f64::INFINITY, |memory| memory.bandwidth.typical.0);
        // Read in 4 bits and a scale for every 128, written in 16.
        let moving = n * (4.0 + 16.0 / 128.0 + 16.0) / 8.0 / reached;
        let moving = (moving / memory).max(moving / processor.on_chip.bandwidth.typical.0);
        let widest = processor.peak.values().next_back().unwrap().typical.0;
        let unpacking = 2.0 * n / widest / processor.compute_efficiency.typical;
        let first = moving.max(unpacking) + processor.launch.typical.0;
        let mut before = 0.0;
        for rows in [1, 4, 16, 64, 256, 1024, 4096, 16384] {
            let (narrow, wide) = (seconds(&target.id, 4, rows), seconds(&target.id, 16, rows));
            let more = narrow.typical - wide.typical;
            assert!(
                more <= 1.001 * first,
                "{} at {rows}: {more}, unpacking all weights first takes {first}",
                target.id
            );
            assert!(narrow.typical >= before, "{} at {rows}", target.id);
            assert!(narrow.low <= narrow.typical && narrow.typical <= narrow.high);
            before = narrow.typical;
        }
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn kernels_for_packed_weights_have_their_own_rate_in_8_bits_only() {
    let figure = |value: f64| Figure {
        low: Some(value / 2.0),
        typical: value,
        high: Some(value * 2.0),
        source: "a test".to_owned(),
        trust: crate::hardware::Trust::Assumed,
    };
    let mut target = find("amd-epyc-7763").unwrap().clone();
    let without = product_on(&target, (4, 16), (1024, 1), Machine::Real);
    let CostModel::Processor(processor) = &mut target.model else {
        unreachable!();
    };
    // Far slower than memory and than any unit of the chip.
    processor.packed = Some(Box::new(PackedKernels {
        rate: BTreeMap::from([
            (8, figure(1e9).map(OpsPerSecond)),
            (4, figure(5e8).map(OpsPerSecond)),
        ]),
        efficiency: figure(0.5),
        launch: figure(1e-3).map(Seconds),
    }));
    let ops = 2.0 * 4096.0 * 4096.0 * 1024.0;
    for (bits, rate) in [(8, 1e9), (5, 1e9), (4, 5e8), (2, 5e8)] {
        let cost = product_on(&target, (bits, 8), (1024, 1), Machine::Real);
        let found = cost.time.typical.0 * 1024.0;
        let expected = ops / (rate * 0.5) + 1e-3;
        assert!(
            (found / expected - 1.0).abs() < 1e-9,
            "{bits} bits: {found}, by hand {expected}"
        );
    }
    // With wider operands, and on a machine that is ideal, they are not used.
    let wide = product_on(&target, (4, 16), (1024, 1), Machine::Real);
    assert_eq!(wide.time, without.time);
    let ideal = product_on(&target, (4, 8), (1024, 1), Machine::Ideal);
    assert!(ideal.time.typical.0 * 1024.0 < ops / 1e9);
}

#[test]
fn devices_that_share_a_product_divide_its_operations_and_exchange_its_results() {
    let target = find("nvidia-h100-sxm").unwrap();
    let CostModel::Processor(processor) = &target.model else {
        unreachable!();
    };
    let link = processor.link.as_ref().unwrap();
    let rows = 16384.0;
    let rate = processor.peak[&Precision::Fp16].typical.0 * processor.compute_efficiency.typical;
    for devices in [2.0, 4.0] {
        let cost = product_on(
            target,
            (16, 16),
            (rows as u32, devices as u32),
            Machine::Real,
        );
        // Every device sends its part of 4096 results of two bytes for every row to all others.
        let sent = 4096.0 * rows * 2.0 * (devices - 1.0);
        let expected = 2.0 * 4096.0 * 4096.0 * rows / (rate * devices)
            + processor.launch.typical.0
            + link.latency.typical.0
            + sent / (link.bandwidth.typical.0 * devices);
        let found = cost.time.typical.0 * rows;
        assert!(
            (found / expected - 1.0).abs() < 1e-9,
            "{devices} devices: {found}, by hand {expected}"
        );
        let energy = sent / rows * link.energy_per_byte.typical.0;
        let found = cost.breakdown.interconnect.0;
        assert!(
            (found / energy - 1.0).abs() < 1e-9,
            "{found}, by hand {energy}"
        );
    }
}
