//! The models that ship with the program, inside it: their weights, a ladder of trained students for each, held-out data
//! to measure on and, apart from it, training data for students and calibration. `examples/train_bundled.rs` makes all
//! of it again from published packages; `assets/README.md` says where the data is from.

use std::io::Read;

use super::{Architecture, Model, ModelReference};
use crate::compress::distill::{Student, TrainingSet};
use crate::error::{Error, Result};
use crate::formats;
use crate::graph::Input;

/// A model that ships with the program.
#[derive(Debug)]
pub struct Bundled {
    /// Identifier, as in `bundled:NAME`.
    pub name: &'static str,
    /// Name on screen.
    pub title: &'static str,
    /// What it is and what it was trained on, in one sentence.
    pub summary: &'static str,
    weights: &'static [u8],
    students: &'static [&'static [u8]],
}

macro_rules! asset {
    ($path:literal) => {
        include_bytes!(concat!("../../../assets/", $path)).as_slice()
    };
}

static MODELS: [Bundled; 6] = [
    Bundled {
        name: "fashion-cnn",
        title: "Fashion classifier",
        summary: "Convolutional network with batch normalisation that tells ten kinds of clothing apart in 28x28 grey \
                  images (Fashion-MNIST)",
        weights: asset!("models/fashion-cnn.safetensors"),
        students: &[
            asset!("models/fashion-cnn-student-075.safetensors"),
            asset!("models/fashion-cnn-student-050.safetensors"),
            asset!("models/fashion-cnn-student-025.safetensors"),
            asset!("models/fashion-cnn-student-010.safetensors"),
            asset!("models/fashion-cnn-student-005.safetensors"),
        ],
    },
    Bundled {
        name: "tiny-gpt",
        title: "Tiny language model",
        summary: "Transformer that continues English prose byte by byte (Moby-Dick and State of the Union addresses)",
        weights: asset!("models/tiny-gpt.safetensors"),
        students: &[
            asset!("models/tiny-gpt-student-050.safetensors"),
            asset!("models/tiny-gpt-student-025.safetensors"),
            asset!("models/tiny-gpt-student-010.safetensors"),
            asset!("models/tiny-gpt-student-005.safetensors"),
        ],
    },
    Bundled {
        name: "fashion-vae",
        title: "Fashion autoencoder",
        summary: "Variational autoencoder that makes 28x28 grey images of clothing again from 16 numbers, and new ones from \
                  noise (Fashion-MNIST)",
        weights: asset!("models/fashion-vae.safetensors"),
        students: &[
            asset!("models/fashion-vae-student-050.safetensors"),
            asset!("models/fashion-vae-student-025.safetensors"),
            asset!("models/fashion-vae-student-010.safetensors"),
            asset!("models/fashion-vae-student-005.safetensors"),
        ],
    },
    Bundled {
        name: "fashion-gan",
        title: "Fashion generator",
        summary: "Generator of a generative adversarial network that makes 28x28 grey images of clothing from noise \
                  (Fashion-MNIST)",
        weights: asset!("models/fashion-gan.safetensors"),
        students: &[
            asset!("models/fashion-gan-student-050.safetensors"),
            asset!("models/fashion-gan-student-025.safetensors"),
            asset!("models/fashion-gan-student-010.safetensors"),
            asset!("models/fashion-gan-student-005.safetensors"),
        ],
    },
    Bundled {
        name: "tiny-lstm",
        title: "Recurrent language model",
        summary: "Long short-term memory that continues English prose byte by byte (the same texts as the tiny language model)",
        weights: asset!("models/tiny-lstm.safetensors"),
        students: &[
            asset!("models/tiny-lstm-student-050.safetensors"),
            asset!("models/tiny-lstm-student-025.safetensors"),
            asset!("models/tiny-lstm-student-010.safetensors"),
            asset!("models/tiny-lstm-student-005.safetensors"),
        ],
    },
    Bundled {
        name: "fashion-diffusion",
        title: "Fashion diffusion model",
        summary: "Denoiser (U-Net) that makes 28x28 grey images of clothing of noise, step by step (Fashion-MNIST)",
        weights: asset!("models/fashion-diffusion.safetensors"),
        students: &[
            asset!("models/fashion-diffusion-student-050.safetensors"),
            asset!("models/fashion-diffusion-student-025.safetensors"),
            asset!("models/fashion-diffusion-student-010.safetensors"),
            asset!("models/fashion-diffusion-student-005.safetensors"),
        ],
    },
];

/// The classifier whose features tell how near pictures come to real ones.
pub(crate) const JUDGE: &str = "fashion-cnn";

/// Names of the classes of Fashion-MNIST, in the order of the labels.
pub const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// All bundled models.
pub fn all() -> &'static [Bundled] {
    &MODELS
}

