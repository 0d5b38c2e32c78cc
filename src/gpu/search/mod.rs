//! Objectives whose probes run on a device: the same costs as [`crate::search::objectives`].

pub mod maxsat;
pub mod network;
pub mod units;
