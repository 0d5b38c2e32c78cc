//! Objectives with known structure: a probe that moves a few coordinates costs what it changes.
//!
//! | module | objective |
//! |---|---|
//! | [`maxsat`] | weights of unsatisfied clauses |
//! | [`dimacs`] | the text formats that clauses come in |

pub mod dimacs;
pub mod maxsat;

pub use dimacs::Formula;
pub use maxsat::MaxSat;
