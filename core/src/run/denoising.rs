//! Making images of noise with a network that predicts velocities (Salimans and Ho 2022, <https://arxiv.org/abs/2202.00512>).
//!
//! At time t from 0 to 1 an image x with noise ε is cos(φ) x + sin(φ) ε, with φ = t · π/2: the cosine schedule (Nichol and Dhariwal
//! 2021, <https://arxiv.org/abs/2102.09672>, without its offset). Its velocity is cos(φ) ε − sin(φ) x. Shades go from −1 to 1.

use std::f32::consts::FRAC_PI_2;

use super::Network;
use crate::error::Result;

/// Cosine and sine of the angle at a time: how much there is of the image, and of the noise.
pub(crate) fn shares(time: f32) -> (f32, f32) {
    let angle = time * FRAC_PI_2;
    (angle.cos(), angle.sin())
}

/// A shade from 0 to 1 as denoisers see it.
pub(crate) fn centred(shade: f32) -> f32 {
    2.0 * shade - 1.0
}

/// An image with noise at a time, and that time, as the network is given them; appended to `given`.
pub(crate) fn with_noise(image: &[f32], noise: &[f32], time: f32, given: &mut Vec<f32>) {
    let (of_image, of_noise) = shares(time);
    let pairs = image.iter().zip(noise);
    given.extend(pairs.map(|(x, e)| of_image * x + of_noise * e));
    given.push(time);
}

/// The velocity that is to be predicted, appended to `to`.
pub(crate) fn velocity(image: &[f32], noise: &[f32], time: f32, to: &mut Vec<f32>) {
    let (of_image, of_noise) = shares(time);
    let pairs = image.iter().zip(noise);
    to.extend(pairs.map(|(x, e)| of_image * e - of_noise * x));
}

/// Images, shades from 0 to 1, of rows of so much noise each, in so many steps of equal length: DDIM without new noise (Song et
/// al. 2021, <https://arxiv.org/abs/2010.02502>), which with velocities turns the image and its velocity by one angle.
///
/// # Errors
/// A kernel of another library refuses.
pub(crate) fn sample(
    network: &Network,
    noise: &[f32],
    pixels: usize,
    steps: u32,
) -> Result<Vec<f32>> {
    sample_by(&mut |given| network.encode(given), noise, pixels, steps)
}

/// The same with velocities that are predicted by anything.
fn sample_by(
    predict: &mut dyn FnMut(&[f32]) -> Result<Vec<f32>>,
    noise: &[f32],
    pixels: usize,
    steps: u32,
) -> Result<Vec<f32>> {
    let mut images = noise.to_vec();
    let (cos, sin) = shares(1.0 / steps.max(1) as f32);
    for step in (1..=steps.max(1)).rev() {
        let time = step as f32 / steps.max(1) as f32;
        let mut given = Vec::with_capacity(images.len() + images.len() / pixels.max(1));
        for image in images.chunks_exact(pixels.max(1)) {
            given.extend_from_slice(image);
            given.push(time);
        }
        let velocities = predict(&given)?;
        for (x, v) in images.iter_mut().zip(velocities) {
            *x = cos * *x - sin * v;
        }
    }
    let shade = |x: f32| (0.5 * (x + 1.0)).clamp(0.0, 1.0);
    Ok(images.into_iter().map(shade).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Single precision over up to fifty turns.
    const TOLERANCE: f32 = 1e-3;

    fn some(n: usize, by: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * by).sin()).collect()
    }

    #[test]
    fn noise_and_velocity_give_the_image_back() {
        let (image, noise) = (some(20, 1.3), some(20, 2.1));
        for time in [0.0, 0.2, 0.5, 0.99, 1.0] {
            let (mut given, mut velocities) = (Vec::new(), Vec::new());
            with_noise(&image, &noise, time, &mut given);
            velocity(&image, &noise, time, &mut velocities);
            assert_eq!(given.pop(), Some(time));
            let (of_image, of_noise) = shares(time);
            for ((x, v), (image, noise)) in
                given.iter().zip(&velocities).zip(image.iter().zip(&noise))
            {
                assert!((of_image * x - of_noise * v - image).abs() < TOLERANCE);
                assert!((of_noise * x + of_image * v - noise).abs() < TOLERANCE);
            }
        }
    }

    #[test]
    fn who_knows_the_only_image_makes_it_of_any_noise_in_any_number_of_steps() {
        let image = some(9, 0.7);
        let noise = some(18, 3.1);
        for steps in [1, 2, 7, 50] {
            let mut passes = 0;
            let mut predict = |given: &[f32]| {
                passes += 1;
                let rows = given.chunks_exact(10).flat_map(|row| {
                    let (of_image, of_noise) = shares(row[9]);
                    let pairs = row.iter().zip(&image);
                    pairs.map(move |(x, image)| {
                        let noise = (x - of_image * image) / of_noise;
                        of_image * noise - of_noise * image
                    })
                });
                Ok(rows.collect())
            };
            let made = sample_by(&mut predict, &noise, 9, steps).unwrap();
            assert_eq!(passes, steps);
            for (i, shade) in made.iter().enumerate() {
                let wanted = 0.5 * (image[i % 9] + 1.0);
                assert!((shade - wanted).abs() < TOLERANCE, "{shade} {wanted}");
            }
        }
    }
}
