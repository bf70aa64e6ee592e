//! Pinned configurations: what each is in words, where it differs from now, in which scenario it is shown, and what is
//! kept of its figures while another model is open.

use serde::{Deserialize, Serialize};
use wattif_core::carbon;
use wattif_core::hardware;
use wattif_core::preset::Measured;
use wattif_core::profile::Unit;
use wattif_core::recipe::{Group, Pattern, Recipe, Scope};
use wattif_core::scenario::Scenario;

use super::App;
use super::axis::Axis;
use super::derived::Figures;
use super::session::Configuration;
use crate::format;
use crate::words;

/// In which scenario pins are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PinView {
    /// Each in the one that it was pinned in.
    #[default]
    AsPinned,
    /// All in the one of the sliders, so that only what is done to the model differs.
    Today,
}

impl PinView {
    /// A pin as it is shown; `today` is the scenario of the sliders.
    pub(super) fn of(self, pin: &Configuration, today: &Scenario) -> Configuration {
        let scenario = match self {
            Self::AsPinned => &pin.scenario,
            Self::Today => today,
        };
        Configuration {
            scenario: scenario.clone(),
            ..pin.clone()
        }
    }
}

/// What was known of a pinned configuration when its model was last open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptFigures {
    /// What the model is called.
    pub(super) model: String,
    /// What one unit of its work is.
    pub(super) unit: Unit,
    /// Its figures, in the scenario that it was pinned in.
    pub(super) measured: Measured,
}

impl KeptFigures {
    /// Whether these figures can be those of anything.
    ///
    /// # Errors
    /// What is wrong with the first that cannot.
    pub(super) fn check(&self) -> Result<(), String> {
        self.measured.validate()
    }

    /// `None` where the hardware cannot run it.
    fn new(model: &str, figures: &Figures) -> Option<Self> {
        let footprint = figures.footprint.as_ref().ok()?;
        Some(Self {
            model: model.to_owned(),
            unit: figures.profile.unit,
            measured: match &figures.measurement {
                Some(measurement) => Measured::new(measurement, footprint),
                None => Measured::of_shapes(&figures.profile, footprint),
            },
        })
    }
}

impl App {
    /// Pins the current configuration in a slot, 0 for A and 1 for B.
    pub(super) fn pin(&mut self, slot: usize) {
        self.session.pins[slot] = Some(self.session.configuration.clone());
        self.session.pin_figures[slot] = None;
        self.refresh();
    }

    /// Keeps the figures of the pins of the open model, for when another one is.
    pub(super) fn keep_pin_figures(&mut self) {
        let Some(facts) = &self.model.facts else {
            return;
        };
        for (kept, figures) in self
            .session
            .pin_figures
            .iter_mut()
            .zip(&self.derived.as_pinned)
        {
            let Some(figures) = figures else {
                continue;
            };
            // Opened again, it is not measured again at once: until then the kept quality is the better one.
            let worse = figures.measurement.is_none()
                && kept
                    .as_ref()
                    .is_some_and(|kept| kept.measured.quality.is_some());
            if !worse {
                *kept = KeptFigures::new(&facts.name, figures);
            }
        }
    }
}

/// A recipe in few words: "50 % zeros, 4-bit weights".
pub(super) fn recipe_words(recipe: &Recipe) -> String {
    let recipe = recipe.canonical();
    let mut parts = Vec::new();
    let distillation = &recipe.distillation;
    if distillation.ratio < 1.0 {
        let mut text = format!("{} student", format::percent(distillation.ratio, 0));
        if distillation.temperature != Recipe::default().distillation.temperature {
            let temperature = format::trimmed(distillation.temperature, 3);
            text += &format!(" at temperature {temperature}");
        }
        parts.push(text);
    }
    if recipe.pruning.sparsity > 0.0 {
        let zeros = format::percent(recipe.pruning.sparsity, 0);
        parts.push(match (recipe.pruning.pattern, recipe.pruning.scope) {
            (Pattern::TwoOfFour, _) => format!("{zeros} zeros (2:4)"),
            (Pattern::Unstructured, Scope::Layer) => format!("{zeros} zeros (per layer)"),
            (Pattern::Unstructured, Scope::Global) => format!("{zeros} zeros"),
        });
    }
    let quantization = &recipe.quantization;
    if let Some(format) = quantization.blocks {
        parts.push(format!("{format} weights"));
    } else if quantization.weight_bits < 32 {
        let mut text = format!("{}-bit weights", quantization.weight_bits);
        if let Group::Size(size) = quantization.group {
            text += &format!(" in groups of {size}");
        }
        parts.push(text);
    }
    if quantization.activation_bits < 32 {
        parts.push(format!("{}-bit activations", quantization.activation_bits));
    }
    parts.extend(words::own_layers(&recipe));
    if parts.is_empty() {
        "the original".to_owned()
    } else {
        parts.join(", ")
    }
}

