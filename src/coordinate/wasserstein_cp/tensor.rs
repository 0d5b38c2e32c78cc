//! Rank-one tensors and their contractions.
//!
//!   D_r[i_1, ..., i_n] = prod_k U^(k)_r[i_k]
//!
//! Factors are stored a component a row: U^(k) is R x I_k, D is R x M, all row by row.

/// Writes D.
pub fn compose(factors: &[Vec<f64>], sizes: &[usize], dictionary: &mut [f64]) {
    let entries: usize = sizes.iter().product();
    for (r, out) in dictionary.chunks_exact_mut(entries).enumerate() {
        out[0] = 1.0;
        let mut length = 1;
        for (factor, &size) in factors.iter().zip(sizes) {
            let row = &factor[r * size..(r + 1) * size];
            // From the end, so that what is still to be read is not overwritten.
            for at in (0..length).rev() {
                let value = out[at];
                for (j, u) in row.iter().enumerate() {
                    out[at * size + j] = value * u;
                }
            }
            length *= size;
        }
    }
}

/// Contracts each of the R tensors in `w` with the factors of its component on all axes but `mode`;
/// writes R x I_mode. Destroys `w`.
pub fn contract(
    w: &mut [f64],
    factors: &[Vec<f64>],
    sizes: &[usize],
    mode: usize,
    out: &mut [f64],
) {
    let entries: usize = sizes.iter().product();
    let before = sizes[..mode].iter().product::<usize>();
    for (r, (w, out)) in
        w.chunks_exact_mut(entries).zip(out.chunks_exact_mut(sizes[mode])).enumerate()
    {
        let mut length = entries;
        for k in (mode + 1..sizes.len()).rev() {
            let row = &factors[k][r * sizes[k]..(r + 1) * sizes[k]];
            length /= sizes[k];
            for at in 0..length {
                let fibre = &w[at * sizes[k]..(at + 1) * sizes[k]];
                w[at] = fibre.iter().zip(row).map(|(w, u)| w * u).sum();
            }
        }
        let mut weights = vec![1.0; before.max(1)];
        compose_row(&factors[..mode], &sizes[..mode], r, &mut weights);
        out.fill(0.0);
        for (weight, slab) in weights.iter().zip(w[..length].chunks_exact(sizes[mode])) {
            out.iter_mut().zip(slab).for_each(|(out, w)| *out += weight * w);
        }
    }
}

fn compose_row(factors: &[Vec<f64>], sizes: &[usize], r: usize, out: &mut [f64]) {
    let row: Vec<Vec<f64>> =
        factors.iter().zip(sizes).map(|(u, &n)| u[r * n..(r + 1) * n].to_vec()).collect();
    compose(&row, sizes, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composing_and_contracting_are_adjoint() {
        let sizes = [2, 3, 2];
        let factors: Vec<Vec<f64>> = sizes
            .iter()
            .enumerate()
            .map(|(k, n)| (0..2 * n).map(|at| (at as f64 + k as f64).sin()).collect())
            .collect();
        let mut dictionary = vec![0.0; 24];
        compose(&factors, &sizes, &mut dictionary);
        // D_1[1, 2, 0]
        let entry = factors[0][2 + 1] * factors[1][3 + 2] * factors[2][2];
        assert!((dictionary[12 + 6 + 4] - entry).abs() < 1e-15);
        let w: Vec<f64> = (0..24).map(|at| (1.7 * at as f64).cos()).collect();
        for mode in 0..3 {
            let mut out = vec![0.0; 2 * sizes[mode]];
            contract(&mut w.clone(), &factors, &sizes, mode, &mut out);
            for r in 0..2 {
                let range = r * 12..(r + 1) * 12;
                let whole: f64 = range.map(|at| w[at] * dictionary[at]).sum();
                let n = sizes[mode];
                let part: f64 = (r * n..(r + 1) * n).map(|at| out[at] * factors[mode][at]).sum();
                assert!((whole - part).abs() < 1e-14);
            }
        }
    }
}
