//! What the types of a processor's constants cannot hold: signs, order of ranges, the same formats in both tables.

use super::Processor;

impl Processor {
    pub(in crate::hardware) fn check(&self) -> std::result::Result<(), String> {
        if self.peak.is_empty() {
            return Err("peak is empty".to_owned());
        }
        for (precision, figure) in &self.peak {
            let name = precision.name();
            figure.check(&format!("peak {name}"))?;
            match self.energy_per_op.get(precision) {
                Some(energy) => energy.check(&format!("energy_per_op {name}"))?,
                None => return Err(format!("energy_per_op has no {name}, but peak has")),
            }
        }
        for (name, memory) in [
            ("on_chip", Some(&self.on_chip)),
            ("memory", self.memory.as_ref()),
        ] {
            if let Some(memory) = memory {
                memory.capacity.check(&format!("{name} capacity"))?;
                memory.bandwidth.check(&format!("{name} bandwidth"))?;
                memory
                    .energy_per_byte
                    .check(&format!("{name} energy_per_byte"))?;
            }
        }
        for (name, efficiency) in [
            ("compute_efficiency", &self.compute_efficiency),
            ("bandwidth_efficiency", &self.bandwidth_efficiency),
        ] {
            efficiency.check(name)?;
            if efficiency.range().low <= 0.0 || efficiency.range().high > 1.0 {
                return Err(format!("{name} does not lie above 0 and up to 1"));
            }
        }
        self.launch.check("launch")?;
        if let Some(packed) = &self.packed {
            packed.check()?;
        }
        if let Some(speedup) = &self.two_of_four {
            speedup.check("two_of_four")?;
        }
        if let Some(link) = &self.link {
            link.bandwidth.check("link bandwidth")?;
            link.energy_per_byte.check("link energy_per_byte")?;
            link.latency.check("link latency")?;
        }
        Ok(())
    }
}
