//! An encoder of sentences in the window: nearest sentences by the original and by the compressed one.

mod scripted;

use std::path::Path;

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use scripted::{Setup, Window};
use wattif::app::Start;
use wattif_core::model::ModelReference;

#[test]
fn nearest_sentences_of_both_stand_below_each_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/tests/fixtures/encoders/bert");
    let start = Start {
        model: Some(ModelReference::File(folder)),
        ..Start::default()
    };
    let mut window = Setup {
        real: true,
        start,
        ..Setup::default()
    }
    .open();
    let begin = std::time::Instant::now();
    let until = |window: &mut Window, what: &dyn Fn(&Window) -> bool| {
        while !what(window) {
            assert!(begin.elapsed().as_secs() < 600, "it does not come");
            std::thread::park_timeout(std::time::Duration::from_millis(10));
            window.harness.step();
        }
    };
    until(&mut window, &|window| {
        window.says("The same sentences are nearest")
    });
    assert!(window.says("Embedding cosine"));
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Weight bits")
        .set_value_accesskit(2.0);
    window.harness.step();
    until(&mut window, &|window| {
        window.says("Nearest to the original")
    });
    assert!(window.says("Nearest now"));
    assert!(window.says("of the ten nearest sentences are the original's"));
    assert!(window.says("≠"));
    assert!(window.app().messages().is_empty());
}
