//! Inner products of four columns with a vector, and its update by four columns: each entry of the
//! vector is loaded once for all four.

use crate::engine::real::Float;
use crate::engine::simd::{self, Kernel};

/// Columns that one call takes.
pub const WIDTH: usize = 4;
/// Rows that are summed in the precision of the data before f64 takes over.
const STRETCH: usize = 2048;

/// `[x_0 . u, ..., x_3 . u]`
pub fn dots<F: Float>(x: [&[F]; WIDTH], u: &[F]) -> [f64; WIDTH] {
    struct Dots<'a, F>([&'a [F]; WIDTH], &'a [F]);
    impl<F: Float> Kernel for Dots<'_, F> {
        type Output = [f64; WIDTH];
        #[inline(always)]
        fn run(self) -> [f64; WIDTH] {
            let Self([a, b, c, d], u) = self;
            let mut total = [0.0; WIDTH];
            let mut start = 0;
            while start < u.len() {
                let end = u.len().min(start + STRETCH);
                let x = [&a[start..end], &b[start..end], &c[start..end], &d[start..end]];
                let part = if size_of::<F>() == 4 {
                    stretch::<F, 16>(x, &u[start..end])
                } else {
                    stretch::<F, 8>(x, &u[start..end])
                };
                for t in 0..WIDTH {
                    total[t] += part[t];
                }
                start = end;
            }
            total
        }
    }
    simd::dispatch(Dots(x, u))
}

/// Arrays of arrays and plain indices: with iterators the compiler pairs the columns up and fills
/// its time with shuffles.
#[inline(always)]
fn stretch<F: Float, const LANES: usize>(x: [&[F]; WIDTH], u: &[F]) -> [f64; WIDTH] {
    let (v, _) = u.as_chunks::<LANES>();
    let n = v.len();
    let rows: [&[[F; LANES]]; WIDTH] = std::array::from_fn(|t| &x[t].as_chunks().0[..n]);
    let mut sums = [[F::default(); LANES]; WIDTH];
    for k in 0..n {
        let y = v[k];
        for t in 0..WIDTH {
            let z = rows[t][k];
            for l in 0..LANES {
                sums[t][l] = sums[t][l].add(z[l].mul(y[l]));
            }
        }
    }
    let mut out = [0.0; WIDTH];
    for t in 0..WIDTH {
        for k in n * LANES..u.len() {
            out[t] += x[t][k].to_f64() * u[k].to_f64();
        }
        let mut width = LANES / 2;
        while width > 0 {
            for l in 0..width {
                sums[t][l] = sums[t][l].add(sums[t][l + width]);
            }
            width /= 2;
        }
        out[t] += sums[t][0].to_f64();
    }
    out
}

/// `u += sum_t d_t x_t`
pub fn add<F: Float>(d: [f64; WIDTH], x: [&[F]; WIDTH], u: &mut [F]) {
    struct Add<'a, F>([F; WIDTH], [&'a [F]; WIDTH], &'a mut [F]);
    impl<F: Float> Kernel for Add<'_, F> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(d, [x0, x1, x2, x3], u) = self;
            let x = x0.iter().zip(x1).zip(x2).zip(x3);
            for (u, (((x0, x1), x2), x3)) in u.iter_mut().zip(x) {
                let low = d[0].mul(*x0).add(d[1].mul(*x1));
                let high = d[2].mul(*x2).add(d[3].mul(*x3));
                *u = u.add(low.add(high));
            }
        }
    }
    simd::dispatch(Add(
        [F::from_f64(d[0]), F::from_f64(d[1]), F::from_f64(d[2]), F::from_f64(d[3])],
        x,
        u,
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(n: usize) -> Vec<f64> {
        (0..n * WIDTH).map(|i| (i as f64 * 0.37).sin()).collect()
    }

    fn check<F: Float>(n: usize, tol: f64) {
        let data: Vec<F> = columns(n).iter().map(|&x| F::from_f64(x)).collect();
        let x: [&[F]; WIDTH] = std::array::from_fn(|t| &data[t * n..(t + 1) * n]);
        let mut u: Vec<F> = (0..n).map(|i| F::from_f64((i as f64).cos())).collect();
        for (t, found) in dots(x, &u).iter().enumerate() {
            let want: f64 = x[t].iter().zip(&u).map(|(x, u)| x.to_f64() * u.to_f64()).sum();
            assert!((found - want).abs() <= tol * (n as f64 + 1.0), "{n} {found} {want}");
        }
        let before: Vec<f64> = u.iter().map(|u| u.to_f64()).collect();
        let d = [0.5, -1.0, 2.0, 0.25];
        add(d, x, &mut u);
        for i in 0..n {
            let want = before[i] + (0..WIDTH).map(|t| d[t] * x[t][i].to_f64()).sum::<f64>();
            assert!((u[i].to_f64() - want).abs() <= 10.0 * tol);
        }
    }

    #[test]
    fn agree_with_the_definition_for_every_remainder() {
        for n in [0, 1, 7, 16, 33, 2048, 2049, 5000] {
            check::<f64>(n, 1e-15);
            check::<f32>(n, 2e-7);
        }
    }
}
