//! What follows from the session and the measurements: the figures of now, of the original and of the pins, and the
//! what-if curves. All arithmetic, kept until something it depends on changes.

use std::collections::HashMap;
use std::sync::Arc;

use wattif_core::carbon::{self, Grid};
use wattif_core::compress::distill;
use wattif_core::error::Result;
use wattif_core::footprint::{self, Footprint, Savings};
use wattif_core::hardware::{self, HardwareTarget};
use wattif_core::measurement::{Measurement, Metric, Spiking};
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;
use wattif_core::units::Range;

use super::axis::Axis;
use super::backend::{Backend, ModelFacts};
use super::beside::Beside;
use super::pins::PinView;
use super::session::{Configuration, Session};

/// Measurements by the key of their recipe, of the open model.
#[derive(Debug, Default)]
pub(super) struct Store {
    by_key: HashMap<String, Arc<Measurement>>,
    /// What spiking versions did, by the key of their recipe and the time steps.
    spiking: HashMap<(String, u32), Arc<Spiking>>,
    generation: u64,
}

impl Store {
    /// Keeps a measurement unless a better one of the same recipe and network is there.
    pub(super) fn add(&mut self, measurement: Arc<Measurement>) {
        let key = measurement.recipe.key();
        if let Some(old) = self.by_key.get(&key)
            && old.student == measurement.student
            && (old.depth > measurement.depth
                || (old.depth == measurement.depth && old.quality.n > measurement.quality.n))
        {
            return;
        }
        self.by_key.insert(key, measurement);
        self.generation += 1;
    }

    /// The best measurement of a recipe.
    pub(super) fn get(&self, recipe: &Recipe) -> Option<&Arc<Measurement>> {
        self.by_key.get(&recipe.key())
    }

    /// Keeps what the spiking version of a recipe did.
    pub(super) fn add_spiking(&mut self, recipe: &Recipe, spiking: Arc<Spiking>) {
        self.spiking.insert((recipe.key(), spiking.steps), spiking);
        self.generation += 1;
    }

    /// What the spiking version of a recipe did in so many time steps.
    pub(super) fn spiking(&self, recipe: &Recipe, steps: u32) -> Option<&Arc<Spiking>> {
        self.spiking.get(&(recipe.key(), steps))
    }

    /// The measurements that differ from a recipe along one axis only, with their value on it; no stand-ins, whose
    /// quality belongs to another place.
    pub(super) fn along<'a>(
        &'a self,
        axis: Axis,
        recipe: &'a Recipe,
    ) -> impl Iterator<Item = (f64, &'a Arc<Measurement>)> {
        let mut scratch = Scenario::default();
        let own = self.by_key.iter().filter(|(_, m)| m.student.exact);
        own.filter_map(move |(key, measurement)| {
            let value = axis.get(&measurement.recipe, &scratch);
            let mut moved = recipe.clone();
            axis.set(value, &mut moved, &mut scratch);
            (moved.key() == *key).then_some((value, measurement))
        })
    }

    /// Forgets students' stand-ins, whose place a finished student has taken.
    pub(super) fn forget_stand_ins(&mut self) {
        self.by_key
            .retain(|_, measurement| measurement.student.exact);
        self.spiking.clear();
        self.generation += 1;
    }

    /// How many recipes have a measurement of their own.
    pub(super) fn len(&self) -> usize {
        self.by_key.values().filter(|m| m.student.exact).count()
    }
}

/// A what-if curve: one entry per place, `None` where the hardware cannot.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve {
    /// Values on the axis.
    pub(super) values: Vec<f64>,
    /// Units per second.
    pub(super) throughput: Vec<Option<Range<f64>>>,
    /// Seconds of a batch, of language models of an output step.
    pub(super) latency: Vec<Option<Range<f64>>>,
    /// Joules per unit of work.
    pub(super) energy: Vec<Option<Range<f64>>>,
    /// Grams of CO2e per unit of work.
    pub(super) co2e_unit: Vec<Option<Range<f64>>>,
    /// Grams of CO2e per day.
    pub(super) co2e_day: Vec<Option<Range<f64>>>,
    /// Why the hardware cannot run a place.
    pub(super) obstacles: Vec<Option<String>>,
}

