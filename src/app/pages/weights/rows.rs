//! What the table says of each layer.

use std::collections::HashMap;

use wattif_core::compress::LayerError;
use wattif_core::profile::{LayerKind, LayerProfile};
use wattif_core::recipe::{Override, Recipe, Width};

use super::against::Measure;
use crate::app::App;
use crate::app::derived::Figures;
use crate::{format, words};

/// Errors by the names of layers.
pub(super) type Errors = HashMap<String, LayerError>;

/// What a layer has more than in another configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    pub(super) measure: Measure,
    pub(super) more: f64,
    /// Its size over that of the largest of all layers.
    pub(super) share: f32,
}

/// One layer.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    /// Its place in the network.
    place: usize,
    pub(super) kind: LayerKind,
    pub(super) shape: String,
    pub(super) parameters: u64,
    /// Share of the multiply-accumulates, where these are known.
    pub(super) work: Option<f64>,
    pub(super) stored: u64,
    /// Bytes of the original.
    pub(super) original: u64,
    /// Share of the energy on the chosen device, where that is known layer by layer.
    pub(super) energy: Option<f64>,
    /// Joules of one unit of work there.
    pub(super) joules: Option<f64>,
    /// What it has more than in the configuration that is compared with, and by what; as large as the largest of all.
    pub(super) difference: Option<Difference>,
    pub(super) bits: u8,
    /// The blocks that it is in.
    pub(super) blocks: Option<String>,
    /// Share of its weights that are zero.
    pub(super) zeros: f64,
    /// Whether recipes prune and round it.
    pub(super) compressible: bool,
    pub(super) own: Override,
}

/// The layers in the order in which they run.
pub(super) fn rows(app: &App) -> Vec<Row> {
    let derived = &app.derived;
    match (&derived.now, &derived.original) {
        (Some(now), Some(original)) => of(now, Some(original), &app.session.configuration.recipe),
        _ => Vec::new(),
    }
}

/// Those of a configuration, beside the original's.
pub(super) fn of(now: &Figures, original: Option<&Figures>, recipe: &Recipe) -> Vec<Row> {
    let before: HashMap<&str, u64> = (original.iter())
        .flat_map(|original| &original.profile.layers)
        .map(|l| (l.layer.name.as_str(), l.stored_bytes))
        .collect();
    let costs = now.footprint.as_ref().map_or(&[][..], |f| &f.layers);
    let energy: f64 = costs.iter().map(|cost| cost.energy.total().0).sum();
    let mut joules: HashMap<&str, f64> = HashMap::new();
    for cost in costs {
        *joules.entry(&cost.layer).or_default() += cost.energy.total().0;
    }
    let macs = now.profile.macs();
    let recipe = recipe.canonical();
    let row = |(place, layer): (usize, &LayerProfile)| {
        let LayerProfile { layer: shape, .. } = layer;
        let name = shape.name.as_str();
        let of_layer = recipe.of_layer(name);
        Row {
            place,
            kind: shape.kind,
            shape: shape_text(&shape.shape),
            parameters: shape.weights() + shape.other_parameters,
            work: (macs > 0.0).then(|| shape.macs / macs),
            stored: layer.stored_bytes,
            original: before.get(name).copied().unwrap_or(0),
            energy: (joules.get(name).map(|joules| joules / energy))
                .filter(|share| share.is_finite()),
            joules: joules.get(name).copied(),
            difference: None,
            bits: layer.weight_bits,
            blocks: (of_layer.quantization.blocks)
                .filter(|format| shape.compressible && format.bits() == layer.weight_bits)
                .map(|format| format.base().name()),
            zeros: layer.sparsity(),
            compressible: shape.compressible,
            own: recipe.layers.get(name).unwrap_or_default(),
            name: name.to_owned(),
        }
    };
    now.profile.layers.iter().enumerate().map(row).collect()
}

fn shape_text(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    sizes.join(" × ")
}

pub(super) const fn kind_name(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Linear => "linear",
        LayerKind::Conv2d => "convolution",
        LayerKind::Embedding => "table",
        LayerKind::Elementwise => "elementwise",
        LayerKind::Attention => "attention",
        LayerKind::Recurrent => "recurrent",
    }
}

pub(super) fn decibels_text(decibels: f64) -> String {
    format!("{decibels:.1} dB")
}

impl Difference {
    fn text(self) -> String {
        self.measure.text(self.more)
    }

    /// Whether the layer is better off than in the other configuration.
    pub(super) fn is_better(self) -> bool {
        (self.more > 0.0) == self.measure.more_is_better()
    }
}

