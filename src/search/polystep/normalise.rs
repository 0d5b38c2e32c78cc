//! What happens to a matrix of costs (a row a block, a column a vertex) before it is weighed.
//!
//!   none        C
//!   number      C / a
//!   mean, max   (C - min) / mean (C - min),  (C - min) / max (C - min)    (floor 1e-10)
//!   row std     (C - row mean) / std of the row
//!   global std  (C - row mean) / sqrt(mean over rows of the row variance)
//!   ranks       (C - row mean) of the ranks 0 .. V-1 of a row, ties at their mean, over their std
//!
//! All but the first two know no unit and no offset; with the last three softmax(-C / eps) with
//! eps = 1 weighs every problem alike.

/// How costs are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Left alone.
    None,
    /// Divided by a positive number.
    Number(f64),
    /// Above the smallest, divided by their mean.
    Mean,
    /// Above the smallest, divided by the largest.
    Max,
    /// Each row to mean 0 and standard deviation 1.
    RowStd,
    /// Rows to mean 0, all of them by one standard deviation.
    GlobalStd,
    /// Each row by its order alone.
    Ranks,
}

const FLOOR: f64 = 1e-10;

impl Scale {
    /// Scales `costs`, rows of `columns` numbers, in place. Rows of equal costs become zero
    /// under the last three.
    pub fn apply(self, costs: &mut [f64], columns: usize) {
        match self {
            Self::None => {}
            Self::Number(a) => divide(costs, a),
            Self::Mean => {
                lower(costs);
                let sum: f64 = costs.iter().sum();
                divide(costs, (sum / costs.len().max(1) as f64).max(FLOOR));
            }
            Self::Max => {
                lower(costs);
                let max = costs.iter().copied().fold(0.0, f64::max);
                divide(costs, max.max(FLOOR));
            }
            Self::RowStd => {
                for row in costs.chunks_exact_mut(columns) {
                    standardise(row);
                }
            }
            Self::GlobalStd => {
                costs.chunks_exact_mut(columns).for_each(centre);
                let squares: f64 = costs.iter().map(|c| c * c).sum();
                let std = (squares / costs.len().max(1) as f64).sqrt();
                if std > 0.0 {
                    divide(costs, std);
                }
            }
            Self::Ranks => {
                let mut order = Vec::with_capacity(columns);
                for row in costs.chunks_exact_mut(columns) {
                    rank(row, &mut order);
                    standardise(row);
                }
            }
        }
    }
}

/// Replaces NaN and infinities by a cost worse than every finite one, and counts them.
///
/// Published, the stand-in is max(2 max |finite| + 1, 1e6), which drowns the other differences
/// once costs are normalised; otherwise it is the worst finite cost plus the spread of the finite
/// ones. Without a finite cost all become equal, and no move follows.
pub fn repair(costs: &mut [f64], published: bool) -> usize {
    let finite = || costs.iter().copied().filter(|c| c.is_finite());
    let bad = costs.len() - finite().count();
    if bad == 0 {
        return 0;
    }
    let max = finite().fold(f64::NEG_INFINITY, f64::max);
    let min = finite().fold(f64::INFINITY, f64::min);
    let largest = finite().fold(0.0, |a: f64, c| a.max(c.abs()));
    let worst = match (published, max >= min) {
        (true, _) => (2.0 * largest + 1.0).max(1e6),
        (false, true) => max + if max > min { max - min } else { max.abs().max(1.0) },
        (false, false) => 0.0,
    };
    let worst = worst.min(f64::MAX);
    for cost in costs.iter_mut().filter(|c| !c.is_finite()) {
        *cost = worst;
    }
    bad
}

fn divide(costs: &mut [f64], by: f64) {
    costs.iter_mut().for_each(|c| *c /= by);
}

/// Without this, a constant added to the costs would change the temperature.
fn lower(costs: &mut [f64]) {
    let min = costs.iter().copied().fold(f64::INFINITY, f64::min);
    costs.iter_mut().for_each(|c| *c -= min);
}

