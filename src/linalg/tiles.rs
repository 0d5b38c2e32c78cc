//! Tiles of inner products, the inner loops of the Gramian: blocks of rows of vectors in,
//! sums of lanes out, which stay in registers while a tile walks a block.

use crate::engine::real::Float;
use crate::engine::simd;
use std::ops::Range;

/// Where row `i` of a packed lower triangle starts.
#[inline(always)]
pub(super) fn packed(i: usize) -> usize {
    i * (i + 1) / 2
}

/// The lanes of a sum, in whole cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Sum<const N: usize>(pub(super) [f64; N]);

/// Where the sums of a tile come from, and where they go to when it has walked a block.
pub(super) trait Keep<const N: usize> {
    fn begin(&self, at: usize) -> [f64; N];
    fn end(&mut self, at: usize, sum: [f64; N]);
    /// The sums of the rows in `range`, places of the packed triangle, are complete for this block.
    fn close(&mut self, range: Range<usize>);
}

/// Lanes go on from block to block: for a few rows, whose blocks are short.
impl<const N: usize> Keep<N> for Vec<Sum<N>> {
    #[inline(always)]
    fn begin(&self, at: usize) -> [f64; N] {
        self[at].0
    }
    #[inline(always)]
    fn end(&mut self, at: usize, sum: [f64; N]) {
        self[at].0 = sum;
    }
    #[inline(always)]
    fn close(&mut self, _: Range<usize>) {}
}

/// Lanes are added up after each block, some rows at a time, so that they stay in the first cache.
pub(super) struct Folded<const N: usize> {
    pub(super) sums: Vec<f64>,
    open: Vec<Sum<N>>,
    first: usize,
}

impl<const N: usize> Folded<N> {
    /// No sums yet, of `m` rows, of which `together` are added up at a time.
    pub(super) fn new(m: usize, together: usize) -> Self {
        let open = vec![Sum([0.0; N]); m * together];
        Self { sums: vec![0.0; packed(m)], open, first: 0 }
    }
}

impl<const N: usize> Keep<N> for Folded<N> {
    #[inline(always)]
    fn begin(&self, _: usize) -> [f64; N] {
        [0.0; N]
    }
    #[inline(always)]
    fn end(&mut self, at: usize, sum: [f64; N]) {
        self.open[at - self.first].0 = sum;
    }
    #[inline(always)]
    fn close(&mut self, range: Range<usize>) {
        self.first = range.end % self.sums.len();
        for (sum, open) in self.sums[range].iter_mut().zip(&self.open) {
            *sum += simd::fold(&open.0);
        }
    }
}

// What runs for every vector is written as loops over fixed ranges: the closures of `map` and
// `from_fn` are not inlined for certain, and left outside they are compiled for the baseline; and
// sums stay in registers only where every loop over them is unrolled, which `0..=a` may prevent.

/// Adds the products of all pairs of rows to `sums`, a packed lower triangle; asks for the vectors
/// that come `ahead` of them.
#[inline(always)]
pub(super) fn add_block<
    F: Float,
    K: Keep<N>,
    const T: usize,
    const W: usize,
    const N: usize,
    const FUSED: bool,
>(
    sums: &mut K,
    rows: &[&[[F; N]]],
    ahead: usize,
) {
    for i in (0..rows.len()).step_by(T) {
        // The last tiles may have fewer rows.
        match rows.len() - i {
            1 => add_tiles::<F, K, 1, T, T, N, FUSED>(sums, i, rows, ahead),
            2 if T > 2 => add_tiles::<F, K, 2, T, T, N, FUSED>(sums, i, rows, ahead),
            3 if T > 2 => add_tiles::<F, K, 3, T, T, N, FUSED>(sums, i, rows, ahead),
            _ => add_tiles::<F, K, T, T, W, N, FUSED>(sums, i, rows, ahead),
        }
    }
}

/// Adds the products of the `R` rows from `i` on, a multiple of `T`, with the rows before them and
/// with one another.
#[inline(always)]
fn add_tiles<
    F: Float,
    K: Keep<N>,
    const R: usize,
    const T: usize,
    const W: usize,
    const N: usize,
    const FUSED: bool,
