//! The data of the bundled models: read from the unpacked packages, cleaned and split.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use wattif_core::compress::distill::TrainingSet;
use wattif_core::graph::Input;
use wattif_core::model::Architecture;

use super::{Result, SEED};

const SIDE: usize = 28;
/// Times that Moby-Dick stands in the training text: it is a ninth as long as the addresses, and half of the held-out
/// text.
const MOBY_DICK_REPEATS: usize = 4;
/// Bytes taken from each address for a subset.
const EXCERPT: usize = 4096;

/// All data, split.
pub(crate) struct Corpus {
    images: TrainingSet,
    text: TrainingSet,
    /// All test images with their labels.
    pub(crate) test_pixels: Vec<u8>,
    pub(crate) test_labels: Vec<u8>,
    /// The shipped part of the held-out text.
    pub(crate) held_out_text: Vec<u8>,
    training_excerpts: Vec<u8>,
}

impl Corpus {
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let idx = |name: &str, header: usize| -> Result<Vec<u8>> {
            let path = folder.join("fashion-mnist").join(name);
            let mut bytes = Vec::new();
            let file = fs::File::open(&path).map_err(|e| format!("{e}: {}", path.display()))?;
            GzDecoder::new(file).read_to_end(&mut bytes)?;
            Ok(bytes.split_off(header))
        };
        let moby = join_lines(&clean(&fs::read(folder.join("moby-dick/data.txt"))?));
        let (moby, moby_held_out) = moby.split_at(sentence_end(&moby, moby.len() * 9 / 10));
        let mut paths: Vec<_> = fs::read_dir(folder.join("sotu"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        paths.sort();
        let (mut addresses, mut held_out_addresses) = (Vec::new(), Vec::new());
        for (i, path) in paths.iter().enumerate() {
            let text = clean(&fs::read(path)?);
            // Every tenth address, over all of two centuries.
            if i % 10 == 5 {
                held_out_addresses.push(text);
            } else {
                addresses.push(text);
            }
        }
        let mut text = moby.repeat(MOBY_DICK_REPEATS);
        for address in &addresses {
            text.extend_from_slice(address);
            text.extend_from_slice(b"\n\n");
        }
        // Half of each subset is one piece of the novel, the other half pieces from the middle of addresses.
        let mut held_out_text = moby_held_out[..32 << 10].to_vec();
        held_out_text.extend(excerpts(&held_out_addresses, 8));
        held_out_text.push(b'\n');
        let start = sentence_end(moby, moby.len() / 3);
        let mut training_excerpts = moby[start..start + (128 << 10)].to_vec();
        training_excerpts.extend(excerpts(&addresses, 32));
        Ok(Self {
            images: TrainingSet::Images {
                pixels: idx("train-images-idx3-ubyte.gz", 16)?,
                labels: idx("train-labels-idx1-ubyte.gz", 8)?,
            },
            text: TrainingSet::Text(text),
            test_pixels: idx("t10k-images-idx3-ubyte.gz", 16)?,
            test_labels: idx("t10k-labels-idx1-ubyte.gz", 8)?,
            held_out_text,
            training_excerpts,
        })
    }

    /// Everything that a network may be trained on.
    pub(crate) fn training(&self, architecture: &Architecture) -> &TrainingSet {
        match architecture.input() {
            Input::Image(_) | Input::Noise { .. } | Input::Noisy(_) => &self.images,
            Input::Tokens { .. } => &self.text,
        }
    }

    /// What [`Self::training`] is, in words.
    pub(crate) fn name(&self, architecture: &Architecture) -> &'static str {
        match architecture.input() {
            Input::Image(_) | Input::Noise { .. } | Input::Noisy(_) => {
                "60,000 Fashion-MNIST training images"
            }
            Input::Tokens { .. } => {
                "nine tenths of Moby-Dick and of the State of the Union addresses, 10.7 MB"
            }
        }
    }

