//! Colours, fonts and sizes: the only place that names a colour.
//!
//! The hues that carry a meaning are those of Okabe and Ito's palette (blue, vermillion, bluish green, yellow, orange,
//! reddish purple), chosen to stay apart for colour-blind people; none of them is the only sign of what it means.

use std::sync::Arc;

use egui::style::{HandleShape, Interaction, ScrollStyle, Selection, WidgetVisuals, Widgets};
use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow,
    Stroke, Style, TextStyle, Theme, Vec2, Visuals, vec2,
};
use serde::{Deserialize, Serialize};

/// Light, dark or as the desktop says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ThemeChoice {
    /// As the desktop says.
    #[default]
    System,
    /// Dark text on light ground.
    Light,
    /// Light text on dark ground.
    Dark,
}

impl ThemeChoice {
    /// What egui calls it.
    pub(super) const fn preference(self) -> egui::ThemePreference {
        match self {
            Self::System => egui::ThemePreference::System,
            Self::Light => egui::ThemePreference::Light,
            Self::Dark => egui::ThemePreference::Dark,
        }
    }
}

/// The colours of one theme, by meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    /// Behind everything.
    pub(super) window: Color32,
    /// Side panels.
    pub(super) panel: Color32,
    /// Charts and cards.
    pub(super) surface: Color32,
    /// Fields that can be typed into and resting buttons.
    pub(super) field: Color32,
    /// A field or button under the pointer.
    pub(super) field_hovered: Color32,
    /// Lines that separate.
    pub(super) hairline: Color32,
    /// Lines behind a chart.
    pub(super) grid: Color32,
    /// Numbers and titles.
    pub(super) strong: Color32,
    /// Text.
    pub(super) text: Color32,
    /// Captions and units.
    pub(super) muted: Color32,
    /// The current configuration, and what has the keyboard.
    pub(super) accent: Color32,
    /// Behind a chosen item.
    pub(super) selected: Color32,
    /// The uncompressed model.
    pub(super) baseline: Color32,
    /// Pinned configurations A and B.
    pub(super) pins: [Color32; 2],
    /// Where energy goes: compute, on-chip, memory, static, interconnect.
    pub(super) energy: [Color32; 5],
    /// Something failed or cannot be.
    pub(super) error: Color32,
    /// Behind a message about a failure.
    pub(super) error_ground: Color32,
}

const LIGHT: Palette = Palette {
    window: Color32::from_rgb(0xF3, 0xF4, 0xF5),
    panel: Color32::from_rgb(0xF8, 0xF9, 0xFA),
    surface: Color32::from_rgb(0xFF, 0xFF, 0xFF),
    field: Color32::from_rgb(0xEC, 0xEE, 0xF0),
    field_hovered: Color32::from_rgb(0xE1, 0xE5, 0xE9),
    hairline: Color32::from_rgb(0xDF, 0xE3, 0xE7),
    grid: Color32::from_rgb(0xEA, 0xED, 0xF0),
    strong: Color32::from_rgb(0x12, 0x18, 0x1F),
    text: Color32::from_rgb(0x2B, 0x33, 0x3B),
    muted: Color32::from_rgb(0x5C, 0x67, 0x72),
    accent: Color32::from_rgb(0x00, 0x6D, 0xAA),
    selected: Color32::from_rgb(0xD3, 0xE6, 0xF2),
    baseline: Color32::from_rgb(0x7C, 0x85, 0x8E),
    pins: [
        Color32::from_rgb(0xC7, 0x52, 0x00),
        Color32::from_rgb(0x00, 0x8A, 0x64),
    ],
    energy: [
        Color32::from_rgb(0xE3, 0xCE, 0x1E),
        Color32::from_rgb(0xE6, 0x9F, 0x00),
        Color32::from_rgb(0xCC, 0x79, 0xA7),
        Color32::from_rgb(0x80, 0x5A, 0x3C),
        Color32::from_rgb(0x2B, 0x33, 0x3B),
    ],
    error: Color32::from_rgb(0xB0, 0x1E, 0x2E),
    error_ground: Color32::from_rgb(0xFB, 0xEC, 0xED),
};

