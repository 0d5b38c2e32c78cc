//! Systems with the signless Laplacian of a weighted bipartite graph, as transport has them.
//!
//!   [[diag(r), M], [M^T, diag(c)]] (x, y) = (p, q),  r_i = sum_j M_ij,  c_j = sum_i M_ij,  M >= 0
//!
//! Singular along (1, -1) on every connected component: one node of each is pinned by adding its
//! own weight to the diagonal, which for consistent right-hand sides sets it to 0 and for others
//! bounds it. The larger side is eliminated and the Schur complement factored, n^3 / 3.

use super::cholesky;
use crate::engine::gemm::{Matrix, gemm};

/// The two sides of the matrix, made ready to solve.
#[derive(Debug, Clone)]
pub struct Bipartite {
    m: Vec<f64>,
    rows: usize,
    columns: usize,
    /// Diagonals, with the pins.
    r: Vec<f64>,
    c: Vec<f64>,
    factor: Vec<f64>,
    /// Whether M was transposed, so that columns are the larger side.
    turned: bool,
}

impl Bipartite {
    /// Factors the matrix of `m` (rows x columns, non-negative). `extra` is added to the whole
    /// diagonal, relative to it: 0 where the graph decides. None when rounding leaves it singular.
    pub fn new(m: &[f64], rows: usize, columns: usize, extra: f64) -> Option<Self> {
        Self::build(m, rows, columns, [extra; 2], true)
    }

    /// As [`Bipartite::new`] with one number for the rows and one for the columns; where one of
    /// them is not 0 no direction is free, and nothing is pinned.
    pub fn with_extra(m: &[f64], rows: usize, columns: usize, extra: [f64; 2]) -> Option<Self> {
        Self::build(m, rows, columns, extra, extra == [0.0; 2])
    }

    fn build(
        m: &[f64],
        rows: usize,
        columns: usize,
        extra: [f64; 2],
        pinned: bool,
    ) -> Option<Self> {
        let turned = rows > columns;
        let (m, rows, columns) = if turned {
            (transpose(m, rows, columns), columns, rows)
        } else {
            (m.to_vec(), rows, columns)
        };
        let mut r: Vec<f64> = m.chunks_exact(columns.max(1)).map(|row| row.iter().sum()).collect();
        let mut c = vec![0.0; columns];
        for row in m.chunks_exact(columns.max(1)) {
            c.iter_mut().zip(row).for_each(|(c, m)| *c += m);
        }
        let [row_extra, column_extra] = if turned { [extra[1], extra[0]] } else { extra };
        if pinned {
            pin(&m, &mut r, &mut c);
        }
        r.iter_mut().for_each(|d| *d *= 1.0 + row_extra);
        c.iter_mut().for_each(|d| *d *= 1.0 + column_extra);
        // Only what carries no mass is still 0.
        r.iter_mut().chain(&mut c).filter(|d| **d == 0.0).for_each(|d| *d = 1.0);
        // S = diag(r) - M diag(1 / c) M^T, symmetric.
        let mut scaled = m.clone();
        for row in scaled.chunks_exact_mut(columns.max(1)) {
            row.iter_mut().zip(&c).for_each(|(m, c)| *m /= c);
        }
        let mut factor = vec![0.0; rows * rows];
        let right = Matrix::new(&m, rows, columns).transpose();
        gemm(-1.0, Matrix::new(&scaled, rows, columns), right, 0.0, &mut factor);
        (0..rows).for_each(|i| factor[i * rows + i] += r[i]);
        cholesky::factor(&mut factor, rows, 1e-13).then_some(Self {
            m,
            rows,
            columns,
            r,
            c,
            factor,
            turned,
        })
    }

