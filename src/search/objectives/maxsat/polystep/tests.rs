use super::super::Sweep;
use super::super::tests::random;
use super::*;
use crate::search::objectives::Formula;

fn settings(steps: u64) -> Settings {
    Settings { max_steps: Some(steps), ..Settings::default() }
}

fn solve(formula: &Formula, settings: &Settings) -> Outcome {
    run(&Arc::new(MaxSat::new(formula).unwrap()), settings, None, &mut |_, _| true).unwrap()
}

#[test]
fn satisfies_more_than_the_published_share() {
    let formula = random(5000, 21350, 1);
    let outcome = solve(&formula, &settings(300));
    let problem = Arc::new(MaxSat::new(&formula).unwrap());
    assert_eq!(problem.evaluate(&outcome.assignment).unwrap(), outcome.cost);
    assert!((outcome.cost as f64) < 0.012 * 21350.0, "{}", outcome.cost);
    // Without forgetting, the published dynamics and their share.
    let plain = Settings { forget: Sweep::constant(0.0), ..settings(300) };
    let cost = solve(&formula, &plain).cost as f64;
    assert!(cost > outcome.cost as f64 && cost < 0.025 * 21350.0, "{cost}");
}

#[test]
fn same_for_any_number_of_threads_and_different_for_another_seed() {
    let formula = random(5001, 21350, 2);
    let runs = [1, 2, 7].map(|n| {
        threads::set(n);
        let mut outcome = solve(&formula, &settings(40));
        outcome.seconds = 0.0;
        outcome
    });
    threads::set(0);
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[1], runs[2]);
    let other = solve(&formula, &Settings { seed: 1, ..settings(40) });
    assert_ne!(other.assignment, runs[0].assignment);
}

#[test]
fn wide_and_narrow_integers_take_the_same_path() {
    let formula = random(3000, 12000, 3);
    let problem = Arc::new(MaxSat::new(&formula).unwrap());
    let settings = settings(30);
    let narrow =
        Run::<i32>::new(&problem, &settings, None).unwrap().finish(&mut |_, _| true).unwrap();
    let wide =
        Run::<i64>::new(&problem, &settings, None).unwrap().finish(&mut |_, _| true).unwrap();
    assert_eq!((narrow.assignment, narrow.flips), (wide.assignment, wide.flips));
}

#[test]
fn one_step_equals_the_formula() {
    let formula = random(9, 30, 4);
    let problem = Arc::new(MaxSat::new(&formula).unwrap());
    let settings = Settings { probe_radius: Sweep::constant(0.05), ..settings(1) };
    let mut run = Run::<i32>::new(&problem, &settings, None).unwrap();
    let x: Vec<f64> = run.chunks[0].x.iter().map(|&x| f64::from(x)).collect();
    let unit = problem.mean_weight();
    let cost = |flips: &[bool]| {
        let values: Vec<bool> = (0..9).map(|v| (x[v] > 0.0) != flips[v]).collect();
        problem.evaluate(&values).unwrap() as f64 / unit
    };
    let base = cost(&[false; 9]);
    run.step(0, 0.0);
    for i in 0..5 {
        let word = Philox::new(0).words(0, i as u64 / 4 * 4)[i % 4] >> 8;
        let angle = f64::from(word) / f64::from(1 << 24) * std::f64::consts::FRAC_PI_2;
        let (sin, cos) = angle.sin_cos();
        let directions = [[cos, sin], [-sin, cos], [-cos, -sin], [sin, -cos]];
        let weights = directions.map(|v| {
            let mut flips = [false; 9];
            for (side, v) in v.into_iter().enumerate() {
                let k = i + 5 * side;
                if k < 9 {
                    flips[k] = (x[k] > 0.0) != (x[k] + 0.05 * v > 0.0);
                }
            }
            (-(cost(&flips) - base) / 10.0).exp()
        });
        let sum: f64 = weights.iter().sum();
        for (side, k) in [i, i + 5].into_iter().enumerate() {
            let centre: f64 = (0..4).map(|j| weights[j] / sum * directions[j][side]).sum();
            let expected = (1.0 - 0.9) * x[k] + centre;
            let got = f64::from(run.chunks[0].x[k]);
            assert!(k >= 9 || (got - expected).abs() < 1e-6, "{k} {got} {expected}");
        }
    }
}

#[test]
fn small_and_degenerate_formulas() {
    assert_eq!(solve(&Formula::new(0), &settings(5)).stop, Stop::Optimum);
    let mut empty = Formula::new(1);
    empty.push([], 3);
    let outcome = solve(&empty, &settings(5));
    assert_eq!((outcome.cost, outcome.steps, outcome.stop), (3, 0, Stop::Optimum));
    let mut unit = Formula::new(1);
    unit.push([1], 2);
    unit.push([-1], 1);
    let outcome = solve(&unit, &settings(50));
    assert_eq!((outcome.cost, outcome.assignment), (1, vec![true]));
}

#[test]
fn stops_when_asked_and_when_time_is_up() {
    let problem = Arc::new(MaxSat::new(&random(2000, 9000, 5)).unwrap());
    let asked = run(&problem, &settings(1000), None, &mut |t, _| t < 3).unwrap();
    assert_eq!((asked.steps, asked.stop), (3, Stop::Asked));
    let timed = Settings { seconds: Some(0.05), ..Settings::default() };
    let outcome = run(&problem, &timed, None, &mut |_, _| true).unwrap();
    assert!(outcome.stop == Stop::Budget && outcome.seconds < 5.0 && outcome.steps > 0);
    let none = Settings { seconds: Some(0.0), ..Settings::default() };
    assert_eq!(run(&problem, &none, None, &mut |_, _| true).unwrap().steps, 0);
}

#[test]
fn a_start_is_used_and_settings_are_checked() {
    let problem = Arc::new(MaxSat::new(&random(50, 100, 6)).unwrap());
    let start: Vec<bool> = (0..50).map(|v| v % 3 == 0).collect();
    let outcome = run(&problem, &settings(0), Some(&start), &mut |_, _| true).unwrap();
    assert_eq!(outcome.assignment, start);
    for (bad, text) in [
        (Settings::default(), "max_steps must be given, or else seconds, got neither"),
        (Settings { epsilon: Sweep::constant(0.0), ..settings(1) }, "epsilon must be > 0"),
        (Settings { forget: Sweep::constant(1.0), ..settings(1) }, "forget must be in [0, 1)"),
        (Settings { seconds: Some(f64::NAN), ..settings(1) }, "seconds must be >= 0"),
        (Settings { momentum: Sweep::constant(f64::NAN), ..settings(1) }, "momentum must be in"),
    ] {
        let message = run(&problem, &bad, None, &mut |_, _| true).unwrap_err().to_string();
        assert!(message.starts_with(text), "{message}");
    }
    assert!(run(&problem, &settings(1), Some(&start[1..]), &mut |_, _| true).is_err());
}
