//! The blocks of a network, layer by layer: which mixes positions how, and what follows it.

use serde_json::Value;

use super::super::architecture::{
    Blocks, Experts, Feed, Heads, KeysValues, LatentAttention, Mixer, StateMixer, Window,
};
use super::keys::{Keys, most, shown};
use super::transformer::{HEAD_DIM, HEADS, HIDDEN, INNER, KV_HEADS};
use super::types::{ModelType, Windowed};
use crate::error::Result;

/// Names of the tokens that a windowed layer looks back over.
const WINDOW: [&str; 8] = [
    "sliding_window",
    "attention_chunk_size",
    "sliding_window_size",
    "local_attention",
    "attention_window_size",
    "window_size",
    "sliding_window_len",
    "swa_window_size",
];

/// What a layer does with positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Windowed,
    State,
    /// Attention and a state beside each other.
    Both,
    /// No mixing: a feed-forward layer, or experts, that count as a layer by themselves.
    Dense,
    Experts,
}

/// All blocks, and what the first with attention has.
pub(super) struct BlockList {
    pub(super) all: Vec<Blocks>,
    pub(super) heads: u32,
    pub(super) kv_heads: u32,
    pub(super) head_dim: u32,
    pub(super) latent: Option<LatentAttention>,
}

/// Blocks that differ in windows and experts only.
pub(super) struct Uniform {
    pub(super) ffn: u32,
    pub(super) window: Option<Window>,
    pub(super) experts: Option<Experts>,
}

impl BlockList {
    pub(super) fn any_experts(&self) -> Option<Experts> {
        self.all.iter().find_map(|blocks| blocks.feed.experts)
    }

    /// The blocks in short, where they differ in windows and experts only.
    pub(super) fn uniform(&self) -> Option<Uniform> {
        let layers: u32 = self.all.iter().map(|blocks| blocks.layers).sum();
        let (mut full, mut windows, mut with) = (0, None, 0);
        let (mut dense, mut experts) = (None, None);
        for blocks in &self.all {
            let plain = Heads {
                heads: self.heads,
                kv_heads: self.kv_heads,
                width: self.head_dim,
                value_width: self.head_dim,
                window: None,
                gated: false,
                keys: KeysValues::Own,
            };
            let window = match blocks.mixers.as_slice() {
                [Mixer::Attention(heads)]
                    if (Heads {
                        window: None,
                        ..*heads
                    }) == plain =>
                {
                    heads.window
                }
                [Mixer::Latent(window)] => *window,
                _ => return None,
            };
            match window {
                None => full += blocks.layers,
                Some(tokens) if windows.is_none_or(|other| other == tokens) => {
                    windows = Some(tokens)
                }
                Some(_) => return None,
            }
            if !blocks.others.is_empty() {
                return None;
            }
            match blocks.feed {
                Feed {
                    dense: 0,
                    experts: Some(own),
                } if experts.is_none_or(|other| other == own) => {
                    experts = Some(own);
                    with += blocks.layers;
                }
                Feed {
                    dense: own,
                    experts: None,
                } if own > 0 && dense.is_none_or(|other| other == own) => dense = Some(own),
                _ => return None,
            }
        }
        let window = match windows {
            None => None,
            Some(tokens) => {
                let full_every = if full == 0 { 0 } else { layers / full };
                if full > 0 && layers / full_every != full {
                    return None;
                }
                Some(Window { tokens, full_every })
            }
        };
        Some(Uniform {
            ffn: dense.unwrap_or(0),
            window,
            experts: experts.map(|experts| Experts {
                dense_layers: layers - with,
                ..experts
            }),
        })
    }
}

