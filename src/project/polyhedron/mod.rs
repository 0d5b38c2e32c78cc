//! The polyhedron A x <= b, E x = f.
//!
//! The equations are eliminated first: with Q an orthonormal basis of the rows of E,
//!
//!   h_j = (a_j - Q^T Q a_j) normalised,  z the nearest point to x with E z = f
//!   y = z - sum_j mu_j h_j,  mu >= 0,  h_j.y <= c_j,  mu_j (h_j.y - c_j) = 0
//!
//! One of three methods finds mu: the active set (small, exact), Dykstra (no matrix but the rows),
//! ADMM (one factor for many points). The result is certified by its KKT residual, relative to the
//! size of x and y, whichever found it. pull: v without its part in the span of E and of the rows
//! whose multipliers are positive.

mod admm;
mod dykstra;

use super::l2_ball::length;
use super::params::number;
use super::{Affine, Memory, Params, Set};
use crate::engine::{Error, Result};
use crate::linalg::cholesky::dot;
use crate::linalg::eigen::Eigen;
use crate::linalg::qp::{Outcome, Solver};

/// How to find the multipliers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Goldfarb and Idnani's dual method.
    ActiveSet,
    /// Dykstra's (for half-spaces, Hildreth's) cyclic projections.
    Dykstra,
    /// The alternating direction method of multipliers.
    Admm,
}

/// A polyhedron made ready.
#[derive(Debug, Clone)]
pub struct Polyhedron {
    n: usize,
    equations: Affine,
    /// Reduced unit rows, their right-hand sides, and what scales multipliers back; zero rows have
    /// scale 0.
    rows: Vec<f64>,
    sides: Vec<f64>,
    scales: Vec<f64>,
    products: Vec<f64>,
    method: Method,
    tol: f64,
    max_iter: usize,
}

/// A projection with its certificate.
#[derive(Debug, Clone, Default)]
pub struct Certified {
    /// The point.
    pub point: Vec<f64>,
    /// Multipliers of A x <= b.
    pub multipliers: Vec<f64>,
    /// KKT residual, relative.
    pub residual: f64,
    /// Iterations of the method; 0 for the active set.
    pub iterations: usize,
}

