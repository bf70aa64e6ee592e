//! Devices by the names that published measurements use, with the figures that the serving model needs.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Deserialize;

use super::architecture::Shape;
use crate::error::{Error, Result};
use crate::hardware::{self, CostModel, HardwareTarget, Precision};

const FILE: &str = include_str!("../../../assets/serving_devices.ron");

/// Whose fitted constants a device uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Generation {
    /// NVIDIA A100: 7 nm, HBM2.
    Ampere,
    /// NVIDIA H100: 4 nm class, HBM3.
    Hopper,
    /// NVIDIA B200: 4 nm class, HBM3e.
    Blackwell,
}

/// Dense FP16 peaks of the measured device of each generation, operations per second (A100, H100, B200; as in
/// `assets/hardware`).
const MEASURED_PEAKS: [f64; 3] = [312e12, 989e12, 2250e12];

impl Generation {
    /// The generation whose measured device has the FP16 peak nearest to a given one, as a factor.
    fn of_size(fp16: f64) -> Self {
        let off = |peak: f64| (fp16 / peak).ln().abs();
        let [ampere, hopper, blackwell] = MEASURED_PEAKS.map(off);
        if ampere <= hopper {
            Self::Ampere
        } else if hopper <= blackwell {
            Self::Hopper
        } else {
            Self::Blackwell
        }
    }
}

/// What kind of part of a system a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum DeviceKind {
    /// GPU with matrix units in a server or workstation.
    Gpu,
    /// Inference card in a server.
    Card,
    /// Inference card in a development kit.
    KitCard,
    /// Small inference module in a development kit.
    Module,
    /// System on a chip: the board is the system.
    SystemOnChip,
    /// Vector units of a CPU on a board.
    Cpu,
    /// GPU without matrix units on a board.
    EmbeddedGpu,
}

/// Figures of a device that is not in the hardware catalogue.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    fp16: f64,
    int8: f64,
    #[serde(default)]
    fp32: f64,
    bandwidth: f64,
    power: f64,
    link: f64,
    #[serde(default)]
    fp8: Option<f64>,
    #[serde(default)]
    memory: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    names: Vec<String>,
    #[serde(default)]
    hardware: Option<String>,
    #[serde(default)]
    figures: Option<Figures>,
    generation: Generation,
    kind: DeviceKind,
    #[serde(default)]
    fitted: bool,
    #[serde(default = "one")]
    memory_energy: f64,
    #[serde(default)]
    stacked_memory: bool,
    #[serde(default)]
    waiting_power: f64,
    #[serde(default)]
    efficient_power: Option<f64>,
    #[serde(default = "eight")]
    domain: f64,
    #[serde(default)]
    whole_machine: bool,
    source: String,
}

/// Devices of a server that exchange over its own links, where the table says nothing else.
fn eight() -> f64 {
    8.0
}

fn one() -> f64 {
    1.0
}

/// A device as the serving model sees it; rates per second, watts.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its first name.
    pub name: String,
    /// Words by which it is recognised, each list one name.
    words: Vec<Vec<String>>,
    /// Whose constants it uses.
    pub generation: Generation,
    /// What kind of part it is.
    pub kind: DeviceKind,
    /// Whether the fit has seen it.
    pub fitted: bool,
    /// Operations per second in 16 bit.
    pub fp16: f64,
    /// Operations per second in 8-bit floating point, where it has that.
    pub fp8: Option<f64>,
    /// Operations per second in 8-bit integers.
    pub int8: f64,
    /// Operations per second in 32 bit.
    pub fp32: f64,
    /// Bytes per second from memory.
    pub bandwidth: f64,
    /// Watts it may draw.
    pub power_limit: f64,
    /// Bytes per second over its link.
    pub link: f64,
    /// Devices that exchange over such links, before a slower network between servers.
    pub domain: f64,
    /// Whether its power limit is that of a whole machine, as on other kinds than cards it always is.
    pub whole_machine: bool,
    /// Energy of a byte against that of its generation.
    pub memory_energy: f64,
    /// Whether its memory is stacked (HBM).
    pub stacked_memory: bool,
    /// Watts while it waits in a system at rest.
    pub waiting_power: f64,
    /// Watts of the board in its efficient mode.
    pub efficient_power: Option<f64>,
    /// Bytes of memory, where its figures are not those of the hardware catalogue.
    memory: Option<f64>,
    /// Where the figures are from.
    pub source: String,
    /// Identifier of the same device in the hardware catalogue, where that has it.
    pub hardware: Option<String>,
}

