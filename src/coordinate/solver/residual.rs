//! Coordinate steps that keep the residual, on the matrix itself and in double precision.

use super::anderson::Anderson;
use super::model::Model;
use crate::coordinate::design::{Dense, Design, Moments, Sweep};
use crate::coordinate::penalty::Penalty;

/// Minimises the model over the features `features` with the residual in memory. Returns their new
/// coefficients. `v` is minus the gradient in the predictor, `h` its curvature.
#[allow(clippy::too_many_arguments)]
pub(crate) fn minimise(
    design: &dyn Design,
    penalty: &dyn Penalty,
    features: &[usize],
    w: &mut [f64],
    v: &[f64],
    h: &[f64],
    intercept: bool,
    model: &mut Model<'_>,
) {
    let (n, count) = (design.rows(), features.len());
    let mut copied = Vec::new();
    let positions: Vec<usize> = (0..count).collect();
    let gathered;
    let (design, cols): (&dyn Design, &[usize]) = if design.scattered() {
        copied.resize(n * count, 0.0);
        design.pack(features, 0..n, &mut copied);
        gathered = Dense::new(&copied[..], n, count).expect("n * count entries");
        (&gathered, &positions)
    } else {
        (design, features)
    };
    let mut moments = vec![Moments::default(); count];
    design.moments(cols, v, h, &mut moments);
    let total: f64 = h.iter().sum();
    let (curvature, mean): (Vec<f64>, Vec<f64>) =
        moments.iter().map(|m| centre(m, total, intercept)).unzip();
    let (mut q, mut shift) = (v.to_vec(), 0.0);
    let mut x = vec![0.0; count];
    let mut anderson = Anderson::default();
    let mut order = positions.clone();
    let energy_of = |q: &[f64], shift: f64| -> f64 {
        q.iter().zip(h).map(|(q, h)| if *h > 0.0 { (q + shift * h).powi(2) / h } else { 0.0 }).sum()
    };
    let mut state = vec![0.0; n + 1];
    loop {
        for epoch in 0..model.inner.max(1) {
            if epoch > 0 && model.exhausted() {
                break;
            }
            model.arrange(&positions, &mut order);
            design.sweep(&mut Sweep {
                order: &order,
                features,
                cols,
                curvature: &curvature,
                mean: &mean,
                total,
                h,
                w,
                q: &mut q,
                shift: &mut shift,
                penalty,
            });
            model.epochs += 1;
            if !model.accelerate {
                continue;
            }
            state[..n].copy_from_slice(&q);
            state[n] = shift;
            if let Some(candidate) = anderson.push([w, &state]) {
                let (cw, cq) = candidate.split_at(count);
                let value = |w: &[f64], q: &[f64], shift: f64| {
                    0.5 * energy_of(q, shift) + penalty.scan(features, w, &x).value
                };
                let feasible = cw.iter().zip(features).all(|(&c, &j)| penalty.allows(c, j));
                if feasible && value(cw, &cq[..n], cq[n]) < value(w, &q, shift) {
                    w.copy_from_slice(cw);
                    q.copy_from_slice(&cq[..n]);
                    shift = cq[n];
                }
            }
        }
        let energy = energy_of(&q, shift);
        design.dots(cols, &q, &mut x);
        for (x, mean) in x.iter_mut().zip(&mean) {
            *x += shift * total * mean;
        }
        if model.done(penalty, features, w, &x, energy) {
            return;
        }
    }
}

/// Curvature and mean of a column; a column that is constant up to rounding has no curvature.
fn centre(m: &Moments, total: f64, intercept: bool) -> (f64, f64) {
    if !intercept {
        return (m.second, 0.0);
    }
    let mean = m.first / total;
    let curvature = m.second - total * mean * mean;
    (if curvature <= 1e-13 * m.second { 0.0 } else { curvature }, mean)
}
