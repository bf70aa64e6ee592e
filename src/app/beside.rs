//! What a model costs beside running it: the training of a student, keeping and sending the file, water.

use wattif_core::carbon::Grid;
use wattif_core::compress::distill::StudentRecord;
use wattif_core::error::Result;
use wattif_core::footprint::Estimate;
use wattif_core::hardware::HardwareTarget;
use wattif_core::profile::Unit;
use wattif_core::scenario::Scenario;
use wattif_core::storage::{self, DataCost};
use wattif_core::training::{self, Payback, StudentCost};
use wattif_core::units::{Bytes, Litres};
use wattif_core::water::water;

use super::derived::Figures;

/// What a model costs beside running it.
pub(super) struct Beside {
    /// What one unit of work is.
    pub(super) unit: Unit,
    /// The training of the student in use, and when it is paid back.
    pub(super) training: Option<(StudentCost, Payback)>,
    /// Keeping the file for a year.
    pub(super) kept: DataCost,
    /// Sending it once.
    pub(super) sent: DataCost,
    /// Water per unit of work, where the scenario says what a kilowatt-hour takes.
    pub(super) water: Option<Estimate<Litres>>,
}

impl Beside {
    /// Arithmetic on what is known of the original and of now; `record` tells of the student that stands for now.
    ///
    /// # Errors
    /// The scenario is out of range or the hardware cannot run the model.
    pub(super) fn new(
        now: &Figures,
        original: &Figures,
        record: Option<&StudentRecord>,
        scenario: &Scenario,
        target: &HardwareTarget,
        grid: &Grid,
    ) -> Result<Self> {
        // A stand-in's training says nothing about the student that was asked for.
        let training = match record.filter(|_| now.measurement.is_some()) {
            None => None,
            Some(record) => {
                let cost = training::student(&record.into(), scenario, grid)?;
                let (before, after) = (&original.profile, &now.profile);
                let payback = training::payback(&cost.energy, before, after, scenario, target)?;
                Some((cost, payback))
            }
        };
        let file = Bytes(now.profile.stored_bytes() as f64);
        let footprint = now.footprint.as_ref().map_err(Clone::clone)?;
        Ok(Self {
            unit: now.profile.unit,
            training,
            kept: storage::kept_for_a_year(file, scenario, grid)?,
            sent: storage::sent_once(file, grid)?,
            water: water(footprint.energy_per_unit.range, scenario),
        })
    }
}
