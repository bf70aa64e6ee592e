//! What models are called.

use std::path::Path;
use std::sync::OnceLock;

use super::{ModelReference, bundled};
use crate::error::{Error, Result};
use crate::named::{Entry, Index, Understood, note};
use crate::serving::architecture::Architecture;
use crate::serving::{self, architectures};

/// Words that say how a network was trained on, not how large it is.
const IDLE: [&str; 8] = [
    "instruct",
    "chat",
    "it",
    "base",
    "hf",
    "model",
    "pretrained",
    "bf16",
];

/// All models that have a name, and these names.
struct Names {
    references: Vec<ModelReference>,
    all: Index,
    catalogue: Index,
    bundled: Index,
}

/// All models that have a name.
///
/// # Errors
/// [`Error::File`] when a file that ships with the program is broken.
fn names() -> Result<&'static Names> {
    static NAMES: OnceLock<Result<Names>> = OnceLock::new();
    let read = || {
        let networks = architectures()?;
        let ours = || {
            bundled::all()
                .iter()
                .map(|model| Entry::new(model.name, model.title, []))
        };
        let shapes = || {
            networks.iter().map(|network| {
                let names = network.names.iter().map(String::as_str);
                Entry::new(&network.id, &network.id, names)
            })
        };
        let references = bundled::all()
            .iter()
            .map(|model| ModelReference::Bundled(model.name.to_owned()))
            .chain(
                networks
                    .iter()
                    .map(|network| ModelReference::Catalogue(network.id.clone())),
            );
        Ok(Names {
            references: references.collect(),
            all: Index::new("model", ours().chain(shapes()).collect(), &IDLE),
            catalogue: Index::new("architecture", shapes().collect(), &IDLE),
            bundled: Index::new("bundled model", ours().collect(), &[]),
        })
    };
    NAMES.get_or_init(read).as_ref().map_err(Error::clone)
}

/// Endings of files that models are in, so that one that is missing is called a missing file.
const ENDINGS: [&str; 11] = [
    "safetensors",
    "json",
    "gguf",
    "ggml",
    "bin",
    "pt",
    "pth",
    "ckpt",
    "npz",
    "npy",
    "onnx",
];

/// Whether a text can only be meant as a path.
fn is_path(text: &str) -> bool {
    let path = Path::new(text);
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    path.is_file()
        || path.join("config.json").is_file()
        || ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
        || text.starts_with(['.', '/', '~'])
        || text.contains('\\')
}

/// The model that people mean: a reference (`bundled:NAME`, `catalogue:NAME`, `dense:70e9`), a file, or a name: the
/// identifier, a published name, or some of their words in any order.
///
/// # Errors
/// [`Error::Ambiguous`] where several have these words, [`Error::Unknown`] where none has, [`Error::Scenario`] for a size
/// that is no number.
pub fn named(text: &str) -> Result<Understood<ModelReference>> {
    let plain = |item| Understood { item, note: None };
    let names = names()?;
    match text.parse::<ModelReference>()? {
        ModelReference::Catalogue(name) => of_catalogue(&name),
        ModelReference::Bundled(name) => {
            let found = names.bundled.find(&name)?;
            Ok(found.map(|item| names.references[item].clone()))
        }
        sized @ ModelReference::Sized { .. } => Ok(plain(sized)),
        file if is_path(text) => Ok(plain(file)),
        file => match names.all.find(text) {
            Ok(found) => Ok(found.map(|item| names.references[item].clone())),
            Err(error @ Error::Ambiguous { .. }) => Err(error),
            Err(_) if Path::new(text).exists() => Ok(plain(file)),
            // "-FP8" and the like at the end of a published name.
            Err(error) => of_catalogue(text).map_err(|_| error),
        },
    }
}

/// A network of the catalogue. A published name is understood as it is, with the suffix of a precision that
/// [`serving::architecture`] knows.
fn of_catalogue(name: &str) -> Result<Understood<ModelReference>> {
    if let Ok(network) = serving::architecture(name) {
        let same = network.id.eq_ignore_ascii_case(name);
        return Ok(Understood {
            item: ModelReference::Catalogue(network.id.clone()),
            note: (!same).then(|| note(&network.id, name)),
        });
    }
    let names = names()?;
    let of = |item: usize| names.references[bundled::all().len() + item].clone();
    Ok(names.catalogue.find(name)?.map(of))
}

/// The network of the catalogue that people mean.
///
/// # Errors
/// As [`named`].
pub(crate) fn known_by_shapes(name: &str) -> Result<&'static Architecture> {
    match of_catalogue(name)?.item {
        ModelReference::Catalogue(id) => serving::architecture(&id),
        other => serving::architecture(&other.to_string()),
    }
}

