//! Running the spiking version of a compressed network.

use super::{Engine, Observer, lock, network_id, store_key};
use crate::compress::distill::TrainingSet;
use crate::error::{Error, Result};
use crate::evaluate::run_spiking;
use crate::graph::Input;
use crate::measurement::Spiking;
use crate::model::bundled;
use crate::recipe::Recipe;

/// Held-out images that a spiking version is run on: at 32 time steps they take about as long as all of them do
/// otherwise.
const SPIKING_IMAGES: usize = 500;
/// Training images that its thresholds are taken from.
const CALIBRATION_IMAGES: usize = 64;

impl Engine {
    /// Runs the spiking version of the compressed network on held-out images, each presented for `steps` time steps:
    /// how many it gets right and how often its neurons fire. Thresholds come from training images. Weights are rounded
    /// and pruned as the recipe says; activations are spikes, whatever bits it gives them.
    ///
    /// # Errors
    /// The recipe is out of range; [`crate::Error::Infeasible`] where the network has no spiking version;
    /// [`crate::Error::Cancelled`] if the observer wished so.
    pub fn spike(&self, recipe: &Recipe, steps: u32, observer: &dyn Observer) -> Result<Spiking> {
        self.check_own("run as a spiking network")?;
        let recipe = self.checked(recipe)?;
        let student = self.student(&recipe);
        let key = format!("{steps} steps {}", store_key(&recipe, student.as_deref()));
        let known = lock(&self.spiking).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        observer.progress("Running the spiking version", 0.0);
        let id = network_id(student.as_deref());
        let spiking = self.attempts.run(&key, &id, || {
            let network = self.network(student.as_deref())?;
            let compressed =
                lock(&network.compressor).compress(&recipe, &|| observer.abandoned())?;
            let spiking = run_spiking(
                &network.architecture,
                &compressed.tensors,
                &self.set,
                self.calibration_images()?,
                SPIKING_IMAGES,
                steps,
                &|| observer.cancelled(),
            );
            lock(&network.compressor).recycle(compressed);
            spiking
        })?;
        lock(&self.spiking).insert(key, spiking.clone());
        Ok(spiking)
    }

    /// Training images, values 0 to 1, that thresholds of spiking neurons are taken from; none for text.
    fn calibration_images(&self) -> Result<&[f32]> {
        if let Some(images) = self.calibration.get() {
            return Ok(images);
        }
        if self.own_data.is_some() {
            return Err(Error::Infeasible(
                "thresholds of spiking neurons are taken from training images that ship; on images of your own there is no spiking version".to_owned(),
            ));
        }
        let images = match (
            self.model.architecture.input(),
            bundled::training_set(&self.model.architecture)?,
        ) {
            (Input::Image((channels, rows, columns)), TrainingSet::Images { pixels, .. }) => {
                let values = (channels * rows * columns) as usize;
                pixels
                    .iter()
                    .take(CALIBRATION_IMAGES * values)
                    .map(|&pixel| f32::from(pixel) / 255.0)
                    .collect()
            }
            _ => Vec::new(),
        };
        Ok(self.calibration.get_or_init(|| images))
    }
}
