use super::*;
use crate::profile::LayerKind;
use crate::serving::architecture::Shape;
use crate::serving::catalogue::architecture;

fn list(name: &str) -> LayerList {
    match architecture(name).unwrap().shape.clone() {
        Shape::Layers(list) => list,
        other => panic!("{other:?}"),
    }
}

#[test]
fn mlperf_tiny_networks_by_hand() {
    // Sums over the reference networks of mlcommons/tiny, layer by layer.
    for (name, macs, weights) in [
        ("mlperf-tiny-resnet-8", 12_501_632.0, 77_360.0),
        ("mlperf-tiny-ds-cnn", 2_656_768.0, 22_016.0),
        ("mlperf-tiny-mobilenet", 7_489_664.0, 208_112.0),
        ("mlperf-tiny-autoencoder", 264_192.0, 264_192.0),
    ] {
        let list = list(name);
        assert_eq!(list.macs(), macs, "{name}");
        let counted: u64 = list.layers().iter().map(Layer::weights).sum();
        assert_eq!(counted as f64, weights, "{name}");
    }
}

#[test]
fn published_networks_by_hand() {
    // Without biases and normalisation. Multiply-accumulates of the generator: inputs of each layer's image times its
    // weights; of the language models: every weight once, the table of words apart.
    for (name, macs, weights) in [
        ("resnet-50", 4_089_184_256.0, 25_502_912.0),
        ("mobilenet-v1", 568_740_352.0, 4_209_088.0),
        ("vgg-16", 15_470_264_320.0, 138_344_128.0),
        ("alexnet", 714_188_480.0, 61_090_496.0),
        // Backbone 64.1e9, pyramid and heads over 13,343 places of five levels 137.1e9.
        ("retinanet", 201_208_394_752.0, 37_054_144.0),
        ("unet-3d-kits19", 477_298_688_000.0, 31_181_760.0),
        // 208 steps of two layers, 104 of three, 94 of two, 197 of the joint network.
        (
            "rnn-t",
            4096.0 * (208.0 * (1264.0 + 2048.0) + 104.0 * (3072.0 + 2.0 * 2048.0))
                + 94.0 * 2.0 * 1280.0 * 640.0
                + 197.0 * (1344.0 * 512.0 + 512.0 * 29.0),
            45_276_416.0,
        ),
        ("dcgan-64", 104_628_224.0, 3_574_784.0),
        (
            "lstm-ptb-medium",
            2.0 * 4.0 * 650.0 * 1300.0 + 650.0 * 10_000.0,
            19_760_000.0,
        ),
        (
            "awd-lstm-ptb",
            4.0 * (1150.0 * 1550.0 + 1150.0 * 2300.0 + 400.0 * 1550.0) + 4e6,
            24_190_000.0,
        ),
    ] {
        let list = list(name);
        assert_eq!(list.macs(), macs, "{name}");
        let counted: u64 = list.layers().iter().map(Layer::weights).sum();
        assert_eq!(counted as f64, weights, "{name}");
    }
}

#[test]
fn the_layers_make_the_published_operations_and_parameters() {
    /// `LeNet`-5's published connections include those of subsampling and biases, 4 % of them; all others differ by 2 %
    /// or less.
    const APART: f64 = 0.045;
    /// The parameters of large networks are printed with two or three digits, some with the running means of
    /// normalisation.
    const PARAMETERS_APART: f64 = 0.02;
    let mut counted = 0;
    for network in crate::serving::architectures().unwrap() {
        let Shape::Layers(list) = &network.shape else {
            continue;
        };
        let Some(operations) = list.operations else {
            continue;
        };
        counted += 1;
        let error = 2.0 * list.macs() / operations - 1.0;
        assert!(error.abs() < APART, "{}: {error}", network.id);
        let error = list.parameters() / network.parameters - 1.0;
        assert!(error.abs() < PARAMETERS_APART, "{}: {error}", network.id);
    }
    assert!(counted >= 11, "{counted}");
}

#[test]
fn each_layer_reads_what_an_earlier_one_wrote() {
    for network in crate::serving::architectures().unwrap() {
        let Shape::Layers(list) = &network.shape else {
            continue;
        };
        let layers = list.layers();
        let mut written = vec![layers[0].inputs];
        for layer in &layers {
            // A recurrent layer also reads what it wrote itself; attention reads three results of the same size.
            let read = match layer.kind {
                LayerKind::Recurrent => layer.inputs - layer.outputs,
                LayerKind::Attention => layer.inputs / 3.0,
                _ => layer.inputs,
            };
            // Between two layers pooling may make an image smaller, and repeating rows and columns four times as large; two
            // results of a size may be laid one upon the other.
            assert!(
                written
                    .iter()
                    .any(|size| *size >= read || [2.0, 4.0].contains(&(read / *size))),
                "{} {}",
                network.id,
                layer.name
            );
            written.push(layer.outputs);
        }
    }
}
