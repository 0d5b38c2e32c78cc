//! Probes that flip several variables at once, exact also for clauses that hold more than one.
//!
//!   delta(S) = sum_{c touched by S} w_c ([c false after the flips of S] - [c false now])
//!            = gain_a + gain_b + both(a, b)   for a pair, both = 0 unless they share a clause

use super::{MaxSat, State, Tally, Truths};
use crate::engine::{Error, Result, threads};

/// Change of the cost by flipping the distinct `variables` together; `touched` is scratch.
pub fn probe<T: Tally>(state: &State<T>, variables: &[u32], touched: &mut Vec<(u32, i32)>) -> i64 {
    let problem = state.problem();
    if let [variable] = variables {
        return state.gains()[*variable as usize].wide();
    }
    touched.clear();
    for &variable in variables {
        let was = usize::from(state.value(variable as usize));
        let [rises, falls] = [0, 1].map(|side| 2 * variable as usize + (was ^ side));
        touched.extend(problem.occurrences(rises).iter().map(|&c| (c, 1)));
        touched.extend(problem.occurrences(falls).iter().map(|&c| (c, -1)));
    }
    touched.sort_unstable();
    let change = |group: &[(u32, i32)]| {
        let clause = group[0].0 as usize;
        let before = state.truths(clause).count() as i32;
        let after = before + group.iter().map(|g| g.1).sum::<i32>();
        problem.weight(clause) * (i64::from(after == 0) - i64::from(before == 0))
    };
    touched.chunk_by(|a, b| a.0 == b.0).map(change).sum()
}

/// Changes of the cost for many probes of one state, on all threads: probe i flips
/// `variables[offsets[i]..offsets[i + 1]]`.
///
/// # Errors
/// Offsets that do not fit, a variable out of range or named twice in a probe.
pub fn probe_all<T: Tally>(
    state: &State<T>,
    variables: &[u32],
    offsets: &[usize],
) -> Result<Vec<i64>> {
    check_all(state.problem(), variables, offsets)?;
    const CHUNK: usize = 256;
    let mut changes = vec![0; offsets.len().saturating_sub(1)];
    threads::for_each_chunk(&mut changes, CHUNK, |chunk, changes| {
        let mut touched = Vec::new();
        for (i, change) in changes.iter_mut().enumerate() {
            let i = chunk * CHUNK + i;
            *change = probe(state, &variables[offsets[i]..offsets[i + 1]], &mut touched);
        }
    });
    Ok(changes)
}

/// Refuses what are no probes: see [`probe_all`].
///
/// # Errors
/// Offsets that do not fit, a variable out of range or named twice in a probe.
pub fn check_all(problem: &MaxSat, variables: &[u32], offsets: &[usize]) -> Result<()> {
    if offsets.last().copied().unwrap_or(0) != variables.len() || !offsets.is_sorted() {
        let allowed = "ascending to the number of flips";
        return Err(Error::value("offsets", allowed, "others", "count the flips of each probe"));
    }
    offsets.windows(2).try_for_each(|window| check(problem, &variables[window[0]..window[1]]))
}

/// Flips distinct variables.
///
/// # Errors
/// A variable out of range or named twice; nothing is flipped then.
pub fn flip<T: Tally>(state: &mut State<T>, variables: &[u32]) -> Result<()> {
    check(state.problem(), variables)?;
    state.flip_all(variables);
    Ok(())
}

fn check(problem: &MaxSat, variables: &[u32]) -> Result<()> {
    let count = problem.variables();
    let mut sorted = variables.to_vec();
    sorted.sort_unstable();
    if let Some(&large) = sorted.last().filter(|&&v| v as usize >= count) {
        let allowed = format!("variables below {count}");
        return Err(Error::value("flips", allowed, large, "count variables from 0"));
    }
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        let given = format!("{} twice", pair[0]);
        return Err(Error::value("flips", "distinct variables in a probe", given, "name it once"));
    }
    Ok(())
}

/// Clauses that hold both variables of a pair, found once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shared {
    // (block, clause, literal of the first variable, of the second), by block.
    entries: Vec<(u32, u32, u32, u32)>,
}

impl Shared {
    /// Looks through all clauses; `place(v)` is the block of a variable and whether it is its
    /// second one.
    pub(super) fn new(problem: &MaxSat, place: impl Fn(u32) -> (u32, bool)) -> Self {
        let mut entries = Vec::new();
        for c in 0..problem.listed() {
            let clause = problem.clause(c);
            for (i, &first) in clause.iter().enumerate() {
                let (block, second) = place(first / 2);
                let partner = |&&l: &&u32| place(l / 2).0 == block;
                if let Some(&other) = clause[i + 1..].iter().find(partner) {
                    let (a, b) = if second { (other, first) } else { (first, other) };
                    entries.push((block, c as u32, a, b));
                }
            }
        }
        entries.sort_unstable();
        Self { entries }
    }

    /// Adds to `both[block - first]` what flipping both variables changes beyond their gains.
    pub(super) fn correct<T: Tally>(&self, state: &State<T>, first: usize, both: &mut [f32]) {
        let start = self.entries.partition_point(|e| (e.0 as usize) < first);
        let end = self.entries.partition_point(|e| (e.0 as usize) < first + both.len());
        for &(block, clause, a, b) in &self.entries[start..end] {
            let [a, b] = [a, b].map(|l| u32::from(state.holds(l)));
            let rest = state.truths(clause as usize).count() - a - b;
            let broken = |a: u32, b: u32| i64::from(rest + a + b == 0);
            let beyond = broken(1 - a, 1 - b) - broken(1 - a, b) - broken(a, 1 - b) + broken(a, b);
            both[block as usize - first] +=
                (state.problem().weight(clause as usize) * beyond) as f32;
        }
    }
}
