//! Passes of an element-wise formula over slices, compiled for every SIMD level.

use super::real::{Float, Lane};
use super::simd::Level;

/// Formulas over `x`, `g` and `N` state slices. All slices have the length of `g`; states change in
/// place.
pub trait Sweep<const N: usize> {
    /// Writes what `update` returns to `u`.
    fn propose<F: Float, const SITE: u8>(
        x: &[F],
        g: &[F],
        u: &mut [F],
        state: [&mut [F]; N],
        update: &impl Fn(Lane<F, SITE>, Lane<F, SITE>, [&mut Lane<F, SITE>; N]) -> Lane<F, SITE>,
    );

    /// Subtracts what `update` returns for the gradient `scale * g` from `keep * x`; `factors` are
    /// keep and scale.
    fn advance<F: Float, const SITE: u8>(
        x: &mut [F],
        g: &[F],
        factors: [F; 2],
        state: [&mut [F]; N],
        update: &impl Fn(Lane<F, SITE>, Lane<F, SITE>, [&mut Lane<F, SITE>; N]) -> Lane<F, SITE>,
    );
}

/// Carries the implementations of [`Sweep`], for 0 to [`MAX_STATE`] arguments.
pub struct Arity;

/// Most state buffers of a rule.
pub const MAX_STATE: usize = 9;

/// Where a formula is inlined: a SIMD level, and one of the two loops. Every site has its own copy
/// of the formula with one caller, which the compiler inlines whatever its size.
pub mod site {
    use super::Level;

    /// The loop of [`propose`](super::Sweep::propose).
    pub const fn propose(level: Level) -> u8 {
        level as u8
    }
    /// The loop of [`advance`](super::Sweep::advance).
    pub const fn advance(level: Level) -> u8 {
        level as u8 + 4
    }
    /// The level of a site.
    pub const fn level(site: u8) -> u8 {
        site % 4
    }
}

/// The slices as lanes of a site.
fn lanes<F, const SITE: u8>(slice: &mut [F]) -> &mut [Lane<F, SITE>] {
    // SAFETY: `Lane` is a transparent wrapper of `F`.
    unsafe { &mut *(std::ptr::from_mut(slice) as *mut [Lane<F, SITE>]) }
}
fn lanes_ref<F, const SITE: u8>(slice: &[F]) -> &[Lane<F, SITE>] {
    // SAFETY: as above.
    unsafe { &*(std::ptr::from_ref(slice) as *const [Lane<F, SITE>]) }
}

// Each slice is an argument of its own of a function that is not inlined: only then does the
// compiler know that they do not overlap, and vectorizes without checks.
macro_rules! propose {
    ($name:ident, $n:literal, [$($s:ident),*], $(#[$attribute:meta])*) => {
        $(#[$attribute])*
        #[inline(never)]
        #[allow(clippy::too_many_arguments)]
        fn $name<T: Copy>(
            x: &[T],
            g: &[T],
            u: &mut [T],
            $($s: &mut [T],)*
            update: &impl Fn(T, T, [&mut T; $n]) -> T,
        ) {
            let n = g.len();
            let (x, u) = (&x[..n], &mut u[..n]);
            $(let $s = &mut $s[..n];)*
            for i in 0..n {
                u[i] = update(x[i], g[i], [$(&mut $s[i]),*]);
            }
        }
    };
}

macro_rules! advance {
    ($name:ident, $n:literal, [$($s:ident),*], $(#[$attribute:meta])*) => {
        $(#[$attribute])*
        #[inline(never)]
        #[allow(clippy::too_many_arguments)]
        fn $name<F: Float, const SITE: u8>(
            x: &mut [Lane<F, SITE>],
            g: &[Lane<F, SITE>],
            [keep, scale]: [Lane<F, SITE>; 2],
            $($s: &mut [Lane<F, SITE>],)*
            update: &impl Fn(
                Lane<F, SITE>,
                Lane<F, SITE>,
                [&mut Lane<F, SITE>; $n],
            ) -> Lane<F, SITE>,
        ) {
            let n = g.len();
            let x = &mut x[..n];
            $(let $s = &mut $s[..n];)*
            for i in 0..n {
                x[i] = x[i] * keep - update(x[i], g[i] * scale, [$(&mut $s[i]),*]);
            }
        }
    };
}

/// Compiles a loop for the level of `SITE`, and calls it. Constants known before code is generated
/// keep loops of other levels, which would be further callers of the formula, from being made.
macro_rules! at_site {
    ($loop:ident, $n:literal, [$($s:ident),*], ($($argument:expr),*)) => {{
        $loop!(baseline, $n, [$($s),*],);
        #[cfg(target_arch = "x86_64")]
        $loop!(avx2, $n, [$($s),*], #[target_feature(enable = "avx2,fma,f16c")]);
        #[cfg(target_arch = "x86_64")]
        $loop!(avx512, $n, [$($s),*],
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]);
        #[cfg(target_arch = "x86_64")]
        if const { site::level(SITE) == Level::Avx512 as u8 } {
            // SAFETY: a formula of this level is only made where the machine has it.
            return unsafe { avx512($($argument),*) };
        } else if const { site::level(SITE) == Level::Avx2 as u8 } {
            // SAFETY: as above.
            return unsafe { avx2($($argument),*) };
        }
        baseline($($argument),*)
    }};
}

macro_rules! arity {
    ($n:literal; $($s:ident)*) => {
        impl Sweep<$n> for Arity {
            fn propose<F: Float, const SITE: u8>(
                x: &[F],
                g: &[F],
                u: &mut [F],
                state: [&mut [F]; $n],
                update: &impl Fn(
                    Lane<F, SITE>,
                    Lane<F, SITE>,
                    [&mut Lane<F, SITE>; $n],
                ) -> Lane<F, SITE>,
            ) {
                let (x, g, u) = (lanes_ref(x), lanes_ref(g), lanes(u));
                let [$($s),*] = state.map(lanes::<F, SITE>);
                at_site!(propose, $n, [$($s),*], (x, g, u, $($s,)* update))
            }

            fn advance<F: Float, const SITE: u8>(
                x: &mut [F],
                g: &[F],
                factors: [F; 2],
                state: [&mut [F]; $n],
                update: &impl Fn(
                    Lane<F, SITE>,
                    Lane<F, SITE>,
                    [&mut Lane<F, SITE>; $n],
                ) -> Lane<F, SITE>,
            ) {
                let (x, g, factors) = (lanes(x), lanes_ref(g), factors.map(Lane));
                let [$($s),*] = state.map(lanes::<F, SITE>);
                at_site!(advance, $n, [$($s),*], (x, g, factors, $($s,)* update))
            }
        }
    };
}
arity!(0;);
arity!(1; a);
arity!(2; a b);
arity!(3; a b c);
arity!(4; a b c d);
arity!(5; a b c d e);
arity!(6; a b c d e f);
arity!(7; a b c d e f h);
arity!(8; a b c d e f h k);
arity!(9; a b c d e f h k l);
