//! Objectives with known structure: a probe that moves a few coordinates costs what it changes.

pub mod network;
pub mod oblique_tree;
