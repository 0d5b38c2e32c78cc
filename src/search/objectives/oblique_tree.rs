//! Trees whose nodes split along hyperplanes: a probe re-routes only the samples that reach its
//! node and change sides there.
//!
//! A complete binary tree of depth D: node i goes on to 2 i + 1 where w_i x + b_i < 0, else to
//! 2 i + 2; the leaf decides by a majority of the training classes. Cost: share of wrong classes.
//! Sides of all nodes for all samples are cached as bits, so a changed side is followed down by
//! look-ups. Probe: O(samples that reach the node); in all nodes of a level together, O(samples).

use crate::engine::rng::Philox;
use crate::engine::threads;
use crate::search::polystep::normalise::Scale;
use crate::search::polystep::solver::softmax;
use crate::{Error, Result};

/// Deepest tree.
pub const MAX_DEPTH: usize = 12;

/// A tree of hyperplanes.
#[derive(Debug, Clone, PartialEq)]
pub struct ObliqueTree {
    /// Number of splits on a path.
    pub depth: usize,
    /// Length of a sample.
    pub inputs: usize,
    /// (nodes, inputs + 1) row-major, the offset last; nodes = 2^depth - 1.
    pub splits: Vec<f64>,
    /// Class of every leaf, 2^depth.
    pub leaves: Vec<u32>,
}

/// How a tree is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Steps to make.
    pub steps: usize,
    /// Directions a step, probed both ways.
    pub directions: usize,
    /// Probe radius at the first step, relative to the unit rows of the splits, > 0.
    pub probe_radius: f64,
    /// Step radius at the first step, > 0.
    pub step_radius: f64,
    /// Share of both radii left at the end (cosine), in (0, 1].
    pub decay: f64,
    /// Seed of the directions.
    pub seed: u64,
}

impl ObliqueTree {
    /// A tree with random unit splits, each through a random sample.
    pub fn random(features: &[f64], inputs: usize, depth: usize, seed: u64) -> Result<Self> {
        if !(1..=MAX_DEPTH).contains(&depth) {
            return Err(Error::value("depth", "in 1..=12", depth, "a usual value is 4"));
        }
        let (rng, nodes, samples) = (Philox::new(seed), (1 << depth) - 1, features.len() / inputs);
        let mut splits = Vec::with_capacity(nodes * (inputs + 1));
        for node in 0..nodes as u64 {
            let mut row: Vec<f64> = (0..inputs as u64).map(|i| rng.normal(node, i)[0]).collect();
            let norm = row.iter().map(|w| w * w).sum::<f64>().sqrt().max(1e-300);
            row.iter_mut().for_each(|w| *w /= norm);
            let through = rng.below(node, inputs as u64, samples as u64) as usize;
            let x = &features[through * inputs..(through + 1) * inputs];
            let offset: f64 = row.iter().zip(x).map(|(w, x)| w * x).sum();
            row.push(-offset);
            splits.extend(row);
        }
        Ok(Self { depth, inputs, splits, leaves: vec![0; 1 << depth] })
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        (1 << self.depth) - 1
    }

    /// Leaf of a sample.
    pub fn leaf(&self, x: &[f64]) -> usize {
        let mut node = 0;
        while node < self.nodes() {
            node = 2 * node + 1 + usize::from(self.activation(node, x) >= 0.0);
        }
        node - self.nodes()
    }

    /// Classes of samples (n, inputs).
    pub fn predict(&self, features: &[f64]) -> Vec<u32> {
        features.chunks_exact(self.inputs).map(|x| self.leaves[self.leaf(x)]).collect()
    }

    /// Gives every leaf the majority of the classes that reach it (the first of several; an empty
    /// leaf keeps its class).
    pub fn refit(&mut self, features: &[f64], labels: &[u32], classes: usize) {
        let mut counts = vec![0usize; self.leaves.len() * classes];
        for (x, &label) in features.chunks_exact(self.inputs).zip(labels) {
            counts[self.leaf(x) * classes + label as usize] += 1;
        }
        for (leaf, counts) in self.leaves.iter_mut().zip(counts.chunks_exact(classes)) {
            let most = counts.iter().copied().max().unwrap_or(0);
            if most > 0 {
                *leaf = counts.iter().position(|&count| count == most).unwrap_or(0) as u32;
            }
        }
    }

    /// Cost changes `[node][2 p]` of every node moved by +-radius along each of the directions
    /// (p, inputs + 1): + first, then -.
    pub fn probe(
        &self,
        features: &[f64],
        labels: &[u32],
        directions: &[f64],
        radius: f64,
    ) -> Vec<f64> {
        let (row, samples) = (self.inputs + 1, labels.len());
        let count = directions.len() / row;
        let rows = || features.chunks_exact(self.inputs);
        let sides: Vec<Vec<bool>> = threads::map(self.nodes(), |node| {
            rows().map(|x| self.activation(node, x) >= 0.0).collect()
        });
        let along = |k: usize| -> Vec<f64> {
            let u = &directions[k * row..(k + 1) * row];
            rows().map(|x| affine(u, x)).collect()
        };
        let shifts: Vec<Vec<f64>> = threads::map(count, along);
        let wrong = |node: usize, n: usize| {
            let mut node = node;
            while node < self.nodes() {
                node = 2 * node + 1 + usize::from(sides[node][n]);
            }
            f64::from(u8::from(self.leaves[node - self.nodes()] != labels[n]))
        };
        let reached = self.reached(&sides, samples);
        let costs = threads::map(self.nodes(), |node| {
            let mut sums = vec![0.0; 2 * count];
            for &n in &reached[node] {
                let x = &features[n * self.inputs..(n + 1) * self.inputs];
                let (z, side) = (self.activation(node, x), sides[node][n]);
                let children = [2 * node + 1, 2 * node + 2];
                let change =
                    wrong(children[usize::from(!side)], n) - wrong(children[usize::from(side)], n);
                if change == 0.0 {
                    continue;
                }
                for k in 0..count {
                    let shift = radius * shifts[k][n];
                    sums[k] += if (z + shift >= 0.0) != side { change } else { 0.0 };
                    sums[k + count] += if (z - shift >= 0.0) != side { change } else { 0.0 };
                }
            }
            sums.iter_mut().for_each(|sum| *sum /= samples as f64);
            sums
        });
        costs.concat()
    }

