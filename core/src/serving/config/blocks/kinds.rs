//! Which layers mix positions how, by whatever a file says it with.

use serde_json::Value;

use super::super::keys::{Keys, most, shown};
use super::super::types::{ModelType, Windowed};
use super::{Kind, WINDOW};
use crate::error::Result;

impl Keys<'_> {
    /// What every layer does with positions.
    pub(super) fn kinds(&self, kind: &ModelType, layers: u32) -> Result<Vec<Kind>> {
        let used = self.flag("use_sliding_window")?;
        if let Some(kinds) = self.listed(layers)? {
            return Ok(kinds);
        }
        let each = |of: &dyn Fn(u32) -> Kind| Ok((0..layers).map(of).collect());
        if let Some(kinds) = self.hybrid(layers)? {
            return Ok(kinds);
        }
        let has_window = WINDOW.iter().any(|name| {
            self.value(name)
                .is_some_and(|value| value.as_u64() != Some(0))
        });
        if !has_window || used == Some(false) {
            return each(&|_| Kind::Full);
        }
        // Layers from the first of these on.
        if used == Some(true)
            && let Some(first) = self.maybe(&["max_window_layers"], most::LAYERS)?
        {
            return each(&|i| {
                if i >= first {
                    Kind::Windowed
                } else {
                    Kind::Full
                }
            });
        }
        if let Some(kinds) = self.letters("sliding_window_pattern", layers)? {
            return Ok(kinds);
        }
        let every = |full: u32| {
            move |i: u32| {
                if full > 0 && (i + 1).is_multiple_of(full) {
                    Kind::Full
                } else {
                    Kind::Windowed
                }
            }
        };
        if let Some(full) = self.maybe(
            &["sliding_window_pattern", "_sliding_window_pattern"],
            most::LAYERS,
        )? {
            return each(&every(full));
        }
        if let Some(full) = self.positive(&["global_attn_every_n_layers"], most::LAYERS)? {
            return each(&|i| {
                if i.is_multiple_of(full) {
                    Kind::Full
                } else {
                    Kind::Windowed
                }
            });
        }
        match kind.window {
            Windowed::Never => each(&|_| Kind::Full),
            Windowed::All => each(&|_| Kind::Windowed),
            Windowed::AllBut(full) => each(&every(full)),
            Windowed::AllButFirst(full) => each(&|i| {
                if i.is_multiple_of(full) {
                    Kind::Windowed
                } else {
                    Kind::Full
                }
            }),
            Windowed::Listed => self.refuse(format!(
                "states a window ('{}') and not which of its {layers} layers have it",
                WINDOW
                    .iter()
                    .find(|name| self.value(name).is_some())
                    .copied()
                    .unwrap_or_default()
            )),
        }
    }

    /// Kinds by a list of words, one for each layer, or a pattern of words that repeats.
    fn listed(&self, layers: u32) -> Result<Option<Vec<Kind>>> {
        const LISTS: [&str; 5] = [
            "layer_types",
            "layers_block_type",
            "block_types",
            "_block_types",
            "attention_layers",
        ];
        for name in LISTS {
            let Some(words) = self.texts(name)? else {
                continue;
            };
            let repeats = name.ends_with("block_types") && !words.is_empty();
            // Lists may go on with the layers that predict further tokens, which are not counted.
            let more = self
                .maybe(&["num_nextn_predict_layers"], most::LAYERS)?
                .unwrap_or(0);
            let words = match words.get(..layers as usize) {
                Some(own) if words.len() == (layers.saturating_add(more)) as usize => own.to_vec(),
                _ => words,
            };
            if !repeats && u32::try_from(words.len()) != Ok(layers) {
                return self.refuse(format!(
                    "'{name}' has {} entries for the {layers} layers of 'num_hidden_layers'",
                    words.len()
                ));
            }
            let kinds = words.iter().cycle().take(layers as usize).map(|word| {
                Ok(match *word {
                    // Those that pick tokens say so elsewhere.
                    "deepseek_sparse_attention" if self.value("index_topk").is_some() => Kind::Full,
                    "full_attention" | "attention" | "global_attention" | "global" | "full" => {
                        Kind::Full
                    }
                    "sliding_attention"
                    | "chunked_attention"
                    | "local_attention"
                    | "sliding"
                    | "local"
                    | "sliding_window"
                    | "sliding_window_attention" => Kind::Windowed,
                    "linear_attention"
                    | "mamba"
                    | "mamba2"
                    | "conv"
                    | "recurrent"
                    | "lightning_attention" => Kind::State,
                    "hybrid" => Kind::Both,
                    "mlp" => Kind::Dense,
                    "moe" => Kind::Experts,
                    other => {
                        let other = shown(other);
                        return self.refuse(format!(
                            "'{name}' has a layer '{other}', which is not known"
                        ));
                    }
                })
            });
            let kinds = kinds.collect::<Result<Vec<_>>>()?;
            // Windows that are switched off.
            let off = self.flag("use_sliding_window")? == Some(false);
            return Ok(Some(
                kinds
                    .into_iter()
                    .map(|kind| {
                        if off && kind == Kind::Windowed {
                            Kind::Full
                        } else {
                            kind
                        }
                    })
                    .collect(),
            ));
        }
        Ok(None)
    }

    /// Kinds by a pattern of letters that repeats: L local, G global; or for every layer M (Mamba), * (attention), - (dense)
    /// and E (experts).
    fn letters(&self, name: &str, layers: u32) -> Result<Option<Vec<Kind>>> {
        let Some(Value::String(pattern)) = self.value(name) else {
            return Ok(None);
        };
        let kinds = pattern.chars().map(|letter| {
            Ok(match letter {
                'L' | 'l' => Kind::Windowed,
                'G' | 'g' | '*' => Kind::Full,
                'M' => Kind::State,
                '-' => Kind::Dense,
                'E' => Kind::Experts,
                other => {
                    let other = shown(&other.to_string());
                    return self.refuse(format!(
                        "'{name}' has a letter '{other}', which is not known"
                    ));
                }
            })
        });
        let kinds = kinds.collect::<Result<Vec<Kind>>>()?;
        let whole = kinds
            .iter()
            .any(|kind| !matches!(kind, Kind::Windowed | Kind::Full));
        if kinds.is_empty() || whole && u32::try_from(kinds.len()) != Ok(layers) {
            return self.refuse(format!(
                "'{name}' has {} letters for {layers} layers",
                kinds.len()
            ));
        }
        Ok(Some(
            kinds.into_iter().cycle().take(layers as usize).collect(),
        ))
    }

    /// Kinds of networks whose layers are not all attention, by whatever says which are.
    fn hybrid(&self, layers: u32) -> Result<Option<Vec<Kind>>> {
        if let Some(kinds) = self.letters("hybrid_override_pattern", layers)? {
            return Ok(Some(kinds));
        }
        let each = |of: &dyn Fn(u32) -> Kind| Ok(Some((0..layers).map(of).collect()));
        let either = |attends: bool| if attends { Kind::Full } else { Kind::State };
        if let Some(list) = self.list("attn_type_list")? {
            if u32::try_from(list.len()) != Ok(layers) {
                return self.refuse(format!(
                    "'attn_type_list' has {} entries for {layers} layers",
                    list.len()
                ));
            }
            return each(&|i| either(list.get(i as usize).and_then(Value::as_u64) == Some(1)));
        }
        if let Some(list) = self.list("hybrid_layer_pattern")? {
            if u32::try_from(list.len()) != Ok(layers) {
                return self.refuse(format!(
                    "'hybrid_layer_pattern' has {} entries for {layers} layers",
                    list.len()
                ));
            }
            return each(&|i| {
                if list.get(i as usize).and_then(Value::as_u64) == Some(1) {
                    Kind::Windowed
                } else {
                    Kind::Full
                }
            });
        }
        if let Some(linear) = self.inner("linear_attn_config")?
            && let Some(full) = linear.numbers("full_attn_layers", most::LAYERS)?
        {
            // Counted from 1.
            return each(&|i| either(full.contains(&(i + 1))));
        }
        if self.value("linear_num_value_heads").is_some()
            && let Some(every) = self.positive(&["full_attention_interval"], most::LAYERS)?
        {
            return each(&|i| either((i + 1).is_multiple_of(every)));
        }
        if let Some(attends) = self.list("attn_layer_indices")? {
            return each(&|i| {
                either(
                    attends
                        .iter()
                        .any(|item| item.as_u64() == Some(u64::from(i))),
                )
            });
        }
        if let Some(attends) = self.list("full_attn_idxs")? {
            return each(&|i| {
                either(
                    attends
                        .iter()
                        .any(|item| item.as_u64() == Some(u64::from(i))),
                )
            });
        }
        if let Some(period) = self.positive(&["attn_layer_period"], most::LAYERS)? {
            let offset = self
                .maybe(&["attn_layer_offset"], most::LAYERS)?
                .unwrap_or(0);
            return each(&|i| either(i % period == offset));
        }
        match self.text("model_type")? {
            "falcon_h1" => each(&|_| Kind::Both),
            "mamba" | "mamba2" | "falcon_mamba" => each(&|_| Kind::State),
            _ => Ok(None),
        }
    }
}
