//! [`Engine`]: one opened model with everything needed to recompress and measure it. The window's worker and the
//! command line call the same functions here.

mod attempts;
mod data;
mod export;
mod foreign;
mod kept;
mod looking;
mod packed;
mod run;
mod spiking;
mod streamed;
mod training;
mod writing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use self::attempts::Attempts;
pub(crate) use self::attempts::guarded;
use self::data::{evaluation_set, own};
use self::foreign::Foreign;
use self::looking::Looking;
pub use self::looking::Looks;
use self::run::Run;
use self::streamed::Streamed;
pub use self::training::TrainingReport;
use crate::compress::distill::{Student, StudentRecord};
use crate::compress::{Compressor, Planner};
use crate::data::OwnData;
use crate::error::{Error, Result};
use crate::evaluate::{Baseline, EvaluationSet};
use crate::formats;
use crate::measurement::{Depth, Measurement, Spiking, StudentNote};
use crate::model::{Architecture, Model, ModelReference, bundled};
use crate::profile::{Layer, ModelProfile};
use crate::recipe::Recipe;
use crate::students::Shelf;

/// Follows a measurement while it runs.
pub trait Observer {
    /// Whether the refined result is no longer wanted. Asked between steps of about 50 ms, once the coarse result is
    /// there or where that takes longer than a person waits.
    fn cancelled(&self) -> bool;
    /// Whether not even the coarse result is wanted. Asked between steps.
    fn abandoned(&self) -> bool {
        false
    }
    /// What is being done and which fraction of it is finished, 0 to 1.
    fn progress(&self, what: &str, done: f64);
    /// A result that is valid already and will be refined.
    fn measured(&self, measurement: &Measurement);
}

/// An observer that does not look.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, _: &str, _: f64) {}
    fn measured(&self, _: &Measurement) {}
}

/// A network that recipes are applied to: the original or a student.
struct Network {
    architecture: Architecture,
    description: String,
    ratio: f64,
    compressor: Mutex<Compressor>,
}

impl Network {
    /// How it stands for what a recipe asks for.
    fn note(&self, recipe: &Recipe, exact: bool) -> StudentNote {
        StudentNote {
            wanted: recipe.distillation.ratio,
            actual: self.ratio,
            description: self.description.clone(),
            exact,
        }
    }
}

/// One opened model: weights, held-out data, finished students and finished measurements.
pub struct Engine {
    model: Arc<Model>,
    set: EvaluationSet,
    own_data: Option<String>,
    planner: Planner,
    /// Of a model whose weights stay in their file.
    streamed: Option<Streamed>,
    /// Of a network that another library runs.
    foreign: Option<Foreign>,
    baseline: OnceLock<Baseline>,
    shelf: Shelf,
    /// Planners of students by the ratio asked for, in ten-thousandths.
    planners: Mutex<HashMap<u32, Arc<Planner>>>,
    networks: Mutex<HashMap<String, Arc<Network>>>,
    store: Mutex<HashMap<String, Measurement>>,
    spiking: Mutex<HashMap<String, Spiking>>,
    looking: Mutex<Option<Looking>>,
    /// See [`Self::calibration_images`].
    calibration: OnceLock<Vec<f32>>,
    attempts: Attempts,
}

impl Engine {
    /// Opens a bundled model or a file, with the held-out data of its kind and every finished student.
    ///
    /// # Errors
    /// What [`formats::open`] says of a damaged file, or an unknown bundled name.
    pub fn open(reference: &ModelReference) -> Result<Self> {
        Self::open_with(reference, None, None)
    }

    /// The same, measured on data of the user's in place of those that ship; texts in contexts of so many tokens, else of
    /// 512.
    ///
    /// # Errors
    /// As [`Self::open`]; the data cannot be read, are not of the kind that the model reads, or too few.
    pub fn open_with(
        reference: &ModelReference,
        data: Option<&OwnData>,
        context: Option<u32>,
    ) -> Result<Self> {
        Self::open_sized(reference, data, context, &[])
    }

    /// The same with sizes that an ONNX file leaves open, by their names.
    ///
    /// # Errors
    /// As [`Self::open_with`]; the file leaves no such size open.
    pub fn open_sized(
        reference: &ModelReference,
        data: Option<&OwnData>,
        context: Option<u32>,
        sizes: &[(String, u64)],
    ) -> Result<Self> {
        let mut model = match reference {
            ModelReference::Bundled(name) => bundled::load(name)?,
            ModelReference::File(path) => formats::open_sized(path, sizes)?,
            ModelReference::Catalogue(_) | ModelReference::Sized { .. } => {
                return Err(Error::Compute(format!(
                    "{reference} is known by its shapes only; there are no weights to run"
                )));
            }
        };
        let (set, own_data) = match data {
            Some(data) => {
                let (set, said) = own(&mut model, data, context)?;
                (set, Some(said))
            }
            None => (evaluation_set(&model)?, None),
        };
        let model = Arc::new(model);
        let planner = planner(&model.name, &model.architecture)?
            .stored_in(&model.stored)
            .in_blocks(&model.blocks);
        // What a file's weights tell is not counted beforehand: that would read all of them.
        let (planner, streamed) = match &model.source {
            Some(source) => {
                let graph = model.architecture.graph();
                let streamed = Streamed::new(graph, source, (&model.name, &model.hash), &set);
                (planner, Some(streamed))
            }
            None => (Compressor::new(planner, &model.tensors)?.survey()?, None),
        };
        Ok(Self {
            set,
            own_data,
            planner,
            streamed,
            foreign: Foreign::of(&model.architecture, reference),
            shelf: Shelf::open(&model)?,
            model,
            baseline: OnceLock::new(),
            planners: Mutex::default(),
            networks: Mutex::default(),
            store: Mutex::default(),
            spiking: Mutex::default(),
            looking: Mutex::default(),
            calibration: OnceLock::new(),
            attempts: Attempts::default(),
        })
    }

