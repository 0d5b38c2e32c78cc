//! Gradient-free search.
//!
//! | module | what it holds |
//! |---|---|
//! | [`polystep`] | polytope search: templates, rotations, schedules, transport weights, the stepper |
//! | [`ask_tell`] | what searchers around one solution share; [`openai_es`], [`spsa`] are such |
//! | [`differential_evolution`], [`sep_cma`], [`particle_swarm`] | populations |
//! | [`boolean`] | circuits that learn by their reverse derivative |
//! | [`gsd`] | tables that fit private statistics |
//! | [`nelder_mead`], [`random_search`] | a simplex, independent draws |
//! | [`boundary`] | what becomes of a candidate outside of its bounds |
//! | [`setting`] | settings as they come from outside |
//! | [`objectives`] | objectives whose probes cost what they change |

pub mod ask_tell;
pub mod boolean;
pub mod boundary;
pub mod differential_evolution;
pub mod gsd;
pub mod nelder_mead;
pub mod objectives;
pub mod openai_es;
pub mod particle_swarm;
pub mod polystep;
pub mod random_search;
pub mod sep_cma;
pub mod setting;
pub mod spsa;
