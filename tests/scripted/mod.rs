//! A scripted engine behind the real window: it answers at once, with numbers that follow the sliders in a known way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]
#![allow(dead_code, reason = "each test binary uses its own part")]

mod drive;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use egui_kittest::Harness;
use wattif::app::{
    App, Backend, ModelFacts, Opener, Options, Start, TrainingReport, Update, engine_opener,
};
use wattif_core::benchmark::{Energy, PackedRun, PackedSpeed, Spread, Work};
use wattif_core::compress::distill::StudentRecord;
use wattif_core::compress::{LayerError, LayerLook, plan};
use wattif_core::engine::Looks;
use wattif_core::error::Error;
use wattif_core::measurement::{
    Depth, Example, Interval, Measurement, Metric, Quality, StudentNote,
};
use wattif_core::model::{Architecture, CnnConfig, ModelReference};
use wattif_core::profile::{Layer, ModelProfile};
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

/// What was asked of the engine, for the test to look at.
#[derive(Default)]
pub(crate) struct Log {
    /// Recipes submitted.
    pub(crate) submitted: Vec<Recipe>,
    /// How often surroundings were asked to be measured.
    pub(crate) filled: usize,
    /// Recipes to train.
    pub(crate) trained: Vec<Recipe>,
    /// How often training was stopped.
    pub(crate) cancelled: usize,
}

/// How the engine behaves.
#[derive(Clone, Default)]
pub(crate) struct Script {
    /// Fails on recipes of this sparsity.
    pub(crate) fails_at: Option<f64>,
    /// Does not answer what is submitted.
    pub(crate) silent: bool,
    /// Leaves the places around the current one unmeasured.
    pub(crate) no_fill: bool,
    /// Keeps a training going instead of finishing it at once.
    pub(crate) slow_training: bool,
    /// The same with a timing of packed weights.
    pub(crate) slow_timing: bool,
    /// Counts quality in bits per byte, and writes no texts.
    pub(crate) speaks: bool,
}

struct Scripted {
    script: Script,
    log: Rc<RefCell<Log>>,
    architecture: Architecture,
    news: Vec<Update>,
    known: HashMap<String, Arc<Measurement>>,
    students: Vec<f64>,
}

pub(crate) const ORIGINAL_ACCURACY: f64 = 0.905;

/// The accuracy that the script gives a recipe.
pub(crate) fn accuracy(recipe: &Recipe) -> f64 {
    let bits = f64::from(recipe.quantization.weight_bits);
    let activations = f64::from(recipe.quantization.activation_bits);
    let lost = 0.55 * recipe.pruning.sparsity.powi(8)
        + 0.6 * (-bits * 1.1).exp()
        + 0.4 * (-activations).exp()
        + 0.05 * (1.0 - recipe.distillation.ratio).powi(2);
    (ORIGINAL_ACCURACY - lost).max(0.1)
}

impl Scripted {
    fn plan(&self, recipe: &Recipe) -> ModelProfile {
        let ratio = recipe.distillation.ratio;
        let architecture = if ratio < 1.0 {
            self.architecture.student(ratio).0
        } else {
            self.architecture.clone()
        };
        plan(
            "Fashion classifier",
            architecture.unit(),
            &architecture.layers(),
            recipe,
        )
    }

