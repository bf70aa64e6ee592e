//! Rows of MLPerf Inference: which network a benchmark runs, what one sample of its data is, and in which unit the row
//! counts; from `assets/mlperf_inference.ron`.

use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;

use super::{CaseWork, Open, Row, language_of, network};
use crate::error::{Error, Result};
use crate::serving::architecture::{Architecture, Operations, Shape};
use crate::serving::catalogue;
use crate::serving::decode::{SCALE, Serving};
use crate::serving::denoiser::Pipeline;
use crate::serving::device::{Device, DeviceKind};
use crate::serving::diffusion::Generating;
use crate::serving::format::{Engine, Era, WeightFormat};
use crate::serving::hosted::{Hosted, placed};
use crate::serving::layers::LayerList;
use crate::serving::system::{Arrival, Benchmark};

/// The file that ships with the program.
const FILE: &str = include_str!("../../../../assets/mlperf_inference.ron");
/// Its path.
const PATH: &str = "assets/mlperf_inference.ron";
/// The network to whose rows the shares of the peak of convolutions were fitted.
const FITTED: &str = "resnet-50";
/// The round in which multi-stream queries became what they are now: eight samples, one query after the other.
const STREAMS_SINCE: f64 = 2.0;

/// What one sample of a benchmark asks for.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
enum Work {
    /// Runs of the network: typical, least, most.
    Samples([f64; 3]),
    /// Tokens of a text that is read at once.
    Text(f64),
    /// A prompt and an answer, in tokens.
    Language {
        /// Typical, least, most.
        prompt: [f64; 3],
        /// On average.
        output: f64,
        /// Answers that are written at once, of which the best is kept (beam search).
        beams: f64,
        /// The first round that published tokens instead of samples per second.
        tokens_since: f64,
    },
    /// Denoising steps of an image.
    Images(f64),
}

/// Which submissions compute in 16 bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Half {
    #[default]
    Never,
    /// Those for the higher of two accuracy targets.
    HighAccuracy,
    Always,
}

/// A benchmark.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    names: Vec<String>,
    #[serde(default)]
    network: Option<String>,
    #[serde(default)]
    rounds: Option<(f64, f64)>,
    #[serde(default)]
    work: Option<Work>,
    #[serde(default)]
    half: Half,
    #[serde(default)]
    seen: bool,
    #[serde(default)]
    skipped: Option<String>,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader of the file"))]
    source: String,
}

fn entries() -> Result<&'static [Entry]> {
    static ENTRIES: OnceLock<Result<Vec<Entry>>> = OnceLock::new();
    let loaded = ENTRIES.get_or_init(|| {
        ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
            .from_str(FILE)
            .map_err(|error| Error::file(format!("line {error}"), PATH))
    });
    match loaded {
        Ok(entries) => Ok(entries),
        Err(error) => Err(error.clone()),
    }
}

/// The name of a benchmark and whether its accuracy target is the higher one: "bert-99.9" is "bert", and it is.
fn target(model: &str) -> (String, bool) {
    let name = model.trim().to_lowercase();
    match name.strip_suffix("-99.9") {
        Some(name) => (name.to_owned(), true),
        None => (name.strip_suffix("-99").unwrap_or(&name).to_owned(), false),
    }
}

/// The round in "MLPerf Inference v2.1 edge Offline"; none where it names none.
fn round(task: &str) -> Option<f64> {
    task.split_whitespace()
        .filter_map(|word| word.strip_prefix(['v', 'V']))
        .find_map(|number| number.parse().ok())
}

fn arrival(task: &str) -> std::result::Result<Arrival, String> {
    let word = task.split_whitespace().last().unwrap_or_default();
    match word.to_lowercase().replace(['-', '_'], "").as_str() {
        "offline" => Ok(Arrival::Offline),
        "server" => Ok(Arrival::Server),
        "interactive" => {
            Err("how far a batch must shrink to keep an interactive bound is not modelled".to_owned())
        }
        "singlestream" => Ok(Arrival::SingleStream),
        "multistream" => match round(task) {
            Some(round) if round < STREAMS_SINCE => Err(
                "before v2.0 the multi-stream scenario counted streams at a fixed rate, not queries"
                    .to_owned(),
            ),
            _ => Ok(Arrival::MultiStream),
        },
        _ => Err(format!("'{task}' names no MLPerf scenario")),
    }
}

