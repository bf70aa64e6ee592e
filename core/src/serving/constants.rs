//! The fitted constants of the serving model, in `assets/serving.ron`; `wattif calibrate` writes that file.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::device::Generation;
use super::format::Era;
use crate::error::{Error, Result};

/// The file that ships with the program.
const FILE: &str = include_str!("../../../assets/serving.ron");

/// Numbers that a fit may move, in a fixed order.
pub(crate) trait Fitted: Copy {
    /// Their values.
    fn values(&self) -> Vec<f64>;
    /// The same numbers with other values, as many as there are names.
    fn with(values: &[f64]) -> Self;
    /// What each can be at most, none where they are fewer: no efficiency is above what long transfers and large products reach.
    fn most() -> Vec<f64> {
        Vec::new()
    }
}

macro_rules! constants {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident $(<= $most:literal)?,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: f64,)*
        }

        impl Fitted for $name {
            fn values(&self) -> Vec<f64> {
                vec![$(self.$field),*]
            }

            fn with(values: &[f64]) -> Self {
                let mut values = values.iter().copied();
                Self { $($field: values.next().unwrap_or(f64::NAN)),* }
            }

            fn most() -> Vec<f64> {
                vec![$([$($most,)? f64::INFINITY][0]),*]
            }
        }
    };
}

constants! {
    /// Time of a step of a language model. Efficiencies are shares of the peak on the data sheet; times in seconds.
    DecodeTime {
        /// Memory bandwidth for weights, Ampere.
        weights_ampere <= 0.92,
        /// Memory bandwidth for weights, Hopper.
        weights_hopper <= 0.92,
        /// Memory bandwidth for weights, Blackwell.
        weights_blackwell <= 0.92,
        /// Memory bandwidth for keys and values.
        cache <= 0.92,
        /// Arithmetic of tokens that are written, Ampere.
        compute_ampere <= 0.85,
        /// Arithmetic of tokens that are written, Hopper.
        compute_hopper <= 0.85,
        /// Arithmetic of tokens that are written, Blackwell.
        compute_blackwell <= 0.85,
        /// Arithmetic of prompts, Ampere.
        prompt_ampere <= 0.85,
        /// Arithmetic of prompts, Hopper.
        prompt_hopper <= 0.85,
        /// Arithmetic of prompts, Blackwell.
        prompt_blackwell <= 0.85,
        /// Share of the FP8 peak, against that of 16 bit, that block-scaled products reach.
        fp8_peak <= 0.85,
        /// Arithmetic of experts against that of other matrices, tokens that are written.
        expert_compute <= 1.0,
        /// Arithmetic of experts against that of other matrices, prompts.
        expert_prompt <= 1.0,
        /// Inner width of a device's part of an expert at which prompts reach half of that.
        expert_width,
        /// Bytes of activations that a token reads and writes per layer and number of its residual stream.
        activations,
        /// The same per expert that a token is sent to.
        expert_activations,
        /// Starting a layer, up to Hopper.
        layer_hopper,
        /// Starting a layer, Blackwell.
        layer_blackwell,
        /// Routing and grouping of a layer with experts, up to Hopper.
        expert_layer_hopper,
        /// Routing and grouping of a layer with experts, Blackwell.
        expert_layer_blackwell,
        /// More at the start of a layer with latent attention.
        latent_layer,
        /// Starting kernels in TensorRT-LLM against vLLM.
        tensorrt,
        /// Starting kernels in SGLang against vLLM.
        sglang,
        /// Start of one exchange between devices.
        exchange,
        /// The same with 2026 software against that.
        exchange_2026 <= 1.0,
        /// More at the start of one exchange with 2024 software, which waits for the host.
        exchange_2024,
        /// More at the start of one exchange between servers.
        server_exchange,
        /// Link bandwidth.
        link <= 0.85,
        /// Host per sequence and step, 2026 software.
        sequence_2026,
        /// Host per sequence and step at 100 sequences, 2025 software.
        sequence_2025,
        /// Host per sequence and step, 2024 software, on hosts of Hopper.
        sequence_hopper_2024,
        /// Host per sequence and step, 2024 software, on hosts of Ampere.
        sequence_ampere_2024,
        /// Host per step, 2026 software.
        step_2026,
        /// Host per step, 2025 software, on hosts of Hopper.
        step_hopper_2025,
        /// Host per step, 2025 software, on hosts of Blackwell.
        step_blackwell_2025,
        /// Host per step, 2024 software.
        step_2024,
        /// Host per step of one Blackwell device on a shared machine at a context of 4000 tokens, 2025 software; grows with
        /// the square of the context up to that.
        long_context_blackwell,
        /// Host per request, 2026 software.
        request_2026,
        /// Host per request, 2025 software.
        request_2025,
        /// Host per request, 2024 software.
        request_2024,
        /// Host per sequence, step and token of context, 2024 software.
        context_2024,
        /// Host per layer and step, 2024 software, which starts most kernels one by one.
        layer_2024,
        /// Quantising activations and scaling blocks, per layer of FP8 experts, software before 2026.
        fp8_layer,
        /// Going over an expert that a device holds, in FP8, whether or not a token needs it, software before 2026.
        fp8_expert,
        /// How much longer experts in 4-bit integers take than their bytes.
        integer_experts,
    }
}

