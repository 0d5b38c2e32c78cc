//! Monotone vectors: y_1 <= ... <= y_n, nearest in the weighted norm, optionally between bounds.
//!
//! Pool adjacent violators (Ayer et al. 1955; Best and Chakravarti 1990), O(n); bounds by clipping.
//!
//!   pull: w_i sum_B(v) / sum_B(w) inside each block B of equal values, 0 where clipped

use super::{Memory, Params, Set, Spread};
use crate::engine::simd::{self, Below, Kernel, Level};
use crate::engine::{Error, Result, reduce};

/// Direction, weights and bounds.
#[derive(Debug, Clone, Copy)]
pub struct Isotonic<'a> {
    increasing: bool,
    weights: Spread<'a>,
    lo: f64,
    hi: f64,
}

impl<'a> Isotonic<'a> {
    /// From the numbers `increasing` (1 or 0), `lo`, `hi` and the vector `weights`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let weights = params.spread(0, "weights")?.all("weights", "positive", positive)?;
        let (lo, hi) = (params.scalar(1)?, params.scalar(2)?);
        if lo.is_nan() || hi.is_nan() || lo > hi {
            return Err(Error::value("hi", format!("at least lo = {lo}"), hi, "the set is empty"));
        }
        Ok(Self { increasing: params.scalar(0)? != 0.0, weights, lo, hi })
    }
}

/// Entries that take the same value: weighted sum, weight and number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Block {
    sum: f64,
    weight: f64,
    count: f64,
}

impl Block {
    /// Whether the mean of `self` is above that of `next`, without a division.
    #[inline(always)]
    fn violates(self, next: Self) -> bool {
        next.sum * self.weight < self.sum * next.weight
    }

    /// `self` and `next` as one.
    #[inline(always)]
    fn and(self, next: Self) -> Self {
        Self {
            sum: next.sum + self.sum,
            weight: next.weight + self.weight,
            count: next.count + self.count,
        }
    }

    /// `next`, and `self` in it where they violate the order; the number of blocks that makes, less
    /// one. Without a branch: half of them would be mispredicted.
    #[inline(always)]
    fn step(self, next: Self) -> (Self, usize) {
        let pooled = Below::new(next.sum * self.weight, self.sum * next.weight);
        let joined = Self {
            sum: next.sum + pooled.keep(self.sum),
            weight: next.weight + pooled.keep(self.weight),
            count: next.count + pooled.keep(self.count),
        };
        (joined, 1 - pooled.count())
    }
}

/// Blocks: the stack, and those of one chunk after its first and second pass.
#[derive(Debug, Default)]
pub struct Blocks {
    stack: Vec<Block>,
    once: Vec<Block>,
    twice: Vec<Block>,
}

/// Entries that are pooled among themselves first: their blocks stay in the first cache.
const CHUNK: usize = 512;

/// Pools the violators of `x`, weighted where `W`. Most of them meet in two passes without a
/// branch over each chunk; a stack takes the blocks that are left.
struct Pool<'a, const W: bool> {
    set: &'a Isotonic<'a>,
    x: &'a mut [f64],
    blocks: &'a mut Blocks,
}

impl<const W: bool> Kernel for Pool<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { set, x, blocks: Blocks { stack, once, twice } } = self;
        let sign = if set.increasing { 1.0 } else { -1.0 };
        let entries = Entries::<W>::new(set, x, sign);
        once.resize(CHUNK, Block::default());
        twice.resize(CHUNK, Block::default());
        stack.clear();
        // Below everything: it ends the merging without a test for an empty stack.
        let mut top = Block { sum: f64::NEG_INFINITY, weight: 1.0, count: 0.0 };
        for start in (0..x.len()).step_by(CHUNK) {
            let left = entries.pool(start, x.len().min(start + CHUNK), once);
            let left = pool(&once[..left], twice);
            for &block in &twice[..left] {
                if !top.violates(block) {
                    stack.push(top);
                    top = block;
                    continue;
                }
                top = top.and(block);
                while let Some(&below) = stack.last()
                    && below.violates(top)
                {
                    top = below.and(top);
                    stack.pop();
                }
            }
        }
        stack.push(top);
        let scale = entries.scale * sign; // without the sign
        let mut at = 0;
        let mut least = f64::NEG_INFINITY;
        for block in &stack[1..] {
            let end = at + block.count as usize;
            // Entries that agree stay as they are; rounding does not break the order.
            let equal = x[at..end].iter().all(|value| *value == x[at]);
            let value = if equal { sign * x[at] } else { block.sum / block.weight / scale };
            least = if value > least { value } else { least };
            x[at..end].fill((sign * least).clamp(set.lo, set.hi));
            at = end;
        }
    }
}

