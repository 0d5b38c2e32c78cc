//! Shaders written by hand: what search and projection run on a device.

use super::buffer::Buffer;
use super::device::Device;
use super::dispatch::{Binding, Call};
use crate::engine::{Error, Result};

/// A number that is zero and that compilers do not know: `main` sets it, from memory, before
/// anything else. Printed formulas and [`PAIR`] read it.
pub const ZERO: &str = "var<private> zero: u32;\n";
/// Sums and products of pairs of floats.
pub const PAIR: &str = include_str!("pair.wgsl");

/// Compiles `source` and runs it over at least so many workgroups; does not wait.
pub fn launch(
    device: &Device,
    source: &str,
    buffers: &[(u32, &Buffer)],
    groups: u64,
) -> Result<()> {
    let grid = device.grid(groups)?;
    launch_grid(device, source, buffers, grid)
}

/// The same over exactly these workgroups.
pub fn launch_grid(
    device: &Device,
    source: &str,
    buffers: &[(u32, &Buffer)],
    grid: [u32; 3],
) -> Result<()> {
    let pipeline = device.pipeline(source)?;
    let bindings = buffers.iter().map(|&(slot, buffer)| Binding::whole(slot, buffer)).collect();
    device.run(&[Call { pipeline: &pipeline, bindings, grid }])
}

/// Bytes that one buffer has at most where work is done in pieces, however large a device allows.
pub fn room(device: &Device) -> u64 {
    device.largest().min(256 << 20)
}

/// Refuses what no buffer of the device holds.
pub fn fits(device: &Device, name: &str, bytes: u64, fix: &str) -> Result<()> {
    if bytes <= device.largest() {
        return Ok(());
    }
    let allowed = format!("at most {} bytes on {:?}", device.largest(), device.adapter.name);
    Err(Error::value(name, allowed, bytes, fix))
}

/// The value of a pair of floats.
pub fn value([high, low]: [f32; 2]) -> f64 {
    f64::from(high) + f64::from(low)
}
