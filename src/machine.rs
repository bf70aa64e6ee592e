//! The measurement of this machine, for both faces: what is run, and its results in words.

use wattif_core::Result;
use wattif_core::benchmark::{self, BeforeAfter, Machine, Spread};
use wattif_core::hardware::Calibration;
use wattif_core::model::{Model, bundled};

use crate::format::{si, significant};

/// What was measured here, with what that is worth.
#[derive(Debug, Clone)]
pub struct MeasuredMachine {
    /// The constants, and the speeds of the bundled models.
    pub machine: Machine,
    /// Predictions before and after.
    pub before_after: BeforeAfter,
}

impl MeasuredMachine {
    /// Sets what was measured beside its predictions.
    ///
    /// # Errors
    /// The device of this machine cannot run a bundled model.
    pub fn new(models: &[Model], machine: Machine) -> Result<Self> {
        let before_after = BeforeAfter::new(models, &machine)?;
        Ok(Self {
            machine,
            before_after,
        })
    }
}

/// Measures this machine with the bundled models, about ten seconds; see [`benchmark::measure_machine`].
///
/// # Errors
/// A computation failed.
pub fn measure(progress: &mut dyn FnMut(&str, f64)) -> Result<MeasuredMachine> {
    let models = bundled_models()?;
    let machine = benchmark::measure_machine(&models, progress)?;
    MeasuredMachine::new(&models, machine)
}

/// The models that are timed.
///
/// # Errors
/// A bundled model is broken.
pub fn bundled_models() -> Result<Vec<Model>> {
    bundled::all()
        .iter()
        .map(|entry| bundled::load(entry.name))
        .collect()
}

/// Every constant by its name: median, lower and upper quartile.
pub(crate) fn constants(calibration: &Calibration) -> Vec<(&'static str, [String; 3])> {
    calibration
        .constants()
        .into_iter()
        .map(|(name, unit, spread)| {
            let values = [spread.median, spread.lower_quartile, spread.upper_quartile];
            let text = |value| match unit {
                // A share: "0.189", where a prefix would be read as a unit.
                "" => significant(value, 3),
                unit => si(value, unit),
            };
            (name, values.map(text))
        })
        .collect()
}

/// An error of a prediction: "+12 %".
pub(crate) fn error(fraction: f64) -> String {
    format!("{:+.0} %", fraction * 100.0)
}

/// What the constants are worth, in one sentence.
pub(crate) fn summary(before_after: &BeforeAfter) -> String {
    let [before, after] = before_after.factors.map(|factor| significant(factor, 3));
    format!(
        "Predictions were off by a factor of {before} (geometric mean) before, {after} after; for each model, the share \
         of whole passes comes from the other one"
    )
}

/// That the measured constants predict worse than the assumed ones, if they do.
pub(crate) fn further_off(before_after: &BeforeAfter) -> Option<&'static str> {
    let [before, after] = before_after.factors;
    (after > before).then_some(
        "Predictions are further off with the measured constants than with the assumed ones: better not use them",
    )
}

/// That repeats lie too far apart to describe the machine, if they do; `unrest` is the largest ratio of their quartiles.
pub(crate) fn restless(unrest: f64) -> Option<String> {
    (unrest > Spread::QUIET).then(|| {
        format!(
            "Repeats differ by a factor of up to {} between their quartiles: something else is running; measure again \
             when the machine is quiet",
            significant(unrest, 3)
        )
    })
}

/// That the kernels for packed weights could not be measured, if so.
pub(crate) fn held_up(calibration: &Calibration) -> Option<&'static str> {
    calibration.packed.is_none().then_some(
        "Products with packed weights waited for their threads while other programs were running: the constants of \
         these kernels stay assumed",
    )
}

/// What to know of a build that is slower than the one people use.
pub(crate) const fn debug_build() -> Option<&'static str> {
    if cfg!(debug_assertions) {
        Some("This is a debug build; measure with a release build to describe the machine")
    } else {
        None
    }
}
