//! A Newton step on the support, where passes alone are slow.

use crate::coordinate::penalty::{Penalty, subtract};
use crate::engine::real::Float;
use crate::engine::threads;
use crate::linalg::cholesky;

/// Size from which a factor in single precision is tried first.
const ROUGH: usize = 256;
/// Entries of a product with the matrix that one task computes.
const STRETCH: usize = 1024;

/// A Newton step on the support: the exact minimiser when no sign changes. Coefficients that would
/// change theirs stop at zero; kept only if the objective falls.
pub(super) fn newton(
    penalty: &dyn Penalty,
    cols: &[usize],
    gram: &[f64],
    w: &mut [f64],
    q: &mut [f64],
    value: impl Fn(&[f64], &[f64]) -> f64,
) {
    let count = w.len();
    let (mut right, mut bends) = (q.to_vec(), vec![0.0; count]);
    for k in 0..count {
        if w[k] == 0.0 {
            right[k] = 0.0;
            continue;
        }
        let Some((slope, bend)) = penalty.smooth_at(w[k], cols[k]) else { return };
        (right[k], bends[k]) = (right[k] - slope, bend);
    }
    // Single precision is half the work, where it is enough.
    let rough = (count >= ROUGH).then(|| newton_step::<f32>(gram, w, &right, &bends, 1e-6));
    let Some(d) = rough.flatten().or_else(|| newton_step::<f64>(gram, w, &right, &bends, 1e-13))
    else {
        return;
    };
    let mut to: Vec<f64> = w.iter().zip(&d).map(|(w, d)| w + d).collect();
    for (to, &w) in to.iter_mut().zip(&*w) {
        if *to * w < 0.0 {
            *to = 0.0;
        }
    }
    if !to.iter().zip(cols).all(|(&to, &j)| penalty.allows(to, j)) {
        return;
    }
    let mut gradient = q.to_vec();
    let moved: Vec<f64> = to.iter().zip(&*w).map(|(to, w)| to - w).collect();
    subtract_product(gram, &moved, &mut gradient);
    if value(&to, &gradient) < value(w, q) {
        w.copy_from_slice(&to);
        q.copy_from_slice(&gradient);
    }
}

/// The solution of `(G + bends) d = right` over the nonzero entries of `w`, refined once; none when
/// the factor does not exist or is too rough for that.
fn newton_step<F: Float>(
    gram: &[f64],
    w: &[f64],
    right: &[f64],
    bends: &[f64],
    tol: f64,
) -> Option<Vec<f64>> {
    let count = w.len();
    let mut factor: Vec<F> = gram.iter().map(|&g| F::from_f64(g)).collect();
    for k in 0..count {
        let diagonal = gram[k * count + k] + bends[k];
        factor[k * count + k] = F::from_f64(diagonal);
        if w[k] == 0.0 {
            // Left the support during the passes: keep it out.
            factor[k * count..(k + 1) * count].fill(F::default());
            (0..count).for_each(|i| factor[i * count + k] = F::default());
            factor[k * count + k] = F::from_f64(1.0);
        }
    }
    if !cholesky::factor(&mut factor, count, tol) {
        return None;
    }
    let (mut d, mut rest) = (right.to_vec(), right.to_vec());
    cholesky::substitute(&factor, count, &mut d);
    subtract_product(gram, &d, &mut rest);
    rest.iter_mut().zip(&d).zip(bends).for_each(|((rest, d), bend)| *rest -= bend * d);
    rest.iter_mut().zip(w).filter(|(_, w)| **w == 0.0).for_each(|(rest, _)| *rest = 0.0);
    let size = |x: &[f64]| x.iter().fold(0.0, |m, x| f64::max(m, x.abs()));
    if size(&rest) > 0.1 * size(right) {
        return None;
    }
    cholesky::substitute(&factor, count, &mut rest);
    d.iter_mut().zip(&rest).for_each(|(d, rest)| *d += rest);
    Some(d)
}

/// `out -= G d`, a task for each stretch of `out`.
fn subtract_product(gram: &[f64], d: &[f64], out: &mut [f64]) {
    threads::for_each_chunk(out, STRETCH, |task, out| {
        for (row, &d) in gram.chunks_exact(d.len()).zip(d) {
            if d != 0.0 {
                subtract(d, &row[task * STRETCH..], out);
            }
        }
    });
}
