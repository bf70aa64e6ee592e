//! Encoders: sentences of different lengths, each read whole by one core, to one row of numbers each.

use rayon::prelude::*;

use super::Network;
use super::lower;
use super::program::{Frame, Program};
use super::streamed::Stream;
use super::weights::Weights;
use crate::error::Result;
use crate::model::Pooling;

/// The rows of a text's tokens after a program, given those before it.
fn rows(program: &Program, frame: &mut Frame, tokens: &[u32], given: &[f32]) -> Result<Vec<f32>> {
    let mut all = Vec::with_capacity(tokens.len() * program.outputs());
    frame.back_to(0);
    program.read_given(frame, tokens, given, tokens.len(), &mut |_, some| {
        all.extend_from_slice(some);
    })?;
    Ok(all)
}

impl Network {
    /// What becomes of sentences.
    ///
    /// # Errors
    /// [`crate::Error::Compute`] if a token is unknown or a sentence longer than the context.
    pub(crate) fn sentences(&self, texts: &[&[u32]], pooling: Pooling) -> Result<Vec<Vec<f32>>> {
        let width = self.outputs();
        texts
            .par_iter()
            .map_init(
                || self.0.frame(1),
                |frame, tokens| Ok(pooling.of(&rows(&self.0, frame, tokens, &[])?, width)),
            )
            .collect()
    }
}

impl Stream<'_> {
    /// The same part by part; `before` is told before each which one it is, from 0, and of how many; its error ends the run.
    ///
    /// # Errors
    /// As [`Network::sentences`]; that of `before`; a tensor is missing or of another size.
    pub(crate) fn sentences(
        &self,
        weights: &dyn Weights,
        texts: &[&[u32]],
        pooling: Pooling,
        before: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Vec<Vec<f32>>> {
        let tokens = texts.concat();
        let mut all: Vec<Vec<f32>> = vec![Vec::new(); texts.len()];
        let mut width = 1;
        let segments = self.segments();
        for (i, segment) in segments.iter().enumerate() {
            before(i, segments.len())?;
            let (graph, widths) = (self.graph(), self.widths());
            let program = lower::segment(graph, weights, widths, segment.clone(), Some(&tokens))?;
            width = program.outputs();
            all.par_iter_mut().zip(texts).try_for_each_init(
                || program.frame(1),
                |frame, (given, tokens)| {
                    *given = rows(&program, frame, tokens, given)?;
                    Ok::<_, crate::Error>(())
                },
            )?;
        }
        Ok(all.iter().map(|rows| pooling.of(rows, width)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Architecture, EncoderConfig, Function, Number};

    #[test]
    fn sentences_are_the_same_part_by_part_and_whatever_runs_beside_them() {
        let architecture = Architecture::Encoder(EncoderConfig {
            vocabulary: 50,
            context: 70,
            first_position: 2,
            types: 2,
            width: 24,
            blocks: 3,
            heads: 3,
            hidden: 40,
            epsilon: Number(1e-12),
            function: Function::GeluExact,
            fused: true,
            pooling: Pooling::Mean,
        });
        let tensors = architecture.initial_tensors(3).unwrap();
        let graph = architecture.graph();
        let texts: Vec<Vec<u32>> = [1_u32, 5, 33, 70]
            .iter()
            .map(|n| (0..*n).map(|i| i * 7 % 50).collect())
            .collect();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        for bits in [32, 8] {
            let network = Network::new(&graph, &tensors, bits).unwrap();
            let stream = Stream::new(&graph, bits).unwrap();
            for pooling in [Pooling::Mean, Pooling::First, Pooling::Last] {
                let whole = network.sentences(&texts, pooling).unwrap();
                let parts = stream
                    .sentences(&tensors, &texts, pooling, &mut |_, _| Ok(()))
                    .unwrap();
                assert_eq!(whole, parts);
                for (text, row) in texts.iter().zip(&whole) {
                    assert_eq!(network.sentences(&[text], pooling).unwrap()[0], *row);
                }
            }
        }
        // The first token sees what comes after it.
        let network = Network::new(&graph, &tensors, 32).unwrap();
        let first = |text: &[u32]| network.sentences(&[text], Pooling::First).unwrap();
        assert_ne!(first(&[1, 2, 3]), first(&[1, 2, 4]));
    }
}
