//! Newton-Schulz iteration towards the orthogonal factor of a matrix.
//!
//! Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
//!
//!   X = U / max(||U||_F, eps), fewer rows than columns (else work on the transpose)
//!   repeat: A = X X^T;  X = a X + (b A + c A A) X
//!
//! With Muon's coefficients it does not converge to the factor: singular values end in about
//! [0.68, 1.20], which is all the method asks for. Computed in the precision of the input.

use crate::engine::gemm::{Matrix, gemm};
use crate::engine::real::Float;
use crate::engine::reduce;

/// The iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewtonSchulz {
    /// Coefficients (a, b, c) of the odd quintic polynomial.
    pub coefficients: [f64; 3],
    /// Iterations.
    pub steps: usize,
    /// Least norm that the matrix is divided by.
    pub eps: f64,
}

impl NewtonSchulz {
    /// Replaces `data`, `rows` by `columns` in row-major order, by its (nearly) orthogonal factor.
    ///
    /// # Panics
    /// If `data` has another length.
    pub fn run<F: Float>(&self, data: &mut [F], rows: usize, columns: usize) {
        let scale = 1.0 / reduce::sum_of_squares(data).sqrt().max(self.eps);
        data.iter_mut().for_each(|x| *x = F::from_f64(x.to_f64() * scale));
        let tall = rows > columns;
        let side = rows.min(columns);
        let mut a = vec![F::default(); side * side];
        let mut b = vec![F::default(); side * side];
        let mut next = data.to_vec();
        let [first, second, third] = self.coefficients;
        for _ in 0..self.steps {
            let x = Matrix::new(data, rows, columns);
            // A tall matrix stays as it lies: A = X^T X and X (b A + c A A) are the transposed step.
            let (left, right) = if tall { (x.transpose(), x) } else { (x, x.transpose()) };
            gemm(1.0, left, right, 0.0, &mut a);
            let square = Matrix::new(&a, side, side);
            b.copy_from_slice(&a);
            gemm(third, square, square, second, &mut b);
            let factor = Matrix::new(&b, side, side);
            next.copy_from_slice(data);
            let (left, right) = if tall { (x, factor) } else { (factor, x) };
            gemm(1.0, left, right, first, &mut next);
            data.copy_from_slice(&next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUON: NewtonSchulz =
        NewtonSchulz { coefficients: [3.4445, -4.7750, 2.0315], steps: 5, eps: 1e-7 };

    #[test]
    fn the_polynomial_acts_on_the_singular_values_of_a_diagonal_matrix() {
        let (rows, columns) = (3, 5);
        let singular = [3.0, 0.4, 0.02];
        let norm = singular.iter().map(|s| s * s).sum::<f64>().sqrt();
        let mut data = vec![0.0; rows * columns];
        (0..rows).for_each(|i| data[i * columns + i] = singular[i]);
        MUON.run(&mut data, rows, columns);
        for i in 0..rows {
            let [a, b, c] = MUON.coefficients;
            let mut s = singular[i] / norm;
            (0..5).for_each(|_| s = a * s + b * s.powi(3) + c * s.powi(5));
            assert!((data[i * columns + i] - s).abs() < 1e-12);
        }
    }

    #[test]
    fn the_transpose_gives_the_transpose() {
        let (rows, columns) = (4, 7);
        let mut wide: Vec<f64> = (0..28).map(|i| (i as f64).sin()).collect();
        let mut tall: Vec<f64> = (0..28).map(|i| wide[(i % rows) * columns + i / rows]).collect();
        MUON.run(&mut wide, rows, columns);
        MUON.run(&mut tall, columns, rows);
        for i in 0..28 {
            assert!((tall[i] - wide[(i % rows) * columns + i / rows]).abs() < 1e-12);
        }
    }

    #[test]
    fn zero_stays_zero() {
        let mut data = vec![0.0f32; 6];
        MUON.run(&mut data, 2, 3);
        assert_eq!(data, [0.0; 6]);
    }
}
