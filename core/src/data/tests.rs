use std::path::{Path, PathBuf};

use image::{GrayImage, Luma, Rgb, RgbImage};
use proptest::prelude::*;

use super::*;

const SMALL: Wanted = Wanted {
    channels: 3,
    size: 4,
    classes: 2,
};

/// A folder of classes with images of one colour each.
fn folder(classes: &[(&str, &[[u8; 3]])], (columns, rows): (u32, u32)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, images) in classes {
        let class = folder.path().join(name);
        std::fs::create_dir(&class).unwrap();
        for (i, &colour) in images.iter().enumerate() {
            let image = RgbImage::from_pixel(columns, rows, Rgb(colour));
            image.save(class.join(format!("{i}.png"))).unwrap();
        }
        std::fs::write(class.join("notes.txt"), "no image").unwrap();
    }
    folder
}

/// IDX files with the magic number and these extents.
fn idx(path: &Path, extents: &[u32], values: &[u8]) {
    let mut bytes = vec![0, 0, 8, extents.len() as u8];
    bytes.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
    bytes.extend(values);
    std::fs::write(path, bytes).unwrap();
}

fn refused(path: &Path, wanted: Wanted, preprocessing: Option<&Preprocessing>) -> String {
    let error = Images::read(path, wanted, preprocessing).unwrap_err();
    error
        .to_string()
        .split(": ")
        .take(2)
        .collect::<Vec<_>>()
        .join(": ")
        .replace(&path.display().to_string(), "PATH")
}

#[test]
fn folders_are_classes_in_the_order_of_their_names() {
    let red = [[200, 10, 20]];
    let folder = folder(&[("cat", &red), ("ant", &[[1, 2, 3], [4, 5, 6]])], (4, 4));
    assert!(is_images(folder.path()));
    let images = Images::read(folder.path(), SMALL, None).unwrap();
    assert_eq!(images.labels, [0, 0, 1]);
    assert_eq!(images.names, ["ant", "cat"]);
    // Colour by colour.
    assert_eq!(images.pixels[..16], [1; 16]);
    assert_eq!(images.pixels[16..32], [2; 16]);
    assert_eq!(images.pixels[2 * 48 + 32..], [20; 16]);
    assert_eq!(images.scales, [(0.0, 1.0); 3]);
    assert!(images.said.contains("3 images"), "{}", images.said);
    assert!(images.said.contains("assumed"), "{}", images.said);

    let stated: Preprocessing = "order=bgr mean=0.5 std=0.25,0.5,1".parse().unwrap();
    let images = Images::read(folder.path(), SMALL, Some(&stated)).unwrap();
    assert_eq!(images.pixels[..16], [3; 16]);
    assert_eq!(images.scales, [(0.5, 0.25), (0.5, 0.5), (0.5, 1.0)]);
    assert!(images.blue_first && !images.said.contains("assumed"));
}

#[test]
fn folders_called_by_numbers_are_these_classes() {
    let folder = folder(&[("7", &[[0; 3], [9; 3]]), ("03", &[[1; 3]])], (4, 4));
    let wanted = Wanted {
        classes: 10,
        ..SMALL
    };
    let images = Images::read(folder.path(), wanted, None).unwrap();
    assert_eq!(images.labels, [3, 7, 7]);
    assert!(images.names.is_empty());
}