/// The models that a search through their names finds: what [`named`] would take first. All for an empty search.
///
/// # Errors
/// [`Error::File`] when a file that ships with the program is broken.
pub fn search(text: &str) -> Result<Vec<ModelReference>> {
    let names = names()?;
    let hits = names.all.search(text).into_iter();
    Ok(hits.map(|item| names.references[item].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(name: &str) -> std::result::Result<String, String> {
        match named(name) {
            Ok(found) => Ok(found.item.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn models_are_found_by_what_people_write() {
        for (name, expected) in [
            ("llama 3.1 70b", "catalogue:llama-3-1-70b"),
            ("Llama-3.1-70B", "catalogue:llama-3-1-70b"),
            ("70b llama 3.1", "catalogue:llama-3-1-70b"),
            ("llama3.1-70b", "catalogue:llama-3-1-70b"),
            ("Llama 3.1 70B Instruct", "catalogue:llama-3-1-70b"),
            (
                "meta-llama/Llama-3.1-70B-Instruct",
                "catalogue:llama-3-1-70b",
            ),
            (
                "catalogue:meta-llama/Llama-3.1-70B-Instruct",
                "catalogue:llama-3-1-70b",
            ),
            ("catalogue:Llama 3.1 70B", "catalogue:llama-3-1-70b"),
            ("Llama-3.3-70B", "catalogue:llama-3-1-70b"),
            (
                "meta-llama/Llama-3.1-405B-Instruct-FP8",
                "catalogue:llama-3-1-405b",
            ),
            ("qwen2.5-7b-instruct", "catalogue:qwen2-5-7b"),
            ("Qwen 2.5 7B", "catalogue:qwen2-5-7b"),
            ("Qwen/Qwen3-32B", "catalogue:qwen3-32b"),
            ("Qwen/Qwen3-32B-FP8", "catalogue:qwen3-32b"),
            ("mistral 7b", "catalogue:mistral-7b"),
            ("Mixtral 8x7B", "catalogue:mixtral-8x7b"),
            ("GPT-2", "catalogue:gpt2"),
            ("gpt-oss-120b", "catalogue:gpt-oss-120b"),
            ("GPT OSS 20B", "catalogue:gpt-oss-20b"),
            ("deepseek r1", "catalogue:deepseek-v3"),
            ("DeepSeek-V3", "catalogue:deepseek-v3"),
            ("gemma 2 27b", "catalogue:gemma-2-27b"),
            ("phi-4", "catalogue:phi-4"),
            ("FLUX.1 dev", "catalogue:flux-1-dev"),
            ("ResNet50", "catalogue:resnet-50"),
            ("resnet 50", "catalogue:resnet-50"),
            ("SDXL turbo", "catalogue:sdxl-turbo"),
            ("bert large", "catalogue:bert-large"),
            ("tiny gpt", "bundled:tiny-gpt"),
            ("fashion-cnn", "bundled:fashion-cnn"),
            ("bundled:Fashion CNN", "bundled:fashion-cnn"),
            ("dense:70B", "dense:7e10"),
            ("./model", "./model"),
            ("missing.safetensors", "missing.safetensors"),
        ] {
            assert_eq!(reference(name).as_deref(), Ok(expected), "{name}");
        }
    }

    #[test]
    fn what_could_be_several_models_lists_them_and_what_is_none_is_no_other() {
        for name in [
            "llama 70b",
            "llama",
            "qwen3",
            "mixtral",
            "bert",
            "gemma 27b",
            "resnet",
            "llama 70",
        ] {
            let found = named(name);
            assert!(
                matches!(found, Err(Error::Ambiguous { .. })),
                "{name}: {found:?}"
            );
        }
        for name in [
            "DeepSeek-R1-Distill-Llama-70B",
            "llama 3.1 71b",
            "qwen3-8c",
            "gpt-4",
            "claude",
            "nowhere",
            "",
        ] {
            let found = named(name);
            assert!(
                matches!(found, Err(Error::Unknown { .. })),
                "{name}: {found:?}"
            );
        }
    }

    #[test]
    fn every_network_is_found_by_each_of_its_names() {
        for network in architectures().unwrap() {
            let expected = ModelReference::Catalogue(network.id.clone());
            assert_eq!(named(&network.id.to_uppercase()).unwrap().note, None);
            for name in network.names.iter().chain([&network.id]) {
                let spaced = name.replace(['-', '_', '/'], " ");
                for written in [name, &name.to_lowercase(), &spaced] {
                    assert_eq!(named(written).unwrap().item, expected, "{written}");
                }
            }
        }
    }

    #[test]
    fn letters_alone_are_never_the_beginning_of_a_model() {
        let names = names().unwrap();
        for wanted in crate::named::letters() {
            if let Ok(found) = names.all.find(&wanted) {
                let reference = &names.references[found.item];
                let ModelReference::Catalogue(id) = reference else {
                    panic!("{wanted}: {reference}");
                };
                let network = serving::architecture(id).unwrap();
                assert!(network.names.contains(&wanted), "{wanted}: {id}");
            }
        }
    }

    #[test]
    fn searches_take_words_in_any_order_whatever_stands_between_them() {
        let ids = |text: &str| -> Vec<String> {
            search(text)
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert!(ids("llama 70b").contains(&"catalogue:llama-3-1-70b".to_owned()));
        assert!(ids("70b llama").contains(&"catalogue:llama-2-70b".to_owned()));
        assert!(ids("llama 3.1").len() >= 3);
        assert_eq!(ids("LLAMA 3.1 70B")[0], "catalogue:llama-3-1-70b");
        assert_eq!(ids("resnet 50")[0], "catalogue:resnet-50");
        assert!(ids("no such network").is_empty());
        assert_eq!(ids("").len(), names().unwrap().references.len());
    }
}
