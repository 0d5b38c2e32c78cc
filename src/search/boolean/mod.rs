//! Learning circuits over small semirings by their reverse derivative.
//!
//! Wilson, Zanasi 2021, "Reverse Derivative Ascent: A Categorical Approach to Learning Boolean
//! Circuits", arXiv:2101.10488.
//!
//! | module | what it holds |
//! |---|---|
//! | [`semiring`] | Z_2 in words of 64 lanes, small semirings by their tables |
//! | [`circuit`] | gates, values forwards, formal derivatives backwards, differences by flips |
//! | [`rows`] | samples, 64 at a time |
//! | [`ascent`] | the update over samples, many starts at once, the best so far |

pub mod ascent;
pub mod circuit;
pub mod rows;
pub mod semiring;

pub use ascent::{Ascent, Outcome};
pub use circuit::{Circuit, Gate};
pub use semiring::{Bits, Semiring, Tables};
