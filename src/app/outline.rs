//! The [`Backend`] of networks known by their shapes only: it answers at once and has nothing to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use wattif_core::compress::distill::StudentRecord;
use wattif_core::error::Error;
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
    outline: Arc<Outline>,
    news: Vec<Update>,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// What came of looks at weights, which are taken in threads of their own.
    looked: (Sender<Update>, Receiver<Update>),
    /// The number of the newest look; older ones are given up.
    newest_look: Arc<AtomicU64>,
}

impl Drop for OutlineBackend {
    fn drop(&mut self) {
        // Nobody waits for a look any more.
        self.newest_look.fetch_add(1, Ordering::Release);
    }
}

impl OutlineBackend {
    /// Opens a network known by its shapes.
    ///
    /// # Errors
    /// What [`Outline::open`] says.
    pub(super) fn open(
        reference: &ModelReference,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> wattif_core::Result<Box<dyn Backend>> {
        let outline = Outline::open(reference)?;
        let facts = ModelFacts {
            reference: reference.clone(),
            name: outline.name().to_owned(),
            family: outline.family().to_owned(),
            parameters: outline.parameters(),
            unit: outline.unit(),
            metric: None,
            hash: String::new(),
            has_students: !outline.is_weights_only(),
            own_data: None,
            ratios: Vec::new(),
            packed: false,
            published: Some(outline.published_bits()),
            source: Some(outline.network().source.clone()),
            understood: outline.summary(SEQUENCE)?.understood,
        };
        Ok(Box::new(Self {
            outline: Arc::new(outline),
            wake,
            looked: channel(),
            newest_look: Arc::default(),
            news: vec![Update::Opened(facts), Update::Settled, Update::Idle],
        }))
    }
}

impl Backend for OutlineBackend {
    fn submit(&mut self, recipe: Recipe) {
        if self.outline.has_weights() {
            self.look(recipe, None);
        }
        self.news.extend([Update::Settled, Update::Idle]);
    }

    fn spike(&mut self, _: Recipe, _: u32) {}

    fn time(&mut self, _: Recipe, _: &Scenario) {
        self.news.push(Update::Timed(None));
    }

    fn fill(&mut self, _: Vec<(Recipe, Depth)>) {
        self.news.push(Update::Idle);
    }

    fn looks(&self) -> bool {
        self.outline.is_weights_only()
    }

    fn tells_fidelity(&self) -> bool {
        self.outline.has_weights()
    }

    fn look(&mut self, recipe: Recipe, layer: Option<String>) {
        let number = self.newest_look.fetch_add(1, Ordering::AcqRel) + 1;
        let newest = Arc::clone(&self.newest_look);
        let (outline, wake) = (Arc::clone(&self.outline), Arc::clone(&self.wake));
        let answer = self.looked.0.clone();
        let thread = std::thread::Builder::new().name("wattif-look".to_owned());
        let begun = thread.spawn(move || {
            let older = || newest.load(Ordering::Acquire) != number;
            let looks = outline.look(&recipe, layer.as_deref(), &older);
            if let Some(looks) = looks.filter(|_| !older()) {
                // A window that is closed hears of nothing.
                let _ = answer.send(Update::Looked(looks.map(Arc::new)));
                wake();
            }
        });
        if let Err(error) = begun {
            let error = Error::Compute(format!("the system gives no thread ({error})"));
            let _ = self.looked.0.send(Update::Looked(Err(error)));
        }
    }

    fn updates(&mut self) -> Vec<Update> {
        let mut all = std::mem::take(&mut self.news);
        all.extend(self.looked.1.try_iter());
        all
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
