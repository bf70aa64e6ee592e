//! Menus that are searched by typing: a field, a list that stays as high as it is, and a place in it that Enter takes and
//! the arrow keys move.

use egui::{Id, Key, Modifiers, ScrollArea, Stroke, StrokeKind, TextEdit, Ui, accesskit};

use super::theme;

/// Height of the list, where the window has room.
const LIST: f32 = 340.0;
/// Of the window, what is not the list: the button that opens the menu and what stands over the list.
const AROUND: f32 = 160.0;

/// What a menu remembers while it is open.
#[derive(Debug, Clone, Default)]
struct State {
    text: String,
    /// Where the arrow keys have led.
    moved: Option<usize>,
    /// How far the list is scrolled.
    offset: f32,
    /// The pass in which it was last drawn.
    drawn: Option<u64>,
}

/// An open menu in one pass.
#[derive(Debug)]
pub(super) struct Menu {
    id: Id,
    state: State,
    /// The steps that the arrow keys ask for.
    steps: isize,
    entered: bool,
    /// Where Enter would take.
    cursor: Option<usize>,
    /// Whether the list must be scrolled to what is typed or moved to.
    reveals: bool,
}

impl Menu {
    /// Draws the field, which is empty and has the keyboard when the menu opens.
    pub(super) fn open(ui: &mut Ui, id: Id, name: &str, hint: &str) -> Self {
        let pass = ui.ctx().cumulative_pass_nr();
        let mut state: State = ui.data(|data| data.get_temp(id)).unwrap_or_default();
        // Not drawn in the pass before: the menu has just opened.
        let opened = state.drawn.is_none_or(|drawn| drawn + 1 < pass);
        if opened {
            state = State::default();
        }
        state.drawn = Some(pass);
        let field = id.with("field");
        let focused = ui.memory(|memory| memory.focused());
        let keys = !opened && focused.is_none_or(|focused| focused == field);
        let (steps, entered) = if keys {
            ui.input_mut(|input| {
                let mut presses = |key| input.count_and_consume_key(Modifiers::NONE, key);
                let down = presses(Key::ArrowDown).cast_signed();
                let up = presses(Key::ArrowUp).cast_signed();
                (down - up, presses(Key::Enter) > 0)
            })
        } else {
            (0, false)
        };
        let edit = TextEdit::singleline(&mut state.text)
            .id(field)
            .hint_text(hint)
            .desired_width(f32::INFINITY);
        let response = ui.add(edit);
        response.widget_info(|| egui::WidgetInfo::labeled(accesskit::Role::TextInput, true, name));
        if response.changed() {
            state.moved = None;
        }
        if opened {
            response.request_focus();
        }
        Self {
            id,
            reveals: opened || response.changed(),
            state,
            steps,
            entered,
            cursor: None,
        }
    }

    /// What was typed.
    pub(super) fn text(&self) -> &str {
        self.state.text.trim()
    }

    /// Moves along `count` items. Returns the one that was chosen with Enter: the one that the arrow keys have led to, else
    /// `first`.
    pub(super) fn choose(&mut self, count: usize, first: Option<usize>) -> Option<usize> {
        let at = self.state.moved.or(first);
        if self.steps != 0 && count > 0 {
            let from = match at {
                Some(at) => at.cast_signed(),
                None if self.steps > 0 => -1,
                None => count.cast_signed(),
            };
            let last = count.cast_signed() - 1;
            let to = (from + self.steps).clamp(0, last).cast_unsigned();
            self.state.moved = Some(to);
            self.reveals = true;
        }
        self.cursor = self.state.moved.or(first).filter(|at| *at < count);
        self.cursor.filter(|_| self.entered)
    }

    /// Draws the list, which is as high with one item as with all of them. `draw` draws an item and returns whether it was
    /// clicked; the one that was is returned.
    pub(super) fn list(
        mut self,
        ui: &mut Ui,
        count: usize,
        mut draw: impl FnMut(&mut Ui, usize) -> egui::Response,
    ) -> Option<usize> {
        let room = ui.ctx().content_rect().height() - AROUND;
        let height = LIST.min(room).max(ui.spacing().interact_size.y);
        let row = ui.spacing().interact_size.y;
        let step = row + ui.spacing().item_spacing.y;
        let mut area = ScrollArea::vertical()
            .id_salt(self.id)
            .max_height(height)
            .min_scrolled_height(height)
            .auto_shrink([false, false]);
        if self.reveals {
            let top = self.cursor.unwrap_or(0) as f32 * step;
            let offset = self.state.offset.clamp((top + row - height).max(0.0), top);
            area = area.vertical_scroll_offset(offset);
        }
        let accent = theme::palette(ui.visuals()).accent;
        let mut clicked = None;
        let output = area.show_rows(ui, row, count, |ui, rows| {
            for item in rows {
                let response = draw(ui, item);
                if self.cursor == Some(item) {
                    let stroke = Stroke::new(1.5, accent);
                    let rect = response.rect;
                    ui.painter()
                        .rect_stroke(rect, 3.0, stroke, StrokeKind::Inside);
                }
                if response.clicked() {
                    clicked = Some(item);
                }
            }
        });
        self.state.offset = output.state.clamped_offset().y;
        let (id, state) = (self.id, self.state);
        ui.data_mut(|data| data.insert_temp(id, state));
        clicked
    }
}