fn centre(row: &mut [f64]) {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    // Rounding in the mean must not make equal costs differ.
    let equal = row.iter().all(|c| *c == row[0]);
    row.iter_mut().for_each(|c| *c = if equal { 0.0 } else { *c - mean });
}

fn standardise(row: &mut [f64]) {
    centre(row);
    let std = (row.iter().map(|c| c * c).sum::<f64>() / row.len() as f64).sqrt();
    if std > 0.0 {
        divide(row, std);
    }
}

fn rank(row: &mut [f64], order: &mut Vec<usize>) {
    order.clear();
    order.extend(0..row.len());
    order.sort_by(|&a, &b| row[a].total_cmp(&row[b]));
    let mut start = 0;
    while start < order.len() {
        let value = row[order[start]];
        let ties = order[start..].iter().take_while(|&&k| row[k] == value).count().max(1);
        let mean = start as f64 + (ties - 1) as f64 / 2.0;
        order[start..start + ties].iter().for_each(|&k| row[k] = mean);
        start += ties;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(scale: Scale, costs: &[f64], columns: usize) -> Vec<f64> {
        let mut out = costs.to_vec();
        scale.apply(&mut out, columns);
        out
    }

    #[test]
    fn values_by_hand() {
        let costs = [1.0, -3.0, 2.0, 2.0];
        assert_eq!(scaled(Scale::None, &costs, 2), costs);
        assert_eq!(scaled(Scale::Number(2.0), &costs, 2), [0.5, -1.5, 1.0, 1.0]);
        assert_eq!(
            scaled(Scale::Mean, &[1.0, -3.0, -1.0, -3.0], 2),
            [8.0 / 3.0, 0.0, 4.0 / 3.0, 0.0]
        );
        assert_eq!(scaled(Scale::Max, &[1.0, -4.0], 2), [1.0, 0.0]);
        assert_eq!(scaled(Scale::RowStd, &costs, 2), [1.0, -1.0, 0.0, 0.0]);
        let root = 2f64.sqrt();
        let global = scaled(Scale::GlobalStd, &costs, 2);
        assert!((global[0] - root).abs() < 1e-15 && global[2..] == [0.0, 0.0]);
        let ranks = scaled(Scale::Ranks, &[5.0, 100.0, 5.0, -1.0], 4);
        assert!(ranks[0] == ranks[2] && ranks[3] < ranks[0] && ranks[0] < ranks[1]);
        assert!((ranks.iter().sum::<f64>()).abs() < 1e-15);
    }

    #[test]
    fn constant_costs_give_no_numbers_out_of_nothing() {
        for scale in [Scale::Mean, Scale::Max, Scale::RowStd, Scale::GlobalStd, Scale::Ranks] {
            assert_eq!(scaled(scale, &[0.1; 6], 3), [0.0; 6]);
            assert!(scaled(scale, &[], 3).is_empty());
        }
    }

    #[test]
    fn the_unitless_ones_ignore_scale_and_offset() {
        let costs: Vec<f64> = (0..12).map(|i| ((i * i) as f64 * 0.7).sin()).collect();
        let moved: Vec<f64> = costs.iter().map(|c| 1e3 * c + 7.0).collect();
        for scale in [Scale::Mean, Scale::Max, Scale::RowStd, Scale::GlobalStd, Scale::Ranks] {
            let pairs = scaled(scale, &costs, 4).into_iter().zip(scaled(scale, &moved, 4));
            assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-9), "{scale:?}");
        }
    }

    #[test]
    fn bad_costs_become_the_worst_and_are_counted() {
        let mut costs = [1.0, f64::NAN, 3.0, f64::INFINITY, f64::NEG_INFINITY];
        assert_eq!(repair(&mut costs, false), 3);
        assert_eq!(costs, [1.0, 5.0, 3.0, 5.0, 5.0]);
        let mut costs = [1.0, f64::NAN];
        assert_eq!((repair(&mut costs, true), costs[1]), (1, 1e6));
        let mut costs = [f64::NAN; 2];
        assert_eq!((repair(&mut costs, false), costs), (2, [0.0; 2]));
        assert_eq!(repair(&mut [1.0], false), 0);
    }
}
