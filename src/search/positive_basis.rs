//! Directions whose non-negative combinations reach everything, at random.
//!
//!   q uniform on the sphere   H = I - 2 q q^T, h_i its rows
//!   a cross      h_1 .. h_n, -h_1 .. -h_n
//!   or           G h_1 .. G h_n, -G (h_1 + .. + h_n)
//!
//! G turns random disjoint pairs of coordinates, each by an angle uniform in [-a, a],
//! a = arccos(1/n); it is the same for all directions, so that they still span.
//! Memory: O(n). Time: O(n) a direction.

use crate::engine::reduce;
use crate::engine::rng::Philox;

/// The draws that a basis is made of.
#[derive(Debug, Clone)]
pub struct PositiveBasis {
    cross: bool,
    mirror: Vec<f64>,
    /// A permutation: its entries 2 i and 2 i + 1 are the coordinates that turn together.
    pairs: Vec<f64>,
    /// Cosine and sine of each pair.
    turns: Vec<f64>,
}

impl PositiveBasis {
    /// A basis to be drawn, of 2 n directions for a cross, else of n + 1.
    pub fn new(n: usize, cross: bool) -> Self {
        let (pairs, turns) = if cross { (0, 0) } else { (n, n / 2 * 2) };
        let zero = |n| vec![0.0; n];
        Self { cross, mirror: zero(n), pairs: zero(pairs), turns: zero(turns) }
    }

    /// Directions.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        if self.cross { 2 * self.mirror.len() } else { self.mirror.len() + 1 }
    }

    /// Draws q, the pairs and their angles, each from its stream.
    pub fn draw(&mut self, rng: &Philox, [sphere, order, angles]: [u64; 3]) {
        let n = self.mirror.len();
        rng.fill_normal(sphere, 0, &mut self.mirror);
        let norm = reduce::sum_of_squares(&self.mirror).sqrt();
        self.mirror.iter_mut().for_each(|q| *q /= norm);
        if self.cross {
            return;
        }
        self.pairs.iter_mut().enumerate().for_each(|(i, out)| *out = i as f64);
        for i in (1..n).rev() {
            self.pairs.swap(i, rng.below(order, i as u64, i as u64 + 1) as usize);
        }
        let widest = (1.0 / n as f64).acos();
        for (i, turn) in self.turns.chunks_exact_mut(2).enumerate() {
            let angle = widest * (2.0 * rng.uniform(angles, i as u64)[0] - 1.0);
            (turn[0], turn[1]) = (angle.cos(), angle.sin());
        }
    }

    /// Writes direction `index`, not scaled.
    pub fn direction(&self, index: usize, out: &mut [f64]) {
        let n = out.len();
        if index < n || self.cross {
            let (row, sign) = (index % n, if index < n { 1.0 } else { -1.0 });
            let factor = -2.0 * sign * self.mirror[row];
            out.iter_mut().zip(&self.mirror).for_each(|(out, q)| *out = factor * q);
            out[row] += sign;
        } else {
            let factor = 2.0 * self.mirror.iter().sum::<f64>();
            out.iter_mut().zip(&self.mirror).for_each(|(out, q)| *out = factor * q - 1.0);
        }
        for (pair, turn) in self.pairs.chunks_exact(2).zip(self.turns.chunks_exact(2)) {
            // A loaded state may hold anything.
            let [i, j] = [pair[0], pair[1]].map(|k| (k as usize).min(n - 1));
            let [a, b] = [out[i], out[j]];
            (out[i], out[j]) = (turn[0] * a + turn[1] * b, turn[0] * b - turn[1] * a);
        }
    }

    /// What a resumed run needs, by name.
    pub fn memory(&mut self) -> [(&'static str, &mut Vec<f64>); 3] {
        [("mirror", &mut self.mirror), ("pairs", &mut self.pairs), ("turns", &mut self.turns)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(n: usize, cross: bool, seed: u64) -> (PositiveBasis, Vec<Vec<f64>>) {
        let mut basis = PositiveBasis::new(n, cross);
        basis.draw(&Philox::new(seed), [1, 2, 3]);
        let mut rows = vec![vec![0.0; n]; basis.len()];
        rows.iter_mut().enumerate().for_each(|(i, row)| basis.direction(i, row));
        (basis, rows)
    }

    #[test]
    fn rows_are_orthonormal_and_sum_to_zero() {
        for (n, cross) in [(1, true), (1, false), (2, false), (5, true), (5, false), (8, false)] {
            let (_, rows) = drawn(n, cross, 7);
            assert_eq!(rows.len(), if cross { 2 * n } else { n + 1 });
            for i in 0..n {
                for j in 0..n {
                    let product: f64 = rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum();
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{n} {i} {j}");
                }
            }
            for k in 0..n {
                assert!(rows.iter().map(|row| row[k]).sum::<f64>().abs() < 1e-12);
            }
        }
    }

    #[test]
    fn pairs_are_disjoint() {
        let (basis, _) = drawn(9, false, 3);
        let mut pairs = basis.pairs;
        pairs.sort_by(f64::total_cmp);
        assert!(pairs.iter().enumerate().all(|(i, p)| *p == i as f64));
    }
}
