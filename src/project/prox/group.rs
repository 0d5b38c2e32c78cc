//! lam sum_g w_g |x_g|_2 + l1 |x|_1 over groups of entries: the group and the sparse group lasso.
//!
//! Yuan and Lin 2006, J. R. Stat. Soc. B 68; Simon et al. 2013, J. Comput. Graph. Stat. 22.
//!
//!   z = soft(x, l1),  y_g = (1 - lam w_g / |z_g|)_+ z_g

use super::super::{Memory, Params, Set};
use super::norm::{pull_shrink, shrink};
use super::soft;
use crate::engine::{Error, Result};

/// Members of the groups, one group after the other, and the threshold of each.
#[derive(Debug, Clone)]
pub struct Group {
    members: Vec<usize>,
    ends: Vec<usize>,
    thresholds: Vec<f64>,
    l1: f64,
}

impl Group {
    /// From the numbers `lam` and `l1` and the vectors `groups` (the label 0, 1, ... of every
    /// entry) and `weights` (one a group).
    pub fn new(params: &Params<'_>) -> Result<Self> {
        let (lam, l1) = (params.strength(0, "lam")?, params.strength(1, "l1")?);
        let (labels, weights) = (params.vector(0)?, params.vector(1)?);
        let count = weights.len();
        if labels.len() != params.n {
            let given = format!("length {}", labels.len());
            let allowed = format!("of length {}", params.n);
            return Err(Error::value("groups", allowed, given, "give every entry a label"));
        }
        let valid = |&label: &f64| label >= 0.0 && label < count as f64 && label.fract() == 0.0;
        if let Some(label) = labels.iter().find(|label| !valid(label)) {
            let allowed = format!("integers in [0, {count})");
            return Err(Error::value("groups", allowed, label, "number the groups from 0"));
        }
        if let Some(w) = weights.iter().find(|&&w| !(w >= 0.0 && w.is_finite())) {
            return Err(Error::value("weights", "finite and >= 0", w, "give one for each group"));
        }
        let mut ends = vec![0; count];
        labels.iter().for_each(|&label| ends[label as usize] += 1);
        let mut next = 0;
        for end in &mut ends {
            (next, *end) = (next + *end, next);
        }
        let mut members = vec![0; params.n];
        for (i, &label) in labels.iter().enumerate() {
            members[ends[label as usize]] = i;
            ends[label as usize] += 1;
        }
        let thresholds = weights.iter().map(|&w| if w == 0.0 { 0.0 } else { lam * w }).collect();
        Ok(Self { members, ends, thresholds, l1 })
    }

    fn each(&self, mut work: impl FnMut(&[usize], f64)) {
        let mut start = 0;
        for (&end, &threshold) in self.ends.iter().zip(&self.thresholds) {
            work(&self.members[start..end], threshold);
            start = end;
        }
    }
}

fn gather(x: &[f64], members: &[usize], into: &mut Vec<f64>) {
    into.clear();
    into.extend(members.iter().map(|&i| x[i]));
}

impl Set for Group {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        self.each(|members, threshold| {
            let z = &mut memory.values;
            gather(x, members, z);
            z.iter_mut().for_each(|z| *z = soft(*z, self.l1));
            shrink(z, threshold);
            members.iter().zip(z).for_each(|(&i, z)| x[i] = *z);
        });
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], memory: &mut Memory) {
        self.each(|members, threshold| {
            let (z, u) = (&mut memory.values, &mut memory.others);
            gather(x, members, z);
            gather(v, members, u);
            z.iter_mut().for_each(|z| *z = soft(*z, self.l1));
            pull_shrink(z, threshold, u);
            for ((&i, u), z) in members.iter().zip(u).zip(z) {
                v[i] = if *z != 0.0 || self.l1 == 0.0 { *u } else { 0.0 };
            }
        });
    }
}