    /// Trains by polytope steps, leaves refitted in every step; returns the share of wrong classes
    /// of the best tree met, which `self` becomes, and the number of probes. `go_on(step, least)`
    /// ends the training by saying no.
    pub fn train(
        &mut self,
        features: &[f64],
        labels: &[u32],
        classes: usize,
        settings: Settings,
        go_on: &mut dyn FnMut(u64, f64) -> bool,
    ) -> (f64, usize) {
        let (row, nodes) = (self.inputs + 1, self.nodes());
        let rng = Philox::new(settings.seed);
        let (mut best, mut least, mut evaluations) = (self.clone(), f64::INFINITY, 0);
        for step in 0..=settings.steps {
            self.refit(features, labels, classes);
            let right = self.predict(features).iter().zip(labels).filter(|(a, b)| a == b).count();
            let cost = 1.0 - right as f64 / labels.len() as f64;
            if cost < least {
                (best, least) = (self.clone(), cost);
            }
            if step == settings.steps || !go_on(step as u64, least) {
                break;
            }
            let share = step as f64 / settings.steps as f64;
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
            let rate = settings.decay + (1.0 - settings.decay) * cosine;
            let stream = 1 << 32 | step as u64;
            let mut u: Vec<f64> =
                (0..settings.directions * row).map(|i| rng.normal(stream, i as u64)[0]).collect();
            for u in u.chunks_exact_mut(row) {
                let norm = u.iter().map(|u| u * u).sum::<f64>().sqrt().max(1e-300);
                u.iter_mut().for_each(|u| *u /= norm);
            }
            let mut costs = self.probe(features, labels, &u, settings.probe_radius * rate);
            evaluations += costs.len();
            let columns = 2 * settings.directions;
            Scale::GlobalStd.apply(&mut costs, columns);
            let mut weights = vec![0.0; columns];
            for node in 0..nodes {
                softmax(&costs[node * columns..(node + 1) * columns], 1.0, &mut weights);
                let split = &mut self.splits[node * row..(node + 1) * row];
                for (k, u) in u.chunks_exact(row).enumerate() {
                    let weight = weights[k] - weights[k + settings.directions];
                    for (split, u) in split.iter_mut().zip(u) {
                        *split += settings.step_radius * rate * weight * u;
                    }
                }
                // a side knows no scale: unit rows keep the radii comparable
                let norm = split[..row - 1].iter().map(|w| w * w).sum::<f64>().sqrt();
                if norm > 1e-12 {
                    split.iter_mut().for_each(|w| *w /= norm);
                }
            }
        }
        *self = best;
        (least, evaluations)
    }

    fn activation(&self, node: usize, x: &[f64]) -> f64 {
        affine(&self.splits[node * (self.inputs + 1)..(node + 1) * (self.inputs + 1)], x)
    }

    /// Samples that reach each node.
    fn reached(&self, sides: &[Vec<bool>], samples: usize) -> Vec<Vec<usize>> {
        let mut reached = vec![Vec::new(); self.nodes()];
        for sample in 0..samples {
            let mut node = 0;
            while node < self.nodes() {
                reached[node].push(sample);
                let side = &sides[node];
                node = 2 * node + 1 + usize::from(side[sample]);
            }
        }
        reached
    }
}

/// u x + u_last.
fn affine(u: &[f64], x: &[f64]) -> f64 {
    let sum: f64 = u.iter().zip(x).map(|(u, x)| u * x).sum();
    sum + u[x.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_equals_the_moved_tree() {
        let rng = Philox::new(3);
        let features: Vec<f64> = (0..300).map(|i| rng.normal(0, i)[0]).collect();
        let labels: Vec<u32> = (0..100).map(|i| rng.below(1, i, 3) as u32).collect();
        let mut tree = ObliqueTree::random(&features, 3, 3, 1).unwrap();
        tree.refit(&features, &labels, 3);
        let wrong = |tree: &ObliqueTree| {
            let pairs = tree.predict(&features).into_iter().zip(&labels);
            pairs.filter(|(a, b)| a != *b).count() as f64 / 100.0
        };
        let u: Vec<f64> = (0..8).map(|i| rng.normal(2, i)[0]).collect();
        let costs = tree.probe(&features, &labels, &u, 0.7);
        let mut moved_any = false;
        for node in 0..7 {
            for (index, cost) in costs[node * 4..node * 4 + 4].iter().enumerate() {
                let sign = if index < 2 { 0.7 } else { -0.7 };
                let mut moved = tree.clone();
                for i in 0..4 {
                    moved.splits[node * 4 + i] += sign * u[(index % 2) * 4 + i];
                }
                assert!((wrong(&moved) - wrong(&tree) - cost).abs() < 1e-12);
                moved_any |= *cost != 0.0;
            }
        }
        assert!(moved_any);
    }
}
