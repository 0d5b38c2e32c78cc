//! GCond: accumulate, resolve the worst conflicts by arbitration, then momentum.
//!
//! Alves Limarenko, Studenikina et al. 2025, "Gradient Conductor", arXiv:2509.07252; constants and
//! the order of the arbitration follow the authors' code.
//!
//!   A_i accumulated gradients, B_i the resolved ones of the last call, nu_i running norms of A_i
//!   repeat: take the pair with the smallest cosine c below `weak`; score
//!     0.8 max(0, cos(A_k, B_k)) + 0.2 (|A_k| / nu_k) / (sum over the pair)
//!   the higher score w wins (i on a tie; a run of wins ends), l yields:
//!     A_w -= sin(angle) <A_w,A_l> / |A_l|^2 A_l     A_l -= sin(min(angle, pi/2)) <A_w,A_l> / |A_w|^2 A_w
//!   with angle rising from 0 at `weak` over pi/2 at `main` to pi at `crit`
//!
//! Every A_i stays a combination of the original rows, so the work is on m x m numbers.
//! Deviation: rows are negligible relative to the longest one, not below an absolute norm, unless
//! `absolute` asks for that.

use super::Gram;
use crate::engine::{Error, Result};
use std::f64::consts::{FRAC_PI_2, PI};

/// How a pair is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolution {
    /// By an angle that grows with the conflict.
    #[default]
    Smooth,
    /// In three stages: drop the loser, project it, project both.
    Staged,
}

/// Settings of the resolution.
#[derive(Debug, Clone, Copy)]
pub struct GCond {
    /// Thresholds (crit, main, weak) on the cosine, rising.
    pub thresholds: [f64; 3],
    /// Exponent between `main` and `crit`.
    pub power: f64,
    /// Wins in a row after which the other gradient wins.
    pub window: usize,
    /// Weights (stability, strength) of the score.
    pub tie: [f64; 2],
    /// Share of the old running norm.
    pub norm_beta: f64,
    /// Longest accumulated gradient, if any.
    pub norm_cap: Option<f64>,
    /// Pairs to resolve at most; 2 m if absent.
    pub max_iters: Option<usize>,
    /// The authors' absolute epsilon, if wanted.
    pub absolute: Option<f64>,
    /// How a pair is resolved.
    pub resolution: Resolution,
}

/// What is remembered between calls.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Running norms nu, m values.
    pub norms: Vec<f64>,
    /// The last winners, oldest first.
    pub winners: Vec<usize>,
}

impl GCond {
    /// Coefficients of the resolved gradients (m x m: row i gives A_i from the original rows).
    /// `cross` holds <A_i, B_j>, `previous` |B_j|.
    pub fn resolve(
        &self,
        gram: &Gram<'_>,
        cross: &[f64],
        previous: &[f64],
        memory: &mut Memory,
    ) -> Result<Vec<f64>> {
        let m = gram.len();
        if memory.norms.len() != m || previous.len() != m || cross.len() != m * m {
            return Err(Error::value(
                "the number of rows of the Jacobian",
                memory.norms.len().to_string(),
                m,
                "call reset() before a new problem",
            ));
        }
        let mut state = State { m, g: gram.values().to_vec(), c: vec![0.0; m * m] };
        let longest = (0..m).map(|i| gram.at(i, i)).fold(0.0, f64::max);
        let floor = self.absolute.unwrap_or(1e-24 * longest);
        for i in 0..m {
            state.c[i * m + i] = 1.0;
            let norm = gram.at(i, i).max(0.0).sqrt();
            let nu = &mut memory.norms[i];
            *nu = (self.norm_beta * *nu + (1.0 - self.norm_beta) * norm).max(floor);
            if let Some(cap) = self.norm_cap.filter(|&cap| norm > cap) {
                state.scale(i, cap / norm);
            }
        }
        for _ in 0..self.max_iters.unwrap_or(2 * m) {
            let Some((i, j, cosine)) = state.worst_pair(floor, self.thresholds[2]) else { break };
            if self.resolution == Resolution::Staged && cosine >= self.thresholds[1] {
                state.yield_both(i, j, floor, 1.0, 1.0);
                continue;
            }
            let j_wins = self.arbitrate(i, j, &state, cross, previous, memory, floor);
            let (winner, loser) = if j_wins { (j, i) } else { (i, j) };
            memory.winners.push(winner);
            let extra = memory.winners.len().saturating_sub(self.window);
            memory.winners.drain(..extra);
            match self.resolution {
                Resolution::Smooth => {
                    let angle = self.angle(cosine);
                    let (winner_gives, loser_gives) = (angle.sin(), angle.min(FRAC_PI_2).sin());
                    state.yield_both(winner, loser, floor, winner_gives, loser_gives);
                }
                Resolution::Staged if cosine < self.thresholds[0] => state.scale(loser, 0.0),
                Resolution::Staged => state.yield_both(winner, loser, floor, 0.0, 1.0),
            }
        }
        Ok(state.c)
    }

