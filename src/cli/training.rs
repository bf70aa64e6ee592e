//! `wattif training`: what a training run costs, from its size or from the hours that it took.

use anyhow::Context as _;
use clap::{ArgGroup, Args, ValueEnum};
use serde::Serialize;
use wattif_core::carbon::{self, Grid};
use wattif_core::footprint::Estimate;
use wattif_core::hardware::{self, HardwareTarget};
use wattif_core::measurement::Provenance;
use wattif_core::model;
use wattif_core::scenario::Scenario;
use wattif_core::training::{self, Attention, TrainingCost, TrainingPrecision, Transformer};
use wattif_core::units::{GramsCo2e, GramsPerKwh, KilowattHours, Litres, Range, Seconds, Watts};
use wattif_core::water::water;

use super::out::{Out, aligned, entry, wrapped};
use crate::format::{amount, count, grouped, many, significant};

const SECONDS_PER_HOUR: f64 = 3600.0;
const HOURS_PER_DAY: f64 = 24.0;
/// Devices that a run can be told of; the largest that are planned have some millions.
const MOST_DEVICES: i64 = 100_000_000;

/// Units of a quantity, smallest first: how large one is, the value from which it is used, and its name.
type Scale = [(f64, f64, &'static str); 3];

const WATTS: Scale = [(1.0, 0.0, "W"), (1e3, 1e4, "kW"), (1e6, 1e7, "MW")];
const HOURS: Scale = [
    (1.0, 0.0, "h"),
    (1e6, 1e7, "million h"),
    (1e9, 1e10, "billion h"),
];
const DAYS: Scale = [
    (1.0, 0.0, "h"),
    (HOURS_PER_DAY, 3.0 * HOURS_PER_DAY, "days"),
    (
        365.25 * HOURS_PER_DAY,
        3.0 * 365.25 * HOURS_PER_DAY,
        "years",
    ),
];
const ENERGY: Scale = [(1.0, 0.0, "kWh"), (1e3, 1e3, "MWh"), (1e6, 1e7, "GWh")];
const MASS: Scale = [(1.0, 0.0, "g"), (1e3, 1e3, "kg"), (1e6, 1e6, "t")];
const VOLUME: Scale = [(1.0, 0.0, "L"), (1e3, 1e3, "m³"), (1e6, 1e7, "thousand m³")];

/// Arguments of `wattif training`.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    group = ArgGroup::new("work").required(true).args(["parameters", "device_hours", "days"]),
    group = ArgGroup::new("power").required(true).multiple(true).args(["hardware", "watts"]),
    after_help = "GPT-3, predicted from its size, and calculated from what was printed about it:\n  \
        wattif training --parameters 175e9 --tokens 300e9 --hardware nvidia-v100-sxm2 --devices 10000 --pue 1.1\n  \
        wattif training --days 14.8 --devices 10000 --watts 330 --pue 1.1 --intensity 429"
)]
pub(super) struct TrainingArguments {
    /// All parameters of the transformer, such as 175e9 or 175B
    #[arg(long, value_name = "X", value_parser = large, requires_all = ["tokens", "hardware"], help_heading = "By size")]
    parameters: Option<f64>,
    /// Parameters that a token passes through, where experts take turns; all of them if not given
    #[arg(
        long,
        value_name = "X",
        value_parser = large,
        requires = "parameters",
        help_heading = "By size"
    )]
    active: Option<f64>,
    /// Tokens seen in training, repetitions counted
    #[arg(
        long,
        value_name = "X",
        value_parser = large,
        requires = "parameters",
        help_heading = "By size"
    )]
    tokens: Option<f64>,
    /// Number format of the matrix products, which the hardware must have; mixed if not given
    #[arg(long, value_enum, requires = "parameters", help_heading = "By size")]
    precision: Option<PrecisionName>,
    /// Share of the hardware's peak that the run reaches, 0 to 1; as published runs did if not given
    #[arg(
        long,
        value_name = "FRACTION",
        requires = "parameters",
        help_heading = "By size"
    )]
    mfu: Option<f64>,
    /// Layers; with --width and --sequence, the operations of attention are counted too
    #[arg(long, value_name = "N", requires_all = ["width", "sequence", "parameters"], help_heading = "By size")]
    layers: Option<f64>,
    /// Heads × width of a head
    #[arg(long, value_name = "N", requires = "layers", help_heading = "By size")]
    width: Option<f64>,
    /// Tokens of a training sequence
    #[arg(long, value_name = "N", requires = "layers", help_heading = "By size")]
    sequence: Option<f64>,
    /// Hours × devices that the run took
    #[arg(long, value_name = "X", help_heading = "By hours")]
    device_hours: Option<f64>,
    /// Days that the run took on --devices
    #[arg(long, value_name = "X", help_heading = "By hours")]
    days: Option<f64>,
    /// Hardware by identifier or name, as `wattif hardware` lists it
    #[arg(long, value_name = "NAME", help_heading = "Devices")]
    hardware: Option<String>,
    /// Devices that share the work, for the time that it takes by the clock
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_DEVICES), help_heading = "Devices")]
    devices: Option<u32>,
    /// Mean power of a device with its part of the server; modelled from the hardware if not given
    #[arg(long, value_name = "W", help_heading = "Devices")]
    watts: Option<f64>,
    /// Years that a device is used
    #[arg(long, value_name = "YEARS", default_value_t = Scenario::default().lifetime_years, help_heading = "Devices")]
    lifetime: f64,
    /// Fraction of its life that a device is busy
    #[arg(long, value_name = "FRACTION", default_value_t = Scenario::default().utilization, help_heading = "Devices")]
    utilization: f64,
    /// Electricity grid by identifier or place, as `wattif regions` lists it
    #[arg(long, value_name = "PLACE", default_value_t = Scenario::default().region, help_heading = "Building and grid")]
    region: String,
    /// Carbon intensity instead of the region's, in gCO2e/kWh
    #[arg(
        long,
        value_name = "G",
        conflicts_with = "region",
        help_heading = "Building and grid"
    )]
    intensity: Option<f64>,
    /// Energy of the building / energy of the machines
    #[arg(long, value_name = "X", default_value_t = Scenario::default().pue, help_heading = "Building and grid")]
    pue: f64,
    /// Litres of water that the building consumes per kilowatt-hour of its machines
    #[arg(long, value_name = "L", help_heading = "Building and grid")]
    wue: Option<f64>,
    /// Litres of water consumed per kilowatt-hour of the grid's electricity
    #[arg(long, value_name = "L", help_heading = "Building and grid")]
    grid_water: Option<f64>,
    /// Print JSON instead of text
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print the formula behind each number, with its values
    #[arg(long, help_heading = "Output", conflicts_with = "json")]
    explain: bool,
}

