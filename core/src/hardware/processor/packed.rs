//! Kernels that multiply packed weights, as software on general processors runs them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hardware::figure::Figure;
use crate::unique;
use crate::units::{OpsPerSecond, Seconds};

/// How fast packed weights are multiplied. Activations are rounded to 8 bits for each product; everything between
/// products stays in single precision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedKernels {
    /// Operations per second by the bits that a weight is stored at, unpacking and the rounding of activations included.
    /// A width between two takes the wider one's.
    #[serde(deserialize_with = "unique::map")]
    pub rate: BTreeMap<u8, Figure<OpsPerSecond>>,
    /// Fraction of these rates that whole passes reach: what lies between products takes the rest.
    pub efficiency: Figure<f64>,
    /// Time to hand a product to the threads and to wait for the last of them.
    pub launch: Figure<Seconds>,
}

impl PackedKernels {
    /// The rate for weights stored at so many bits.
    pub(super) fn rate(&self, bits: f64) -> Option<&Figure<OpsPerSecond>> {
        let wide_enough = |(width, _): &(&u8, _)| f64::from(**width) >= bits;
        self.rate.iter().find(wide_enough).map(|(_, rate)| rate)
    }
}