/// A bundled model by its name.
///
/// # Errors
/// [`Error::Unknown`] if there is none of that name.
pub fn find(name: &str) -> Result<&'static Bundled> {
    MODELS
        .iter()
        .find(|model| model.name == name)
        .ok_or_else(|| Error::unknown("bundled model", name, MODELS.iter().map(|m| m.name)))
}

/// Loads a bundled model.
///
/// # Errors
/// [`Error::Unknown`] if there is none of that name.
pub fn load(name: &str) -> Result<Model> {
    let bundled = find(name)?;
    let contents = formats::parse(bundled.weights).map_err(damaged)?;
    let reference = ModelReference::Bundled(name.to_owned());
    Model::new(
        reference,
        bundled.title,
        contents.architecture,
        contents.tensors,
    )
}

/// The students that ship with a model, largest first; none for a model that is not bundled or has other weights.
///
/// # Errors
/// [`Error::Compute`] if the program's own data is damaged.
pub fn students(model: &Model) -> Result<Vec<Student>> {
    let ModelReference::Bundled(name) = &model.reference else {
        return Ok(Vec::new());
    };
    let mut students = Vec::new();
    for &bytes in find(name)?.students {
        let student = Student::parse(bytes).map_err(damaged)?;
        if student.record.teacher == model.hash {
            students.push(student);
        }
    }
    Ok(students)
}

/// Held-out Fashion-MNIST test images, 200 of each class: pixels 0 to 255 `[2000, 28, 28]` and labels `[2000]`.
///
/// # Errors
/// [`Error::Compute`] if the program's own data is damaged.
pub fn evaluation_images() -> Result<(Vec<u8>, Vec<u8>)> {
    Ok((
        idx(asset!("data/fashion-evaluation-images.idx3-ubyte.gz"))?,
        idx(asset!("data/fashion-evaluation-labels.idx1-ubyte.gz"))?,
    ))
}

/// Held-out text, 64 KiB and one byte so that each of 65,536 bytes has one before it: the first half from the last tenth
/// of Moby-Dick, the second from eight State of the Union addresses that training never sees.
///
/// # Errors
/// [`Error::Compute`] if the program's own data is damaged.
pub fn evaluation_text() -> Result<Vec<u8>> {
    gunzip(asset!("data/text-evaluation.txt.gz"))
}

/// Program code to measure language models on where that is asked for: sources of this program, in Rust and Python.
///
/// # Errors
/// [`Error::Compute`] if the program's own data is damaged.
pub fn code_text() -> Result<String> {
    let text = gunzip(asset!("data/code-evaluation.txt.gz"))?;
    String::from_utf8(text).map_err(|_| Error::Compute("the program's code is no text".to_owned()))
}

/// Data to train students of a network on: 8,000 Fashion-MNIST training images, 800 of each class, or 256 KiB of text.
///
/// # Errors
/// [`Error::Compute`] if the program's own data is damaged.
pub fn training_set(architecture: &Architecture) -> Result<TrainingSet> {
    Ok(match architecture.input() {
        Input::Image(_) | Input::Noise { .. } | Input::Noisy(_) => TrainingSet::Images {
            pixels: idx(asset!("data/fashion-training-images.idx3-ubyte.gz"))?,
            labels: idx(asset!("data/fashion-training-labels.idx1-ubyte.gz"))?,
        },
        Input::Tokens { .. } => TrainingSet::Text(gunzip(asset!("data/text-training.txt.gz"))?),
    })
}

/// What students of generators learn from, in words; it takes no place.
pub const MADE_OF_NOISE: &str = "pictures that the original makes of noise";

/// What [`training_set`] is, in words: "8,000 Fashion-MNIST training images".
pub fn training_set_name(architecture: &Architecture) -> &'static str {
    match architecture.input() {
        Input::Noise { .. } => MADE_OF_NOISE,
        Input::Image(_) | Input::Noisy(_) => "8,000 Fashion-MNIST training images",
        Input::Tokens { .. } => "256 KiB of Moby-Dick and State of the Union addresses",
    }
}

/// Bytes of a set that students were trained on, uncompressed, by its name in their record; `None` for an unknown name.
pub fn training_set_bytes(name: &str) -> Option<f64> {
    // An image is 28 × 28 bytes and its label.
    match name {
        "8,000 Fashion-MNIST training images" => Some(8_000.0 * 785.0),
        "60,000 Fashion-MNIST training images" => Some(60_000.0 * 785.0),
        "256 KiB of Moby-Dick and State of the Union addresses" => Some(256.0 * 1024.0),
        "nine tenths of Moby-Dick and of the State of the Union addresses, 10.7 MB" => Some(10.7e6),
        _ => None,
    }
}

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::Compute(format!("the bundled data is damaged: {what}"))
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_end(&mut data)
        .map_err(damaged)?;
    Ok(data)
}

