//! Weighted MAX-SAT: the sum of the weights of unsatisfied clauses over 0/1 variables.
//!
//!   cost(z) = sum_c w_c [no literal of c is true under z]
//!   gain_v  = cost(z with v flipped) - cost(z) = break_v - make_v
//!
//! Weights are integers, so every cost is exact and no sum depends on its order. A hard clause
//! weighs more than all soft clauses together; [`MaxSat::split`] tells the two parts apart.
//!
//! Memory: 8 bytes a literal here, 4 or 8 a clause and a variable in a [`State`].

pub mod blocks;
mod index;
pub mod polish;
pub mod polystep;
mod state;

use super::dimacs::Formula;
pub use super::run::{Settings, Stop, Sweep};
use crate::engine::{Error, Result};
pub use state::{State, Tally, Truths};

/// What a native search of clauses returns.
pub type Outcome = super::run::Outcome<bool, i64>;

/// Sums of weights stay below this, so that no sum of two of them overflows.
const LIMIT: u64 = 1 << 62;

/// A clause set, indexed by clause and by variable.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxSat {
    variables: usize,
    // Clause c holds literals[offsets[c]..offsets[c + 1]], each 2 variable + negated, distinct.
    literals: Vec<u32>,
    offsets: Vec<u32>,
    // Length of every clause where they share one: its loops unroll.
    width: Option<usize>,
    // None: every clause weighs 1.
    weights: Option<Vec<i64>>,
    // Literal l occurs in the clauses occurrences[starts[l]..starts[l + 1]].
    occurrences: Vec<u32>,
    starts: Vec<u32>,
    hard_weight: Option<i64>,
    // Clauses that no assignment satisfies (empty), and their weight.
    empty: Vec<i64>,
    tautologies: Vec<i64>,
    largest_tally: i64,
}

impl MaxSat {
    /// Indexes a formula. Repeated literals of a clause are merged.
    ///
    /// # Errors
    /// A literal outside the variables, a weight below 1, or sums beyond the integers.
    pub fn new(formula: &Formula) -> Result<Self> {
        formula.check()?;
        let (hard_weight, total) = hard_weight(formula)?;
        let plain = hard_weight.is_none() && formula.weights.iter().all(|&w| w == 1);
        let mut literals: Vec<u32> = Vec::with_capacity(formula.literals.len());
        let mut offsets = vec![0];
        let (mut weights, mut empty, mut tautologies) = (Vec::new(), Vec::new(), Vec::new());
        let mut clause = Vec::new();
        for c in index::by_least_variable(formula) {
            clause.clear();
            clause.extend(
                formula.clause(c).iter().map(|&l| 2 * (l.unsigned_abs() - 1) + u32::from(l < 0)),
            );
            dedup(&mut clause);
            let weight = match formula.weights.get(c) {
                Some(&0) => hard_weight.unwrap_or(1),
                Some(&w) => w as i64,
                None => 1,
            };
            if clause.is_empty() {
                empty.push(weight);
            } else if clause.iter().any(|l| clause.contains(&(l ^ 1))) {
                tautologies.push(weight);
            } else {
                literals.extend_from_slice(&clause);
                offsets.push(literals.len() as u32);
                if !plain {
                    weights.push(weight);
                }
            }
        }
        let widths = offsets.windows(2).map(|w| (w[1] - w[0]) as usize);
        let width = widths.clone().min().filter(|&least| widths.max() == Some(least));
        let (occurrences, starts) = index::occurrences(2 * formula.variables, &literals, &offsets);
        let mut problem = Self {
            variables: formula.variables,
            literals,
            offsets,
            width,
            weights: (!plain).then_some(weights),
            occurrences,
            starts,
            hard_weight,
            empty,
            tautologies,
            largest_tally: total,
        };
        problem.largest_tally = (0..problem.variables)
            .map(|v| {
                let clauses = [2 * v, 2 * v + 1].map(|l| problem.occurrences(l));
                clauses.iter().flat_map(|c| c.iter()).map(|&c| problem.weight(c as usize)).sum()
            })
            .max()
            .unwrap_or(0);
        Ok(problem)
    }

    /// Number of variables.
    pub fn variables(&self) -> usize {
        self.variables
    }

    /// Number of clauses, empty ones and tautologies included.
    pub fn clauses(&self) -> usize {
        self.offsets.len() - 1 + self.empty.len() + self.tautologies.len()
    }

    /// Sum of all weights: the cost of satisfying nothing.
    pub fn total_weight(&self) -> i64 {
        let listed = match &self.weights {
            Some(weights) => weights.iter().sum(),
            None => self.offsets.len() as i64 - 1,
        };
        listed + self.constant() + self.tautologies.iter().sum::<i64>()
    }

    /// Splits a cost into unsatisfied hard clauses and the weight of unsatisfied soft ones.
    pub fn split(&self, cost: i64) -> (i64, i64) {
        self.hard_weight.map_or((0, cost), |hard| (cost / hard, cost % hard))
    }

    /// Whether some clause weighs more than 1 or is hard.
    pub fn is_weighted(&self) -> bool {
        self.hard_weight.is_some() || self.total_weight() > self.clauses() as i64
    }

    /// Whether the formula has hard clauses.
    pub fn has_hard(&self) -> bool {
        self.hard_weight.is_some()
    }

