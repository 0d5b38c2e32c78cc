//! A diagonal covariance of the steps, and one multiplier of both radii (experimental).
//!
//!   D = sqrt(C)   probes at x_i + rho D R_i t_k, moves s D R_i sum_k W_ik t_k
//!   u             the move of all blocks, scaled to root mean square 1     w = u / D, likewise
//!   path  <- (1 - c_c) path + sqrt(c_c (2 - c_c)) u
//!   C_j   <- (1 - c_1 - c_mu) C_j + c_1 path_j^2 + c_mu p sum_k W_ik (D R_i t_k)_j^2
//!   pull  <- (1 - c_s) pull + sqrt(c_s (2 - c_s)) w          usual <- 0.9 usual + 0.1 |pull|
//!   multiplier <- multiplier exp(c_s / d_s (|pull| / usual - 1)),  within [0.1, 10]
//!   mu = 2   c_s = (mu + 2) / (n + mu + 3)   d_s = 1 + c_s   c_c = 4 / (n + 4)
//!   c_1 = 2 / ((n + 1.3)^2 + mu)   c_mu = min(1 - c_1, 2 (mu - 2 + 1/mu) / ((n + 2)^2 + mu))
//!
//! Hansen 2016, "The CMA evolution strategy: a tutorial", arXiv:1604.00772, cut down as PolyStep
//! has it. The factor p and the scaling of u and w are ours: a step of one polytope has mean
//! square 1/p a coordinate and the move is far shorter than s, so without them C would decay.

/// What changes from step to step.
#[derive(Debug, Clone, PartialEq)]
pub struct Covariance {
    /// The diagonal.
    pub c: Vec<f64>,
    /// Its root, the scale of each coordinate.
    pub scale: Vec<f64>,
    /// Smoothed moves.
    pub path: Vec<f64>,
    /// Smoothed moves in the scaled coordinates.
    pub pull: Vec<f64>,
    /// Mean of its norm, 0 before the first move.
    pub usual: f64,
    /// Multiplier of both radii.
    pub multiplier: f64,
    /// Squared steps of this move, weighted; filled while it is made.
    squares: Vec<f64>,
}

const MU: f64 = 2.0;

impl Covariance {
    /// The identity in `n` coordinates.
    pub fn new(n: usize) -> Self {
        Self {
            c: vec![1.0; n],
            scale: vec![1.0; n],
            path: vec![0.0; n],
            pull: vec![0.0; n],
            usual: 0.0,
            multiplier: 1.0,
            squares: vec![0.0; n],
        }
    }

    /// Adds what one block contributes: its coordinates from `start` on, columns of its rotation,
    /// vertices, weights. `target` is its move, which is scaled.
    pub fn block(
        &mut self,
        start: usize,
        rotation: &[f64],
        [vertices, weights]: [&[f64]; 2],
        target: &mut [f64],
    ) {
        let p = vertices.len() / weights.len();
        for (j, target) in target.iter_mut().enumerate() {
            let along =
                |t: &[f64]| t.iter().enumerate().map(|(a, t)| t * rotation[a * p + j]).sum();
            let square: f64 = weights
                .iter()
                .zip(vertices.chunks_exact(p))
                .map(|(w, t)| w * f64::powi(along(t), 2))
                .sum();
            *target *= self.scale[start + j];
            self.squares[start + j] = p as f64 * self.c[start + j] * square;
        }
    }

    /// Follows a finished move; one of length zero teaches nothing.
    pub fn follow(&mut self, moves: &[f64]) {
        let n = moves.len() as f64;
        let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
        let long = norm(&mut moves.iter().copied()) / n.sqrt();
        let wide = norm(&mut moves.iter().zip(&self.scale).map(|(m, d)| m / d)) / n.sqrt();
        if !(long > 0.0 && wide > 0.0 && long.is_finite()) {
            return;
        }
        let c_s = (MU + 2.0) / (n + MU + 3.0);
        let c_c = 4.0 / (n + 4.0);
        let c_1 = 2.0 / ((n + 1.3).powi(2) + MU);
        let c_mu = (2.0 * (MU - 2.0 + 1.0 / MU) / ((n + 2.0).powi(2) + MU)).min(1.0 - c_1);
        for (j, m) in moves.iter().enumerate() {
            self.path[j] = (1.0 - c_c) * self.path[j] + (c_c * (2.0 - c_c)).sqrt() * m / long;
            let w = m / (self.scale[j] * wide);
            self.pull[j] = (1.0 - c_s) * self.pull[j] + (c_s * (2.0 - c_s)).sqrt() * w;
            self.c[j] = (1.0 - c_1 - c_mu) * self.c[j]
                + c_1 * self.path[j].powi(2)
                + c_mu * self.squares[j];
        }
        let length = norm(&mut self.pull.iter().copied());
        let usual = if self.usual > 0.0 { self.usual } else { length };
        self.usual = 0.9 * usual + 0.1 * length;
        let turn = (c_s / (1.0 + c_s) * (length / self.usual - 1.0)).exp();
        self.multiplier = (self.multiplier * turn).clamp(0.1, 10.0);
        self.rescale();
    }

    /// Recomputes the scales.
    pub fn rescale(&mut self) {
        self.scale.iter_mut().zip(&self.c).for_each(|(d, c)| *d = c.sqrt());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_and_random_moves_keep_the_mean_scale() {
        let mut c = Covariance::new(4);
        let (cos, sin) = (0.6, 0.8);
        let rotation = [cos, sin, -sin, cos];
        let vertices = [1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0];
        let rng = crate::engine::rng::Philox::new(0);
        for step in 0..2000 {
            let mut moves: Vec<f64> = (0..4).map(|j| rng.normal(step, j)[0]).collect();
            for start in [0, 2] {
                let weights = [0.25; 4];
                c.block(start, &rotation, [&vertices, &weights], &mut moves[start..start + 2]);
            }
            c.follow(&moves);
        }
        let mean = c.c.iter().sum::<f64>() / 4.0;
        assert!((0.3..3.0).contains(&mean), "{:?}", c.c);
    }

    #[test]
    fn a_direction_that_goes_on_is_stretched() {
        let mut c = Covariance::new(3);
        let rotation = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let mut vertices = vec![0.0; 18];
        for a in 0..3 {
            (vertices[4 * a], vertices[9 + 4 * a]) = (1.0, -1.0);
        }
        let weights = [1.0 / 6.0; 6];
        for step in 0..200 {
            let turn = if step % 2 == 0 { 1.0 } else { -1.0 };
            let mut moves = [1.0, turn, 0.0];
            c.block(0, &rotation, [&vertices, &weights], &mut moves);
            c.follow(&moves);
        }
        assert!(c.c[0] > 2.0 * c.c[1], "{:?}", c.c);
        c.follow(&[0.0; 3]);
        assert!(c.c.iter().all(|c| c.is_finite()));
    }
}
