//! Bounds on every coordinate, and what becomes of a candidate that leaves them.
//!
//!   reflect    folded back, as a ray between two mirrors
//!   resample   a coordinate outside is drawn again, uniformly; folded where a side is open
//!   transform  the search runs in u, without bounds, and the caller sees
//!              x = middle + half sin((u - middle) / half), or for one bound
//!              x = low - 1 + sqrt(1 + (u - low)^2),  x = high + 1 - sqrt(1 + (u - high)^2)

use crate::engine::rng::Philox;
use crate::engine::{Error, Result};

/// What becomes of a candidate outside.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    Reflect,
    Resample,
    Transform,
}

/// A box and its rule.
#[derive(Debug, Clone)]
pub struct Boundary {
    low: Vec<f64>,
    high: Vec<f64>,
    rule: Rule,
}

impl Boundary {
    /// The box between `low` and `high`; `rule` is "reflect", "resample" or "transform".
    ///
    /// # Errors
    /// [`Error::Value`] for another rule, lengths that differ or a bound above the other.
    pub fn new(low: Vec<f64>, high: Vec<f64>, rule: &str) -> Result<Self> {
        let rule = match rule {
            "reflect" => Rule::Reflect,
            "resample" => Rule::Resample,
            "transform" => Rule::Transform,
            _ => {
                let allowed = "'reflect', 'resample' or 'transform'";
                let given = format!("{rule:?}");
                return Err(Error::value("boundary", allowed, given, "choose one of these"));
            }
        };
        let ordered = low.iter().zip(&high).all(|(low, high)| low <= high);
        if low.len() != high.len() || !ordered {
            let given = format!("{low:?} and {high:?}");
            return Err(Error::value("bounds", "low <= high", given, "swap them"));
        }
        Ok(Self { low, high, rule })
    }

    /// Brings a candidate of the method back; `stream` is that of the draws of "resample".
    pub fn admit(&self, rng: &Philox, stream: u64, x: &mut [f64]) {
        if self.rule == Rule::Transform {
            return;
        }
        for (i, x) in x.iter_mut().enumerate() {
            let (low, high) = (self.low[i], self.high[i]);
            let inside = (low..=high).contains(x);
            *x = match self.rule {
                Rule::Resample if !inside && (high - low).is_finite() => {
                    (low + rng.uniform(stream, i as u64)[0] * (high - low)).min(high)
                }
                _ => reflect(*x, low, high),
            };
        }
    }

    /// Folds a candidate back, whatever the rule; none leaves a box that is a transformation.
    pub fn fold(&self, x: &mut [f64]) {
        if self.rule == Rule::Transform {
            return;
        }
        for ((x, low), high) in x.iter_mut().zip(&self.low).zip(&self.high) {
            *x = reflect(*x, *low, *high);
        }
    }

    /// Whether coordinate `i` is to be drawn again.
    pub fn redraws(&self, i: usize, x: f64) -> bool {
        self.rule == Rule::Resample && !(self.low[i]..=self.high[i]).contains(&x)
    }

    /// Whether what lies at `x` is seen in a mirror: an odd number of them folds coordinate `i`.
    pub fn mirrored(&self, i: usize, x: f64) -> bool {
        let (low, high) = (self.low[i], self.high[i]);
        let width = high - low;
        match (low..=high).contains(&x) || self.rule == Rule::Transform {
            true => false,
            false if width.is_finite() => (x - low).rem_euclid(2.0 * width) > width,
            false => true,
        }
    }

    /// Brings the centre of a search back.
    pub fn clip(&self, x: &mut [f64]) {
        if self.rule != Rule::Transform {
            self.confine(x);
        }
    }

    fn confine(&self, x: &mut [f64]) {
        for ((x, low), high) in x.iter_mut().zip(&self.low).zip(&self.high) {
            *x = x.max(*low).min(*high);
        }
    }

    /// From where the method searches to what the caller sees.
    pub fn outer(&self, u: &mut [f64]) {
        if self.rule != Rule::Transform {
            return;
        }
        for ((u, &low), &high) in u.iter_mut().zip(&self.low).zip(&self.high) {
            let half = 0.5 * (high - low);
            *u = match (low.is_finite(), high.is_finite()) {
                (true, true) if half > 0.0 => low + half + half * ((*u - low - half) / half).sin(),
                (true, true) => low,
                (true, false) => low - 1.0 + (*u - low).hypot(1.0),
                (false, true) => high + 1.0 - (*u - high).hypot(1.0),
                (false, false) => *u,
            };
        }
        self.confine(u);
    }

