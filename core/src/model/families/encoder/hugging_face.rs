//! The network of a `config.json` as transformers writes it, and the names of its tensors
//! (<https://github.com/huggingface/transformers>, `models/bert`, `models/distilbert`, `models/roberta`).

use serde_json::{Map, Value};

use super::{EncoderConfig, Pooling};
use crate::model::families::decoder::{Function, Number};
use crate::weights::{Change, Renaming};

/// A kind of encoders.
#[derive(Debug)]
struct Kind {
    /// Its `model_type`.
    name: &'static str,
    /// Classes that have the encoder and a head that is not run.
    classes: &'static [&'static str],
    /// Keys of width, blocks, heads, hidden width and function.
    keys: [&'static str; 5],
    /// Its sizes where its configuration leaves them out: words, positions, kinds of texts, width, blocks, heads, hidden.
    usual: [usize; 7],
    /// Whether rows of positions up to that of padding are never used.
    offset: bool,
}

const KEYS: [&str; 5] = [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
];

const KINDS: [Kind; 5] = [
    Kind {
        name: "bert",
        classes: &["BertModel", "BertForMaskedLM", "BertForPreTraining"],
        keys: KEYS,
        usual: [30_522, 512, 2, 768, 12, 12, 3072],
        offset: false,
    },
    Kind {
        name: "distilbert",
        classes: &["DistilBertModel", "DistilBertForMaskedLM"],
        keys: ["dim", "n_layers", "n_heads", "hidden_dim", "activation"],
        usual: [30_522, 512, 0, 768, 6, 12, 3072],
        offset: false,
    },
    Kind {
        name: "roberta",
        classes: &["RobertaModel", "RobertaForMaskedLM"],
        keys: KEYS,
        usual: [50_265, 512, 2, 768, 12, 12, 3072],
        offset: true,
    },
    Kind {
        name: "xlm-roberta",
        classes: &["XLMRobertaModel", "XLMRobertaForMaskedLM"],
        keys: KEYS,
        usual: [30_522, 512, 2, 768, 12, 12, 3072],
        offset: true,
    },
    Kind {
        name: "camembert",
        classes: &["CamembertModel", "CamembertForMaskedLM"],
        keys: KEYS,
        usual: [30_522, 512, 2, 768, 12, 12, 3072],
        offset: true,
    },
];

/// An encoder by its configuration.
#[derive(Debug, Clone)]
pub(crate) struct PublishedEncoder {
    /// The network.
    pub(crate) network: EncoderConfig,
}

/// Keys that change what is computed, and what they must say.
const PLAIN: [(&str, &str); 6] = [
    ("position_embedding_type", "absolute"),
    ("is_decoder", "false"),
    ("add_cross_attention", "false"),
    ("chunk_size_feed_forward", "0"),
    ("sinusoidal_pos_embds", "false"),
    ("pruned_heads", "{}"),
];

/// Keys under which other programs say how they packed weights.
const PACKING: [&str; 3] = ["quantization_config", "compression_config", "quantization"];

fn not_run(key: &str, value: &Value) -> String {
    let shown: String = value.to_string().chars().take(60).collect();
    format!("its config.json says {key} = {shown}, which is not run here yet")
}

/// Reads values by their keys; `null` counts as none.
struct Reader<'a>(&'a Map<String, Value>);

impl<'a> Reader<'a> {
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn whole(&self, key: &str, usual: usize) -> Result<usize, String> {
        let Some(value) = self.value(key) else {
            return Ok(usual);
        };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| {
            format!("its config.json says {key} = {value}, which is no whole number")
        })
    }
}

impl EncoderConfig {
    /// Whether a `config.json` says that it is of a kind that is read here.
    pub(crate) fn is_config(config: &Value) -> bool {
        let kind = config.get("model_type").and_then(Value::as_str);
        KINDS.iter().any(|known| Some(known.name) == kind)
    }

