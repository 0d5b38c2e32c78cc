//! Polish: a walk over unsatisfied clauses, from where another search ended.
//!
//! Balint & Schoening 2012, "Choosing probability distributions for stochastic local search and
//! the role of make versus break", SAT 2012 (probSAT, polynomial form).
//!
//!   break_v = weight of the clauses that v alone satisfies, in mean clause weights
//!   pick an unsatisfied clause, a hard one where there is one; flip its variable v with
//!   probability proportional to (0.9 + break_v)^-exponent
//!
//! At the end single flips that pay are taken until none is left.
//!
//! Not a polytope step: the make/break counts are the same, one variable moves at a time. Runs on
//! one thread. Time O(occurrences of v) a flip; 12 bytes a clause, 8 a variable.

use super::super::run::Clock;
use super::state::{pack, unpack};
use super::{MaxSat, Outcome, Settings, State, Stop, Tally, Truths};
use crate::engine::rng::Philox;
use crate::engine::{Error, Result};
use std::sync::Arc;

/// Keeps the probability of breaking nothing finite; the paper's value for 3-SAT.
const OFFSET: f64 = 0.9;
/// Flips between two looks at the clock.
const LOOK: u64 = 1024;
const NOWHERE: u32 = u32::MAX;

/// Settings of a walk.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    /// Key of all random numbers.
    pub seed: u64,
    /// Flips at most.
    pub max_flips: Option<u64>,
    /// Seconds at most.
    pub seconds: Option<f64>,
    /// How much a break is shunned, >= 0; the paper tunes 2.06 to satisfy all of 3-SAT, more pays
    /// where that is out of reach.
    pub exponent: f64,
}

impl Default for Walk {
    fn default() -> Self {
        Self { seed: 0, max_flips: None, seconds: None, exponent: 3.0 }
    }
}

/// Walks from `start` until flips or time are used up, all clauses hold, or `watch` returns false;
/// it sees the flips so far and the best cost, every 1024 flips.
///
/// # Errors
/// Settings out of range, or a start of another length.
pub fn run(
    problem: &Arc<MaxSat>,
    walk: &Walk,
    start: &[bool],
    watch: &mut dyn FnMut(u64, i64) -> bool,
) -> Result<Outcome> {
    let budget = Settings {
        seed: walk.seed,
        max_steps: walk.max_flips,
        seconds: walk.seconds,
        ..Settings::default()
    };
    budget.check().map_err(|error| match error {
        Error::Value { name, allowed, given, fix } => {
            let [name, fix] = [name, fix].map(|text| text.replace("max_steps", "max_flips"));
            Error::Value { name, allowed, given, fix }
        }
        other => other,
    })?;
    if !(walk.exponent >= 0.0 && walk.exponent.is_finite()) {
        let fix = "3.0 is a usual value";
        return Err(Error::value("exponent", ">= 0 and finite", walk.exponent, fix));
    }
    problem.check_length(start.len())?;
    let clock = Clock::start(&budget);
    let mut outcome = match problem.narrow() {
        true => Walker::<i32>::new(problem, walk, start).finish(&clock, watch),
        false => Walker::<i64>::new(problem, walk, start).finish(&clock, watch),
    };
    if outcome.flips > 0 && outcome.stop != Stop::Optimum {
        descend(problem, &mut outcome)?;
        outcome.seconds = clock.elapsed();
    }
    Ok(outcome)
}

/// Flips single variables that pay until none is left.
fn descend(problem: &Arc<MaxSat>, outcome: &mut Outcome) -> Result<()> {
    let mut state = State::<i64>::new(problem, &outcome.assignment)?;
    loop {
        let before = outcome.flips;
        for variable in 0..problem.variables() {
            if state.gains()[variable] < 0 {
                state.flip(variable);
                outcome.flips += 1;
            }
        }
        if outcome.flips == before {
            break;
        }
    }
    outcome.cost = state.cost();
    if outcome.cost == problem.constant() {
        outcome.stop = Stop::Optimum;
    }
    outcome.assignment = state.assignment();
    Ok(())
}

struct Walker<'a, T: Tally> {
    problem: &'a MaxSat,
    rng: Philox,
    exponent: f64,
    unit: f64,
    // Probabilities of small breaks where all clauses weigh 1.
    table: Vec<f64>,
    words: Vec<u64>,
    truths: Vec<T::Truths>,
    breaks: Vec<T>,
    // Soft and hard clauses that no literal satisfies, and where each stands there.
    broken: [Vec<u32>; 2],
    place: Vec<u32>,
    cost: i64,
    // Variables flipped since the best assignment, so that it costs nothing to remember.
    since: Vec<u32>,
}

