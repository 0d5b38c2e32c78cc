//! A table, its distance from the targets, and the change that an edit makes.
//!
//!   r_q = n_q - N a_q      count of a cell minus its target, a_q a share of N rows
//!   cost = sum_q r_q^2     a row that leaves cell a for b changes it by 2 (r_b - r_a + 1)
//!
//! Residuals are integers in units of 2^-20 rows, so that updates are exact: the cost after any
//! number of edits is that of a fresh count. An edit costs O(marginals of its columns).

use super::marginals::Marginals;
use crate::engine::{Error, Result};

/// One row, in the unit of residuals.
const ROW: i64 = 1 << 20;

/// A change of one or two cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Writes one cell, or two of a row where the columns differ.
    Write {
        /// Where.
        row: u32,
        /// One column twice, or two.
        columns: [u32; 2],
        /// What.
        values: [u32; 2],
    },
    /// Two rows exchange a cell.
    Swap {
        /// Which rows.
        rows: [u32; 2],
        /// Which of their cells.
        column: u32,
    },
}

/// Rows of codes, and how far their counts are from the targets.
#[derive(Debug, Clone)]
pub struct Table {
    marginals: Marginals,
    codes: Vec<u32>,
    residual: Vec<i64>,
    cost: i128,
}

impl Table {
    /// A table of whole rows; `targets` are shares of the rows, one a cell.
    ///
    /// # Errors
    /// [`Error::Value`] for codes out of range, a share outside [0, 1], and 2^28 rows or more;
    /// [`Error::Shape`] where there is not one target a cell.
    pub fn new(marginals: Marginals, codes: Vec<u32>, targets: &[f64]) -> Result<Self> {
        let rows = codes.len() / marginals.sizes().len();
        if rows >= 1 << 28 {
            return Err(Error::value("rows", "below 2**28", rows, "make several tables"));
        }
        if targets.len() != marginals.cells() {
            return Err(Error::Shape {
                name: "targets".into(),
                given: format!("({},)", targets.len()),
                other: "the marginals".into(),
                expected: format!("({},)", marginals.cells()),
                fix: "pass one share a cell".into(),
            });
        }
        if let Some(share) = targets.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            let fix = "divide counts by the number of rows";
            return Err(Error::value("targets", "shares in [0, 1]", share, fix));
        }
        let residual: Vec<i64> = marginals
            .count(&codes)?
            .iter()
            .zip(targets)
            .map(|(count, share)| count * ROW - (share * rows as f64 * ROW as f64).round() as i64)
            .collect();
        let cost = residual.iter().map(|&r| i128::from(r) * i128::from(r)).sum();
        Ok(Self { marginals, codes, residual, cost })
    }

    /// Its marginals.
    pub fn marginals(&self) -> &Marginals {
        &self.marginals
    }

    /// Its codes, row after row.
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// Number of rows.
    pub fn rows(&self) -> u32 {
        (self.codes.len() / self.marginals.sizes().len()) as u32
    }

    /// The code of a cell.
    #[inline]
    pub fn code(&self, row: u32, column: u32) -> u32 {
        self.codes[row as usize * self.marginals.sizes().len() + column as usize]
    }

    /// Sum of squared differences of shares.
    pub fn cost(&self) -> f64 {
        let unit = ROW as f64 * f64::from(self.rows());
        self.cost as f64 / (unit * unit)
    }

    /// Half the change of the cost in rows squared, times 2^20; negative where the edit helps.
    #[inline]
    pub fn gain(&self, edit: Edit) -> i64 {
        let mut gain = 0;
        visit(&self.marginals, &self.codes, edit, |from, to| {
            gain += self.residual[to] - self.residual[from] + ROW;
        });
        gain
    }

    /// Makes the edit.
    pub fn apply(&mut self, edit: Edit) {
        self.cost += 2 * i128::from(ROW) * i128::from(self.gain(edit));
        let residual = &mut self.residual;
        visit(&self.marginals, &self.codes, edit, |from, to| {
            residual[from] -= ROW;
            residual[to] += ROW;
        });
        let width = self.marginals.sizes().len();
        let at = |row: u32, column: u32| row as usize * width + column as usize;
        match edit {
            Edit::Write { row, columns, values } => {
                self.codes[at(row, columns[0])] = values[0];
                self.codes[at(row, columns[1])] = values[1];
            }
            Edit::Swap { rows: [i, j], column } => self.codes.swap(at(i, column), at(j, column)),
        }
    }
}

