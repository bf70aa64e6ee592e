//! Encoders with decoders, counted as their published classes build them (huggingface/transformers 5.24, read): the decoder
//! is the network, the encoder a part beside it.

use super::super::architecture::{Biases, Transformer};
use super::super::beside::{Beside, Source};
use super::count::{Count, Stack};
use super::keys::{Keys, most};
use crate::error::Result;

/// Sizes of an encoder or a decoder.
#[derive(Debug, Clone, Copy)]
struct Side {
    layers: u32,
    heads: u32,
    inner: u32,
}

/// What the classes like BART's differ in.
#[derive(Debug, Clone, Copy)]
struct Like {
    /// Words, where the file does not say.
    words: u32,
    /// Rows of each table of positions beyond the positions; `None`: positions are computed.
    rows: Option<u32>,
    /// Normalisations outside the layers, of each side.
    norms: u32,
}

impl Keys<'_> {
    /// An encoder with a decoder, and what is noted of it; `None` where the file is of another kind.
    pub(super) fn pairs(&self, notes: &mut Vec<String>) -> Result<Option<Transformer>> {
        let kind = self.text("model_type")?;
        let like = |words, rows, norms| Like { words, rows, norms };
        let network = match kind {
            "t5" | "mt5" | "umt5" => self.t5(kind, notes)?,
            "whisper" => self.whisper(notes)?,
            "bart" => self.bart(like(50_265, Some(2), 1), notes)?,
            "mbart" => self.bart(like(50_265, Some(2), 2), notes)?,
            "m2m_100" => self.bart(like(128_112, None, 1), notes)?,
            // Their tables of positions are computed once and kept.
            "pegasus" => self.bart(like(50_265, Some(0), 1), notes)?,
            "marian" => self.bart(like(58_101, Some(0), 0), notes)?,
            _ => return Ok(None),
        };
        Ok(Some(network))
    }

    fn decoder(&self, width: u32, head: u32, side: Side, beside: Beside) -> Transformer {
        Transformer {
            hidden: width,
            layers: side.layers,
            heads: side.heads,
            kv_heads: side.heads,
            head_dim: head,
            ffn: side.inner,
            gated: false,
            vocabulary: 0,
            tied: true,
            window: None,
            experts: None,
            latent: None,
            attention_weights: None,
            encoder: false,
            positions: 0,
            biases: Biases::ALL,
            blocks: Vec::new(),
            tables: Vec::new(),
            beside,
        }
    }

    /// T5 (Raffel et al. 2020): heads need not add up to the width, no biases, relative positions.
    fn t5(&self, kind: &str, notes: &mut Vec<String>) -> Result<Transformer> {
        let first = kind == "t5";
        let width = self.or(&["d_model"], 512, most::WIDTH)?;
        let head = self.or(&["d_kv"], 64, most::HEAD)?;
        let heads = self.or(&["num_heads"], if first { 8 } else { 6 }, most::PARTS)?;
        let inner = self.or(&["d_ff"], if first { 2048 } else { 1024 }, most::WIDTH)?;
        let layers = self.or(&["num_layers"], if first { 6 } else { 8 }, most::LAYERS)?;
        let below = self.or(&["num_decoder_layers"], layers, most::LAYERS)?;
        let buckets = self.or(&["relative_attention_num_buckets"], 32, most::PARTS)?;
        let words = self.or(
            &["vocab_size"],
            if first { 32_128 } else { 250_112 },
            most::VOCABULARY,
        )?;
        let feed = match self.text("feed_forward_proj")? {
            "" if first => "relu",
            "" => "gated-gelu",
            feed => feed,
        };
        let gated = feed.starts_with("gated-");
        // The first has one table of relative positions a side, UMT5 one a layer.
        let tables = |layers| if kind == "umt5" { layers } else { 1 };
        let table = buckets.saturating_mul(heads);
        let all = heads.saturating_mul(head);
        let mut encoder = Count::default();
        encoder
            .stack(Stack {
                queries: all,
                keys: all,
                gated,
                biases: [false; 3],
                vectors: 2,
                ..Stack::plain(layers, width, inner)
            })
            .vectors(tables(layers), table)
            .vectors(1, width);
        let mut decoder = Count::default();
        let alone = self.encoder_alone()?;
        let side = Side {
            layers: if alone { layers } else { below },
            heads,
            inner,
        };
        decoder.vectors(tables(side.layers), table);
        let extra = decoder.part("relative_positions", table, None);
        let beside = if alone {
            Beside {
                parts: vec![extra],
                ..Beside::default()
            }
        } else {
            self.note_encoder(layers, &encoder, "a text as long as the context", notes);
            Beside {
                parts: vec![encoder.part("encoder", width, None), extra],
                source: Some(Source { positions: None }),
                ..Beside::default()
            }
        };
        Ok(Transformer {
            gated,
            vocabulary: words,
            tied: self.flag("tie_word_embeddings")?.unwrap_or(true),
            encoder: alone,
            biases: Biases::default(),
            ..self.decoder(width, head, side, beside)
        })
    }

    /// Whether the file is of the encoder only (`T5EncoderModel`).
    fn encoder_alone(&self) -> Result<bool> {
        let classes = self.texts("architectures")?.unwrap_or_default();
        Ok(classes.iter().any(|class| class.ends_with("EncoderModel")))
    }

    fn note_encoder(&self, layers: u32, count: &Count, reads: &str, notes: &mut Vec<String>) {
        notes.push(format!(
            "an encoder of {layers} layers with {} parameters reads first; keys and values of what it read are kept, \
             counted for {reads}",
            crate::digits::many(count.all() as f64)
        ));
    }

    fn side(&self, encoder: bool, usual: Side) -> Result<Side> {
        let names: [&[&'static str]; 3] = if encoder {
            [
                &["encoder_layers"],
                &["encoder_attention_heads"],
                &["encoder_ffn_dim"],
            ]
        } else {
            [
                &["decoder_layers"],
                &["decoder_attention_heads"],
                &["decoder_ffn_dim"],
            ]
        };
        Ok(Side {
            layers: self.or(names[0], usual.layers, most::LAYERS)?,
            heads: self.or(names[1], usual.heads, most::PARTS)?,
            inner: self.or(names[2], usual.inner, most::WIDTH)?,
        })
    }

    /// BART (Lewis et al. 2020) and its like: biases everywhere, one table of words for both sides.
    fn bart(&self, like: Like, notes: &mut Vec<String>) -> Result<Transformer> {
        let usual = Side {
            layers: 12,
            heads: 16,
            inner: 4096,
        };
        let width = self.or(&["d_model"], 1024, most::WIDTH)?;
        let (above, below) = (self.side(true, usual)?, self.side(false, usual)?);
        self.divisible(
            (&["d_model"], width),
            (&["encoder_attention_heads"], above.heads),
        )?;
        self.divisible(
            (&["d_model"], width),
            (&["decoder_attention_heads"], below.heads),
        )?;
        let words = self.or(&["vocab_size"], like.words, most::VOCABULARY)?;
        let positions = self.or(&["max_position_embeddings"], 1024, most::TOKENS)?;
        let rows = like.rows.map_or(0, |more| positions.saturating_add(more));
        let mut encoder = Count::default();
        encoder
            .matrix((rows, width), false)
            .stack(Stack::plain(above.layers, width, above.inner))
            .vectors(like.norms.saturating_mul(2), width);
        let own = self.flag("share_encoder_decoder_embeddings")? == Some(false);
        let vocabulary = if own {
            encoder.matrix((words, width), false);
            self.or(&["decoder_vocab_size"], words, most::VOCABULARY)?
        } else {
            words
        };
        self.note_encoder(
            above.layers,
            &encoder,
            "a text as long as the context",
            notes,
        );
        let mut parts = vec![encoder.part("encoder", width, None)];
        // One normalisation outside the layers is counted with these.
        if like.norms > 1 {
            let mut more = Count::default();
            more.vectors((like.norms - 1).saturating_mul(2), width);
            parts.push(more.part("decoder_norms", width, None));
        }
        let beside = Beside {
            parts,
            source: Some(Source { positions: None }),
            ..Beside::default()
        };
        Ok(Transformer {
            vocabulary,
            tied: self.flag("tie_word_embeddings")?.unwrap_or(true),
            positions: rows,
            ..self.decoder(width, width / below.heads, below, beside)
        })
    }

    /// Whisper (Radford et al. 2022): two convolutions over a spectrum, keys without biases.
    fn whisper(&self, notes: &mut Vec<String>) -> Result<Transformer> {
        let usual = Side {
            layers: 4,
            heads: 6,
            inner: 1536,
        };
        let width = self.or(&["d_model"], 384, most::WIDTH)?;
        let (above, below) = (self.side(true, usual)?, self.side(false, usual)?);
        for (name, heads) in [
            ("encoder_attention_heads", above.heads),
            ("decoder_attention_heads", below.heads),
        ] {
            self.divisible((&["d_model"], width), (&[name], heads))?;
        }
        let bins = self.or(&["num_mel_bins"], 80, most::WIDTH)?;
        let heard = self.or(&["max_source_positions"], 1500, most::TOKENS)?;
        let written = self.or(&["max_target_positions"], 448, most::TOKENS)?;
        let mut encoder = Count::default();
        encoder
            .matrix((width, bins.saturating_mul(3)), true)
            .matrix((width, width.saturating_mul(3)), true)
            .matrix((heard, width), false)
            .stack(Stack {
                biases: [false, true, true],
                // Those of queries and values.
                vectors: 6,
                ..Stack::plain(above.layers, width, above.inner)
            })
            .vectors(2, width);
        let reads = format!("{heard} positions of sound");
        self.note_encoder(above.layers, &encoder, &reads, notes);
        // Biases of queries and values, of both kinds of attention.
        let mut biases = Count::default();
        biases.vectors(below.layers.saturating_mul(4), width);
        let beside = Beside {
            parts: vec![
                encoder.part("encoder", width, None),
                biases.part("decoder_biases", width, None),
            ],
            source: Some(Source {
                positions: Some(heard),
            }),
            ..Beside::default()
        };
        Ok(Transformer {
            vocabulary: self.or(&["vocab_size"], 51_865, most::VOCABULARY)?,
            positions: written,
            biases: Biases {
                queries_keys_values: false,
                ..Biases::ALL
            },
            ..self.decoder(width, width / below.heads, below, beside)
        })
    }
}
