//! The fields of the editor: options first, then every figure in its group.

use egui::{Align, ComboBox, Response, RichText, TextEdit, TextStyle, Ui, vec2};
use wattif_core::hardware::{CostModel, Trust, WeightStorage};

use super::draft::Draft;
use super::row::{Place, Row};
use crate::app::theme;
use crate::app::widgets::{self, cell};

const NAME_WIDTH: f32 = 158.0;
const VALUE_WIDTH: f32 = 108.0;
/// Room in which a name, its three values and the button beside them stand in one line.
const WIDE: f32 = NAME_WIDTH + 3.0 * VALUE_WIDTH + 76.0;

/// Width of a value: a third of the line where the name stands above.
fn value_width(ui: &Ui) -> f32 {
    if stacked(ui) {
        ((ui.available_width() - 3.0 * ui.spacing().item_spacing.x) / 3.0).floor()
    } else {
        VALUE_WIDTH
    }
}

/// Whether names stand above their values, for want of room.
fn stacked(ui: &Ui) -> bool {
    ui.available_width() < WIDE
}

/// A field with a name for those who cannot see where it stands.
fn field(ui: &mut Ui, name: &str, text: &mut String, width: f32) -> Response {
    let response = ui.add(TextEdit::singleline(text).desired_width(width));
    response
        .ctx
        .accesskit_node_builder(response.id, |node| node.set_label(name));
    response
}

fn fault(ui: &mut Ui, fact: &str) {
    let palette = theme::palette(ui.visuals());
    ui.label(RichText::new(fact).color(palette.error));
}

/// Draws all fields, and takes over what was typed.
pub(super) fn show(ui: &mut Ui, draft: &mut Draft, fresh: bool) {
    let mut changed = options(ui, draft, fresh);
    let mut rows = std::mem::take(&mut draft.rows);
    let mut from = 0;
    while let Some(first) = rows.get(from) {
        let group = first.group;
        let to = from + rows[from..].iter().take_while(|r| r.group == group).count();
        widgets::card(ui, group, |ui| {
            theme::tighten(ui);
            headings(ui);
            for row in &mut rows[from..to] {
                let fact = draft.fault_of(row);
                changed |= figure(ui, row, fact.as_deref());
            }
        });
        from = to;
    }
    draft.rows = rows;
    if changed {
        draft.settle();
    }
}

fn headings(ui: &mut Ui) {
    let palette = theme::palette(ui.visuals());
    let (stacked, width) = (stacked(ui), value_width(ui));
    ui.horizontal(|ui| {
        if !stacked {
            cell(ui, NAME_WIDTH, Align::Min, "");
        }
        for place in Place::ALL {
            let name = RichText::new(place.name())
                .text_style(TextStyle::Small)
                .color(palette.muted);
            cell(ui, width, Align::Min, name);
        }
    });
}

/// One figure: its values, and under them where they come from. True where something was typed.
fn figure(ui: &mut Ui, row: &mut Row, fact: Option<&str>) -> bool {
    let palette = theme::palette(ui.visuals());
    let is_changed = row.is_changed();
    let full_name = row.full_name();
    let mut typed = false;
    let name = RichText::new(&row.name);
    let name = if is_changed {
        name.text_style(theme::emphasis()).color(palette.accent)
    } else {
        name.color(palette.strong)
    };
    let (stacked, width) = (stacked(ui), value_width(ui));
    let can_be_put_back = is_changed && row.can_be_put_back();
    if stacked {
        ui.horizontal(|ui| {
            cell(ui, NAME_WIDTH, Align::Min, name.clone());
            if can_be_put_back && put_back(ui, &full_name) {
                row.put_back();
                typed = true;
            }
        });
    }
    ui.horizontal(|ui| {
        if !stacked {
            cell(ui, NAME_WIDTH, Align::Min, name);
        }
        for place in Place::ALL {
            let name = format!("{full_name}, {}", place.name());
            let limits = row.limits();
            let response = field(ui, &name, &mut row.texts[place as usize], width);
            if response.on_hover_text(limits).changed() {
                row.typed(place);
                typed = true;
            }
        }
        if !stacked && can_be_put_back && put_back(ui, &full_name) {
            row.put_back();
            typed = true;
        }
    });
    if let Some(fact) = fact {
        fault(ui, fact);
    }
    ui.horizontal(|ui| {
        typed |= trust(ui, row, &full_name);
        let name = format!("{full_name}, source");
        let width = ui.available_width() - 8.0;
        if field(ui, &name, &mut row.source, width)
            .on_hover_text(&row.source)
            .changed()
        {
            row.source_typed();
            typed = true;
        }
    });
    ui.add_space(4.0);
    typed
}

fn put_back(ui: &mut Ui, name: &str) -> bool {
    let response = ui
        .small_button("Put back")
        .on_hover_text("As it was before");
    let label = format!("Put back {name}");
    response
        .ctx
        .accesskit_node_builder(response.id, |node| node.set_label(label));
    response.clicked()
}

