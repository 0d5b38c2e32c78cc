//! What there is to compute on: adapters of the machine, real ones first.

use crate::engine::{Error, Result};
use std::future::Future;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

/// The variable that chooses an adapter: its number, or a part of its name.
pub const VARIABLE: &str = "THALWEG_GPU_ADAPTER";

/// Something that shaders run on.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Its place in the list.
    pub index: usize,
    /// Its name, as the driver gives it.
    pub name: String,
    /// "discrete", "integrated", "virtual", "software" or "other".
    pub kind: &'static str,
    /// "vulkan", "metal" or "dx12".
    pub backend: &'static str,
    /// Name and version of the driver.
    pub driver: String,
    /// What it can do.
    pub limits: wgpu::Limits,
    pub(super) raw: wgpu::Adapter,
}

/// Waits for a future of wgpu, which off the web is ready at once or after a poll.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// Every adapter that the process found when it first asked: graphics cards, then software.
pub fn adapters() -> &'static [Adapter] {
    static FOUND: OnceLock<Vec<Adapter>> = OnceLock::new();
    FOUND.get_or_init(find)
}

fn find() -> Vec<Adapter> {
    let backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty(),
        // Systems that promise more memory than they have would otherwise kill the process.
        memory_budget_thresholds: wgpu::MemoryBudgetThresholds {
            for_resource_creation: Some(95),
            for_device_loss: None,
        },
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut found: Vec<Adapter> =
        wait(instance.enumerate_adapters(backends)).into_iter().map(describe).collect();
    found.sort_by_key(|adapter| rank(adapter.kind));
    found.iter_mut().enumerate().for_each(|(index, adapter)| adapter.index = index);
    found
}

fn describe(raw: wgpu::Adapter) -> Adapter {
    let info = raw.get_info();
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    };
    let driver = format!("{} {}", info.driver, info.driver_info).trim().to_owned();
    let backend = info.backend.to_str();
    Adapter { index: 0, name: info.name, kind, backend, driver, limits: raw.limits(), raw }
}

fn rank(kind: &str) -> usize {
    let order = ["discrete", "integrated", "virtual", "other", "software"];
    order.iter().position(|known| *known == kind).unwrap_or(order.len())
}

/// The adapter that `choice` names, else the variable, else the first.
///
/// # Errors
/// [`Error::Device`] if there is none, [`Error::Value`] if none has this number or name.
pub fn choose(choice: Option<&str>) -> Result<Adapter> {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let (name, choice) = match choice {
        Some(text) => ("adapter", Some(text.to_owned())),
        None => (VARIABLE, variable),
    };
    select(adapters(), name, choice.as_deref())
}

fn select(found: &[Adapter], name: &str, choice: Option<&str>) -> Result<Adapter> {
    if found.is_empty() {
        return Err(Error::Device {
            what: "no adapter was found that shaders run on".into(),
            fix: "install a driver for Vulkan, Metal or Direct3D 12; on Debian and Ubuntu \
                  mesa-vulkan-drivers has one that needs no graphics card"
                .into(),
        });
    }
    let names: Vec<String> =
        found.iter().map(|adapter| format!("{} ({:?})", adapter.index, adapter.name)).collect();
    let fits = |adapter: &Adapter| match choice {
        None => true,
        Some(text) => match text.parse::<usize>() {
            Ok(number) => adapter.index == number,
            Err(_) => adapter.name.to_lowercase().contains(&text.to_lowercase()),
        },
    };
    found.iter().find(|adapter| fits(adapter)).cloned().ok_or_else(|| {
        let allowed = format!("the number or a part of the name of one of {}", names.join(", "));
        Error::value(name, allowed, choice.unwrap_or_default(), "see thalweg.gpu.adapters()")
    })
}
