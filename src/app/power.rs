//! Power of this machine while something is measured, read in a thread of its own: sensors can be slow to answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wattif_core::power::{Answer, Meter, Source};

use crate::format;

/// Time between two readings.
const PERIOD: Duration = Duration::from_secs(1);

/// Reads the sensors for as long as it lives.
pub(super) struct PowerWatch {
    busy: Arc<AtomicBool>,
    latest: Arc<Mutex<Option<Vec<Source>>>>,
    /// The thread ends when this is dropped.
    _alive: Sender<()>,
}

impl PowerWatch {
    /// Begins; nothing is read until something is measured.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let (alive, ended) = mpsc::channel::<()>();
        let busy = Arc::new(AtomicBool::new(false));
        let latest = Arc::new(Mutex::new(None));
        let (is_busy, slot) = (Arc::clone(&busy), Arc::clone(&latest));
        std::thread::Builder::new()
            .name("wattif-power".to_owned())
            .spawn(move || {
                // A sleeping graphics card is woken by its library, so nothing is asked while nothing is measured.
                let mut meter: Option<Meter> = None;
                while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                    let reading = if is_busy.load(Ordering::Relaxed) {
                        match &mut meter {
                            Some(meter) => Some(meter.read()),
                            None => {
                                meter = Some(Meter::new());
                                None
                            }
                        }
                    } else {
                        meter = None;
                        None
                    };
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = reading;
                }
            })?;
        Ok(Self {
            busy,
            latest,
            _alive: alive,
        })
    }

    /// Says whether something is being measured, and gives the last reading since that began.
    pub(super) fn latest(&self, busy: bool) -> Option<Vec<Source>> {
        self.busy.store(busy, Ordering::Relaxed);
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .filter(|_| busy)
    }
}

/// A short line and the longer text behind it: the watts of the sensors that have any, else why there are none.
pub(super) fn in_words(sources: &[Source]) -> (String, String) {
    let readings: Vec<String> = sources
        .iter()
        .filter_map(|source| {
            let watts = source.answer.watts()?;
            Some(format!("{} {}", format::si(watts.0, "W"), source.covers))
        })
        .collect();
    let details: Vec<String> = sources
        .iter()
        .map(|source| match &source.answer {
            Answer::Reading { watts, .. } => {
                format!("{}: {}", source.sensor, format::si(watts.0, "W"))
            }
            Answer::None { reason } => format!("{}: {reason}", source.sensor),
        })
        .collect();
    if readings.is_empty() {
        (
            "no watts".to_owned(),
            format!("No power reading\n{}", details.join("\n")),
        )
    } else {
        (
            readings.join(", "),
            format!("Measured on this machine\n{}", details.join("\n")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattif_core::units::Watts;

    fn source(sensor: &str, covers: &'static str, watts: Option<f64>) -> Source {
        let answer = match watts {
            Some(watts) => Answer::Reading {
                watts: Watts(watts),
                over: None,
            },
            None => Answer::None {
                reason: "not here".to_owned(),
            },
        };
        Source {
            sensor: sensor.to_owned(),
            covers,
            answer,
        }
    }

    #[test]
    fn watts_are_shown_and_what_is_missing_is_explained() {
        let package = |watts| source("RAPL package-0", "processor package", watts);
        let battery = source("battery", "whole machine", None);
        let (line, details) = in_words(&[package(Some(23.4)), battery.clone()]);
        assert_eq!(line, "23.4 W processor package");
        assert!(details.ends_with("battery: not here"), "{details}");
        let (line, details) = in_words(&[package(None), battery]);
        assert_eq!(line, "no watts");
        assert_eq!(
            details,
            "No power reading\nRAPL package-0: not here\nbattery: not here"
        );
    }
}
