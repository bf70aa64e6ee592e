//! The seam between the window and what does the work: the engine's worker ([`super::engine`]), or a script in tests.

use std::path::PathBuf;
use std::sync::Arc;

use wattif_core::benchmark::PackedRun;
use wattif_core::compress::distill::StudentRecord;
use wattif_core::data::OwnData;
use wattif_core::engine::Looks;
use wattif_core::error::Error;
use wattif_core::measurement::{Depth, Example, Measurement, Metric, Spiking};
use wattif_core::model::ModelReference;
use wattif_core::outline::PublishedBits;
use wattif_core::profile::{ModelProfile, Unit};
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

/// What the window wants to know about an opened model.
#[derive(Debug, Clone)]
pub struct ModelFacts {
    /// How it was asked for.
    pub reference: ModelReference,
    /// Its name.
    pub name: String,
    /// What kind of network it is, in a few words.
    pub family: String,
    /// All its parameters.
    pub parameters: u64,
    /// What one unit of work is.
    pub unit: Unit,
    /// What it is measured by; nothing where only its shapes are known.
    pub metric: Option<Metric>,
    /// SHA-256 of its weights.
    pub hash: String,
    /// Whether students of it can be trained or are known by their shapes.
    pub has_students: bool,
    /// Distillation ratios that are answered at once, smallest first.
    pub ratios: Vec<f64>,
    /// Where its shapes were published, where only they are known and there are no weights to run.
    pub source: Option<String>,
    /// What was understood of its configuration, a sentence each.
    pub understood: Vec<String>,
    /// The widths it is published in, where only its shapes are known; else its weights are opened as 32-bit numbers.
    pub published: Option<PublishedBits>,
    /// Whether its file was exported by WattIf, so that its weights are rounded already.
    pub packed: bool,
    /// What the user's data are and how they were prepared, where it is measured on such.
    pub own_data: Option<String>,
}

/// How far the training of a student is.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingReport {
    /// The recipe whose student is trained.
    pub recipe: Recipe,
    /// How the student differs from the original.
    pub description: String,
    /// Steps done and steps in all.
    pub steps: (u64, u64),
    /// The loss of the last steps.
    pub loss: f64,
    /// Quality measured on the way, if it was at this step.
    pub quality: Option<f64>,
    /// Seconds since the start.
    pub seconds: f64,
    /// Multiply-accumulates so far, the teacher's included.
    pub macs: f64,
}

/// What the work has to say.
#[derive(Debug, Clone)]
pub enum Update {
    /// The model is open.
    Opened(ModelFacts),
    /// A result, of the current recipe or of another.
    Measured(Arc<Measurement>),
    /// What the spiking version of a compressed network did.
    Spiked(Recipe, Arc<Spiking>),
    /// What a compressed network does with packed weights here; `None` where that was given up.
    Timed(Option<Arc<PackedRun>>),
    /// What the original and the model of a recipe wrote after a prompt; `None` where that was given up.
    Written(Recipe, String, Option<Example>),
    /// What a recipe does to the layers; [`Error::Cancelled`] where a newer look was asked for.
    Looked(Result<Arc<Looks>, Error>),
    /// The compressed model was written to a file.
    Exported(PathBuf),
    /// Work on the current recipe goes on.
    Progress {
        /// What is being done.
        what: String,
        /// Which fraction of it is finished, 0 to 1.
        done: f64,
    },
    /// A student is being trained.
    Training(TrainingReport),
    /// The training ended; true if the student is finished.
    Trained(bool),
    /// Something did not work.
    Failed {
        /// What was being done.
        doing: String,
        /// Why it failed.
        error: Error,
    },
    /// What was asked for is measured in full.
    Settled,
    /// There is nothing left to do.
    Idle,
}

/// What the window asks of the work. Every call returns at once; answers come as [`Update`]s.
pub trait Backend {
    /// Measures a recipe in full; replaces an earlier wish that has not begun.
    fn submit(&mut self, recipe: Recipe);
    /// Runs the spiking version of a recipe for some time steps once the recipe is measured.
    fn spike(&mut self, recipe: Recipe, steps: u32);
    /// Times a recipe with packed weights in a scenario, once the recipe is measured.
    fn time(&mut self, recipe: Recipe, scenario: &Scenario);
    /// Whether it writes texts after a prompt.
    fn writes(&self) -> bool {
        false
    }
    /// Lets the original and the model that a recipe leads to write after a prompt, once the recipe is measured.
    fn write(&mut self, _recipe: Recipe, _prompt: String) {}
    /// Whether there are weights to look at.
    fn looks(&self) -> bool {
        false
    }
    /// Whether it says how near the weights of a network stay that is not run.
    fn tells_fidelity(&self) -> bool {
        false
    }
    /// Looks at what a recipe does to the layers, at one of them more closely; replaces an earlier look.
    fn look(&mut self, _recipe: Recipe, _layer: Option<String>) {}
    /// Writes the model that a recipe leads to, where there are weights.
    fn export(&mut self, _recipe: Recipe, _path: PathBuf) {}
    /// Replaces the list of what to measure when nothing else is to do.
    fn fill(&mut self, positions: Vec<(Recipe, Depth)>);
    /// The news since the last call, oldest first.
    fn updates(&mut self) -> Vec<Update>;
    /// The profile a recipe leads to, from shapes alone; `None` while the model is not open.
    fn predict(&self, recipe: &Recipe) -> Option<ModelProfile>;
    /// The best measurement of a recipe so far.
    fn known(&self, recipe: &Recipe) -> Option<Arc<Measurement>>;
    /// How the student that stands for a recipe's ratio was trained; `None` where the original does.
    fn student_record(&self, recipe: &Recipe) -> Option<StudentRecord>;
    /// Red, green and blue of the pixels of a held-out image, row by row, 0 black to 255 white, and its width.
    fn image(&self, index: usize) -> Option<(Vec<u8>, usize)>;
    /// The word for a class of images.
    fn class_name(&self, class: usize) -> String;
    /// Trains the student of a recipe.
    fn train(&mut self, recipe: Recipe);
    /// Stops that.
    fn cancel_training(&mut self);
}

/// Opens a model, perhaps to be measured on data of the user's. The third argument wakes the window and is called from
/// other threads.
pub type Opener = Box<
    dyn Fn(
        &ModelReference,
        Option<&OwnData>,
        Arc<dyn Fn() + Send + Sync>,
    ) -> wattif_core::Result<Box<dyn Backend>>,
>;
