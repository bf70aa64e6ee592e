//! Merging by score, as llama.cpp reads vocabularies of sentencepiece: a text begins as its characters, and of all
//! neighbours those whose piece has the highest score are merged first. What is in no piece is written as its bytes.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::bytes;
use super::vocabulary::{BLANK, Kind, Vocabulary, list};
use crate::weights::Source;

/// A vocabulary with scores.
#[derive(Debug)]
pub(super) struct Scores {
    pieces: HashMap<Box<str>, (u32, f32)>,
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    /// Whether a text gets a blank before it.
    prefix: bool,
}

/// A merge to be done.
struct Merge {
    score: f32,
    left: usize,
    right: usize,
    /// The bytes of both, by which it is known to be out of date.
    length: usize,
}

impl Ord for Merge {
    fn cmp(&self, other: &Self) -> Ordering {
        let scores = self.score.total_cmp(&other.score);
        scores.then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Merge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Merge {}

/// A stretch of a text; of length 0 when it was merged into the one before.
struct Node {
    from: usize,
    length: usize,
    before: Option<usize>,
    after: Option<usize>,
}

impl Scores {
    pub(super) fn read(source: &dyn Source, vocabulary: &Vocabulary<'_>) -> Result<Self, String> {
        let key = "tokenizer.ggml.scores";
        let scores = list(source, key, vocabulary.len())?
            .ok_or_else(|| format!("the metadata hold no list '{key}'"))?;
        let mut pieces = HashMap::with_capacity(vocabulary.len());
        let mut bytes = vec![None; 256];
        for ((id, text), score) in vocabulary.iter().zip(scores.iter()) {
            let score = score.float().filter(|score| score.is_finite());
            let score = score.ok_or_else(|| format!("piece {id} has a score that is no number"))?;
            pieces.insert(text.into(), (id, score as f32));
            if vocabulary.kind(id as usize) == Kind::Byte
                && let Some(byte) = bytes::named(text)
            {
                bytes[usize::from(byte)] = Some(id);
            }
        }
        let flag = |key: &str| source.metadata(key).and_then(|value| value.flag());
        Ok(Self {
            pieces,
            bytes,
            unknown: vocabulary
                .special(source, "unknown")
                .or(vocabulary.existing(0)),
            prefix: flag("tokenizer.ggml.add_space_prefix").unwrap_or(true),
        })
    }

    /// `fresh`: at the beginning or behind a special piece.
    pub(super) fn encode(&self, text: &str, fresh: bool, ids: &mut Vec<u32>) -> Result<(), String> {
        let blank = if self.prefix && fresh { BLANK } else { "" };
        let text = format!("{blank}{}", text.replace(' ', BLANK));
        for node in self.merge(&text) {
            let stretch = &text[node.from..node.from + node.length];
            if let Some((id, _)) = self.pieces.get(stretch) {
                ids.push(*id);
                continue;
            }
            for byte in stretch.bytes() {
                let id = self.bytes[usize::from(byte)].or(self.unknown);
                ids.push(id.ok_or_else(|| {
                    format!("the vocabulary has no piece for the byte {byte:#04x}")
                })?);
            }
        }
        Ok(())
    }

    fn merge(&self, text: &str) -> impl Iterator<Item = Node> + use<> {
        let mut nodes: Vec<Node> = text
            .char_indices()
            .enumerate()
            .map(|(i, (from, character))| Node {
                from,
                length: character.len_utf8(),
                before: i.checked_sub(1),
                after: (from + character.len_utf8() < text.len()).then_some(i + 1),
            })
            .collect();
        let mut queue = BinaryHeap::new();
        for right in 1..nodes.len() {
            self.consider(text, &nodes, Some(right - 1), Some(right), &mut queue);
        }
        while let Some(merge) = queue.pop() {
            let (left, right) = (merge.left, merge.right);
            let (a, b) = (nodes[left].length, nodes[right].length);
            if a == 0 || b == 0 || a + b != merge.length {
                continue;
            }
            let after = nodes[right].after;
            nodes[right].length = 0;
            nodes[left].length += b;
            nodes[left].after = after;
            if let Some(after) = after {
                nodes[after].before = Some(left);
            }
            let before = nodes[left].before;
            self.consider(text, &nodes, before, Some(left), &mut queue);
            self.consider(text, &nodes, Some(left), after, &mut queue);
        }
        nodes.into_iter().filter(|node| node.length > 0)
    }

    fn consider(
        &self,
        text: &str,
        nodes: &[Node],
        left: Option<usize>,
        right: Option<usize>,
        queue: &mut BinaryHeap<Merge>,
    ) {
        let (Some(left), Some(right)) = (left, right) else {
            return;
        };
        let from = nodes[left].from;
        let length = nodes[left].length + nodes[right].length;
        if let Some((_, score)) = self.pieces.get(&text[from..from + length]) {
            queue.push(Merge {
                score: *score,
                left,
                right,
                length,
            });
        }
    }
}
