//! Arguments that several commands share: which model, which recipe, which scenario. What is not given comes from the
//! preset, else from the defaults.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use wattif_core::model::{self, ModelReference};
use wattif_core::named::Understood;
use wattif_core::preset::Preset;
use wattif_core::profile::Layer;
use wattif_core::recipe::{BlockFormat, Group, Override, Pattern, Recipe, Scope, Width, fits};
use wattif_core::scenario::Scenario;
use wattif_core::software::Software;
use wattif_core::{carbon, hardware};

/// Which model, from where, and what is done to it.
#[derive(Debug, Args)]
pub(super) struct SourceArguments {
    /// A model by name ("llama 3.1 70b"): a bundled one (bundled:NAME) or a network known by its shapes (catalogue:NAME);
    /// or a GGUF or safetensors file, a config.json or the folder of one, dense:70e9, moe:235e9:22e9
    #[arg(long, value_name = "MODEL", required_unless_present = "preset", value_parser = model_name)]
    pub(super) model: Option<String>,
    /// A preset to start from; other arguments replace single values of it
    #[arg(long, value_name = "FILE")]
    pub(super) preset: Option<PathBuf>,
    #[command(flatten)]
    pub(super) recipe: RecipeArguments,
}

impl SourceArguments {
    /// The preset that these arguments start from.
    ///
    /// # Errors
    /// The preset cannot be read.
    pub(super) fn preset(&self) -> anyhow::Result<Option<Preset>> {
        Ok(self.preset.as_deref().map(Preset::load).transpose()?)
    }

    /// The model that is meant: the argument, else the preset's.
    ///
    /// # Errors
    /// No model or several are called so; or neither is there, which the argument parser has ruled out.
    pub(super) fn reference(
        &self,
        preset: Option<&Preset>,
    ) -> anyhow::Result<Understood<ModelReference>> {
        if let Some(name) = &self.model {
            return Ok(model::named(name)?);
        }
        let preset = preset.context("neither --model nor --preset is given")?;
        if let Some(path) = preset.missing_model() {
            let fact = "the preset's model is not there; where it is now can be said with --model PATH beside --preset";
            return Err(wattif_core::Error::file(fact, path).into());
        }
        Ok(Understood {
            item: preset.model.reference.clone(),
            note: None,
        })
    }
}

impl SourceArguments {
    /// Whether a model was given for that of a preset which is a file, and has other weights than the preset was saved with.
    pub(super) fn is_another(&self, preset: Option<&Preset>, hash: &str) -> bool {
        let of_file = |preset: &Preset| matches!(preset.model.reference, ModelReference::File(_));
        self.model.is_some() && preset.is_some_and(|own| of_file(own) && own.is_of_others(hash))
    }
}

