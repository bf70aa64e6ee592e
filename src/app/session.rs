//! [`Session`]: what the window shows and keeps from one start to the next, and [`History`], the steps to take back.

use serde::{Deserialize, Serialize};
use wattif_core::data::OwnData;
use wattif_core::model::ModelReference;
use wattif_core::outline::Outline;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

use super::axis::Axis;
use super::pages::Page;
use super::pins::{KeptFigures, PinView};
use super::theme::ThemeChoice;

/// What an undo step restores: the configuration that is explored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// Which model.
    pub model: ModelReference,
    /// How it is compressed.
    pub recipe: Recipe,
    /// Where it runs.
    pub scenario: Scenario,
    /// What it is measured on, where that is not the data that ship.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<OwnData>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            model: ModelReference::Bundled(DEFAULT_MODEL.to_owned()),
            recipe: Recipe::default(),
            scenario: Scenario::default(),
            data: None,
        }
    }
}

impl Configuration {
    /// Whether both are of one model, measured on the same data.
    pub(super) fn is_of_model(&self, other: &Self) -> bool {
        self.model == other.model && self.data == other.data
    }

    /// Whether there is nothing to run: only shapes are known, or a classifier has no images to be measured on.
    pub(super) fn is_outline(&self) -> bool {
        let given = matches!(self.data, Some(OwnData::Images { .. }));
        self.model.is_outline() && !(given && self.model.needs_images())
    }

    /// The scenario in which another model is looked at: the same, unless the one can be run here and the other is known
    /// by its shapes, as what suits one says little of the other. Electricity and lifetime stay.
    ///
    /// # Errors
    /// The model is known by shapes that cannot be read.
    pub(super) fn scenario_for(&self, model: &ModelReference) -> wattif_core::Result<Scenario> {
        let now = &self.scenario;
        let outlined = model.is_outline();
        if outlined == self.model.is_outline() && !outlined {
            return Ok(now.clone());
        }
        let first = if outlined {
            Outline::open(model)?.scenario()?
        } else {
            Scenario::default()
        };
        Ok(Scenario {
            region: now.region.clone(),
            pue: now.pue,
            lifetime_years: now.lifetime_years,
            utilization: now.utilization,
            ..first
        })
    }
}

/// The bundled model of a configuration that names none.
pub const DEFAULT_MODEL: &str = "fashion-cnn";

/// The bundled model that the window opens on for the first time.
pub(super) const FIRST_MODEL: &str = "fashion-vae";

/// How the window looks; not part of what is explored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Light, dark or as the desktop says.
    pub theme: ThemeChoice,
    /// Size of everything, 1 is normal.
    pub text_scale: f32,
    /// Whether the controls are unfolded.
    pub show_controls: bool,
    /// Whether the panel with what changed is unfolded.
    pub show_results: bool,
    /// What the centre shows.
    pub page: Page,
}

impl Settings {
    /// Smallest and largest text.
    pub(super) const TEXT_SCALES: (f32, f32) = (0.7, 2.5);
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            text_scale: 1.0,
            show_controls: true,
            show_results: true,
            page: Page::default(),
        }
    }
}

/// Everything that is kept from one start to the next.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// What is explored.
    pub configuration: Configuration,
    /// The knob the charts are drawn over.
    pub axis: Axis,
    /// Pinned configurations A and B.
    pub pins: [Option<Configuration>; 2],
    /// What was known of them when their models were last open.
    pub pin_figures: [Option<KeptFigures>; 2],
    /// In which scenario they are shown.
    pub pin_view: PinView,
    /// How the window looks.
    pub settings: Settings,
    /// Files of models that were opened, the last one first.
    pub recent: Vec<ModelReference>,
}

impl Session {
    /// What the window opens on for the first time: a model that makes pictures, over the knob that changes them, its energy
    /// and its emissions at once.
    pub(super) fn first() -> Self {
        let configuration = Configuration {
            model: ModelReference::Bundled(FIRST_MODEL.to_owned()),
            ..Configuration::default()
        };
        Self {
            configuration,
            axis: Axis::WeightBits,
            ..Self::default()
        }
    }

    /// Files that are remembered.
    const MOST_RECENT: usize = 8;

    /// Remembers a model that was opened, where it is a file.
    pub(super) fn opened(&mut self, reference: &ModelReference) {
        if matches!(reference, ModelReference::File(_)) {
            self.recent.retain(|other| other != reference);
            self.recent.insert(0, reference.clone());
            self.recent.truncate(Self::MOST_RECENT);
        }
    }
}

/// Which way a step goes along the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Undo.
    Back,
    /// Redo.
    Forward,
}

