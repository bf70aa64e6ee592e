//! Sentences of a text.

/// The shortest sentence that is taken, in characters: shorter ones are headings and numbers of lists.
const SHORTEST: usize = 16;
/// The longest, in characters; longer ones are cut between words.
const LONGEST: usize = 1000;
/// Of so many lines at most one may hold the end of a sentence before its own end for a text to be one of a sentence a line.
const LINES: usize = 10;
/// Abbreviations after which a sentence goes on.
const GO_ON: [&str; 12] = [
    "Mr.", "Mrs.", "Ms.", "Dr.", "St.", "Messrs.", "No.", "vs.", "e.g.", "i.e.", "cf.", "U.S.",
];

/// The sentences of a text in its order: its lines where it has one on each, else what ends at a full stop, a question or an
/// exclamation mark, and paragraphs end everywhere. White space is one blank.
pub(super) fn sentences(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let broken = lines.iter().filter(|line| split(line).len() > 1).count();
    let one_a_line = lines.len() > 1 && broken * LINES < lines.len();
    let all: Vec<String> = match one_a_line {
        true => lines.into_iter().map(str::to_owned).collect(),
        false => {
            let paragraphs = text.split("\n\n").map(joined);
            let long = |sentence: &String| sentence.chars().count() >= SHORTEST;
            let cut = |paragraph: String| split(&paragraph);
            paragraphs.flat_map(cut).filter(long).collect()
        }
    };
    all.iter().flat_map(|sentence| pieces(sentence)).collect()
}

/// Words with one blank between them.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The sentences of a paragraph.
fn split(paragraph: &str) -> Vec<String> {
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let (mut all, mut sentence) = (Vec::new(), Vec::new());
    for (i, word) in words.iter().enumerate() {
        sentence.push(*word);
        let next = words.get(i + 1);
        if next.is_some_and(|next| ends(word, next)) {
            all.push(sentence.join(" "));
            sentence.clear();
        }
    }
    if !sentence.is_empty() {
        all.push(sentence.join(" "));
    }
    all
}

/// Whether a sentence ends with a word before another.
fn ends(word: &str, next: &str) -> bool {
    let closing = |sign: char| matches!(sign, '"' | '\'' | ')' | ']' | '”' | '’' | '»');
    let opening = |sign: char| matches!(sign, '"' | '\'' | '(' | '[' | '“' | '‘' | '«' | '_');
    let bare = word.trim_end_matches(closing);
    let first = next.trim_start_matches(opening).chars().next();
    // Initials of names.
    let initial = bare.chars().count() == 2 && bare.starts_with(char::is_uppercase);
    bare.ends_with(['.', '?', '!', '…'])
        && !GO_ON.contains(&bare.trim_start_matches(opening))
        && !(initial && bare != "I." && bare.ends_with('.'))
        && first.is_none_or(|first| first.is_uppercase() || first.is_numeric())
}

/// A sentence in pieces that are not too long.
fn pieces(sentence: &str) -> Vec<String> {
    let (mut all, mut piece, mut length) = (Vec::new(), String::new(), 0);
    for word in sentence.split_whitespace() {
        let more = word.chars().count() + 1;
        if length > 0 && length + more > LONGEST {
            all.push(std::mem::take(&mut piece));
            length = 0;
        }
        if length > 0 {
            piece.push(' ');
        }
        piece.push_str(word);
        length += more;
    }
    if !piece.is_empty() {
        all.push(piece);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_cut_at_the_ends_of_sentences() {
        let text = "It was the best of times. \"It was the worst\nof times!\" he said to Mr. Pitt of the U.S. Army.\n\n\
                    CHAPTER 2\n\nWas it? So J. R. Smith told us all in 1850. And then it was over";
        let expected = [
            "It was the best of times.",
            "\"It was the worst of times!\" he said to Mr. Pitt of the U.S. Army.",
            "So J. R. Smith told us all in 1850.",
            "And then it was over",
        ];
        assert_eq!(sentences(text), expected);
    }

    #[test]
    fn lines_are_sentences_where_each_holds_one() {
        let text = "how to bake bread\nwhere is Rome?\n\n  The sky is blue.  \r\nHi";
        let expected = [
            "how to bake bread",
            "where is Rome?",
            "The sky is blue.",
            "Hi",
        ];
        assert_eq!(sentences(text), expected);
        assert_eq!(sentences(""), Vec::<String>::new());
    }

    #[test]
    fn no_piece_is_too_long_and_no_word_is_lost() {
        let long = "word ".repeat(900);
        let cut = sentences(&long);
        assert!(cut.iter().all(|piece| piece.chars().count() <= LONGEST));
        assert_eq!(cut.join(" "), long.trim());
        // A word that is too long stays whole.
        assert_eq!(sentences(&"x".repeat(3000)), ["x".repeat(3000)]);
    }
}
