//! Inner products of the rows of a matrix of few rows: J J' in pairs of floats.
//!
//!   G = sum over spans of columns of (J_span J_span'), each span a workgroup a tile
//!
//! Rows are scaled by powers of two on the way in, so that no product overflows. Spans are added
//! in f64 on the host, in order: the bits depend on the shape and the adapter's limits alone.

use super::device::Device;
use super::kernel::{PAIR, ZERO, fits, launch_grid, room, value};
use crate::engine::{Error, Result, reduce};

const SOURCE: &str = include_str!("gramian.wgsl");

/// Workgroups that are enough to fill a device.
const GROUPS: usize = 512;
/// Columns of a span, at least.
const SPAN: usize = 1024;

/// The Gramian (m, m) of `blocks`, each (m, columns) row-major, side by side.
///
/// # Errors
/// [`Error::Value`] if it is too large for the device, [`Error::NonFinite`], or what the device
/// says.
pub fn gramian(device: &Device, m: usize, blocks: &[&[f32]]) -> Result<Vec<f64>> {
    let mut total = vec![0.0; m * m];
    if m == 0 {
        return Ok(total);
    }
    let side = [4, 8, 16, 32].into_iter().find(|&side| m <= side).unwrap_or(32);
    let tiles = (m.div_ceil(side) * (m.div_ceil(side) + 1)) / 2;
    let tile = side * side;
    let fix = "use thalweg.aggregate.gramian for so many rows";
    fits(device, "the gramian", 8 * (tiles * tile) as u64, fix)?;
    if tiles > device.limits.max_compute_workgroups_per_dimension as usize {
        return Err(Error::value("jacobian", "fewer rows", m, fix));
    }
    fits(device, "a column of the jacobian", 4 * m as u64, fix)?;
    let exponents = exponents(m, blocks)?;
    let powers: Vec<f32> =
        exponents.iter().map(|&e| f32::from_bits(((127 - e) as u32) << 23)).collect();
    let source = format!("const SIDE = {side}u;\n{ZERO}{PAIR}{SOURCE}");
    let scales = device.upload(&powers)?;
    let most = (room(device) as usize / (4 * m)).max(1);
    let widest = blocks.iter().map(|block| block.len() / m).max().unwrap_or(0).min(most);
    let fitting = device.largest() as usize / (8 * tiles * tile);
    let spans = |columns: usize| (columns / SPAN).min(GROUPS / tiles).min(fitting).max(1);
    let matrix = device.buffer(4 * (m * widest) as u64)?;
    let sums = device.buffer(8 * (spans(widest) * tiles * tile) as u64)?;
    for block in blocks {
        let width = block.len() / m;
        for first in (0..width).step_by(most) {
            let columns = (width - first).min(most);
            if columns == width {
                device.write(&matrix, 0, block)?;
            } else {
                for (row, values) in block.chunks_exact(width).enumerate() {
                    let offset = 4 * (row * columns) as u64;
                    device.write(&matrix, offset, &values[first..first + columns])?;
                }
            }
            let span = columns.div_ceil(spans(columns)).next_multiple_of(512 / side);
            let count = columns.div_ceil(span);
            let params = device.upload(&[m, columns, span, tiles].map(|x| x as u32))?;
            let buffers = [(0, &params), (1, &matrix), (2, &scales), (3, &sums)];
            launch_grid(device, &source, &buffers, [tiles as u32, count as u32, 1])?;
            let mut parts = vec![[0.0f32; 2]; count * tiles * tile];
            device.read(&sums, 0, &mut parts)?;
            for span in parts.chunks_exact(tiles * tile) {
                add(&mut total, m, side, span);
            }
        }
    }
    for i in 0..m {
        for j in 0..=i {
            // In two steps: one power of two may be out of range.
            let [a, b] = [exponents[i], exponents[j]].map(|e| 2.0f64.powi(e));
            total[i * m + j] = total[i * m + j] * a * b;
            total[j * m + i] = total[i * m + j];
        }
    }
    Ok(total)
}

/// Adds tiles of the lower triangle.
fn add(total: &mut [f64], m: usize, side: usize, tiles: &[[f32; 2]]) {
    let mut tiles = tiles.chunks_exact(side * side);
    for i in (0..m).step_by(side) {
        for j in (0..=i).step_by(side) {
            let Some(tile) = tiles.next() else { return };
            for (a, row) in tile.chunks_exact(side).enumerate().take(m - i) {
                for (b, &sum) in row.iter().enumerate().take(m - j) {
                    total[(i + a) * m + j + b] += value(sum);
                }
            }
        }
    }
}

/// Exponents e with |x| < 2^e in each row, as far as a single holds 2^-e.
fn exponents(m: usize, blocks: &[&[f32]]) -> Result<Vec<i32>> {
    let mut tops = vec![0.0f64; m];
    for block in blocks {
        let width = block.len() / m;
        for (top, row) in tops.iter_mut().zip(block.chunks_exact(width.max(1))) {
            let found = reduce::max_abs(row);
            if !found.is_finite() {
                let fix = "drop such losses before the call";
                return Err(Error::NonFinite { name: "jacobian".into(), fix: fix.into() });
            }
            *top = top.max(found);
        }
    }
    let exponent = |&top: &f64| if top > 0.0 { top.log2().floor() as i32 + 1 } else { 0 };
    Ok(tops.iter().map(|top| exponent(top).clamp(-126, 126)).collect())
}
