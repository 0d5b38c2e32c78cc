//! EG+-: exponentiated gradients of a pair of positive weights, whose difference is the parameter.
//!
//! Kivinen, Warmuth 1997, "Exponentiated gradient versus gradient descent for linear predictors",
//! Information and Computation 132, Fig. 2; Ghai, Hazan, Singer 2020, "Exponentiated gradient meets
//! gradient descent", ALT, arXiv:1902.01903, for the form without the pair.
//!
//!   x parameter   g gradient   p, q its positive weights, x = p - q   b root of p q
//!   lr, total (U), scale (first b), max_log_step
//!   p, q = (sqrt(x^2 + 4 b^2) +- x) / 2
//!   p = p exp(-lr g),  q = q exp(lr g)       the exponent is clipped to +-max_log_step
//!   with total, for each neuron: f = U / sum (p + q);  p = f p,  q = f q,  b = f b
//!   x = p - q
//!
//! Steps leave p q as it is, so b stands for the pair, and whatever else moves x (decay, masks) moves
//! the pair with it. A neuron is a slice along the first axis, or a tensor of fewer than two axes.
//! Memory: none, or with total one buffer and a pass for a sum. Deviations: the pair starts from x and
//! b, not from U / 2d each.

use super::modifiers::clipped;
use super::prelude::*;

rule! {
    /// Exponentiated gradients of pairs of positive weights, whose differences are the parameters.
    "egpm" => EGPM {
        lr: NonNegative = 4e-2,
        /// What the positive weights of a neuron sum to.
        total: Optional<Positive> = None,
        /// The root of the product of each pair at first.
        scale: Positive = 1e-1,
        max_log_step: Positive = 80.0,
    }
    decay Coupled 0.0
    uncounted
}

impl EGPM {
    /// From parameter, gradient and root to the step without a total, and the sum of the pair after it.
    fn moves<T: Real>(&self) -> impl Fn(T, T, T) -> [T; 2] + Send + Sync + Copy + 'static {
        let [lr, limit, half, zero, one] =
            [self.lr, self.max_log_step, 0.5, 0.0, 1.0].map(T::of);
        move |x, g, b| {
            let y = half * x.abs();
            let large = y + (y * y + b * b).sqrt();
            // Both vanish where the pair does.
            let small = T::select(large.eq(zero), zero, b * b / large);
            let minus = x.lt(zero);
            let (p, q) = (T::select(minus, small, large), T::select(minus, large, small));
            let up = clipped(-(lr * g), limit).exp();
            let down = one / up;
            // Not x - (p up - q down), which is not quite 0 without a gradient.
            [p * (one - up) - q * (one - down), p * up + q * down]
        }
    }
}

impl Rule for EGPM {
    fn measure<T: Real, P: Probe<T>>(&self, probe: P) -> P::Output {
        if self.total.is_none() {
            return probe.run([], |_, _, []| []);
        }
        let moves = self.moves();
        probe.run([Reduce::Sum], move |x, g, [b]| [moves(x, g, b)[1]])
    }

    fn scope(&self) -> Scope {
        if self.total.is_some() { Scope::Filter } else { Scope::Tensor }
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let moves = self.moves();
        let Some(total) = self.total else {
            let b = T::of(self.scale);
            return launch.run([], move |x, g, []| moves(x, g, b)[0]);
        };
        let sum = step.measured[0];
        let f = if sum == 0.0 { 1.0 } else { total / sum };
        let [f, rest] = [f, 1.0 - f].map(T::of);
        let root = State { name: "root", start: Start::Constant(self.scale) };
        launch.run([root], move |x, g, [b]| {
            let step = moves(x, g, *b)[0];
            *b = f * *b;
            step + rest * (x - step)
        })
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{Group, Options, Parameter, step};

    #[test]
    fn is_the_pair_of_the_paper() {
        let (mut x, mut b) = (vec![0.0f64; 4], vec![1.0f64; 4]);
        let rule = EGPM { lr: 0.3, total: Some(2.0), scale: 1.0, ..EGPM::default() };
        let groups = [Group::new(rule.boxed().unwrap())];
        let (mut p, mut q) = ([0.25f64; 4], [0.25f64; 4]);
        for t in 0..20 {
            let g: Vec<f64> = x.iter().zip([1.0, -2.0, 0.5, 0.0]).map(|(x, y)| x - y).collect();
            let state = vec![(&mut b).into()];
            let parameter = Parameter::new(0, t + 1, (&mut x).into(), (&g).into(), state).unwrap();
            step(&groups, &mut [parameter], &Options::default()).unwrap();
            for i in 0..4 {
                p[i] *= (-0.3 * g[i]).exp();
                q[i] *= (0.3 * g[i]).exp();
            }
            let sum: f64 = p.iter().chain(&q).sum();
            p.iter_mut().chain(&mut q).for_each(|w| *w *= 2.0 / sum);
            for i in 0..4 {
                assert!((x[i] - (p[i] - q[i])).abs() < 1e-12, "{t} {i} {} {}", x[i], p[i] - q[i]);
            }
        }
    }
}