>(
    sums: &mut K,
    i: usize,
    rows: &[&[[F; N]]],
    ahead: usize,
) {
    let left = cut::<_, R>(rows, i);
    let mut j = 0;
    while j + W <= i {
        tile::<F, K, R, W, N, FUSED>(sums, [i, j], left, cut(rows, j));
        j += W;
    }
    if W > T && j + T <= i {
        tile::<F, K, R, T, N, FUSED>(sums, [i, j], left, cut(rows, j));
        j += T;
    }
    if W > T && j < i {
        tile::<F, K, R, 2, N, FUSED>(sums, [i, j], left, cut(rows, j));
    }
    triangle::<F, K, R, N, FUSED>(sums, i, left, ahead);
    sums.close(packed(i)..packed(i + R));
}

/// `R` rows from `i` on, of lengths that the compiler sees to be equal: no bound is checked later.
#[inline(always)]
fn cut<'a, V, const R: usize>(rows: &[&'a [V]], i: usize) -> [&'a [V]; R] {
    let vectors = rows[0].len();
    let mut out: [&[V]; R] = [&[]; R];
    for a in 0..R {
        out[a] = &rows[i + a][..vectors];
    }
    out
}

/// Adds the products of the `R` rows from `i` on with the `W` rows from `j` on.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // they walk several arrays at once
fn tile<F: Float, K: Keep<N>, const R: usize, const W: usize, const N: usize, const FUSED: bool>(
    kept: &mut K,
    [i, j]: [usize; 2],
    left: [&[[F; N]]; R],
    right: [&[[F; N]]; W],
) {
    let mut sums = [[[0.0; N]; W]; R];
    for a in 0..R {
        for b in 0..W {
            sums[a][b] = kept.begin(packed(i + a) + j + b);
        }
    }
    for v in 0..left[0].len() {
        let mut x = [[0.0; N]; R];
        for a in 0..R {
            x[a] = widen(&left[a][v]);
        }
        for b in 0..W {
            let y = widen(&right[b][v]);
            for a in 0..R {
                sums[a][b] = add_product::<N, FUSED>(x[a], y, sums[a][b]);
            }
        }
    }
    for a in 0..R {
        for b in 0..W {
            kept.end(packed(i + a) + j + b, sums[a][b]);
        }
    }
}

/// Adds the products of the `R` rows from `i` on with one another. The last work on these rows in a
/// block, it asks for what comes next: the processor's own prefetcher loses the rows now and then.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // they walk several arrays at once
fn triangle<F: Float, K: Keep<N>, const R: usize, const N: usize, const FUSED: bool>(
    kept: &mut K,
    i: usize,
    rows: [&[[F; N]]; R],
    ahead: usize,
) {
    let mut sums = [[[0.0; N]; R]; R];
    for a in 0..R {
        for b in 0..R {
            if b <= a {
                sums[a][b] = kept.begin(packed(i + a) + i + b);
            }
        }
    }
    for v in 0..rows[0].len() {
        let mut x = [[0.0; N]; R];
        for a in 0..R {
            if v % (64 / size_of::<[F; N]>().min(64)) == 0 {
                simd::prefetch(rows[a].as_ptr().wrapping_add(v + ahead).cast());
            }
            x[a] = widen(&rows[a][v]);
        }
        for a in 0..R {
            for b in 0..R {
                if b <= a {
                    sums[a][b] = add_product::<N, FUSED>(x[a], x[b], sums[a][b]);
                }
            }
        }
    }
    for a in 0..R {
        for b in 0..R {
            if b <= a {
                kept.end(packed(i + a) + i + b, sums[a][b]);
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop)] // lane by lane
fn widen<F: Float, const N: usize>(x: &[F; N]) -> [f64; N] {
    let mut out = [0.0; N];
    for lane in 0..N {
        out[lane] = x[lane].to_f64();
    }
    out
}

/// sum + x y, lane by lane.
#[inline(always)]
fn add_product<const N: usize, const FUSED: bool>(
    x: [f64; N],
    y: [f64; N],
    mut sum: [f64; N],
) -> [f64; N] {
    for lane in 0..N {
        sum[lane] =
            if FUSED { x[lane].mul_add(y[lane], sum[lane]) } else { sum[lane] + x[lane] * y[lane] };
    }
    sum
}
