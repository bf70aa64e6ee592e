//! A network as a list of fused steps over buffers: what [`super::lower`] makes of a graph and weights.
//!
//! One sample runs on one core through buffers that fit its cache. An image lies as `[rows, columns, channels]` inside a
//! border of zeros, so that a convolution is one matrix product over windows that need no copy; a text is a row of numbers
//! per token. What attention keeps of a text stays apart, so that it can be read bit by bit. Several texts of equal length
//! can be read together, as rows of the same products.

use std::ops::Range;

use super::attention::Attention;
use super::matrix::Rows;
use super::steps::Step;
use crate::error::{Error, Result};
use crate::graph::Input;

/// Rows of a text for which the last steps run together: their outputs, as wide as the vocabulary, stay in the cache.
const LAST_ROWS: usize = 32;

/// A network ready to run.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) input: Input,
    /// The buffer that an image, or a row of noise, is put in.
    pub(super) image: Option<usize>,
    /// The buffer of the rows that it is given in place of the network's input, of a segment that is not the first.
    pub(super) given: Option<usize>,
    pub(super) layouts: Vec<Layout>,
    pub(super) steps: Vec<Step>,
    /// The first step after the last that looks back: from there on a row does not depend on others.
    pub(super) last: usize,
    /// The buffer of the results.
    pub(super) output: usize,
    /// How many steps keep something of a text: attentions and recurrent layers.
    pub(super) attentions: usize,
}

/// How numbers lie in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// An image inside its border.
    Plane(Plane),
    /// A row for every token, or one for an image.
    Rows { width: usize, place: Place },
}

/// Which rows of texts are in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Those that are being read.
    Read,
    /// Those that the last steps run for.
    Last,
}

/// An image inside a border of zeros, channels last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plane {
    pub(super) channels: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) border: usize,
}

impl Plane {
    /// Numbers of a line of pixels, the border's included.
    pub(super) const fn line(&self) -> usize {
        (self.columns + 2 * self.border) * self.channels
    }

    pub(super) const fn len(&self) -> usize {
        (self.rows + 2 * self.border) * self.line()
    }

    pub(super) const fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// The pixels inside the border.
    pub(super) const fn inside(&self) -> Rows {
        Rows {
            first: self.border * (self.line() + self.channels),
            step: self.channels,
            width: self.columns,
            line: self.line(),
        }
    }

    /// Puts an image `[channels, rows, columns]` inside the border.
    pub(super) fn load(&self, image: &[f32], to: &mut [f32]) {
        let (place, area) = (self.inside(), self.pixels());
        for pixel in 0..area {
            let start = place.start(pixel);
            for channel in 0..self.channels {
                to[start + channel] = image[channel * area + pixel];
            }
        }
    }

    /// Takes an image `[channels, rows, columns]` out of the border.
    pub(super) fn store(&self, from: &[f32], image: &mut [f32]) {
        let (place, area) = (self.inside(), self.pixels());
        for pixel in 0..area {
            let start = place.start(pixel);
            for channel in 0..self.channels {
                image[channel * area + pixel] = from[start + channel];
            }
        }
    }

    /// The lines of pixels inside the border, each whole.
    pub(super) fn lines(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (first, line, len) = (
            self.inside().first,
            self.line(),
            self.columns * self.channels,
        );
        (0..self.rows).map(move |row| first + row * line..first + row * line + len)
    }
}

impl Layout {
    pub(super) const fn width(&self) -> usize {
        match self {
            Self::Plane(plane) => plane.channels,
            Self::Rows { width, .. } => *width,
        }
    }
}

/// An image, or texts of equal length, being run.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) buffers: Vec<Vec<f32>>,
    /// Texts that are read together.
    pub(super) texts: usize,
    /// Tokens that are read in this call, text by text.
    pub(super) tokens: Vec<u32>,
    /// Tokens of each text that were read before.
    pub(super) from: usize,
    /// The rows of this call that steps run for.
    pub(super) rows: Range<usize>,
    /// What every attention and every recurrent layer keeps of each text.
    pub(super) caches: Vec<Vec<Cache>>,
    pub(super) attention: Attention,
}

/// Keys and values of a text, a row for every token; of a recurrent layer its outputs and the contents of its memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache {
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

impl Program {
    /// An image or texts of which nothing was read yet.
    pub(super) fn frame(&self, texts: usize) -> Frame {
        let plane = |layout: &Layout| match layout {
            Layout::Plane(plane) => vec![0.0; plane.len()],
            Layout::Rows { .. } => Vec::new(),
        };
        Frame {
            buffers: self.layouts.iter().map(plane).collect(),
            texts,
            tokens: Vec::new(),
            from: 0,
            rows: 0..1,
            caches: vec![vec![Cache::default(); texts]; self.attentions],
            attention: Attention::default(),
        }
    }

    /// Numbers of a row of the results.
    pub(super) fn outputs(&self) -> usize {
        self.layouts[self.output].width()
    }

    /// Runs an image `[channels, rows, columns]`.
    ///
    /// # Errors
    /// A kernel of another library refuses.
    pub(super) fn classify(&self, image: &[f32], frame: &mut Frame, out: &mut [f32]) -> Result<()> {
        if let Some(buffer) = self.image {
            self.start(image, buffer, frame);
        }
        for step in &self.steps {
            step.run(&self.layouts, frame)?;
        }
        out.copy_from_slice(&frame.buffers[self.output][..out.len()]);
        Ok(())
    }

