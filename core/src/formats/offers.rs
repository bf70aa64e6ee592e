//! What can be done instead with a file that cannot be opened, each with its command.

use std::path::Path;

use crate::serving;
use crate::serving::architecture::{Architecture, Shape};

/// Most that two counts of the parameters of one network differ by: some leave out norms, biases, small embeddings or a
/// vision tower.
const SAME_NETWORK: f64 = 0.12;
/// Most that a network of the catalogue differs in size from one for which it is offered.
const ALIKE: f64 = 0.5;

/// What is known of a network in a file that cannot be opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Clues {
    /// Names that the file gives it.
    pub(super) names: Vec<String>,
    /// Elements of its tensors.
    pub(super) parameters: Option<u64>,
    /// Width of its weights, where it is below 16 bits.
    pub(super) weight_bits: Option<u8>,
    /// Width of the residual stream.
    pub(super) hidden: Option<u32>,
    /// Blocks.
    pub(super) layers: Option<u32>,
    /// Query heads.
    pub(super) heads: Option<u32>,
    /// Heads of keys and values.
    pub(super) kv_heads: Option<u32>,
    /// Words of the vocabulary.
    pub(super) vocabulary: Option<u32>,
}

/// What can be done: the configuration beside the file, the network of the catalogue that it is or resembles, or a
/// network of its size. Reads as the end of a sentence.
pub(super) fn offers(path: &Path, clues: &Clues) -> String {
    let bits = clues
        .weight_bits
        .map_or_else(String::new, |bits| format!(" --weight-bits {bits}"));
    let report = |model: &str| format!("wattif report --model {model}{bits}");
    let mut offers = Vec::new();
    if let Some(beside) = path.parent().map(|folder| folder.join("config.json"))
        && beside.is_file()
    {
        let command = report(&quoted(&beside));
        offers.push(format!(
            "take the shapes from the config.json beside it ({command})"
        ));
    }
    if let Some((network, why)) = nearest(path, clues) {
        let command = report(&format!("catalogue:{}", network.id));
        offers.push(format!("{why} {} ({command})", network.id));
    } else if let Some(parameters) = clues.parameters.filter(|n| (1_000..1 << 50).contains(n)) {
        let command = report(&format!("dense:{:.2e}", parameters as f64));
        offers.push(format!("take a language model of its size ({command})"));
    }
    if offers.is_empty() {
        return "take its shapes from the config.json published with it (wattif report --model config.json) or from the \
                catalogue (wattif models)"
            .to_owned();
    }
    offers.join(" or ")
}

/// The network of the catalogue that clues point to, and how they do.
fn nearest(path: &Path, clues: &Clues) -> Option<(&'static Architecture, &'static str)> {
    let all = serving::architectures().ok()?;
    if let Some(network) = all.iter().find(|network| has_shapes(network, clues)) {
        return Some((
            network,
            "take the network of the catalogue with its shapes,",
        ));
    }
    let apart = |network: &Architecture| {
        clues
            .parameters
            .map(|parameters| (parameters as f64 / network.parameters).ln().abs())
    };
    let names: Vec<String> = clues
        .names
        .iter()
        .map(String::as_str)
        .chain(path.file_stem().and_then(|stem| stem.to_str()))
        .chain(
            path.parent()
                .and_then(Path::file_name)
                .and_then(|name| name.to_str()),
        )
        .map(words)
        .collect();
    let named = all
        .iter()
        .filter(|network| apart(network).is_none_or(|apart| apart < SAME_NETWORK.ln_1p()))
        .filter_map(|network| {
            let longest = known_names(network)
                .filter(|known| names.iter().any(|name| name.contains(known.as_str())))
                .map(|known| known.len())
                .max()?;
            Some((longest, network))
        })
        .max_by_key(|(length, _)| *length);
    if let Some((_, network)) = named {
        return Some((
            network,
            "take the network of the catalogue that has its name,",
        ));
    }
    all.iter()
        .filter_map(|network| Some((apart(network)?, network)))
        .filter(|(apart, _)| *apart < ALIKE.ln_1p())
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, network)| {
            (
                network,
                "take the network of the catalogue nearest in size,",
            )
        })
}

