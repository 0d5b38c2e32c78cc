//! The floor of a step: one loop that reads four arrays and writes three of them in place.
//!
//! `benches/stepping/floor.py` compiles this file alone, for the machine it runs on.

/// Adds `rate` times a running mean to `p`; reads p, g, m, v and writes p, m, v.
///
/// # Safety
/// The pointers lead to `n` elements each, and no two stretches overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn floor_loop(
    p: *mut f32,
    g: *const f32,
    m: *mut f32,
    v: *mut f32,
    n: usize,
    rate: f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        run(
            std::slice::from_raw_parts_mut(p, n),
            std::slice::from_raw_parts(g, n),
            std::slice::from_raw_parts_mut(m, n),
            std::slice::from_raw_parts_mut(v, n),
            rate,
        );
    }
}

#[inline(never)]
fn run(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], rate: f32) {
    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        *m = 0.5 * *m + 0.5 * g;
        *v = 0.5 * *v + 0.5 * g;
        *p += rate * (*m - *v);
    }
}
