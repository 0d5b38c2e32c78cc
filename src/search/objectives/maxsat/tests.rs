use super::*;
use crate::engine::threads;
use proptest::prelude::*;
use std::sync::Arc;

/// Cost by the definition, on the formula itself.
fn oracle(formula: &Formula, assignment: &[bool]) -> i64 {
    let soft: u64 = formula.weights.iter().sum();
    let cost = |c: usize| {
        let satisfied =
            formula.clause(c).iter().any(|&l| assignment[l.unsigned_abs() as usize - 1] == (l > 0));
        match formula.weights.get(c) {
            _ if satisfied => 0,
            None => 1,
            Some(0) => soft as i64 + 1,
            Some(&w) => w as i64,
        }
    };
    (0..formula.clauses()).map(cost).sum()
}

fn formulas() -> impl Strategy<Value = Formula> {
    let clause = prop::collection::vec((1i32..=7, any::<bool>()), 0..5);
    let clauses = prop::collection::vec((clause, 0u64..4), 0..25);
    (clauses, 0usize..3).prop_map(|(clauses, kind)| {
        let mut formula = Formula::new(7);
        for (clause, weight) in clauses {
            let clause = clause.into_iter().map(|(v, negative)| if negative { -v } else { v });
            // Unit weights, soft weights, and both soft and hard ones.
            formula.push(clause, [1, weight + 1, weight][kind]);
        }
        formula
    })
}

fn bits(word: u32) -> Vec<bool> {
    (0..7).map(|v| word >> v & 1 == 1).collect()
}

fn agrees<T: Tally>(
    formula: &Formula,
    start: u32,
    flips: &[u32],
) -> std::result::Result<(), TestCaseError> {
    let problem = Arc::new(MaxSat::new(formula).unwrap());
    let mut values = bits(start);
    let mut state = State::<T>::new(&problem, &values).unwrap();
    for &flip in flips {
        state.flip(flip as usize);
        values[flip as usize] ^= true;
        prop_assert_eq!(state.cost(), oracle(formula, &values));
        prop_assert_eq!(&state, &State::<T>::new(&problem, &values).unwrap());
        for word in 0..128u32 {
            let set: Vec<u32> = (0..7).filter(|v| word >> v & 1 == 1).collect();
            let probed: Vec<bool> = values.iter().zip(bits(word)).map(|(a, b)| a ^ b).collect();
            let change = blocks::probe(&state, &set, &mut Vec::new());
            prop_assert_eq!(change, oracle(formula, &probed) - state.cost());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn costs_gains_and_probes_equal_the_definition(
        formula in formulas(),
        start in 0u32..128,
        flips in prop::collection::vec(0u32..7, 1..6),
    ) {
        agrees::<i32>(&formula, start, &flips)?;
        agrees::<i64>(&formula, start, &flips)?;
    }

    #[test]
    fn gains_are_single_flips_and_pairs_are_corrected(formula in formulas(), start in 0u32..128) {
        let problem = Arc::new(MaxSat::new(&formula).unwrap());
        let state = State::<i32>::new(&problem, &bits(start)).unwrap();
        let place = |v: u32| (v % 4, v >= 4);
        let mut both = [0.0; 4];
        blocks::Shared::new(&problem, place).correct(&state, 0, &mut both);
        for v in 0..7 {
            let mut values = bits(start);
            values[v] ^= true;
            prop_assert_eq!(state.gains()[v] as i64, oracle(&formula, &values) - state.cost());
        }
        for (block, both) in both.into_iter().enumerate().take(3) {
            let (a, b) = (block, block + 4);
            let mut values = bits(start);
            values[a] ^= true;
            values[b] ^= true;
            let change = f64::from(state.gains()[a] + state.gains()[b]) + f64::from(both);
            prop_assert_eq!(change as i64, oracle(&formula, &values) - state.cost());
        }
    }

    #[test]
    fn the_kept_formula_costs_the_same(formula in formulas(), start in 0u32..128) {
        let problem = Arc::new(MaxSat::new(&formula).unwrap());
        let values = bits(start);
        prop_assert_eq!(problem.evaluate(&values).unwrap(), oracle(&formula, &values));
        prop_assert_eq!(oracle(&problem.formula(), &values), oracle(&formula, &values));
        prop_assert_eq!(problem.clauses(), formula.clauses());
        let (hard, soft) = problem.split(problem.evaluate(&values).unwrap());
        let total: u64 = formula.weights.iter().sum();
        prop_assert!(!problem.has_hard() || soft <= total as i64 && hard >= 0);
    }
}

#[test]
fn counting_anew_equals_flipping_one_by_one() {
    let formula = random(300, 1200, 3);
    let problem = Arc::new(MaxSat::new(&formula).unwrap());
    let mut state = State::<i32>::new(&problem, &[false; 300]).unwrap();
    let mut single = state.clone();
    let all: Vec<u32> = (0..300).step_by(2).collect();
    state.flip_all(&all);
    all.iter().for_each(|&v| single.flip(v as usize));
    assert_eq!(state, single);
}

#[test]
fn probes_refuse_strays_and_repeats() {
    let problem = Arc::new(MaxSat::new(&random(5, 9, 0)).unwrap());
    let state = State::<i32>::new(&problem, &[true; 5]).unwrap();
    let refusal = |flips: &[u32]| {
        blocks::probe_all(&state, flips, &[0, flips.len()]).unwrap_err().to_string()
    };
    assert!(refusal(&[5]).starts_with("flips must be variables below 5, got 5"));
    assert!(refusal(&[1, 2, 1]).contains("got 1 twice"));
    assert!(State::<i32>::new(&problem, &[true; 4]).is_err());
}

#[test]
fn probes_do_not_depend_on_threads() {
    let problem = Arc::new(MaxSat::new(&random(200, 850, 1)).unwrap());
    let state = State::<i32>::new(&problem, &[true; 200]).unwrap();
    let flips: Vec<u32> = (0..3000).map(|i| i * 7 % 200).collect();
    let offsets: Vec<usize> = (0..=1000).map(|i| 3 * i).collect();
    let results = [1, 2, 7].map(|n| {
        threads::set(n);
        blocks::probe_all(&state, &flips, &offsets).unwrap()
    });
    threads::set(0);
    assert_eq!(results[0], results[1]);
    assert_eq!(results[1], results[2]);
}

#[test]
fn weights_beyond_the_integers_are_refused() {
    let mut formula = Formula::new(1);
    formula.push([1], 1 << 61);
    formula.push([-1], 1 << 61);
    assert!(MaxSat::new(&formula).unwrap_err().to_string().starts_with("weights must be of a sum"));
}

/// Uniform random 3-SAT.
pub(in crate::search) fn random(variables: usize, clauses: usize, seed: u64) -> Formula {
    let rng = crate::engine::rng::Philox::new(seed);
    let mut formula = Formula::new(variables);
    for c in 0..clauses {
        let mut clause: Vec<i32> = Vec::new();
        for draw in 0.. {
            let v = rng.below(draw, c as u64, variables as u64) as i32 + 1;
            if !clause.iter().any(|l| l.abs() == v) {
                clause.push(if rng.words(draw, c as u64)[3] & 1 == 0 { v } else { -v });
            }
            if clause.len() == 3 {
                break;
            }
        }
        formula.push(clause, 1);
    }
    formula
}
