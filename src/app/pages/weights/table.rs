//! The table of layers: sorted by a column, filtered by text, drawn where it is seen.

use egui::{
    Align, Align2, EventFilter, Key, Rect, RichText, ScrollArea, Sense, TextEdit, TextStyle, Ui,
    WidgetInfo, accesskit::Role, pos2, vec2,
};

use super::rows::{Column, Errors, Row};
use crate::app::cells::cell;
use crate::app::names;
use crate::app::pages::sheet;
use crate::app::theme;

/// What the table is sorted and filtered by, and how far it is scrolled.
pub(super) struct Head<'a> {
    pub(super) column: &'a mut Column,
    pub(super) rising: &'a mut bool,
    pub(super) filter: &'a mut String,
    pub(super) seen: &'a mut (f32, f32),
}

/// Height of a row at normal text size.
const ROW: f32 = 22.0;
/// Room between columns.
const GAP: f32 = 8.0;

impl Head<'_> {
    /// The field that filters, and how many layers are left.
    pub(super) fn filter(
        &mut self,
        ui: &mut Ui,
        (left, all): (usize, usize),
        beside: impl FnOnce(&mut Ui),
    ) {
        let palette = theme::palette(ui.visuals());
        ui.horizontal_wrapped(|ui| {
            let label = ui.label(RichText::new("Find").color(palette.muted));
            ui.add(
                TextEdit::singleline(self.filter)
                    .hint_text("name or kind")
                    .desired_width(160.0),
            )
            .labelled_by(label.id);
            let text = match left == all {
                true => format!("{all} layers"),
                false => format!("{left} of {all} layers"),
            };
            ui.label(RichText::new(text).color(palette.muted));
            ui.add_space(12.0);
            beside(ui);
        });
    }

    /// The titles, which are buttons.
    fn titles(&mut self, ui: &mut Ui, columns: &[(Column, f32)]) {
        let palette = theme::palette(ui.visuals());
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = GAP;
            for (column, width) in columns.iter().copied() {
                let sorted = column == *self.column;
                let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::click());
                let color = if sorted {
                    palette.strong
                } else {
                    palette.muted
                };
                let anchor = anchor(column);
                sheet::row_ground(ui.painter(), rect, &response, false, palette);
                let drawn = ui.painter().text(
                    anchor.pos_in_rect(&rect),
                    anchor,
                    column.title(),
                    theme::emphasis().resolve(ui.style()),
                    color,
                );
                if sorted {
                    // A triangle under the title, its tip down where the largest come first.
                    let tip = if *self.rising { -3.0 } else { 3.0 };
                    let center = drawn.center_bottom() + vec2(0.0, 0.5);
                    let points = vec![
                        center + vec2(-4.0, -tip / 2.0),
                        center + vec2(4.0, -tip / 2.0),
                        center + vec2(0.0, tip / 2.0),
                    ];
                    let shape =
                        egui::Shape::convex_polygon(points, palette.strong, egui::Stroke::NONE);
                    ui.painter().add(shape);
                }
                response.widget_info(|| {
                    let words = format!("Sort by {}", column.title().to_lowercase());
                    WidgetInfo::selected(Role::Button, true, sorted, words)
                });
                let response = response.on_hover_text(column.help());
                if response.clicked() {
                    *self.rising = sorted && !*self.rising;
                    *self.column = column;
                }
            }
        });
    }
}

const fn anchor(column: Column) -> Align2 {
    if column.is_words() {
        Align2::LEFT_CENTER
    } else {
        Align2::RIGHT_CENTER
    }
}

/// Least width of a name, which may end early.
const NAME: f32 = 70.0;

/// The columns that there is room for, with their widths; the name takes what is left.
fn columns(width: f32, growth: f32, compared: bool) -> Vec<(Column, f32)> {
    let mut shown = Column::ALL.to_vec();
    if !compared {
        shown.retain(|column| *column != Column::Difference);
    }
    let needed = |shown: &[Column]| -> f32 {
        shown
            .iter()
            .map(|column| column.width() * growth + GAP)
            .sum()
    };
    for spare in Column::SPARE {
        // Names give way as well before a figure does that says what the page is about.
        let names = match spare {
            Column::Zeros | Column::Energy | Column::Bits => Column::Layer.width() * growth - NAME,
            _ => 0.0,
        };
        if needed(&shown) - names.max(0.0) > width {
            shown.retain(|column| *column != spare);
        }
    }
    let left = width - needed(&shown);
    let widths = shown.into_iter().map(|column| {
        let own = column.width() * growth;
        match column {
            Column::Layer => (column, (own + left).max(NAME)),
            _ => (column, own),
        }
    });
    widths.collect()
}

