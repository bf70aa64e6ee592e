//! What a frame of the window costs, and how soon there is one; for `wattif bench`.

use std::time::{Duration, Instant};

use egui::{Context, Event, Modifiers, PointerButton, RawInput, Rect, pos2, vec2};
use wattif_core::model::ModelReference;
use wattif_core::recipe::Recipe;

use super::axis::Axis;
use super::command::Action;
use super::{App, Options, Start, engine_opener};

/// Times of the window's own work, without rendering.
#[derive(Debug, Clone, Copy)]
pub struct Frames {
    /// From nothing to the end of the first frame.
    pub first: Duration,
    /// Middle time of a frame during the drag.
    pub median: Duration,
    /// Longest frame during the drag.
    pub longest: Duration,
}

/// Longest time to wait for the model.
const LIMIT: Duration = Duration::from_secs(120);

/// Opens a window of 1280 x 800 points on a bundled model, and drags along `positions` spread over `duration` while the
/// worker measures.
///
/// # Errors
/// The model does not open within two minutes.
pub fn frames(model: &str, positions: &[Recipe], duration: Duration) -> anyhow::Result<Frames> {
    let start = Instant::now();
    let ctx = Context::default();
    let options = Options {
        start: Start {
            preset: None,
            model: Some(ModelReference::Bundled(model.to_owned())),
        },
        opener: engine_opener(),
        folder: None,
        system_dialogs: false,
    };
    let mut app = App::new(&ctx, options);
    draw(&ctx, &mut app, Vec::new());
    let first = start.elapsed();
    while !app.is_idle() {
        anyhow::ensure!(
            start.elapsed() < LIMIT,
            "{model} did not open within two minutes"
        );
        std::thread::park_timeout(Duration::from_millis(5));
        draw(&ctx, &mut app, Vec::new());
    }
    // Somewhere that no control is: the pointer is down, so the window knows that a drag goes on.
    let pos = pos2(1.0, 799.0);
    let press = Event::PointerButton {
        pos,
        button: PointerButton::Primary,
        pressed: true,
        modifiers: Modifiers::NONE,
    };
    draw(&ctx, &mut app, vec![Event::PointerMoved(pos), press]);
    let drag = Instant::now();
    let mut times = Vec::with_capacity(positions.len());
    for (index, recipe) in positions.iter().enumerate() {
        let due = duration.mul_f64(index as f64 / positions.len().max(1) as f64);
        if let Some(left) = due.checked_sub(drag.elapsed()) {
            std::thread::park_timeout(left);
        }
        app.queue
            .push(Action::SetRecipe(recipe.clone(), Some(Axis::Sparsity)));
        times.push(draw(&ctx, &mut app, Vec::new()));
    }
    times.sort_unstable();
    let longest = times.last().copied().unwrap_or_default();
    Ok(Frames {
        first,
        median: times.get(times.len() / 2).copied().unwrap_or_default(),
        longest,
    })
}

/// One frame; the time of its logic and drawing, until egui has the shapes.
fn draw(ctx: &Context, app: &mut App, events: Vec<Event>) -> Duration {
    let input = RawInput {
        screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(1280.0, 800.0))),
        events,
        ..RawInput::default()
    };
    let mut spent = Duration::ZERO;
    let mut output = ctx.run_ui(input, |ui| {
        let begin = Instant::now();
        let ctx = ui.ctx().clone();
        app.logic(&ctx);
        app.ui(ui);
        spent += begin.elapsed();
    });
    // Nothing is rendered here; egui insists that textures are not lost unawares.
    output.textures_delta.clear();
    spent
}
