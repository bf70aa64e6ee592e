//! [`Scenario`]: where a model runs, how it is used and what electricity feeds it. None of it touches the weights.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, plain};
use crate::measurement::DENOISING_STEPS;
use crate::software::Software;

/// Where and how a model runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Identifier of the hardware target, as `wattif hardware` lists it.
    pub hardware: String,
    /// Number of devices that share the model.
    pub devices: u32,
    /// Pipeline stages: groups of devices that each hold a share of the layers and hand on the batch in as many parts.
    /// Within a stage, devices share every layer (tensor parallelism). Divides `devices`.
    pub stages: u32,
    /// Units of work processed together (images, sequences).
    pub batch: u32,
    /// Tokens of context that a language model attends to on average; ignored by other models, and where
    /// `answer_tokens` is given.
    pub context: u32,
    /// Tokens of a prompt; counts where `answer_tokens` is given.
    pub prompt_tokens: u32,
    /// Tokens that a language model writes in answer to a prompt. Given, the work on the prompt is shared out over
    /// them, and the context follows from both. 0: only `context` counts, and prompts cost nothing.
    pub answer_tokens: u32,
    /// Time steps that a spiking version is presented with one unit of work for; ignored by other hardware. 0: as
    /// published networks on the chip.
    pub time_steps: u32,
    /// Denoising steps in which an image is made of noise; ignored by models that make none in steps.
    pub denoising_steps: u32,
    /// The software that runs a language model or a denoiser.
    #[serde(alias = "era")]
    pub software: Software,
    /// Units of work per day.
    pub demand_per_day: f64,
    /// Identifier of the electricity grid, as `wattif regions` lists it.
    pub region: String,
    /// Power usage effectiveness: energy of the building / energy of the machines, at least 1.
    pub pue: f64,
    /// Years that a device is used before it is replaced; spreads its embodied emissions.
    pub lifetime_years: f64,
    /// Fraction of its life that a device is busy, above 0 and at most 1.
    pub utilization: f64,
    /// Water usage effectiveness: litres that the building consumes per kilowatt-hour of its machines; not counted
    /// where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wue: Option<f64>,
    /// Litres consumed in making a kilowatt-hour of the grid's electricity; not counted where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid_water: Option<f64>,
}

impl Default for Scenario {
    /// A small board at a batch that keeps it busy: where the bundled models would run, and where compressing them
    /// changes what they cost. On a data-centre GPU nearly all of their time goes into starting layers.
    fn default() -> Self {
        Self {
            hardware: "nvidia-jetson-orin-nano-8gb".to_owned(),
            devices: 1,
            stages: 1,
            batch: 32,
            context: 128,
            prompt_tokens: 0,
            answer_tokens: 0,
            software: Software::Usual,
            time_steps: 32,
            denoising_steps: DENOISING_STEPS,
            demand_per_day: 1e6,
            region: "WORLD".to_owned(),
            pue: 1.2,
            lifetime_years: 4.0,
            utilization: 0.5,
            wue: None,
            grid_water: None,
        }
    }
}

/// Most denoising steps.
const MOST_DENOISING_STEPS: u32 = 1000;

/// Longest context, prompt and answer, in tokens.
const MOST_TOKENS: u32 = 1 << 22;

impl Scenario {
    /// Tokens of context that a language model attends to, averaged over its answer: the prompt and half of what it
    /// writes, where both are given.
    pub fn average_context(&self) -> f64 {
        if self.answer_tokens > 0 {
            f64::from(self.prompt_tokens) + 0.5 * f64::from(self.answer_tokens)
        } else {
            f64::from(self.context)
        }
    }

    /// Tokens that a sequence has at its end: the prompt and the answer, or the context.
    pub fn longest_context(&self) -> u32 {
        if self.answer_tokens > 0 {
            self.prompt_tokens.saturating_add(self.answer_tokens)
        } else {
            self.context
        }
    }

    /// Sets the number of devices, with as many pipeline stages as before if they still divide it, else fewer.
    pub fn set_devices(&mut self, devices: u32) {
        self.devices = devices;
        while self.stages > 1 && !devices.is_multiple_of(self.stages) {
            self.stages -= 1;
        }
    }

    /// Devices of one pipeline stage, which share every layer of it.
    pub fn tensor_devices(&self) -> u32 {
        self.devices / self.stages.max(1)
    }

    /// Parts of a batch that are under way at once: one per stage, as far as the batch can be divided.
    pub fn in_flight(&self) -> u32 {
        self.stages.min(self.batch).max(1)
    }

