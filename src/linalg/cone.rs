//! Projection onto {x : g_j . x >= 0 for all j} in the space of the rows themselves.
//!
//! The method of [`super::qp`], on vectors instead of inner products: a Gramian does not see
//! angles below 1e-8, an orthogonal basis of the active rows does. It costs O(n d) a step and is
//! for the few problems whose rows are nearly parallel or opposite.

use super::cholesky::dot;

/// Violations down to minus this, relative to the point, are rounding.
const TOLERANCE: f64 = 1e-13;

/// A row in segments, one after the other, and its length.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    segments: Vec<&'a [f64]>,
    norm: f64,
}

impl<'a> Row<'a> {
    /// Wraps the segments of a row.
    pub fn new(segments: Vec<&'a [f64]>) -> Self {
        let square: f64 = segments.iter().map(|segment| dot(segment, segment)).sum();
        Self { segments, norm: square.sqrt() }
    }

    /// Length of the row.
    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// Inner product of the unit row with `x`.
    pub fn cosine(&self, x: &[f64]) -> f64 {
        let mut start = 0;
        let mut sum = 0.0;
        for segment in &self.segments {
            sum += dot(segment, &x[start..start + segment.len()]);
            start += segment.len();
        }
        sum / self.norm
    }

    /// Adds `factor` times the row to `x`.
    pub fn add_to(&self, factor: f64, x: &mut [f64]) {
        let row = self.segments.iter().copied().flatten();
        x.iter_mut().zip(row).for_each(|(x, g)| *x += factor * g);
    }

    fn unit(&self) -> Vec<f64> {
        self.segments.iter().copied().flatten().map(|g| g / self.norm).collect()
    }
}

