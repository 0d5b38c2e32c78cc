//! A separable quadratic model of one block along its rotated axes, from two or more probes.
//!
//!   r_j = sigma_j rho    C+-_aj costs at x +- r_j R e_a
//!   g_a = mean_j (C+ - C-) / (2 r_j)
//!   H_a = least-squares slope of C+ + C- on r_j^2      (C+ + C- = 2 C(x) + H r^2)
//!   newton_a = -g_a / max(H_a, 1e-4), scaled down to a norm of at most `cap`

/// Slopes and curvatures of one block.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Slope along each axis.
    pub g: Vec<f64>,
    /// Curvature along each axis.
    pub h: Vec<f64>,
}

const FLOOR: f64 = 1e-4;

impl Model {
    /// Fits the model to the costs of an orthoplex, `costs[vertex * radii.len() + j]`.
    pub fn fit(&mut self, costs: &[f64], radii: &[f64]) {
        let k = radii.len();
        let p = costs.len() / (2 * k);
        let mean = radii.iter().map(|r| r * r).sum::<f64>() / k as f64;
        let spread: f64 = radii.iter().map(|r| (r * r - mean).powi(2)).sum();
        self.g.clear();
        self.h.clear();
        for a in 0..p {
            let (plus, minus) = (&costs[a * k..][..k], &costs[(p + a) * k..][..k]);
            let pairs = || plus.iter().zip(minus).zip(radii);
            let g = pairs().map(|((u, d), r)| (u - d) / (2.0 * r)).sum::<f64>() / k as f64;
            let slope = pairs().map(|((u, d), r)| (u + d) * (r * r - mean)).sum::<f64>() / spread;
            self.g.push(g);
            self.h.push(slope);
        }
    }

    /// The Newton step in the block's own axes, at most `cap` long.
    pub fn newton(&self, cap: f64) -> Vec<f64> {
        let floor = |h: f64| if h <= FLOOR { FLOOR } else { h };
        let mut y: Vec<f64> = self.g.iter().zip(&self.h).map(|(g, h)| -g / floor(*h)).collect();
        let norm = y.iter().map(|y| y * y).sum::<f64>().sqrt();
        if norm > cap {
            y.iter_mut().for_each(|y| *y *= cap / norm);
        }
        y
    }

    /// The predicted change of cost for a step `y` in the block's own axes.
    pub fn change(&self, y: &[f64]) -> f64 {
        y.iter().zip(&self.g).zip(&self.h).map(|((y, g), h)| y * g + 0.5 * h * y * y).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quadratic_is_recovered_exactly() {
        let (g, h) = ([1.0, -2.0, 0.5], [2.0, 8.0, -1.0]);
        let radii = [0.2, 0.4, 0.9];
        let mut costs = vec![0.0; 18];
        for a in 0..3 {
            for (j, r) in radii.iter().enumerate() {
                costs[a * 3 + j] = 5.0 + g[a] * r + 0.5 * h[a] * r * r;
                costs[(3 + a) * 3 + j] = 5.0 - g[a] * r + 0.5 * h[a] * r * r;
            }
        }
        let mut model = Model::default();
        model.fit(&costs, &radii);
        assert!(model.g.iter().zip(g).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(model.h.iter().zip(h).all(|(a, b)| (a - b).abs() < 1e-11));
        let newton = model.newton(1e9);
        assert!((newton[0] + 0.5).abs() < 1e-11 && (newton[2] + 0.5 / 1e-4).abs() < 1e-6);
        let short = model.newton(0.1);
        assert!((short.iter().map(|y| y * y).sum::<f64>().sqrt() - 0.1).abs() < 1e-12);
        assert!((model.change(&[-0.5, 0.25, 0.0]) - (-0.25 - 0.25)).abs() < 1e-11);
    }
}
