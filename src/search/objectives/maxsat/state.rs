//! An assignment with its cost and the gain of every flip, kept up to date clause by clause.
//!
//!   truths_c  true literals of clause c        critical  the one true literal when truths_c = 1
//!   gain_v = (weight of clauses that v alone satisfies) - (weight of unsatisfied clauses with v)
//!
//! A flip touches the clauses of its variable; a full count reads every clause once. [`State::flip_all`]
//! takes whichever is cheaper: both give the same integers.

use super::MaxSat;
use crate::engine::Result;
use std::fmt::Debug;
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

/// An integer wide enough for the gains of one problem, and what a flip needs to know of a clause.
pub trait Tally:
    Copy + Debug + Default + PartialEq + Send + Sync + AddAssign + SubAssign + 'static
{
    /// Packed truths of a clause: their number, and the xor of the variables that give them.
    type Truths: Truths;
    /// From a weight, which `MaxSat::narrow` has found to fit.
    fn of(weight: i64) -> Self;
    /// The value as a cost.
    fn wide(self) -> i64;
    /// The value as a probe cost.
    fn real(self) -> f32;
}

/// The number of true literals of a clause, and the xor of their variables: where there is one
/// such literal, that is the critical variable.
pub trait Truths: Copy + Debug + Default + PartialEq + Send + Sync + 'static {
    /// Most variables and most literals a clause that fit.
    const LIMITS: [usize; 2];
    /// Counts from scratch.
    fn new(count: u32, variables: u32) -> Self;
    /// Number of true literals.
    fn count(self) -> u32;
    /// Xor of their variables.
    fn variables(self) -> usize;
    /// One more.
    fn with(self, variable: usize) -> Self;
    /// One less.
    fn without(self, variable: usize) -> Self;
}

macro_rules! tally {
    ($gain:ty, $truths:ty, $bits:literal) => {
        impl Tally for $gain {
            type Truths = $truths;
            #[inline(always)]
            fn of(weight: i64) -> Self {
                weight as $gain
            }
            #[inline(always)]
            fn wide(self) -> i64 {
                i64::from(self)
            }
            #[inline(always)]
            fn real(self) -> f32 {
                self as f32
            }
        }
        impl Truths for $truths {
            const LIMITS: [usize; 2] = [1 << (<$truths>::BITS - $bits), (1 << $bits) - 1];
            #[inline(always)]
            fn new(count: u32, variables: u32) -> Self {
                <$truths>::from(variables) << $bits | <$truths>::from(count)
            }
            #[inline(always)]
            fn count(self) -> u32 {
                (self & ((1 << $bits) - 1)) as u32
            }
            #[inline(always)]
            fn variables(self) -> usize {
                (self >> $bits) as usize
            }
            #[inline(always)]
            fn with(self, variable: usize) -> Self {
                (self + 1) ^ ((variable as $truths) << $bits)
            }
            #[inline(always)]
            fn without(self, variable: usize) -> Self {
                (self - 1) ^ ((variable as $truths) << $bits)
            }
        }
    };
}
// Half the memory for all but huge problems: clause touches are cache misses.
tally!(i32, u32, 8);
tally!(i64, u64, 32);

/// An assignment, its cost, and the gain of each flip.
#[derive(Debug, Clone, PartialEq)]
pub struct State<T: Tally> {
    problem: Arc<MaxSat>,
    words: Vec<u64>,
    truths: Vec<T::Truths>,
    gains: Vec<T>,
    cost: i64,
}

/// Flips of more than one variable in this many are cheaper by a full count.
const RECOUNT: usize = 12;

impl<T: Tally> State<T> {
    /// Counts an assignment.
    ///
    /// # Errors
    /// An assignment of another length.
    pub fn new(problem: &Arc<MaxSat>, assignment: &[bool]) -> Result<Self> {
        problem.check_length(assignment.len())?;
        let mut state = Self {
            problem: problem.clone(),
            words: pack(assignment),
            truths: vec![T::Truths::default(); problem.listed()],
            gains: vec![T::default(); problem.variables()],
            cost: 0,
        };
        state.recount();
        Ok(state)
    }

    /// Cost of the assignment.
    pub fn cost(&self) -> i64 {
        self.cost
    }

    /// Change of the cost by flipping each variable alone.
    pub fn gains(&self) -> &[T] {
        &self.gains
    }

