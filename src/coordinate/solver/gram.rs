//! Inner products of the columns of a growing working set, and coordinate steps on them.
//!
//! A step costs the size of the set instead of the number of samples, and nothing at all for a
//! coefficient that stays at zero.

use super::anderson::Anderson;
use super::residual::Model;
use crate::coordinate::design::Design;
use crate::coordinate::penalty::{Descent, Penalty, subtract};
use crate::linalg::{chol, syrk};

/// Rows that are packed at once: a tile of columns stays in the first-level cache. Not a power of
/// two, lest all columns compete for the same cache lines.
const CHUNK: usize = 488;

/// `X' H X` for the columns in `cols`, centred by their weighted means where asked.
#[derive(Debug, Default)]
pub struct Gram {
    /// Features, in the order of their arrival.
    pub(crate) cols: Vec<usize>,
    pub(crate) h: Vec<f64>,
    /// Weighted means, zero without intercept.
    pub(crate) mean: Vec<f64>,
    values: Vec<f64>,
    stride: usize,
    /// Whether f32 products are exact enough: for a model that a line search corrects they are.
    pub(crate) single: bool,
}

impl Gram {
    /// Forgets everything and takes new weights.
    pub(crate) fn reset(&mut self, h: &[f64]) {
        self.cols.clear();
        self.mean.clear();
        self.h.clear();
        self.h.extend_from_slice(h);
    }

    /// Adds columns; `roots` are the square roots of the weights.
    pub(crate) fn extend(&mut self, design: &dyn Design, new: &[usize], centre: bool) {
        let old = self.cols.len();
        self.cols.extend_from_slice(new);
        let count = self.cols.len();
        self.reserve(count, old);
        let total: f64 = self.h.iter().sum();
        if centre {
            let mut sums = vec![0.0; new.len()];
            design.dots(new, &self.h, &mut sums);
            self.mean.extend(sums.iter().map(|s| s / total));
        } else {
            self.mean.resize(count, 0.0);
        }
        if design.stored(new).is_some() {
            self.extend_sparse(design, old, total);
        } else {
            self.extend_dense(design, old);
        }
        for i in old..count {
            // A constant column is rounding noise once it is centred: no curvature, no step.
            let diagonal = &mut self.values[i * self.stride + i];
            if *diagonal <= 1e-13 * total * self.mean[i] * self.mean[i] {
                *diagonal = 0.0;
            }
            for j in 0..i {
                self.values[j * self.stride + i] = self.values[i * self.stride + j];
            }
        }
    }

    /// Inner products of the column at position `k` with all the others.
    pub(crate) fn row(&self, k: usize) -> &[f64] {
        &self.values[k * self.stride..k * self.stride + self.cols.len()]
    }

    fn reserve(&mut self, count: usize, old: usize) {
        if count > self.stride {
            let stride = (count + count / 4).next_multiple_of(8);
            let mut values = vec![0.0; stride * stride];
            for i in 0..old {
                values[i * stride..i * stride + old]
                    .copy_from_slice(&self.values[i * self.stride..i * self.stride + old]);
            }
            (self.values, self.stride) = (values, stride);
        } else {
            for i in old..count {
                self.values[i * self.stride..i * self.stride + count].fill(0.0);
            }
        }
    }

    fn extend_dense(&mut self, design: &dyn Design, old: usize) {
        let (n, count, stride) = (design.rows(), self.cols.len(), self.stride);
        let roots: Vec<f64> = self.h.iter().map(|h| h.sqrt()).collect();
        let mut packed = vec![0.0; count * CHUNK.min(n)];
        let mut single = Vec::new();
        for start in (0..n).step_by(CHUNK) {
            let rows = start..(start + CHUNK).min(n);
            let len = rows.len();
            let packed = &mut packed[..count * len];
            design.pack(&self.cols, rows.clone(), packed);
            for (column, &mean) in packed.chunks_exact_mut(len).zip(&self.mean) {
                for (x, root) in column.iter_mut().zip(&roots[rows.clone()]) {
                    *x = (*x - mean) * root;
                }
            }
            let out = &mut self.values[old * stride..];
            if self.single {
                single.clear();
                single.extend(packed.iter().map(|&x| x as f32));
                syrk::accumulate_lower(&single, len, old, out, stride);
            } else {
                syrk::accumulate_lower(packed, len, old, out, stride);
            }
        }
    }

