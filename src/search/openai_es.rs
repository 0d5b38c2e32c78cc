//! OpenAI-ES: the gradient of a Gaussian-smoothed cost from antithetic samples.
//!
//! Salimans et al. 2017, "Evolution Strategies as a Scalable Alternative to Reinforcement
//! Learning", arXiv:1703.03864, Alg. 1 and Section 2.1.
//!
//!   n population   e_k standard normal, k < n/2   u costs, shaped
//!   candidates x + sigma e_k, x - sigma e_k
//!   u: centred ranks in [-1/2, 1/2], or (cost - mean) / std
//!   g = sum_k (u_2k - u_2k+1) e_k / (n sigma) + weight_decay x
//!   Adam:  m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  x -= lr m' / (sqrt(v') + 1e-8)
//!   SGD:   m = momentum m + g,     x -= lr m
//!
//! Noise is drawn again in tell, so nothing of size n d is kept. Cost: O(n d) a step.

use super::ask_tell::{Method, Point};
use super::polystep::schedule::Schedule;
use super::setting::{Setting, choice, count, number, positive, schedule, text};
use crate::engine::{Error, Result, threads};

/// What takes the step along the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Adam,
    Sgd,
}

/// How costs become weights.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shaping {
    Ranks,
    ZScore,
}

/// The method and its two moments.
#[derive(Debug, Clone)]
pub struct OpenAiEs {
    population: usize,
    sigma: Schedule,
    lr: Schedule,
    step: Step,
    shaping: Shaping,
    momentum: f64,
    beta2: f64,
    weight_decay: f64,
    m: Vec<f64>,
    v: Vec<f64>,
}

const EPS: f64 = 1e-8;
/// Coordinates a task of the gradient, even so that pairs of normals stay together.
const TASK: usize = 1024;

impl OpenAiEs {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Type`] for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let mut out = Self {
            population: 50,
            sigma: Schedule::Constant(0.02),
            lr: Schedule::Constant(0.01),
            step: Step::Adam,
            shaping: Shaping::Ranks,
            momentum: 0.9,
            beta2: 0.999,
            weight_decay: 0.0,
            m: vec![0.0; dim],
            v: vec![0.0; dim],
        };
        for (name, value) in settings {
            let decay = |b: f64| (0.0..1.0).contains(&b);
            match name.as_str() {
                "population" => out.population = count(name, value)?,
                "sigma" => out.sigma = schedule(name, value)?,
                "lr" => out.lr = schedule(name, value)?,
                "momentum" => out.momentum = number(name, value, "in [0, 1)", decay)?,
                "beta2" => out.beta2 = number(name, value, "in [0, 1)", decay)?,
                "weight_decay" => {
                    let ok = |w: f64| w >= 0.0 && w.is_finite();
                    out.weight_decay = number(name, value, "a number >= 0", ok)?;
                }
                "optimizer" => {
                    out.step = match text(name, value)? {
                        "adam" => Step::Adam,
                        "sgd" => Step::Sgd,
                        other => return Err(choice(name, "'adam' or 'sgd'", other)),
                    }
                }
                "shaping" => {
                    out.shaping = match text(name, value)? {
                        "ranks" => Shaping::Ranks,
                        "zscore" => Shaping::ZScore,
                        other => return Err(choice(name, "'ranks' or 'zscore'", other)),
                    }
                }
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        if out.population % 2 == 1 {
            let fix = "every sample has its mirror image";
            return Err(Error::value("population", "even", out.population, fix));
        }
        positive("sigma", &Setting::Number(out.sigma.at(u64::MAX)))?;
        Ok(out)
    }

    /// sum_k w_k e_k / (n sigma), every coordinate in the order of k.
    fn gradient(&self, at: &Point, weights: &[f64]) -> Vec<f64> {
        let mut g = vec![0.0; at.x.len()];
        let scale = 1.0 / (self.population as f64 * self.sigma.at(at.step));
        threads::for_each_chunk(&mut g, TASK, |task, g| {
            for (k, pair) in weights.chunks_exact(2).enumerate() {
                let weight = scale * (pair[0] - pair[1]);
                let stream = at.step * self.population as u64 + k as u64;
                for (i, g) in g.chunks_mut(2).enumerate() {
                    let e = at.rng.normal(stream, (task * TASK / 2 + i) as u64);
                    g.iter_mut().zip(e).for_each(|(g, e)| *g += weight * e);
                }
            }
        });
        g
    }
}

impl Method for OpenAiEs {
    fn population(&self) -> usize {
        self.population
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        let sigma = self.sigma.at(at.step) * if index.is_multiple_of(2) { 1.0 } else { -1.0 };
        let stream = at.step * self.population as u64 + index as u64 / 2;
        for (i, (out, x)) in out.chunks_mut(2).zip(at.x.chunks(2)).enumerate() {
            let e = at.rng.normal(stream, i as u64);
            for ((out, x), e) in out.iter_mut().zip(x).zip(e) {
                *out = x + sigma * e;
            }
        }
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        let mut weights = costs.to_vec();
        match self.shaping {
            Shaping::Ranks => ranks(&mut weights),
            Shaping::ZScore => standardise(&mut weights),
        }
        let g = self.gradient(at, &weights);
        let (lr, t) = (self.lr.at(at.step), at.step as f64 + 1.0);
        let [first, second] = [self.momentum, self.beta2].map(|b| 1.0 - b.powf(t));
        for (i, (x, g)) in at.x.iter_mut().zip(g).enumerate() {
            let (g, m, v) = (g + self.weight_decay * *x, &mut self.m[i], &mut self.v[i]);
            match self.step {
                Step::Adam => {
                    *m = self.momentum * *m + (1.0 - self.momentum) * g;
                    *v = self.beta2 * *v + (1.0 - self.beta2) * g * g;
                    *x -= lr * (*m / first) / ((*v / second).sqrt() + EPS);
                }
                Step::Sgd => {
                    *m = self.momentum * *m + g;
                    *x -= lr * *m;
                }
            }
        }
    }

    fn repairs(&self) -> bool {
        true
    }

    fn reach(&self, at: &Point) -> f64 {
        self.lr.at(at.step).min(self.sigma.at(at.step))
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![("m", &mut self.m), ("v", &mut self.v)]
    }
}

/// Ranks from -1/2 (cheapest) to 1/2, ties at their mean.
fn ranks(costs: &mut [f64]) {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
    let (values, last) = (costs.to_vec(), (costs.len() - 1).max(1) as f64);
    let mut start = 0;
    while start < order.len() {
        let ties =
            order[start..].iter().take_while(|&&k| values[k] == values[order[start]]).count();
        let ties = ties.max(1);
        let mean = start as f64 + (ties - 1) as f64 / 2.0;
        order[start..start + ties].iter().for_each(|&k| costs[k] = mean / last - 0.5);
        start += ties;
    }
}

fn standardise(costs: &mut [f64]) {
    let n = costs.len() as f64;
    let mean = costs.iter().sum::<f64>() / n;
    costs.iter_mut().for_each(|c| *c -= mean);
    let std = (costs.iter().map(|c| c * c).sum::<f64>() / n).sqrt() + EPS;
    costs.iter_mut().for_each(|c| *c /= std);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_by_hand() {
        let mut costs = [3.0, 1.0, 3.0, 9.0, -2.0];
        ranks(&mut costs);
        assert_eq!(costs, [0.125, -0.25, 0.125, 0.5, -0.5]);
        let mut one = [4.0];
        ranks(&mut one);
        assert_eq!(one, [-0.5]);
    }
}
