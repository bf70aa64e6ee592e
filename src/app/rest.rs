//! [`Rest`]: when the hand rests, so that what was done may be recorded, kept and worked on further.

use egui::Context;

use super::session::Session;

/// Nothing has to change for this long. Longer than most desktops wait before a key that is held repeats (a quarter to
/// half a second), so that holding an arrow key is one step to take back.
const QUIET_SECONDS: f64 = 0.55;

/// When the hand rests: no pointer is down and nothing has changed for a moment. Keys are not asked: a release may be
/// reported of another key than the press (Ctrl+Shift+= presses Plus and, Shift first, releases Equals), or never.
#[derive(Default)]
pub(super) struct Rest {
    seen: Option<Session>,
    /// When it last changed, in seconds of the window's clock; `None` before any change.
    changed: Option<f64>,
    reached: bool,
}

impl Rest {
    /// Whether the hand rested when last asked.
    pub(super) const fn is_reached(&self) -> bool {
        self.reached
    }

    /// Looks whether the hand rests. Where it will once a moment has passed, a frame is asked for then.
    pub(super) fn look(&mut self, ctx: &Context, session: &Session) -> bool {
        let (now, down) = ctx.input(|input| (input.time, input.pointer.any_down()));
        match &self.seen {
            Some(seen) if seen == session => {}
            Some(_) => {
                self.seen = Some(session.clone());
                self.changed = Some(now);
            }
            // What the window opens on was not done by a hand.
            None => self.seen = Some(session.clone()),
        }
        let left = self
            .changed
            .map_or(0.0, |changed| QUIET_SECONDS - (now - changed));
        if left > 0.0 {
            ctx.request_repaint_after_secs(left as f32);
        }
        self.reached = left <= 0.0 && !down;
        self.reached
    }
}
