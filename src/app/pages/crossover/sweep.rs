//! The curves of the page and where they cross.

use wattif_core::carbon::{self, Grid};
use wattif_core::footprint::footprint;
use wattif_core::hardware::{self, CostModel, HardwareTarget};
use wattif_core::measurement::Spiking;
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;
use wattif_core::units::Range;

use crate::app::App;
use crate::app::charts::plane::Sign;
use crate::app::pages::Inputs;
use crate::app::pages::curves::{Curve, Line, Stretch, line, lowest};

/// What the page shows.
pub(super) struct Sweep {
    pub(super) kind: Kind,
    /// Batch sizes, or spikes per neuron and time step.
    pub(super) x: Vec<f64>,
    pub(super) series: Vec<Series>,
    pub(super) stretches: Vec<Stretch>,
    /// For every crossing, where it lies at the low and at the high ends of the ranges.
    pub(super) spread: Vec<Option<(f64, f64)>>,
    /// What could not be drawn, with the reason.
    pub(super) missing: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Weight widths over the batch.
    Widths,
    /// A spiking network over its activity.
    Activity(Marker),
    /// The device cannot be looked up.
    Nothing,
}

/// The activity that the other pages count with: of the layer with least spikes, of all together, of that with most; or
/// the range of the chip's constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Marker {
    pub(super) range: Range<f64>,
    /// Whether the spiking network was run on data.
    pub(super) measured: bool,
}

/// Spikes per neuron and step that were counted on data.
fn measured(spiking: &Spiking) -> Option<Range<f64>> {
    let layers = || {
        let layers = spiking.activity.iter();
        layers.filter(|layer| layer.activity > 0.0)
    };
    let spikes: f64 = layers().map(|layer| layer.spikes_per_step).sum();
    let neurons: f64 = layers()
        .map(|layer| layer.spikes_per_step / layer.activity)
        .sum();
    let all = layers().map(|layer| layer.activity);
    (neurons > 0.0).then(|| Range {
        low: all.clone().fold(f64::INFINITY, f64::min),
        typical: spikes / neurons,
        high: all.fold(0.0, f64::max),
    })
}

/// Reads one end off a range.
type End = fn(&Range<f64>) -> f64;

/// One curve: joules per unit of work.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) sign: Sign,
    /// Whether it is the configuration of the sliders.
    pub(super) current: bool,
    pub(super) energy: Curve,
}

/// The widths that are compared, widest first.
const WIDTHS: [u8; 4] = [32, 16, 8, 4];
/// Batch sizes: powers of two up to what the slider holds.
const MOST_DOUBLINGS: i32 = 12;
const SIGNS: [Sign; 5] = [
    Sign::Circle,
    Sign::Square,
    Sign::Triangle,
    Sign::Diamond,
    Sign::Wedge,
];

fn bits_name(bits: u8) -> String {
    if bits == 1 {
        "1 bit".to_owned()
    } else {
        format!("{bits} bits")
    }
}

fn energy(
    profile: &ModelProfile,
    scenario: &Scenario,
    target: &HardwareTarget,
    grid: &Grid,
) -> Result<Range<f64>, String> {
    footprint(profile, scenario, target, grid)
        .map(|f| f.energy_per_unit.range.map(|v| v.0))
        .map_err(|error| error.to_string())
}

pub(super) fn sweep(app: &App, inputs: &Inputs, reference: Option<&str>) -> Sweep {
    let target = hardware::find(&inputs.scenario.hardware);
    let grid = carbon::find_grid(&inputs.scenario.region);
    match (target, grid) {
        (Ok(target), Ok(grid)) if matches!(target.model, CostModel::Neuromorphic(_)) => {
            over_activity(inputs, target, grid, reference)
        }
        (Ok(target), Ok(grid)) => over_batch(app, inputs, target, grid),
        _ => Sweep::new(Kind::Nothing, Vec::new(), Vec::new(), Vec::new()),
    }
}

impl Sweep {
    fn new(kind: Kind, x: Vec<f64>, series: Vec<Series>, missing: Vec<(String, String)>) -> Self {
        let lines = |own: End, other: End| -> Vec<Line> {
            let end = |place: usize| if place == 0 { own } else { other };
            let numbered = series.iter().enumerate();
            numbered
                .map(|(place, series)| line(&series.energy, end(place)))
                .collect()
        };
        let (lowest_end, highest_end): (End, End) = (|r| r.low, |r| r.high);
        let stretches = lowest(&x, &lines(|r| r.typical, |r| r.typical));
        // One device has the same constants at every width; two devices know nothing of each other's.
        let opposite = match kind {
            Kind::Activity(_) => highest_end,
            _ => lowest_end,
        };
        let low = lowest(&x, &lines(lowest_end, opposite));
        let opposite = match kind {
            Kind::Activity(_) => lowest_end,
            _ => highest_end,
        };
        let high = lowest(&x, &lines(highest_end, opposite));
        // The same change of lead at the other ends of the ranges, where there is one.
        let same = |others: &[Stretch], from: usize, to: usize| -> Option<f64> {
            let pair = others
                .windows(2)
                .find(|pair| pair[0].curve == from && pair[1].curve == to)?;
            Some(pair[1].from)
        };
        let spread = stretches
            .windows(2)
            .map(|pair| {
                let (from, to) = (pair[0].curve, pair[1].curve);
                let (a, b) = (same(&low, from, to)?, same(&high, from, to)?);
                Some((a.min(b), a.max(b)))
            })
            .collect();
        Self {
            kind,
            x,
            series,
            stretches,
            spread,
            missing,
        }
    }
}

