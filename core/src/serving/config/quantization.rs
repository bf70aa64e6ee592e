//! How the numbers of a network are stored, as its configuration states it: one reader for all schemes and spellings. What
//! is not understood is refused, never counted as 16 bits.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::architecture::{Formats, StoredWeights};
use super::keys::{Keys, most, shown};
use crate::error::Result;
use crate::graph::Role;

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
        let language = self.language(&mut notes)?;
        language.maybe(&super::transformer::LAYERS, most::LAYERS)
    }

    /// The part that says how numbers are stored, wherever it stands.
    fn stated_quantization(&self, beside: Option<&'a Value>) -> Result<Option<Keys<'a>>> {
        const NAMES: [&str; 3] = ["quantization_config", "compression_config", "quantization"];
        let mut notes = Vec::new();
        let language = self.language(&mut notes)?;
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

    fn scheme(&self, name: &str) -> Result<Scheme> {
        let integers = |names: &[&'static str]| self.bits(names, 8);
        let stated = integers(&["bits", "w_bit", "num_bits", "wbits", "weight_bits", "nbits"]);
        let group = || self.group(&["group_size", "q_group_size", "weight_group_size"], 128);
        Ok(match name {
            "gptq" | "awq" | "integers" | "auto-round" | "auto_round" | "intel/auto-round"
            | "auto-awq" | "marlin" | "gptq_marlin" | "awq_marlin" | "w4a16" | "w8a16"
            | "auto_gptq" => match stated? {
                // A scale in 16 bits and a zero point as wide as a code.
                Some(bits) => Scheme::weights(plain(bits, group()?, HALF + bits)),
                None => {
                    return self.refuse(format!(
                        "states the scheme '{}' without its 'bits'",
                        shown(name)
                    ));
                }
            },
            "w4a16_awq" | "int4_awq" | "w4a8_awq" => Scheme {
                activations: (name == "w4a8_awq").then_some(8),
                ..Scheme::weights(plain(4, group()?, HALF))
            },
            "fp8"
            | "fbgemm_fp8"
            | "fp8_pb_wo"
            | "fp8_pc_pt"
            | "fp8_per_channel_per_token"
            | "ptpc_fp8" => {
                let block = match self.numbers("weight_block_size", most::WIDTH)? {
                    Some(sides) => sides.iter().copied().fold(1, u32::saturating_mul),
                    None => 0,
                };
                Scheme {
                    activations: Some(8),
                    ..Scheme::weights(plain(8, block, 32))
                }
            }
            "int8_sq" | "smoothquant" | "w8a8_sq" | "w8a8" | "int8" => Scheme {
                activations: Some(8),
                ..Scheme::weights(plain(8, 0, 32))
            },
            "mxfp4" => Scheme::weights(plain(4, 32, 8)),
            "mxfp8" => Scheme {
                activations: Some(8),
                ..Scheme::weights(plain(8, 32, 8))
            },
            "nvfp4" | "nvfp4_awq" | "w4a4_nvfp4" | "modelopt_fp4" => Scheme {
                activations: Some(4),
                ..Scheme::weights(plain(4, 16, 8))
            },
            "w4a16_nvfp4" => Scheme::weights(plain(4, 16, 8)),
            "bitsandbytes" | "bnb" => {
                if self.flag("load_in_4bit")? == Some(true)
                    || self.flag("_load_in_4bit")? == Some(true)
                {
                    // Blocks of 64; twice quantised, a scale takes 8 bits and its own scale 32 for 256 of them.
                    let twice = self.flag("bnb_4bit_use_double_quant")? == Some(true);
                    Scheme::weights(plain(4, 64, if twice { 8 } else { 32 }))
                } else if self.flag("load_in_8bit")? == Some(true)
                    || self.flag("_load_in_8bit")? == Some(true)
                {
                    Scheme::weights(plain(8, 0, 32))
                } else {
                    return self.refuse(
                        "states 'bitsandbytes' with neither 'load_in_4bit' nor 'load_in_8bit'",
                    );
                }
            }
            "exl2" | "exl3" => self.fractional()?,
            "hqq" => {
                let inner = self.inner("quant_config")?;
                let weights = match &inner {
                    Some(inner) => inner.inner("weight_quant_params")?,
                    None => None,
                };
                let own = weights.as_ref().or(inner.as_ref()).unwrap_or(self);
                match own.bits(&["nbits", "bits"], 8)? {
                    Some(bits) => {
                        Scheme::weights(plain(bits, own.group(&["group_size"], 64)?, 2 * HALF))
                    }
                    None => return self.refuse("states the scheme 'hqq' without its 'nbits'"),
                }
            }
            "aqlm" => {
                let part = |name| self.number(&[name], 1024);
                let codes = part("num_codebooks")? * part("nbits_per_codebook")?;
                let covered =
                    part("in_group_size")? * self.positive(&["out_group_size"], 1024)?.unwrap_or(1);
                return self.per_weight(f64::from(codes) / f64::from(covered));
            }
            "quark" => {
                let weight = match self.inner("global_quant_config")? {
                    Some(global) => global.inner("weight")?,
                    None => None,
                };
                let Some(weight) = weight else {
                    return self.refuse(
                        "states the scheme 'quark' without 'global_quant_config' and its 'weight'",
                    );
                };
                let number = weight.text("dtype")?.to_lowercase();
                let group = weight.group(&["group_size"], 0)?;
                match number.as_str() {
                    "int4" | "uint4" => Scheme::weights(plain(4, group, HALF)),
                    "int8" => Scheme {
                        activations: Some(8),
                        ..Scheme::weights(plain(8, group, 32))
                    },
                    "fp8_e4m3" | "fp8" => Scheme {
                        activations: Some(8),
                        ..Scheme::weights(plain(8, group, 32))
                    },
                    "fp4" | "mxfp4" | "mx" => Scheme::weights(plain(4, 32, 8)),
                    other => {
                        let other = shown(other);
                        return self.refuse(format!(
                            "stores weights as '{other}' by 'quark', which is not known"
                        ));
                    }
                }
            }
            "torchao" => self.torchao()?,
            "quanto" | "eetq" | "eetq_int8" | "higgs" | "fp_quant" => {
                let number = self.text("weights")?.to_lowercase();
                let bits = self.bits(&["bits"], 8)?;
                match (number.as_str(), bits, name) {
                    (_, Some(bits), _) => Scheme::weights(plain(bits, group()?, HALF)),
                    ("int2", ..) => Scheme::weights(plain(2, 128, HALF)),
                    ("int4", ..) => Scheme::weights(plain(4, 128, HALF)),
                    ("int8" | "qint8", ..) | (_, _, "eetq" | "eetq_int8") => {
                        Scheme::weights(plain(8, 0, HALF))
                    }
                    ("float8" | "qfloat8", ..) => Scheme::weights(plain(8, 0, HALF)),
                    _ => {
                        return self.refuse(format!(
                            "states the scheme '{}' without its bits",
                            shown(name)
                        ));
                    }
                }
            }
            // Three values, four of them in a byte.
            "bitnet" => Scheme {
                activations: Some(8),
                ..Scheme::weights(plain(2, 0, HALF))
            },
            "" => return self.refuse("states a quantisation without its method ('quant_method')"),
            other => {
                let other = shown(other);
                return self.refuse(format!(
                    "stores its weights by '{other}', which is not known: their size cannot be told"
                ));
            }
        })
    }

    /// `TorchAO`: the type is a name like "int4wo-128", or an object with a type of its own.
    fn torchao(&self) -> Result<Scheme> {
        let mut name = String::new();
        let mut group = 0;
        match self.value("quant_type") {
            Some(Value::String(text)) => name = text.to_lowercase(),
            Some(Value::Object(_)) => {
                let mut inner = self.inner("quant_type")?;
                while let Some(keys) = inner {
                    let own = keys.text("_type")?;
                    if !own.is_empty() {
                        name = own.to_lowercase();
                        if let Some(data) = keys.inner("_data")? {
                            group = data.group(&["group_size"], 0)?;
                        }
                        break;
                    }
                    inner = keys.inner("default")?;
                }
            }
            _ => {}
        }
        if let Some((_, size)) = name.split_once('-') {
            group = size.parse().unwrap_or(group);
        }
        let has = |word: &str| name.contains(word);
        let dynamic = has("dynamicactivation")
            || has("dq")
            || has("int8_dynamic")
            || has("dynamic_activation");
        let activations = dynamic.then_some(8);
        let weights = if has("int4") || has("uint4") || has("4w") {
            plain(4, if group == 0 { 128 } else { group }, 2 * HALF)
        } else if has("int8") || has("8w") {
            plain(8, group, HALF)
        } else if has("float8") || has("fp8") {
            plain(8, 0, 32)
        } else {
            let name = shown(&name);
            return self.refuse(format!(
                "stores its weights by 'torchao' as '{name}', which is not known"
            ));
        };
        Ok(Scheme {
            activations,
            ..Scheme::weights(weights)
        })
    }

    /// A scheme of so many bits a weight, not a whole number, scales and all.
    fn per_weight(&self, bits: f64) -> Result<Scheme> {
        /// Weights over which what is beyond a whole number of bits is spread.
        const SPREAD: u32 = 128;
        if !(1.0..=16.0).contains(&bits) {
            return self.refuse(format!("stores {bits} bits a weight, which no scheme does"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        let (whole, rest) = (
            bits.floor() as u8,
            ((bits - bits.floor()) * f64::from(SPREAD)).round() as u8,
        );
        Ok(Scheme::weights(plain(whole, SPREAD, rest)))
    }

    fn fractional(&self) -> Result<Scheme> {
        match self.real("bits")? {
            Some(bits) => self.per_weight(bits),
            None => self.refuse("states the scheme 'exl2' or 'exl3' without its 'bits'"),
        }
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

    /// Parts that stay as they were.
    fn left_alone(&self, layers: Option<u32>, notes: &mut Vec<String>) -> Result<Vec<Role>> {
        const LISTS: [&str; 6] = [
            "ignore",
            "modules_to_not_convert",
            "exclude_modules",
            "ignored_layers",
            "llm_int8_skip_modules",
            "exclude",
        ];
        let mut whole: Vec<Role> = Vec::new();
        let mut single: BTreeMap<Role, Vec<String>> = BTreeMap::new();
        for name in LISTS {
            let list = match self.value(name) {
                Some(Value::Array(_)) => self.texts(name)?.unwrap_or_default(),
                Some(Value::String(one)) => vec![one.as_str()],
                _ => continue,
            };
            for module in list {
                let Some(role) = role_of(module) else {
                    continue;
                };
                match layer_of(module) {
                    Some(layer) => single.entry(role).or_default().push(layer),
                    None => whole.push(role),
                }
            }
        }
        for (role, mut named) in single {
            named.sort_unstable();
            named.dedup();
            let all = layers.unwrap_or(u32::MAX);
            // Named layer by layer; of a few among many the difference is small, and said.
            if 2 * named.len() >= all as usize {
                whole.push(role);
            } else {
                notes.push(format!(
                    "{} of its layers stay in 16 bits in part, which is not counted",
                    named.len()
                ));
            }
        }
        Ok(whole)
    }

    /// Bits of keys and values, where the file states them.
    fn cache_bits(&self) -> Result<Option<u8>> {
        if let Some(scheme) = self.inner("kv_cache_scheme")? {
            return scheme.bits(&["num_bits"], 16);
        }
        let name = self.text("kv_cache_quant_algo")?.to_lowercase();
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

/// The part of a network that the name of a module, or a pattern of names, is about.
fn role_of(module: &str) -> Option<Role> {
    let name = module.to_lowercase();
    let has = |word: &str| name.contains(word);
    if has("vision")
        || has("visual")
        || has("audio")
        || has("multi_modal")
        || has("mm_proj")
        || has("embed_vision")
    {
        None
    } else if has("lm_head") || has("output_layer") {
        Some(Role::Head)
    } else if has("embed") {
        Some(Role::Embedding)
    } else if has("router")
        || name.ends_with("gate")
        || name.ends_with("gate.weight")
        || has("shared_expert_gate")
    {
        Some(Role::Router)
    } else if has("shared_expert") {
        Some(Role::SharedExperts)
    } else if has("experts") {
        Some(Role::Experts)
    } else if has("self_attn")
        || has("attn")
        || has("attention")
        || has("q_proj")
        || has("o_proj")
        || has("mamba")
        || has("mixer")
    {
        Some(Role::Attention)
    } else if has("norm") {
        Some(Role::Norm)
    } else if has("mlp") || has("ffn") || has("feed_forward") || has("_proj") {
        Some(Role::FeedForward)
    } else {
        None
    }
}

/// The layer that a name is about, where it is about one: "model.layers.3.mlp" → "3". Patterns are about all.
fn layer_of(module: &str) -> Option<String> {
    if module.contains('*') || module.contains("re:") {
        return None;
    }
    let mut parts = module.split('.');
    parts
        .find(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
        .map(str::to_owned)
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
