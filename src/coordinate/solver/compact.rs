//! Columns of a sparse working set, copied side by side and scaled by the roots of the weights:
//! passes over them read memory in order.

use crate::coordinate::design::Design;
use crate::engine::sparse::Columns;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Compact {
    data: Vec<f64>,
    indices: Vec<i64>,
    starts: Vec<i64>,
    rows: usize,
    /// Squared norms, centred where asked.
    pub curvature: Vec<f64>,
}

impl Compact {
    pub fn clear(&mut self) {
        self.data.clear();
        self.indices.clear();
        self.starts.clear();
        self.curvature.clear();
    }

    /// Appends the columns `new` with the weighted means `means`; `total` is the sum of the weights.
    pub fn extend(
        &mut self,
        design: &dyn Design,
        new: &[usize],
        means: &[f64],
        roots: &[f64],
        total: f64,
    ) {
        self.rows = roots.len();
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        for (&j, mean) in new.iter().zip(means) {
            let mut square = 0.0;
            design.entries(j, &mut |i, x| {
                let scaled = x * roots[i];
                square += scaled * scaled;
                self.data.push(scaled);
                self.indices.push(i as i64);
            });
            self.starts.push(self.data.len() as i64);
            let curvature = square - total * mean * mean;
            // A column that is constant up to rounding has no curvature once it is centred.
            self.curvature.push(if curvature <= 1e-13 * square { 0.0 } else { curvature });
        }
    }

    /// The columns, checked.
    pub fn columns(&self) -> Columns<'_, f64, i64> {
        let starts = if self.starts.is_empty() { &[0] } else { &self.starts[..] };
        Columns::new(&self.data, &self.indices, starts, self.rows)
            .expect("the structure is that of a checked matrix")
    }
}