    fn extend_sparse(&mut self, design: &dyn Design, old: usize, total: f64) {
        let mut scratch = vec![0.0; design.rows()];
        for i in old..self.cols.len() {
            let row = &mut self.values[i * self.stride..i * self.stride + i + 1];
            design.sparse_products(self.cols[i], &self.h, &self.cols[..=i], &mut scratch, row);
            for (value, mean) in row.iter_mut().zip(&self.mean) {
                *value -= total * self.mean[i] * mean;
            }
        }
    }

    /// Minimises the model over the coefficients `w` at the positions `all`; `q` is minus its
    /// gradient, at every position.
    pub(crate) fn minimise(
        &self,
        penalty: &dyn Penalty,
        all: &[usize],
        w: &mut [f64],
        q: &mut [f64],
        model: &mut Model<'_>,
    ) {
        let count = self.cols.len();
        let (w0, q0, energy) = (w.to_vec(), q.to_vec(), model.energy);
        // Exact for a quadratic: no sum of small changes to drift.
        let energy_at = |w: &[f64], q: &[f64]| {
            let moved: f64 = (0..count).map(|k| (w[k] - w0[k]) * (q0[k] + q[k])).sum();
            (energy - moved).max(0.0)
        };
        let features: Vec<usize> = all.iter().map(|&k| self.cols[k]).collect();
        let mut order = Vec::new();
        let mut support = Vec::new();
        let mut compact = Vec::new();
        let mut round = 0;
        loop {
            model.arrange(all, &mut order);
            self.pass(penalty, &order, w, q);
            model.epochs += 1;
            let now: Vec<usize> = all.iter().copied().filter(|&k| w[k] != 0.0).collect();
            if now != support {
                support = now;
                self.copy(&support, &mut compact);
            }
            self.minimise_support(penalty, &support, &compact, w, q, model, round > 0);
            round += 1;
            let pick = |values: &[f64]| all.iter().map(|&k| values[k]).collect::<Vec<_>>();
            let (pw, pq) = (pick(w), pick(q));
            if model.done(penalty, &features, &pw, &pq, energy_at(w, q)) {
                return;
            }
        }
    }

    /// The rows and columns `support`, without gaps: passes over the support then touch no others.
    fn copy(&self, support: &[usize], out: &mut Vec<f64>) {
        out.clear();
        for &k in support {
            let row = &self.values[k * self.stride..(k + 1) * self.stride];
            out.extend(support.iter().map(|&j| row[j]));
        }
    }

