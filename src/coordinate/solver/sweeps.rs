//! Coordinate steps on copied columns, scaled by the roots of the weights: what is kept is the
//! change of the fit, `u = X~ (w - w0)`.
//!
//! Gradients are those at the start, in double precision, less `X~' u`: rounding is relative to the
//! change alone. Passes over the support come between those over the whole set.

use super::anderson::Anderson;
use super::compact::Compact;
use super::model::Model;
use super::packed::Packed;
use super::working_set::WorkingSet;
use crate::coordinate::penalty::Penalty;
use crate::engine::real::Float;
use crate::engine::reduce;
use crate::engine::sparse::Columns;
use crate::engine::threads;
use crate::linalg::quad::{self, WIDTH};

/// Passes over the support between two over the whole set.
const INNER: usize = 5;
/// Such rounds without a look at the gap, at most.
const BLIND: usize = 4;
/// Gradients that one task computes.
const BLOCK: usize = 512;

/// The change of the fit; with an intercept, up to a constant `shift`.
struct Fit<F> {
    u: Vec<F>,
    shift: f64,
}

/// What one pass works on.
struct Pass<'a, F> {
    /// Positions to visit, and whether they ascend.
    order: &'a [usize],
    ascending: bool,
    features: &'a [usize],
    /// Minus the gradients at the start.
    start: &'a [f64],
    w: &'a mut [f64],
    fit: &'a mut Fit<F>,
    penalty: &'a dyn Penalty,
}

impl<F> Pass<'_, F> {
    /// Moves the coefficient at position `k` given minus its gradient; returns the change.
    #[inline(always)]
    fn step(&mut self, k: usize, x: f64, curvature: f64) -> f64 {
        let old = self.w[k];
        let step = 1.0 / curvature;
        let new = self.penalty.prox(old + x * step, step, self.features[k]);
        self.w[k] = new;
        new - old
    }
}

/// Copied columns.
trait Copied: Sync {
    type Entry: Float;
    /// One pass; returns a lower bound on the decrease.
    fn pass(&self, pass: Pass<'_, Self::Entry>) -> f64;
    /// `out[i] = x_k . u` for the positions `k` from `first` on.
    fn products(&self, first: usize, fit: &Fit<Self::Entry>, out: &mut [f64]);
    /// `d' X~' X~ d` for the change `d` that led to `fit`.
    fn square(&self, fit: &Fit<Self::Entry>) -> f64;
}

impl Copied for Packed {
    type Entry = f32;

    fn pass(&self, mut pass: Pass<'_, f32>) -> f64 {
        let (mut fall, mut next) = (0.0, 0);
        while next < pass.order.len() {
            let block = pass.order[next] / WIDTH;
            let mut last = next + 1;
            while pass.ascending && last < pass.order.len() && pass.order[last] / WIDTH == block {
                last += 1;
            }
            let (x, products) = (self.four(block), self.products(block));
            let dots = quad::dots(x, &pass.fit.u);
            let mut d = [0.0; WIDTH];
            for &k in &pass.order[next..last] {
                let (t, curvature) = (k % WIDTH, products[k % WIDTH][k % WIDTH]);
                if curvature > 0.0 {
                    let moved: f64 = products[t].iter().zip(&d).map(|(g, d)| g * d).sum();
                    d[t] = pass.step(k, pass.start[k] - dots[t] - moved, curvature);
                    fall += 0.5 * curvature * d[t] * d[t];
                }
            }
            if d != [0.0; WIDTH] {
                quad::add(d, x, &mut pass.fit.u);
            }
            next = last;
        }
        fall
    }

    fn products(&self, first: usize, fit: &Fit<f32>, out: &mut [f64]) {
        for (i, out) in out.chunks_mut(WIDTH).enumerate() {
            let dots = quad::dots(self.four(first / WIDTH + i), &fit.u);
            out.copy_from_slice(&dots[..out.len()]);
        }
    }

    fn square(&self, fit: &Fit<f32>) -> f64 {
        reduce::sum_of_squares(&fit.u)
    }
}

/// Sparse columns with what centring them takes.
struct Centred<'a> {
    columns: Columns<'a, f64, i64>,
    curvature: &'a [f64],
    mean: &'a [f64],
    total: f64,
}

impl Centred<'_> {
    #[inline(always)]
    fn product(&self, k: usize, fit: &Fit<f64>) -> f64 {
        self.columns.dot(k, &fit.u) - fit.shift * self.total * self.mean[k]
    }
}

