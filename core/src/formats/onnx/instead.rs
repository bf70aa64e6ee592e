//! Nodes that the library does not know, written as others that give the same.

use super::message::{Item, Message};
use super::plain::{attribute, scalar, simple};
use super::wire::Result;

/// What stands for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// What gives the same numbers.
    Same,
    /// The mean of random numbers.
    Mean,
}

/// Writes what stands for a node that the library does not know; `None` where it is written as it is.
///
/// # Errors
/// The node is damaged.
pub(super) fn instead(
    operator: &str,
    node: &Message,
    graph: &mut Message,
    file: &[u8],
) -> Result<Option<Instead>> {
    let texts = |number| -> Vec<String> {
        let own = node.all(number).map(|item| item.bytes(file));
        own.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect()
    };
    let (inputs, outputs) = (texts(1), texts(2));
    let (Some(input), Some(output)) = (inputs.first(), outputs.first()) else {
        return Ok(None);
    };
    match operator {
        // Only training drops anything.
        "Dropout" if inputs.get(2).is_none_or(String::is_empty) && outputs.len() == 1 => {
            graph.push_message(1, &simple("Identity", &[input], output), file);
            Ok(Some(Instead::Same))
        }
        "RandomNormalLike" | "RandomUniformLike" => {
            let float = |name: &str, default: f32| -> Result<f32> {
                let found = attribute(node, name, file)?;
                Ok(match found.and_then(|own| own.last(2).cloned()) {
                    Some(Item::Bits32(bits)) => f32::from_bits(bits),
                    _ => default,
                })
            };
            let mean = match operator {
                "RandomNormalLike" => float("mean", 0.0)?,
                _ => f32::midpoint(float("low", 0.0)?, float("high", 1.0)?),
            };
            let name = |part: &str| format!("{output}#{part}");
            for (part, value) in [("none", 0.0), ("mean", mean)] {
                graph.push_message(5, &scalar(&name(part), value), file);
            }
            let none = simple("Mul", &[input, &name("none")], &name("zeros"));
            graph.push_message(1, &none, file);
            let mean = simple("Add", &[&name("zeros"), &name("mean")], output);
            graph.push_message(1, &mean, file);
            Ok(Some(Instead::Mean))
        }
        _ => Ok(None),
    }
}