/// Whether the figures of a row are per token: as it says, else as its round published them.
fn per_token(row: &Row, arrival: Arrival, tokens_since: f64) -> bool {
    let said = format!("{} {}", row.energy_unit, row.throughput_unit).to_lowercase();
    if said.contains("token") {
        return true;
    }
    let samples = ["sample", "quer", "request", "stream", "inference"];
    if samples.iter().any(|word| said.contains(word)) {
        return false;
    }
    let streams = matches!(arrival, Arrival::SingleStream | Arrival::MultiStream);
    !streams && round(&row.task).is_none_or(|round| round >= tokens_since)
}

/// A benchmark as a case: its network, the work, and what the row leaves open.
pub(super) fn case(
    row: &Row,
    device: &Device,
    devices: f64,
    models: Option<&Path>,
) -> std::result::Result<(Architecture, CaseWork, Vec<Open>), String> {
    let arrival = arrival(&row.task)?;
    let (name, high_accuracy) = target(&row.model);
    let all = entries().map_err(|error| error.to_string())?;
    let in_round = |entry: &&Entry| match (entry.rounds, round(&row.task)) {
        (Some((first, last)), Some(round)) => first <= round && round <= last,
        _ => true,
    };
    let mut named = all.iter().filter(|entry| entry.names.contains(&name));
    let mut entry = named.find(in_round);
    if let Some(reason) = entry.and_then(|entry| entry.skipped.as_ref()) {
        return Err(reason.clone());
    }
    let network = match entry.and_then(|entry| entry.network.as_ref()) {
        Some(id) => catalogue::architecture(id)
            .map_err(|error| error.to_string())?
            .clone(),
        None => network(row, models)?,
    };
    if entry.is_none() {
        let same = |entry: &&Entry| entry.network.as_ref() == Some(&network.id);
        entry = all.iter().filter(same).find(in_round);
    }
    let unknown = || {
        format!(
            "{} is not one of the benchmarks that are modelled",
            row.model
        )
    };
    let work = match (entry.and_then(|entry| entry.work), &network.shape) {
        (Some(work), _) => work,
        (None, Shape::Layers(_)) => Work::Samples([1.0; 3]),
        _ => return Err(unknown()),
    };
    let half = entry.map_or(Half::Never, |entry| entry.half);
    let system = |operations, kind, (traffic, fitted_traffic)| {
        CaseWork::System(Benchmark {
            operations,
            kind,
            traffic,
            fitted_traffic,
            strict: half == Half::HighAccuracy && high_accuracy,
            half: half == Half::Always,
            seen: entry.is_some_and(|entry| entry.seen),
            arrival,
            devices,
            efficient: row.parallelism.contains("MaxQ"),
            plain_software: row.engine.contains("TFLite"),
        })
    };
    let mut open = Vec::new();
    let work = match (work, &network.shape) {
        (Work::Samples([typical, least, most]), Shape::Layers(list)) => {
            if least < most {
                open.push(Open::Work(least / typical, most / typical));
            }
            let kind = list.operations_kind();
            let traffic = match kind {
                Operations::Convolutional => (list.traffic(), fitted_traffic()?),
                Operations::Attention => SAME,
            };
            system(typical * list.operations(), kind, traffic)
        }
        (Work::Text(tokens), Shape::Transformer(_)) => system(
            language_of(&network)?.forward_operations(tokens),
            Operations::Attention,
            SAME,
        ),
        (
            Work::Language {
                prompt: [typical, shortest, longest],
                output,
                beams,
                tokens_since,
            },
            Shape::Transformer(_),
        ) => {
            hosts(device)?;
            let language = language_of(&network)?;
            let prompt = Row::number(&row.input_tokens).unwrap_or_else(|| {
                open.push(Open::Prompt(shortest, longest));
                typical
            });
            let output = Row::number(&row.output_tokens).unwrap_or(output);
            let per_unit = if per_token(row, arrival, tokens_since) {
                beams
            } else {
                open.push(Open::Answer(output));
                beams * output
            };
            // Beams share a prompt: as one answer that is so many times as long.
            let served = served(row, device, (prompt, beams * output));
            let served = placed(&language, &served, device, devices, arrival)?;
            let group = served.devices;
            let work = CaseWork::Decode(language, served);
            hosted(row, work, (group, devices), arrival, per_unit)
        }
        (Work::Images(steps), shape) => {
            let pipeline = shape.pipeline().ok_or_else(unknown)?;
            let pipeline = Pipeline {
                width: 1024,
                height: 1024,
                ..pipeline
            };
            let image = Generating::new(shape, &pipeline, 1.0, 1.0).ok_or_else(unknown)?;
            let steps = Row::number(&row.steps).unwrap_or(steps);
            let passes = steps * image.passes * (image.pass.linear + image.pass.attention);
            // The decoder is counted twice, as it computes in at least 16 bit.
            let operations = passes + image.decoder + image.passes * image.text;
            system(operations, Operations::Attention, SAME)
        }
        _ => return Err(unknown()),
    };
    Ok((network, work, open))
}

