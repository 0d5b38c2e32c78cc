//! How fast a device reads and writes: a shader that copies, which is what others are held against.

use super::buffer::Buffer;
use super::device::Device;
use super::dispatch::{Binding, Call, Pipeline};
use crate::engine::Result;
use std::time::Instant;

const SOURCE: &str = "\
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> copy: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.y * groups.x + group.x) * 1024u + lane;
    for (var k = 0u; k < 16u; k++) {
        let i = first + k * 64u;
        if (i < arrayLength(&copy)) {
            copy[i] = source[i];
        }
    }
}
";

/// Two buffers, and the shader that copies one to the other.
pub struct Copy {
    source: Buffer,
    copy: Buffer,
    pipeline: Pipeline,
    grid: [u32; 3],
}

impl Copy {
    /// For so many bytes, as far as one binding holds them.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) or [`Error::Device`](crate::Error::Device).
    pub fn new(device: &Device, bytes: u64) -> Result<Self> {
        let bytes = bytes.clamp(16, device.largest()) / 16 * 16;
        let (source, copy) = (device.buffer(bytes)?, device.buffer(bytes)?);
        let grid = device.grid(bytes.div_ceil(16 * 1024))?;
        Ok(Self { source, copy, pipeline: device.pipeline(SOURCE)?, grid })
    }

    /// Copies, waits, and returns bytes moved (read and written) per second.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    pub fn run(&self, device: &Device) -> Result<f64> {
        device.finish()?;
        let begin = Instant::now();
        let bindings = vec![Binding::whole(0, &self.source), Binding::whole(1, &self.copy)];
        device.run(&[Call { pipeline: &self.pipeline, bindings, grid: self.grid }])?;
        device.finish()?;
        Ok(2.0 * self.copy.bytes() as f64 / begin.elapsed().as_secs_f64())
    }
}