fn has_shapes(network: &Architecture, clues: &Clues) -> bool {
    let Shape::Transformer(shape) = &network.shape else {
        return false;
    };
    let same = |clue: Option<u32>, value: u32| clue == Some(value);
    let size = clues.parameters.is_some_and(|parameters| {
        (parameters as f64 / network.parameters - 1.0).abs() < SAME_NETWORK
    });
    size && same(clues.hidden, shape.hidden)
        && same(clues.layers, shape.layers)
        && clues.heads.is_none_or(|heads| heads == shape.heads)
        && clues.kv_heads.is_none_or(|heads| heads == shape.kv_heads)
        && clues
            .vocabulary
            .is_none_or(|words| words == shape.vocabulary)
}

/// The identifier and the published names of a network as [`words`]; the maker is no part of a name.
fn known_names(network: &Architecture) -> impl Iterator<Item = String> {
    std::iter::once(&network.id)
        .chain(&network.names)
        .map(|name| words(name.rsplit('/').next().unwrap_or(name)))
}

/// A name as words between spaces: letters and digits apart, in lower case. `ResNet50` and `resnet-50` are the same.
fn words(name: &str) -> String {
    let mut words = String::from(" ");
    let mut last = ' ';
    for c in name.to_lowercase().chars() {
        let c = if c.is_alphanumeric() { c } else { ' ' };
        let boundary = last != ' ' && c != ' ' && last.is_numeric() != c.is_numeric();
        if boundary {
            words.push(' ');
        }
        if c != ' ' || last != ' ' {
            words.push(c);
        }
        last = c;
    }
    if last != ' ' {
        words.push(' ');
    }
    words
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-~+:\\".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A number of parameters in words: "8.03 billion", "25.6 million".
pub(super) fn count(parameters: u64) -> String {
    let n = parameters as f64;
    let (value, unit) = match n {
        1e9.. => (n / 1e9, " billion"),
        1e6.. => (n / 1e6, " million"),
        _ => return parameters.to_string(),
    };
    let digits = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, clues: &Clues) -> Option<&'static str> {
        nearest(Path::new(path), clues).map(|(network, _)| network.id.as_str())
    }

    #[test]
    fn names_as_files_are_called_point_to_the_catalogue() {
        for (path, id) in [
            (
                "/models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
                Some("llama-3-1-8b"),
            ),
            ("resnet50-0676ba61.pth", Some("resnet-50")),
            ("mobilenet_v2-b0353104.pth", Some("mobilenet-v2")),
            ("gpt2-xl/pytorch_model.bin", Some("gpt2-xl")),
            ("tinyllama-1.1b-chat-v1.0.onnx", Some("tinyllama-1-1b")),
            ("my-network.h5", None),
            ("", None),
        ] {
            assert_eq!(found(path, &Clues::default()), id, "{path}");
        }
    }

    #[test]
    fn a_name_with_another_size_counts_for_nothing() {
        let clues = Clues {
            parameters: Some(7_240_000_000),
            ..Clues::default()
        };
        let id = found("/m/gpt2.gguf", &clues).unwrap();
        let network = serving::architecture(id).unwrap();
        assert!((network.parameters / 7.24e9 - 1.0).abs() < 0.1, "{id}");
    }

    #[test]
    fn shapes_win_over_names_and_sizes() {
        let clues = Clues {
            parameters: Some(8_030_000_000),
            hidden: Some(4096),
            layers: Some(32),
            heads: Some(32),
            kv_heads: Some(8),
            vocabulary: Some(128_256),
            weight_bits: Some(5),
            names: vec!["Mistral".to_owned()],
        };
        assert_eq!(
            offers(Path::new("x.gguf"), &clues),
            "take the network of the catalogue with its shapes, llama-3-1-8b (wattif report --model \
             catalogue:llama-3-1-8b --weight-bits 5)"
        );
    }

    #[test]
    fn every_network_of_the_catalogue_is_found_by_its_own_names() {
        for network in serving::architectures().unwrap() {
            let found = nearest(
                Path::new(&format!("{}.gguf", network.id)),
                &Clues::default(),
            );
            assert_eq!(found.unwrap().0.id, network.id);
        }
    }
}