impl Device {
    /// The device as the model of image generation sees it: one that was not measured takes the constants of the
    /// measured one nearest in size, as larger chips reach smaller shares of their peak.
    pub(super) fn drawing(&self) -> Cow<'_, Self> {
        let generation = Generation::of_size(self.fp16);
        if self.fitted || generation == self.generation {
            Cow::Borrowed(self)
        } else {
            Cow::Owned(Self {
                generation,
                ..self.clone()
            })
        }
    }

    fn new(entry: &Entry) -> Result<Self> {
        let broken = |fact: String| Error::file(fact, "assets/serving_devices.ron");
        let name = entry.names.first().cloned().unwrap_or_default();
        let mut device = Self {
            words: entry.names.iter().map(|name| words(name)).collect(),
            name,
            generation: entry.generation,
            kind: entry.kind,
            fitted: entry.fitted,
            fp16: 0.0,
            fp8: None,
            int8: 0.0,
            fp32: 0.0,
            bandwidth: 0.0,
            power_limit: 0.0,
            link: 0.0,
            domain: entry.domain,
            whole_machine: entry.whole_machine,
            memory_energy: entry.memory_energy,
            stacked_memory: entry.stacked_memory,
            waiting_power: entry.waiting_power,
            efficient_power: entry.efficient_power,
            memory: entry.figures.and_then(|figures| figures.memory),
            source: entry.source.clone(),
            hardware: entry.hardware.clone(),
        };
        if let Some(figures) = entry.figures {
            device.fp16 = figures.fp16;
            device.int8 = figures.int8;
            device.fp32 = figures.fp32;
            device.bandwidth = figures.bandwidth;
            device.power_limit = figures.power;
            device.link = figures.link;
            device.fp8 = figures.fp8;
            return Ok(device);
        }
        let id = entry.hardware.as_deref().unwrap_or_default();
        if device.take_figures(hardware::find(id)?) {
            Ok(device)
        } else {
            Err(broken(format!("{id} is not a processor")))
        }
    }

    /// Takes the figures of a device of the hardware catalogue; false where that is no processor.
    fn take_figures(&mut self, target: &HardwareTarget) -> bool {
        let CostModel::Processor(processor) = &target.model else {
            return false;
        };
        let peak = |precision| {
            processor
                .peak
                .get(&precision)
                .map(|figure| figure.typical.0)
        };
        let half = |precision| peak(precision).map(|rate| rate / 2.0);
        self.int8 = peak(Precision::Int8).unwrap_or(0.0);
        self.fp16 = peak(Precision::Fp16)
            .or_else(|| half(Precision::Int8))
            .or_else(|| peak(Precision::Fp32))
            .unwrap_or(0.0);
        if self.int8 == 0.0 {
            self.int8 = self.fp16; // integers are computed in 16 bit
        }
        self.fp8 = peak(Precision::Fp8);
        self.fp32 = peak(Precision::Fp32).unwrap_or(self.fp16 / 16.0);
        self.power_limit = target.power_limit.typical.0;
        self.bandwidth = processor
            .memory
            .as_ref()
            .unwrap_or(&processor.on_chip)
            .bandwidth
            .typical
            .0;
        self.link = processor
            .link
            .as_ref()
            .map_or(32e9, |link| link.bandwidth.typical.0);
        true
    }

    /// Bytes of its memory, where they are known.
    pub(super) fn capacity(&self) -> Option<f64> {
        self.memory.or_else(|| {
            let target = hardware::find(self.hardware.as_deref()?).ok()?;
            match &target.model {
                CostModel::Processor(processor) => processor
                    .memory
                    .as_ref()
                    .map(|memory| memory.capacity.typical.0),
                _ => None,
            }
        })
    }

    /// Whether it multiplies 4-bit floating-point numbers as they are.
    pub(super) fn multiplies_fp4(&self) -> bool {
        self.generation == Generation::Blackwell && self.fp8.is_some()
    }

    /// Whether it is of another maker than those that were fitted, with software of its own.
    pub(super) fn of_other_maker(&self) -> bool {
        let id = self.hardware.as_deref();
        id.is_some_and(|id| !id.starts_with("nvidia-"))
    }

    /// Whether published measurements of its like cover a kind of network.
    pub(crate) fn covers(&self, shape: &Shape) -> bool {
        let network = match shape {
            Shape::Transformer(transformer) => !transformer.encoder,
            Shape::DiffusionTransformer(_) | Shape::UNet(_) => true,
            Shape::Layers(_) | Shape::Listed(_) => false,
        };
        network && self.kind == DeviceKind::Gpu
    }

    /// The same device with the figures of a changed copy; what was fitted to the original has not seen the copy, unless
    /// none of the figures differ. `None` where the copy does not compute in 16 bit, which is all that was fitted.
    fn with_figures_of(&self, copy: &HardwareTarget) -> Option<Self> {
        let mut device = self.clone();
        if !device.take_figures(copy) || device.fp16 <= 0.0 {
            return None;
        }
        device.fitted &= device == *self;
        Some(device)
    }
}

