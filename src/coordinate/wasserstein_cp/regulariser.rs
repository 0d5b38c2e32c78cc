//! What holds a code or a column on the simplex, and its conjugate.
//!
//!   R(l) = rho sum l log l + tau / 2 |l - p|^2 over the simplex, p the previous point
//!   R*(z) = max_l <z, l> - R(l),   grad R* = the l that attains it
//!   tau = 0   l = softmax(z / rho)
//!   rho = 0   l = projection of p + z / tau
//!   else      rho (log l + 1) + tau (l - p) = z - nu, that is l = rho / tau omega(y) with
//!             omega + log omega = y = log(tau / rho) + (z - nu - rho + tau p) / rho; sum l = 1
//!
//! The sum is convex and falls in nu, and it is at least 1 where the largest entry is 1: Newton's
//! method from there is monotone. So is the one for omega, from below.

use crate::project::threshold;

/// Weights of the two terms; at least one is positive.
#[derive(Debug, Clone, Copy)]
pub struct Regulariser {
    /// Of the entropy.
    pub rho: f64,
    /// Of the distance to the previous point.
    pub tau: f64,
}

impl Regulariser {
    /// R(l), for `l` on the simplex.
    pub fn value(&self, l: &[f64], previous: &[f64]) -> f64 {
        self.rho * entropy(l) + self.distance(l, previous)
    }

    /// The part of R that is the distance to the previous point.
    pub fn distance(&self, l: &[f64], previous: &[f64]) -> f64 {
        let squares = l.iter().zip(previous).map(|(l, p)| (l - p) * (l - p));
        0.5 * self.tau * squares.sum::<f64>()
    }

    /// R*(z); writes its gradient to `l`.
    pub fn conjugate(&self, z: &[f64], previous: &[f64], l: &mut [f64]) -> f64 {
        let Self { rho, tau } = *self;
        if tau == 0.0 {
            let top = largest(z.iter().copied());
            l.iter_mut().zip(z).for_each(|(l, z)| *l = ((z - top) / rho).exp());
        } else if rho == 0.0 {
            l.iter_mut().zip(z).zip(previous).for_each(|((l, z), p)| *l = p + z / tau);
            let (top, shift) = threshold::simplex::<false>(l, 1.0, &mut Vec::new());
            l.iter_mut().for_each(|l| *l = (*l - top - shift).max(0.0));
        } else {
            self.newton(z, previous, l);
        }
        // Rounding, and what the last step of Newton left.
        let total: f64 = l.iter().sum();
        l.iter_mut().for_each(|l| *l /= total);
        let product: f64 = l.iter().zip(z).map(|(l, z)| l * z).sum();
        product - self.value(l, previous)
    }

    fn newton(&self, z: &[f64], previous: &[f64], l: &mut [f64]) {
        let Self { rho, tau } = *self;
        let offset = (tau / rho).ln();
        let linear = |z: f64, p: f64| z - rho + tau * p;
        let at_one = z.iter().zip(previous).map(|(&z, &p)| linear(z, p) - tau);
        let mut nu = largest(at_one);
        for _ in 0..100 {
            let (mut sum, mut slope) = (0.0, 0.0);
            for ((l, &z), &p) in l.iter_mut().zip(z).zip(previous) {
                *l = rho / tau * omega(offset + (linear(z, p) - nu) / rho);
                sum += *l;
                slope += *l / (rho + tau * *l);
            }
            let step = (sum - 1.0) / slope;
            nu += step;
            if step <= 1e-15 * (1.0 + nu.abs()) {
                break;
            }
        }
    }
}

/// sum l log l.
pub fn entropy(l: &[f64]) -> f64 {
    l.iter().filter(|l| **l > 0.0).map(|l| l * l.ln()).sum()
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NEG_INFINITY, f64::max)
}

/// The root of omega + log omega = y (Wright's omega function).
fn omega(y: f64) -> f64 {
    if y < -40.0 {
        // exp(y - omega) with omega below 1e-17.
        return y.exp();
    }
    let mut w = if y > 1.0 { y - y.ln() } else { y.exp() / (1.0 + y.exp()) };
    for _ in 0..20 {
        let next = w * (1.0 + y - w.ln()) / (1.0 + w);
        let done = next - w <= 1e-16 * w;
        w = next;
        if done {
            break;
        }
    }
    w
}

#[cfg(test)]
mod tests {
    use super::*;

    const Z: [f64; 4] = [0.3, -2.0, 1.1, 0.9];
    const P: [f64; 4] = [0.1, 0.6, 0.0, 0.3];

    #[test]
    fn omega_solves_its_equation() {
        for y in [-50.0, -39.0, -3.0, 0.0, 0.99, 1.01, 5.0, 1e3, 1e8] {
            let w = omega(y);
            assert!((w + w.ln() - y).abs() <= 4e-16 * y.abs().max(1.0) * 4.0, "{y}: {w}");
        }
    }

    #[test]
    fn the_maximiser_is_stationary_on_the_simplex() {
        for (rho, tau) in [(0.7, 0.0), (0.7, 1.3), (1e-3, 2.0), (2.0, 1e-6)] {
            let regulariser = Regulariser { rho, tau };
            let mut l = [0.0; 4];
            let value = regulariser.conjugate(&Z, &P, &mut l);
            assert!((l.iter().sum::<f64>() - 1.0).abs() < 1e-14);
            let nu: Vec<f64> = (0..4)
                .filter(|&i| l[i] > 1e-200)
                .map(|i| Z[i] - rho * (l[i].ln() + 1.0) - tau * (l[i] - P[i]))
                .collect();
            assert!(nu.iter().all(|x| (x - nu[0]).abs() < 1e-9), "{rho} {tau} {nu:?}");
            let product: f64 = Z.iter().zip(&l).map(|(z, l)| z * l).sum();
            assert!((product - regulariser.value(&l, &P) - value).abs() < 1e-14);
        }
    }

    #[test]
    fn without_entropy_it_is_the_projection() {
        let mut l = [0.0; 4];
        Regulariser { rho: 0.0, tau: 2.0 }.conjugate(&Z, &P, &mut l);
        // p + z / 2 = (0.25, -0.4, 0.55, 0.75): the threshold is 0.55 / 3.
        for (l, expected) in l.iter().zip([0.2 / 3.0, 0.0, 1.1 / 3.0, 1.7 / 3.0]) {
            assert!((l - expected).abs() < 1e-14);
        }
    }
}
