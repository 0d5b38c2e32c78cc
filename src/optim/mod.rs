//! Optimizer steps: one file a rule, and one engine that carries them all.
//!
//! ```
//! use thalweg::optim::{Group, Options, Parameter, lion::Lion, step};
//!
//! let groups = [Group::new(Lion { lr: 0.1, ..Lion::default() }.boxed()?)];
//! let (mut x, g, mut m) = (vec![1.0f32, -2.0], vec![0.5f32, 0.0], vec![0.0f32; 2]);
//! let state = vec![(&mut m).into()];
//! let parameter = Parameter::new(0, 1, (&mut x).into(), (&g).into(), state)?;
//! step(&groups, &mut [parameter], &Options::default())?;
//! assert_eq!(x, [0.9, -2.0]);
//! # Ok::<(), thalweg::Error>(())
//! ```

pub mod blend;
pub mod clip;
pub mod formula;
pub mod geometry;
pub mod hyper;
pub mod modifiers;
pub mod observe;
pub mod optex;
pub mod precision;
mod prelude;
pub mod rule;
mod step;

pub use modifiers::Modifiers;
pub use step::{Direction, Group, Options, Orthogonalizer, Parameter, Report, step, step_with};

/// Declares the files of the rules, and lists them.
macro_rules! registry {
    ($($module:ident::$class:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// Every rule.
        pub static RULES: &[&rule::Info] = &[$($module::$class::INFO),*];
    };
}

registry! {
    sgd::SGD,
    adam::Adam,
    adamw::AdamW,
    adamax::Adamax,
    lion::Lion,
    diffgrad::DiffGrad,
    ademamix::AdEMAMix,
    grams::Grams,
    gravity::Gravity,
    adamomentum::AdaMomentum,
    adabelief::AdaBelief,
    muon::Muon,
    nadam::NAdam,
    radam::RAdam,
    adagrad::Adagrad,
    adadelta::Adadelta,
    rmsprop::RMSprop,
    schedulefreeadamw::ScheduleFreeAdamW,
    classp::CLASSP,
    aegd::AEGD,
    exponentiatedgradient::ExponentiatedGradient,
    dalelangevin::DaleLangevin,
    optimisticamsgrad::OptimisticAMSGrad,
    adaptivebraking::AdaptiveBraking,
    randomscalingsgd::RandomScalingSGD,
    triplemomentum::TripleMomentum,
    acceleratedsgd::AcceleratedSGD,
    normalizedgd::NormalizedGD,
    curlsgd::CurlSGD,
    sgld::SGLD,
    egpm::EGPM,
}
