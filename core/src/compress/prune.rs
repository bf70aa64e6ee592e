//! Magnitude pruning: the weights of smallest absolute value become zero, exactly as many as were asked for.
//!
//! The threshold is found without sorting. The bits of |w|, read as an integer, are ordered like |w| itself, so a
//! histogram of their upper half finds the bin that holds the threshold, and a second one, of the lower halves within
//! that bin, finds the threshold. The first histogram does not depend on the slider and is kept.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::error::Result;

/// Everything but the sign.
const MAGNITUDE: u32 = 0x7fff_ffff;
/// Low bits that the first histogram ignores.
const FINE_BITS: u32 = 16;
const COARSE_BINS: usize = 1 << (31 - FINE_BITS);
const FINE_BINS: usize = 1 << FINE_BITS;
/// Weights that one task of a pass handles.
pub(super) const CHUNK: usize = 1 << 18;
/// Weights that are looked at together in search of one that belongs to a rare bin.
const BLOCK: usize = 32;

/// The bits of |w|, which order like |w|.
#[inline(always)]
pub(super) const fn magnitude(weight: f32) -> u32 {
    weight.to_bits() & MAGNITUDE
}

/// How often each upper half of the bits of |w| occurs.
#[derive(Debug, Clone)]
pub(super) struct Histogram(Vec<u32>);

impl Histogram {
    /// Number of bins, of which the first holds the smallest weights.
    pub(super) const BINS: usize = COARSE_BINS;

    /// The bits of |w| that a part of a bin's range ends at.
    pub(super) fn bits(bin: usize, part: f64) -> u32 {
        ((bin as f64 + part) * FINE_BINS as f64).round() as u32
    }

    /// Weights in a bin.
    pub(super) fn at(&self, bin: usize) -> u64 {
        u64::from(self.0[bin])
    }

    /// All weights.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|&n| u64::from(n)).sum()
    }

    /// Counts finite weights.
    pub(super) fn of(weights: &[f32]) -> Self {
        Self(count(weights, COARSE_BINS, |chunk, bins| {
            for &weight in chunk {
                bins[(magnitude(weight) >> FINE_BITS) as usize] += 1;
            }
        }))
    }
}

/// Which weights of a layer become zero: those with a magnitude below `threshold`, and those with exactly this
/// magnitude that come before `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Bits of |w|.
    pub(super) threshold: u32,
    /// Position in the layer.
    pub(super) index: usize,
}

impl Cut {
    /// Nothing becomes zero.
    pub(super) const NONE: Self = Self {
        threshold: 0,
        index: 0,
    };

    /// The smallest magnitude that stays among `len` consecutive weights from number `first` on, unless ties end among
    /// them.
    #[inline(always)]
    pub(super) const fn lowest(self, first: usize, len: usize) -> Option<u32> {
        if self.index <= first {
            Some(self.threshold)
        } else if self.index >= first + len {
            Some(self.threshold + 1)
        } else {
            None
        }
    }
}

/// Layers that are cut together, by their places.
pub(super) trait Layers {
    /// Shows all weights of a layer.
    ///
    /// # Errors
    /// They cannot be read.
    fn show(&self, layer: usize, look: &mut dyn FnMut(&[f32])) -> Result<()>;

    /// Looks for something in the weights of a layer, in parts of it, on all cores.
    ///
    /// # Errors
    /// They cannot be read.
    fn search(
        &self,
        layer: usize,
        look: &(dyn Fn(&[f32]) -> Vec<u16> + Sync),
    ) -> Result<Vec<Vec<u16>>>;
}

/// The cuts that set exactly the `zeros` smallest of all weights of these layers to zero; of equal ones those that come
/// first. A layer's weights are shown once, those of the layer where ties end once more.
///
/// # Errors
/// The weights cannot be read.
pub(super) fn cuts(
    histograms: &[&Histogram],
    zeros: u64,
    weights: &dyn Layers,
) -> Result<Vec<Cut>> {
    let layers = histograms.len();
    if zeros == 0 {
        return Ok(vec![Cut::NONE; layers]);
    }
    let mut below = 0;
    let Some(bin) = (0..COARSE_BINS).find(|&bin| {
        let here: u64 = histograms.iter().map(|h| u64::from(h.0[bin])).sum();
        let found = below + here >= zeros;
        if !found {
            below += here;
        }
        found
    }) else {
        // More zeros than weights: all of them.
        let all = Cut {
            threshold: MAGNITUDE + 1,
            index: 0,
        };
        return Ok(vec![all; layers]);
    };
    let coarse = bin as u32;
    let mut fine = vec![0u64; FINE_BINS];
    for (layer, histogram) in histograms.iter().enumerate() {
        if histogram.0[bin] > 0 {
            let found = weights.search(layer, &|part| lower_halves(part, coarse))?;
            for low in found.into_iter().flatten() {
                fine[usize::from(low)] += 1;
            }
        }
    }
    let mut low = 0;
    while below + fine[low] < zeros {
        below += fine[low];
        low += 1;
    }
    let threshold = (coarse << FINE_BITS) | low as u32;
    let ties = zeros - below;
    if ties == fine[low] {
        let cut = Cut {
            threshold: threshold + 1,
            index: 0,
        };
        return Ok(vec![cut; layers]);
    }
    share_ties(histograms, threshold, ties, weights)
}

