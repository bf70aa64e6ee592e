//! Text that a model writes, so that a person can see what a number of bits per byte means.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::baseline::NOT_FINITE;
use super::set::EvaluationSet;
use crate::error::{Error, Result};
use crate::run::{Network, Prediction};

/// Bytes that a model writes after a prompt.
const CONTINUATION: usize = 200;
/// Tokens that a model writes after a prompt, where these are pieces of words.
const CONTINUATION_TOKENS: usize = 24;
/// Bytes of a prompt, at most.
const PROMPT: usize = 64;
/// The same in tokens, where these are pieces of words.
const PROMPT_TOKENS: usize = 16;
/// Below 1 likely bytes become likelier: at 0 a small model repeats itself, at 1 it rambles.
const TEMPERATURE: f64 = 0.7;
/// Seed of the numbers that bytes are drawn with: the same for every model, so that two equal ones write the same.
const SEED: u64 = 20_260_922;
/// Where in the held-out text prompts are looked for, as fractions of its length.
const PLACES: [f64; 2] = [0.2, 0.7];

/// Prompts from the held-out text: the beginnings of sentences in it; none if the set is not text.
pub(super) fn prompts(set: &EvaluationSet) -> Vec<Vec<u32>> {
    let EvaluationSet::Text(text) = set else {
        return Vec::new();
    };
    let all = text.all();
    let at = PLACES.map(|place| (all.len() as f64 * place) as usize);
    if text.pieces().is_some() {
        let some = |at: usize| all[at..all.len().min(at + PROMPT_TOKENS)].to_vec();
        return at.map(some).to_vec();
    }
    let bytes: Vec<u8> = all
        .iter()
        .filter_map(|&token| u8::try_from(token).ok())
        .collect();
    let tokens = |prompt: &[u8]| prompt.iter().map(|&byte| u32::from(byte)).collect();
    at.map(|at| tokens(prompt(&bytes, at))).to_vec()
}

