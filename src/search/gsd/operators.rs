//! Proposals: edits of one or two cells.
//!
//!   mutate      a cell to a uniform value; columns take turns, larger ones more often
//!   continuous  a numeric cell to a value uniform between two of 32 quantiles of its column
//!   swap        two rows exchange a cell; columns take turns
//!   cross       one or two categorical cells copied from another row
//!
//! Deviations: numeric cells are bins, whose quantiles are read from the counts of the bins; where
//! inside a bin a value lies changes no statistic.

use super::table::{Edit, Table};
use crate::engine::{Error, Result, rng::Philox};

/// Quantiles that `continuous` draws between.
const QUANTILES: usize = 32;
/// A stream of draws that no generation uses.
const SHUFFLE: u64 = u64::MAX;

/// What a proposal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// A cell to a uniform value.
    Mutate,
    /// A numeric cell to a value between two quantiles.
    Continuous,
    /// Two rows exchange a cell.
    Swap,
    /// One categorical cell of another row.
    CrossOne,
    /// Two categorical cells of another row.
    CrossTwo,
}

/// What operators know of the columns.
#[derive(Debug, Clone)]
pub struct Operators {
    /// Those in use.
    pub all: Vec<Operator>,
    sizes: Vec<u32>,
    /// Columns that `mutate` visits in turn.
    turns: Vec<u32>,
    numeric: Vec<u32>,
    categorical: Vec<u32>,
    /// Edges of the bins of numeric columns; empty for others.
    edges: Vec<Vec<f64>>,
    /// Counts of the bins of numeric columns.
    bins: Vec<Vec<u32>>,
}

impl Operators {
    /// Those named, as far as the columns allow; `edges` holds size + 1 edges for a numeric column
    /// and none for others.
    ///
    /// # Errors
    /// [`Error::Value`] for an unknown name, edges that do not ascend or fit, and when no operator
    /// is left.
    pub fn new(
        names: &[String],
        edges: Vec<Vec<f64>>,
        table: &Table,
        rng: &Philox,
    ) -> Result<Self> {
        let sizes = table.marginals().sizes().to_vec();
        if edges.len() != sizes.len() {
            let allowed = format!("{} lists, one a column", sizes.len());
            return Err(Error::value("edges", allowed, edges.len(), "leave lists empty"));
        }
        for (column, (edges, &size)) in edges.iter().zip(&sizes).enumerate() {
            let fits = edges.len() == size as usize + 1 && edges.is_sorted_by(|a, b| a < b);
            let finite = edges.iter().all(|edge| edge.is_finite());
            if !(edges.is_empty() || fits && finite) {
                let allowed = format!("{} ascending numbers", size + 1);
                let given = format!("{edges:?}");
                return Err(Error::value(format!("edges[{column}]"), allowed, given, "sort them"));
            }
        }
        let columns = |numeric: bool| -> Vec<u32> {
            let of_kind = |&c: &u32| edges[c as usize].is_empty() != numeric;
            (0..sizes.len() as u32).filter(of_kind).collect()
        };
        let (numeric, categorical) = (columns(true), columns(false));
        let mut all = Vec::new();
        for name in names {
            match name.as_str() {
                "mutate" => all.push(Operator::Mutate),
                "continuous" if numeric.is_empty() => {}
                "continuous" => all.push(Operator::Continuous),
                "swap" => all.push(Operator::Swap),
                "cross" => {
                    let kinds = [Operator::CrossOne, Operator::CrossTwo];
                    all.extend(&kinds[..categorical.len().min(2)]);
                }
                other => {
                    let allowed = "of 'mutate', 'continuous', 'swap', 'cross'";
                    let given = format!("{other:?}");
                    return Err(Error::value("operators", allowed, given, "choose of these"));
                }
            }
        }
        if all.is_empty() {
            let allowed = "names of which one fits the columns";
            let given = format!("{names:?}");
            return Err(Error::value("operators", allowed, given, "add 'mutate'"));
        }
        let turns = turns(&sizes, rng);
        let bins = edges
            .iter()
            .zip(&sizes)
            .map(|(edges, &size)| vec![0; if edges.is_empty() { 0 } else { size as usize }]);
        let mut out = Self { bins: bins.collect(), all, turns, numeric, categorical, edges, sizes };
        for &column in &out.numeric {
            for row in 0..table.rows() {
                out.bins[column as usize][table.code(row, column) as usize] += 1;
            }
        }
        Ok(out)
    }

    /// The column that an operator proposes for when it is used for the `used`-th time.
    pub fn column(&self, operator: Operator, used: u64) -> u32 {
        let at = |list: &[u32]| list[(used % list.len() as u64) as usize];
        match operator {
            Operator::Mutate => at(&self.turns),
            Operator::Continuous => at(&self.numeric),
            Operator::Swap => (used % self.sizes.len() as u64) as u32,
            Operator::CrossOne | Operator::CrossTwo => 0,
        }
    }

    /// What `continuous` draws between: the ends of the domain around 32 quantiles of the column.
    pub fn quantiles(&self, column: u32, out: &mut Vec<f64>) {
        let (edges, bins) = (&self.edges[column as usize], &self.bins[column as usize]);
        let rows: u32 = bins.iter().sum();
        out.clear();
        out.push(edges[0]);
        let (mut bin, mut below) = (0, 0);
        for k in 0..QUANTILES {
            let rank = f64::from(rows) * k as f64 / (QUANTILES - 1) as f64;
            while bins[bin] == 0 || (f64::from(below + bins[bin]) < rank && bin + 1 < bins.len()) {
                below += bins[bin];
                bin += 1;
            }
            let part = ((rank - f64::from(below)) / f64::from(bins[bin])).min(1.0);
            out.push(edges[bin] + part * (edges[bin + 1] - edges[bin]));
        }
        out.push(edges[edges.len() - 1]);
    }

