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
