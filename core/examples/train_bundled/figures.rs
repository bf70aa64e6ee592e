//! The figures that the documentation quotes.

use std::io::Write;
use std::process::{Command, Stdio};

use candle_core::{D, DType, Device, Tensor};
use wattif_core::engine::{Engine, Unobserved};
use wattif_core::evaluate::statistics::wilson;
use wattif_core::graph::Input;
use wattif_core::measurement::Depth;
use wattif_core::model::bundled::evaluation_images;
use wattif_core::model::{Architecture, ModelReference, Tensors};
use wattif_core::recipe::Recipe;

use super::corpus::Corpus;
use super::{Result, model_path, open, plans};

/// Prints the figures of everything that was written, and of `xz -9` on the held-out text.
pub(crate) fn print(corpus: &Corpus) -> Result<()> {
    for plan in plans() {
        let teacher = open(plan.file, plan.architecture)?;
        model(plan.file, &teacher.architecture, &teacher.tensors, corpus)?;
        for &percent in plan.ladder {
            let file = format!("{}-student-{percent:03}", plan.file);
            let (architecture, _) = teacher.architecture.student(f64::from(percent) / 100.0);
            let student = open(&file, architecture)?;
            model(&file, &student.architecture, &student.tensors, corpus)?;
        }
    }
    println!(
        "xz -9 on the held-out text: {:.3} bits per byte",
        xz(&corpus.held_out_text)? as f64 * 8.0 / corpus.held_out_text.len() as f64
    );
    Ok(())
}

/// Prints the figures of one network.
pub(crate) fn model(
    file: &str,
    architecture: &Architecture,
    tensors: &Tensors,
    corpus: &Corpus,
) -> Result<()> {
    let parameters = architecture.parameters();
    match architecture.input() {
        _ if architecture.graph().latent() > 0 => {
            let engine = Engine::open(&ModelReference::File(model_path(file)))?;
            let quality = engine
                .measure(&Recipe::default(), Depth::Full, &Unobserved)?
                .quality;
            println!("{file}: {parameters} parameters, {quality:?}");
        }
        Input::Noise { .. } | Input::Noisy(_) => {}
        Input::Image(_) => {
            let all = accuracy(
                architecture,
                tensors,
                &corpus.test_pixels,
                &corpus.test_labels,
            )?;
            let (pixels, labels) = evaluation_images()?;
            let subset = accuracy(architecture, tensors, &pixels, &labels)?;
            println!("{file}: {parameters} parameters, accuracy {all}; {subset}");
        }
        Input::Tokens { .. } => {
            let bits = bits_per_byte(architecture, tensors, &corpus.held_out_text)?;
            println!("{file}: {parameters} parameters, {bits:.4} bits per byte");
        }
    }
    Ok(())
}

/// "92.31 % (91.77 to 92.82) of 10000".
fn accuracy(
    architecture: &Architecture,
    tensors: &Tensors,
    pixels: &[u8],
    labels: &[u8],
) -> Result<String> {
    let mut right = 0u64;
    for (pixels, labels) in pixels.chunks(100 * 28 * 28).zip(labels.chunks(100)) {
        let values: Vec<f32> = pixels.iter().map(|&p| f32::from(p) / 255.0).collect();
        let input = Tensor::from_vec(values, (labels.len(), 1, 28, 28), &Device::Cpu)?;
        let answers = architecture
            .forward(tensors, &input, 32)?
            .argmax(D::Minus1)?;
        let answers = answers.to_dtype(DType::U32)?.to_vec1::<u32>()?;
        right += answers
            .iter()
            .zip(labels)
            .filter(|(answer, label)| **answer == u32::from(**label))
            .count() as u64;
    }
    let i = wilson(right, labels.len() as u64);
    Ok(format!(
        "{:.2} % ({:.2} to {:.2}) of {}",
        100.0 * i.value,
        100.0 * i.low,
        100.0 * i.high,
        labels.len()
    ))
}

/// Mean code length in contexts that do not overlap.
fn bits_per_byte(architecture: &Architecture, tensors: &Tensors, text: &[u8]) -> Result<f64> {
    let Input::Tokens {
        context: length, ..
    } = architecture.input()
    else {
        return Err("no language model".into());
    };
    let length = usize::try_from(length)?;
    let (mut nats, mut n) = (0.0, 0);
    for context in text.windows(length + 1).step_by(length) {
        let bytes: Vec<u32> = context.iter().map(|&byte| u32::from(byte)).collect();
        let (input, next) = (&bytes[..length], &bytes[1..]);
        let input = Tensor::from_slice(input, (1, length), &Device::Cpu)?;
        let logits = architecture.forward(tensors, &input, 32)?.squeeze(0)?;
        let next = Tensor::from_slice(next, length, &Device::Cpu)?;
        let loss = candle_nn::loss::cross_entropy(&logits, &next)?;
        nats += f64::from(loss.to_scalar::<f32>()?) * length as f64;
        n += length;
    }
    Ok(nats / n as f64 / std::f64::consts::LN_2)
}

/// Bytes of `xz -9` of some bytes.
fn xz(bytes: &[u8]) -> Result<usize> {
    let mut child = Command::new("xz")
        .args(["-9", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("xz has no input")?;
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "writing to xz failed")??;
    Ok(output.stdout.len())
}