const DARK: Palette = Palette {
    window: Color32::from_rgb(0x10, 0x13, 0x16),
    panel: Color32::from_rgb(0x16, 0x1A, 0x1E),
    surface: Color32::from_rgb(0x1B, 0x20, 0x25),
    field: Color32::from_rgb(0x26, 0x2C, 0x32),
    field_hovered: Color32::from_rgb(0x31, 0x39, 0x41),
    hairline: Color32::from_rgb(0x2A, 0x31, 0x38),
    grid: Color32::from_rgb(0x26, 0x2C, 0x33),
    strong: Color32::from_rgb(0xF4, 0xF6, 0xF8),
    text: Color32::from_rgb(0xD3, 0xD9, 0xDF),
    muted: Color32::from_rgb(0x94, 0x9F, 0xAA),
    accent: Color32::from_rgb(0x56, 0xB4, 0xE9),
    selected: Color32::from_rgb(0x1E, 0x3D, 0x52),
    baseline: Color32::from_rgb(0x8D, 0x97, 0xA1),
    pins: [
        Color32::from_rgb(0xF0, 0x7A, 0x3A),
        Color32::from_rgb(0x2F, 0xC7, 0x9B),
    ],
    energy: [
        Color32::from_rgb(0xF0, 0xE4, 0x42),
        Color32::from_rgb(0xE6, 0x9F, 0x00),
        Color32::from_rgb(0xCC, 0x79, 0xA7),
        Color32::from_rgb(0xA0, 0x7A, 0x5A),
        Color32::from_rgb(0xD3, 0xD9, 0xDF),
    ],
    error: Color32::from_rgb(0xFF, 0x8A, 0x8F),
    error_ground: Color32::from_rgb(0x3A, 0x1F, 0x23),
};

/// The palette of the theme in use.
pub(super) fn palette(visuals: &Visuals) -> &'static Palette {
    if visuals.dark_mode { &DARK } else { &LIGHT }
}

/// The same colour, mostly transparent: the band of a range, the ground of a marker.
pub(super) fn faint(color: Color32, opacity: f32) -> Color32 {
    color.gamma_multiply(opacity)
}

/// A pixel of a picture that is data, from 0 black to 255 white, the same in both themes.
pub(super) const fn shade(value: u8) -> Color32 {
    Color32::from_gray(value)
}

/// The colour of a picture's pixel.
pub(super) const fn pixel([red, green, blue]: [u8; 3]) -> Color32 {
    Color32::from_rgb(red, green, blue)
}

/// The family of titles and of numbers that matter.
pub(super) fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// A title over a group of controls.
pub(super) fn heading() -> TextStyle {
    TextStyle::Heading
}

/// The reading over a chart.
pub(super) fn reading() -> TextStyle {
    TextStyle::Name("reading".into())
}

/// A number that should be seen first.
pub(super) fn figure() -> TextStyle {
    TextStyle::Name("figure".into())
}

/// A label or number that matters, in the size of the text around it.
pub(super) fn emphasis() -> TextStyle {
    TextStyle::Name("emphasis".into())
}

/// Loads the fonts and both themes into the context.
pub(super) fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    ctx.set_style_of(Theme::Light, style(&LIGHT, false));
    ctx.set_style_of(Theme::Dark, style(&DARK, true));
    // Text size is a setting of the session; egui's own shortcuts for it would bypass undo and saving.
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let regular = include_bytes!("../../assets/fonts/Inter-Regular.ttf");
    let semibold_bytes = include_bytes!("../../assets/fonts/Inter-SemiBold.ttf");
    fonts
        .font_data
        .insert("inter".to_owned(), Arc::new(FontData::from_static(regular)));
    fonts.font_data.insert(
        "inter-semibold".to_owned(),
        Arc::new(FontData::from_static(semibold_bytes)),
    );
    let fallbacks = fonts
        .families
        .get(&FontFamily::Proportional)
        .cloned()
        .unwrap_or_default();
    let with = |first: &str| {
        let mut names = vec![first.to_owned()];
        names.extend(fallbacks.iter().cloned());
        names
    };
    fonts
        .families
        .insert(FontFamily::Proportional, with("inter"));
    fonts.families.insert(semibold(), with("inter-semibold"));
    fonts
}

