//! Projection onto a polyhedron, seen through inner products alone.
//!
//! Goldfarb and Idnani 1983, "A numerically stable dual method for solving strictly convex
//! quadratic programs", Math. Program. 27, with the identity as Hessian.
//!
//!   minimise |x - a|^2 / 2  subject to  h_j . x >= b_j,  |h_j| = 1
//!
//!   H_jk = h_j . h_k     y_j = h_j . x - b_j (slack)     mu >= 0 (multipliers)
//!   x = a + sum_j mu_j h_j,   y = y(a) + H mu,   y >= 0,   mu_j y_j = 0
//!
//! The violated constraint with the smallest slack enters the active set W; the multipliers of W
//! move so that their slacks stay zero; one that would turn negative leaves first. Each step
//! raises the dual objective, so the method ends. Cost O(|W|^2 + n |W|) a step.
//!
//! Deviation: unit rows and relative thresholds, so that the scale of the rows does not matter,
//! and a last correction of the multipliers against round-off.

use super::cholesky::dot;
use super::growing_cholesky::Factor;
use crate::engine::simd::{self, Kernel};

/// Slacks down to minus this, relative to the scale of the problem, count as satisfied.
const TOLERANCE: f64 = 1e-14;
/// A constraint whose squared distance from the span of the active ones is below this times the
/// squared size of its coefficients is dependent on them: rounding decides beyond.
const DEPENDENT: f64 = 1e-14;

/// How a projection ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The multipliers are optimal.
    Optimal,
    /// The constraints contradict one another: these non-negative weights of the rows, not all
    /// zero, sum to the zero vector.
    Infeasible(Vec<f64>),
}

/// Memory of the solver, kept from problem to problem.
#[derive(Debug, Default)]
pub struct Solver {
    /// Multipliers of the last problem, one a constraint.
    pub mu: Vec<f64>,
    slack: Vec<f64>,
    active: Vec<usize>,
    /// Active, or found dependent: not to enter.
    closed: Vec<bool>,
    factor: Factor,
    /// No step moves further, and none lets the multipliers grow beyond 1e6 times this: what
    /// would is rounding of a dependent row.
    longest: f64,
    r: Vec<f64>,
    half: Vec<f64>,
}

impl Solver {
    /// Solves for constraints with inner products `h` (n x n, unit diagonal) and `slack` y(a), to
    /// slacks above -1e-14 `scale`, where `scale` is the length of the vectors at hand.
    pub fn solve(&mut self, h: &[f64], slack: &[f64], scale: f64) -> Outcome {
        simd::dispatch(Solve { solver: self, h, slack, scale, cone: false })
    }

    /// As [`Solver::solve`] where every b_j is 0. The origin is feasible, so a contradiction is
    /// rounding: the row is satisfied by the others, and the work goes on without it.
    pub fn solve_cone(&mut self, h: &[f64], slack: &[f64], scale: f64) {
        simd::dispatch(Solve { solver: self, h, slack, scale, cone: true });
    }
}

struct Solve<'a> {
    solver: &'a mut Solver,
    h: &'a [f64],
    slack: &'a [f64],
    scale: f64,
    cone: bool,
}

impl Kernel for Solve<'_> {
    type Output = Outcome;

    #[inline(always)]
    fn run(self) -> Outcome {
        let Self { solver, h, slack: start, scale, cone } = self;
        let n = start.len();
        assert_eq!(h.len(), n * n, "inner products of {n} constraints");
        solver.reset(start);
        let tol = TOLERANCE * scale;
        // In a cone the projection is not longer than the vector, so its steps are not either.
        solver.longest = if cone { 2.0 * scale } else { f64::INFINITY };
        if !solver.pivot(h, start, tol) {
            solver.reset(start);
        }
        // Far above what a problem needs; only rounding could circle.
        let mut steps = 40 * n + 100;
        for _correction in 0..3 {
            while let Some(entering) = solver.most_violated(tol.max(solver.noise())) {
                if steps == 0 {
                    return Outcome::Optimal;
                }
                if let Some(certificate) = solver.enter(h, entering, &mut steps) {
                    if !cone {
                        return Outcome::Infeasible(certificate);
                    }
                    solver.closed[entering] = true;
                }
            }
            if !solver.correct(h, start, tol) {
                break;
            }
        }
        Outcome::Optimal
    }
}

impl Solver {
    #[inline(always)]
    fn reset(&mut self, slack: &[f64]) {
        let n = slack.len();
        self.slack.clear();
        self.slack.extend_from_slice(slack);
        self.mu.clear();
        self.mu.resize(n, 0.0);
        self.closed.clear();
        self.closed.resize(n, false);
        self.active.clear();
        self.factor.clear();
        self.r.resize(n, 0.0);
        self.half.resize(n, 0.0);
    }

