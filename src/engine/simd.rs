//! SIMD chosen at run time: the same safe code, compiled once for each level.
//!
//! No level contracts multiply and add, so every level gives the same bits.

use std::sync::OnceLock;

/// A set of CPU features that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What the target guarantees: SSE2 on x86-64, NEON on aarch64.
    Baseline,
    /// AVX2, FMA, F16C and the bit instructions that come with them.
    Avx2,
    /// AVX-512 F, BW, DQ and VL on top.
    Avx512,
}

impl Level {
    /// The levels of this machine, lowest first.
    pub fn available() -> &'static [Self] {
        static LEVELS: OnceLock<Vec<Level>> = OnceLock::new();
        LEVELS.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::is_x86_feature_detected as has;
                let avx2 = has!("avx2") && has!("fma") && has!("f16c");
                let bits = has!("bmi1") && has!("bmi2") && has!("popcnt") && has!("lzcnt");
                let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512dq");
                if avx2 && bits && avx512 && has!("avx512vl") {
                    return vec![Self::Baseline, Self::Avx2, Self::Avx512];
                } else if avx2 && bits {
                    return vec![Self::Baseline, Self::Avx2];
                }
            }
            vec![Self::Baseline]
        })
    }

    /// The level in use: the highest available, or the one that `THALWEG_SIMD` names
    /// (`baseline`, `avx2`, `avx512`) where the machine has it.
    pub fn current() -> Self {
        static CURRENT: OnceLock<Level> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let wish = match std::env::var("THALWEG_SIMD").as_deref() {
                Ok("baseline") => Self::Baseline,
                Ok("avx2") => Self::Avx2,
                _ => Self::Avx512,
            };
            *Self::available().iter().rfind(|&&level| level <= wish).unwrap_or(&Self::Baseline)
        })
    }
}

/// Asks for the cache line at an address, which may be any, before it is needed.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint of the baseline; no address makes it fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Sum of the lanes, a power of two of at most 32, by a fixed tree: halves onto halves.
///
/// Spelled in pairs: from plain arrays the compiler makes gathers, which wait for stores.
#[inline(always)]
pub fn fold<const N: usize>(v: &[f64; N]) -> f64 {
    const { assert!(N.is_power_of_two() && N >= 2 && N <= 32) };
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_add_pd, _mm_add_sd, _mm_cvtsd_f64, _mm_loadu_pd};
        use std::arch::x86_64::{_mm_setzero_pd, _mm_unpackhi_pd};
        // SAFETY: SSE2 belongs to the baseline; every load stays inside `v`.
        unsafe {
            let mut pairs = [_mm_setzero_pd(); 16];
            for (pair, two) in pairs.iter_mut().zip(v.as_chunks::<2>().0) {
                *pair = _mm_loadu_pd(two.as_ptr());
            }
            let mut width = N / 4;
            while width > 0 {
                for k in 0..width {
                    pairs[k] = _mm_add_pd(pairs[k], pairs[k + width]);
                }
                width /= 2;
            }
            _mm_cvtsd_f64(_mm_add_sd(pairs[0], _mm_unpackhi_pd(pairs[0], pairs[0])))
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut v = *v;
        let mut width = N / 2;
        while width > 0 {
            for lane in 0..width {
                v[lane] += v[lane + width];
            }
            width /= 2;
        }
        v[0]
    }
}

/// Whether one number is below another, as a mask: what it keeps costs no branch, which the compiler
/// would make of a `bool`.
#[derive(Debug, Clone, Copy)]
pub struct Below(
    #[cfg(target_arch = "x86_64")] std::arch::x86_64::__m128d,
    #[cfg(not(target_arch = "x86_64"))] bool,
);

impl Below {
    /// a < b; false for NaN.
    #[inline(always)]
    pub fn new(a: f64, b: f64) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_mm_cmplt_sd, _mm_set_sd};
            // SAFETY: SSE2 belongs to the baseline.
            Self(unsafe { _mm_cmplt_sd(_mm_set_sd(a), _mm_set_sd(b)) })
        }
        #[cfg(not(target_arch = "x86_64"))]
        Self(a < b)
    }

    /// `x` where it holds, else 0.
    #[inline(always)]
    pub fn keep(self, x: f64) -> f64 {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_mm_and_pd, _mm_cvtsd_f64, _mm_set_sd};
            // SAFETY: as above.
            unsafe { _mm_cvtsd_f64(_mm_and_pd(self.0, _mm_set_sd(x))) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        f64::from_bits(x.to_bits() & u64::from(self.0).wrapping_neg())
    }

    /// 1 where it holds, else 0.
    #[inline(always)]
    pub fn count(self) -> usize {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        return unsafe { std::arch::x86_64::_mm_movemask_pd(self.0) } as usize & 1;
        #[cfg(not(target_arch = "x86_64"))]
        usize::from(self.0)
    }
}

/// A computation to compile for every level. Mark `run` and all it calls `#[inline(always)]`, or
/// the compiler may leave parts of it at the baseline.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// The computation.
    fn run(self) -> Self::Output;
}

/// Runs `kernel` with the CPU features of [`Level::current`].
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_at(Level::current(), kernel)
}

/// Runs `kernel` with the CPU features of `level`, lowered to what the machine has.
#[inline]
pub fn dispatch_at<K: Kernel>(level: Level, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,popcnt,lzcnt")]
        fn avx2<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        #[target_feature(
            enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2,popcnt,lzcnt"
        )]
        fn avx512<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        let level = level.min(*Level::available().last().unwrap_or(&Level::Baseline));
        match level {
            // SAFETY: `available` found these features on this machine.
            Level::Avx512 => return unsafe { avx512(kernel) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(kernel) },
            Level::Baseline => {}
        }
    }
    let _ = level;
    kernel.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fold_adds_halves_onto_halves() {
        let v: [f64; 8] = [1.0, 1e16, -1.0, 3.0, 1e-3, -1e16, 7.0, 0.5];
        let pairs = [v[0] + v[4], v[1] + v[5], v[2] + v[6], v[3] + v[7]];
        assert_eq!(fold(&v), (pairs[0] + pairs[2]) + (pairs[1] + pairs[3]));
        assert_eq!(fold(&[1.5, 2.0]), 3.5);
        assert_eq!(fold(&std::array::from_fn::<f64, 32, _>(|i| i as f64)), 496.0);
    }

    #[test]
    fn below_keeps_what_it_should() {
        for (a, b) in [(1.0, 2.0), (2.0, 1.0), (1.0, 1.0), (f64::NAN, 1.0), (0.0, -0.0)] {
            let below = Below::new(a, b);
            assert_eq!(below.count(), usize::from(a < b));
            assert_eq!(below.keep(-3.5), if a < b { -3.5 } else { 0.0 });
        }
    }
}
