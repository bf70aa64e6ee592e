//! Networks of ONNX files that are none of our own kinds: counted from their graph, run by another library.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Family, Sizes};
use crate::formats::{Given, Replaced, rounded};
use crate::graph::Graph;
use crate::profile::{Layer, LayerKind};
use crate::runner::Network;
use crate::serving::architecture::{Architecture as Outlined, Shape};

/// The network of an ONNX file. Two are the same where their files are.
#[derive(Debug, Clone)]
pub struct OnnxConfig(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    hash: String,
    outlined: Outlined,
    replaced: BTreeMap<String, Replaced>,
    network: Network,
    outputs: Vec<String>,
    given: Result<Vec<Given>, String>,
}

impl OnnxConfig {
    /// A network by what is counted of it, the layers whose weights can be replaced, what runs it, the names of its
    /// outputs, what it is given, and the hash of its file.
    pub(crate) fn new(
        outlined: Outlined,
        replaced: BTreeMap<String, Replaced>,
        network: Network,
        outputs: Vec<String>,
        given: Result<Vec<Given>, String>,
        hash: String,
    ) -> Self {
        Self(Arc::new(Opened {
            hash,
            outlined,
            replaced,
            network,
            outputs,
            given,
        }))
    }

    /// The same network as one that is known by its shapes.
    pub(crate) fn outlined(&self) -> &Outlined {
        &self.0.outlined
    }

    /// The layers whose weights can be replaced, by name.
    pub(crate) fn replaced(&self) -> &BTreeMap<String, Replaced> {
        &self.0.replaced
    }

    /// What runs it.
    pub(crate) fn network(&self) -> &Network {
        &self.0.network
    }

    /// Bits of its parameters that are no weights of a layer.
    pub(crate) fn other_bits(&self) -> u8 {
        match &self.0.outlined.shape {
            Shape::Listed(listed) => listed.other_bits,
            _ => 32,
        }
    }

    /// The same with what enters the layers that can be replaced rounded to so many bits.
    ///
    /// # Errors
    /// The written network is damaged, or what enters one of them cannot be rounded.
    pub(crate) fn rounded(&self, bits: u8) -> Result<Network, String> {
        // What stands more than once has its number behind the name.
        let label =
            |name: &String| match name.strip_suffix(')').and_then(|own| own.rsplit_once(" (")) {
                Some((own, number)) if number.parse::<u32>().is_ok() => own.to_owned(),
                _ => name.clone(),
            };
        let mut layers: BTreeMap<String, usize> = BTreeMap::new();
        // Numbers that are looked up enter a table as they are.
        let tables: Vec<String> = (self.graph().layers().into_iter())
            .filter(|layer| layer.kind == LayerKind::Embedding)
            .map(|layer| layer.name)
            .collect();
        for own in self.0.replaced.keys().filter(|own| !tables.contains(own)) {
            *layers.entry(label(own)).or_default() += 1;
        }
        let network = &self.0.network;
        Ok(Network {
            graph: rounded(&network.graph, &layers, bits)?.into(),
            ..network.clone()
        })
    }

    /// Names of its outputs.
    pub(crate) fn outputs(&self) -> &[String] {
        &self.0.outputs
    }

    /// What it asks for, or why that is not known.
    pub(crate) fn asked(&self) -> Result<&[Given], &str> {
        match &self.0.given {
            Ok(given) => Ok(given),
            Err(fact) => Err(fact),
        }
    }

    /// Its layers; only those whose weights can be replaced are compressed.
    pub(in crate::model) fn layers(&self) -> Vec<Layer> {
        let mut layers = self.graph().layers();
        for layer in &mut layers {
            layer.compressible &= self.0.replaced.contains_key(&layer.name);
        }
        layers
    }

    /// Names and shapes of the weights that can be replaced.
    pub(in crate::model) fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let layers = self.layers().into_iter();
        let layers = layers.filter(|layer| layer.compressible);
        layers
            .map(|layer| (format!("{}.weight", layer.name), layer.shape))
            .collect()
    }
}

impl PartialEq for OnnxConfig {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash == other.0.hash
    }
}

impl Eq for OnnxConfig {}

impl Hash for OnnxConfig {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

impl Serialize for OnnxConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.hash.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OnnxConfig {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "a network of an ONNX file is read from that file only",
        ))
    }
}

impl Family for OnnxConfig {
    fn name(&self) -> &'static str {
        match &self.0.outlined.shape {
            Shape::Listed(listed) => listed.family,
            _ => "network",
        }
    }

    fn graph(&self) -> Graph {
        self.0.outlined.graph()
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            sizes: Vec::new(),
            parts: ("layers", 1),
        }
    }

    fn implausible(&self) -> Option<String> {
        None
    }
}
