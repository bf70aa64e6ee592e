//! Byte-pair encoding: a word begins as its bytes, and of all neighbours those that were merged first in training are
//! merged first (Sennrich et al. 2016, <https://arxiv.org/abs/1508.07909>). Merging stays within a word.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::bytes;
use super::split::Splitter;
use super::vocabulary::{BLANK, Kind, Vocabulary};
use crate::weights::Source;

/// A vocabulary with merges.
#[derive(Debug)]
pub(super) struct Merges {
    splitter: Splitter,
    /// Symbols by their bytes: pieces, and what merges lead over.
    symbols: HashMap<Box<[u8]>, u32>,
    /// The piece of a symbol.
    pieces: Vec<Option<u32>>,
    /// When two symbols are merged, and into which.
    merges: HashMap<(u32, u32), (u32, u32)>,
    /// Pieces of single bytes, for what is in no piece.
    bytes: Vec<Option<u32>>,
    /// Whether runs of line breaks that are a piece are taken whole (Gemma 4).
    whole_breaks: bool,
}

/// A symbol of a word that is being merged.
struct Node {
    symbol: Option<u32>,
    from: usize,
    to: usize,
    before: usize,
    after: usize,
    gone: bool,
}

/// No neighbour.
const NONE: usize = usize::MAX;

impl Merges {
    pub(super) fn read(
        source: &dyn Source,
        vocabulary: &Vocabulary<'_>,
        way: &str,
    ) -> Result<Self, String> {
        let splitter = Splitter::of(way).ok_or_else(|| {
            format!("the tokenizer cuts words in the way '{way}', which is not known")
        })??;
        let key = "tokenizer.ggml.merges";
        let lines = source
            .metadata(key)
            .and_then(|value| value.texts())
            .ok_or_else(|| format!("the metadata hold no list '{key}'"))?;
        let escaped = splitter.escaped_blanks;
        let stored = |text: &str| match escaped {
            true => text.as_bytes().to_vec(),
            false => bytes::decode(text).unwrap_or_else(|| text.as_bytes().to_vec()),
        };
        let mut merges = Self {
            splitter,
            symbols: HashMap::with_capacity(vocabulary.len()),
            pieces: Vec::new(),
            merges: HashMap::with_capacity(lines.len()),
            bytes: vec![None; 256],
            whole_breaks: escaped && way != "sarvam-moe",
        };
        for (id, text) in vocabulary.iter() {
            // A text that cannot stand for bytes is never what bytes are merged into.
            if !escaped && bytes::decode(text).is_none() {
                continue;
            }
            let symbol = merges.symbol(&stored(text))?;
            merges.pieces[symbol as usize] = Some(id);
            let byte = match vocabulary.kind(id as usize) {
                Kind::Byte => bytes::named(text),
                _ => None,
            };
            if let Some(byte) = byte {
                merges.bytes[usize::from(byte)] = Some(id);
            }
        }
        for (rank, line) in (0..).zip(lines) {
            // The first sign may be a blank of its own.
            let first = line.chars().next().map_or(0, char::len_utf8);
            let Some(at) = line[first..].find(' ').map(|at| first + at) else {
                return Err(format!("merge {rank} is not of two pieces"));
            };
            let mut text = stored(&line[..at]);
            let left = merges.symbol(&text)?;
            let rest = stored(&line[at + 1..]);
            let right = merges.symbol(&rest)?;
            text.extend(rest);
            let both = merges.symbol(&text)?;
            merges.merges.entry((left, right)).or_insert((rank, both));
        }
        Ok(merges)
    }

    /// Whether texts begin with the token of the beginning unless the file says otherwise.
    pub(super) fn begins(&self) -> bool {
        self.splitter.begins
    }

    /// Whether blanks are written as another sign.
    pub(super) fn escaped_blanks(&self) -> bool {
        self.splitter.escaped_blanks
    }

