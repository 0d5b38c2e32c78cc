//! DIMACS CNF and WCNF: the text formats of the SAT and MAX-SAT competitions.
//!
//!   p cnf VARIABLES CLAUSES           clauses of literals, each ended by 0, across lines at will
//!   p wcnf VARIABLES CLAUSES \[TOP\]    the same, a weight before each; weights >= TOP are hard
//!   no header (MaxSAT Evaluation 2022 and later): `WEIGHT literals 0` or `h literals 0`
//!
//! Lines that begin with c are comments; a line that begins with % ends the text, as in SATLIB.

mod read;
mod write;

use crate::engine::{Error, Result};
pub use read::read;
pub use write::write;

/// Most variables of a formula: literals and their negations are numbered in 32 bits.
pub const MOST_VARIABLES: usize = 1 << 30;

/// Clauses as DIMACS numbers them: literal v or -v of variable v in 1..=variables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Formula {
    /// Number of variables.
    pub variables: usize,
    /// The literals of all clauses, one clause after the other.
    pub literals: Vec<i32>,
    /// Clause c holds `literals[offsets[c]..offsets[c + 1]]`.
    pub offsets: Vec<usize>,
    /// A weight a clause, 0 for a hard one; empty when every clause weighs 1.
    pub weights: Vec<u64>,
}

impl Formula {
    /// No clauses over `variables` variables.
    pub fn new(variables: usize) -> Self {
        Self { variables, offsets: vec![0], ..Self::default() }
    }

    /// Number of clauses.
    pub fn clauses(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The literals of a clause.
    pub fn clause(&self, c: usize) -> &[i32] {
        &self.literals[self.offsets[c]..self.offsets[c + 1]]
    }

    /// Adds a clause of a weight, 0 for a hard one.
    pub fn push(&mut self, clause: impl IntoIterator<Item = i32>, weight: u64) {
        if weight != 1 && self.weights.is_empty() {
            self.weights.resize(self.clauses(), 1);
        }
        self.literals.extend(clause);
        self.offsets.push(self.literals.len());
        if weight != 1 || !self.weights.is_empty() {
            self.weights.push(weight);
        }
    }

    /// Refuses what cannot be indexed.
    pub(super) fn check(&self) -> Result<()> {
        let n = self.variables;
        if n > MOST_VARIABLES {
            return Err(Error::value("variables", "at most 2**30", n, "split the problem"));
        }
        let offsets = &self.offsets;
        if offsets.first() != Some(&0)
            || offsets.last() != Some(&self.literals.len())
            || !offsets.is_sorted()
        {
            let allowed = "ascending from 0 to the number of literals";
            return Err(Error::value(
                "offsets",
                allowed,
                "others",
                "count the literals of each clause",
            ));
        }
        let stray = |&&l: &&i32| l == 0 || l.unsigned_abs() as usize > n;
        if let Some(&literal) = self.literals.iter().find(stray) {
            let allowed = format!("literals -{n} to {n} without 0");
            let fix = "number variables from 1, or raise their number";
            return Err(Error::value("clauses", allowed, literal, fix));
        }
        if !self.weights.is_empty() && self.weights.len() != self.clauses() {
            return Err(Error::Shape {
                name: "weights".into(),
                given: format!("({},)", self.weights.len()),
                other: "the clauses".into(),
                expected: format!("({},)", self.clauses()),
                fix: "give one weight a clause".into(),
            });
        }
        if self.literals.len() >= u32::MAX as usize || self.clauses() >= u32::MAX as usize {
            return Err(Error::value(
                "clauses",
                "below 2**32 literals",
                "more",
                "split the problem",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