/// The entries as blocks, scaled so that the products of sums and weights stay finite.
struct Entries<'a, const W: bool> {
    x: &'a [f64],
    weights: Spread<'a>,
    scale: f64,
    factor: f64,
}

impl<'a, const W: bool> Entries<'a, W> {
    #[inline(always)]
    fn new(set: &Isotonic<'a>, x: &'a [f64], sign: f64) -> Self {
        let weight = |i| if W { set.weights.at(i) } else { 1.0 };
        let heaviest = if W { (0..x.len()).map(weight).fold(0.0, f64::max) } else { 1.0 };
        let scale = sign * power(reduce::max_abs(x));
        Self { x, weights: set.weights, scale, factor: power(heaviest) }
    }

    #[inline(always)]
    fn block(&self, i: usize) -> Block {
        let weight = if W { self.factor * self.weights.at(i) } else { 1.0 };
        Block { sum: weight * (self.scale * self.x[i]), weight, count: 1.0 }
    }

    /// Pools each entry with the block before it where that violates the order, from left to right
    /// without looking back, in two halves side by side. Returns the number of blocks.
    #[inline(always)]
    fn pool(&self, start: usize, end: usize, out: &mut [Block]) -> usize {
        let half = (end - start) / 2;
        let middle = start + half;
        if half == 0 {
            out[0] = self.block(start);
            return 1;
        }
        let (first, second) = out.split_at_mut(CHUNK / 2);
        let (mut i, mut j) = (0, 0);
        let (mut a, mut b) = (self.block(start), self.block(middle));
        for k in 1..half {
            (first[i], second[j]) = (a, b);
            let ((next, new), (later, more)) =
                (a.step(self.block(start + k)), b.step(self.block(middle + k)));
            (a, b) = (next, later);
            (i, j) = (i + new, j + more);
        }
        (first[i], second[j]) = (a, b);
        if middle + half < end {
            j += 1;
            second[j] = self.block(end - 1);
        }
        out.copy_within(CHUNK / 2..=CHUNK / 2 + j, i + 1);
        i + j + 2
    }
}

/// Pools each block with the one before it where that violates the order, as above.
#[inline(always)]
fn pool(blocks: &[Block], out: &mut [Block]) -> usize {
    let mut block = blocks[0];
    let mut i = 0;
    for &next in &blocks[1..] {
        out[i] = block;
        let (joined, new) = block.step(next);
        (block, i) = (joined, i + new);
    }
    out[i] = block;
    i + 1
}

/// A power of two that brings `largest` near 1 where its products would leave the range of f64.
fn power(largest: f64) -> f64 {
    if largest == 0.0 || (1e-100..=1e100).contains(&largest) {
        return 1.0;
    }
    2f64.powi(-largest.log2().clamp(-1000.0, 1000.0) as i32)
}

