//! PolyStep on clauses, the whole loop native: a step costs what it flips.
//!
//! Le 2026, arXiv:2605.01928: blocks of p = 2 coordinates, orthoplex, one probe a direction, softmax.
//!
//!   x in R^n, variable true when x > 0        h_v gain of flipping v, in mean clause weights
//!   theta_i uniform angle   v_ik = R(theta_i) t_k, k = 0..4   (turns by a quarter permute the t_k,
//!                                                              so theta in [0, pi/2) is enough)
//!   C_ik = change of cost by what x_i + rho v_ik flips: 0, h_a, h_b or h_a + h_b + both_ab
//!   W_i = softmax(-C_i / eps)
//!   vel = (1 - forget) momentum vel + s sum_k W_ik v_ik
//!   x   = (1 - forget) x + vel
//!
//! `forget` > 0 is the published step with radii that grow by 1/(1 - forget) each step, written in
//! the frame where they stay put (only x / rho and x / s matter). It sets how long a coordinate
//! remembers its past: falling from near 1 to near 0 it cools the search, and is worth more than
//! every other setting. All zero is the published behaviour.
//!
//! Variables v and v + 1024 of a chunk of 2048 make a block (neighbours often share clauses, and
//! whole vectors load). Time O(n + 3 m min(1, 12 flips/n)) a step; 16 bytes a variable.

use super::super::run::Clock;
use super::blocks::Shared;
use super::state::unpack;
use super::{MaxSat, Outcome, Settings, State, Stop, Tally};
use crate::engine::real::{Lane, Real};
use crate::engine::rng::Philox;
use crate::engine::simd::{self, Kernel};
use crate::engine::{Result, threads};
use std::sync::Arc;

/// Blocks a chunk: fixed, so that results do not depend on the number of threads.
const LANES: usize = 1024;
/// The stream of the starting point; steps count up from 0.
const START: u64 = u64::MAX;

/// Runs until the steps or the time are used up, all clauses hold, or `watch` returns false.
/// `watch` sees the step and the best cost after every step.
///
/// # Errors
/// Settings out of range, or a start of another length.
pub fn run(
    problem: &Arc<MaxSat>,
    settings: &Settings,
    start: Option<&[bool]>,
    watch: &mut dyn FnMut(u64, i64) -> bool,
) -> Result<Outcome> {
    settings.check()?;
    if let Some(start) = start {
        problem.check_length(start.len())?;
    }
    match problem.narrow() {
        true => Run::<i32>::new(problem, settings, start)?.finish(watch),
        false => Run::<i64>::new(problem, settings, start)?.finish(watch),
    }
}

/// Blocks of one stretch of variables: lane i holds variables base + i and base + lanes + i.
struct Chunk {
    base: usize,
    lanes: usize,
    x: Vec<f32>,
    velocity: Vec<f32>,
    flips: Vec<u32>,
}

struct Run<'a, T: Tally> {
    settings: &'a Settings,
    state: State<T>,
    shared: Shared,
    chunks: Vec<Chunk>,
    rng: Philox,
    flips: Vec<u32>,
}

impl<'a, T: Tally> Run<'a, T> {
    fn new(problem: &Arc<MaxSat>, settings: &'a Settings, start: Option<&[bool]>) -> Result<Self> {
        let n = problem.variables();
        let rng = Philox::new(settings.seed);
        let draw = |v: usize| {
            let x = (settings.sigma * rng.normal(START, v as u64)[0]) as f32;
            start.map_or(x, |start| if start[v] { x.abs() } else { -x.abs() })
        };
        let chunk = |base: usize| {
            let length = (n - base).min(2 * LANES);
            let lanes = length.div_ceil(2);
            let mut x: Vec<f32> = (base..base + length).map(draw).collect();
            // The partner of the last lane of an odd stretch: in no clause, never flipped.
            x.resize(2 * lanes, -1.0);
            Chunk { base, lanes, velocity: vec![0.0; x.len()], x, flips: Vec::new() }
        };
        let chunks: Vec<Chunk> = (0..n).step_by(2 * LANES).map(chunk).collect();
        let values = chunks.iter().flat_map(|c| c.x.iter().take(n - c.base)).map(|&x| x > 0.0);
        let values: Vec<bool> = values.collect();
        let shared = Shared::new(problem, |v| {
            let (chunk, offset) = (v as usize / (2 * LANES), v as usize % (2 * LANES));
            let lanes = chunks[chunk].lanes;
            ((chunk * LANES + offset % lanes) as u32, offset >= lanes)
        });
        let state = State::new(problem, &values)?;
        Ok(Self { settings, state, shared, chunks, rng, flips: Vec::new() })
    }

