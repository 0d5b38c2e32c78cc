//! Ensemble Kalman inversion: parameters that make a model say what was observed.
//!
//! Iglesias, Law, Stuart 2013, "Ensemble Kalman methods for inverse problems", Inverse Problems 29;
//! EnKG: Zheng et al. 2024, "Ensemble Kalman Diffusion Guidance", arXiv:2409.20175.
//!
//!   x_i members   y_i = model(x_i)   y observed, noise N(0, G)   n members   means over members
//!   in units of the noise (G = I):  A rows y_i - mean   X rows x_i - mean   r_i = y - y_i
//!   kalman:  x_i += Cxy (Cyy + I)^-1 r_i,   Cxy = X'A / n, Cyy = A'A / n
//!                 = sum_j W_ij X_j,         W_i = (A A' / n + I)^-1 A r_i / n
//!   perturbed: r_i += a draw of the noise
//!   localised: Cxy times a factor for each of its entries
//!   enkg:    K_ij = -r_i . A_j / n,   x_i -= lr / |K|_F sum_j K_ij X_j
//!   then deviations from the mean are multiplied by the inflation.
//!
//! Costs are |r_i|^2 / 2. Members whose outputs are not finite count for nothing and are drawn
//! again from the others' mean and covariance; with fewer than two left nothing moves.
//! Time: O(n^2 (n + m + d)), and O(n d m) localised; no d x m matrix unless localised.

use super::ask_tell::{Method, Point, Purpose, stream};
use super::ensemble::Ensemble;
use super::setting::{Setting, choice, count, flag, number, positive, text, word};
use crate::engine::gemm::{Matrix, gemm};
use crate::engine::reduce::sum_of_squares;
use crate::engine::{Error, Result, threads};
use crate::linalg::cholesky;
use whitening::Whitening;

mod whitening;

/// How members move.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Update {
    Kalman,
    Enkg,
}

/// The method and its members.
#[derive(Debug, Clone)]
pub struct EnsembleKalman {
    ensemble: Ensemble,
    dim: usize,
    observed: Vec<f64>,
    noise: Whitening,
    update: Update,
    perturbed: bool,
    inflation: f64,
    lr: f64,
    /// d x m factors of Cxy; empty without localisation.
    local: Vec<f64>,
    /// What the model says of the open step, in units of the noise.
    outputs: Vec<f64>,
}

