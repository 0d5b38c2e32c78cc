//! Costs that are counts: accuracies, F1, unsatisfied clauses.
//!
//!   flat: at the first step a quarter of the candidates cost the same as another one
//!   then: blocks of up to `plateau` coordinates   eps <- eps / 10
//!         rho = s / 2 = 0.4 r sqrt(p) for ever, r the first automatic probe radius
//!
//! Between terraces a slope says little: what helps is to look far, along many directions at once,
//! and to follow the few best. A start of p numbers of root mean square r has norm r sqrt(p), so
//! the probes reach four tenths of that; as x grows they shrink beside it. Radii that follow the
//! shape of the costs would shrink to nothing on the first terrace.

use super::config::Radius;
use super::layout;
use super::radius::Auto;
use super::step::PolyStep;

/// Share of candidates that cost the same as another.
const SHARE: f64 = 0.25;
const REACH: f64 = 0.4;
const STRIDE: f64 = 0.8;
/// Temperature on a plateau, in temperatures of a slope.
pub(super) const COOL: f64 = 0.1;

impl PolyStep {
    /// Whether the costs of this step, the first one, lie on terraces.
    pub(super) fn on_plateau(&self, costs: &[f64]) -> bool {
        let automatic = matches!(
            (self.config.probe_radius, self.config.step_radius),
            (Radius::Auto(_), Radius::Auto(_))
        );
        automatic && self.config.plateau > 0 && self.state.t == 0 && repeated(costs) > SHARE
    }

    /// Rearranges the blocks and widens the radii, for good.
    pub(super) fn flatten(&mut self) {
        let Radius::Auto(first) = self.config.probe_radius else {
            return;
        };
        let points = self.points();
        if let Some(beta) = self.config.plateau_momentum {
            self.config.momentum = (beta > 0.0).then_some([beta; 2]);
            self.config.velocity_lr = 1.0 - beta;
        }
        self.state.flat = true;
        self.config.particle_dim = self.config.plateau.min(self.dim);
        let p = self.config.particle_dim;
        self.groups =
            layout::groups(self.dim, points, &self.config.groups, p, self.config.polytope);
        let rows: usize = self.groups.iter().map(|g| g.rows.len()).sum();
        let size = self.groups.last().map_or(0, |g| g.rotations + g.rows.len() * g.p * g.p);
        self.rotations = vec![0.0; size];
        self.state.directions = vec![0.0; if self.config.biased_rotation { rows * p } else { 0 }];
        self.state.contrast = vec![f64::NAN; if self.config.screen { rows * p } else { 0 }];
        self.state.velocity.fill(0.0);
        for (auto, group) in self.state.auto.iter_mut().zip(&self.groups) {
            let length = first * (group.p as f64).sqrt();
            *auto = Auto { rho: REACH * length, s: STRIDE * length, limit: auto.limit };
        }
    }
}

/// Share of finite costs that equal another one.
fn repeated(costs: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = costs.iter().copied().filter(|c| c.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let twin = |i: usize| {
        (i > 0 && sorted[i - 1] == sorted[i]) || (i + 1 < n && sorted[i + 1] == sorted[i])
    };
    (0..n).filter(|&i| twin(i)).count() as f64 / n.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        assert_eq!(repeated(&[1.0, 2.0, 1.0, f64::NAN, 3.0]), 0.5);
        assert_eq!(repeated(&[1.0, 2.0]), 0.0);
        assert_eq!(repeated(&[f64::NAN]), 0.0);
    }
}
