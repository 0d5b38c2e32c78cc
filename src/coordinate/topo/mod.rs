//! TOPO: directed acyclic graphs by swaps in a topological order.
//!
//! Deng, Bello, Aragam, Ravikumar 2023, "Optimizing NOTEARS objectives via topological swaps", ICML,
//! arXiv:2305.17277.
//!
//!   pi order   W weights, free only where i precedes j in pi   Q score
//!   min over pi of min over W of Q(W)
//!   N = (I - |W|)^-1    N_ab: weight of all directed paths from position a to position b > a
//!   candidates: the pairs with the smallest N_ab, ties included, in a small and a large set
//!   round: score every swap of the small set, else of the rest of the large one; of those that
//!   lower Q apply, best first, all whose intervals of positions are disjoint
//!
//! | module | score |
//! |---|---|
//! | [`linear`] | least squares, all swaps for about the cost of one factorization |
//! | [`logistic`] | logistic regressions with an l1 penalty |
//! | [`local`] | any sum over nodes, remembered by node and parents |
//! | [`global`] | any function of the whole order |
//!
//! Deviations: the gradient of Q is not thresholded, as in the published code. Ties are broken by
//! position. Where swaps do not add up (a score of the whole order), the best one alone is applied if
//! all together are worse.

pub mod global;
pub mod linear;
pub mod local;
pub mod logistic;
mod paths;

use super::solver::Status;
use crate::engine::{Error, Result};

/// Two positions of an order, the first one smaller.
pub type Swap = [usize; 2];

/// A score of orders, and the order it stands at.
pub trait Model {
    /// Nodes by position.
    fn order(&self) -> &[usize];
    /// Score of the order.
    fn score(&self) -> f64;
    /// Weights by position, row after row: entry `p * d + q` is that of the node at `p` in the
    /// equation of the node at `q`, zero unless `p < q`.
    fn weights(&self) -> Vec<f64>;
    /// By how much each swap would lower the score; none when asked to stop.
    fn gains(&mut self, swaps: &[Swap]) -> Option<Vec<f64>>;
    /// Applies disjoint swaps, sorted by gain; none when asked to stop or when that lowers nothing,
    /// and the order is then as it was.
    fn apply(&mut self, swaps: &[Swap]) -> Option<()>;
    /// Whether the caller asked to stop.
    fn stopped(&self) -> bool {
        false
    }
}

/// How to search.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Pairs scored in every round, at least.
    pub small: usize,
    /// Pairs scored when none of the small set helps, at least; not below `small`.
    pub large: usize,
    /// Rounds that may use the large set.
    pub large_searches: usize,
    /// Least gain, relative to the score.
    pub tol: f64,
    /// Rounds.
    pub max_iter: usize,
}

/// The state after a round.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Score.
    pub score: f64,
    /// Swaps scored.
    pub scored: usize,
    /// Swaps applied.
    pub applied: usize,
    /// Whether the large set was needed.
    pub large: bool,
}

/// Swaps until no candidate helps, or until the observer returns false.
pub fn search(
    model: &mut dyn Model,
    settings: &Settings,
    observe: &mut dyn FnMut(&Round) -> bool,
) -> (Vec<Round>, Status) {
    let first = Round { score: model.score(), scored: 0, applied: 0, large: false };
    let mut rounds = vec![first];
    let mut large_left = settings.large_searches;
    if !observe(&first) {
        return (rounds, Status::Interrupted);
    }
    for _ in 0..settings.max_iter {
        let d = model.order().len();
        let sizes = [settings.small, settings.large];
        let [small, rest] = paths::candidates(&paths::weights(&model.weights(), d), d, sizes);
        let least = settings.tol * model.score().abs();
        let mut round = Round { score: 0.0, scored: small.len(), applied: 0, large: false };
        let Some(gains) = model.gains(&small) else { return (rounds, Status::Interrupted) };
        let mut chosen = disjoint(&small, &gains, least);
        if chosen.is_empty() && large_left > 0 && !rest.is_empty() {
            let Some(gains) = model.gains(&rest) else { return (rounds, Status::Interrupted) };
            chosen = disjoint(&rest, &gains, least);
            round = Round { scored: small.len() + rest.len(), large: true, ..round };
            large_left -= 1;
        }
        if chosen.is_empty() {
            return (rounds, Status::Converged);
        }
        if model.apply(&chosen).is_none() {
            let stopped = model.stopped();
            return (rounds, if stopped { Status::Interrupted } else { Status::Precision });
        }
        round = Round { score: model.score(), applied: chosen.len(), ..round };
        rounds.push(round);
        if !observe(&round) {
            return (rounds, Status::Interrupted);
        }
    }
    (rounds, Status::Limit)
}

