//! Rows of small networks on spiking chips and, for comparison, on processors: energy per inference, and power of a chip
//! at stated rates of spikes.

use serde::Deserialize;

use super::read::Identified;
use super::small::{inference, number};
use crate::hardware::{self, CostModel, HardwareTarget, Neuromorphic};
use crate::profile::{Layer, Unit};
use crate::serving::unread::unread;
use crate::serving::{ComparedFigure, LayerList, ListedLayer, SkippedRow, ValidatedRow};
use crate::units::{Joules, Range, Seconds, Watts};

/// One published measurement, all text, as many columns are empty.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct NeuromorphicRow {
    /// Identifier.
    pub id: String,
    /// What was run.
    pub benchmark: String,
    /// The network.
    pub network: String,
    /// The device, with its voltage where stated.
    pub hardware: String,
    /// Watts without work.
    pub idle_w: String,
    /// Watts at work; several separated by `/`.
    pub running_w: String,
    /// Watts at work above those without.
    pub dynamic_w: String,
    /// Inferences per second.
    pub inferences_per_s: String,
    /// Joules of one inference.
    pub joules_per_inference: String,
    /// Whether idle power is in them.
    pub joules_basis: String,
    /// Where it was published.
    pub source: String,
    /// Remarks.
    pub notes: String,
}

impl Identified for NeuromorphicRow {
    fn id_mut(&mut self) -> &mut String {
        &mut self.id
    }

    fn unread(&self) -> Option<String> {
        unread([
            ("joules_per_inference", self.joules_per_inference.as_str()),
            ("inferences_per_s", &self.inferences_per_s),
        ])
    }
}

/// A processor that runs one small network at a time: what a framework takes to start it, and what that draws. Assumed;
/// the typical values are round numbers near the keyword spotting rows of Blouw et al. (2019), one device of each kind.
struct Frame {
    words: &'static [&'static str],
    /// Seconds to start one inference from a framework.
    start: Range<f64>,
    /// Watts above idle meanwhile.
    power: Range<f64>,
    /// Bytes per second at which weights of a batch of one are read.
    bandwidth: f64,
}

const fn range(low: f64, typical: f64, high: f64) -> Range<f64> {
    Range { low, typical, high }
}

const FRAMES: [Frame; 4] = [
    Frame {
        words: &["edge tpu", "movidius", "ncs", "coral"],
        start: range(2e-4, 2e-3, 5e-3),
        power: range(0.25, 0.5, 2.0),
        bandwidth: 3e8,
    },
    Frame {
        words: &["jetson", "tx1", "tx2", "xavier"],
        start: range(8e-4, 2e-3, 5e-3),
        power: range(1.0, 2.5, 6.0),
        bandwidth: 1e10,
    },
    Frame {
        words: &["gpu", "quadro", "titan", "geforce", "rtx", "gtx", "tesla"],
        start: range(4e-4, 1e-3, 2.5e-3),
        power: range(10.0, 20.0, 60.0),
        bandwidth: 1e11,
    },
    Frame {
        words: &["cpu", "xeon", "core i", "ryzen", "i7", "i9"],
        start: range(2e-4, 5e-4, 1.5e-3),
        power: range(6.0, 12.0, 40.0),
        bandwidth: 1e10,
    },
];

/// Words of a chip's name and the chip of the hardware catalogue; the first that fits.
const CHIPS: [(&str, &str); 12] = [
    ("truenorth", "ibm-truenorth"),
    ("loihi 2", "intel-loihi-2"),
    ("loihi2", "intel-loihi-2"),
    ("loihi", "intel-loihi-1"),
    ("spinnaker 2", "spinnaker-2"),
    ("spinnaker2", "spinnaker-2"),
    ("spinnaker", "spinnaker-1"),
    ("xylo", "generic-spiking-core-28nm"),
    ("odin", "generic-spiking-core-28nm"),
    ("darwin3", "generic-spiking-core-28nm"),
    ("akida", "generic-spiking-core-28nm"),
    ("speck", "generic-spiking-core-28nm"),
];

/// Networks of benchmarks whose layers a row does not state: keyword spotting of Blouw et al. (2019, from memory), and
/// a perceptron with one hidden layer for MNIST (assumed).
const NETWORKS: [(&str, &[u32]); 2] = [
    ("keyword spotting", &[390, 256, 256, 29]),
    ("mnist", &[784, 100, 10]),
];

