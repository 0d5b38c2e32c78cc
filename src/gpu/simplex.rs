//! Rows onto the simplex, a row a workgroup: `project::simplex` in pairs of floats.

use super::device::Device;
use super::kernel::{PAIR, ZERO, fits, launch, room};
use crate::engine::reduce;
use crate::engine::{Error, Result};

const SOURCE: &str = include_str!("simplex.wgsl");

/// Longest row: entries are counted in singles.
const LONGEST: usize = 1 << 24;

/// Writes the projection of every row of `x` (rows of `n`) to `out`.
///
/// # Errors
/// [`Error::Value`] for a radius or row length out of range, [`Error::NonFinite`], or what the
/// device says; `out` is then as it was, but for rows that were done when a device was lost.
pub fn simplex(device: &Device, x: &[f32], n: usize, radius: f64, out: &mut [f32]) -> Result<()> {
    let least = f64::from(f32::MIN_POSITIVE);
    if !(radius == 0.0 || (least..=f64::from(f32::MAX)).contains(&radius)) {
        let fix = "1.0 is a usual value";
        return Err(Error::value("radius", "0 or in [1.2e-38, 3.4e38]", radius, fix));
    }
    if n == 0 || n > LONGEST {
        let fix = "use thalweg.project.simplex for other rows";
        return Err(Error::value("x", "rows of 1 to 2**24 entries", n, fix));
    }
    fits(device, "x rows", 4 * n as u64, "use thalweg.project.simplex for rows so long")?;
    if !reduce::max_abs(x).is_finite() {
        let fix = "replace such entries before the call";
        return Err(Error::NonFinite { name: "x".into(), fix: fix.into() });
    }
    if radius == 0.0 {
        out.fill(0.0);
        return Ok(());
    }
    let rows = (room(device) / (4 * n as u64)).max(1) as usize;
    let size = if n <= 256 { 32 } else { 256 };
    let source = format!("const SIZE = {size}u;\n{ZERO}{PAIR}{SOURCE}");
    let high = radius as f32;
    let low = (radius - f64::from(high)) as f32;
    for (x, out) in x.chunks(rows * n).zip(out.chunks_mut(rows * n)) {
        let rows = x.len() / n;
        let words = [rows as u32, n as u32, high.to_bits(), low.to_bits()];
        let params = device.upload(&words)?;
        let [from, to] = [device.upload(x)?, device.buffer(4 * x.len() as u64)?];
        launch(device, &source, &[(0, &params), (1, &from), (2, &to)], rows as u64)?;
        device.read(&to, 0, out)?;
    }
    Ok(())
}
