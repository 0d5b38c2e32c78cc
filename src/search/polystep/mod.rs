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
//!
//! [`PolyStep`] is the whole method behind ask and tell: [`config`] what can be chosen, [`setting`] its names, [`layout`]
//! which coordinates form a block, [`radius`] radii that follow the costs, `plateau` what replaces them
//! on costs that are counts, [`quadratic`] the model behind Newton refinement and the trust region,
//! [`rest`] blocks and probes that are left out, [`covariance`] a scale for each coordinate, [`state`] what a
//! resumed run needs.

mod advance;
mod anderson;
mod candidates;
pub mod config;
pub mod covariance;
pub mod layout;
pub mod normalise;
mod plateau;
pub mod quadratic;
pub mod radius;
pub mod rest;
pub mod rotation;
pub mod schedule;
pub mod setting;
pub mod sinkhorn;
pub mod solver;
pub mod state;
pub mod step;
mod tell;
pub mod template;

pub use config::Config;
pub use step::PolyStep;