/// The bytes of a gzipped IDX file (LeCun's format: magic, dimensions, data) of unsigned bytes.
fn idx(bytes: &[u8]) -> Result<Vec<u8>> {
    let data = gunzip(bytes)?;
    let [0, 0, 8, rank, ..] = data[..] else {
        return Err(damaged("no IDX file of bytes"));
    };
    let header = 4 + 4 * usize::from(rank);
    let dims = data.get(4..header).ok_or_else(|| damaged("cut short"))?;
    let len: usize = dims
        .chunks_exact(4)
        .map(|dim| dim.iter().fold(0, |n, &byte| n << 8 | usize::from(byte)))
        .product();
    match data.get(header..) {
        Some(values) if values.len() == len => Ok(values.to_vec()),
        _ => Err(damaged("cut short")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_model_loads_and_runs() {
        for bundled in all() {
            let model = load(bundled.name).unwrap();
            assert_eq!(model.architecture.mismatch(&model.tensors), None);
            assert!(!bundled.summary.ends_with('.'));
        }
        assert_eq!(
            load("tiny-gtp").unwrap_err().to_string(),
            "no bundled model is called 'tiny-gtp'; did you mean tiny-gpt or tiny-lstm?"
        );
    }

    #[test]
    fn every_student_is_its_teachers_and_as_large_as_it_says() {
        /// Whole channels cannot hit every count: of the ratio, or, where few are left, of the original.
        const TOLERANCE: f64 = 0.03;
        const CHANNEL: f64 = 0.01;
        for bundled in all() {
            let model = load(bundled.name).unwrap();
            let students = students(&model).unwrap();
            assert_eq!(students.len(), bundled.students.len());
            for student in students {
                assert_eq!(student.architecture.mismatch(&student.tensors), None);
                let ratio = student.record.ratio;
                assert_eq!(
                    (student.architecture.clone(), student.record.description),
                    model.architecture.student(ratio)
                );
                let actual = student.architecture.parameters() as f64
                    / model.architecture.parameters() as f64;
                assert!((actual - ratio).abs() < (TOLERANCE * ratio).max(CHANNEL));
                let noise = matches!(model.architecture.input(), Input::Noise { .. });
                assert_eq!(student.record.data == MADE_OF_NOISE, noise);
                assert_eq!(training_set_bytes(&student.record.data).is_none(), noise);
            }
        }
    }

    #[test]
    fn the_data_has_the_documented_sizes() {
        let (pixels, labels) = evaluation_images().unwrap();
        assert_eq!(pixels.len(), 2000 * 28 * 28);
        for class in 0..10 {
            assert_eq!(labels.iter().filter(|&&label| label == class).count(), 200);
        }
        assert_eq!(evaluation_text().unwrap().len(), 65_537);
        for bundled in all() {
            let architecture = load(bundled.name).unwrap().architecture;
            let bytes = match training_set(&architecture).unwrap() {
                TrainingSet::Images { pixels, labels } => {
                    assert_eq!((pixels.len(), labels.len()), (8000 * 28 * 28, 8000));
                    pixels.len() + labels.len()
                }
                TrainingSet::Text(text) => {
                    assert_eq!(text.len(), 256 << 10);
                    text.len()
                }
            };
            let known = training_set_bytes(training_set_name(&architecture));
            let stored = !matches!(architecture.input(), Input::Noise { .. });
            assert_eq!(known, stored.then_some(bytes as f64));
        }
    }

    #[test]
    fn the_program_code_that_ships_is_code_and_small() {
        let text = code_text().unwrap();
        assert!(text.len() <= 64 << 10, "{}", text.len());
        assert_eq!(text.len() >> 10, 34);
        assert!(text.contains("\npub(super) struct ") && text.contains("\ndef "));
    }

    #[test]
    fn evaluation_and_training_images_share_nothing() {
        let cnn = load("fashion-cnn").unwrap().architecture;
        let TrainingSet::Images { pixels, .. } = training_set(&cnn).unwrap() else {
            panic!("a classifier trains on images");
        };
        let training: HashSet<&[u8]> = pixels.chunks_exact(28 * 28).collect();
        let (pixels, _) = evaluation_images().unwrap();
        assert!(
            pixels
                .chunks_exact(28 * 28)
                .all(|image| !training.contains(image))
        );
    }

    #[test]
    fn evaluation_and_training_text_share_no_window_of_64_bytes() {
        let gpt = load("tiny-gpt").unwrap().architecture;
        let TrainingSet::Text(training) = training_set(&gpt).unwrap() else {
            panic!("a language model trains on text");
        };
        let windows: HashSet<&[u8]> = training.windows(64).collect();
        let held_out = evaluation_text().unwrap();
        assert!(held_out.windows(64).all(|window| !windows.contains(window)));
    }
}
