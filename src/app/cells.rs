//! Texts in cells of fixed width, of which tables are made.

use egui::{
    Align, Align2, Response, Sense, TextStyle, TextWrapMode, Ui, WidgetInfo, WidgetText, accesskit,
    vec2,
};

use super::explain::REACHABLE;

/// Text in a fixed cell, for tables whose columns must align.
pub(super) fn cell(ui: &mut Ui, width: f32, align: Align, text: impl Into<WidgetText>) -> Response {
    cell_sensing(ui, width, align, text, Sense::hover())
}

/// The same, for [`super::explain::explained`].
pub(super) fn reachable_cell(
    ui: &mut Ui,
    width: f32,
    align: Align,
    text: impl Into<WidgetText>,
) -> Response {
    cell_sensing(ui, width, align, text, REACHABLE)
}

fn cell_sensing(
    ui: &mut Ui,
    width: f32,
    align: Align,
    text: impl Into<WidgetText>,
    sense: Sense,
) -> Response {
    let height = ui.text_style_height(&TextStyle::Body);
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), sense);
    let galley = text
        .into()
        .into_galley(ui, Some(TextWrapMode::Truncate), width, TextStyle::Body);
    let anchor = match align {
        Align::Min => Align2::LEFT_CENTER,
        Align::Center => Align2::CENTER_CENTER,
        Align::Max => Align2::RIGHT_CENTER,
    };
    let place = anchor.align_size_within_rect(galley.size(), rect);
    let words = galley.text().to_owned();
    let elided = galley.elided;
    ui.painter()
        .galley(place.min, galley, ui.visuals().text_color());
    response.widget_info(|| WidgetInfo::labeled(accesskit::Role::Label, true, &words));
    if elided {
        response.on_hover_text(words)
    } else {
        response
    }
}