    /// Cost of an assignment, from every clause anew.
    ///
    /// # Errors
    /// An assignment of another length.
    pub fn evaluate(&self, assignment: &[bool]) -> Result<i64> {
        self.check_length(assignment.len())?;
        let unsatisfied = |c: &usize| !self.clause(*c).iter().any(|&l| holds(l, assignment));
        let listed: i64 = (0..self.listed()).filter(unsatisfied).map(|c| self.weight(c)).sum();
        Ok(listed + self.constant())
    }

    /// The clauses, weights and hard marks, tautologies and empty clauses last.
    pub fn formula(&self) -> Formula {
        let mut formula = Formula::new(self.variables);
        let mark = |w: i64| if Some(w) == self.hard_weight { 0 } else { w as u64 };
        for c in 0..self.listed() {
            let clause = self.clause(c).iter();
            formula.push(clause.map(|&l| signed(l)), mark(self.weight(c)));
        }
        self.tautologies.iter().for_each(|&w| formula.push([1, -1], mark(w)));
        self.empty.iter().for_each(|&w| formula.push([], mark(w)));
        formula
    }

    /// Refuses an assignment of another length.
    ///
    /// # Errors
    /// When `length` is not the number of variables.
    pub fn check_length(&self, length: usize) -> Result<()> {
        if length == self.variables {
            return Ok(());
        }
        Err(Error::Shape {
            name: "assignment".into(),
            given: format!("({length},)"),
            other: "the variables".into(),
            expected: format!("({},)", self.variables),
            fix: "give one value a variable".into(),
        })
    }

    /// Whether counts and gains of 32 bits suffice.
    pub(crate) fn narrow(&self) -> bool {
        let [variables, literals] = <u32 as Truths>::LIMITS;
        self.largest_tally <= i64::from(i32::MAX)
            && self.variables <= variables
            && (0..self.listed()).all(|c| self.clause(c).len() <= literals)
    }

    /// Mean weight of a clause, at least 1.
    pub(crate) fn mean_weight(&self) -> f64 {
        (self.total_weight() as f64 / self.clauses().max(1) as f64).max(1.0)
    }

    /// Literals, where the clauses start, the clauses of each literal, and where those start.
    #[cfg(feature = "gpu")]
    pub(crate) fn tables(&self) -> [&[u32]; 4] {
        [&self.literals, &self.offsets, &self.occurrences, &self.starts]
    }

    /// Weights of the listed clauses, None where all weigh 1.
    #[cfg(feature = "gpu")]
    pub(crate) fn weights(&self) -> Option<&[i64]> {
        self.weights.as_deref()
    }

    /// Length of every listed clause, where they share one.
    #[cfg(feature = "gpu")]
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Weight of the clauses that nothing satisfies.
    pub(crate) fn constant(&self) -> i64 {
        self.empty.iter().sum()
    }

    /// Clauses that are neither empty nor tautologies.
    pub(crate) fn listed(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline(always)]
    pub(super) fn clause(&self, c: usize) -> &[u32] {
        match self.width {
            Some(width) => &self.literals[c * width..][..width],
            None => &self.literals[self.offsets[c] as usize..self.offsets[c + 1] as usize],
        }
    }

    #[inline(always)]
    pub(super) fn weight(&self, c: usize) -> i64 {
        self.weights.as_ref().map_or(1, |weights| weights[c])
    }

    #[inline(always)]
    pub(super) fn occurrences(&self, literal: usize) -> &[u32] {
        &self.occurrences[self.starts[literal] as usize..self.starts[literal + 1] as usize]
    }
}

/// The literal as DIMACS writes it.
fn signed(literal: u32) -> i32 {
    let variable = (literal / 2) as i32 + 1;
    if literal & 1 == 1 { -variable } else { variable }
}

fn holds(literal: u32, assignment: &[bool]) -> bool {
    assignment[literal as usize / 2] != (literal & 1 == 1)
}

/// Drops repeats and keeps the order; sorting pays for long clauses only.
fn dedup(clause: &mut Vec<u32>) {
    if clause.len() > 32 {
        clause.sort_unstable();
        clause.dedup();
        return;
    }
    let mut kept = 0;
    for i in 0..clause.len() {
        if !clause[..kept].contains(&clause[i]) {
            clause[kept] = clause[i];
            kept += 1;
        }
    }
    clause.truncate(kept);
}

/// The weight that outweighs all soft clauses, where there are hard ones, and the sum of all.
fn hard_weight(formula: &Formula) -> Result<(Option<i64>, i64)> {
    let soft = match formula.weights.is_empty() {
        true => Some(formula.clauses() as u64),
        false => formula.weights.iter().try_fold(0u64, |sum, &w| sum.checked_add(w)),
    };
    let hard = formula.weights.iter().filter(|&&w| w == 0).count() as u64;
    let total = soft.and_then(|soft| hard.checked_mul(soft.checked_add(1)?)?.checked_add(soft));
    match (soft, total.filter(|&total| total < LIMIT)) {
        (Some(soft), Some(total)) => Ok(((hard > 0).then_some(soft as i64 + 1), total as i64)),
        _ => Err(Error::value(
            "weights",
            "of a sum below 2**62, where a hard clause counts as all soft ones and 1",
            "more",
            "divide the weights by a common factor",
        )),
    }
}

#[cfg(test)]
pub(super) mod tests;
