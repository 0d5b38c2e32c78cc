//! A sequence of strengths, each solved from the solution before it.
//!
//! Tibshirani et al. 2012, "Strong rules for discarding predictors in lasso-type problems", JRSS B
//! 74: a feature enters the first working set at `alpha` if `|x_j| >= v_j (2 alpha - previous)`.
//! The rule may err, so every solution ends with a pass over all features that screening has left,
//! and its gap is a certificate.
//!
//! A single strength far below the largest one is reached over a few in between, one step each:
//! that keeps features out of the working set that violate only while the iterate is poor.

use super::dual::Dual;
use super::improve::Goal;
use super::model::Model;
use super::state::State;
use super::{Cache, Observer, Problem, Progress, Settings, Solution, Status};
use crate::engine::Result;

/// Ratio of one strength to the next on the way to the first.
const DESCENT: f64 = 0.25;

/// Solves the problem for every strength in turn, from `start` (coefficients and constant) or from
/// zero, stopping where the observer says so.
///
/// # Errors
/// If the matrix holds NaN or infinity, or values whose squares overflow.
pub fn path<'a>(
    problem: &'a Problem<'a, '_>,
    alphas: &[f64],
    settings: &'a Settings,
    start: Option<(&[f64], f64)>,
    cache: &mut Cache,
    observe: Observer<'_>,
) -> Result<Vec<Solution>> {
    let mut solutions: Vec<Solution> = Vec::with_capacity(alphas.len());
    let Some(&first) = alphas.first() else { return Ok(solutions) };
    let mut state = State::new(problem, settings, start, first);
    state.first_pass(cache)?;
    let mut model = Model::new(settings);
    cache.set.exact = !settings.working_set || !state.penalty.convex() || state.small();
    if settings.working_set && state.penalty.convex() && state.w.iter().all(|w| *w == 0.0) {
        approach(&mut state, first, cache, &mut model);
    }
    for (k, &alpha) in alphas.iter().enumerate() {
        state.margin = match k {
            0 => 0.0,
            _ if alpha > 0.0 => (alphas[k - 1] / alpha - 1.0).clamp(0.0, 1.0),
            _ => 1.0,
        };
        state.penalty = (problem.penalty)(alpha);
        state.restore();
        let solution = descend(&mut state, cache, &mut model, observe);
        let stop = solution.status == Status::Interrupted;
        solutions.push(solution);
        model.epochs = 0;
        if stop {
            break;
        }
    }
    Ok(solutions)
}

/// One step at each of the strengths between the largest useful one and `alpha`.
fn approach(state: &mut State<'_, '_>, alpha: f64, cache: &mut Cache, model: &mut Model<'_>) {
    let ratios =
        state.active.iter().zip(&state.x).map(|(&j, x)| match state.penalty.threshold(j) {
            0.0 => 0.0,
            threshold => x.abs() / threshold,
        });
    let mut ratio = DESCENT * ratios.fold(0.0, f64::max);
    while ratio > 1.0 / DESCENT.sqrt() && ratio.is_finite() {
        state.penalty = (state.problem.penalty)(alpha * ratio);
        let certificate = state.certify();
        let gap = certificate.objective - certificate.bound;
        let now = if gap.is_finite() { 0.1 * gap } else { 0.1 * certificate.violation };
        state.improve(cache, model, Goal { now, end: now, stalled: 0 });
        ratio *= DESCENT;
    }
}

fn descend(
    state: &mut State<'_, '_>,
    cache: &mut Cache,
    model: &mut Model<'_>,
    observe: Observer<'_>,
) -> Solution {
    let settings = state.settings;
    let target = settings.tol * state.scale();
    let mut history: Vec<Progress> = Vec::new();
    let mut dual = Dual::new(state.v.len());
    let mut stalled = 0;
    let mut finished = false;
    let status = loop {
        let certificate = state.certify();
        dual.observe(state, &certificate);
        // Rounding can put the bound above the objective by some units in the last place.
        let gap = (certificate.objective - dual.bound).max(0.0);
        let progress = Progress {
            objective: certificate.objective,
            gap,
            violation: certificate.violation,
            remaining: state.active.len(),
            support: state.active.iter().filter(|&&j| state.w[j] != 0.0).count(),
            epochs: model.epochs,
        };
        let before = history.last().copied();
        history.push(progress);
        if !observe(&progress) {
            break Status::Interrupted;
        }
        let satisfied = state.satisfied(gap, &certificate, target);
        if satisfied && !(state.small() && !finished && gap > 0.0 && gap.is_finite()) {
            break Status::Converged;
        }
        finished = satisfied;
        if let Some(before) = before {
            let falls = gap < 0.9 * before.gap
                || progress.violation < 0.9 * before.violation
                || progress.objective < before.objective - 1e-15 * before.objective.abs();
            stalled = if falls { 0 } else { stalled + 1 };
            if !falls || progress.objective > before.objective + 1e-14 * before.objective.abs() {
                cache.set.start_over_exactly();
            }
            // Old weights may lack just the sample that bounds a flat direction.
            let quick = gap < 0.5 * before.gap || progress.violation < 0.5 * before.violation;
            if !quick && !state.problem.loss.quadratic() {
                cache.set.reset(&[]);
            }
        }
        if stalled >= 4 && !satisfied {
            break Status::Precision;
        }
        if !satisfied && (history.len() > settings.max_iter || model.exhausted()) {
            break Status::Limit;
        }
        state.screen(&certificate, cache);
        // Along a path the strong rule finds nearly all of the support at once: the first model is
        // solved as well as the problem, so that one pass over all features is enough.
        let sure = state.margin > 0.0 && history.len() == 1 && state.problem.loss.quadratic();
        let (end, far) = if gap.is_finite() {
            (0.3 * target, gap)
        } else {
            (0.3 * settings.tol * state.steepest, certificate.violation)
        };
        let (now, end) = match finished {
            true => (1e-9 * target, 1e-9 * target),
            false if sure && gap.is_finite() => (end, end),
            false => (end.max(0.1 * far), end),
        };
        state.improve(cache, model, Goal { now, end, stalled });
    };
    let (coef, intercept, dual) = (state.w.clone(), state.b, dual.point);
    Solution { coef, intercept, dual, target, status, history }
}
