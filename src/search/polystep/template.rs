//! Polytopes of unit radius, centred at the origin.
//!
//!   p dimension   V vertices   t_k vertex k
//!   orthoplex: +e_1 .. +e_p, then -e_1 .. -e_p              V = 2p
//!   cube:      (+-1, .., +-1) / sqrt(p), column b negative when bit b of the row is 1   V = 2^p
//!   simplex:   sqrt(1 + 1/p) e_i - (sqrt(p+1) + 1) p^-1.5 1, and 1/sqrt(p) 1, minus the mean   V = p+1

use crate::engine::{Error, Result};

/// The shape whose vertices are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// The cross-polytope: both directions of every axis.
    Orthoplex,
    /// All corners of a cube.
    Cube,
    /// p + 1 points at equal distances.
    Simplex,
}

/// Above this a cube has more vertices than memory.
const CUBE_LIMIT: usize = 20;

impl Template {
    /// The template of a name.
    ///
    /// # Errors
    /// [`Error::Value`] for an unknown name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "orthoplex" => Ok(Self::Orthoplex),
            "cube" => Ok(Self::Cube),
            "simplex" => Ok(Self::Simplex),
            _ => Err(Error::value(
                "polytope",
                "'orthoplex', 'cube' or 'simplex'",
                format!("{name:?}"),
                "orthoplex is the usual choice",
            )),
        }
    }

    /// Number of vertices in dimension `p`.
    pub fn count(self, p: usize) -> usize {
        match self {
            Self::Orthoplex => 2 * p,
            Self::Cube => 1 << p,
            Self::Simplex => p + 1,
        }
    }

    /// Says whether the polytope can be built in dimension `p`.
    ///
    /// # Errors
    /// [`Error::Value`] for `p` = 0, and for a cube beyond 20 dimensions.
    pub fn check(self, p: usize) -> Result<()> {
        if p == 0 {
            return Err(Error::value("particle_dim", ">= 1", p, "a usual value is 2"));
        }
        if self == Self::Cube && p > CUBE_LIMIT {
            return Err(Error::value(
                "particle_dim",
                "at most 20 for polytope='cube', which has 2^particle_dim vertices",
                p,
                "use polytope='orthoplex'",
            ));
        }
        Ok(())
    }

    /// The vertices, one after the other, `count(p) * p` numbers.
    pub fn vertices(self, p: usize) -> Vec<f64> {
        let count = self.count(p);
        let mut rows = vec![0.0; count * p];
        let n = p as f64;
        match self {
            Self::Orthoplex => {
                for axis in 0..p {
                    rows[axis * p + axis] = 1.0;
                    rows[(p + axis) * p + axis] = -1.0;
                }
            }
            Self::Cube => {
                for (k, row) in rows.chunks_exact_mut(p).enumerate() {
                    for (b, entry) in row.iter_mut().enumerate() {
                        *entry = if k >> b & 1 == 1 { -1.0 } else { 1.0 } / n.sqrt();
                    }
                }
            }
            Self::Simplex => {
                let shift = ((n + 1.0).sqrt() + 1.0) / n.powf(1.5);
                for (i, row) in rows.chunks_exact_mut(p).enumerate() {
                    row.fill(if i < p { -shift } else { 1.0 / n.sqrt() });
                    if i < p {
                        row[i] += (1.0 + 1.0 / n).sqrt();
                    }
                }
                for axis in 0..p {
                    let mean = (0..count).map(|k| rows[k * p + axis]).sum::<f64>() / count as f64;
                    (0..count).for_each(|k| rows[k * p + axis] -= mean);
                }
            }
        }
        rows
    }

    /// Writes sum_k w_k t_k, the centre that the weights of the vertices pull to.
    ///
    /// `vertices` is what [`Template::vertices`] returns; an orthoplex does not read it.
    #[inline]
    pub fn centre(self, vertices: &[f64], weights: &[f64], centre: &mut [f64]) {
        let p = centre.len();
        if self == Self::Orthoplex {
            let (plus, minus) = weights.split_at(p);
            for ((c, a), b) in centre.iter_mut().zip(plus).zip(minus) {
                *c = a - b;
            }
            return;
        }
        centre.fill(0.0);
        for (vertex, &w) in vertices.chunks_exact(p).zip(weights) {
            for (c, t) in centre.iter_mut().zip(vertex) {
                *c += w * t;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Template; 3] = [Template::Orthoplex, Template::Cube, Template::Simplex];

    #[test]
    fn vertices_lie_on_the_unit_sphere_around_their_mean() {
        for template in ALL {
            for p in 1..6 {
                let rows = template.vertices(p);
                assert_eq!(rows.len(), template.count(p) * p);
                for row in rows.chunks_exact(p) {
                    let norm: f64 = row.iter().map(|t| t * t).sum();
                    assert!((norm - 1.0).abs() < 1e-12, "{template:?} {p} {norm}");
                }
                let uniform = vec![1.0 / template.count(p) as f64; template.count(p)];
                let mut centre = vec![1.0; p];
                template.centre(&rows, &uniform, &mut centre);
                assert!(centre.iter().all(|c| c.abs() < 1e-12), "{template:?} {p}");
            }
        }
    }

    #[test]
    fn a_single_weight_pulls_to_its_vertex() {
        for template in ALL {
            let (p, rows) = (3, template.vertices(3));
            for k in 0..template.count(p) {
                let mut weights = vec![0.0; template.count(p)];
                weights[k] = 1.0;
                let mut centre = vec![0.0; p];
                template.centre(&rows, &weights, &mut centre);
                assert_eq!(centre, rows[k * p..][..p]);
            }
        }
    }

    #[test]
    fn edges_of_a_simplex_are_equal_and_cube_rows_follow_their_bits() {
        let rows = Template::Simplex.vertices(4);
        let distance = |a: usize, b: usize| -> f64 {
            (0..4).map(|i| (rows[a * 4 + i] - rows[b * 4 + i]).powi(2)).sum()
        };
        assert!((distance(0, 1) - distance(2, 4)).abs() < 1e-12);
        let cube = Template::Cube.vertices(2);
        assert!(cube[2] < 0.0 && cube[3] > 0.0 && cube[4] > 0.0 && cube[5] < 0.0);
    }

    #[test]
    fn refuses_what_it_cannot_build() {
        assert!(Template::parse("torus").unwrap_err().to_string().contains("\"torus\""));
        assert!(Template::Cube.check(21).is_err() && Template::Simplex.check(0).is_err());
        assert!(ALL.iter().all(|t| t.check(4).is_ok()));
    }
}
