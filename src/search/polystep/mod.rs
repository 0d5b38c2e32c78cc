//! PolyStep: blocks of coordinates probe the vertices of a rotated polytope and move to their
//! cost-weighted centre.
//!
//! Le 2026, "Training Non-Differentiable Networks via Optimal Transport", arXiv:2605.01928.
//!
//! | module | one step, in order |
//! |---|---|
//! | [`schedule`] | temperature and radii of step t |
//! | [`template`] | vertices t_k of the unit polytope |
//! | [`rotation`] | R_i in SO(p), one a block: probes at x_i + rho sigma_j R_i t_k |
//! | [`normalise`] | what happens to the costs C_ik before they are weighed |
//! | [`solver`] | W_i from C_i: softmax, Sinkhorn, ... |
//!
//! The move is x_i += s R_i sum_k W_ik t_k ([`template::Template::centre`]).

pub mod normalise;
pub mod rotation;
pub mod schedule;
pub mod sinkhorn;
pub mod solver;
pub mod template;
