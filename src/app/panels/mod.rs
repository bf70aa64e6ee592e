//! The parts of the window, one file each. A panel draws, and pushes what it was asked for; it changes nothing itself.

pub(super) mod axis;
pub(super) mod beside;
pub(super) mod breakdown;
pub(super) mod controls;
pub(super) mod data;
pub(super) mod errors;
pub(super) mod examples;
pub(super) mod figures;
pub(super) mod hardware;
pub(super) mod measured;
pub(super) mod model;
mod nearest;
mod outputs;
pub(super) mod pictures;
pub(super) mod pins;
pub(super) mod present;
pub(super) mod recipe;
pub(super) mod savings;
pub(super) mod scenario;
pub(super) mod shortcuts;
pub(super) mod spiking;
mod stages;
pub(super) mod status;
pub(super) mod top;
pub(super) mod training;
mod verdicts;