impl Keys<'_> {
    pub(super) fn blocks(&self, kind: &ModelType, hidden: u32, layers: u32) -> Result<BlockList> {
        if let Some(list) = self.list("block_configs")? {
            return self.searched(list, hidden, layers);
        }
        let kinds = self.kinds(kind, layers)?;
        let latent = self.latent()?;
        let attends = kinds
            .iter()
            .any(|kind| matches!(kind, Kind::Full | Kind::Windowed | Kind::Both));
        let heads = if attends {
            Some(self.heads(hidden, layers)?)
        } else {
            None
        };
        let state = if kinds
            .iter()
            .any(|kind| matches!(kind, Kind::State | Kind::Both))
        {
            Some(self.state(hidden)?)
        } else {
            None
        };
        let window = self.window_tokens(layers)?;
        let feeds = self.feeds(
            kind,
            hidden,
            layers,
            &kinds
                .iter()
                .map(|kind| *kind == Kind::Experts)
                .collect::<Vec<_>>(),
        )?;
        let others = self.per_layer_matrices(hidden)?;
        let sharing = self
            .maybe(&["num_kv_shared_layers"], most::LAYERS)?
            .unwrap_or(0);
        self.at_most(
            (&["num_kv_shared_layers"], sharing),
            (&["num_hidden_layers"], layers),
        )?;
        let mut list: Vec<Blocks> = Vec::new();
        for (i, kind) in kinds.iter().enumerate() {
            let mut mixers = Vec::new();
            if matches!(kind, Kind::Full | Kind::Windowed | Kind::Both)
                && let Some(heads) = &heads
            {
                let windowed = *kind == Kind::Windowed;
                let tokens = window.get(i).copied().flatten();
                if windowed && tokens.is_none() {
                    return self.refuse(format!(
                        "has layers with a window, of which '{}' does not say how many tokens it has",
                        WINDOW[0]
                    ));
                }
                let window = tokens.filter(|_| windowed);
                mixers.push(match latent {
                    Some(_) => match self.picked()? {
                        Some(tokens) => Mixer::Picked(tokens),
                        None => Mixer::Latent(window),
                    },
                    None => {
                        let mut own = if windowed {
                            heads.windowed[i]
                        } else {
                            heads.full[i]
                        };
                        own.window = window;
                        let earlier = i >= (layers - sharing) as usize;
                        if earlier {
                            own.keys = KeysValues::Earlier;
                        }
                        Mixer::Attention(own)
                    }
                });
            }
            if matches!(kind, Kind::State | Kind::Both)
                && let Some(state) = &state
            {
                mixers.push(Mixer::State(state.clone()));
            }
            let block = Blocks {
                layers: 1,
                mixers,
                feed: feeds.get(i).copied().unwrap_or_default(),
                others: others.clone(),
            };
            let same = |other: &&mut Blocks| {
                (&other.mixers, other.feed, &other.others)
                    == (&block.mixers, block.feed, &block.others)
            };
            match list.iter_mut().find(same) {
                Some(other) => other.layers += 1,
                None => list.push(block),
            }
        }
        let first = heads.as_ref().and_then(|heads| heads.full.first().copied());
        Ok(BlockList {
            all: list,
            heads: first.map_or(1, |heads| heads.heads),
            kv_heads: first.map_or(1, |heads| heads.kv_heads),
            head_dim: first.map_or(1, |heads| heads.width),
            latent,
        })
    }

    /// Tokens of the context that a sparse layer picks (`DeepSeek` V3.2): no more are looked back over.
    fn picked(&self) -> Result<Option<u32>> {
        self.positive(&["index_topk"], most::TOKENS)
    }

    /// Matrices that each layer has for embeddings of its own.
    fn per_layer_matrices(&self, hidden: u32) -> Result<Vec<(u32, u32)>> {
        let mut matrices = Vec::new();
        if let Some(width) = self.positive(&["hidden_size_per_layer_input"], most::WIDTH)? {
            // Its part of the projection of the stream, a gate and the way back.
            matrices.extend([(width, hidden), (width, hidden), (hidden, width)]);
        }
        if let Some(rank) = self.positive(&["laurel_rank"], most::WIDTH)? {
            matrices.extend([(rank, hidden), (hidden, rank)]);
        }
        // What picks the tokens of a sparse layer: queries of its own from the small vector, keys and weights.
        if let (Some(heads), Some(width), Some(rank)) = (
            self.positive(&["index_n_heads"], most::PARTS)?,
            self.positive(&["index_head_dim"], most::HEAD)?,
            self.positive(&["q_lora_rank"], most::WIDTH)?,
        ) {
            matrices.extend([
                (heads.saturating_mul(width), rank),
                (width, hidden),
                (heads, hidden),
            ]);
        }
        Ok(matrices)
    }

    /// What every layer does with positions.
    fn kinds(&self, kind: &ModelType, layers: u32) -> Result<Vec<Kind>> {
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
                .is_some_and(|value| *value != Value::from(0))
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
        const LISTS: [&str; 4] = [
            "layer_types",
            "layers_block_type",
            "block_types",
            "_block_types",
        ];
        for name in LISTS {
            let Some(words) = self.texts(name)? else {
                continue;
            };
            let repeats = name.ends_with("block_types") && !words.is_empty();
            if !repeats && u32::try_from(words.len()) != Ok(layers) {
                return self.refuse(format!(
                    "'{name}' has {} entries for the {layers} layers of 'num_hidden_layers'",
                    words.len()
                ));
            }
            let kinds = words.iter().cycle().take(layers as usize).map(|word| {
                Ok(match *word {
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

    /// Tokens that each layer would look back over, had it a window.
    fn window_tokens(&self, layers: u32) -> Result<Vec<Option<u32>>> {
        let tokens = self.per_layer(&WINDOW, layers, most::TOKENS)?;
        Ok(match tokens {
            Some(tokens) => tokens
                .into_iter()
                .map(|tokens| Some(tokens).filter(|n| *n > 0))
                .collect(),
            None => vec![None; layers as usize],
        })
    }

    /// Heads of every layer, were it to look back over everything and were it to have a window.
    fn heads(&self, hidden: u32, layers: u32) -> Result<HeadLists> {
        let heads = match self.per_layer(&HEADS, layers, most::PARTS)? {
            Some(heads) => heads,
            None => vec![self.number(&HEADS, most::PARTS)?; layers as usize],
        };
        let multi_query = self.flag("multi_query")?.unwrap_or(false)
            && self.flag("new_decoder_architecture")? != Some(true);
        let groups = match self.flag("multi_query_attention")? {
            Some(true) => self.positive(&["multi_query_group_num"], most::PARTS)?,
            _ => None,
        };
        let kv_heads = match groups {
            _ if multi_query => vec![1; layers as usize],
            Some(groups) => vec![groups; layers as usize],
            None => self
                .per_layer(&KV_HEADS, layers, most::PARTS)?
                .unwrap_or_else(|| heads.clone()),
        };
        let latent = self.value("kv_lora_rank").is_some();
        let stated = self.positive(&HEAD_DIM, most::HEAD)?;
        if stated.is_none() && !latent {
            for heads in &heads {
                self.divisible((&HIDDEN, hidden), (&HEADS, *heads))?;
            }
        }
        for (heads, kv_heads) in heads.iter().zip(&kv_heads) {
            self.divisible((&HEADS, *heads), (&KV_HEADS, *kv_heads))?;
        }
        let gated = self.flag("attn_output_gate")?.unwrap_or(false);
        let value = self
            .positive(&["v_head_dim"], most::HEAD)?
            .filter(|_| !latent);
        let one = self.flag("attention_k_eq_v")?.unwrap_or(false);
        let plain = |i: usize| {
            let width = stated.unwrap_or(hidden / heads[i].max(1));
            Heads {
                heads: heads[i],
                kv_heads: kv_heads[i],
                width,
                value_width: value.unwrap_or(width),
                window: None,
                gated,
                keys: KeysValues::Own,
            }
        };
        // Layers that look back over everything, or those with a window, may have heads of their own.
        let global = (
            self.positive(&["global_head_dim"], most::HEAD)?,
            self.positive(&["num_global_key_value_heads"], most::PARTS)?,
        );
        let local = (
            self.positive(&["swa_head_dim"], most::HEAD)?,
            self.positive(&["swa_num_key_value_heads"], most::PARTS)?,
            self.positive(&["swa_num_attention_heads"], most::PARTS)?,
            self.positive(&["swa_v_head_dim"], most::HEAD)?,
        );
        let all = 0..layers as usize;
        Ok(HeadLists {
            full: all
                .clone()
                .map(|i| {
                    let mut own = plain(i);
                    if let Some(width) = global.0 {
                        (own.width, own.value_width) = (width, width);
                    }
                    own.kv_heads = global.1.unwrap_or(own.kv_heads);
                    if one {
                        own.keys = KeysValues::OneProjection;
                    }
                    own
                })
                .collect(),
            windowed: all
                .map(|i| {
                    let mut own = plain(i);
                    if let Some(width) = local.0 {
                        (own.width, own.value_width) = (width, width);
                    }
                    own.value_width = local.3.unwrap_or(own.value_width);
                    own.kv_heads = local.1.unwrap_or(own.kv_heads);
                    own.heads = local.2.unwrap_or(own.heads);
                    own
                })
                .collect(),
        })
    }

    /// Blocks that a search has chosen one by one (`block_configs`).
    fn searched(&self, list: &[Value], hidden: u32, layers: u32) -> Result<BlockList> {
        let heads = self.number(&HEADS, most::PARTS)?;
        let head_dim = match self.positive(&HEAD_DIM, most::HEAD)? {
            Some(width) => width,
            None => {
                self.divisible((&HIDDEN, hidden), (&HEADS, heads))?;
                hidden / heads
            }
        };
        let mut all: Vec<Blocks> = Vec::new();
        let mut most_keys = 1;
        for config in list {
            let block = Keys::new(config, self.path);
            let mut mixers = Vec::new();
            let mut others = Vec::new();
            if let Some(attention) = block.inner("attention")? {
                if attention.flag("replace_with_linear")? == Some(true) {
                    others.push((hidden, hidden));
                } else if attention.flag("no_op")? != Some(true) {
                    let group = attention.positive(&["n_heads_in_group"], most::PARTS)?;
                    let stated = attention.positive(&KV_HEADS, most::PARTS)?;
                    let kv_heads = match (stated, group) {
                        (Some(own), _) => own,
                        (None, Some(group)) if heads.is_multiple_of(group) => heads / group,
                        _ => {
                            return self.refuse(
                                "'block_configs' has attention of which 'n_heads_in_group' does not say how many heads it has",
                            );
                        }
                    };
                    most_keys = most_keys.max(kv_heads);
                    mixers.push(Mixer::Attention(Heads {
                        heads,
                        kv_heads,
                        width: head_dim,
                        value_width: head_dim,
                        window: attention
                            .positive(&["window_length", "sliding_window"], most::TOKENS)?,
                        gated: false,
                        keys: KeysValues::Own,
                    }));
                }
            }
            let mut feed = Feed::default();
            if let Some(own) = block.inner("ffn")? {
                if own.flag("replace_with_linear")? == Some(true) {
                    others.push((hidden, hidden));
                } else if own.flag("no_op")? != Some(true) {
                    feed.dense = match (own.positive(&INNER, most::WIDTH)?, own.real("ffn_mult")?) {
                        (Some(inner), _) => inner,
                        (None, Some(factor)) => self.multiple(factor, hidden)?,
                        _ => {
                            return self.refuse(
                                "'block_configs' has a feed-forward layer without 'ffn_mult' or 'intermediate_size'",
                            );
                        }
                    };
                }
            }
            let block = Blocks {
                layers: 1,
                mixers,
                feed,
                others,
            };
            let same = |other: &&mut Blocks| {
                (&other.mixers, other.feed, &other.others)
                    == (&block.mixers, block.feed, &block.others)
            };
            match all.iter_mut().find(same) {
                Some(other) => other.layers += 1,
                None => all.push(block),
            }
        }
        if all.is_empty() || layers == 0 {
            return self.refuse("'block_configs' lists no blocks");
        }
        Ok(BlockList {
            all,
            heads,
            kv_heads: most_keys,
            head_dim,
            latent: None,
        })
    }

    /// The inner width of a gated layer whose matrices are `factor` times as large as the square of the width, as published
    /// code rounds it: up to a multiple of 256.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked first"
    )]
    fn multiple(&self, factor: f64, hidden: u32) -> Result<u32> {
        const ROUNDED: u32 = 256;
        let inner = 2.0 * factor * f64::from(hidden) / 3.0;
        if !(1.0..=f64::from(most::WIDTH)).contains(&inner) {
            return self.refuse(format!("'ffn_mult' is {factor}, which no layer can have"));
        }
        Ok((inner as u32).div_ceil(ROUNDED) * ROUNDED)
    }

    /// The state of layers that are no attention.
    fn state(&self, hidden: u32) -> Result<StateMixer> {
        self.state_mixer(hidden)
    }
}

/// Heads layer by layer.
struct HeadLists {
    full: Vec<Heads>,
    windowed: Vec<Heads>,
}