    /// Guesses the whole active set at once, from the signs of slacks and multipliers, and corrects
    /// the guess a few times (block principal pivoting). Where many constraints are active and
    /// nearly orthogonal this ends in three or four rounds; returns false where it does not.
    #[inline(always)]
    fn pivot(&mut self, h: &[f64], start: &[f64], tol: f64) -> bool {
        let n = start.len();
        if start.iter().filter(|&&y| y < -tol).count() < 6 {
            return false;
        }
        for _ in 0..6 {
            let mut changed = false;
            for k in (0..self.active.len()).rev() {
                let j = self.active[k];
                if self.mu[j] <= 0.0 {
                    self.active.remove(k);
                    self.factor.drop(k);
                    self.closed[j] = false;
                    self.mu[j] = 0.0;
                    changed = true;
                }
            }
            for p in 0..n {
                if self.slack[p] >= -tol || self.closed[p] {
                    continue;
                }
                let w = self.active.len();
                for (half, &k) in self.half.iter_mut().zip(&self.active) {
                    *half = h[p * n + k];
                }
                self.factor.forward(&mut self.half[..w]);
                let pivot = h[p * n + p] - dot(&self.half[..w], &self.half[..w]);
                // Near dependence is for the careful method.
                if pivot < 1e-3 {
                    return false;
                }
                self.factor.append(&self.half, pivot.sqrt());
                self.active.push(p);
                self.closed[p] = true;
                changed = true;
            }
            if !changed {
                return true;
            }
            let w = self.active.len();
            for (half, &k) in self.half.iter_mut().zip(&self.active) {
                *half = -start[k];
            }
            self.factor.forward(&mut self.half[..w]);
            self.factor.backward(&mut self.half[..w]);
            for (&k, &mu) in self.active.iter().zip(&self.half[..w]) {
                self.mu[k] = mu;
            }
            self.refresh(h, start);
        }
        false
    }

    /// Rounding of the slacks under large multipliers.
    #[inline(always)]
    fn noise(&self) -> f64 {
        f64::EPSILON * self.mu.iter().sum::<f64>()
    }

    /// The inactive constraint with the smallest slack, if that is below -tol.
    #[inline(always)]
    fn most_violated(&self, tol: f64) -> Option<usize> {
        let mut best = (-tol, None);
        for (j, (&y, &active)) in self.slack.iter().zip(&self.closed).enumerate() {
            if y < best.0 && !active {
                best = (y, Some(j));
            }
        }
        best.1
    }

    /// Raises the multiplier of `p` until its slack is zero, dropping what blocks. Returns a
    /// certificate when nothing blocks and the slack cannot rise.
    #[inline(always)]
    fn enter(&mut self, h: &[f64], p: usize, steps: &mut usize) -> Option<Vec<f64>> {
        let n = self.slack.len();
        let row = &h[p * n..(p + 1) * n];
        loop {
            *steps = steps.saturating_sub(1);
            let w = self.active.len();
            for (half, &k) in self.half.iter_mut().zip(&self.active) {
                *half = row[k];
            }
            self.factor.forward(&mut self.half[..w]);
            self.r[..w].copy_from_slice(&self.half[..w]);
            self.factor.backward(&mut self.r[..w]);
            let pivot = row[p] - dot(&self.half[..w], &self.half[..w]);
            let size = 1.0 + self.r[..w].iter().map(|r| r.abs()).sum::<f64>();
            let independent = pivot > DEPENDENT * size * size
                && -self.slack[p] <= self.longest * pivot.max(0.0).sqrt();
            let full = if independent { (-self.slack[p] / pivot).max(0.0) } else { f64::INFINITY };
            // Coefficients that are zero up to rounding do not block.
            let (mut partial, mut blocking) = (f64::INFINITY, 0);
            for (k, &r) in self.r[..w].iter().enumerate() {
                let ratio = self.mu[self.active[k]] / r;
                if r > 1e-14 * size && ratio < partial {
                    (partial, blocking) = (ratio, k);
                }
            }
            let t = full.min(partial);
            let grown = self.mu.iter().sum::<f64>() + t * size;
            if grown >= 1e6 * self.longest || *steps == 0 {
                return if *steps == 0 { None } else { Some(self.contradiction(p)) };
            }
            for (&k, &r) in self.active.iter().zip(&self.r) {
                self.mu[k] = (self.mu[k] - t * r).max(0.0);
                axpy(-t * r, &h[k * n..(k + 1) * n], &mut self.slack);
            }
            self.mu[p] += t;
            axpy(t, row, &mut self.slack);
            if full <= partial {
                self.factor.append(&self.half, pivot.sqrt());
                self.active.push(p);
                self.closed[p] = true;
                return None;
            }
            let gone = self.active.remove(blocking);
            self.factor.drop(blocking);
            self.mu[gone] = 0.0;
            self.closed[gone] = false;
        }
    }

    /// h_p = sum_W r_k h_k up to rounding with r <= 0: the weights (1, -r) sum to zero.
    fn contradiction(&mut self, p: usize) -> Vec<f64> {
        let mut weights = vec![0.0; self.slack.len()];
        weights[p] = 1.0;
        for (&k, &r) in self.active.iter().zip(&self.r) {
            weights[k] = (-r).max(0.0);
        }
        weights
    }

