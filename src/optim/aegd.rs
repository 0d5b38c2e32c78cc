//! AEGD: gradient descent on the root of the loss, with an energy that only sinks.
//!
//! Liu, Tian 2020, "AEGD: adaptive gradient descent with energy", arXiv:2010.05109; Liu, Nurbekyan,
//! Tian, Yang 2023, "Adaptive preconditioned gradient descent with energy", arXiv:2310.06733.
//!
//!   f loss   g gradient   r energy: a state, or with a preconditioner a scalar of each tensor
//!   v momentum buffer (state, with momentum)   lr, c (f + c > 0), momentum
//!   s = sqrt(f + c), the first r
//!   without preconditioner, for each element:
//!     d = g / (2 s) + weight_decay x (coupled);  v = momentum v + d, which is d without momentum
//!     r = r / (1 + 2 lr v^2);  step = 2 lr r v
//!   with one, T = 1 ("identity"), x ("entropy") or x^2 ("log_barrier"), for each tensor:
//!     w = <T, g> / <T, 1> with conserve_sum, else 0
//!     v = T (g - w) / (2 s);  r = r / (1 + 2 lr <v, v / T>);  step = 2 lr r v
//!
//! conserve_sum keeps the sum of a tensor. Memory: one buffer, two with momentum, or none and a pass
//! for three sums. Deviations: one energy for each tensor, where the paper has one for all; momentum
//! (Liu, Tian 2022, arXiv:2203.12191) sums transformed gradients as SGD sums gradients.

use super::modifiers::Decay as Form;
use super::prelude::*;

choice! {
    /// The inverse of the metric.
    Preconditioner {
        /// 1.
        Identity = "identity",
        /// x, which is positive.
        Entropy = "entropy",
        /// x^2.
        LogBarrier = "log_barrier",
    }
}

rule! {
    /// Gradient descent on the root of the loss, with an energy that only sinks.
    "aegd" => AEGD {
        lr: NonNegative = 0.1,
        c: Finite = 1.0,
        preconditioner: Optional<Preconditioner> = None,
        conserve_sum: Flag = false,
        momentum: Decay = 0.0,
    }
    decay Coupled 0.0
}

impl Preconditioner {
    #[inline(always)]
    fn of<T: Real>(self, x: T) -> T {
        match self {
            Self::Identity => T::of(1.0),
            Self::Entropy => x,
            Self::LogBarrier => x * x,
        }
    }
}

/// What the mean gradient and the norm need: T g, T and T g^2.
#[inline(always)]
fn sums<T: Real>(kind: Preconditioner, x: T, g: T) -> [T; 3] {
    let t = kind.of(x);
    [t * g, t, t * g * g]
}

impl AEGD {
    fn root(&self, step: &Step) -> f64 {
        (step.loss + self.c).sqrt()
    }

    /// What is taken from the gradient so that the sum stays.
    fn mean(&self, step: &Step) -> f64 {
        let [weighted, weights, ..] = step.measured;
        if self.conserve_sum && weights != 0.0 { weighted / weights } else { 0.0 }
    }
}

impl Rule for AEGD {
    fn measure<T: Real, P: Probe<T>>(&self, probe: P) -> P::Output {
        match self.preconditioner {
            None => probe.run([], |_, _, []| []),
            // A closure for each: a choice inside would be made for each coordinate.
            Some(Preconditioner::Identity) => {
                probe.run([Reduce::Sum; 3], |x, g, []| sums(Preconditioner::Identity, x, g))
            }
            Some(Preconditioner::Entropy) => {
                probe.run([Reduce::Sum; 3], |x, g, []| sums(Preconditioner::Entropy, x, g))
            }
            Some(Preconditioner::LogBarrier) => {
                probe.run([Reduce::Sum; 3], |x, g, []| sums(Preconditioner::LogBarrier, x, g))
            }
        }
    }

    fn scalars(&self) -> Vec<Scalar> {
        self.preconditioner.map_or(Vec::new(), |_| vec![scalar("energy", -1.0)])
    }

    fn advance(&self, step: &mut Step) -> Result<()> {
        let s = self.root(step);
        if s.is_nan() || s <= 0.0 {
            let given = if step.loss.is_nan() { "none".to_owned() } else { step.loss.to_string() };
            let allowed = format!("a number above {:?} (-c)", -self.c);
            let fix = "pass a closure that returns it, or raise c";
            return Err(Error::value("loss", allowed, given, fix));
        }
        if self.preconditioner.is_some() {
            let (mean, [weighted, _, square, ..]) = (self.mean(step), step.measured);
            // <T (g - w), g - w>, where w <T, 1> = <T, g>.
            let norm = (square - mean * weighted) / (4.0 * s * s);
            let old = if step.before[0] < 0.0 { s } else { step.before[0] };
            step.scalars[0] = old / (1.0 + 2.0 * self.lr * norm.max(0.0));
        }
        Ok(())
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let s = self.root(step);
        if let Some(kind) = self.preconditioner {
            let rate = self.lr * step.scalars[0] / s;
            let [rate, mean] = [rate, self.mean(step)].map(T::of);
            return launch.run([], move |x, g, []| rate * (kind.of(x) * (g - mean)));
        }
        let [half, rate, root] = [0.5 / s, 2.0 * self.lr, s].map(T::of);
        let [zero, one, decay] = [0.0, 1.0, step.own_decay(Form::Coupled)].map(T::of);
        let energy = State { name: "energy", start: Start::Constant(-1.0) };
        let step = move |v: T, r: &mut T| {
            let old = T::select(r.lt(zero), root, *r);
            *r = old / (one + rate * (v * v));
            rate * (*r * v)
        };
        if self.momentum == 0.0 {
            return launch.run([energy], move |x, g, [r]| step(half * g + decay * x, r));
        }
        let momentum = T::of(self.momentum);
        launch.run([energy, zeros("momentum_buffer")], move |x, g, [r, v]| {
            *v = momentum * *v + (half * g + decay * x);
            step(*v, r)
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }

    fn decays(&self, form: Form) -> bool {
        form == Form::Coupled && self.preconditioner.is_none()
    }

    fn check(&self) -> Result<()> {
        if self.conserve_sum && self.preconditioner.is_none() {
            let fix = "pass preconditioner=\"entropy\"";
            return Err(Error::value("conserve_sum", "False without preconditioner", "True", fix));
        }
        if self.momentum != 0.0 && self.preconditioner.is_some() {
            let fix = "leave one of them out";
            return Err(Error::value("momentum", "0 with a preconditioner", self.momentum, fix));
        }
        Ok(())
    }
}
