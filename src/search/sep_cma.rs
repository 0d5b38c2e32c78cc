//! sep-CMA-ES: a Gaussian whose mean, spread and diagonal covariance follow the best candidates.
//!
//! Ros, Hansen 2008, "A Simple Modification in CMA-ES Achieving Linear Time and Space Complexity",
//! PPSN X; the names are those of the paper.
//!
//!   n candidates, the mu = n / 2 best of weights w_i ~ ln(mu + 1/2) - ln i   mu_w = 1 / sum w_i^2
//!   x_i = m + sigma sqrt(C) z_i,  y_i = (x_i - m) / sigma,  y = sum w_i y_i,  m += sigma y
//!   p_s = (1 - c_s) p_s + sqrt(c_s (2 - c_s) mu_w) y / sqrt(C)
//!   p_c = (1 - c_c) p_c + h sqrt(c_c (2 - c_c) mu_w) y
//!   C = (1 - c) C + c / mu_w p_c^2 + c (1 - 1 / mu_w) sum w_i y_i^2
//!   sigma *= exp(c_s / d_s (|p_s| / E|N(0, I)| - 1))
//!   c = (d + 2) / 3 times the rate of the full covariance, at most 1
//!
//! y_i is taken where the cost was: within the box. A step changes sigma by a factor of e at most.
//! Without a finite cost nothing moves. Cost: O(n d) a step.

use super::ask_tell::{Method, Point, Purpose, stream};
use super::setting::{Setting, choice, count, positive};
use crate::engine::reduce::sum_of_squares;
use crate::engine::{Error, Result};

/// The method, its covariance and its paths.
#[derive(Debug, Clone)]
pub struct SepCma {
    population: usize,
    weights: Vec<f64>,
    sigma: Vec<f64>,
    variance: Vec<f64>,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
}

/// Beyond these no step makes sense, and products of two still are numbers.
const RANGE: [f64; 2] = [1e-150, 1e150];

impl SepCma {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Type`] for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let mut population = 4 + (3.0 * (dim as f64).ln()) as usize;
        let mut sigma = 0.5;
        for (name, value) in settings {
            match name.as_str() {
                "population" => population = count(name, value)?,
                "sigma" => sigma = positive(name, value)?,
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        if population < 2 {
            let fix = "half of the candidates must be left out";
            return Err(Error::value("population", "an integer >= 2", population, fix));
        }
        let mu = population / 2;
        let mut weights: Vec<f64> =
            (1..=mu).map(|i| (mu as f64 + 0.5).ln() - (i as f64).ln()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        Ok(Self {
            population,
            weights,
            sigma: vec![sigma],
            variance: vec![1.0; dim],
            path_sigma: vec![0.0; dim],
            path_c: vec![0.0; dim],
        })
    }
}

impl Method for SepCma {
    fn population(&self) -> usize {
        self.population
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        at.rng.fill_normal(stream(Purpose::Candidates, at.number(index)), 0, out);
        for ((out, x), c) in out.iter_mut().zip(&at.x).zip(&self.variance) {
            *out = x + self.sigma[0] * c.sqrt() * *out;
        }
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        if costs.iter().all(|c| !c.is_finite()) {
            return;
        }
        let mut order: Vec<usize> = (0..costs.len()).collect();
        order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
        let (dim, sigma) = (at.x.len(), self.sigma[0]);
        let d = dim as f64;
        let (mut y, mut squares, mut row) = (vec![0.0; dim], vec![0.0; dim], vec![0.0; dim]);
        for (&index, w) in order.iter().zip(&self.weights) {
            self.admitted(at, index, &mut row);
            for (j, (x, m)) in row.iter().zip(&at.x).enumerate() {
                let step = (x - m) / sigma;
                y[j] += w * step;
                squares[j] += w * step * step;
            }
        }
        let mu_w = 1.0 / sum_of_squares(&self.weights);
        let c_s = (mu_w + 2.0) / (d + mu_w + 3.0);
        let d_s = 1.0 + 2.0 * (((mu_w - 1.0) / (d + 1.0)).sqrt() - 1.0).max(0.0) + c_s;
        let c_c = 4.0 / (d + 4.0);
        let full = 2.0 / (mu_w * (d + 2f64.sqrt()).powi(2))
            + (1.0 - 1.0 / mu_w) * ((2.0 * mu_w - 1.0) / ((d + 2.0).powi(2) + mu_w)).min(1.0);
        let c = (full * (d + 2.0) / 3.0).min(1.0);
        let expected = d.sqrt() * (1.0 - 1.0 / (4.0 * d) + 1.0 / (21.0 * d * d));

        let scale = (c_s * (2.0 - c_s) * mu_w).sqrt();
        for ((p, y), c) in self.path_sigma.iter_mut().zip(&y).zip(&self.variance) {
            *p = (1.0 - c_s) * *p + scale * y / c.sqrt();
        }
        let length = sum_of_squares(&self.path_sigma).sqrt();
        let settled = (1.0 - (1.0 - c_s).powf(2.0 * (at.step as f64 + 1.0))).sqrt();
        let h = if length / settled < (1.4 + 2.0 / (d + 1.0)) * expected { 1.0 } else { 0.0 };
        let scale = h * (c_c * (2.0 - c_c) * mu_w).sqrt();
        for (j, y) in y.iter().enumerate() {
            let p = &mut self.path_c[j];
            *p = (1.0 - c_c) * *p + scale * y;
            let rank = c / mu_w * *p * *p + c * (1.0 - 1.0 / mu_w) * squares[j];
            self.variance[j] = ((1.0 - c) * self.variance[j] + rank).clamp(RANGE[0], RANGE[1]);
            at.x[j] += sigma * y;
        }
        let change = (c_s / d_s * (length / expected - 1.0)).min(1.0);
        self.sigma[0] = (sigma * change.exp()).clamp(RANGE[0], RANGE[1]);
    }

    /// The largest standard deviation of a coordinate.
    fn reach(&self, _at: &Point) -> f64 {
        self.sigma[0] * self.variance.iter().copied().fold(0.0, f64::max).sqrt()
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![
            ("sigma", &mut self.sigma),
            ("variance", &mut self.variance),
            ("path_sigma", &mut self.path_sigma),
            ("path_c", &mut self.path_c),
        ]
    }
}
