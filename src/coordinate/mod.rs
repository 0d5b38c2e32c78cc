//! Coordinate descent: datafit x penalty x solver.
//!
//! | module | what it holds |
//! |---|---|
//! | [`design`] | the matrix, seen by columns: dense in either order, sparse |
//! | [`datafit`] | the smooth part, one file a loss |
//! | [`penalty`] | the separable part, one file a penalty |
//! | [`solver`] | working sets, screening, acceleration, certificates; blocks of features and tasks |
//! | [`svm`] | linear support vector machines, in the dual |
//! | [`nmf`] | non-negative matrix factorization |
//! | [`splitting`] | blocks of a ReLU network, split at every layer |
//! | [`topo`] | directed acyclic graphs, by swaps in an order |
//! | [`wasserstein_cp`] | dictionaries of rank-one distributions, in the dual of transport |
//! | [`fractional`] | ratios: fractional and parametric coordinate descent |

pub mod datafit;
pub mod design;
pub mod fractional;
pub mod nmf;
pub mod penalty;
pub mod solver;
pub mod splitting;
pub mod svm;
pub mod topo;
pub mod wasserstein_cp;
