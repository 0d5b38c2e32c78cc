//! Real roots at which a polynomial of low degree changes sign.
//!
//! The roots of each derivative cut the line into intervals where the one before it is monotone,
//! so every root has a bracket; inside, Newton steps that fall back to bisection. Unlike closed
//! forms of degree three and four this loses no digits to cancellation.

/// Highest degree.
pub const DEGREE: usize = 6;

/// Coefficients, constant first.
pub type Coefficients = [f64; DEGREE + 1];

/// Points where the polynomial changes sign, ascending, and their number.
pub fn sign_changes(c: &Coefficients) -> ([f64; DEGREE], usize) {
    let mut roots = [0.0; DEGREE];
    if c.iter().any(|c| !c.is_finite()) {
        return (roots, 0);
    }
    let degree = (0..=DEGREE).rev().find(|&k| c[k] != 0.0).unwrap_or(0);
    let mut found = 0;
    for order in (0..degree).rev() {
        let p = derivative(c, degree, order);
        let (slopes, lead) = (derivative(c, degree, order + 1), degree - order);
        let bound = bound(&p, lead);
        let mut next = [0.0; DEGREE];
        let mut count = 0;
        let (mut left, mut at_left) = (-bound, value(&p, lead, -bound));
        for right in roots[..found].iter().copied().chain([bound]) {
            let right = right.clamp(-bound, bound);
            let at_right = value(&p, lead, right);
            // A zero on the border belongs to the interval on its left.
            if (at_left < 0.0) != (at_right < 0.0) && left < right {
                next[count] = bracketed(&p, &slopes, lead, left, right, at_left < 0.0);
                count += 1;
            }
            (left, at_left) = (right, at_right);
        }
        (roots, found) = (next, count);
    }
    (roots, found)
}

/// The derivative of an order.
fn derivative(c: &Coefficients, degree: usize, order: usize) -> Coefficients {
    let mut out = [0.0; DEGREE + 1];
    for k in order..=degree {
        let factor = (k - order + 1..=k).product::<usize>();
        out[k - order] = c[k] * factor as f64;
    }
    out
}

#[inline(always)]
fn value(c: &Coefficients, degree: usize, x: f64) -> f64 {
    (0..degree).rev().fold(c[degree], |sum, k| sum * x + c[k])
}

/// Fujiwara's bound on the magnitude of all roots, and a little more.
fn bound(c: &Coefficients, degree: usize) -> f64 {
    let root = |k: usize| {
        let ratio = (c[degree - k] / c[degree]).abs();
        match k {
            1 => ratio,
            2 => ratio.sqrt(),
            3 => ratio.cbrt(),
            _ => ratio.powf(1.0 / k as f64),
        }
    };
    let largest = (1..=degree).map(root).fold(0.0, f64::max);
    (2.01 * largest).min(1e150)
}

/// The sign change between `low` and `high`.
fn bracketed(
    c: &Coefficients,
    slopes: &Coefficients,
    degree: usize,
    mut low: f64,
    mut high: f64,
    rising: bool,
) -> f64 {
    let mut x = 0.5 * (low + high);
    // Two bits a step at worst: a bisection follows a Newton step that gains too little.
    for _ in 0..400 {
        let f = value(c, degree, x);
        if f == 0.0 {
            return x;
        }
        let width = high - low;
        if (f < 0.0) == rising {
            low = x;
        } else {
            high = x;
        }
        let newton = x - f / value(slopes, degree - 1, x);
        let inside = low < newton && newton < high;
        let slow = (newton - x).abs() > 0.5 * width;
        let next = if inside && !slow { newton } else { 0.5 * (low + high) };
        if (next - x).abs() <= 2.0 * f64::EPSILON * x.abs() || !(low < next && next < high) {
            return next.clamp(low, high);
        }
        x = next;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_roots(roots: &[f64], scale: f64) -> Coefficients {
        let mut c = [0.0; DEGREE + 1];
        c[0] = scale;
        for (n, r) in roots.iter().enumerate() {
            for k in (0..=n + 1).rev() {
                c[k] = if k > 0 { c[k - 1] } else { 0.0 } - r * c[k];
            }
        }
        c
    }

    #[test]
    fn finds_the_roots_it_was_made_of() {
        for roots in [
            &[-3.0, -1.0, 0.5, 2.0][..],
            &[1e-8, 1.0, 2.0, 1e6],
            &[-7.0],
            &[-1.0, 4.0],
            &[-2.0, -1.0, 0.0, 1.0, 2.0, 3.0],
            &[0.0, 1e-3, 5.0],
        ] {
            for scale in [1.0, -2.5, 1e30] {
                let (found, n) = sign_changes(&with_roots(roots, scale));
                assert_eq!(n, roots.len(), "{roots:?} {found:?}");
                for (a, b) in found.iter().zip(roots) {
                    assert!((a - b).abs() <= 1e-9 * (1e-3 + b.abs()), "{roots:?} {found:?}");
                }
            }
        }
    }

    #[test]
    fn double_and_complex_roots_are_no_sign_changes() {
        assert_eq!(sign_changes(&with_roots(&[1.0, 1.0], 3.0)).1, 0);
        assert_eq!(sign_changes(&[1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]).1, 0);
        assert_eq!(sign_changes(&[0.0; DEGREE + 1]).1, 0);
        assert_eq!(sign_changes(&[f64::NAN; DEGREE + 1]).1, 0);
        let (roots, n) = sign_changes(&with_roots(&[2.0, 2.0, 2.0], 1.0));
        assert_eq!(n, 1);
        assert!((roots[0] - 2.0).abs() < 1e-4);
    }
}
