//! Pieces that are found in a text before it is cut: special ones, where they are looked for, and those that the network's
//! makers defined. Longer ones are found first, as in llama.cpp.

use std::collections::HashMap;

use super::vocabulary::{Kind, Vocabulary};

/// All of them, the longest first.
#[derive(Debug, Default)]
pub(super) struct Wholes {
    list: Vec<Whole>,
    /// Those that begin with two bytes.
    by_start: HashMap<[u8; 2], Vec<usize>>,
    /// Those of one byte.
    single: Vec<usize>,
}

#[derive(Debug)]
struct Whole {
    text: String,
    id: u32,
    /// Only where special pieces are looked for.
    special: bool,
    /// Whether it takes the blanks behind it with it.
    takes_blanks: bool,
}

/// A stretch of a text: found as a piece already, or to be cut.
pub(super) enum Part<'a> {
    Piece(u32),
    Text(&'a str),
}

impl Wholes {
    /// Of a vocabulary of a network of this name.
    pub(super) fn of(vocabulary: &Vocabulary<'_>, network: &str) -> Self {
        // A GGUF does not say which pieces take blanks with them; llama.cpp goes by the name of this family.
        let network = network.to_lowercase();
        let takes_blanks = network.contains("phi-3") || network.contains("phi3");
        let keeps_them = ["<unk>", "<s>", "<|endoftext|>"];
        let mut list: Vec<Whole> = vocabulary
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .filter_map(|(id, text)| {
                let special = match vocabulary.kind(id as usize) {
                    Kind::Control | Kind::Unknown => true,
                    Kind::UserDefined => false,
                    _ => return None,
                };
                Some(Whole {
                    text: text.to_owned(),
                    id,
                    special,
                    takes_blanks: takes_blanks && !keeps_them.contains(&text),
                })
            })
            .collect();
        list.sort_by_key(|whole| std::cmp::Reverse(whole.text.len()));
        let mut wholes = Self::default();
        for (i, whole) in list.iter().enumerate() {
            match whole.text.as_bytes().first_chunk() {
                Some(start) => wholes.by_start.entry(*start).or_default().push(i),
                None => wholes.single.push(i),
            }
        }
        wholes.list = list;
        wholes
    }

    /// The text between such pieces, and these.
    pub(super) fn parts<'a>(&self, text: &'a str, parse_special: bool) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        for (whole, present) in self.list.iter().zip(self.present(text)) {
            if !present || whole.special && !parse_special {
                continue;
            }
            let mut cut = Vec::with_capacity(parts.len());
            for part in parts {
                match part {
                    Part::Text(text) => whole.cut(text, &mut cut),
                    piece @ Part::Piece(_) => cut.push(piece),
                }
            }
            parts = cut;
        }
        parts
    }

    /// Which of them are anywhere in a text. Vocabularies have thousands, texts a few.
    fn present(&self, text: &str) -> Vec<bool> {
        let mut present = vec![false; self.list.len()];
        for single in &self.single {
            present[*single] = text.contains(&self.list[*single].text);
        }
        for (at, start) in text.as_bytes().windows(2).enumerate() {
            for i in self.by_start.get(start).into_iter().flatten() {
                present[*i] |= text.as_bytes()[at..].starts_with(self.list[*i].text.as_bytes());
            }
        }
        present
    }
}

impl Whole {
    /// A text between the places where this piece is in it.
    fn cut<'a>(&self, text: &'a str, parts: &mut Vec<Part<'a>>) {
        for (number, mut between) in text.split(&self.text).enumerate() {
            if number > 0 {
                parts.push(Part::Piece(self.id));
                if self.takes_blanks {
                    between = between.trim_start_matches(|sign: char| sign.is_ascii_whitespace());
                }
            }
            if !between.is_empty() {
                parts.push(Part::Text(between));
            }
        }
    }
}
