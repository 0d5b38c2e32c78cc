//! Sinkhorn and its one-sided relative: transport weights that couple the rows.
//!
//! Cuturi 2013, "Sinkhorn distances"; one-sided: Chizat et al. 2018, arXiv:1607.05816.
//!
//!   f, g duals   a = 1/P, b = 1/V   w relaxation   lam penalty on the column sums
//!   alpha = lam / (lam + eps): 0 is softmax, 1 (lam = inf) is Sinkhorn
//!   f <- (1-w) f + w eps (log a - LSE_j (g_j - C_ij) / eps)
//!   g <- (1-w) g + w alpha eps (log b - LSE_i (f_i - C_ij) / eps)
//!   W = plan / its row sums
//!
//! The column sums couple vertex *indices*; under random rotations index k has no common meaning,
//! and a single row gets equal weights whatever its costs are. Softmax is the better default.
//! Cost: O(P V) an iteration. Sequential, so that sums have one order.

use super::anderson::Anderson;

/// Entropic transport, warm-started from the last solve.
#[derive(Debug, Clone, PartialEq)]
pub struct Sinkhorn {
    /// Penalty on the column sums; infinity for balanced transport.
    pub lam: f64,
    /// Most iterations of a solve, >= 1.
    pub max_iter: usize,
    /// Largest absolute error of a marginal at the end; 0 runs all iterations.
    pub tol: f64,
    /// Relaxation, in [0.5, 1.95].
    pub omega: f64,
    /// Picks the relaxation from the measured rate of convergence.
    pub adaptive_omega: bool,
    /// Extrapolates the warm start: f + beta (f - f before).
    pub momentum: f64,
    /// Steps that Anderson acceleration of g looks back on; 0 for none.
    pub anderson: usize,
    /// Duals of the last solve, f then g, and of the one before.
    pub duals: [Vec<f64>; 2],
    /// Temperature of the last solve, 0 before the first.
    pub eps: f64,
    /// Iterations of the last solve.
    pub iterations: usize,
    /// Whether the last solve met `tol`.
    pub converged: bool,
}

const CHECK: usize = 10;

impl Sinkhorn {
    /// Balanced (`lam` infinite) or one-sided transport with the usual settings.
    pub fn new(lam: f64) -> Self {
        Self {
            lam,
            max_iter: 2000,
            tol: 1e-6,
            omega: 1.0,
            adaptive_omega: false,
            momentum: 0.0,
            anderson: 0,
            duals: [Vec::new(), Vec::new()],
            eps: 0.0,
            iterations: 0,
            converged: false,
        }
    }

    /// Forgets the warm start.
    pub fn forget(&mut self) {
        self.duals.iter_mut().for_each(Vec::clear);
        self.eps = 0.0;
    }

    /// Writes the weights of `costs`, rows of `columns` numbers.
    pub fn weigh(&mut self, costs: &[f64], columns: usize, eps: f64, weights: &mut [f64]) {
        let rows = costs.len() / columns;
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let c: Vec<f64> = costs.iter().map(|c| c - least).collect();
        let alpha = if self.lam.is_infinite() { 1.0 } else { self.lam / (self.lam + eps) };
        let mut duals = self.warm(rows, columns, eps, &c);
        let (f, g) = duals.split_at_mut(rows);
        self.iterate(&c, eps, alpha, f, g);
        for ((w, c), f) in weights.chunks_exact_mut(columns).zip(c.chunks_exact(columns)).zip(&*f) {
            let mut sum = 0.0;
            for ((w, c), g) in w.iter_mut().zip(c).zip(&*g) {
                *w = ((f + g - c) / eps).exp();
                sum += *w;
            }
            w.iter_mut().for_each(|w| *w /= sum.max(1e-12));
        }
        if duals.iter().all(|d| d.is_finite()) {
            self.duals.swap(0, 1);
            self.duals[0] = duals;
            self.eps = eps;
        } else {
            self.forget();
        }
    }

