//! Language models under the MLPerf inference scenarios: what they take on the boards alone, in a system at the wall.

use super::constants::{Constants, SystemEnergy, SystemTime};
use super::decode::Serving;
use super::device::{Device, DeviceKind};
use super::format::WeightFormat;
use super::rows::CaseWork;
use super::system::{Arrival, STREAM, board_power};
use crate::graph::Language;

/// Share of a device's memory that weights, keys and values may fill (assumed: 0.85 to 0.95).
const FILLED: f64 = 0.9;
/// Most sequences that are under way in one copy (assumed: 512 to 2048).
const MOST: f64 = 1024.0;

/// Copies of a model side by side in a system.
#[derive(Debug, Clone)]
pub struct Hosted {
    /// What one copy does.
    pub work: Box<CaseWork>,
    /// Devices of one copy.
    pub group: f64,
    /// Devices in the system.
    pub devices: f64,
    /// How queries arrive.
    pub arrival: Arrival,
    /// Tokens in one unit of the published figures.
    pub per_unit: f64,
    /// Whether the system was set up for efficiency instead of speed.
    pub efficient: bool,
}

impl Hosted {
    /// Copies that have something to do.
    fn busy(&self) -> f64 {
        let copies = (self.devices / self.group).floor().max(1.0);
        match self.arrival {
            Arrival::Offline | Arrival::Server => copies,
            Arrival::SingleStream => 1.0,
            Arrival::MultiStream => copies.min(STREAM),
        }
    }

    /// Seconds per unit of the published figures, if one copy takes `seconds` per unit of its work.
    pub(super) fn time(&self, seconds: f64, constants: &SystemTime) -> f64 {
        let all = seconds * self.per_unit / self.busy();
        match self.arrival {
            Arrival::Server => all / constants.server,
            Arrival::Offline | Arrival::SingleStream | Arrival::MultiStream => all,
        }
    }

    /// Seconds that one copy takes per unit of its work, if the system takes `seconds` per unit of the published figures.
    pub(super) fn of_one(&self, seconds: f64) -> f64 {
        seconds * self.busy() / self.per_unit
    }

    /// Joules per unit of the published figures over `seconds`, if a copy takes `joules` per unit of its work.
    pub(super) fn energy(
        &self,
        joules: f64,
        device: &Device,
        constants: &SystemEnergy,
        seconds: f64,
    ) -> f64 {
        if device.kind == DeviceKind::SystemOnChip {
            return board_power(device, self.efficient, false, constants) * seconds;
        }
        let waiting = (self.devices - self.busy() * self.group).max(0.0) * device.waiting_power;
        let host = constants.host + constants.host_per_device * self.devices;
        joules * self.per_unit + (host + waiting) * seconds
    }
}

/// How a language model is divided: the devices of a copy and the sequences under way in it. Of the divisions by powers of
/// two that fit into memory, the fastest one, as submissions are tuned; of single streams, one sequence is under way.
pub(super) fn placed(
    network: &Language,
    serving: &Serving,
    device: &Device,
    devices: f64,
    arrival: Arrival,
) -> Result<Serving, String> {
    let constants = Constants::shipped().map_err(|error| error.to_string())?;
    let capacity = device
        .capacity()
        .ok_or_else(|| format!("the memory of {} is not known", device.name))?;
    let (bytes, cached) = match serving.format {
        WeightFormat::Half => (2.0, 2.0),
        WeightFormat::Fp8 => (1.0, 1.0),
        WeightFormat::Int8 => (1.0, 2.0),
        WeightFormat::Packed(bits) => (f64::from(bits) / 8.0, 2.0),
    };
    let weights = network.parameters * bytes;
    let tokens = serving.prompt + serving.output;
    let sequence = cached * network.cached(tokens, 1.0);
    let mut best: Option<(f64, Serving)> = None;
    let mut group = 1.0;
    while group <= devices {
        let room = ((FILLED * capacity * group - weights) / sequence).floor();
        if room >= 1.0 {
            let divided = Serving {
                batch: match arrival {
                    Arrival::SingleStream => 1.0,
                    Arrival::MultiStream => room.min(STREAM),
                    Arrival::Offline | Arrival::Server => room.min(MOST),
                },
                devices: group,
                whole_experts: group <= 1.0,
                ..*serving
            };
            let work = divided.work(network);
            let both = (&constants.decode_time, &constants.decode_energy);
            let step = divided.time_in_limit(network, &work, device, both).total();
            let copies = match arrival {
                Arrival::SingleStream => 1.0,
                _ => (devices / group).floor(),
            };
            let seconds = step / divided.batch / copies;
            if best.is_none_or(|(fastest, _)| seconds < fastest) {
                best = Some((seconds, divided));
            }
        }
        group *= 2.0;
    }
    best.map(|(_, divided)| divided).ok_or_else(|| {
        let many = if devices > 1.0 { "s" } else { "" };
        format!("the weights do not fit into the memory of {devices} device{many}")
    })
}
