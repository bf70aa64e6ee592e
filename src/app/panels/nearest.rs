//! Sentences nearest to a few held-out ones, by the original and by the compressed encoder.

use egui::{RichText, Ui};
use wattif_core::measurement::{Example, Measurement, Near};

use crate::app::theme;
use crate::format;

/// Whether a measurement has such sentences.
pub(super) fn has_sentences(measurement: &Measurement) -> bool {
    let nearest = |example: &Example| matches!(example, Example::Nearest { .. });
    measurement.examples.iter().any(nearest)
}

/// The sentences, those that only one of both has marked.
pub(super) fn sentences(ui: &mut Ui, measurement: &Measurement) {
    let palette = theme::palette(ui.visuals());
    let small = |text: String, color| {
        RichText::new(text)
            .text_style(egui::TextStyle::Small)
            .color(color)
    };
    if let Some(share) = measurement.quality.neighbours {
        let words = format!(
            "{} of the ten nearest sentences are the original's",
            format::percent(share.value, 0)
        );
        let interval = format!(
            "95 % interval {} to {}",
            format::percent(share.low, 1),
            format::percent(share.high, 1)
        );
        ui.label(RichText::new(words).color(palette.text))
            .on_hover_text(interval);
    }
    for example in &measurement.examples {
        let Example::Nearest {
            sentence,
            original,
            compressed,
        } = example
        else {
            continue;
        };
        ui.add_space(4.0);
        let heading = RichText::new(sentence).text_style(theme::emphasis());
        ui.add(egui::Label::new(heading).truncate())
            .on_hover_text(sentence);
        let same = original.iter().chain(compressed).all(|near| near.by_both);
        if same {
            ui.label(small(
                "The same sentences are nearest".to_owned(),
                palette.muted,
            ));
            list(ui, compressed, palette.text);
            continue;
        }
        ui.label(small("Nearest now".to_owned(), palette.accent));
        list(ui, compressed, palette.accent);
        ui.label(small("Nearest to the original".to_owned(), palette.muted));
        list(ui, original, palette.strong);
    }
}

/// Sentences below each other, those of one model alone in a colour and with a mark.
fn list(ui: &mut Ui, nearest: &[Near], alone: egui::Color32) {
    let palette = theme::palette(ui.visuals());
    for near in nearest {
        let (mark, color) = match near.by_both {
            true => ("", palette.muted),
            false => ("≠ ", alone),
        };
        let similarity = format::signed_text(near.similarity, 2);
        let words = format!("{similarity}  {mark}{}", near.sentence);
        let label = egui::Label::new(
            RichText::new(words)
                .text_style(egui::TextStyle::Small)
                .color(color),
        );
        let which = match near.by_both {
            true => "near by both",
            false => "near by one of both only",
        };
        ui.add(label.truncate())
            .on_hover_text(format!("Cosine {similarity}, {which}: {}", near.sentence));
    }
}