/// Lets the first `ties` of the weights with this magnitude become zero.
fn share_ties(
    histograms: &[&Histogram],
    threshold: u32,
    mut ties: u64,
    weights: &dyn Layers,
) -> Result<Vec<Cut>> {
    let bin = (threshold >> FINE_BITS) as usize;
    let mut cuts = Vec::with_capacity(histograms.len());
    for (layer, histogram) in histograms.iter().enumerate() {
        let mut index = 0;
        if ties > 0 && histogram.0[bin] > 0 {
            weights.show(layer, &mut |weights| {
                index = last_tie(weights, threshold, &mut ties);
            })?;
        }
        cuts.push(Cut { threshold, index });
    }
    Ok(cuts)
}

/// Where the last of so many weights with this magnitude ends, and how many are left for later layers.
fn last_tie(weights: &[f32], threshold: u32, ties: &mut u64) -> usize {
    let equal: Vec<usize> = weights
        .par_chunks(CHUNK)
        .map(|chunk| chunk.iter().filter(|&&w| magnitude(w) == threshold).count())
        .collect();
    let mut index = 0;
    for (chunk, &equal) in weights.chunks(CHUNK).zip(&equal) {
        if (equal as u64) < *ties {
            *ties -= equal as u64;
            index += chunk.len();
            continue;
        }
        for &weight in chunk {
            if *ties == 0 {
                break;
            }
            index += 1;
            *ties -= u64::from(magnitude(weight) == threshold);
        }
        break;
    }
    index
}

/// The lower halves of the weights with a given upper half, which are few.
fn lower_halves(weights: &[f32], coarse: u32) -> Vec<u16> {
    struct Search<'a>(&'a [f32], u32);
    impl WithSimd for Search<'_> {
        type Output = Vec<u16>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> Vec<u16> {
            let Self(chunk, coarse) = self;
            let is_here = |weight: f32| magnitude(weight) >> FINE_BITS == coarse;
            let mut found = Vec::new();
            for block in chunk.chunks(BLOCK) {
                // Testing a block at once without a branch keeps the pass at memory speed.
                let mut any = false;
                for &weight in block {
                    any |= magnitude(weight) >> FINE_BITS == coarse;
                }
                if any {
                    let here = block.iter().filter(|&&weight| is_here(weight));
                    // The lower half only.
                    found.extend(here.map(|&weight| magnitude(weight) as u16));
                }
            }
            found
        }
    }
    Arch::new().dispatch(Search(weights, coarse))
}

fn count(weights: &[f32], bins: usize, into: impl Fn(&[f32], &mut [u32]) + Sync) -> Vec<u32> {
    if weights.len() <= CHUNK {
        let mut counts = vec![0; bins];
        into(weights, &mut counts);
        return counts;
    }
    weights
        .par_chunks(CHUNK)
        .fold(
            || vec![0; bins],
            |mut counts, chunk| {
                into(chunk, &mut counts);
                counts
            },
        )
        .reduce(
            || vec![0; bins],
            |mut a, b| {
                for (a, b) in a.iter_mut().zip(b) {
                    *a += b;
                }
                a
            },
        )
}

/// Copies consecutive weights of a layer, the first of which is number `first`, with those that the cut hits as zero.
/// Zeros come out positive.
#[inline(always)]
pub(super) fn cut(weights: &[f32], first: usize, cut: Cut, out: &mut [f32]) {
    let ties = cut.index.clamp(first, first + weights.len()) - first;
    let (weights_before, weights_after) = weights.split_at(ties);
    let (out_before, out_after) = out.split_at_mut(ties);
    copy_from(weights_before, cut.threshold + 1, out_before);
    copy_from(weights_after, cut.threshold, out_after);
}

/// Copies the weights whose magnitude is at least `lowest`.
#[inline(always)]
fn copy_from(weights: &[f32], lowest: u32, out: &mut [f32]) {
    for (out, &weight) in out.iter_mut().zip(weights) {
        // Adding zero turns -0 into 0.
        *out = if magnitude(weight) >= lowest {
            weight + 0.0
        } else {
            0.0
        };
    }
}

