//! A language model run part by part: the weights of a part are asked for, all texts pass through it, and it is dropped
//! before the next one. Memory is one part and what stands between the parts, however large the network is.

use std::ops::Range;

use rayon::prelude::*;

use super::lower::{self, Held, Widths};
use super::program::{Frame, Program};
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Op};

/// A language model to be run part by part.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    graph: &'a Graph,
    segments: Vec<Range<usize>>,
    widths: Widths,
}

/// Texts of equal length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Texts<'a> {
    /// `[n, length]`.
    pub(crate) tokens: &'a [u32],
    /// Tokens of each.
    pub(crate) length: usize,
    /// Predictions wanted of each: the last so many.
    pub(crate) last: usize,
}

/// What has become of texts before the last part of a network.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hidden {
    /// Numbers of a row.
    width: usize,
    /// Rows of each text.
    each: usize,
    /// `[n, each, width]`.
    rows: Vec<f32>,
}

/// The last part, from which predictions come.
#[derive(Debug)]
pub(crate) struct Head(Program);

/// What a core works in while it runs a [`Head`].
#[derive(Debug)]
pub(crate) struct Desk(Frame);

impl<'a> Stream<'a> {
    /// What enters matrices is rounded to `activation_bits`.
    ///
    /// # Errors
    /// The network is not made of parts that can run one after another.
    pub(crate) fn new(graph: &'a Graph, activation_bits: u8) -> Result<Self> {
        let segments = graph.segments();
        let attends = |range: &Range<usize>| {
            let mut nodes = graph.nodes[range.clone()].iter();
            nodes.any(|node| node.op.looks_back())
        };
        if segments.len() < 2 || segments.last().is_some_and(attends) {
            return Err(Error::Compute(
                "this network cannot be run part by part".to_owned(),
            ));
        }
        Ok(Self {
            graph,
            segments,
            widths: Widths {
                activations: activation_bits,
                held: Held::Single,
            },
        })
    }

    /// Texts through all parts but the last. `before` is told before each part which one it is, from 0, and of how many,
    /// the last included; its error ends the run.
    ///
    /// # Errors
    /// That of `before`; a tensor is missing or of another size; a token is unknown, or a text longer than the context.
    pub(crate) fn hidden(
        &self,
        weights: &dyn Weights,
        texts: Texts<'_>,
        before: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Hidden> {
        let n = texts.tokens.len() / texts.length.max(1);
        let mut all = Hidden {
            width: 0,
            each: texts.length,
            rows: Vec::new(),
        };
        let attends = |node: &Node| node.op.looks_back();
        let last_attention = self.graph.nodes.iter().rposition(attends);
        for (i, segment) in self.segments[..self.segments.len() - 1].iter().enumerate() {
            before(i, self.segments.len())?;
            let tokens = Some(texts.tokens);
            let program =
                lower::segment(self.graph, weights, self.widths, segment.clone(), tokens)?;
            // From the last attention on only the rows that are wanted go on.
            let read = all.each;
            let left = match last_attention {
                Some(last) if segment.end > last => texts.last,
                _ => read,
            };
            let width = program.outputs();
            let mut next = vec![0.0; n * left * width];
            let given = read * all.width;
            texts
                .tokens
                .par_chunks_exact(texts.length)
                .zip(next.par_chunks_exact_mut(left * width))
                .enumerate()
                .try_for_each_init(
                    || program.frame(1),
                    |frame, (text, (tokens, next))| {
                        frame.back_to(0);
                        let tokens = &tokens[texts.length - read..];
                        let given = &all.rows[text * given..][..given];
                        program.read_given(frame, tokens, given, left, &mut |row, some| {
                            next[row * width..][..some.len()].copy_from_slice(some);
                        })
                    },
                )?;
            all = Hidden {
                width,
                each: left,
                rows: next,
            };
        }
        Ok(all)
    }

    pub(super) const fn graph(&self) -> &'a Graph {
        self.graph
    }

    pub(super) fn segments(&self) -> &[Range<usize>] {
        &self.segments
    }

    pub(super) const fn widths(&self) -> Widths {
        self.widths
    }

    /// Bytes that stand between two parts for each token.
    pub(crate) fn bytes_per_token(&self) -> usize {
        let width = self.graph.nodes.iter().find_map(|node| match node.op {
            Op::Embedding { width, .. } => Some(width as usize),
            _ => None,
        });
        width.unwrap_or(1) * size_of::<f32>()
    }

    /// How many parts there are.
    pub(crate) fn parts(&self) -> usize {
        self.segments.len()
    }

    /// The same without rounding activations.
    pub(crate) fn unrounded(&self) -> Self {
        Self {
            graph: self.graph,
            segments: self.segments.clone(),
            widths: Widths {
                activations: 32,
                ..self.widths
            },
        }
    }

