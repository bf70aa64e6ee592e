//! Parts of a network by the names of its modules.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::keys::Keys;
use crate::error::Result;
use crate::graph::Role;

impl Keys<'_> {
    /// Parts that stay as they were.
    pub(super) fn left_alone(
        &self,
        layers: Option<u32>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Role>> {
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
}

/// The part of a network that the name of a module, or a pattern of names, is about.
pub(super) fn role_of(module: &str) -> Option<Role> {
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