constants! {
    /// Energy of a step of a language model: watts, joules per operation, joules per byte.
    DecodeEnergy {
        /// Power while the device waits, Ampere with a limit of 400 W.
        idle_ampere,
        /// Power while the device waits, Hopper with a limit of 700 W.
        idle_hopper,
        /// Power while the device waits, Blackwell with a limit of 1000 W.
        idle_blackwell,
        /// More power while kernels run, Ampere.
        active_ampere,
        /// More power while kernels run, Hopper.
        active_hopper,
        /// More power while kernels run, Blackwell.
        active_blackwell,
        /// Joules per operation in 16 bit, Ampere.
        operation_ampere,
        /// Joules per operation in 16 bit, Hopper.
        operation_hopper,
        /// Joules per operation in 16 bit, Blackwell.
        operation_blackwell,
        /// Energy of an FP8 operation against one in 16 bit.
        fp8_operation <= 0.8,
        /// Energy of an operation on 4-bit floating-point weights against one in 16 bit, where the device has such units.
        fp4_operation <= 0.8,
        /// Energy of an operation on a row of a tile that holds no token, against one on a token.
        padding <= 1.0,
        /// Joules per byte from memory to the arithmetic units, Ampere (HBM2).
        byte_ampere,
        /// Joules per byte, Hopper (HBM3).
        byte_hopper,
        /// Joules per byte, Blackwell (HBM3e).
        byte_blackwell,
        /// Joules per token, layer and number of its residual stream, on every device, for activations.
        activation,
        /// Joules per byte over a link.
        link_byte,
        /// Joules to unpack one MXFP4 weight.
        fp4_weight,
        /// Joules per layer of FP8 experts for quantising activations, software before 2026.
        fp8_layer,
        /// Joules for going over an expert that a device holds, in FP8, software before 2026.
        fp8_expert,
        /// How much more a byte of keys or values takes than a byte of weights: attention runs on slower units.
        cache_byte,
    }
}

constants! {
    /// Time of diffusion networks: shares of the peak in 16 bit; seconds.
    DiffusionTime {
        /// U-Nets, Ampere.
        unet_ampere <= 0.85,
        /// U-Nets, Hopper.
        unet_hopper <= 0.85,
        /// Linear layers of transformers, Ampere.
        linear_ampere <= 0.85,
        /// Linear layers of transformers, Hopper.
        linear_hopper <= 0.85,
        /// Linear layers of transformers, Blackwell.
        linear_blackwell <= 0.85,
        /// Attention with heads of 128, Ampere.
        attention_ampere <= 0.85,
        /// Attention with heads of 128, Hopper.
        attention_hopper <= 0.85,
        /// Attention with heads of 128, Blackwell.
        attention_blackwell <= 0.85,
        /// How attention slows down with narrower heads: this power of their width against 128.
        narrow_heads <= 1.0,
        /// Bytes of activations per token, block and number of the residual stream that transformers read and write between
        /// products.
        activations,
        /// Decoder of the latent image.
        decoder,
        /// Starting one block, 2024 software.
        block_2024,
        /// Starting one block, 2025 software.
        block_2025,
        /// One hop of ring attention.
        ring_hop,
        /// One exchange of heads (Ulysses).
        exchange,
        /// Link bandwidth.
        link,
    }
}

