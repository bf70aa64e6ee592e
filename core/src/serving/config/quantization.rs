//! How the numbers of a network are stored, as its configuration states it: one reader for all schemes and spellings. What
//! is not understood is refused, never counted as 16 bits.

mod parts;
mod schemes;

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::architecture::{Formats, StoredWeights};
use super::keys::{Keys, most, shown};
use crate::error::Result;
use crate::graph::Role;
use parts::role_of;

/// Parts whose matrices are converted unless something says otherwise.
const BODY: [Role; 4] = [
    Role::Attention,
    Role::FeedForward,
    Role::Experts,
    Role::SharedExperts,
];
/// Bits of a number that stays as it was.
const HALF: u8 = 16;

const fn plain(bits: u8, group: u32, scale_bits: u8) -> StoredWeights {
    StoredWeights {
        bits,
        group,
        scale_bits,
    }
}

/// A scheme as it was read, before it is said which parts it leaves alone.
struct Scheme {
    weights: StoredWeights,
    activations: Option<u8>,
    /// Whether the output layer is converted as well.
    head: bool,
}

impl Scheme {
    const fn weights(weights: StoredWeights) -> Self {
        Self {
            weights,
            activations: None,
            head: false,
        }
    }
}

impl<'a> Keys<'a> {
    /// How the numbers are stored; `None`: in 16 bits, or in 32 where [`Self::single`] says so. `beside` is what
    /// `hf_quant_config.json` says.
    pub(super) fn formats(
        &self,
        beside: Option<&'a Value>,
        experts: bool,
        notes: &mut Vec<String>,
    ) -> Result<Option<Formats>> {
        let Some(own) = self.stated_quantization(beside)? else {
            return Ok(None);
        };
        let name = own.scheme_name()?;
        let mut formats = Formats {
            scheme: shown(&name),
            cache: own.cache_bits()?,
            ..Formats::default()
        };
        let groups = own.groups(&name)?;
        let mut parts: BTreeMap<Role, StoredWeights> = BTreeMap::new();
        for (targets, scheme) in &groups {
            for role in BODY {
                if targets
                    .as_ref()
                    .is_none_or(|targets| targets.contains(&role))
                {
                    parts.insert(role, scheme.weights);
                }
            }
            if scheme.head
                && targets
                    .as_ref()
                    .is_none_or(|targets| targets.contains(&Role::Head))
            {
                parts.insert(Role::Head, scheme.weights);
            }
            if scheme.activations.is_some() {
                formats.activations = scheme.activations;
            }
        }
        // Schemes of gpt-oss convert the experts alone.
        if name == "mxfp4" && experts {
            parts.retain(|role, _| *role == Role::Experts);
        }
        // DeepSeek V4 says of its experts by themselves that they have 4 bits, and a scale of 8 for each 32.
        let narrow = match own.text("expert_dtype")? {
            "" => self.text("expert_dtype")?,
            stated => stated,
        };
        match narrow {
            "fp4" | "mxfp4" => {
                parts.insert(Role::Experts, plain(4, 32, 8));
            }
            "" | "fp8" => {}
            other => {
                let other = shown(other);
                return self.refuse(format!(
                    "stores its experts as '{other}', which is not known"
                ));
            }
        }
        for role in own.left_alone(self.layer_count()?, notes)? {
            parts.remove(&role);
        }
        if own.flag("lm_head")? == Some(true)
            && let Some(body) = parts.get(&Role::FeedForward).copied()
        {
            parts.insert(Role::Head, body);
        }
        if let Some(bits) = own.positive(&["head_bits"], 16)?
            && let Some(body) = parts.get(&Role::FeedForward).copied()
        {
            let bits = u8::try_from(bits).unwrap_or(HALF);
            parts.insert(Role::Head, StoredWeights { bits, ..body });
        }
        formats.weights = parts.into_iter().collect();
        notes.push(formats.words(experts));
        Ok(Some(formats))
    }

    /// Whether weights without a scheme are in single precision.
    pub(super) fn single(&self) -> Result<bool> {
        let text = self.inner("text_config")?;
        let mut single = false;
        for keys in std::iter::once(self).chain(&text) {
            for name in ["torch_dtype", "dtype"] {
                single |= keys.text(name)? == "float32";
            }
        }
        Ok(single)
    }

