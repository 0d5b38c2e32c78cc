//! Optimistic AMSGrad: AMSGrad that steps ahead along a prediction of the next gradient.
//!
//! Wang, Li, Karimi, Li 2021, "An optimistic acceleration of AMSGrad for nonconvex optimization",
//! ACML, arXiv:1903.01435.
//!
//!   x parameter, where gradients are taken   w iterate   g gradient at x
//!   th first, v second moment, u largest v, o = x - w lead, g_i the last gradients (states)
//!   G products of the last gradients, c weights of the guess (scalars)   lr, beta1, beta2, eps
//!   th = beta1 th_old + (1 - beta1) g
//!   v = beta2 v + (1 - beta2) (g - p)^2,  u = max(u, v)           p the guess for g, 0 at first
//!   w = w - lr th / (sqrt(u) + eps)
//!   q = guess of the next gradient;  h = beta1 th_old + (1 - beta1) q
//!   x = w - lr h / (sqrt(u) + eps)
//!   guess "extrapolate": regularized nonlinear acceleration over U = [g_{i+1} - g_i],
//!     (U'U / |U'U| + lam I) z = 1,  c = z / sum z,  q = sum c_i g_{i+1}; until the history is full,
//!     and where sum z vanishes, the last gradient, which is the guess of "last"; "none" is AMSGrad
//!
//! Written for the move of x, so that decay and masks act on all of it. Memory: four buffers and
//! `history` gradients, and a pass for their products with g. Deviations: the paper leaves epsilon
//! out; each tensor has a predictor of its own; |U'U| is the Frobenius norm.

use super::prelude::*;

choice! {
    /// How the next gradient is guessed.
    Guess {
        /// From the last gradients, by regularized nonlinear acceleration.
        Extrapolate = "extrapolate",
        /// It will be the last one.
        Last = "last",
        /// It will be 0, and nothing is stepped ahead.
        None = "none",
    }
}

rule! {
    /// AMSGrad that steps ahead along a prediction of the next gradient.
    "optimisticamsgrad" => OptimisticAMSGrad {
        lr: NonNegative = 1e-3,
        beta1: Decay = 0.9,
        beta2: Decay = 0.99,
        eps: NonNegative = 1e-8,
        guess: Guess = Guess::Extrapolate,
        /// How many gradients a guess extrapolates from.
        history: History = 5.0,
        /// Regularization of the guess, relative.
        lam: Positive = 1e-6,
        /// Whether the step ahead uses the new first moment instead of the old one.
        fresh_momentum: Flag = false,
    }
    decay Coupled 0.0
}

impl OptimisticAMSGrad {
    /// Number of gradients that are kept.
    fn kept(&self) -> usize {
        match self.guess {
            Guess::Extrapolate => self.history as usize,
            Guess::Last => 1,
            Guess::None => 0,
        }
    }

    /// Weights of the kept gradients in the guess, from their products; `t` of them were seen.
    fn weights(&self, products: &[f64], t: u64) -> Vec<f64> {
        let n = self.kept();
        let newest = (t as usize - 1) % n;
        let mut last = vec![0.0; n];
        last[newest] = 1.0;
        if (t as usize) < n || n == 1 {
            return last;
        }
        // Places from the oldest to the newest.
        let place = |i: usize| (newest + 1 + i) % n;
        let product = |i: usize, j: usize| products[place(i) * n + place(j)];
        let m = n - 1;
        let mut matrix = vec![0.0; m * m];
        for i in 0..m {
            for j in 0..m {
                matrix[i * m + j] =
                    product(i + 1, j + 1) - product(i + 1, j) - product(i, j + 1) + product(i, j);
            }
        }
        let norm = matrix.iter().map(|x| x * x).sum::<f64>().sqrt();
        matrix.iter_mut().for_each(|x| *x /= norm);
        (0..m).for_each(|i| matrix[i * m + i] += self.lam);
        let z = solve(matrix, vec![1.0; m]);
        let (sum, size) = (z.iter().sum::<f64>(), z.iter().map(|x| x.abs()).sum::<f64>());
        if !sum.is_finite() || sum.abs() <= 1e-12 * size {
            return last;
        }
        let mut weights = vec![0.0; n];
        (0..m).for_each(|i| weights[place(i + 1)] = z[i] / sum);
        weights
    }
}

/// Solves a small square system by elimination.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a[i * n + k].abs().total_cmp(&a[j * n + k].abs()));
        let pivot = pivot.unwrap_or(k);
        (0..n).for_each(|j| a.swap(k * n + j, pivot * n + j));
        b.swap(k, pivot);
        for i in k + 1..n {
            let factor = a[i * n + k] / a[k * n + k];
            (k..n).for_each(|j| a[i * n + j] -= factor * a[k * n + j]);
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        let rest: f64 = (k + 1..n).map(|j| a[k * n + j] * b[j]).sum();
        b[k] = (b[k] - rest) / a[k * n + k];
    }
    b
}

