//! [`EvaluationSet`]: the held-out data, in an order of which every prefix is a fair sample.

mod images;
#[cfg(test)]
mod tests;
mod texts;

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

pub use self::images::ImageSet;
use self::texts::Pieces;
pub use self::texts::TextSet;
pub(super) use self::texts::{in_rounds, stretch};
use super::generated::{COARSE_INPUTS, GeneratedSet};
use super::pictures::{NEEDED, PictureSet};
use super::sentences::SentenceSet;
use crate::data::{Images, Wanted};
use crate::error::{Error, Result};
use crate::graph::{Graph, Input};
use crate::measurement::Metric;
use crate::model::{Model, Pooling, hex};
use crate::run::Network;
use crate::tokenizer::Tokenizer;

/// Images of the first, coarse measurement.
pub const COARSE_IMAGES: usize = 256;
/// Pictures of the first, coarse measurement: enough to tell distributions of features apart.
pub const COARSE_PICTURES: usize = 512;
/// Contexts of text of the first, coarse measurement: one from each stretch.
pub const COARSE_CONTEXTS: usize = STRETCHES;
/// Stretches that a text is divided into. They stand for the independent parts behind its intervals: long enough that
/// two of them have little in common, enough of them to know how far they differ.
pub const STRETCHES: usize = 16;
/// Pictures of one step of a measurement; with the bundled models well below 50 ms.
const PICTURES_PER_STEP: usize = 128;
/// Contexts of the first, coarse measurement where tokens are pieces of words: a network of another program takes long to
/// read one.
const COARSE_TOKEN_CONTEXTS: usize = 2;
/// Sentences of the first, coarse measurement: two of each stretch.
pub const COARSE_SENTENCES: usize = 2 * STRETCHES;
/// Sentences of one step.
const SENTENCES_PER_STEP: usize = 16;
/// Contexts of one step.
const CONTEXTS_PER_STEP: usize = 8;
/// Seed of the order in which samples are taken; the same for every model, so that measurements are paired.
const ORDER_SEED: u64 = 20_260_921;

/// Held-out data that a model is measured on. It hands out *items*: an image, or a context of text with a prediction
/// for each of its bytes.
#[derive(Debug, Clone)]
pub enum EvaluationSet {
    /// Labelled images.
    Images(ImageSet),
    /// Text, predicted byte by byte.
    Text(TextSet),
    /// What pictures are made of.
    Pictures(PictureSet),
    /// Sentences for an encoder.
    Sentences(SentenceSet),
    /// Inputs that are made up.
    Generated(GeneratedSet),
}

impl EvaluationSet {
    /// Labelled images for a classifier: `pixels` are `[n, channels, size, size]` with 255 as white.
    ///
    /// # Errors
    /// [`Error::Compute`] if the pixels and labels do not fit each other and the network, or there are fewer than two.
    pub fn images(graph: &Graph, pixels: Vec<u8>, labels: Vec<u8>) -> Result<Self> {
        let Wanted {
            channels,
            size,
            classes,
        } = wanted(graph)?;
        // The sizes may come from a file, and their product beyond every type.
        let expected = [channels, size, size]
            .into_iter()
            .try_fold(labels.len(), usize::checked_mul)
            .unwrap_or(usize::MAX);
        if pixels.len() != expected || labels.len() < 2 {
            return Err(Error::Compute(format!(
                "{} labels need {expected} pixels in {channels} x {size} x {size}, not {}",
                labels.len(),
                pixels.len()
            )));
        }
        if let Some(label) = labels.iter().find(|&&l| usize::from(l) >= classes) {
            return Err(Error::Compute(format!(
                "an image is of class {label}, but the network tells {} classes apart",
                classes
            )));
        }
        let labels = labels.into_iter().map(u32::from).collect();
        let extents = (channels, size);
        Ok(Self::Images(ImageSet::new(
            pixels,
            labels,
            extents,
            macs(graph),
        )))
    }

