//! Columns of a dense working set in single precision, centred and scaled by the roots of the
//! weights: half the traffic, and no product with the weights in the inner loops.
//!
//! Only changes of coefficients are multiplied by them, so what rounding spoils is a small part of
//! one step, and the next pass over all features, in double precision, makes up for it.

use crate::coordinate::design::Design;
use crate::engine::gemm::Matrix;
use crate::engine::threads;
use crate::linalg::quad::{self, WIDTH};
use crate::linalg::syrk;

/// Columns that one task packs.
const COLS: usize = 64;
/// Rows that are packed at once.
const CHUNK: usize = 31 * LINE;
/// Entries in a cache line; columns are filled up with zeros to a multiple, so that vectors need no
/// remainder.
const LINE: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Packed {
    data: Vec<f32>,
    /// Length of a column, zeros included.
    len: usize,
    /// Distance of two columns: an odd number of cache lines, lest all compete for the same ones.
    stride: usize,
    count: usize,
    /// Inner products inside each four neighbouring columns.
    products: Vec<[[f64; WIDTH]; WIDTH]>,
}

impl Packed {
    pub fn clear(&mut self) {
        self.data.clear();
        self.products.clear();
        self.count = 0;
    }

    /// Appends the columns `new`; `roots` are the square roots of the weights.
    pub fn extend(&mut self, design: &dyn Design, new: &[usize], means: &[f64], roots: &[f64]) {
        if new.is_empty() {
            return;
        }
        let n = roots.len();
        self.len = n.next_multiple_of(LINE);
        self.stride = (n.div_ceil(LINE) | 1) * LINE;
        let (old, stride) = (self.count, self.stride);
        self.count += new.len();
        self.products.truncate(old / WIDTH);
        self.data.resize(self.count * stride, 0.0);
        threads::for_each_chunk(&mut self.data[old * stride..], COLS * stride, |block, out| {
            let range = block * COLS..new.len().min((block + 1) * COLS);
            let (cols, means) = (&new[range.clone()], &means[range]);
            let mut buffer = vec![0.0; cols.len() * CHUNK.min(n)];
            for start in (0..n).step_by(CHUNK) {
                let rows = start..n.min(start + CHUNK);
                let (len, roots) = (rows.len(), &roots[rows.clone()]);
                let buffer = &mut buffer[..cols.len() * len];
                design.pack(cols, rows, buffer);
                for (k, column) in buffer.chunks_exact(len).enumerate() {
                    let out = &mut out[k * stride + start..][..len];
                    for ((out, x), root) in out.iter_mut().zip(column).zip(roots) {
                        *out = ((x - means[k]) * root) as f32;
                    }
                }
            }
        });
    }

    /// Number of columns.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Length of a column.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The column at position `k`.
    pub fn column(&self, k: usize) -> &[f32] {
        &self.data[k * self.stride..][..self.len]
    }

    /// The four columns from `4 block` on; the last one repeats where there are fewer.
    pub fn four(&self, block: usize) -> [&[f32]; WIDTH] {
        std::array::from_fn(|t| self.column((block * WIDTH + t).min(self.count - 1)))
    }

    /// Inner products inside block `block`, once [`Self::prepare`] was called.
    pub fn products(&self, block: usize) -> &[[f64; WIDTH]; WIDTH] {
        &self.products[block]
    }

    /// Brings the inner products inside the blocks up to date.
    pub fn prepare(&mut self) {
        let known = self.products.len();
        let mut new = vec![[[0.0; WIDTH]; WIDTH]; self.count.div_ceil(WIDTH) - known];
        threads::for_each_chunk(&mut new, COLS / WIDTH, |task, out| {
            for (i, out) in out.iter_mut().enumerate() {
                let x = self.four(known + task * (COLS / WIDTH) + i);
                for t in 0..WIDTH {
                    let row = quad::dots(x, x[t]);
                    out[t] = row;
                }
            }
        });
        self.products.append(&mut new);
    }

    /// Adds the inner products of the columns from `old` on to `out`, lower triangle.
    pub fn multiply(&self, old: usize, out: &mut [f64], stride: usize) {
        let columns = Matrix::strided(&self.data, self.count, self.len, self.stride);
        syrk::accumulate_lower(columns, old, out, stride);
    }
}
