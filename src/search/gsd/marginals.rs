//! Marginals of a table of codes: where a row counts, and what a change of a column touches.
//!
//! The cells of all marginals lie one after another, each marginal in the order of its columns,
//! the last of which is the fastest.

use crate::engine::{Error, Result, threads};

/// Cells of one marginal, and of all together.
const MOST: [u64; 2] = [1 << 24, 1 << 27];

/// A column of a marginal: how far one code moves its cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub column: u32,
    pub stride: u32,
}

/// A marginal as seen from one of its columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touch {
    /// Its first cell.
    offset: u32,
    /// How far one code of the column moves the cell.
    pub stride: u32,
    /// Its other columns, in the list of all.
    others: [u32; 2],
}

/// Sets of columns whose joint counts matter.
#[derive(Debug, Clone)]
pub struct Marginals {
    sizes: Vec<u32>,
    axes: Vec<Vec<Axis>>,
    offsets: Vec<usize>,
    touches: Vec<Vec<Touch>>,
    others: Vec<Axis>,
}

impl Marginals {
    /// Marginals over columns with codes below `sizes`.
    ///
    /// # Errors
    /// [`Error::Value`] for an empty column or marginal, a column that is not there or twice in a
    /// marginal, and too many cells.
    pub fn new(sizes: &[u32], workloads: &[Vec<u32>]) -> Result<Self> {
        if let Some(column) = sizes.iter().position(|&size| size == 0) {
            let fix = "every column needs at least one value";
            return Err(Error::value(format!("sizes[{column}]"), ">= 1", 0, fix));
        }
        if workloads.is_empty() {
            let fix = "name at least one set of columns";
            return Err(Error::value("marginals", "not empty", "none", fix));
        }
        let mut out = Self {
            sizes: sizes.to_vec(),
            axes: Vec::with_capacity(workloads.len()),
            offsets: vec![0],
            touches: vec![Vec::new(); sizes.len()],
            others: Vec::new(),
        };
        for (at, columns) in workloads.iter().enumerate() {
            out.push(at, columns)?;
        }
        Ok(out)
    }

    fn push(&mut self, at: usize, columns: &[u32]) -> Result<()> {
        let name = format!("marginals[{at}]");
        let known = columns.iter().all(|&c| (c as usize) < self.sizes.len());
        let once = columns.iter().enumerate().all(|(i, c)| !columns[..i].contains(c));
        if columns.is_empty() || !known || !once {
            let given = format!("{columns:?}");
            return Err(Error::value(name, "different columns", given, "name each column once"));
        }
        let offset = self.offsets[at];
        let mut cells = 1u64;
        let mut axes: Vec<Axis> = Vec::with_capacity(columns.len());
        for &column in columns.iter().rev() {
            axes.push(Axis { column, stride: cells as u32 });
            cells = cells.saturating_mul(u64::from(self.sizes[column as usize]));
            if cells > MOST[0] || offset as u64 + cells > MOST[1] {
                let allowed = format!("at most {} cells, {} in all", MOST[0], MOST[1]);
                let fix = "take fewer columns, or fewer bins for numeric ones";
                return Err(Error::value(name, allowed, format!("{cells} or more"), fix));
            }
        }
        axes.reverse();
        for &Axis { column, stride } in &axes {
            let first = self.others.len() as u32;
            self.others.extend(axes.iter().filter(|axis| axis.column != column));
            let others = [first, self.others.len() as u32];
            let touch = Touch { offset: offset as u32, stride, others };
            self.touches[column as usize].push(touch);
        }
        self.axes.push(axes);
        self.offsets.push(offset + cells as usize);
        Ok(())
    }

    /// Codes of every column are below these.
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// Where each marginal begins; the last entry is the number of cells of all.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Number of cells of all marginals.
    pub fn cells(&self) -> usize {
        self.offsets[self.axes.len()]
    }

    /// Counts of rows in every cell; `codes` holds whole rows.
    ///
    /// # Errors
    /// [`Error::Value`] for codes out of range or a part of a row.
    pub fn count(&self, codes: &[u32]) -> Result<Vec<i64>> {
        self.check(codes)?;
        let width = self.sizes.len();
        let parts = threads::map(self.axes.len(), |m| {
            let mut counts = vec![0i64; self.offsets[m + 1] - self.offsets[m]];
            for row in codes.chunks_exact(width) {
                let cell = |axis: &Axis| row[axis.column as usize] * axis.stride;
                counts[self.axes[m].iter().map(cell).sum::<u32>() as usize] += 1;
            }
            counts
        });
        Ok(parts.concat())
    }

    /// Refuses codes out of range, and a part of a row.
    pub(super) fn check(&self, codes: &[u32]) -> Result<()> {
        let width = self.sizes.len();
        let fix = "encode the table by its domain";
        if codes.is_empty() || !codes.len().is_multiple_of(width) {
            let allowed = format!("whole rows of {width} codes, at least one");
            return Err(Error::value("codes", allowed, codes.len(), fix));
        }
        let inside = |row: &[u32]| row.iter().zip(&self.sizes).all(|(code, size)| code < size);
        match codes.chunks_exact(width).find(|row| !inside(row)) {
            None => Ok(()),
            Some(row) => {
                let allowed = format!("below {:?}", self.sizes);
                Err(Error::value("codes", allowed, format!("{row:?}"), fix))
            }
        }
    }

    /// The marginals that a column touches.
    #[inline]
    pub(super) fn touches(&self, column: u32) -> &[Touch] {
        &self.touches[column as usize]
    }

    /// The cell of a row, but for the part of the column from which the marginal is seen.
    #[inline]
    pub(super) fn base(&self, touch: &Touch, row: &[u32]) -> u32 {
        let part = |axis: &Axis| row[axis.column as usize] * axis.stride;
        touch.offset + self.others(touch).iter().map(part).sum::<u32>()
    }

    /// The other columns of a marginal.
    #[inline]
    pub(super) fn others(&self, touch: &Touch) -> &[Axis] {
        &self.others[touch.others[0] as usize..touch.others[1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_lie_in_the_order_of_the_columns() {
        let marginals = Marginals::new(&[2, 3], &[vec![0, 1], vec![1], vec![1, 0]]).unwrap();
        let counts = marginals.count(&[0, 2, 1, 0, 1, 0]).unwrap();
        assert_eq!(counts[..6], [0, 0, 1, 2, 0, 0]);
        assert_eq!(counts[6..9], [2, 0, 1]);
        assert_eq!(counts[9..], [0, 2, 0, 0, 1, 0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let new = |sizes: &[u32], columns: &[u32]| Marginals::new(sizes, &[columns.to_vec()]);
        assert!(new(&[2, 0], &[0]).is_err());
        assert!(new(&[2, 2], &[2]).is_err());
        assert!(new(&[2, 2], &[1, 1]).is_err());
        assert!(new(&[2, 2], &[]).is_err());
        let many = new(&[1 << 20; 4], &[0, 1, 2, 3]).unwrap_err();
        assert!(many.to_string().contains("at most 16777216 cells"));
        let marginals = new(&[2, 2], &[0, 1]).unwrap();
        assert!(marginals.count(&[0, 2]).is_err());
        assert!(marginals.count(&[0]).is_err());
        assert!(marginals.count(&[]).is_err());
    }
}
