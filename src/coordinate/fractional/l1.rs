//! g = ||D x||_1, or its square.
//!
//! Along a coordinate g = sum_j |a_j eta + d_j|: sorted breakpoints -d_j / a_j, slopes and levels
//! by running sums from the left. Breakpoints beyond the steps that can lower F are left out.

use super::image::Image;
use super::pieces::Piece;
use super::{Denominator, Reach, Shape};
use crate::coordinate::design::Design;
use crate::engine::reduce;

/// The l1 norm of an image of the point.
pub struct L1<'a> {
    image: Image<'a>,
    squared: bool,
    total: f64,
    kinks: Vec<(u64, f64, f64)>,
    pieces: Vec<Piece>,
}

impl<'a> L1<'a> {
    /// At zero.
    pub fn new(design: &'a dyn Design, squared: bool) -> Self {
        let image = Image::new(design, None);
        Self { image, squared, total: 0.0, kinks: vec![], pieces: vec![] }
    }
}

/// Bits that sort as unsigned integers in the order of the numbers.
#[inline(always)]
fn order(x: f64) -> u64 {
    let bits = x.to_bits();
    bits ^ ((bits as i64 >> 63) as u64 | 1 << 63)
}

/// The inverse of [`order`].
#[inline(always)]
fn number(key: u64) -> f64 {
    f64::from_bits(key ^ ((!key as i64 >> 63) as u64 | 1 << 63))
}

impl Denominator for L1<'_> {
    fn reset(&mut self, x: &[f64]) {
        self.image.reset(x);
        self.total = reduce::sum_of_abs(&self.image.d);
    }

    fn value(&self) -> f64 {
        if self.squared { self.total * self.total } else { self.total }
    }

    fn restrict(&mut self, i: usize, _x: f64, reach: Reach) -> Shape<'_> {
        let (a, d) = self.image.load(i);
        let rise = reduce::sum_of_abs(a);
        let reach = if self.squared { reach.square(self.total, rise) } else { reach.linear(rise) };
        let (mut slope, mut level) = (0.0, self.total);
        self.kinks.clear();
        for (&a, &d) in a.iter().zip(d) {
            if d.abs() > reach * a.abs() {
                slope += a * d.signum();
            } else if a != 0.0 {
                let (rise, lift) = (a.abs(), d * a.signum());
                slope -= rise;
                // On the left of its kink the term is -(rise eta + lift); at 0 it is |d|.
                level -= lift + d.abs();
                self.kinks.push((order(-d / a), 2.0 * rise, 2.0 * lift));
            }
        }
        self.kinks.sort_unstable_by_key(|kink| kink.0);
        self.pieces.clear();
        for &(key, rise, lift) in &self.kinks {
            self.pieces.push(Piece { end: number(key), slope, level });
            slope += rise;
            level += lift;
        }
        self.pieces.push(Piece { end: f64::INFINITY, slope, level });
        if self.squared {
            Shape::Square { pieces: &self.pieces, reach }
        } else {
            Shape::Linear { pieces: &self.pieces, concave: false, reach }
        }
    }

    fn step(&mut self, i: usize, eta: f64, _u: f64) {
        let (a, d) = self.image.loaded();
        self.total += reduce::sum([a, d], |[a, d]| (a * eta + d).abs() - d.abs());
        self.image.step(i, eta);
    }

    fn coordinates(&self) -> Option<usize> {
        Some(self.image.coordinates())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinate::design::Dense;

    #[test]
    fn keys_sort_as_numbers() {
        let numbers = [f64::NEG_INFINITY, -2.5, -1e-300, -0.0, 0.0, 1e-300, 3.0, f64::INFINITY];
        assert!(numbers.map(order).is_sorted());
        assert_eq!(numbers.map(order).map(number), numbers);
    }

    #[test]
    fn pieces_are_the_norm_along_a_coordinate() {
        let data = [0.5, -2.0, 0.0, 1.5, 1.0, 1.0, -1.0, 3.0];
        let design = Dense::new(&data, 4, 2).unwrap();
        let mut norm = L1::new(&design, false);
        norm.reset(&[0.7, -0.4]);
        let Shape::Linear { pieces, .. } = norm.restrict(0, 0.7, Reach::ALL) else { panic!() };
        assert_eq!(pieces.len(), 4);
        for k in -50..50 {
            let eta = f64::from(k) * 0.1;
            let piece = pieces[pieces.partition_point(|piece| piece.end < eta)];
            let expected: f64 =
                (0..4).map(|r| ((0.7 + eta) * data[r] - 0.4 * data[4 + r]).abs()).sum();
            assert!((piece.slope * eta + piece.level - expected).abs() < 1e-12);
        }
    }
}
