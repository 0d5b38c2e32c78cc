//! ZO-RankSGD: descent from the order of candidates; their values are not needed.
//!
//! Tang, Rybin, Chang 2024, "Zeroth-Order Optimization Meets Human Feedback: Provable Learning via
//! Ranking Oracles", ICLR, arXiv:2303.03751.
//!
//!   m candidates x + mu xi_i, xi_i Gaussian   k of them are ranked   r rank, 0 the best
//!   E pairs (i better than j): within the k, and each of the k before each of the others
//!   |E| = k (k - 1) / 2 + k (m - k)
//!   g = 1/|E| sum_E (xi_j - xi_i) = -1/|E| sum_i w_i xi_i
//!   w = m - 1 - 2 r for the ranked, -k for the others
//!   without line search  x -= lr g
//!   with it              u = mean of -g since x moved; the best of x, the best of the m and
//!                        x + lr u / 2^j, j = 0.., becomes x
//!
//! Equals share the mean of the weights of their places; in a line search the first of them wins,
//! x before all. xi is where a candidate was looked at, bounds included.
//! Deviations: the official code weighs with m - 2 r and does not divide xi by mu.
//! Memory: O(d), and O(m d) within a step. Time: O(m d) a step.

use super::ask_tell::{Method, Point, Purpose, stream, task_rows};
use super::outside::Ranking;
use super::polystep::schedule::Schedule;
use super::setting::{Setting, choice, count, number, positive, schedule};
use crate::engine::{Error, Result, threads};

/// The method, its direction and the best candidate of the last estimate.
#[derive(Debug, Clone)]
pub struct ZoRankSgd {
    population: usize,
    ranked: usize,
    mu: Schedule,
    lr: Schedule,
    line: usize,
    /// Whether a line search is next, and how many estimates `direction` is the mean of.
    control: Vec<f64>,
    direction: Vec<f64>,
    sample: Vec<f64>,
}

const SEARCHING: usize = 0;
const ESTIMATES: usize = 1;
/// Candidates of a line search before those on the line: x and the best of the m.
const OTHERS: usize = 2;

impl ZoRankSgd {
    /// The method in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Type`] for a setting out of range.
    pub fn new(dim: usize, settings: &[(String, Setting)]) -> Result<Self> {
        let mut out = Self {
            population: 16,
            ranked: 0,
            mu: Schedule::Constant(0.1),
            lr: Schedule::Constant(1.0),
            line: 8,
            control: vec![0.0; 2],
            direction: vec![0.0; dim],
            sample: vec![0.0; dim],
        };
        for (name, value) in settings {
            match name.as_str() {
                "population" => out.population = count(name, value)?,
                "ranked" => out.ranked = count(name, value)?,
                "mu" => out.mu = schedule(name, value)?,
                "lr" => out.lr = schedule(name, value)?,
                "line_search" => {
                    let ok = |v: f64| v >= 0.0 && v.fract() == 0.0 && v < 1e3;
                    out.line = number(name, value, "an integer in [0, 1000)", ok)? as usize;
                }
                _ => return Err(choice("setting", "a known name", name)),
            }
        }
        if out.ranked == 0 {
            out.ranked = out.population;
        }
        if out.population == 1 {
            let fix = "an order needs two candidates";
            return Err(Error::value("population", "an integer >= 2", 1, fix));
        }
        if out.ranked > out.population {
            let allowed = format!("at most population = {}", out.population);
            let fix = "rank fewer, or ask more candidates";
            return Err(Error::value("ranked", allowed, out.ranked, fix));
        }
        positive("mu", &Setting::Number(out.mu.at(u64::MAX)))?;
        Ok(out)
    }

    fn searching(&self) -> bool {
        self.control[SEARCHING] != 0.0
    }