#[test]
fn what_does_not_fit_is_refused_with_what_was_expected() {
    let three = folder(
        &[("a", &[[0; 3]]), ("b", &[[0; 3]]), ("c", &[[0; 3]])],
        (4, 4),
    );
    assert_eq!(
        Images::read(three.path(), SMALL, None)
            .unwrap_err()
            .to_string(),
        format!(
            "the folder has 3 folders, one for each class, but the network tells 2 classes apart; folders called by the numbers of classes, 0 to 1, may be fewer: {}",
            three.path().display()
        )
    );
    let two = folder(&[("a", &[[0; 3]]), ("b", &[[0; 3]])], (6, 5));
    let steps = |text: &str| text.parse::<Preprocessing>().unwrap();
    assert_eq!(
        refused(two.path(), SMALL, Some(&steps("resize=5"))),
        "image 0: 5 x 6 pixels are left after 'resize=5'; the network reads 4 x 4"
    );
    assert_eq!(
        refused(two.path(), SMALL, Some(&steps("crop=6"))),
        "image 0: the image has 5 x 6 pixels, fewer than the 6 x 6 that are cut out of it"
    );
    let error = Images::read(two.path(), SMALL, Some(&steps("crop=4 mean=0.1,0.2")));
    assert_eq!(
        error.unwrap_err().to_string(),
        "preprocessing: mean has 2 values; the network reads 3 colours"
    );
    let damaged = two.path().join("a/0.png");
    let bytes = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let error = Images::read(two.path(), SMALL, None)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("this image cannot be read"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    assert!(!is_images(empty.path()));
}

#[test]
fn sizes_are_brought_to_that_of_the_network_as_imagenets_are() {
    let two = folder(&[("a", &[[7; 3]]), ("b", &[[8; 3]])], (300, 260));
    let wanted = Wanted {
        size: 224,
        classes: 1000,
        ..SMALL
    };
    let numbered = tempfile::tempdir().unwrap();
    std::fs::rename(two.path().join("a"), numbered.path().join("5")).unwrap();
    std::fs::rename(two.path().join("b"), numbered.path().join("999")).unwrap();
    let images = Images::read(numbered.path(), wanted, None).unwrap();
    assert_eq!(images.labels, [5, 999]);
    assert_eq!(images.pixels.len(), 2 * 3 * 224 * 224);
    assert!(
        images.pixels[..3 * 224 * 224]
            .iter()
            .all(|&pixel| pixel == 7)
    );
    let expected = "resize=256 crop=224 mean=0.485,0.456,0.406 std=0.229,0.224,0.225 (assumed";
    assert!(images.said.contains(expected), "{}", images.said);
}

#[test]
fn pairs_of_idx_files_are_read_by_either_file_plain_or_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pixels: Vec<u8> = (0..32).collect();
    idx(&at("t10k-images-idx3-ubyte"), &[2, 4, 4], &pixels);
    idx(&at("t10k-labels-idx1-ubyte"), &[2], &[1, 0]);
    let wanted = Wanted {
        channels: 1,
        ..SMALL
    };
    for name in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        assert!(is_images(&at(name)));
        let images = Images::read(&at(name), wanted, None).unwrap();
        assert_eq!((images.pixels, images.labels), (pixels.clone(), vec![1, 0]));
    }
    for name in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        let file = std::fs::File::create(at(&format!("{name}.gz"))).unwrap();
        let mut writer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        std::io::Write::write_all(&mut writer, &std::fs::read(at(name)).unwrap()).unwrap();
        writer.finish().unwrap();
        std::fs::remove_file(at(name)).unwrap();
    }
    let images = Images::read(&at("t10k-images-idx3-ubyte.gz"), wanted, None).unwrap();
    assert_eq!(images.pixels, pixels);

    idx(&at("x-images-idx3-ubyte"), &[2, 4, 4], &pixels);
    let path = at("x-images-idx3-ubyte");
    let alone = refused(&path, wanted, None);
    assert!(alone.starts_with(
        "these are images; the file of the same name with 'labels-idx1-ubyte' is not"
    ));
    idx(&at("x-labels-idx1-ubyte"), &[3], &[1, 0, 0]);
    let three = refused(&path, wanted, None);
    assert!(three.starts_with("2 images of 4 x 4 pixels do not fit 3 labels"));
    idx(&at("x-labels-idx1-ubyte"), &[2], &[1, 2]);
    let other = refused(&path, wanted, None);
    assert!(
        other.starts_with("an image is of class 2, but the network tells 2 classes apart, 0 to 1")
    );
}

/// A `.npy` of this description and these bytes.
fn npy(kind: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((text.len() as u16).to_le_bytes());
    file.extend(text.as_bytes());
    file.extend(bytes);
    file
}

/// An archive that stores these files as they are.
fn archive(path: &Path, files: &[(&str, Vec<u8>)]) {
    let (mut body, mut list) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let start = (body.len() as u32).to_le_bytes();
        let length = (bytes.len() as u32).to_le_bytes();
        let mut facts = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        facts.extend(crc.sum().to_le_bytes());
        facts.extend([length, length].concat());
        facts.extend((name.len() as u16).to_le_bytes());
        facts.extend([0, 0]);
        body.extend(b"PK\x03\x04");
        body.extend(&facts);
        body.extend(name.as_bytes());
        body.extend(bytes);
        list.extend(b"PK\x01\x02\x14\x00");
        list.extend(&facts);
        list.extend([0; 10]);
        list.extend(start);
        list.extend(name.as_bytes());
    }
    let mut file = body.clone();
    file.extend(&list);
    file.extend(b"PK\x05\x06\0\0\0\0");
    let count = (files.len() as u16).to_le_bytes();
    file.extend([count, count].concat());
    file.extend((list.len() as u32).to_le_bytes());
    file.extend((body.len() as u32).to_le_bytes());
    file.extend([0, 0]);
    std::fs::write(path, file).unwrap();
}