/// A number as `--model dense:8B` has it.
fn large(text: &str) -> Result<f64, String> {
    model::amount(text).ok_or_else(|| "not a number; write 8e9 or 8B".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionName {
    Fp32,
    Tf32,
    Mixed,
    Fp8,
}

impl From<PrecisionName> for TrainingPrecision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::Fp32 => Self::Fp32,
            PrecisionName::Tf32 => Self::Tf32,
            PrecisionName::Mixed => Self::Mixed,
            PrecisionName::Fp8 => Self::Fp8,
        }
    }
}

/// What was trained, where it is told by size.
#[derive(Debug, Serialize)]
struct SizeView {
    parameters: f64,
    active_parameters: f64,
    tokens: f64,
    operations: f64,
    precision: TrainingPrecision,
    /// Devices that hold weights, gradients and optimiser state between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    devices_to_hold_state: Option<f64>,
}

/// Everything that is said, as `--json` prints it.
#[derive(Debug, Serialize)]
struct View {
    /// How names were understood that were not the identifier or name of what is meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    understood: Vec<String>,
    #[serde(flatten)]
    size: Option<SizeView>,
    hardware: Option<String>,
    devices: Option<u32>,
    /// Time by the clock, where the number of devices is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<Estimate<Seconds>>,
    #[serde(flatten)]
    cost: TrainingCost,
    #[serde(skip_serializing_if = "Option::is_none")]
    water_l: Option<Estimate<Litres>>,
    grid: Grid,
    pue: f64,
    method_version: u32,
}

impl TrainingArguments {
    fn scenario(&self) -> wattif_core::Result<Scenario> {
        let scenario = Scenario {
            region: self.region.clone(),
            pue: self.pue,
            lifetime_years: self.lifetime,
            utilization: self.utilization,
            wue: self.wue,
            grid_water: self.grid_water,
            ..Scenario::default()
        };
        scenario.validate()?;
        Ok(scenario)
    }