/// Letters and digits in lower case; everything else separates words.
fn words(name: &str) -> Vec<String> {
    name.to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// All devices.
///
/// # Errors
/// [`Error::File`] when the file that ships with the program is broken.
fn devices() -> Result<&'static [Device]> {
    static DEVICES: OnceLock<Result<Vec<Device>>> = OnceLock::new();
    let loaded = DEVICES.get_or_init(|| {
        let options = ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        let entries: Vec<Entry> = options
            .from_str(FILE)
            .map_err(|error| Error::file(format!("line {error}"), "assets/serving_devices.ron"))?;
        entries.iter().map(Device::new).collect()
    });
    match loaded {
        Ok(devices) => Ok(devices),
        Err(error) => Err(error.clone()),
    }
}

/// The device that a measurement names: the one with the longest name all of whose words occur.
///
/// # Errors
/// [`Error::Unknown`] when no device fits.
pub(crate) fn device(name: &str) -> Result<&'static Device> {
    let wanted = words(name);
    let all = devices()?;
    all.iter()
        .flat_map(|device| device.words.iter().map(move |words| (device, words)))
        .filter(|(_, words)| words.iter().all(|word| wanted.contains(word)))
        .max_by_key(|(_, words)| words.len())
        .map(|(device, _)| device)
        .or_else(|| {
            // As the command line understands it: "h100sxm".
            let id = &hardware::named(name).ok()?.item.id;
            all.iter().find(|d| d.hardware.as_ref() == Some(id))
        })
        .ok_or_else(|| {
            Error::unknown(
                "device with serving constants",
                name,
                all.iter().map(|device| device.name.as_str()),
            )
        })
}

