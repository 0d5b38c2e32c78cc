//! What evolution strategies with a covariance share: weights by rank, evolution paths, step size.
//!
//! Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772; the names are those of
//! the paper, but for the covariance, which each method keeps in its own form.
//!
//!   w'_i = ln((n + 1) / 2) - ln i, best first; those of the mu = n / 2 best are scaled to sum 1
//!   mu_w = 1 / sum of squares of these, mu_- the same of the others, scaled likewise
//!   the others sum to -min(1 + c_1 / c_mu, 1 + 2 mu_- / (mu_w + 2), limit of the method)
//!   p_s = (1 - c_s) p_s + sqrt(c_s (2 - c_s) mu_w) A^-1 y,  A A' = C
//!   h = 1 while |p_s| / sqrt(1 - (1 - c_s)^(2 t)) < (1.4 + 2 / (d + 1)) E|N(0, I)|, else 0
//!   p_c = (1 - c_c) p_c + h sqrt(c_c (2 - c_c) mu_w) y
//!   sigma *= exp(c_s / d_s (|p_s| / E|N(0, I)| - 1)), by a factor of e at most
//!   d_s = 1 + 2 max(0, sqrt((mu_w - 1) / (d + 1)) - 1) + c_s
//!
//! Bounds: a candidate is learnt from where it was drawn, and its cost is that of the folded point, so
//! the search is one of a mirrored function without bounds; when m crosses a mirror, it is folded, and
//! paths and covariance turn with it. To resample is to draw from the Gaussian again, a few times at
//! most, before what still lies outside is folded.

use super::ask_tell::Point;
use super::setting::{Setting, choice, count, flag, positive};
use crate::engine::reduce::sum_of_squares;
use crate::engine::{Error, Result};

/// How fast paths and covariance follow.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Of the path that sets the step size.
    pub c_s: f64,
    /// Of the path that the covariance learns from.
    pub c_c: f64,
    /// Of the covariance, for the path.
    pub c_1: f64,
    /// Of the covariance, for the candidates.
    pub c_mu: f64,
}

/// What a user chooses.
#[derive(Debug, Clone, Copy)]
pub struct Chosen {
    /// Candidates of a step.
    pub population: usize,
    /// First standard deviation.
    pub sigma: f64,
    /// Whether the worse half has negative weights.
    pub active: bool,
}

impl Chosen {
    /// The settings of a method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Type`] for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let population = 4 + (3.0 * (dim as f64).ln()) as usize;
        let mut out = Self { population, sigma: 0.5, active: true };
        for (name, value) in settings {
            match name.as_str() {
                "population" => out.population = count(name, value)?,
                "sigma" => out.sigma = positive(name, value)?,
                "active" => out.active = flag(name, value)?,
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        if out.population < 2 {
            let fix = "half of the candidates must be left out";
            return Err(Error::value("population", "an integer >= 2", out.population, fix));
        }
        Ok(out)
    }
}

/// Weights, rates and the updates that need nothing else.
#[derive(Debug, Clone)]
pub struct Recombination {
    /// A weight for each rank, the best first.
    pub weights: Vec<f64>,
    /// How many of them are positive.
    pub mu: usize,
    /// The rates.
    pub rates: Rates,
    mu_w: f64,
    d_s: f64,
    dim: f64,
}

/// Draws of a candidate, or of a coordinate, before it is folded.
pub const DRAWS: usize = 10;

/// Beyond these no step makes sense, and products of two still are numbers.
pub const RANGE: [f64; 2] = [1e-150, 1e150];

impl Recombination {
    /// Weights for `dim` dimensions; `rates` follow from d and mu_w, and `limit` from the rates.
    pub fn new(
        dim: usize,
        chosen: &Chosen,
        rates: impl FnOnce(f64, f64) -> Rates,
        limit: impl FnOnce(&Rates) -> f64,
    ) -> Self {
        let (n, d) = (chosen.population, dim as f64);
        let raw = |i: usize| (0.5 * (n as f64 + 1.0)).ln() - (i as f64).ln();
        let mut weights: Vec<f64> = (1..=n).map(raw).collect();
        let mu = n / 2;
        let (best, worst) = weights.split_at_mut(mu);
        let mass = |w: &[f64]| w.iter().sum::<f64>().powi(2) / sum_of_squares(w);
        let (mu_w, mu_minus) = (mass(best), mass(worst));
        let rates = rates(d, mu_w);
        let total: f64 = best.iter().sum();
        best.iter_mut().for_each(|w| *w /= total);
        let sum = (1.0 + rates.c_1 / rates.c_mu).min(1.0 + 2.0 * mu_minus / (mu_w + 2.0));
        let sum = if chosen.active { sum.min(limit(&rates)).max(0.0) } else { 0.0 };
        let total: f64 = worst.iter().sum();
        worst.iter_mut().for_each(|w| *w *= -sum / total);
        let d_s = 1.0 + 2.0 * (((mu_w - 1.0) / (d + 1.0)).sqrt() - 1.0).max(0.0) + rates.c_s;
        Self { weights, mu, rates, mu_w, d_s, dim: d }
    }

    /// Indices of the costs, the lowest first, equal ones in their order.
    pub fn order(costs: &[f64]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..costs.len()).collect();
        order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
        order
    }

