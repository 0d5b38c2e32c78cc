//! Shaders: compiled once for a text, run over a grid.

use super::buffer::Buffer;
use super::device::{Device, lock};
use crate::engine::{Error, Result};
use std::sync::Arc;

/// A compiled shader, whose entry is `main`.
pub type Pipeline = Arc<wgpu::ComputePipeline>;

/// A buffer, or bytes of it, as `@group(0) @binding(slot)`.
#[derive(Clone, Copy)]
pub struct Binding<'a> {
    /// Number of the binding.
    pub slot: u32,
    /// What is bound.
    pub buffer: &'a Buffer,
    /// First byte and length; the offset a multiple of `min_storage_buffer_offset_alignment`.
    pub range: Option<[u64; 2]>,
}

impl<'a> Binding<'a> {
    /// A whole buffer.
    pub fn whole(slot: u32, buffer: &'a Buffer) -> Self {
        Self { slot, buffer, range: None }
    }

    /// Some bytes of a buffer.
    pub fn part(slot: u32, buffer: &'a Buffer, offset: u64, bytes: u64) -> Self {
        Self { slot, buffer, range: Some([offset, bytes]) }
    }
}

/// One shader over one grid.
#[derive(Clone)]
pub struct Call<'a> {
    /// What runs.
    pub pipeline: &'a Pipeline,
    /// Exactly the buffers that the shader uses.
    pub bindings: Vec<Binding<'a>>,
    /// Workgroups, see [`Device::grid`].
    pub grid: [u32; 3],
}

impl Device {
    /// The compiled shader of a text; compiled when it is seen first.
    ///
    /// # Errors
    /// [`Error::Device`] if the text is not valid.
    pub fn pipeline(&self, source: &str) -> Result<Pipeline> {
        if let Some(known) = lock(&self.pipelines).get(source) {
            self.check()?;
            return Ok(known.clone());
        }
        let pipeline = self.guard("a shader", |device| {
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: None,
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: None,
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        })?;
        let pipeline = Arc::new(pipeline);
        lock(&self.pipelines).insert(source.to_owned(), pipeline.clone());
        Ok(pipeline)
    }

    /// A grid of at least that many workgroups, within the limit of each dimension. Workgroup
    /// `id.y * count.x + id.x`; those beyond the number have nothing to do, which the shader checks.
    ///
    /// # Errors
    /// [`Error::Value`] if there are more than two dimensions hold.
    pub fn grid(&self, groups: u64) -> Result<[u32; 3]> {
        let most = u64::from(self.limits.max_compute_workgroups_per_dimension);
        let wide = groups.clamp(1, most);
        let high = groups.div_ceil(wide).max(1);
        if high > most {
            let allowed = format!("at most {} in one dispatch", most * most);
            return Err(Error::value("workgroups", allowed, groups, "use smaller tensors"));
        }
        Ok([wide as u32, high as u32, 1])
    }

    /// Submits the calls, one after the other; does not wait.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::Memory`].
    pub fn run(&self, calls: &[Call<'_>]) -> Result<()> {
        self.guard("a dispatch", |device| {
            let mut encoder = device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                for call in calls {
                    let entries: Vec<_> = call.bindings.iter().map(entry).collect();
                    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                        label: None,
                        layout: &call.pipeline.get_bind_group_layout(0),
                        entries: &entries,
                    });
                    pass.set_pipeline(call.pipeline);
                    pass.set_bind_group(0, &group, &[]);
                    let [x, y, z] = call.grid;
                    pass.dispatch_workgroups(x, y, z);
                }
            }
            self.queue.submit([encoder.finish()]);
            // Takes back what earlier submissions used.
            let _ = device.poll(wgpu::PollType::Poll);
        })
    }
}

fn entry<'a>(binding: &Binding<'a>) -> wgpu::BindGroupEntry<'a> {
    let [offset, bytes] = binding.range.unwrap_or([0, binding.buffer.bytes()]);
    let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
        buffer: &binding.buffer.raw,
        offset,
        size: std::num::NonZeroU64::new(bytes),
    });
    wgpu::BindGroupEntry { binding: binding.slot, resource }
}