#[test]
fn archives_of_arrays_are_read_whichever_way_colours_lie() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.npz");
    let labels = |kind: &str, labels: &[u8]| ("y.npy", npy(kind, "(2,)", labels));
    let bytes: Vec<u8> = (0..96).collect();
    // Colours last, as most have it.
    let last = ("x.npy", npy("|u1", "(2, 4, 4, 3)", &bytes));
    archive(&path, &[last, labels("|u1", &[1, 0])]);
    assert!(is_images(&path));
    let images = Images::read(&path, SMALL, None).unwrap();
    assert_eq!(images.labels, [1, 0]);
    assert_eq!(images.pixels[..4], [0, 3, 6, 9]);
    assert_eq!(images.pixels[16..20], [1, 4, 7, 10]);
    // Colours first, as shades of single precision.
    let shades: Vec<u8> = (0..96)
        .flat_map(|value| (value as f32 / 255.0).to_le_bytes())
        .collect();
    let first = ("x.npy", npy("<f4", "(2, 3, 4, 4)", &shades));
    archive(&path, &[first, labels("|u1", &[1, 0])]);
    let images = Images::read(&path, SMALL, None).unwrap();
    assert_eq!(images.pixels, bytes);
    assert!(images.said.contains("white at 1"), "{}", images.said);

    let refuse = |files: &[(&str, Vec<u8>)]| {
        archive(&path, files);
        Images::read(&path, SMALL, None).unwrap_err().to_string()
    };
    let normalised: Vec<u8> = (0..96)
        .flat_map(|value| (value as f32 - 40.5).to_le_bytes())
        .collect();
    let x = ("x.npy", npy("<f4", "(2, 3, 4, 4)", &normalised));
    let error = refuse(&[x, labels("|u1", &[1, 0])]);
    assert!(
        error.starts_with("the images have values from -40.5 to 54.5"),
        "{error}"
    );
    let x = || ("x.npy", npy("|u1", "(2, 4, 4, 3)", &bytes));
    let error = refuse(&[x(), ("y.npy", npy("|u1", "(3,)", &[0, 1, 0]))]);
    assert!(
        error.starts_with("'y' of shape [3] are no classes of 2 images"),
        "{error}"
    );
    let error = refuse(&[x(), ("z.npy", npy("|u1", "(2,)", &[0, 1]))]);
    assert!(
        error.starts_with("no images and labels are in it"),
        "{error}"
    );
    // Grey images have no place for colours.
    let x = ("x.npy", npy("|u1", "(2, 4, 12)", &bytes));
    archive(
        &path,
        &[
            x,
            labels("<i8", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ],
    );
    let images = Images::read(&path, SMALL, None).unwrap();
    assert_eq!(images.labels, [1, 0]);
    assert!(
        images.said.contains("4 x 12 pixels of 1 colour"),
        "{}",
        images.said
    );
}

#[test]
fn grey_networks_read_the_luma_of_colours() {
    let folder = folder(&[("a", &[[255, 0, 0]]), ("b", &[[77, 77, 77]])], (4, 4));
    let wanted = Wanted {
        channels: 1,
        ..SMALL
    };
    let images = Images::read(folder.path(), wanted, None).unwrap();
    assert_eq!(images.pixels[0], 76);
    assert_eq!(images.pixels[16], 77);
    let grey = GrayImage::from_pixel(4, 4, Luma([9]));
    grey.save(folder.path().join("a/0.png")).unwrap();
    let images = Images::read(folder.path(), wanted, None).unwrap();
    assert_eq!(images.pixels[..16], [9; 16]);
}

