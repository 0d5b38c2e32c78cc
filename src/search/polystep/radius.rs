//! Radii that follow the costs.
//!
//! Automatic (the default), per group, from the costs at x +- rho v and at x itself:
//!
//!   odd = (C+ - C-) / 2    even = (C+ + C-) / 2 - C(x)    q = rms(even) / rms(odd)
//!   rho <- rho clamp((2 / q)^0.3, 0.7, 1.2)      half of the costs equal C(x): rho <- 1.2 rho
//!   s <- s exp(0.3 cos(move, previous moves)),  s <= 3 rho
//!
//! q compares bending with slope. Where the cost is straight the probes reach further out, which
//! smooths over ripples; in a bowl of radius D they settle at a fixed share of D. Independent noise
//! alone gives q = sqrt(3), a plateau with rare jumps about 1: both below 2, so that neither
//! shrinks the probes to nothing. The step grows while moves agree with the ones before and
//! shrinks when they turn back: at the noise floor it anneals by itself. A limit on rho stops
//! networks without a scale of their own (relu, cross-entropy) from growing for ever.
//!
//! [`Adaptive`] and [`Trust`] are the published multipliers.

/// Radii of one group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Auto {
    /// Probe radius.
    pub rho: f64,
    /// Step radius.
    pub s: f64,
    /// Largest probe radius.
    pub limit: f64,
}

/// Bending over slope at which the probe radius rests.
const BALANCE: f64 = 2.0;
/// On a plateau this share of the probes may see nothing.
const IDLE: f64 = 0.5;
const RATE: f64 = 0.3;
const GROW: f64 = 1.2;
const SHRINK: f64 = 0.7;
/// The longest step, in probe radii.
const REACH: f64 = 3.0;

impl Auto {
    /// Follows the mean squares of the odd and even parts, and the share of probes that changed
    /// nothing.
    pub fn follow_shape(&mut self, odd: f64, even: f64, idle: f64) {
        let factor = if idle > IDLE {
            GROW
        } else if odd == 0.0 {
            SHRINK
        } else {
            // Mean squares: half the exponent.
            (BALANCE * BALANCE * odd / even).powf(0.5 * RATE).clamp(SHRINK, GROW)
        };
        let rho = (self.rho * factor).min(self.limit);
        if rho.is_normal() {
            self.rho = rho;
        }
    }

    /// Follows the cosine between a move and the moves before it.
    pub fn follow_turn(&mut self, cosine: f64) {
        let s = (self.s * (RATE * cosine).exp()).min(REACH * self.rho);
        if s.is_normal() {
            self.s = s;
        }
    }
}

/// The published radius multiplier: progress shrinks it, stagnation widens it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adaptive {
    /// The multiplier, in [0.5, 3].
    pub multiplier: f64,
    /// The mean cost of the last step, NaN before the first.
    pub last: f64,
    /// Steps without change.
    pub idle: u64,
}

impl Adaptive {
    const PATIENCE: u64 = 10;

    /// Multiplier 1.
    pub fn new() -> Self {
        Self { multiplier: 1.0, last: f64::NAN, idle: 0 }
    }

    /// Follows the mean cost of a step.
    pub fn follow(&mut self, cost: f64) {
        if !cost.is_finite() {
            return;
        }
        let last = std::mem::replace(&mut self.last, cost);
        if !last.is_finite() {
            return;
        }
        if (cost - last).abs() / last.abs().max(1e-12) < 1e-4 {
            self.idle += 1;
            if self.idle >= Self::PATIENCE {
                self.multiplier = (self.multiplier * 1.5).min(3.0);
                self.idle = 0;
            }
            return;
        }
        self.idle = 0;
        if cost < last {
            self.multiplier = (self.multiplier * 0.9).max(0.5);
        }
    }
}

impl Default for Adaptive {
    fn default() -> Self {
        Self::new()
    }
}

/// The published trust region: what the quadratic model predicted against what came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trust {
    /// Multiplier of the step radius, in [0.1, 3].
    pub multiplier: f64,
    /// Mean row minimum of the last step, NaN before the first.
    pub last: f64,
    /// Change that the model predicted for the last step.
    pub predicted: f64,
}

impl Trust {
    /// Multiplier 1.
    pub fn new() -> Self {
        Self { multiplier: 1.0, last: f64::NAN, predicted: 0.0 }
    }

    /// Follows the mean row minimum of a step, then keeps the prediction for the next one.
    pub fn follow(&mut self, minimum: f64, predicted: f64) {
        let before = std::mem::replace(&mut self.predicted, predicted);
        let last = std::mem::replace(&mut self.last, minimum);
        if !last.is_finite() || before == 0.0 {
            return;
        }
        let ratio = ((minimum - last) / before).clamp(-2.0, 5.0);
        let factor = match ratio {
            r if r < 0.0 => 0.25,
            r if r > 0.75 && before < 0.0 => 1.5,
            r if r < 0.25 => 0.5,
            _ => 1.0,
        };
        self.multiplier = (self.multiplier * factor).clamp(0.1, 3.0);
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_rest_where_bending_is_twice_the_slope() {
        let mut auto = Auto { rho: 1.0, s: 1.0, limit: 1e3 };
        auto.follow_shape(1.0, 4.0, 0.0);
        assert_eq!(auto.rho, 1.0);
        auto.follow_shape(1.0, 1e9, 0.5);
        assert_eq!(auto.rho, 0.7);
        auto.follow_shape(1.0, 1e9, 0.6);
        assert!((auto.rho - 0.84).abs() < 1e-15);
        // Noise alone: var(odd) = 1/2, var(even) = 3/2.
        let rho = auto.rho;
        auto.follow_shape(0.5, 1.5, 0.0);
        assert!(auto.rho > rho);
        (0..100_000).for_each(|_| auto.follow_shape(0.0, 1.0, 0.0));
        assert!(auto.rho > 0.0);
    }

    #[test]
    fn steps_grow_with_agreement_up_to_their_cap() {
        let mut auto = Auto { rho: 1.0, s: 1.0, limit: 1e3 };
        auto.follow_turn(-1.0);
        assert!((auto.s - (-0.3f64).exp()).abs() < 1e-15);
        (0..20).for_each(|_| auto.follow_turn(1.0));
        assert_eq!(auto.s, 3.0);
    }

    #[test]
    fn the_published_multiplier_shrinks_on_progress_and_widens_on_stagnation() {
        let mut a = Adaptive::new();
        a.follow(1.0);
        a.follow(f64::NAN);
        assert_eq!(a.multiplier, 1.0);
        a.follow(0.5);
        assert_eq!(a.multiplier, 0.9);
        (0..10).for_each(|_| a.follow(0.5));
        assert!((a.multiplier - 1.35).abs() < 1e-12);
    }

    #[test]
    fn trust_follows_its_ratio() {
        let mut t = Trust::new();
        t.follow(1.0, -0.1);
        t.follow(0.9, -0.1);
        assert_eq!(t.multiplier, 1.5);
        t.follow(1.0, -0.1);
        assert_eq!(t.multiplier, 0.375);
    }
}
