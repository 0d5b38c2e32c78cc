use super::super::maxsat::{self, MaxSat};
use super::super::run::{Settings, Sweep};
use super::*;
use crate::engine::threads;
use proptest::prelude::*;
use std::sync::Arc;

const DOMAINS: [u32; 5] = [2, 3, 2, 1, 2];

fn settings(steps: u64) -> Settings {
    Settings { max_steps: Some(steps), ..Settings::default() }
}

/// One term of every kind and random tables.
fn mixed(entries: &[i32]) -> FactorGraph {
    let mut graph = FactorGraph::new(DOMAINS.to_vec()).unwrap();
    let table: Vec<f64> = entries.iter().take(12).map(|&e| f64::from(e)).collect();
    graph.add_tables(&[0, 1, 4], 3, &table).unwrap();
    graph.add_tables(&[2, 0, 0, 4], 2, &table[..8]).unwrap();
    graph.add_tables(&[1], 1, &table[..3]).unwrap();
    for (name, target) in [("parity", 1.0), ("equal", 0.0), ("different", 0.0), ("count", 3.0)] {
        let weights = [f64::from(entries[0]), 2.0];
        let kind = Kind::named(name, target).unwrap();
        graph.add(kind, &[0, 1, 2, 4, 3, 1], 3, &weights).unwrap();
    }
    graph.add(Kind::Spin, &[0, 2, 4], 3, &[-3.0]).unwrap();
    graph
}

/// The cost of [`mixed`], spelled out.
fn oracle(e: &[i32], z: &[u32]) -> f64 {
    let at = |i: usize| f64::from(e[i]);
    let z: Vec<usize> = z.iter().map(|&v| v as usize).collect();
    let mut cost = at(z[0] * 6 + z[1] * 2 + z[4]);
    cost += at(z[2] * 2 + z[0]) + at(4 + z[0] * 2 + z[4]) + at(z[1]);
    for (w, [a, b, c]) in [(at(0), [z[0], z[1], z[2]]), (2.0, [z[4], z[3], z[1]])] {
        cost += w * f64::from((a + b + c) % 2 != 1);
        cost += w * f64::from(!(a == b && b == c));
        cost += w * (f64::from(a == b) + f64::from(a == c) + f64::from(b == c));
        cost += w * ((a + b + c) as f64 - 3.0).powi(2);
    }
    let spin = |v: usize| 2.0 * v as f64 - 1.0;
    cost - 3.0 * spin(z[0]) * spin(z[2]) * spin(z[4])
}

fn assignments() -> Vec<Vec<u32>> {
    let mut all = vec![vec![]];
    for domain in DOMAINS {
        all = all
            .iter()
            .flat_map(|z: &Vec<u32>| (0..domain).map(|v| [z.as_slice(), &[v]].concat()))
            .collect();
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn costs_and_probes_equal_the_definition(
        entries in prop::collection::vec(-9i32..9, 12),
        start in 0usize..24,
        next in 0usize..24,
    ) {
        let graph = Arc::new(mixed(&entries));
        let all = assignments();
        let mut state = State::new(&graph, &all[start]).unwrap();
        prop_assert_eq!(state.cost(), oracle(&entries, &all[start]));
        let changes = |from: &[u32], to: &[u32]| -> Vec<(u32, u32)> {
            (0..5).filter(|&v| from[v] != to[v]).map(|v| (v as u32, to[v])).collect()
        };
        for z in &all {
            prop_assert_eq!(graph.evaluate(z).unwrap(), oracle(&entries, z));
            let probe = state.probe(&changes(&all[start], z), &mut Vec::new());
            prop_assert_eq!(probe, oracle(&entries, z) - oracle(&entries, &all[start]));
        }
        state.set(&changes(&all[start], &all[next])).unwrap();
        prop_assert_eq!(&state, &State::new(&graph, &all[next]).unwrap());
    }
}

#[test]
fn the_search_finds_the_least_of_few() {
    let rng = crate::engine::rng::Philox::new(1);
    let mut hits = 0;
    for problem in 0..20 {
        let entries: Vec<i32> = (0..12).map(|i| rng.below(problem, i, 19) as i32 - 9).collect();
        let graph = Arc::new(mixed(&entries));
        let least = assignments().iter().map(|z| oracle(&entries, z)).fold(f64::INFINITY, f64::min);
        let settings = Settings { epsilon: Sweep { start: 10.0, end: 0.5 }, ..settings(2000) };
        let outcome = run(&graph, &settings, None, &mut |_, _| true).unwrap();
        assert_eq!(outcome.cost, oracle(&entries, &outcome.assignment));
        assert!(outcome.cost >= least);
        hits += usize::from(outcome.cost == least);
    }
    assert!(hits >= 18, "{hits} of 20");
}

#[test]
fn clauses_as_tables_cost_the_same_and_search_as_well() {
    let formula = maxsat::tests::random(400, 1600, 7);
    let mut graph = FactorGraph::new(vec![2; 400]).unwrap();
    for c in 0..1600 {
        let clause = formula.clause(c);
        let scope: Vec<u32> = clause.iter().map(|l| l.unsigned_abs() - 1).collect();
        let broken = clause.iter().fold(0, |at, &l| 2 * at + usize::from(l < 0));
        let table: Vec<f64> = (0..8).map(|i| f64::from(i == broken)).collect();
        graph.add_tables(&scope, 3, &table).unwrap();
    }
    let outcome = run(&Arc::new(graph), &settings(300), None, &mut |_, _| true).unwrap();
    let bits: Vec<bool> = outcome.assignment.iter().map(|&v| v == 1).collect();
    let problem = MaxSat::new(&formula).unwrap();
    assert_eq!(problem.evaluate(&bits).unwrap() as f64, outcome.cost);
    assert!(outcome.cost < 0.01 * 1600.0, "{}", outcome.cost);
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let mut graph = FactorGraph::new(vec![3; 300]).unwrap();
    let edges: Vec<u32> = (0..1200).map(|i| (i / 2 * 7 + i % 2 * (1 + i / 37)) % 300).collect();
    let edges: Vec<u32> = edges.chunks(2).filter(|e| e[0] != e[1]).flatten().copied().collect();
    graph.add(Kind::Different, &edges, 2, &[0.3]).unwrap();
    let graph = Arc::new(graph);
    let runs = [1, 2, 7].map(|n| {
        threads::set(n);
        let outcome = run(&graph, &settings(50), None, &mut |_, _| true).unwrap();
        (outcome.assignment, outcome.cost.to_bits(), outcome.flips)
    });
    threads::set(0);
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[1], runs[2]);
    let start: Vec<u32> = (0..300).map(|v| v % 3).collect();
    let kept = run(&graph, &settings(0), Some(&start), &mut |_, _| true).unwrap();
    assert_eq!(kept.assignment, start);
}