    fn finish(mut self, watch: &mut dyn FnMut(u64, i64) -> bool) -> Result<Outcome> {
        let clock = Clock::start(self.settings);
        let floor = self.state.problem().constant();
        let mut best = (self.state.cost(), self.state.words().to_vec());
        let (mut t, mut flips) = (0, 0);
        let stop = loop {
            if best.0 == floor {
                break Stop::Optimum;
            }
            let Some(progress) = clock.progress(t) else { break Stop::Budget };
            self.step(t, progress);
            t += 1;
            flips += self.flips.len() as u64;
            if self.state.cost() < best.0 {
                best.0 = self.state.cost();
                best.1.copy_from_slice(self.state.words());
            }
            if !watch(t, best.0) {
                break Stop::Asked;
            }
        };
        let assignment = unpack(&best.1, self.state.problem().variables());
        let seconds = clock.elapsed();
        Ok(Outcome { assignment, cost: best.0, steps: t, flips, stop, seconds })
    }

    fn step(&mut self, t: u64, progress: f64) {
        let unit = 1.0 / self.state.problem().mean_weight();
        let settings = self.settings;
        let step = Step {
            rng: self.rng,
            t,
            per_eps: (unit / settings.epsilon.at(progress)) as f32,
            // Finite: 0 times infinity would be no number.
            rho: settings.probe_radius.at(progress).min(1e30) as f32,
            radius: settings.step_radius.at(progress) as f32,
            keep: (1.0 - settings.forget.at(progress)) as f32,
            momentum: settings.momentum.at(progress) as f32,
        };
        let (state, shared) = (&self.state, &self.shared);
        threads::for_each_chunk(&mut self.chunks, 1, |index, chunk| {
            let chunk = &mut chunk[0];
            let mut both = [0.0; LANES];
            shared.correct(state, index * LANES, &mut both);
            let end = (chunk.base + 2 * chunk.lanes).min(state.gains().len());
            let gains = &state.gains()[chunk.base..end];
            simd::dispatch(Move { step: &step, chunk, gains, both: &both });
        });
        self.flips.clear();
        self.chunks.iter().for_each(|chunk| self.flips.extend_from_slice(&chunk.flips));
        self.state.flip_all(&self.flips);
    }
}

/// What one step has in common for all blocks.
struct Step {
    rng: Philox,
    t: u64,
    per_eps: f32,
    rho: f32,
    radius: f32,
    keep: f32,
    momentum: f32,
}

struct Move<'a, T> {
    step: &'a Step,
    chunk: &'a mut Chunk,
    gains: &'a [T],
    both: &'a [f32; LANES],
}

