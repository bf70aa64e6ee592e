//! What the model is measured on: the data that ship, or the user's.

use std::path::Path;

use egui::{RichText, TextEdit, TextStyle, Ui};
use wattif_core::data::{OwnData, Preprocessing};
use wattif_core::measurement::Metric;

use crate::app::command::Action;
use crate::app::dialogs::Purpose;
use crate::app::{App, theme};

/// Draws the choice of data and a line about those of the user's.
pub(super) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let Some(facts) = &app.model.facts else {
        return;
    };
    let needs_images = facts.metric.is_none() && facts.reference.needs_images();
    let (reads_text, reads_images) = (
        facts.metric.is_some_and(Metric::is_of_text),
        facts.metric == Some(Metric::Accuracy) || needs_images,
    );
    if !reads_text && !reads_images {
        return;
    }
    let palette = theme::palette(ui.visuals());
    let now = app.session.configuration.data.as_ref();
    let ships = match (reads_text, needs_images) {
        (true, _) => "text that ships",
        (false, true) => "nothing yet",
        (false, false) => "images that ship",
    };
    let name = now.map_or_else(|| ships.to_owned(), OwnData::name);
    let small = |text: String| RichText::new(text).text_style(TextStyle::Small);
    ui.horizontal(|ui| {
        ui.label(small("Measured on".to_owned()).color(palette.muted));
        let menu = egui::ComboBox::from_id_salt("data")
            .selected_text(small(name))
            .width(ui.available_width())
            .truncate()
            .show_ui(ui, |ui| {
                choices(ui, (ships, reads_text, needs_images), queue);
            });
        menu.response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Measured on")
        });
        menu.response.on_hover_text(match reads_text {
            true => "Text whose perplexity or bits per byte is measured; a text file can be dropped on the window too",
            false => "Labelled images: a folder with one folder of PNG, JPEG or WebP files for each class, IDX files, or an .npz with x and y; all can be dropped on the window too",
        });
    });
    if let Some(said) = &facts.own_data {
        ui.add(egui::Label::new(small(said.clone()).color(palette.muted)).wrap());
    }
    if let Some(OwnData::Images {
        path,
        preprocessing,
    }) = now
    {
        steps(ui, path, preprocessing.as_ref(), queue);
    }
}

/// A field for how images become what the network reads.
fn steps(ui: &mut Ui, path: &Path, stated: Option<&Preprocessing>, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let small = |text: String| RichText::new(text).text_style(TextStyle::Small);
    let id = ui.scope_id().with(("preprocessing", path));
    let stated = stated.map(ToString::to_string);
    let mut draft: String = ui.data_mut(|data| data.get_temp(id).or(stated).unwrap_or_default());
    let label = ui.label(small("Preprocessing".to_owned()).color(palette.muted));
    let edit = TextEdit::singleline(&mut draft)
        .hint_text("resize=256 crop=224 mean=0.485,0.456,0.406 std=0.229,0.224,0.225")
        .font(TextStyle::Small)
        .desired_width(f32::INFINITY);
    let response = ui.add(edit).labelled_by(label.id).on_hover_text(
        "How images become what the network reads. resize: pixels of the shorter edge, or rows x columns; crop: the middle square; mean and std: of values between 0 and 1, colour by colour; order: rgb or bgr. Empty: what the model's own files say",
    );
    let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    let understood = match draft.trim() {
        "" => Ok(None),
        text => text.parse().map(Some),
    };
    match understood {
        Ok(preprocessing) if entered => queue.push(Action::MeasureOn(Some(OwnData::Images {
            path: path.to_owned(),
            preprocessing,
        }))),
        Ok(_) => {}
        Err(error) => {
            ui.add(egui::Label::new(small(error.to_string()).color(palette.error)).wrap());
        }
    }
    ui.data_mut(|data| data.insert_temp(id, draft));
}

fn choices(
    ui: &mut Ui,
    (ships, reads_text, needs_images): (&str, bool, bool),
    queue: &mut Vec<Action>,
) {
    let mut choose = |ui: &mut Ui, name: &str, action: Action| {
        if ui.button(name).clicked() {
            queue.push(action);
            ui.close();
        }
    };
    if !needs_images {
        let mut name = ships.to_owned();
        name[..1].make_ascii_uppercase();
        choose(ui, &name, Action::MeasureOn(None));
    }
    if reads_text {
        choose(
            ui,
            "Program code that ships",
            Action::MeasureOn(Some(OwnData::Code)),
        );
        choose(ui, "Your text…", Action::Ask(Purpose::OpenText));
    } else {
        choose(
            ui,
            "Your folder of images…",
            Action::Ask(Purpose::OpenImages),
        );
    }
}