/// Calls `moved(from, to)` for every marginal in which a row changes its cell; no cell comes twice.
#[inline]
fn visit(marginals: &Marginals, codes: &[u32], edit: Edit, mut moved: impl FnMut(usize, usize)) {
    let width = marginals.sizes().len();
    let row = |i: u32| &codes[i as usize * width..][..width];
    match edit {
        Edit::Write { row: i, columns: [c, d], values: [new, other] } => {
            let row = row(i);
            let (old, second) = (row[c as usize], row[d as usize]);
            if old != new && second != other && c != d {
                return both(marginals, row, [c, d], [new, other], moved);
            }
            let (column, old, new) = if old != new { (c, old, new) } else { (d, second, other) };
            if old != new {
                for touch in marginals.touches(column) {
                    let base = marginals.base(touch, row);
                    moved(
                        (base + old * touch.stride) as usize,
                        (base + new * touch.stride) as usize,
                    );
                }
            }
        }
        Edit::Swap { rows: [i, j], column } => {
            let (one, two) = (row(i), row(j));
            let (v, w) = (one[column as usize], two[column as usize]);
            if v == w {
                return;
            }
            for touch in marginals.touches(column) {
                let bases = [marginals.base(touch, one), marginals.base(touch, two)];
                // Rows that agree in the rest of the marginal trade places in it.
                if bases[0] != bases[1] {
                    let cell = |base: u32, code: u32| (base + code * touch.stride) as usize;
                    moved(cell(bases[0], v), cell(bases[0], w));
                    moved(cell(bases[1], w), cell(bases[1], v));
                }
            }
        }
    }
}

/// The same for two columns of a row, both of which change.
fn both(
    marginals: &Marginals,
    row: &[u32],
    columns: [u32; 2],
    values: [u32; 2],
    mut moved: impl FnMut(usize, usize),
) {
    for (own, column) in columns.into_iter().enumerate() {
        let partner = columns[1 - own];
        for touch in marginals.touches(column) {
            let shared = marginals.others(touch).iter().find(|axis| axis.column == partner);
            // A marginal of both columns is seen from the first.
            if own == 1 && shared.is_some() {
                continue;
            }
            let base = marginals.base(touch, row);
            let from = base + row[column as usize] * touch.stride;
            let mut to = base + values[own] * touch.stride;
            if let Some(axis) = shared {
                to = to + values[1 - own] * axis.stride - row[partner as usize] * axis.stride;
            }
            moved(from as usize, to as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::Philox;

    fn random(rng: &Philox, sizes: &[u32], rows: usize) -> Vec<u32> {
        let draw = |i: usize| rng.below(0, i as u64, u64::from(sizes[i % sizes.len()])) as u32;
        (0..rows * sizes.len()).map(draw).collect()
    }

    #[test]
    fn edits_cost_what_a_recount_says() {
        let sizes = [2, 3, 4, 1, 5];
        let workloads =
            [vec![0, 1], vec![2], vec![4, 2, 0], vec![1, 4], vec![3, 2], vec![0, 1, 2, 4]];
        let marginals = Marginals::new(&sizes, &workloads).unwrap();
        let rng = Philox::new(7);
        let cells = marginals.cells() as u64;
        let targets: Vec<f64> = (0..cells).map(|i| rng.uniform(1, i)[0] * 0.2).collect();
        let rows = 6;
        let codes = random(&rng, &sizes, rows as usize);
        let mut table = Table::new(marginals.clone(), codes, &targets).unwrap();
        for step in 0..3000 {
            let draw = |index, bound: u32| rng.below(2 + step, index, u64::from(bound)) as u32;
            let columns = [draw(0, 5), draw(1, 5)];
            let mut values = [0, 1].map(|k| draw(2 + k as u64, sizes[columns[k] as usize]));
            if columns[0] == columns[1] {
                values[1] = values[0];
            }
            let edit = match step % 2 {
                0 => Edit::Write { row: draw(4, rows), columns, values },
                _ => Edit::Swap { rows: [draw(4, rows), draw(5, rows)], column: columns[0] },
            };
            let (gain, before) = (table.gain(edit), table.cost);
            table.apply(edit);
            let fresh = Table::new(marginals.clone(), table.codes.clone(), &targets).unwrap();
            assert_eq!(fresh.residual, table.residual, "{edit:?}");
            assert_eq!(fresh.cost, table.cost, "{edit:?}");
            assert_eq!(table.cost - before, 2 * i128::from(ROW) * i128::from(gain));
        }
    }

    #[test]
    fn targets_are_checked() {
        let new = |targets: &[f64]| {
            Table::new(Marginals::new(&[2], &[vec![0]]).unwrap(), vec![0, 1], targets)
        };
        assert_eq!(new(&[0.5, 0.5]).unwrap().cost(), 0.0);
        assert!(new(&[0.5]).is_err());
        assert!(new(&[0.5, f64::NAN]).is_err());
        assert!(new(&[0.5, 1.5]).is_err());
    }
}