    fn nearest(&self, ratio: f64) -> f64 {
        let distance = |other: &f64| (other - ratio).abs();
        let nearest = self
            .students
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)));
        *nearest.expect("the script has students")
    }

    fn measure(&mut self, recipe: &Recipe, depth: Depth) -> Arc<Measurement> {
        let recipe = recipe.canonical();
        if let Some(known) = self.known.get(&recipe.key())
            && known.depth >= depth
        {
            return Arc::clone(known);
        }
        let ratio = recipe.distillation.ratio;
        let exact = ratio >= 1.0 || self.students.iter().any(|r| (r - ratio).abs() < 0.005);
        // The nearest finished student stands in for one that is missing.
        let actual = if exact { ratio } else { self.nearest(ratio) };
        let mut network = recipe.clone();
        network.distillation.ratio = actual;
        let value = accuracy(&network);
        let n = if depth == Depth::Full { 2000 } else { 200 };
        let half = 1.96 * (value * (1.0 - value) / n as f64).sqrt();
        let interval = |value: f64, half: f64| Interval {
            value,
            low: value - half,
            high: value + half,
        };
        let examples = if depth == Depth::Full && !recipe.is_identity() && !self.script.speaks {
            (0..8)
                .map(|i| Example::Image {
                    index: i * 7,
                    label: i % 10,
                    original: i % 10,
                    compressed: (i + 3) % 10,
                })
                .collect()
        } else {
            Vec::new()
        };
        let measurement = Arc::new(Measurement {
            recipe: recipe.clone(),
            model_hash: HASH.to_owned(),
            depth,
            quality: Quality {
                metric: if self.script.speaks {
                    Metric::BitsPerByte
                } else {
                    Metric::Accuracy
                },
                value,
                low: value - half,
                high: value + half,
                n,
                baseline: ORIGINAL_ACCURACY,
                change: interval(value - ORIGINAL_ACCURACY, half / 3.0),
                divergence: Some(interval(0.01, 0.002)),
                pictures: None,
                neighbours: None,
                bits_per_byte: None,
                same_top: None,
                cosine: None,
            },
            profile: self.plan(&network),
            student: StudentNote {
                wanted: ratio,
                actual,
                description: "narrower".to_owned(),
                exact,
            },
            examples,
        });
        self.known.insert(recipe.key(), Arc::clone(&measurement));
        measurement
    }
}

/// The error in weights of so many bits that the script sees.
pub(crate) fn decibels(bits: u8) -> f64 {
    6.0 * f64::from(bits)
}

/// Images per second that the script times, one at a time.
pub(crate) const IMAGES_PER_SECOND: f64 = 1230.0;

fn timed(recipe: Recipe, scenario: &Scenario, profile: ModelProfile) -> PackedRun {
    let speed = |batch: u32, energy| PackedSpeed {
        work: Work::Classify { batch },
        units_per_s: Spread {
            lower_quartile: 0.9 * IMAGES_PER_SECOND,
            median: IMAGES_PER_SECOND,
            upper_quartile: 1.1 * IMAGES_PER_SECOND,
            repeats: 11,
        },
        energy,
    };
    let none = Energy::Unknown("no permission to read the counter".to_owned());
    PackedRun {
        recipe,
        unit: profile.unit,
        formats: Vec::new(),
        bytes: 123_000,
        threads: 2,
        quality: None,
        speeds: vec![speed(1, none.clone()), speed(scenario.batch, none)],
        profile,
    }
}

const HASH: &str = "scripted";

impl Backend for Scripted {
    fn writes(&self) -> bool {
        self.script.speaks
    }

    fn submit(&mut self, recipe: Recipe) {
        self.log.borrow_mut().submitted.push(recipe.clone());
        if self.script.silent {
            self.news.push(Update::Progress {
                what: "Measuring quality".to_owned(),
                done: 0.25,
            });
            return;
        }
        if self.script.fails_at == Some(recipe.pruning.sparsity) {
            self.news.push(Update::Failed {
                doing: "Measuring this configuration".to_owned(),
                error: Error::Compute("the weights hold a NaN".to_owned()),
            });
            return;
        }
        for depth in [Depth::Coarse, Depth::Full] {
            let measured = self.measure(&recipe, depth);
            self.news.push(Update::Measured(measured));
        }
        self.news.push(Update::Settled);
        self.news.push(Update::Idle);
    }

    fn spike(&mut self, _: Recipe, _: u32) {}

    fn time(&mut self, recipe: Recipe, scenario: &Scenario) {
        if self.script.slow_timing {
            return;
        }
        let run = timed(recipe.clone(), scenario, self.plan(&recipe));
        self.news.push(Update::Timed(Some(Arc::new(run))));
        self.news.push(Update::Idle);
    }

    fn fill(&mut self, positions: Vec<(Recipe, Depth)>) {
        self.log.borrow_mut().filled += 1;
        if self.script.silent || self.script.no_fill {
            return;
        }
        for (recipe, depth) in positions {
            if self.script.fails_at == Some(recipe.pruning.sparsity) {
                continue;
            }
            let measured = self.measure(&recipe, depth);
            self.news.push(Update::Measured(measured));
        }
        self.news.push(Update::Idle);
    }

