//! CMA-ES: a Gaussian whose mean, spread and covariance follow the best candidates.
//!
//! Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772, with negative weights;
//! the covariance by a triangular factor as in Krause, Arbones, Igel 2016, "CMA-ES with Optimal
//! Covariance Update and Storage Complexity", NIPS. The names are those of the papers.
//!
//!   C = A A', A = L sqrt(v), L lower triangular with a unit diagonal
//!   x_i = m + sigma A z_i,  y_i = (x_i - m) / sigma,  y = sum over w_i > 0 of w_i y_i,  m += sigma y
//!   p_s, p_c, h, sigma, w_i: see [`recombination`], A^-1 y for p_s
//!   C = (1 - c_1 + (1 - h) c_1 c_c (2 - c_c) - c_mu sum w_i) C + c_1 p_c p_c' + c_mu sum w_i s_i y_i y_i'
//!   s_i = 1, or d / |A^-1 y_i|^2 where w_i < 0
//!   c_1 = 2 / ((d + 1.3)^2 + mu_w),  c_mu = min(1 - c_1, 2 (1/4 + mu_w + 1 / mu_w - 2) / ((d + 2)^2 + mu_w))
//!
//! Deviations: A is the triangular root of C where the tutorial takes the symmetric one, so p_s is
//! turned against its own and its length is the same in law. A step changes sigma by a factor of e at
//! most. Without a finite cost nothing moves.
//! Cost: O(n d^2) a step, without a decomposition. Memory: O(d^2 + n d).

use super::ask_tell::{Method, Point, Purpose, stream};
use super::recombination::{self, Chosen, DRAWS, RANGE, Rates, Recombination, seen, turn};
use super::setting::Setting;
use crate::engine::{Result, threads};
use crate::linalg::triangular;

/// The method, its covariance, its paths and the candidates of the open step.
#[derive(Debug, Clone)]
pub struct Cma {
    by_rank: Recombination,
    sigma: Vec<f64>,
    factor: Vec<f64>,
    variances: Vec<f64>,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    rows: Vec<f64>,
}

/// Products that a task sums, at least: less is not worth waking a thread.
const WORK: usize = 1 << 20;

