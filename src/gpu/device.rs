//! An opened adapter: one in a process, shared by all threads.
//!
//! What goes wrong on a device is caught where it happens and becomes an [`Error`]; a device that
//! is lost stays lost, and the next [`Device::open`] starts another.

use super::adapter::{Adapter, choose, wait};
use crate::engine::{Error, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A device, its queue, and the shaders compiled for it.
pub struct Device {
    /// The adapter it belongs to.
    pub adapter: Adapter,
    /// What it promised.
    pub limits: wgpu::Limits,
    pub(super) raw: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: Mutex<HashMap<String, Arc<wgpu::ComputePipeline>>>,
    pub(super) bytes: Arc<AtomicU64>,
    lost: Arc<AtomicBool>,
    process: u32,
}

/// Adapter, and the largest binding if a caller lowered it.
type Key = (usize, Option<u64>);

static OPEN: Mutex<Option<HashMap<Key, Arc<Device>>>> = Mutex::new(None);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic interrupted is a cache: whole entries or none.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// The device of an adapter, opened on first use.
    ///
    /// `largest` lowers the size of bindings and buffers, in bytes.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no adapter or it cannot be opened, [`Error::Value`] for a
    /// choice that names none.
    pub fn open(choice: Option<&str>, largest: Option<u64>) -> Result<Arc<Self>> {
        let adapter = choose(choice)?;
        let key = (adapter.index, largest);
        let mut open = lock(&OPEN);
        let open = open.get_or_insert_default();
        if let Some(device) = open.get(&key)
            && device.check().is_ok()
        {
            return Ok(device.clone());
        }
        let device = Arc::new(Self::start(adapter, largest)?);
        open.insert(key, device.clone());
        Ok(device)
    }

    /// Ends every device of the process. What lies on them is lost.
    pub fn release() {
        let open = lock(&OPEN).take().unwrap_or_default();
        for device in open.into_values() {
            device.lost.store(true, Ordering::Release);
            if device.process == std::process::id() {
                device.raw.destroy();
            }
        }
    }

    fn start(adapter: Adapter, largest: Option<u64>) -> Result<Self> {
        let mut limits = adapter.limits.clone();
        if let Some(bytes) = largest {
            let most = limits.max_storage_buffer_binding_size;
            if bytes < 4096 || bytes > most || bytes % 1024 != 0 {
                let allowed = format!("a multiple of 1024 in [4096, {most}]");
                return Err(Error::value("max_binding", allowed, bytes, "None is the most"));
            }
            limits.max_storage_buffer_binding_size = bytes;
            limits.max_buffer_size = bytes;
            limits.max_uniform_buffer_binding_size =
                limits.max_uniform_buffer_binding_size.min(bytes);
        }
        let request = adapter.raw.request_device(&wgpu::DeviceDescriptor {
            label: Some("thalweg"),
            required_features: wgpu::Features::empty(),
            required_limits: limits.clone(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        });
        let (raw, queue) = wait(request).map_err(|error| Error::Device {
            what: format!("adapter {:?} could not be opened: {error}", adapter.name),
            fix: "choose another one of thalweg.gpu.adapters()".into(),
        })?;
        let lost = Arc::new(AtomicBool::new(false));
        let flag = lost.clone();
        raw.set_device_lost_callback(move |_, _| flag.store(true, Ordering::Release));
        // Errors are caught in scopes; one outside of them must not end the process.
        raw.on_uncaptured_error(Arc::new(|_| {}));
        Ok(Self {
            adapter,
            limits,
            raw,
            queue,
            pipelines: Mutex::default(),
            bytes: Arc::default(),
            lost,
            process: std::process::id(),
        })
    }

    /// Whether the device still answers.
    ///
    /// # Errors
    /// [`Error::Device`] if it is lost, or was opened before the process forked.
    pub fn check(&self) -> Result<()> {
        if self.process != std::process::id() {
            return Err(Error::Device {
                what: "the device was opened before this process was forked".into(),
                fix: "start processes with multiprocessing's \"spawn\", or use thalweg.gpu first \
                      in the child"
                    .into(),
            });
        }
        if self.lost.load(Ordering::Acquire) {
            return Err(Error::Device {
                what: format!(
                    "the device on {:?} is lost, with all that lay on it",
                    self.adapter.name
                ),
                fix: "make a new object from the last download(), or from a checkpoint".into(),
            });
        }
        Ok(())
    }

    /// Runs `work`, whose errors are caught.
    ///
    /// # Errors
    /// [`Error::Memory`] or [`Error::Device`].
    pub fn guard<T>(&self, what: &str, work: impl FnOnce(&wgpu::Device) -> T) -> Result<T> {
        self.check()?;
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let scopes = [Internal, OutOfMemory, Validation].map(|f| self.raw.push_error_scope(f));
        let value = work(&self.raw);
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            let error = wait(scope.pop());
            first = first.or(error);
        }
        let Some(error) = first else { return Ok(value) };
        // A lost device says so in a callback.
        let _ = self.raw.poll(wgpu::PollType::Poll);
        self.check()?;
        Err(match error {
            wgpu::Error::OutOfMemory { .. } => Error::Memory {
                what: format!("{what} on {:?}", self.adapter.name),
                fix: "use smaller or fewer tensors, state_dtype=\"bfloat16\" or \"int8\", or \
                      another adapter"
                    .into(),
            },
            error => Error::Device {
                what: format!("{what} failed on {:?}: {error}", self.adapter.name),
                fix: "please report this".into(),
            },
        })
    }

    /// Waits until everything that was submitted is done.
    ///
    /// # Errors
    /// [`Error::Device`] if the device is lost.
    pub fn finish(&self) -> Result<()> {
        let done = self.raw.poll(wgpu::PollType::wait_indefinitely());
        self.check()?;
        done.map(drop).map_err(|error| Error::Device {
            what: format!("waiting for {:?} failed: {error}", self.adapter.name),
            fix: "please report this".into(),
        })
    }

    /// Bytes of all buffers that exist.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that the driver gave, where it is known.
    pub fn allocated(&self) -> Option<u64> {
        self.raw.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// How many shaders are compiled.
    pub fn compiled(&self) -> usize {
        lock(&self.pipelines).len()
    }

    /// The largest buffer that can be bound whole, in bytes.
    pub fn largest(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }
}
