//! Gradient-free search.
//!
//! | module | what it holds |
//! |---|---|
//! | [`polystep`] | polytope search: templates, rotations, schedules, transport weights, the stepper |
//! | [`ask_tell`] | what searchers around one solution share; [`openai_es`], [`spsa`] are such |
//! | [`differential_evolution`], [`particle_swarm`] | populations |
//! | [`cma`], [`sep_cma`], [`recombination`] | a Gaussian that learns its covariance |
//! | [`boolean`] | circuits that learn by their reverse derivative |
//! | [`gsd`] | tables that fit private statistics |
//! | [`cbo`] | particles that drift to a weighted mean |
//! | [`gfm`] | differences along random directions, for costs without slopes |
//! | [`kalman`] | ensembles that learn from what a model says of them |
//! | [`nelder_mead`], [`random_search`] | a simplex, independent draws |
//! | [`ensemble`] | members that a method keeps |
//! | [`mezo`] | moves of tensors along noise that is drawn again |
//! | [`covering_direct_search`], [`positive_basis`] | random points and polls around the best one |
//! | [`outside`] | an order, or a point, that a caller tells |
//! | [`zo_rank_sgd`] | descent by an order alone |
//! | [`boundary`] | what becomes of a candidate outside of its bounds |
//! | [`setting`] | settings as they come from outside |
//! | [`objectives`] | objectives whose probes cost what they change |

pub mod ask_tell;
pub mod boolean;
pub mod boundary;
pub mod cbo;
pub mod cma;
pub mod covering_direct_search;
pub mod differential_evolution;
pub mod ensemble;
pub mod gfm;
pub mod gsd;
pub mod kalman;
pub mod mezo;
pub mod nelder_mead;
pub mod objectives;
pub mod openai_es;
pub mod outside;
pub mod particle_swarm;
pub mod polystep;
pub mod positive_basis;
pub mod random_search;
pub mod recombination;
pub mod sep_cma;
pub mod setting;
pub mod spsa;
pub mod zo_rank_sgd;
