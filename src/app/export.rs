//! The charts as files: a table of everything they show, and a picture.

use std::path::Path;

use anyhow::{Context, Result};
use egui::{ColorImage, Rect};
use wattif_core::measurement::Metric;
use wattif_core::units::Range;

use super::derived::{Derived, Store};
use super::session::Session;

/// Writes one row per place of the curves and per measured point.
///
/// # Errors
/// The file cannot be written.
pub(super) fn csv(path: &Path, session: &Session, store: &Store, derived: &Derived) -> Result<()> {
    let mut writer = csv::Writer::from_path(path)
        .with_context(|| format!("The table could not be written: {}", path.display()))?;
    writer.write_record([
        "model",
        "hardware",
        "region",
        "unit_of_work",
        "axis",
        "value",
        "value_counted_in",
        "throughput_low_units_per_s",
        "throughput_typical_units_per_s",
        "throughput_high_units_per_s",
        "latency_low_s",
        "latency_typical_s",
        "latency_high_s",
        "energy_low_j_per_unit",
        "energy_typical_j_per_unit",
        "energy_high_j_per_unit",
        "co2e_low_g_per_unit",
        "co2e_typical_g_per_unit",
        "co2e_high_g_per_unit",
        "co2e_low_g_per_day",
        "co2e_typical_g_per_day",
        "co2e_high_g_per_day",
        "quality_metric",
        "quality_counted_in",
        "quality",
        "quality_low",
        "quality_high",
        "quality_n",
        "provenance",
    ])?;
    let axis = session.axis;
    let configuration = &session.configuration;
    let unit = derived
        .now
        .as_ref()
        .map_or("", |figures| figures.profile.unit.name());
    let head = |value: f64| {
        vec![
            configuration.model.to_string(),
            configuration.scenario.hardware.clone(),
            configuration.scenario.region.clone(),
            unit.to_owned(),
            axis.name().to_owned(),
            value.to_string(),
            axis.counted_in().to_owned(),
        ]
    };
    let ends = |range: Option<Range<f64>>| match range {
        Some(range) => [range.low, range.typical, range.high].map(|v| v.to_string()),
        None => [const { String::new() }; 3],
    };
    let curve = &derived.curve;
    for (place, &value) in curve.values.iter().enumerate() {
        let mut row = head(value);
        row.extend(ends(curve.throughput[place]));
        row.extend(ends(curve.latency[place]));
        row.extend(ends(curve.energy[place]));
        row.extend(ends(curve.co2e_unit[place]));
        row.extend(ends(curve.co2e_day[place]));
        row.extend([const { String::new() }; 6]);
        row.push("modelled".to_owned());
        writer.write_record(row)?;
    }
    if axis.is_recipe() {
        let mut measured: Vec<_> = store.along(axis, &configuration.recipe).collect();
        measured.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (value, measurement) in measured {
            let quality = &measurement.quality;
            let mut row = head(value);
            row.extend([const { String::new() }; 15]);
            row.push(quality.metric.name().to_owned());
            row.push(counted_in(quality.metric).to_owned());
            row.extend([quality.value, quality.low, quality.high].map(|v| v.to_string()));
            row.push(quality.n.to_string());
            row.push("measured".to_owned());
            writer.write_record(row)?;
        }
    }
    writer.flush()?;
    Ok(())
}

/// What a quality is counted in.
const fn counted_in(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "fraction",
        Metric::BitsPerByte => "bits per byte",
    }
}

/// Writes the table of a page.
///
/// # Errors
/// The file cannot be written.
pub(super) fn table(path: &Path, rows: &[Vec<String>]) -> Result<()> {
    let mut writer = csv::Writer::from_path(path)
        .with_context(|| format!("The table could not be written: {}", path.display()))?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.flush()?;
    Ok(())
}

/// Writes the part of a screenshot that the charts cover. `rect` is in points, `scale` in pixels per point.
///
/// # Errors
/// The file cannot be written.
pub(super) fn png(path: &Path, image: &ColorImage, rect: Rect, scale: f32) -> Result<()> {
    let part = image.region(&rect, Some(scale));
    let [width, height] = part.size.map(u32::try_from);
    let pixels: Vec<u8> = part
        .pixels
        .iter()
        .flat_map(egui::Color32::to_array)
        .collect();
    image::save_buffer(path, &pixels, width?, height?, image::ColorType::Rgba8)
        .with_context(|| format!("The picture could not be written: {}", path.display()))
}
