//! The networks that ship with the program by their shapes. Adding one: a file in `assets/architectures/` and its name
//! in the list below.

use std::sync::OnceLock;

use super::architecture::Architecture;
use crate::error::{Error, Result};

macro_rules! files {
    ($($id:literal),* $(,)?) => {
        &[$(($id, include_str!(concat!("../../../assets/architectures/", $id, ".ron")))),*]
    };
}

/// Identifier and text of every file.
const FILES: &[(&str, &str)] = files![
    "qwen3-0-6b",
    "qwen3-1-7b",
    "qwen3-4b",
    "qwen3-8b",
    "qwen3-14b",
    "qwen3-32b",
    "qwen2-5-0-5b",
    "qwen2-5-1-5b",
    "qwen2-5-3b",
    "qwen2-5-7b",
    "qwen2-5-14b",
    "qwen2-5-32b",
    "qwen2-5-72b",
    "qwen3-30b-a3b",
    "qwen3-235b-a22b",
    "qwen3-coder-480b-a35b",
    "llama-3-2-1b",
    "llama-3-2-3b",
    "llama-3-1-8b",
    "llama-3-1-70b",
    "llama-3-1-405b",
    "llama-4-scout",
    "llama-4-maverick",
    "llama-2-7b",
    "llama-2-13b",
    "codellama-34b",
    "llama-2-70b",
    "llama-65b",
    "tinyllama-1-1b",
    "gemma-3-1b",
    "gemma-3-4b",
    "gemma-3-12b",
    "gemma-3-27b",
    "gemma-2-2b",
    "gemma-2-9b",
    "gemma-2-27b",
    "codegemma-1-1-2b",
    "codegemma-7b",
    "mistral-7b",
    "mistral-nemo",
    "mistral-small-24b",
    "codestral-22b",
    "mistral-large",
    "mixtral-8x7b",
    "mixtral-8x22b",
    "phi-3-mini-4k",
    "phi-3-small-8k",
    "phi-3-medium-4k",
    "phi-4",
    "phi-2",
    "starcoder2-3b",
    "starcoder2-7b",
    "starcoder2-15b",
    "gpt-oss-20b",
    "gpt-oss-120b",
    "deepseek-v3",
    "kimi-k2",
    "qwen3-5-27b",
    "qwen3-5-35b-a3b",
    "qwen3-5-122b-a10b",
    "qwen3-5-397b-a17b",
    "minimax-m2",
    "glm-5",
    "deepseek-v2-lite",
    "glm-4-5-air",
    "deepseek-v4-pro",
    "deepseek-v4-flash",
    "kimi-k2-5",
    "qwen3-next-80b-a3b",
    "gemma-4-26b-a4b",
    "gemma-4-31b",
    "nemotron-3-nano-30b-a3b",
    "nemotron-3-super-120b-a12b",
    "nemotron-3-ultra-550b-a55b",
    "mimo-v2-flash",
    "step-3-5-flash",
    "qwen3-vl-8b",
    "llama-3-2-11b-vision",
    "ministral-3-8b",
    "vit-base-patch16-224",
    "dinov2-base",
    "clip-vit-large-patch14",
    "siglip-base-patch16-224",
    "t5-v1-1-xxl-encoder",
    "gpt2",
    "gpt2-medium",
    "gpt2-xl",
    "gpt-j-6b",
    "bloomz-560m",
    "bloomz-7b1",
    "bert-large",
    "bert-base",
    "pixart-sigma-xl-2-1024-ms",
    "stable-diffusion-3-medium",
    "stable-diffusion-3-5-medium",
    "stable-diffusion-3-5-large",
    "flux-1-dev",
    "flux-1-schnell",
    "hunyuandit-v1-2",
    "wan2-1-t2v-1-3b",
    "wan2-1-t2v-14b",
    "hunyuanvideo",
    "cogvideox-5b",
    "cogvideox-2b",
    "stable-diffusion-v1-5",
    "stable-diffusion-2-1",
    "stable-diffusion-xl",
    "sdxl-turbo",
    "ssd-1b",
    "text-to-video-ms-1-7b",
    "resnet-18",
    "resnet-34",
    "resnet-50",
    "resnet-101",
    "mobilenet-v1",
    "mobilenet-v2",
    "efficientnet-b0",
    "vgg-16",
    "alexnet",
    "lenet-5",
    "ssd-resnet34",
    "ssd-mobilenet-v1",
    "retinanet",
    "unet-3d-kits19",
    "dcgan-64",
    "sd-vae-decoder",
    "lstm-ptb-medium",
    "lstm-ptb-large",
    "awd-lstm-ptb",
    "rnn-t",
    "mlperf-tiny-resnet-8",
    "mlperf-tiny-ds-cnn",
    "mlperf-tiny-mobilenet",
    "mlperf-tiny-autoencoder",
    "hls4ml-ad08",
    "hls4ml-rn07",
    "finn-kws-w3a3",
    "finn-cnv-w1a1",
    "finn-sfc",
    "finn-lfc",
];

/// Reads a network from the text of its file.
///
/// # Errors
/// [`Error::File`] with line, column and field when the text does not follow the schema.
fn parse(text: &str, path: &str) -> Result<Architecture> {
    let options =
        ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
    options
        .from_str(text)
        .map_err(|error| Error::file(format!("line {error}"), path))
}