/// Where a pin runs, in few words: "Jetson Orin Nano 8 GB, batch 32, World".
pub(super) fn place_words(scenario: &Scenario) -> String {
    let devices = match scenario.devices {
        1 => String::new(),
        count => format!("{count} × "),
    };
    format!(
        "{devices}{}, batch {}, {}",
        device_name(&scenario.hardware),
        format::count(f64::from(scenario.batch)),
        region_name(&scenario.region)
    )
}

fn device_name(id: &str) -> String {
    hardware::find(id).map_or_else(|_| id.to_owned(), |target| target.name.clone())
}

fn region_name(id: &str) -> String {
    carbon::find_grid(id).map_or_else(|_| id.to_owned(), |grid| grid.name.clone())
}

/// Every part of a scenario with its name and its value in words.
fn parts(scenario: &Scenario) -> Vec<(&'static str, String)> {
    // All fields are named here, so that a new one cannot be forgotten.
    let Scenario {
        hardware,
        devices,
        stages,
        batch,
        context,
        prompt_tokens,
        answer_tokens,
        time_steps,
        denoising_steps,
        software,
        demand_per_day,
        region,
        pue,
        lifetime_years,
        utilization,
        wue,
        grid_water,
    } = scenario;
    let count = |value: u32| format::count(f64::from(value));
    let litres = |value: &Option<f64>| {
        value.map_or_else(
            || "not counted".to_owned(),
            |litres| format!("{} L/kWh", format::significant(litres, 3)),
        )
    };
    vec![
        ("hardware", device_name(hardware)),
        ("devices", count(*devices)),
        ("pipeline stages", count(*stages)),
        ("batch size", count(*batch)),
        ("context", count(*context)),
        ("prompt", count(*prompt_tokens)),
        ("answer", count(*answer_tokens)),
        ("time steps", count(*time_steps)),
        ("denoising steps", count(*denoising_steps)),
        ("software", software.name().to_owned()),
        ("demand per day", Axis::Demand.value_text(*demand_per_day)),
        ("region", region_name(region)),
        ("PUE", Axis::Pue.value_text(*pue)),
        ("lifetime", Axis::Lifetime.value_text(*lifetime_years)),
        ("utilisation", Axis::Utilization.value_text(*utilization)),
        ("water of the building", litres(wue)),
        ("water of the grid", litres(grid_water)),
    ]
}

/// Where a scenario differs from another one, each with its own value: "region France", "batch size 1".
pub(super) fn differences(own: &Scenario, other: &Scenario) -> Vec<String> {
    parts(own)
        .into_iter()
        .zip(parts(other))
        .filter(|(own, other)| own != other)
        .map(|((name, value), _)| format!("{name} {value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattif_core::software::Software;

    #[test]
    fn a_recipe_is_said_in_few_words() {
        let mut recipe = Recipe::default();
        assert_eq!(recipe_words(&recipe), "the original");
        recipe.distillation.ratio = 0.5;
        recipe.pruning.sparsity = 0.5;
        recipe.quantization.weight_bits = 4;
        recipe.quantization.group = Group::Size(32);
        recipe.quantization.activation_bits = 8;
        assert_eq!(
            recipe_words(&recipe),
            "50 % student, 50 % zeros, 4-bit weights in groups of 32, 8-bit activations"
        );
    }

    #[test]
    fn every_part_of_a_scenario_is_named_where_it_differs() {
        let today = Scenario::default();
        assert_eq!(differences(&today, &today), Vec::<String>::new());
        let mut cases: Vec<(Scenario, &str)> = Vec::new();
        let mut case = |change: &dyn Fn(&mut Scenario), said| {
            let mut scenario = Scenario::default();
            change(&mut scenario);
            cases.push((scenario, said));
        };
        case(&|s| "FR".clone_into(&mut s.region), "region France");
        case(&|s| s.batch = 1, "batch size 1");
        case(&|s| s.devices = 4, "devices 4");
        case(&|s| s.stages = 2, "pipeline stages 2");
        case(&|s| s.context = 64, "context 64");
        case(&|s| s.prompt_tokens = 64, "prompt 64");
        case(&|s| s.answer_tokens = 64, "answer 64");
        case(&|s| s.time_steps = 8, "time steps 8");
        case(&|s| s.denoising_steps = 8, "denoising steps 8");
        case(&|s| s.demand_per_day = 5.0, "demand per day 5");
        case(&|s| s.pue = 1.5, "PUE 1.50");
        case(&|s| s.lifetime_years = 1.0, "lifetime 1 year");
        case(&|s| s.utilization = 0.25, "utilisation 25 %");
        case(&|s| s.wue = Some(1.8), "water of the building 1.80 L/kWh");
        case(
            &|s| s.grid_water = Some(3.0),
            "water of the grid 3.00 L/kWh",
        );
        for (scenario, said) in cases {
            assert_eq!(differences(&scenario, &today), [said]);
        }
        for software in Software::all().filter(|other| *other != today.software) {
            let mut scenario = today.clone();
            scenario.software = software;
            assert_eq!(differences(&scenario, &today).len(), 1);
        }
        let mut scenario = today.clone();
        "nvidia-l4".clone_into(&mut scenario.hardware);
        assert_eq!(differences(&scenario, &today).len(), 1);
    }
}
