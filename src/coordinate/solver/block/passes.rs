//! The outer loop on blocks: passes over all features, working sets, strengths in sequence.

use super::state::{Bounds, State};
use super::steps::{Minimiser, Steps};
use super::{Problem, Solution};
use crate::coordinate::solver::working_set::WorkingSet;
use crate::coordinate::solver::{Cache, Observer, Progress, Settings, Status};
use crate::engine::Result;

/// Groups whose inner products are known.
struct Known {
    groups: Vec<bool>,
    /// Where each feature is in the working set.
    slots: Vec<usize>,
    /// The groups that are worked on.
    set: Vec<usize>,
    /// How each known group is minimised over.
    minimisers: Vec<Option<Minimiser>>,
}

/// Minimises the problem for every strength in turn, each from the solution before it, the first
/// from `start` (a row of tasks for each feature) or from zero.
///
/// # Errors
/// If the matrix holds NaN or infinity.
pub fn path(
    problem: Problem<'_>,
    alphas: &[f64],
    settings: &Settings,
    start: Option<&[f64]>,
    cache: &mut Cache,
    observe: Observer<'_>,
) -> Result<Vec<Solution>> {
    let (groups, p) = (problem.groups.len(), problem.design.cols());
    cache.set.exact = true;
    cache.set.reset(problem.weights);
    let mut known = Known {
        groups: vec![false; groups],
        slots: vec![usize::MAX; p],
        set: Vec::new(),
        minimisers: (0..groups).map(|_| None).collect(),
    };
    let mut state = State::new(problem, settings, start)?;
    let mut solutions = Vec::with_capacity(alphas.len());
    for &alpha in alphas {
        state.restart(alpha);
        known.set = (0..groups).filter(|&g| known.groups[g]).collect();
        let solution = descend(&mut state, &mut known, &mut cache.set, observe);
        let stop = solution.status == Status::Interrupted;
        solutions.push(solution);
        if stop {
            break;
        }
    }
    Ok(solutions)
}

fn descend(
    state: &mut State<'_>,
    known: &mut Known,
    set: &mut WorkingSet,
    observe: Observer<'_>,
) -> Solution {
    let (target, settings) = (state.target(), state.settings);
    let mut history: Vec<Progress> = Vec::new();
    let (mut bound, mut epochs, mut stalled) = (f64::NEG_INFINITY, 0, 0);
    state.refresh();
    let steepest = state.steepest();
    let status = loop {
        let bounds = state.certify();
        bound = bounds.dual.max(bound);
        let gap = (bounds.objective - bound).max(0.0);
        let progress = Progress {
            objective: bounds.objective,
            gap,
            violation: bounds.violation,
            remaining: state.live.len(),
            support: state.support(),
            epochs,
        };
        let before = history.last().copied();
        history.push(progress);
        if !observe(&progress) {
            break Status::Interrupted;
        }
        let certain = gap.is_finite();
        if if certain { gap <= target } else { bounds.violation <= settings.tol * steepest } {
            break Status::Converged;
        }
        if let Some(before) = before {
            let falls = gap < 0.9 * before.gap
                || progress.violation < 0.9 * before.violation
                || progress.objective < before.objective - 1e-15 * before.objective.abs();
            stalled = if falls { 0 } else { stalled + 1 };
        }
        if stalled >= 4 {
            break Status::Precision;
        }
        if history.len() > settings.max_iter || epochs >= settings.max_epochs {
            break Status::Limit;
        }
        if certain && bounds.scale > 0.0 && settings.working_set {
            state.screen(&bounds);
        }
        known.admit(state, set, progress.support);
        let least = 0.3 * if certain { target } else { settings.tol * steepest };
        let goal = least.max(0.1 * if certain { gap } else { bounds.violation });
        // Small problems are finished to rounding: it costs nothing worth saving.
        let small = state.problem.design.rows() * known.slots.len() * state.problem.tasks <= 20_000;
        let goal = if small && certain { 1e-10 * target } else { goal } * 0.1f64.powi(stalled);
        epochs += known.step(state, set, &bounds, goal, certain);
        state.refresh();
    };
    Solution { coef: state.coef(), intercept: state.intercept.clone(), target, status, history }
}

impl Known {
    /// Adds the groups that violate most to the working set.
    fn admit(&mut self, state: &State<'_>, set: &mut WorkingSet, support: usize) {
        let problem = &state.problem;
        let new = state.violating(&self.groups, support);
        let features: Vec<usize> =
            new.iter().flat_map(|&g| problem.groups[g].iter().copied()).collect();
        for (k, &j) in features.iter().enumerate() {
            self.slots[j] = set.cols.len() + k;
        }
        new.iter().for_each(|&g| self.groups[g] = true);
        if !features.is_empty() {
            set.extend(problem.design, &features, problem.intercept);
            set.multiply(problem.design);
        }
        for &g in &new {
            let slots: Vec<usize> = problem.groups[g].iter().map(|&j| self.slots[j]).collect();
            self.minimisers[g] = Some(Minimiser::new(problem, &slots, &set.gram));
        }
        self.set.extend(new);
        self.set.retain(|g| state.live.binary_search(g).is_ok());
    }

    /// Solves the model on the working set; returns the passes over it.
    fn step(
        &self,
        state: &mut State<'_>,
        set: &WorkingSet,
        bounds: &Bounds,
        goal: f64,
        certain: bool,
    ) -> usize {
        let old: Vec<Vec<f64>> = self.set.iter().map(|&g| state.w[g].clone()).collect();
        let steps = Steps {
            problem: &state.problem,
            gram: &set.gram,
            count: set.cols.len(),
            slots: &self.slots,
            set: &self.set,
            minimisers: &self.minimisers,
            settings: state.settings,
            certain,
        };
        let epochs = steps.minimise(&mut state.w, &state.x, bounds.residual, goal);
        state.apply(&self.set, &old);
        epochs
    }
}
