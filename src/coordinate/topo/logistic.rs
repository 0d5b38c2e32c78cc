//! The score of binary variables: logistic regressions with an l1 penalty.
//!
//!   Q = sum_k 1/n sum_i log(1 + exp(-y_ik z_ik)) + alpha |W_k|_1,   z_k = X W_k (+ constant), y = 2 x - 1
//!
//! Each regression starts from zero and ends with a certified gap, so a node's score is a function of
//! the node and its parents alone. Deviation: the published code's score weighs the penalty n times
//! more than its regressions do; here both are Q.

use super::local::{Fit, Question};
use crate::coordinate::datafit::Logistic;
use crate::coordinate::design::Dense;
use crate::coordinate::penalty::{ElasticNet, Factors, Penalty};
use crate::coordinate::solver::{self, Cache, Problem, Settings};
use crate::engine::{Error, Result, threads};

/// Binary variables, and how to regress them.
pub struct Binary<'a> {
    columns: &'a [f64],
    targets: Vec<f64>,
    weights: Vec<f64>,
    /// Strength of the penalty, > 0.
    alpha: f64,
    intercept: bool,
    tol: f64,
}

impl<'a> Binary<'a> {
    /// Of columns of `n` zeros and ones each; `tol` bounds the gap of a regression relative to log 2.
    ///
    /// # Errors
    /// If there are other values.
    pub fn new(
        columns: &'a [f64],
        n: usize,
        alpha: f64,
        intercept: bool,
        tol: f64,
    ) -> Result<Self> {
        if let Some(other) = columns.iter().find(|x| **x != 0.0 && **x != 1.0) {
            let fix = "binarise it, or use score='linear'";
            return Err(Error::value("X", "of zeros and ones for score='logistic'", other, fix));
        }
        let targets = columns.iter().map(|x| 2.0 * x - 1.0).collect();
        let weights = vec![1.0 / n as f64; n];
        Ok(Self { columns, targets, weights, alpha, intercept, tol })
    }

    /// Regressions, in parallel.
    ///
    /// # Errors
    /// Those of the solver.
    pub fn fit(&self, questions: &[Question]) -> Result<Vec<Fit>> {
        threads::map(questions.len(), |k| self.one(&questions[k])).into_iter().collect()
    }

    fn one(&self, (node, parents): &Question) -> Result<Fit> {
        let n = self.weights.len();
        let features: Vec<f64> =
            parents.iter().flat_map(|p| &self.columns[p * n..(p + 1) * n]).copied().collect();
        let design = Dense::new(&features, n, parents.len())?;
        let penalty = |alpha: f64| -> Box<dyn Penalty> {
            let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
            Box::new(ElasticNet { alpha, l1_ratio: 1.0, factors: Factors(None), low, high })
        };
        let problem = Problem {
            design: &design,
            loss: &Logistic,
            y: &self.targets[node * n..(node + 1) * n],
            weights: &self.weights,
            penalty: &penalty,
            intercept: self.intercept,
        };
        let settings = Settings { tol: self.tol, max_iter: 1000, ..Settings::default() };
        let alphas = [self.alpha];
        let found =
            solver::path(&problem, &alphas, &settings, None, &mut Cache::default(), &mut |_| true)?;
        // One strength gives one solution, and every solution ends with a pass over the features.
        let solution = &found[0];
        let objective = solution.history.last().map_or(f64::NAN, |last| last.objective);
        Ok((objective, solution.coef.clone()))
    }
}
