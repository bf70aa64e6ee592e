//! What the compressed model now does: the images it gets wrong, the text it writes.

use egui::{RichText, Ui, vec2};
use wattif_core::measurement::{Depth, Example};

use super::nearest;
use super::outputs;
use super::pictures::{Pictures, made_pictures, picture};
use crate::app::command::Action;
use crate::app::{App, charts, theme, widgets};

/// Draws the card.
pub(in crate::app) fn show(
    ui: &mut Ui,
    app: &App,
    pictures: &mut Pictures,
    queue: &mut Vec<Action>,
) {
    let Some(now) = &app.derived.now else {
        return;
    };
    let palette = theme::palette(ui.visuals());
    let muted = |text: &str| RichText::new(text.to_owned()).color(palette.muted);
    widgets::card(ui, "What it does now", |ui| {
        if let Some(stand_in) = &now.stand_in {
            let text = format!(
                "Of the {}: this student is not trained",
                charts::owner(stand_in)
            );
            ui.label(RichText::new(text).text_style(theme::emphasis()));
        }
        if app.writes_texts() {
            own_prompt(ui, app, queue);
        }
        let known = now.measurement.as_ref().or(now.stand_in.as_ref());
        let Some(measurement) = known else {
            ui.label(muted(if app.session.configuration.is_outline() {
                "Nothing to run: no weights are loaded"
            } else {
                "Not measured yet"
            }));
            return;
        };
        let writes = measurement.quality.metric.is_of_text();
        let made = |example: &Example| matches!(example, Example::Picture { .. });
        if measurement.examples.iter().any(made) {
            made_pictures(ui, app, measurement, pictures);
            return;
        }
        if nearest::has_sentences(measurement) {
            nearest::sentences(ui, measurement);
            return;
        }
        if measurement.recipe.is_identity() {
            ui.label(muted(
                "This is the original; move a slider to see what changes",
            ));
            return;
        }
        if measurement.examples.is_empty() {
            ui.label(muted(if writes && !app.writes_texts() {
                "A model as large as this writes no texts here"
            } else if writes {
                // Texts are written once the quality is known.
                "Its texts come after the full measurement…"
            } else if measurement.depth == Depth::Full {
                "It answers every held-out image that the original answers rightly"
            } else {
                "Comes with the full measurement…"
            }));
            return;
        }
        let outputs = |example: &Example| matches!(example, Example::Outputs { .. });
        if measurement.examples.iter().any(outputs) {
            outputs::table(ui, &measurement.examples);
            return;
        }
        let images = measurement
            .examples
            .iter()
            .any(|example| matches!(example, Example::Image { .. }));
        if images {
            ui.label(muted("Right before, wrong now"));
            gallery(ui, app, &measurement.examples, pictures);
        } else {
            for example in &measurement.examples {
                if let Example::Text {
                    prompt,
                    original,
                    compressed,
                } = example
                {
                    text(ui, prompt, original, compressed);
                }
            }
        }
    });
}

/// A field for a prompt of the user's, and what was written after it.
fn own_prompt(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let id = ui.scope_id().with("own prompt");
    let mut draft: String = ui.data_mut(|data| data.get_temp(id).unwrap_or_default());
    let label = ui.label(
        RichText::new("Your prompt, continued by both")
            .text_style(egui::TextStyle::Small)
            .color(palette.muted),
    );
    let edit = egui::TextEdit::singleline(&mut draft)
        .hint_text("The capital of France is")
        .desired_width(f32::INFINITY);
    let response = ui.add(edit).labelled_by(label.id);
    let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    if entered && !draft.trim().is_empty() {
        queue.push(Action::Write(draft.clone()));
    }
    ui.data_mut(|data| data.insert_temp(id, draft));
    let recipe = &app.session.configuration.recipe;
    let prompting = &app.model.prompting;
    if prompting.is_running() {
        ui.label(RichText::new("Writing, once the quality is measured…").color(palette.muted));
    }
    if let Some((
        Example::Text {
            prompt,
            original,
            compressed,
        },
        is_current,
    )) = prompting.last(recipe)
    {
        ui.add_enabled_ui(is_current, |ui| text(ui, prompt, original, compressed));
    }
    ui.separator();
}

const THUMBNAIL: f32 = 52.0;

