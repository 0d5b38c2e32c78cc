//! g = min_j (D x + offset)_j, concave; one row makes it affine. Along a coordinate it is the lower
//! envelope of the lines a_j eta + d_j, that is minus the upper envelope of their negatives.

use super::image::Image;
use super::l_inf::{Ray, envelope};
use super::pieces::Piece;
use super::{Denominator, Reach, Shape};
use crate::coordinate::design::Design;
use crate::engine::Result;

/// The least of some affine functions.
pub struct Lowest<'a> {
    image: Image<'a>,
    value: f64,
    rays: Vec<Ray>,
    pieces: Vec<Piece>,
}

impl<'a> Lowest<'a> {
    /// At zero.
    ///
    /// # Errors
    /// Unless `offset` has an entry for each row, of which there is one.
    pub fn new(design: &'a dyn Design, offset: &'a [f64]) -> Result<Self> {
        super::check::length("offset", offset.len(), design.rows())?;
        let image = Image::new(design, Some(offset));
        Ok(Self { image, value: 0.0, rays: vec![], pieces: vec![] })
    }
}

fn least(d: &[f64]) -> f64 {
    d.iter().copied().fold(f64::INFINITY, f64::min)
}

impl Denominator for Lowest<'_> {
    fn reset(&mut self, x: &[f64]) {
        self.image.reset(x);
        self.value = least(&self.image.d);
    }

    fn value(&self) -> f64 {
        self.value
    }

    fn restrict(&mut self, i: usize, _x: f64, _reach: Reach) -> Shape<'_> {
        self.rays.clear();
        let (a, d) = self.image.load(i);
        self.rays.extend(a.iter().zip(d).map(|(a, d)| Ray { slope: -a, level: -d }));
        if let Some(rest) = self.image.rest(f64::INFINITY, least) {
            self.rays.push(Ray { slope: 0.0, level: -rest });
        }
        envelope(&mut self.rays, &mut self.pieces);
        for piece in &mut self.pieces {
            (piece.slope, piece.level) = (-piece.slope, -piece.level);
        }
        Shape::Linear { pieces: &self.pieces, concave: true, reach: f64::INFINITY }
    }

    fn step(&mut self, i: usize, eta: f64, _u: f64) {
        self.image.step(i, eta);
        self.value = least(&self.image.d);
    }

    fn coordinates(&self) -> Option<usize> {
        Some(self.image.coordinates())
    }
}
