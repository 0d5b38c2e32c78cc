//! Temperature and radii as functions of the step.
//!
//!   t step, from 0
//!   linear: max(init - decay t, target)
//!   power:  max(init (t + 1)^-(0.5 + gamma), target)
//!   cosine: target + (init - target) (1 + cos(pi min(t, T) / T)) / 2,
//!           T = total, or max(1, int((init - target) / max(decay, 1e-12)));
//!           warm restarts when restart > 1: periods T, int(T restart), ..., at most 100
//!
//! The schedule that follows the convergence of Sinkhorn is [`Progressive`], which has state.

/// A positive number for every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// The same for ever.
    Constant(f64),
    /// A straight line down to `target`.
    Linear {
        /// Value at step 0.
        init: f64,
        /// Lowest value.
        target: f64,
        /// Decrease a step.
        decay: f64,
    },
    /// The step sizes of stochastic approximation.
    Power {
        /// Value at step 0.
        init: f64,
        /// Lowest value.
        target: f64,
        /// Exponent beyond one half.
        gamma: f64,
    },
    /// Half a cosine wave, once or with warm restarts.
    Cosine {
        /// Value at step 0.
        init: f64,
        /// Value at the end of a period.
        target: f64,
        /// Sets the period where `total` is 0.
        decay: f64,
        /// Steps of the (first) period; 0 derives it from `decay`.
        total: u64,
        /// Growth of the period at a restart; 1 for no restart.
        restart: f64,
    },
}

const RESTARTS: usize = 100;

impl Schedule {
    /// The value at step `t`.
    pub fn at(&self, t: u64) -> f64 {
        match *self {
            Self::Constant(value) => value,
            Self::Linear { init, target, decay } => (init - decay * t as f64).max(target),
            Self::Power { init, target, gamma } => {
                (init * (t as f64 + 1.0).powf(-0.5 - gamma)).max(target)
            }
            Self::Cosine { init, target, decay, total, restart } => {
                let derived = ((init - target) / decay.max(1e-12)) as u64;
                let mut period = if total > 0 { total } else { derived.max(1) };
                let mut phase = t;
                if restart > 1.0 {
                    for _ in 0..RESTARTS {
                        if phase < period {
                            break;
                        }
                        phase -= period;
                        period = (period as f64 * restart) as u64;
                    }
                }
                let turn = std::f64::consts::PI * phase.min(period) as f64 / period as f64;
                target + 0.5 * (init - target) * (1.0 + turn.cos())
            }
        }
    }
}

/// A temperature that rises while Sinkhorn struggles and falls while it is quick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progressive {
    /// Lowest temperature.
    pub target: f64,
    /// Before smoothing.
    pub current: f64,
    /// The temperature in use.
    pub smoothed: f64,
}

impl Progressive {
    const CAP: f64 = 5.0;

    /// Starts at `init`.
    pub fn new(init: f64, target: f64) -> Self {
        Self { target, current: init, smoothed: init }
    }

    /// Follows one solve that used `share` of the iterations it was allowed.
    pub fn follow(&mut self, share: f64, converged: bool) {
        if !converged || share > 0.5 {
            self.current = (self.current * 1.2).min(Self::CAP);
        } else if share < 0.1 {
            self.current = (self.current * 0.95).max(self.target);
        }
        self.smoothed = 0.7 * self.smoothed + 0.3 * self.current;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        let linear = Schedule::Linear { init: 1.0, target: 0.25, decay: 0.125 };
        assert_eq!([0, 2, 6, 7, 1000].map(|t| linear.at(t)), [1.0, 0.75, 0.25, 0.25, 0.25]);
        let cosine =
            Schedule::Cosine { init: 3.0, target: 1.0, decay: 0.5, total: 0, restart: 1.0 };
        assert_eq!([0, 4, 9].map(|t| cosine.at(t)), [3.0, 1.0, 1.0]);
        assert!((cosine.at(2) - 2.0).abs() < 1e-15);
        let power = Schedule::Power { init: 8.0, target: 1.0, gamma: 0.5 };
        assert_eq!([0, 1, 3, 100].map(|t| power.at(t)), [8.0, 4.0, 2.0, 1.0]);
        assert_eq!(Schedule::Constant(0.5).at(9), 0.5);
    }

    #[test]
    fn a_warm_restart_lengthens_the_period() {
        let s = Schedule::Cosine { init: 1.0, target: 0.0, decay: 0.0, total: 2, restart: 2.0 };
        // Periods 0..2, 2..6, 6..14.
        assert_eq!([0, 2, 6, 14].map(|t| s.at(t)), [1.0; 4]);
        assert!((s.at(1) - 0.5).abs() < 1e-15 && (s.at(4) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn progressive_rises_falls_and_holds() {
        let mut p = Progressive::new(1.0, 0.01);
        p.follow(0.3, true);
        assert_eq!(p.smoothed, 1.0);
        p.follow(0.3, false);
        assert!((p.current - 1.2).abs() < 1e-15 && (p.smoothed - 1.06).abs() < 1e-15);
        p.follow(0.01, true);
        assert!((p.current - 1.14).abs() < 1e-15);
        (0..1000).for_each(|_| p.follow(1.0, true));
        assert_eq!(p.current, 5.0);
    }
}
