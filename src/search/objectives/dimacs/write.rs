//! The writer: CNF where every clause weighs 1, else WCNF with a header.

use super::Formula;

/// The text of a formula.
pub fn write(formula: &Formula) -> Vec<u8> {
    let mut text = Vec::with_capacity(8 * formula.literals.len() + 64);
    let (variables, clauses) = (formula.variables, formula.clauses());
    // Saturates for formulas that no sum of weights fits, which cannot be searched either.
    let top = formula.weights.iter().fold(1u64, |top, &w| top.saturating_add(w));
    let header = match formula.weights.is_empty() {
        true => format!("p cnf {variables} {clauses}\n"),
        false => format!("p wcnf {variables} {clauses} {top}\n"),
    };
    text.extend_from_slice(header.as_bytes());
    for c in 0..clauses {
        if let Some(&weight) = formula.weights.get(c) {
            let weight = if weight == 0 { top } else { weight };
            text.extend_from_slice(weight.to_string().as_bytes());
            text.push(b' ');
        }
        for literal in formula.clause(c) {
            text.extend_from_slice(literal.to_string().as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(b"0\n");
    }
    text
}
