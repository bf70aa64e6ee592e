//! What measured constants of this machine are worth: predictions with assumed and with measured ones, beside what was
//! measured.

use super::machine::{Machine, Speed, predicted_speed};
use crate::error::Result;
use crate::hardware::{HardwareTarget, this_machine};
use crate::model::Model;
use crate::spread::Spread;

/// A measured speed with its predictions, in units of work per second.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// What was measured.
    pub speed: Speed,
    /// Predicted with assumed constants.
    pub before: f64,
    /// Predicted with measured ones; the share of whole passes comes from the other models.
    pub after: f64,
}

impl Prediction {
    /// How far both predictions are from the median of what was measured, as fractions of it.
    pub fn errors(&self) -> [f64; 2] {
        [self.before, self.after].map(|predicted| predicted / self.speed.measured.median - 1.0)
    }
}

/// Predictions before and after calibration.
#[derive(Debug, Clone)]
pub struct BeforeAfter {
    /// Every measured speed.
    pub predictions: Vec<Prediction>,
    /// Geometric mean of the factors by which predictions are off, before and after.
    pub factors: [f64; 2],
    /// The largest ratio between the quartiles of the repeats of one speed.
    pub unrest: f64,
}

impl BeforeAfter {
    /// Compares what was measured of `models`, in that order.
    ///
    /// # Errors
    /// The device of this machine cannot run a model.
    pub fn new(models: &[Model], machine: &Machine) -> Result<Self> {
        let assumed = this_machine(None)?;
        let mut predictions = Vec::new();
        for (model, (speeds, calibration)) in models.iter().zip(&machine.models) {
            let measured = this_machine(Some(calibration))?;
            for speed in speeds {
                let typical = |target: &HardwareTarget| {
                    predicted_speed(model, speed.batch, target).map(|range| range.typical)
                };
                predictions.push(Prediction {
                    speed: speed.clone(),
                    before: typical(&assumed)?,
                    after: typical(&measured)?,
                });
            }
        }
        let factor = |which: usize| {
            let logarithms = predictions
                .iter()
                .map(|p| (1.0 + p.errors()[which]).ln().abs());
            (logarithms.sum::<f64>() / predictions.len().max(1) as f64).exp()
        };
        let ratios = predictions.iter().map(|p| p.speed.measured.ratio());
        Ok(Self {
            factors: [factor(0), factor(1)],
            unrest: ratios.fold(1.0, f64::max),
            predictions,
        })
    }
}

impl Spread {
    /// Quartiles further apart than by this factor come from other programs, not from the clock.
    pub const QUIET: f64 = 1.15;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{identity, sample_calibration};
    use crate::model::bundled;

    #[test]
    fn a_speed_as_predicted_is_off_by_a_factor_of_one() {
        let models: Vec<Model> = bundled::all()
            .iter()
            .map(|entry| bundled::load(entry.name).unwrap())
            .collect();
        let calibration = sample_calibration(identity());
        let target = this_machine(Some(&calibration)).unwrap();
        let speeds = |model: &Model| {
            let median = predicted_speed(model, 64, &target).unwrap().typical;
            let measured = Spread {
                lower_quartile: 0.9 * median,
                median,
                upper_quartile: 1.35 * median,
                repeats: 11,
            };
            vec![Speed {
                model: model.name.clone(),
                batch: 64,
                unit: "image",
                measured,
            }]
        };
        let machine = Machine {
            models: models
                .iter()
                .map(|model| (speeds(model), calibration.clone()))
                .collect(),
            calibration,
            packed: Vec::new(),
        };
        let compared = BeforeAfter::new(&models, &machine).unwrap();
        assert_eq!(compared.predictions.len(), models.len());
        let [before, after] = compared.factors;
        assert!((after - 1.0).abs() < 1e-9, "{after}");
        assert!(before > 1.01, "{before}");
        for prediction in &compared.predictions {
            let [before, after] = prediction.errors();
            assert!(before.abs() > 0.01 && after.abs() < 1e-9);
        }
        assert!((compared.unrest - 1.5).abs() < 1e-9);
    }
}
