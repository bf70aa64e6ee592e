use super::*;
use crate::model::{Architecture, CnnConfig, GptConfig};

fn bytes_graph() -> Graph {
    Architecture::Gpt(GptConfig::bytes()).graph()
}

fn text(bytes: usize) -> EvaluationSet {
    let bytes = (0..bytes).map(|i| (i % 251) as u8).collect();
    EvaluationSet::text(&bytes_graph(), bytes).unwrap()
}

#[test]
fn the_steps_cover_every_item_once_and_none_is_a_single_item() {
    for contexts in 2..40 {
        let set = text(contexts * 128 + 1);
        let (mut from, mut steps) = (0, 0);
        while from < set.items() {
            let step = set.step(from);
            assert!(step.start == from && step.len() >= 2, "{step:?}");
            from = step.end;
            steps += 1;
        }
        assert_eq!(from, contexts);
        assert!(steps <= contexts.div_ceil(CONTEXTS_PER_STEP));
    }
}

#[test]
fn every_byte_but_the_first_is_a_target_once() {
    let set = text(128 * 5 + 1);
    let mut seen: Vec<u32> = (0..set.items())
        .flat_map(|i| set.targets(i).to_vec())
        .collect();
    let mut expected: Vec<u32> = (1..=128 * 5).map(|i| i % 251).collect();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!(set.len(), 640);
}

#[test]
fn a_target_is_the_byte_after_its_input() {
    let set = text(128 * 9 + 1);
    let input = set.input(0..9).unwrap().to_vec2::<u32>().unwrap();
    for (item, input) in input.iter().enumerate() {
        let targets = set.targets(item);
        assert_eq!(targets.len(), input.len());
        assert!(input[1..].iter().zip(targets).all(|(&a, &b)| a == b));
    }
}

#[test]
fn each_round_of_contexts_has_one_of_each_stretch() {
    for contexts in [512, 40, 16, 5] {
        let set = text(contexts * 128 + 1);
        let mut order: Vec<usize> = in_rounds(contexts);
        let stretches = STRETCHES.min(contexts);
        for round in 0..contexts / stretches {
            let items = round * stretches..(round + 1) * stretches;
            let found: std::collections::HashSet<_> = items.map(|i| set.cluster(i)).collect();
            // The last rounds may lack a stretch that is shorter by one.
            assert!(found.len() == stretches || round + 1 == contexts / stretches);
        }
        order.sort_unstable();
        assert_eq!(order, (0..contexts).collect::<Vec<_>>());
    }
}

#[test]
fn the_order_is_the_same_every_time_and_not_that_of_the_file() {
    assert_eq!(shuffled(100), shuffled(100));
    assert_ne!(shuffled(100), (0..100).collect::<Vec<_>>());
}

#[test]
fn data_that_do_not_fit_are_refused() {
    let refused = |set: Result<EvaluationSet>| set.unwrap_err().to_string();
    let cnn = Architecture::Cnn(CnnConfig::fashion()).graph();
    assert_eq!(
        refused(EvaluationSet::images(&cnn, vec![0; 784], vec![1, 2])),
        "computation failed: 2 labels need 1568 pixels in 1 x 28 x 28, not 784"
    );
    assert_eq!(
        refused(EvaluationSet::images(&cnn, vec![0; 1568], vec![1, 10])),
        "computation failed: an image is of class 10, but the network tells 10 classes apart"
    );
    assert_eq!(
        refused(EvaluationSet::text(&bytes_graph(), vec![0; 200])),
        "computation failed: 200 bytes of text are fewer than two contexts of 128"
    );
}
