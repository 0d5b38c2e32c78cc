//! Gradient-free search.
//!
//! | module | what it holds |
//! |---|---|
//! | [`polystep`] | polytope search: templates, rotations, schedules, transport weights, the stepper |
//! | [`objectives`] | objectives whose probes cost what they change |

pub mod objectives;
pub mod polystep;
