//! How a text is cut into words before pieces are merged within them: regular expressions by the name that a GGUF gives
//! them in `tokenizer.ggml.pre`. Names and expressions are those of llama.cpp (MIT licence, `src/llama-vocab.cpp` in
//! llama-cpp-python 0.3.36), where each is applied to what the one before it left.

use fancy_regex::{Regex, RegexBuilder};

/// A way of cutting.
#[derive(Debug)]
pub(super) struct Splitter {
    expressions: Vec<Regex>,
    /// Words that are pieces as a whole are taken so, whatever the merges would make of them.
    pub(super) whole_words: bool,
    /// Whether texts begin with the token of the beginning unless the file says otherwise.
    pub(super) begins: bool,
    /// Blanks are written as this sign, and pieces are text rather than bytes, as sentencepiece has them.
    pub(super) escaped_blanks: bool,
}

/// How often an expression may go back over what it took, within one word. Counting digits from the end of a number
/// (Cohere's) takes some 4 million steps for 5,000 of them.
const MOST_STEPS: usize = 20_000_000;

/// Ways that take whole words first.
const WHOLE_WORDS: &[&str] = &[
    "minicpm5",
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
    "jina-v5-nano",
    "youtu",
    "glm4",
    "glm5",
    "tekken",
    "granite-embed-multi-97m",
];
/// Ways whose texts begin with the token of the beginning.
const BEGINS: &[&str] = &[
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
    "jina-v5-nano",
    "tekken",
];
/// Ways of pieces that are text.
const ESCAPED_BLANKS: &[&str] = &["gemma4", "granite-embed-multi-311m", "sarvam-moe"];