impl Cma {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`](crate::engine::Error::Value) or
    /// [`Error::Type`](crate::engine::Error::Type) for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let chosen = Chosen::new(dim, settings)?;
        let rates = |d: f64, mu_w: f64| {
            let c_1 = 2.0 / ((d + 1.3).powi(2) + mu_w);
            let c_mu = 2.0 * (0.25 + mu_w + 1.0 / mu_w - 2.0) / ((d + 2.0).powi(2) + mu_w);
            Rates {
                c_s: (mu_w + 2.0) / (d + mu_w + 5.0),
                c_c: (4.0 + mu_w / d) / (d + 4.0 + 2.0 * mu_w / d),
                c_1,
                c_mu: c_mu.min(1.0 - c_1),
            }
        };
        // So C stays positive definite, whatever is taken away.
        let limit = |rates: &Rates| (1.0 - rates.c_1 - rates.c_mu) / (dim as f64 * rates.c_mu);
        Ok(Self {
            by_rank: Recombination::new(dim, &chosen, rates, limit),
            sigma: vec![chosen.sigma],
            factor: triangular::identity(dim),
            variances: vec![1.0; dim],
            path_sigma: vec![0.0; dim],
            path_c: vec![0.0; dim],
            rows: vec![0.0; chosen.population * dim],
        })
    }

    /// Folds the mean, and turns whatever has a direction with its coordinates.
    fn fold(&mut self, at: &mut Point) {
        let Some(signs) = recombination::fold(at) else { return };
        turn(&mut self.path_sigma, &signs);
        turn(&mut self.path_c, &signs);
        let columns = self.factor.chunks_exact_mut(triangular::width(signs.len()));
        for (column, sign) in columns.zip(&signs) {
            turn(column, &signs);
            column.iter_mut().for_each(|l| *l *= sign);
        }
    }

    /// Squared length of a whitened vector that [`triangular::solve`] has seen.
    fn square(&self, solved: &[f64]) -> f64 {
        solved.iter().zip(&self.variances).map(|(z, v)| z * z / v).sum()
    }
}

impl Method for Cma {
    fn population(&self) -> usize {
        self.by_rank.weights.len()
    }

    fn open(&mut self, at: &Point) {
        let mut rows = std::mem::take(&mut self.rows);
        let (dim, sigma) = (at.x.len(), self.sigma[0]);
        let scales: Vec<f64> = self.variances.iter().map(|v| sigma * v.sqrt()).collect();
        let count = (WORK / (dim * dim)).max(1);
        let redraws = |x: &[f64]| {
            let bounds = at.bounds.as_ref();
            bounds.is_some_and(|bounds| (0..dim).any(|i| bounds.redraws(i, x[i])))
        };
        threads::for_each_chunk(&mut rows, count * dim, |task, rows| {
            let (mut u, mut y) = (vec![0.0; dim], vec![0.0; triangular::width(dim)]);
            for (i, row) in (task * count..).zip(rows.chunks_exact_mut(dim)) {
                let key = stream(Purpose::Candidates, at.number(i));
                for draw in 0..DRAWS {
                    at.rng.fill_normal(key, draw * dim.next_multiple_of(2), &mut u);
                    u.iter_mut().zip(&scales).for_each(|(u, scale)| *u *= scale);
                    triangular::multiply(&self.factor, &u, &mut y);
                    for ((out, x), y) in row.iter_mut().zip(&at.x).zip(&y) {
                        // An overflow is no place to look at.
                        *out = if (x + y).is_finite() { x + y } else { *x };
                    }
                    if !redraws(row) {
                        break;
                    }
                }
            }
        });
        self.rows = rows;
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        out.copy_from_slice(&self.rows[index * at.x.len()..][..at.x.len()]);
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
        let weights = &self.by_rank.weights;
        // The path and the candidates that the covariance learns from, best first.
        let ranks = || (0..weights.len()).filter(|&rank| weights[rank] != 0.0);
        let width = triangular::width(dim);
        let mut learnt = vec![0.0; triangular::rows(ranks().count() + 1) * width];
        let order = Recombination::order(costs);
        let (path, steps) = learnt.split_at_mut(width);
        let mut y = vec![0.0; width];
        for (step, rank) in steps.chunks_exact_mut(width).zip(ranks()) {
            let row = &self.rows[order[rank] * dim..][..dim];
            step.iter_mut().zip(row).zip(&at.x).for_each(|((y, x), m)| *y = (x - m) / sigma);
            if rank < mu {
                y.iter_mut().zip(&*step).for_each(|(y, step)| *y += weights[rank] * step);
            }
        }
        // The step and the candidates that are taken away.
        let mut solved = vec![0.0; triangular::rows(1 + ranks().count() - mu) * width];
        solved[..width].copy_from_slice(&y);
        let taken = &steps[mu * width..ranks().count() * width];
        solved[width..][..taken.len()].copy_from_slice(taken);
        triangular::solve(&self.factor, dim, &mut solved);
        let whitened = solved.iter().zip(&self.variances).map(|(z, v)| z / v.sqrt());
        let length = self.by_rank.whiten(&mut self.path_sigma, whitened);
        let h = self.by_rank.goes_on(at.step, length);
        self.by_rank.follow(&mut self.path_c, &y, h);
        path[..dim].copy_from_slice(&self.path_c);

        let squares: Vec<f64> =
            solved.chunks_exact(width).skip(1).map(|z| self.square(z)).collect();
        let squares = std::iter::repeat_n(1.0, mu).chain(squares);
        let rates = ranks().zip(squares).map(|(rank, square)| self.by_rank.rate(rank, square));
        let mut rates: Vec<f64> = std::iter::once(self.by_rank.rates.c_1).chain(rates).collect();
        rates.resize(learnt.len() / width, 0.0);
        let kept = self.by_rank.kept(h);
        let within = |v: &mut f64| *v = v.clamp(RANGE[0], RANGE[1]);
        self.variances.iter_mut().for_each(|v| *v *= kept);
        self.variances.iter_mut().for_each(within);
        triangular::update(&mut self.factor, &mut self.variances, &mut learnt, &mut rates);
        self.variances.iter_mut().for_each(within);
        at.x.iter_mut().zip(&y).for_each(|(x, y)| *x += sigma * y);
        self.sigma[0] = self.by_rank.step_size(sigma, length);
        self.fold(at);
    }

    /// The largest standard deviation of a coordinate.
    fn reach(&self, _at: &Point) -> f64 {
        let variances = triangular::diagonal(&self.factor, &self.variances);
        self.sigma[0] * variances.into_iter().fold(0.0, f64::max).sqrt()
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![
            ("sigma", &mut self.sigma),
            ("factor", &mut self.factor),
            ("variances", &mut self.variances),
            ("path_sigma", &mut self.path_sigma),
            ("path_c", &mut self.path_c),
        ]
    }
}
