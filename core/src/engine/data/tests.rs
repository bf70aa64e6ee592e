use std::path::PathBuf;

use image::{Rgb, RgbImage};

use super::super::{Engine, Unobserved};
use crate::data::OwnData;
use crate::measurement::Depth;
use crate::model::{Architecture, Block, BlockKind, ModelReference, ResidualConfig, Stem};
use crate::outline::Outline;
use crate::recipe::Recipe;

const CLASSES: usize = 3;

/// A classifier of colour images in three classes, made for images of this many pixels an edge.
fn network(size: usize) -> Architecture {
    let block = |channels, stride| Block {
        kind: BlockKind::Basic,
        hidden: channels,
        channels,
        stride,
        projected: stride > 1,
    };
    Architecture::Residual(ResidualConfig {
        input_channels: 3,
        size,
        stem: Stem {
            channels: 8,
            kernel: 3,
            stride: 1,
            pool: false,
        },
        stages: vec![vec![block(8, 1)], vec![block(16, 2)]],
        last: None,
        classes: CLASSES,
    })
}

/// Its file and a folder of images of noise in classes.
fn files() -> (tempfile::TempDir, ModelReference, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("colours.safetensors");
    let tensors = network(32).initial_tensors(5).unwrap();
    candle_core::safetensors::save(&tensors.into_iter().collect(), &path).unwrap();
    let images = folder.path().join("images");
    let mut state = 1_u32;
    for class in 0..CLASSES {
        let inner = images.join(format!("class {class}"));
        std::fs::create_dir_all(&inner).unwrap();
        for n in 0..8 {
            let image = RgbImage::from_fn(40, 36, |_, _| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let [r, g, b, _] = state.to_be_bytes();
                Rgb([r, g / (1 + class as u8), b])
            });
            image.save(inner.join(format!("{n}.png"))).unwrap();
        }
    }
    (folder, ModelReference::File(path), images)
}

fn images(path: PathBuf, steps: Option<&str>) -> OwnData {
    OwnData::Images {
        path,
        preprocessing: steps.map(|steps| steps.parse().unwrap()),
    }
}

#[test]
fn a_classifier_is_known_by_its_shapes_and_runs_on_images_of_the_users() {
    let (_folder, reference, folder) = files();
    assert!(reference.is_outline() && reference.needs_images());
    let outline = Outline::open(&reference).unwrap();
    let data = images(folder, None);
    let engine = Engine::open_with(&reference, Some(&data), None).unwrap();
    // Both doors count the same.
    let recipe = Recipe::default();
    let (shapes, weights) = (
        outline.predict(&recipe).unwrap(),
        engine.predict(&recipe).unwrap(),
    );
    assert_eq!(
        outline.parameters(),
        engine.model().architecture.parameters()
    );
    assert_eq!(shapes.macs(), weights.macs());
    assert_eq!(shapes.weights(), weights.weights());
    let said = engine.own_data().unwrap();
    assert!(said.starts_with("24 images of "), "{said}");
    assert!(
        said.ends_with("prepared by resize=37 crop=32 (assumed: nothing is stated)"),
        "{said}"
    );

    let full = engine.measure(&recipe, Depth::Full, &Unobserved).unwrap();
    assert_eq!((full.depth, full.quality.n), (Depth::Full, 24));
    assert_eq!(full.quality.change.value, 0.0);
    let mut two = Recipe::default();
    two.quantization.weight_bits = 2;
    let rounded = engine.measure(&two, Depth::Full, &Unobserved).unwrap();
    assert!(rounded.quality.divergence.unwrap().value > 0.0);
    assert!(!engine.has_students());
}

#[test]
fn preprocessing_tells_the_size_that_a_network_reads() {
    let (_folder, reference, folder) = files();
    let data = images(folder, Some("resize=30 crop=24 mean=0.5 std=0.5"));
    let engine = Engine::open_with(&reference, Some(&data), None).unwrap();
    let small = network(24).graph();
    let expected: f64 = small.layers().iter().map(|layer| layer.macs).sum();
    let profile = engine.predict(&Recipe::default()).unwrap();
    assert_eq!(profile.macs(), expected);
}

#[test]
fn data_of_another_kind_are_refused() {
    let (_folder, reference, folder) = files();
    let refused = |reference: &ModelReference, data: Option<OwnData>| {
        let error = Engine::open_with(reference, data.as_ref(), None).err();
        error.unwrap().to_string()
    };
    let bundled = |name: &str| ModelReference::Bundled(name.to_owned());
    assert_eq!(
        refused(&reference, None),
        "no images ship that a network of 3 x 32 x 32 values and 3 classes could be measured on; give some of your own"
    );
    assert_eq!(
        refused(&reference, Some(OwnData::Code)),
        "the model reads no text and cannot be measured on one"
    );
    assert_eq!(
        refused(&bundled("tiny-gpt"), Some(images(folder.clone(), None))),
        "the model reads text and cannot be measured on images"
    );
    let generator = refused(&bundled("fashion-gan"), Some(images(folder.clone(), None)));
    assert!(
        generator.starts_with("models that make pictures"),
        "{generator}"
    );
    let classes = refused(&bundled("fashion-cnn"), Some(images(folder, None)));
    assert!(
        classes
            .starts_with("the folder has 3 folders, one for each class, but the network tells 10"),
        "{classes}"
    );
}