    /// The network of a `config.json`, with what the file of pooling beside it says, where there is one.
    ///
    /// # Errors
    /// The network is of another family, or a value means what is not run here.
    pub(crate) fn of_config(
        config: &Value,
        pooling: Option<&Value>,
    ) -> Result<PublishedEncoder, String> {
        let Some(config) = config.as_object() else {
            return Err("its config.json is no list of keys".to_owned());
        };
        let reader = Reader(config);
        let named = reader.value("model_type").and_then(Value::as_str);
        let Some(kind) = KINDS.iter().find(|kind| Some(kind.name) == named) else {
            return Err(format!(
                "encoders of the kind '{}' are not run here yet",
                named.unwrap_or("none")
            ));
        };
        if let Some(classes) = reader.value("architectures") {
            let known = |class: &Value| kind.classes.iter().any(|known| class == known);
            let all = classes.as_array();
            if !all.is_some_and(|all| all.iter().all(known)) {
                return Err(format!(
                    "its config.json says architectures = {classes}, and of the kind '{}' only {} is run here",
                    kind.name,
                    kind.classes.join(" or ")
                ));
            }
        }
        if let Some(own) = reader.value("auto_map").and_then(Value::as_object)
            && own.keys().any(|key| key.starts_with("AutoModel"))
        {
            return Err(
                "its network is computed by code of its own (auto_map), which is never run"
                    .to_owned(),
            );
        }
        for (key, plain) in PLAIN {
            if let Some(value) = reader.value(key) {
                let said = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                if said != plain {
                    return Err(not_run(key, value));
                }
            }
        }
        if PACKING.iter().any(|key| reader.value(key).is_some()) {
            return Err(
                "its weights are packed by another program, which is not run here yet for encoders"
                    .to_owned(),
            );
        }
        let [width, blocks, heads, hidden, function] = kind.keys;
        let [
            vocabulary,
            places,
            types,
            usual_width,
            layers,
            usual_heads,
            usual_hidden,
        ] = kind.usual;
        let first_position = match kind.offset {
            true => reader.whole("pad_token_id", 1)?.saturating_add(1),
            false => 0,
        };
        let rows = reader.whole("max_position_embeddings", places)?;
        let context = rows.checked_sub(first_position).filter(|left| *left > 0);
        Ok(PublishedEncoder {
            network: Self {
                vocabulary: reader.whole("vocab_size", vocabulary)?,
                context: context
                    .ok_or_else(|| format!("its config.json has {rows} rows of positions"))?,
                first_position,
                types: match kind.usual[2] {
                    0 => 0,
                    _ => reader.whole("type_vocab_size", types)?,
                },
                width: reader.whole(width, usual_width)?,
                blocks: reader.whole(blocks, layers)?,
                heads: reader.whole(heads, usual_heads)?,
                hidden: reader.whole(hidden, usual_hidden)?,
                epsilon: match reader.value("layer_norm_eps") {
                    None => Number(1e-12),
                    Some(value) => Number(
                        value
                            .as_f64()
                            .ok_or_else(|| not_run("layer_norm_eps", value))?
                            as f32,
                    ),
                },
                function: match reader.value(function) {
                    None => Function::GeluExact,
                    Some(value) => match value.as_str() {
                        Some("gelu") => Function::GeluExact,
                        Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Function::Gelu,
                        Some("silu" | "swish") => Function::Silu,
                        _ => return Err(not_run(function, value)),
                    },
                },
                fused: true,
                pooling: pooling.map_or(Ok(Pooling::default()), pooled)?,
            },
        })
    }
}

/// What `1_Pooling/config.json` of sentence-transformers says.
fn pooled(config: &Value) -> Result<Pooling, String> {
    let known = [
        ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
        ("pooling_mode_cls_token", "cls", Pooling::First),
        ("pooling_mode_lasttoken", "lasttoken", Pooling::Last),
    ];
    let refused = |said: &str| Err(format!("its pooling is {said}, which is not run here yet"));
    // Newer files name it, older ones have a flag for each.
    if let Some(mode) = config.get("pooling_mode").and_then(Value::as_str) {
        let found = known.iter().find(|(_, name, _)| *name == mode);
        return found.map_or_else(|| refused(mode), |(_, _, pooling)| Ok(*pooling));
    }
    let Some(config) = config.as_object() else {
        return refused("no list of keys");
    };
    let on: Vec<&String> = config
        .iter()
        .filter(|(key, value)| key.starts_with("pooling_mode") && **value == Value::Bool(true))
        .map(|(key, _)| key)
        .collect();
    match on[..] {
        [mode] => {
            let found = known.iter().find(|(flag, _, _)| flag == mode);
            found.map_or_else(|| refused(mode), |(_, _, pooling)| Ok(*pooling))
        }
        [] => refused("none"),
        _ => refused("of several kinds"),
    }
}

