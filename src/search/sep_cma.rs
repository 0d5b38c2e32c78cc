//! sep-CMA-ES: a Gaussian whose mean, spread and diagonal covariance follow the best candidates.
//!
//! Ros, Hansen 2008, "A Simple Modification in CMA-ES Achieving Linear Time and Space Complexity",
//! PPSN X; the names are those of the paper.
//!
//!   x_i = m + sigma sqrt(C) z_i,  y_i = (x_i - m) / sigma,  y = sum over w_i > 0 of w_i y_i,  m += sigma y
//!   p_s, p_c, h, sigma, w_i: see [`recombination`], y / sqrt(C) for p_s
//!   C = (1 - c_1 - c_mu sum w_i) C + c_1 p_c^2 + c_mu sum w_i s_i y_i^2
//!   s_i = 1, or d / |y_i / sqrt(C)|^2 where w_i < 0
//!   c_1 = c / mu_w,  c_mu = c (1 - 1 / mu_w),  c = (d + 2) / 3 times the rate of the full
//!   covariance, at most 1
//!
//! With `active = false` the update is the paper's. The negative weights of the worse half are those
//! of the tutorial, for the rates here, and sum to -(1 - c_1 - c_mu) / c_mu at most; nothing bounds
//! what they take from one coordinate, so a step leaves it half of its variance at least. A step changes sigma by a factor of e at most. Without a
//! finite cost nothing moves. Cost: O(n d) a step.

use super::ask_tell::{Method, Point, Purpose, stream};
use super::recombination::{self, Chosen, DRAWS, RANGE, Rates, Recombination, seen, turn};
use super::setting::Setting;
use crate::engine::Result;

/// The method, its covariance and its paths.
#[derive(Debug, Clone)]
pub struct SepCma {
    by_rank: Recombination,
    sigma: Vec<f64>,
    variance: Vec<f64>,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
}

impl SepCma {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`](crate::engine::Error::Value) or
    /// [`Error::Type`](crate::engine::Error::Type) for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let chosen = Chosen::new(dim, settings)?;
        let rates = |d: f64, mu_w: f64| {
            let full = 2.0 / (mu_w * (d + 2f64.sqrt()).powi(2))
                + (1.0 - 1.0 / mu_w) * ((2.0 * mu_w - 1.0) / ((d + 2.0).powi(2) + mu_w)).min(1.0);
            let c = (full * (d + 2.0) / 3.0).min(1.0);
            Rates {
                c_s: (mu_w + 2.0) / (d + mu_w + 3.0),
                c_c: 4.0 / (d + 4.0),
                c_1: c / mu_w,
                c_mu: c * (1.0 - 1.0 / mu_w),
            }
        };
        // On average no more is taken away than is left: for fast rates, of many candidates, nothing.
        let limit = |rates: &Rates| (1.0 - rates.c_1 - rates.c_mu) / rates.c_mu;
        Ok(Self {
            by_rank: Recombination::new(dim, &chosen, rates, limit),
            sigma: vec![chosen.sigma],
            variance: vec![1.0; dim],
            path_sigma: vec![0.0; dim],
            path_c: vec![0.0; dim],
        })
    }
}

impl Method for SepCma {
    fn population(&self) -> usize {
        self.by_rank.weights.len()
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        at.rng.fill_normal(stream(Purpose::Candidates, at.number(index)), 0, out);
        let again = stream(Purpose::Resampling, at.number(index));
        for (j, ((out, x), c)) in out.iter_mut().zip(&at.x).zip(&self.variance).enumerate() {
            let scale = self.sigma[0] * c.sqrt();
            let outside = |x: f64| at.bounds.as_ref().is_some_and(|bounds| bounds.redraws(j, x));
            let mut drawn = x + scale * *out;
            for draw in 1..DRAWS {
                if !outside(drawn) {
                    break;
                }
                drawn = x + scale * at.rng.normal(again, (draw * at.x.len() + j) as u64)[0];
            }
            // An overflow is no place to look at.
            *out = if drawn.is_finite() { drawn } else { *x };
        }
    }

    fn admitted(&self, at: &Point, index: usize, out: &mut [f64]) {
        self.candidate(at, index, out);
        seen(at, out);
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        if costs.iter().all(|c| !c.is_finite()) {
            return;
        }
        let (dim, sigma, mu) = (at.x.len(), self.sigma[0], self.by_rank.mu);
        let (mut y, mut squares, mut row) = (vec![0.0; dim], vec![0.0; dim], vec![0.0; dim]);
        for (rank, index) in Recombination::order(costs).into_iter().enumerate() {
            let w = self.by_rank.weights[rank];
            if w == 0.0 {
                continue;
            }
            self.candidate(at, index, &mut row);
            row.iter_mut().zip(&at.x).for_each(|(x, m)| *x = (*x - m) / sigma);
            if rank < mu {
                y.iter_mut().zip(&row).for_each(|(y, step)| *y += w * step);
            }
            row.iter_mut().for_each(|x| *x *= *x);
            let square = row.iter().zip(&self.variance).map(|(x, c)| x / c).sum();
            let rate = self.by_rank.rate(rank, square);
            squares.iter_mut().zip(&row).for_each(|(sum, x)| *sum += rate * x);
        }
        let whitened = y.iter().zip(&self.variance).map(|(y, c)| y / c.sqrt());
        let length = self.by_rank.whiten(&mut self.path_sigma, whitened);
        let h = self.by_rank.goes_on(at.step, length);
        self.by_rank.follow(&mut self.path_c, &y, h);
        let (kept, c_1) = (self.by_rank.kept(1.0), self.by_rank.rates.c_1);
        for (j, c) in self.variance.iter_mut().enumerate() {
            let next = kept * *c + c_1 * self.path_c[j] * self.path_c[j] + squares[j];
            // What a step without negative weights leaves is above that for any usual rate.
            *c = next.max(0.5 * kept.min(1.0) * *c).clamp(RANGE[0], RANGE[1]);
            at.x[j] += sigma * y[j];
        }
        self.sigma[0] = self.by_rank.step_size(sigma, length);
        if let Some(signs) = recombination::fold(at) {
            turn(&mut self.path_sigma, &signs);
            turn(&mut self.path_c, &signs);
        }
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