/// The recipe; see `wattif_core::recipe::Recipe` for the meaning of each.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recipe")]
pub(super) struct RecipeArguments {
    /// Fraction of the weights that become zero, 0 to 0.99
    #[arg(long, value_name = "FRACTION")]
    sparsity: Option<f64>,
    /// Where zeros may lie; 2:4 means a sparsity of 0.5
    #[arg(long, value_enum)]
    pattern: Option<PatternName>,
    /// Whether each layer loses the same fraction or the whole model shares one threshold
    #[arg(long, value_enum)]
    scope: Option<ScopeName>,
    /// Bits per weight: 1 to 8, 16 or 32
    #[arg(long, value_name = "BITS")]
    weight_bits: Option<u8>,
    /// Blocks of llama.cpp in place of bits per weight: q2_k, q3_k, q4_0, q4_1, q4_k, q5_0, q5_1, q5_k, q6_k, q8_0; or mixes
    /// that give some layers more bits: q2_k_m, q3_k_s, q3_k_m, q3_k_l, q4_k_s, q4_k_m, q5_k_s, q5_k_m
    #[arg(
        long,
        value_name = "FORMAT",
        value_parser = block_format,
        conflicts_with_all = ["weight_bits", "group"]
    )]
    format: Option<BlockFormat>,
    /// Weights that share one scale: a power of two from 8 to 1024, or 'channel'
    #[arg(long, value_name = "N", value_parser = group)]
    group: Option<Group>,
    /// Bits per activation: 2 to 8, 16 or 32
    #[arg(long, value_name = "BITS")]
    activation_bits: Option<u8>,
    /// What one layer has of its own, repeatable: head:bits=8,sparsity=0.5 or head:format=q8_0; NAME may hold *, as in
    /// blocks.*.mlp.*:bits=8, and a later one goes before an earlier one
    #[arg(long = "layer", value_name = "NAME:WHAT", value_parser = layer)]
    layers: Vec<(String, Override)>,
    /// Parameters of the student / parameters of the original, 0.05 to 1
    #[arg(long, value_name = "RATIO")]
    distill: Option<f64>,
    /// Softening temperature of distillation, 0.5 to 20
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl RecipeArguments {
    /// `recipe` with the given arguments in place of its values.
    ///
    /// # Errors
    /// [`wattif_core::Error::Recipe`] for a value out of range.
    pub(super) fn apply(&self, mut recipe: Recipe) -> wattif_core::Result<Recipe> {
        let pruning = &mut recipe.pruning;
        set(&mut pruning.pattern, self.pattern.map(Into::into));
        set(&mut pruning.scope, self.scope.map(Into::into));
        set(&mut pruning.sparsity, self.sparsity);
        if self.pattern == Some(PatternName::TwoOfFour) && self.sparsity.is_none() {
            pruning.sparsity = 0.5;
        }
        let quantization = &mut recipe.quantization;
        if self.weight_bits.is_some() || self.group.is_some() {
            quantization.blocks = None;
        }
        set(&mut quantization.blocks, self.format.map(Some));
        set(&mut quantization.weight_bits, self.weight_bits);
        set(&mut quantization.group, self.group);
        set(&mut quantization.activation_bits, self.activation_bits);
        set(&mut recipe.distillation.ratio, self.distill);
        set(&mut recipe.distillation.temperature, self.temperature);
        set(&mut recipe.seed, self.seed);
        recipe.validate()?;
        Ok(recipe.canonical())
    }

    /// `recipe` with what is given to single layers of a model.
    ///
    /// # Errors
    /// [`wattif_core::Error::Recipe`] for a value out of range, or a name that fits no layer that is compressed.
    pub(super) fn with_layers(
        &self,
        mut recipe: Recipe,
        layers: &[Layer],
    ) -> wattif_core::Result<Recipe> {
        for (pattern, own) in &self.layers {
            let compressed = layers.iter().filter(|layer| layer.compressible);
            let mut found: Vec<&str> = compressed.map(|layer| layer.name.as_str()).collect();
            if pattern.contains('*') {
                found.retain(|name| fits(pattern, name));
                if found.is_empty() {
                    return Err(wattif_core::Error::Recipe(format!(
                        "no layer with weights that are pruned or rounded is called like '{pattern}'"
                    )));
                }
            } else {
                found = vec![pattern];
            }
            for name in found {
                let known = recipe.layers.get(name).unwrap_or_default();
                recipe.layers.set(name, known.with(*own));
            }
        }
        recipe.validate()?;
        let names = layers
            .iter()
            .map(|layer| (layer.name.as_str(), layer.compressible));
        recipe.check_layers(&names)?;
        Ok(recipe.canonical())
    }
}

/// A layer's name and what it has of its own: `head:bits=8,sparsity=0.5`.
fn layer(text: &str) -> Result<(String, Override), String> {
    let form = "it is NAME:bits=8,sparsity=0.5 or NAME:format=q8_0";
    let (name, parts) = text.rsplit_once(':').ok_or(form)?;
    let mut own = Override::NONE;
    for part in parts.split(',') {
        let (what, value) = part.split_once('=').ok_or(form)?;
        let number = |error: &dyn std::fmt::Display| format!("{what} is '{value}': {error}");
        match what.trim() {
            "bits" => {
                let bits = value.trim().parse().map_err(|error| number(&error))?;
                own.weights = Some(Width::Bits(bits));
            }
            "format" => {
                let format = block_format(value).map_err(|error| error.to_string())?;
                own.weights = Some(Width::Blocks(format));
            }
            "sparsity" => {
                own.sparsity = Some(value.trim().parse().map_err(|error| number(&error))?);
            }
            other => {
                return Err(format!(
                    "a layer has no '{other}' of its own; there are bits, format and sparsity"
                ));
            }
        }
    }
    Ok((name.trim().to_owned(), own))
}

