//! f = 1/2 ||A x - y||^2, by its residual: a step costs one product with a column, and one more
//! pass where the coordinate moves.

use super::Numerator;
use crate::coordinate::design::{Design, Moments};
use crate::engine::{Result, reduce};

/// Half the squared norm of A x - y.
pub struct LeastSquares<'a> {
    design: &'a dyn Design,
    y: &'a [f64],
    curvature: Vec<f64>,
    residual: Vec<f64>,
    value: f64,
}

impl<'a> LeastSquares<'a> {
    /// At zero.
    ///
    /// # Errors
    /// Unless `y` has an entry for each row.
    pub fn new(design: &'a dyn Design, y: &'a [f64]) -> Result<Self> {
        super::check::length("y", y.len(), design.rows())?;
        let columns: Vec<usize> = (0..design.cols()).collect();
        let mut moments = vec![Moments::default(); columns.len()];
        design.moments(&columns, y, &vec![1.0; y.len()], &mut moments);
        let curvature = moments.iter().map(|moments| moments.second).collect();
        let residual = y.iter().map(|y| -y).collect();
        Ok(Self { design, y, curvature, residual, value: 0.0 })
    }
}

impl Numerator for LeastSquares<'_> {
    fn reset(&mut self, x: &[f64]) {
        self.residual.iter_mut().zip(self.y).for_each(|(r, y)| *r = -y);
        for (j, &x) in x.iter().enumerate() {
            if x != 0.0 {
                self.design.add(j, x, &mut self.residual);
            }
        }
        self.value = 0.5 * reduce::sum_of_squares(&self.residual);
    }

    fn value(&self) -> f64 {
        self.value.max(0.0)
    }

    fn slope(&self, i: usize) -> f64 {
        self.design.dot(i, &self.residual)
    }

    fn curvature(&self, i: usize) -> f64 {
        self.curvature[i]
    }

    fn step(&mut self, i: usize, eta: f64, slope: f64) {
        self.design.add(i, eta, &mut self.residual);
        self.value += eta * (slope + 0.5 * eta * self.curvature[i]);
    }

    fn coordinates(&self) -> usize {
        self.design.cols()
    }

    fn noise(&self) -> f64 {
        4.0 * f64::EPSILON * 0.5 * reduce::sum_of_squares(self.y)
    }
}
