//! GFM and GFM+: descent on a cost averaged over a small ball, for costs without slopes.
//!
//! Lin, Zheng, Jordan 2022, "Gradient-Free Methods for Deterministic and Stochastic Nonsmooth
//! Nonconvex Optimization", arXiv:2209.05045, Alg. 1; Chen, Xu, Luo 2023, "Faster Gradient-Free
//! Algorithms for Nonsmooth Nonconvex Stochastic Optimization", arXiv:2301.06428, Alg. 2.
//!
//!   F(x; s) cost on the random sample s   w uniform on the unit sphere
//!   g(x; w, s) = d / (2 delta) (F(x + delta w; s) - F(x - delta w; s)) w
//!   GFM:   v = mean of g over q pairs (w, s)
//!   GFM+:  every `period` steps v = mean of g over Q pairs; else
//!          v += mean over q pairs of g(x_t; w, s) - g(x_t-1; w, s), both on the same (w, s)
//!   x -= lr v
//!
//! Candidates: x + delta w, x - delta w, and in a correction the same two around x_t-1, pair after
//! pair. A pair with an infinite cost is left out of the mean; where all are, x stays. Directions
//! are drawn again in tell. Memory: O(d). Time: O(q d) a step.

use super::ask_tell::{Method, Point, Purpose, stream};
use super::polystep::schedule::Schedule;
use super::setting::{Setting, choice, count, positive, schedule};
use crate::engine::Result;
use crate::engine::reduce::sum_of_squares;

/// The method, its estimate of the gradient and the point before.
#[derive(Debug, Clone)]
pub struct Gfm {
    delta: f64,
    lr: Schedule,
    directions: usize,
    /// Q and the period of GFM+.
    plus: Option<[usize; 2]>,
    estimate: Vec<f64>,
    before: Vec<f64>,
    /// Moves since the last full estimate.
    turn: Vec<f64>,
}

impl Gfm {
    /// The method in `dim` dimensions; `plus` for GFM+.
    ///
    /// # Errors
    /// [`Error::Value`](crate::engine::Error::Value) or
    /// [`Error::Type`](crate::engine::Error::Type) for a setting out of range.
    pub fn new(dim: usize, plus: bool, settings: &[(String, Setting)]) -> Result<Self> {
        let mut out = Self {
            delta: 1e-3,
            lr: Schedule::Constant(0.01),
            directions: 1,
            plus: plus.then_some([10, 10]),
            estimate: vec![0.0; dim],
            before: vec![0.0; dim],
            turn: vec![0.0],
        };
        for (name, value) in settings {
            match (name.as_str(), &mut out.plus) {
                ("delta", _) => out.delta = positive(name, value)?,
                ("lr", _) => out.lr = schedule(name, value)?,
                ("directions", _) => out.directions = count(name, value)?,
                ("mega_directions", Some(plus)) => plus[0] = count(name, value)?,
                ("period", Some(plus)) => plus[1] = count(name, value)?,
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        Ok(out)
    }

    /// Whether the step corrects the estimate of the step before.
    fn corrects(&self) -> bool {
        self.turn[0] != 0.0
    }

    /// Candidates that share a direction and a sample.
    fn group(&self) -> usize {
        if self.corrects() { 4 } else { 2 }
    }

    fn pairs(&self) -> usize {
        match self.plus {
            Some([mega, _]) if !self.corrects() => mega,
            _ => self.directions,
        }
    }

    /// The direction of a group.
    fn direction(&self, at: &Point, group: usize, out: &mut [f64]) {
        at.rng.fill_normal(stream(Purpose::Candidates, at.number(group)), 0, out);
        let length = sum_of_squares(out).sqrt();
        out.iter_mut().for_each(|w| *w /= length);
    }
}

impl Method for Gfm {
    fn population(&self) -> usize {
        self.group() * self.pairs()
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        let (group, part) = (index / self.group(), index % self.group());
        self.direction(at, group, out);
        let centre = if part < 2 { &at.x } else { &self.before };
        let side = if part.is_multiple_of(2) { self.delta } else { -self.delta };
        out.iter_mut().zip(centre).for_each(|(out, x)| *out = x + side * *out);
    }

    fn sample(&self, index: usize) -> usize {
        index / self.group()
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        let mut mean = vec![0.0; at.x.len()];
        let (mut w, mut used) = (mean.clone(), 0.0);
        for (group, costs) in costs.chunks_exact(self.group()).enumerate() {
            if costs.iter().all(|cost| cost.is_finite()) {
                self.direction(at, group, &mut w);
                let before = if self.corrects() { costs[2] - costs[3] } else { 0.0 };
                let gain = costs[0] - costs[1] - before;
                mean.iter_mut().zip(&w).for_each(|(mean, w)| *mean += gain * w);
                used += 1.0;
            }
        }
        if used == 0.0 {
            return;
        }
        let scale = at.x.len() as f64 / (2.0 * self.delta * used);
        let keep = if self.corrects() { 1.0 } else { 0.0 };
        let lr = self.lr.at(at.step);
        self.before.copy_from_slice(&at.x);
        for ((x, v), g) in at.x.iter_mut().zip(&mut self.estimate).zip(&mean) {
            *v = keep * *v + scale * g;
            *x -= lr * *v;
        }
        if let Some([_, period]) = self.plus {
            self.turn[0] = (self.turn[0] + 1.0) % period as f64;
        }
    }

    /// The length of the last move; a cost that is flat where it was looked at says nothing.
    fn reach(&self, at: &Point) -> f64 {
        match sum_of_squares(&self.estimate).sqrt() {
            0.0 => f64::INFINITY,
            length => self.lr.at(at.step) * length,
        }
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![
            ("estimate", &mut self.estimate),
            ("before", &mut self.before),
            ("turn", &mut self.turn),
        ]
    }
}