/// What stands before the names in some files.
const PREFIXES: [&str; 6] = [
    "module.",
    "0.auto_model.",
    "bert.",
    "distilbert.",
    "roberta.",
    "model.",
];
/// Heads that are not run, and tables in which nothing is learnt.
const LEFT_OUT: [&str; 7] = [
    "pooler.",
    "cls.",
    "lm_head.",
    "vocab_transform.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "embeddings.position_ids",
];
/// What stands before the number of a block.
const BLOCKS: [&str; 2] = ["encoder.layer.", "transformer.layer."];
/// Tables that stand once.
const ONCE: [(&str, &str); 4] = [
    ("embeddings.word_embeddings", "token_embd"),
    ("embeddings.position_embeddings", "position_embd"),
    ("embeddings.token_type_embeddings", "token_types"),
    ("embeddings.LayerNorm", "token_embd_norm"),
];
/// Tables of each block, of all kinds.
const PER_BLOCK: [(&str, &str); 10] = [
    ("attention.output.dense", "attn_output"),
    ("attention.output.LayerNorm", "attn_output_norm"),
    ("intermediate.dense", "ffn_up"),
    ("output.dense", "ffn_down"),
    ("output.LayerNorm", "layer_output_norm"),
    ("attention.out_lin", "attn_output"),
    ("sa_layer_norm", "attn_output_norm"),
    ("ffn.lin1", "ffn_up"),
    ("ffn.lin2", "ffn_down"),
    ("output_layer_norm", "layer_output_norm"),
];
/// Projections to queries, keys and values, whose rows lie below each other.
const PROJECTIONS: [(&str, u32); 6] = [
    ("attention.self.query", 0),
    ("attention.self.key", 1),
    ("attention.self.value", 2),
    ("attention.q_lin", 0),
    ("attention.k_lin", 1),
    ("attention.v_lin", 2),
];

impl PublishedEncoder {
    /// What a tensor is in a GGUF: `None` where it is not run, itself where it is not known.
    pub(crate) fn as_gguf(name: &str) -> Option<Renaming> {
        let mut rest = name;
        for prefix in PREFIXES {
            rest = rest.strip_prefix(prefix).unwrap_or(rest);
        }
        if LEFT_OUT.iter().any(|part| rest.starts_with(part)) {
            return None;
        }
        Some(known(rest).unwrap_or_else(|| name.to_owned().into()))
    }

    /// The name that transformers' own class gives a tensor of a GGUF, of projections the first.
    pub(crate) fn as_published(name: &str) -> Option<String> {
        let (table, ending) = name.rsplit_once('.')?;
        let find = |list: &[(&str, &str)], wanted: &str| {
            let found = list.iter().find(|(_, own)| *own == wanted);
            found.map(|(published, _)| (*published).to_owned())
        };
        if let Some(published) = find(&ONCE, table) {
            return Some(format!("{published}.{ending}"));
        }
        let (block, part) = table.strip_prefix("blk.")?.split_once('.')?;
        let published = match part {
            "attn_qkv" => PROJECTIONS[0].0.to_owned(),
            part => find(&PER_BLOCK, part)?,
        };
        Some(format!("{}{block}.{published}.{ending}", BLOCKS[0]))
    }
}

fn known(name: &str) -> Option<Renaming> {
    let (table, ending) = name.rsplit_once('.')?;
    let ending = match ending {
        "weight" | "bias" => ending,
        // Of files from before 2019.
        "gamma" => "weight",
        "beta" => "bias",
        _ => return None,
    };
    if let Some((_, own)) = ONCE.iter().find(|(published, _)| *published == table) {
        return Some(format!("{own}.{ending}").into());
    }
    let inside = BLOCKS
        .iter()
        .find_map(|before| table.strip_prefix(before))?;
    let (block, part) = inside.split_once('.')?;
    let number: u32 = block.parse().ok()?;
    // 7, not 07 or +7.
    if number.to_string() != block {
        return None;
    }
    if let Some((_, place)) = PROJECTIONS.iter().find(|(published, _)| *published == part) {
        return Some(Renaming {
            name: format!("blk.{number}.attn_qkv.{ending}"),
            change: Change::None,
            part: Some(*place),
        });
    }
    let (_, own) = PER_BLOCK.iter().find(|(published, _)| *published == part)?;
    Some(format!("blk.{number}.{own}.{ending}").into())
}