impl Curve {
    fn push(&mut self, value: f64, costs: Option<Result<Footprint>>) {
        let (costs, obstacle) = match costs {
            Some(Ok(costs)) => (Some(costs), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let costs = costs.as_ref();
        self.values.push(value);
        self.throughput
            .push(costs.map(|f| f.throughput.range.map(|v| v.0)));
        self.latency
            .push(costs.map(|f| f.latency.range.map(|v| v.0)));
        self.energy
            .push(costs.map(|f| f.energy_per_unit.range.map(|v| v.0)));
        self.co2e_unit
            .push(costs.map(|f| f.co2e_per_unit.range.map(|v| v.0)));
        self.co2e_day
            .push(costs.map(|f| f.co2e_per_day.range.map(|v| v.0)));
        self.obstacles.push(obstacle);
    }
}

/// What is known of one configuration.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    /// The profile behind the footprint, counted where measured, else planned.
    pub(super) profile: ModelProfile,
    /// Whether that profile is counted from the compressed weights.
    pub(super) counted: bool,
    /// The measurement of this very configuration, if there is one.
    pub(super) measurement: Option<Arc<Measurement>>,
    /// The measurement of the finished student that stands in for the one asked for. Nothing of it may be shown
    /// without saying whose it is.
    pub(super) stand_in: Option<Arc<Measurement>>,
    /// What it costs, or why it cannot run.
    pub(super) footprint: Result<Footprint>,
}

/// A pinned configuration in the scenario in which it is shown.
#[derive(Debug, Clone)]
pub(super) struct ShownPin {
    /// What the figures are of.
    pub(super) configuration: Configuration,
    /// What is known of it.
    pub(super) figures: Figures,
}

/// Everything the panels draw that is not a setting.
#[derive(Default)]
pub(super) struct Derived {
    /// The device chosen.
    pub(super) target: Option<&'static HardwareTarget>,
    /// The grid chosen.
    pub(super) grid: Option<&'static Grid>,
    /// The configuration of the sliders.
    pub(super) now: Option<Figures>,
    /// The uncompressed model in the same scenario.
    pub(super) original: Option<Figures>,
    /// What is saved between the two.
    pub(super) savings: Option<Savings>,
    /// The original in as few bytes as the student in use, as a recipe, and what was measured of it.
    pub(super) rival: Option<(Recipe, Option<Arc<Measurement>>)>,
    /// What the model costs beside running it.
    pub(super) beside: Option<Beside>,
    /// The pinned configurations of the open model, each in the scenario in which it is shown.
    pub(super) pins: [Option<ShownPin>; 2],
    /// The figures of the same configurations as they were pinned.
    pub(super) as_pinned: [Option<Figures>; 2],
    /// What the open model is measured by; nothing where only its shapes are known.
    pub(super) metric: Option<Metric>,
    /// Whether the open model is not run, but it can be told how near its weights stay.
    pub(super) tells_fidelity: bool,
    /// How near these stay, in decibels, under the recipe of this key; the inner `None` where it changes nothing.
    pub(super) fidelity: Option<(String, Option<f64>)>,
    /// The current recipe over the axis.
    pub(super) curve: Curve,
    /// The uncompressed model over the axis, where it is a matter of the scenario; else empty.
    pub(super) original_curve: Curve,
    figures_key: Option<FiguresKey>,
    curve_key: Option<CurveKey>,
    /// Counts changes of the constants of devices.
    pub(super) constants: u64,
    /// Counts changes of what the charts show.
    pub(super) generation: u64,
}

#[derive(Debug, PartialEq)]
struct FiguresKey {
    configuration: Configuration,
    pins: [Option<Configuration>; 2],
    pin_view: PinView,
    axis: Axis,
    store: u64,
    opened: bool,
}

#[derive(Debug, PartialEq)]
struct CurveKey {
    recipe: String,
    pattern: wattif_core::recipe::Pattern,
    scenario: Scenario,
    axis: Axis,
    hash: String,
    spiking: bool,
}

impl Derived {
    /// Makes the next refresh compute everything again, because constants of devices changed.
    pub(super) fn forget(&mut self) {
        self.figures_key = None;
        self.curve_key = None;
        self.constants += 1;
    }

