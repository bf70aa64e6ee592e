//! An ONNX file's network as our own: its nodes of the closed list of operations, each with the format of its weights.

use std::sync::Arc;

use super::value::elements;
use super::work::{Extent, Kind, Work};
use super::{Counted, Result};
use crate::graph::{Conv, Graph, Node, Op, Role, Sized};
use crate::profile::{LayerKind, Unit};
use crate::serving::Listed;
use crate::serving::architecture::{Architecture, Shape, StoredWeights};

/// Name of what is no weight of a single node.
const OTHERS: &str = "biases, norms and tables";
/// The most parameters, as of configurations.
const MOST_PARAMETERS: f64 = 1e15;

/// The network, called `id`, of the file that `source` names.
///
/// # Errors
/// It has no parameters or more than any network.
pub(crate) fn network(counted: &Counted, id: String, source: &str) -> Result<Architecture> {
    let parameters = counted.parameters() as f64;
    if !(1.0..=MOST_PARAMETERS).contains(&parameters) {
        return Err(format!("it has {parameters:e} parameters"));
    }
    let (mut nodes, mut stored) = (Vec::new(), Vec::new());
    let mut rest = counted.others;
    for work in &counted.works {
        let (node, apart) = node(work);
        nodes.push(node);
        stored.push(format(work));
        rest = rest.saturating_add(apart);
    }
    while rest > 0 {
        let parameters = u32::try_from(rest).unwrap_or(u32::MAX);
        nodes.push(Node::new(OTHERS, Role::Other, Op::Folded { parameters }));
        stored.push(plain(counted.other_bits));
        rest -= u64::from(parameters);
    }
    let graph = Graph {
        unit: if counted.reads_images {
            Unit::Image
        } else {
            Unit::Sample
        },
        positions: 1,
        blocks: 0,
        nodes,
        input: None,
    };
    let work: f64 = counted.works.iter().map(|work| work.macs).sum();
    if !work.is_finite() {
        return Err("its work is beyond any number".to_owned());
    }
    let listed = Listed {
        graph,
        stored,
        activation_bits: most(
            counted
                .multiplying()
                .map(|work| (work.activation_bits, work.macs)),
        ),
        other_bits: counted.other_bits,
        family: family(counted),
    };
    let weights = counted.works.iter();
    let weights = weights.map(|work| (work.weight_bits, work.parameters as f64));
    Ok(Architecture {
        id,
        names: Vec::new(),
        family: "unknown".to_owned(),
        source: format!("{source}: ONNX, {} layers", counted.works.len()),
        parameters,
        weight_bits: Some(most(weights)),
        expert_bits: None,
        formats: None,
        notes: counted.notes.clone(),
        context_limit: None,
        shape: Shape::Listed(Arc::new(listed)),
        summed: Default::default(),
    })
}

impl Counted {
    /// All parameters.
    pub(crate) fn parameters(&self) -> u64 {
        let own = self.works.iter();
        let own = own.map(|work| work.parameters.saturating_add(work.bias));
        own.fold(self.others, u64::saturating_add)
    }

    /// Nodes that run and multiply with weights.
    fn multiplying(&self) -> impl Iterator<Item = &Work> {
        self.works
            .iter()
            .filter(|work| work.runs && work.weights.is_some())
    }
}

/// The width that most of the work or weights have; 32 where there is none.
fn most(of: impl Iterator<Item = (u8, f64)>) -> u8 {
    let mut sums = [0.0; 65];
    for (bits, amount) in of {
        sums[usize::from(bits.min(64))] += amount;
    }
    let widest = (1..=64).filter(|bits: &u8| sums[usize::from(*bits)] > 0.0);
    let widest = widest.max_by(|a, b| sums[usize::from(*a)].total_cmp(&sums[usize::from(*b)]));
    // What is stored in 64 bits is computed in 32.
    widest.unwrap_or(32).min(32)
}

fn family(counted: &Counted) -> &'static str {
    let share = |is: fn(&Kind) -> bool| -> f64 {
        let own = counted
            .works
            .iter()
            .filter(|work| work.runs && is(&work.kind));
        own.map(|work| work.macs).sum()
    };
    let recurrent = share(|kind| matches!(kind, Kind::Recurrent(_)));
    let convolutions = share(|kind| matches!(kind, Kind::Conv { .. }));
    let products = share(|kind| matches!(kind, Kind::Product | Kind::Scores));
    if recurrent > 0.1 * (convolutions + products) {
        "network with recurrent layers"
    } else if convolutions > products {
        "convolutional network"
    } else if share(|kind| *kind == Kind::Scores) > 0.0 {
        "network with products of its own results, as of attention"
    } else {
        "network of dense layers"
    }
}