fn gallery(ui: &mut Ui, app: &App, examples: &[Example], pictures: &mut Pictures) {
    let palette = theme::palette(ui.visuals());
    let columns = ((ui.available_width() + 8.0) / (THUMBNAIL + 16.0))
        .floor()
        .max(1.0) as usize;
    ui.spacing_mut().item_spacing = vec2(8.0, 6.0);
    for row in examples.chunks(columns).take(4) {
        ui.horizontal(|ui| {
            for example in row {
                let Example::Image {
                    index,
                    label,
                    original,
                    compressed,
                } = example
                else {
                    continue;
                };
                ui.vertical(|ui| {
                    ui.set_width(THUMBNAIL + 8.0);
                    ui.spacing_mut().item_spacing.y = 1.0;
                    if let Some(texture) = picture(ui, app, *index, pictures) {
                        ui.add(
                            egui::Image::new((texture, vec2(THUMBNAIL, THUMBNAIL)))
                                .corner_radius(3.0),
                        );
                    }
                    let name = |class: usize| app.class_name(class);
                    ui.add(
                        egui::Label::new(
                            RichText::new(name(*compressed))
                                .text_style(egui::TextStyle::Small)
                                .color(palette.strong),
                        )
                        .truncate(),
                    );
                    ui.add(
                        egui::Label::new(
                            RichText::new(format!("is {}", name(*label)))
                                .text_style(egui::TextStyle::Small)
                                .color(palette.muted),
                        )
                        .truncate(),
                    );
                })
                .response
                .on_hover_text(format!(
                    "Held-out image {index}: a {}; the original says {}, this says {}",
                    app.class_name(*label),
                    app.class_name(*original),
                    app.class_name(*compressed)
                ));
            }
        });
    }
}

fn text(ui: &mut Ui, prompt: &str, original: &str, compressed: &str) {
    let palette = theme::palette(ui.visuals());
    let mono = |text: &str| RichText::new(text.to_owned()).text_style(egui::TextStyle::Monospace);
    ui.label(mono(&one_line(prompt)).color(palette.muted));
    let (original, compressed) = (original.trim_start(), compressed.trim_start());
    // What both write is quiet; from where they part on, the compressed one's own words stand out.
    let same = common(original, compressed);
    for (name, words, color) in [
        ("Now", compressed, palette.accent),
        ("Original", original, palette.muted),
    ] {
        ui.label(
            RichText::new(name)
                .text_style(egui::TextStyle::Small)
                .color(color),
        );
        let (shared, own) = words.split_at(same);
        let mut job = egui::text::LayoutJob::default();
        let format = |color| egui::TextFormat {
            font_id: egui::TextStyle::Monospace.resolve(ui.style()),
            color,
            ..egui::TextFormat::default()
        };
        job.append(&one_line(shared), 0.0, format(palette.text));
        let mark = if own.is_empty() || name == "Original" {
            palette.text
        } else {
            palette.accent
        };
        job.append(&one_line(own), 0.0, format(mark));
        ui.add(egui::Label::new(job).wrap().selectable(true));
    }
    if original == compressed {
        ui.label(
            RichText::new("Word for word the same")
                .text_style(egui::TextStyle::Small)
                .color(palette.muted),
        );
    }
    ui.add_space(4.0);
}

/// Bytes that two texts begin with alike, up to whole words.
fn common(a: &str, b: &str) -> usize {
    if a == b {
        return a.len();
    }
    let pairs = a.char_indices().zip(b.chars());
    let parted = pairs.take_while(|((_, x), y)| x == y).last();
    let same = parted.map_or(0, |((at, x), _)| at + x.len_utf8());
    let ends_word = |text: &str| {
        let next = text[same..].chars().next();
        next.is_none_or(char::is_whitespace)
    };
    if ends_word(a) && ends_word(b) {
        return same;
    }
    a[..same].rfind(char::is_whitespace).map_or(0, |at| {
        at + a[at..].chars().next().map_or(0, char::len_utf8)
    })
}

/// Line breaks as spaces, bytes that are no text as dots.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => ' ',
            c if c.is_control() || c == char::REPLACEMENT_CHARACTER => '·',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::common;

    #[test]
    fn texts_part_at_the_word_that_differs() {
        for (a, b, same) in [
            ("one two three", "one two four", "one two "),
            ("one twofold", "one two", "one "),
            ("same", "same", "same"),
            ("Paris.\n\nThe", "Paris. It", "Paris."),
            ("größer als", "größer nie", "größer "),
            ("a", "b", ""),
            ("", "b", ""),
        ] {
            assert_eq!(&a[..common(a, b)], same);
            assert_eq!(&b[..common(a, b)], same);
        }
    }
}