fn over_batch(app: &App, inputs: &Inputs, target: &HardwareTarget, grid: &Grid) -> Sweep {
    let x: Vec<f64> = (0..=MOST_DOUBLINGS).map(|i| 2_f64.powi(i)).collect();
    // Nothing is made wider than it is published.
    let published = app.model.facts.as_ref().and_then(|facts| facts.published);
    let widest = published.map_or(u8::MAX, |published| published.weights);
    let blocks = inputs.recipe.quantization.blocks;
    let own = inputs.recipe.quantization.code_bits().min(widest);
    let mut widths = WIDTHS.to_vec();
    widths.retain(|bits| *bits <= widest);
    if !widths.contains(&own) {
        widths.push(own);
        widths.sort_by(|a, b| b.cmp(a));
    }
    let mut series = Vec::new();
    let mut missing = Vec::new();
    for (place, bits) in widths.into_iter().enumerate() {
        let profile = if bits == own {
            Some(inputs.now.clone())
        } else {
            let mut recipe: Recipe = inputs.recipe.clone();
            recipe.quantization.weight_bits = bits;
            recipe.quantization.blocks = None;
            app.model
                .backend
                .as_ref()
                .and_then(|backend| backend.predict(&recipe))
        };
        let Some(profile) = profile else { continue };
        let name = match blocks.filter(|format| bits == own && format.bits() == own) {
            Some(format) => format.name(),
            None => bits_name(bits),
        };
        let mut scenario = inputs.scenario.clone();
        let mut reason = None;
        let energy: Curve = x
            .iter()
            .map(|&batch| {
                // Powers of two up to 4096.
                scenario.batch = batch as u32;
                energy(&profile, &scenario, target, grid)
                    .map_err(|error| reason.get_or_insert(error).clone())
                    .ok()
            })
            .collect();
        if let Some(reason) = reason {
            missing.push((name.clone(), reason));
        }
        if energy.iter().any(Option::is_some) {
            series.push(Series {
                name,
                sign: SIGNS[place % SIGNS.len()],
                current: bits == own,
                energy,
            });
        }
    }
    Sweep::new(Kind::Widths, x, series, missing)
}

/// The conventional devices that can run the network, with what one unit of work takes there.
fn conventional(inputs: &Inputs, grid: &Grid) -> Vec<(&'static HardwareTarget, Range<f64>)> {
    let Ok(all) = hardware::catalogue() else {
        return Vec::new();
    };
    all.iter()
        .filter(|target| !matches!(target.model, CostModel::Neuromorphic(_)))
        .filter_map(|target| {
            let scenario = Scenario {
                hardware: target.id.clone(),
                ..inputs.scenario.clone()
            };
            let range = energy(&inputs.now, &scenario, target, grid).ok()?;
            Some((target, range))
        })
        .collect()
}

/// The device whose power limit is nearest, as a factor.
fn comparable<'a>(
    all: &'a [(&'static HardwareTarget, Range<f64>)],
    target: &HardwareTarget,
    wanted: Option<&str>,
) -> Option<&'a (&'static HardwareTarget, Range<f64>)> {
    let picked = all
        .iter()
        .find(|(other, _)| Some(other.id.as_str()) == wanted);
    picked.or_else(|| {
        all.iter().min_by(|a, b| {
            let distance = |other: &HardwareTarget| {
                (other.power_limit.typical.0 / target.power_limit.typical.0)
                    .ln()
                    .abs()
            };
            distance(a.0).total_cmp(&distance(b.0))
        })
    })
}

fn over_activity(
    inputs: &Inputs,
    target: &HardwareTarget,
    grid: &Grid,
    reference: Option<&str>,
) -> Sweep {
    const STEPS: i32 = 30;
    const DECADES: f64 = 3.0;
    let mut chip = target.clone();
    let CostModel::Neuromorphic(constants) = &target.model else {
        return Sweep::new(Kind::Nothing, Vec::new(), Vec::new(), Vec::new());
    };
    // What the data gave is the marker; the curve varies the activity of all layers alike.
    let marker = match inputs.now.spiking.as_deref().and_then(measured) {
        Some(range) => Marker {
            range,
            measured: true,
        },
        None => Marker {
            range: constants.activity.range(),
            measured: false,
        },
    };
    let alike = ModelProfile {
        spiking: None,
        ..inputs.now.clone()
    };
    let x: Vec<f64> = (0..=STEPS)
        .map(|i| 10_f64.powf(DECADES * (f64::from(i) / f64::from(STEPS) - 1.0)))
        .collect();
    let mut missing = Vec::new();
    let spiking: Curve = x
        .iter()
        .map(|&activity| {
            if let CostModel::Neuromorphic(constants) = &mut chip.model {
                constants.activity.low = None;
                constants.activity.typical = activity;
                constants.activity.high = None;
            }
            match energy(&alike, &inputs.scenario, &chip, grid) {
                Ok(range) => Some(range),
                Err(reason) => {
                    if missing.is_empty() {
                        missing.push((target.name.clone(), reason));
                    }
                    None
                }
            }
        })
        .collect();
    let mut series = Vec::new();
    if spiking.iter().any(Option::is_some) {
        series.push(Series {
            name: target.name.clone(),
            sign: Sign::Circle,
            current: true,
            energy: spiking,
        });
    }
    let others = conventional(inputs, grid);
    if let Some((other, range)) = comparable(&others, target, reference) {
        series.push(Series {
            name: other.name.clone(),
            sign: Sign::Square,
            current: false,
            energy: vec![Some(*range); x.len()],
        });
    }
    Sweep::new(Kind::Activity(marker), x, series, missing)
}