    fn layer_count(&self) -> Result<Option<u32>> {
        let mut notes = Vec::new();
        let language = self.language(&mut notes)?.0;
        language.maybe(&super::transformer::LAYERS, most::LAYERS)
    }

    /// The part that says how numbers are stored, wherever it stands.
    fn stated_quantization(&self, beside: Option<&'a Value>) -> Result<Option<Keys<'a>>> {
        const NAMES: [&str; 3] = ["quantization_config", "compression_config", "quantization"];
        let mut notes = Vec::new();
        let language = self.language(&mut notes)?.0;
        for keys in [self, &language] {
            for name in NAMES {
                if let Some(found) = keys.inner(name)? {
                    return Ok(Some(found));
                }
            }
        }
        let Some(beside) = beside else {
            return Ok(None);
        };
        Keys::new(beside, self.path).inner("quantization")
    }

    /// The scheme: its method, or its algorithm where several share a method.
    fn scheme_name(&self) -> Result<String> {
        let algorithm = self.text("quant_algo")?.to_lowercase();
        let method = self.text("quant_method")?.to_lowercase();
        Ok(match (algorithm.as_str(), method.as_str()) {
            ("", "") if self.value("bits").is_some() || self.value("w_bit").is_some() => {
                "integers".to_owned()
            }
            ("", method) => method.to_owned(),
            (algorithm, _) => algorithm.to_owned(),
        })
    }

    /// Weights that share a scale; what is below 1 means a row.
    fn group(&self, names: &[&'static str], usual: u32) -> Result<u32> {
        for name in names {
            if let Some(value) = self.value(name) {
                if value.as_i64().is_some_and(|group| group <= 0) {
                    return Ok(0);
                }
                return self.whole(name, value, 1, most::WIDTH);
            }
        }
        Ok(usual)
    }

    fn bits(&self, names: &[&'static str], most: u32) -> Result<Option<u8>> {
        Ok(self
            .positive(names, most)?
            .and_then(|bits| u8::try_from(bits).ok()))
    }

    /// Parts and how each is stored; a part that is `None` means all of the body.
    fn groups(&self, name: &str) -> Result<Vec<(Option<Vec<Role>>, Scheme)>> {
        if let Some(groups) = self.inner("config_groups")? {
            return groups.compressed_tensors(self.text("format")?);
        }
        if name == "mixed_precision" {
            return self.mixed();
        }
        Ok(vec![(None, self.scheme(name)?)])
    }

    /// Groups of compressed tensors, each with its targets.
    fn compressed_tensors(&self, format: &str) -> Result<Vec<(Option<Vec<Role>>, Scheme)>> {
        let names: Vec<&String> = self
            .config
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
            .collect();
        let mut groups = Vec::new();
        for name in names {
            let Some(group) = self.inner(name)? else {
                continue;
            };
            let own_format = group.text("format")?;
            let format = if own_format.is_empty() {
                format
            } else {
                own_format
            };
            let Some(weights) = group.inner("weights")? else {
                return self.refuse(format!(
                    "'config_groups' has a group '{}' without 'weights'",
                    shown(name)
                ));
            };
            let bits = match weights.bits(&["num_bits"], 16)? {
                Some(bits) => bits,
                None => return self.refuse("'config_groups' has weights without 'num_bits'"),
            };
            let size = weights.group(&["group_size"], 0)?;
            let block = match weights.numbers("block_structure", most::WIDTH) {
                Ok(Some(sides)) => sides.iter().copied().fold(1, u32::saturating_mul),
                _ => size,
            };
            let floating = weights.text("type")? == "float";
            let scale = match (bits, floating, size) {
                (4, true, 16) => 8,
                (4, true, _) => 8,
                (8, true, _) => HALF,
                _ => HALF,
            };
            let nvfp4 = format.contains("nvfp4");
            let activations = match group.inner("input_activations")? {
                Some(own) => own.bits(&["num_bits"], 32)?,
                None => None,
            };
            let stored = plain(
                bits,
                match (nvfp4, block) {
                    (true, 0) => 16,
                    (_, block) => block,
                },
                scale,
            );
            let targets = group.texts("targets")?.unwrap_or_default();
            let roles = if targets.is_empty() || targets.contains(&"Linear") {
                None
            } else {
                let mut roles: Vec<Role> = targets
                    .iter()
                    .filter_map(|target| role_of(target))
                    .collect();
                roles.sort_unstable();
                roles.dedup();
                if roles.is_empty() {
                    return self.refuse(format!(
                        "'config_groups' converts '{}', which is no part that is known",
                        shown(targets.first().copied().unwrap_or_default())
                    ));
                }
                Some(roles)
            };
            groups.push((
                roles,
                Scheme {
                    weights: stored,
                    activations,
                    head: true,
                },
            ));
        }
        if groups.is_empty() {
            return self.refuse("'config_groups' lists no groups");
        }
        Ok(groups)
    }

    /// Algorithms layer by layer (`quantized_layers`), one for each part.
    fn mixed(&self) -> Result<Vec<(Option<Vec<Role>>, Scheme)>> {
        let Some(layers) = self.inner("quantized_layers")? else {
            return self.refuse("states 'MIXED_PRECISION' without 'quantized_layers'");
        };
        let mut found: BTreeMap<Role, String> = BTreeMap::new();
        let names: Vec<&String> = layers
            .config
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
            .collect();
        for name in names {
            let (Some(layer), Some(role)) = (layers.inner(name)?, role_of(name)) else {
                continue;
            };
            let algorithm = layer.scheme_name()?;
            let before = found.entry(role).or_insert_with(|| algorithm.clone());
            if *before != algorithm {
                return self.refuse(format!(
                    "stores some layers of one part by '{}' and others by '{}': no single width describes it",
                    shown(before),
                    shown(&algorithm)
                ));
            }
        }
        found
            .into_iter()
            .map(|(role, algorithm)| Ok((Some(vec![role]), self.scheme(&algorithm)?)))
            .collect()
    }

    /// Bits of keys and values, where the file states them.
    fn cache_bits(&self) -> Result<Option<u8>> {
        let name = match self.value("kv_cache_scheme") {
            Some(Value::String(name)) => name.to_lowercase(),
            Some(_) => {
                return match self.inner("kv_cache_scheme")? {
                    Some(scheme) => scheme.bits(&["num_bits"], 16),
                    None => Ok(None),
                };
            }
            None => self.text("kv_cache_quant_algo")?.to_lowercase(),
        };
        Ok(match name.as_str() {
            "" | "none" => None,
            "fp8" | "int8" => Some(8),
            "nvfp4" | "int4" => Some(4),
            other => {
                let other = shown(other);
                return self.refuse(format!(
                    "stores keys and values by '{other}', which is not known"
                ));
            }
        })
    }
}

impl Formats {
    /// What is stored how, in a sentence.
    fn words(&self, experts: bool) -> String {
        let mut by_width: BTreeMap<(u8, u32, u8), Vec<&str>> = BTreeMap::new();
        for (role, stored) in &self.weights {
            let name = match role {
                Role::Attention => "attention",
                Role::FeedForward => "feed-forward layers",
                Role::Experts if experts => "experts",
                Role::SharedExperts if experts => "shared experts",
                Role::Head => "output layer",
                _ => continue,
            };
            let key = (stored.bits, stored.group, stored.scale_bits);
            by_width.entry(key).or_default().push(name);
        }
        let mut parts: Vec<String> = by_width
            .into_iter()
            .map(|((bits, group, scale), names)| {
                let scales = match (group, scale) {
                    (_, 0) => String::new(),
                    (0, scale) => format!(" and {scale} bits a row"),
                    (group, scale) => format!(" and {scale} bits for {group} weights"),
                };
                format!("{bits} bits a weight{scales} in {}", names.join(", "))
            })
            .collect();
        parts.push("16 bits in the rest".to_owned());
        if let Some(bits) = self.activations {
            parts.push(format!("{bits}-bit activations"));
        }
        if let Some(bits) = self.cache {
            parts.push(format!("keys and values in {bits} bits"));
        }
        format!("stored by '{}': {}", self.scheme, parts.join("; "))
    }
}
