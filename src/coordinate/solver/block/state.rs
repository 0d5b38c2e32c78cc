//! The iterate on blocks, its certificate, and what follows from it.

use super::{Problem, norm};
use crate::coordinate::design::Moments;
use crate::coordinate::solver::Settings;
use crate::engine::{Error, Result};

pub(super) struct State<'a> {
    pub problem: Problem<'a>,
    pub settings: &'a Settings,
    /// Coefficients and correlations of each group, a row of tasks for each feature.
    pub w: Vec<Vec<f64>>,
    pub x: Vec<Vec<f64>>,
    pub intercept: Vec<f64>,
    /// Predictors and weighted residuals of each task.
    z: Vec<Vec<f64>>,
    v: Vec<Vec<f64>>,
    /// Groups that screening has left.
    pub live: Vec<usize>,
    /// Frobenius norm of each group: an upper bound on the operator norm that screening needs.
    sizes: Vec<f64>,
}

/// What one pass over the features tells.
pub(super) struct Bounds {
    pub objective: f64,
    /// Lower bound on the optimum; minus infinity where there is none.
    pub dual: f64,
    /// Scale of the dual point that gives it.
    pub scale: f64,
    pub violation: f64,
    /// `sum v^2 / W`
    pub residual: f64,
}

impl<'a> State<'a> {
    /// Starts from coefficients (a row of tasks for each feature) or from zero.
    ///
    /// # Errors
    /// If the matrix holds NaN or infinity.
    pub fn new(
        problem: Problem<'a>,
        settings: &'a Settings,
        start: Option<&[f64]>,
    ) -> Result<Self> {
        let (design, tasks) = (problem.design, problem.tasks);
        let (n, p) = (design.rows(), design.cols());
        let mut moments = vec![Moments::default(); p];
        let all: Vec<usize> = (0..p).collect();
        design.moments(&all, &vec![0.0; n], problem.weights, &mut moments);
        if moments.iter().any(|m| !m.second.is_finite()) {
            return Err(Error::NonFinite {
                name: "X".into(),
                fix: "remove or impute these entries (squares must not overflow either)".into(),
            });
        }
        let size = |g: &Vec<usize>| g.iter().map(|&j| moments[j].second).sum::<f64>().sqrt();
        let row = |j: usize| start.map_or(vec![0.0; tasks], |w| w[j * tasks..][..tasks].to_vec());
        let w: Vec<Vec<f64>> =
            problem.groups.iter().map(|g| g.iter().flat_map(|&j| row(j)).collect()).collect();
        let mut z = vec![vec![0.0; n]; tasks];
        for (t, z) in z.iter_mut().enumerate() {
            let coef: Vec<f64> = all.iter().map(|&j| row(j)[t]).collect();
            if coef.iter().any(|w| *w != 0.0) {
                design.combine(&all, &coef, z);
            }
        }
        Ok(Self {
            sizes: problem.groups.iter().map(size).collect(),
            x: w.clone(),
            w,
            intercept: vec![0.0; tasks],
            v: z.clone(),
            z,
            live: Vec::new(),
            problem,
            settings,
        })
    }

    /// Sets the strength, and takes back the groups that screening dropped.
    pub fn restart(&mut self, alpha: f64) {
        self.problem.alpha = alpha;
        self.live =
            (0..self.sizes.len()).filter(|&g| self.problem.norm[g] < f64::INFINITY).collect();
    }

    /// Gap to reach.
    pub fn target(&self) -> f64 {
        let tasks = self.problem.y.chunks_exact(self.problem.design.rows());
        let terms = tasks.flat_map(|y| y.iter().zip(self.problem.weights));
        self.settings.tol * terms.map(|(y, s)| s * y * y).sum::<f64>()
    }

    /// The pass over the features: constants, residuals, correlations.
    pub fn refresh(&mut self) {
        let (problem, n) = (&self.problem, self.problem.design.rows());
        let features: Vec<usize> =
            self.live.iter().flat_map(|&g| problem.groups[g].iter().copied()).collect();
        let mut products = vec![0.0; features.len()];
        for t in 0..problem.tasks {
            let (y, z, v) = (&problem.y[t * n..(t + 1) * n], &mut self.z[t], &mut self.v[t]);
            if problem.intercept {
                let mean: f64 = (0..n).map(|i| problem.weights[i] * (y[i] - z[i])).sum();
                self.intercept[t] += mean;
                z.iter_mut().for_each(|z| *z += mean);
            }
            for i in 0..n {
                v[i] = problem.weights[i] * (y[i] - z[i]);
            }
            problem.design.dots(&features, v, &mut products);
            let mut products = products.iter();
            for &g in &self.live {
                let rows = self.x[g].chunks_exact_mut(problem.tasks);
                rows.zip(&mut products).for_each(|(row, product)| row[t] = *product);
            }
        }
    }