/// Spikes per neuron and second, and synapses that each reaches, where a network of a chip's power is not described:
/// applications of TrueNorth spike at 10 to 20 Hz (assumed).
const UNKNOWN_RATE: Range<f64> = range(0.0, 10.0, 50.0);
const UNKNOWN_SYNAPSES: f64 = 128.0;
/// Voltage at which the constants of TrueNorth were measured, and where rows do not state one.
const TRUENORTH_VOLTS: f64 = 0.8;
/// Its tick.
const TRUENORTH_TICKS_PER_SECOND: f64 = 1000.0;

/// The chip of the hardware catalogue that a lower-case name means.
pub(crate) fn chip(name: &str) -> Option<&'static str> {
    CHIPS
        .iter()
        .find(|(word, _)| name.contains(word))
        .map(|(_, id)| *id)
}

/// What a row is predicted to show.
#[derive(Default)]
struct Prediction {
    energy: Option<Range<f64>>,
    throughput: Option<Range<f64>>,
    figures: Vec<ComparedFigure>,
}

/// Predicts a row, or says why not.
pub(crate) fn validate(row: &NeuromorphicRow) -> Result<ValidatedRow, SkippedRow> {
    match predict(row) {
        Ok(prediction) => Ok(ValidatedRow {
            id: row.id.clone(),
            predicted_energy_j: prediction.energy,
            predicted_throughput: prediction.throughput,
            measured_energy_j: number(&row.joules_per_inference),
            measured_throughput: number(&row.inferences_per_s),
            model: format!("{} {}", row.benchmark, row.network)
                .trim()
                .to_owned(),
            family: row.benchmark.clone(),
            hardware: row.hardware.clone(),
            scope: if dynamic(row) { "above idle" } else { "chip" },
            source: row.source.clone(),
            figures: prediction.figures,
        }),
        Err(reason) => Err(SkippedRow {
            id: row.id.clone(),
            reason,
        }),
    }
}

/// Whether the joules of a row leave idle power out.
fn dynamic(row: &NeuromorphicRow) -> bool {
    row.joules_basis.to_lowercase().starts_with("dynamic")
}

fn predict(row: &NeuromorphicRow) -> Result<Prediction, String> {
    let name = row.hardware.to_lowercase();
    if ["spikey", "brainscales", "dynap", "analog"]
        .iter()
        .any(|word| name.contains(word))
    {
        return Err("analogue neurons are not modelled".to_owned());
    }
    if let Some(id) = chip(&name) {
        let target = hardware::find(id).map_err(|error| error.to_string())?;
        let CostModel::Neuromorphic(chip) = &target.model else {
            return Err(format!("{} has no neurons", target.name));
        };
        if id == "ibm-truenorth" {
            return truenorth(row, target, chip);
        }
        return on_spiking_chip(row, target);
    }
    match FRAMES
        .iter()
        .find(|frame| frame.words.iter().any(|word| name.contains(word)))
    {
        Some(frame) => on_processor(row, frame),
        None => Err(format!(
            "'{}' is neither a spiking chip of the catalogue nor a processor of a known kind",
            row.hardware
        )),
    }
}

/// The network of a row: widths written like "390-256-256-29", or what its benchmark usually runs.
fn network(row: &NeuromorphicRow) -> Result<LayerList, String> {
    let stated = row
        .network
        .split(|c: char| !c.is_ascii_digit() && c != '-')
        .map(|word| {
            word.split('-')
                .filter_map(|w| w.parse().ok())
                .collect::<Vec<u32>>()
        })
        .find(|widths| widths.len() >= 3);
    let benchmark = row.benchmark.to_lowercase();
    let widths = match (stated, row.network.trim()) {
        (Some(widths), _) => widths,
        (None, "") => NETWORKS
            .iter()
            .find(|(word, _)| benchmark.contains(word) && !benchmark.contains("lmu"))
            .map(|(_, widths)| widths.to_vec())
            .ok_or_else(|| format!("the layers of '{}' are not stated", row.benchmark))?,
        (None, network) => return Err(format!("'{network}' states no widths of layers")),
    };
    let layers = widths
        .windows(2)
        .map(|pair| ListedLayer::Dense(pair[0], pair[1]))
        .collect();
    Ok(LayerList {
        unit: Unit::Sample,
        operations: None,
        layers,
        folding: None,
    })
}

/// Widths of a synapse's weight and of an activation on spiking chips.
const SPIKING_BITS: u8 = 8;

