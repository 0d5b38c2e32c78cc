//! Weighted sums and inner products over lists of tensors: what methods of several gradients take.
//!
//! Both are one pass over memory. Products accumulate in f64, in an order that does not depend on the
//! number of threads; the blocks of a tensor meet all their sums while they are in the first cache.

use crate::engine::pass::{self, Access, Entry, Part, Stretch};
use crate::engine::real::{Float, Lane, Real};
use crate::engine::reduce;
use crate::engine::simd::{self, Kernel};
use crate::engine::tensor::Dtype;

/// Inner products of a gradient `g`, of the difference `y` to one elsewhere, and of a former
/// gradient `h`: `<g, g>, <y, y>, <y, g>, <y, h>, <g, h>`.
pub type Products = [f64; 5];

struct Lone<'a>(Entry<'a>);

impl<'a> AsRef<Entry<'a>> for Lone<'a> {
    fn as_ref(&self) -> &Entry<'a> {
        &self.0
    }
}

/// Replaces `x` of every entry by `w[0] x + w[1] g + w[2] state[0]`; returns the sum of the squares
/// of all results.
///
/// # Panics
/// If there are more or fewer weights than entries.
pub fn blend(entries: Vec<Entry<'_>>, weights: &[[f64; 3]]) -> f64 {
    assert_eq!(entries.len(), weights.len(), "weights for each entry");
    let (mut entries, double) = prepare(entries);
    let chunks = pass::chunks(entries.iter().map(|entry| entry.0.x.len()));
    let parts = pass::run(&mut entries, &chunks, Access::Write, |stretch| {
        let weights = weights[stretch.entry()];
        if double[stretch.entry()] {
            blend_stretch::<f64>(&stretch, weights)
        } else {
            blend_stretch::<f32>(&stretch, weights)
        }
    });
    parts.into_iter().sum()
}

/// The products of `g = x`, `y = g - x` and `h = state[0]`, or `h = x` without state, entry by entry.
pub fn products(entries: Vec<Entry<'_>>) -> Vec<Products> {
    let (mut entries, double) = prepare(entries);
    let chunks = pass::chunks(entries.iter().map(|entry| entry.0.x.len()));
    let parts = pass::run(&mut entries, &chunks, Access::Read, |stretch| {
        let mut sums = Products::default();
        if double[stretch.entry()] {
            stretch.parts::<f64>(|part| add_products(part, &mut sums));
        } else {
            stretch.parts::<f32>(|part| add_products(part, &mut sums));
        }
        sums
    });
    let mut all = vec![Products::default(); entries.len()];
    for (chunk, sums) in chunks.iter().zip(parts) {
        for (total, sum) in all[chunk.entry].iter_mut().zip(sums) {
            *total += sum;
        }
    }
    all
}

fn prepare(entries: Vec<Entry<'_>>) -> (Vec<Lone<'_>>, Vec<bool>) {
    let double = entries.iter().map(|entry| entry.x.dtype() == Dtype::F64).collect();
    (entries.into_iter().map(Lone).collect(), double)
}

fn blend_stretch<F: Float>(stretch: &Stretch<'_, '_>, weights: [f64; 3]) -> f64 {
    let mut squares = 0.0;
    stretch.parts::<F>(|part| {
        // The last of the states is rubbish.
        let other = if part.state.len() > 1 { &*part.state[0] } else { &[] };
        squares += simd::dispatch(Blend { x: part.x, g: part.g, other, weights });
    });
    squares
}

struct Blend<'a, F> {
    x: &'a mut [F],
    g: &'a [F],
    other: &'a [F],
    weights: [f64; 3],
}

impl<F: Float> Kernel for Blend<'_, F> {
    type Output = f64;
    #[inline(always)]
    fn run(self) -> f64 {
        let Self { x, g, other, weights } = self;
        let [a, b, c] = weights.map(Lane::<F>::of);
        let n = x.len();
        let g = &g[..n];
        if other.is_empty() {
            for i in 0..n {
                x[i] = (a * Lane(x[i]) + b * Lane(g[i])).0;
            }
        } else {
            let other = &other[..n];
            for i in 0..n {
                x[i] = (a * Lane(x[i]) + b * Lane(g[i]) + c * Lane(other[i])).0;
            }
        }
        reduce::sum_of_squares(x)
    }
}

