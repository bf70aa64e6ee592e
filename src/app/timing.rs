//! Timing the compressed model with packed weights: what was asked for, what came of it, and whether that still holds.

use std::sync::Arc;

use wattif_core::benchmark::PackedRun;

use super::App;
use super::session::Configuration;

/// What a timing depends on.
#[derive(Debug, Clone, PartialEq)]
struct Subject {
    recipe: String,
    batch: u32,
    context: f64,
}

impl Subject {
    fn of(configuration: &Configuration) -> Self {
        Self {
            recipe: configuration.recipe.key(),
            batch: configuration.scenario.batch,
            context: configuration.scenario.average_context(),
        }
    }
}

/// The timing under way and the last one.
#[derive(Debug, Default)]
pub(super) struct Timing {
    asked: Option<Subject>,
    last: Option<(Subject, Arc<PackedRun>)>,
}

impl Timing {
    /// Whether one is under way.
    pub(super) fn is_running(&self) -> bool {
        self.asked.is_some()
    }

    /// The one under way came to an end.
    pub(super) fn arrived(&mut self, run: Option<Arc<PackedRun>>) {
        if let (Some(subject), Some(run)) = (self.asked.take(), run) {
            self.last = Some((subject, run));
        }
    }

    /// The last one, and whether it is of this configuration.
    pub(super) fn last(&self, configuration: &Configuration) -> Option<(&PackedRun, bool)> {
        let (subject, run) = self.last.as_ref()?;
        Some((run, *subject == Subject::of(configuration)))
    }
}

impl App {
    /// Why nothing can be timed.
    pub(super) fn timing_obstacle(&self) -> Option<&'static str> {
        let shapes_only = self
            .model
            .facts
            .as_ref()
            .is_some_and(|f| f.source.is_some());
        if shapes_only {
            Some("Known by its shapes only: there are no weights to run")
        } else if self.stands_in() {
            // Its speed would be that of the student that stands in for it.
            Some("This student is not trained: there are no weights of it to run")
        } else if self.model.training.is_some() {
            Some("A student is in training, which would disturb the clock")
        } else {
            None
        }
    }

    pub(super) fn stands_in(&self) -> bool {
        let now = self.derived.now.as_ref();
        now.is_some_and(|now| now.stand_in.is_some())
    }

    /// Asks for the current configuration to be timed.
    pub(super) fn time(&mut self) {
        let configuration = &self.session.configuration;
        if let Some(backend) = &mut self.model.backend {
            backend.time(configuration.recipe.clone(), &configuration.scenario);
            self.model.timing.asked = Some(Subject::of(configuration));
            self.model.activity.idle = false;
        }
    }
}
