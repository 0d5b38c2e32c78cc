//! Matrix products, by the `matrixmultiply` crate.

use super::real::Float;
use super::tensor::Dtype;
use super::threads;
use std::ops::Range;

/// A row-major matrix, or the transpose of one.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, F> {
    data: &'a [F],
    shape: [usize; 2],
    strides: [isize; 2],
}

impl<'a, F> Matrix<'a, F> {
    /// `rows` by `columns` elements, row after row.
    ///
    /// # Panics
    /// If `data` has another length.
    pub fn new(data: &'a [F], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns);
        Self { data, shape: [rows, columns], strides: [columns as isize, 1] }
    }

    /// Rows of `columns` elements that start `stride` apart.
    ///
    /// # Panics
    /// If `data` is too short, or rows overlap.
    pub fn strided(data: &'a [F], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride && (rows == 0 || data.len() >= (rows - 1) * stride + columns));
        Self { data, shape: [rows, columns], strides: [stride as isize, 1] }
    }

    /// Rows `rows` of columns `columns`, without moving anything.
    ///
    /// # Panics
    /// If there are no such rows or columns.
    pub fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.shape[0] && columns.end <= self.shape[1]);
        let [down, right] = self.strides.map(|stride| stride as usize);
        let first = rows.start * down + columns.start * right;
        let shape = [rows.len(), columns.len()];
        Self { data: &self.data[first.min(self.data.len())..], shape, strides: self.strides }
    }

    /// Numbers of rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// The transpose, without moving anything.
    pub fn transpose(self) -> Self {
        let ([rows, columns], [down, right]) = (self.shape, self.strides);
        Self { data: self.data, shape: [columns, rows], strides: [right, down] }
    }
}

/// Rows of the product that one task computes, at least and at most: each task packs all of `b`.
const ROWS: [usize; 2] = [128, 1024];

/// `c = alpha a b + beta c`, `c` row-major. How rows are shared out changes no bit of them.
///
/// # Panics
/// If shapes do not fit.
pub fn gemm<F: Float>(alpha: f64, a: Matrix<'_, F>, b: Matrix<'_, F>, beta: f64, c: &mut [F]) {
    let ([m, k], [_, n]) = (a.shape, b.shape);
    assert_eq!(c.len(), m * n, "shapes of a product");
    if n == 0 {
        return;
    }
    let rows = m.div_ceil(4 * threads::count()).clamp(ROWS[0], ROWS[1]);
    threads::for_each_chunk(c, rows * n, |block, c| {
        let first = block * rows;
        serial(alpha, a.part(first..first + c.len() / n, 0..k), b, beta, c);
    });
}

/// [`gemm`] on this thread.
///
/// # Panics
/// If shapes do not fit.
pub fn serial<F: Float>(alpha: f64, a: Matrix<'_, F>, b: Matrix<'_, F>, beta: f64, c: &mut [F]) {
    let ([m, k], [k2, n]) = (a.shape, b.shape);
    assert!(k == k2 && c.len() == m * n, "shapes of a product");
    // SAFETY: strides keep every element of `a` and `b` inside its slice; `c` is exclusive, contiguous,
    // and of the product's size. The type is the one that `DTYPE` names.
    unsafe {
        if F::DTYPE == Dtype::F32 {
            matrixmultiply::sgemm(
                m,
                k,
                n,
                alpha as f32,
                a.data.as_ptr().cast(),
                a.strides[0],
                a.strides[1],
                b.data.as_ptr().cast(),
                b.strides[0],
                b.strides[1],
                beta as f32,
                c.as_mut_ptr().cast(),
                n as isize,
                1,
            );
        } else {
            matrixmultiply::dgemm(
                m,
                k,
                n,
                alpha,
                a.data.as_ptr().cast(),
                a.strides[0],
                a.strides[1],
                b.data.as_ptr().cast(),
                b.strides[0],
                b.strides[1],
                beta,
                c.as_mut_ptr().cast(),
                n as isize,
                1,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_the_definition_for_transposes_and_several_tasks() {
        let (m, k, n) = (300, 7, 5);
        let a: Vec<f64> = (0..m * k).map(|i| (i as f64 * 0.7).sin()).collect();
        let b: Vec<f64> = (0..k * n).map(|i| (i as f64 * 0.3).cos()).collect();
        let mut c = vec![1.0; m * n];
        gemm(2.0, Matrix::new(&a, m, k), Matrix::strided(&b, n, k, k).transpose(), 0.5, &mut c);
        for i in 0..m {
            for j in 0..n {
                let dot: f64 = (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum();
                assert!((c[i * n + j] - (2.0 * dot + 0.5)).abs() < 1e-12);
            }
        }
        let mut part = vec![0.0; 2 * 3];
        let (left, right) = (Matrix::new(&a, m, k), Matrix::new(&a, m, k).transpose());
        gemm(1.0, left.part(4..6, 1..7), right.part(1..7, 0..3), 0.0, &mut part);
        for (t, x) in part.iter().enumerate() {
            let (i, j) = (4 + t / 3, t % 3);
            let dot: f64 = (1..k).map(|l| a[i * k + l] * a[j * k + l]).sum();
            assert!((x - dot).abs() < 1e-12);
        }
    }
}