    /// Makes ready for an image, which is put in its buffer.
    pub(super) fn start(&self, image: &[f32], buffer: usize, frame: &mut Frame) {
        frame.rows = 0..1;
        self.make_room(frame, 1);
        match self.layouts[buffer] {
            Layout::Plane(plane) => plane.load(image, &mut frame.buffers[buffer]),
            Layout::Rows { width, .. } => {
                frame.buffers[buffer][..width].copy_from_slice(&image[..width]);
            }
        }
    }

    /// Reads on, `[texts, n]` tokens, and hands on the outputs `[rows, outputs]` for the last `wanted` of them, some rows at
    /// a time: the first number is how many rows came before.
    ///
    /// # Errors
    /// There is no room for the tokens, or one is unknown.
    pub(super) fn read(
        &self,
        frame: &mut Frame,
        tokens: &[u32],
        wanted: usize,
        take: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        self.read_given(frame, tokens, &[], wanted, take)
    }

    /// The same of a segment: `given` are the results of the one before it for the same tokens.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn read_given(
        &self,
        frame: &mut Frame,
        tokens: &[u32],
        given: &[f32],
        wanted: usize,
        take: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        let (vocabulary, context) = self.text()?;
        let (rows, n) = (tokens.len(), tokens.len() / frame.texts.max(1));
        if n * frame.texts != rows || frame.from + n > context {
            return Err(Error::Compute(format!(
                "{} tokens are more than the context of {context}",
                frame.from + n
            )));
        }
        if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            return Err(Error::Compute(format!(
                "token {token} is not among the {vocabulary}"
            )));
        }
        if rows == 0 {
            return Ok(());
        }
        frame.tokens.clear();
        frame.tokens.extend_from_slice(tokens);
        self.make_room(frame, rows);
        frame.rows = 0..rows;
        if !self.is_given_last_rows() {
            self.give(frame, given);
        }
        for step in &self.steps[..self.last] {
            step.run(&self.layouts, frame)?;
        }
        let first = rows - wanted.min(rows);
        let mut start = first;
        if self.last == self.steps.len() {
            // All of them are there.
            frame.rows = first..rows;
            take(0, frame.results(self));
            start = rows;
        }
        while start < rows {
            let end = rows.min(start + LAST_ROWS);
            frame.rows = start..end;
            if self.is_given_last_rows() {
                self.give(frame, given);
            }
            for step in &self.steps[self.last..] {
                step.run(&self.layouts, frame)?;
            }
            take(start - first, frame.results(self));
            start = end;
        }
        frame.from += n;
        Ok(())
    }

    /// Whether what a segment is given are rows that the last steps run for.
    fn is_given_last_rows(&self) -> bool {
        let layout = self.given.map(|buffer| &self.layouts[buffer]);
        matches!(
            layout,
            Some(Layout::Rows {
                place: Place::Last,
                ..
            })
        )
    }

    /// Numbers of a row that a segment is given.
    pub(super) fn given_width(&self) -> usize {
        self.given.map_or(0, |buffer| self.layouts[buffer].width())
    }

    /// Puts the rows that steps run for into the buffer of what a segment is given.
    fn give(&self, frame: &mut Frame, given: &[f32]) {
        let Some(buffer) = self.given else {
            return;
        };
        let layout = &self.layouts[buffer];
        let (width, range) = (layout.width(), frame.range(layout));
        let rows = frame.rows.start * width..frame.rows.end * width;
        frame.buffers[buffer][range].copy_from_slice(&given[rows]);
    }

    /// Whether a step goes on from its own last result.
    pub(super) fn is_recurrent(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::Recurrent(_)))
    }

    /// Whether tokens see those after them, so that no text is read bit by bit.
    pub(super) fn sees_all(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::Attend(attend) if !attend.heads.causal))
    }

    /// Vocabulary and context.
    pub(super) fn text(&self) -> Result<(usize, usize)> {
        match self.input {
            Input::Tokens {
                vocabulary,
                context,
            } => Ok((vocabulary as usize, context as usize)),
            Input::Image(_) | Input::Noise { .. } => {
                Err(Error::Compute("this network reads no tokens".to_owned()))
            }
        }
    }

    /// Room for so many rows.
    fn make_room(&self, frame: &mut Frame, rows: usize) {
        for (buffer, layout) in frame.buffers.iter_mut().zip(&self.layouts) {
            let Layout::Rows { width, place } = layout else {
                continue;
            };
            let rows = match place {
                Place::Read => rows,
                Place::Last => rows.min(LAST_ROWS),
            };
            if buffer.len() < rows * width {
                buffer.resize(rows * width, 0.0);
            }
        }
    }
}

impl Frame {
    /// Forgets what was read after so many tokens of each text.
    pub(super) fn back_to(&mut self, tokens: usize) {
        let from = self.from;
        self.from = from.min(tokens);
        for cache in self.caches.iter_mut().flatten() {
            for rows in [&mut cache.keys, &mut cache.values] {
                rows.truncate(rows.len() / from.max(1) * self.from);
            }
        }
    }

    /// The place of a row in its text.
    pub(super) fn position(&self, row: usize) -> usize {
        self.from + row % (self.tokens.len() / self.texts.max(1)).max(1)
    }

    /// The results of the rows of this call.
    fn results(&self, program: &Program) -> &[f32] {
        &self.buffers[program.output][self.range(&program.layouts[program.output])]
    }

    /// Where the rows of this call are in a buffer, in numbers.
    pub(super) fn range(&self, layout: &Layout) -> Range<usize> {
        let Layout::Rows { width, place } = layout else {
            return 0..0;
        };
        let first = match place {
            Place::Read => self.rows.start,
            Place::Last => 0,
        };
        first * width..(first + self.rows.len()) * width
    }
}
