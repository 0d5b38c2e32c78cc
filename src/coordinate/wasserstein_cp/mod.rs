//! Wasserstein CP dictionary learning, block after block, every block in its dual.
//!
//! Kwon and Lyu 2023, "Complexity of block coordinate descent with proximal regularization and
//! applications to Wasserstein CP-dictionary learning", ICML, arXiv:2306.02420; the duals follow
//! Rolet, Cuturi, Peyre 2016, "Fast dictionary learning with a smoothed Wasserstein loss", AISTATS.
//!
//!   min sum_s W(x_s, D l_s) + rho (sum of l log l over codes and columns)
//!   D_r = U^(1)_r x ... x U^(n)_r,   codes l_s and columns U^(k)_r on the simplex
//!   one block at a time, tau / 2 |block - previous|^2 added
//!   dual of a block: max_g -sum_s H_s(g_s) - R*(-A^T g),   block = grad R*(-A^T g)
//!
//! `gibbs` applies the kernel of the cost, `conjugate` is H, `regulariser` is R*, `blocks` puts them
//! together, `linalg::lbfgs` minimises. The potentials g are kept from block to block and from sweep
//! to sweep: at a stationary point they serve all blocks.
//!
//! Gaps of the inner solves fall as 1 / sweep^2 down to `inner_tol`. The value that a sweep reports
//! is that of the last block's dual: a lower bound, exact up to the inner gap.
//!
//! Deviations: the schedule of inner gaps and the mix of weights of the paper are not followed, each
//! kind of block has its own rho and tau.

mod blocks;
mod check;
mod conjugate;
mod gibbs;
mod regulariser;
mod tensor;

pub use check::check;

use self::blocks::{Code, Factor, Shared};
use self::conjugate::Memory;
use self::gibbs::Gibbs;
use self::regulariser::{Regulariser, entropy};
use super::solver::Status;
use crate::engine::threads;
use crate::linalg::lbfgs;

/// First inner tolerance; the n-th is at most this over n^2.
const FIRST: f64 = 0.1;

/// Samples and costs.
#[derive(Debug, Clone)]
pub struct Problem<'a> {
    /// Samples, S x M, each >= 0 with sum 1.
    pub samples: &'a [f64],
    /// Sizes I_k of the modes.
    pub sizes: &'a [usize],
    /// Costs of each mode, I_k x I_k.
    pub costs: Vec<&'a [f64]>,
    /// Components R.
    pub components: usize,
    /// Weight of the plan's entropy.
    pub gamma: f64,
    /// Weights of the entropy of codes and of factors.
    pub rho: [f64; 2],
    /// Weights of the proximal term of codes and of factors.
    pub tau: [f64; 2],
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Stop at sqrt(sum over blocks of (rho + tau)^2 |change|^2) <= tol.
    pub tol: f64,
    /// Sweeps.
    pub max_iter: usize,
    /// Misplaced mass of the inner solves at the end.
    pub inner_tol: f64,
    /// Steps of one inner solve.
    pub inner_max_iter: usize,
    /// Whether only the codes move.
    pub fix_factors: bool,
}

/// What moves; every row of codes and factors is on the simplex.
pub struct State<'a> {
    /// S x R.
    pub codes: &'a mut [f64],
    /// A factor for each mode, R x I_k.
    pub factors: Vec<Vec<f64>>,
    /// S x M.
    pub potentials: &'a mut [f64],
}

/// One sweep.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Value of the objective.
    pub objective: f64,
    /// What `tol` bounds.
    pub stationarity: f64,
    /// Largest misplaced mass that inner solves left.
    pub residual: f64,
    /// Evaluations of a sample's conjugate so far.
    pub evaluations: f64,
    /// Number of the sweep.
    pub sweep: f64,
}

