//! [`Worker`]: one named thread that measures what the sliders ask for, newest first, and one that trains students.
//!
//! The mailbox holds a single wish: a newer recipe replaces an older one, whose coarse result is still finished and
//! kept. When nothing is wished for, the worker fills in the positions that it was told may come next, then sleeps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::benchmark::PackedRun;
use crate::data::OwnData;
use crate::engine::{Engine, Observer, TrainingReport, guarded};
use crate::error::{Error, Result};
use crate::measurement::{Depth, Example, Measurement, Spiking};
use crate::model::ModelReference;
use crate::recipe::Recipe;
use crate::scenario::Scenario;

/// What failed where a recipe could not be measured; see [`Event::Failed`].
pub const MEASURING: &str = "Measuring this configuration";
/// What failed where a spiking version could not be run.
pub const SPIKING: &str = "Running the spiking version";
/// What failed where packed weights could not be timed.
pub const TIMING: &str = "Timing packed weights";
/// What failed where no text could be written.
pub const WRITING: &str = "Writing a text";
/// What failed where a student could not be trained.
pub const TRAINING: &str = "Training a student";

/// What the worker has to say.
pub enum Event {
    /// The model is open; recipes can be submitted.
    Opened(Arc<Engine>),
    /// A result, of the current recipe or of one filled in.
    Measured(Box<Measurement>),
    /// What the spiking version of a compressed network did.
    Spiked(Recipe, Box<Spiking>),
    /// What a compressed network does with packed weights here; `None` where that was given up.
    Timed(Option<Box<PackedRun>>),
    /// What the original and a compressed network wrote after a prompt; `None` where that was given up.
    Written(Recipe, String, Option<Box<Example>>),
    /// Work on the current recipe goes on.
    Progress {
        /// What is being done.
        what: String,
        /// Which fraction of it is finished, 0 to 1.
        done: f64,
    },
    /// A student is being trained.
    Training(Training),
    /// Something did not work; the session goes on.
    Failed {
        /// What was being done.
        doing: String,
        /// Why it failed.
        error: Error,
    },
    /// A file of a trained student cannot be used and was left out; everything else is as it would be without it.
    LeftOut(Error),
    /// Everything that was wished for is measured to the full depth.
    Settled,
    /// Everything that was to be filled in is measured too; the thread sleeps.
    Idle,
}

/// News of a student's training.
#[derive(Debug, Clone)]
pub struct Training {
    /// The recipe whose student is trained.
    pub recipe: Recipe,
    /// How far it is.
    pub state: TrainingState,
}

/// How far a training is.
#[derive(Debug, Clone)]
pub enum TrainingState {
    /// One report, with the loss and now and then the quality.
    Running(TrainingReport),
    /// The student is finished and on the shelf.
    Finished,
    /// It was cancelled; nothing was kept.
    Cancelled,
}

#[derive(Default)]
struct Mailbox {
    wish: Option<Recipe>,
    /// A recipe whose spiking version is to be run, and for how many time steps.
    spike: Option<(Recipe, u32)>,
    /// A recipe whose model is to write after a prompt.
    write: Option<(Recipe, String)>,
    /// A recipe that is to be timed with packed weights, in a scenario.
    time: Option<(Recipe, Scenario)>,
    fill: VecDeque<(Recipe, Depth)>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    mailbox: Mutex<Mailbox>,
    changed: Condvar,
    /// A newer wish waits; mirrors `mailbox.wish.is_some()` for the hot path.
    superseded: AtomicBool,
    stop_training: AtomicBool,
    training: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handle to the measuring thread of one open model. Dropping it ends the thread after its current step.
pub struct Worker {
    shared: Arc<Shared>,
    events: Receiver<Event>,
    outbox: Outbox,
}

/// Sends events and wakes the window after each.
#[derive(Clone)]
struct Outbox {
    sender: Sender<Event>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Outbox {
    fn send(&self, event: Event) {
        // The receiver is gone once the window has opened another model; nobody is left to tell.
        if self.sender.send(event).is_ok() {
            (self.wake)();
        }
    }

    fn failed(&self, doing: impl Into<String>, error: Error) {
        self.send(Event::Failed {
            doing: doing.into(),
            error,
        });
    }
}

impl Worker {
    /// Starts the thread, which opens the model, measures the original and then waits for recipes. `wake` is called
    /// after every event, from the worker's threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn open(
        reference: ModelReference,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::begin((reference, None), false, wake)
    }

    /// The same with measurements that took long kept on disk, see [`Engine::keeping`], and perhaps on data of the user's.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_keeping(
        reference: ModelReference,
        data: Option<OwnData>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::begin((reference, data), true, wake)
    }

    fn begin(
        opened: (ModelReference, Option<OwnData>),
        keeping: bool,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        start_pool();
        let (sender, events) = channel();
        let shared = Arc::new(Shared::default());
        let outbox = Outbox {
            sender,
            wake: Arc::new(wake),
        };
        let (thread_shared, thread_outbox) = (Arc::clone(&shared), outbox.clone());
        thread::Builder::new()
            .name("wattif-worker".to_owned())
            .spawn(move || run(&opened, keeping, &thread_shared, &thread_outbox))
            .map_err(|error| Error::Compute(format!("the worker thread did not start: {error}")))?;
        Ok(Self {
            shared,
            events,
            outbox,
        })
    }

