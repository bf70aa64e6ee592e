//! The real [`Backend`]: the engine in threads of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use wattif_core::compress::distill::StudentRecord;
use wattif_core::data::OwnData;
use wattif_core::engine::Engine;
use wattif_core::error::Error;
use wattif_core::evaluate::EvaluationSet;
use wattif_core::formats;
use wattif_core::measurement::{Depth, Measurement};
use wattif_core::model::{Model, ModelReference, bundled};
use wattif_core::outline::PublishedBits;
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;
use wattif_core::worker::{Event, TrainingState, Worker};

use super::backend::{Backend, ModelFacts, TrainingReport, Update};

/// The engine itself, in threads of its own.
pub(super) struct EngineBackend {
    reference: ModelReference,
    worker: Worker,
    engine: Option<Arc<Engine>>,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// What came of files that were written in threads of their own.
    written: (Sender<Update>, Receiver<Update>),
    /// The number of the newest look at the layers; older ones are given up.
    newest_look: Arc<AtomicU64>,
}

impl Drop for EngineBackend {
    fn drop(&mut self) {
        // Nobody waits for a look any more.
        self.newest_look.fetch_add(1, Ordering::Release);
    }
}

impl EngineBackend {
    /// Starts to open a model.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn open(
        reference: &ModelReference,
        data: Option<&OwnData>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> wattif_core::Result<Box<dyn Backend>> {
        Ok(Box::new(Self {
            reference: reference.clone(),
            worker: Worker::open_keeping(reference.clone(), data.cloned(), {
                let wake = Arc::clone(&wake);
                move || wake()
            })?,
            engine: None,
            wake,
            written: channel(),
            newest_look: Arc::default(),
        }))
    }

    fn facts(&self, engine: &Engine) -> ModelFacts {
        let model = engine.model();
        let mut ratios: Vec<f64> = engine
            .shelf()
            .students()
            .iter()
            .map(|student| student.record.ratio)
            .collect();
        ratios.push(1.0);
        ratios.sort_by(f64::total_cmp);
        ratios.dedup();
        ModelFacts {
            reference: self.reference.clone(),
            name: model.name.clone(),
            family: model.architecture.family().to_owned(),
            parameters: model.architecture.parameters(),
            unit: model.architecture.unit(),
            metric: Some(engine.evaluation_set().metric()),
            hash: model.hash.clone(),
            has_students: engine.has_students(),
            ratios,
            source: None,
            understood: match &self.reference {
                ModelReference::File(path) => [engine.notes(), formats::left_out(path)].concat(),
                _ => engine.notes(),
            },
            published: halves(model),
            packed: model.packed.is_some(),
            own_data: engine.own_data().map(str::to_owned),
        }
    }

    fn translate(&mut self, event: Event) -> Update {
        match event {
            Event::Opened(engine) => {
                let facts = self.facts(&engine);
                self.engine = Some(engine);
                Update::Opened(facts)
            }
            Event::Measured(measurement) => Update::Measured(Arc::from(measurement)),
            Event::Spiked(recipe, spiking) => Update::Spiked(recipe, Arc::from(spiking)),
            Event::Written(recipe, prompt, text) => {
                Update::Written(recipe, prompt, text.map(|text| *text))
            }
            Event::Timed(run) => Update::Timed(run.map(Arc::from)),
            Event::Progress { what, done } => Update::Progress { what, done },
            Event::Training(training) => match training.state {
                TrainingState::Running(progress) => Update::Training(TrainingReport {
                    recipe: training.recipe,
                    description: progress.description,
                    steps: (progress.step.into(), progress.steps.into()),
                    loss: progress.loss,
                    quality: progress.quality,
                    seconds: progress.seconds,
                    macs: progress.macs,
                }),
                TrainingState::Finished => Update::Trained(true),
                TrainingState::Cancelled => Update::Trained(false),
            },
            Event::Failed { doing, error } => Update::Failed { doing, error },
            Event::LeftOut(error) => Update::Failed {
                doing: "A trained student was left out".to_owned(),
                error,
            },
            Event::Settled => Update::Settled,
            Event::Idle => Update::Idle,
        }
    }
}

/// The width of a model whose file holds all of its weights in 16 bits, as of a network that is published so.
fn halves(model: &Model) -> Option<PublishedBits> {
    let layers = model.architecture.layers();
    let mut weights = layers.iter().filter(|layer| layer.compressible);
    weights
        .all(|layer| model.stored.contains_key(&format!("{}.weight", layer.name)))
        .then_some(PublishedBits {
            weights: 16,
            experts: 16,
            activations: 32,
        })
}