    fn warm(&self, rows: usize, columns: usize, eps: f64, c: &[f64]) -> Vec<f64> {
        let n = rows + columns;
        if self.duals[0].len() != n || self.eps <= 0.0 {
            return vec![0.0; n];
        }
        let ratio = eps / self.eps;
        let bound = 10.0 * c.iter().fold(0.0, |a: f64, c| a.max(c.abs()));
        // Far from the last temperature the difference of two solves says nothing.
        let beta = if (0.5..=2.0).contains(&ratio) { self.momentum } else { 0.0 };
        let known = beta != 0.0 && self.duals[1].len() == n;
        let mut duals: Vec<f64> = (0..n)
            .map(|i| {
                let now = self.duals[0][i];
                let ahead = if known { now + beta * (now - self.duals[1][i]) } else { now };
                (ahead * ratio).clamp(-bound, bound)
            })
            .collect();
        let mean = |d: &[f64]| d.iter().sum::<f64>() / d.len().max(1) as f64;
        let shift = 0.5 * (mean(&duals[rows..]) - mean(&duals[..rows]));
        // The plan does not see f + c, g - c. One-sided transport does: its g is not free.
        if self.lam.is_infinite() {
            duals[..rows].iter_mut().for_each(|f| *f += shift);
            duals[rows..].iter_mut().for_each(|g| *g -= shift);
        }
        duals
    }

    fn iterate(&mut self, c: &[f64], eps: f64, alpha: f64, f: &mut [f64], g: &mut [f64]) {
        let (rows, columns) = (f.len(), g.len());
        let (log_a, log_b) = (-(rows as f64).ln(), -(columns as f64).ln());
        let mut omega = self.omega;
        let (mut previous, mut size, mut growth) = (f64::NAN, f64::INFINITY, 0);
        let (mut high, mut sums) = (vec![0.0; columns], vec![0.0; columns]);
        self.converged = false;
        let (mut anderson, mut before) = (Anderson::new(self.anderson), g.to_vec());
        for i in 1..=self.max_iter {
            self.iterations = i;
            for (f, c) in f.iter_mut().zip(c.chunks_exact(columns)) {
                let row = || g.iter().zip(c).map(|(g, c)| (g - c) / eps);
                *f += omega * (eps * (log_a - log_sum_exp(row)) - *f);
            }
            // Column by column in one sweep over rows: first the maxima, then the sums.
            high.fill(f64::NEG_INFINITY);
            sums.fill(0.0);
            for (f, c) in f.iter().zip(c.chunks_exact(columns)) {
                for (h, c) in high.iter_mut().zip(c) {
                    *h = h.max((f - c) / eps);
                }
            }
            for (f, c) in f.iter().zip(c.chunks_exact(columns)) {
                for ((s, h), c) in sums.iter_mut().zip(&high).zip(c) {
                    *s += ((f - c) / eps - h).exp();
                }
            }
            let mut moved: f64 = 0.0;
            for ((g, h), s) in g.iter_mut().zip(&high).zip(&sums) {
                let step = omega * (alpha * eps * (log_b - h - s.ln()) - *g);
                *g += step;
                moved = moved.max(step.abs());
            }
            if self.tol <= 0.0 || (i % CHECK != 0 && i != self.max_iter) {
                // Between checks alone: they and the end see a g that belongs to f.
                anderson.step(&before, g);
                before.copy_from_slice(g);
                continue;
            }
            before.copy_from_slice(g);
            let error = if alpha < 1.0 { moved / eps } else { marginal_error(c, eps, f, g) };
            let bound = f.iter().chain(g.iter()).fold(0.0, |a: f64, d| a.max(d.abs()));
            if error <= self.tol || !error.is_finite() {
                self.converged = error <= self.tol;
                return;
            }
            growth = if bound > 1.05 * size { growth + 1 } else { 0 };
            if omega > 1.5 && growth >= 3 {
                (omega, growth) = (1.0, 0);
            } else if self.adaptive_omega && previous.is_finite() {
                let rate = (error / previous).min(0.99).powf(1.0 / CHECK as f64);
                omega = (2.0 / (1.0 + (1.0 - rate).max(0.0).sqrt())).clamp(1.0, 1.95);
            }
            (previous, size) = (error, bound);
        }
        self.converged |= self.tol <= 0.0;
    }
}