/// The scenario; see `wattif_core::scenario::Scenario` for the meaning of each.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scenario")]
pub(super) struct ScenarioArguments {
    /// Hardware target by identifier, name or words of it ("h100 sxm"), as `wattif hardware` lists it
    #[arg(long, value_name = "NAME")]
    hardware: Option<String>,
    /// Devices that share the model
    #[arg(long, value_name = "N")]
    devices: Option<u32>,
    /// Pipeline stages: groups of devices that each hold a share of the layers; divides the devices
    #[arg(long, value_name = "N")]
    stages: Option<u32>,
    /// Units of work processed together
    #[arg(long, value_name = "N")]
    batch: Option<u32>,
    /// Tokens of context that a language model attends to on average, prompts not counted
    #[arg(long, value_name = "N", conflicts_with_all = ["prompt_tokens", "answer_tokens"])]
    pub(super) context: Option<u32>,
    /// Tokens of a prompt, whose work is shared out over the answer
    #[arg(long, value_name = "N", requires = "answer_tokens")]
    pub(super) prompt_tokens: Option<u32>,
    /// Tokens that a language model writes in answer
    #[arg(long, value_name = "N")]
    pub(super) answer_tokens: Option<u32>,
    /// Time steps for which a spiking chip is presented with one unit of work
    #[arg(long, value_name = "N")]
    pub(super) time_steps: Option<u32>,
    /// Denoising steps in which a diffusion model makes an image
    #[arg(long, value_name = "N")]
    pub(super) steps: Option<u32>,
    /// Software that runs language models and denoisers: "usual" for the network and the device, "bare" for kernels back
    /// to back, or the year of a serving stack (2023 is a loop in Python)
    #[arg(long, value_name = "SOFTWARE", value_parser = software_names())]
    pub(super) software: Option<String>,
    /// Units of work per day
    #[arg(long, value_name = "X")]
    demand: Option<f64>,
    /// Electricity grid by place, ISO code, cloud region ("eu-central-1") or identifier, as `wattif regions` lists it
    #[arg(long, value_name = "PLACE")]
    region: Option<String>,
    /// Energy of the building / energy of the machines
    #[arg(long, value_name = "X")]
    pue: Option<f64>,
    /// Years that a device is used
    #[arg(long, value_name = "YEARS")]
    lifetime: Option<f64>,
    /// Fraction of its life that a device is busy
    #[arg(long, value_name = "FRACTION")]
    utilization: Option<f64>,
    /// Litres of water that the building consumes per kilowatt-hour of its machines; not counted if not given
    #[arg(long, value_name = "L")]
    wue: Option<f64>,
    /// Litres of water consumed per kilowatt-hour of the grid's electricity; not counted if not given
    #[arg(long, value_name = "L")]
    grid_water: Option<f64>,
}

impl ScenarioArguments {
    /// Whether the number of devices is given.
    pub(super) const fn names_devices(&self) -> bool {
        self.devices.is_some()
    }

    /// How the names of hardware and region were understood, where they were not their own.
    ///
    /// # Errors
    /// Those of [`Self::apply`].
    pub(super) fn understood(&self) -> wattif_core::Result<Vec<String>> {
        let hardware = self.hardware.as_deref().map(hardware::named).transpose()?;
        let region = self.region.as_deref().map(carbon::named_grid).transpose()?;
        let hardware = hardware.and_then(|found| Some(format!("hardware: {}", found.note?)));
        let region = region.and_then(|found| Some(format!("region: {}", found.note?)));
        Ok(hardware.into_iter().chain(region).collect())
    }