const fn plain(bits: u8) -> StoredWeights {
    StoredWeights {
        bits,
        group: 0,
        scale_bits: 0,
    }
}

/// How a node's weights are stored: of a scale for each row or group; one for all is too little to count.
fn format(work: &Work) -> StoredWeights {
    let Some(weights) = &work.weights else {
        return plain(work.weight_bits.min(32));
    };
    let (count, rows) = (
        weights.scales.count,
        work.parameters / weights.fan_in.max(1),
    );
    let group = match count {
        0 | 1 => return plain(work.weight_bits.min(32)),
        _ if count <= rows => 0,
        _ => u32::try_from(work.parameters.div_ceil(count)).unwrap_or(0),
    };
    StoredWeights {
        bits: work.weight_bits.min(32),
        group,
        scale_bits: weights.scales.bits,
    }
}

/// A node, and its parameters that stand with the others.
fn node(work: &Work) -> (Node, u64) {
    // Rounds are far fewer than the limit of the type.
    let passes = work.rounds.clamp(1.0, 1e9) as u32;
    let (op, apart) = match whole(work) {
        Some(op) => (op, 0),
        None => sized(work),
    };
    let node = Node {
        added: if work.runs { work.added } else { 0.0 },
        passes: if work.runs { passes } else { 1 },
        ..Node::new(work.name.as_str(), Role::Other, op)
    };
    (node, apart)
}

/// A node of which size and work are all that is known, and its parameters that fill no row.
fn sized(work: &Work) -> (Op, u64) {
    let fan_in = work
        .weights
        .as_ref()
        .map_or(1, |weights| weights.fan_in.max(1));
    let parameters = work.parameters - work.parameters % fan_in;
    let apart = (work.parameters - parameters).saturating_add(work.bias);
    let kind = match &work.kind {
        // Stored, and not read.
        _ if !work.runs => LayerKind::Embedding,
        // Weights that are another node's are read on the way.
        Kind::Product if parameters == 0 => LayerKind::Attention,
        Kind::Scores => LayerKind::Attention,
        Kind::Product => LayerKind::Linear,
        Kind::Lookup => LayerKind::Embedding,
        Kind::Norm => LayerKind::Elementwise,
        Kind::Recurrent(_) => LayerKind::Recurrent,
        Kind::Conv { .. } => LayerKind::Conv2d,
    };
    let does = if work.runs { 1.0 } else { 0.0 };
    let op = Op::Sized(Sized {
        kind,
        parameters: parameters as f64,
        width: fan_in as f64,
        macs: Some(does * work.macs),
        moved: Some((does * work.inputs, does * work.outputs)),
    });
    (op, apart)
}

/// A node of our own kinds that computes the same, where there is one.
fn whole(work: &Work) -> Option<Op> {
    if !work.runs || work.rounds != 1.0 {
        return None;
    }
    let small = |n: &u64| u32::try_from(*n).ok();
    match &work.kind {
        Kind::Recurrent(Some((inputs, units, steps))) => {
            let gates = units.saturating_mul(4);
            let same = gates.saturating_mul(inputs.saturating_add(*units)) == work.parameters;
            (same && work.bias == gates).then_some(())?;
            Some(Op::Lstm {
                inputs: small(inputs)?,
                units: small(units)?,
                steps: small(steps)?,
            })
        }
        Kind::Conv {
            from,
            to,
            kernel,
            groups,
            transposed,
        } => convolution(work, (*from, *to), *kernel, *groups, *transposed),
        _ => None,
    }
}

/// A convolution by its extents, where these tell its weights and its work.
fn convolution(
    work: &Work,
    (from, to): (Extent, Extent),
    kernel: (u64, u64),
    groups: u64,
    transposed: bool,
) -> Option<Op> {
    let small = |n: u64| u32::try_from(n).ok();
    let extent = |of: Extent| Some((small(of.0)?, small(of.1)?, small(of.2)?));
    let weights = elements(&[to.0, from.0.div_ceil(groups), kernel.0, kernel.1]);
    let places = if transposed { from } else { to };
    let macs = weights as f64 * (places.1.saturating_mul(places.2)) as f64;
    let bias = work.bias == to.0;
    if weights != work.parameters || macs != work.macs || !(bias || work.bias == 0) {
        return None;
    }
    Some(Op::Conv(Conv {
        from: extent(from)?,
        to: extent(to)?,
        kernel: (small(kernel.0)?, small(kernel.1)?),
        groups: small(groups)?,
        transposed,
        bias,
        window: None,
    }))
}