    /// Asks for a recipe, to the full depth. A wish that is still waiting is replaced; one being measured is finished
    /// to its coarse result only.
    pub fn submit(&self, recipe: Recipe) {
        let mut mailbox = self.shared.lock();
        mailbox.wish = Some(recipe);
        self.shared.superseded.store(true, Ordering::Release);
        drop(mailbox);
        self.shared.changed.notify_all();
    }

    /// Asks for the spiking version of a recipe to be run for some time steps, once its wish is measured; replaces an
    /// earlier one. A newer wish ends it.
    pub fn spike(&self, recipe: Recipe, steps: u32) {
        self.shared.lock().spike = Some((recipe, steps));
        self.shared.changed.notify_all();
    }

    /// Asks for a recipe to be timed with packed weights, once its wish is measured; replaces an earlier one. A newer wish
    /// ends it.
    pub fn time(&self, recipe: Recipe, scenario: Scenario) {
        self.shared.lock().time = Some((recipe, scenario));
        self.shared.changed.notify_all();
    }

    /// Asks for texts after a prompt, once the wish is measured; replaces an earlier one. A newer wish ends it.
    pub fn write(&self, recipe: Recipe, prompt: String) {
        self.shared.lock().write = Some((recipe, prompt));
        self.shared.changed.notify_all();
    }

    /// Replaces the list of positions to fill in when nothing is wished for, most interesting first.
    pub fn fill(&self, positions: impl IntoIterator<Item = (Recipe, Depth)>) {
        self.shared.lock().fill = positions.into_iter().collect();
        self.shared.changed.notify_all();
    }

    /// The events since the last call, oldest first; never blocks.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.events.try_iter()
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when none came in time.
    pub fn wait(&self, limit: std::time::Duration) -> Result<Event> {
        self.events
            .recv_timeout(limit)
            .map_err(|_| Error::Cancelled)
    }

    /// Whether a student is being trained.
    pub fn is_training(&self) -> bool {
        self.shared.training.load(Ordering::Acquire)
    }

    /// Trains the student of a recipe's distillation settings on a thread of its own and puts it on the shelf. Does
    /// nothing while another training runs.
    pub fn train(&self, engine: &Arc<Engine>, recipe: Recipe) {
        if self.shared.training.swap(true, Ordering::AcqRel) {
            return;
        }
        self.shared.stop_training.store(false, Ordering::Release);
        let (engine, shared, outbox) = (
            Arc::clone(engine),
            Arc::clone(&self.shared),
            self.outbox.clone(),
        );
        let spawned = thread::Builder::new()
            .name("wattif-trainer".to_owned())
            .spawn(move || {
                train(&engine, &recipe, &shared, &outbox);
            });
        if let Err(error) = spawned {
            self.shared.training.store(false, Ordering::Release);
            self.outbox.failed(
                TRAINING,
                Error::Compute(format!("the trainer thread did not start: {error}")),
            );
        }
    }

    /// Ends the training after its current step; nothing of it is kept.
    pub fn cancel_training(&self) {
        self.shared.stop_training.store(true, Ordering::Release);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut mailbox = self.shared.lock();
        mailbox.closed = true;
        mailbox.wish = None;
        self.shared.superseded.store(true, Ordering::Release);
        self.shared.stop_training.store(true, Ordering::Release);
        drop(mailbox);
        self.shared.changed.notify_all();
    }
}

/// The observer of the measuring thread: a newer wish, or any wish while filling in, supersedes the work.
struct Watch<'a> {
    shared: &'a Shared,
    outbox: &'a Outbox,
    filling: bool,
}

impl Observer for Watch<'_> {
    fn cancelled(&self) -> bool {
        self.shared.superseded.load(Ordering::Acquire)
    }

    fn abandoned(&self) -> bool {
        self.filling && self.cancelled()
    }

    fn progress(&self, what: &str, done: f64) {
        if !self.filling {
            self.outbox.send(Event::Progress {
                what: what.to_owned(),
                done,
            });
        }
    }

    fn measured(&self, measurement: &Measurement) {
        self.outbox
            .send(Event::Measured(Box::new(measurement.clone())));
    }
}

enum Task {
    Wish(Recipe),
    Spike(Recipe, u32),
    Time(Recipe, Box<Scenario>),
    Write(Recipe, String),
    Fill(Recipe, Depth),
}