/// Tokens as text.
pub(crate) fn readable(set: &EvaluationSet, tokens: &[u32]) -> String {
    let pieces = match set {
        EvaluationSet::Text(text) => text.pieces(),
        _ => None,
    };
    let bytes = match pieces {
        Some(pieces) => pieces.tokenizer.decode(tokens),
        None => tokens
            .iter()
            .filter_map(|&token| u8::try_from(token).ok())
            .collect(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first words of the first sentence that begins at or after `from`, or whatever stands there.
fn prompt(bytes: &[u8], from: usize) -> &[u8] {
    let rest = bytes.get(from..).unwrap_or_default();
    let sentence = rest
        .windows(3)
        .position(|w| w[0] == b'.' && w[1].is_ascii_whitespace() && w[2].is_ascii_uppercase())
        .map_or(0, |at| at + 2);
    let start = &rest[sentence..];
    let start = &start[..start.len().min(PROMPT)];
    let words = start.iter().rposition(|&byte| byte == b' ');
    &start[..words.filter(|&end| end > 0).unwrap_or(start.len())]
}

/// What a model writes after a prompt: each token is drawn, with the same seed every time, from its predictions at
/// temperature 0.7.
///
/// # Errors
/// [`Error::Compute`] if the network is no language model or its predictions are not finite.
pub(super) fn continuation(
    network: &Network,
    set: &EvaluationSet,
    prompt: &[u32],
) -> Result<Vec<u32>> {
    let pieces = match set {
        EvaluationSet::Text(text) => text.pieces(),
        _ => None,
    };
    let length = match pieces {
        Some(_) => CONTINUATION_TOKENS,
        None => CONTINUATION,
    };
    let task = Task {
        length,
        end: pieces.and_then(|pieces| pieces.tokenizer.eos()),
        choice: Choice::Sampled,
    };
    go_on(network, prompt, task, &|| Ok(()))
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The most probable one, the first of equals.
    Greedy,
    /// By its probability at temperature 0.7, with the same numbers every time.
    Sampled,
}

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    /// Tokens at most.
    pub(crate) length: usize,
    /// The token that ends a text.
    pub(crate) end: Option<u32>,
    /// How tokens are chosen.
    pub(crate) choice: Choice,
}

/// Tokens after a prompt, up to the one that ends a text; `going` is asked before each.
///
/// # Errors
/// As [`continuation`]; those of `going`.
pub(crate) fn go_on(
    network: &Network,
    prompt: &[u32],
    task: Task,
    going: &dyn Fn() -> Result<()>,
) -> Result<Vec<u32>> {
    let Some(mut reader) = network.reader() else {
        return Err(Error::Compute(format!(
            "a network of {} outputs that does not read tokens writes no text",
            network.outputs()
        )));
    };
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut text = prompt.to_vec();
    let mut unread = text.len();
    while text.len() < prompt.len() + task.length {
        going()?;
        if unread > reader.room() {
            // A full context is left for its second half, which is read again as a new one.
            reader = network.reader().unwrap_or(reader);
            unread = text.len().min(reader.room().div_ceil(2));
        }
        let logits = reader.read(&text[text.len() - unread..])?;
        let next = match task.choice {
            Choice::Greedy => greedy(&logits)?,
            Choice::Sampled => draw(&logits, rng.random())?,
        };
        if task.end == Some(next) {
            break;
        }
        text.push(next);
        unread = 1;
    }
    Ok(text.split_off(prompt.len()))
}

/// The token of the largest logit.
fn greedy(logits: &[f32]) -> Result<u32> {
    let prediction =
        Prediction::new(logits).ok_or_else(|| Error::Compute(NOT_FINITE.to_owned()))?;
    Ok(u32::try_from(prediction.top()).unwrap_or(u32::MAX))
}

/// The token at `place`, from 0 to 1, of all probability laid end to end.
fn draw(logits: &[f32], place: f64) -> Result<u32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits
        .iter()
        .map(|&logit| (f64::from(logit - largest) / TEMPERATURE).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    if !total.is_finite() {
        return Err(Error::Compute(NOT_FINITE.to_owned()));
    }
    let mut left = place * total;
    for (token, weight) in (0..u32::MAX).zip(&weights) {
        left -= weight;
        if left < 0.0 {
            return Ok(token);
        }
    }
    // Rounding can leave a trace beyond the last.
    Ok(u32::try_from(logits.len().saturating_sub(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Architecture, GptConfig};

    fn architecture() -> Architecture {
        Architecture::Gpt(GptConfig {
            context: 48,
            width: 16,
            hidden: 32,
            blocks: 2,
            ..GptConfig::bytes()
        })
    }

    fn set() -> EvaluationSet {
        EvaluationSet::text(&architecture().graph(), vec![b'a'; 1000]).unwrap()
    }

    fn tokens(text: &[u8]) -> Vec<u32> {
        text.iter().map(|&byte| u32::from(byte)).collect()
    }

    #[test]
    fn a_prompt_is_the_beginning_of_a_sentence() {
        let text = b"Nothing here. Some years ago - never mind how long precisely - having little or no money in my purse";
        let found = std::str::from_utf8(prompt(text, 3)).unwrap();
        assert_eq!(
            found,
            "Some years ago - never mind how long precisely - having little"
        );
        assert_eq!(prompt(b"abc", 1), b"bc");
        assert_eq!(prompt(b"abc", 9), b"");
    }

    #[test]
    fn the_same_model_writes_the_same_and_another_something_else() {
        let architecture = architecture();
        let write = |seed| {
            let tensors = architecture.initial_tensors(seed).unwrap();
            let network = architecture.ready(&tensors, 8).unwrap();
            continuation(&network, &set(), &tokens(b"Call me Ishmael.")).unwrap()
        };
        assert_eq!(write(1).len(), CONTINUATION);
        assert_eq!(write(1), write(1));
        assert_ne!(write(1), write(2));
    }

    #[test]
    fn an_empty_prompt_and_a_long_one_are_continued() {
        let architecture = architecture();
        let weights = architecture.initial_tensors(1).unwrap();
        for prompt in [vec![b' '], vec![b'a'; 300]] {
            let network = architecture.ready(&weights, 32).unwrap();
            let text = continuation(&network, &set(), &tokens(&prompt)).unwrap();
            assert_eq!(text.len(), CONTINUATION);
        }
    }

    #[test]
    fn bytes_are_drawn_as_often_as_they_are_likely() {
        // At temperature T a weight w needs the logit T ln w.
        let mut logits = vec![f32::NEG_INFINITY; 256];
        logits[65] = (TEMPERATURE * 3f64.ln()) as f32;
        logits[90] = 0.0;
        let found: Vec<u32> = (0..8)
            .map(|i| draw(&logits, (f64::from(i) + 0.5) / 8.0).unwrap())
            .collect();
        assert_eq!(found, tokens(b"AAAAAAZZ"));
        assert!(draw(&[f32::NAN; 256], 0.5).is_err());
    }

    #[test]
    fn a_classifier_writes_nothing() {
        let cnn = Architecture::Cnn(crate::model::CnnConfig::fashion());
        let tensors = cnn.initial_tensors(1).unwrap();
        let error = continuation(&cnn.ready(&tensors, 32).unwrap(), &set(), &[7]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "computation failed: a network of 10 outputs that does not read tokens writes no text"
        );
    }
}
