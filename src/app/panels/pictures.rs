//! Pictures: held-out images, and what models make of them or of noise.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use egui::{ColorImage, RichText, TextureHandle, TextureOptions, Ui, vec2};
use wattif_core::measurement::{Example, Measurement};

use crate::app::{App, theme};
use crate::format;

/// Pictures already handed to the graphics card: held-out ones by index in the evaluation set, those that models made by
/// what is on them.
#[derive(Default)]
pub(in crate::app) struct Pictures {
    held_out: HashMap<usize, TextureHandle>,
    made: HashMap<u64, TextureHandle>,
}

/// A held-out image, as it was handed over before or is now.
pub(super) fn picture(
    ui: &Ui,
    app: &App,
    index: usize,
    pictures: &mut Pictures,
) -> Option<egui::TextureId> {
    if let Some(texture) = pictures.held_out.get(&index) {
        return Some(texture.id());
    }
    let (pixels, width) = app.model.backend.as_ref()?.image(index)?;
    let colours = pixels
        .as_chunks::<3>()
        .0
        .iter()
        .map(|&pixel| theme::pixel(pixel));
    let texture = loaded(ui, colours.collect(), width);
    let id = texture.id();
    pictures.held_out.insert(index, texture);
    Some(id)
}

fn loaded(ui: &Ui, pixels: Vec<egui::Color32>, width: usize) -> TextureHandle {
    let image = ColorImage::new([width, pixels.len() / width.max(1)], pixels);
    (ui.ctx()).load_texture("picture", image, TextureOptions::NEAREST)
}

/// What a model made, as it was handed over before or is now.
fn made_picture(ui: &Ui, pixels: &[u8], width: usize, pictures: &mut Pictures) -> egui::TextureId {
    /// Pictures that are kept at most; then those of other configurations are dropped.
    const MOST: usize = 512;
    let mut hasher = DefaultHasher::new();
    pixels.hash(&mut hasher);
    if pictures.made.len() >= MOST {
        pictures.made.clear();
    }
    let known = pictures.made.entry(hasher.finish());
    let shades = || pixels.iter().map(|&value| theme::shade(value)).collect();
    known.or_insert_with(|| loaded(ui, shades(), width)).id()
}

/// Pictures of both models in rows that stand below each other, as many columns as there is room for.
pub(super) fn made_pictures(
    ui: &mut Ui,
    app: &App,
    measurement: &Measurement,
    pictures: &mut Pictures,
) {
    let is_original = measurement.recipe.is_identity();
    let (again, made): (Vec<_>, Vec<_>) = measurement.examples.iter().partition(|example| {
        matches!(
            example,
            Example::Picture {
                held_out: Some(_),
                ..
            }
        )
    });
    if !again.is_empty() {
        let heading = "Held-out images, made again";
        grid(ui, app, heading, (&again, is_original), pictures);
    }
    grid(
        ui,
        app,
        "Made from the same noise",
        (&made, is_original),
        pictures,
    );
    judged(ui, measurement);
    if is_original {
        let palette = theme::palette(ui.visuals());
        let words = "This is the original; move a slider to see what changes";
        ui.label(RichText::new(words).color(palette.muted));
    }
}

/// What is measured of pictures besides the metric, each beside the original's.
fn judged(ui: &mut Ui, measurement: &Measurement) {
    let pictures = measurement.quality.pictures.unwrap_or_default();
    let palette = theme::palette(ui.visuals());
    let figures = [
        (
            "PSNR",
            pictures.psnr,
            (1.0, " dB"),
            "How near images made again come to the held-out ones",
        ),
        (
            "Fréchet",
            pictures.frechet,
            (1.0, ""),
            "How far pictures made of noise are from held-out ones, by the features that the bundled classifier sees; \
             not comparable with distances by Inception's features",
        ),
        (
            "Precision",
            pictures.precision,
            (100.0, " %"),
            "Share of the pictures made of noise that look like held-out ones",
        ),
        (
            "Recall",
            pictures.recall,
            (100.0, " %"),
            "Share of the held-out images that pictures made of noise look like",
        ),
    ];
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 10.0;
        for (name, figure, (times, unit), help) in figures {
            let Some(figure) = figure else {
                continue;
            };
            let decimals = format::decimals_for(times * (figure.high - figure.low) / 6.0, 3);
            let number = |value: f64| format::signed_text(times * value, decimals);
            // A figure stays on one line.
            let words = format!(
                "{name} {}{unit} ({})",
                number(figure.value),
                number(figure.baseline)
            );
            let words = words.replace(' ', "\u{a0}");
            let label = RichText::new(words).text_style(egui::TextStyle::Small);
            let interval = format!(
                "95 % interval {} to {}; the original has {}",
                number(figure.low),
                number(figure.high),
                number(figure.baseline)
            );
            ui.label(label.color(palette.text))
                .on_hover_text(format!("{help}. {interval}"));
        }
    });
}

fn grid(
    ui: &mut Ui,
    app: &App,
    heading: &str,
    (examples, is_original): (&[&Example], bool),
    pictures: &mut Pictures,
) {
    const LABEL: f32 = 52.0;
    const SIDE: f32 = 31.0;
    let palette = theme::palette(ui.visuals());
    let small = |text: &str, color| {
        RichText::new(text.to_owned())
            .text_style(egui::TextStyle::Small)
            .color(color)
    };
    ui.label(small(heading, palette.muted));
    ui.spacing_mut().item_spacing = vec2(3.0, 3.0);
    let columns = ((ui.available_width() - LABEL) / (SIDE + 3.0))
        .floor()
        .max(1.0) as usize;
    let examples = &examples[..examples.len().min(columns)];
    let held_out = examples.iter().filter_map(|example| match example {
        Example::Picture { held_out, .. } => *held_out,
        _ => None,
    });
    let held_out: Vec<usize> = held_out.collect();
    let line = |ui: &mut Ui, name: &str, color, each: &mut dyn FnMut(&mut Ui)| {
        ui.horizontal(|ui| {
            let label = egui::Label::new(small(name, color));
            ui.add_sized(vec2(LABEL, SIDE), label);
            each(ui);
        });
    };
    let draw = |ui: &mut Ui, texture, name: String| {
        let image = egui::Image::new((texture, vec2(SIDE, SIDE))).corner_radius(2.0);
        ui.add(image.alt_text(name));
    };
    if !held_out.is_empty() {
        line(ui, "Image", palette.muted, &mut |ui| {
            for &index in &held_out {
                if let Some(texture) = picture(ui, app, index, pictures) {
                    draw(ui, texture, format!("Held-out image {index}"));
                }
            }
        });
    }
    for (name, color, now) in [
        ("Original", palette.muted, false),
        ("Now", palette.accent, true),
    ] {
        if now && is_original {
            continue;
        }
        line(ui, name, color, &mut |ui| {
            for (place, example) in examples.iter().enumerate() {
                let Example::Picture {
                    rows,
                    original,
                    compressed,
                    ..
                } = example
                else {
                    continue;
                };
                let pixels = if now { compressed } else { original };
                let texture = made_picture(ui, pixels, *rows, pictures);
                draw(ui, texture, format!("{name}, picture {}", place + 1));
            }
        });
    }
    ui.add_space(4.0);
}