impl Row {
    /// Whether it has anything of its own.
    pub(super) fn is_own(&self) -> bool {
        !self.own.is_none()
    }

    /// Whether it is what was looked for: parts of its name or its kind, in any case.
    pub(super) fn fits(&self, filter: &str) -> bool {
        let text = format!("{} {}", self.name, kind_name(self.kind)).to_lowercase();
        filter
            .to_lowercase()
            .split_whitespace()
            .all(|word| text.contains(word))
    }

    pub(super) fn error<'a>(&self, errors: Option<&'a Errors>) -> Option<&'a LayerError> {
        errors?.get(&self.name)
    }

    /// Signal over noise of its weights; `None` without an error, or where it is not known.
    pub(super) fn decibels(&self, errors: Option<&Errors>) -> Option<f64> {
        self.error(errors)?.decibels()
    }

    pub(super) fn bits_text(&self) -> String {
        match &self.blocks {
            Some(blocks) => blocks.clone(),
            None if self.shape.is_empty() => String::new(),
            None => self.bits.to_string(),
        }
    }

    /// What a reader of the screen hears.
    pub(super) fn spoken(&self, errors: Option<&Errors>) -> String {
        let mut parts = vec![
            kind_name(self.kind).to_owned(),
            format!("{} parameters", format::grouped(self.parameters as f64)),
            format::bytes(self.stored as f64),
        ];
        if self.compressible {
            parts.push(match &self.blocks {
                Some(blocks) => blocks.clone(),
                None => format!("{} bits", self.bits),
            });
            parts.push(format!("{} zeros", format::percent(self.zeros, 0)));
        }
        parts.extend(
            self.decibels(errors)
                .map(|db| format!("error {}", decibels_text(db))),
        );
        parts.extend(
            self.difference
                .map(|difference| format!("{} {}", difference.measure.name(), difference.text())),
        );
        if self.is_own() {
            parts.push(format!("of its own: {}", words::own_layer(self.own)));
        }
        format!("{}: {}", self.name, parts.join(", "))
    }
}

/// What the layers are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Column {
    /// In the order in which they run, or by name.
    #[default]
    Layer,
    Kind,
    Shape,
    Parameters,
    Work,
    Stored,
    Original,
    Energy,
    Bits,
    Zeros,
    Error,
    Difference,
}

impl Column {
    pub(super) const ALL: [Self; 12] = [
        Self::Layer,
        Self::Kind,
        Self::Shape,
        Self::Parameters,
        Self::Work,
        Self::Stored,
        Self::Original,
        Self::Energy,
        Self::Bits,
        Self::Zeros,
        Self::Error,
        Self::Difference,
    ];

