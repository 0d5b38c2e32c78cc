//! Triple momentum, heavy ball and Nesterov's method, tuned by smoothness and strong convexity.
//!
//! Van Scoy, Freeman, Lynch 2018, "The fastest known globally convergent first-order method for
//! minimizing strongly convex functions", IEEE Control Systems Letters 2; Polyak 1964; Nesterov 2004.
//!
//!   y parameter, where gradients are taken   g gradient at y   s iterate, d = s - s_previous (state)
//!   L smoothness, mu strong convexity, k = L / mu, q = sqrt(k), lr factor on alpha
//!   triple      p = 1 - 1/q: alpha = (1 + p) / L, beta = p^2 / (2 - p),
//!               gamma = p^2 / ((1 + p) (2 - p)), delta = p^2 / (1 - p^2)
//!   heavy ball  alpha = 4 / (sqrt L + sqrt mu)^2, beta = ((q - 1) / (q + 1))^2, gamma = delta = 0
//!   nesterov    alpha = 1 / L, beta = gamma = (q - 1) / (q + 1), delta = 0; for mu = 0
//!               beta = gamma = (w - 1) / w+ with w+ = (1 + sqrt(1 + 4 w^2)) / 2 from w = 1 (scalar)
//!   s+ = s + beta d - alpha g;  y+ = s+ + gamma d+
//!   to evaluate: x = s + delta d
//!
//! Written for the move of y, s = y - gamma d, so that decay and masks act on all of it. Rates for
//! L-smooth, mu-strongly convex functions: triple 1 - 1/q a step, Nesterov sqrt(1 - 1/q); heavy ball
//! is tuned for quadratics and may cycle elsewhere. Memory: one buffer. Deviations: none.
#![allow(non_snake_case)]

use super::prelude::*;

choice! {
    /// Which method.
    Method {
        /// Triple momentum.
        Triple = "triple",
        /// Polyak's heavy ball.
        HeavyBall = "heavy_ball",
        /// Nesterov's method; accelerated without strong convexity too.
        Nesterov = "nesterov",
    }
}

rule! {
    /// Triple momentum, heavy ball and Nesterov's method, tuned by L and mu.
    "triplemomentum" => TripleMomentum {
        /// Factor on the tuned step.
        lr: NonNegative = 1.0,
        /// Smoothness: the largest curvature.
        L: Positive = 1.0,
        /// Strong convexity: the smallest curvature.
        mu: NonNegative = 1e-2,
        method: Method = Method::Triple,
        /// Whether the parameter holds y.
        train_mode: Flag = true,
    }
    decay Decoupled 0.0
    uncounted
}

/// Coefficients of a step; `next` is the gamma of the coming one.
struct Tuned {
    alpha: f64,
    beta: f64,
    gamma: f64,
    next: f64,
    delta: f64,
}

impl TripleMomentum {
    /// Nesterov's method without strong convexity, whose momentum grows.
    fn grows(&self) -> bool {
        self.method == Method::Nesterov && self.mu == 0.0
    }

    fn tuned(&self, step: &Step) -> Tuned {
        let (l, mu) = (self.L, self.mu);
        let q = (l / mu).sqrt();
        let (alpha, beta, gamma, delta) = match self.method {
            Method::Triple => {
                let p = 1.0 - 1.0 / q;
                let gamma = p * p / ((1.0 + p) * (2.0 - p));
                ((1.0 + p) / l, p * p / (2.0 - p), gamma, p * p / (1.0 - p * p))
            }
            Method::HeavyBall => {
                let beta = ((q - 1.0) / (q + 1.0)).powi(2);
                (4.0 / (l.sqrt() + mu.sqrt()).powi(2), beta, 0.0, 0.0)
            }
            Method::Nesterov if mu > 0.0 => {
                let beta = (q - 1.0) / (q + 1.0);
                (1.0 / l, beta, beta, 0.0)
            }
            Method::Nesterov => {
                let [gamma, next] = [step.before[1], step.scalars[1]];
                return Tuned { alpha: self.lr / l, beta: gamma, gamma, next, delta: 0.0 };
            }
        };
        Tuned { alpha: self.lr * alpha, beta, gamma, next: gamma, delta }
    }
}

impl Rule for TripleMomentum {
    fn scalars(&self) -> Vec<Scalar> {
        match self.grows() {
            true => vec![scalar("w", 1.0), scalar("gamma", 0.0)],
            false => Vec::new(),
        }
    }

    fn advance(&self, step: &mut Step) -> Result<()> {
        if self.grows() {
            let w = step.before[0];
            let next = (1.0 + (1.0 + 4.0 * w * w).sqrt()) / 2.0;
            step.scalars = vec![next, (w - 1.0) / next];
        }
        Ok(())
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let Tuned { alpha, beta, gamma, next, .. } = self.tuned(step);
        let [alpha, beta, gamma, ahead] = [alpha, beta, gamma, 1.0 + next].map(T::of);
        launch.run([zeros("momentum_buffer")], move |_, g, [d]| {
            let back = gamma * *d;
            *d = beta * *d - alpha * g;
            back - ahead * *d
        })
    }

    fn rate(&self, step: &Step) -> f64 {
        self.tuned(&Step { before: vec![0.0; 2], scalars: vec![0.0; 2], ..step.clone() }).alpha
    }

    fn views(&self) -> Option<Views> {
        if self.grows() {
            return None;
        }
        let Tuned { gamma, delta, .. } = self.tuned(&Step::default());
        let blend = |by: f64| vec![("param", vec![("param", 1.0), ("momentum_buffer", by)])];
        Some(Views { eval: blend(delta - gamma), train: blend(gamma - delta) })
    }

    fn check(&self) -> Result<()> {
        if self.mu > self.L || (self.mu == 0.0 && self.method != Method::Nesterov) {
            let given = format!("mu={:?}, L={:?}", self.mu, self.L);
            let allowed = "above 0 (with \"nesterov\" at least 0) and at most L";
            return Err(Error::value("mu", allowed, given, "a lower bound of the curvature will do"));
        }
        Ok(())
    }
}