constants! {
    /// Energy of diffusion networks; waiting power is that of [`DecodeEnergy`].
    DiffusionEnergy {
        /// More power while kernels run, Ampere.
        active_ampere,
        /// More power while kernels run, Hopper.
        active_hopper,
        /// More power while kernels run, Blackwell.
        active_blackwell,
        /// Joules per operation, Ampere.
        operation_ampere,
        /// Joules per operation, Hopper.
        operation_hopper,
        /// Joules per operation, Blackwell.
        operation_blackwell,
        /// Joules per byte over a link.
        link_byte,
    }
}

constants! {
    /// Time of MLPerf systems: shares of the peak of the precision used; seconds.
    SystemTime {
        /// Convolutions on data-centre GPUs.
        gpu_convolution,
        /// Attention on data-centre GPUs.
        gpu_attention,
        /// Convolutions on inference cards.
        card_convolution,
        /// Attention on inference cards.
        card_attention,
        /// Convolutions on systems on a chip.
        soc_convolution,
        /// Attention on systems on a chip.
        soc_attention,
        /// Convolutions on vector units of a CPU.
        cpu,
        /// Convolutions on embedded GPUs without matrix units.
        embedded_gpu,
        /// Throughput under a latency bound against throughput without.
        server,
        /// Share of a GPU that one sample fills.
        one_sample_gpu,
        /// Share of an inference card that one sample fills.
        one_sample_card,
        /// Share of a system on a chip that one sample fills.
        one_sample_soc,
        /// How far small modules exceed their rated peak.
        module,
        /// Fixed latency of a query.
        query,
        /// Efficiency of Hopper against Ampere on these small networks.
        hopper,
        /// Speed of a system on a chip in its efficient mode.
        efficient_mode,
    }
}

constants! {
    /// Wall power of MLPerf systems.
    SystemEnergy {
        /// Host of a server, watts.
        host,
        /// More host per device, watts.
        host_per_device,
        /// Share of the power limit that convolutions take.
        convolution,
        /// Share of the power limit that attention takes.
        attention,
        /// Host of a development kit, watts.
        kit,
        /// Share of the range from waiting to the limit that one sample takes.
        one_sample,
        /// Power of a board against its rating.
        board,
    }
}

constants! {
    /// Language models in llama.cpp at batch 1: shares of the peak.
    LlamaCpp {
        /// Memory bandwidth of GDDR and unified memory.
        bandwidth,
        /// Memory bandwidth of HBM, which one sequence cannot fill.
        bandwidth_hbm,
        /// Operations in 32 bit to unpack a weight of four bits.
        unpack_operations,
        /// Starting the kernels of a layer, seconds.
        layer,
        /// The same, more where a layer has experts.
        expert_layer,
        /// Arithmetic in 16 bit while reading a prompt.
        prompt,
        /// The same with weights of four bits.
        prompt_packed,
    }
}

/// How far predictions for families that were left out of the fit are off: the 90th percentile of |ln(predicted /
/// measured)|. It is the stated range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Of the energy.
    pub energy: f64,
    /// Of the throughput.
    pub throughput: f64,
}

/// The spread of every kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spreads {
    /// Language models on Ampere, 2024 software.
    pub ampere_2024: Spread,
    /// Language models on Hopper, 2024 software.
    pub hopper_2024: Spread,
    /// Language models on Hopper, 2025 software.
    pub hopper_2025: Spread,
    /// Language models on Hopper, 2026 software.
    pub hopper_2026: Spread,
    /// Language models on Blackwell, 2025 software.
    pub blackwell_2025: Spread,
    /// Language models on Blackwell, 2026 software.
    pub blackwell_2026: Spread,
    /// Images.
    pub image: Spread,
    /// Videos.
    pub video: Spread,
    /// MLPerf systems on GPUs and inference cards.
    pub system: Spread,
    /// llama.cpp.
    pub llama_cpp: Spread,
}

/// How much wider the range is for software of a year that was not measured on a generation (assumed).
const OTHER_YEAR: f64 = 1.5;

impl Spread {
    /// So many times as wide, in the logarithm.
    pub(super) const fn wider(self, factor: f64) -> Self {
        Self {
            energy: self.energy * factor,
            throughput: self.throughput * factor,
        }
    }