    /// Recomputes the slacks and solves once more for the active multipliers. Returns whether some
    /// constraint is now violated.
    #[inline(always)]
    fn correct(&mut self, h: &[f64], start: &[f64], tol: f64) -> bool {
        let w = self.active.len();
        self.refresh(h, start);
        for (half, &k) in self.half.iter_mut().zip(&self.active) {
            *half = self.slack[k];
        }
        self.factor.forward(&mut self.half[..w]);
        self.factor.backward(&mut self.half[..w]);
        let size: f64 = self.mu.iter().sum();
        if self.half[..w].iter().any(|step| step.abs() > 1e-3 * size) {
            // Not a correction any more, but the rounding of a nearly singular factor.
            return false;
        }
        for (&k, &step) in self.active.iter().zip(&self.half[..w]) {
            self.mu[k] = (self.mu[k] - step).max(0.0);
        }
        self.refresh(h, start);
        self.most_violated(tol).is_some()
    }

    #[inline(always)]
    fn refresh(&mut self, h: &[f64], start: &[f64]) {
        let n = start.len();
        self.slack.copy_from_slice(start);
        for (&mu, row) in self.mu.iter().zip(h.chunks_exact(n.max(1))) {
            if mu != 0.0 {
                axpy(mu, row, &mut self.slack);
            }
        }
    }
}

#[inline(always)]
fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::Philox;

    /// Inner products of random unit rows, of rank at most d.
    fn products(seed: u64, n: usize, d: usize) -> Vec<f64> {
        let rng = Philox::new(seed);
        let rows: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                let row: Vec<f64> = (0..d).map(|c| rng.normal(i as u64, c as u64)[0]).collect();
                let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                row.iter().map(|x| x / length).collect()
            })
            .collect();
        let dot = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(x, y)| x * y).sum();
        (0..n * n).map(|k| dot(k / n, k % n)).collect()
    }

    #[test]
    fn cone_problems_satisfy_the_optimality_conditions() {
        let mut solver = Solver::default();
        for seed in 0..300 {
            let (n, d) = (2 + seed as usize % 9, 1 + seed as usize % 7);
            let h = products(seed, n, d);
            for i in 0..n {
                let start = &h[i * n..(i + 1) * n];
                solver.solve_cone(&h, start, 1.0);
                for j in 0..n {
                    let y: f64 =
                        start[j] + (0..n).map(|k| h[j * n + k] * solver.mu[k]).sum::<f64>();
                    assert!(solver.mu[j] >= 0.0 && y >= -1e-11, "{seed} {y}");
                    assert!((solver.mu[j] * y).abs() <= 1e-11, "{seed} {y} {}", solver.mu[j]);
                }
            }
        }
    }

    #[test]
    fn multipliers_stay_moderate_where_the_answer_is_the_origin() {
        let mut solver = Solver::default();
        for seed in 0..20 {
            let (n, d) = (150, 40);
            let rng = Philox::new(seed);
            // Far more rows than dimensions, whose sizes fall over ten decades.
            let rows: Vec<Vec<f64>> = (0..n)
                .map(|i| {
                    let size = |c: usize| 10f64.powf(-(c as f64) / 4.0);
                    let entry = |c: usize| size(c) * rng.normal(i as u64, c as u64)[0];
                    let row: Vec<f64> = (0..d).map(entry).collect();
                    let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                    row.iter().map(|x| x / length).collect()
                })
                .collect();
            let dot = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(x, y)| x * y).sum();
            let h: Vec<f64> = (0..n * n).map(|k| dot(k / n, k % n)).collect();
            for i in 0..5 {
                solver.solve_cone(&h, &h[i * n..(i + 1) * n], 1.0);
                let mut x = rows[i].clone();
                for (mu, row) in solver.mu.iter().zip(&rows) {
                    x.iter_mut().zip(row).for_each(|(x, h)| *x += mu * h);
                }
                let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
                assert!(length <= 2.0, "{seed} {length}");
            }
        }
    }

    #[test]
    fn contradicting_constraints_give_a_certificate() {
        let mut solver = Solver::default();
        for seed in 0..100 {
            // More rows than twice the dimensions: the origin often lies in their hull.
            let (n, d) = (3 + seed as usize % 8, 1 + seed as usize % 3);
            let h = products(seed, n, d);
            let form = |w: &[f64]| -> f64 { (0..n * n).map(|k| w[k / n] * h[k] * w[k % n]).sum() };
            match solver.solve(&h, &vec![-1.0; n], 1.0) {
                Outcome::Infeasible(w) => {
                    assert!(w.iter().all(|&w| w >= 0.0) && w.iter().any(|&w| w > 0.0));
                    let total: f64 = w.iter().sum();
                    assert!(form(&w) <= 1e-12 * total * total, "{seed} {}", form(&w));
                }
                Outcome::Optimal => {
                    for j in 0..n {
                        let y: f64 = (0..n).map(|k| h[j * n + k] * solver.mu[k]).sum();
                        assert!(y >= 1.0 - 1e-9 && solver.mu[j] * (y - 1.0) <= 1e-8, "{seed} {y}");
                    }
                }
            }
        }
    }
}
