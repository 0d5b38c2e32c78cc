//! FairGrad: alpha-fair division of the improvement among the losses.
//!
//! Ban and Ji 2024, "Fair Resource Allocation in Multi-Task Learning", ICML, arXiv:2402.15638.
//!
//!   G w = w^(-1/alpha),  w > 0
//!
//! alpha = 1 is the Nash bargaining solution, 2 the authors' choice, 0 uniform weights. The
//! equation is the gradient of a strictly convex function; with unit rows z = S w it reads
//!
//!   f(z) = z^T H z / 2 + sum_i q_i psi(z_i),  -psi'(z) = z^(-1/alpha),  q_i = s_i^(1/alpha - 1)
//!
//! and damped Newton steps from the solution of its diagonal find it in about six. There is no
//! solution when the gradients are positively dependent: the weights are then 0. Zero rows get 0.

use super::{Gram, Normalized, Weighting, mgda};
use crate::engine::Result;
use crate::linalg::cholesky;

/// Weights of FairGrad.
#[derive(Debug, Clone, Copy)]
pub struct FairGrad {
    /// Fairness, >= 0.
    pub alpha: f64,
}

impl Weighting for FairGrad {
    fn weights(&self, gram: &Gram<'_>) -> Result<Vec<f64>> {
        let m = gram.len();
        if self.alpha == 0.0 {
            return Ok(vec![1.0 / m as f64; m]);
        }
        let unit = Normalized::new(gram);
        let n = unit.len();
        let cosines = unit.h.as_slice();
        if n == 0 || mgda::min_norm(&Gram::new(cosines, n)?).1 {
            return Ok(vec![0.0; m]);
        }
        let z = Newton::new(&unit, 1.0 / self.alpha).solve();
        Ok(unit.scatter(m, |a| z[a] / unit.s[a]))
    }
}

struct Newton<'a> {
    unit: &'a Normalized,
    power: f64,
    q: Vec<f64>,
}

impl<'a> Newton<'a> {
    fn new(unit: &'a Normalized, power: f64) -> Self {
        let q = unit.s.iter().map(|s| s.powf(power - 1.0)).collect();
        Self { unit, power, q }
    }

    /// H z - q z^-power, and its terms' sizes.
    fn residual(&self, z: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let pull: Vec<f64> = z.iter().zip(&self.q).map(|(z, q)| q * z.powf(-self.power)).collect();
        let force = self.unit.times(z).iter().zip(&pull).map(|(h, p)| h - p).collect();
        (force, pull)
    }

    fn value(&self, z: &[f64]) -> f64 {
        let quadratic: f64 = self.unit.times(z).iter().zip(z).map(|(h, z)| 0.5 * h * z).sum();
        let separable = |z: f64| {
            if self.power == 1.0 { z.ln() } else { z.powf(1.0 - self.power) / (1.0 - self.power) }
        };
        quadratic - z.iter().zip(&self.q).map(|(z, q)| q * separable(*z)).sum::<f64>()
    }

    fn solve(&self) -> Vec<f64> {
        let n = self.unit.len();
        // The solution for orthogonal rows.
        let mut z: Vec<f64> = self.q.iter().map(|q| q.powf(1.0 / (1.0 + self.power))).collect();
        let mut value = self.value(&z);
        for _ in 0..200 {
            let (force, pull) = self.residual(&z);
            let worst = force.iter().zip(&pull).fold(0.0, |a: f64, (f, p)| a.max((f / p).abs()));
            if worst <= 1e-14 {
                break;
            }
            let Some(step) = self.step(&z, &force, &pull) else { break };
            // Nine tenths of the way to the boundary at most.
            let mut t = z
                .iter()
                .zip(&step)
                .fold(1.0, |t: f64, (z, d)| if *d < 0.0 { t.min(-0.9 * z / d) } else { t });
            let slope: f64 = force.iter().zip(&step).map(|(f, d)| f * d).sum();
            let mut moved = false;
            for _ in 0..50 {
                let next: Vec<f64> = z.iter().zip(&step).map(|(z, d)| z + t * d).collect();
                let trial = self.value(&next);
                // Near the solution the decrease drowns in rounding: then the step is taken whole.
                let noise = 1e-13 * (1.0 + value.abs());
                if trial <= value + 1e-4 * t * slope
                    || (slope.abs() <= noise && trial <= value + noise)
                {
                    (z, value, moved) = (next, trial, true);
                    break;
                }
                t *= 0.5;
            }
            if !moved || slope.abs() <= 1e-30 * n as f64 {
                break;
            }
        }
        z
    }

    /// The Newton step, solved for z-scaled unknowns: they are of one size.
    fn step(&self, z: &[f64], force: &[f64], pull: &[f64]) -> Option<Vec<f64>> {
        let n = z.len();
        let scale: Vec<f64> =
            (0..n).map(|a| 1.0 / (1.0 + self.power * pull[a] / z[a]).sqrt()).collect();
        let mut hessian: Vec<f64> =
            (0..n * n).map(|k| scale[k / n] * self.unit.h[k] * scale[k % n]).collect();
        for a in 0..n {
            hessian[a * n + a] = 1.0;
        }
        let right: Vec<f64> = force.iter().zip(&scale).map(|(f, s)| -f * s).collect();
        let step = cholesky::solve(&hessian, &right, 0.0)?;
        Some(step.iter().zip(&scale).map(|(d, s)| d * s).collect())
    }
}
