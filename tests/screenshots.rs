//! The pictures in `screenshots/`. `WATTIF_SCREENSHOTS=write cargo test --test screenshots` measures the bundled models
//! and writes them; a plain test run draws every one of them on the scripted engine and checks that something was drawn,
//! without touching the files.

mod scripted;

use std::path::Path;

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use scripted::{Setup, Window};
use wattif::app::{Command, Page, Start};
use wattif_core::model::ModelReference;

struct Shot {
    name: &'static str,
    model: &'static str,
    size: [f32; 2],
    theme: egui::Theme,
    prepare: fn(&mut Window),
}

const LAPTOP: [f32; 2] = [1280.0, 800.0];

const SHOTS: [Shot; 13] = [
    Shot {
        name: "pictures",
        model: "fashion-vae",
        size: LAPTOP,
        theme: egui::Theme::Light,
        prepare: |window| {
            set(window, "Sparsity", 0.2);
            set(window, "Weight bits", 3.0);
        },
    },
    Shot {
        name: "generator-dark",
        model: "fashion-gan",
        size: LAPTOP,
        theme: egui::Theme::Dark,
        prepare: |window| {
            set(window, "Weight bits", 3.0);
        },
    },
    Shot {
        name: "diffusion",
        model: "fashion-diffusion",
        size: LAPTOP,
        theme: egui::Theme::Light,
        prepare: |window| {
            set(window, "Weight bits", 3.0);
        },
    },
    Shot {
        name: "weights-dark",
        model: "fashion-vae",
        size: LAPTOP,
        theme: egui::Theme::Dark,
        prepare: |window| {
            set(window, "Weight bits", 4.0);
            tab(window, "Weights");
            // Errors are found in the background.
            let begin = std::time::Instant::now();
            while !window.says("the largest error is in") && begin.elapsed().as_secs() < 60 {
                std::thread::park_timeout(std::time::Duration::from_millis(10));
                window.harness.step();
            }
        },
    },
    Shot {
        name: "window",
        model: "fashion-cnn",
        size: LAPTOP,
        theme: egui::Theme::Light,
        prepare: |window| {
            set(window, "Batch size", 256_f64.log10());
            set(window, "Weight bits", 3.0);
            press(window, "Pin as A");
            set(window, "Sparsity", 0.5);
        },
    },
    Shot {
        name: "language-dark",
        model: "tiny-gpt",
        size: LAPTOP,
        theme: egui::Theme::Dark,
        prepare: |window| {
            set(window, "Sparsity", 0.3);
            set(window, "Weight bits", 2.0);
        },
    },
    Shot {
        name: "wide-dark",
        model: "fashion-cnn",
        size: [1920.0, 1080.0],
        theme: egui::Theme::Dark,
        prepare: |window| {
            set(window, "Sparsity", 0.3);
            press(window, "Pin as A");
            set(window, "Weight bits", 3.0);
            press(window, "Pin as B");
            set(window, "Batch size", 16_f64.log10());
        },
    },
    Shot {
        name: "batch",
        model: "tiny-gpt",
        size: LAPTOP,
        theme: egui::Theme::Light,
        prepare: |window| {
            set(window, "Weight bits", 3.0);
            set(window, "Batch size", 64_f64.log10());
        },
    },
    Shot {
        name: "present",
        model: "fashion-cnn",
        size: LAPTOP,
        theme: egui::Theme::Light,
        prepare: |window| {
            set(window, "Sparsity", 0.4);
            press(window, "Present");
        },
    },
    Shot {
        name: "devices",
        model: "fashion-cnn",
        size: LAPTOP,
        theme: egui::Theme::Light,
        prepare: |window| {
            set(window, "Weight bits", 3.0);
            tab(window, "Devices");
        },
    },
    Shot {
        name: "layers-dark",
        model: "tiny-gpt",
        size: LAPTOP,
        theme: egui::Theme::Dark,
        prepare: |window| {
            set(window, "Weight bits", 3.0);
            tab(window, "Layers");
        },
    },
    Shot {
        name: "crossover",
        model: "tiny-gpt",
        size: LAPTOP,
        theme: egui::Theme::Light,
        prepare: |window| {
            set(window, "Weight bits", 3.0);
            tab(window, "Crossover");
        },
    },
    Shot {
        name: "validation-dark",
        model: "fashion-cnn",
        size: LAPTOP,
        theme: egui::Theme::Dark,
        prepare: |window| {
            tab(window, "Validation");
            while window.app().session().settings.page != Page::Validation {
                window.harness.step();
            }
            // The predictions take a moment in the background.
            let begin = std::time::Instant::now();
            while !window.app().can(Command::ExportCsv) && begin.elapsed().as_secs() < 60 {
                std::thread::park_timeout(std::time::Duration::from_millis(10));
                window.harness.step();
            }
        },
    },
];

fn set(window: &mut Window, slider: &str, place: f64) {
    window
        .harness
        .get_by_role_and_label(Role::Slider, slider)
        .set_value_accesskit(place);
    window.harness.run();
}

fn press(window: &mut Window, button: &str) {
    window
        .harness
        .get_by_role_and_label(Role::Button, button)
        .click();
    window.harness.run();
}

fn tab(window: &mut Window, page: &str) {
    window
        .harness
        .get_by_role_and_label(Role::Tab, page)
        .click();
    window.harness.step();
}

#[test]
fn every_picture_is_drawn() {
    // "write" writes all of them, a name that one.
    let wanted = std::env::var("WATTIF_SCREENSHOTS").ok();
    for shot in SHOTS {
        let write = match wanted.as_deref() {
            Some("write") => true,
            Some(name) if name == shot.name => true,
            Some(_) => continue,
            None => false,
        };
        let mut window = Setup {
            size: shot.size,
            theme: shot.theme,
            start: Start {
                preset: None,
                model: Some(ModelReference::Bundled(shot.model.to_owned())),
            },
            real: write,
            ..Setup::default()
        }
        .open();
        window.wait();
        (shot.prepare)(&mut window);
        window.wait();
        window.harness.remove_cursor();
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