/// Names and expressions.
const WAYS: &[(&[&str], &[&str])] = &[
    (
        &[
            "llama3",
            "llama-v3",
            "llama-bpe",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
            "dbrx",
            "smaug-bpe",
            "chatglm-bpe",
            "glm4",
            "glm5",
        ],
        &[
            r#"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["jais-2"],
        &[
            r#"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"#,
        ],
    ),
    (
        &["deepseek-llm"],
        &[
            r#"[\r\n]"#,
            r#"\s?[A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}\u{370}-\u{373}\u{376}\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}\u{210a}-\u{2113}\u{2115}\u{2119}-\u{211d}\u{2124}\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}\u{2145}-\u{2149}\u{214e}\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}\u{fb00}-\u{fb06}\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]+"#,
            r#"\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}]+"#,
            r#"\s+$"#,
            r#"[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+"#,
            r#"\p{N}+"#,
        ],
    ),
    (
        &["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        &[
            r#"\p{N}{1,3}"#,
            r#"[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+"#,
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
        ],
    ),
    (
        &["spark2_5"],
        &[
            r#"\p{N}{1,3}"#,
            r#"[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+"#,
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"##,
            r#"\p{N}"#,
        ],
    ),
    (
        &["youtu"],
        &[
            r#"[\u{ac00}-\u{d7a3}\u{3131}-\u{318e}]+|[\u{ff01}\u{2026}\u{201c}\u{201d}\u{2018}\u{2019}\u{2014}\u{ff1a}\u{ff1b}\u{ff0c}\u{3001}-\u{303f}\u{fe30}-\u{fe4f}]+|[\u{3105}-\u{312f}]+|[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+"#,
            r#"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["deepseek-coder"],
        &[
            r#"[\r\n]"#,
            r#"\s?\p{L}+"#,
            r#"\s?\p{P}+"#,
            r#"[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+"#,
            r#"\p{N}"#,
        ],
    ),
    (
        &["falcon"],
        &[
            r#"[\p{P}\$\+<=>\^~\|`]+"#,
            r#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#,
            r#"[0-9][0-9][0-9]"#,
        ],
    ),
    (
        &[
            "starcoder",
            "refact",
            "command-r",
            "smollm",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        &[
            r#"\p{N}"#,
            r#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#,
        ],
    ),
    (
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "gigachat",
            "jina-v2-es",
            "jina-v2-de",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "jina-v1-en",
            "jina-v2-code",
            "roberta-bpe",
            "exaone4",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
        ],
        &[r#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#],
    ),
    (
        &[
            "stablelm2",
            "qwen2",
            "deepseek-r1-qwen",
            "kormo",
            "f2llmv2",
            "megrez",
            "hunyuan",
            "solar-open",
            "grok-2",
        ],
        &[
            r#"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["qwen35"],
        &[
            r#"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["poro-chat", "bloom", "gpt3-finnish"],
        &[r#" ?[^(\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+"#],
    ),
    (
        &["viking"],
        &[
            r#" ?[^(\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+"#,
            r#"\p{N}"#,
        ],
    ),
    (
        &["tekken"],
        &[
            r#"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
        &[
            r#"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["granite-embed-multi-97m"],
        &[
            r#"[^\r\n\p{L}\p{N}]?((?=[\p{L}\p{M}])([^a-z]))*((?=[\p{L}\p{M}])([^A-Z]))+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?((?=[\p{L}\p{M}])([^a-z]))+((?=[\p{L}\p{M}])([^A-Z]))*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["tiny_aya", "cohere2moe"],
        &[
            r#"\d{1,3}(?=(?:\d{3})*\b)"#,
            r#"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["bailingmoe", "bailingmoe2", "llada-moe"],
        &[
            r#"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["seed-coder"],
        &[
            r#"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["ufakzeka"],
        &[r#"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#],
    ),
    (
        &["laguna"],
        &[
            r#"[^\n]+|[\n]+"#,
            r#"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["exaone-moe"],
        &[
            r#"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["gemma4", "granite-embed-multi-311m", "sarvam-moe"],
        &[r#"[^\n]+|[\n]+"#],
    ),
    (
        &["minicpm5"],
        &[
            r#"\p{N}{1,3}"#,
            r#"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        &["default"],
        &[
            r#"[\p{P}\$\+<=>\^~\|]+"#,
            r#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#,
            r#"\p{N}+"#,
            r#"[0-9][0-9][0-9]"#,
        ],
    ),
];

impl Splitter {
    /// The way of a name; `None` where it is not known.
    pub(super) fn of(name: &str) -> Option<Result<Self, String>> {
        let (_, expressions) = WAYS.iter().find(|(names, _)| names.contains(&name))?;
        let expressions: Result<_, _> = expressions
            .iter()
            .map(|text| RegexBuilder::new(text).backtrack_limit(MOST_STEPS).build())
            .collect();
        Some(
            expressions
                .map(|expressions| Self {
                    expressions,
                    whole_words: WHOLE_WORDS.contains(&name),
                    begins: BEGINS.contains(&name),
                    escaped_blanks: ESCAPED_BLANKS.contains(&name),
                })
                .map_err(|error| error.to_string()),
        )
    }

    /// The words of a text; together they are the text.
    pub(super) fn words<'a>(&self, text: &'a str) -> Result<Vec<&'a str>, String> {
        let mut words = vec![text];
        for expression in &self.expressions {
            let mut cut = Vec::with_capacity(words.len());
            for word in words {
                let mut end = 0;
                for found in expression.find_iter(word) {
                    let found = found.map_err(|error| error.to_string())?;
                    cut.extend([&word[end..found.start()], found.as_str()]);
                    end = found.end();
                }
                cut.push(&word[end..]);
            }
            cut.retain(|word| !word.is_empty());
            words = cut;
        }
        words.retain(|word| !word.is_empty());
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_compiles_under_each_of_its_names() {
        let mut names = 0;
        for (own, _) in WAYS {
            for name in *own {
                assert!(Splitter::of(name).unwrap().is_ok(), "{name}");
                names += 1;
            }
        }
        assert!(names > 50, "{names}");
        for name in [WHOLE_WORDS, BEGINS, ESCAPED_BLANKS].concat() {
            assert!(Splitter::of(name).is_some(), "{name}");
        }
        assert!(Splitter::of("nonsense").is_none());
    }

    #[test]
    fn digits_and_blanks_are_cut_as_named() {
        let cut = |name: &str, text| {
            Splitter::of(name)
                .unwrap()
                .unwrap()
                .words(text)
                .unwrap()
                .join("|")
        };
        assert_eq!(cut("gpt-2", "It's 12345  a"), "It|'s| 12345| | a");
        assert_eq!(
            cut("llama-bpe", "It'S 12345\n\n a"),
            "It|'S| |123|45|\n\n| a"
        );
        assert_eq!(cut("smollm", "a 12"), "a| |1|2");
        assert_eq!(cut("qwen2", "x 12\ty"), "x| |1|2|\ty");
    }

    /// Expressions that go back over what they took do so over a whole run.
    #[test]
    fn long_runs_are_cut_by_every_way() {
        let signs = [
            "a", "A", " ", "\n", "7", "語", "é", "!", "aB", " \n", "' ", "\t a",
        ];
        for (names, _) in WAYS {
            let way = Splitter::of(names[0]).unwrap().unwrap();
            for sign in signs {
                let run = sign.repeat(3_000);
                for text in [run.clone(), format!("{run}x"), format!("{run}  ")] {
                    let words = way.words(&text);
                    assert!(
                        words.is_ok_and(|words| words.concat() == text),
                        "{names:?} {sign:?}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_words_are_the_text(text in "(\\PC|\\s|[a-z0-9']){0,60}") {
            // Compiling takes longer than cutting.
            static WAYS_OF_ALL: LazyLock<Vec<Splitter>> = LazyLock::new(|| {
                WAYS.iter().map(|(names, _)| Splitter::of(names[0]).unwrap().unwrap()).collect()
            });
            for way in WAYS_OF_ALL.iter() {
                prop_assert_eq!(way.words(&text).unwrap().concat(), text.clone());
            }
        }
    }
}
