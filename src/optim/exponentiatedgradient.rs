//! Exponentiated gradient: steps relative to the size of a weight, which keep its sign.
//!
//! Kivinen, Warmuth 1997, Information and Computation 132; Cornford, Pogodin et al. 2024, "Brain-like
//! learning with exponentiated gradients".
//!
//!   x parameter   g gradient   b momentum buffer, or m, v running moments (states)
//!   lr, momentum, dampening, nesterov ("sgd"), beta1, beta2, eps ("adamw"), max_log_step
//!   d = the direction of SGD with momentum, or Adam's m / bc1 / (sqrt(v) / sqrt(bc2) + eps)
//!   x = x exp(-lr sign(x) d)             the exponent is clipped to +-max_log_step
//!   geometry = "frozen": x = x - lr d, but a weight that would change its sign stops at 1e-18
//!
//! x = 0 stays 0. Decay is relative too: coupled adds weight_decay sign(x) to g, decoupled multiplies
//! by 1 - lr weight_decay, as cautious does where the step lowers |x|. Memory: none to two buffers.
//! Deviations: none from the authors' code.

use super::adam::bias_corrections;
use super::geometry::Geometry;
use super::modifiers::Decay as Form;
use super::prelude::*;

choice! {
    /// What the direction is.
    Base {
        /// That of SGD, with momentum if there is any.
        Sgd = "sgd",
        /// That of AdamW.
        Adamw = "adamw",
    }
}

choice! {
    /// How a weight moves.
    Kind {
        /// By a factor exp.
        Multiplicative = "multiplicative",
        /// As ever, but not across 0.
        Frozen = "frozen",
    }
}

rule! {
    /// Steps relative to the size of a weight, which keep its sign.
    "exponentiatedgradient" => ExponentiatedGradient {
        lr: NonNegative = 1e-2,
        base: Base = Base::Sgd,
        momentum: NonNegative = 0.0,
        dampening: NonNegative = 0.0,
        nesterov: Flag = false,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-8,
        geometry: Kind = Kind::Multiplicative,
        max_log_step: Positive = 80.0,
        /// Whether weights that start as 0, and would stay, are an error.
        strict: Flag = false,
    }
    decay Coupled 0.0
}

impl Rule for ExponentiatedGradient {
    fn measure<T: Real, P: Probe<T>>(&self, probe: P) -> P::Output {
        if self.strict {
            probe.run([Reduce::Sum], |x, _, []| {
                let [zero, one] = [0.0, 1.0].map(T::of);
                [T::select(x.eq(zero), one, zero)]
            })
        } else {
            probe.run([], |_, _, []| [])
        }
    }

    fn advance(&self, step: &mut Step) -> Result<()> {
        let zeros = step.measured[0];
        if step.t == 1 && zeros > 0.0 {
            let given = format!("{zeros} that are");
            let fix = "start them at +-1e-3, or pass strict=False";
            return Err(Error::value("weights", "different from 0 with strict=True", given, fix));
        }
        Ok(())
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [bc1, bc2] = bias_corrections([self.beta1, self.beta2], step.t);
        let [lr, decay] = [self.lr, step.own_decay(Form::Coupled)].map(T::of);
        let decayed = move |x: T, g: T| g + decay * x.sign();
        if self.base == Base::Adamw {
            let [rate, correct, eps] = [self.lr / bc1, 1.0 / bc2.sqrt(), self.eps].map(T::of);
            let [fresh1, beta2, fresh2] =
                [1.0 - self.beta1, self.beta2, 1.0 - self.beta2].map(T::of);
            return launch.run([zeros("exp_avg"), zeros("exp_avg_sq")], move |x, g, [m, v]| {
                let g = decayed(x, g);
                *m = *m + fresh1 * (g - *m);
                *v = beta2 * *v + fresh2 * (g * g);
                rate * (*m / (v.sqrt() * correct + eps))
            });
        }
        if self.momentum == 0.0 {
            return launch.run([], move |x, g, []| lr * decayed(x, g));
        }
        let fresh = if step.t == 1 { 1.0 } else { 1.0 - self.dampening };
        let [momentum, fresh] = [self.momentum, fresh].map(T::of);
        let nesterov = self.nesterov;
        launch.run([zeros("momentum_buffer")], move |x, g, [b]| {
            let g = decayed(x, g);
            *b = momentum * *b + fresh * g;
            lr * if nesterov { g + momentum * *b } else { *b }
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }

    fn decays(&self, form: Form) -> bool {
        form == Form::Coupled && self.geometry == Kind::Multiplicative
    }

    fn geometry(&self) -> Geometry {
        match self.geometry {
            Kind::Multiplicative => Geometry::Multiplicative { limit: self.max_log_step },
            Kind::Frozen => Geometry::Frozen,
        }
    }

    fn check(&self) -> Result<()> {
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            let given = format!("momentum={:?}, dampening={:?}", self.momentum, self.dampening);
            let allowed = "False unless momentum > 0 and dampening = 0";
            return Err(Error::value("nesterov", allowed, given, "set momentum=0.9, dampening=0"));
        }
        Ok(())
    }
}
