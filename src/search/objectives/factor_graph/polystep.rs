//! PolyStep on a factor graph, the whole loop native: a probe pays for the terms it touches.
//!
//! As for clauses ([`crate::search::objectives::maxsat::polystep`], same symbols), with
//!
//!   a 0/1 variable   one coordinate, 1 where it is > 0
//!   k values         k coordinates, the value of the largest (the first of several)
//!   a block          the coordinates of two variables, p of them, 2 p probes
//!
//! Costs are divided by the mean |weight| (the mean |entry| for tables), so temperatures carry over.

use super::super::run::{Clock, Outcome, Settings, Stop};
use super::{FactorGraph, Kind, State};
use crate::engine::rng::Philox;
use crate::engine::{Result, threads};
use crate::search::polystep::{rotation, solver};
use std::sync::Arc;

/// Variables a block.
const BLOCK: usize = 2;
/// Blocks a task.
const CHUNK: usize = 64;
/// The stream of the starting point; rotations count up from 0.
const START: u64 = u64::MAX;

/// Runs until the steps or the time are used up, or `watch` returns false.
///
/// # Errors
/// Settings out of range, or a start that is no assignment.
pub fn run(
    graph: &Arc<FactorGraph>,
    settings: &Settings,
    start: Option<&[u32]>,
    watch: &mut dyn FnMut(u64, f64) -> bool,
) -> Result<Outcome<u32, f64>> {
    settings.check()?;
    if let Some(start) = start {
        graph.check(start)?;
    }
    let rng = Philox::new(settings.seed);
    let mut blocks = blocks(graph, settings, &rng, start);
    let values: Vec<u32> = blocks.iter().flat_map(|block| block.decode(&block.x)).collect();
    let mut state = State::new(graph, &values)?;
    let clock = Clock::start(settings);
    let unit = unit(graph);
    let mut best = (state.cost(), values);
    let (mut t, mut flips) = (0, 0);
    let stop = loop {
        let Some(progress) = clock.progress(t) else { break Stop::Budget };
        let step = Step {
            state: &state,
            rng: &rng,
            stream: t * blocks.len() as u64,
            eps: settings.epsilon.at(progress) * unit,
            // Finite: 0 times infinity would be no number.
            rho: settings.probe_radius.at(progress).min(1e150),
            radius: settings.step_radius.at(progress),
            keep: 1.0 - settings.forget.at(progress),
            momentum: settings.momentum.at(progress),
        };
        threads::for_each_chunk(&mut blocks, CHUNK, |chunk, blocks| {
            for (i, block) in blocks.iter_mut().enumerate() {
                step.advance(block, (chunk * CHUNK + i) as u64);
            }
        });
        let changes: Vec<_> = blocks.iter().flat_map(|b| b.changes.iter().copied()).collect();
        state.apply(&changes);
        t += 1;
        flips += changes.len() as u64;
        let cost = state.cost();
        if cost < best.0 {
            best.0 = cost;
            best.1.copy_from_slice(state.values());
        }
        if !watch(t, best.0) {
            break Stop::Asked;
        }
    };
    let seconds = clock.elapsed();
    Ok(Outcome { assignment: best.1, cost: best.0, steps: t, flips, stop, seconds })
}

/// The coordinates of a few consecutive variables.
struct Block {
    first: u32,
    domains: Vec<u32>,
    x: Vec<f64>,
    velocity: Vec<f64>,
    values: Vec<u32>,
    changes: Vec<(u32, u32)>,
}

impl Block {
    /// The values that coordinates stand for.
    fn decode<'a>(&'a self, x: &'a [f64]) -> impl Iterator<Item = u32> + 'a {
        let mut at = 0;
        self.domains.iter().map(move |&domain| {
            let own = &x[at..at + width(domain)];
            at += own.len();
            match own {
                [single] => u32::from(*single > 0.0),
                own => (1..own.len()).fold(0, |b, k| if own[k] > own[b] { k } else { b }) as u32,
            }
        })
    }