#[test]
fn refusals() {
    let text = |error: Error| error.to_string();
    assert!(text(FactorGraph::new(vec![2, 0]).unwrap_err()).starts_with("values[1] must be in [1"));
    let mut graph = FactorGraph::new(vec![2, 3]).unwrap();
    let before = graph.clone();
    for (message, error) in [
        ("scopes must be variables below 2", graph.add_tables(&[2], 1, &[0.0; 2])),
        (
            "scopes must be distinct variables, got 1 twice",
            graph.add(Kind::Equal, &[1, 1], 2, &[1.0]),
        ),
        ("scopes must be of shape", graph.add(Kind::Equal, &[], 0, &[1.0])),
        ("table of shape (5,) does not match", graph.add_tables(&[0, 1], 2, &[0.0; 5])),
        ("table holds NaN", graph.add_tables(&[0], 1, &[0.0, f64::NAN])),
        ("weight holds NaN", graph.add(Kind::Equal, &[0, 1], 2, &[f64::INFINITY])),
        ("weight of shape (2,)", graph.add(Kind::Equal, &[0, 1], 2, &[1.0, 1.0])),
        ("scopes must be variables of two values", graph.add(Kind::Spin, &[0, 1], 2, &[1.0])),
    ] {
        let given = text(error.unwrap_err());
        assert!(given.starts_with(message), "{given}");
    }
    assert_eq!(graph, before);
    for (message, error) in [
        ("kind must be parity, equal", Kind::named("xor", 0.0)),
        ("target must be 0 or 1", Kind::named("parity", 2.0)),
        ("target must be 0 for equal", Kind::named("equal", 1.0)),
        ("target must be finite", Kind::named("count", f64::NAN)),
    ] {
        let given = text(error.unwrap_err());
        assert!(given.starts_with(message), "{given}");
    }
    let graph = Arc::new(graph);
    assert!(
        text(graph.evaluate(&[0, 3]).unwrap_err())
            .starts_with("value of variable 1 must be below 3")
    );
    assert!(text(graph.evaluate(&[0]).unwrap_err()).starts_with("assignment of shape (1,)"));
    let mut state = State::new(&graph, &[0, 0]).unwrap();
    assert!(text(state.set(&[(2, 0)]).unwrap_err()).starts_with("variables must be below 2"));
    assert!(text(state.set(&[(1, 0), (1, 1)]).unwrap_err()).contains("got 1 twice"));
    assert!(text(state.probe_all(&[(0, 2)], &[0, 1]).unwrap_err()).contains("below 2"));
    assert!(text(state.probe_all(&[(0, 1)], &[0]).unwrap_err()).starts_with("offsets"));
}
