//! SGLD: gradient descent with noise, whose iterates are samples; and their average.
//!
//! Welling, Teh 2011, "Bayesian learning via stochastic gradient Langevin dynamics", ICML; Li et al.
//! 2016, "Preconditioned stochastic gradient Langevin dynamics", AAAI, arXiv:1512.07666.
//!
//!   g gradient of U, samples follow exp(-U / temperature)   z standard normal noise
//!   s running square (with the preconditioner), a average, c its rounding error (with average)
//!   lr, temperature, alpha, eps, burn_in, thinning, seed
//!   step = lr G g - sqrt(2 lr temperature G) z,   G = 1, or 1 / (sqrt(s) + eps) with "rmsprop"
//!   s = alpha s + (1 - alpha) g^2
//!   a = mean of every thinning-th x after burn_in steps, by compensated summation; until then x
//!
//! Welling and Teh write lr / 2 where this has lr. Noise depends on seed, step, parameter and
//! element alone. Memory: none, one buffer with the preconditioner, two more with the average.
//! Deviations: the preconditioner's correction term Gamma is left out, as is usual.

use super::prelude::*;

choice! {
    /// What divides the gradient.
    Preconditioner {
        /// The root of its running square.
        Rmsprop = "rmsprop",
    }
}

rule! {
    /// Gradient descent with noise, whose iterates are samples; and their average.
    "sgld" => SGLD {
        lr: NonNegative = 1e-3,
        temperature: NonNegative = 1.0,
        preconditioner: Optional<Preconditioner> = None,
        alpha: Fraction = 0.99,
        eps: Positive = 1e-5,
        average: Flag = false,
        burn_in: Whole = 0.0,
        thinning: Count = 1.0,
        /// Seed of the noise.
        seed: Seed = 0.0,
        /// Whether the parameter holds the iterate, not the average.
        train_mode: Flag = true,
    }
    decay Decoupled 0.0
}

impl SGLD {
    /// The weight of this iterate in the average.
    fn weight(&self, t: f64) -> f64 {
        let late = t - self.burn_in - 1.0;
        if late <= 0.0 {
            1.0
        } else if late % self.thinning == 0.0 {
            1.0 / (late / self.thinning + 1.0)
        } else {
            0.0
        }
    }
}

impl Rule for SGLD {
    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let amplitude = (2.0 * self.lr * self.temperature).sqrt();
        let [lr, amplitude, weight] =
            [self.lr, amplitude, self.weight(step.t as f64)].map(T::of);
        let [alpha, fresh, eps, one] = [self.alpha, 1.0 - self.alpha, self.eps, 1.0].map(T::of);
        let plain = move |g: T, z: T| lr * g - amplitude * z;
        let scaled = move |g: T, s: &mut T, z: T| {
            *s = alpha * *s + fresh * (g * g);
            let scale = one / (s.sqrt() + eps);
            lr * scale * g - amplitude * scale.sqrt() * z
        };
        let include = move |x: T, a: &mut T, c: &mut T| {
            let term = weight * (x - *a) - *c;
            let sum = *a + term;
            *c = (sum - *a) - term;
            *a = sum;
        };
        let [square, average, error] = ["square_avg", "average", "average_error"].map(zeros);
        match (self.preconditioner.is_some(), self.average) {
            (false, false) => launch.run([NOISE], move |_, g, [z]| plain(g, *z)),
            (true, false) => launch.run([square, NOISE], move |_, g, [s, z]| scaled(g, s, *z)),
            (false, true) => launch.run([average, error, NOISE], move |x, g, [a, c, z]| {
                include(x, a, c);
                plain(g, *z)
            }),
            (true, true) => {
                launch.run([square, average, error, NOISE], move |x, g, [s, a, c, z]| {
                    include(x, a, c);
                    scaled(g, s, *z)
                })
            }
        }
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }

    fn seed(&self) -> u64 {
        self.seed as u64
    }

    fn views(&self) -> Option<Views> {
        self.average.then(|| Views::exchange("average"))
    }
}