fn on_spiking_chip(row: &NeuromorphicRow, target: &HardwareTarget) -> Result<Prediction, String> {
    let profile = network(row)?.profile("network", SPIKING_BITS, SPIKING_BITS);
    let (time, energy) = inference(target, &profile, None, 1).map_err(|error| error.to_string())?;
    let energy = if dynamic(row) {
        let idle = target
            .static_power
            .range()
            .with(time, |watts, time| watts * time);
        energy.with(idle, |all, idle| all - idle)
    } else {
        energy
    };
    Ok(Prediction {
        energy: Some(energy.map(|joules: Joules| joules.0)),
        throughput: Some(time.map_decreasing(|time| 1.0 / time.0)),
        figures: Vec::new(),
    })
}

fn on_processor(row: &NeuromorphicRow, frame: &Frame) -> Result<Prediction, String> {
    let bytes = 4.0
        * network(row)?
            .layers()
            .iter()
            .map(Layer::weights)
            .sum::<u64>() as f64;
    let time = frame
        .start
        .map(|start| Seconds(start + bytes / frame.bandwidth));
    let power = frame.power.map(Watts);
    let mut prediction = Prediction {
        throughput: Some(time.map_decreasing(|time| 1.0 / time.0)),
        ..Prediction::default()
    };
    let above_idle = power.with(time, |watts, time| (watts * time).0);
    let idle = number(&row.idle_w);
    prediction.energy = if dynamic(row) {
        Some(above_idle)
    } else {
        idle.map(|idle| above_idle.with(time, |joules, time| joules + idle * time.0))
    };
    if let Some(measured) = number(&row.dynamic_w) {
        prediction.figures.push(ComparedFigure {
            quantity: "power above idle".to_owned(),
            unit: Watts::SYMBOL,
            predicted: power.map(|watts| watts.0),
            measured,
        });
    }
    if prediction.energy.is_none() {
        return Err("the energy includes idle power, and the row does not state it".to_owned());
    }
    Ok(prediction)
}

/// Power of a chip of a million neurons: `(static + neurons × ticks × update + events × joules) × (V / 0.8)²`.
fn truenorth(
    row: &NeuromorphicRow,
    target: &HardwareTarget,
    chip: &Neuromorphic,
) -> Result<Prediction, String> {
    let volts = number_before(&row.hardware, " V").unwrap_or(TRUENORTH_VOLTS);
    let power = truenorth_power(target, chip, volts);
    let silent = power(Range::exact(0.0));
    let synapses = number_before(&row.benchmark, " syn")
        .or_else(|| number_before(&row.network, " syn"))
        .unwrap_or(UNKNOWN_SYNAPSES);
    let rates = rates(&row.benchmark);
    let power = |hertz: Range<f64>| power(hertz.map(|hertz| hertz * synapses));
    let at = |i: usize, count: usize| match rates.get(i) {
        Some(hertz) if rates.len() == count => Range::exact(*hertz),
        _ if rates.len() == 1 => Range::exact(rates[0]),
        _ => UNKNOWN_RATE,
    };
    let measured: Vec<f64> = row.running_w.split('/').filter_map(number).collect();
    let mut figures: Vec<ComparedFigure> = measured
        .iter()
        .enumerate()
        .map(|(i, watts)| ComparedFigure {
            quantity: "power of the chip".to_owned(),
            unit: Watts::SYMBOL,
            predicted: if row.benchmark.contains("zero activity") {
                silent
            } else {
                power(at(i, measured.len()))
            },
            measured: *watts,
        })
        .collect();
    if let Some(idle) = number(&row.idle_w).filter(|_| measured.is_empty()) {
        figures.push(ComparedFigure {
            quantity: "power of the chip".to_owned(),
            unit: Watts::SYMBOL,
            predicted: silent,
            measured: idle,
        });
    }
    // A camera sets the pace: the chip keeps up with its ticks or the network is another one.
    let per_second =
        number_before(&row.benchmark, " fps").or_else(|| number(&row.inferences_per_s));
    let prediction = Prediction {
        energy: per_second
            .filter(|_| number(&row.joules_per_inference).is_some())
            .map(|rate| power(at(0, 1)).map(|watts| (Watts(watts) * Seconds(1.0 / rate)).0)),
        throughput: None,
        figures,
    };
    if prediction.energy.is_none() && prediction.figures.is_empty() {
        return Err("neither power nor energy was measured".to_owned());
    }
    Ok(prediction)
}

