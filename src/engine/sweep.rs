//! One pass of an element-wise formula over slices, compiled for every SIMD level.

use super::real::{Float, Lane};
use super::simd::Level;

/// A formula over `x`, `g` and `N` state slices; writes state in place and the proposed step to `u`.
pub trait Sweep<const N: usize> {
    /// Applies `update` to every element. All slices have the length of `u`.
    fn sweep<F: Float, const LEVEL: u8>(
        x: &[F],
        g: &[F],
        u: &mut [F],
        state: [&mut [F]; N],
        update: &impl Fn(Lane<F, LEVEL>, Lane<F, LEVEL>, [&mut Lane<F, LEVEL>; N]) -> Lane<F, LEVEL>,
    );
}

/// Carries the implementations of [`Sweep`], for 0 to [`MAX_STATE`] states.
pub struct Arity;

/// Most state buffers of a rule.
pub const MAX_STATE: usize = 6;

/// The slices as lanes of a SIMD level.
fn lanes<F, const LEVEL: u8>(slice: &mut [F]) -> &mut [Lane<F, LEVEL>] {
    // SAFETY: `Lane` is a transparent wrapper of `F`.
    unsafe { &mut *(std::ptr::from_mut(slice) as *mut [Lane<F, LEVEL>]) }
}
fn lanes_ref<F, const LEVEL: u8>(slice: &[F]) -> &[Lane<F, LEVEL>] {
    // SAFETY: as above.
    unsafe { &*(std::ptr::from_ref(slice) as *const [Lane<F, LEVEL>]) }
}

// Each slice is an argument of its own of a function that is not inlined: only then does the
// compiler know that they do not overlap, and vectorizes without checks.
macro_rules! level {
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
            let n = u.len();
            let (x, g) = (&x[..n], &g[..n]);
            $(let $s = &mut $s[..n];)*
            for i in 0..n {
                u[i] = update(x[i], g[i], [$(&mut $s[i]),*]);
            }
        }
    };
}

macro_rules! arity {
    ($n:literal; $($s:ident)*) => {
        impl Sweep<$n> for Arity {
            fn sweep<F: Float, const LEVEL: u8>(
                x: &[F],
                g: &[F],
                u: &mut [F],
                state: [&mut [F]; $n],
                update: &impl Fn(
                    Lane<F, LEVEL>,
                    Lane<F, LEVEL>,
                    [&mut Lane<F, LEVEL>; $n],
                ) -> Lane<F, LEVEL>,
            ) {
                level!(baseline, $n, [$($s),*],);
                #[cfg(target_arch = "x86_64")]
                level!(avx2, $n, [$($s),*], #[target_feature(enable = "avx2,fma,f16c")]);
                #[cfg(target_arch = "x86_64")]
                level!(avx512, $n, [$($s),*],
                    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]);

                let (x, g, u) = (lanes_ref(x), lanes_ref(g), lanes(u));
                let [$($s),*] = state;
                $(let $s = lanes($s);)*
                #[cfg(target_arch = "x86_64")]
                if LEVEL == Level::Avx512 as u8 {
                    // SAFETY: a kernel of this level exists only where the machine has it.
                    return unsafe { avx512(x, g, u, $($s,)* update) };
                } else if LEVEL == Level::Avx2 as u8 {
                    // SAFETY: as above.
                    return unsafe { avx2(x, g, u, $($s,)* update) };
                }
                baseline(x, g, u, $($s,)* update)
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
