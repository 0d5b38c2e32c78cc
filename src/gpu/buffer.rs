//! Memory of a device.

use super::device::Device;
use crate::engine::{Error, Result};
use bytemuck::Pod;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that travel at once; staging memory is of this size.
const PIECE: u64 = 32 << 20;

/// Memory of a device, for shaders to read and write; zeros at first.
pub struct Buffer {
    pub(super) raw: wgpu::Buffer,
    bytes: u64,
    total: Arc<AtomicU64>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Buffer {
    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Device {
    /// New memory, a multiple of 16 bytes and never empty, so that it can be bound.
    ///
    /// # Errors
    /// [`Error::Value`] if the adapter allows no buffer of this size, [`Error::Memory`] if there is
    /// not enough.
    pub fn buffer(&self, bytes: u64) -> Result<Buffer> {
        let bytes = bytes.max(16).next_multiple_of(16);
        if bytes > self.largest() {
            let allowed = format!("at most {} bytes on {:?}", self.largest(), self.adapter.name);
            return Err(Error::value("a buffer", allowed, bytes, "use smaller tensors"));
        }
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        let raw = self.create(bytes, usage)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Buffer { raw, bytes, total: self.bytes.clone() })
    }

    fn create(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let descriptor =
            wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
        self.guard(&format!("a buffer of {bytes} bytes"), |device| {
            device.create_buffer(&descriptor)
        })
    }

    /// A new buffer with these contents.
    ///
    /// # Errors
    /// As [`Device::buffer`].
    pub fn upload<T: Pod>(&self, values: &[T]) -> Result<Buffer> {
        let buffer = self.buffer(size_of_val(values) as u64)?;
        self.write(&buffer, 0, values)?;
        Ok(buffer)
    }

    /// Writes `values` from byte `offset` on, a multiple of 4; a word that they fill in part is
    /// completed with zeros.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::Memory`].
    pub fn write<T: Pod>(&self, buffer: &Buffer, offset: u64, values: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let (bytes, rest) = bytes.split_at(bytes.len() / 4 * 4);
        let mut at = offset;
        for piece in bytes.chunks(PIECE as usize) {
            self.guard("an upload", |_| self.queue.write_buffer(&buffer.raw, at, piece))?;
            at += piece.len() as u64;
            if bytes.len() as u64 > PIECE {
                // Staging memory is free again once it was used.
                self.guard("an upload", |_| self.queue.submit([]))?;
                self.finish()?;
            }
        }
        if !rest.is_empty() {
            let mut word = [0; 4];
            word[..rest.len()].copy_from_slice(rest);
            self.guard("an upload", |_| self.queue.write_buffer(&buffer.raw, at, &word))?;
        }
        Ok(())
    }

    /// Reads from byte `offset` on; waits for what was submitted before.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::Memory`]; `out` may then hold a part.
    pub fn read<T: Pod>(&self, buffer: &Buffer, offset: u64, out: &mut [T]) -> Result<()> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(out);
        let most = PIECE.min(self.largest());
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let size = most.min((bytes.len() as u64).next_multiple_of(16)).max(16);
        let staging = self.create(size, usage)?;
        let mut at = offset;
        for piece in bytes.chunks_mut(most as usize) {
            self.fetch(&staging, buffer, at, piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn fetch(
        &self,
        staging: &wgpu::Buffer,
        buffer: &Buffer,
        at: u64,
        piece: &mut [u8],
    ) -> Result<()> {
        let bytes = (piece.len() as u64).next_multiple_of(4);
        let failed = |error: &dyn std::fmt::Display| Error::Device {
            what: format!("a download from {:?} failed: {error}", self.adapter.name),
            fix: "make a new object from the last download(), or from a checkpoint".into(),
        };
        self.guard("a download", |device| {
            let mut encoder = device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&buffer.raw, at, staging, 0, bytes);
            self.queue.submit([encoder.finish()]);
            staging.slice(..bytes).map_async(wgpu::MapMode::Read, |_| {});
        })?;
        self.finish()?;
        // A range that could not be mapped says so here.
        let mapped = staging.slice(..bytes).get_mapped_range().map_err(|error| failed(&error))?;
        piece.copy_from_slice(&mapped[..piece.len()]);
        drop(mapped);
        staging.unmap();
        Ok(())
    }
}