impl Polyhedron {
    /// From the numbers `method` (0, 1, 2), `tol`, `max_iter` and the vectors `A` (row after row),
    /// `b`, `E`, `f`.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        let n = params.n;
        let (a, b) = (params.vector(0)?, params.vector(1)?);
        let equations = Affine::from_rows(params.vector(2)?, params.vector(3)?, n, ["E", "f"])?;
        if a.len() != b.len() * n {
            let (allowed, given) = (format!("of {} numbers", b.len() * n), a.len());
            return Err(Error::value("A", allowed, given, "give one side for each row"));
        }
        if a.iter().any(|x| !x.is_finite()) || b.iter().any(|x| x.is_nan()) {
            let fix = "give finite coefficients";
            return Err(Error::NonFinite { name: "A or b".into(), fix: fix.into() });
        }
        let method = match params.scalar(0)? as u8 {
            0 => Method::ActiveSet,
            1 => Method::Dykstra,
            _ => Method::Admm,
        };
        let positive = |x: f64| x > 0.0;
        let tol = number(params.scalar(1)?, "tol", "positive", positive)?;
        let max_iter = params.scalar(2)? as usize;
        let mut origin = vec![0.0; n];
        equations.nearest(&mut origin);
        let empty = Vec::new;
        let mut out = Self {
            n,
            equations,
            rows: a.to_vec(),
            sides: b.to_vec(),
            scales: empty(),
            products: empty(),
            method,
            tol,
            max_iter,
        };
        for (j, row) in out.rows.chunks_exact_mut(n.max(1)).enumerate() {
            let size = length(row.iter().copied());
            let unit = size.max(f64::MIN_POSITIVE);
            row.iter_mut().for_each(|x| *x /= unit);
            let side = b[j] / unit - dot(row, &origin);
            let scale = 1.0 + (b[j] / unit).abs().min(f64::MAX) + length(origin.iter().copied());
            out.equations.remove(row);
            out.equations.remove(row);
            let left = length(row.iter().copied());
            if left <= 1e-12 {
                // The row is constant on the set: it holds everywhere or nowhere.
                if side < -1e-9 * scale {
                    return Err(contradiction(j));
                }
                row.fill(0.0);
                out.sides[j] = f64::INFINITY;
                out.scales.push(0.0);
            } else {
                row.iter_mut().for_each(|x| *x /= left);
                out.sides[j] = side / left + dot(row, &origin);
                out.scales.push(1.0 / (unit * left));
            }
        }
        if out.method != Method::Dykstra {
            out.products = out.gram();
        }
        if out.method == Method::ActiveSet {
            let mut solver = Solver::default();
            out.active_set(&origin, &mut solver)?;
        }
        Ok(out)
    }

    fn gram(&self) -> Vec<f64> {
        let rows: Vec<&[f64]> = self.each().collect();
        let mut out = vec![0.0; rows.len() * rows.len()];
        crate::linalg::gram::add_gramian(&rows, &mut out);
        out
    }

    fn each(&self) -> impl Iterator<Item = &[f64]> {
        self.rows.chunks_exact(self.n.max(1))
    }

    /// Room left in every constraint at `z`; infinite where there is none.
    fn room(&self, z: &[f64]) -> Vec<f64> {
        self.each().zip(&self.sides).map(|(row, side)| side - dot(row, z)).collect()
    }

    fn active_set(&self, z: &[f64], solver: &mut Solver) -> Result<Vec<f64>> {
        // The solver wants h.x >= b: the rows with their signs turned have the same products.
        let used: Vec<usize> =
            (0..self.sides.len()).filter(|&j| self.sides[j] < f64::INFINITY).collect();
        let room = self.room(z);
        let slack: Vec<f64> = used.iter().map(|&j| room[j]).collect();
        let m = self.sides.len();
        let h: Vec<f64> = used
            .iter()
            .flat_map(|&j| used.iter().map(move |&k| self.products[j * m + k]))
            .collect();
        let scale = slack.iter().fold(length(z.iter().copied()), |a: f64, s| a.max(s.abs()));
        if let Outcome::Infeasible(weights) = solver.solve(&h, &slack, scale.max(1e-300)) {
            let worst = weights.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            return Err(contradiction(worst.map_or(0, |(k, _)| used[k])));
        }
        let mut mu = vec![0.0; m];
        used.iter().zip(&solver.mu).for_each(|(&j, value)| mu[j] = *value);
        Ok(mu)
    }

    /// The nearest point to `x`, from the multipliers `start` where the method can use them.
    pub fn solve(&self, x: &[f64], start: Option<&[f64]>) -> Result<Certified> {
        let mut z = x.to_vec();
        self.equations.nearest(&mut z);
        let back = |start: &[f64]| -> Vec<f64> {
            let each = start.iter().zip(&self.scales);
            each.map(|(l, s)| if *s > 0.0 { (l / s).max(0.0) } else { 0.0 }).collect()
        };
        let start = start.map_or_else(|| vec![0.0; self.sides.len()], back);
        let (mu, iterations) = match self.method {
            Method::ActiveSet => (self.active_set(&z, &mut Solver::default())?, 0),
            Method::Dykstra => dykstra::solve(self, &z, start),
            Method::Admm => admm::solve(self, &z, start),
        };
        let mut best = self.certify(&z, mu, iterations);
        if self.method != Method::ActiveSet {
            let polished = self.certify(&z, self.polish(&z, &best.multipliers), iterations);
            if polished.residual < best.residual {
                best = polished;
            }
            if best.residual > 1e-6 && self.separated(&best.multipliers) {
                return Err(contradiction(0));
            }
        }
        best.multipliers.iter_mut().zip(&self.scales).for_each(|(mu, scale)| *mu *= scale);
        Ok(best)
    }

    /// z - sum mu_j h_j.
    fn place(&self, z: &[f64], mu: &[f64]) -> Vec<f64> {
        let mut y = z.to_vec();
        for (row, &mu) in self.each().zip(mu) {
            if mu != 0.0 {
                y.iter_mut().zip(row).for_each(|(y, h)| *y -= mu * h);
            }
        }
        self.equations.nearest(&mut y);
        y
    }

    /// The point of `mu` and its largest violation and complementarity gap, relative.
    fn certify(&self, z: &[f64], mu: Vec<f64>, iterations: usize) -> Certified {
        let point = self.place(z, &mu);
        let size = length(z.iter().copied()).max(length(point.iter().copied())).max(1e-300);
        let mut residual = 0.0_f64;
        for (room, &mu) in self.room(&point).iter().zip(&mu) {
            if *room < f64::INFINITY {
                // min(room, mu) is 0 at a solution.
                residual = residual.max(room.min(mu).abs());
            }
        }
        Certified { point, multipliers: mu, residual: residual / size, iterations }
    }

    /// The polished multipliers, if they solve the problem already: asked at iterations 0, 25, 50,
    /// 100, ... of the iterative methods.
    fn finished(&self, z: &[f64], mu: &[f64], iteration: usize) -> Option<Vec<f64>> {
        let turn = iteration / 25;
        if !iteration.is_multiple_of(25) || !(turn == 0 || turn.is_power_of_two()) {
            return None;
        }
        let polished = self.polish(z, mu);
        let residual = self.certify(z, polished.clone(), 0).residual;
        (residual <= 0.1 * self.tol.min(1e-10)).then_some(polished)
    }

    /// Multipliers that make the rows with positive ones hold with equality; rows that would pull
    /// are left out, a few times.
    fn polish(&self, z: &[f64], mu: &[f64]) -> Vec<f64> {
        let mut out = mu.to_vec();
        for _ in 0..4 {
            out = self.equalities(z, &out);
            if out.iter().all(|&mu| mu >= 0.0) {
                break;
            }
        }
        out.iter_mut().for_each(|mu| *mu = mu.max(0.0));
        out
    }

    fn equalities(&self, z: &[f64], mu: &[f64]) -> Vec<f64> {
        let largest = mu.iter().fold(0.0, |a: f64, b| a.max(*b));
        let active: Vec<usize> = (0..mu.len()).filter(|&j| mu[j] > 1e-9 * largest).collect();
        let mut out = vec![0.0; mu.len()];
        // More binding rows than dimensions are no vertex yet; the factor would cost too much.
        if active.is_empty() || active.len() > (2 * self.n).min(2000) {
            return out;
        }
        let row = |j: usize| &self.rows[j * self.n..(j + 1) * self.n];
        let gram: Vec<f64> =
            active.iter().flat_map(|&j| active.iter().map(move |&k| dot(row(j), row(k)))).collect();
        let excess: Vec<f64> = active.iter().map(|&j| dot(row(j), z) - self.sides[j]).collect();
        for (&j, value) in active.iter().zip(Eigen::new(&gram, active.len()).pinv(&excess)) {
            out[j] = value;
        }
        out
    }

    /// Whether `mu`, scaled to sum 1, proves that the set is empty.
    fn separated(&self, mu: &[f64]) -> bool {
        let total: f64 = mu.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return false;
        }
        let mut sum = vec![0.0; self.n];
        let mut side = 0.0;
        for ((row, c), mu) in self.each().zip(&self.sides).zip(mu) {
            if *mu > 0.0 {
                sum.iter_mut().zip(row).for_each(|(s, h)| *s += mu / total * h);
                side += mu / total * c;
            }
        }
        side < 0.0 && length(sum.iter().copied()) < 1e-3 * -side
    }

    fn active_rows(&self, multipliers: &[f64]) -> Affine {
        let active: Vec<usize> = (0..multipliers.len()).filter(|&j| multipliers[j] > 0.0).collect();
        let rows: Vec<f64> = active
            .iter()
            .flat_map(|&j| &self.rows[j * self.n..(j + 1) * self.n])
            .copied()
            .collect();
        // Right-hand sides of zero agree whatever depends on what.
        Affine::from_rows(&rows, &vec![0.0; active.len()], self.n, ["A", "b"]).unwrap_or_default()
    }
}

fn contradiction(row: usize) -> Error {
    Error::value("b", "feasible", format!("a contradiction at row {row}"), "the set is empty")
}

impl Set for Polyhedron {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        match self.solve(x, None) {
            Ok(found) => {
                x.copy_from_slice(&found.point);
                found.residual
            }
            Err(_) => f64::NAN,
        }
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        let Ok(found) = self.solve(x, None) else { return };
        let active = self.active_rows(&found.multipliers);
        self.equations.remove(v);
        if active.rank() > 0 {
            active.remove(v);
            active.remove(v);
        }
    }
}
