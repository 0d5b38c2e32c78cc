//! Objectives with known structure: a probe that moves a few coordinates costs what it changes.
//!
//! | module | objective |
//! |---|---|
//! | [`maxsat`] | weights of unsatisfied clauses |
//! | [`factor_graph`] | a sum of terms, each of a few variables |
//! | [`network`] | the loss of a feed-forward network on a batch |
//! | [`oblique_tree`] | the loss of a hard-routed tree |
//!
//! [`dimacs`] holds the text formats that clauses come in, [`run`] the settings of native runs.

pub mod dimacs;
pub mod factor_graph;
pub mod maxsat;
pub mod network;
pub mod oblique_tree;
pub mod run;

pub use dimacs::Formula;
pub use factor_graph::FactorGraph;
pub use maxsat::MaxSat;