const GRADIENTS: [&str; 5] = ["grad_0", "grad_1", "grad_2", "grad_3", "grad_4"];

/// Calls a macro with the number of kept gradients, of their products and of all states.
macro_rules! by_history {
    ($n:expr, $call:ident) => {
        match $n {
            0 => $call!(0, 0, 4),
            1 => $call!(1, 0, 5),
            2 => $call!(2, 3, 6),
            3 => $call!(3, 4, 7),
            4 => $call!(4, 5, 8),
            _ => $call!(5, 6, 9),
        }
    };
}

// Without a guess no gradients are kept, and loops over them are empty.
#[allow(clippy::reversed_empty_ranges)]
impl Rule for OptimisticAMSGrad {
    fn measure<T: Real, P: Probe<T>>(&self, probe: P) -> P::Output {
        macro_rules! products {
            ($n:literal, 0, $all:literal) => {
                probe.run([], |_, _, []| [])
            };
            ($n:literal, $k:literal, $all:literal) => {
                probe.run([Reduce::Sum; $k], |_, g: T, kept: [T; $n]| {
                    let mut out = [g * g; $k];
                    for i in 0..$n {
                        out[i] = g * kept[i];
                    }
                    out
                })
            };
        }
        by_history!(self.kept(), products)
    }

    fn scalars(&self) -> Vec<Scalar> {
        let wide = |name, len| Scalar { name, len, start: 0.0, wide: true };
        match (self.guess, self.kept()) {
            (Guess::None, _) => Vec::new(),
            (Guess::Last, n) => vec![wide("guess", n)],
            (Guess::Extrapolate, n) => vec![wide("guess", n), wide("products", n * n)],
        }
    }

    fn advance(&self, step: &mut Step) -> Result<()> {
        let n = self.kept();
        if n == 0 {
            return Ok(());
        }
        let newest = (step.t as usize - 1) % n;
        let (guess, products) = step.scalars.split_at_mut(n);
        if self.guess == Guess::Extrapolate {
            for i in 0..n {
                let product = if i == newest { step.measured[n] } else { step.measured[i] };
                products[newest * n + i] = product;
                products[i * n + newest] = product;
            }
        }
        guess.copy_from_slice(&self.weights(products, step.t));
        Ok(())
    }

    fn kernel<T: Real, L: Launch<T>>(&self, step: &Step, launch: L) -> L::Output {
        let [lr, eps, zero, one] = [self.lr, self.eps, 0.0, 1.0].map(T::of);
        let [beta1, fresh1] = [self.beta1, 1.0 - self.beta1].map(T::of);
        let [beta2, fresh2] = [self.beta2, 1.0 - self.beta2].map(T::of);
        let [first, second, largest, lead] =
            ["exp_avg", "exp_avg_sq", "max_exp_avg_sq", "lead"].map(zeros);
        let (n, fresh) = (self.kept(), self.fresh_momentum);
        let newest = (step.t.max(1) as usize - 1) % n.max(1);
        macro_rules! formula {
            ($n:literal, $k:literal, $all:literal) => {{
                let before: [T; $n] = std::array::from_fn(|i| T::of(step.before[i]));
                let after: [T; $n] = std::array::from_fn(|i| T::of(step.scalars[i]));
                let here: [T; $n] =
                    std::array::from_fn(|i| T::of(if i == newest { 1.0 } else { 0.0 }));
                let mut states = [lead; $all];
                for (state, name) in states.iter_mut().zip(GRADIENTS).take($n) {
                    *state = zeros(name);
                }
                states[$n] = first;
                states[$n + 1] = second;
                states[$n + 2] = largest;
                launch.run(states, move |_, g, states: [&mut T; $all]| {
                    let (mut guess, mut next) = (zero, zero);
                    for i in 0..$n {
                        guess = guess + before[i] * *states[i];
                        *states[i] = T::select(here[i].eq(one), g, *states[i]);
                        next = next + after[i] * *states[i];
                    }
                    let old = *states[$n];
                    let new = beta1 * old + fresh1 * g;
                    *states[$n] = new;
                    let miss = g - guess;
                    *states[$n + 1] = beta2 * *states[$n + 1] + fresh2 * (miss * miss);
                    *states[$n + 2] = states[$n + 2].max(*states[$n + 1]);
                    let rate = lr / (states[$n + 2].sqrt() + eps);
                    let back = *states[$n + 3];
                    let ahead = beta1 * if fresh { new } else { old } + fresh1 * next;
                    *states[$n + 3] = if $n == 0 { zero } else { -(rate * ahead) };
                    rate * new + back - *states[$n + 3]
                })
            }};
        }
        by_history!(n, formula)
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
