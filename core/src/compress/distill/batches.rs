//! [`TrainingSet`]: what a network is trained on, and the order in which it sees it.

use candle_core::{Device, Tensor};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::model::{Architecture, DiffusionConfig, GptConfig, RnnConfig, VaeConfig};

/// Data to train on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrainingSet {
    /// Grey images with their classes.
    Images {
        /// Pixels 0 to 255, image by image, row by row.
        pixels: Vec<u8>,
        /// The class of each image.
        labels: Vec<u8>,
    },
    /// One text, byte by byte.
    Text(Vec<u8>),
}

/// Most pixels that augmentation moves an image by, in each direction.
const SHIFT: i32 = 1;

/// Batches without end, in an order that the seed decides. Images come in shuffled passes, those of a classifier each
/// mirrored at random and moved by up to [`SHIFT`] pixels; text comes in windows from random places.
pub(super) struct Batches<'a> {
    data: &'a TrainingSet,
    /// Height and width of an image, or length of a window.
    size: usize,
    rng: ChaCha8Rng,
    order: Vec<usize>,
    at: usize,
    /// Whether images are mirrored and moved; not where others like them are to be made.
    augmented: bool,
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        architecture: &Architecture,
        data: &'a TrainingSet,
        seed: u64,
    ) -> Result<Self> {
        let (size, order) = match (architecture, data) {
            (Architecture::Cnn(config), TrainingSet::Images { pixels, labels }) => {
                let wanted = labels.len() * config.size * config.size;
                if config.input_channels != 1 || labels.is_empty() || pixels.len() != wanted {
                    return Err(Error::Compute(format!(
                        "{} pixels and {} labels are no set of {1} grey images of {2}x{2} pixels",
                        pixels.len(),
                        labels.len(),
                        config.size
                    )));
                }
                if let Some(label) = labels.iter().find(|&&l| usize::from(l) >= config.classes) {
                    return Err(Error::Compute(format!(
                        "label {label} is not one of {} classes",
                        config.classes
                    )));
                }
                (config.size, (0..labels.len()).collect())
            }
            (
                Architecture::Vae(VaeConfig { channels, size, .. }),
                TrainingSet::Images { pixels, labels },
            )
            | (
                Architecture::Diffusion(DiffusionConfig { channels, size, .. }),
                TrainingSet::Images { pixels, labels },
            ) => {
                let wanted = labels.len() * size * size;
                if *channels != 1 || labels.is_empty() || pixels.len() != wanted {
                    return Err(Error::Compute(format!(
                        "{} pixels are no {} grey images of {size}x{size} pixels",
                        pixels.len(),
                        labels.len(),
                    )));
                }
                (*size, (0..labels.len()).collect())
            }
            (
                Architecture::Gpt(GptConfig { context, .. })
                | Architecture::Rnn(RnnConfig { context, .. }),
                TrainingSet::Text(text),
            ) => {
                if text.len() <= *context {
                    return Err(Error::Compute(format!(
                        "{} bytes of text are too few for a context of {context}",
                        text.len(),
                    )));
                }
                (*context, Vec::new())
            }
            _ => {
                return Err(Error::Compute(format!(
                    "the training data does not suit a {}",
                    architecture.family()
                )));
            }
        };
        // Another stream than the one that the initial weights come from.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        Ok(Self {
            data,
            size,
            rng,
            at: order.len(),
            order,
            augmented: matches!(architecture, Architecture::Cnn(_)),
        })
    }

    /// The next inputs, as the network's forward pass takes them, and the label of each prediction.
    pub(super) fn next(&mut self, batch: usize) -> Result<(Tensor, Vec<u32>)> {
        match self.data {
            TrainingSet::Images { pixels, labels } => self.images(pixels, labels, batch),
            TrainingSet::Text(text) => self.windows(text, batch),
        }
    }

    fn images(&mut self, pixels: &[u8], labels: &[u8], batch: usize) -> Result<(Tensor, Vec<u32>)> {
        let size = self.size;
        let mut input = Vec::with_capacity(batch * size * size);
        let mut classes = Vec::with_capacity(batch);
        for _ in 0..batch {
            if self.at == self.order.len() {
                self.order.shuffle(&mut self.rng);
                self.at = 0;
            }
            let index = self.order[self.at];
            self.at += 1;
            let image = &pixels[index * size * size..(index + 1) * size * size];
            let (mirrored, dy, dx) = match self.augmented {
                true => {
                    let mirrored: bool = self.rng.random();
                    let dy = self.rng.random_range(-SHIFT..=SHIFT);
                    (mirrored, dy, self.rng.random_range(-SHIFT..=SHIFT))
                }
                false => (false, 0, 0),
            };
            let source = |at: usize, by: i32| -> Option<usize> {
                at.checked_add_signed(by as isize)
                    .filter(|&from| from < size)
            };
            for y in 0..size {
                for x in 0..size {
                    let x = if mirrored { size - 1 - x } else { x };
                    let value = match (source(y, dy), source(x, dx)) {
                        (Some(y), Some(x)) => f32::from(image[y * size + x]) / 255.0,
                        _ => 0.0,
                    };
                    input.push(value);
                }
            }
            classes.push(u32::from(labels[index]));
        }
        let input = Tensor::from_vec(input, (batch, 1, size, size), &Device::Cpu)?;
        Ok((input, classes))
    }

    fn windows(&mut self, text: &[u8], batch: usize) -> Result<(Tensor, Vec<u32>)> {
        let t = self.size;
        let mut input = Vec::with_capacity(batch * t);
        let mut next = Vec::with_capacity(batch * t);
        for _ in 0..batch {
            let start = self.rng.random_range(0..text.len() - t);
            input.extend(text[start..start + t].iter().map(|&byte| u32::from(byte)));
            next.extend(
                text[start + 1..=start + t]
                    .iter()
                    .map(|&byte| u32::from(byte)),
            );
        }
        Ok((Tensor::from_vec(input, (batch, t), &Device::Cpu)?, next))
    }
}