    /// Accelerated passes over the support alone; brings `q` up to date at all positions.
    #[allow(clippy::too_many_arguments)]
    fn minimise_support(
        &self,
        penalty: &dyn Penalty,
        support: &[usize],
        compact: &[f64],
        w: &mut [f64],
        q: &mut [f64],
        model: &mut Model<'_>,
        newton_too: bool,
    ) {
        let stride = support.len();
        if stride == 0 {
            return;
        }
        let cols: Vec<usize> = support.iter().map(|&k| self.cols[k]).collect();
        let w0: Vec<f64> = support.iter().map(|&k| w[k]).collect();
        let q0: Vec<f64> = support.iter().map(|&k| q[k]).collect();
        let (mut ws, mut qs) = (w0.clone(), q0.clone());
        // Twice the model's objective, up to a constant: exact, no sum of small changes to drift.
        let value = |w: &[f64], q: &[f64]| {
            let moved: f64 = (0..stride).map(|k| (w[k] - w0[k]) * (q0[k] + q[k])).sum();
            penalty.scan(&cols, w, q).value - 0.5 * moved
        };
        let all: Vec<usize> = (0..stride).collect();
        let mut order = Vec::new();
        let mut anderson = Anderson::default();
        anderson.push([&ws, &qs]);
        let mut first = 0.0;
        for pass in 0..model.inner {
            if model.exhausted() {
                break;
            }
            model.arrange(&all, &mut order);
            let (order, cols, gram) = (&order[..], &cols[..], compact);
            let largest =
                penalty.descend(Descent { order, cols, gram, stride, w: &mut ws, q: &mut qs });
            model.epochs += 1;
            if pass == 0 {
                first = largest;
            }
            if largest <= 1e-6 * first {
                break;
            }
            if !model.accelerate {
                continue;
            }
            if let Some(candidate) = anderson.push([&ws, &qs]) {
                let (cw, cq) = candidate.split_at(stride);
                let feasible = cw.iter().zip(cols).all(|(&c, &j)| penalty.allows(c, j));
                if feasible && value(cw, cq) < value(&ws, &qs) {
                    ws.copy_from_slice(cw);
                    qs.copy_from_slice(cq);
                }
            }
        }
        if newton_too && model.accelerate && penalty.convex() && !model.exhausted() {
            newton(penalty, &cols, compact, &mut ws, &mut qs, value);
        }
        for (i, &k) in support.iter().enumerate() {
            let d = ws[i] - w0[i];
            if d != 0.0 {
                w[k] = ws[i];
                let row = &self.values[k * self.stride..k * self.stride + q.len()];
                subtract(d, row, q);
            }
        }
    }

    fn pass(&self, penalty: &dyn Penalty, order: &[usize], w: &mut [f64], q: &mut [f64]) -> f64 {
        let (cols, gram, stride) = (&self.cols[..], &self.values[..], self.stride);
        penalty.descend(Descent { order, cols, gram, stride, w, q })
    }
}

/// A Newton step on the support: the exact minimiser when no sign changes. Coefficients that would
/// change theirs stop at zero; kept only if the objective falls.
fn newton(
    penalty: &dyn Penalty,
    cols: &[usize],
    gram: &[f64],
    w: &mut [f64],
    q: &mut [f64],
    value: impl Fn(&[f64], &[f64]) -> f64,
) {
    let count = w.len();
    let (mut factor, mut d) = (gram.to_vec(), q.to_vec());
    for k in 0..count {
        if w[k] == 0.0 {
            // Left the support during the passes: keep it out.
            factor[k * count..(k + 1) * count].fill(0.0);
            (0..count).for_each(|i| factor[i * count + k] = 0.0);
            (factor[k * count + k], d[k]) = (1.0, 0.0);
            continue;
        }
        let Some((slope, bend)) = penalty.smooth_at(w[k], cols[k]) else { return };
        factor[k * count + k] += bend;
        d[k] -= slope;
    }
    if !chol::factor(&mut factor, count) {
        return;
    }
    chol::solve(&factor, count, &mut d);
    let mut to: Vec<f64> = w.iter().zip(&d).map(|(w, d)| w + d).collect();
    for (to, &w) in to.iter_mut().zip(&*w) {
        if *to * w < 0.0 {
            *to = 0.0;
        }
    }
    if !to.iter().zip(cols).all(|(&to, &j)| penalty.allows(to, j)) {
        return;
    }
    let mut gradient = q.to_vec();
    for (k, row) in gram.chunks_exact(count).enumerate() {
        if to[k] != w[k] {
            subtract(to[k] - w[k], row, &mut gradient);
        }
    }
    if value(&to, &gradient) < value(w, q) {
        w.copy_from_slice(&to);
        q.copy_from_slice(&gradient);
    }
}