    /// Those that give way first where there is little room.
    pub(super) const SPARE: [Self; 8] = [
        Self::Shape,
        Self::Original,
        Self::Kind,
        Self::Work,
        Self::Parameters,
        Self::Zeros,
        Self::Energy,
        Self::Bits,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Layer => "Layer",
            Self::Kind => "Kind",
            Self::Shape => "Shape",
            Self::Parameters => "Parameters",
            Self::Work => "Work",
            Self::Stored => "Bytes",
            Self::Original => "Original",
            Self::Energy => "Energy",
            Self::Bits => "Bits",
            Self::Zeros => "Zeros",
            Self::Error => "Error",
            Self::Difference => "Difference",
        }
    }

    pub(super) const fn help(self) -> &'static str {
        match self {
            Self::Layer => "The layers in the order in which they run",
            Self::Kind => "What it computes",
            Self::Shape => "Shape of its weights, outputs first",
            Self::Parameters => "Its weights and all other parameters",
            Self::Work => "Share of the multiply-accumulates of one unit of work",
            Self::Stored => "Bytes of the layer in the exported file",
            Self::Original => "Bytes of the layer in the original",
            Self::Energy => "Share of the energy of one unit of work on the chosen device",
            Self::Bits => "Bits of its weights, with a mark where they are its own",
            Self::Zeros => {
                "Share of its weights that are zero, with a mark where its sparsity is its own"
            }
            Self::Error => {
                "Squares of the weights over squares of what the recipe changes of them, in decibels: more is better, and 6 dB are about a bit"
            }
            Self::Difference => {
                "What the layer has more or less than in the configuration that it is compared with; blue where less is spent or the error is smaller, red where it is the other way about"
            }
        }
    }

    /// Width at normal text size.
    pub(super) const fn width(self) -> f32 {
        match self {
            Self::Layer => 150.0,
            Self::Kind => 84.0,
            Self::Shape => 112.0,
            Self::Parameters => 82.0,
            Self::Difference => 88.0,
            Self::Stored | Self::Original => 76.0,
            Self::Error => 64.0,
            Self::Work | Self::Energy | Self::Bits | Self::Zeros => 58.0,
        }
    }

    /// Whether it holds words, which begin at the left.
    pub(super) const fn is_words(self) -> bool {
        matches!(self, Self::Layer | Self::Kind | Self::Shape)
    }

    pub(super) fn text(self, row: &Row, errors: Option<&Errors>) -> String {
        match self {
            Self::Layer => row.name.clone(),
            Self::Kind => kind_name(row.kind).to_owned(),
            Self::Shape => row.shape.clone(),
            Self::Parameters => format::grouped(row.parameters as f64),
            Self::Work => row
                .work
                .map_or_else(|| "–".to_owned(), |share| format::percent(share, 1)),
            Self::Stored => format::bytes(row.stored as f64),
            Self::Original => format::bytes(row.original as f64),
            Self::Energy => row
                .energy
                .map_or_else(|| "–".to_owned(), |share| format::percent(share, 1)),
            Self::Bits => row.bits_text(),
            Self::Zeros if row.compressible => format::percent(row.zeros, 0),
            Self::Zeros => String::new(),
            Self::Error => match (row.error(errors), row.decibels(errors)) {
                (_, Some(decibels)) => decibels_text(decibels),
                (Some(_), None) => "none".to_owned(),
                (None, None) => String::new(),
            },
            Self::Difference => row
                .difference
                .map_or_else(String::new, |difference| difference.text()),
        }
    }

    /// Whether a layer has of its own what the column says.
    pub(super) const fn is_own(self, row: &Row) -> bool {
        match self {
            Self::Bits => row.own.weights.is_some(),
            Self::Zeros => row.own.sparsity.is_some(),
            _ => false,
        }
    }

    /// What it is sorted by; nothing stands last.
    fn number(self, row: &Row, errors: Option<&Errors>) -> Option<f64> {
        Some(match self {
            Self::Layer | Self::Kind | Self::Shape => row.place as f64,
            Self::Parameters => row.parameters as f64,
            Self::Work => row.work?,
            Self::Stored => row.stored as f64,
            Self::Original => row.original as f64,
            Self::Energy => row.energy?,
            Self::Bits => f64::from(row.bits),
            Self::Zeros if row.compressible => row.zeros,
            Self::Zeros => return None,
            // The largest error is the least signal over noise.
            Self::Error => -row.decibels(errors)?,
            Self::Difference => row.difference?.more,
        })
    }

    /// Largest first, or least where `rising`; equal ones stay in the order of the network.
    pub(super) fn sort(self, rows: &mut [&Row], errors: Option<&Errors>, rising: bool) {
        match self {
            // As they run, or the other way about.
            Self::Layer if rising => rows.reverse(),
            Self::Layer => {}
            Self::Kind | Self::Shape => {
                rows.sort_by_key(|row| self.text(row, errors));
                if rising {
                    rows.reverse();
                }
            }
            _ => rows.sort_by(
                |a, b| match (self.number(a, errors), self.number(b, errors)) {
                    (Some(a), Some(b)) if rising => a.total_cmp(&b),
                    (Some(a), Some(b)) => b.total_cmp(&a),
                    (a, b) => b.is_some().cmp(&a.is_some()),
                },
            ),
        }
    }
}

/// All layers as a table with a heading line.
pub(super) fn table(rows: &[Row], errors: Option<&Errors>) -> Vec<Vec<String>> {
    let heading = [
        "layer",
        "kind",
        "shape",
        "parameters",
        "work_share",
        "stored_bytes",
        "original_bytes",
        "energy_share",
        "weight_bits",
        "blocks",
        "zeros",
        "own_sparsity",
        "own_weights",
        "error_db",
        "difference_in",
        "difference",
    ];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    for row in rows {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        table.push(vec![
            row.name.clone(),
            kind_name(row.kind).to_owned(),
            row.shape.clone(),
            row.parameters.to_string(),
            number(row.work),
            row.stored.to_string(),
            row.original.to_string(),
            number(row.energy),
            row.bits.to_string(),
            row.blocks.clone().unwrap_or_default(),
            row.zeros.to_string(),
            number(row.own.sparsity),
            row.own
                .weights
                .map_or_else(String::new, |width| match width {
                    Width::Bits(bits) => bits.to_string(),
                    Width::Blocks(format) => format.name(),
                }),
            number(row.decibels(errors)),
            (row.difference).map_or_else(String::new, |own| own.measure.name().to_owned()),
            number(row.difference.map(|own| own.more)),
        ]);
    }
    table
}
