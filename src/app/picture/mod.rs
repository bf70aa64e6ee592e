//! The page as a picture of its own: laid out for its size whatever the size of the window, with the words that a
//! picture needs when it is seen elsewhere: what model, where, how compressed, what the marks mean, by which formulas.

mod raster;

use std::path::Path;

use anyhow::Result;
use egui::{
    Align, CentralPanel, Color32, ColorImage, Context, FontId, Frame, Layout, Panel, RawInput,
    Rect, RichText, Sense, Stroke, Theme, Ui, ViewportId, pos2, vec2,
};
use wattif_core::files;

use super::charts::Charts;
use super::pages::Page;
use super::panels::model::name_of;
use super::session::Configuration;
use super::{App, theme, widgets};
use crate::{format, words};

/// Size of the picture in points; legible when a page of text shows it as wide as its column.
const POINTS: [f32; 2] = [1200.0, 900.0];
/// Pixels per point, for paper and projectors.
const SCALE: f32 = 2.0;
/// Passes until the layout has settled: sizes that depend on others are known in the next pass.
const PASSES: usize = 4;

/// The picture's width and height in pixels.
pub(super) const PIXELS: [usize; 2] = [(POINTS[0] * SCALE) as usize, (POINTS[1] * SCALE) as usize];

/// Writes a picture as PNG.
///
/// # Errors
/// The file cannot be written.
pub(super) fn png(path: &Path, image: &ColorImage) -> Result<()> {
    let [width, height] = image.size.map(u32::try_from);
    let (width, height) = (width?, height?);
    let pixels: Vec<u8> = image
        .pixels
        .iter()
        .flat_map(|color| [color.r(), color.g(), color.b()])
        .collect();
    Ok(files::replace(path, |file| {
        let encoder = image::codecs::png::PngEncoder::new(file);
        image::ImageEncoder::write_image(
            encoder,
            &pixels,
            width,
            height,
            image::ExtendedColorType::Rgb8,
        )
        .map_err(std::io::Error::other)
    })?)
}

impl App {
    /// Draws the page as a picture, in the theme of the window.
    pub(super) fn picture(&mut self, theme: Theme) -> ColorImage {
        let ctx = Context::default();
        theme::install(&ctx);
        ctx.set_theme(theme);
        let mut charts = Charts::default();
        let mut textures = raster::Textures::default();
        let mut primitives = Vec::new();
        for pass in 0..PASSES {
            let output = ctx.run_ui(input(pass), |ui| self.draw_picture(ui, &mut charts));
            textures.apply(output.textures_delta);
            if pass + 1 == PASSES {
                primitives = ctx.tessellate(output.shapes, output.pixels_per_point);
            }
        }
        let ground = theme::palette(&ctx.style_of(theme).visuals).window;
        raster::draw(&primitives, &textures, PIXELS, SCALE, ground)
    }

    fn draw_picture(&mut self, ui: &mut Ui, charts: &mut Charts) {
        let palette = theme::palette(ui.visuals());
        let ground = Frame::new().fill(palette.window).inner_margin(16);
        Panel::top("picture title")
            .frame(ground)
            .resizable(false)
            .show_separator_line(false)
            .show(ui, |ui| self.title(ui));
        Panel::bottom("picture sources")
            .frame(ground)
            .resizable(false)
            .show_separator_line(false)
            .show(ui, |ui| self.small_print(ui));
        let middle = egui::Margin::symmetric(16, 0);
        CentralPanel::no_frame()
            .frame(ground.inner_margin(middle))
            .show(ui, |ui| {
                let page = self.session.settings.page;
                if page == Page::WhatIf {
                    charts.show(ui, &self.session, &self.model.store, &self.derived);
                    return;
                }
                let mut pages = std::mem::take(&mut self.pages);
                // Nobody can click in a picture.
                pages.show(ui, self, page, &mut Vec::new());
                self.pages = pages;
            });
    }

    fn title(&self, ui: &mut Ui) {
        let palette = theme::palette(ui.visuals());
        let Configuration { model, .. } = &self.session.configuration;
        let page = self.session.settings.page;
        ui.spacing_mut().item_spacing.y = 4.0;
        let title = match page {
            Page::WhatIf => format!("{}: what {} changes", name_of(model), self.knob()),
            Page::Validation => "Predictions against published measurements".to_owned(),
            page => format!("{}: {}", name_of(model), page.name()),
        };
        ui.label(
            RichText::new(title)
                .font(FontId::new(22.0, theme::semibold()))
                .color(palette.strong),
        );
        // Published rows are of other models and devices than the one that is open.
        if page == Page::Validation {
            return;
        }
        ui.label(RichText::new(self.place()).color(palette.text));
        if let Some(data) = self
            .model
            .facts
            .as_ref()
            .and_then(|facts| facts.own_data.as_ref())
        {
            ui.label(RichText::new(format!("Measured on {data}")).color(palette.text));
        }
        let recipe = words::recipe(&self.session.configuration.recipe);
        ui.label(RichText::new(format!("Recipe: {recipe}")).color(palette.text));
        if page == Page::WhatIf {
            self.legend(ui);
        }
    }

    /// The knob under the charts, in the middle of a sentence.
    fn knob(&self) -> String {
        let name = self.session.axis.name();
        // "PUE" stays as it is.
        if name.chars().nth(1).is_some_and(char::is_uppercase) {
            name.to_owned()
        } else {
            name.to_lowercase()
        }
    }

