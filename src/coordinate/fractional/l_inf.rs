//! g = ||D x||_inf: along a coordinate the upper envelope of the lines +-(a_j eta + d_j), found by
//! sorting slopes and dropping lines that the envelope skips, or that stay below another line for
//! all steps that can lower F.

use super::image::Image;
use super::pieces::Piece;
use super::{Denominator, Reach, Shape};
use crate::coordinate::design::Design;
use crate::engine::reduce;

/// The largest magnitude of an image of the point.
pub struct LInf<'a> {
    image: Image<'a>,
    value: f64,
    rays: Vec<Ray>,
    pieces: Vec<Piece>,
}

/// slope * eta + level
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ray {
    /// See above.
    pub slope: f64,
    /// See above.
    pub level: f64,
}

impl<'a> LInf<'a> {
    /// At zero.
    pub fn new(design: &'a dyn Design) -> Self {
        let image = Image::new(design, None);
        Self { image, value: 0.0, rays: vec![], pieces: vec![] }
    }
}

/// The maximum of lines as pieces from left to right; sorts the lines, of which there is one.
pub fn envelope(rays: &mut [Ray], pieces: &mut Vec<Piece>) {
    // Zeros of one sign: those of both are parallel, but sort apart.
    rays.iter_mut().for_each(|ray| ray.slope += 0.0);
    rays.sort_unstable_by(|a, b| {
        a.slope.total_cmp(&b.slope).then_with(|| b.level.total_cmp(&a.level))
    });
    pieces.clear();
    for ray in &*rays {
        let Ray { slope, level } = *ray;
        // Parallel lines: the highest came first.
        if pieces.last().is_some_and(|top| top.slope == slope) {
            continue;
        }
        while let Some(top) = pieces.last_mut() {
            top.end = (top.level - level) / (slope - top.slope);
            let from = pieces.len().checked_sub(2).map_or(f64::NEG_INFINITY, |k| pieces[k].end);
            if pieces[pieces.len() - 1].end > from {
                break;
            }
            pieces.pop();
        }
        pieces.push(Piece { end: f64::INFINITY, slope, level });
    }
}

impl Denominator for LInf<'_> {
    fn reset(&mut self, x: &[f64]) {
        self.image.reset(x);
        self.value = reduce::max_abs(&self.image.d);
    }

    fn value(&self) -> f64 {
        self.value
    }

    fn restrict(&mut self, i: usize, _x: f64, reach: Reach) -> Shape<'_> {
        self.rays.clear();
        let (a, d) = self.image.load(i);
        let reach = reach.linear(reduce::max_abs(a)).min(f64::MAX.sqrt());
        let lines = a.iter().zip(d);
        let least =
            lines.clone().fold(0.0, |least, (a, d)| f64::max(least, d.abs() - reach * a.abs()));
        for (&a, &d) in lines {
            if d.abs() + reach * a.abs() >= least {
                self.rays.push(Ray { slope: a, level: d });
                self.rays.push(Ray { slope: -a, level: -d });
            }
        }
        if let Some(rest) = self.image.rest(0.0, reduce::max_abs) {
            self.rays.push(Ray { slope: 0.0, level: rest });
        }
        envelope(&mut self.rays, &mut self.pieces);
        Shape::Linear { pieces: &self.pieces, concave: false, reach }
    }

    fn step(&mut self, i: usize, eta: f64, _u: f64) {
        self.image.step(i, eta);
        self.value = reduce::max_abs(&self.image.d);
    }

    fn coordinates(&self) -> Option<usize> {
        Some(self.image.coordinates())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::Philox;

    #[test]
    fn the_envelope_is_the_largest_line_everywhere() {
        let rng = Philox::new(11);
        for (round, n) in [1, 2, 3, 10, 100].into_iter().enumerate() {
            let mut rays: Vec<Ray> = (0..n)
                .map(|i| {
                    let [slope, level] = rng.normal(round as u64, i);
                    // Some parallel lines, some of them flat with either sign of zero.
                    let slope = [0.5, slope, slope, -0.0, slope, 0.0, slope][i as usize % 7];
                    Ray { slope, level }
                })
                .collect();
            let all = rays.clone();
            let mut pieces = vec![];
            envelope(&mut rays, &mut pieces);
            assert!(pieces.is_sorted_by(|a, b| a.end < b.end && a.slope < b.slope));
            for k in -200..200 {
                let eta = f64::from(k) * 0.05;
                let piece = pieces[pieces.partition_point(|piece| piece.end < eta)];
                let largest = all.iter().map(|r| r.slope * eta + r.level).fold(f64::MIN, f64::max);
                assert!((piece.slope * eta + piece.level - largest).abs() < 1e-12);
            }
        }
    }
}