    /// Labelled images of the user's for a classifier, read for its extents and classes.
    ///
    /// # Errors
    /// [`Error::Compute`] if they were read for another network.
    pub fn own_images(graph: &Graph, images: Images) -> Result<Self> {
        let wanted = wanted(graph)?;
        let each = wanted.channels * wanted.size * wanted.size;
        let known = |label: &u32| (*label as usize) < wanted.classes;
        let fits = images.pixels.len() == images.labels.len() * each
            && images.labels.len() >= 2
            && images.labels.iter().all(known);
        if !fits {
            return Err(Error::Compute(
                "the images were read for another network".to_owned(),
            ));
        }
        let extents = (wanted.channels, wanted.size);
        Ok(Self::Images(ImageSet::own(images, extents, macs(graph))))
    }

    /// Held-out grey images for a network that makes such, as `pixels` and `labels` of [`Self::images`] for the `judge`: a
    /// classifier whose features tell how near pictures come to them.
    ///
    /// # Errors
    /// [`Error::Compute`] if the network makes no images of this size, or those of the set do not suit the classifier.
    pub fn pictures(
        graph: &Graph,
        pixels: Vec<u8>,
        labels: Vec<u8>,
        judge: &Model,
    ) -> Result<Self> {
        let Self::Images(images) = Self::images(&judge.architecture.graph(), pixels, labels)?
        else {
            return Err(Error::Compute("the images are none".to_owned()));
        };
        let made = graph.outputs() == images.pixels(0).len();
        if images.labels().len() < 2 * NEEDED {
            return Err(Error::Compute(format!(
                "{} images are too few to tell distributions apart; {} are needed",
                images.labels().len(),
                2 * NEEDED
            )));
        }
        match graph.input {
            Some(input @ (Input::Image(_) | Input::Noise { .. } | Input::Noisy(_))) if made => {
                PictureSet::new(input, graph.latent(), images, judge).map(Self::Pictures)
            }
            _ => Err(Error::Compute(
                "the network makes no images of the size of the held-out ones".to_owned(),
            )),
        }
    }

    /// Text for a byte language model.
    ///
    /// # Errors
    /// [`Error::Compute`] if the network's tokens are not bytes or the text is shorter than two contexts.
    pub fn text(graph: &Graph, bytes: Vec<u8>) -> Result<Self> {
        let context = match graph.input {
            Some(Input::Tokens {
                vocabulary: 256,
                context,
            }) => context as usize,
            _ => {
                return Err(Error::Compute(format!(
                    "the network has {} tokens; only bytes (256) can be measured",
                    graph.outputs()
                )));
            }
        };
        let contexts = bytes.len().saturating_sub(1) / context.max(1);
        if context == 0 || contexts < 2 {
            return Err(Error::Compute(format!(
                "{} bytes of text are fewer than two contexts of {context}",
                bytes.len()
            )));
        }
        Ok(Self::Text(TextSet {
            tokens: bytes.into_iter().map(u32::from).collect(),
            context,
            scored: 0..context,
            order: in_rounds(contexts),
            pieces: None,
        }))
    }

    /// Text for a language model with a tokenizer, in contexts of so many tokens that do not overlap; `most` of them at
    /// most, spread over the text. As llama.cpp's perplexity does, the second half of each is scored, and its first token
    /// is the one that texts begin with, where there is such.
    ///
    /// # Errors
    /// [`Error::Compute`] if the text has fewer than two contexts, or the tokenizer cannot cut it.
    pub fn tokens(
        tokenizer: &Arc<Tokenizer>,
        text: &str,
        context: usize,
        most: usize,
    ) -> Result<Self> {
        let tokens = tokenizer.encode(text, true, false)?;
        let contexts = tokens.len() / context.max(1);
        if context < 4 || contexts < 2 {
            return Err(Error::Compute(format!(
                "{} tokens of text are fewer than two contexts of {context}",
                tokens.len()
            )));
        }
        let mut order = in_rounds(contexts);
        order.truncate(most);
        Ok(Self::Text(TextSet {
            tokens,
            context,
            scored: context / 2..context - 1,
            order,
            pieces: Some(Pieces {
                tokenizer: Arc::clone(tokenizer),
                begin: tokenizer.around_begin(),
            }),
        }))
    }

    /// Sentences of a text for an encoder, each of at most so many tokens.
    ///
    /// # Errors
    /// [`Error::Compute`] if there are too few, or the tokenizer cannot cut one.
    pub fn sentences(
        tokenizer: &Arc<Tokenizer>,
        text: &str,
        context: usize,
        pooling: Pooling,
    ) -> Result<Self> {
        SentenceSet::new(tokenizer, text, context, pooling).map(Self::Sentences)
    }

