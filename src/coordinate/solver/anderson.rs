//! Anderson extrapolation: the combination of the last iterates whose differences cancel best.
//!
//! Bertrand and Massias 2021, "Anderson acceleration of coordinate descent", AISTATS.
//!
//!   U = [w1 - w0, ..., wK - w(K-1)]    (U'U + 1e-12 tr(U'U) I) c = 1    c /= sum c
//!   candidate = sum_k c_k w(k+1)

/// Differences of iterates that the fit uses.
pub const DEPTH: usize = 5;

/// Stores iterates, each the concatenation of whatever is to be combined.
#[derive(Debug, Default)]
pub struct Anderson {
    iterates: Vec<Vec<f64>>,
    stored: usize,
}

impl Anderson {
    /// Stores an iterate made of `parts`; the first decides the weights. When enough are stored,
    /// returns the combination and forgets them.
    pub fn push(&mut self, parts: [&[f64]; 2]) -> Option<Vec<f64>> {
        if self.iterates.len() == self.stored {
            self.iterates.push(Vec::new());
        }
        let slot = &mut self.iterates[self.stored];
        slot.clear();
        parts.iter().for_each(|part| slot.extend_from_slice(part));
        self.stored += 1;
        if self.stored <= DEPTH {
            return None;
        }
        self.stored = 0;
        let weights = weights(&self.iterates[..=DEPTH], parts[0].len())?;
        let mut out = vec![0.0; self.iterates[0].len()];
        for (c, iterate) in weights.iter().zip(&self.iterates[1..]) {
            for (out, x) in out.iter_mut().zip(iterate) {
                *out += c * x;
            }
        }
        Some(out)
    }
}

fn weights(iterates: &[Vec<f64>], len: usize) -> Option<[f64; DEPTH]> {
    let mut a = [[0.0; DEPTH]; DEPTH];
    #[allow(clippy::needless_range_loop)] // six arrays are read at one place
    for k in 0..len {
        let u: [f64; DEPTH] = std::array::from_fn(|t| iterates[t + 1][k] - iterates[t][k]);
        for s in 0..DEPTH {
            for t in 0..=s {
                a[s][t] += u[s] * u[t];
            }
        }
    }
    let trace: f64 = (0..DEPTH).map(|s| a[s][s]).sum();
    if !(trace > 0.0 && trace.is_finite()) {
        return None;
    }
    // Cholesky, then the two triangular solves.
    for s in 0..DEPTH {
        a[s][s] += 1e-12 * trace;
        for t in 0..=s {
            let dot: f64 = (0..t).map(|k| a[s][k] * a[t][k]).sum();
            let value = a[s][t] - dot;
            a[s][t] = if s == t { value.max(0.0).sqrt() } else { value / a[t][t] };
        }
        if a[s][s] == 0.0 {
            return None;
        }
    }
    let mut c = [1.0; DEPTH];
    for s in 0..DEPTH {
        let dot: f64 = (0..s).map(|k| a[s][k] * c[k]).sum();
        c[s] = (c[s] - dot) / a[s][s];
    }
    for s in (0..DEPTH).rev() {
        let dot: f64 = (s + 1..DEPTH).map(|k| a[k][s] * c[k]).sum();
        c[s] = (c[s] - dot) / a[s][s];
    }
    let total: f64 = c.iter().sum();
    let size: f64 = c.iter().map(|c| c.abs()).sum();
    (total.is_finite() && total.abs() > f64::EPSILON * size).then(|| c.map(|c| c / total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_iteration_is_extrapolated_to_its_fixed_point() {
        // x <- A x + b with five distinct eigenvalues: five differences determine the limit.
        let rates = [0.9, 0.5, -0.3, 0.1, 0.7];
        let mut x = [1.0, 2.0, -1.0, 0.5, 3.0];
        let mut anderson = Anderson::default();
        let mut found = None;
        for _ in 0..=DEPTH {
            found = anderson.push([&x, &[7.0]]);
            for (x, r) in x.iter_mut().zip(rates) {
                *x = r * *x + (1.0 - r) * 4.0;
            }
        }
        let found = found.unwrap();
        assert!(found[..5].iter().all(|x| (x - 4.0).abs() < 1e-3), "{found:?}");
        assert!((found[5] - 7.0).abs() < 1e-9);
    }

    #[test]
    fn a_sequence_at_rest_gives_nothing() {
        let mut anderson = Anderson::default();
        assert!((0..20).all(|_| anderson.push([&[1.0, 2.0], &[]]).is_none()));
    }
}
