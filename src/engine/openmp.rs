//! The threads of the OpenMP library that torch has loaded.
//!
//! After each of its operations torch's workers spin for some milliseconds in wait of the next. A
//! second pool then competes with them for the cores; on their own team our loops start at once.
//! GNU's library is used where it is already in the process, and never loaded.

use std::any::Any;
use std::ffi::{c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

/// `GOMP_parallel(body, data, threads, flags)`: runs `body(data)` on each thread of a team.
type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// The entry point of a loaded library.
#[derive(Clone, Copy)]
pub(super) struct Team {
    parallel: Parallel,
}

impl Team {
    /// The loaded library, looked up once.
    ///
    /// Not for a child made by fork, whoever used the library before: there it waits for threads
    /// that do not exist.
    pub fn find() -> Option<Self> {
        static FOUND: OnceLock<Option<Team>> = OnceLock::new();
        *FOUND.get_or_init(Self::look_up)
    }

    #[cfg(target_os = "linux")]
    fn look_up() -> Option<Self> {
        // SAFETY: the strings end with NUL; with RTLD_NOLOAD nothing is loaded or initialised.
        let symbol = unsafe {
            let library =
                libc::dlopen(c"libgomp.so.1".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_NOW);
            if library.is_null() {
                return None;
            }
            libc::dlsym(library, c"GOMP_parallel".as_ptr())
        };
        // SAFETY: a symbol of that name has had this type in every libgomp since GCC 4.9.
        let parallel = unsafe { std::mem::transmute::<*mut c_void, Option<Parallel>>(symbol) }?;
        Some(Self { parallel })
    }

    #[cfg(not(target_os = "linux"))]
    fn look_up() -> Option<Self> {
        None
    }

    /// Calls `work` on up to `threads` threads, this one among them, and waits for all.
    pub fn run<W: Fn() + Sync>(self, threads: usize, work: W) {
        struct Region<W> {
            work: W,
            panic: Mutex<Option<Box<dyn Any + Send>>>,
        }
        extern "C" fn enter<W: Fn() + Sync>(data: *mut c_void) {
            // SAFETY: `data` is the region below, which outlives the call.
            let region = unsafe { &*data.cast::<Region<W>>() };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(&region.work)) {
                *region.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
        }
        let region = Region { work, panic: Mutex::new(None) };
        let data = (&raw const region).cast_mut().cast();
        let threads = c_uint::try_from(threads).unwrap_or(c_uint::MAX);
        // SAFETY: `enter` gets the data it expects, unwinds never, and is left before this returns.
        unsafe { (self.parallel)(enter::<W>, data, threads, 0) };
        if let Some(panic) = region.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A library whose team runs one member after the other.
    unsafe extern "C" fn in_turn(
        body: extern "C" fn(*mut c_void),
        data: *mut c_void,
        threads: c_uint,
        _: c_uint,
    ) {
        (0..threads).for_each(|_| body(data));
    }

    #[test]
    fn every_member_works_and_a_panic_reaches_the_caller() {
        let team = Team { parallel: in_turn };
        let calls = AtomicUsize::new(0);
        team.run(3, || {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.load(Ordering::Relaxed), 3);
        let panic = catch_unwind(|| team.run(2, || panic!("a task failed")));
        assert!(panic.is_err());
    }
}
