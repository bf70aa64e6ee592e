//! Texts that the original and the compressed network write after a prompt of the user's.

use super::streamed::LARGEST_WHOLE;
use super::{Engine, Observer, lock};
use crate::compress::Originals;
use crate::error::{Error, Result};
use crate::evaluate::{Choice, Task, go_on, readable};
use crate::graph::Input;
use crate::measurement::Example;
use crate::model::Architecture;
use crate::recipe::Recipe;
use crate::run::Network;

/// Tokens that are written where these are pieces of words, and where they are bytes.
const PIECES: usize = 48;
const BYTES: usize = 200;
/// The longest prompt, in bytes.
const LONGEST_PROMPT: usize = 4000;

impl Engine {
    /// Whether the model writes texts that can be asked for.
    pub fn writes(&self) -> bool {
        matches!(self.model.architecture.input(), Input::Tokens { .. })
            && !matches!(self.model.architecture, Architecture::Encoder(_))
            && (self.streamed.is_none() || self.model.architecture.parameters() <= LARGEST_WHOLE)
    }

    /// What the original and the compressed network write after a prompt. Models with a tokenizer take the likeliest token
    /// every time, with weights rounded to half precision where these stay in their file; a model of bytes, which would soon
    /// repeat itself, draws each by its probability at temperature 0.7, with the same numbers for both.
    ///
    /// # Errors
    /// [`Error::Infeasible`] where the model writes no texts, or the prompt is empty or too long; the recipe is out of range;
    /// [`Error::Cancelled`] if the observer wished so.
    pub fn write(&self, recipe: &Recipe, prompt: &str, observer: &dyn Observer) -> Result<Example> {
        let recipe = self.checked(recipe)?;
        if !self.writes() {
            return Err(Error::Infeasible(
                "this model writes no texts here".to_owned(),
            ));
        }
        if prompt.is_empty() || prompt.len() > LONGEST_PROMPT {
            return Err(Error::Infeasible(format!(
                "a prompt has 1 to {LONGEST_PROMPT} bytes, this one {}",
                prompt.len()
            )));
        }
        let tokenizer = self.model.tokenizer.as_ref();
        let tokens = match tokenizer {
            Some(tokenizer) => tokenizer.encode(prompt, true, false)?,
            None => prompt.bytes().map(u32::from).collect(),
        };
        let task = Task {
            length: if tokenizer.is_some() { PIECES } else { BYTES },
            end: tokenizer.and_then(|tokenizer| tokenizer.eos()),
            choice: match tokenizer {
                Some(_) => Choice::Greedy,
                None => Choice::Sampled,
            },
        };
        let going = || {
            if observer.cancelled() {
                Err(Error::Cancelled)
            } else {
                Ok(())
            }
        };
        let write = |network: &Network| {
            let text = go_on(network, &tokens, task, &going)?;
            Ok::<_, Error>(readable(&self.set, &text))
        };
        observer.progress("Writing with the original", 0.0);
        let original = write(&self.whole_original()?)?;
        observer.progress("Writing with the compressed model", 0.5);
        let compressed = if recipe.is_identity() {
            original.clone()
        } else {
            write(&self.whole(&recipe, observer)?)?
        };
        Ok(Example::Text {
            prompt: prompt.to_owned(),
            original,
            compressed,
        })
    }

    fn whole_original(&self) -> Result<Network> {
        match &self.model.source {
            Some(source) => {
                let graph = self.model.architecture.graph();
                Network::halved(&graph, &Originals::from(source), 32)
            }
            None => self.model.ready(32),
        }
    }

    /// The network that a recipe leads to, held whole.
    fn whole(&self, recipe: &Recipe, observer: &dyn Observer) -> Result<Network> {
        let network = self.network(self.student(recipe).as_deref())?;
        let bits = recipe.quantization.activation_bits;
        let mut compressor = lock(&network.compressor);
        if self.streamed.is_some() {
            let weights = compressor.on_demand(recipe, &|| observer.cancelled())?;
            return Network::halved(&network.architecture.graph(), &weights, bits);
        }
        let compressed = compressor.compress(recipe, &|| observer.cancelled())?;
        let ready = network.architecture.ready(&compressed.tensors, bits);
        compressor.recycle(compressed);
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Unobserved;
    use crate::model::ModelReference;

    fn texts(example: Example) -> (String, String) {
        match example {
            Example::Text {
                original,
                compressed,
                ..
            } => (original, compressed),
            _ => panic!("no text"),
        }
    }

    #[test]
    fn both_write_after_the_prompt_and_the_original_as_itself() {
        let bytes = Engine::open(&ModelReference::Bundled("tiny-gpt".to_owned())).unwrap();
        let file = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/language/llama");
        let pieces = Engine::open(&ModelReference::File(file)).unwrap();
        for (engine, prompt) in [(bytes, "Call me Ishmael."), (pieces, "the")] {
            assert!(engine.writes());
            let same = engine
                .write(&Recipe::default(), prompt, &Unobserved)
                .unwrap();
            let (original, compressed) = texts(same);
            assert!(!original.is_empty());
            assert_eq!(original, compressed);
            let mut narrow = Recipe::default();
            narrow.quantization.weight_bits = 2;
            let (again, compressed) = texts(engine.write(&narrow, prompt, &Unobserved).unwrap());
            assert_eq!(again, original);
            assert_ne!(compressed, original);
            for (prompt, size) in [(String::new(), "0"), ("a".repeat(5000), "5000")] {
                let said = engine.write(&narrow, &prompt, &Unobserved).unwrap_err();
                assert!(said.to_string().contains(size), "{said}");
            }
        }
        let images = Engine::open(&ModelReference::Bundled("fashion-cnn".to_owned())).unwrap();
        assert!(!images.writes());
        let said = images.write(&Recipe::default(), "a", &Unobserved);
        assert!(said.unwrap_err().to_string().contains("writes no texts"));
    }
}
