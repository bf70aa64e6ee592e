//! [`Attempts`]: work in which a library may panic, and what panicked already, so that it is not tried again.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use super::lock;
use crate::error::{Error, Result};

/// Configurations of one network that may panic before none of its others is tried: one may be odd, three are a network
/// that cannot be run.
const MOST_PANICS: usize = 3;

/// What panicked, by its configuration and by its network.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    configurations: Mutex<HashMap<String, Error>>,
    networks: Mutex<HashMap<String, Vec<Error>>>,
}

impl Attempts {
    /// Runs work on a configuration of a network. A panic becomes an error; asked for again, that error is the answer
    /// without another attempt.
    ///
    /// # Errors
    /// Those of the work, and [`Error::Compute`] where it panicked, now or before.
    pub(super) fn run<T>(
        &self,
        configuration: &str,
        network: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if let Some(error) = lock(&self.configurations).get(configuration) {
            return Err(error.clone());
        }
        if let Some(panics) = lock(&self.networks).get(network)
            && let (MOST_PANICS.., Some(last)) = (panics.len(), panics.last())
        {
            return Err(last.clone());
        }
        caught(work).unwrap_or_else(|text| {
            let error = Error::Compute(format!("{text}; it is not tried again"));
            lock(&self.configurations).insert(configuration.to_owned(), error.clone());
            let mut networks = lock(&self.networks);
            networks
                .entry(network.to_owned())
                .or_default()
                .push(error.clone());
            Err(error)
        })
    }
}

/// What work gives, or the text of the panic that ended it: candle can panic on shapes it did not expect.
fn caught<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a library stopped without a reason".to_owned())
    })
}

/// The same as a result: a panic ends the piece of work, not the program.
///
/// # Errors
/// Those of the work, and [`Error::Compute`] where it panicked.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(work).unwrap_or_else(|text| Err(Error::Compute(text)))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_panicked_once_is_not_tried_again() {
        let (attempts, tried) = (Attempts::default(), Cell::new(0));
        let ask = |configuration: &str, network: &str| {
            attempts.run(configuration, network, || -> Result<()> {
                tried.set(tried.get() + 1);
                panic!("odd shapes")
            })
        };
        for _ in 0..5 {
            let error = ask("a@student", "student").unwrap_err().to_string();
            assert_eq!(
                error,
                "computation failed: odd shapes; it is not tried again"
            );
        }
        assert_eq!(tried.get(), 1);
        // Other configurations are, until it is plain that the network is at fault; other networks always are.
        for n in 0..100 {
            ask(&format!("{n}@student"), "student").unwrap_err();
        }
        assert_eq!(tried.get(), MOST_PANICS);
        assert_eq!(attempts.run("a@original", "original", || Ok(7)), Ok(7));
    }

    #[test]
    fn an_error_is_no_panic_and_may_be_tried_again() {
        let attempts = Attempts::default();
        let cancelled = attempts.run("a", "n", || Err::<u8, _>(Error::Cancelled));
        assert_eq!(cancelled, Err(Error::Cancelled));
        assert_eq!(attempts.run("a", "n", || Ok(1)), Ok(1));
    }
}