/// The swaps that gain more than `least`, best first, without those that overlap a better one.
fn disjoint(swaps: &[Swap], gains: &[f64], least: f64) -> Vec<Swap> {
    let mut better: Vec<_> = swaps.iter().zip(gains).filter(|(_, gain)| **gain > least).collect();
    better.sort_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(b.0)));
    let mut chosen: Vec<Swap> = Vec::new();
    for (&[a, b], _) in better {
        if chosen.iter().all(|&[first, last]| b < first || last < a) {
            chosen.push([a, b]);
        }
    }
    chosen
}

/// Exchanges the nodes at the positions of each swap.
fn swapped(order: &[usize], swaps: &[Swap]) -> Vec<usize> {
    let mut order = order.to_vec();
    swaps.iter().for_each(|&[a, b]| order.swap(a, b));
    order
}

/// Weights by node from those by position.
pub fn by_node(weights: &[f64], order: &[usize]) -> Vec<f64> {
    let d = order.len();
    let mut out = vec![0.0; d * d];
    for (p, &i) in order.iter().enumerate() {
        order.iter().enumerate().for_each(|(q, &j)| out[i * d + j] = weights[p * d + q]);
    }
    out
}

/// Checks that `order` is a permutation and that the sizes fit.
///
/// # Errors
/// Names the argument that does not fit.
pub fn check(order: &[usize], settings: &Settings) -> Result<()> {
    let d = order.len();
    let mut seen = vec![false; d];
    for &node in order {
        if node >= d || std::mem::replace(&mut seen[node], true) {
            let fix = "name every node once";
            return Err(Error::value("order", format!("a permutation of 0..{d}"), node, fix));
        }
    }
    let pairs = d * d.saturating_sub(1) / 2;
    let Settings { small, large, tol, .. } = *settings;
    let low = pairs.min(1);
    if !(low..=pairs).contains(&small) {
        let allowed = format!("in [{low}, d (d - 1) / 2 = {pairs}]");
        return Err(Error::value("size_small", allowed, small, "pass fewer pairs, or None"));
    }
    if !(small..=pairs).contains(&large) {
        let allowed = format!("in [size_small = {small}, d (d - 1) / 2 = {pairs}]");
        return Err(Error::value("size_large", allowed, large, "pass other pairs, or None"));
    }
    if !(tol >= 0.0 && tol.is_finite()) {
        return Err(Error::value("tol", ">= 0 and finite", tol, "a usual value is 1e-13"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_swaps_are_kept_and_those_that_overlap_them_are_not() {
        let swaps = [[0, 2], [2, 3], [4, 5], [5, 6], [3, 4]];
        assert_eq!(disjoint(&swaps, &[1.0, 3.0, 0.5, 0.5, 0.0], 0.0), [[2, 3], [4, 5]]);
        assert_eq!(disjoint(&swaps, &[1.0, f64::NAN, 0.2, 2.0, -1.0], 0.5), [[5, 6], [0, 2]]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let settings =
            |small, large| Settings { small, large, large_searches: 1, tol: 0.0, max_iter: 1 };
        let text = |order: &[usize], s| check(order, &s).unwrap_err().to_string();
        assert!(check(&[0], &settings(0, 0)).is_ok() && check(&[1, 0], &settings(1, 1)).is_ok());
        assert!(text(&[0, 2], settings(1, 1)).contains("permutation of 0..2, got 2"));
        assert!(text(&[0, 0], settings(1, 1)).contains("permutation"));
        assert!(text(&[0, 1, 2], settings(0, 1)).contains("size_small must be in [1,"));
        assert!(text(&[0, 1, 2], settings(2, 1)).contains("size_large"));
        assert!(text(&[0, 1, 2], settings(1, 4)).contains("(d - 1) / 2 = 3], got 4"));
    }
}