/// A device of the hardware catalogue as the serving model sees it: one that ships by its identifier, a changed copy of
/// one by what it is like, with the copy's own figures.
///
/// # Errors
/// [`Error::File`] when the file that ships with the program is broken.
pub(crate) fn of_hardware(target: &HardwareTarget) -> Result<Option<Cow<'static, Device>>> {
    let of = |id: &str| {
        let all = devices()?;
        Ok::<_, Error>(all.iter().find(|d| d.hardware.as_deref() == Some(id)))
    };
    match &target.like {
        None => Ok(of(&target.id)?.map(Cow::Borrowed)),
        Some(like) => Ok(of(like)?
            .and_then(|device| device.with_figures_of(target))
            .map(Cow::Owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carbon::find_grid;
    use crate::footprint::{Footprint, footprint};
    use crate::hardware::own;
    use crate::outline::Outline;
    use crate::recipe::Recipe;
    use crate::scenario::Scenario;
    use crate::units::{Range, UnitsPerSecond, Watts};

    /// What a network of the catalogue costs on a device.
    fn cost(network: &str, target: &HardwareTarget) -> Footprint {
        let outline = Outline::open(&format!("catalogue:{network}").parse().unwrap()).unwrap();
        let profile = outline.predict(&Recipe::default()).unwrap();
        let scenario = Scenario {
            hardware: target.id.clone(),
            ..outline.scenario().unwrap()
        };
        assert!(
            target
                .is_fitted_for(&profile, &Scenario::default())
                .unwrap(),
            "{}",
            target.id
        );
        footprint(&profile, &scenario, target, find_grid("FR").unwrap()).unwrap()
    }

    #[test]
    fn a_copy_of_a_fitted_device_is_predicted_like_it_and_follows_its_own_figures() {
        let original = hardware::find("nvidia-h100-sxm").unwrap();
        let mut copy = own::copy(original, "mine");
        for network in ["llama-3-1-8b", "sdxl-turbo"] {
            let (a, b) = (cost(network, original), cost(network, &copy));
            assert_eq!(a.throughput.range, b.throughput.range, "{network}");
            assert_eq!(a.energy_per_unit.range, b.energy_per_unit.range);
        }
        let CostModel::Processor(processor) = &mut copy.model else {
            panic!("an H100 is a processor");
        };
        let memory = processor.memory.as_mut().unwrap();
        memory.bandwidth.typical = memory.bandwidth.typical * 0.5;
        let (before, after) = (cost("llama-3-1-8b", original), cost("llama-3-1-8b", &copy));
        let (before, after) = (before.throughput.range, after.throughput.range);
        let ratio = after.typical.0 / before.typical.0;
        assert!((0.4..0.9).contains(&ratio), "half the bandwidth: {ratio}");
        // Nobody measured such a device.
        let width = |range: Range<UnitsPerSecond>| range.high.0 / range.low.0;
        assert!(width(after) > width(before));
    }

    #[test]
    fn names_as_they_are_published_lead_to_the_right_device() {
        for (published, expected) in [
            ("NVIDIA H100 80GB HBM3", "H100 SXM"),
            ("NVIDIA H100-PCIe-80GB", "H100 PCIe"),
            ("NVIDIA A100-SXM4-40GB", "A100 SXM4 40GB"),
            ("NVIDIA A100-SXM-80GB CTS", "A100 SXM 80GB"),
            ("NVIDIA A100", "A100 SXM4 40GB"),
            ("RTX 3080 Ti 12GB", "RTX 3080 Ti"),
            ("QUALCOMM Cloud AI 100 DM.2e", "AI 100 DM 2e"),
            ("QUALCOMM Cloud AI 100 DM.2", "AI 100 DM 2"),
            ("CPU: Arm Cortex-A78AE v8.2", "Cortex A78AE"),
            ("NVIDIA Jetson AGX Orin", "Orin"),
            ("NVIDIA Orin NX 16GB", "Orin NX"),
            ("NVIDIA Jetson AGX Xavier", "AGX Xavier"),
            ("NVIDIA Xavier NX", "Xavier NX"),
            ("NVIDIA GH200 Grace Hopper Superchip 96GB", "GH200"),
            ("NVIDIA A100-PCIe-40GB", "A100 PCIe 40GB"),
            ("QUALCOMM Cloud AI 100 Ultra", "AI 100 Ultra"),
        ] {
            assert_eq!(device(published).unwrap().name, expected, "{published}");
        }
        assert!(device("an abacus").is_err());
    }

    #[test]
    fn every_device_has_the_figures_it_needs() {
        for device in devices().unwrap() {
            assert!(device.fp16 > 0.0 && device.int8 > 0.0, "{}", device.name);
            assert!(
                device.bandwidth > 0.0 && device.power_limit > 0.0,
                "{}",
                device.name
            );
            assert!(device.source.len() > 10, "{}", device.name);
        }
    }

    #[test]
    fn a_lower_power_limit_costs_time_and_is_no_free_energy() {
        let original = hardware::find("nvidia-h100-sxm").unwrap();
        let mut copy = own::copy(original, "cooler");
        copy.power_limit.typical = Watts(300.0);
        copy.static_power.typical = Watts(60.0);
        for network in ["llama-3-1-8b", "flux-1-dev"] {
            let (before, after) = (cost(network, original), cost(network, &copy));
            let slower = after.throughput.range.typical.0 / before.throughput.range.typical.0;
            assert!(slower < 0.95, "{network}: {slower}");
            let energy =
                after.energy_per_unit.range.typical.0 / before.energy_per_unit.range.typical.0;
            assert!((0.7..1.3).contains(&energy), "{network}: {energy}");
            let power = after.energy_per_unit.range.typical.0 * after.throughput.range.typical.0;
            assert!(power < 300.0, "{network}: {power} W");
        }
    }
}
