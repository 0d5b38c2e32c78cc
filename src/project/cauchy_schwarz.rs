//! Cauchy-Schwarz regularisers: zero iff two vectors made of x are parallel.
//!
//! Taner, Wang, Studer 2025, "Cauchy-Schwarz regularizers", ICLR, arXiv:2503.01639.
//!
//!   l(x) = |g(x)|^2 |h(x)|^2 - <g(x), h(x)>^2 = |h|^2 |g - c h|^2,   c = <g, h> / |h|^2
//!
//! The second form is used: it is never negative and does not cancel near the zero set, where c is
//! a minimiser, so that the gradient treats it as a constant. Homogeneous ones are evaluated at
//! x / max |x| and scaled back by their degree.
//!
//!   variance of phi:  N sum (phi(x) - mean)^2, gradient 2 N (phi - mean) phi'
//!     binary phi = x^2, L2-L1 |x|, bounded 1 / (1 + x^2), exponential exp(-x^2)
//!   one-sided: S2 sum x^2 (x - c)^2;   ternary: S2 sum x^2 (x^2 - c)^2

use crate::engine::{Error, Result};
use crate::linalg::cholesky::dot;

/// Names that [`evaluate`] knows.
pub const NAMES: &[&str] = &[
    "binary",
    "one_sided",
    "ternary",
    "eigenvector",
    "orthogonal",
    "multi_bit",
    "binary_root",
    "binary_scale_invariant",
    "binary_l2_l1",
    "binary_bounded",
    "binary_exponential",
    "hoelder",
];

/// Value at `x`; the gradient goes to `gradient`. `scalars` and `matrix` as the name needs them:
/// `orthogonal` and `multi_bit` the number of columns, `hoelder` p, q and r, `eigenvector` C.
pub fn evaluate(
    name: &str,
    scalars: &[f64],
    matrix: &[f64],
    x: &[f64],
    gradient: &mut [f64],
) -> Result<f64> {
    let columns = scalars.first().map_or(1, |&k| k as usize).max(1);
    match name {
        "binary" => Ok(homogeneous(4, x, gradient, |x, g| variance(x, g, |x| (x * x, 2.0 * x)))),
        "binary_l2_l1" => {
            let phi = |x: f64| (x.abs(), if x == 0.0 { 0.0 } else { x.signum() });
            Ok(homogeneous(2, x, gradient, |x, g| variance(x, g, phi)))
        }
        "binary_bounded" => Ok(variance(x, gradient, |x| {
            let h = 1.0 / (1.0 + x * x);
            (h, -2.0 * x * h * h)
        })),
        "binary_exponential" => Ok(variance(x, gradient, |x| {
            let h = (-x * x).exp();
            (h, if h == 0.0 { 0.0 } else { -2.0 * x * h })
        })),
        "binary_root" => Ok(homogeneous(2, x, gradient, |x, g| root(x, g).0)),
        "binary_scale_invariant" => Ok(homogeneous(0, x, gradient, scale_invariant)),
        "one_sided" => Ok(homogeneous(6, x, gradient, |x, g| {
            weighted(x, g, |x| x, |x, c| (x - c) * (2.0 * x - c))
        })),
        "ternary" => Ok(homogeneous(8, x, gradient, |x, g| {
            weighted(x, g, |x| x * x, |x, c| (x * x - c) * (3.0 * x * x - c))
        })),
        "eigenvector" => {
            if matrix.len() != x.len() * x.len() {
                let allowed = format!("of shape ({0}, {0})", x.len());
                let given = format!("{} numbers", matrix.len());
                return Err(Error::value("C", allowed, given, "give a square matrix"));
            }
            Ok(eigenvector(matrix, x, gradient))
        }
        "orthogonal" => Ok(homogeneous(4, x, gradient, |x, g| orthogonal(x, columns, g))),
        "multi_bit" => Ok(homogeneous(4, x, gradient, |x, g| multi_bit(x, columns, g))),
        "hoelder" => {
            let [p, q, r] = scalars else {
                let given = format!("{} numbers", scalars.len());
                return Err(Error::value("p, q and r", "three numbers", given, "give all of them"));
            };
            Ok(hoelder(x, *p, *q, *r, gradient))
        }
        other => Err(Error::value(
            "name",
            format!("one of {}", NAMES.join(", ")),
            format!("{other:?}"),
            "choose one of these",
        )),
    }
}

/// Evaluates at x / max |x|; value and gradient scale with the degree.
fn homogeneous(
    degree: i32,
    x: &[f64],
    gradient: &mut [f64],
    form: impl Fn(&[f64], &mut [f64]) -> f64,
) -> f64 {
    let largest = x.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
    if largest == 0.0 {
        gradient.fill(0.0);
        return 0.0;
    }
    let scaled: Vec<f64> = x.iter().map(|x| x / largest).collect();
    let value = form(&scaled, gradient);
    let scale = largest.powi(degree - 1);
    gradient.iter_mut().for_each(|g| *g *= scale);
    value * largest.powi(degree)
}

/// N sum (phi - mean)^2.
fn variance(x: &[f64], gradient: &mut [f64], phi: impl Fn(f64) -> (f64, f64)) -> f64 {
    let n = x.len() as f64;
    let mean = x.iter().map(|&x| phi(x).0).sum::<f64>() / n.max(1.0);
    let mut total = 0.0;
    for (g, &x) in gradient.iter_mut().zip(x) {
        let (value, slope) = phi(x);
        let d = value - mean;
        total += d * d;
        *g = 2.0 * n * d * slope;
    }
    n * total
}

