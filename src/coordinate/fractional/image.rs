//! What a matrix makes of the point, d = D x + offset, and the column along which it moves.

use crate::coordinate::design::Design;

/// d, and one column of D beside the entries of d that it reaches.
pub struct Image<'a> {
    design: &'a dyn Design,
    offset: Option<&'a [f64]>,
    /// D x + offset
    pub d: Vec<f64>,
    /// Rows of the column, where D is sparse.
    rows: Vec<usize>,
    /// The column's values: all, or those in `rows`.
    pub column: Vec<f64>,
    gathered: Vec<f64>,
    sparse: bool,
}

impl<'a> Image<'a> {
    /// Of the point zero.
    pub fn new(design: &'a dyn Design, offset: Option<&'a [f64]>) -> Self {
        let m = design.rows();
        let d = offset.map_or_else(|| vec![0.0; m], <[f64]>::to_vec);
        let sparse = design.stored(&[]).is_some();
        Self { design, offset, d, rows: vec![], column: vec![], gathered: vec![], sparse }
    }

    /// Of the point `x`.
    pub fn reset(&mut self, x: &[f64]) {
        match self.offset {
            Some(offset) => self.d.copy_from_slice(offset),
            None => self.d.fill(0.0),
        }
        for (j, &x) in x.iter().enumerate() {
            if x != 0.0 {
                self.design.add(j, x, &mut self.d);
            }
        }
    }

    /// Number of columns.
    pub fn coordinates(&self) -> usize {
        self.design.cols()
    }

    /// Loads column `i`; returns its values and the entries of d in the same rows.
    pub fn load(&mut self, i: usize) -> (&[f64], &[f64]) {
        let Self { design, d, rows, column, gathered, sparse, .. } = self;
        if !*sparse {
            column.resize(d.len(), 0.0);
            design.read(i, 0..d.len(), column);
            return (column, d);
        }
        rows.clear();
        column.clear();
        design.entries(i, &mut |row, value| {
            rows.push(row);
            column.push(value);
        });
        gathered.clear();
        gathered.extend(rows.iter().map(|&row| d[row]));
        (column, gathered)
    }

    /// The loaded column and its entries of d.
    pub fn loaded(&self) -> (&[f64], &[f64]) {
        (&self.column, if self.sparse { &self.gathered } else { &self.d })
    }

    /// Moves along the loaded column.
    pub fn step(&mut self, i: usize, eta: f64) {
        self.design.add(i, eta, &mut self.d);
    }

    /// Calls `with` on the entries of d that the loaded column does not reach, if there are any:
    /// with the others replaced by `neutral`.
    pub fn rest<T>(&mut self, neutral: f64, with: impl Fn(&[f64]) -> T) -> Option<T> {
        if !self.sparse || self.rows.len() == self.d.len() {
            return None;
        }
        for &row in &self.rows {
            self.d[row] = neutral;
        }
        let result = with(&self.d);
        for (&row, &value) in self.rows.iter().zip(&self.gathered) {
            self.d[row] = value;
        }
        Some(result)
    }
}