    fn looks(&self) -> bool {
        true
    }

    fn look(&mut self, recipe: Recipe, layer: Option<String>) {
        let layers = self.architecture.layers();
        let compressed = layers.iter().filter(|layer| layer.compressible);
        let error = |layer: &Layer| {
            let bits = recipe.of_layer(&layer.name).quantization.code_bits();
            let noise = if bits < 32 {
                decibels(bits) / 10.0
            } else {
                f64::INFINITY
            };
            LayerError {
                signal: 1.0,
                noise: 10_f64.powf(-noise),
            }
        };
        let chosen = layer.map(|layer| LayerLook {
            layer,
            range: 0.5,
            before: vec![1, 4, 9, 4, 1],
            after: vec![1, 0, 17, 0, 1],
            threshold: Some(0.2),
            grid: None,
        });
        self.news.push(Update::Looked(Ok(Arc::new(Looks {
            errors: compressed
                .map(|layer| (layer.name.clone(), error(layer)))
                .collect(),
            recipe,
            chosen,
        }))));
    }

    fn updates(&mut self) -> Vec<Update> {
        std::mem::take(&mut self.news)
    }

    fn predict(&self, recipe: &Recipe) -> Option<ModelProfile> {
        Some(self.plan(recipe))
    }

    fn known(&self, recipe: &Recipe) -> Option<Arc<Measurement>> {
        self.known.get(&recipe.key()).cloned()
    }

    fn student_record(&self, recipe: &Recipe) -> Option<StudentRecord> {
        let ratio = recipe.distillation.ratio;
        let finished = self.students.iter().any(|r| (r - ratio).abs() < 0.005);
        (ratio < 1.0 && finished).then(|| StudentRecord {
            teacher: HASH.to_owned(),
            ratio,
            temperature: recipe.distillation.temperature,
            seed: recipe.seed,
            description: "narrower".to_owned(),
            steps: 100,
            macs: 1e11,
            seconds: 100.0,
            data: "the script".to_owned(),
            cores: Some(2),
        })
    }

    fn image(&self, index: usize) -> Option<(Vec<u8>, usize)> {
        // A disc whose size tells the index.
        let radius = 4.0 + (index % 11) as f64;
        let pixels = (0..28 * 28)
            .flat_map(|i| {
                let (x, y) = (f64::from(i % 28) - 13.5, f64::from(i / 28) - 13.5);
                let distance = (x * x + y * y).sqrt();
                let shade = if distance < radius {
                    230 - (distance * 9.0) as u8
                } else {
                    0
                };
                [shade; 3]
            })
            .collect();
        Some((pixels, 28))
    }

    fn class_name(&self, class: usize) -> String {
        wattif_core::model::bundled::FASHION_CLASSES[class].to_owned()
    }

    fn train(&mut self, recipe: Recipe) {
        self.log.borrow_mut().trained.push(recipe.clone());
        for step in 1..=20 {
            self.news.push(Update::Training(TrainingReport {
                recipe: recipe.clone(),
                description: "narrower".to_owned(),
                steps: (step, 100),
                loss: 2.0 / step as f64,
                quality: None,
                seconds: 2.0 * step as f64,
                macs: 1e9 * step as f64,
            }));
        }
        if !self.script.slow_training {
            self.students.push(recipe.distillation.ratio);
            self.known.remove(&recipe.key());
            self.news.push(Update::Trained(true));
        }
    }

    fn cancel_training(&mut self) {
        self.log.borrow_mut().cancelled += 1;
        self.news.push(Update::Trained(false));
    }
}

/// What the files begin with that the script opens; all of their text is their hash.
pub(crate) const WEIGHTS: &str = "weights ";