    /// Objective, lower bound and distance from stationarity, after [`Self::refresh`].
    pub fn certify(&self) -> Bounds {
        let (problem, live) = (&self.problem, &self.live);
        let pairs = self.v.iter().flat_map(|v| v.iter().zip(problem.weights));
        let residual: f64 = pairs.map(|(v, s)| if *s > 0.0 { v * v / s } else { 0.0 }).sum();
        let penalty: f64 = live.iter().map(|&g| problem.value(g, &self.w[g])).sum();
        let product: f64 = self.v.iter().flatten().zip(problem.y).map(|(v, y)| v * y).sum();
        let (mut dual, mut scale, mut violation) = (f64::NEG_INFINITY, 0.0, 0.0f64);
        for k in problem.scales(live, &self.w, &self.x) {
            let conjugates: f64 = live.iter().map(|&g| problem.conjugate(g, &self.x[g], k)).sum();
            let bound = k * product - 0.5 * k * k * residual - conjugates;
            if bound > dual {
                (dual, scale) = (bound, k);
            }
        }
        for &g in live {
            let mut moved: Vec<f64> =
                self.w[g].iter().zip(&self.x[g]).map(|(w, x)| w + x).collect();
            problem.prox(g, &mut moved, 1.0);
            let distances = moved.iter().zip(&self.w[g]).map(|(a, b)| (a - b).abs());
            violation = distances.fold(violation, f64::max);
        }
        Bounds { objective: 0.5 * residual + penalty, dual, scale, violation, residual }
    }

    /// Largest correlation of a group.
    pub fn steepest(&self) -> f64 {
        self.live.iter().map(|&g| norm(&self.x[g])).fold(0.0, f64::max)
    }

    /// Groups with coefficients.
    pub fn support(&self) -> usize {
        self.live.iter().filter(|&&g| self.w[g].iter().any(|w| *w != 0.0)).count()
    }

    /// Drops groups that the gap proves to be zero; one with coefficients is left to the steps.
    pub fn screen(&mut self, bounds: &Bounds) {
        let radius = (2.0 * (bounds.objective - bounds.dual).max(0.0)).sqrt();
        let (problem, sizes, w, x) = (&self.problem, &self.sizes, &self.w, &self.x);
        self.live.retain(|&g| {
            let zero = w[g].iter().all(|w| *w == 0.0);
            let reach = problem.rests(&x[g], bounds.scale) + radius * sizes[g];
            !(zero && reach < problem.norm(g) * (1.0 - 1e-12))
        });
    }

    /// The groups outside `known` that violate most, and those with coefficients.
    pub fn violating(&self, known: &[bool], support: usize) -> Vec<usize> {
        let everything = !self.settings.working_set;
        let mut ranked: Vec<(f64, usize)> = Vec::new();
        let mut new: Vec<usize> = Vec::new();
        for &g in self.live.iter().filter(|&&g| !known[g]) {
            let slack = self.problem.norm(g) - self.problem.rests(&self.x[g], 1.0);
            if self.w[g].iter().any(|w| *w != 0.0) {
                new.push(g);
            } else if slack <= 0.0 || everything {
                ranked.push((slack / self.sizes[g].max(1e-300), g));
            }
        }
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !everything {
            ranked.truncate(self.settings.p0.min(100).max(2 * support));
        }
        new.extend(ranked.iter().map(|&(_, g)| g));
        new.sort_unstable();
        new
    }

    /// Adds the change of the coefficients of `set` since `old` to the predictors.
    pub fn apply(&mut self, set: &[usize], old: &[Vec<f64>]) {
        let (problem, tasks) = (&self.problem, self.problem.tasks);
        for t in 0..tasks {
            let (mut cols, mut change) = (Vec::new(), Vec::new());
            for (&g, old) in set.iter().zip(old) {
                for (i, &j) in problem.groups[g].iter().enumerate() {
                    let d = self.w[g][i * tasks + t] - old[i * tasks + t];
                    if d != 0.0 {
                        cols.push(j);
                        change.push(d);
                    }
                }
            }
            problem.design.combine(&cols, &change, &mut self.z[t]);
        }
    }

    /// Coefficients, a row of tasks for each feature.
    pub fn coef(&self) -> Vec<f64> {
        let tasks = self.problem.tasks;
        let mut coef = vec![0.0; self.problem.design.cols() * tasks];
        for (g, features) in self.problem.groups.iter().enumerate() {
            for (row, &j) in self.w[g].chunks_exact(tasks).zip(features) {
                coef[j * tasks..(j + 1) * tasks].copy_from_slice(row);
            }
        }
        coef
    }
}
