//! C = A B + c in single precision, for a small A and a B of many columns.
//!
//!   A (rows, inner) row-major   B (inner, blocks) of sixteen columns each   C (rows, blocks)
//!
//! Every element is one sum in the order of `inner`, so the result does not depend on threads.

use crate::engine::lanes::{LANES, Lanes};
use crate::engine::simd::{self, Kernel};
use crate::engine::threads;

/// Rows that one task computes: B is read from memory once per task.
const ROWS: usize = 16;
/// Rows and blocks of the register tile.
const TILE_ROWS: usize = 4;
const TILE_BLOCKS: usize = 2;

/// Fills `c` with `a b`, each row of C starting from `start[row]` (0 when `start` is empty).
pub fn gemm(a: &[f32], inner: usize, start: &[f32], b: &[Lanes], c: &mut [Lanes], blocks: usize) {
    if blocks == 0 || c.is_empty() {
        return;
    }
    threads::for_each_chunk(c, ROWS * blocks, |task, c| {
        let first = task * ROWS;
        let rows = c.len() / blocks;
        let a = &a[first * inner..(first + rows) * inner];
        let start = if start.is_empty() { start } else { &start[first..first + rows] };
        simd::dispatch(Rows { a, inner, start, b, c, blocks });
    });
}

struct Rows<'a> {
    a: &'a [f32],
    inner: usize,
    start: &'a [f32],
    b: &'a [Lanes],
    c: &'a mut [Lanes],
    blocks: usize,
}

impl Kernel for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let rows = self.c.len() / self.blocks;
        let mut x = 0;
        while x < self.blocks {
            let width = TILE_BLOCKS.min(self.blocks - x);
            let mut row = 0;
            while row < rows {
                let height = TILE_ROWS.min(rows - row);
                let at = |r: usize| &self.a[r * self.inner..(r + 1) * self.inner];
                let start = |r: usize| self.start.get(r).copied().unwrap_or(0.0);
                if width == TILE_BLOCKS && height == TILE_ROWS {
                    let a = [at(row), at(row + 1), at(row + 2), at(row + 3)];
                    let first = [start(row), start(row + 1), start(row + 2), start(row + 3)];
                    let b = &self.b[x.min(self.b.len())..];
                    let sums = tile(a, first, b, self.blocks);
                    for (r, sums) in sums.iter().enumerate() {
                        self.c[(row + r) * self.blocks + x..][..2].copy_from_slice(sums);
                    }
                } else {
                    for r in row..row + height {
                        for x in x..x + width {
                            let b = &self.b[x.min(self.b.len())..];
                            self.c[r * self.blocks + x] = one(at(r), start(r), b, self.blocks);
                        }
                    }
                }
                row += height;
            }
            x += width;
        }
    }
}

/// Four rows by two blocks, each accumulator a variable of its own: an array of them is not kept
/// in registers.
#[inline(always)]
fn tile(a: [&[f32]; 4], start: [f32; 4], b: &[Lanes], blocks: usize) -> [[Lanes; 2]; 4] {
    let [mut s00, mut s01] = [[start[0]; LANES]; 2];
    let [mut s10, mut s11] = [[start[1]; LANES]; 2];
    let [mut s20, mut s21] = [[start[2]; LANES]; 2];
    let [mut s30, mut s31] = [[start[3]; LANES]; 2];
    let rows = a[0].iter().zip(a[1]).zip(a[2]).zip(a[3]);
    for ((((a0, a1), a2), a3), b) in rows.zip(b.chunks(blocks)) {
        let (x, y) = (&b[0], &b[1]);
        s00 = add(s00, *a0, x);
        s01 = add(s01, *a0, y);
        s10 = add(s10, *a1, x);
        s11 = add(s11, *a1, y);
        s20 = add(s20, *a2, x);
        s21 = add(s21, *a2, y);
        s30 = add(s30, *a3, x);
        s31 = add(s31, *a3, y);
    }
    [[s00, s01], [s10, s11], [s20, s21], [s30, s31]]
}

#[inline(always)]
fn one(a: &[f32], start: f32, b: &[Lanes], blocks: usize) -> Lanes {
    let mut sum = [start; LANES];
    for (a, b) in a.iter().zip(b.chunks(blocks)) {
        sum = add(sum, *a, &b[0]);
    }
    sum
}

/// sum + factor b.
#[inline(always)]
fn add(sum: Lanes, factor: f32, b: &Lanes) -> Lanes {
    let mut out = [0.0; LANES];
    for l in 0..LANES {
        out[l] = sum[l] + factor * b[l];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition_for_every_remainder() {
        for (rows, inner, blocks) in [(1, 1, 1), (4, 3, 2), (5, 7, 3), (33, 20, 5), (16, 0, 2)] {
            let a: Vec<f32> = (0..rows * inner).map(|i| (i % 13) as f32 - 6.0).collect();
            let b: Vec<Lanes> = (0..inner * blocks)
                .map(|i| std::array::from_fn(|l| ((i * 16 + l) % 11) as f32 - 5.0))
                .collect();
            let start: Vec<f32> = (0..rows).map(|r| r as f32).collect();
            let mut c = vec![[0.0; LANES]; rows * blocks];
            gemm(&a, inner, &start, &b, &mut c, blocks);
            for r in 0..rows {
                for x in 0..blocks * LANES {
                    let at = |i: usize| a[r * inner + i] * b[i * blocks + x / LANES][x % LANES];
                    let want = start[r] + (0..inner).map(at).sum::<f32>();
                    assert_eq!(c[r * blocks + x / LANES][x % LANES], want);
                }
            }
        }
    }
}