impl Set for Isotonic<'_> {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        if !x.is_empty() {
            // Branches and short chains, nothing for the widest vectors.
            let level = Level::current().min(Level::Avx2);
            let blocks = &mut memory.blocks;
            if self.weights.same().is_some() {
                simd::dispatch_at(level, Pool::<false> { set: self, x, blocks });
            } else {
                simd::dispatch_at(level, Pool::<true> { set: self, x, blocks });
            }
        }
        0.0
    }

    fn pull(&self, x: &[f64], y: &[f64], v: &mut [f64], _: &mut Memory) {
        let n = x.len();
        let mut start = 0;
        while start < n {
            let value = y[start];
            let mut end = start + 1;
            while end < n && y[end] == value {
                end += 1;
            }
            if value <= self.lo || value >= self.hi {
                v[start..end].fill(0.0);
            } else {
                let total: f64 = v[start..end].iter().sum();
                let weight: f64 = (start..end).map(|i| self.weights.at(i)).sum();
                for (i, v) in (start..end).zip(&mut v[start..end]) {
                    *v = self.weights.at(i) * (total / weight);
                }
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::Philox;

    /// One entry after the other, by means.
    fn pooled(x: &[f64], weight: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        for (i, &x) in x.iter().enumerate() {
            let mut block = (x, weight(i), 1);
            while let Some(&(mean, w, count)) = blocks.last()
                && mean > block.0
            {
                let total = w + block.1;
                block = (block.0 + (mean - block.0) * (w / total), total, block.2 + count);
                blocks.pop();
            }
            blocks.push(block);
        }
        blocks.iter().flat_map(|&(mean, _, count)| std::iter::repeat_n(mean, count)).collect()
    }

    fn fit(x: &[f64], weights: &[f64], increasing: f64) -> Vec<f64> {
        let scalars = [increasing, f64::NEG_INFINITY, f64::INFINITY];
        let params = Params { n: x.len(), scalars: &scalars, vectors: &[weights] };
        let mut y = x.to_vec();
        Isotonic::new(&params).unwrap().project(&mut y, &mut Memory::default());
        y
    }

    #[test]
    fn agrees_with_pooling_one_entry_at_a_time() {
        let rng = Philox::new(5);
        for n in [1, 2, 3, 4, 511, 512, 513, 514, 1025, 3000] {
            for slope in [-1.0, 0.0, 0.01, 10.0] {
                for size in [1.0, 1e-310, 1e-200, 1e300] {
                    let noise = |i: usize| rng.normal(i as u64, n as u64)[0];
                    let x: Vec<f64> =
                        (0..n).map(|i| size * 1e-3 * (noise(i) + slope * i as f64)).collect();
                    let weights: Vec<f64> = (0..n).map(|i| 0.1 + noise(i + n).abs()).collect();
                    for heavy in [1.0, 1e-300, 1e300] {
                        let w: Vec<f64> = weights.iter().map(|w| heavy * w).collect();
                        let want = pooled(&x, |i| weights[i]);
                        let got = fit(&x, &w, 1.0);
                        // Denormal numbers are steps of 5e-324.
                        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * size + 2e-323;
                        assert!(got.iter().zip(&want).all(|(a, b)| close(*a, *b)), "{n} {slope}");
                        assert!(got.is_sorted(), "{n} {slope} {size} {heavy}");
                        assert!(fit(&got, &w, 1.0) == got, "{n} {slope} {size} {heavy}");
                    }
                    let want = pooled(&x, |_| 1.0);
                    let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * size + 2e-323;
                    let got = fit(&x, &[3.0], 1.0);
                    assert!(got.iter().zip(&want).all(|(a, b)| close(*a, *b)), "{got:?} {want:?}");
                    let down: Vec<f64> = x.iter().map(|x| -x).collect();
                    let got = fit(&down, &[1.0], 0.0);
                    assert!(got.iter().zip(&want).all(|(a, b)| close(-a, *b)), "{got:?} {want:?}");
                }
            }
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let rng = Philox::new(6);
        let x: Vec<f64> = (0..2000).map(|i| rng.normal(i, 0)[0] + 1e-3 * i as f64).collect();
        let scalars = [1.0, f64::NEG_INFINITY, f64::INFINITY];
        let params = Params { n: x.len(), scalars: &scalars, vectors: &[&[1.0]] };
        let set = Isotonic::new(&params).unwrap();
        let at = |level| {
            let (mut y, mut blocks) = (x.clone(), Blocks::default());
            simd::dispatch_at(level, Pool::<false> { set: &set, x: &mut y, blocks: &mut blocks });
            y
        };
        assert!(Level::available().iter().all(|&level| at(level) == at(Level::Baseline)));
    }
}