impl EnsembleKalman {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Type`] for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let (mut population, mut spread) = (50, 1.0);
        let (mut observed, mut local, mut noise) = (Vec::new(), Vec::new(), None);
        let (mut perturbed, mut inflation, mut lr, mut update) = (false, 1.0, None, Update::Kalman);
        for (name, value) in settings {
            match (name.as_str(), value) {
                ("population", _) => population = count(name, value)?,
                ("spread", _) => spread = positive(name, value)?,
                ("observation", Setting::Tagged(_, v)) => observed = v.clone(),
                ("noise", _) => noise = Some(value),
                ("localization", Setting::Tagged(_, v)) => local = v.clone(),
                ("perturbed", _) => perturbed = flag(name, value)?,
                ("inflation", _) => {
                    let ok = |v: f64| v >= 1.0 && v.is_finite();
                    inflation = number(name, value, "a number >= 1", ok)?;
                }
                ("lr", _) => lr = Some(positive(name, value)?),
                ("update", _) => {
                    update = match text(name, value)? {
                        "kalman" => Update::Kalman,
                        "enkg" => Update::Enkg,
                        other => return Err(choice(name, "'kalman' or 'enkg'", other)),
                    }
                }
                _ => return Err(choice("setting", "a known name", &word(value))),
            }
        }
        if population < 2 {
            let fix = "one member has no spread";
            return Err(Error::value("population", "an integer >= 2", population, fix));
        }
        if observed.is_empty() || observed.iter().any(|y| !y.is_finite()) {
            let (allowed, given) = ("at least one finite number", format!("{observed:?}"));
            return Err(Error::value("observation", allowed, given, "pass what was observed"));
        }
        let m = observed.len();
        let one = Setting::Tagged("variances".into(), vec![1.0]);
        let noise = Whitening::new("noise", noise.unwrap_or(&one), m)?;
        let diagonal = matches!(noise, Whitening::Diagonal(_));
        let out = |name: &str, needs: &str| {
            Err(Error::value(name, "left out", "a value", format!("it needs {needs}")))
        };
        match update {
            Update::Kalman if lr.is_some() => return out("lr", "update='enkg'"),
            Update::Enkg if perturbed => return out("perturbed", "update='kalman'"),
            Update::Enkg if !local.is_empty() => return out("localization", "update='kalman'"),
            _ if !local.is_empty() && !diagonal => {
                return out("localization", "noise without correlations");
            }
            _ if !local.is_empty() && local.len() != dim * m => {
                let (allowed, given) = (format!("{dim} x {m} numbers"), local.len());
                let fix = "one factor for each coordinate and observation";
                return Err(Error::value("localization", allowed, given, fix));
            }
            _ => {}
        }
        noise.apply(&mut observed);
        Ok(Self {
            ensemble: Ensemble::new(population, dim, spread),
            dim,
            observed,
            noise,
            update,
            perturbed,
            inflation,
            lr: lr.unwrap_or(2.0),
            local,
            outputs: Vec::new(),
        })
    }

    /// Residuals of members, a row each.
    fn residuals(&self, at: &Point, members: &[usize]) -> Vec<f64> {
        let m = self.observed.len();
        let mut out = vec![0.0; members.len() * m];
        if self.perturbed {
            at.rng.fill_normal(stream(Purpose::Candidates, at.number(0)), 0, &mut out);
        }
        for (row, i) in out.chunks_exact_mut(m).zip(members) {
            let outputs = &self.outputs[i * m..][..m];
            for ((r, y), z) in row.iter_mut().zip(&self.observed).zip(outputs) {
                *r += y - z;
            }
        }
        out
    }

    /// What members move by, a row each; none where numbers overflow.
    fn moves(&self, deviations: &[f64], outputs: &[f64], mut r: Vec<f64>) -> Option<Vec<f64>> {
        let (dim, m) = (self.dim, self.observed.len());
        let n = r.len() / m;
        let a = Matrix::new(outputs, n, m);
        let mut weights = vec![0.0; n * n];
        gemm(1.0, Matrix::new(&r, n, m), a.transpose(), 0.0, &mut weights);
        if self.update == Update::Enkg {
            let length = sum_of_squares(&weights).sqrt();
            let scale = if length > 0.0 { self.lr / length } else { 0.0 };
            weights.iter_mut().for_each(|w| *w *= scale);
        } else {
            let mut system = vec![0.0; n * n];
            gemm(1.0 / n as f64, a, a.transpose(), 0.0, &mut system);
            system.iter_mut().step_by(n + 1).for_each(|diagonal| *diagonal += 1.0);
            if !cholesky::factor(&mut system, n, 0.0) {
                return None;
            }
            threads::for_each_chunk(&mut weights, n, |_, row| {
                cholesky::substitute(&system, n, row);
                row.iter_mut().for_each(|w| *w /= n as f64);
            });
        }
        let mut out = vec![0.0; n * dim];
        if self.local.is_empty() {
            let (weights, x) = (Matrix::new(&weights, n, n), Matrix::new(deviations, n, dim));
            gemm(1.0, weights, x, 0.0, &mut out);
        } else {
            // (Cyy + I)^-1 r = r - A' W, for which Cxy is formed and weighed.
            gemm(-1.0, Matrix::new(&weights, n, n), a, 1.0, &mut r);
            let mut cross = vec![0.0; dim * m];
            let x = Matrix::new(deviations, n, dim).transpose();
            gemm(1.0 / n as f64, x, a, 0.0, &mut cross);
            cross.iter_mut().zip(&self.local).for_each(|(c, local)| *c *= local);
            let cross = Matrix::new(&cross, dim, m).transpose();
            gemm(1.0, Matrix::new(&r, n, m), cross, 0.0, &mut out);
        }
        out.iter().all(|x| x.is_finite()).then_some(out)
    }
}

/// Subtracts the mean of rows from each and returns it.
fn centre(rows: &mut [f64], width: usize) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x);
    }
    let n = (rows.len() / width) as f64;
    mean.iter_mut().for_each(|mean| *mean /= n);
    for row in rows.chunks_exact_mut(width) {
        row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
    }
    mean
}

impl Method for EnsembleKalman {
    fn population(&self) -> usize {
        self.ensemble.len()
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        match at.step {
            0 => self.ensemble.first(at, index, out),
            _ => out.copy_from_slice(self.ensemble.row(index)),
        }
    }

    fn kept(&self, at: &Point) -> Option<&[f64]> {
        (at.step > 0).then_some(&self.ensemble.members)
    }

    fn observe(&mut self, outputs: &[f64]) -> Result<Vec<f64>> {
        let (n, m) = (self.population(), self.observed.len());
        if outputs.len() != n * m {
            return Err(Error::Shape {
                name: "outputs".into(),
                given: format!("({},)", outputs.len()),
                other: "members and observations".into(),
                expected: format!("({n}, {m})"),
                fix: "return a row of outputs for each candidate".into(),
            });
        }
        self.outputs = outputs.to_vec();
        threads::for_each_chunk(&mut self.outputs, m, |_, row| self.noise.apply(row));
        let costs = self.outputs.chunks_exact(m).map(|row| {
            row.iter().zip(&self.observed).map(|(z, y)| (y - z) * (y - z)).sum::<f64>() / 2.0
        });
        Ok(costs.collect())
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        if at.step == 0 {
            self.ensemble.settle(at);
        }
        let (dim, m) = (self.dim, self.observed.len());
        let (good, bad): (Vec<usize>, Vec<usize>) =
            (0..costs.len()).partition(|&i| costs[i].is_finite());
        if good.len() < 2 {
            return;
        }
        let rows = |all: &[f64], width: usize| -> Vec<f64> {
            good.iter().flat_map(|i| &all[i * width..][..width]).copied().collect()
        };
        let (mut x, mut a) = (rows(&self.ensemble.members, dim), rows(&self.outputs, m));
        let mean = centre(&mut x, dim);
        centre(&mut a, m);
        let Some(moves) = self.moves(&x, &a, self.residuals(at, &good)) else { return };
        x.iter_mut().zip(moves).for_each(|(x, by)| *x += by);
        let shift = centre(&mut x, dim);
        at.x.iter_mut().zip(mean.iter().zip(shift)).for_each(|(x, (mean, by))| *x = mean + by);
        x.iter_mut().for_each(|x| *x *= self.inflation);
        // Of unit variance together, so that the sum over members has their covariance.
        let mut draws = vec![0.0; good.len()];
        for (k, i) in good.into_iter().enumerate() {
            let row = &mut self.ensemble.members[i * dim..][..dim];
            row.iter_mut()
                .zip(&x[k * dim..])
                .zip(&at.x)
                .for_each(|((row, x), mean)| *row = mean + x);
        }
        for i in bad {
            at.rng.fill_normal(stream(Purpose::Candidates, at.number(1 + i)), 0, &mut draws);
            let row = &mut self.ensemble.members[i * dim..][..dim];
            row.copy_from_slice(&at.x);
            for (z, x) in draws.iter().zip(x.chunks_exact(dim)) {
                let z = z / (draws.len() as f64).sqrt();
                row.iter_mut().zip(x).for_each(|(row, x)| *row += z * x);
            }
        }
        let n = costs.len();
        for (i, row) in self.ensemble.members.chunks_exact_mut(dim).enumerate() {
            at.admit(at.number(n + i), row);
        }
    }

    /// The largest distance of a coordinate from the mean.
    fn reach(&self, at: &Point) -> f64 {
        if at.step == 0 {
            return f64::INFINITY;
        }
        let rows = self.ensemble.members.chunks_exact(self.dim);
        let gaps = rows.flat_map(|row| row.iter().zip(&at.x).map(|(x, mean)| (x - mean).abs()));
        gaps.fold(0.0, f64::max)
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![("members", &mut self.ensemble.members), ("given", &mut self.ensemble.given)]
    }
}