/// Draws the table; gives the layer that was chosen.
pub(super) fn show(
    ui: &mut Ui,
    rows: &[&Row],
    errors: Option<&Errors>,
    chosen: Option<&Row>,
    head: &mut Head<'_>,
) -> Option<String> {
    let growth = TextStyle::Small.resolve(ui.style()).size / 11.0;
    let compared = rows.iter().any(|row| row.difference.is_some());
    let columns = columns(ui.available_width() - 14.0, growth, compared);
    head.titles(ui, &columns);
    if rows.is_empty() {
        cell(
            ui,
            ui.available_width(),
            Align::Min,
            "No layer is called so",
        );
        return None;
    }
    let high = ROW * growth;
    let place = chosen.and_then(|chosen| rows.iter().position(|row| row.name == chosen.name));
    let id = |row: &Row| egui::Id::unique(("layer of weights", &row.name));
    // Arrows go from row to row, whichever has the keyboard.
    let focused = ui.memory(|memory| memory.focused());
    let focused = rows.iter().position(|row| focused == Some(id(row)));
    let step = focused.map(|at| {
        ui.input(|input| {
            let last = rows.len() - 1;
            if input.key_pressed(Key::ArrowDown) {
                (at + 1).min(last)
            } else if input.key_pressed(Key::ArrowUp) {
                at.saturating_sub(1)
            } else if input.key_pressed(Key::Home) {
                0
            } else if input.key_pressed(Key::End) {
                last
            } else {
                at
            }
        })
    });
    let moved = step.filter(|step| Some(*step) != focused);
    let mut area = ScrollArea::vertical().id_salt("layers").auto_shrink(false);
    if let Some(to) = moved {
        let (top, seen) = *head.seen;
        let at = to as f32 * high;
        if at < top {
            area = area.vertical_scroll_offset(at);
        } else if at + high > top + seen {
            area = area.vertical_scroll_offset(at + high - seen);
        }
        ui.memory_mut(|memory| memory.request_focus(id(rows[to])));
    }
    let mut picked = moved.map(|to| rows[to].name.clone());
    ui.spacing_mut().item_spacing.y = 0.0;
    let output = area.show_rows(ui, high, rows.len(), |ui, range| {
        for at in range {
            let chosen = place == Some(at);
            if row(ui, id(rows[at]), rows[at], errors, chosen, &columns, high) {
                picked = Some(rows[at].name.clone());
            }
        }
    });
    *head.seen = (output.state.clamped_offset().y, output.inner_rect.height());
    picked
}

fn row(
    ui: &mut Ui,
    id: egui::Id,
    row: &Row,
    errors: Option<&Errors>,
    chosen: bool,
    columns: &[(Column, f32)],
    high: f32,
) -> bool {
    let palette = theme::palette(ui.visuals());
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), high), Sense::hover());
    let response = ui.interact(rect, id, Sense::click());
    if response.has_focus() {
        let arrows = EventFilter {
            vertical_arrows: true,
            ..EventFilter::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(id, arrows));
    }
    let painter = ui.painter();
    sheet::row_ground(painter, rect, &response, chosen, palette);
    let mut x = rect.left();
    for &(column, width) in columns {
        let room = Rect::from_min_size(pos2(x + 2.0, rect.top()), vec2(width - 2.0, high));
        x += width + GAP;
        let text = column.text(row, errors);
        if let (Column::Difference, Some(difference)) = (column, row.difference)
            && difference.more != 0.0
        {
            let color = match difference.is_better() {
                true => palette.accent,
                false => palette.error,
            };
            let ground = theme::faint(color, 0.08 + 0.42 * difference.share);
            ui.painter()
                .rect_filled(room.shrink2(vec2(0.0, 1.0)), 2.0, ground);
        }
        let strong = column == Column::Layer && (chosen || row.is_own());
        let own = column.is_own(row);
        let style = if strong || own {
            theme::emphasis()
        } else {
            TextStyle::Body
        };
        let font = style.resolve(ui.style());
        let color = match column {
            _ if chosen || own || column == Column::Layer => palette.strong,
            Column::Kind | Column::Shape => palette.muted,
            _ => palette.text,
        };
        let text = names::fitted(ui, &text, &font, room.width());
        let anchor = anchor(column);
        let drawn = ui
            .painter()
            .text(anchor.pos_in_rect(&room), anchor, text, font, color);
        if own {
            let center = drawn.left_center() - vec2(9.0, 0.0);
            let diamond = [
                vec2(-4.0, 0.0),
                vec2(0.0, -4.0),
                vec2(4.0, 0.0),
                vec2(0.0, 4.0),
            ];
            let points = diamond.map(|corner| center + corner).to_vec();
            let shape = egui::Shape::convex_polygon(points, palette.accent, egui::Stroke::NONE);
            ui.painter().add(shape);
        }
    }
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, row.spoken(errors)));
    response.clicked()
}