/// Joules per synaptic event that come out when all power of the chip is divided by its events, as Merolla et al. (2014)
/// do at 20 Hz, 128 synapses per neuron and 0.775 V.
pub(crate) fn truenorth_total_per_event(
    target: &HardwareTarget,
    chip: &Neuromorphic,
) -> Range<Joules> {
    const VOLTS: f64 = 0.775;
    const EVENTS_PER_NEURON: f64 = 20.0 * 128.0;
    let events = chip.cores.typical * chip.neurons_per_core.typical * EVENTS_PER_NEURON;
    let power = truenorth_power(target, chip, VOLTS);
    power(Range::exact(EVENTS_PER_NEURON)).map(|watts| Joules(watts / events))
}

/// Power of the chip at a voltage as a function of the events per neuron and second.
fn truenorth_power<'a>(
    target: &'a HardwareTarget,
    chip: &'a Neuromorphic,
    volts: f64,
) -> impl Fn(Range<f64>) -> Range<f64> + 'a {
    let scale = (volts / TRUENORTH_VOLTS).powi(2);
    let neurons = chip.cores.typical * chip.neurons_per_core.typical;
    let updates = neurons * TRUENORTH_TICKS_PER_SECOND;
    let update = chip.energy_per_update.range();
    let silent = target
        .static_power
        .range()
        .with(update, move |watts, update| {
            scale * (watts.0 + updates * update.0)
        });
    move |events: Range<f64>| {
        let busy = events.with(chip.energy_per_event.range(), |events, joules| {
            scale * neurons * events * joules.0
        });
        silent + busy
    }
}

/// The number in front of a unit.
fn number_before(text: &str, unit: &str) -> Option<f64> {
    let (before, _) = text.split_once(unit)?;
    number(before.rsplit([' ', '(', ',']).next()?)
}

/// All rates in "11.58 / 20.07 / 95.93 Hz".
fn rates(text: &str) -> Vec<f64> {
    let Some((before, _)) = text.split_once(" Hz") else {
        return Vec::new();
    };
    let mut rates: Vec<f64> = before
        .rsplit(' ')
        .map_while(|word| match word {
            "/" => Some(None),
            word => number(word).map(Some),
        })
        .flatten()
        .collect();
    rates.reverse();
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_widths_are_read() {
        assert_eq!(
            rates("nets 11.58 / 20.07 / 95.93 Hz"),
            [11.58, 20.07, 95.93]
        );
        assert_eq!(rates("high corner 200 Hz, 256 syn"), [200.0]);
        assert_eq!(rates("no rate"), [0.0; 0]);
        assert_eq!(number_before("TrueNorth 0.775 V", " V"), Some(0.775));
        assert_eq!(
            number_before("multi-object detection, 400x240 video 30 fps", " fps"),
            Some(30.0)
        );
        let row = NeuromorphicRow {
            network: "2 hidden layers, 390-256-256-29 (sizes from memory)".to_owned(),
            ..NeuromorphicRow::default()
        };
        assert_eq!(
            network(&row).unwrap().macs(),
            390.0 * 256.0 + 256.0 * 256.0 + 256.0 * 29.0
        );
    }

    #[test]
    fn truenorth_draws_more_at_a_higher_voltage_and_rate() {
        let watts = |hardware: &str, benchmark: &str| {
            let row = NeuromorphicRow {
                hardware: hardware.to_owned(),
                benchmark: benchmark.to_owned(),
                running_w: "1".to_owned(),
                ..NeuromorphicRow::default()
            };
            predict(&row).unwrap().figures[0].predicted.typical
        };
        let slow = watts("TrueNorth 0.8 V", "nets 10 Hz, 128 syn");
        assert!(watts("TrueNorth 0.8 V", "nets 100 Hz, 128 syn") > slow);
        assert!(watts("TrueNorth 1.0 V", "nets 10 Hz, 128 syn") > slow);
    }

    #[test]
    fn reasons_say_what_is_missing() {
        let reason = |hardware: &str, benchmark: &str| {
            let row = NeuromorphicRow {
                hardware: hardware.to_owned(),
                benchmark: benchmark.to_owned(),
                ..NeuromorphicRow::default()
            };
            predict(&row).err().unwrap()
        };
        assert!(reason("Spikey", "MNIST").contains("analogue"));
        assert!(reason("Loihi", "keyword spotting LMU").contains("not stated"));
        assert!(reason("abacus", "MNIST").contains("neither a spiking chip"));
    }
}