/// S2 R with R = sum x^2 (psi(x) - c)^2 and c = sum x^2 psi / S2; gradient 2 x (R + S2 tail).
fn weighted(
    x: &[f64],
    gradient: &mut [f64],
    psi: impl Fn(f64) -> f64,
    tail: impl Fn(f64, f64) -> f64,
) -> f64 {
    let s2 = dot(x, x);
    let c = x.iter().map(|&x| x * x * psi(x)).sum::<f64>() / s2;
    let rest: f64 = x.iter().map(|&x| (x * (psi(x) - c)).powi(2)).sum();
    for (g, &x) in gradient.iter_mut().zip(x) {
        *g = 2.0 * x * (rest + s2 * tail(x, c));
    }
    s2 * rest
}

/// sqrt(N S4) - S2 = binary / (sqrt(N S4) + S2), and S2.
fn root(x: &[f64], gradient: &mut [f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let s2 = dot(x, x);
    let s4: f64 = x.iter().map(|x| x.powi(4)).sum();
    let mean = s2 / n;
    let binary = n * x.iter().map(|x| (x * x - mean).powi(2)).sum::<f64>();
    let sum = (n * s4).sqrt();
    for (g, &x) in gradient.iter_mut().zip(x) {
        *g = 2.0 * x * ((n / s4).sqrt() * x * x - 1.0);
    }
    (binary / (sum + s2), s2)
}

/// sqrt(N S4) / S2 - 1.
fn scale_invariant(x: &[f64], gradient: &mut [f64]) -> f64 {
    let (root, s2) = root(x, gradient);
    for (g, &x) in gradient.iter_mut().zip(x) {
        *g = *g / s2 - root * 2.0 * x / (s2 * s2);
    }
    root / s2
}

/// |x|^2 |r|^2 with r = C x - c x and c the Rayleigh quotient.
fn eigenvector(matrix: &[f64], x: &[f64], gradient: &mut [f64]) -> f64 {
    let n = x.len();
    let square = dot(x, x);
    if square == 0.0 {
        gradient.fill(0.0);
        return 0.0;
    }
    let mut r: Vec<f64> = matrix.chunks_exact(n).map(|row| dot(row, x)).collect();
    let c = dot(&r, x) / square;
    r.iter_mut().zip(x).for_each(|(r, x)| *r -= c * x);
    let rest = dot(&r, &r);
    for (j, g) in gradient.iter_mut().enumerate() {
        *g = 2.0 * x[j] * rest - 2.0 * square * c * r[j];
    }
    for (row, r) in matrix.chunks_exact(n).zip(&r) {
        gradient.iter_mut().zip(row).for_each(|(g, m)| *g += 2.0 * square * m * r);
    }
    square * rest
}

/// K |X^T X - (t / K) I|^2 with t = |X|^2, for X of K columns.
fn orthogonal(x: &[f64], columns: usize, gradient: &mut [f64]) -> f64 {
    let k = columns as f64;
    let mut gram = vec![0.0; columns * columns];
    for row in x.chunks_exact(columns) {
        for (i, a) in row.iter().enumerate() {
            row.iter().zip(&mut gram[i * columns..]).for_each(|(b, g)| *g += a * b);
        }
    }
    let mean = (0..columns).map(|i| gram[i * columns + i]).sum::<f64>() / k;
    (0..columns).for_each(|i| gram[i * columns + i] -= mean);
    for (g, row) in gradient.chunks_exact_mut(columns).zip(x.chunks_exact(columns)) {
        for (j, g) in g.iter_mut().enumerate() {
            *g = 4.0 * k * dot(row, &gram[j * columns..(j + 1) * columns]);
        }
    }
    k * dot(&gram, &gram)
}

/// |h|^2 |Y^2 - c h|^2 with h_ib = 4^b, for Y of B columns.
fn multi_bit(y: &[f64], bits: usize, gradient: &mut [f64]) -> f64 {
    let rows = (y.len() / bits) as f64;
    let weight = |k: usize| 4f64.powi((k % bits) as i32);
    let square = rows * (0..bits).map(|b| weight(b).powi(2)).sum::<f64>();
    let c = y.iter().enumerate().map(|(k, y)| weight(k) * y * y).sum::<f64>() / square;
    let mut total = 0.0;
    for (k, (g, &y)) in gradient.iter_mut().zip(y).enumerate() {
        let d = y * y - c * weight(k);
        total += d * d;
        *g = 4.0 * square * y * d;
    }
    square * total
}

/// N^(r/q - r/p) |x|_p^r - |x|_q^r.
fn hoelder(x: &[f64], p: f64, q: f64, r: f64, gradient: &mut [f64]) -> f64 {
    let largest = x.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
    if largest == 0.0 {
        gradient.fill(0.0);
        return 0.0;
    }
    let norm =
        |p: f64| largest * x.iter().map(|x| (x.abs() / largest).powf(p)).sum::<f64>().powf(1.0 / p);
    let (a, b) = (norm(p), norm(q));
    let scale = (x.len() as f64).powf(r / q - r / p);
    for (g, &x) in gradient.iter_mut().zip(x) {
        let part = |norm: f64, p: f64| r * norm.powf(r - 1.0) * (x.abs() / norm).powf(p - 1.0);
        *g = (scale * part(a, p) - part(b, q)) * if x == 0.0 { 0.0 } else { x.signum() };
    }
    scale * a.powf(r) - b.powf(r)
}
