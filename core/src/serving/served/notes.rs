//! What serving software makes of a recipe, in clauses that each say which weights they are about.

use super::{Served, half_zero, main_layer, mixed_widths, narrow_experts};
use crate::hardware::share::unused_zeros;
use crate::serving::format::WeightFormat;

impl Served<'_> {
    /// What of the recipe a language model could not use here.
    pub(super) fn notes(&self, format: WeightFormat, both_quantised: bool) -> Vec<String> {
        let profile = self.request.profile;
        let Some(layer) = main_layer(profile) else {
            return Vec::new();
        };
        // One layer stands for all: what becomes of its zeros is what the work of all was counted with.
        let used = half_zero(layer);
        let arithmetic = self.processor.two_of_four.is_some();
        let name = self.target.class.name();
        let mut notes: Vec<String> = unused_zeros(
            self.request,
            name,
            arithmetic,
            |_| used && arithmetic,
            |layer| f64::from(layer.weight_bits),
        )
        .into_iter()
        .collect();
        notes.extend(self.undivided_heads());
        notes.extend(mixed_widths(profile));
        let experts = narrow_experts(profile);
        if experts {
            notes.push(
                "experts are stored in 4 bits and computed in 16: fewer bytes, and the width saves no operations"
                    .to_owned(),
            );
        }
        let others = if experts { "other " } else { "" };
        let activations = layer.activation_bits;
        notes.extend(match format {
            WeightFormat::Half => None,
            WeightFormat::Fp8 => Some(format!(
                "{others}weights and activations are FP8, and quantising the activations takes time in every layer"
            )),
            WeightFormat::Int8 if both_quantised => Some(format!(
                "{others}weights and activations are computed as 8-bit integers"
            )),
            WeightFormat::Int8 => Some(format!(
                "{others}8-bit weights are computed in 16 bit: fewer bytes, and the width saves no operations"
            )),
            WeightFormat::Packed(bits) => Some(format!(
                "{others}{bits}-bit weights are computed in 16 bit: fewer bytes, the width saves no operations, and \
                 unpacking them costs energy"
            )),
        });
        let computed = if format == WeightFormat::Fp8 || both_quantised {
            8
        } else {
            16
        };
        notes.extend(narrow_activations(activations, computed));
        notes
    }
}

impl Served<'_> {
    /// That servers refuse to divide attention among so many devices, and how many they take.
    fn undivided_heads(&self) -> Option<String> {
        let network = self.request.profile.network.as_ref()?.language()?;
        let devices = self.request.scenario.tensor_devices();
        let all = network.attention.iter().map(|layers| layers.each.heads);
        let heads = all.reduce(|a, b| if a.is_multiple_of(devices) { b } else { a })?;
        if devices < 2 || heads.is_multiple_of(devices) {
            return None;
        }
        let works = |n: &u32| heads.is_multiple_of(*n);
        let fewer = (1..devices).rev().find(works);
        let more = (devices + 1..=heads).find(works);
        let offered: Vec<String> = fewer
            .into_iter()
            .chain(more)
            .map(|n| n.to_string())
            .collect();
        Some(format!(
            "servers do not divide {heads} heads of attention among {devices} devices, and refuse that; they take {}",
            offered.join(" or ")
        ))
    }
}

/// That activations are computed wider than they are.
pub(super) fn narrow_activations(bits: u8, computed: u8) -> Option<String> {
    (bits < computed).then(|| format!("{bits}-bit activations are computed in {computed} bit"))
}
