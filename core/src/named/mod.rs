//! Looking something up by what people call it: its identifier, its name on screen, another name of it, some of its
//! words, or the beginning of a word. What could be several things is never guessed, and what was understood is said.

mod index;
mod words;

pub(crate) use index::{Entry, Index};
pub(crate) use words::{is_code, squashed, words};

/// What was looked up, and how the words were understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Understood<T> {
    /// The thing.
    pub item: T,
    /// Where the words were neither its identifier nor its name: what they were taken for, as "Germany (DE), understood
    /// from 'germanywestcentral'".
    pub note: Option<String>,
}

impl<T> Understood<T> {
    /// The same understanding of something that follows from the thing.
    pub fn map<U>(self, of: impl FnOnce(T) -> U) -> Understood<U> {
        Understood {
            item: of(self.item),
            note: self.note,
        }
    }
}

/// What a search through a menu finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Hits<T> {
    /// What fits, best first where something was typed.
    pub items: Vec<T>,
    /// Why the first of them is not what was asked for, where a known name has nothing behind it.
    pub notice: Option<String>,
}

/// How something was understood, in words.
pub(crate) fn note(what: &str, wanted: &str) -> String {
    format!("{what}, understood from '{}'", wanted.trim())
}

/// All inputs of two and three Latin letters.
#[cfg(test)]
pub(crate) fn letters() -> impl Iterator<Item = String> {
    let alphabet = || 'a'..='z';
    let two = alphabet().flat_map(move |a| alphabet().map(move |b| format!("{a}{b}")));
    let three = two.clone();
    let three = three.flat_map(move |two| alphabet().map(move |c| format!("{two}{c}")));
    two.chain(three)
}