/// All networks.
///
/// # Errors
/// [`Error::File`] when a file that ships with the program is broken.
pub fn architectures() -> Result<&'static [Architecture]> {
    static CATALOGUE: OnceLock<Result<Vec<Architecture>>> = OnceLock::new();
    let loaded = CATALOGUE.get_or_init(|| {
        FILES
            .iter()
            .map(|(id, text)| parse(text, &format!("assets/architectures/{id}.ron")))
            .collect()
    });
    match loaded {
        Ok(networks) => Ok(networks),
        Err(error) => Err(error.clone()),
    }
}

/// The network with an identifier or a published name; a suffix that names the stored precision is not part of it.
///
/// # Errors
/// [`Error::Unknown`] with names that resemble it.
pub fn architecture(name: &str) -> Result<&'static Architecture> {
    let all = architectures()?;
    let wanted = name.to_lowercase();
    let find = |wanted: &str| {
        all.iter().find(|network| {
            network.id == wanted
                || network
                    .names
                    .iter()
                    .any(|published| published.to_lowercase() == wanted)
        })
    };
    let plain = [
        "-fp8",
        "-fp8-dynamic",
        "-bf16",
        "-awq",
        "-gptq",
        "-nvfp4",
        "-mxfp4",
    ]
    .iter()
    .find_map(|suffix| wanted.strip_suffix(suffix))
    .unwrap_or(&wanted);
    find(&wanted).or_else(|| find(plain)).ok_or_else(|| {
        Error::unknown(
            "architecture",
            name,
            all.iter().flat_map(|network| {
                std::iter::once(network.id.as_str()).chain(network.names.iter().map(String::as_str))
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::serving::architecture::Shape;
    use crate::serving::written::{billions, stands_in_methods};

    /// Norms, biases, small embeddings and a vision tower that is left out.
    const UNCOUNTED: f64 = 0.12;

    #[test]
    fn every_file_is_read_carries_its_own_name_and_counts_its_parameters() {
        let all = architectures().unwrap();
        assert!(all.len() >= 80);
        let mut names = BTreeSet::new();
        for ((id, _), network) in FILES.iter().zip(all) {
            assert_eq!(*id, network.id);
            assert!(network.source.len() > 20, "{id}");
            for name in network.names.iter().chain([&network.id]) {
                assert!(
                    names.insert(name.to_lowercase()) || *name == network.id,
                    "{name} twice"
                );
            }
            let counted = match &network.shape {
                Shape::Transformer(transformer) => transformer.parameters(),
                Shape::DiffusionTransformer(network) => network.parameters(),
                Shape::UNet(network) => network.count(64, 64).parameters,
                Shape::Layers(list) => list.parameters(),
                Shape::Listed(list) => list.graph.parameters() as f64,
            };
            let error = counted / network.parameters - 1.0;
            assert!(
                error.abs() < UNCOUNTED,
                "{id}: {counted} of {}",
                network.parameters
            );
        }
    }

    /// Parameters and bytes against the published ones, within 1.5 and 3 %; what is not known to be published is empty, of
    /// which there are no more than these.
    #[test]
    fn entries_are_counted_as_published() {
        const EMPTY: [usize; 4] = [43, 127, 135, 139];
        const APART: [f64; 4] = [0.015, 0.03, 0.01, 0.01];
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/catalogue.csv");
        let table = crate::files::read_text(path.as_ref(), 1 << 20).unwrap();
        let mut table = csv::Reader::from_reader(table.as_bytes());
        let mut rows = std::collections::BTreeMap::new();
        for row in table.records() {
            let row = row.unwrap();
            rows.insert(row[0].to_owned(), row);
        }
        let (mut wrong, mut empty, mut lines) = (Vec::new(), [0; 4], Vec::new());
        for network in architectures().unwrap() {
            let row = rows.remove(&network.id);
            let row = row.unwrap_or_else(|| panic!("{} has no row", network.id));
            let graph = network.graph();
            let reference = format!("catalogue:{}", network.id).parse().unwrap();
            let outline = crate::outline::Outline::of(reference, network.clone());
            let profile = outline.predict(&crate::recipe::Recipe::default()).unwrap();
            let found = [
                graph.parameters() as f64,
                (profile.stored_bytes() - profile.header_bytes) as f64,
                graph.kept_bytes(1.0) - graph.kept_bytes(0.0),
                graph.kept_bytes(1_048_576.0),
            ];
            if let Ok(published) = row[1].parse::<f64>() {
                lines.push(format!(
                    "| {} | {} | {} | {} |",
                    network.id,
                    billions(found[0]),
                    billions(published),
                    billions(found[1])
                ));
            }
            for (i, found) in found.into_iter().enumerate() {
                match row[i + 1].parse::<f64>() {
                    Err(_) => empty[i] += 1,
                    Ok(published) if (found / published - 1.0).abs() > APART[i] => {
                        wrong.push(format!("{} {i}: {found:.5e}, {published:.5e}", network.id));
                    }
                    Ok(_) => {}
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(rows.is_empty(), "{:?}", rows.keys());
        let more = empty.iter().zip(EMPTY).any(|(empty, most)| *empty > most);
        assert!(!more, "{empty:?} empty cells, {EMPTY:?} known");
        stands_in_methods(&lines);
    }

    #[test]
    fn a_precision_in_the_name_is_not_part_of_it() {
        let network = architecture("Qwen/Qwen3-235B-A22B-Thinking-2507-FP8").unwrap();
        assert_eq!(network.id, "qwen3-235b-a22b");
        assert!(
            architecture("qwen3-8c")
                .unwrap_err()
                .to_string()
                .contains("qwen3-8b")
        );
    }
}
