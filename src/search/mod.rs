//! Gradient-free search.
//!
//! | module | what it holds |
//! |---|---|
//! | [`polystep`] | polytope search: templates, rotations, schedules, transport weights, the stepper |
//! | [`ask_tell`] | what searchers around one solution share; [`openai_es`], [`spsa`] are such |
//! | [`setting`] | settings as they come from outside |
//! | [`objectives`] | objectives whose probes cost what they change |

pub mod ask_tell;
pub mod objectives;
pub mod openai_es;
pub mod polystep;
pub mod setting;
pub mod spsa;
