//! Layers of `DeepSeek` V4, as its published class builds them (models/deepseek_v4 of huggingface/transformers 5.24, read).

use super::super::super::architecture::{Blocks, Mixer};
use super::super::super::beside::Part;
use super::super::super::compressed::{Compressed, Entries, Index};
use super::super::count::Count;
use super::super::keys::{Keys, most};
use super::super::transformer::{HEADS, HIDDEN};
use super::super::types::ModelType;
use super::BlockList;
use crate::error::Result;

/// What a layer looks at beside its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Window,
    Picked,
    All,
}

/// Keys of its successors, whose layers are not known.
const LATER: [&str; 5] = [
    "engram_layer_ids",
    "kv_source_layers",
    "index_source_layers",
    "candidate_source_layer",
    "candidate_topk_blocks",
];

impl Keys<'_> {
    /// The blocks of a network with compressed attention.
    pub(super) fn compressed_blocks(
        &self,
        kind: &ModelType,
        hidden: u32,
        layers: u32,
    ) -> Result<BlockList> {
        if let Some(key) = LATER.iter().find(|key| self.value(key).is_some()) {
            return self.refuse(format!(
                "has the key '{key}', of a successor of DeepSeek V4 whose layers are not known"
            ));
        }
        let heads = self.number(&HEADS, most::PARTS)?;
        let groups = self.number(&["o_groups"], most::PARTS)?;
        self.divisible((&HEADS, heads), (&["o_groups"], groups))?;
        let index = Index {
            heads: self.number(&["index_n_heads"], most::PARTS)?,
            width: self.number(&["index_head_dim"], most::HEAD)?,
            picked: self.number(&["index_topk"], most::TOKENS)?,
        };
        let (few, many) = self.rates()?;
        let own = Compressed {
            heads,
            width: self.number(&["head_dim"], most::HEAD)?,
            rank: self.number(&["q_lora_rank"], most::WIDTH)?,
            groups,
            group_rank: self.number(&["o_lora_rank"], most::WIDTH)?,
            window: self.number(&["sliding_window"], most::TOKENS)?,
            entries: None,
        };
        let feeds = self.feeds(kind, hidden, layers, None)?;
        let streams = self.number(&["hc_mult"], most::SHARED)?;
        // How the streams are mixed before and after both halves of a layer.
        let mixing = (
            streams.saturating_add(2).saturating_mul(streams),
            streams.saturating_mul(hidden),
        );
        let mut all: Vec<Blocks> = Vec::new();
        for (i, looks) in self.looks(layers)?.into_iter().enumerate() {
            let entries = |tokens, index| Some(Entries { tokens, index });
            let block = Blocks {
                layers: 1,
                mixers: vec![Mixer::Compressed(Compressed {
                    entries: match looks {
                        Looks::Window => None,
                        Looks::Picked => entries(few, Some(index)),
                        Looks::All => entries(many, None),
                    },
                    ..own
                })],
                feed: feeds.get(i).copied().unwrap_or_default(),
                others: vec![mixing; 2],
            };
            let same =
                |other: &&mut Blocks| (&other.mixers, other.feed) == (&block.mixers, block.feed);
            match all.iter_mut().find(same) {
                Some(other) => other.layers += 1,
                None => all.push(block),
            }
        }
        Ok(BlockList {
            all,
            heads,
            kv_heads: 1,
            head_dim: own.width,
            latent: None,
        })
    }

    /// What brings the streams together before the output layer.
    pub(in super::super) fn streams_head(&self) -> Result<Option<Part>> {
        if self.text("model_type")? != "deepseek_v4" {
            return Ok(None);
        }
        let hidden = self.number(&HIDDEN, most::WIDTH)?;
        let streams = self.number(&["hc_mult"], most::SHARED)?;
        let wide = streams.saturating_mul(hidden);
        let mut count = Count::default();
        count
            .matrix((streams, wide), false)
            .vectors(1, streams)
            .vectors(1, 1);
        Ok(Some(count.part("streams", wide, None)))
    }

    /// Tokens of an entry that may be picked, and of one of those that are all looked at.
    fn rates(&self) -> Result<(u32, u32)> {
        let stated = self.inner("compress_rates")?;
        let rate = |key: &'static str, short: &'static str, usual| -> Result<u32> {
            let own = match &stated {
                Some(stated) => stated.positive(&[key], most::TOKENS)?,
                None => None,
            };
            Ok(own
                .or(self.positive(&[short], most::TOKENS)?)
                .unwrap_or(usual))
        };
        Ok((
            rate("compressed_sparse_attention", "compress_rate_csa", 4)?,
            rate("heavily_compressed_attention", "compress_rate_hca", 128)?,
        ))
    }

    /// What each layer looks at. Lists may go on with the layers that predict further tokens, which are not counted.
    fn looks(&self, layers: u32) -> Result<Vec<Looks>> {
        let wanted = layers as usize;
        if let Some(words) = self.texts("layer_types")? {
            let looks = words.iter().map(|word| match *word {
                "sliding_attention" => Ok(Looks::Window),
                "compressed_sparse_attention" => Ok(Looks::Picked),
                "heavily_compressed_attention" => Ok(Looks::All),
                other => {
                    let other = super::super::keys::shown(other);
                    self.refuse(format!(
                        "'layer_types' has a layer '{other}', which is not known"
                    ))
                }
            });
            return self.enough("layer_types", looks.collect::<Result<_>>()?, wanted);
        }
        if let Some(list) = self.list("compress_ratios")? {
            let looks = list.iter().map(|value| match value.as_u64() {
                Some(0) => Ok(Looks::Window),
                Some(4) => Ok(Looks::Picked),
                Some(128) => Ok(Looks::All),
                _ => self.wrong("compress_ratios", value, "0, 4 or 128"),
            });
            return self.enough("compress_ratios", looks.collect::<Result<_>>()?, wanted);
        }
        let looks = |i: usize| match i {
            0 | 1 => Looks::All,
            i if i.is_multiple_of(2) => Looks::All,
            _ => Looks::Picked,
        };
        Ok((0..wanted).map(looks).collect())
    }

    fn enough(&self, name: &str, mut looks: Vec<Looks>, wanted: usize) -> Result<Vec<Looks>> {
        if looks.len() < wanted {
            return self.refuse(format!(
                "'{name}' has {} entries for {wanted} layers",
                looks.len()
            ));
        }
        looks.truncate(wanted);
        Ok(looks)
    }
}
