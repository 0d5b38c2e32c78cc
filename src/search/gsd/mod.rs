//! Private tables by genetic search over cells.
//!
//! Liu, Vietri, Wu 2023, "Generating Private Synthetic Data with Genetic Algorithms",
//! arXiv:2306.03257.
//!
//! | module | what it holds |
//! |---|---|
//! | [`marginals`] | which cells of which marginals a column touches; counting |
//! | [`table`] | a table, its distance from the targets, the change that an edit makes |
//! | [`operators`] | mutate, continuous, swap, cross |
//! | [`arms`] | which operator is next: exponential weights |
//! | [`search`] | generations |
//! | [`zcdp`] | budgets, and the noise that they buy |
//! | [`measure`] | the Gaussian mechanism, the choice of marginals |
//! | [`noise`] | ChaCha20, normal and Gumbel numbers |
//! | [`thresholds`] | private bins of a numeric column |

pub mod arms;
pub mod marginals;
pub mod measure;
pub mod noise;
pub mod operators;
pub mod search;
pub mod table;
pub mod thresholds;
pub mod zcdp;

pub use marginals::Marginals;
pub use noise::Noise;
pub use search::{Search, Settings, State};
pub use table::{Edit, Table};