    /// Tokens of prompt that are read for every token written.
    pub fn prompt_per_token(&self) -> f64 {
        if self.answer_tokens > 0 {
            f64::from(self.prompt_tokens) / f64::from(self.answer_tokens)
        } else {
            0.0
        }
    }

    /// Checks every number; identifiers are checked where they are looked up.
    ///
    /// # Errors
    /// [`Error::Scenario`] naming the first field that is out of range, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let whole = |name: &str, value: u32, most: u32| {
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                Err(Error::Scenario(format!(
                    "{name} is {value}; it must lie between 1 and {most}"
                )))
            }
        };
        let real = |name: &str, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(Error::Scenario(format!(
                    "{name} is {}; it must lie between {} and {}",
                    plain(value),
                    plain(least),
                    plain(most)
                )))
            }
        };
        whole("the number of devices", self.devices, 4096)?;
        whole("the number of pipeline stages", self.stages, 4096)?;
        if !self.devices.is_multiple_of(self.stages) {
            return Err(Error::Scenario(format!(
                "{} devices cannot form {} pipeline stages of equal size",
                self.devices, self.stages
            )));
        }
        whole("the batch size", self.batch, 65536)?;
        whole("the context length", self.context, MOST_TOKENS)?;
        whole(
            "the number of denoising steps",
            self.denoising_steps,
            MOST_DENOISING_STEPS,
        )?;
        if self.time_steps > 1024 {
            return Err(Error::Scenario(format!(
                "the number of time steps is {}; it may be at most 1024",
                self.time_steps
            )));
        }
        let tokens = |name: &str, value: u32| {
            if value <= MOST_TOKENS {
                Ok(())
            } else {
                Err(Error::Scenario(format!(
                    "{name} is {value} tokens; it may have at most {MOST_TOKENS}"
                )))
            }
        };
        tokens("the prompt", self.prompt_tokens)?;
        if self.prompt_tokens > 0 && self.answer_tokens == 0 {
            return Err(Error::Scenario(
                "a prompt needs an answer of at least one token".to_owned(),
            ));
        }
        tokens("the answer", self.answer_tokens)?;
        real("the demand per day", self.demand_per_day, 0.0, 1e18)?;
        real("the PUE", self.pue, 1.0, 5.0)?;
        real("the lifetime in years", self.lifetime_years, 0.1, 50.0)?;
        real("the utilisation", self.utilization, 0.001, 1.0)?;
        real("the WUE", self.wue.unwrap_or(0.0), 0.0, 1e3)?;
        let grid_water = self.grid_water.unwrap_or(0.0);
        real("the water of the grid", grid_water, 0.0, 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_is_said_with_few_digits() {
        let scenario = Scenario {
            demand_per_day: 1e300,
            ..Scenario::default()
        };
        assert_eq!(
            scenario.validate().unwrap_err().to_string(),
            "the demand per day is 1e300; it must lie between 0 and 1e18"
        );
    }

    #[test]
    fn the_year_of_older_files_is_software() {
        for (old, software) in [
            ("Y2025", Software::Usual),
            ("Y2024", Software::Stack(crate::serving::Era::Y2024)),
            ("Eager", Software::Stack(crate::serving::Era::Eager)),
        ] {
            let text = format!("(era: {old})");
            let scenario: Scenario = ron::from_str(&text).unwrap();
            assert_eq!(scenario.software, software, "{old}");
        }
        for software in Software::all() {
            let scenario = Scenario {
                software,
                ..Scenario::default()
            };
            let text = ron::to_string(&scenario).unwrap();
            assert_eq!(ron::from_str(&text), Ok(scenario));
        }
    }

    #[test]
    fn a_pue_below_one_is_refused() {
        let scenario = Scenario {
            pue: 0.9,
            ..Scenario::default()
        };
        assert_eq!(
            scenario.validate().map_err(|error| error.to_string()),
            Err("the PUE is 0.9; it must lie between 1 and 5".to_owned())
        );
    }

    #[test]
    fn the_default_is_valid() {
        assert_eq!(Scenario::default().validate(), Ok(()));
    }

    #[test]
    fn water_is_written_only_where_it_is_given() {
        let mut scenario = Scenario::default();
        let text = ron::to_string(&scenario).unwrap();
        assert!(!text.contains("wue") && !text.contains("water"), "{text}");
        scenario.wue = Some(0.3);
        let text = ron::to_string(&scenario).unwrap();
        assert_eq!(ron::from_str(&text), Ok(scenario));
    }
}