    /// The grid, and how its name was understood.
    fn grid(&self) -> wattif_core::Result<(Grid, Option<String>)> {
        let Some(intensity) = self.intensity else {
            let found = carbon::named_grid(&self.region)?;
            let note = found.note.map(|note| format!("region: {note}"));
            return Ok((found.item.clone(), note));
        };
        if !(0.0..3000.0).contains(&intensity) {
            return Err(wattif_core::Error::Scenario(format!(
                "the carbon intensity is {intensity}; it must lie between 0 and 3000 gCO2e/kWh"
            )));
        }
        let given = Grid {
            id: "given".to_owned(),
            name: "as given".to_owned(),
            intensity: Range::exact(GramsPerKwh(intensity)),
            year: 0,
            source: "--intensity".to_owned(),
        };
        Ok((given, None))
    }

    /// The work by its size, if it is told so.
    fn transformer(&self) -> Option<Transformer> {
        let (parameters, tokens) = (self.parameters?, self.tokens?);
        let attention = self.layers.zip(self.width).zip(self.sequence);
        Some(Transformer {
            parameters,
            active: self.active.unwrap_or(parameters),
            tokens,
            attention: attention.map(|((layers, width), sequence)| Attention {
                layers,
                width,
                sequence,
            }),
        })
    }

    /// Device-seconds, and the work where they follow from it.
    fn device_time(
        &self,
        target: Option<&HardwareTarget>,
    ) -> anyhow::Result<(Estimate<Seconds>, Option<SizeView>)> {
        if let (Some(work), Some(target)) = (self.transformer(), target) {
            let precision = self.precision.unwrap_or(PrecisionName::Mixed).into();
            let (operations, formula) = work.operations()?;
            let size = SizeView {
                parameters: work.parameters,
                active_parameters: work.active,
                tokens: work.tokens,
                operations,
                precision,
                devices_to_hold_state: work.devices_to_hold(target)?,
            };
            let time = training::device_time((operations, formula), precision, target, self.mfu)?;
            return Ok((time, Some(size)));
        }
        let by_days = self
            .days
            .map(|days| days * HOURS_PER_DAY * f64::from(self.devices.unwrap_or(1)));
        let hours = self.device_hours.or(by_days);
        let hours = hours.context("neither --parameters, --device-hours nor --days is given")?;
        Ok((training::given_time(hours)?, None))
    }

    fn view(&self) -> anyhow::Result<View> {
        let scenario = self.scenario()?;
        let (grid, region) = self.grid()?;
        let found = self.hardware.as_deref().map(hardware::named).transpose()?;
        let target = found.as_ref().map(|found| found.item);
        let device = found.and_then(|found| Some(format!("hardware: {}", found.note?)));
        let (device_time, size) = self.device_time(target)?;
        let power = match (target, self.watts.map(Watts)) {
            (Some(target), watts) => training::device_power(target, watts)?,
            (None, Some(watts)) => training::given_power(watts)?,
            (None, None) => anyhow::bail!("neither --hardware nor --watts is given"),
        };
        let seconds = self.devices.map(|devices| Estimate {
            range: device_time.range.map(|time| time / f64::from(devices)),
            provenance: Provenance::Modelled {
                formula: format!(
                    "{} device-seconds / {} device(s)",
                    many(device_time.range.typical.0),
                    count(f64::from(devices))
                ),
            },
        });
        let cost = training::cost(device_time, power, target, &scenario, &grid)?;
        Ok(View {
            understood: device.into_iter().chain(region).collect(),
            size,
            hardware: target.map(|target| target.id.clone()),
            devices: self.devices,
            seconds,
            water_l: water(cost.machine_energy_j.range, &scenario),
            cost,
            grid,
            pue: self.pue,
            method_version: wattif_core::METHOD_VERSION,
        })
    }
}

/// Runs `wattif training`.
pub(super) fn run(arguments: &TrainingArguments, out: &mut Out) -> anyhow::Result<()> {
    let view = arguments.view()?;
    if arguments.json {
        return out.json(&view);
    }
    for line in lines(&view, arguments.explain)? {
        out.line(line)?;
    }
    Ok(())
}