    /// An edit from four random words; `quantiles` are those of the column, for `continuous`.
    #[inline]
    pub fn propose(
        &self,
        operator: Operator,
        column: u32,
        words: [u32; 4],
        table: &Table,
        quantiles: &[f64],
    ) -> Edit {
        let rows = table.rows();
        let row = below(words[0], rows);
        match operator {
            Operator::Mutate => {
                let value = below(words[1], self.sizes[column as usize]);
                Edit::Write { row, columns: [column; 2], values: [value; 2] }
            }
            Operator::Continuous => {
                let k = below(words[1], quantiles.len() as u32 - 1) as usize;
                let part = f64::from(words[2]) / (1u64 << 32) as f64;
                let value = quantiles[k] + part * (quantiles[k + 1] - quantiles[k]);
                let edges = &self.edges[column as usize];
                let inner = &edges[1..edges.len() - 1];
                let bin = inner.partition_point(|&edge| edge <= value) as u32;
                Edit::Write { row, columns: [column; 2], values: [bin; 2] }
            }
            Operator::Swap => Edit::Swap { rows: [row, below(words[1], rows)], column },
            Operator::CrossOne | Operator::CrossTwo => {
                let pick =
                    |word| self.categorical[below(word, self.categorical.len() as u32) as usize];
                let first = pick(words[2]);
                let second = if operator == Operator::CrossTwo { pick(words[3]) } else { first };
                let columns = [first, second];
                let mate = below(words[1], rows);
                Edit::Write { row, columns, values: columns.map(|c| table.code(mate, c)) }
            }
        }
    }

    /// Follows an edit that is about to be made.
    pub fn follow(&mut self, edit: Edit, table: &Table) {
        let Edit::Write { row, columns: [c, d], values } = edit else { return };
        for (column, value) in
            [(c, values[0]), (d, values[1])].into_iter().take(1 + usize::from(c != d))
        {
            let bins = &mut self.bins[column as usize];
            if !bins.is_empty() {
                bins[table.code(row, column) as usize] -= 1;
                bins[value as usize] += 1;
            }
        }
    }
}

/// Every column 1 + floor(ln(size)) times, shuffled.
fn turns(sizes: &[u32], rng: &Philox) -> Vec<u32> {
    let times = |size: u32| f64::from(size).ln() as usize + 1;
    let repeat = |(column, &size): (usize, &u32)| vec![column as u32; times(size)];
    let mut turns: Vec<u32> = sizes.iter().enumerate().flat_map(repeat).collect();
    for i in (1..turns.len()).rev() {
        turns.swap(i, rng.below(SHUFFLE, i as u64, i as u64 + 1) as usize);
    }
    turns
}

/// A uniform integer below `bound` from a word; bias below bound / 2^32.
#[inline]
fn below(word: u32, bound: u32) -> u32 {
    ((u64::from(word) * u64::from(bound)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::super::Marginals;
    use super::*;

    fn table(codes: Vec<u32>) -> Table {
        let marginals = Marginals::new(&[4, 2], &[vec![0, 1]]).unwrap();
        Table::new(marginals, codes, &[0.125; 8]).unwrap()
    }

    #[test]
    fn quantiles_are_those_of_the_bins() {
        let table = table(vec![1, 0, 1, 1, 3, 0, 3, 1]);
        let edges = vec![vec![0.0, 1.0, 2.0, 4.0, 8.0], vec![]];
        let names = ["continuous".to_string()];
        let operators = Operators::new(&names, edges, &table, &Philox::new(0)).unwrap();
        let mut found = Vec::new();
        operators.quantiles(0, &mut found);
        assert_eq!(found.len(), QUANTILES + 2);
        assert_eq!([found[0], found[1], found[32], found[33]], [0.0, 1.0, 8.0, 8.0]);
        assert!(found.is_sorted());
        // Half of the rows lie in [1, 2), half in [4, 8).
        assert!(found[1..17].iter().all(|q| (1.0..=2.0).contains(q)));
        assert!(found[17..].iter().all(|q| (4.0..=8.0).contains(q)));
    }

    #[test]
    fn operators_that_fit_no_column_are_left_out() {
        let table = table(vec![0, 0]);
        let new = |names: &[&str], edges: Vec<Vec<f64>>| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            Operators::new(&names, edges, &table, &Philox::new(0))
        };
        let bins = vec![0.0, 1.0, 2.0, 4.0, 8.0];
        let all = ["mutate", "continuous", "swap", "cross"];
        let kinds = |edges| new(&all, edges).unwrap().all.len();
        assert_eq!(kinds(vec![vec![], vec![]]), 4);
        assert_eq!(kinds(vec![bins.clone(), vec![]]), 4);
        assert_eq!(kinds(vec![bins.clone(), vec![0.0, 1.0, 2.0]]), 3);
        assert!(new(&["continuous"], vec![vec![], vec![]]).is_err());
        assert!(new(&["grow"], vec![vec![], vec![]]).is_err());
        assert!(new(&all, vec![vec![0.0, 1.0], vec![]]).is_err());
        assert!(new(&all, vec![vec![0.0, 2.0, 1.0, 4.0, 8.0], vec![]]).is_err());
    }
}
