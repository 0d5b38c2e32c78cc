//! f = 1/2 x' Q x + q' x + constant, by its gradient: a step costs one number, and a column of Q
//! where the coordinate moves.

use super::Numerator;
use crate::coordinate::design::Design;
use crate::engine::{Result, reduce};

/// A quadratic function; Q is symmetric.
pub struct Quadratic<'a> {
    q: &'a dyn Design,
    linear: &'a [f64],
    constant: f64,
    curvature: Vec<f64>,
    gradient: Vec<f64>,
    value: f64,
}

impl<'a> Quadratic<'a> {
    /// At zero.
    ///
    /// # Errors
    /// Unless `q` is square, of the size of `linear`.
    pub fn new(q: &'a dyn Design, linear: &'a [f64], constant: f64) -> Result<Self> {
        super::check::length("q", linear.len(), q.cols())?;
        super::check::length("q", linear.len(), q.rows())?;
        let mut entry = [0.0];
        let curvature = (0..linear.len()).map(|j| {
            q.read(j, j..j + 1, &mut entry);
            entry[0]
        });
        let curvature = curvature.collect();
        Ok(Self { q, linear, constant, curvature, gradient: linear.to_vec(), value: constant })
    }
}

impl Numerator for Quadratic<'_> {
    fn reset(&mut self, x: &[f64]) {
        self.gradient.copy_from_slice(self.linear);
        for (j, &x) in x.iter().enumerate() {
            if x != 0.0 {
                self.q.add(j, x, &mut self.gradient);
            }
        }
        let products = reduce::dot(x, &self.gradient) + reduce::dot(x, self.linear);
        self.value = 0.5 * products + self.constant;
    }

    fn value(&self) -> f64 {
        self.value
    }

    fn slope(&self, i: usize) -> f64 {
        self.gradient[i]
    }

    fn curvature(&self, i: usize) -> f64 {
        self.curvature[i]
    }

    fn step(&mut self, i: usize, eta: f64, slope: f64) {
        self.q.add(i, eta, &mut self.gradient);
        self.value += eta * (slope + 0.5 * eta * self.curvature[i]);
    }

    fn coordinates(&self) -> usize {
        self.linear.len()
    }

    fn noise(&self) -> f64 {
        4.0 * f64::EPSILON * self.constant.abs()
    }
}