    /// The symbol of these bytes, a new one where there is none.
    fn symbol(&mut self, bytes: &[u8]) -> Result<u32, String> {
        if let Some(symbol) = self.symbols.get(bytes) {
            return Ok(*symbol);
        }
        let next = u32::try_from(self.pieces.len()).map_err(|_| "too many merges")?;
        self.symbols.insert(bytes.into(), next);
        self.pieces.push(None);
        Ok(next)
    }

    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        let escaped;
        let text = if self.escaped_blanks() {
            escaped = text.replace(' ', BLANK);
            &escaped
        } else {
            text
        };
        for word in self.splitter.words(text)? {
            self.encode_word(word, ids)?;
        }
        Ok(())
    }

    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        let whole = self.splitter.whole_words
            || self.whole_breaks && word.bytes().all(|byte| byte == b'\n');
        if let Some(id) = self.piece(word.as_bytes()).filter(|_| whole) {
            ids.push(id);
            return Ok(());
        }
        for node in self.merge(word) {
            let piece = node.symbol.and_then(|symbol| self.pieces[symbol as usize]);
            match piece {
                Some(id) => ids.push(id),
                None => {
                    for byte in &word.as_bytes()[node.from..node.to] {
                        let id = self.bytes[usize::from(*byte)].or_else(|| self.piece(&[*byte]));
                        ids.push(id.ok_or_else(|| {
                            format!("the vocabulary has no piece for the byte {byte:#04x}")
                        })?);
                    }
                }
            }
        }
        Ok(())
    }

    fn piece(&self, bytes: &[u8]) -> Option<u32> {
        self.symbols
            .get(bytes)
            .and_then(|symbol| self.pieces[*symbol as usize])
    }

    /// What is left of a word when all merges are done.
    fn merge(&self, word: &str) -> impl Iterator<Item = Node> + use<> {
        let mut nodes = self.nodes(word);
        let mut queue = BinaryHeap::new();
        for left in 1..nodes.len() {
            self.consider(&nodes, left - 1, left, &mut queue);
        }
        while let Some(Reverse((_, left, right, pair, both))) = queue.pop() {
            let now = (nodes[left].symbol, nodes[right].symbol);
            if nodes[left].gone || nodes[right].gone || now != pair {
                continue;
            }
            let (to, after) = (nodes[right].to, nodes[right].after);
            nodes[right].gone = true;
            nodes[left].to = to;
            nodes[left].after = after;
            nodes[left].symbol = Some(both);
            if after != NONE {
                nodes[after].before = left;
                self.consider(&nodes, left, after, &mut queue);
            }
            let before = nodes[left].before;
            if before != NONE {
                self.consider(&nodes, before, left, &mut queue);
            }
        }
        nodes.into_iter().filter(|node| !node.gone)
    }

    /// The signs of a word: its bytes, or its characters where pieces are text.
    fn nodes(&self, word: &str) -> Vec<Node> {
        let bounds: Vec<usize> = if self.escaped_blanks() {
            word.char_indices().map(|(at, _)| at).collect()
        } else {
            (0..word.len()).collect()
        };
        let last = bounds.len().saturating_sub(1);
        (0..bounds.len())
            .map(|i| {
                let (from, to) = (bounds[i], bounds.get(i + 1).copied().unwrap_or(word.len()));
                Node {
                    symbol: self.symbols.get(&word.as_bytes()[from..to]).copied(),
                    from,
                    to,
                    before: if i == 0 { NONE } else { i - 1 },
                    after: if i == last { NONE } else { i + 1 },
                    gone: false,
                }
            })
            .collect()
    }

    fn consider(&self, nodes: &[Node], left: usize, right: usize, queue: &mut Queue) {
        let pair = (nodes[left].symbol, nodes[right].symbol);
        let (Some(first), Some(second)) = pair else {
            return;
        };
        if let Some((rank, both)) = self.merges.get(&(first, second)) {
            queue.push(Reverse((*rank, left, right, pair, *both)));
        }
    }
}

/// Merges to be done: the first learnt first, of equal ones the leftmost. With each the places, what stood there, and
/// what it becomes.
type Queue = BinaryHeap<Reverse<(u32, usize, usize, (Option<u32>, Option<u32>), u32)>>;
