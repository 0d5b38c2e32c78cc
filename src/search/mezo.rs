//! MeZO's moves along noise that is drawn again instead of being kept.
//!
//! Malladi et al. 2023, "Fine-tuning language models with just forward passes", NeurIPS,
//! arXiv:2305.17333, Alg. 1.
//!
//!   x parameter   z standard normal noise, a function of (seed, stream, element)
//!   move (a, b):  x = round(a x + b z)
//!
//! A pass makes several moves, one after the other, and draws z once for all of them. Each is
//! computed in f64 and rounded to the type of the tensor: x + d and back is x again wherever the sum
//! does not reach a larger binade and is no tie, which the digits of d in f64 make rare. Memory:
//! blocks that stay in the first-level cache.

use crate::engine::pass::{self, Access, Lone};
use crate::engine::rng::{Dither, Philox};
use crate::engine::simd::{self, Kernel};
use crate::engine::tensor::Tensor;

/// What to do with a tensor.
pub struct Walk<'a> {
    /// What is moved.
    pub x: Tensor<'a>,
    /// The stream of its noise.
    pub stream: u64,
    /// Factors of the parameter and of the noise.
    pub moves: Vec<[f64; 2]>,
}

/// Makes the moves of all `walks`; with a `dither` step the last move of each is rounded
/// stochastically where the tensor has two bytes an element.
pub fn walk(walks: Vec<Walk<'_>>, rng: Philox, dither: Option<u64>) {
    let chunks = pass::chunks(walks.iter().map(|walk| walk.x.len()));
    let (mut entries, mut plans) = (Vec::with_capacity(walks.len()), Vec::new());
    for Walk { x, stream, moves } in walks {
        plans.push((stream, moves));
        let x = match dither {
            Some(step) => x.dithered(Dither::new(stream, step)),
            None => x,
        };
        entries.push(Lone::target(x));
    }
    pass::run(&mut entries, &chunks, Access::Write, |stretch| {
        let (stream, moves) = &plans[stretch.entry()];
        let mut noise = [0.0; pass::block_len::<f64>()];
        stretch.rounds(moves.len(), |round, start, x: &mut [f64]| {
            let noise = &mut noise[..x.len()];
            if round == 0 {
                rng.fill_normal(*stream, start, noise);
            }
            simd::dispatch(Move(x, noise, moves[round]));
        });
    });
}

struct Move<'a>(&'a mut [f64], &'a [f64], [f64; 2]);

impl Kernel for Move<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let [a, b] = self.2;
        for (x, &z) in self.0.iter_mut().zip(self.1) {
            *x = a * *x + b * z;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::threads;
    use half::{bf16, f16};

    const N: usize = 3 * pass::CHUNK + 77;

    fn single(x: Tensor<'_>, moves: &[[f64; 2]], dither: Option<u64>) {
        walk(vec![Walk { x, stream: 4, moves: moves.to_vec() }], Philox::new(9), dither);
    }

    #[test]
    fn adds_the_sequence_of_the_stream_for_any_number_of_threads() {
        let mut z = vec![0.0f64; 6 * N];
        Philox::new(9).fill_normal(4, 0, &mut z);
        for threads in [1, 2, 7] {
            threads::set(threads);
            let mut x = vec![1.0f64; 6 * N];
            single((&mut x).into(), &[[1.0, 0.5], [0.25, -2.0]], None);
            let expected = |z: &f64| 0.25 * (1.0 + 0.5 * z) - 2.0 * z;
            assert!(x.iter().zip(&z).all(|(x, z)| *x == expected(z)));
        }
        threads::set(0);
    }

    #[test]
    fn there_and_back_is_exact_within_a_binade() {
        fn check<E: crate::engine::tensor::Element + PartialEq>(one: E) {
            let mut x = vec![one; N];
            // Noise is below 7, so that 1.5 + 0.05 z stays in [1, 2).
            single((&mut x).into(), &[[1.0, 0.05]], None);
            assert!(x.iter().any(|x| *x != one));
            single((&mut x).into(), &[[1.0, -0.05], [1.0, -0.05]], None);
            single((&mut x).into(), &[[1.0, 0.05]], None);
            assert!(x.iter().all(|x| *x == one));
        }
        check(1.5f32);
        check(1.5f64);
        check(bf16::from_f32(1.5));
        check(f16::from_f32(1.5));
    }

    #[test]
    fn stochastic_rounding_keeps_small_moves_on_average() {
        let mut x = vec![bf16::ONE; 1 << 18];
        single((&mut x).into(), &[[1.0, 0.1], [1.0, -0.1]], Some(3));
        let mean = x.iter().map(|x| f64::from(x.to_f32())).sum::<f64>() / x.len() as f64;
        assert!((mean - 1.0).abs() < 1e-4, "{mean}");
        let mut x = vec![bf16::ONE; 1 << 18];
        // A tenth of the distance to the next number, 2^-7.
        single((&mut x).into(), &[[1.0 + 0.1 / 128.0, 0.0]], Some(3));
        let mean = x.iter().map(|x| f64::from(x.to_f32())).sum::<f64>() / x.len() as f64;
        assert!((mean - 1.0 - 0.1 / 128.0).abs() < 3e-5, "{mean}");
        single((&mut x).into(), &[[1.0, 0.0]], None);
    }
}