    /// The last part.
    ///
    /// # Errors
    /// A tensor is missing or of another size.
    pub(crate) fn head(&self, weights: &dyn Weights) -> Result<Head> {
        let last = self.segments.last().cloned().unwrap_or_default();
        lower::segment(self.graph, weights, self.widths, last, None).map(Head)
    }
}

impl Hidden {
    /// Rows of one text.
    pub(crate) fn of_text(&self, text: usize) -> &[f32] {
        let each = self.each * self.width;
        &self.rows[text * each..][..each]
    }

    /// Bytes of all rows.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.rows.as_slice())
    }

    /// How many texts there are.
    pub(crate) fn texts(&self) -> usize {
        self.rows.len() / (self.each * self.width).max(1)
    }

    /// Numbers of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Appends other texts through the same network.
    pub(crate) fn extend(&mut self, other: &Self) {
        (self.width, self.each) = (other.width, other.each);
        self.rows.extend_from_slice(&other.rows);
    }
}

impl Head {
    /// Something to work in, for one core.
    pub(crate) fn desk(&self) -> Desk {
        Desk(self.0.frame(1))
    }

    /// Numbers of a prediction.
    pub(crate) fn outputs(&self) -> usize {
        self.0.outputs()
    }

    /// The logits `[rows, outputs]` of what has become of some tokens, some rows at a time: the first number is how many
    /// rows came before.
    ///
    /// # Errors
    /// A kernel of another library refuses.
    pub(crate) fn logits(
        &self,
        desk: &mut Desk,
        rows: &[f32],
        take: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        let width = self.0.given_width();
        let n = rows.len() / width.max(1);
        desk.0.back_to(0);
        // No step of it looks at tokens.
        self.0.read_given(&mut desk.0, &vec![0; n], rows, n, take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Cell;
    use crate::model::{Architecture, GptConfig, RnnConfig, Tensors};
    use crate::run::Network;
    use candle_core::{Device, Tensor};

    fn network() -> (Architecture, Tensors) {
        let architecture = Architecture::Gpt(GptConfig {
            context: 48,
            width: 16,
            hidden: 32,
            blocks: 3,
            ..GptConfig::bytes()
        });
        let tensors = architecture.initial_tensors(4).unwrap();
        (architecture, tensors)
    }

    #[test]
    fn part_by_part_gives_the_same_as_all_at_once() {
        let (architecture, tensors) = network();
        the_same(&architecture, &tensors);
        for cell in [Cell::Lstm, Cell::Gru] {
            let architecture = Architecture::Rnn(RnnConfig {
                context: 48,
                width: 8,
                units: 20,
                layers: 2,
                cell,
                ..RnnConfig::bytes()
            });
            let tensors = architecture.initial_tensors(4).unwrap();
            the_same(&architecture, &tensors);
        }
    }

    fn the_same(architecture: &Architecture, tensors: &Tensors) {
        let graph = architecture.graph();
        let (n, length) = (3, 40);
        let tokens: Vec<u32> = (0..n * length).map(|i| (i * 37 % 256) as u32).collect();
        let input = Tensor::from_vec(tokens.clone(), (3, 40), &Device::Cpu).unwrap();
        for (last, bits) in [(40, 32), (33, 32), (7, 8), (1, 16)] {
            let whole = Network::new(&graph, tensors, bits).unwrap();
            let expected = whole.run_last(&input, last).unwrap();
            let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
            let stream = Stream::new(&graph, bits).unwrap();
            let texts = Texts {
                tokens: &tokens,
                length,
                last,
            };
            let mut told = Vec::new();
            let hidden = stream
                .hidden(tensors, texts, &mut |part, parts| {
                    told.push((part, parts));
                    Ok(())
                })
                .unwrap();
            let parts = stream.parts();
            assert!(
                told.iter()
                    .copied()
                    .eq((0..parts - 1).map(|part| (part, parts)))
            );
            let head = stream.head(tensors).unwrap();
            let mut desk = head.desk();
            let mut found = Vec::new();
            for text in 0..n {
                let take = &mut |_: usize, some: &[f32]| found.extend_from_slice(some);
                head.logits(&mut desk, hidden.of_text(text), take).unwrap();
            }
            // The same sums in the same order.
            assert_eq!(found, expected, "{last} {bits}");
        }
    }

    #[test]
    fn a_run_ends_where_it_is_told_to_and_a_classifier_has_no_parts() {
        let (architecture, tensors) = network();
        let graph = architecture.graph();
        let stream = Stream::new(&graph, 32).unwrap();
        let texts = Texts {
            tokens: &[1; 8],
            length: 8,
            last: 8,
        };
        let stop = &mut |part, _| match part {
            2 => Err(Error::Cancelled),
            _ => Ok(()),
        };
        assert_eq!(
            stream.hidden(&tensors, texts, stop).unwrap_err(),
            Error::Cancelled
        );
        let cnn = Architecture::Cnn(crate::model::CnnConfig::fashion());
        assert!(Stream::new(&cnn.graph(), 32).is_err());
    }
}