    /// The variables whose values at `x` differ from the present ones.
    fn differences(&self, x: &[f64], out: &mut Vec<(u32, u32)>) {
        out.clear();
        let decoded = self.decode(x).zip(&self.values).zip(self.first..);
        out.extend(decoded.filter(|((new, old), _)| new != *old).map(|((new, _), v)| (v, new)));
    }
}

/// Coordinates of a variable: one for two values, none where there is no choice.
fn width(domain: u32) -> usize {
    match domain {
        1 | 2 => domain as usize - 1,
        domain => domain as usize,
    }
}

fn blocks(
    graph: &FactorGraph,
    settings: &Settings,
    rng: &Philox,
    start: Option<&[u32]>,
) -> Vec<Block> {
    let mut drawn = 0;
    let mut draw = || {
        drawn += 1;
        settings.sigma * rng.normal(START, drawn)[0]
    };
    let block = |(index, domains): (usize, &[u32])| {
        let first = index * BLOCK;
        let mut x = Vec::new();
        for (i, &domain) in domains.iter().enumerate() {
            let from = x.len();
            x.extend((0..width(domain)).map(|_| draw()));
            let own = &mut x[from..];
            match start.map(|start| start[first + i] as usize) {
                Some(value) if domain == 2 => {
                    own[0] = if value == 1 { own[0].abs() } else { -own[0].abs() }
                }
                Some(value) if domain > 2 => {
                    let top = (0..own.len()).fold(0, |b, k| if own[k] > own[b] { k } else { b });
                    own.swap(top, value);
                }
                _ => {}
            }
        }
        let mut block = Block {
            first: first as u32,
            domains: domains.to_vec(),
            velocity: vec![0.0; x.len()],
            values: Vec::new(),
            changes: Vec::new(),
            x,
        };
        block.values = block.decode(&block.x).collect();
        block
    };
    graph.domains().chunks(BLOCK).enumerate().map(block).collect()
}

/// Mean |weight|, tables by their mean |entry|; 1 where all are zero.
fn unit(graph: &FactorGraph) -> f64 {
    let entries = graph.tables.iter().map(|entry| entry.abs()).sum::<f64>();
    let entry = entries / graph.tables.len().max(1) as f64;
    let size = |(kind, weight): (&Kind, &f64)| match kind {
        Kind::Table { .. } => entry,
        _ => weight.abs(),
    };
    let sum: f64 = graph.kinds.iter().zip(&graph.weights).map(size).sum();
    if sum > 0.0 { sum / graph.terms() as f64 } else { 1.0 }
}

/// What one step has in common for all blocks.
struct Step<'a> {
    state: &'a State,
    rng: &'a Philox,
    stream: u64,
    eps: f64,
    rho: f64,
    radius: f64,
    keep: f64,
    momentum: f64,
}

impl Step<'_> {
    fn advance(&self, block: &mut Block, index: u64) {
        let p = block.x.len();
        let (mut turn, mut costs, mut weights) =
            (vec![0.0; p * p], vec![0.0; 2 * p], vec![0.0; 2 * p]);
        let (mut changes, mut touched) = (Vec::new(), Vec::new());
        rotation::random(self.rng, self.stream + index, p, &mut turn);
        for (k, cost) in costs.iter_mut().enumerate() {
            let sign = if k < p { self.rho } else { -self.rho };
            let axis = &turn[k % p * p..][..p];
            let probe: Vec<f64> = block.x.iter().zip(axis).map(|(x, v)| x + sign * v).collect();
            block.differences(&probe, &mut changes);
            *cost = self.state.probe(&changes, &mut touched);
        }
        solver::softmax(&costs, self.eps, &mut weights);
        for i in 0..p {
            let centre: f64 = (0..p).map(|k| (weights[k] - weights[k + p]) * turn[k * p + i]).sum();
            let velocity = &mut block.velocity[i];
            *velocity = self.keep * self.momentum * *velocity + self.radius * centre;
            block.x[i] = self.keep * block.x[i] + *velocity;
        }
        let mut changed = std::mem::take(&mut block.changes);
        block.differences(&block.x, &mut changed);
        block.changes = changed;
        let Block { first, values, changes, .. } = block;
        changes.iter().for_each(|&(v, value)| values[(v - *first) as usize] = value);
    }
}
