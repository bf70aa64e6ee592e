//! Published energies per operation against the constants that the program uses.

use serde::Deserialize;

use super::devices::printed_range;
use super::neuromorphic;
use super::read::Identified;
use super::small::number;
use crate::hardware::per_operation::{HOROWITZ_45NM, keras_spiking_cpu};
use crate::hardware::{self, CostModel, Neuromorphic};
use crate::serving::{SkippedRow, ValidatedRow};
use crate::units::{Joules, Range};

/// One published energy per operation.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct OperationRow {
    /// Identifier.
    pub id: String,
    /// What is done.
    pub operation: String,
    /// Picojoules; a range as "250-450".
    pub energy_pj: String,
    /// Per what: operation, access, bit, event.
    pub unit: String,
    /// Process, such as "45 nm".
    pub process: String,
    /// Where it was published.
    pub source: String,
}

impl Identified for OperationRow {
    fn id_mut(&mut self) -> &mut String {
        &mut self.id
    }
}

/// A number, or the middle of a range "a-b".
fn middle(text: &str) -> Option<f64> {
    number(text).or_else(|| {
        let (low, high) = text.split_once('-')?;
        Some((number(low)? * number(high)?).sqrt())
    })
}

/// Compares a row with the constant that the program uses for it, or says that there is none.
pub(crate) fn validate(row: &OperationRow) -> Result<ValidatedRow, SkippedRow> {
    let compared = middle(&row.energy_pj)
        .ok_or_else(|| format!("'{}' is not an energy", row.energy_pj))
        .and_then(|pj| Ok((Joules::from_pico(pj), constant(row)?)));
    match compared {
        Ok((published, (predicted, of))) => Ok(ValidatedRow {
            id: row.id.clone(),
            predicted_energy_j: Some(printed_range(predicted.map(|joules| joules.0))),
            predicted_throughput: None,
            measured_energy_j: Some(published.0),
            measured_throughput: None,
            model: row.operation.clone(),
            family: of.to_owned(),
            hardware: row.process.clone(),
            scope: "one operation",
            source: row.source.clone(),
            figures: Vec::new(),
        }),
        Err(reason) => Err(SkippedRow {
            id: row.id.clone(),
            reason,
        }),
    }
}

/// The constant of the program for a row and where it is used.
fn constant(row: &OperationRow) -> Result<(Range<Joules>, &'static str), String> {
    let operation = row.operation.to_lowercase();
    if let Some(id) = super::neuromorphic::chip(&operation) {
        return spiking(&operation, id);
    }
    if operation.contains("i7-4960x") {
        return Ok((Range::exact(keras_spiking_cpu(1.0, 0.0)), "comparison"));
    }
    if row.process.contains("45 nm") {
        if let Some(energy) = arithmetic(&operation) {
            return Ok((Range::exact(energy), "comparison"));
        }
        if !operation.contains("dram") {
            return Err("the program uses no such operation at 45 nm".to_owned());
        }
    }
    let per_bits = |bits: f64| move |per_byte: Joules| per_byte * (bits / 8.0);
    let memory = |id: &str| -> Result<Range<Joules>, String> {
        let target = hardware::find(id).map_err(|error| error.to_string())?;
        let memory = match &target.model {
            CostModel::Processor(processor) => processor.memory.as_ref(),
            CostModel::Fpga(fpga) => fpga.memory.as_ref(),
            CostModel::Microcontroller(_) | CostModel::Neuromorphic(_) => None,
        };
        memory
            .map(|memory| memory.energy_per_byte.range())
            .ok_or_else(|| format!("{} has no memory outside the chip", target.name))
    };
    let bits = if row.unit.contains("/bit") {
        1.0
    } else if operation.contains("32 bit") {
        32.0
    } else {
        64.0
    };
    let id = if operation.contains("hbm2") {
        "nvidia-a100-sxm4-40gb"
    } else if operation.contains("gddr6") {
        "nvidia-t4"
    } else if operation.contains("ddr") || operation.contains("dram") {
        "digilent-pynq-z1"
    } else {
        return Err(format!(
            "the program uses no constant for single operations in {}",
            row.process
        ));
    };
    Ok((memory(id)?.map(per_bits(bits)), "memory of a device"))
}

/// Arithmetic at 45 nm.
fn arithmetic(operation: &str) -> Option<Joules> {
    let table = &HOROWITZ_45NM;
    let (add, multiply) = match operation.split_whitespace().next()? {
        "int8" => table.int8,
        "int32" => table.int32,
        "fp16" => table.fp16,
        "fp32" => table.fp32,
        _ => return None,
    };
    let picojoules = match operation.split_once(' ')?.1 {
        "add" => add,
        "multiply" => multiply,
        "multiply-accumulate" => add + multiply,
        _ => return None,
    };
    Some(Joules::from_pico(picojoules))
}

/// Constants of a spiking chip.
fn spiking(operation: &str, id: &str) -> Result<(Range<Joules>, &'static str), String> {
    let target = hardware::find(id).map_err(|error| error.to_string())?;
    let CostModel::Neuromorphic(chip) = &target.model else {
        return Err(format!("{} has no neurons", target.name));
    };
    let chip: &Neuromorphic = chip;
    if operation.contains("all-in") {
        return Ok((
            neuromorphic::truenorth_total_per_event(target, chip),
            "power of a chip",
        ));
    }
    if ["stdp", "synaptic update"]
        .iter()
        .any(|word| operation.contains(word))
    {
        return Err("learning on the chip is not modelled".to_owned());
    }
    if ["sram", "periphery", "chip to chip", "hop", "within-tile"]
        .iter()
        .any(|part| operation.contains(part))
    {
        return Err("it is part of the energy per event or per spike of the chip".to_owned());
    }
    let figure = if operation.contains("neuron update") {
        &chip.energy_per_update
    } else if operation.contains("synaptic") {
        &chip.energy_per_event
    } else {
        return Err("the program uses no such operation".to_owned());
    };
    Ok((figure.range(), "spiking chip"))
}