fn trust(ui: &mut Ui, row: &mut Row, full_name: &str) -> bool {
    let before = row.trust;
    let palette = theme::palette(ui.visuals());
    let words = RichText::new(short(before))
        .text_style(TextStyle::Small)
        .color(palette.muted);
    let combo = ComboBox::from_id_salt(&row.field)
        .selected_text(words)
        .width(NAME_WIDTH)
        .truncate()
        .show_ui(ui, |ui| {
            for trust in Trust::ALL {
                ui.selectable_value(&mut row.trust, trust, trust.name());
            }
        });
    let name = format!("{full_name}, trust");
    combo
        .response
        .ctx
        .accesskit_node_builder(combo.response.id, |node| node.set_label(name));
    let is_changed = row.trust != before;
    if is_changed {
        row.source_typed();
    }
    is_changed
}

/// The first words of a trust; the menu has the rest.
fn short(trust: Trust) -> &'static str {
    match trust {
        Trust::Quoted => "quoted",
        Trust::FromMemory => "from memory",
        Trust::Measured => "measured",
        Trust::Detected => "detected",
        Trust::Fitted => "fitted",
        Trust::Given => "given by you",
        Trust::Published | Trust::Derived | Trust::Assumed => trust.name(),
    }
}

/// What is no figure: names, parts, how weights lie. True where something was changed.
fn options(ui: &mut Ui, draft: &mut Draft, fresh: bool) -> bool {
    let mut changed = false;
    widgets::card(ui, "", |ui| {
        theme::tighten(ui);
        changed |= names(ui, draft, fresh);
        changed |= parts(ui, draft);
        changed |= processor(ui, draft);
        let palette = theme::palette(ui.visuals());
        ui.label(
            RichText::new(
                "Class, year, fixed widths and the kinds of layer it cannot run are edited in the file",
            )
            .text_style(TextStyle::Small)
            .color(palette.muted),
        );
    });
    changed
}

fn labelled(ui: &mut Ui, name: &str, contents: impl FnOnce(&mut Ui) -> bool) -> bool {
    ui.horizontal(|ui| {
        cell(ui, NAME_WIDTH, Align::Min, name);
        contents(ui)
    })
    .inner
}

fn names(ui: &mut Ui, draft: &mut Draft, fresh: bool) -> bool {
    let mut changed = labelled(ui, "Name", |ui| {
        let width = ui.available_width() - 8.0;
        let response = field(ui, "Name of the device", &mut draft.target.name, width);
        if fresh {
            response.request_focus();
        }
        response.changed()
    });
    if let Some(fact) = draft.name_fault() {
        fault(ui, fact);
    }
    changed |= labelled(ui, "Identifier", |ui| {
        if draft.is_new {
            let width = ui.available_width() - 8.0;
            field(ui, "Identifier", &mut draft.target.id, width).changed()
        } else {
            ui.label(&draft.target.id)
                .on_hover_text("Presets name the device by it, so it stays");
            false
        }
    });
    if let Some(fact) = draft.id_fault() {
        fault(ui, fact);
    }
    changed |= labelled(ui, "Notes", |ui| {
        let width = ui.available_width() - 8.0;
        field(ui, "Notes", &mut draft.target.notes, width)
            .on_hover_text(&draft.target.notes)
            .changed()
    });
    changed
}

fn parts(ui: &mut Ui, draft: &mut Draft) -> bool {
    let mut toggled = None;
    let palette = theme::palette(ui.visuals());
    ui.horizontal(|ui| {
        cell(ui, NAME_WIDTH, Align::Min, "It has");
        ui.vertical(|ui| {
            ui.horizontal_wrapped(|ui| {
                for (part, there) in draft.target.parts() {
                    let words = RichText::new(part.name());
                    let words = if there == draft.had(part) {
                        words
                    } else {
                        words.text_style(theme::emphasis()).color(palette.accent)
                    };
                    let mut wanted = there;
                    if ui.checkbox(&mut wanted, words).changed() {
                        toggled = Some((part, wanted));
                    }
                }
            });
        });
    });
    if let Some((part, wanted)) = toggled {
        draft.set_part(part, wanted);
    }
    if let Some(fact) = draft.fault("") {
        fault(ui, &fact);
    }
    toggled.is_some()
}

fn processor(ui: &mut Ui, draft: &mut Draft) -> bool {
    let CostModel::Processor(processor) = &mut draft.target.model else {
        return false;
    };
    let mut changed = labelled(ui, "Weights in memory", |ui| {
        let options = [
            (
                WeightStorage::Packed,
                "Any width",
                "Packed at any width and unpacked by software on the way",
            ),
            (
                WeightStorage::Native,
                "Widths of the arithmetic",
                "Only at the widths of the arithmetic units",
            ),
        ];
        let picked = widgets::choices(ui, &options, processor.weight_storage);
        if let Some(storage) = picked {
            processor.weight_storage = storage;
        }
        picked.is_some()
    });
    changed |= labelled(ui, "Matrix unit", |ui| {
        ui.spacing_mut().item_spacing = vec2(6.0, 0.0);
        let typed = field(
            ui,
            "Rows × columns of the matrix unit",
            &mut draft.tile,
            VALUE_WIDTH,
        );
        let help = "rows × columns; nothing where it is too fine to matter";
        ui.add(egui::Label::new(help).truncate());
        typed.changed()
    });
    if let Some(fact) = draft.tile_fault() {
        fault(ui, fact);
    }
    changed
}
