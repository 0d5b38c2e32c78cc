//! g = ||D x||_4^2, the contrast of independent component analysis: along a coordinate the root
//! of the quartic sum_j (a_j eta + d_j)^4.

use super::image::Image;
use super::{Denominator, Reach, Shape};
use crate::coordinate::design::Design;
use crate::engine::simd::{self, Kernel};

/// The squared l4 norm of an image of the point.
pub struct SquaredL4<'a> {
    image: Image<'a>,
    quartic: [f64; 5],
}

impl<'a> SquaredL4<'a> {
    /// At zero.
    pub fn new(design: &'a dyn Design) -> Self {
        Self { image: Image::new(design, None), quartic: [0.0; 5] }
    }
}

/// Sums of d^4, a d^3, a^2 d^2, a^3 d and a^4 in one pass.
struct Sums<'a>(&'a [f64], &'a [f64]);

impl Kernel for Sums<'_> {
    type Output = [f64; 5];
    #[inline(always)]
    fn run(self) -> [f64; 5] {
        const LANES: usize = 8;
        let (a, d) = (self.0.as_chunks::<LANES>(), self.1.as_chunks::<LANES>());
        let mut lanes = [[0.0; LANES]; 5];
        for (a, d) in a.0.iter().zip(d.0) {
            for l in 0..LANES {
                let (aa, ad, dd) = (a[l] * a[l], a[l] * d[l], d[l] * d[l]);
                lanes[0][l] += dd * dd;
                lanes[1][l] += ad * dd;
                lanes[2][l] += ad * ad;
                lanes[3][l] += ad * aa;
                lanes[4][l] += aa * aa;
            }
        }
        let mut sums = lanes.map(|lanes| simd::fold(&lanes));
        for (&a, &d) in a.1.iter().zip(d.1) {
            let (aa, ad, dd) = (a * a, a * d, d * d);
            let terms = [dd * dd, ad * dd, ad * ad, ad * aa, aa * aa];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        sums
    }
}

impl Denominator for SquaredL4<'_> {
    fn reset(&mut self, x: &[f64]) {
        self.image.reset(x);
        let d = &self.image.d;
        self.quartic[0] = simd::dispatch(Sums(d, d))[0];
    }

    fn value(&self) -> f64 {
        self.quartic[0].sqrt()
    }

    fn restrict(&mut self, i: usize, _x: f64, _reach: Reach) -> Shape<'_> {
        let (a, d) = self.image.load(i);
        let [_, first, second, third, fourth] = simd::dispatch(Sums(a, d));
        self.quartic[1..].copy_from_slice(&[4.0 * first, 6.0 * second, 4.0 * third, fourth]);
        Shape::Root(self.quartic)
    }

    fn step(&mut self, i: usize, eta: f64, _u: f64) {
        self.quartic[0] = self.quartic.iter().rev().fold(0.0, |sum, c| sum * eta + c);
        self.image.step(i, eta);
    }

    fn coordinates(&self) -> Option<usize> {
        Some(self.image.coordinates())
    }
}
