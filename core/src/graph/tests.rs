use super::*;

fn graph(op: Op) -> Graph {
    Graph {
        unit: Unit::Sample,
        positions: 1,
        blocks: 2,
        nodes: vec![Node::new("node", Role::Other, op)],
        input: None,
    }
}

#[test]
fn a_long_short_term_memory_has_four_gates_over_its_input_and_its_own_last_output() {
    let graph = graph(Op::Lstm {
        inputs: 3,
        units: 5,
        steps: 1,
    });
    let layer = &graph.layers()[0];
    assert_eq!(layer.shape, [4 * 5, 3 + 5]);
    assert_eq!(layer.other_parameters, 4 * 5);
    assert_eq!(layer.macs, 160.0);
    assert_eq!(layer.kind, crate::profile::LayerKind::Recurrent);
    assert_eq!(graph.parameters(), 4 * 5 * (3 + 5) + 4 * 5);
}

/// As the parameters of PyTorch's `nn.LSTM` and `nn.GRU` without the matrices of their input.
#[test]
fn a_recurrent_layer_multiplies_its_own_output_by_its_gates() {
    for (cell, gates, kept) in [(Cell::Lstm, 4, 2.0), (Cell::Gru, 3, 1.0)] {
        let graph = Graph {
            unit: Unit::Token,
            ..graph(Op::Recurrent { cell, units: 5 })
        };
        let layer = &graph.layers()[0];
        assert_eq!(layer.shape, [gates * 5, 5]);
        assert_eq!(layer.other_parameters, gates as u64 * 5);
        assert_eq!(layer.macs, (gates * 25) as f64);
        assert_eq!(layer.inputs, (gates * 5) as f64);
        assert_eq!(layer.kind, crate::profile::LayerKind::Recurrent);
        // Of 32 bits, whatever the context.
        assert_eq!(graph.kept_bytes(100.0), 4.0 * 5.0 * kept);
        let tensors = graph.tensors();
        let names = tensors.iter().map(|(name, _)| name.as_str());
        assert!(names.eq(["node.weight", "node.bias"]));
        assert_eq!(tensors[1].1, [gates * 5]);
    }
}

/// Two nodes that each stand for one block, or one that stands for both.
#[test]
fn equal_layers_count_the_same_together_and_apart() {
    let ops = [
        Op::Linear {
            inputs: 7,
            outputs: 11,
            bias: true,
        },
        Op::Embedding { rows: 5, width: 3 },
        Op::Norm {
            width: 9,
            parameters: 2,
            rule: None,
        },
        Op::Attention(Attention {
            heads: 4,
            kv_heads: 2,
            width: 8,
            reading_widths: 16,
            cached: 32,
            earlier: false,
            window: Some(64),
            picked: false,
            positions: None,
            latent: false,
            scores: None,
        }),
        Op::Lstm {
            inputs: 3,
            units: 5,
            steps: 1,
        },
        Op::Recurrent {
            cell: Cell::Gru,
            units: 5,
        },
    ];
    for op in ops {
        let one = graph(op.clone());
        let both = Graph {
            nodes: vec![one.nodes[0].clone().times(2)],
            ..one.clone()
        };
        let (each, sum) = (&one.layers()[0], &both.layers()[0]);
        assert_eq!(sum.weights(), 2 * each.weights(), "{op:?}");
        assert_eq!(sum.other_parameters, 2 * each.other_parameters, "{op:?}");
        assert_eq!(sum.execution.layers, 2, "{op:?}");
        for of in [
            (|layer: &Layer| layer.macs) as fn(&Layer) -> f64,
            |layer| layer.inputs,
            |layer| layer.outputs,
            |layer| layer.cache,
        ] {
            assert_eq!(of(sum), 2.0 * of(each), "{op:?}");
        }
    }
}

/// A language model of two blocks whose attention differs is the sum of both, not twice their mean.
#[test]
fn layers_that_differ_are_not_averaged() {
    let attention = |window| {
        Op::Attention(Attention {
            heads: 4,
            kv_heads: 2,
            width: 8,
            reading_widths: 16,
            cached: 32,
            earlier: false,
            window,
            picked: false,
            positions: None,
            latent: false,
            scores: None,
        })
    };
    let norm = Op::Norm {
        width: 32,
        parameters: 1,
        rule: None,
    };
    let graph = Graph {
        unit: Unit::Token,
        positions: 1,
        blocks: 2,
        nodes: vec![
            Node::new("a", Role::Attention, attention(None)),
            Node::new("b", Role::Attention, attention(Some(10))),
            Node::new("norms", Role::Norm, norm),
        ],
        input: None,
    };
    let language = graph.language().unwrap();
    assert_eq!(language.blocks, 2.0);
    assert_eq!(language.cached(100.0, 1.0), 32.0 * (100.0 + 10.0));
    assert_eq!(language.scores(100.0), 4.0 * 4.0 * 8.0 * (100.0 + 10.0));
    // Three devices for two key-value heads: half of them twice.
    assert_eq!(
        language.cached(100.0, 3.0),
        1.5 * language.cached(100.0, 1.0)
    );
}

/// What class models count as kept of a sequence is what the graph says, whatever is read of it.
#[test]
fn kept_and_read_are_told_apart() {
    use crate::hardware::{Machine, Request};
    use crate::scenario::Scenario;
    let attention = |window, picked, earlier| {
        Op::Attention(Attention {
            heads: 4,
            kv_heads: 2,
            width: 8,
            reading_widths: 16,
            cached: 32,
            earlier,
            window,
            picked,
            positions: None,
            latent: false,
            scores: None,
        })
    };
    let scenario = Scenario {
        context: 1000,
        ..Scenario::default()
    };
    for (op, read, kept) in [
        (attention(None, false, false), 32_000.0, 32_000.0),
        (attention(Some(100), false, false), 3200.0, 3200.0),
        (attention(Some(100), true, false), 3200.0, 32_000.0),
        (attention(None, false, true), 32_000.0, 0.0),
        // Two numbers of 16 bits each, read and written.
        (
            Op::State {
                numbers: 50,
                parameters: 0,
            },
            200.0,
            100.0,
        ),
        (
            Op::Recurrent {
                cell: Cell::Lstm,
                units: 25,
            },
            200.0,
            100.0,
        ),
    ] {
        let graph = Graph {
            unit: Unit::Token,
            ..graph(op)
        };
        let profile = crate::compress::plan(
            "test",
            Unit::Token,
            &graph.layers(),
            &crate::recipe::Recipe::default(),
        );
        let request = Request {
            profile: &profile,
            scenario: &scenario,
            machine: Machine::Real,
            explain: false,
            reading: false,
        };
        let layer = &profile.layers[0].layer;
        assert_eq!(request.work(layer).1, read, "{:?}", graph.nodes[0].op);
        assert_eq!(request.kept(layer), kept, "{:?}", graph.nodes[0].op);
        assert_eq!(
            graph.kept_bytes(1000.0),
            2.0 * kept,
            "{:?}",
            graph.nodes[0].op
        );
    }
}
