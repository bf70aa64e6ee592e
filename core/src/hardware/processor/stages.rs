//! Pipeline stages: groups of devices that each hold a share of the layers.

use super::plan::Plan;
use super::{Demand, HANDED_ON};
use crate::profile::{LayerKind, LayerProfile};

impl<'a> Plan<'a> {
    /// Devices whose power that always flows falls to a batch, of the several that may be under way.
    pub(super) fn standing(&self) -> f64 {
        self.devices / self.in_flight
    }

    /// What the stages of a pipeline hand on to each other, cut where the fewest numbers pass; `None` without any. What
    /// enters a table is the place of a row, before which nothing was computed that a stage could hand on.
    pub(super) fn handed_on(&self) -> Option<Demand<'a>> {
        let stages = f64::from(self.request.scenario.stages);
        let layers = self.request.profile.layers.iter();
        let narrowest = layers
            .filter(|layer| layer.layer.compressible && layer.layer.kind != LayerKind::Embedding)
            .map(|LayerProfile { layer, .. }| {
                layer.inputs / f64::from(layer.execution.layers * layer.execution.passes)
            })
            .fold(f64::INFINITY, f64::min);
        (stages > 1.0).then(|| Demand {
            link_bytes: (stages - 1.0) * narrowest * self.batch * f64::from(self.ambient.bits())
                / 8.0,
            exchanges: stages - 1.0,
            ..Demand::nothing(HANDED_ON, self.ambient)
        })
    }
}
