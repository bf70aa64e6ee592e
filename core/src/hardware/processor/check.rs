//! What must hold between the constants of a processor; each by itself is checked by the table of figures.

use super::Processor;

/// Largest side of a matrix unit in rows or columns; the largest that were built have some hundreds.
const LARGEST_TILE: u32 = 1 << 16;
/// How many times its power limit arithmetic at the peak rate may seem to draw. What ships lies between a half and one, a
/// slip of a prefix is a factor of a thousand.
const MOST_TIMES_POWER: f64 = 30.0;

impl Processor {
    pub(in crate::hardware) fn check(&self, power_limit: f64) -> std::result::Result<(), String> {
        if self.peak.is_empty() {
            return Err("peak is empty".to_owned());
        }
        for (precision, peak) in &self.peak {
            let name = precision.name();
            let Some(energy) = self.energy_per_op.get(precision) else {
                return Err(format!("energy_per_op has no {name}, but peak has"));
            };
            let watts = peak.typical.0 * energy.typical.0;
            if watts > MOST_TIMES_POWER * power_limit {
                return Err(format!(
                    "energy_per_op {name} times its peak is {watts:.3e} W, far above the power limit of {power_limit} W"
                ));
            }
        }
        if let Some(precision) = self
            .energy_per_op
            .keys()
            .find(|p| !self.peak.contains_key(p))
        {
            let name = precision.name();
            return Err(format!("peak has no {name}, but energy_per_op has"));
        }
        if let Some((rows, columns)) = self.tile
            && !((1..=LARGEST_TILE).contains(&rows) && (1..=LARGEST_TILE).contains(&columns))
        {
            return Err(format!(
                "tile has {rows} rows and {columns} columns; each must lie between 1 and {LARGEST_TILE}"
            ));
        }
        let widths = self.packed.iter().flat_map(|packed| packed.rate.keys());
        match widths.copied().find(|bits| !(1..=16).contains(bits)) {
            Some(bits) => Err(format!(
                "packed rate is given for weights of {bits} bits; 1 to 16 can be packed"
            )),
            None => Ok(()),
        }
    }
}