fn marginal_error(c: &[f64], eps: f64, f: &[f64], g: &[f64]) -> f64 {
    let (rows, columns) = (f.len(), g.len());
    let mut sums = vec![0.0; columns];
    let mut error: f64 = 0.0;
    for (f, c) in f.iter().zip(c.chunks_exact(columns)) {
        let mut row = 0.0;
        for ((s, g), c) in sums.iter_mut().zip(g).zip(c) {
            let mass = ((f + g - c) / eps).exp();
            (row, *s) = (row + mass, *s + mass);
        }
        error = error.max((row - 1.0 / rows as f64).abs());
    }
    sums.iter().fold(error, |e, s| e.max((s - 1.0 / columns as f64).abs()))
}

fn log_sum_exp<I: Iterator<Item = f64>>(values: impl Fn() -> I) -> f64 {
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    high + values().map(|v| (v - high).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::polystep::solver::softmax;

    const COSTS: [f64; 12] = [0.1, 0.9, 0.4, 0.3, 0.8, 0.2, 0.7, 0.5, 0.6, 0.1, 0.9, 0.2];

    fn weigh(mut s: Sinkhorn, eps: f64) -> (Vec<f64>, Sinkhorn) {
        let mut w = vec![0.0; 12];
        s.weigh(&COSTS, 4, eps, &mut w);
        (w, s)
    }

    #[test]
    fn balanced_weights_share_the_columns_equally() {
        for omega in [1.0, 1.4] {
            let (w, s) = weigh(Sinkhorn { omega, tol: 1e-10, ..Sinkhorn::new(f64::INFINITY) }, 0.1);
            assert!(s.converged && s.iterations < 2000);
            for k in 0..4 {
                let column: f64 = (0..3).map(|i| w[i * 4 + k]).sum();
                assert!((column - 0.75).abs() < 1e-8, "{column}");
            }
            assert!(w.chunks_exact(4).all(|w| (w.iter().sum::<f64>() - 1.0).abs() < 1e-12));
        }
    }

    #[test]
    fn the_one_sided_form_runs_from_softmax_to_sinkhorn() {
        let (none, _) = weigh(Sinkhorn::new(0.0), 0.2);
        let mut soft = vec![0.0; 12];
        for (c, w) in COSTS.chunks_exact(4).zip(soft.chunks_exact_mut(4)) {
            softmax(c, 0.2, w);
        }
        assert!(none.iter().zip(&soft).all(|(a, b)| (a - b).abs() < 1e-12));
        let exact = Sinkhorn { tol: 1e-12, ..Sinkhorn::new(1e9) };
        let (large, _) = weigh(exact, 0.2);
        let (full, _) = weigh(Sinkhorn { tol: 1e-12, ..Sinkhorn::new(f64::INFINITY) }, 0.2);
        assert!(large.iter().zip(&full).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn a_warm_start_saves_iterations_and_changes_nothing_else() {
        let cold = Sinkhorn { tol: 1e-9, ..Sinkhorn::new(f64::INFINITY) };
        let (first, warm) = weigh(cold, 0.05);
        let before = warm.iterations;
        let (second, warm) = weigh(warm, 0.05);
        assert!(warm.iterations <= before && warm.iterations <= 10);
        assert!(first.iter().zip(&second).all(|(a, b)| (a - b).abs() < 1e-7));
    }

    #[test]
    fn relaxation_picked_by_itself_converges_too() {
        let s = Sinkhorn { adaptive_omega: true, tol: 1e-9, ..Sinkhorn::new(f64::INFINITY) };
        let (plain, slow) = weigh(Sinkhorn { tol: 1e-9, ..Sinkhorn::new(f64::INFINITY) }, 0.02);
        let (w, s) = weigh(s, 0.02);
        assert!(s.converged && s.iterations <= slow.iterations);
        assert!(w.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn anderson_acceleration_saves_iterations() {
        let plain = Sinkhorn { tol: 1e-10, ..Sinkhorn::new(f64::INFINITY) };
        let (w, slow) = weigh(plain.clone(), 0.02);
        let (a, fast) = weigh(Sinkhorn { anderson: 4, ..plain }, 0.02);
        let counts = [fast.iterations, slow.iterations];
        assert!(fast.converged && counts[0] < counts[1], "{counts:?} {}", fast.converged);
        assert!(w.iter().zip(&a).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn a_single_row_ignores_its_costs() {
        let mut w = vec![0.0; 4];
        Sinkhorn::new(f64::INFINITY).weigh(&COSTS[..4], 4, 0.1, &mut w);
        assert!(w.iter().all(|w| (w - 0.25).abs() < 1e-6));
    }
}
