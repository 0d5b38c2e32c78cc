use super::super::tests::random;
use super::*;
use crate::search::objectives::Formula;

fn walk(flips: u64) -> Walk {
    Walk { max_flips: Some(flips), ..Walk::default() }
}

fn polish(formula: &Formula, walk: &Walk) -> Outcome {
    let problem = Arc::new(MaxSat::new(formula).unwrap());
    let start = vec![false; formula.variables];
    let outcome = run(&problem, walk, &start, &mut |_, _| true).unwrap();
    assert_eq!(problem.evaluate(&outcome.assignment).unwrap(), outcome.cost);
    if outcome.flips > 0 {
        let state = State::<i64>::new(&problem, &outcome.assignment).unwrap();
        assert!(state.gains().iter().all(|&gain| gain >= 0));
    }
    outcome
}

#[test]
fn satisfies_an_easy_formula() {
    let outcome = polish(&random(2000, 7000, 1), &walk(2_000_000));
    assert_eq!((outcome.cost, outcome.stop), (0, Stop::Optimum));
}

#[test]
fn remembers_the_best_of_a_walk_that_wanders() {
    // Too many clauses to satisfy, and a walk that prefers nothing: the best lies far behind.
    let formula = random(60, 600, 2);
    let costs: Vec<i64> = [10, 100, 1000, 10_000, 20_000]
        .map(|flips| polish(&formula, &Walk { exponent: 0.0, ..walk(flips) }).cost)
        .to_vec();
    assert!(costs.is_sorted_by(|a, b| a >= b), "{costs:?}");
    assert_eq!(polish(&formula, &walk(0)).flips, 0);
}

#[test]
fn counts_agree_with_a_fresh_count_after_many_flips() {
    let formula = random(80, 600, 3);
    let problem = Arc::new(MaxSat::new(&formula).unwrap());
    let mut walker = Walker::<i32>::new(&problem, &walk(1), &[true; 80]);
    for flip in 0..500 {
        let variable = walker.pick(flip).unwrap();
        walker.flip(variable);
    }
    let values = super::super::state::unpack(&walker.words, 80);
    let fresh = Walker::<i32>::new(&problem, &walk(1), &values);
    assert_eq!(
        (&walker.breaks, &walker.truths, walker.cost),
        (&fresh.breaks, &fresh.truths, fresh.cost)
    );
    let sorted = |list: &[u32]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    assert_eq!(sorted(&walker.broken[0]), sorted(&fresh.broken[0]));
}

#[test]
fn hard_clauses_come_first() {
    let mut formula = random(40, 120, 4);
    (1..=40).for_each(|v| formula.push([if v % 3 == 0 { v } else { -v }], 2));
    let mut hard = Formula::new(40);
    for c in 0..formula.clauses() {
        hard.push(formula.clause(c).to_vec(), if c < 120 { 0 } else { 2 });
    }
    let problem = Arc::new(MaxSat::new(&hard).unwrap());
    let outcome = polish(&hard, &walk(200_000));
    assert_eq!(problem.split(outcome.cost).0, 0);
}

#[test]
fn settings_are_checked_by_their_own_names() {
    let problem = Arc::new(MaxSat::new(&random(5, 9, 0)).unwrap());
    let refusal =
        |walk: Walk| run(&problem, &walk, &[true; 5], &mut |_, _| true).unwrap_err().to_string();
    assert!(refusal(Walk::default()).starts_with("max_flips must be given, or else seconds"));
    assert!(refusal(Walk { exponent: -1.0, ..walk(1) }).starts_with("exponent must be >= 0"));
    let asked = run(&problem, &Walk { exponent: 0.0, ..walk(9000) }, &[true; 5], &mut |_, _| false);
    assert!(asked.unwrap().steps <= LOOK);
}