    /// What models are measured by on it.
    pub const fn metric(&self) -> Metric {
        match self {
            Self::Images(_) => Metric::Accuracy,
            Self::Text(text) if text.pieces.is_some() => Metric::Perplexity,
            Self::Text(_) => Metric::BitsPerByte,
            Self::Pictures(pictures) => pictures.metric(),
            Self::Sentences(_) => Metric::EmbeddingCosine,
            Self::Generated(_) => Metric::Fidelity,
        }
    }

    /// Number of samples: images, or predicted bytes.
    pub fn len(&self) -> u64 {
        self.samples(self.items())
    }

    /// Whether there is nothing to measure on; never so for a set that was made.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Samples of the coarse measurement.
    pub fn coarse(&self) -> u64 {
        self.samples(self.coarse_items())
    }

    /// Items of the coarse measurement.
    pub(crate) fn coarse_items(&self) -> usize {
        let wanted = match self {
            Self::Images(images) => images.pace.1,
            Self::Pictures(pictures) => pictures.coarse(),
            Self::Sentences(_) => COARSE_SENTENCES,
            Self::Generated(_) => COARSE_INPUTS,
            Self::Text(text) => match text.pieces {
                None => COARSE_CONTEXTS,
                Some(_) => COARSE_TOKEN_CONTEXTS,
            },
        };
        wanted.min(self.items())
    }

