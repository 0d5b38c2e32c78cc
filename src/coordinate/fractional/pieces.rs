//! Denominators that are linear on each piece, or squares of such.
//!
//! On a piece g = p eta + q and N = C + b eta + a/2 eta^2. The ratio is stationary where
//! a p / 2 eta^2 + a q eta + (b q - C p) = 0, of which the root
//! (-a q + sqrt(a^2 q^2 - 2 a p (b q - C p))) / (a p) is the minimum for either sign of p. Kinks of
//! a convex g are no minimisers: the slope of the ratio falls there.

use super::line::{Best, Line, Method, Side};

/// `slope eta + level` up to `end`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Right end; the left one is that of the piece before.
    pub end: f64,
    /// See above.
    pub slope: f64,
    /// See above.
    pub level: f64,
}

impl Piece {
    #[inline(always)]
    fn at(&self, eta: f64) -> f64 {
        self.slope * eta + self.level
    }
}

/// The function at `eta`.
fn at(pieces: &[Piece], eta: f64) -> f64 {
    let k = pieces.partition_point(|piece| piece.end < eta);
    pieces[k.min(pieces.len() - 1)].at(eta)
}

/// Growth of the square as eta^2, on the steeper end.
pub fn growth(pieces: &[Piece]) -> f64 {
    let [first, last] = [pieces[0], pieces[pieces.len() - 1]].map(|piece| piece.slope);
    (first * first).max(last * last)
}

/// Minimises over a line with denominator `pieces`.
pub fn linear(line: &Line, pieces: &[Piece], concave: bool, mut best: Best) -> Best {
    for (eta, u) in line.special() {
        if u.is_finite() {
            best.weigh(line, eta, u, at(pieces, eta));
        }
    }
    let (a, ratio) = (line.curvature, best.start);
    for side in line.sides() {
        match best.method {
            Method::Fractional => walk(line, &side, pieces, &mut best, 1, |p, q| {
                let k = side.slope * q - side.base * p;
                let t = a * q;
                let root = (t * t - 2.0 * a * p * k).sqrt();
                // Neither form subtracts numbers of one sign.
                if t >= 0.0 { -2.0 * k / (t + root) } else { (root - t) / (a * p) }
            }),
            Method::Parametric => {
                walk(line, &side, pieces, &mut best, 1, |p, _| (ratio * p - side.slope) / a);
            }
        }
    }
    if concave {
        for piece in &pieces[..pieces.len() - 1] {
            best.weigh(line, piece.end, line.x + piece.end, piece.at(piece.end));
        }
    }
    best
}

/// Minimises over a line with denominator the square of `pieces`.
pub fn square(line: &Line, pieces: &[Piece], mut best: Best) -> Best {
    let far = line.far();
    for (eta, u) in line.special().into_iter().chain([far, -far].map(|eta| (eta, line.x + eta))) {
        if u.is_finite() {
            let g = at(pieces, eta);
            best.weigh(line, eta, u, g * g);
        }
    }
    let (a, ratio) = (line.curvature, best.start);
    for side in line.sides() {
        let Side { base, slope: b, .. } = side;
        match best.method {
            Method::Fractional => walk(line, &side, pieces, &mut best, 2, |p, q| {
                (2.0 * p * base - b * q) / (a * q - b * p)
            }),
            Method::Parametric => walk(line, &side, pieces, &mut best, 2, |p, q| {
                (2.0 * ratio * p * q - b) / (a - 2.0 * ratio * p * p)
            }),
        }
    }
    best
}