impl Backend for EngineBackend {
    fn submit(&mut self, recipe: Recipe) {
        self.worker.submit(recipe);
    }

    fn spike(&mut self, recipe: Recipe, steps: u32) {
        self.worker.spike(recipe, steps);
    }

    fn time(&mut self, recipe: Recipe, scenario: &Scenario) {
        self.worker.time(recipe, scenario.clone());
    }

    fn writes(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.writes())
    }

    fn write(&mut self, recipe: Recipe, prompt: String) {
        self.worker.write(recipe, prompt);
    }

    fn looks(&self) -> bool {
        self.engine.is_some()
    }

    fn look(&mut self, recipe: Recipe, layer: Option<String>) {
        let Some(engine) = self.engine.clone() else {
            return;
        };
        let number = self.newest_look.fetch_add(1, Ordering::AcqRel) + 1;
        let newest = Arc::clone(&self.newest_look);
        let (wake, answer) = (Arc::clone(&self.wake), self.written.0.clone());
        let thread = std::thread::Builder::new().name("wattif-look".to_owned());
        let begun = thread.spawn(move || {
            let older = || newest.load(Ordering::Acquire) != number;
            let looks = engine.look(&recipe, layer.as_deref(), &older);
            if !older() {
                // A window that is closed hears of nothing.
                let _ = answer.send(Update::Looked(looks.map(Arc::new)));
                wake();
            }
        });
        if let Err(error) = begun {
            let error = Error::Compute(format!("the system gives no thread ({error})"));
            let _ = self.written.0.send(Update::Looked(Err(error)));
        }
    }

    fn export(&mut self, recipe: Recipe, path: PathBuf) {
        let Some(engine) = self.engine.clone() else {
            return;
        };
        let (wake, answer) = (Arc::clone(&self.wake), self.written.0.clone());
        let failed = |error| Update::Failed {
            doing: "The model was not exported".to_owned(),
            error,
        };
        let thread = std::thread::Builder::new().name("wattif-export".to_owned());
        let begun = thread.spawn(move || {
            let written = engine.export(&recipe, &path);
            let update = written.map_or_else(failed, |_| Update::Exported(path));
            // A window that is closed hears of nothing.
            let _ = answer.send(update);
            wake();
        });
        if let Err(error) = begun {
            let error = Error::Compute(format!("the system gives no thread ({error})"));
            let _ = self.written.0.send(failed(error));
        }
    }

    fn fill(&mut self, positions: Vec<(Recipe, Depth)>) {
        self.worker.fill(positions);
    }

    fn updates(&mut self) -> Vec<Update> {
        let events: Vec<Event> = self.worker.events().collect();
        let mut all: Vec<Update> = events
            .into_iter()
            .map(|event| self.translate(event))
            .collect();
        all.extend(self.written.1.try_iter());
        all
    }

    fn predict(&self, recipe: &Recipe) -> Option<ModelProfile> {
        // A recipe out of range cannot come from the sliders, and a file's is checked when it is read.
        self.engine.as_ref()?.predict(recipe).ok()
    }

    fn known(&self, recipe: &Recipe) -> Option<Arc<Measurement>> {
        self.engine.as_ref()?.known(recipe).map(Arc::new)
    }

    fn student_record(&self, recipe: &Recipe) -> Option<StudentRecord> {
        self.engine.as_ref()?.student_record(recipe)
    }

    fn image(&self, index: usize) -> Option<(Vec<u8>, usize)> {
        match self.engine.as_ref()?.evaluation_set() {
            EvaluationSet::Images(images) => Some((images.colours(index), images.size())),
            EvaluationSet::Pictures(pictures) => {
                let images = pictures.images();
                Some((images.colours(index), images.size()))
            }
            EvaluationSet::Text(_) | EvaluationSet::Sentences(_) | EvaluationSet::Generated(_) => {
                None
            }
        }
    }

    fn class_name(&self, class: usize) -> String {
        let own = match self.engine.as_ref().map(|engine| engine.evaluation_set()) {
            Some(EvaluationSet::Images(images)) => images.own_names(),
            _ => None,
        };
        let name = match own {
            Some(names) => names.get(class).map(String::as_str),
            None => bundled::FASHION_CLASSES.get(class).copied(),
        };
        name.map_or_else(|| format!("class {class}"), str::to_owned)
    }

    fn train(&mut self, recipe: Recipe) {
        if let Some(engine) = &self.engine {
            self.worker.train(engine, recipe);
        }
    }

    fn cancel_training(&mut self) {
        self.worker.cancel_training();
    }
}