    /// SHA-256, hexadecimal, of what tells one set of texts from others: tokens, contexts and their order.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        if let Self::Text(text) = self {
            let parts = [text.context, text.scored.start, text.scored.end];
            for number in parts.iter().chain(&text.order) {
                hasher.update((*number as u64).to_le_bytes());
            }
            for token in &text.tokens {
                hasher.update(token.to_le_bytes());
            }
        }
        if let Self::Sentences(sentences) = self {
            for number in sentences.numbers() {
                hasher.update(number.to_le_bytes());
            }
        }
        hex(&hasher.finalize())
    }

    /// Number of items.
    pub(crate) fn items(&self) -> usize {
        match self {
            Self::Images(images) => images.order.len(),
            Self::Pictures(pictures) => pictures.items(),
            Self::Text(text) => text.order.len(),
            Self::Sentences(sentences) => sentences.order.len(),
            Self::Generated(generated) => generated.count(),
        }
    }

    /// Samples in this many items.
    pub(super) fn samples(&self, items: usize) -> u64 {
        let each = match self {
            Self::Images(_) | Self::Sentences(_) | Self::Generated(_) => 1,
            Self::Pictures(pictures) => return pictures.samples(items) as u64,
            Self::Text(text) => text.scored.len(),
        };
        (items * each) as u64
    }

    /// The items of the step that begins at item `from`.
    pub(crate) fn step(&self, from: usize) -> Range<usize> {
        if let Self::Pictures(pictures) = self
            && let Some(step) = pictures.step(from)
        {
            return step;
        }
        let size = match self {
            Self::Images(images) => images.pace.0,
            Self::Pictures(_) => PICTURES_PER_STEP,
            Self::Generated(_) => 1,
            Self::Text(text) if text.pieces.is_some() => rayon::current_num_threads().max(2),
            Self::Text(_) => CONTEXTS_PER_STEP,
            Self::Sentences(_) => SENTENCES_PER_STEP,
        };
        // A single item left over would be a step without a spread.
        let to = if from + size + 1 >= self.items() {
            self.items()
        } else {
            from + size
        };
        from..to
    }

    /// What the network is given for these items: `[n, channels, size, size]` (f32, 0 to 1) or `[n, context]` (u32).
    pub(super) fn input(&self, items: Range<usize>) -> Result<Tensor> {
        let n = items.len();
        Ok(match self {
            Self::Images(images) | Self::Pictures(PictureSet { images, .. }) => {
                let values = images.shades(items);
                let shape = (n, images.channels, images.size, images.size);
                Tensor::from_vec(values, shape, &Device::Cpu)?
            }
            Self::Text(text) => {
                let mut tokens: Vec<u32> = text.order[items]
                    .iter()
                    .flat_map(|&index| &text.tokens[index * text.context..][..text.context])
                    .copied()
                    .collect();
                if let Some(begin) = text.pieces.as_ref().and_then(|pieces| pieces.begin) {
                    tokens
                        .chunks_exact_mut(text.context)
                        .for_each(|context| context[0] = begin);
                }
                Tensor::from_vec(tokens, (n, text.context), &Device::Cpu)?
            }
            Self::Sentences(_) => {
                return Err(Error::Compute(
                    "sentences differ in length and are run one by one".to_owned(),
                ));
            }
            Self::Generated(_) => {
                return Err(Error::Compute(
                    "networks of other programs are not run here".to_owned(),
                ));
            }
        })
    }

    /// Tokens of an item; an image counts as one.
    pub(crate) fn item_length(&self) -> usize {
        match self {
            Self::Images(_) | Self::Pictures(_) | Self::Generated(_) => 1,
            Self::Text(text) => text.context,
            Self::Sentences(sentences) => sentences.longest(),
        }
    }

    /// Predictions of an item that are scored, of the network's last so many.
    pub(super) fn scored(&self) -> (Range<usize>, usize) {
        match self {
            Self::Images(_) | Self::Pictures(_) | Self::Sentences(_) | Self::Generated(_) => {
                (0..1, 1)
            }
            Self::Text(text) => {
                let last = text.context - text.scored.start;
                (0..text.scored.len(), last)
            }
        }
    }

    /// The right answers for an item: one class, or the tokens that follow.
    pub(super) fn targets(&self, item: usize) -> &[u32] {
        match self {
            Self::Images(images) | Self::Pictures(PictureSet { images, .. }) => {
                let index = images.order[item];
                &images.labels[index..=index]
            }
            Self::Text(text) => {
                let start = text.order[item] * text.context + text.scored.start + 1;
                &text.tokens[start..][..text.scored.len()]
            }
            Self::Sentences(_) | Self::Generated(_) => &[],
        }
    }

    /// What an item has in common with others: a text's stretch; an image is on its own.
    pub(super) fn cluster(&self, item: usize) -> usize {
        match self {
            Self::Images(_) | Self::Pictures(_) | Self::Generated(_) => item,
            Self::Text(text) => stretch(text.order[item], text.contexts()),
            Self::Sentences(sentences) => sentences.stretch(item),
        }
    }

    /// Checks that a network reads this set's inputs and answers in its terms.
    pub(super) fn check(&self, network: &Network) -> Result<()> {
        let fits = match (self, network.input()) {
            (Self::Pictures(pictures), _) => pictures.fits(network),
            (Self::Images(images), Input::Image((channels, rows, columns))) => {
                let wanted = [channels, rows, columns].map(|extent| extent as usize);
                [images.channels, images.size, images.size] == wanted
            }
            (Self::Text(text), Input::Tokens { context, .. }) => {
                // A network may have more outputs than there are pieces.
                let known = match &text.pieces {
                    Some(pieces) => pieces.tokenizer.vocabulary() <= network.outputs(),
                    None => network.outputs() == 256,
                };
                text.context <= context as usize && known
            }
            (
                Self::Sentences(sentences),
                Input::Tokens {
                    vocabulary,
                    context,
                },
            ) => sentences.fits(vocabulary as usize, context as usize),
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(Error::Compute(
                "a network of this shape cannot be measured on these data".to_owned(),
            ))
        }
    }
}

/// What images a network reads.
///
/// # Errors
/// It reads none, or none as high as wide.
pub(crate) fn wanted(graph: &Graph) -> Result<Wanted> {
    match graph.input {
        Some(Input::Image((channels, rows, columns))) if rows == columns => Ok(Wanted {
            channels: channels as usize,
            size: rows as usize,
            classes: graph.outputs(),
        }),
        _ => Err(Error::Compute(
            "the network does not read square images".to_owned(),
        )),
    }
}

/// Multiply-accumulates of one unit of work.
fn macs(graph: &Graph) -> f64 {
    graph.layers().iter().map(|layer| layer.macs).sum()
}

fn shuffled(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(ORDER_SEED));
    order
}