impl Copied for Centred<'_> {
    type Entry = f64;

    fn pass(&self, mut pass: Pass<'_, f64>) -> f64 {
        let mut fall = 0.0;
        for &k in pass.order {
            let curvature = self.curvature[k];
            if curvature <= 0.0 {
                continue;
            }
            let d = pass.step(k, pass.start[k] - self.product(k, pass.fit), curvature);
            if d != 0.0 {
                self.columns.axpy(k, d, None, &mut pass.fit.u);
                pass.fit.shift += d * self.mean[k];
                fall += 0.5 * curvature * d * d;
            }
        }
        fall
    }

    fn products(&self, first: usize, fit: &Fit<f64>, out: &mut [f64]) {
        out.iter_mut().enumerate().for_each(|(i, out)| *out = self.product(first + i, fit));
    }

    fn square(&self, fit: &Fit<f64>) -> f64 {
        reduce::sum_of_squares(&fit.u) - self.total * fit.shift * fit.shift
    }
}

/// Minimises the model over the coefficients `w` at the positions `all` of the set; `x` is minus
/// its gradient at every position, before and after. Gives up after `most` passes and returns false.
#[allow(clippy::too_many_arguments)]
pub(super) fn minimise(
    set: &mut WorkingSet,
    sparse: bool,
    penalty: &dyn Penalty,
    all: &[usize],
    w: &mut [f64],
    x: &mut [f64],
    model: &mut Model<'_>,
    most: usize,
) -> bool {
    if !sparse {
        set.packed.prepare();
        return run(&set.packed, set.packed.len(), penalty, &set.cols, all, w, x, model, most);
    }
    let Compact { curvature, .. } = &set.compact;
    let (columns, mean, total) = (set.compact.columns(), &set.mean[..], set.h.iter().sum());
    let centred = Centred { columns, curvature, mean, total };
    run(&centred, set.h.len(), penalty, &set.cols, all, w, x, model, most)
}

#[allow(clippy::too_many_arguments)]
fn run<C: Copied>(
    columns: &C,
    rows: usize,
    penalty: &dyn Penalty,
    features: &[usize],
    all: &[usize],
    w: &mut [f64],
    x: &mut [f64],
    model: &mut Model<'_>,
    most: usize,
) -> bool {
    let (w0, start, energy) = (w.to_vec(), x.to_vec(), model.energy);
    let mut fit = Fit { u: vec![C::Entry::default(); rows], shift: 0.0 };
    let value = |w: &[f64], fit: &Fit<C::Entry>| {
        let moved: f64 = all.iter().map(|&k| (w[k] - w0[k]) * start[k]).sum();
        let cost: f64 = all.iter().map(|&k| penalty.value(w[k], features[k])).sum();
        0.5 * columns.square(fit) - moved + cost
    };
    let ascending = model.ascending();
    let (mut order, mut anderson) = (Vec::new(), Anderson::default());
    let mut pass = |positions: &[usize], w: &mut [f64], fit: &mut Fit<_>, model: &mut Model<'_>| {
        model.arrange(positions, &mut order);
        model.epochs += 1;
        let (order, start) = (&order[..], &start[..]);
        columns.pass(Pass { order, ascending, features, start, w, fit, penalty })
    };
    let names: Vec<usize> = all.iter().map(|&k| features[k]).collect();
    let first = model.epochs;
    let mut fall = pass(all, w, &mut fit, model);
    for round in 1.. {
        let support: Vec<usize> = all.iter().copied().filter(|&k| w[k] != 0.0).collect();
        for _ in 0..INNER {
            if fall <= 0.1 * model.tol() || model.exhausted() {
                break;
            }
            fall = pass(&support, w, &mut fit, model);
            if !model.accelerate {
                continue;
            }
            let mut state: Vec<f64> = fit.u.iter().map(|u| u.to_f64()).collect();
            state.push(fit.shift);
            if let Some(candidate) = anderson.push([w, &state]) {
                let (cw, cu) = candidate.split_at(w.len());
                let u = cu[..rows].iter().map(|u| C::Entry::from_f64(*u)).collect();
                let other = Fit { u, shift: cu[rows] };
                let feasible = all.iter().all(|&k| penalty.allows(cw[k], features[k]));
                if feasible && value(cw, &other) < value(w, &fit) {
                    w.copy_from_slice(cw);
                    fit = other;
                }
            }
        }
        fall = pass(all, w, &mut fit, model);
        let over = model.exhausted() || model.epochs - first >= most;
        if fall > model.tol() && round % BLIND != 0 && !over {
            continue;
        }
        threads::for_each_chunk(x, BLOCK, |block, x| {
            columns.products(block * BLOCK, &fit, x);
            x.iter_mut().zip(&start[block * BLOCK..]).for_each(|(x, start)| *x = start - *x);
        });
        let pick = |values: &[f64]| all.iter().map(|&k| values[k]).collect::<Vec<f64>>();
        let (pw, px) = (pick(w), pick(x));
        let moved: f64 = all.iter().map(|&k| (w[k] - w0[k]) * (start[k] + x[k])).sum();
        if model.done(penalty, &names, &pw, &px, (energy - moved).max(0.0)) {
            return true;
        }
        if over {
            model.energy = (energy - moved).max(0.0);
            return false;
        }
    }
    unreachable!("the loop ends by returning")
}