#[test]
fn what_files_beside_a_model_state_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    let beside = |name: &str, text: &str| {
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let found = Preprocessing::beside(&model);
        std::fs::remove_file(path).unwrap();
        found
            .map(|found| found.map(|found| found.to_string()))
            .map_err(|error| error.to_string())
    };
    assert_eq!(Preprocessing::beside(&model).unwrap(), None);
    let processor = "preprocessor_config.json";
    for (text, expected) in [
        (
            r#"{"do_resize":true,"size":{"shortest_edge":256},"crop_size":{"height":224,"width":224},
               "do_center_crop":true,"do_normalize":true,"image_mean":[0.5,0.5,0.5],"image_std":[0.25,0.25,0.25],
               "do_rescale":true,"rescale_factor":0.00392156862745098}"#,
            "resize=256 crop=224 mean=0.5,0.5,0.5 std=0.25,0.25,0.25",
        ),
        (
            r#"{"size":{"height":224,"width":224},"do_normalize":false,"image_mean":[0.5]}"#,
            "resize=224x224",
        ),
        (
            r#"{"size":{"shortest_edge":224},"crop_pct":0.875,"do_normalize":false,"resample":3}"#,
            "resize=256 filter=bicubic crop=224",
        ),
        (
            r#"{"size":384,"crop_pct":0.95,"do_normalize":false,"resample":2}"#,
            "resize=384x384",
        ),
        (r#"{"size":224,"do_normalize":false}"#, "resize=224x224"),
    ] {
        assert_eq!(beside(processor, text).unwrap().as_deref(), Some(expected));
    }
    // Sizes for tests have shares of their own, and are not taken unless they are asked for.
    let timm = r#"{"pretrained_cfg":{"input_size":[3,224,224],"test_input_size":[3,288,288],"crop_pct":0.95,
        "test_crop_pct":1.0,"mean":[0.1,0.2,0.3],"std":[1,1,1],"interpolation":"bicubic"}}"#;
    assert_eq!(
        beside("config.json", timm).unwrap().as_deref(),
        Some("resize=235 filter=bicubic crop=224 mean=0.1,0.2,0.3 std=1,1,1")
    );
    // A configuration of something else says nothing.
    assert_eq!(
        beside("config.json", r#"{"model_type":"llama"}"#).unwrap(),
        None
    );
    for (text, expected) in [
        (
            r#"{"do_rescale":false,"do_normalize":false}"#,
            "its values do not lie between 0 and 1",
        ),
        (
            r#"{"size":{"shortest_edge":224}}"#,
            "it normalises and does not state 'image_mean'",
        ),
        (
            r#"{"do_normalize":false,"resample":5}"#,
            "resampling by Pillow's number 5 is not done",
        ),
    ] {
        let wrong = beside(processor, text).unwrap_err();
        assert!(wrong.starts_with(expected), "{wrong}");
    }
}

#[test]
fn steps_that_are_not_understood_are_refused() {
    for (text, expected) in [
        ("scale=3", "preprocessing: 'scale=3' is none of"),
        ("crop", "preprocessing: 'crop' is none of"),
        ("crop=4 crop=5", "preprocessing: 'crop' stands twice"),
        ("std=0", "preprocessing: std is above 0"),
        ("mean=NaN", "preprocessing: mean and std are numbers"),
        ("resize=0", "preprocessing: an edge has 1 to 4096 pixels"),
        (
            "resize=99999",
            "preprocessing: an edge has 1 to 4096 pixels",
        ),
    ] {
        let error = text.parse::<Preprocessing>().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

proptest! {
    #[test]
    fn steps_survive_as_text(
        resize in prop_oneof![
            Just(None),
            (1..4096_u32).prop_map(|edge| Some(Resize::Shorter(edge))),
            (1..4096_u32, 1..4096_u32).prop_map(|(rows, columns)| Some(Resize::Exactly(rows, columns))),
        ],
        crop in proptest::option::of(1..4096_u32),
        mean in proptest::collection::vec(-2.0..2.0_f32, 0..4),
        std in proptest::collection::vec(0.01..3.0_f32, 0..4),
        bgr: bool,
        filter in 0..4_usize,
    ) {
        let order = if bgr { Order::Bgr } else { Order::Rgb };
        let steps = Preprocessing { resize, filter: Filter::ALL[filter], crop, mean, std, order };
        prop_assert_eq!(steps.to_string().parse::<Preprocessing>().unwrap(), steps);
    }

    /// Whatever an IDX file says of itself, it is read or refused.
    #[test]
    fn no_idx_file_is_read_beyond_its_end(
        extents in proptest::collection::vec(any::<u32>(), 0..5),
        small in proptest::collection::vec(0..5_u32, 3),
        lying: bool,
        values in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-images-idx3-ubyte");
        idx(&path, if lying { &extents } else { &small }, &values);
        idx(&folder.path().join("a-labels-idx1-ubyte"), &[2], &[0, 1]);
        let wanted = Wanted { channels: 1, size: 4, classes: 2 };
        if let Ok(images) = Images::read(&path, wanted, None) {
            prop_assert_eq!(images.pixels.len(), images.labels.len() * 16);
        }
    }
}
