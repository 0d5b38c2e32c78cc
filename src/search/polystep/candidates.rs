//! The first half of a step: where the costs are taken.

use super::step::{PolyStep, TASK};
use crate::engine::{Error, Result, threads};

impl PolyStep {
    /// Writes candidates `start`, `start + 1`, ... of the open step, `dim` numbers each.
    ///
    /// # Errors
    /// [`Error::Value`] when no step is open, or beyond the last candidate.
    pub fn candidates(&self, start: usize, out: &mut [f64]) -> Result<()> {
        let radii = self.reaches(start, out.len() / self.dim)?;
        threads::for_each_chunk(out, TASK * self.dim, |task, rows| {
            for (i, row) in rows.chunks_exact_mut(self.dim).enumerate() {
                self.candidate(start + task * TASK + i, &radii, row);
            }
        });
        Ok(())
    }

    fn candidate(&self, index: usize, radii: &[f64], out: &mut [f64]) {
        let dim = self.dim;
        if index < self.centres() {
            return out.copy_from_slice(&self.state.x[index * dim..][..dim]);
        }
        let (g, i, vertex, j) = self.place(index);
        let row = &self.groups[g].rows[i];
        out.copy_from_slice(&self.state.x[row.point * dim..][..dim]);
        self.reach(g, i, vertex, radii[g] * self.sigma(j), &mut out[row.span.clone()]);
        self.clip_row(out);
    }

    /// Writes what candidates `start`, `start + 1`, ... add to their block, `particle_dim` numbers
    /// each, zeros for a solution itself and for padding. Bounds are not looked at.
    ///
    /// # Errors
    /// [`Error::Value`] when no step is open, or beyond the last candidate.
    pub fn offsets(&self, start: usize, out: &mut [f64]) -> Result<()> {
        let width = self.config.particle_dim;
        let radii = self.reaches(start, out.len() / width)?;
        out.fill(0.0);
        for (i, out) in out.chunks_exact_mut(width).enumerate() {
            if start + i >= self.centres() {
                let (g, i, vertex, j) = self.place(start + i);
                let length = self.groups[g].rows[i].span.len();
                self.reach(g, i, vertex, radii[g] * self.sigma(j), &mut out[..length]);
            }
        }
        Ok(())
    }

    /// Probe radii of the open step, after checking that candidates lie in it.
    fn reaches(&self, start: usize, count: usize) -> Result<Vec<f64>> {
        self.opened("ask")?;
        if start + count > self.population() {
            let allowed = format!("at most {} candidates", self.population());
            return Err(Error::value("stop", allowed, start + count, "ask for fewer"));
        }
        let factor = self.jitter();
        Ok((0..self.groups.len()).map(|g| self.radii(g).probe * factor).collect())
    }

    /// Group, row, vertex and probe of a candidate.
    fn place(&self, index: usize) -> (usize, usize, usize, usize) {
        let (mut index, k) = (index - self.centres(), self.probes());
        let g = match self.awake.is_empty() {
            true => {
                let g = self.groups.partition_point(|g| g.costs * k <= index) - 1;
                index -= self.groups[g].costs * k;
                g
            }
            // The caller has checked that the index lies in one of the groups.
            false => (0..self.groups.len() - 1)
                .find(|&g| {
                    let inside = index < self.asked(g);
                    index -= if inside { 0 } else { self.asked(g) };
                    inside
                })
                .unwrap_or(self.groups.len() - 1),
        };
        let (vertex, count) = (index / k, self.groups[g].count);
        let row = self.awake(g).map_or(vertex / count, |rows| rows[vertex / count]);
        (g, row, vertex % count, index % k)
    }

    /// Adds `radius` R t_vertex, cut to the length of `out`.
    fn reach(&self, g: usize, i: usize, vertex: usize, radius: f64, out: &mut [f64]) {
        let group = &self.groups[g];
        let p = group.p;
        let rotation = &self.rotations[group.rotations + i * p * p..][..p * p];
        for (t, column) in group.vertices[vertex * p..][..p].iter().zip(rotation.chunks_exact(p)) {
            if *t != 0.0 {
                match &self.state.covariance {
                    None => out.iter_mut().zip(column).for_each(|(x, r)| *x += radius * t * r),
                    Some(c) => {
                        let scale = &c.scale[group.rows[i].span.clone()];
                        for ((x, r), d) in out.iter_mut().zip(column).zip(scale) {
                            *x += radius * t * d * r;
                        }
                    }
                }
            }
        }
    }
}