    /// The same, with full measurements of a model whose weights stay in their file kept in the cache folder, and those that
    /// were kept there read.
    #[must_use]
    pub fn keeping(mut self) -> Self {
        if let Some(streamed) = &mut self.streamed {
            streamed.keep();
        }
        self
    }

    /// The original model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The layers of the original, in the order in which they run.
    pub fn layers(&self) -> &[Layer] {
        self.planner.layers()
    }

    /// The students that are finished.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// What the user's data are and how they were prepared, where the model is measured on such.
    pub fn own_data(&self) -> Option<&str> {
        self.own_data.as_deref()
    }

    /// The held-out data.
    pub fn evaluation_set(&self) -> &EvaluationSet {
        &self.set
    }

    /// The profile that a recipe leads to, in microseconds: zeros are planned from a survey of the original's weights, not
    /// counted; see [`Planner::plan`]. Below ratio 1 it is the profile of the student that would be trained for exactly
    /// that ratio, with weights spread like the original's.
    ///
    /// # Errors
    /// The recipe is out of range, or asks for a student of a family that has none.
    pub fn predict(&self, recipe: &Recipe) -> Result<ModelProfile> {
        let ratio = self.checked(recipe)?.distillation.ratio;
        if ratio >= 1.0 {
            let planned = self.planner.plan(recipe);
            return match &self.foreign {
                Some(foreign) => foreign.completed(planned),
                None => Ok(planned),
            };
        }
        // The ratio lies between 0 and 1: no sign, no overflow.
        let key = (ratio * 1e4).round() as u32;
        let known = lock(&self.planners).get(&key).cloned();
        let planner = match known {
            Some(planner) => planner,
            None => {
                self.check_students()?;
                let (student, _) = self.model.architecture.student(ratio);
                let planner = planner(&self.model.name, &student)?.informed_by(&self.planner);
                let planner = Arc::new(planner);
                lock(&self.planners).insert(key, Arc::clone(&planner));
                planner
            }
        };
        Ok(planner.plan(recipe))
    }

    /// Whether students of the model can be trained here: its family has smaller networks, and data ship to train them with.
    pub fn has_students(&self) -> bool {
        self.model.architecture.has_students() && self.model.architecture.data_ship()
    }

    /// Refuses a distillation ratio below 1 where the family has no smaller networks.
    fn check_students(&self) -> Result<()> {
        let architecture = &self.model.architecture;
        if self.has_students() {
            return Ok(());
        }
        Err(Error::Infeasible(format!(
            "students of a {} cannot be trained here; the distillation ratio must be 1",
            architecture.family()
        )))
    }

    /// The best measurement of a recipe so far, of the network that stands for its ratio now.
    pub fn known(&self, recipe: &Recipe) -> Option<Measurement> {
        let student = self.student(recipe);
        lock(&self.store)
            .get(&store_key(recipe, student.as_deref()))
            .cloned()
    }

    /// Compresses the weights as the recipe says and measures what is left, down to `depth`. Where no student of the
    /// wanted ratio is finished, the nearest one stands in, and the measurement says so. The observer gets the coarse
    /// result and then each one with twice the data on the way; of a model whose weights stay in their file, one on a quarter.
    ///
    /// # Errors
    /// The recipe is out of range, [`Error::Cancelled`] if the observer wished so, or a computation failed. What panicked
    /// in a library is not tried again.
    pub fn measure(
        &self,
        recipe: &Recipe,
        depth: Depth,
        observer: &dyn Observer,
    ) -> Result<Measurement> {
        let recipe = self.checked(recipe)?;
        let student = self.student(&recipe);
        if student.is_none() && recipe.distillation.ratio < 1.0 {
            self.check_students()?;
        }
        let key = store_key(&recipe, student.as_deref());
        let known = lock(&self.store).get(&key).cloned();
        if let Some(known) = known
            && known.depth >= depth
            && (depth < Depth::Full || !self.lacks_texts(&known))
        {
            return Ok(known);
        }
        let id = network_id(student.as_deref());
        self.attempts.run(&key, &id, || {
            if let Some(streamed) = &self.streamed {
                let network = self.network(None)?;
                let work = (recipe.clone(), key.as_str());
                return self.measure_streamed(streamed, &network, work, depth, observer);
            }
            if let Some(foreign) = &self.foreign {
                let network = self.network(None)?;
                let work = (recipe.clone(), key.as_str());
                return self.measure_foreign(foreign, &network, work, depth, observer);
            }
            let baseline = self.baseline(observer)?;
            let network = self.network(student.as_deref())?;
            let compressed =
                lock(&network.compressor).compress(&recipe, &|| observer.abandoned())?;
            let exact = student
                .as_ref()
                .is_none_or(|student| student.answers(&recipe.distillation, recipe.seed))
                && (student.is_some() || recipe.distillation.ratio >= 1.0);
            let run = Run {
                engine: self,
                recipe: recipe.clone(),
                key: key.clone(),
                network: &network,
                compressed: &compressed,
                exact,
            };
            let measured = run.measure(depth, baseline, observer);
            lock(&network.compressor).recycle(compressed);
            measured
        })
    }