    /// Takes in how near weights stay.
    pub(super) fn told(&mut self, recipe: &Recipe, decibels: Option<f64>) {
        self.fidelity = Some((recipe.key(), decibels));
        self.generation += 1;
    }

    /// Brings everything up to date; does nothing when nothing changed.
    pub(super) fn refresh(
        &mut self,
        session: &Session,
        store: &Store,
        open: Option<(&dyn Backend, &ModelFacts)>,
    ) {
        self.tells_fidelity = open.is_some_and(|(backend, _)| backend.tells_fidelity());
        let key = FiguresKey {
            configuration: session.configuration.clone(),
            pins: session.pins.clone(),
            pin_view: session.pin_view,
            axis: session.axis,
            store: store.generation,
            opened: open.is_some(),
        };
        if self.figures_key.as_ref() == Some(&key) {
            return;
        }
        self.figures_key = Some(key);
        self.generation += 1;
        let scenario = &session.configuration.scenario;
        self.target = hardware::find(&scenario.hardware).ok();
        self.grid = carbon::find_grid(&scenario.region).ok();
        self.metric = open.and_then(|(_, facts)| facts.metric);
        let Some((backend, facts)) = open else {
            let generation = self.generation;
            *self = Self {
                target: self.target,
                grid: self.grid,
                figures_key: self.figures_key.take(),
                constants: self.constants,
                generation,
                ..Self::default()
            };
            return;
        };
        self.now = figures(&session.configuration, store, backend, None, Count::Chosen);
        // The original is counted with the spikes of the compressed network, so that only the weights differ.
        let spiking = self
            .now
            .as_ref()
            .and_then(|now| now.profile.spiking.clone());
        self.original = figures(
            &Configuration {
                recipe: Recipe::default(),
                ..session.configuration.clone()
            },
            store,
            backend,
            spiking.clone(),
            Count::AsNeeded,
        );
        let figures_of = |pin: &Configuration| figures(pin, store, backend, None, Count::Chosen);
        let open_pins = session.pins.each_ref().map(|pin| {
            pin.as_ref()
                .filter(|pin| pin.is_of_model(&session.configuration))
        });
        self.as_pinned = open_pins.map(|pin| pin.and_then(figures_of));
        self.pins = open_pins.map(|pin| {
            let configuration = session.pin_view.of(pin?, scenario);
            let figures = figures_of(&configuration)?;
            Some(ShownPin {
                configuration,
                figures,
            })
        });
        self.savings = match (&self.now, &self.original, self.target) {
            (Some(now), Some(original), Some(target)) => {
                footprint::savings(&original.profile, &now.profile, scenario, target).ok()
            }
            _ => None,
        };
        self.rival = distill::rival(&session.configuration.recipe, |recipe| {
            backend.predict(recipe)
        })
        .map(|recipe| {
            let known = store.get(&recipe).cloned();
            (recipe, known)
        });
        self.beside = match (&self.now, &self.original, self.target, self.grid) {
            (Some(now), Some(original), Some(target), Some(grid)) => {
                let record = backend.student_record(&session.configuration.recipe);
                Beside::new(now, original, record.as_ref(), scenario, target, grid).ok()
            }
            _ => None,
        };
        self.refresh_curve(session, backend, &facts.hash);
    }

