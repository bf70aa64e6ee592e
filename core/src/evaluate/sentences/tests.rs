use proptest::prelude::*;

use super::*;

fn answers(rows: &[&[f32]]) -> Vec<Answers> {
    answered(rows.iter().map(|row| row.to_vec()).collect()).unwrap()
}

fn set(n: usize) -> SentenceSet {
    SentenceSet {
        texts: (0..n).map(|i| format!("sentence {i}")).collect(),
        tokens: vec![vec![1]; n],
        order: in_rounds(n),
        pooling: Pooling::Mean,
        vocabulary: 2,
    }
}

/// Rows that point everywhere.
fn scattered(n: usize, seed: f32) -> Vec<Answers> {
    let row = |i: usize| -> Vec<f32> {
        (0..8)
            .map(|j| (((i * 37 + j * 11) as f32 + seed * (i * i + 3 * j) as f32) * 0.7).sin())
            .collect()
    };
    answered((0..n).map(row).collect()).unwrap()
}

#[test]
fn a_cosine_is_that_of_the_angle() {
    assert_eq!(cosine(&[3.0, 0.0], &[0.0, 2.0]), 0.0);
    assert!((cosine(&[1.0, 1.0], &[5.0, 0.0]) - 0.5_f64.sqrt()).abs() < 1e-12);
    assert_eq!(cosine(&[1.0, -2.0], &[-0.5, 1.0]), -1.0);
    assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
}

#[test]
fn pooling_is_the_mean_the_first_or_the_last() {
    let rows = [1.0, 2.0, 3.0, 4.0, 5.0, 12.0];
    assert_eq!(Pooling::Mean.of(&rows, 2), [3.0, 6.0]);
    assert_eq!(Pooling::First.of(&rows, 2), [1.0, 2.0]);
    assert_eq!(Pooling::Last.of(&rows, 2), [5.0, 12.0]);
}

#[test]
fn the_nearest_are_those_of_the_smallest_angle_and_a_sentence_is_not_its_own() {
    let all = answers(&[
        &[1.0, 0.0],
        &[0.9, 0.1],
        &[0.0, 7.0],
        &[100.0, 1.0],
        &[-1.0, 0.0],
    ]);
    let all: Vec<&Answers> = all.iter().collect();
    let near: Vec<usize> = nearest(&directions(&all), 0, 3)
        .iter()
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(near, [3, 1, 2]);
}

#[test]
fn the_same_embeddings_have_the_same_neighbours_and_others_few() {
    let n = 200;
    let (set, one, other) = (set(n), scattered(n, 0.0), scattered(n, 1.3));
    let refs = |all: &[Answers]| all.to_vec();
    let (one, other) = (refs(&one), refs(&other));
    let (one, other): (Vec<&Answers>, Vec<&Answers>) =
        (one.iter().collect(), other.iter().collect());
    let same = set.overlap(&one, &one);
    assert_eq!((same.value, same.low, same.high), (1.0, 1.0, 1.0));
    let apart = set.overlap(&one, &other);
    assert!(apart.value < 0.9 && apart.low < apart.high, "{apart:?}");
    // Lengths and a turn of all change nothing.
    let turned: Vec<Answers> = one
        .iter()
        .map(|answers| Answers {
            embedding: answers.embedding.iter().rev().map(|x| 3.0 * x).collect(),
            ..Answers::default()
        })
        .collect();
    let turned: Vec<&Answers> = turned.iter().collect();
    assert_eq!(set.overlap(&one, &turned).value, 1.0);
    let shown = set.examples(&one, &other);
    assert_eq!(shown.len(), SHOWN);
    for example in shown {
        let Example::Nearest {
            sentence,
            original,
            compressed,
        } = example
        else {
            panic!("no sentences");
        };
        assert_eq!(
            (original.len(), compressed.len()),
            (SHOWN_NEAREST, SHOWN_NEAREST)
        );
        let both = |near: &[Near]| near.iter().filter(|near| near.by_both).count();
        assert_eq!(both(&original), both(&compressed));
        assert!(original.iter().all(|near| near.sentence != sentence));
        assert!(
            original
                .windows(2)
                .all(|pair| pair[0].similarity >= pair[1].similarity)
        );
    }
}

#[test]
fn what_is_no_number_is_refused() {
    assert!(answered(vec![vec![1.0, f32::NAN]]).is_err());
    assert!(answered(vec![vec![f32::INFINITY]]).is_err());
}

proptest! {
    #[test]
    fn cosines_and_overlaps_lie_within_their_bounds(
        numbers in prop::collection::vec(-1e3_f32..1e3, 60..120),
        noise in prop::collection::vec(-1e3_f32..1e3, 120),
    ) {
        let rows = |numbers: &[f32]| {
            answered(numbers.chunks_exact(4).map(<[f32]>::to_vec).collect()).unwrap()
        };
        let (one, other) = (rows(&numbers), rows(&noise[..numbers.len()]));
        for (a, b) in one.iter().zip(&other) {
            let cosine = cosine(&a.embedding, &b.embedding);
            prop_assert!((-1.0..=1.0).contains(&cosine));
            prop_assert!(super::cosine(&a.embedding, &a.embedding) <= 1.0);
        }
        let (one, other): (Vec<&Answers>, Vec<&Answers>) = (one.iter().collect(), other.iter().collect());
        let overlap = set(one.len()).overlap(&one, &other);
        prop_assert!((0.0..=1.0).contains(&overlap.value));
        // It does not matter which of both is called the original.
        prop_assert!((set(one.len()).overlap(&other, &one).value - overlap.value).abs() < 1e-12);
    }
}