impl<'a, T: Tally> Walker<'a, T> {
    fn new(problem: &'a MaxSat, walk: &Walk, start: &[bool]) -> Self {
        let mut walker = Self {
            problem,
            rng: Philox::new(walk.seed),
            exponent: walk.exponent,
            unit: 1.0 / problem.mean_weight(),
            table: Vec::new(),
            words: pack(start),
            truths: vec![T::Truths::default(); problem.listed()],
            breaks: vec![T::default(); problem.variables()],
            broken: [Vec::new(), Vec::new()],
            place: vec![NOWHERE; problem.listed()],
            cost: problem.constant(),
            since: Vec::new(),
        };
        if problem.weights.is_none() {
            walker.table = (0..64).map(|b| walker.probability(f64::from(b))).collect();
        }
        for clause in 0..problem.listed() {
            let (mut count, mut variables) = (0, 0);
            for &literal in problem.clause(clause) {
                let variable = literal / 2;
                let holds = start[variable as usize] != (literal & 1 == 1);
                count += u32::from(holds);
                variables ^= if holds { variable } else { 0 };
            }
            walker.truths[clause] = T::Truths::new(count, variables);
            match count {
                0 => walker.fall(clause),
                1 => walker.breaks[variables as usize] += T::of(problem.weight(clause)),
                _ => {}
            }
        }
        walker
    }

    fn finish(mut self, clock: &Clock, watch: &mut dyn FnMut(u64, i64) -> bool) -> Outcome {
        let floor = self.problem.constant();
        let (mut best, mut flips) = ((self.cost, self.words.clone()), 0);
        let stop = 'walk: loop {
            for _ in 0..LOOK {
                if self.cost == floor {
                    break 'walk Stop::Optimum;
                }
                if flips % LOOK == 0 && clock.progress(flips).is_none() || clock.spent(flips) {
                    break 'walk Stop::Budget;
                }
                let Some(variable) = self.pick(flips) else { break 'walk Stop::Optimum };
                self.flip(variable);
                flips += 1;
                if self.cost < best.0 {
                    best.0 = self.cost;
                    best.1.clear();
                    self.since.clear();
                } else if best.1.is_empty() {
                    self.since.push(variable as u32);
                    if self.since.len() > self.problem.variables() {
                        best.1 = self.rewound();
                    }
                }
            }
            if !watch(flips, best.0) {
                break Stop::Asked;
            }
        };
        if best.1.is_empty() {
            best.1 = self.rewound();
        }
        let assignment = unpack(&best.1, self.problem.variables());
        let seconds = clock.elapsed();
        Outcome { assignment, cost: best.0, steps: flips, flips, stop, seconds }
    }

    /// The best assignment: the present one without the flips since.
    fn rewound(&self) -> Vec<u64> {
        let mut words = self.words.clone();
        self.since.iter().for_each(|&v| words[v as usize / 64] ^= 1 << (v % 64));
        words
    }

    fn probability(&self, weight: f64) -> f64 {
        (OFFSET + weight * self.unit).powf(-self.exponent)
    }

    /// The variable to flip; None when no clause is broken.
    fn pick(&self, draw: u64) -> Option<usize> {
        let list = if self.broken[1].is_empty() { &self.broken[0] } else { &self.broken[1] };
        let [a, b] = self.rng.uniform(0, draw);
        let clause = *list.get((a * list.len() as f64) as usize)? as usize;
        let literals = self.problem.clause(clause);
        let score = |literal: u32| {
            let weight = self.breaks[literal as usize / 2].wide();
            match self.table.get(weight as usize) {
                Some(&probability) => probability,
                None => self.probability(weight as f64),
            }
        };
        let mut left = b * literals.iter().map(|&l| score(l)).sum::<f64>();
        let chosen = literals.iter().find(|&&l| {
            left -= score(l);
            left < 0.0
        });
        // Rounding, or scores that all vanish, leave no choice made: the last one.
        Some(*chosen.or(literals.last())? as usize / 2)
    }

    fn flip(&mut self, variable: usize) {
        let was = (self.words[variable / 64] >> (variable % 64) & 1) as usize;
        self.words[variable / 64] ^= 1 << (variable % 64);
        let problem = self.problem;
        for &clause in problem.occurrences(2 * variable + was) {
            let clause = clause as usize;
            let before = self.truths[clause];
            self.truths[clause] = before.with(variable);
            let weight = T::of(problem.weight(clause));
            match before.count() {
                0 => {
                    self.rise(clause);
                    self.breaks[variable] += weight;
                }
                1 => self.breaks[before.variables()] -= weight,
                _ => {}
            }
        }
        for &clause in problem.occurrences(2 * variable + 1 - was) {
            let clause = clause as usize;
            let after = self.truths[clause].without(variable);
            self.truths[clause] = after;
            let weight = T::of(problem.weight(clause));
            match after.count() {
                0 => {
                    self.fall(clause);
                    self.breaks[variable] -= weight;
                }
                1 => self.breaks[after.variables()] += weight,
                _ => {}
            }
        }
    }

    fn list(&mut self, clause: usize) -> &mut Vec<u32> {
        let hard = Some(self.problem.weight(clause)) == self.problem.hard_weight;
        &mut self.broken[usize::from(hard)]
    }

    fn fall(&mut self, clause: usize) {
        self.cost += self.problem.weight(clause);
        let list = self.list(clause);
        list.push(clause as u32);
        self.place[clause] = list.len() as u32 - 1;
    }

    fn rise(&mut self, clause: usize) {
        self.cost -= self.problem.weight(clause);
        let place = std::mem::replace(&mut self.place[clause], NOWHERE);
        let list = self.list(clause);
        list.swap_remove(place as usize);
        if let Some(&moved) = list.get(place as usize) {
            self.place[moved as usize] = place;
        }
    }
}

#[cfg(test)]
mod tests;