fn lines(view: &View, explain: bool) -> anyhow::Result<Vec<String>> {
    let mut lines = aligned(&heading(view)?, &[]);
    lines.push(String::new());
    if !view.understood.is_empty() {
        lines.extend(view.understood.iter().cloned());
        lines.push(String::new());
    }
    lines.extend(aligned(&rows(view), &[false, true, true, true, false]));
    let size = view.size.as_ref();
    if let Some(needed) = size.and_then(|size| size.devices_to_hold_state)
        && needed > f64::from(view.devices.unwrap_or(1))
    {
        lines.extend(wrapped(&format!(
            "Weights, gradients and optimiser state take the memory of {} of these devices.",
            count(needed)
        )));
    }
    if size.is_some() {
        lines.extend(wrapped(
            "Low and high: published runs reached more or less of the peak and drew less or more power than is \
             typical; repeated or failed runs are not counted.",
        ));
    }
    if explain {
        lines.push(String::new());
        lines.extend(formulas(view));
    }
    Ok(lines)
}

fn heading(view: &View) -> anyhow::Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    let mut row = |name: &str, text: String| rows.push(vec![name.to_owned(), text]);
    let name = view.hardware.as_deref().map(hardware::find).transpose()?;
    let devices = match (view.devices.map(|n| count(f64::from(n))), name) {
        (Some(number), Some(target)) => format!("{number} × {}", target.name),
        (None, Some(target)) => target.name.clone(),
        (Some(number), None) => format!("{number} device(s)"),
        (None, None) => "devices that are not named".to_owned(),
    };
    match &view.size {
        Some(size) => {
            let active = if size.active_parameters < size.parameters {
                format!(" ({} active)", amount(size.active_parameters))
            } else {
                String::new()
            };
            row(
                "Work",
                format!(
                    "{} parameters{active} on {} tokens, {} operations",
                    amount(size.parameters),
                    amount(size.tokens),
                    many(size.operations)
                ),
            );
            row("Runs on", format!("{devices}, {}", size.precision.name()));
        }
        None => row("Ran on", devices),
    }
    row(
        "Electricity",
        format!(
            "{}, {} gCO2e/kWh, PUE {}",
            view.grid.name,
            significant(view.grid.intensity.typical.0, 3),
            view.pue
        ),
    );
    Ok(rows)
}

fn rows(view: &View) -> Vec<Vec<String>> {
    let cost = &view.cost;
    let row = |name: &str, range: Range<f64>, scale: Scale, note: &str| {
        let fits = |(_, from, _): &&(f64, f64, &str)| range.typical >= *from;
        let (size, _, unit) = scale.iter().rev().find(fits).copied().unwrap_or(scale[0]);
        let mut cells = vec![format!("  {name}")];
        cells.extend([range.low, range.typical, range.high].map(|value| grouped(value / size)));
        cells.push(format!("{unit}{note}"));
        cells
    };
    let hours = |range: Range<Seconds>| range.map(|time| time.0 / SECONDS_PER_HOUR);
    let kwh = cost
        .energy_j
        .range
        .map(|energy| KilowattHours::from(energy).0);
    let watts = cost.power_w.range.map(|watts| watts.0);
    let grams = |range: Range<GramsCo2e>| range.map(|grams| grams.0);
    let mut rows = vec![
        ["", "low", "typical", "high", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.push(row(
        "Device time",
        hours(cost.device_time_s.range),
        HOURS,
        "",
    ));
    if let Some(seconds) = &view.seconds {
        rows.push(row("Time", hours(seconds.range), DAYS, ""));
    }
    rows.push(row("Power per device", watts, WATTS, ""));
    rows.push(row("Energy", kwh, ENERGY, " with the building"));
    let electricity = grams(cost.operational_g.range);
    rows.push(row("CO2e", electricity, MASS, " of the electricity"));
    if let Some(embodied) = &cost.embodied_g {
        let making = grams(embodied.range);
        rows.push(row(
            "CO2e",
            making,
            MASS,
            " of making the devices, their share",
        ));
        let both = grams(cost.co2e_g.range);
        rows.push(row("CO2e", both, MASS, " together"));
    }
    if let Some(water) = &view.water_l {
        rows.push(row("Water", water.range.map(|litres| litres.0), VOLUME, ""));
    }
    rows
}

fn formulas(view: &View) -> Vec<String> {
    let cost = &view.cost;
    let mut lines =
        vec!["How it is calculated (METHODS.md has the formulas and sources)".to_owned()];
    lines.extend(entry("Device time", &cost.device_time_s));
    lines.extend(entry("Power", &cost.power_w));
    lines.extend(entry("Energy", &cost.energy_j));
    lines.extend(entry("CO2e of the electricity", &cost.operational_g));
    if let Some(embodied) = &cost.embodied_g {
        lines.extend(entry("CO2e of making the devices", embodied));
    }
    if let Some(water) = &view.water_l {
        lines.extend(entry("Water", water));
    }
    lines
}
