//! The [`Backend`] of networks known by their shapes only: it answers at once and has nothing to run.

use std::sync::Arc;

use wattif_core::compress::distill::StudentRecord;
use wattif_core::measurement::{Depth, Measurement};
use wattif_core::model::ModelReference;
use wattif_core::outline::Outline;
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

use super::backend::{Backend, ModelFacts, Update};

/// Tokens of the sequence that memory is counted for in words.
const SEQUENCE: u32 = 8192;

/// A network known by its shapes only.
pub(super) struct OutlineBackend {
    outline: Outline,
    news: Vec<Update>,
}

impl OutlineBackend {
    /// Opens a network known by its shapes.
    ///
    /// # Errors
    /// What [`Outline::open`] says.
    pub(super) fn open(reference: &ModelReference) -> wattif_core::Result<Box<dyn Backend>> {
        let outline = Outline::open(reference)?;
        let facts = ModelFacts {
            reference: reference.clone(),
            name: outline.name().to_owned(),
            family: outline.family().to_owned(),
            parameters: outline.parameters(),
            unit: outline.unit(),
            metric: None,
            hash: String::new(),
            has_students: true,
            own_data: None,
            ratios: Vec::new(),
            packed: false,
            published: Some(outline.published_bits()),
            source: Some(outline.network().source.clone()),
            understood: outline.summary(SEQUENCE)?.understood,
        };
        Ok(Box::new(Self {
            outline,
            news: vec![Update::Opened(facts), Update::Settled, Update::Idle],
        }))
    }
}

impl Backend for OutlineBackend {
    fn submit(&mut self, _: Recipe) {
        self.news.extend([Update::Settled, Update::Idle]);
    }

    fn spike(&mut self, _: Recipe, _: u32) {}

    fn time(&mut self, _: Recipe, _: &Scenario) {
        self.news.push(Update::Timed(None));
    }

    fn fill(&mut self, _: Vec<(Recipe, Depth)>) {
        self.news.push(Update::Idle);
    }

    fn updates(&mut self) -> Vec<Update> {
        std::mem::take(&mut self.news)
    }

    fn predict(&self, recipe: &Recipe) -> Option<ModelProfile> {
        self.outline.predict(recipe).ok()
    }

    fn known(&self, _: &Recipe) -> Option<Arc<Measurement>> {
        None
    }

    fn student_record(&self, _: &Recipe) -> Option<StudentRecord> {
        None
    }

    fn image(&self, _: usize) -> Option<(Vec<u8>, usize)> {
        None
    }

    fn class_name(&self, class: usize) -> String {
        format!("class {class}")
    }

    fn train(&mut self, _: Recipe) {}

    fn cancel_training(&mut self) {}
}