fn style(palette: &Palette, dark: bool) -> Style {
    let mut style = Style {
        visuals: visuals(palette, dark),
        ..Style::default()
    };
    let size = |points: f32| FontId::new(points, FontFamily::Proportional);
    let bold = |points: f32| FontId::new(points, semibold());
    style.text_styles = [
        (TextStyle::Small, size(11.0)),
        (TextStyle::Body, size(12.5)),
        (TextStyle::Button, size(12.5)),
        (
            TextStyle::Monospace,
            FontId::new(11.0, FontFamily::Monospace),
        ),
        (heading(), bold(13.0)),
        (emphasis(), bold(12.5)),
        (reading(), bold(14.0)),
        (figure(), bold(19.0)),
    ]
    .into();
    style.drag_value_text_style = TextStyle::Body;
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(8.0, 5.0);
    spacing.button_padding = vec2(8.0, 3.0);
    spacing.interact_size = vec2(28.0, 22.0);
    spacing.slider_rail_height = 4.0;
    spacing.combo_height = 420.0;
    spacing.icon_width = 14.0;
    spacing.icon_width_inner = 8.0;
    spacing.menu_margin = Margin::same(6);
    spacing.window_margin = Margin::same(14);
    spacing.tooltip_width = 380.0;
    spacing.scroll = ScrollStyle {
        bar_width: 8.0,
        floating_width: 4.0,
        ..ScrollStyle::floating()
    };
    style.interaction = Interaction {
        selectable_labels: false,
        tooltip_delay: 0.25,
        ..Interaction::default()
    };
    style.animation_time = 0.08;
    style
}

fn visuals(p: &Palette, dark: bool) -> Visuals {
    let radius = CornerRadius::same(5);
    let widget = |bg: Color32, edge: Stroke, fg: Color32| WidgetVisuals {
        bg_fill: bg,
        weak_bg_fill: bg,
        bg_stroke: edge,
        corner_radius: radius,
        fg_stroke: Stroke::new(1.0, fg),
        expansion: 0.0,
    };
    let shadow = Shadow {
        offset: [0, 4],
        blur: 18,
        spread: 0,
        color: Color32::from_black_alpha(if dark { 110 } else { 36 }),
    };
    let base = if dark {
        Visuals::dark()
    } else {
        Visuals::light()
    };
    Visuals {
        dark_mode: dark,
        override_text_color: None,
        weak_text_color: Some(p.muted),
        widgets: Widgets {
            noninteractive: WidgetVisuals {
                bg_fill: p.panel,
                weak_bg_fill: p.panel,
                bg_stroke: Stroke::new(1.0, p.hairline),
                corner_radius: radius,
                fg_stroke: Stroke::new(1.0, p.text),
                expansion: 0.0,
            },
            inactive: widget(p.field, Stroke::NONE, p.text),
            hovered: widget(p.field_hovered, Stroke::NONE, p.strong),
            // Also the look of what has the keyboard: a ring nobody overlooks.
            active: widget(p.field_hovered, Stroke::new(2.0, p.accent), p.strong),
            open: widget(p.field_hovered, Stroke::NONE, p.strong),
        },
        selection: Selection {
            bg_fill: p.selected,
            stroke: Stroke::new(1.0, p.strong),
        },
        hyperlink_color: p.accent,
        faint_bg_color: p.window,
        extreme_bg_color: p.surface,
        text_edit_bg_color: Some(p.field),
        code_bg_color: p.field,
        warn_fg_color: p.error,
        error_fg_color: p.error,
        window_corner_radius: CornerRadius::same(10),
        window_shadow: shadow,
        window_fill: p.surface,
        window_stroke: Stroke::new(1.0, p.hairline),
        menu_corner_radius: CornerRadius::same(8),
        panel_fill: p.panel,
        popup_shadow: shadow,
        slider_trailing_fill: true,
        handle_shape: HandleShape::Circle,
        striped: false,
        ..base
    }
}

