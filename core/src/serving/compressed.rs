//! Attention over compressed keys and values (`DeepSeek` V4): every layer looks back over a short window; most also over
//! entries that each stand for several tokens, all of them or some that it picks.

use serde::{Deserialize, Serialize};

use super::graphs::{linear, plus, times};
use crate::graph::{Attention, Op};

/// Attention of one layer over a window and over compressed entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compressed {
    /// Query heads.
    pub heads: u32,
    /// Width of a query, and of the one vector that is key and value of all heads.
    pub width: u32,
    /// Rank of the queries.
    pub rank: u32,
    /// Groups of heads whose results are projected by themselves.
    pub groups: u32,
    /// Rank of each group's projection.
    pub group_rank: u32,
    /// Tokens of the window.
    pub window: u32,
    /// The entries; `None`: the window is all.
    #[serde(default)]
    pub entries: Option<Entries>,
}

/// Entries that stand for several tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entries {
    /// Tokens of an entry.
    pub tokens: u32,
    /// What picks some of them; `None`: all are looked at.
    #[serde(default)]
    pub index: Option<Index>,
}

/// What picks entries: small queries of its own against small keys of its own, one for each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Heads.
    pub heads: u32,
    /// Width of a query and a key.
    pub width: u32,
    /// Entries picked.
    pub picked: u32,
}

impl Compressed {
    /// Its operations by name.
    pub(super) fn operations(&self, hidden: u32) -> Vec<(&'static str, Op)> {
        let all = times(self.heads, self.width);
        let plain = |inputs, outputs| linear(inputs, outputs, false);
        let grouped = times(self.groups, self.group_rank);
        let attention = |heads, width, cached, window, picked| {
            Op::Attention(Attention {
                heads,
                kv_heads: 1,
                width,
                reading_widths: times(2, width),
                cached,
                earlier: false,
                window,
                picked,
                positions: None,
                latent: false,
                scores: None,
            })
        };
        let mut list = vec![
            ("attention.query_down", plain(hidden, self.rank)),
            ("attention.query_up", plain(self.rank, all)),
            ("attention.key_value", plain(hidden, self.width)),
            (
                "attention.output_groups",
                plain(all / self.groups.max(1), grouped),
            ),
            ("attention.output", plain(grouped, hidden)),
            // Scales of the norms and a sink for each head.
            (
                "attention.others",
                Op::Folded {
                    parameters: plus(plus(self.rank, self.width), self.heads),
                },
            ),
            (
                "attention.windowed",
                attention(self.heads, self.width, self.width, Some(self.window), false),
            ),
        ];
        let Some(entries) = self.entries else {
            return list;
        };
        // Sizes for one token, of which so many share an entry.
        let share = |size: u32| size.div_ceil(entries.tokens.max(1));
        // Entries that are picked overlap: they are made of twice the width.
        let twice = if entries.index.is_some() { 2 } else { 1 };
        let made = times(twice, self.width);
        list.push(("compressor", plain(hidden, times(2, made))));
        let mut others = plus(times(entries.tokens, made), self.width);
        let window = entries
            .index
            .map(|index| times(index.picked, entries.tokens));
        list.push((
            "attention.compressed",
            attention(
                self.heads,
                share(self.width),
                share(self.width),
                window,
                window.is_some(),
            ),
        ));
        if let Some(index) = entries.index {
            let queries = times(index.heads, index.width);
            let made = times(2, index.width);
            list.push(("index.compressor", plain(hidden, times(2, made))));
            list.push(("index.query", plain(self.rank, queries)));
            list.push(("index.weights", plain(hidden, index.heads)));
            others = plus(others, plus(times(entries.tokens, made), index.width));
            // Scores alone, where attention has two products.
            let width = share(index.width).div_ceil(2);
            list.push((
                "attention.index",
                attention(index.heads, width, share(index.width), None, false),
            ));
        }
        list.push(("compressor.others", Op::Folded { parameters: others }));
        list
    }

    /// The same with fewer heads.
    pub(crate) fn with_heads(&self, heads: u32) -> Self {
        let groups = self.groups.min(heads).max(1);
        Self {
            heads: heads.div_ceil(groups) * groups,
            groups,
            ..*self
        }
    }
}
