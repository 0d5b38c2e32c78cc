//! Systems with the signless Laplacian of a weighted bipartite graph, as transport has them.
//!
//!   [[diag(r), M], [M^T, diag(c)]] (x, y) = (p, q),  r_i = sum_j M_ij,  c_j = sum_i M_ij,  M >= 0
//!
//! Singular along (1, -1) on every connected component: one node of each is pinned by adding its
//! own weight to the diagonal, which for consistent right-hand sides sets it to 0 and for others
//! bounds it. The larger side is eliminated and the Schur complement factored, n^3 / 3.

use super::cholesky;
use crate::engine::gemm::{Matrix, gemm};

/// The matrix, made ready to solve.
#[derive(Debug, Clone)]
pub struct Bipartite {
    m: Entries,
    /// Diagonals, with the pins.
    r: Vec<f64>,
    c: Vec<f64>,
    factor: Vec<f64>,
    /// Whether M was transposed, so that columns are the larger side.
    turned: bool,
}

/// What is not 0 in M, row after row.
#[derive(Debug, Clone)]
struct Entries {
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

/// Entries that are skipped together where all are 0.
const LANES: usize = 8;

impl Entries {
    fn new(m: &[f64], rows: usize, columns: usize) -> Self {
        let mut out = Self { starts: vec![0], columns: Vec::new(), values: Vec::new() };
        let mut count = 0;
        for row in m.chunks_exact(columns.max(1)) {
            for (k, chunk) in row.chunks(LANES).enumerate() {
                let full =
                    chunk.try_into().is_ok_and(|c: &[f64; LANES]| c.iter().all(|&m| m == 0.0));
                if full {
                    continue;
                }
                if out.values.len() < count + LANES {
                    let size = (2 * count).max(4 * rows.max(columns)) + LANES;
                    out.values.resize(size, 0.0);
                    out.columns.resize(size, 0);
                }
                for (l, &m) in chunk.iter().enumerate() {
                    (out.columns[count], out.values[count]) = ((k * LANES + l) as u32, m);
                    count += usize::from(m != 0.0);
                }
            }
            out.starts.push(count);
        }
        out.starts.resize(rows + 1, count);
        out.values.truncate(count);
        out.columns.truncate(count);
        out
    }

    fn rows(&self) -> impl Iterator<Item = (&[u32], &[f64])> {
        self.starts.windows(2).map(|s| (&self.columns[s[0]..s[1]], &self.values[s[0]..s[1]]))
    }

    /// out -= M y.
    fn subtract(&self, y: &[f64], out: &mut [f64]) {
        for (out, (columns, values)) in out.iter_mut().zip(self.rows()) {
            *out -= columns.iter().zip(values).map(|(&j, m)| m * y[j as usize]).sum::<f64>();
        }
    }

    /// M^T x.
    fn down(&self, x: &[f64], columns: usize) -> Vec<f64> {
        let mut out = vec![0.0; columns];
        for (x, (columns, values)) in x.iter().zip(self.rows()) {
            columns.iter().zip(values).for_each(|(&j, m)| out[j as usize] += m * x);
        }
        out
    }
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
        [row_extra, column_extra]: [f64; 2],
        pinned: bool,
    ) -> Option<Self> {
        if rows > columns {
            let m = transpose(m, rows, columns);
            let extra = [column_extra, row_extra];
            return Self::build(&m, columns, rows, extra, pinned)
                .map(|found| Self { turned: true, ..found });
        }
        let entries = Entries::new(m, rows, columns);
        let mut r: Vec<f64> = entries.rows().map(|(_, values)| values.iter().sum()).collect();
        let mut c = entries.down(&vec![1.0; rows], columns);
        if pinned {
            pin(&entries, &mut r, &mut c);
        }
        r.iter_mut().for_each(|d| *d *= 1.0 + row_extra);
        c.iter_mut().for_each(|d| *d *= 1.0 + column_extra);
        // Only what carries no mass is still 0.
        r.iter_mut().chain(&mut c).filter(|d| **d == 0.0).for_each(|d| *d = 1.0);
        let mut factor = vec![0.0; rows * rows];
        subtract_products(m, &entries, &c, &mut factor);
        (0..rows).for_each(|i| factor[i * rows + i] += r[i]);
        cholesky::factor(&mut factor, rows, 1e-13).then_some(Self {
            m: entries,
            r,
            c,
            factor,
            turned: false,
        })
    }