/// Sweeps over codes and factors; `observe` says whether to go on.
pub fn fit(
    problem: &Problem<'_>,
    settings: &Settings,
    state: &mut State<'_>,
    observe: &mut dyn FnMut(&Progress) -> bool,
) -> (Progress, Status) {
    let log_x: Vec<f64> = problem.samples.iter().map(|x| x.ln()).collect();
    let gibbs = Gibbs::new(&problem.costs, problem.sizes, problem.gamma);
    let shared = [0, 1].map(|kind| Shared {
        gibbs: &gibbs,
        gamma: problem.gamma,
        log_x: &log_x,
        regulariser: Regulariser { rho: problem.rho[kind], tau: problem.tau[kind] },
    });
    let mut dictionary = vec![0.0; problem.components * gibbs.entries()];
    tensor::compose(&state.factors, problem.sizes, &mut dictionary);
    let mut progress = Progress::default();
    for sweep in 1..=settings.max_iter {
        let tol = settings.inner_tol.max(FIRST / (sweep * sweep) as f64);
        progress.sweep = sweep as f64;
        (progress.residual, progress.stationarity) = (0.0, 0.0);
        let limits = (tol, settings.inner_max_iter);
        update_codes(problem, &shared[0], &dictionary, state, limits, &mut progress);
        for mode in 0..if settings.fix_factors { 0 } else { problem.sizes.len() } {
            update_factor(problem, &shared[1], mode, &mut dictionary, state, limits, &mut progress);
        }
        progress.stationarity = progress.stationarity.sqrt();
        if !observe(&progress) {
            return (progress, Status::Interrupted);
        }
        // A small change says something only where the inner solves were sharp.
        if progress.stationarity <= settings.tol && tol <= settings.inner_tol.max(settings.tol) {
            let sharp = progress.residual <= tol;
            return (progress, if sharp { Status::Converged } else { Status::Precision });
        }
    }
    (progress, Status::Limit)
}

/// Codes of all samples, each on its own.
fn update_codes(
    problem: &Problem<'_>,
    shared: &Shared<'_>,
    dictionary: &[f64],
    state: &mut State<'_>,
    (tol, steps): (f64, usize),
    progress: &mut Progress,
) {
    let (r, m) = (problem.components, shared.gibbs.entries());
    let before = state.codes.to_vec();
    let mut slots: Vec<(&mut [f64], &mut [f64], Option<lbfgs::Minimum>)> = state
        .codes
        .chunks_exact_mut(r)
        .zip(state.potentials.chunks_exact_mut(m))
        .map(|(code, g)| (code, g, None))
        .collect();
    threads::for_each_chunk(&mut slots, 1, |s, slot| {
        let (code, g, end) = &mut slot[0];
        let mut dual = Code {
            shared,
            log_x: &shared.log_x[s * m..(s + 1) * m],
            dictionary,
            previous: &before[s * r..(s + 1) * r],
            code,
            z: vec![0.0; r],
            memory: Memory::default(),
        };
        *end = Some(lbfgs::minimize(&mut dual, g, tol, steps));
    });
    let mut value = 0.0;
    for end in slots.iter().filter_map(|slot| slot.2) {
        value -= end.value;
        progress.residual = progress.residual.max(end.residual);
        progress.evaluations += end.evaluations as f64;
    }
    progress.account(problem, shared, 0, value, &before, state.codes);
    progress.objective +=
        problem.rho[1] * state.factors.iter().map(|factor| entropy(factor)).sum::<f64>();
}

/// The factor of one mode, all samples together.
fn update_factor(
    problem: &Problem<'_>,
    shared: &Shared<'_>,
    mode: usize,
    dictionary: &mut [f64],
    state: &mut State<'_>,
    (tol, steps): (f64, usize),
    progress: &mut Progress,
) {
    let (r, m) = (problem.components, shared.gibbs.entries());
    let samples = problem.samples.len() / m;
    let before = state.factors[mode].clone();
    let mut dual = Factor {
        shared,
        sizes: problem.sizes,
        mode,
        codes: state.codes,
        previous: &before,
        factors: &mut state.factors,
        dictionary,
        weighted: vec![0.0; r * m],
        z: vec![0.0; r * problem.sizes[mode]],
        memories: vec![Memory::default(); samples],
    };
    let end = lbfgs::minimize(&mut dual, state.potentials, tol, steps);
    progress.residual = progress.residual.max(end.residual);
    progress.evaluations += (end.evaluations * samples) as f64;
    progress.account(problem, shared, 1, -end.value, &before, &state.factors[mode]);
    let others = state.factors.iter().enumerate().filter(|(k, _)| *k != mode);
    progress.objective += problem.rho[0] * entropy(state.codes)
        + problem.rho[1] * others.map(|(_, factor)| entropy(factor)).sum::<f64>();
}

impl Progress {
    /// From a block's dual value: the objective without the proximal term, of what moves the block
    /// sees alone; and its change.
    fn account(
        &mut self,
        problem: &Problem<'_>,
        shared: &Shared<'_>,
        kind: usize,
        value: f64,
        before: &[f64],
        after: &[f64],
    ) {
        self.objective = value - shared.regulariser.distance(after, before);
        let weight = problem.rho[kind] + problem.tau[kind];
        let change: f64 = before.iter().zip(after).map(|(a, b)| (a - b) * (a - b)).sum();
        self.stationarity += weight * weight * change;
    }
}