fn add_products<F: Float>(part: Part<'_, F>, sums: &mut Products) {
    let (g, other) = (&*part.x, part.g);
    let former = if part.state.len() > 1 { &*part.state[0] } else { g };
    let y = |[g, other]: [F; 2]| other.to_f64() - g.to_f64();
    let gg = reduce::sum_of_squares(g);
    let yy = reduce::sum([g, other], |row| y(row) * y(row));
    let yg = reduce::sum([g, other], |row| y(row) * row[0].to_f64());
    let (mut yh, mut gh) = (yg, gg);
    if part.state.len() > 1 {
        yh = reduce::sum([g, other, former], |[g, other, h]| y([g, other]) * h.to_f64());
        gh = reduce::dot(g, former);
    }
    for (sum, value) in sums.iter_mut().zip([gg, yy, yg, yh, gh]) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::pass::States;
    use crate::engine::threads;
    use half::bf16;

    fn numbers(n: usize, phase: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37 + phase).sin()).collect()
    }

    fn entry<'a>(x: &'a mut [f32], g: &'a [f32], state: Option<&'a mut [f32]>) -> Entry<'a> {
        let state: States<'a> = state.into_iter().map(Into::into).collect();
        Entry { x: x.into(), g: g.into(), state, direction: None }
    }

    #[test]
    fn sums_are_those_of_each_element() {
        for n in [0, 1, 513, 70_000] {
            let (x, g, mut h) = (numbers(n, 0.0), numbers(n, 1.0), numbers(n, 2.0));
            let (mut a, mut b) = (x.clone(), x.clone());
            let entries = vec![entry(&mut a, &g, Some(&mut h)), entry(&mut b, &g, None)];
            let squares = blend(entries, &[[1.0, -0.5, 2.0], [0.0, 3.0, 7.0]]);
            let mut wanted = 0.0;
            for i in 0..n {
                assert_eq!(a[i], x[i] - 0.5 * g[i] + 2.0 * h[i]);
                assert_eq!(b[i], 3.0 * g[i]);
                wanted += f64::from(a[i]).powi(2) + f64::from(b[i]).powi(2);
            }
            assert!((squares - wanted).abs() <= 1e-12 * wanted);
        }
    }

    #[test]
    fn products_are_those_of_the_difference_and_depend_on_no_threads() {
        let n = 140_003;
        let (mut g, other, mut h) = (numbers(n, 0.0), numbers(n, 1.0), numbers(n, 2.0));
        let mut wanted = Products::default();
        for i in 0..n {
            let [g, o, h] = [g[i], other[i], h[i]].map(f64::from);
            let y = o - g;
            for (sum, value) in wanted.iter_mut().zip([g * g, y * y, y * g, y * h, g * h]) {
                *sum += value;
            }
        }
        let mut run = |count| {
            threads::set(count);
            let found = products(vec![entry(&mut g, &other, Some(&mut h))]);
            threads::set(0);
            found[0]
        };
        let found = run(1);
        assert!(found == run(2) && found == run(7));
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() <= 1e-11 * n as f64, "{found} {wanted}");
        }
        let alone = products(vec![entry(&mut g, &other, None)])[0];
        assert_eq!(alone[..3], found[..3]);
        assert_eq!(alone[3..], [found[2], found[0]]);
    }

    #[test]
    fn halves_are_rounded_once() {
        let (mut x, g) = ([bf16::from_f32(1.0); 3], [bf16::from_f32(0.25); 3]);
        let mut h = [bf16::from_f32(-0.5); 3];
        let state = std::iter::once((&mut h[..]).into()).collect();
        let entry = Entry { x: (&mut x[..]).into(), g: (&g[..]).into(), state, direction: None };
        blend(vec![entry], &[[1.0, 1.1, 0.3]]);
        assert_eq!(x, [bf16::from_f32(1.0 + 1.1 * 0.25 - 0.3 * 0.5); 3]);
    }
}