    /// Device, place and what else the figures follow from.
    fn place(&self) -> String {
        let scenario = &self.session.configuration.scenario;
        let target = self.derived.target;
        let device = target.map_or(scenario.hardware.as_str(), |target| target.name.as_str());
        let mut parts = vec![if scenario.devices > 1 {
            format!("{} × {device}", scenario.devices)
        } else {
            device.to_owned()
        }];
        parts.push(self.derived.grid.map_or_else(
            || scenario.region.clone(),
            |grid| {
                let intensity = format::significant(grid.intensity.typical.0, 3);
                format!("{} ({intensity} g CO₂e/kWh)", grid.name)
            },
        ));
        parts.push(format!("batch {}", scenario.batch));
        if let Some(now) = &self.derived.now {
            let demand = format::amount(scenario.demand_per_day);
            parts.push(format!("{demand} {} a day", now.profile.unit.plural()));
        }
        parts.push(format!("PUE {}", format::trimmed(scenario.pue, 3)));
        parts.join(" · ")
    }

    /// What the marks mean, and the pins with their recipes.
    fn legend(&self, ui: &mut Ui) {
        let palette = theme::palette(ui.visuals());
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(6.0, 2.0);
            for mark in Mark::ALL {
                mark.show(ui);
                ui.label(small(mark.words(), palette.muted));
                ui.add_space(8.0);
            }
        });
        for (slot, pin) in self.session.pins.iter().enumerate() {
            let Some(pin) = pin else { continue };
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 6.0;
                let (rect, _) = ui.allocate_exact_size(vec2(14.0, 14.0), Sense::hover());
                let stroke = Stroke::new(1.0, palette.surface);
                let color = palette.pins[slot];
                widgets::pin_shape(ui.painter(), slot, rect.center(), 5.5, color, stroke);
                let device = wattif_core::hardware::find(&pin.scenario.hardware)
                    .map_or(pin.scenario.hardware.as_str(), |target| &target.name);
                ui.label(small(
                    &format!(
                        "Pin {}: {}, {} on {device}, {}, batch {}",
                        ["A", "B"][slot],
                        name_of(&pin.model),
                        words::recipe(&pin.recipe),
                        pin.scenario.region,
                        pin.scenario.batch
                    ),
                    palette.text,
                ));
            });
        }
    }

    fn small_print(&self, ui: &mut Ui) {
        let palette = theme::palette(ui.visuals());
        let grid = self.derived.grid.map_or_else(String::new, |grid| {
            format!(" Electricity: {} ({}).", grid.source, grid.year)
        });
        let text = format!(
            "WattIf {}, method version {}. Quality is measured where it is said; time, energy and CO₂e are modelled, \
             bands are low to high.{grid}",
            env!("CARGO_PKG_VERSION"),
            wattif_core::METHOD_VERSION
        );
        ui.with_layout(Layout::top_down(Align::Min), |ui| {
            ui.label(small(&text, palette.muted));
        });
    }
}

fn small(text: &str, color: Color32) -> RichText {
    RichText::new(text)
        .text_style(egui::TextStyle::Small)
        .color(color)
}

/// A pass over a screen of the picture's size.
fn input(pass: usize) -> RawInput {
    let mut input = RawInput {
        screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), POINTS.into())),
        // What fades in has long done so.
        time: Some(pass as f64),
        ..RawInput::default()
    };
    if let Some(viewport) = input.viewports.get_mut(&ViewportId::ROOT) {
        viewport.native_pixels_per_point = Some(SCALE);
    }
    input
}

/// A mark of the charts.
#[derive(Clone, Copy)]
enum Mark {
    Curve,
    Original,
    Measured,
    Now,
    NowModelled,
}

impl Mark {
    const ALL: [Self; 5] = [
        Self::Curve,
        Self::Original,
        Self::Measured,
        Self::Now,
        Self::NowModelled,
    ];

    const fn words(self) -> &'static str {
        match self {
            Self::Curve => "modelled along the knob, with its range",
            Self::Original => "original",
            Self::Measured => "measured, with its interval",
            Self::Now => "this configuration, measured",
            Self::NowModelled => "this configuration, modelled or not measured yet",
        }
    }

    /// Draws it as the charts do.
    fn show(self, ui: &mut Ui) {
        let palette = theme::palette(ui.visuals());
        let (rect, _) = ui.allocate_exact_size(vec2(26.0, 14.0), Sense::hover());
        let (painter, center) = (ui.painter(), rect.center());
        let ends = [rect.left_center(), rect.right_center()];
        match self {
            Self::Curve => {
                painter.rect_filled(
                    rect.shrink2(vec2(0.0, 2.0)),
                    0.0,
                    theme::faint(palette.accent, 0.16),
                );
                painter.line_segment(ends, Stroke::new(2.0, palette.accent));
            }
            Self::Original => {
                let stroke = Stroke::new(1.5, palette.baseline);
                painter.extend(egui::Shape::dashed_line(&ends, stroke, 6.0, 4.0));
            }
            Self::Measured => {
                painter.circle_filled(center, 2.75, palette.accent);
                painter.vline(
                    center.x,
                    rect.y_range(),
                    Stroke::new(1.0, theme::faint(palette.accent, 0.7)),
                );
            }
            Self::Now => {
                painter.circle(
                    center,
                    6.0,
                    palette.accent,
                    Stroke::new(2.0, palette.surface),
                );
            }
            Self::NowModelled => {
                painter.circle(
                    center,
                    6.0,
                    palette.surface,
                    Stroke::new(2.0, palette.accent),
                );
            }
        }
    }
}
