//! Dynamic over small tasks, the calling thread working too: on one pool of our own, or on torch's
//! threads where torch is there.
//!
//! Results never depend on the number of threads: a task owns its output, and whoever combines
//! outputs does so in the order of the tasks.

use super::openmp::Team;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

static CHOSEN: AtomicUsize = AtomicUsize::new(0);
static FOLLOWED: OnceLock<Followed> = OnceLock::new();
static POOL: Mutex<Option<Pool>> = Mutex::new(None);

struct Followed {
    source: fn() -> usize,
    /// Whose threads may be used: threads do not survive a fork.
    process: u32,
}

struct Pool {
    process: u32,
    workers: usize,
    threads: Arc<rayon::ThreadPool>,
}

/// Sets the number of threads; 0 returns to the default.
pub fn set(threads: usize) {
    CHOSEN.store(threads, Ordering::Relaxed);
}

/// Follows the count of another library where neither [`set`] nor `THALWEG_NUM_THREADS` names one;
/// `source` returns 0 while there is none. The first call stays.
pub fn follow(source: fn() -> usize) {
    FOLLOWED.get_or_init(|| Followed { source, process: std::process::id() });
}

/// Threads a parallel region may use: [`set`], else `THALWEG_NUM_THREADS`, else [`follow`], else
/// what affinity and cgroup quota allow.
pub fn count() -> usize {
    static ENVIRONMENT: OnceLock<usize> = OnceLock::new();
    static AVAILABLE: OnceLock<usize> = OnceLock::new();
    let known = |threads: usize| (threads > 0).then_some(threads);
    let environment = || {
        *ENVIRONMENT.get_or_init(|| {
            std::env::var("THALWEG_NUM_THREADS").ok().and_then(|v| v.parse().ok()).unwrap_or(0)
        })
    };
    known(CHOSEN.load(Ordering::Relaxed))
        .or_else(|| known(environment()))
        .or_else(|| FOLLOWED.get().and_then(|followed| known((followed.source)())))
        .unwrap_or_else(|| {
            *AVAILABLE.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
        })
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// From now on regions that the calling thread opens run on it alone (or no longer so): for threads
/// that others made to share work out at a higher level.
pub fn stay_alone(alone: bool) {
    INSIDE.set(alone);
}

/// Calls `work(0)` to `work(tasks - 1)`, each once, in no order, on up to [`count`] threads.
///
/// Runs on the calling thread alone when one thread is allowed, there is one task, or the call
/// comes from inside another parallel region.
pub fn for_each(tasks: usize, work: impl Fn(usize) + Sync) {
    let threads = if tasks <= 1 || INSIDE.get() { 1 } else { count().min(tasks) };
    if threads == 1 {
        return (0..tasks).for_each(work);
    }
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let drain = || {
        let _inside = Inside::enter();
        let _failed = Raise(&failed);
        while !failed.load(Ordering::Relaxed) {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                break;
            }
            work(task);
        }
    };
    if let Some(team) = team() {
        return team.run(threads, drain);
    }
    pool(threads - 1).in_place_scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|_| drain());
        }
        drain();
    });
}

/// The threads of the library that is followed, while it is there, and this is the process that
/// began to follow it.
fn team() -> Option<Team> {
    let Followed { source, process } = FOLLOWED.get()?;
    (*process == std::process::id() && source() > 0).then(Team::find).flatten()
}

/// Collects `work(task)` in the order of the tasks.
pub fn map<T: Send>(tasks: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut out: Vec<Option<T>> = (0..tasks).map(|_| None).collect();
    for_each_chunk(&mut out, 1, |task, slot| slot[0] = Some(work(task)));
    // Every task ran: `for_each_chunk` returns after the last one, or unwinds.
    out.into_iter().map(|value| value.expect("a task left no value")).collect()
}

/// Calls `work(index, chunk)` for consecutive chunks of `size` elements (the last may be shorter).
pub fn for_each_chunk<T: Send>(data: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let length = data.len();
    let base = Shared(data.as_mut_ptr());
    for_each(length.div_ceil(size), |index| {
        let start = index * size;
        // SAFETY: chunks are disjoint, inside `data`, and each index is visited once.
        let chunk = unsafe {
            std::slice::from_raw_parts_mut(base.get().add(start), size.min(length - start))
        };
        work(index, chunk);
    });
}

struct Shared<T>(*mut T);
// SAFETY: only used to hand disjoint ranges to different threads.
unsafe impl<T: Send> Sync for Shared<T> {}
impl<T> Shared<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

struct Inside;
impl Inside {
    fn enter() -> Self {
        INSIDE.set(true);
        Self
    }
}
impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// Tells the other threads to stop when a task panics.
struct Raise<'a>(&'a AtomicBool);
impl Drop for Raise<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The pool with at least `workers` threads, made anew after a fork: threads do not survive it.
fn pool(workers: usize) -> Arc<rayon::ThreadPool> {
    let process = std::process::id();
    let mut slot = POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(pool) = &*slot
        && pool.process == process
        && pool.workers >= workers
    {
        return pool.threads.clone();
    }
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|index| format!("thalweg-{index}"))
        .build()
        .expect("the system refused to start a thread");
    let threads = Arc::new(threads);
    let old = slot.replace(Pool { process, workers, threads: threads.clone() });
    if let Some(old) = old.filter(|old| old.process != process) {
        // Dropping it would join threads that this process does not have.
        std::mem::forget(old);
    }
    threads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_and_in_its_place() {
        for threads in [1, 2, 7] {
            set(threads);
            assert_eq!(map(1000, |i| i * i), (0..1000).map(|i| i * i).collect::<Vec<_>>());
            let mut data = vec![0; 1001];
            for_each_chunk(&mut data, 10, |index, chunk| chunk.fill(index));
            assert!(data.iter().enumerate().all(|(i, &v)| v == i / 10));
        }
        set(0);
    }

    #[test]
    fn a_nested_region_runs_on_its_own_thread() {
        assert_eq!(map(8, |i| map(8, |j| i * j).iter().sum::<usize>())[3], 3 * 28);
    }

    #[test]
    fn a_thread_that_stays_alone_does_all_tasks() {
        let one = |alone| {
            stay_alone(alone);
            let ids = map(64, |_| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                std::thread::current().id()
            });
            ids.iter().all(|id| *id == std::thread::current().id())
        };
        set(2);
        let alone = std::thread::spawn(move || [one(true), one(false)]).join().unwrap();
        set(0);
        assert_eq!(alone, [true, false]);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
        let result = std::panic::catch_unwind(|| for_each(64, |i| assert_ne!(i, 40)));
        assert!(result.is_err());
        assert_eq!(map(64, |i| i).len(), 64);
    }
}
