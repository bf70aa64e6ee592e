//! What was understood of a network: layers by kind, how numbers are stored, what is kept of a sequence.

use super::Outline;
use crate::digits::{many, si};
use crate::error::Result;
use crate::formats;
use crate::graph::{Attention, Graph, Op, Role};
use crate::model::ModelReference;
use crate::recipe::Recipe;
use crate::serving::CROSS;
use crate::serving::architecture::Shape;

/// What a network's shapes come to, in its published formats.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// All parameters.
    pub parameters: u64,
    /// Parameters that one token meets; of networks without experts all.
    pub active_parameters: u64,
    /// Bytes of the weights.
    pub weight_bytes: u64,
    /// Bytes that are kept of one sequence at the context asked for; 0 where nothing is.
    pub cache_bytes: u64,
    /// What was understood, a sentence each.
    pub understood: Vec<String>,
}

impl Outline {
    /// What the network comes to, with one sequence of `context` tokens.
    ///
    /// # Errors
    /// As [`Outline::predict`].
    pub fn summary(&self, context: u32) -> Result<Summary> {
        let network = self.network();
        let graph = network.graph();
        let profile = self.predict(&Recipe::default())?;
        let mut understood = Vec::new();
        if let Shape::Transformer(_) = &network.shape {
            understood.push(format!("type: {}", network.family));
            understood.extend(layers(&graph));
            if let Some(text) = kept(&graph, f64::from(context)) {
                understood.push(text);
            }
        }
        understood.extend(network.notes.iter().cloned());
        Ok(Summary {
            parameters: self.parameters(),
            // Whole and far below 2^63.
            active_parameters: match network.shape {
                Shape::Transformer(_) => graph.active_parameters() as u64,
                _ => self.parameters(),
            },
            weight_bytes: profile.stored_bytes() - profile.header_bytes,
            cache_bytes: graph.kept_bytes(f64::from(context)) as u64,
            understood,
        })
    }
}

fn attention(attention: &Attention) -> String {
    let over = match attention.window {
        None => "over everything".to_owned(),
        Some(window) if attention.picked => format!("over {window} tokens picked among all"),
        Some(window) => format!("over {window} tokens"),
    };
    if attention.latent {
        return format!(
            "latent attention {over} ({} heads, {} numbers kept of a token)",
            attention.heads, attention.cached
        );
    }
    let earlier = if attention.earlier {
        ", keys and values of an earlier layer"
    } else {
        ""
    };
    format!(
        "attention {over} ({} heads, {} of keys and values, {} wide{earlier})",
        attention.heads, attention.kv_heads, attention.width
    )
}

/// Layers by kind.
fn layers(graph: &Graph) -> Vec<String> {
    let mut mixers = Vec::new();
    let mut feeds = Vec::new();
    for node in &graph.nodes {
        let count = node.repeat;
        match (&node.op, node.role) {
            (Op::Attention(_) | Op::State { .. }, _) if node.name == CROSS => {
                mixers.push(format!("{count} with attention to what was read before"));
            }
            (Op::Attention(own), _) if node.name.starts_with("attention.compressed") => {
                let which = match own.window {
                    Some(_) => "some of the compressed entries",
                    None => "all compressed entries",
                };
                mixers.push(format!("{count} with attention to {which}"));
            }
            (Op::Attention(own), _) if node.name.starts_with("attention.index") => {
                mixers.push(format!(
                    "{count} that pick entries by {} small heads",
                    own.heads
                ));
            }
            (Op::Attention(own), _) => mixers.push(format!("{count} with {}", attention(own))),
            (Op::State { numbers, .. }, _) => mixers.push(format!(
                "{count} with a state of {} numbers",
                many(f64::from(*numbers))
            )),
            (Op::Linear { inputs, .. }, Role::FeedForward) if node.name.starts_with("mlp.down") => {
                feeds.push(format!("{count} dense, {inputs} wide"));
            }
            (Op::Linear { inputs, .. }, Role::SharedExperts)
                if node.name.starts_with("shared_experts.down") =>
            {
                feeds.push(format!(
                    "{count} with shared experts, {inputs} wide together"
                ));
            }
            (Op::Linear { inputs, .. }, Role::Experts) if node.name.starts_with("experts.down") => {
                if let Some(chosen) = node.experts {
                    feeds.push(format!(
                        "{count} with {} experts of which a token visits {}, {inputs} wide",
                        chosen.count, chosen.active
                    ));
                }
            }
            _ => {}
        }
    }
    let line = |what: &str, parts: Vec<String>| {
        (!parts.is_empty()).then(|| format!("{what}: {}", parts.join("; ")))
    };
    [line("layers", mixers), line("feed-forward", feeds)]
        .into_iter()
        .flatten()
        .collect()
}

/// What is kept of a sequence.
fn kept(graph: &Graph, context: f64) -> Option<String> {
    let all = graph.kept_bytes(context);
    let fixed = graph.kept_bytes(0.0);
    let token = graph.kept_bytes(1.0) - fixed;
    (all > 0.0).then(|| {
        let first = if token > 0.0 {
            format!("{} for a token, ", si(token, "B"))
        } else {
            String::new()
        };
        format!(
            "kept of a sequence: {first}{} at {} tokens",
            si(all, "B"),
            context
        )
    })
}

impl Outline {
    /// As [`Self::open`], with sizes that an ONNX file leaves open, by their names.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_sized(reference: &ModelReference, sizes: &[(String, u64)]) -> Result<Self> {
        match reference {
            ModelReference::File(path) if !sizes.is_empty() && formats::is_onnx(path) => {
                let network = formats::onnx_outline(path, sizes)?;
                Ok(Self::of(reference.clone(), network))
            }
            _ => Self::open(reference),
        }
    }
}
