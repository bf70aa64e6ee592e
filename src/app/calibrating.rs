//! Measuring this machine from the window: in a thread of its own, once nothing else is being measured, and put to use
//! only when the person who sees the result says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use poll_promise::Promise;
use wattif_core::hardware::{Calibration, THIS_MACHINE};
use wattif_core::{Error, Result};

use super::App;
use super::notices::Subject;
use crate::machine::{self, MeasuredMachine};

/// Measures this machine; it hears a listener of what is measured next and of the share that is done.
pub type Measurer = Arc<dyn Fn(&mut dyn FnMut(&str, f64)) -> Result<MeasuredMachine> + Send + Sync>;

/// The measurement of this machine, if there is one.
pub(super) struct Calibrating {
    measurer: Measurer,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Resting,
    /// For other measurements to end, which would slow this one down.
    Waiting,
    Running(Box<Running>),
    Done(Box<MeasuredMachine>),
}

/// A measurement in its thread.
struct Running {
    /// What is being measured, and the share that is done.
    progress: Arc<Mutex<(String, f64)>>,
    answer: Promise<Result<MeasuredMachine>>,
}

impl Default for Calibrating {
    fn default() -> Self {
        Self {
            measurer: Arc::new(machine::measure),
            state: State::Resting,
        }
    }
}

impl Calibrating {
    /// Whether a measurement is under way.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.state, State::Waiting | State::Running(_))
    }

    /// What is being measured, and the share that is done.
    pub(super) fn progress(&self) -> Option<(String, f64)> {
        match &self.state {
            State::Waiting => Some(("waits for other measurements".to_owned(), 0.0)),
            State::Running(running) => {
                let progress = running
                    .progress
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                Some(progress.clone())
            }
            State::Resting | State::Done(_) => None,
        }
    }

    /// What was measured and waits for a decision.
    pub(super) fn result(&self) -> Option<&MeasuredMachine> {
        match &self.state {
            State::Done(measured) => Some(measured),
            _ => None,
        }
    }

    /// Drops what was measured.
    pub(super) fn close(&mut self) {
        if self.result().is_some() {
            self.state = State::Resting;
        }
    }

    fn start(&mut self, wake: &Arc<dyn Fn() + Send + Sync>) {
        let progress = Arc::new(Mutex::new((String::new(), 0.0)));
        let (measurer, slot) = (Arc::clone(&self.measurer), Arc::clone(&progress));
        let wake = Arc::clone(wake);
        let answer = Promise::spawn_thread("wattif-machine", move || {
            let mut report = |what: &str, done: f64| {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = (what.to_owned(), done);
                wake();
            };
            let measured = catch_unwind(AssertUnwindSafe(|| measurer(&mut report)));
            wake();
            measured.unwrap_or_else(|_| {
                Err(Error::Compute(
                    "a library stopped without a reason".to_owned(),
                ))
            })
        });
        self.state = State::Running(Box::new(Running { progress, answer }));
    }
}

impl App {
    /// Measures this machine by other means than the program's own loops.
    pub fn measure_machine_by(&mut self, measurer: Measurer) {
        self.calibrating.measurer = measurer;
    }

    /// Goes to the device of this machine and begins to measure it.
    pub(super) fn measure_this_machine(&mut self) {
        if self.calibrating.is_busy() {
            return;
        }
        self.go_to(THIS_MACHINE.to_owned());
        self.calibrating.state = State::Waiting;
        if let Some(backend) = &mut self.model.backend {
            backend.fill(Vec::new());
        }
    }

    /// Takes the measurement of this machine a step further.
    pub(super) fn follow_calibration(&mut self) {
        match std::mem::take(&mut self.calibrating.state) {
            State::Waiting if self.model.activity.idle => self.calibrating.start(&self.wake),
            State::Running(running) => match running.answer.try_take() {
                Ok(result) => {
                    // What was left out for the measurement.
                    self.model.filled = None;
                    match result {
                        Ok(measured) => {
                            self.notices.succeeded(&Subject::Machine);
                            self.calibrating.state = State::Done(Box::new(measured));
                        }
                        Err(error) => {
                            self.fail(Subject::Machine, "This machine was not measured", &error);
                        }
                    }
                }
                Err(answer) => {
                    let progress = running.progress;
                    let running = Box::new(Running { progress, answer });
                    self.calibrating.state = State::Running(running);
                }
            },
            state => self.calibrating.state = state,
        }
    }

    /// Keeps what was measured and uses it.
    pub(super) fn use_measured_machine(&mut self) -> anyhow::Result<()> {
        let configuration = self.configuration_folder()?;
        if let Some(measured) = self.calibrating.result() {
            measured.machine.calibration.save(&configuration)?;
            self.calibrating.close();
        }
        self.reload_hardware(&configuration)
    }

    /// Deletes what was kept, and returns to the assumed constants.
    pub(super) fn forget_measured_machine(&mut self) -> anyhow::Result<()> {
        let configuration = self.configuration_folder()?;
        Calibration::forget(&configuration)?;
        self.calibrating.close();
        self.reload_hardware(&configuration)
    }
}
