//! What must hold of a language model that opens.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use wattif_core::formats;
use wattif_core::model::Model;
use wattif_core::tokenizer::Tokenizer;

use crate::refused;

/// Parameters up to which a network is run.
const SMALL: u64 = 1 << 18;
/// The text that is cut, besides one of the input's own.
const TEXT: &str = "It's 12345  blanks\n\n\tÜ 日本語 <s> <0x0A> \u{1f999}";

/// What is caught where it is expected, as of the crate `tokenizers`, is no finding: a panic ends the program only when it
/// leaves the reader.
pub fn caught_panics_count_as_errors() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))));
}

/// A folder in memory for files that are opened by their path, where the system has one.
pub fn scratch(name: &str) -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let memory = Path::new("/dev/shm");
        let base = match memory.is_dir() {
            true => memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let folder = base.join(format!("wattif-fuzz-{}/folder", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    });
    FOLDER.join(name)
}

/// Opens a path as a person does, and uses what opens.
pub fn opened(path: &Path) -> bool {
    match formats::open(path) {
        Ok(model) => {
            sound_model(&model);
            true
        }
        Err(error) => {
            refused(&error);
            false
        }
    }
}

fn sound_model(model: &Model) {
    assert_eq!(model.architecture.implausible(), None);
    if let Some(tokenizer) = &model.tokenizer {
        sound_tokenizer(tokenizer, "a text");
    }
    if model.architecture.parameters() > SMALL {
        return;
    }
    let network = match model.ready(32) {
        Ok(network) => network,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let input = Tensor::from_vec(vec![0_u32], (1, 1), &Device::Cpu).unwrap();
    let outputs = network.run(&input).unwrap();
    assert_eq!(outputs.dims()[..2], [1, 1]);
    assert!(model.tokenizer.is_none() || outputs.dims().len() == 3);
}

/// A tokenizer cuts texts into pieces that it has, or says why it cannot.
pub fn sound_tokenizer(tokenizer: &Tokenizer, own: &str) {
    for id in [tokenizer.bos(), tokenizer.eos(), tokenizer.around_begin()] {
        assert!(
            id.is_none_or(|id| tokenizer.token_bytes(id).is_some()),
            "{id:?}"
        );
    }
    for text in [TEXT, own, ""] {
        for (add_special, parse_special) in [(false, false), (true, true)] {
            let ids = match tokenizer.encode(text, add_special, parse_special) {
                Ok(ids) => ids,
                Err(error) => {
                    assert!(error.to_string().contains("cut"), "{error}");
                    continue;
                }
            };
            for id in &ids {
                assert!(tokenizer.token_bytes(*id).is_some(), "piece {id} is none");
            }
            let pieces = ids.iter().filter_map(|id| tokenizer.token_bytes(*id));
            let bytes = pieces.map(<[u8]>::len).sum::<usize>();
            assert_eq!(tokenizer.decode(&ids).len(), bytes);
        }
    }
}