    fn refresh_curve(&mut self, session: &Session, backend: &dyn Backend, hash: &str) {
        let axis = session.axis;
        let Configuration {
            mut recipe,
            mut scenario,
            ..
        } = session.configuration.clone();
        let values = axis.curve_values(&recipe);
        axis.set(axis.range().1, &mut recipe, &mut scenario);
        let key = CurveKey {
            recipe: recipe.key(),
            pattern: recipe.pruning.pattern,
            scenario: scenario.clone(),
            axis,
            hash: hash.to_owned(),
            spiking: self
                .now
                .as_ref()
                .is_some_and(|now| now.profile.spiking.is_some()),
        };
        // Along a scenario's axis the curve also follows the counted zeros of the measurement.
        let depends_on_profile = !axis.is_recipe();
        if self.curve_key.as_ref() == Some(&key) && !depends_on_profile {
            return;
        }
        self.curve_key = Some(key);
        let (Some(target), Some(grid)) = (self.target, self.grid) else {
            return;
        };
        let mut recipe = session.configuration.recipe.clone();
        let mut sweep = |profile_at: &mut dyn FnMut(&Recipe) -> Option<ModelProfile>| {
            let mut curve = Curve::default();
            for &value in &values {
                // Stages that a number of devices cannot form come back with the next that can.
                let mut scenario = session.configuration.scenario.clone();
                axis.set(value, &mut recipe, &mut scenario);
                let costs = profile_at(&recipe)
                    .map(|profile| footprint::footprint(&profile, &scenario, target, grid));
                curve.push(value, costs);
            }
            curve
        };
        if axis.is_recipe() {
            let spiking = self
                .now
                .as_ref()
                .and_then(|now| now.profile.spiking.clone());
            self.curve = sweep(&mut |recipe| {
                let profile = backend.predict(recipe)?;
                Some(ModelProfile {
                    spiking: spiking.clone(),
                    ..profile
                })
            });
            self.original_curve = Curve::default();
        } else {
            let profile = |figures: &Option<Figures>| figures.as_ref().map(|f| f.profile.clone());
            let (now, original) = (profile(&self.now), profile(&self.original));
            self.curve = sweep(&mut |_| now.clone());
            self.original_curve = sweep(&mut |_| original.clone());
        }
    }
}

/// On how many devices a configuration is counted.
#[derive(Clone, Copy)]
enum Count {
    /// As many as the scenario says.
    Chosen,
    /// More where they cannot hold the model.
    AsNeeded,
}

/// The figures of a configuration. `spiking` stands in for what its own spiking version does.
fn figures(
    configuration: &Configuration,
    store: &Store,
    backend: &dyn Backend,
    spiking: Option<Arc<Spiking>>,
    count: Count,
) -> Option<Figures> {
    let known = store.get(&configuration.recipe).cloned();
    // A stand-in says nothing about the student that was asked for.
    let (measurement, stand_in) = match known {
        Some(known) if !known.student.exact => (None, Some(known)),
        own => (own, None),
    };
    let (mut profile, counted) = match &measurement {
        Some(measurement) => (measurement.profile.clone(), true),
        None => (backend.predict(&configuration.recipe)?, false),
    };
    let scenario = &configuration.scenario;
    // So do the spikes of its spiking version.
    let student = configuration.recipe.canonical().distillation.ratio < 1.0;
    let own_spikes = store
        .spiking(&configuration.recipe, scenario.time_steps)
        .filter(|_| !student || measurement.is_some());
    profile.spiking = spiking.or_else(|| own_spikes.cloned());
    let footprint = hardware::find(&scenario.hardware).and_then(|target| {
        let grid = carbon::find_grid(&scenario.region)?;
        match count {
            Count::Chosen => footprint::footprint(&profile, scenario, target, grid),
            Count::AsNeeded => {
                let least = scenario.devices;
                footprint::on_fewest_devices(&profile, scenario, target, grid, least)
                    .map(|(footprint, _)| footprint)
            }
        }
    });
    Some(Figures {
        profile,
        counted,
        measurement,
        stand_in,
        footprint,
    })
}
