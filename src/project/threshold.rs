//! The threshold of the simplex: tau with sum max(x_i - tau, 0) = s.
//!
//! Michelot 1986, J. Optim. Theory Appl. 50; Condat 2016, Math. Program. 158, for the filtering.
//!
//!   d = x - max x <= 0,  tau' = tau - max x in [-s, 0);  only d > -s can be active
//!   repeat: tau' = (sum of kept d - s) / kept;  drop d <= tau'
//!
//! This is Newton's method on a convex piecewise linear function, from the left, so it is monotone
//! and ends. In shifted coordinates the result is exact to rounding relative to s, however large x.

use crate::engine::simd::{self, Kernel};

/// Rounds after which what is left is sorted: adversarial spacing would need one a value.
const ROUNDS: usize = 48;
const LANES: usize = 16;

/// The largest value (of |x| where `ABS`), and tau relative to it. `s` > 0, `x` not empty, finite.
pub fn simplex<const ABS: bool>(x: &[f64], s: f64, kept: &mut Vec<f64>) -> (f64, f64) {
    simd::dispatch(Find::<ABS> { x, s, kept })
}

struct Find<'a, const ABS: bool> {
    x: &'a [f64],
    s: f64,
    kept: &'a mut Vec<f64>,
}

impl<const ABS: bool> Kernel for Find<'_, ABS> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run(self) -> (f64, f64) {
        let Self { x, s, kept } = self;
        let top = largest::<ABS>(x);
        let mut count = filter::<ABS>(x, top, -s, kept);
        let mut rounds = 0;
        loop {
            let list = &mut kept[..count];
            let tau = (sum(list) - s) / count as f64;
            let left = compact(list, tau);
            if left == count || left == 0 {
                return (top, tau);
            }
            count = left;
            rounds += 1;
            if rounds == ROUNDS {
                return (top, sorted(&mut kept[..count], s));
            }
        }
    }
}

#[inline(always)]
fn size<const ABS: bool>(x: f64) -> f64 {
    if ABS { x.abs() } else { x }
}

#[inline(always)]
fn largest<const ABS: bool>(x: &[f64]) -> f64 {
    let (chunks, tail) = x.as_chunks::<LANES>();
    let mut lanes = [f64::NEG_INFINITY; LANES];
    for chunk in chunks {
        for l in 0..LANES {
            let x = size::<ABS>(chunk[l]);
            lanes[l] = if x > lanes[l] { x } else { lanes[l] };
        }
    }
    let tail = tail.iter().fold(f64::NEG_INFINITY, |a, &x| a.max(size::<ABS>(x)));
    lanes.iter().fold(tail, |a, &b| a.max(b))
}

/// Keeps x - top where that is above `floor`. Whole chunks are skipped: few survive as a rule.
#[inline(always)]
fn filter<const ABS: bool>(x: &[f64], top: f64, floor: f64, kept: &mut Vec<f64>) -> usize {
    let (chunks, tail) = x.as_chunks::<LANES>();
    let mut count = 0;
    for chunk in chunks {
        let mut any = false;
        for &x in chunk {
            any |= size::<ABS>(x) - top > floor;
        }
        if any {
            if kept.len() < count + LANES {
                grow(kept);
            }
            for &x in chunk {
                let d = size::<ABS>(x) - top;
                kept[count] = d;
                count += usize::from(d > floor);
            }
        }
    }
    if kept.len() < count + LANES {
        grow(kept);
    }
    for &x in tail {
        let d = size::<ABS>(x) - top;
        if d > floor {
            kept[count] = d;
            count += 1;
        }
    }
    count
}

/// Room for more values; few survive as a rule, so not for all of them at once.
#[cold]
fn grow(kept: &mut Vec<f64>) {
    kept.resize((2 * kept.len()).max(512), 0.0);
}

#[inline(always)]
fn sum(list: &[f64]) -> f64 {
    let (chunks, tail) = list.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for l in 0..LANES {
            lanes[l] += chunk[l];
        }
    }
    lanes.iter().sum::<f64>() + tail.iter().sum::<f64>()
}

/// Moves what is above `tau` to the front.
#[inline(always)]
fn compact(list: &mut [f64], tau: f64) -> usize {
    let mut count = 0;
    for i in 0..list.len() {
        let d = list[i];
        list[count] = d;
        count += usize::from(d > tau);
    }
    count
}

#[cold]
fn sorted(list: &mut [f64], s: f64) -> f64 {
    list.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut total, mut tau) = (0.0, f64::NEG_INFINITY);
    for (k, &d) in list.iter().enumerate() {
        total += d;
        let next = (total - s) / (k + 1) as f64;
        if d <= next {
            break;
        }
        tau = next;
    }
    tau
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(x: &[f64], s: f64) {
        let (top, tau) = simplex::<false>(x, s, &mut Vec::new());
        let total: f64 = x.iter().map(|x| ((x - top) - tau).max(0.0)).sum();
        assert!((total - s).abs() <= 1e-14 * s * x.len() as f64, "{total} {s}");
        let absolute: Vec<f64> = x.iter().map(|x| x.abs()).collect();
        let mut memory = Vec::new();
        assert_eq!(simplex::<true>(x, s, &mut memory), simplex::<false>(&absolute, s, &mut memory));
    }

    #[test]
    fn the_kept_values_sum_to_s() {
        for n in [1, 2, 15, 16, 17, 100, 1000] {
            let x: Vec<f64> = (0..n).map(|i| ((i * 37 + 11) % 101) as f64 * 0.1 - 3.0).collect();
            for s in [1e-9, 0.3, 1.0, 50.0, 1e9] {
                check(&x, s);
                check(&x.iter().map(|x| x + 1e12).collect::<Vec<_>>(), s);
            }
        }
        check(&[2.0; 40], 1.0);
        // Values whose gaps grow so that Michelot's rounds drop one at a time.
        let spaced: Vec<f64> = (0..200).map(|k| -(1.05_f64.powi(k))).collect();
        check(&spaced, 3.0);
    }

    #[test]
    fn sorting_finds_the_same() {
        let x: Vec<f64> = (0..97).map(|i| -(f64::from((i * 31) % 97) * 0.01)).collect();
        let (_, tau) = simplex::<false>(&x, 0.5, &mut Vec::new());
        assert!((sorted(&mut x.clone(), 0.5) - tau).abs() < 1e-15);
    }
}