    /// The weights w of all candidates, equals sharing theirs.
    fn weights(&self, ranking: &Ranking) -> Vec<f64> {
        let (m, k) = (self.population as f64, self.ranked as f64);
        let weight = |place: usize| match place < self.ranked {
            true => m - 1.0 - 2.0 * place as f64,
            false => -k,
        };
        let mut out = vec![-k; self.population];
        let mut start = 0;
        for &length in &ranking.groups {
            let places = start..start + length;
            let shared = places.clone().map(weight).sum::<f64>() / length as f64;
            ranking.order[places].iter().for_each(|i| out[*i] = shared);
            start += length;
        }
        out
    }

    /// The candidates, a row each, as they were asked.
    fn rows(&self, at: &Point) -> Vec<f64> {
        let dim = at.x.len();
        let mut rows = vec![0.0; self.population() * dim];
        let count = task_rows(dim);
        threads::for_each_chunk(&mut rows, count * dim, |task, rows| {
            for (i, row) in (task * count..).zip(rows.chunks_exact_mut(dim)) {
                self.admitted(at, i, row);
            }
        });
        rows
    }

    /// Takes -g into the mean of directions.
    fn estimate(&mut self, at: &Point, rows: &[f64], ranking: &Ranking) {
        let (m, k) = (self.population as f64, self.ranked as f64);
        let edges = k * (k - 1.0) / 2.0 + k * (m - k);
        let scale = 1.0 / (edges * self.mu.at(at.step) * (self.control[ESTIMATES] + 1.0));
        let keep = self.control[ESTIMATES] / (self.control[ESTIMATES] + 1.0);
        self.direction.iter_mut().for_each(|u| *u *= keep);
        for (row, w) in rows.chunks_exact(at.x.len()).zip(self.weights(ranking)) {
            for ((u, y), x) in self.direction.iter_mut().zip(row).zip(&at.x) {
                *u += scale * w * (y - x);
            }
        }
        self.control[ESTIMATES] += 1.0;
    }

    fn forget(&mut self) {
        self.control.fill(0.0);
        self.direction.fill(0.0);
    }
}

impl Method for ZoRankSgd {
    fn population(&self) -> usize {
        if self.searching() { OTHERS + self.line } else { self.population }
    }

    fn candidate(&self, at: &Point, index: usize, out: &mut [f64]) {
        let length = match (self.searching(), index) {
            (true, 0) => return out.copy_from_slice(&at.x),
            (true, 1) => return out.copy_from_slice(&self.sample),
            (true, _) => {
                out.copy_from_slice(&self.direction);
                self.lr.at(at.step) * 0.5f64.powi((index - OTHERS) as i32)
            }
            (false, _) => {
                at.rng.fill_normal(stream(Purpose::Candidates, at.number(index)), 0, out);
                self.mu.at(at.step)
            }
        };
        out.iter_mut().zip(&at.x).for_each(|(out, x)| *out = x + length * *out);
    }

    fn advance(&mut self, at: &mut Point, costs: &[f64]) {
        self.order(at, &Ranking::of(costs));
    }

    fn ranked(&self) -> Option<usize> {
        Some(if self.searching() { 1 } else { self.ranked })
    }

    fn order(&mut self, at: &mut Point, ranking: &Ranking) {
        let best = ranking.order[0];
        if self.searching() {
            if best > 0 {
                let mut x = vec![0.0; at.x.len()];
                self.admitted(at, best, &mut x);
                at.x = x;
                self.forget();
            }
            self.control[SEARCHING] = 0.0;
            return;
        }
        let rows = self.rows(at);
        self.estimate(at, &rows, ranking);
        if self.line > 0 {
            self.sample.copy_from_slice(&rows[best * at.x.len()..][..at.x.len()]);
            self.control[SEARCHING] = 1.0;
        } else {
            let lr = self.lr.at(at.step);
            at.x.iter_mut().zip(&self.direction).for_each(|(x, u)| *x += lr * u);
            self.forget();
        }
    }

    fn phase(&self) -> &'static str {
        if self.searching() { "line search" } else { "estimate" }
    }

    /// The smoothing radius.
    fn reach(&self, at: &Point) -> f64 {
        self.mu.at(at.step)
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Vec<f64>)> {
        vec![
            ("control", &mut self.control),
            ("direction", &mut self.direction),
            ("sample", &mut self.sample),
        ]
    }
}
