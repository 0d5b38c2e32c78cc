//! Muon: momentum, orthogonalized.
//!
//! Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; in the form of
//! torch.optim.Muon.
//!
//!   G gradient   B momentum (state)   lr, momentum
//!   B = momentum B + (1 - momentum) G
//!   U = (1 - momentum) G + momentum B with nesterov, else B
//!   step = lr s NewtonSchulz(U)
//!   s = sqrt(max(1, rows / columns)), or 0.2 sqrt(max(rows, columns)) with "match_rms_adamw"
//!
//! A tensor of more axes is the matrix of its `shape[0]` rows.
//!
//! Masks act on U. Memory: one buffer, and the direction during a step. Deviations: the iteration
//! runs in float32 (float64 for float64 parameters) where torch always uses bfloat16.

use super::prelude::*;

choice! {
    /// How the rate follows the shape of a matrix.
    AdjustLr {
        /// `sqrt(max(1, rows / columns))`.
        Original = "original",
        /// `0.2 sqrt(max(rows, columns))`: steps as large as AdamW's.
        MatchRmsAdamw = "match_rms_adamw",
    }
}

rule! {
    /// Momentum, orthogonalized.
    "muon" => Muon {
        lr: NonNegative = 1e-3,
        momentum: Decay = 0.95,
        nesterov: Flag = true,
        ns_coefficients1: Coefficient = 3.4445,
        ns_coefficients2: Coefficient = -4.7750,
        ns_coefficients3: Coefficient = 2.0315,
        ns_steps: Count = 5.0,
        eps: Positive = 1e-7,
        adjust_lr_fn: Optional<AdjustLr> = None,
    }
    decay Decoupled 0.1
    uncounted
}

impl Rule for Muon {
    fn kernel<T: Real, L: Launch<T>>(&self, _: &Step, launch: L) -> L::Output {
        let [momentum, fresh] = [self.momentum, 1.0 - self.momentum].map(T::of);
        let nesterov = self.nesterov;
        launch.run([zeros("momentum_buffer")], move |_, g, [b]| {
            *b = *b + fresh * (g - *b);
            if nesterov { g + momentum * (*b - g) } else { *b }
        })
    }

    fn matrix(&self, rows: usize, columns: usize) -> Option<(NewtonSchulz, f64)> {
        let (m, n) = (rows as f64, columns as f64);
        let factor = match self.adjust_lr_fn.unwrap_or(AdjustLr::Original) {
            AdjustLr::Original => (m / n).max(1.0).sqrt(),
            AdjustLr::MatchRmsAdamw => 0.2 * m.max(n).sqrt(),
        };
        let coefficients = [self.ns_coefficients1, self.ns_coefficients2, self.ns_coefficients3];
        let iteration =
            NewtonSchulz { coefficients, steps: self.ns_steps as usize, eps: self.eps };
        Some((iteration, self.lr * factor))
    }

    fn rate(&self, _: &Step) -> f64 {
        self.lr
    }
}
