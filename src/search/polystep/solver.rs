//! From a row of costs to a row of weights that sum to one.
//!
//!   C costs (a row a block, a column a vertex)   eps temperature   W weights
//!   softmax:  W_i = softmax(-C_i / eps)
//!   tempered: the same at its own fixed temperature
//!   greedy:   1 at the smallest cost (the first of several), equal weights for a constant row
//!   top-k:    1/k at the k smallest, equal weights for a constant row
//!   sinkhorn, kl_softmax: [`Sinkhorn`], the only ones that couple rows
//!
//! Where differences of costs are far below eps, softmax is linear: W_k ~ (1 - (C_k - mean C)/eps)/V.

use super::sinkhorn::Sinkhorn;
use crate::engine::real::{Lane, Real};

/// The rule that weighs the vertices.
#[derive(Debug, Clone, PartialEq)]
pub enum Solver {
    /// Softmax at the temperature of the step.
    Softmax,
    /// Softmax at its own temperature.
    Tempered {
        /// That temperature, > 0.
        tau: f64,
    },
    /// All weight on the cheapest vertex.
    Greedy,
    /// Equal weight on the cheapest few.
    TopK {
        /// How many, >= 1.
        k: usize,
    },
    /// Entropic optimal transport.
    Sinkhorn(Sinkhorn),
}

impl Solver {
    /// Writes the weights of `costs`, rows of `columns` numbers, all finite; `eps` > 0.
    pub fn weigh(&mut self, costs: &[f64], columns: usize, eps: f64, weights: &mut [f64]) {
        match self {
            Self::Sinkhorn(sinkhorn) => sinkhorn.weigh(costs, columns, eps, weights),
            Self::TopK { k } => {
                let mut order = Vec::with_capacity(columns);
                for (c, w) in rows(costs, weights, columns) {
                    top(c, *k, w, &mut order);
                }
            }
            Self::Greedy => rows(costs, weights, columns).for_each(|(c, w)| greedy(c, w)),
            Self::Softmax => rows(costs, weights, columns).for_each(|(c, w)| softmax(c, eps, w)),
            Self::Tempered { tau } => {
                rows(costs, weights, columns).for_each(|(c, w)| softmax(c, *tau, w));
            }
        }
    }
}

fn rows<'a>(
    costs: &'a [f64],
    weights: &'a mut [f64],
    columns: usize,
) -> impl Iterator<Item = (&'a [f64], &'a mut [f64])> {
    costs.chunks_exact(columns).zip(weights.chunks_exact_mut(columns))
}

/// Writes softmax(-costs / eps).
#[inline]
pub fn softmax(costs: &[f64], eps: f64, weights: &mut [f64]) {
    let min = costs.iter().copied().fold(f64::INFINITY, f64::min);
    let mut sum = 0.0;
    for (w, c) in weights.iter_mut().zip(costs) {
        *w = Lane::<f64>((min - c) / eps).exp().0;
        sum += *w;
    }
    weights.iter_mut().for_each(|w| *w /= sum);
}

fn constant(costs: &[f64]) -> bool {
    costs.iter().all(|c| *c == costs[0])
}

fn greedy(costs: &[f64], weights: &mut [f64]) {
    if constant(costs) {
        return weights.fill(1.0 / costs.len() as f64);
    }
    weights.fill(0.0);
    let best = (1..costs.len()).fold(0, |b, k| if costs[k] < costs[b] { k } else { b });
    weights[best] = 1.0;
}

fn top(costs: &[f64], k: usize, weights: &mut [f64], order: &mut Vec<usize>) {
    if constant(costs) {
        return weights.fill(1.0 / costs.len() as f64);
    }
    let k = k.min(costs.len());
    order.clear();
    order.extend(0..costs.len());
    order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
    weights.fill(0.0);
    order[..k].iter().for_each(|&i| weights[i] = 1.0 / k as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(mut solver: Solver, costs: &[f64], columns: usize, eps: f64) -> Vec<f64> {
        let mut out = vec![f64::NAN; costs.len()];
        solver.weigh(costs, columns, eps, &mut out);
        out
    }

    #[test]
    fn softmax_against_its_definition_and_far_out() {
        let w = weights(Solver::Softmax, &[0.3, -0.2, 5.0], 3, 0.5);
        let e = [-0.6f64, 0.4, -10.0].map(f64::exp);
        let sum: f64 = e.iter().sum();
        assert!(w.iter().zip(e).all(|(w, e)| (w - e / sum).abs() < 1e-15));
        assert_eq!(weights(Solver::Softmax, &[1e300, 0.0], 2, 1e-3), [0.0, 1.0]);
        assert_eq!(weights(Solver::Tempered { tau: 1.0 }, &[2.0, 2.0], 2, 9.0), [0.5, 0.5]);
    }

    #[test]
    fn hard_rules_pick_the_cheapest() {
        let costs = [3.0, 1.0, 2.0, 4.0, 7.0, 7.0, 7.0, 7.0];
        let w = weights(Solver::Greedy, &costs, 4, 1.0);
        assert_eq!(w, [0.0, 1.0, 0.0, 0.0, 0.25, 0.25, 0.25, 0.25]);
        let w = weights(Solver::TopK { k: 2 }, &costs, 4, 1.0);
        assert_eq!(w, [0.0, 0.5, 0.5, 0.0, 0.25, 0.25, 0.25, 0.25]);
        assert_eq!(weights(Solver::TopK { k: 9 }, &[1.0, 2.0], 2, 1.0), [0.5, 0.5]);
    }
}