/// Makes everything in a part of the window larger, for the back row of a class.
pub(super) fn enlarge(ui: &mut egui::Ui) {
    const FACTOR: f32 = 1.5;
    let style = ui.style_mut();
    for font in style.text_styles.values_mut() {
        font.size *= FACTOR;
    }
    style.spacing.interact_size *= FACTOR;
    style.spacing.slider_rail_height *= FACTOR;
}

/// Sliders in a part of the window show the accent colour up to their handle.
pub(super) fn accent_sliders(ui: &mut egui::Ui) {
    let palette = palette(ui.visuals());
    let visuals = ui.visuals_mut();
    visuals.selection.bg_fill = faint(palette.accent, 0.75);
    visuals.widgets.inactive.bg_fill = palette.hairline;
    visuals.widgets.inactive.fg_stroke = Stroke::new(1.5, palette.accent);
    visuals.widgets.hovered.fg_stroke = Stroke::new(2.0, palette.accent);
    visuals.widgets.active.fg_stroke = Stroke::new(3.0, palette.accent);
}

/// Text in a part of the window takes the size of captions.
pub(super) fn shrink(ui: &mut egui::Ui) {
    let styles = &mut ui.style_mut().text_styles;
    let small = styles.get(&TextStyle::Small).map_or(11.0, |font| font.size);
    for style in [TextStyle::Body, emphasis()] {
        if let Some(font) = styles.get_mut(&style) {
            font.size = small;
        }
    }
}

/// Rows of a table lie as close as their text allows.
pub(super) fn tighten(ui: &mut egui::Ui) {
    ui.spacing_mut().interact_size.y = 0.0;
    ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
}

/// Room inside a card.
pub(super) const CARD_MARGIN: Margin = Margin::symmetric(12, 8);

/// Corners of a card.
pub(super) const CARD_RADIUS: CornerRadius = CornerRadius::same(8);

/// Width that the charts need beside both panels, in points.
pub(super) const CHART_WIDTH: f32 = 360.0;

/// The picture of the window in the task bar: three bars, each shorter than the last.
pub(super) fn icon() -> egui::IconData {
    const SIZE: u32 = 64;
    let mut rgba = Vec::with_capacity((SIZE * SIZE * 4) as usize);
    for y in 0..SIZE {
        for x in 0..SIZE {
            let bar = (0..3).any(|i| {
                let left = 14 + i * 13;
                (left..left + 10).contains(&x) && (14 + i * 12..50).contains(&y)
            });
            let corner = |v: u32| v.min(SIZE - 1 - v);
            let (dx, dy) = (corner(x).min(12), corner(y).min(12));
            let outside = (12 - dx).pow(2) + (12 - dy).pow(2) > 144;
            let color = match (outside, bar) {
                (true, _) => Color32::TRANSPARENT,
                (_, true) => Color32::WHITE,
                _ => LIGHT.accent,
            };
            rgba.extend(color.to_array());
        }
    }
    egui::IconData {
        rgba,
        width: SIZE,
        height: SIZE,
    }
}

/// Width that the charts need beside one panel, in points; where there is less, panel and charts take turns.
pub(super) const LEAST_CHART_WIDTH: f32 = 300.0;

/// Height that a page needs, in points; where there is less, it is scrolled.
pub(super) const PAGE_HEIGHT: f32 = 320.0;

/// Width of the panel with the controls, and of the one with what changed, in points.
pub(super) const PANEL_WIDTHS: [f32; 2] = [312.0, 312.0];

/// Smallest window in which everything has its place, in points.
pub(super) const SMALLEST: Vec2 = vec2(900.0, 600.0);
