//! g = ||D x||_2, or its square: along a coordinate the root of a parabola, or the parabola.

use super::image::Image;
use super::{Denominator, Reach, Shape};
use crate::coordinate::design::Design;
use crate::engine::reduce;

/// The Euclidean norm of an image of the point.
pub struct L2<'a> {
    image: Image<'a>,
    squared: bool,
    parabola: [f64; 5],
}

impl<'a> L2<'a> {
    /// At zero.
    pub fn new(design: &'a dyn Design, squared: bool) -> Self {
        Self { image: Image::new(design, None), squared, parabola: [0.0; 5] }
    }
}

impl Denominator for L2<'_> {
    fn reset(&mut self, x: &[f64]) {
        self.image.reset(x);
        self.parabola[0] = reduce::sum_of_squares(&self.image.d);
    }

    fn value(&self) -> f64 {
        if self.squared { self.parabola[0] } else { self.parabola[0].sqrt() }
    }

    fn restrict(&mut self, i: usize, _x: f64, _reach: Reach) -> Shape<'_> {
        let (a, d) = self.image.load(i);
        self.parabola[1] = 2.0 * reduce::dot(a, d);
        self.parabola[2] = reduce::sum_of_squares(a);
        if self.squared { Shape::Polynomial(self.parabola) } else { Shape::Root(self.parabola) }
    }

    fn step(&mut self, i: usize, eta: f64, _u: f64) {
        let [_, linear, square, ..] = self.parabola;
        self.parabola[0] += eta * (linear + square * eta);
        self.image.step(i, eta);
    }

    fn coordinates(&self) -> Option<usize> {
        Some(self.image.coordinates())
    }
}
