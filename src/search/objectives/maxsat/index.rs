//! The order of clauses, and where each literal occurs: counting sorts.

use super::Formula;

/// The clauses in order of their least variable, so that those of one variable lie together: a
/// third of the cache misses of a flip of 3-SAT.
pub(super) fn by_least_variable(formula: &Formula) -> Vec<usize> {
    let least =
        |c: usize| formula.clause(c).iter().map(|l| l.unsigned_abs() as usize).min().unwrap_or(0);
    let mut next = vec![0usize; formula.variables + 2];
    (0..formula.clauses()).for_each(|c| next[least(c) + 1] += 1);
    (0..=formula.variables).for_each(|v| next[v + 1] += next[v]);
    let mut order = vec![0; formula.clauses()];
    for c in 0..formula.clauses() {
        let slot = &mut next[least(c)];
        order[*slot] = c;
        *slot += 1;
    }
    order
}

/// For each literal the clauses that hold it, in order.
pub(super) fn occurrences(
    literal_count: usize,
    literals: &[u32],
    offsets: &[u32],
) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; literal_count + 1];
    literals.iter().for_each(|&l| starts[l as usize + 1] += 1);
    (0..literal_count).for_each(|l| starts[l + 1] += starts[l]);
    let mut next = starts.clone();
    let mut occurrences = vec![0; literals.len()];
    for (c, window) in offsets.windows(2).enumerate() {
        for &literal in &literals[window[0] as usize..window[1] as usize] {
            let slot = &mut next[literal as usize];
            occurrences[*slot as usize] = c as u32;
            *slot += 1;
        }
    }
    (occurrences, starts)
}