    /// Whether the network that a recipe asks for is there: the original at ratio 1, else a finished student of exactly
    /// its settings.
    pub fn has_student(&self, recipe: &Recipe) -> bool {
        recipe.canonical().distillation.ratio >= 1.0
            || self
                .student(recipe)
                .is_some_and(|student| student.answers(&recipe.distillation, recipe.seed))
    }

    /// How the student that stands for a recipe's ratio was trained; `None` where the original stands for it.
    pub fn student_record(&self, recipe: &Recipe) -> Option<StudentRecord> {
        self.student(recipe).map(|student| student.record.clone())
    }

    /// The original, ready to be run.
    fn original(&self) -> Result<crate::run::Network> {
        self.model.architecture.ready(&self.model.tensors, 32)
    }

    /// Measures the original once, on the coarse subset; everything else is compared with it sample by sample.
    fn baseline(&self, observer: &dyn Observer) -> Result<&Baseline> {
        if let Some(baseline) = self.baseline.get() {
            return Ok(baseline);
        }
        if let Some(streamed) = &self.streamed {
            let measured = self.coarse_baseline(streamed, observer)?;
            return Ok(self.baseline.get_or_init(|| measured));
        }
        let baseline = self.baseline.get_or_init(|| Baseline::new(&self.set));
        let wanted = self.set.coarse_items();
        if baseline.len() < wanted {
            observer.progress("Measuring the original", 0.0);
            baseline.reach(&self.original()?, &self.set, wanted, &mut |answered| {
                observer.progress("Measuring the original", answered as f64 / wanted as f64);
                match observer.abandoned() {
                    true => Err(Error::Cancelled),
                    false => Ok(()),
                }
            })?;
        }
        Ok(baseline)
    }

    /// The finished student that stands for a recipe's ratio; none where the original is nearest.
    fn student(&self, recipe: &Recipe) -> Option<Arc<Student>> {
        let distillation = recipe.canonical().distillation;
        if distillation.ratio >= 1.0 {
            None
        } else {
            self.shelf.nearest(&distillation, recipe.seed)
        }
    }

    fn network(&self, student: Option<&Student>) -> Result<Arc<Network>> {
        let id = network_id(student);
        let known = lock(&self.networks).get(&id).cloned();
        if let Some(network) = known {
            return Ok(network);
        }
        let model = &self.model;
        let (architecture, description) = match student {
            None => (&model.architecture, "the original"),
            Some(student) => (&student.architecture, student.record.description.as_str()),
        };
        let (planner, originals) = self.weights_of(student)?;
        let network = Arc::new(Network {
            architecture: architecture.clone(),
            description: description.to_owned(),
            ratio: architecture.parameters() as f64 / model.architecture.parameters() as f64,
            compressor: Mutex::new(Compressor::new(planner, originals)?),
        });
        lock(&self.networks).insert(id, Arc::clone(&network));
        Ok(network)
    }

    /// Keeps the better of what is known and what is new, and returns it.
    fn remember(&self, key: &str, new: Measurement) -> Measurement {
        let mut store = lock(&self.store);
        match store.get(key) {
            Some(old) if old.depth > new.depth => old.clone(),
            _ => {
                store.insert(key.to_owned(), new.clone());
                new
            }
        }
    }
}

pub(crate) fn planner(name: &str, architecture: &Architecture) -> Result<Planner> {
    let json = serde_json::to_string(architecture)
        .map_err(|error| Error::Compute(format!("the architecture cannot be written: {error}")))?;
    let planner = Planner::new(
        name,
        architecture.unit(),
        &architecture.layers(),
        &architecture.tensor_shapes(),
        &json,
    )?;
    Ok(planner.shaped_like(architecture.network(name)))
}

fn network_id(student: Option<&Student>) -> String {
    student.map_or_else(|| "original".to_owned(), Student::id)
}

/// Measurements are kept by what was measured: the recipe, and the network that stood for its ratio.
fn store_key(recipe: &Recipe, student: Option<&Student>) -> String {
    format!("{}@{}", recipe.key(), network_id(student))
}

/// A poisoned lock only means that another measurement panicked; the maps behind it are always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
