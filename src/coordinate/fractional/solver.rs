//! Sweeps until no coordinate gains: the loop and its stop rule.

use super::run::Run;
use super::settings::{Observe, Problem, Progress, Settings, Solution, Status};
use crate::engine::Result;

/// Minimises from `x`, which [`check`](super::check) has accepted.
///
/// # Errors
/// If the numerator turns out to be negative somewhere.
pub fn minimize(
    problem: Problem<'_>,
    settings: &Settings,
    x: Vec<f64>,
    observe: &mut Observe<'_>,
) -> Result<Solution> {
    let mut run = Run::new(problem, settings, x, observe);
    let mut status = Status::Limit;
    let mut certificate = None;
    for sweep in settings.first..settings.first.saturating_add(settings.max_iter) {
        let before = run.ratio();
        certificate = None;
        let mut moved = run.sweep(sweep);
        run.refresh()?;
        if let Some(early) = run.stop {
            run.moves += moved;
            status = early;
            break;
        }
        run.sweeps += 1;
        let mut gain = f64::NAN;
        if before - run.ratio() <= settings.tol * run.scale() {
            let Some((i, best, found)) = run.best_move() else {
                status = run.stop.unwrap_or(Status::Interrupted);
                break;
            };
            gain = found;
            if found <= settings.tol {
                (status, certificate) = (Status::Converged, Some(found));
            } else if run.step(i, &best) {
                moved += 1;
                run.refresh()?;
            } else if moved == 0 {
                (status, certificate) = (Status::Precision, Some(found));
            }
        }
        run.moves += moved;
        let objective = run.ratio();
        run.history.push(objective);
        let progress = Progress { sweep: sweep + 1, objective, moves: moved, certificate: gain };
        let asked = (run.observe)(Some(&progress));
        if certificate.is_some() {
            break;
        }
        if let Some(asked) = asked {
            status = asked;
            break;
        }
    }
    run.stop = None;
    run.deadline = None;
    let certificate = match certificate {
        Some(certificate) => certificate,
        None if status == Status::Interrupted => f64::NAN,
        None => run.best_move().map_or(f64::NAN, |(_, _, found)| found),
    };
    if run.stop.is_some() {
        status = Status::Interrupted;
    } else if matches!(status, Status::Limit | Status::Time) && certificate <= settings.tol {
        status = Status::Converged;
    }
    Ok(Solution {
        objective: run.ratio(),
        x: run.x,
        certificate,
        sweeps: run.sweeps,
        moves: run.moves,
        status,
        history: run.history,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Denominator, Method, Numerator, Selection};
    use super::super::{L2, LeastSquares, Quadratic, SquaredL4, TopK};
    use super::*;
    use crate::coordinate::design::Dense;
    use crate::engine::rng::Philox;

    fn settings(method: Method) -> Settings {
        Settings {
            method,
            theta: 1e-5,
            selection: Selection::Cyclic,
            seed: 0,
            tol: 1e-10,
            max_iter: 5000,
            first: 0,
            time_limit: None,
        }
    }

    fn data(m: usize, n: usize) -> Vec<f64> {
        let mut data = vec![0.0; m * n];
        Philox::new(1).fill_normal(0, 0, &mut data);
        data
    }

    #[test]
    fn both_methods_end_where_no_coordinate_gains() {
        let (m, n) = (30, 12);
        let data = data(m, n);
        let design = Dense::new(&data, m, n).unwrap();
        let y: Vec<f64> = (0..m).map(|i| (0..3).map(|j| data[j * m + i]).sum()).collect();
        let (low, high) = (vec![f64::NEG_INFINITY; n], vec![f64::INFINITY; n]);
        let two: Vec<f64> = (0..n * n).map(|k| if k % (n + 1) == 0 { 2.0 } else { 0.0 }).collect();
        let identity = Dense::new(&two, n, n).unwrap();
        let zero = vec![0.0; n];
        for method in [Method::Fractional, Method::Parametric] {
            for kind in 0..3 {
                let x: Vec<f64> = (0..n).map(|j| 0.1 + 0.01 * j as f64).collect();
                let numerator: Box<dyn Numerator> = if kind == 0 {
                    Box::new(Quadratic::new(&identity, &zero, 0.0).unwrap())
                } else {
                    Box::new(LeastSquares::new(&design, &y).unwrap())
                };
                let denominator: Box<dyn Denominator> = match kind {
                    0 => Box::new(SquaredL4::new(&design)),
                    1 => Box::new(TopK::new(n, 3, 0.1).unwrap()),
                    _ => Box::new(L2::new(&identity, false)),
                };
                let l1 = if kind == 0 { 0.0 } else { 0.1 };
                let problem = Problem { numerator, denominator, l1, low: &low, high: &high };
                let found = minimize(problem, &settings(method), x, &mut |_| None).unwrap();
                assert_eq!(found.status, Status::Converged, "{method:?} {kind}");
                assert!(found.certificate <= 1e-10);
                let falls = |pair: &[f64]| pair[1] <= pair[0] * (1.0 + 1e-14);
                assert!(found.history.windows(2).all(falls));
            }
        }
    }

    #[test]
    fn the_principal_axis_is_found_where_it_is_the_only_stationary_direction() {
        // x' Q x / ||x||^2 with Q = diag(3, 1): coordinate moves reach the least eigenvalue.
        let (q, one) = ([6.0, 0.0, 0.0, 2.0], [1.0, 0.0, 0.0, 1.0]);
        let (q, one) = (Dense::new(&q, 2, 2).unwrap(), Dense::new(&one, 2, 2).unwrap());
        let (low, high) = ([f64::NEG_INFINITY; 2], [f64::INFINITY; 2]);
        let problem = Problem {
            numerator: Box::new(Quadratic::new(&q, &[0.0; 2], 0.0).unwrap()),
            denominator: Box::new(L2::new(&one, true)),
            l1: 0.0,
            low: &low,
            high: &high,
        };
        let settings = settings(Method::Fractional);
        let found = minimize(problem, &settings, vec![1.0, 0.5], &mut |_| None).unwrap();
        assert!((found.objective - 1.0).abs() < 1e-9, "{found:?}");
    }
}