    /// The shipped subsets: images balanced over the classes, in shuffled order, and excerpts of text.
    pub(crate) fn write_subsets(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let TrainingSet::Images { pixels, labels } = &self.images else {
            return Err("the images are no images".into());
        };
        let seen: HashSet<&[u8]> = pixels.chunks_exact(SIDE * SIDE).collect();
        write_images(folder, "training", pixels, labels, 800, &HashSet::new())?;
        write_images(
            folder,
            "evaluation",
            &self.test_pixels,
            &self.test_labels,
            200,
            &seen,
        )?;
        write_gzip(&folder.join("text-evaluation.txt.gz"), &self.held_out_text)?;
        write_gzip(
            &folder.join("text-training.txt.gz"),
            &self.training_excerpts,
        )?;
        if let TrainingSet::Text(text) = &self.text {
            let windows: HashSet<&[u8]> = self.held_out_text.windows(64).collect();
            let shared: HashSet<&[u8]> = text
                .windows(64)
                .filter(|window| windows.contains(window))
                .collect();
            println!(
                "{} of the {} windows of 64 bytes of the held-out text occur in the whole training text",
                shared.len(),
                windows.len()
            );
        }
        Ok(())
    }
}

/// Writes `per_class` images of each class that are not in `avoid`.
fn write_images(
    folder: &Path,
    part: &str,
    pixels: &[u8],
    labels: &[u8],
    per_class: usize,
    avoid: &HashSet<&[u8]>,
) -> Result<()> {
    let image = |index: usize| &pixels[index * SIDE * SIDE..(index + 1) * SIDE * SIDE];
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
    let mut taken = [0usize; 10];
    order.retain(|&index| {
        let count = &mut taken[usize::from(labels[index])];
        *count += 1;
        if avoid.contains(image(index)) {
            *count -= 1;
        }
        *count <= per_class && !avoid.contains(image(index))
    });
    let n = u32::try_from(order.len())?.to_be_bytes();
    let side = u32::try_from(SIDE)?.to_be_bytes();
    let mut images = [&[0, 0, 8, 3], &n[..], &side, &side].concat();
    let mut classes = [&[0, 0, 8, 1], &n[..]].concat();
    for &index in &order {
        images.extend_from_slice(image(index));
        classes.push(labels[index]);
    }
    let path = |what: &str| folder.join(format!("fashion-{part}-{what}-ubyte.gz"));
    write_gzip(&path("images.idx3"), &images)?;
    write_gzip(&path("labels.idx1"), &classes)
}

fn write_gzip(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut encoder = GzEncoder::new(fs::File::create(path)?, Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()?;
    println!("{}: {} bytes unpacked", path.display(), bytes.len());
    Ok(())
}

/// ASCII: typographic quotes and dashes become plain ones, what has no plain form is left out.
fn clean(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '\n' | ' '..='~' => out.push(c as u8),
            '\u{2018}' | '\u{2019}' => out.push(b'\''),
            '\u{201c}' | '\u{201d}' => out.push(b'"'),
            '\u{2014}' => out.extend_from_slice(b"--"),
            '\u{2010}'..='\u{2013}' => out.push(b'-'),
            'é' | 'è' | 'ê' => out.push(b'e'),
            _ => {}
        }
    }
    out
}

/// Joins the lines of a paragraph with spaces; the width of a printed page is nothing to learn.
fn join_lines(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for (i, &byte) in text.iter().enumerate() {
        let inner = byte == b'\n'
            && text.get(i + 1).is_some_and(|&next| next != b'\n')
            && out.last().is_some_and(|&last| last != b'\n');
        out.push(if inner { b' ' } else { byte });
    }
    out
}

/// The start of the first sentence after `from`.
fn sentence_end(text: &[u8], from: usize) -> usize {
    text[from..]
        .windows(2)
        .position(|pair| pair == b". ")
        .map_or(from, |at| from + at + 2)
}

/// `count` excerpts from the middles of texts, evenly chosen from those that are long enough.
fn excerpts(texts: &[Vec<u8>], count: usize) -> Vec<u8> {
    let long: Vec<&Vec<u8>> = texts
        .iter()
        .filter(|text| text.len() > 3 * EXCERPT)
        .collect();
    (0..count)
        .flat_map(|i| {
            let text = long[i * long.len() / count];
            let start = sentence_end(text, text.len() / 2);
            text[start..start + EXCERPT].iter().copied()
        })
        .collect()
}
