//! Names of sets, and the parameters that each takes.

use super::matrix::{Average, Correlation, Polytope, Psd, Singular, Spectral, Stiefel};
use super::prox::{Each, Group, Huber, L0, L1, L2, Linf, Mcp, Scad, Tv1d};
use super::{
    Affine, Boxed, Isotonic, KlSection, L0Ball, L1Ball, L2Ball, Params, Polyhedron, ReflectBall,
    ReflectBox, Section, Set, Simplex, Slab, Soc,
};
use crate::engine::{Error, Result};

macro_rules! sets {
    ($($name:literal => $make:expr),* $(,)?) => {
        /// Every name that [`build`] knows.
        pub const NAMES: &[&str] = &[$($name),*];

        /// The set of a name for vectors of `params.n` entries; its file says which numbers and
        /// vectors it takes.
        pub fn build<'a>(name: &str, params: &Params<'a>) -> Result<Box<dyn Set + 'a>> {
            match name {
                $($name => {
                    let set = $make;
                    Ok(Box::new(set(params)?))
                })*
                other => Err(Error::value(
                    "set",
                    format!("one of {}", NAMES.join(", ")),
                    format!("{other:?}"),
                    "choose one of these",
                )),
            }
        }
    };
}

sets! {
    "box" => Boxed::new,
    "l2_ball" => L2Ball::new,
    "slab" => Slab::new,
    "affine" => Affine::new,
    "polyhedron" => Polyhedron::new,
    "simplex" => Simplex::new,
    "section" => Section::new,
    "l1_ball" => L1Ball::new,
    "soc" => Soc::new,
    "isotonic" => Isotonic::new,
    "l0_ball" => L0Ball::new,
    "kl" => KlSection::new,
    "reflect_box" => ReflectBox::new,
    "reflect_ball" => ReflectBall::new,
    "prox_l1" => |p| L1::new(p).map(Each),
    "prox_l2" => L2::new,
    "prox_linf" => Linf::new,
    "prox_l0" => |p| L0::new(p).map(Each),
    "prox_huber" => |p| Huber::new(p).map(Each),
    "prox_mcp" => |p| Mcp::new(p).map(Each),
    "prox_scad" => |p| Scad::new(p).map(Each),
    "prox_group" => Group::new,
    "prox_tv1d" => Tv1d::new,
    "psd" => Psd::new,
    "spectral_ball" => |p| Spectral::new(p, Singular::Clip),
    "nuclear_ball" => |p| Spectral::new(p, Singular::Ball),
    "prox_nuclear" => |p| Spectral::new(p, Singular::Shrink),
    "rank" => |p| Spectral::new(p, |k| Singular::Rank(k as usize)),
    "stiefel" => Stiefel::new,
    "transport" => Polytope::new,
    "correlation" => Correlation::new,
    "symmetric" => Average::symmetric,
    "skew" => Average::skew,
    "toeplitz" => Average::toeplitz,
    "centered" => Average::centered,
}
