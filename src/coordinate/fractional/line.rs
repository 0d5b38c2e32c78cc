//! The numerator along a coordinate, and the best of the candidate steps.

use super::{Shape, pieces, power};

/// How a coordinate is chosen to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// FCD: the ratio along the coordinate.
    Fractional,
    /// PCD: numerator minus F times denominator.
    Parametric,
}

/// N(eta) = base + slope eta + curvature / 2 eta^2 + l1 |x + eta| on [low, high].
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The coordinate.
    pub x: f64,
    /// N without the |.| at eta = 0.
    pub base: f64,
    /// See above.
    pub slope: f64,
    /// See above; >= 0.
    pub curvature: f64,
    /// See above; >= 0.
    pub l1: f64,
    /// Least value of the coordinate.
    pub low: f64,
    /// Largest value of the coordinate.
    pub high: f64,
}

/// What bounds the steps that can lower F: with g(eta) <= g(0) + G |eta|,
/// N(eta) - F g(eta) >= -(|b| + l1 + F G) |eta| + a/2 eta^2.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// |b| + l1
    slope: f64,
    /// a
    curvature: f64,
    /// F
    ratio: f64,
}

impl Reach {
    /// No bound.
    pub const ALL: Self = Self { slope: f64::INFINITY, curvature: 1.0, ratio: 0.0 };

    /// Longest step that can lower F, where g rises by at most `rise` for each unit.
    pub fn linear(&self, rise: f64) -> f64 {
        Self::bound(self.slope + self.ratio * rise, 0.5 * self.curvature)
    }

    /// The same for the square of a function that is `value` at 0 and rises by `rise`.
    pub fn square(&self, value: f64, rise: f64) -> f64 {
        let slope = self.slope + 2.0 * self.ratio * value * rise;
        Self::bound(slope, 0.5 * self.curvature - self.ratio * rise * rise)
    }

    fn bound(slope: f64, half: f64) -> f64 {
        // A little more, for rounding.
        if half > 0.0 { 1.000_001 * slope / half } else { f64::INFINITY }
    }
}

/// A parabola that equals N on one side of x + eta = 0.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    /// Value at eta = 0.
    pub base: f64,
    /// Slope there.
    pub slope: f64,
    /// Steps where it holds.
    pub from: f64,
    /// See `from`.
    pub to: f64,
}

impl Line {
    /// N(eta), where the coordinate is then `u`.
    #[inline(always)]
    pub fn value(&self, eta: f64, u: f64) -> f64 {
        self.base + eta * (self.slope + 0.5 * self.curvature * eta) + self.l1 * u.abs()
    }

    /// The steps that can lower `ratio`, F(x).
    pub fn reach(&self, ratio: f64) -> Reach {
        let slope = self.slope.abs() + self.l1;
        Reach { slope, curvature: self.curvature, ratio: ratio.abs() }
    }

    /// The parabolas of N inside the box: one without the l1 norm, else one on each side of 0.
    pub fn sides(&self) -> [Side; 2] {
        let (low, high) = (self.low - self.x, self.high - self.x);
        let Self { base, slope, l1, x, .. } = *self;
        let right = Side { base: base + l1 * x, slope: slope + l1, from: low.max(-x), to: high };
        let left = Side { base: base - l1 * x, slope: slope - l1, from: low, to: high.min(-x) };
        if l1 == 0.0 {
            [Side { base, slope, from: low, to: high }, Side { from: 1.0, to: -1.0, ..left }]
        } else {
            [left, right]
        }
    }

    /// Steps that may be minimisers wherever the denominator has no kink: none, to the kink of N,
    /// to the ends of the box, as (step, coordinate).
    pub fn special(&self) -> [(f64, f64); 4] {
        let zero = if self.l1 > 0.0 { 0.0 } else { self.x };
        [self.x, zero, self.low, self.high].map(|u| (u - self.x, u))
    }

    /// A step after which the quadratic term is the whole of N, up to rounding: what stands for
    /// a minimiser at infinity where N and g grow alike.
    pub fn far(&self) -> f64 {
        1e7 * (2.0 * self.value(0.0, self.x) / self.curvature).sqrt()
    }

    /// The global minimiser along the line, for a denominator of this shape; `ratio` is F(x).
    pub fn minimize(&self, shape: &Shape<'_>, method: Method, ratio: f64) -> Best {
        match shape {
            Shape::Linear { pieces, concave, reach } => {
                let best = Best { reach: *reach, ..Best::of(method, ratio) };
                pieces::linear(self, pieces, *concave, best)
            }
            Shape::Square { pieces, reach } => {
                // Where the reach is finite, N grows faster.
                let growth = if reach.is_finite() { 0.0 } else { pieces::growth(pieces) };
                let method = self.bounded(method, ratio, growth);
                let best = Best { reach: *reach, ..Best::of(method, ratio) };
                pieces::square(self, pieces, best)
            }
            Shape::Polynomial(d) => {
                let method = self.bounded(method, ratio, d[2]);
                power::polynomial(self, d, Best::of(method, ratio))
            }
            Shape::Root(d) => {
                let method = self.bounded(method, ratio, d[4].sqrt());
                power::root(self, d, Best::of(method, ratio))
            }
        }
    }

    /// The method, or the fractional one where N - F g is not bounded below; g grows as
    /// `growth` eta^2.
    fn bounded(&self, method: Method, ratio: f64, growth: f64) -> Method {
        let grows = 0.5 * self.curvature > ratio * growth * (1.0 + 1e-9);
        let finite = self.low.is_finite() && self.high.is_finite();
        if grows || finite { method } else { Method::Fractional }
    }
}

/// The best step so far.
#[derive(Debug, Clone, Copy)]
pub struct Best {
    /// The step.
    pub eta: f64,
    /// The coordinate after it.
    pub u: f64,
    /// F there, with the proximal term if the line has one.
    pub ratio: f64,
    /// What is minimised; F - F(x) for fractional steps up to a factor.
    value: f64,
    /// The method.
    pub method: Method,
    /// F(x).
    pub start: f64,
    /// Longest step to weigh.
    reach: f64,
}

impl Best {
    fn of(method: Method, start: f64) -> Self {
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        Self { eta: nan, u: nan, ratio: infinity, value: infinity, method, start, reach: infinity }
    }

    /// Weighs a step at which the denominator is `g`; ties go to the smaller step.
    #[inline(always)]
    pub fn weigh(&mut self, line: &Line, eta: f64, u: f64, g: f64) {
        if !(g > 0.0 && line.low <= u && u <= line.high && eta.abs() <= self.reach) {
            return;
        }
        let n = line.value(eta, u);
        let value = match self.method {
            Method::Fractional => n / g,
            Method::Parametric => n - self.start * g,
        };
        if value < self.value || value == self.value && eta.abs() < self.eta.abs() {
            *self = Self { eta, u, value, ratio: n / g, ..*self };
        }
    }
}