    /// Replaces (p, q) by the solution.
    pub fn solve(&self, p: &mut [f64], q: &mut [f64]) {
        let (x, y) = if self.turned { (q, p) } else { (p, q) };
        let (x0, y0) = (x.to_vec(), y.to_vec());
        self.once(x, y);
        // One refinement against the unfactored matrix: the graph may be nearly disconnected.
        let (mut rx, mut ry) = (x0, y0);
        for (i, row) in self.m.chunks_exact(self.columns.max(1)).enumerate() {
            let mut sum = self.r[i] * x[i];
            for ((m, y), ry) in row.iter().zip(&*y).zip(&mut ry) {
                sum += m * y;
                *ry -= m * x[i];
            }
            rx[i] -= sum;
        }
        ry.iter_mut().zip(&self.c).zip(&*y).for_each(|((ry, c), y)| *ry -= c * y);
        self.once(&mut rx, &mut ry);
        x.iter_mut().zip(&rx).for_each(|(x, d)| *x += d);
        y.iter_mut().zip(&ry).for_each(|(y, d)| *y += d);
    }

    fn once(&self, x: &mut [f64], y: &mut [f64]) {
        y.iter_mut().zip(&self.c).for_each(|(y, c)| *y /= c);
        for (x, row) in x.iter_mut().zip(self.m.chunks_exact(self.columns.max(1))) {
            *x -= super::cholesky::dot(row, y);
        }
        cholesky::substitute(&self.factor, self.rows, x);
        for (x, row) in x.iter().zip(self.m.chunks_exact(self.columns.max(1))) {
            for ((y, m), c) in y.iter_mut().zip(row).zip(&self.c) {
                *y -= m * x / c;
            }
        }
    }
}

fn transpose(m: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; m.len()];
    for i in 0..rows {
        for j in 0..columns {
            out[j * rows + i] = m[i * columns + j];
        }
    }
    out
}

/// Adds to one node of every connected component its own weight (1 where it has none).
fn pin(m: &[f64], r: &mut [f64], c: &mut [f64]) {
    let (rows, columns) = (r.len(), c.len());
    let mut seen = vec![false; rows + columns];
    let mut stack = Vec::new();
    for start in 0..rows + columns {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let weight = if start < rows { &mut r[start] } else { &mut c[start - rows] };
        *weight = if *weight > 0.0 { 2.0 * *weight } else { 1.0 };
        stack.push(start);
        while let Some(node) = stack.pop() {
            let neighbours = if node < rows { columns } else { rows };
            for k in 0..neighbours {
                let (other, weight) = if node < rows {
                    (rows + k, m[node * columns + k])
                } else {
                    (k, m[k * columns + node - rows])
                };
                if weight > 0.0 && !seen[other] {
                    seen[other] = true;
                    stack.push(other);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_consistent_systems_on_every_component() {
        // Two components, an isolated row and an isolated column.
        let m = [1.0, 2.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        for (m, rows, columns) in [(m.to_vec(), 4, 4), (m[..12].to_vec(), 3, 4)] {
            for turned in [false, true] {
                let (m, rows, columns) = if turned {
                    (transpose(&m, rows, columns), columns, rows)
                } else {
                    (m.clone(), rows, columns)
                };
                let x: Vec<f64> = (0..rows).map(|i| i as f64 + 1.0).collect();
                let y: Vec<f64> = (0..columns).map(|j| 0.5 - j as f64).collect();
                let apply = |x: &[f64], y: &[f64]| {
                    let p: Vec<f64> = (0..rows)
                        .map(|i| (0..columns).map(|j| m[i * columns + j] * (x[i] + y[j])).sum())
                        .collect();
                    let q: Vec<f64> = (0..columns)
                        .map(|j| (0..rows).map(|i| m[i * columns + j] * (x[i] + y[j])).sum())
                        .collect();
                    (p, q)
                };
                let (p, q) = apply(&x, &y);
                let (mut a, mut b) = (p.clone(), q.clone());
                Bipartite::new(&m, rows, columns, 0.0).unwrap().solve(&mut a, &mut b);
                let (p2, q2) = apply(&a, &b);
                for (u, w) in p.iter().chain(&q).zip(p2.iter().chain(&q2)) {
                    assert!((u - w).abs() < 1e-13, "{u} {w}");
                }
            }
        }
    }
}
