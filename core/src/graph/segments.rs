//! Where a network can be cut, so that its parts run one after another and only one of them is in memory.

use std::ops::Range;

use super::{Graph, Op, Value};

impl Graph {
    /// The nodes in parts that follow each other: of all results of a part only the last is read after it. They end at
    /// tables, at recurrent layers and at the sums of residual connections, so that a block of a language model is one part or
    /// more, and what comes after the last block one of its own. A single part, where there is no such place.
    pub fn segments(&self) -> Vec<Range<usize>> {
        let mut last_reader = vec![0; self.nodes.len()];
        let mut input_read_until = 0;
        for (i, node) in self.nodes.iter().enumerate() {
            for value in &node.inputs {
                match value {
                    Value::Input => input_read_until = i,
                    Value::Node(from) => last_reader[*from] = i,
                }
            }
        }
        let (mut segments, mut start, mut open_until) = (Vec::new(), 0, input_read_until);
        for (i, node) in self.nodes.iter().enumerate() {
            // All results before this one are read here or earlier.
            let alone = open_until <= i;
            let place = matches!(
                node.op,
                Op::Add | Op::Embedding { .. } | Op::Row { .. } | Op::Recurrent { .. }
            );
            if alone && place && i + 1 < self.nodes.len() {
                segments.push(start..i + 1);
                start = i + 1;
            }
            open_until = open_until.max(last_reader[i]);
        }
        segments.push(start..self.nodes.len());
        segments
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{Op, Value};
    use crate::model::{Architecture, CnnConfig, GptConfig};

    #[test]
    fn parts_follow_each_other_and_only_the_last_result_is_read_after_them() {
        let gpt = GptConfig::bytes();
        let networks = [
            Architecture::Gpt(gpt.clone()),
            Architecture::Cnn(CnnConfig::fashion()),
        ];
        for graph in networks.map(|network| network.graph()) {
            let segments = graph.segments();
            let mut next = 0;
            for segment in &segments {
                assert_eq!(segment.start, next);
                next = segment.end;
                let reads = graph.nodes[segment.end..].iter();
                for value in reads.flat_map(|node| &node.inputs) {
                    match value {
                        Value::Node(from) => assert!(*from + 1 >= segment.end, "{segment:?}"),
                        Value::Input => assert!(segments.len() == 1),
                    }
                }
            }
            assert_eq!(next, graph.nodes.len());
        }
        let graph = Architecture::Gpt(gpt.clone()).graph();
        let segments = graph.segments();
        // Two a block, one before all and one after them.
        assert_eq!(segments.len(), 2 * gpt.blocks + 2);
        let attentions = |range: &std::ops::Range<usize>| {
            let nodes = graph.nodes[range.clone()].iter();
            nodes.filter(|n| matches!(n.op, Op::Attention(_))).count()
        };
        assert!(segments.iter().all(|range| attentions(range) <= 1));
    }
}
