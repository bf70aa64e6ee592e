//! [`Software`]: what stands between a network and the device that runs it, and which model of the cost follows. This is
//! the one place where that is decided, from the network, the device and the choice; how the network was opened does not
//! matter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::hardware::{CostModel, HardwareClass, HardwareTarget};
use crate::serving::architecture::{Architecture, Shape};
use crate::serving::{self, Era, Fit};

/// Parameters of the smallest language model whose serving was measured (Qwen2.5-0.5B, 0.494 billion;
/// `assets/ground_truth/serving.csv`): smaller ones are usually run bare.
const SMALLEST_SERVED: f64 = 0.49e9;
/// Memory in bytes of the smallest devices that are taken to have a serving stack (assumed: cards with 16 GB).
const LEAST_MEMORY: f64 = 16e9;

/// The software that runs a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Software {
    /// What is usual for the network and the device, see [`runtime`].
    #[default]
    Usual,
    /// Kernels back to back and nothing between them: no scheduler, no sampling, no host.
    Bare,
    /// A serving stack: the programs that batch requests, start kernels and sample, by the year of their release.
    Stack(Era),
}

impl Software {
    /// All choices.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Usual, Self::Bare]
            .into_iter()
            .chain(Era::ALL.map(Self::Stack))
    }

    /// The word for it on the command line.
    pub fn id(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Bare => "bare",
            Self::Stack(era) => era.year(),
        }
    }

    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usual => "As usual",
            Self::Bare => BARE,
            Self::Stack(era) => era.name(),
        }
    }
}

const BARE: &str = "Bare runtime";

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Software {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::all().find(|software| software.id() == text);
        known.ok_or_else(|| Error::unknown("software", text, Self::all().map(Self::id)))
    }
}

/// As files have it: presets of method version 3 named the year alone, whose default stood for what is usual.
#[derive(Deserialize)]
#[serde(rename = "Software")]
enum Written {
    Usual,
    Bare,
    Stack(Era),
    Eager,
    Y2024,
    Y2025,
}

impl<'de> Deserialize<'de> for Software {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Usual | Written::Y2025 => Self::Usual,
            Written::Bare => Self::Bare,
            Written::Stack(era) => Self::Stack(era),
            Written::Eager => Self::Stack(Era::Eager),
            Written::Y2024 => Self::Stack(Era::Y2024),
        })
    }
}

/// What runs a network on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// The serving stack by its year; `None`: kernels back to back.
    pub stack: Option<Era>,
    /// What stands behind the prediction that follows.
    pub fit: Fit,
    because: Because,
}

/// Why a network runs as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Because {
    Asked,
    Usual,
    /// No serving stack runs networks of its kind.
    Network,
    /// The device has none.
    Device,
    /// Smaller than any whose serving was measured.
    Size,
}

impl Runtime {
    /// The name on screen: "Serving stack of 2025".
    pub fn name(&self) -> &'static str {
        self.stack.map_or(BARE, Era::name)
    }

    /// Why it is this one, in a clause.
    pub const fn reason(&self) -> &'static str {
        match (self.because, self.stack) {
            (Because::Asked, _) => "as asked",
            (Because::Usual, _) => "as usual for such networks on devices with a serving stack",
            (Because::Network, _) => "no serving stack runs networks of this kind",
            (Because::Device, _) => "no serving stack is known for this device",
            (Because::Size, _) => {
                "as usual for networks smaller than any whose serving was measured (0.49 billion parameters)"
            }
        }
    }

    /// What time and energy follow from, in words that go on after these two.
    pub const fn prediction(&self) -> &'static str {
        match (self.fit, self.stack.is_some()) {
            (Fit::Device, _) => "are fitted to published measurements of this device",
            (Fit::Relatives, _) => {
                "are fitted to published measurements of this device, with networks counted as layers of attention"
            }
            (Fit::Generation, _) => {
                "are fitted to published measurements of other devices of its generation"
            }
            (Fit::Class, true) => "follow from data sheets, with the serving software of an H100",
            (Fit::Class, false) => "follow from data sheets",
        }
    }
}

/// Whether serving stacks run networks of this kind: language models that write, and denoisers.
pub fn is_served(network: &Architecture) -> bool {
    match &network.shape {
        Shape::Transformer(transformer) => !transformer.encoder,
        Shape::DiffusionTransformer(_) | Shape::UNet(_) => true,
        Shape::Layers(_) | Shape::Listed(_) => false,
    }
}

/// Whether a device has a serving stack: accelerators with at least 16 GB of memory, and the GPUs that the serving model
/// knows.
fn has_stack(target: &HardwareTarget) -> Result<bool> {
    let CostModel::Processor(processor) = &target.model else {
        return Ok(false);
    };
    let accelerator = matches!(
        target.class,
        HardwareClass::Gpu | HardwareClass::Tpu | HardwareClass::Asic
    );
    let memory = processor.memory.as_ref();
    let large = memory.is_some_and(|memory| memory.capacity.typical.0 >= LEAST_MEMORY);
    Ok(accelerator && large || serving::covers(target)?)
}

/// What runs a network on a device. Usual is a serving stack of 2025 for language models and denoisers on devices that have
/// one, and the bare runtime for everything else, among it language models smaller than any whose serving was measured.
/// Where there is no stack, asking for one gives the bare runtime, and [`Runtime::reason`] says so.
///
/// # Errors
/// [`Error::File`] when a table that ships is broken.
pub fn runtime(
    network: Option<&Architecture>,
    target: &HardwareTarget,
    software: Software,
) -> Result<Runtime> {
    let bare = |because| Runtime {
        stack: None,
        fit: Fit::Class,
        because,
    };
    let Some(network) = network.filter(|network| is_served(network)) else {
        return Ok(bare(match software {
            Software::Bare => Because::Asked,
            _ => Because::Network,
        }));
    };
    if software == Software::Bare {
        return Ok(bare(Because::Asked));
    }
    if !has_stack(target)? {
        return Ok(bare(Because::Device));
    }
    let era = match software {
        Software::Stack(era) => era,
        _ if is_small(network) => return Ok(bare(Because::Size)),
        _ => Era::default(),
    };
    let fit = serving::fit_of(network, target)?;
    // What stacks add to a step is known of language models only.
    if fit == Fit::Class && network.shape.pipeline().is_some() {
        return Ok(bare(Because::Device));
    }
    Ok(Runtime {
        stack: Some(era),
        fit,
        because: match software {
            Software::Stack(_) => Because::Asked,
            _ => Because::Usual,
        },
    })
}

/// Whether it is a language model smaller than any whose serving was measured.
pub(crate) fn is_small(network: &Architecture) -> bool {
    matches!(network.shape, Shape::Transformer(_))
        && network
            .language()
            .is_some_and(|language| language.parameters < SMALLEST_SERVED)
}

#[cfg(test)]
mod tests;