impl<T: Tally> Kernel for Move<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { step, chunk, gains, both } = self;
        let Chunk { base, lanes, x, velocity, flips } = chunk;
        let lanes = *lanes;
        let mut turn = [0.0; LANES];
        for (i, turn) in turn[..lanes.next_multiple_of(4)].chunks_exact_mut(4).enumerate() {
            let words = step.rng.words(step.t, (*base / 2 + 4 * i) as u64);
            // 24 bits are exact in f32, so no angle rounds up to the next quarter.
            for (turn, word) in turn.iter_mut().zip(words) {
                *turn = (word >> 8) as f32 * (1.0 / (1 << 24) as f32);
            }
        }
        let mut gain = [[0.0; LANES]; 2];
        for (gain, given) in gain.iter_mut().zip(gains.chunks(lanes)) {
            for (gain, given) in gain.iter_mut().zip(given) {
                *gain = given.real() * step.per_eps;
            }
        }
        let mut changed = [[0u8; LANES]; 2];
        let [changed_a, changed_b] = &mut changed;
        // One length for all: the loop needs no bounds and packs into vectors.
        let (turn, both) = (&turn[..lanes], &both[..lanes]);
        let (gain_a, gain_b) = (&gain[0][..lanes], &gain[1][..lanes]);
        let (changed_a, changed_b) = (&mut changed_a[..lanes], &mut changed_b[..lanes]);
        let (x_a, x_b) = x.split_at_mut(lanes);
        let (velocity_a, velocity_b) = velocity.split_at_mut(lanes);
        let (x_b, velocity_b) = (&mut x_b[..lanes], &mut velocity_b[..lanes]);
        for i in 0..lanes {
            let (sin, cos) = quarter_turn(turn[i]);
            let (a, b) = (x_a[i], x_b[i]);
            let gains = [gain_a[i], gain_b[i], both[i] * step.per_eps];
            let c0 = cost([a, b], [step.rho * cos, step.rho * sin], gains);
            let c1 = cost([a, b], [-step.rho * sin, step.rho * cos], gains);
            let c2 = cost([a, b], [-step.rho * cos, -step.rho * sin], gains);
            let c3 = cost([a, b], [step.rho * sin, -step.rho * cos], gains);
            let least = smaller(smaller(c0, c1), smaller(c2, c3));
            let (w0, w1) = (weight(least - c0), weight(least - c1));
            let (w2, w3) = (weight(least - c2), weight(least - c3));
            let length = step.radius / ((w0 + w2) + (w1 + w3));
            let (along, across) = (length * (w0 - w2), length * (w1 - w3));
            let carry = step.keep * step.momentum;
            velocity_a[i] = carry * velocity_a[i] + (cos * along - sin * across);
            velocity_b[i] = carry * velocity_b[i] + (sin * along + cos * across);
            x_a[i] = step.keep * a + velocity_a[i];
            x_b[i] = step.keep * b + velocity_b[i];
            changed_a[i] = u8::from((a > 0.0) != (x_a[i] > 0.0));
            changed_b[i] = u8::from((b > 0.0) != (x_b[i] > 0.0));
        }
        flips.clear();
        // The second row may end one short: the partner of the last lane need not exist.
        for (row, first) in [(&*changed_a, 0), (&changed_b[..gains.len() - lanes], lanes)] {
            let at = |i: usize| (*base + first + i) as u32;
            flips.extend(row.iter().enumerate().filter(|(_, c)| **c == 1).map(|(i, _)| at(i)));
        }
    }
}

/// Change of the cost by moving a block from `x` by `v`; `gains` of the first, the second, and what
/// both add to that.
#[inline(always)]
fn cost(x: [f32; 2], v: [f32; 2], gains: [f32; 3]) -> f32 {
    let flips_a = (x[0] > 0.0) != (x[0] + v[0] > 0.0);
    let flips_b = (x[1] > 0.0) != (x[1] + v[1] > 0.0);
    let first = if flips_a { gains[0] } else { 0.0 };
    let second = if flips_b { gains[1] } else { 0.0 };
    first + second + if flips_a & flips_b { gains[2] } else { 0.0 }
}

#[inline(always)]
fn weight(exponent: f32) -> f32 {
    Lane::<f32>(exponent).exp().0
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

/// Sine and cosine of u pi/2, 0 <= u < 1, to f32 accuracy: series around pi/4.
#[inline(always)]
fn quarter_turn(u: f32) -> (f32, f32) {
    let angle = (u - 0.5) * std::f32::consts::FRAC_PI_2;
    let q = angle * angle;
    let sin = angle * (1.0 - q * (1.0 / 6.0 - q * (1.0 / 120.0 - q * (1.0 / 5040.0))));
    let cos = 1.0 - q * (0.5 - q * (1.0 / 24.0 - q * (1.0 / 720.0 - q * (1.0 / 40320.0))));
    ((cos + sin) * std::f32::consts::FRAC_1_SQRT_2, (cos - sin) * std::f32::consts::FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests;
