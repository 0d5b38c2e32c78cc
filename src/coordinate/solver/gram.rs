//! Inner products of the columns of a growing working set, and coordinate steps on them.
//!
//! A step costs the size of the set instead of the number of samples, and nothing at all for a
//! coefficient that stays at zero.

use super::anderson::Anderson;
use super::model::Model;
use super::newton::newton;
use super::packed::Packed;
use crate::coordinate::design::Design;
use crate::coordinate::penalty::{Descent, Penalty, subtract};
use crate::engine::gemm::Matrix;
use crate::engine::sparse::Columns as Sparse;
use crate::engine::threads;
use crate::linalg::syrk;

/// Rows that are packed at once: a tile of columns stays in the first-level cache. Not a power of
/// two, lest all columns compete for the same cache lines.
const CHUNK: usize = 488;
/// Rows of inner products of sparse columns that one task computes.
const ROWS: usize = 16;
/// Inner products that one task copies.
const COPIES: usize = 1 << 16;

/// `X' H X` for the columns of a working set, centred by their weighted means where asked.
#[derive(Debug, Default)]
pub struct Gram {
    values: Vec<f64>,
    stride: usize,
    count: usize,
}

impl Gram {
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Makes room for `count` columns and returns how many were there.
    pub(super) fn grow(&mut self, count: usize) -> usize {
        let old = std::mem::replace(&mut self.count, count);
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
        old
    }

    /// Inner products of the column at position `k` with all the others.
    pub(crate) fn row(&self, k: usize) -> &[f64] {
        &self.values[k * self.stride..k * self.stride + self.count]
    }

    pub(super) fn add_packed(&mut self, packed: &Packed, old: usize) {
        packed.multiply(old, &mut self.values[old * self.stride..], self.stride);
    }

    pub(super) fn add_dense(
        &mut self,
        design: &dyn Design,
        cols: &[usize],
        old: usize,
        means: &[f64],
        roots: &[f64],
    ) {
        let (n, count, stride) = (design.rows(), self.count, self.stride);
        let mut packed = vec![0.0; count * CHUNK.min(n)];
        for start in (0..n).step_by(CHUNK) {
            let rows = start..(start + CHUNK).min(n);
            let (len, roots) = (rows.len(), &roots[rows.clone()]);
            let data = &mut packed[..count * len];
            design.pack(cols, rows, data);
            for (column, &mean) in data.chunks_exact_mut(len).zip(means) {
                for (x, root) in column.iter_mut().zip(roots) {
                    *x = (*x - mean) * root;
                }
            }
            let out = &mut self.values[old * stride..];
            syrk::accumulate_lower(Matrix::new(data, count, len), old, out, stride);
        }
    }

    /// The columns are scaled by the roots of the weights, but not centred.
    pub(super) fn add_sparse(
        &mut self,
        columns: &Sparse<'_, f64, i64>,
        old: usize,
        means: &[f64],
        total: f64,
    ) {
        let (stride, count) = (self.stride, self.count);
        let rows = &mut self.values[old * stride..count * stride];
        threads::for_each_chunk(rows, ROWS * stride, |task, out| {
            let mut scratch = vec![0.0; columns.rows()];
            for (r, row) in out.chunks_exact_mut(stride).enumerate() {
                let i = old + task * ROWS + r;
                columns.axpy(i, 1.0, None, &mut scratch);
                for (j, value) in row[..=i].iter_mut().enumerate() {
                    *value = columns.dot(j, &scratch) - total * means[i] * means[j];
                }
                columns.column(i).for_each(|(row, _)| scratch[row] = 0.0);
            }
        });
    }

    /// Completes the rows from `old` on. A column that is constant up to rounding is noise once it
    /// is centred: below `least` it has no curvature, and gets no step.
    pub(super) fn finish(&mut self, old: usize, least: impl Fn(usize) -> f64) {
        for i in old..self.count {
            let diagonal = &mut self.values[i * self.stride + i];
            if *diagonal <= least(i) {
                *diagonal = 0.0;
            }
            for j in 0..i {
                self.values[j * self.stride + i] = self.values[i * self.stride + j];
            }
        }
    }

    /// Minimises the model over the coefficients `w` at the positions `all` of the features `cols`;
    /// `q` is minus its gradient, at every position.
    pub(crate) fn minimise(
        &self,
        penalty: &dyn Penalty,
        cols: &[usize],
        all: &[usize],
        w: &mut [f64],
        q: &mut [f64],
        model: &mut Model<'_>,
    ) {
        let count = self.count;
        let (w0, q0, energy) = (w.to_vec(), q.to_vec(), model.energy);
        // Exact for a quadratic: no sum of small changes to drift.
        let energy_at = |w: &[f64], q: &[f64]| {
            let moved: f64 = (0..count).map(|k| (w[k] - w0[k]) * (q0[k] + q[k])).sum();
            (energy - moved).max(0.0)
        };
        let features: Vec<usize> = all.iter().map(|&k| cols[k]).collect();
        let mut order = Vec::new();
        let mut support = Vec::new();
        let mut compact = Vec::new();
        let mut round = 0;
        loop {
            model.arrange(all, &mut order);
            let (gram, stride) = (&self.values[..], self.stride);
            let order = &order[..];
            penalty.descend(Descent { order, cols, gram, stride, w, q, greedy: model.greedy() });
            model.epochs += 1;
            let now: Vec<usize> = all.iter().copied().filter(|&k| w[k] != 0.0).collect();
            if now != support {
                support = now;
                self.copy(&support, &mut compact);
            }
            self.minimise_support(penalty, cols, &support, &compact, w, q, model, round > 0);
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
        let count = support.len();
        let rows = COPIES / count.max(1) + 1;
        out.resize(count * count, 0.0);
        threads::for_each_chunk(out, rows * count.max(1), |task, out| {
            for (out, &k) in out.chunks_exact_mut(count).zip(&support[task * rows..]) {
                let row = &self.values[k * self.stride..(k + 1) * self.stride];
                out.iter_mut().zip(support).for_each(|(out, &j)| *out = row[j]);
            }
        });
    }

    /// Accelerated passes over the support alone; brings `q` up to date at all positions.
    #[allow(clippy::too_many_arguments)]
    fn minimise_support(
        &self,
        penalty: &dyn Penalty,
        features: &[usize],
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
        let cols: Vec<usize> = support.iter().map(|&k| features[k]).collect();
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
            let (w, q, greedy) = (&mut ws[..], &mut qs[..], model.greedy());
            let largest = penalty.descend(Descent { order, cols, gram, stride, w, q, greedy });
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
}