    /// The assignment, 64 variables a word.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(super) fn problem(&self) -> &MaxSat {
        &self.problem
    }

    #[inline(always)]
    pub(super) fn truths(&self, clause: usize) -> T::Truths {
        self.truths[clause]
    }

    /// Whether a literal, 2 variable + negated, is true.
    #[inline(always)]
    pub(super) fn holds(&self, literal: u32) -> bool {
        self.value(literal as usize / 2) != (literal & 1 == 1)
    }

    /// Value of a variable.
    #[inline(always)]
    pub fn value(&self, variable: usize) -> bool {
        self.words[variable / 64] >> (variable % 64) & 1 == 1
    }

    /// The assignment.
    pub fn assignment(&self) -> Vec<bool> {
        unpack(&self.words, self.problem.variables())
    }

    /// Flips distinct variables in range; [`super::blocks::flip`] checks that.
    pub(crate) fn flip_all(&mut self, variables: &[u32]) {
        // A flip waits for scattered clauses, a count reads all of them in order.
        if variables.len() * RECOUNT > self.problem.variables() {
            variables.iter().for_each(|&v| self.words[v as usize / 64] ^= 1 << (v % 64));
            self.recount();
        } else {
            variables.iter().for_each(|&v| self.flip(v as usize));
        }
    }

    /// Flips one variable.
    #[inline]
    pub fn flip(&mut self, variable: usize) {
        let was = usize::from(self.value(variable));
        let Self { problem, words, truths, gains, cost } = self;
        words[variable / 64] ^= 1 << (variable % 64);
        // Whether a clause has one true literal is a coin toss that no branch predictor learns:
        // the flipped variable takes a zero instead. Unsatisfied clauses are few.
        for &clause in problem.occurrences(2 * variable + was) {
            let truths = &mut truths[clause as usize];
            let before = *truths;
            *truths = before.with(variable);
            let weight = T::of(problem.weight(clause as usize));
            if before.count() == 0 {
                *cost -= weight.wide();
                for &literal in problem.clause(clause as usize) {
                    gains[literal as usize / 2] += weight;
                }
                gains[variable] += weight;
            }
            let critical = before.count() == 1;
            let target = if critical { before.variables() } else { variable };
            gains[target] -= if critical { weight } else { T::default() };
        }
        for &clause in problem.occurrences(2 * variable + 1 - was) {
            let truths = &mut truths[clause as usize];
            let after = truths.without(variable);
            *truths = after;
            let weight = T::of(problem.weight(clause as usize));
            if after.count() == 0 {
                *cost += weight.wide();
                for &literal in problem.clause(clause as usize) {
                    gains[literal as usize / 2] -= weight;
                }
                gains[variable] -= weight;
            }
            let critical = after.count() == 1;
            let target = if critical { after.variables() } else { variable };
            gains[target] += if critical { weight } else { T::default() };
        }
    }

    /// Counts every clause anew.
    fn recount(&mut self) {
        match self.problem.width {
            Some(2) => self.recount_width::<2>(),
            Some(3) => self.recount_width::<3>(),
            Some(4) => self.recount_width::<4>(),
            _ => self.recount_width::<0>(),
        }
    }

    fn recount_width<const WIDTH: usize>(&mut self) {
        let Self { problem, words, truths, gains, cost } = self;
        gains.fill(T::default());
        *cost = problem.constant();
        for (clause, truths) in truths.iter_mut().enumerate() {
            let literals = match WIDTH {
                0 => problem.clause(clause),
                _ => &problem.literals[clause * WIDTH..][..WIDTH],
            };
            let (mut count, mut variables) = (0, 0);
            for &literal in literals {
                let variable = literal / 2;
                let value = words[variable as usize / 64] >> (variable % 64) & 1;
                let holds = value as u32 ^ (literal & 1);
                count += holds;
                variables ^= variable & holds.wrapping_neg();
            }
            *truths = T::Truths::new(count, variables);
            let weight = T::of(problem.weight(clause));
            if count == 0 {
                *cost += weight.wide();
                literals.iter().for_each(|&l| gains[l as usize / 2] -= weight);
            }
            let critical = count == 1;
            let target = if critical { variables } else { literals[0] / 2 };
            gains[target as usize] += if critical { weight } else { T::default() };
        }
    }
}

/// An assignment, 64 variables a word.
pub(crate) fn pack(assignment: &[bool]) -> Vec<u64> {
    let word = |bits: &[bool]| bits.iter().rev().fold(0, |word, &bit| word << 1 | u64::from(bit));
    assignment.chunks(64).map(word).collect()
}

/// The inverse of [`pack`].
pub(crate) fn unpack(words: &[u64], length: usize) -> Vec<bool> {
    (0..length).map(|v| words[v / 64] >> (v % 64) & 1 == 1).collect()
}
