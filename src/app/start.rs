//! Opening the window itself.

use std::path::PathBuf;

use wattif_core::data::OwnData;
use wattif_core::model::ModelReference;

use super::backend::Opener;
use super::engine::EngineBackend;
use super::outline::OutlineBackend;
use super::power::PowerWatch;
use super::{App, Options, theme};

/// What the window opens on.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// A preset to open; it wins over `model`.
    pub preset: Option<PathBuf>,
    /// A model to open instead of the last one.
    pub model: Option<ModelReference>,
}

/// Opens models in the engine itself.
pub fn engine_opener() -> Opener {
    Box::new(|reference, data, wake| {
        let given = matches!(data, Some(OwnData::Images { .. }));
        if reference.is_outline() && !(given && reference.needs_images()) {
            OutlineBackend::open(reference, wake)
        } else {
            EngineBackend::open(reference, data, wake)
        }
    })
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// Where no window can be opened.
pub fn run(start: Start) -> anyhow::Result<()> {
    let viewport = egui::ViewportBuilder::default()
        .with_title("WattIf")
        .with_app_id("wattif")
        .with_icon(theme::icon())
        .with_inner_size([1280.0, 800.0])
        .with_min_inner_size(theme::SMALLEST)
        .with_drag_and_drop(true);
    let native = eframe::NativeOptions {
        viewport,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "WattIf",
        native,
        Box::new(|creation| {
            let options = Options {
                start,
                opener: engine_opener(),
                folder: wattif_core::folders::configuration(),
                system_dialogs: true,
            };
            let mut app = App::new(&creation.egui_ctx, options);
            app.power = Some(PowerWatch::start()?);
            Ok(Box::new(app))
        }),
    )
    .map_err(|error| anyhow::anyhow!("{error}"))
}
