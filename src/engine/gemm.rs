//! Matrix products, by the `matrixmultiply` crate.

use super::real::Float;
use super::tensor::Dtype;
use super::threads;

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

    /// The transpose, without moving anything.
    pub fn transpose(self) -> Self {
        let ([rows, columns], [down, right]) = (self.shape, self.strides);
        Self { data: self.data, shape: [columns, rows], strides: [right, down] }
    }
}

/// Rows of the product that one task computes.
const ROWS: usize = 128;

/// `c = alpha a b + beta c`, `c` row-major.
///
/// # Panics
/// If shapes do not fit.
pub fn gemm<F: Float>(alpha: f64, a: Matrix<'_, F>, b: Matrix<'_, F>, beta: f64, c: &mut [F]) {
    let ([m, k], [k2, n]) = (a.shape, b.shape);
    assert!(k == k2 && c.len() == m * n, "shapes of a product");
    if n == 0 {
        return;
    }
    let (alpha, beta) = (F::from_f64(alpha), F::from_f64(beta));
    threads::for_each_chunk(c, ROWS * n, |block, c| {
        let first = block * ROWS;
        // SAFETY: `a` has rows `first..first + c.len() / n`, `b` is whole, `c` is exclusive and
        // contiguous, and strides keep every element of `a` and `b` inside its slice.
        unsafe {
            let a_data = a.data.as_ptr().offset(first as isize * a.strides[0]);
            let size = (c.len() / n, k, n);
            if F::DTYPE == Dtype::F32 {
                matrixmultiply::sgemm(
                    size.0,
                    size.1,
                    size.2,
                    alpha.to_f64() as f32,
                    a_data.cast(),
                    a.strides[0],
                    a.strides[1],
                    b.data.as_ptr().cast(),
                    b.strides[0],
                    b.strides[1],
                    beta.to_f64() as f32,
                    c.as_mut_ptr().cast(),
                    n as isize,
                    1,
                );
            } else {
                matrixmultiply::dgemm(
                    size.0,
                    size.1,
                    size.2,
                    alpha.to_f64(),
                    a_data.cast(),
                    a.strides[0],
                    a.strides[1],
                    b.data.as_ptr().cast(),
                    b.strides[0],
                    b.strides[1],
                    beta.to_f64(),
                    c.as_mut_ptr().cast(),
                    n as isize,
                    1,
                );
            }
        }
    });
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
    }
}