/// Whether the models of language and images were made for such a device.
fn hosts(device: &Device) -> std::result::Result<(), String> {
    let gpu = match device.kind {
        DeviceKind::Gpu => true,
        DeviceKind::SystemOnChip => device.hardware.is_some(),
        _ => false,
    };
    if !gpu {
        return Err(format!(
            "how {} runs language models or generates images is not modelled",
            device.name
        ));
    }
    Ok(())
}

/// Work on the boards as work of a system at the wall.
fn hosted(
    row: &Row,
    work: CaseWork,
    (group, devices): (f64, f64),
    arrival: Arrival,
    per_unit: f64,
) -> CaseWork {
    CaseWork::Hosted(Hosted {
        work: Box::new(work),
        group,
        devices,
        arrival,
        per_unit,
        efficient: row.parallelism.contains("MaxQ"),
    })
}

/// How submissions serve a language model, on one device at first: no server around it, as queries come out of the load
/// generator in the same process, so that overheads are the least that were seen, those of the newest stacks (assumed).
fn served(row: &Row, device: &Device, (prompt, output): (f64, f64)) -> Serving {
    let format = match row.precision.trim() {
        "" if device.fp8.is_some() => WeightFormat::Fp8,
        "" => WeightFormat::Half,
        precision => WeightFormat::named(&precision.to_lowercase()),
    };
    let engine = row.engine.to_lowercase();
    Serving {
        batch: 1.0,
        prompt,
        output,
        context: None,
        devices: 1.0,
        stages: 1.0,
        attention_groups: 1.0,
        whole_experts: true,
        format,
        mxfp4_experts: false,
        integer_experts: false,
        scale: SCALE,
        era: Era::Y2026,
        engine: if engine.contains("vllm") {
            Engine::Vllm
        } else if engine.contains("sglang") {
            Engine::Sglang
        } else {
            Engine::TensorRt
        },
    }
}

/// Traffic that does not differ from that of the network that was fitted.
const SAME: (f64, f64) = (0.0, 0.0);

/// Activations per operation of the network to which the shares of convolutions were fitted.
fn fitted_traffic() -> std::result::Result<f64, String> {
    let network = catalogue::architecture(FITTED).map_err(|error| error.to_string())?;
    match &network.shape {
        Shape::Layers(list) => Ok(LayerList::traffic(list)),
        _ => Err(format!("{FITTED} is not known layer by layer")),
    }
}

#[cfg(test)]
mod tests;