/// Steps back and forward. A step is recorded when the hand rests, so a drag of a slider is one step.
#[derive(Debug)]
pub(super) struct History<T> {
    settled: T,
    back: Vec<T>,
    forward: Vec<T>,
}

/// Steps kept; beyond that the oldest is forgotten.
const MOST_STEPS: usize = 500;

impl<T: Clone + PartialEq> History<T> {
    /// A history that begins here.
    pub(super) const fn new(now: T) -> Self {
        Self {
            settled: now,
            back: Vec::new(),
            forward: Vec::new(),
        }
    }

    /// Whether something changed since the last settled value.
    pub(super) fn is_settled(&self, now: &T) -> bool {
        self.settled == *now
    }

    /// Records a step if something changed. Returns whether it did.
    pub(super) fn settle(&mut self, now: &T) -> bool {
        if self.settled == *now {
            return false;
        }
        let before = std::mem::replace(&mut self.settled, now.clone());
        self.back.push(before);
        if self.back.len() > MOST_STEPS {
            self.back.remove(0);
        }
        self.forward.clear();
        true
    }

    /// The value that a step leads to, if there is one; the step is not taken yet.
    pub(super) fn ahead(&self, step: Step, now: &T) -> Option<&T> {
        match step {
            Step::Back if !self.is_settled(now) => Some(&self.settled),
            Step::Back => self.back.last(),
            Step::Forward if self.is_settled(now) => self.forward.last(),
            Step::Forward => None,
        }
    }

    /// Takes a step. Returns the value it leads to, which is then the settled one.
    pub(super) fn take(&mut self, step: Step, now: &T) -> Option<T> {
        let changed = self.settle(now);
        let (from, to) = match step {
            Step::Back => (&mut self.back, &mut self.forward),
            Step::Forward if changed => return None,
            Step::Forward => (&mut self.forward, &mut self.back),
        };
        let there = from.pop()?;
        to.push(std::mem::replace(&mut self.settled, there.clone()));
        Some(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drag_is_one_step() {
        let mut history = History::new(0);
        // Values pass by during the drag; only the last is settled.
        assert!(history.settle(&30));
        assert!(!history.settle(&30));
        assert!(history.settle(&50));
        assert_eq!(history.take(Step::Back, &50), Some(30));
        assert_eq!(history.take(Step::Back, &30), Some(0));
        assert_eq!(history.take(Step::Back, &0), None);
        assert_eq!(history.take(Step::Forward, &0), Some(30));
        assert_eq!(history.take(Step::Forward, &30), Some(50));
        assert_eq!(history.take(Step::Forward, &50), None);
    }

    #[test]
    fn undo_in_the_middle_of_a_drag_goes_to_its_start() {
        let mut history = History::new(1);
        assert_eq!(history.ahead(Step::Back, &7), Some(&1));
        assert_eq!(history.take(Step::Back, &7), Some(1));
        assert_eq!(history.take(Step::Forward, &1), Some(7));
    }

    #[test]
    fn a_new_step_ends_the_way_forward() {
        let mut history = History::new(0);
        history.settle(&1);
        assert_eq!(history.take(Step::Back, &1), Some(0));
        history.settle(&2);
        assert_eq!(history.ahead(Step::Forward, &2), None);
        assert_eq!(history.take(Step::Back, &2), Some(0));
    }

    #[test]
    fn a_session_survives_being_written_and_read() {
        let mut session = Session {
            axis: Axis::Demand,
            pins: [Some(Configuration::default()), None],
            ..Session::default()
        };
        session.settings.theme = ThemeChoice::Dark;
        session.configuration.recipe.pruning.sparsity = 0.35;
        let text = ron::to_string(&session).unwrap();
        assert_eq!(ron::from_str::<Session>(&text).unwrap(), session);
        // Fields of later versions are missing in an older file.
        assert_eq!(ron::from_str::<Session>("()").unwrap(), Session::default());
    }

    #[test]
    fn files_that_were_opened_are_remembered_the_last_one_first() {
        let mut session = Session::default();
        let file = |i: usize| ModelReference::File(format!("/models/{i}.gguf").into());
        for i in 0..12 {
            session.opened(&file(i));
        }
        session.opened(&file(8));
        session.opened(&ModelReference::Bundled("tiny-gpt".to_owned()));
        let wanted: Vec<_> = [8, 11, 10, 9, 7, 6, 5, 4].map(file).into();
        assert_eq!(session.recent, wanted);
        let text = ron::to_string(&session).unwrap();
        assert_eq!(ron::from_str::<Session>(&text).unwrap(), session);
    }
}
