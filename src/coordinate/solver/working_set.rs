//! The features that are worked on, and what is kept of their columns from step to step.

use super::compact::Compact;
use super::gram::Gram;
use super::packed::Packed;
use crate::coordinate::design::Design;

/// A set of features that grows until the weights of the samples change.
#[derive(Debug, Default)]
pub struct WorkingSet {
    /// Features, in the order of their arrival.
    pub(crate) cols: Vec<usize>,
    /// Weights of the samples.
    pub(crate) h: Vec<f64>,
    roots: Vec<f64>,
    total: f64,
    /// Weighted means, zero without intercept.
    pub(crate) mean: Vec<f64>,
    /// Inner products in double precision, from the matrix itself: for penalties whose solution
    /// depends on every bit, and where single precision made no progress.
    pub(crate) exact: bool,
    pub(super) packed: Packed,
    pub(super) compact: Compact,
    pub(crate) gram: Gram,
}

impl WorkingSet {
    /// Forgets everything and takes new weights.
    pub(crate) fn reset(&mut self, h: &[f64]) {
        self.cols.clear();
        self.mean.clear();
        self.h.clear();
        self.h.extend_from_slice(h);
        self.roots.clear();
        self.roots.extend(h.iter().map(|h| h.sqrt()));
        self.total = h.iter().sum();
        self.packed.clear();
        self.compact.clear();
        self.gram.clear();
    }

    /// From now on in double precision.
    pub(crate) fn start_over_exactly(&mut self) {
        if !std::mem::replace(&mut self.exact, true) {
            let h = std::mem::take(&mut self.h);
            self.reset(&h);
        }
    }

    /// Adds columns, to be centred by their weighted means where asked.
    pub(crate) fn extend(&mut self, design: &dyn Design, new: &[usize], centre: bool) {
        self.cols.extend_from_slice(new);
        let old = self.mean.len();
        self.mean.resize(self.cols.len(), 0.0);
        if centre {
            design.dots(new, &self.h, &mut self.mean[old..]);
            self.mean[old..].iter_mut().for_each(|mean| *mean /= self.total);
        }
    }

    /// Brings the copies of the columns up to date; dense ones are only copied in single precision.
    pub(crate) fn copy(&mut self, design: &dyn Design) {
        let (roots, mean) = (&self.roots, &self.mean);
        if design.stored(&[]).is_some() {
            let old = self.compact.curvature.len();
            self.compact.extend(design, &self.cols[old..], &mean[old..], roots, self.total);
        } else if !self.exact {
            let old = self.packed.count();
            self.packed.extend(design, &self.cols[old..], &mean[old..], roots);
        }
    }

    /// Brings the inner products up to date.
    pub(crate) fn multiply(&mut self, design: &dyn Design) {
        self.copy(design);
        let old = self.gram.grow(self.cols.len());
        if old == self.cols.len() {
            return;
        }
        if design.stored(&[]).is_some() {
            self.gram.add_sparse(&self.compact.columns(), old, &self.mean, self.total);
        } else if self.exact {
            self.gram.add_dense(design, &self.cols, old, &self.mean, &self.roots);
        } else {
            self.gram.add_packed(&self.packed, old);
        }
        self.gram.finish(old, |k| 1e-13 * self.total * self.mean[k] * self.mean[k]);
    }
}
