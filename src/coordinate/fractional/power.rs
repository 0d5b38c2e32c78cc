//! Denominators that are a polynomial D along a coordinate, or its square root.
//!
//! With N = C + b eta + a/2 eta^2, stationary steps are the roots of
//!   FCD: N' D - s N D' = 0, where g = D^s; the leading terms cancel where N and g grow alike
//!   PCD: N' - F D' = 0 for g = D;  4 N'^2 D - F^2 D'^2 = 0 for g = sqrt(D), of which one half
//!        belongs to N' sqrt(D) = -F D' / 2 and loses when weighed
//! in units of sqrt(2 C / a), where N / C = 1 + beta t + t^2 with |beta| <= 2.

use super::line::{Best, Line, Method, Side};
use super::polynomial::{self, Coefficients, DEGREE, sign_changes};

/// Minimises over a line with denominator D.
pub fn polynomial(line: &Line, d: &[f64; 5], best: Best) -> Best {
    minimize(line, d, best, 1.0, |d| d)
}

/// Minimises over a line with denominator sqrt(D).
pub fn root(line: &Line, d: &[f64; 5], best: Best) -> Best {
    minimize(line, d, best, 0.5, f64::sqrt)
}

fn minimize(
    line: &Line,
    d: &[f64; 5],
    mut best: Best,
    power: f64,
    of: impl Fn(f64) -> f64,
) -> Best {
    let g = |eta: f64| of(value(d, eta));
    let far = line.far();
    for (eta, u) in line.special().into_iter().chain([far, -far].map(|eta| (eta, line.x + eta))) {
        if u.is_finite() {
            best.weigh(line, eta, u, g(eta));
        }
    }
    let scale = (2.0 * line.value(0.0, line.x) / line.curvature).sqrt();
    if !(scale > 0.0 && scale.is_finite()) {
        return best;
    }
    let mut d = *d;
    let mut factor = 1.0;
    for c in &mut d {
        *c *= factor;
        factor *= scale;
    }
    let size = d.iter().fold(0.0, |size, c| f64::max(size, c.abs()));
    let scaled = d.map(|c| c / size);
    for Side { base, slope, from, to } in line.sides() {
        if from > to {
            continue;
        }
        let n = [base, slope * scale, 0.5 * line.curvature * scale * scale];
        let height = n.iter().fold(0.0, |height, c| f64::max(height, c.abs()));
        let n = n.map(|c| c / height);
        let equation = match best.method {
            Method::Fractional => fractional(&n, &scaled, power),
            Method::Parametric => parametric(&n, &scaled, best.start * of(size) / height, power),
        };
        let (roots, count) = sign_changes(&equation);
        for t in &roots[..count] {
            let eta = t * scale;
            if from <= eta && eta <= to {
                best.weigh(line, eta, line.x + eta, of(value(&d, *t)));
            }
        }
    }
    best
}

fn value(d: &[f64; 5], x: f64) -> f64 {
    d.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// N' D - s N D'; the weight of a term that cancels is exactly zero.
fn fractional(n: &[f64; 3], d: &[f64; 5], power: f64) -> Coefficients {
    let mut c = [0.0; DEGREE + 1];
    for j in 0..3 {
        for k in 0..5 {
            if j + k > 0 {
                c[j + k - 1] += (j as f64 - power * k as f64) * n[j] * d[k];
            }
        }
    }
    c
}

/// N' - F D', or 4 N'^2 D - F^2 D'^2 for the square root.
fn parametric(n: &[f64; 3], d: &[f64; 5], ratio: f64, power: f64) -> Coefficients {
    let slope = [n[1], 2.0 * n[2]];
    let slopes = [d[1], 2.0 * d[2], 3.0 * d[3], 4.0 * d[4]];
    let mut c = [0.0; DEGREE + 1];
    if power == 1.0 {
        for (k, slope) in slopes.iter().enumerate() {
            c[k] = slope * -ratio;
        }
        c[0] += slope[0];
        c[1] += slope[1];
        return c;
    }
    let square = [slope[0] * slope[0], 2.0 * slope[0] * slope[1], slope[1] * slope[1]];
    for (j, s) in square.iter().enumerate() {
        for (k, d) in d.iter().enumerate() {
            c[j + k] += 4.0 * s * d;
        }
    }
    for (j, r) in slopes.iter().enumerate() {
        for (k, s) in slopes.iter().enumerate() {
            c[j + k] -= ratio * ratio * r * s;
        }
    }
    c
}

const _: () = assert!(polynomial::DEGREE >= 6, "4 N'^2 D has degree 6");

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;

    /// Coefficients of sum_j (d_j + a_j eta)^q.
    fn powers(terms: &[(f64, f64)], q: i32) -> [f64; 5] {
        let binomial = if q == 2 { [1.0, 2.0, 1.0, 0.0, 0.0] } else { [1.0, 4.0, 6.0, 4.0, 1.0] };
        std::array::from_fn(|k| {
            let k32 = i32::try_from(k).unwrap();
            if k32 > q {
                return 0.0;
            }
            terms.iter().map(|(a, d)| binomial[k] * a.powi(k32) * d.powi(q - k32)).sum()
        })
    }

    #[test]
    fn steps_are_as_low_as_a_dense_search() {
        let terms = [(0.3, -1.0), (-2.0, 0.4), (0.7, 1.5), (1.1, -0.2)];
        for (index, l1) in [0.0, 0.3, 0.0, 1.2].into_iter().enumerate() {
            let x = [0.4, -0.7, 0.0, 1.3][index];
            let line = Line {
                x,
                base: 2.5,
                slope: 2.0 * x,
                curvature: 2.0,
                l1,
                low: [-1e9, -2.0][index % 2],
                high: 1e9,
            };
            let shapes = [
                Shape::Root(powers(&terms, 4)),
                Shape::Root(powers(&terms, 2)),
                Shape::Polynomial(powers(&terms, 2)),
            ];
            for shape in &shapes {
                let g = |eta: f64| match shape {
                    Shape::Root(d) => value(d, eta).sqrt(),
                    Shape::Polynomial(d) => value(d, eta),
                    _ => unreachable!(),
                };
                let start = line.value(0.0, x) / g(0.0);
                let found = line.minimize(shape, Method::Fractional, start);
                let lower = line.minimize(shape, Method::Parametric, start);
                assert!(lower.ratio <= start && found.ratio <= lower.ratio * (1.0 + 1e-14));
                let point = |k: i32| f64::from(k) * 1e-4;
                let dense = (-100_000..=100_000).map(point).filter(|u| *u >= line.low);
                for u in dense {
                    let (n, g) = (line.value(u - x, u), g(u - x));
                    assert!(found.ratio <= n / g * (1.0 + 1e-12), "{shape:?} {u}");
                    if lower.method == Method::Parametric {
                        let (m, h) = (line.value(lower.eta, lower.u), n - start * g);
                        let m = m - start * m / lower.ratio;
                        assert!(m <= h + 1e-12 * (1.0 + h.abs()), "{shape:?} {u} {m} {h}");
                    }
                }
            }
        }
    }
}