/// Copies a row with the two smallest of each four as zero, of equal ones those that come first. The row counts as
/// padded with zeros to a multiple of four: a last one or two stay, of a last three the smallest becomes zero.
#[inline(always)]
pub(super) fn cut_two_of_four(weights: &[f32], out: &mut [f32]) {
    let mut fours = weights.chunks_exact(4);
    let mut outs = out.chunks_exact_mut(4);
    for (out, w) in outs.by_ref().zip(fours.by_ref()) {
        let [a, b, c, d] = [w[0], w[1], w[2], w[3]].map(magnitude);
        // 1 where the later of two is at least as large.
        let (ab, ac, ad) = (u32::from(b >= a), u32::from(c >= a), u32::from(d >= a));
        let (bc, bd, cd) = (u32::from(c >= b), u32::from(d >= b), u32::from(d >= c));
        // Between 0 and 3. A check of overflow would keep the loop off the vector units.
        let larger = [
            ab.wrapping_add(ac).wrapping_add(ad),
            1u32.wrapping_sub(ab).wrapping_add(bc).wrapping_add(bd),
            2u32.wrapping_sub(ac).wrapping_sub(bc).wrapping_add(cd),
            3u32.wrapping_sub(ad).wrapping_sub(bd).wrapping_sub(cd),
        ];
        for i in 0..4 {
            out[i] = if larger[i] < 2 { w[i] + 0.0 } else { 0.0 };
        }
    }
    let (rest, out) = (fours.remainder(), outs.into_remainder());
    copy_from(rest, 0, out);
    if rest.len() == 3 {
        let smallest = (0..3).min_by_key(|&i| magnitude(rest[i])).unwrap_or(0);
        out[smallest] = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Layers for &[&[f32]] {
        fn show(&self, layer: usize, look: &mut dyn FnMut(&[f32])) -> Result<()> {
            look(self[layer]);
            Ok(())
        }

        fn search(
            &self,
            layer: usize,
            look: &(dyn Fn(&[f32]) -> Vec<u16> + Sync),
        ) -> Result<Vec<Vec<u16>>> {
            Ok(self[layer].chunks(5).map(look).collect())
        }
    }

    fn pruned(layers: &[&[f32]], zeros: u64) -> Vec<Vec<f32>> {
        let histograms: Vec<Histogram> = layers.iter().map(|w| Histogram::of(w)).collect();
        let histograms: Vec<&Histogram> = histograms.iter().collect();
        cuts(&histograms, zeros, &layers)
            .unwrap()
            .into_iter()
            .zip(layers)
            .map(|(c, w)| {
                // In two pieces, so that positions within a layer matter.
                let mut out = vec![f32::NAN; w.len()];
                let half = w.len() / 2;
                cut(&w[..half], 0, c, &mut out[..half]);
                cut(&w[half..], half, c, &mut out[half..]);
                out
            })
            .collect()
    }

    #[test]
    fn the_smallest_become_zero_and_of_equal_ones_the_first() {
        let w = [0.5, -0.1, 0.1, 3.0, -0.1, 0.2];
        assert_eq!(pruned(&[&w], 0)[0], w);
        assert_eq!(pruned(&[&w], 2)[0], [0.5, 0.0, 0.0, 3.0, -0.1, 0.2]);
        assert_eq!(pruned(&[&w], 4)[0], [0.5, 0.0, 0.0, 3.0, 0.0, 0.0]);
        assert_eq!(pruned(&[&w], 6)[0], [0.0; 6]);
    }

    #[test]
    fn a_global_threshold_takes_the_smallest_of_all_layers() {
        let (small, large) = ([0.1, -0.2, 0.3], [1.0, 0.2, -2.0, 0.2]);
        assert_eq!(
            pruned(&[&small, &large], 3),
            [vec![0.0, 0.0, 0.3], vec![1.0, 0.0, -2.0, 0.2]]
        );
    }

    #[test]
    fn ties_across_chunks_are_counted_exactly() {
        let w = vec![0.25f32; 2 * CHUNK + 17];
        for zeros in [1, CHUNK, CHUNK + 1, w.len() - 1] {
            let out = pruned(&[&w], zeros as u64).remove(0);
            assert!(out[..zeros].iter().all(|&w| w == 0.0));
            assert!(out[zeros..].iter().all(|&w| w == 0.25));
        }
    }

    #[test]
    fn two_of_four_keeps_the_two_largest() {
        let w = [1.0, -4.0, 2.0, 3.0, 0.5, 0.5, 0.5, 0.5, 7.0, -1.0, 2.0];
        let mut out = [f32::NAN; 11];
        cut_two_of_four(&w, &mut out);
        assert_eq!(
            out,
            [0.0, -4.0, 0.0, 3.0, 0.0, 0.0, 0.5, 0.5, 7.0, 0.0, 2.0]
        );
        cut_two_of_four(&w[..10], &mut out[..10]);
        assert_eq!(out[8..10], [7.0, -1.0]);
    }
}
