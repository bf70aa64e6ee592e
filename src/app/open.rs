//! [`OpenModel`]: the open model with everything that is known, asked and shown of it.

use wattif_core::data::OwnData;

use super::axis::Axis;
use super::backend::{Backend, ModelFacts, TrainingReport};
use super::derived::Store;
use super::looking::Looking;
use super::panels::pictures::Pictures;
use super::panels::status::Activity;
use super::prompting::Prompting;
use super::timing::Timing;

/// The open model and what goes with it. Another model replaces it as a whole, so that nothing of one is shown, or
/// waited for, as if it were of the other.
#[derive(Default)]
pub(super) struct OpenModel {
    /// Does the work; absent until the first model is open.
    pub(super) backend: Option<Box<dyn Backend>>,
    /// What the model is; absent until the first one is open.
    pub(super) facts: Option<ModelFacts>,
    /// What it is measured on, where that is not the data that ship.
    pub(super) data: Option<OwnData>,
    /// What was measured of it.
    pub(super) store: Store,
    /// Held-out pictures on the graphics card.
    pub(super) pictures: Pictures,
    /// Key of the recipe that was last asked to be measured.
    pub(super) submitted: Option<String>,
    /// What was last asked to be measured around it.
    pub(super) filled: Option<Filled>,
    /// The student in training, as far as it has reported.
    pub(super) training: Option<Training>,
    /// Key of the student that was asked to be trained and has not come to an end.
    pub(super) student_asked: Option<String>,
    /// Key of the student whose training was begun or stopped by hand; it is not begun again by itself.
    pub(super) not_to_train: Option<String>,
    /// Speed with packed weights on this machine.
    pub(super) timing: Timing,
    /// What is seen of its layers.
    pub(super) looking: Looking,
    /// Texts after a prompt of the user's.
    pub(super) prompting: Prompting,
    /// What is being done.
    pub(super) activity: Activity,
}

impl OpenModel {
    /// A model that was just opened, with nothing known of it yet.
    pub(super) fn new(backend: Box<dyn Backend>, facts: ModelFacts, data: Option<OwnData>) -> Self {
        Self {
            backend: Some(backend),
            facts: Some(facts),
            data,
            ..Self::default()
        }
    }

    /// Whether it is known by its shapes only; `false` while nothing is open.
    pub(super) fn is_outline(&self) -> bool {
        self.facts
            .as_ref()
            .is_some_and(|facts| facts.source.is_some())
    }

    /// Whether there are weights to look at.
    pub(super) fn has_weights(&self) -> bool {
        self.backend.as_ref().is_some_and(|backend| backend.looks())
    }

    /// Whether weights are all that is known of it.
    pub(super) fn is_weights_only(&self) -> bool {
        self.is_outline() && self.has_weights()
    }
}

/// What the measuring of surroundings depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    /// Key of the recipe in the middle.
    pub(super) recipe: String,
    /// The axis that is followed.
    pub(super) axis: Axis,
    /// Keys of the pinned recipes.
    pub(super) pins: Vec<String>,
}

/// A student in training, with the losses so far.
pub(super) struct Training {
    /// The last report.
    pub(super) report: TrainingReport,
    /// Steps and their losses, thinned to what a small curve can show.
    pub(super) losses: Vec<(u64, f64)>,
    /// The last quality that was measured on the way.
    pub(super) quality: Option<f64>,
}

impl Training {
    const MOST_LOSSES: usize = 400;

    /// A training of which this is the first report.
    pub(super) fn new(report: TrainingReport) -> Self {
        Self {
            losses: vec![(report.steps.0, report.loss)],
            quality: report.quality,
            report,
        }
    }

    /// Takes in the next report.
    pub(super) fn follow(&mut self, report: TrainingReport) {
        self.losses.push((report.steps.0, report.loss));
        if self.losses.len() > Self::MOST_LOSSES {
            let mut place = 0;
            self.losses.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        self.quality = report.quality.or(self.quality);
        self.report = report;
    }
}