/// Weighs the stationary point of every piece that lies on it and on the side.
#[inline(always)]
fn walk(
    line: &Line,
    side: &Side,
    pieces: &[Piece],
    best: &mut Best,
    power: i32,
    stationary: impl Fn(f64, f64) -> f64,
) {
    let first = pieces.partition_point(|piece| piece.end < side.from);
    let mut from = side.from;
    for piece in &pieces[first..] {
        if from > side.to {
            break;
        }
        let to = piece.end.min(side.to);
        let eta = stationary(piece.slope, piece.level);
        if from <= eta && eta <= to {
            best.weigh(line, eta, line.x + eta, piece.at(eta).powi(power));
        }
        from = piece.end;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::super::polynomial::{DEGREE, sign_changes};
    use super::*;
    use crate::engine::rng::Philox;

    /// |eta - 1| + 2 |eta + 0.5| + 0.3
    const PIECES: [Piece; 3] = [
        Piece { end: -0.5, slope: -3.0, level: 0.3 },
        Piece { end: 1.0, slope: 1.0, level: 2.3 },
        Piece { end: f64::INFINITY, slope: 3.0, level: 0.3 },
    ];

    fn line(index: u64) -> Line {
        let [r, s] = Philox::new(3).normal(0, index);
        let [t, v] = Philox::new(3).uniform(1, index);
        let curvature = 0.1 + 3.0 * t;
        // base keeps N >= 0: slope^2 <= 2 curvature base.
        let base = s * s / (2.0 * curvature) + v;
        let (low, high) = if index.is_multiple_of(3) { (-1.0, 1.5) } else { (-1e9, 1e9) };
        let l1 = if index.is_multiple_of(2) { 0.4 } else { 0.0 };
        Line { x: 0.5 * r.clamp(-1.9, 2.9), base, slope: s, curvature, l1, low, high }
    }

    fn dense_search(line: &Line, g: impl Fn(f64) -> f64, value: impl Fn(f64, f64) -> f64) -> f64 {
        let around = |center: f64, width: f64| {
            let points = (-4000..=4000).map(|k| center + width * f64::from(k) / 4000.0);
            let inside = points.map(|u| u.clamp(line.low, line.high));
            inside.map(|u| (value(line.value(u - line.x, u), g(u - line.x)), u)).fold(
                (f64::INFINITY, 0.0),
                |best: (f64, f64), next| if next.0 < best.0 { next } else { best },
            )
        };
        let (mut best, mut width) = (around(0.0, 40.0), 40.0);
        for _ in 0..6 {
            width /= 100.0;
            best = around(best.1, width);
        }
        [0.0, line.low, line.high]
            .iter()
            .filter(|u| (line.low..=line.high).contains(*u))
            .map(|&u| value(line.value(u - line.x, u), g(u - line.x)))
            .fold(best.0, f64::min)
    }

    #[test]
    fn steps_are_as_low_as_a_dense_search() {
        for index in 0..60 {
            let line = line(index);
            let g = |eta: f64| at(&PIECES, eta);
            let start = line.value(0.0, line.x) / g(0.0);
            let shape = Shape::Linear { pieces: &PIECES, concave: false, reach: f64::INFINITY };
            let ratio = line.minimize(&shape, Method::Fractional, start).ratio;
            let lowest = dense_search(&line, g, |n, g| n / g);
            assert!(ratio <= lowest * (1.0 + 1e-12), "{index} {ratio} {lowest}");
            let found = line.minimize(&shape, Method::Parametric, start);
            let value = line.value(found.eta, found.u) - start * g(found.eta);
            let lowest = dense_search(&line, g, |n, g| n - start * g);
            assert!(value <= lowest + 1e-12 * (1.0 + lowest.abs()), "{index} {value} {lowest}");
            let start = start / g(0.0);
            let shape = Shape::Square { pieces: &PIECES, reach: f64::INFINITY };
            let ratio = line.minimize(&shape, Method::Fractional, start).ratio;
            let lowest = dense_search(&line, g, |n, g| n / (g * g));
            assert!(ratio <= lowest * (1.0 + 1e-12), "{index} {ratio} {lowest}");
        }
    }

    #[test]
    fn the_root_of_a_piece_is_the_minimum_for_either_slope() {
        for (p, q) in [(2.0, 3.0), (-2.0, 3.0), (0.0, 1.0)] {
            let (a, b, base) = (1.5, -0.7, 2.0);
            let mut c = [0.0; DEGREE + 1];
            c[..3].copy_from_slice(&[b * q - base * p, a * q, a * p / 2.0]);
            let (roots, n) = sign_changes(&c);
            let piece = [Piece { end: f64::INFINITY, slope: p, level: q }];
            let line = Line { x: 0.0, base, slope: b, curvature: a, l1: 0.0, low: -9.0, high: 9.0 };
            let shape = Shape::Linear { pieces: &piece, concave: true, reach: f64::INFINITY };
            let eta = line.minimize(&shape, Method::Fractional, base / q).eta;
            assert!(roots[..n].iter().any(|root| (root - eta).abs() < 1e-12), "{roots:?} {eta}");
        }
    }
}
