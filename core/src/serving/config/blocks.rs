//! The blocks of a network, layer by layer: which mixes positions how, and what follows it.

mod compressed;
mod heads;
mod kinds;
mod searched;

use super::super::architecture::{
    Blocks, Experts, Feed, Heads, KeysValues, LatentAttention, Mixer, StateMixer, Window,
};
use super::experts::Alone;
use super::keys::{Keys, most};
use super::types::ModelType;
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
                    windows = Some(tokens);
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
                let full_every = layers.checked_div(full).unwrap_or(0);
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
        if self.text("model_type")? == "deepseek_v4" {
            return self.compressed_blocks(kind, hidden, layers);
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
        let alone: Vec<Alone> = kinds
            .iter()
            .map(|kind| match kind {
                Kind::Dense => Alone::Dense,
                Kind::Experts => Alone::Experts,
                _ => Alone::Mixer,
            })
            .collect();
        let single = alone.iter().any(|one| *one != Alone::Mixer);
        let feeds = self.feeds(kind, hidden, layers, single.then_some(&alone))?;
        let others = self.per_layer_matrices(hidden)?;
        let gated = self.flag("mla_use_output_gate")?.unwrap_or(false);
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
            let mut others = others.clone();
            if let (Some(latent), Some(heads)) =
                (latent, heads.as_ref().and_then(|all| all.full.first()))
                && mixers
                    .iter()
                    .any(|mixer| matches!(mixer, Mixer::Latent(_) | Mixer::Picked(_)))
                && gated
            {
                others.push((heads.heads.saturating_mul(latent.value), hidden));
            }
            let block = Blocks {
                layers: 1,
                mixers,
                feed: feeds.get(i).copied().unwrap_or_default(),
                others,
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
        if let Some(width) = self.some(&["hidden_size_per_layer_input"], most::WIDTH)? {
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

    /// The state of layers that are no attention.
    fn state(&self, hidden: u32) -> Result<StateMixer> {
        self.state_mixer(hidden)
    }
}
