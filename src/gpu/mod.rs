//! Compute shaders: adapters, devices, and what runs on them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`adapter`] | what there is to compute on, and how one is chosen |
//! | [`device`] | an opened adapter: one a process, errors as [`Error`](crate::Error) |
//! | [`buffer`] | memory of a device, to it and from it |
//! | [`dispatch`] | shaders compiled once, and run |
//! | [`steps`] | optimizer steps on parameters and states that live on a device |
//! | [`bandwidth`] | how fast memory is, by a shader that copies |
//! | [`kernel`] | what shaders written by hand share |
//! | [`search`] | costs of MAX-SAT and of networks, and of their probes |
//! | [`simplex`](mod@simplex), [`gramian`](mod@gramian) | rows onto the simplex; inner products of few rows |
//!
//! Formulas are not written here: they are printed from the [recorded](crate::engine::trace) rules.

pub mod adapter;
pub mod bandwidth;
pub mod buffer;
pub mod device;
pub mod dispatch;
pub mod gramian;
pub mod kernel;
pub mod search;
pub mod simplex;
pub mod steps;

pub use adapter::{Adapter, adapters};
pub use buffer::Buffer;
pub use device::Device;
pub use dispatch::{Binding, Call};