    /// Replaces (p, q) by the solution.
    pub fn solve(&self, p: &mut [f64], q: &mut [f64]) {
        let (x, y) = if self.turned { (q, p) } else { (p, q) };
        let (mut rx, mut ry) = (x.to_vec(), y.to_vec());
        self.once(x, y);
        // One refinement against the unfactored matrix: the graph may be nearly disconnected.
        self.m.subtract(y, &mut rx);
        rx.iter_mut().zip(&self.r).zip(&*x).for_each(|((rx, r), x)| *rx -= r * x);
        let down = self.m.down(x, y.len());
        for (((ry, c), y), down) in ry.iter_mut().zip(&self.c).zip(&*y).zip(&down) {
            *ry -= c * y + down;
        }
        self.once(&mut rx, &mut ry);
        x.iter_mut().zip(&rx).for_each(|(x, d)| *x += d);
        y.iter_mut().zip(&ry).for_each(|(y, d)| *y += d);
    }

    fn once(&self, x: &mut [f64], y: &mut [f64]) {
        y.iter_mut().zip(&self.c).for_each(|(y, c)| *y /= c);
        self.m.subtract(y, x);
        cholesky::substitute(&self.factor, self.r.len(), x);
        let down = self.m.down(x, y.len());
        y.iter_mut().zip(&down).zip(&self.c).for_each(|((y, down), c)| *y -= down / c);
    }
}

/// out -= M diag(1 / c) M^T, its lower triangle: column by column where M is sparse.
fn subtract_products(m: &[f64], entries: &Entries, c: &[f64], out: &mut [f64]) {
    let (rows, columns) = (entries.starts.len() - 1, c.len());
    let mut ends = vec![0; columns];
    entries.columns.iter().for_each(|&j| ends[j as usize] += 1);
    let products: usize = ends.iter().map(|count| count * count).sum();
    if 8 * products > rows * rows * columns {
        let scaled: Vec<f64> = m
            .chunks_exact(columns.max(1))
            .flat_map(|row| row.iter().zip(c).map(|(m, c)| m / c))
            .collect();
        let right = Matrix::new(m, rows, columns).transpose();
        gemm(-1.0, Matrix::new(&scaled, rows, columns), right, 1.0, out);
        return;
    }
    let mut total = 0;
    for end in &mut ends {
        (total, *end) = (total + *end, total);
    }
    // Column after column; `ends` move from the starts of the columns to their ends.
    let mut column = vec![(0, 0.0); entries.values.len()];
    for (i, (columns, values)) in entries.rows().enumerate() {
        for (&j, &m) in columns.iter().zip(values) {
            let end = &mut ends[j as usize];
            column[*end] = (i, m);
            *end += 1;
        }
    }
    let mut start = 0;
    for (&end, c) in ends.iter().zip(c) {
        for (k, &(i, m)) in column[start..end].iter().enumerate() {
            let scaled = m / c;
            column[start..=start + k].iter().for_each(|(j, m)| out[i * rows + j] -= scaled * m);
        }
        start = end;
    }
}

/// The transpose of a matrix of rows.
pub fn transpose(m: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; m.len()];
    for i in 0..rows {
        for j in 0..columns {
            out[j * rows + i] = m[i * columns + j];
        }
    }
    out
}

/// Adds to the first node of every connected component its own weight (1 where it has none).
fn pin(m: &Entries, r: &mut [f64], c: &mut [f64]) {
    let rows = r.len();
    let mut parent: Vec<usize> = (0..rows + c.len()).collect();
    fn root(parent: &mut [usize], mut node: usize) -> usize {
        while parent[node] != node {
            parent[node] = parent[parent[node]];
            node = parent[node];
        }
        node
    }
    for (i, (columns, _)) in m.rows().enumerate() {
        for &j in columns {
            let (a, b) = (root(&mut parent, i), root(&mut parent, rows + j as usize));
            parent[a.max(b)] = a.min(b);
        }
    }
    for (node, weight) in r.iter_mut().chain(c).enumerate() {
        if parent[node] == node {
            *weight = if *weight > 0.0 { 2.0 * *weight } else { 1.0 };
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
