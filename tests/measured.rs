//! The card that times the compressed model with packed weights on this machine.

mod scripted;

use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use scripted::{Script, Setup, Window};
use wattif::app::Start;
use wattif_core::model::ModelReference;

const BUTTON: &str = "Measure speed";

impl Window {
    fn measure(&mut self) {
        self.harness
            .get_by_role_and_label(Role::Button, BUTTON)
            .click();
        self.harness.run();
    }

    fn can_measure(&self) -> bool {
        let button = self.harness.get_by_role_and_label(Role::Button, BUTTON);
        !button.accesskit_node().is_disabled()
    }
}

#[test]
fn measured_speed_stands_beside_the_prediction_until_the_configuration_changes() {
    let mut window = Setup::default().open();
    assert!(window.says("Not measured yet"));
    window.measure();
    assert!(window.says("Per second"));
    assert!(window.says("1 image"));
    assert!(window.says("32 images"));
    assert!(window.says("1.23 k"));
    assert!(window.says("Predicted"));
    assert!(window.says("123 kB of weights as"));
    assert!(window.says("No joules"));
    assert!(!window.says("earlier configuration"));
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Weight bits")
        .set_value_accesskit(3.0);
    window.harness.run();
    assert!(window.says("Of an earlier configuration, weights of 32 bits"));
    assert!(window.says("1.23 k"), "what was measured stays");
    window.measure();
    assert!(!window.says("earlier configuration"));
}

#[test]
fn while_it_runs_the_card_says_so_and_the_button_waits() {
    let script = Script {
        slow_timing: true,
        ..Script::default()
    };
    let mut window = Setup {
        script,
        ..Setup::default()
    }
    .open();
    assert!(window.can_measure());
    window.measure();
    assert!(window.says("Running it with packed weights"));
    assert!(!window.can_measure());
}

#[test]
fn a_network_known_by_its_shapes_cannot_be_timed_and_says_why() {
    let start = Start {
        model: Some(ModelReference::Catalogue("gpt2".to_owned())),
        ..Start::default()
    };
    let mut window = Setup {
        start,
        ..Setup::default()
    }
    .open();
    window.wait();
    assert!(window.says("there are no weights to run"));
    assert!(!window.can_measure());
}

#[test]
fn the_engine_itself_times_a_model_in_the_background() {
    let mut window = Setup {
        real: true,
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
        window
            .harness
            .query_by_role_and_label(Role::Button, BUTTON)
            .is_some()
            && window.can_measure()
    });
    window.measure();
    until(&mut window, &|window| window.says("through these kernels"));
    assert!(window.says("1 image"));
    assert!(window.says("Ratio"));
    assert!(window.app().messages().is_empty());
}