    fn angle(&self, cosine: f64) -> f64 {
        let [crit, main, weak] = self.thresholds;
        if cosine >= main {
            FRAC_PI_2 * (1.0 - ((cosine - main) / (weak - main)).clamp(0.0, 1.0))
        } else if cosine > crit {
            FRAC_PI_2 * (1.0 + ((cosine - main) / (crit - main)).powf(self.power))
        } else {
            PI
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn arbitrate(
        &self,
        i: usize,
        j: usize,
        state: &State,
        cross: &[f64],
        previous: &[f64],
        memory: &Memory,
        floor: f64,
    ) -> bool {
        let run = |k: usize| {
            self.window > 0
                && memory.winners.len() >= self.window
                && memory.winners.iter().all(|&w| w == k)
        };
        if run(i) || run(j) {
            return run(i);
        }
        let m = state.m;
        let strength = |k: usize| state.norm(k) / memory.norms[k].max(f64::MIN_POSITIVE);
        let total = strength(i) + strength(j);
        let score = |k: usize| {
            let along: f64 = (0..m).map(|l| state.c[k * m + l] * cross[l * m + k]).sum();
            let size = state.norm(k) * previous[k] + floor;
            let stability = if size > 0.0 { (along / size).max(0.0) } else { 0.0 };
            let share = if total > 0.0 { strength(k) / total } else { 0.0 };
            self.tie[0] * stability + self.tie[1] * share
        };
        score(j) > score(i)
    }
}

/// Gradients as combinations of the original rows: coefficients c and Gramian g.
struct State {
    m: usize,
    g: Vec<f64>,
    c: Vec<f64>,
}

impl State {
    fn norm(&self, i: usize) -> f64 {
        self.g[i * self.m + i].max(0.0).sqrt()
    }

    fn worst_pair(&self, floor: f64, below: f64) -> Option<(usize, usize, f64)> {
        let m = self.m;
        let square = |i: usize| self.g[i * m + i];
        let mut worst = None;
        let mut least = below;
        for i in 0..m {
            for j in i + 1..m {
                if square(i) <= floor || square(j) <= floor {
                    continue;
                }
                let cosine = self.g[i * m + j] / (square(i).sqrt() * square(j).sqrt() + floor);
                // What a projection left over is rounding, not conflict.
                if cosine < least && cosine < below - 1e-12 {
                    (least, worst) = (cosine, Some((i, j, cosine)));
                }
            }
        }
        worst
    }

    fn scale(&mut self, i: usize, factor: f64) {
        for k in 0..self.m {
            self.c[i * self.m + k] *= factor;
            self.g[i * self.m + k] *= factor;
            self.g[k * self.m + i] *= factor;
        }
    }

    /// Both give up shares of their components along each other, from the old vectors.
    fn yield_both(&mut self, w: usize, l: usize, floor: f64, w_gives: f64, l_gives: f64) {
        let m = self.m;
        let dot = self.g[w * m + l];
        let from_w = -w_gives * dot / (self.g[l * m + l] + floor);
        let from_l = -l_gives * dot / (self.g[w * m + w] + floor);
        let mix = |x: &mut [f64], stride: usize| {
            for k in 0..m {
                let at = |i: usize| if stride == 1 { i * m + k } else { k * m + i };
                let (a, b) = (x[at(w)], x[at(l)]);
                x[at(w)] = a + from_w * b;
                x[at(l)] = b + from_l * a;
            }
        };
        mix(&mut self.c, 1);
        mix(&mut self.g, 1);
        mix(&mut self.g, m);
    }
}