    /// `scenario` with the given arguments in place of its values.
    ///
    /// # Errors
    /// [`wattif_core::Error::Scenario`] for a value out of range, [`wattif_core::Error::Unknown`] for an identifier
    /// that is in no catalogue.
    pub(super) fn apply(&self, mut scenario: Scenario) -> wattif_core::Result<Scenario> {
        if let Some(name) = &self.hardware {
            scenario
                .hardware
                .clone_from(&hardware::named(name)?.item.id);
        }
        if let Some(devices) = self.devices {
            scenario.set_devices(devices);
        }
        set(&mut scenario.stages, self.stages);
        set(&mut scenario.batch, self.batch);
        if let Some(context) = self.context {
            scenario.context = context;
            scenario.prompt_tokens = 0;
            scenario.answer_tokens = 0;
        }
        set(&mut scenario.prompt_tokens, self.prompt_tokens);
        set(&mut scenario.answer_tokens, self.answer_tokens);
        set(&mut scenario.time_steps, self.time_steps);
        set(&mut scenario.denoising_steps, self.steps);
        if let Some(name) = &self.software {
            scenario.software = name.parse()?;
        }
        set(&mut scenario.demand_per_day, self.demand);
        if let Some(name) = &self.region {
            scenario
                .region
                .clone_from(&carbon::named_grid(name)?.item.id);
        }
        set(&mut scenario.pue, self.pue);
        set(&mut scenario.lifetime_years, self.lifetime);
        set(&mut scenario.utilization, self.utilization);
        set(&mut scenario.wue, self.wue.map(Some));
        set(&mut scenario.grid_water, self.grid_water.map(Some));
        scenario.validate()?;
        hardware::find(&scenario.hardware)?;
        carbon::find_grid(&scenario.region)?;
        Ok(scenario)
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PatternName {
    Unstructured,
    #[value(name = "2:4")]
    TwoOfFour,
}

impl From<PatternName> for Pattern {
    fn from(name: PatternName) -> Self {
        match name {
            PatternName::Unstructured => Self::Unstructured,
            PatternName::TwoOfFour => Self::TwoOfFour,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeName {
    Layer,
    Global,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Layer => Self::Layer,
            ScopeName::Global => Self::Global,
        }
    }
}

fn block_format(text: &str) -> wattif_core::Result<BlockFormat> {
    text.parse()
}

fn software_names() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(Software::all().map(Software::id))
}

/// A size that is no number is wrong usage; names are looked up later.
fn model_name(text: &str) -> wattif_core::Result<String> {
    text.parse::<ModelReference>().map(|_| text.to_owned())
}

fn group(text: &str) -> Result<Group, String> {
    if text == "channel" {
        return Ok(Group::Channel);
    }
    text.parse()
        .map(Group::Size)
        .map_err(|_| "neither a whole number nor 'channel'".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        recipe: RecipeArguments,
        #[command(flatten)]
        scenario: ScenarioArguments,
    }

    fn line(text: &str) -> Line {
        Line::try_parse_from(std::iter::once("test").chain(text.split_whitespace())).unwrap()
    }

    #[test]
    fn every_recipe_argument_reaches_its_field() {
        let recipe = line(
            "--sparsity 0.25 --pattern unstructured --scope global --weight-bits 3 --group 64 \
             --activation-bits 6 --distill 0.5 --temperature 4 --seed 9",
        )
        .recipe
        .apply(Recipe::default())
        .unwrap();
        assert_eq!(recipe.pruning.sparsity, 0.25);
        assert_eq!(recipe.pruning.scope, Scope::Global);
        assert_eq!(recipe.quantization.weight_bits, 3);
        assert_eq!(recipe.quantization.group, Group::Size(64));
        assert_eq!(recipe.quantization.activation_bits, 6);
        assert_eq!(recipe.distillation.ratio, 0.5);
        assert_eq!(recipe.distillation.temperature, 4.0);
        assert_eq!(recipe.seed, 9);
    }

    #[test]
    fn blocks_take_the_place_of_bits_and_bits_of_blocks() {
        let recipe = |text: &str, start| line(text).recipe.apply(start).unwrap();
        let blocks = recipe("--format Q4_k_m", Recipe::default());
        assert_eq!(blocks.quantization.blocks, Some(BlockFormat::Q4_K_M));
        assert_eq!(
            recipe("--sparsity 0.1", blocks.clone()).quantization.blocks,
            Some(BlockFormat::Q4_K_M)
        );
        let bits = recipe("--weight-bits 4", blocks);
        assert_eq!(
            (bits.quantization.blocks, bits.quantization.weight_bits),
            (None, 4)
        );
        for wrong in [
            "--format q4_k --weight-bits 4",
            "--format q4_k --group 32",
            "--format q9",
        ] {
            let line = std::iter::once("test").chain(wrong.split_whitespace());
            assert!(Line::try_parse_from(line).is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_of_four_alone_means_half() {
        let recipe = line("--pattern 2:4")
            .recipe
            .apply(Recipe::default())
            .unwrap();
        assert_eq!(recipe.pruning.sparsity, 0.5);
        assert_eq!(recipe.pruning.pattern, Pattern::TwoOfFour);
    }

    #[test]
    fn what_is_not_given_stays() {
        let mut start = Recipe::default();
        start.quantization.weight_bits = 4;
        start.pruning.sparsity = 0.3;
        let recipe = line("--sparsity 0.6").recipe.apply(start).unwrap();
        assert_eq!(recipe.quantization.weight_bits, 4);
        assert_eq!(recipe.pruning.sparsity, 0.6);
    }

    #[test]
    fn every_scenario_argument_reaches_its_field() {
        let default = Scenario::default();
        let scenario = line(&format!(
            "--hardware {} --devices 2 --batch 16 --context 512 --demand 5e3 --region {} --pue 1.5 \
             --software bare --lifetime 3 --utilization 0.25 --wue 0.3 --grid-water 3",
            default.hardware, default.region
        ))
        .scenario
        .apply(default.clone())
        .unwrap();
        assert_eq!(
            scenario,
            Scenario {
                devices: 2,
                batch: 16,
                context: 512,
                demand_per_day: 5e3,
                software: Software::Bare,
                pue: 1.5,
                lifetime_years: 3.0,
                utilization: 0.25,
                wue: Some(0.3),
                grid_water: Some(3.0),
                ..default
            }
        );
    }
}
