//! The pictures in `screenshots/`. They are written with `WATTIF_SCREENSHOTS=write cargo test --test screenshots`; a
//! plain test run draws every one of them and checks that something was drawn, without touching the files.

mod scripted;

use egui_kittest::kittest::Queryable;
use scripted::{Setup, Window};
use std::path::Path;

struct Shot {
    name: &'static str,
    size: [f32; 2],
    theme: egui::Theme,
    prepare: fn(&mut Window),
}

const SHOTS: [Shot; 3] = [
    Shot {
        name: "light",
        size: [1280.0, 800.0],
        theme: egui::Theme::Light,
        prepare: explore,
    },
    Shot {
        name: "dark",
        size: [1280.0, 800.0],
        theme: egui::Theme::Dark,
        prepare: explore,
    },
    Shot {
        name: "present",
        size: [1280.0, 800.0],
        theme: egui::Theme::Light,
        prepare: |window| {
            explore(window);
            window.harness.get_by_label("Present").click();
        },
    },
];

fn explore(window: &mut Window) {
    let sparsity = window
        .harness
        .get_by_role_and_label(egui::accesskit::Role::Slider, "Sparsity");
    sparsity.set_value_accesskit(0.6);
    window.harness.run();
    window.harness.get_by_label("Pin as A").click();
    window.harness.run();
    window
        .harness
        .get_by_role_and_label(egui::accesskit::Role::Slider, "Weight bits")
        .set_value_accesskit(3.0);
    window.harness.run();
    window
        .harness
        .get_by_role_and_label(egui::accesskit::Role::Slider, "Sparsity")
        .set_value_accesskit(0.8);
    window.harness.run();
}

#[test]
fn every_picture_is_drawn() {
    let write = std::env::var_os("WATTIF_SCREENSHOTS").is_some();
    for shot in SHOTS {
        let mut window = Setup {
            size: shot.size,
            theme: shot.theme,
            ..Setup::default()
        }
        .open();
        (shot.prepare)(&mut window);
        window.harness.run();
        let image = window.harness.render().expect("the frame is drawn");
        assert_eq!(image.width(), shot.size[0] as u32);
        let colors: std::collections::HashSet<_> = image.pixels().map(|pixel| pixel.0).collect();
        assert!(
            colors.len() > 100,
            "{} shows {} colours",
            shot.name,
            colors.len()
        );
        if write {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
            std::fs::create_dir_all(&folder).expect("the folder is made");
            image
                .save(folder.join(format!("{}.png", shot.name)))
                .expect("the picture is written");
        }
    }
}