/// How far `x` conflicts with the worst row, relative to its length; 0 where x is zero.
pub fn conflict(rows: &[Row<'_>], x: &[f64]) -> f64 {
    let length = dot(x, x).sqrt();
    let worst = rows.iter().filter(|row| row.norm > 0.0).map(|row| row.cosine(x));
    let worst = worst.fold(0.0, f64::min);
    if length > 0.0 { -worst / length } else { 0.0 }
}

/// Replaces `x` by the nearest point that conflicts with no row.
pub fn project(rows: &[Row<'_>], x: &mut [f64]) {
    let start = dot(x, x).sqrt();
    let mut basis = Basis::default();
    let (mut active, mut mu) = (Vec::new(), Vec::new());
    let mut closed: Vec<bool> = rows.iter().map(|row| row.norm == 0.0).collect();
    // Far above what a problem needs; only rounding could circle.
    let mut steps = 40 * rows.len() + 100;
    loop {
        basis.remove_from(x);
        let length = dot(x, x).sqrt();
        if length <= TOLERANCE * start {
            return x.fill(0.0);
        }
        let mut worst = (-TOLERANCE * length, None);
        for (j, row) in rows.iter().enumerate().filter(|(j, _)| !closed[*j]) {
            let slack = row.cosine(x);
            if slack < worst.0 {
                worst = (slack, Some(j));
            }
        }
        let Some(entering) = worst.1 else { return };
        let unit = rows[entering].unit();
        let mut multiplier = 0.0;
        loop {
            if steps == 0 {
                return;
            }
            steps -= 1;
            let (along, rest) = basis.split(&unit);
            let r = basis.solve(along.clone());
            let pivot = dot(&rest, &rest);
            let slack = rows[entering].cosine(x);
            let independent = pivot > TOLERANCE * TOLERANCE;
            let full = if independent { (-slack / pivot).max(0.0) } else { f64::INFINITY };
            let (mut partial, mut blocking) = (f64::INFINITY, 0);
            for (k, (&mu, &r)) in mu.iter().zip(&r).enumerate() {
                if r > 0.0 && mu / r < partial {
                    (partial, blocking) = (mu / r, k);
                }
            }
            let t = full.min(partial);
            closed[entering] = true;
            if t == f64::INFINITY {
                break;
            }
            x.iter_mut().zip(&rest).for_each(|(x, z)| *x += t * z);
            mu.iter_mut().zip(&r).for_each(|(mu, r): (&mut f64, _)| *mu = (*mu - t * r).max(0.0));
            multiplier += t;
            if full <= partial {
                basis.push(rest, along, pivot.sqrt());
                active.push(entering);
                mu.push(multiplier);
                break;
            }
            closed[active.remove(blocking)] = false;
            mu.remove(blocking);
            basis = Basis::default();
            for &k in &active {
                let (along, rest) = basis.split(&rows[k].unit());
                let root = dot(&rest, &rest).sqrt();
                basis.push(rest, along, root);
            }
        }
    }
}

/// Orthonormal vectors q and the triangle r with h_k = sum_l r_lk q_l.
#[derive(Default)]
struct Basis {
    q: Vec<Vec<f64>>,
    r: Vec<Vec<f64>>,
}

impl Basis {
    /// The components of `h` along the basis, and what is left. Done twice: once loses
    /// orthogonality where little is left.
    fn split(&self, h: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mut rest = h.to_vec();
        let mut along = vec![0.0; self.q.len()];
        for _ in 0..2 {
            for (along, q) in along.iter_mut().zip(&self.q) {
                let c = dot(q, &rest);
                *along += c;
                rest.iter_mut().zip(q).for_each(|(x, q)| *x -= c * q);
            }
        }
        (along, rest)
    }

    fn remove_from(&self, x: &mut [f64]) {
        for _ in 0..2 {
            for q in &self.q {
                let c = dot(q, x);
                x.iter_mut().zip(q).for_each(|(x, q)| *x -= c * q);
            }
        }
    }

    fn push(&mut self, mut rest: Vec<f64>, mut along: Vec<f64>, root: f64) {
        rest.iter_mut().for_each(|x| *x /= root);
        along.push(root);
        self.q.push(rest);
        self.r.push(along);
    }

    /// Coefficients of the active rows that give the components `along`.
    fn solve(&self, mut along: Vec<f64>) -> Vec<f64> {
        for k in (0..along.len()).rev() {
            along[k] /= self.r[k][k];
            let value = along[k];
            for (x, r) in along[..k].iter_mut().zip(&self.r[k]) {
                *x -= value * r;
            }
        }
        along
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::Philox;

    #[test]
    fn nearly_opposite_and_parallel_rows_are_seen() {
        let rng = Philox::new(3);
        for seed in 0..400_u64 {
            let (n, d) = (2 + seed as usize % 7, 2 + seed as usize % 5);
            let normal = |i: usize, c: usize| rng.normal(seed, (i * 64 + c) as u64)[0];
            // Rows that lie within 10^-1 to 10^-12 of a common line.
            let data: Vec<Vec<f64>> = (0..n)
                .map(|i| {
                    let size = 10f64.powi(-((seed as usize * 7 + i * 5) as i32 % 12) - 1);
                    let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
                    (0..d).map(|c| sign * normal(0, c) + size * normal(i + 1, c)).collect()
                })
                .collect();
            let rows: Vec<Row<'_>> =
                data.iter().map(|row| Row::new(vec![&row[..1], &row[1..]])).collect();
            let a: Vec<f64> = (0..d).map(|c| normal(20, c)).collect();
            let mut x = a.clone();
            project(&rows, &mut x);
            assert!(conflict(&rows, &x) <= 1e-12, "{seed} {}", conflict(&rows, &x));
            // The step does not move along the result, up to rounding of the rows by 1e-16 seen
            // under angles of 1e-12.
            let step: Vec<f64> = x.iter().zip(&a).map(|(x, a)| x - a).collect();
            assert!(dot(&step, &x).abs() <= 1e-4 * dot(&a, &a), "{seed}");
        }
    }

    #[test]
    fn exact_opposites_and_zero_rows() {
        let data = [[3.0, 4.0], [-3.0, -4.0], [0.0, 0.0], [1.0, 0.0]];
        let rows: Vec<Row<'_>> = data.iter().map(|row| Row::new(vec![row])).collect();
        let mut x = [1.0, 2.0];
        project(&rows, &mut x);
        assert_eq!(x, [0.0, 0.0]);
        let mut x = [1.0, 2.0];
        project(&rows[3..], &mut x);
        assert_eq!(x, [1.0, 2.0]);
    }
}