    /// Length of a standard normal vector, about.
    fn expected(&self) -> f64 {
        let d = self.dim;
        d.sqrt() * (1.0 - 1.0 / (4.0 * d) + 1.0 / (21.0 * d * d))
    }

    /// Moves p_s by a whitened step and returns its length.
    pub fn whiten(&self, path: &mut [f64], whitened: impl Iterator<Item = f64>) -> f64 {
        let c = self.rates.c_s;
        let scale = (c * (2.0 - c) * self.mu_w).sqrt();
        path.iter_mut().zip(whitened).for_each(|(p, z)| *p = (1.0 - c) * *p + scale * z);
        sum_of_squares(path).sqrt()
    }

    /// Whether p_c goes on, 1 or 0, in the step after `step` others.
    pub fn goes_on(&self, step: u64, length: f64) -> f64 {
        let settled = (1.0 - (1.0 - self.rates.c_s).powf(2.0 * (step as f64 + 1.0))).sqrt();
        let limit = (1.4 + 2.0 / (self.dim + 1.0)) * self.expected();
        if length / settled < limit { 1.0 } else { 0.0 }
    }

    /// Moves p_c.
    pub fn follow(&self, path: &mut [f64], y: &[f64], h: f64) {
        let c = self.rates.c_c;
        let scale = h * (c * (2.0 - c) * self.mu_w).sqrt();
        path.iter_mut().zip(y).for_each(|(p, y)| *p = (1.0 - c) * *p + scale * y);
    }

    /// The next step size, for the length of p_s.
    pub fn step_size(&self, sigma: f64, length: f64) -> f64 {
        let change = self.rates.c_s / self.d_s * (length / self.expected() - 1.0);
        (sigma * change.min(1.0).exp()).clamp(RANGE[0], RANGE[1])
    }

    /// What stays of the covariance, `h` as for p_c.
    pub fn kept(&self, h: f64) -> f64 {
        let Rates { c_c, c_1, c_mu, .. } = self.rates;
        let sum: f64 = self.weights.iter().sum();
        1.0 - c_1 + (1.0 - h) * c_1 * c_c * (2.0 - c_c) - c_mu * sum
    }

    /// Rate of the candidate of a rank, whose whitened step has this squared length: negative ones
    /// count as if they had the expected length.
    pub fn rate(&self, rank: usize, square: f64) -> f64 {
        let rate = self.rates.c_mu * self.weights[rank];
        match rate {
            0.0.. => rate,
            _ if square > 0.0 => rate * self.dim / square,
            _ => 0.0,
        }
    }
}

/// Where the cost of a candidate is taken: folded into the box.
pub fn seen(at: &Point, x: &mut [f64]) {
    if let Some(bounds) = &at.bounds {
        bounds.fold(x);
    }
}

/// Folds m and returns a sign for each coordinate, or none where nothing turns.
pub fn fold(at: &mut Point) -> Option<Vec<f64>> {
    let bounds = at.bounds.as_ref()?;
    let sign = |(i, &x)| if bounds.mirrored(i, x) { -1.0 } else { 1.0 };
    let signs: Vec<f64> = at.x.iter().enumerate().map(sign).collect();
    bounds.fold(&mut at.x);
    signs.contains(&-1.0).then_some(signs)
}

/// Turns a vector.
pub fn turn(v: &mut [f64], signs: &[f64]) {
    v.iter_mut().zip(signs).for_each(|(v, sign)| *v *= sign);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_in_order_and_leave_the_covariance_positive() {
        for (dim, population) in [(1, 2), (3, 7), (10, 10), (100, 17), (3, 2000)] {
            let rates = |d: f64, mu_w: f64| {
                let c_1 = 2.0 / ((d + 1.3).powi(2) + mu_w);
                Rates { c_s: 0.3, c_c: 0.2, c_1, c_mu: (mu_w / (d * d)).min(1.0 - c_1) }
            };
            let limit = |r: &Rates| (1.0 - r.c_1 - r.c_mu) / (dim as f64 * r.c_mu);
            let chosen = Chosen { population, sigma: 1.0, active: true };
            let made = Recombination::new(dim, &chosen, rates, limit);
            let (best, worst) = made.weights.split_at(population / 2);
            assert!((best.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(made.weights.windows(2).all(|w| w[0] >= w[1]));
            let taken: f64 = -worst.iter().sum::<f64>();
            assert!((0.0..=limit(&made.rates) + 1e-12).contains(&taken));
            // All that is taken away at once, along one direction, from what is kept.
            let least = made.kept(1.0) - made.rates.c_mu * taken * dim as f64;
            assert!(least > -1e-12, "{dim} {population} {least}");
            let chosen = Chosen { active: false, ..chosen };
            let plain = Recombination::new(dim, &chosen, rates, limit);
            assert!(plain.weights[population / 2..].iter().all(|w| *w == 0.0));
            assert_eq!(plain.weights[..population / 2], *best);
        }
    }

    #[test]
    fn equal_costs_keep_their_order() {
        assert_eq!(Recombination::order(&[1.0, f64::INFINITY, 0.0, 1.0]), [2, 0, 3, 1]);
    }
}