/// Below the window's own thread, so that drawing never waits for measuring; there is no way to ask for it elsewhere.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets every other thread go first. On Linux the priority belongs to the calling thread, not to the process.
fn step_back() {
    #[cfg(target_os = "linux")]
    // A system that refuses leaves the thread as fast as the others: the result is the same.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// Starts the shared pool with threads that step back; does nothing where it runs already.
fn start_pool() {
    let _ = rayon::ThreadPoolBuilder::new()
        .thread_name(|i| format!("wattif-pool-{i}"))
        .start_handler(|_| step_back())
        .build_global();
}

fn run(
    (reference, data): &(ModelReference, Option<OwnData>),
    keeping: bool,
    shared: &Shared,
    outbox: &Outbox,
) {
    step_back();
    let engine = match guarded(|| Engine::open_with(reference, data.as_ref(), None)) {
        Ok(engine) if keeping => Arc::new(engine.keeping()),
        Ok(engine) => Arc::new(engine),
        Err(error) => {
            outbox.failed("Opening the model", error);
            return;
        }
    };
    outbox.send(Event::Opened(Arc::clone(&engine)));
    for error in engine.shelf().broken() {
        outbox.send(Event::LeftOut(error.clone()));
    }
    let mut settled = true;
    let mut idle = true;
    while let Some(task) = next(shared, outbox, &mut settled, &mut idle) {
        let watch = |filling| Watch {
            shared,
            outbox,
            filling,
        };
        let (recipe, depth, watch) = match task {
            Task::Wish(recipe) => (recipe, Depth::Full, watch(false)),
            Task::Fill(recipe, depth) => (recipe, depth, watch(true)),
            Task::Spike(recipe, steps) => {
                match guarded(|| engine.spike(&recipe, steps, &watch(false))) {
                    Ok(spiking) => outbox.send(Event::Spiked(recipe, Box::new(spiking))),
                    Err(Error::Cancelled) => {}
                    Err(error) => outbox.failed(SPIKING, error),
                }
                continue;
            }
            Task::Write(recipe, prompt) => {
                match guarded(|| engine.write(&recipe, &prompt, &watch(false))) {
                    Ok(text) => {
                        outbox.send(Event::Written(recipe, prompt, Some(Box::new(text))));
                    }
                    Err(error) => {
                        outbox.send(Event::Written(recipe, prompt, None));
                        if error != Error::Cancelled {
                            outbox.failed(WRITING, error);
                        }
                    }
                }
                continue;
            }
            Task::Time(recipe, scenario) => {
                let run = guarded(|| engine.measure_packed(&recipe, &scenario, &watch(false)));
                match run {
                    Ok(run) => outbox.send(Event::Timed(Some(Box::new(run)))),
                    Err(error) => {
                        outbox.send(Event::Timed(None));
                        if error != Error::Cancelled {
                            outbox.failed(TIMING, error);
                        }
                    }
                }
                continue;
            }
        };
        match guarded(|| engine.measure(&recipe, depth, &watch)) {
            Ok(measurement) => outbox.send(Event::Measured(Box::new(measurement))),
            Err(Error::Cancelled) => {}
            Err(error) => outbox.failed(MEASURING, error),
        }
    }
}

/// Takes the wish, else the next position to fill in, else says that all is done and sleeps; `None` ends the thread.
fn next(shared: &Shared, outbox: &Outbox, settled: &mut bool, idle: &mut bool) -> Option<Task> {
    let mut mailbox = shared.lock();
    loop {
        if mailbox.closed {
            return None;
        }
        if let Some(recipe) = mailbox.wish.take() {
            shared.superseded.store(false, Ordering::Release);
            (*settled, *idle) = (false, false);
            return Some(Task::Wish(recipe));
        }
        if let Some((recipe, steps)) = mailbox.spike.take() {
            (*settled, *idle) = (false, false);
            return Some(Task::Spike(recipe, steps));
        }
        if let Some((recipe, prompt)) = mailbox.write.take() {
            (*settled, *idle) = (false, false);
            return Some(Task::Write(recipe, prompt));
        }
        if let Some((recipe, scenario)) = mailbox.time.take() {
            (*settled, *idle) = (false, false);
            return Some(Task::Time(recipe, Box::new(scenario)));
        }
        if !*settled {
            *settled = true;
            outbox.send(Event::Settled);
        }
        if let Some((recipe, depth)) = mailbox.fill.pop_front() {
            *idle = false;
            return Some(Task::Fill(recipe, depth));
        }
        if !*idle {
            *idle = true;
            outbox.send(Event::Idle);
        }
        mailbox = shared
            .changed
            .wait(mailbox)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn train(engine: &Engine, recipe: &Recipe, shared: &Shared, outbox: &Outbox) {
    step_back();
    let report = |state| {
        let recipe = recipe.clone();
        outbox.send(Event::Training(Training { recipe, state }));
    };
    let result = guarded(|| {
        engine.train_student(
            recipe,
            &mut |progress| report(TrainingState::Running(progress)),
            &|| shared.stop_training.load(Ordering::Acquire),
        )
    });
    shared.training.store(false, Ordering::Release);
    match result {
        Ok(unkept) => {
            report(TrainingState::Finished);
            if let Some(error) = unkept {
                outbox.failed("Keeping the trained student for the next start", error);
            }
        }
        Err(Error::Cancelled) => report(TrainingState::Cancelled),
        Err(error) => {
            report(TrainingState::Cancelled);
            outbox.failed(TRAINING, error);
        }
    }
}