    /// The inverse of [`Boundary::outer`]; what lies outside is clipped first.
    pub fn inner(&self, x: &mut [f64]) {
        self.confine(x);
        for (i, x) in x.iter_mut().enumerate() {
            *x = self.inner_one(i, *x);
        }
    }

    /// Coordinate `i` of [`Boundary::inner`], for an `x` in the box.
    pub fn inner_one(&self, i: usize, x: f64) -> f64 {
        let (low, high) = (self.low[i], self.high[i]);
        let half = 0.5 * (high - low);
        let root = |y: f64| ((y + 1.0) * (y + 1.0) - 1.0).max(0.0).sqrt();
        match (low.is_finite(), high.is_finite()) {
            _ if self.rule != Rule::Transform => x,
            (true, true) if half > 0.0 => {
                low + half + half * ((x - low - half) / half).clamp(-1.0, 1.0).asin()
            }
            (true, false) => low + root(x - low),
            (false, true) => high - root(high - x),
            _ => x,
        }
    }

    /// The sides of coordinate `i` if both are finite.
    pub fn sides(&self, i: usize) -> Option<[f64; 2]> {
        let sides = [self.low[i], self.high[i]];
        (sides[1] - sides[0]).is_finite().then_some(sides)
    }
}

/// Folds a number into [low, high], as a ray between two mirrors.
pub fn reflect(x: f64, low: f64, high: f64) -> f64 {
    if (low..=high).contains(&x) {
        return x;
    }
    let width = high - low;
    if !width.is_finite() {
        // One mirror; a far point may still land beyond what the other side allows.
        let folded = if x < low { 2.0 * low - x } else { 2.0 * high - x };
        return folded.max(low).min(high);
    }
    let turn = (x - low).rem_euclid(2.0 * width);
    let folded = low + if turn > width { 2.0 * width - turn } else { turn };
    // NaN for an empty width, rounding otherwise.
    folded.max(low).min(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors() {
        assert_eq!(reflect(0.5, 0.0, 1.0), 0.5);
        assert_eq!(reflect(-0.25, 0.0, 1.0), 0.25);
        assert_eq!(reflect(1.25, 0.0, 1.0), 0.75);
        assert_eq!(reflect(5.5, 0.0, 1.0), 0.5);
        assert_eq!(reflect(-3.0, 0.0, f64::INFINITY), 3.0);
        assert_eq!(reflect(2.0, 1.0, 1.0), 1.0);
    }

    #[test]
    fn what_is_seen_in_a_mirror_turns_round() {
        let infinite = f64::INFINITY;
        let (low, high) = (vec![0.0, 0.0, -infinite], vec![1.0, infinite, 1.0]);
        let sides = Boundary::new(low, high, "reflect").unwrap();
        for x in [[-0.25, -3.0, 4.0], [1.75, 0.5, 0.5], [2.25, -1.0, 1.5], [-1.5, 2.0, -9.0]] {
            let (mut seen, mut beside) = (x, x.map(|x| x + 1e-3));
            sides.fold(&mut seen);
            sides.fold(&mut beside);
            assert!((0..3).all(|i| (beside[i] < seen[i]) == sides.mirrored(i, x[i])), "{x:?}");
        }
        assert!((0..3).all(|i| !sides.redraws(i, 2.0)));
    }

    #[test]
    fn the_transform_and_its_inverse() {
        let infinite = f64::INFINITY;
        let low = vec![-1.0, 2.0, -infinite, -infinite, 3.0];
        let high = vec![4.0, infinite, 1.0, infinite, 3.0];
        let boundary = Boundary::new(low.clone(), high.clone(), "transform").unwrap();
        for x in [[0.5, 3.0, -2.0, 7.0, 3.0], [-1.0, 2.0, 1.0, -7.0, 3.0]] {
            let mut u = x;
            boundary.inner(&mut u);
            boundary.outer(&mut u);
            assert!(u.iter().zip(x).all(|(u, x)| (u - x).abs() < 1e-12), "{u:?}");
        }
        let mut far = [1e3; 5];
        boundary.outer(&mut far);
        assert!((0..5).all(|i| (low[i]..=high[i]).contains(&far[i])));
    }
}