/// An opener of scripted engines: any bundled model opens, and files that begin so; others fail as a missing file does.
pub(crate) fn opener(script: Script, log: Rc<RefCell<Log>>) -> Opener {
    Box::new(move |reference, data, wake| {
        let architecture = Architecture::Cnn(CnnConfig::fashion());
        let opened = match reference {
            ModelReference::Bundled(name) => Some((name.clone(), HASH.to_owned())),
            ModelReference::File(path) => std::fs::read_to_string(path)
                .ok()
                .filter(|text| text.starts_with(WEIGHTS))
                .map(|text| (path.display().to_string(), text)),
            _ => None,
        };
        let news = match (opened, reference) {
            (Some((name, hash)), _) => {
                let mut ratios = vec![0.1, 0.25, 0.5, 0.75, 1.0];
                ratios.dedup();
                vec![Update::Opened(ModelFacts {
                    source: None,
                    understood: Vec::new(),
                    packed: false,
                    own_data: None,
                    published: None,
                    reference: reference.clone(),
                    name,
                    family: "Convolutional network".to_owned(),
                    parameters: architecture.parameters(),
                    unit: architecture.unit(),
                    metric: Some(if script.speaks {
                        Metric::BitsPerByte
                    } else {
                        Metric::Accuracy
                    }),
                    hash,
                    has_students: true,
                    ratios,
                })]
            }
            (None, ModelReference::File(path)) => vec![Update::Failed {
                doing: "Opening the model".to_owned(),
                error: Error::file("the file is empty", path),
            }],
            // Nothing of a network known by its shapes needs a script.
            (None, _) => {
                return wattif::app::engine_opener()(reference, data, wake);
            }
        };
        Ok(Box::new(Scripted {
            script: script.clone(),
            log: Rc::clone(&log),
            architecture,
            news,
            known: HashMap::new(),
            students: vec![0.1, 0.25, 0.5, 0.75],
        }) as Box<dyn Backend>)
    })
}

/// The real window in a harness, on a scripted engine.
pub(crate) struct Window {
    pub(crate) harness: Harness<'static, Option<App>>,
    pub(crate) log: Rc<RefCell<Log>>,
}

/// How the window is set up.
pub(crate) struct Setup<'a> {
    pub(crate) script: Script,
    pub(crate) start: Start,
    pub(crate) folder: Option<&'a Path>,
    pub(crate) size: [f32; 2],
    pub(crate) theme: egui::Theme,
    /// On the engine itself instead of the script.
    pub(crate) real: bool,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            script: Script::default(),
            start: Start::default(),
            folder: None,
            size: [1280.0, 800.0],
            theme: egui::Theme::Light,
            real: false,
        }
    }
}

impl Setup<'_> {
    /// Opens the window and lets it settle.
    pub(crate) fn open(self) -> Window {
        let log = Rc::default();
        let options = Options {
            start: self.start,
            opener: if self.real {
                engine_opener()
            } else {
                opener(self.script, Rc::clone(&log))
            },
            folder: self.folder.map(Path::to_owned),
            system_dialogs: false,
        };
        let made = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&made);
        let harness = Harness::builder()
            .with_size(self.size)
            .with_theme(self.theme)
            .with_max_steps(60)
            .with_context_setup(move |ctx| {
                *slot.borrow_mut() = Some(App::new(ctx, options));
            })
            .build_ui_state(
                move |ui, state: &mut Option<App>| {
                    if state.is_none() {
                        *state = made.borrow_mut().take();
                    }
                    frame(ui, state.as_mut().expect("the window is made first"));
                },
                None,
            );
        let mut window = Window { harness, log };
        window.rest();
        window
    }
}

/// One frame of the window over the whole harness, as eframe draws it.
fn frame(ui: &mut egui::Ui, app: &mut App) {
    let ctx = ui.ctx().clone();
    app.logic(&ctx);
    let rect = ctx.content_rect();
    let mut root = ui.new_child(egui::UiBuilder::new().max_rect(rect));
    root.set_clip_rect(rect);
    app.ui(&mut root);
}

impl Window {
    /// Waits until nothing is left to do, or for ten minutes.
    pub(crate) fn wait(&mut self) {
        let begin = std::time::Instant::now();
        while !self.app().is_idle() && begin.elapsed().as_secs() < 600 {
            std::thread::park_timeout(std::time::Duration::from_millis(10));
            self.harness.step();
        }
        assert!(self.app().is_idle(), "the work does not end");
        self.harness.run();
    }

    pub(crate) fn app(&mut self) -> &mut App {
        self.harness
            .state_mut()
            .as_mut()
            .expect("the window is open")
    }

    pub(crate) fn recipe(&mut self) -> Recipe {
        self.app().session().configuration.recipe.clone()
    }
}