    /// With another cause of error, independent of the rest.
    pub(super) fn with(self, other: f64) -> Self {
        Self {
            energy: self.energy.hypot(other),
            throughput: self.throughput.hypot(other),
        }
    }
}

impl Spreads {
    /// Of language models on a generation of devices with software of a year: where no rows have both, of the nearest
    /// year, wider.
    pub const fn decode(&self, generation: Generation, era: Era) -> Spread {
        match (generation, era) {
            (Generation::Ampere, Era::Eager | Era::Y2024) => self.ampere_2024,
            (Generation::Ampere, Era::Y2025) => self.hopper_2025.wider(OTHER_YEAR),
            (Generation::Ampere, Era::Y2026) => self.hopper_2026.wider(OTHER_YEAR),
            (Generation::Hopper, Era::Eager | Era::Y2024) => self.hopper_2024,
            (Generation::Hopper, Era::Y2025) => self.hopper_2025,
            (Generation::Hopper, Era::Y2026) => self.hopper_2026,
            (Generation::Blackwell, Era::Eager | Era::Y2024) => {
                self.blackwell_2025.wider(OTHER_YEAR)
            }
            (Generation::Blackwell, Era::Y2025) => self.blackwell_2025,
            (Generation::Blackwell, Era::Y2026) => self.blackwell_2026,
        }
    }
}

/// The fitted constants of the serving model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constants {
    /// Which rows they were fitted to, and how.
    pub provenance: String,
    /// Language models: time.
    pub decode_time: DecodeTime,
    /// Language models: energy.
    pub decode_energy: DecodeEnergy,
    /// Diffusion: time.
    pub diffusion_time: DiffusionTime,
    /// Diffusion: energy.
    pub diffusion_energy: DiffusionEnergy,
    /// MLPerf systems: time.
    pub system_time: SystemTime,
    /// MLPerf systems: wall power.
    pub system_energy: SystemEnergy,
    /// llama.cpp: time.
    pub llama_cpp: LlamaCpp,
    /// Error on families left out of the fit.
    pub spread: Spreads,
}

/// Where a value has no number though it should, as keys from the outermost inwards: JSON knows none that is not finite.
fn missing(value: &serde_json::Value) -> Option<String> {
    let (key, inner) = value
        .as_object()?
        .iter()
        .find_map(|(key, value)| match value {
            serde_json::Value::Null => Some((key, None)),
            value => Some((key, Some(missing(value)?))),
        })?;
    Some(inner.map_or_else(|| key.clone(), |inner| format!("{key} {inner}")))
}

impl Constants {
    /// The constants that ship with the program.
    ///
    /// # Errors
    /// [`Error::File`] when that file is broken.
    pub fn shipped() -> Result<&'static Self> {
        static CONSTANTS: OnceLock<Result<Constants>> = OnceLock::new();
        match CONSTANTS.get_or_init(|| Self::parse(FILE, "assets/serving.ron")) {
            Ok(constants) => Ok(constants),
            Err(error) => Err(error.clone()),
        }
    }

    /// Reads constants from the text of their file.
    ///
    /// # Errors
    /// [`Error::File`] with line, column and field when the text does not follow the schema.
    pub fn parse(text: &str, path: &str) -> Result<Self> {
        ron::from_str(text).map_err(|error| Error::file(format!("line {error}"), path))
    }

    /// The text of their file.
    ///
    /// # Errors
    /// [`Error::File`] when a number cannot be written; [`Error::Infeasible`] when one is not finite, as constants fitted to
    /// rows that contradict each other may be.
    pub fn to_ron(&self) -> Result<String> {
        if let Some(place) = serde_json::to_value(self)
            .ok()
            .and_then(|value| missing(&value))
        {
            return Err(Error::Infeasible(format!(
                "the fit gives no finite number for {place}; the rows contradict each other or are too few"
            )));
        }
        let text = ron::ser::to_string_pretty(self, ron::ser::PrettyConfig::default())
            .map_err(|error| Error::file(error.to_string(), "assets/serving.ron"))?;
        Ok(format!(
            "// Fitted constants of the serving model. Written by `wattif calibrate`; the formulas are in METHODS.md.\n\
             // Shares of the data sheet's peak, seconds, watts, joules; the meaning of each is in serving/constants.rs.\n\
             {text}\n"
        ))
    }
}
