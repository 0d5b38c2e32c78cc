//! Private bins of a numeric column: intervals split while their noisy share is large.
//!
//! As in the authors' code: begin with `bins` equal intervals; halve those whose share exceeds
//! 1 / bins and that are wider than the grain, level after level, counting the halves with noise
//! and scaling them to the share of the whole; the edges are quantiles of what comes out. A row
//! changes two counts on each of `levels` + 1 levels, so the sensitivity is
//! sqrt(2 (levels + 1)) / rows. Deviations: the deviation is sensitivity / sqrt(2 rho) (there
//! sensitivity / sqrt(rho)), and quantiles are read off, not sampled.

use super::noise::Noise;
use super::zcdp;
use crate::engine::{Error, Result};

/// The interval of a column, and how finely it is cut.
#[derive(Debug, Clone, Copy)]
pub struct Interval {
    /// Lower end, part of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Bins at most.
    pub bins: usize,
    /// Width below which nothing is split.
    pub grain: f64,
}

impl Interval {
    fn levels(&self) -> usize {
        let halvings = ((self.high - self.low) / (self.bins as f64 * self.grain)).log2();
        (halvings + 1.0).max(0.0) as usize
    }

    /// Deviation of the counts, as shares, for `rows` rows.
    pub fn deviation(&self, rows: usize, rho: f64) -> f64 {
        let changes = 2.0 * (self.levels() + 1) as f64;
        zcdp::gaussian(changes.sqrt() / rows as f64, rho)
    }

    /// At most `bins` + 1 ascending edges, of which `low` and `high` are the ends, that part the
    /// values evenly; `rho` None counts without noise.
    ///
    /// # Errors
    /// [`Error::Value`] for an interval that is none and values outside of it.
    pub fn edges(&self, values: &[f64], rho: Option<f64>, noise: &mut Noise) -> Result<Vec<f64>> {
        let Self { low, high, bins, grain } = *self;
        if !(low < high && (high - low).is_finite() && grain > 0.0 && bins > 0) {
            let given = format!("[{low}, {high}] with {bins} bins, grain {grain}");
            return Err(Error::value("interval", "low < high", given, "swap or widen them"));
        }
        if let Some(value) = values.iter().find(|value| !(low..=high).contains(*value)) {
            let allowed = format!("in [{low}, {high}]");
            return Err(Error::value("values", allowed, value, "clip them"));
        }
        let deviation = rho.map_or(0.0, |rho| self.deviation(values.len(), rho));
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let edges: Vec<f64> =
            (0..=bins).map(|i| low + (high - low) * i as f64 / bins as f64).collect();
        let mut count =
            |edges: &[f64], share| histogram(&sorted, edges, high, share, deviation, noise);
        let mut shares = count(&edges, 1.0);
        let mut edges = edges;
        for _ in 0..self.levels() {
            let (mut finer, mut parts) = (vec![low], Vec::new());
            for (pair, &share) in edges.windows(2).zip(&shares) {
                let [left, right] = [pair[0], pair[1]];
                let middle = 0.5 * (left + right);
                if share > 1.0 / bins as f64
                    && right - left > grain
                    && left < middle
                    && middle < right
                {
                    finer.push(middle);
                    parts.extend(count(&[left, middle, right], share));
                } else {
                    parts.push(share);
                }
                finer.push(right);
            }
            let split = finer.len() > edges.len();
            (edges, shares) = (finer, parts);
            if !split {
                break;
            }
        }
        Ok(quantiles(&edges, &shares, bins))
    }
}

/// Noisy shares of the intervals, clipped to [0, 1] and scaled to sum to `total`.
fn histogram(
    sorted: &[f64],
    edges: &[f64],
    end: f64,
    total: f64,
    deviation: f64,
    noise: &mut Noise,
) -> Vec<f64> {
    let rank = |edge: f64| {
        // The end of the domain belongs to the last interval.
        if edge == end { sorted.len() } else { sorted.partition_point(|&v| v < edge) }
    };
    let noisy = |pair: &[f64]| {
        let share = (rank(pair[1]) - rank(pair[0])) as f64 / sorted.len() as f64;
        let share = if deviation > 0.0 { share + deviation * noise.normal() } else { share };
        share.clamp(0.0, 1.0)
    };
    let mut shares: Vec<f64> = edges.windows(2).map(noisy).collect();
    let sum: f64 = shares.iter().sum();
    let even = total / shares.len() as f64;
    shares
        .iter_mut()
        .for_each(|share| *share = if sum < 1e-9 { even } else { total * *share / sum });
    shares
}

/// Edges that part the shares into `bins` equal ones, each interval filled evenly.
fn quantiles(edges: &[f64], shares: &[f64], bins: usize) -> Vec<f64> {
    let total: f64 = shares.iter().sum();
    let mut out = vec![edges[0]];
    let (mut at, mut below) = (0, 0.0);
    for k in 1..bins {
        let rank = total * k as f64 / bins as f64;
        while at + 1 < shares.len() && below + shares[at] < rank {
            below += shares[at];
            at += 1;
        }
        let part =
            if shares[at] > 0.0 { ((rank - below) / shares[at]).clamp(0.0, 1.0) } else { 0.0 };
        out.push(edges[at] + part * (edges[at + 1] - edges[at]));
    }
    out.push(edges[edges.len() - 1]);
    out.dedup_by(|b, a| *b <= *a);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Interval = Interval { low: 0.0, high: 1.0, bins: 8, grain: 1e-3 };

    #[test]
    fn without_noise_bins_hold_equal_shares() {
        let n = 20_000;
        let values: Vec<f64> = (0..n).map(|i| (f64::from(i) / f64::from(n)).powi(3)).collect();
        let edges = UNIT.edges(&values, None, &mut Noise::new(&[0; 32])).unwrap();
        assert_eq!(edges.len(), 9);
        for pair in edges.windows(2) {
            let inside = values.iter().filter(|v| (pair[0]..pair[1]).contains(v)).count();
            assert!((inside as f64 / f64::from(n) - 0.125).abs() < 0.01, "{pair:?} {inside}");
        }
    }

    #[test]
    fn one_value_leaves_few_bins() {
        let edges = UNIT.edges(&[0.5; 10], None, &mut Noise::new(&[0; 32])).unwrap();
        assert!(
            edges.is_sorted_by(|a, b| a < b) && edges[0] == 0.0 && edges[edges.len() - 1] == 1.0
        );
        assert_eq!(UNIT.edges(&[1.0, 0.0], None, &mut Noise::new(&[0; 32])).unwrap()[0], 0.0);
    }

    #[test]
    fn the_deviation_is_that_of_all_levels() {
        // 1 / (8 * 0.001) = 125: six halvings and one more.
        assert_eq!(UNIT.levels(), 7);
        let expected = (2.0_f64 * 8.0).sqrt() / 50.0 / (2.0_f64 * 0.3).sqrt();
        assert!((UNIT.deviation(50, 0.3) - expected).abs() < 1e-15);
    }

    #[test]
    fn values_outside_and_empty_intervals_are_refused() {
        let mut noise = Noise::new(&[0; 32]);
        assert!(UNIT.edges(&[1.5], None, &mut noise).is_err());
        assert!(UNIT.edges(&[f64::NAN], None, &mut noise).is_err());
        let none = Interval { low: 1.0, ..UNIT };
        assert!(none.edges(&[1.0], None, &mut noise).is_err());
    }
}
