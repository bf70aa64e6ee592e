//! The window's session: what is kept of it is what the window could have left.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif::app::read_session;
use wattif_fuzz::sound_recipe;

fuzz_target!(|text: &str| {
    let Ok((session, _)) = read_session(text) else {
        return;
    };
    sound_recipe(&session.configuration.recipe);
    session.configuration.scenario.validate().unwrap();
    let scale = session.settings.text_scale;
    assert!((0.7..=2.5).contains(&scale), "{scale}");
    for pin in session.pins.iter().flatten() {
        sound_recipe(&pin.recipe);
        pin.scenario.validate().unwrap();
    }
});
