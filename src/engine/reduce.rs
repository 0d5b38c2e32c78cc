//! Reductions in f64 and in a fixed order: lanes inside a chunk, then chunk after chunk.

use super::real::{Float, Lane, Real};
use super::simd::{self, Kernel};

/// Independent accumulators: enough to hide the latency of additions.
const LANES: usize = 64;

/// Sum of squares, accumulated in f64.
pub fn sum_of_squares<F: Float>(data: &[F]) -> f64 {
    fold(data, 0.0, |acc, x| acc + x * x, |a, b| a + b)
}

/// Sum, accumulated in f64.
pub fn sum<F: Float>(data: &[F]) -> f64 {
    fold(data, 0.0, |acc, x| acc + x, |a, b| a + b)
}

/// Sum of absolute values, accumulated in f64.
pub fn sum_of_abs<F: Float>(data: &[F]) -> f64 {
    fold(data, 0.0, |acc, x| acc + x.abs(), |a, b| a + b)
}

/// Largest absolute value, NaN if any element is NaN, 0 for an empty slice.
pub fn max_abs<F: Float>(data: &[F]) -> f64 {
    struct MaxAbs<'a, F>(&'a [F]);
    impl<F: Float> Kernel for MaxAbs<'_, F> {
        type Output = f64;
        #[inline(always)]
        fn run(self) -> f64 {
            let larger = |a: Lane<F>, b: Lane<F>| Real::max(a, b);
            let mut lanes = [Lane::<F>::of(0.0); LANES];
            let blocks = self.0.chunks_exact(LANES);
            let tail = blocks.remainder().iter();
            let tail = tail.fold(Lane::of(0.0), |acc, &x| larger(acc, Real::abs(Lane(x))));
            for block in blocks {
                for (lane, &x) in lanes.iter_mut().zip(block) {
                    *lane = larger(*lane, Real::abs(Lane(x)));
                }
            }
            larger(tree(lanes, larger), tail).0.to_f64()
        }
    }
    simd::dispatch(MaxAbs(data))
}

/// Inner product, accumulated in f64.
pub fn dot<F: Float>(a: &[F], b: &[F]) -> f64 {
    struct Dot<'a, F>(&'a [F], &'a [F]);
    impl<F: Float> Kernel for Dot<'_, F> {
        type Output = f64;
        #[inline(always)]
        fn run(self) -> f64 {
            let mut lanes = [0.0; LANES];
            let (a, b) = (self.0.chunks_exact(LANES), self.1.chunks_exact(LANES));
            let tail = a.remainder().iter().zip(b.remainder());
            let tail = tail.fold(0.0, |acc, (x, y)| acc + x.to_f64() * y.to_f64());
            for (a, b) in a.zip(b) {
                for ((lane, x), y) in lanes.iter_mut().zip(a).zip(b) {
                    *lane += x.to_f64() * y.to_f64();
                }
            }
            tree(lanes, |a, b| a + b) + tail
        }
    }
    let n = a.len().min(b.len());
    simd::dispatch(Dot(&a[..n], &b[..n]))
}

/// Folds interleaved lanes, then the lanes in a fixed tree, then the tail.
fn fold<F: Float>(
    data: &[F],
    start: f64,
    step: impl Fn(f64, f64) -> f64,
    join: impl Fn(f64, f64) -> f64,
) -> f64 {
    struct Fold<'a, F, S, J>(&'a [F], f64, S, J);
    impl<F: Float, S: Fn(f64, f64) -> f64, J: Fn(f64, f64) -> f64> Kernel for Fold<'_, F, S, J> {
        type Output = f64;
        #[inline(always)]
        fn run(self) -> f64 {
            let Self(data, start, step, join) = self;
            let mut lanes = [start; LANES];
            let blocks = data.chunks_exact(LANES);
            let tail = blocks.remainder().iter().fold(start, |acc, x| step(acc, x.to_f64()));
            for block in blocks {
                for (lane, x) in lanes.iter_mut().zip(block) {
                    *lane = step(*lane, x.to_f64());
                }
            }
            join(tree(lanes, &join), tail)
        }
    }
    simd::dispatch(Fold(data, start, step, join))
}

#[inline(always)]
fn tree<T: Copy>(mut lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_agree_with_their_definition() {
        for n in [0usize, 1, 15, 16, 17, 1000] {
            let data: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let squares: f64 = data.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            assert!((sum_of_squares(&data) - squares).abs() <= 1e-12 * (1.0 + squares));
            assert!((dot(&data, &data) - squares).abs() <= 1e-12 * (1.0 + squares));
            let total: f64 = data.iter().map(|&x| f64::from(x).abs()).sum();
            assert!((sum_of_abs(&data) - total).abs() <= 1e-12 * (1.0 + total));
            assert_eq!(max_abs(&data), data.iter().fold(0.0, |a, &x| f64::max(a, x.abs().into())));
        }
        assert!(max_abs(&[1.0, f64::NAN, 2.0]).is_nan());
    }
}
