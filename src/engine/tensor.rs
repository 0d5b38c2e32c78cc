//! Flat views of caller memory, and the conversion between what is stored and what is computed in.

use super::real::Float;
use super::simd::{self, Kernel};
use super::{Error, Result};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::marker::PhantomData;
use std::ops::Range;

/// How elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// The upper half of a single.
    Bf16,
    /// IEEE half precision.
    F16,
}

impl Dtype {
    /// Bytes an element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// The name that numpy and torch use.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }
}

/// A type that a [`Tensor`] can store.
pub trait Element: Copy + Send + Sync + 'static {
    /// Its storage type.
    const DTYPE: Dtype;
}
impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
}
impl Element for f64 {
    const DTYPE: Dtype = Dtype::F64;
}
impl Element for bf16 {
    const DTYPE: Dtype = Dtype::Bf16;
}
impl Element for f16 {
    const DTYPE: Dtype = Dtype::F16;
}

/// Writable elements in a row, borrowed for `'a`.
///
/// A tensor of any shape comes as one row in the order of its memory: an element-wise step only
/// asks that parameter, gradient and state agree on that order.
#[derive(Debug)]
pub struct Tensor<'a> {
    data: *mut u8,
    len: usize,
    dtype: Dtype,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: a tensor stands for the `&mut [E]` or `&[E]` it was made from, E: Send + Sync; shared
// access goes through `read` and `block`, whose callers keep ranges disjoint.
unsafe impl Send for Tensor<'_> {}
// SAFETY: as above.
unsafe impl Sync for Tensor<'_> {}

impl<'a, E: Element> From<&'a mut [E]> for Tensor<'a> {
    fn from(slice: &'a mut [E]) -> Self {
        Self {
            data: slice.as_mut_ptr().cast(),
            len: slice.len(),
            dtype: E::DTYPE,
            memory: PhantomData,
        }
    }
}

impl<'a, E: Element> From<&'a mut Vec<E>> for Tensor<'a> {
    fn from(vec: &'a mut Vec<E>) -> Self {
        vec.as_mut_slice().into()
    }
}

/// Elements in a row that are only read, borrowed for `'a`.
#[derive(Debug)]
pub struct View<'a>(Tensor<'a>);

impl<'a, E: Element> From<&'a [E]> for View<'a> {
    fn from(slice: &'a [E]) -> Self {
        Self(Tensor {
            data: slice.as_ptr().cast_mut().cast(),
            len: slice.len(),
            dtype: E::DTYPE,
            memory: PhantomData,
        })
    }
}

impl<'a, E: Element> From<&'a Vec<E>> for View<'a> {
    fn from(vec: &'a Vec<E>) -> Self {
        vec.as_slice().into()
    }
}

impl View<'_> {
    /// Views foreign memory.
    ///
    /// # Safety
    /// As for [`Tensor::from_raw`], for reading.
    pub unsafe fn from_raw(data: *const u8, len: usize, dtype: Dtype) -> Self {
        // SAFETY: the caller's promise; a view is never written.
        Self(unsafe { Tensor::from_raw(data.cast_mut(), len, dtype) })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// How elements are stored.
    pub fn dtype(&self) -> Dtype {
        self.0.dtype
    }

    /// The addresses it covers.
    pub fn addresses(&self) -> Range<usize> {
        self.0.addresses()
    }

    /// The same memory, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> View<'_> {
        View(self.0.reborrow())
    }

    /// `range`, as `F`: the memory itself, or converted into `scratch`.
    #[inline]
    pub(crate) fn read<'s, F: Float>(
        &'s self,
        range: Range<usize>,
        scratch: &'s mut [F],
    ) -> &'s [F] {
        // SAFETY: nobody writes a view while it is borrowed.
        unsafe { self.0.read(range, scratch) }
    }
}

impl Tensor<'_> {
    /// Wraps foreign memory.
    ///
    /// # Safety
    /// `data` points to `len` initialised elements of `dtype`, aligned for it (or `len` is 0), and
    /// for the lifetime of the value nobody else touches them.
    pub unsafe fn from_raw(data: *mut u8, len: usize, dtype: Dtype) -> Self {
        Self { data, len, dtype, memory: PhantomData }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How elements are stored.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The addresses it covers.
    pub fn addresses(&self) -> Range<usize> {
        let start = self.data as usize;
        start..start + self.len * self.dtype.size()
    }

    /// The same memory, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> Tensor<'_> {
        Tensor { data: self.data, len: self.len, dtype: self.dtype, memory: PhantomData }
    }

    /// The elements, if they are stored as `F`.
    pub fn as_mut_slice<F: Float>(&mut self) -> Option<&mut [F]> {
        let data = self.direct::<F>(&(0..self.len))?;
        // SAFETY: all of the memory, of type F, exclusive through `&mut self`.
        Some(unsafe { std::slice::from_raw_parts_mut(data, self.len) })
    }

    /// The memory of `range` if it is stored as `F`.
    #[inline]
    fn direct<F: Float>(&self, range: &Range<usize>) -> Option<*mut F> {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the offset lies inside the memory, by the assertion above.
        (self.dtype == F::DTYPE).then(|| unsafe { self.data.cast::<F>().add(range.start) })
    }

    /// # Safety
    /// Nobody writes `range` while the result lives.
    #[inline]
    unsafe fn read<'s, F: Float>(&'s self, range: Range<usize>, scratch: &'s mut [F]) -> &'s [F] {
        let n = range.len();
        if let Some(data) = self.direct::<F>(&range) {
            // SAFETY: inside the memory (`direct`), of type F, not written (caller).
            return unsafe { std::slice::from_raw_parts(data, n) };
        }
        let out = &mut scratch[..n];
        // SAFETY: `direct` checked the range; not written (caller).
        unsafe {
            match self.dtype {
                Dtype::F32 => widen(self.stored::<f32>(range), out, |x| F::from_f64(x.into())),
                Dtype::F64 => widen(self.stored::<f64>(range), out, F::from_f64),
                Dtype::Bf16 => widen(self.stored::<u16>(range), out, from_bf16),
                Dtype::F16 => from_f16(self.stored::<f16>(range), out),
            }
        }
        out
    }

    /// # Safety
    /// `range` is inside the memory, `E` is the type stored there, and nobody writes it meanwhile.
    unsafe fn stored<E>(&self, range: Range<usize>) -> &[E] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.data.cast::<E>().add(range.start), range.len()) }
    }

    /// `range` for reading and writing as `F`; with a scratch copy where it is stored otherwise,
    /// or where `copy` asks for one. [`Block::store`] writes a copy back.
    ///
    /// # Safety
    /// While the block lives, no other block or read of this tensor overlaps `range`.
    #[inline]
    pub(crate) unsafe fn block<'s, F: Float>(
        &'s self,
        range: Range<usize>,
        scratch: &'s mut [F],
        copy: bool,
    ) -> Block<'s, F> {
        let n = range.len();
        if let Some(data) = self.direct::<F>(&range) {
            // SAFETY: inside the memory, of type F, exclusive (caller).
            let memory = unsafe { std::slice::from_raw_parts_mut(data, n) };
            if !copy {
                return Block { data: memory, home: None };
            }
            let scratch = &mut scratch[..n];
            scratch.copy_from_slice(memory);
            return Block { data: scratch, home: None };
        }
        // SAFETY: exclusive, hence not written by others.
        let len = unsafe { self.read(range.clone(), scratch) }.len();
        let home = (!copy).then_some((self, range.start));
        Block { data: &mut scratch[..len], home }
    }
}

/// Part of a tensor, as the type that formulas compute in.
pub(crate) struct Block<'s, F> {
    pub data: &'s mut [F],
    home: Option<(&'s Tensor<'s>, usize)>,
}

impl<'s, F: Float> Block<'s, F> {
    /// A block that belongs to no tensor.
    pub fn scratch(data: &'s mut [F]) -> Self {
        Self { data, home: None }
    }

    /// Rounds a scratch copy back into its tensor; nothing to do for the memory itself.
    #[inline]
    pub fn store(self) {
        let Some((tensor, start)) = self.home else { return };
        let n = self.data.len();
        // SAFETY: `block` took exclusive access to this range of a tensor of this type.
        unsafe {
            match tensor.dtype {
                Dtype::F32 => {
                    let out =
                        std::slice::from_raw_parts_mut(tensor.data.cast::<f32>().add(start), n);
                    widen(self.data, out, |x: F| x.to_f64() as f32);
                }
                Dtype::F64 => {
                    let out =
                        std::slice::from_raw_parts_mut(tensor.data.cast::<f64>().add(start), n);
                    widen(self.data, out, F::to_f64);
                }
                Dtype::Bf16 => {
                    let out =
                        std::slice::from_raw_parts_mut(tensor.data.cast::<u16>().add(start), n);
                    widen(self.data, out, to_bf16);
                }
                Dtype::F16 => {
                    let out =
                        std::slice::from_raw_parts_mut(tensor.data.cast::<f16>().add(start), n);
                    to_f16(self.data, out);
                }
            }
        }
    }
}

/// Element by element, at the SIMD level of the machine.
fn widen<A: Copy, B: Copy>(from: &[A], to: &mut [B], convert: impl Fn(A) -> B) {
    struct Convert<'a, A, B, C>(&'a [A], &'a mut [B], C);
    impl<A: Copy, B: Copy, C: Fn(A) -> B> Kernel for Convert<'_, A, B, C> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            for (to, &from) in self.1.iter_mut().zip(self.0) {
                *to = self.2(from);
            }
        }
    }
    simd::dispatch(Convert(from, to, convert));
}

#[inline(always)]
fn from_bf16<F: Float>(bits: u16) -> F {
    F::from_f64(f32::from_bits(u32::from(bits) << 16).into())
}

/// Rounds to nearest, ties to even; NaN stays NaN.
#[inline(always)]
fn to_bf16<F: Float>(x: F) -> u16 {
    let x = x.to_f64() as f32;
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    if x.is_nan() { ((bits >> 16) | 0x40) as u16 } else { rounded }
}

const HALF_BLOCK: usize = 256;

fn from_f16<F: Float>(from: &[f16], to: &mut [F]) {
    let mut singles = [0.0f32; HALF_BLOCK];
    for (from, to) in from.chunks(HALF_BLOCK).zip(to.chunks_mut(HALF_BLOCK)) {
        let singles = &mut singles[..from.len()];
        from.convert_to_f32_slice(singles);
        widen(singles, to, |x| F::from_f64(x.into()));
    }
}

fn to_f16<F: Float>(from: &[F], to: &mut [f16]) {
    let mut singles = [0.0f32; HALF_BLOCK];
    for (from, to) in from.chunks(HALF_BLOCK).zip(to.chunks_mut(HALF_BLOCK)) {
        let singles = &mut singles[..from.len()];
        widen(from, singles, |x: F| x.to_f64() as f32);
        to.convert_from_f32_slice(singles);
    }
}

/// Refuses memory that is written in two places, or written in one and read in another.
///
/// `written` and `read` give the addresses of each buffer; `name(written, index)` words one.
///
/// # Errors
/// [`Error::Overlap`] with the first pair found.
pub fn check_overlap(
    written: impl Iterator<Item = Range<usize>> + Clone,
    read: impl Iterator<Item = Range<usize>>,
    name: impl Fn(bool, usize) -> String,
) -> Result<()> {
    let mut spans: Vec<[usize; 2]> =
        written.clone().filter(|span| !span.is_empty()).map(|s| [s.start, s.end]).collect();
    spans.sort_unstable();
    let number = |[start, end]: [usize; 2], skip: usize| {
        let mut numbers = written.clone().zip(0..).filter(|(span, _)| *span == (start..end));
        numbers.nth(skip).map_or(0, |(_, number)| number)
    };
    if let Some(pair) = spans.windows(2).find(|pair| pair[1][0] < pair[0][1]) {
        let twice = usize::from(pair[0] == pair[1]);
        let (first, second) = (number(pair[0], 0), number(pair[1], twice));
        let (first, second) = (first.min(second), first.max(second));
        return Err(Error::Overlap { first: name(true, first), second: name(true, second) });
    }
    for (span, index) in read.zip(0..).filter(|(span, _)| !span.is_empty()) {
        let after = spans.partition_point(|&[_, end]| end <= span.start);
        if let Some(&other) = spans.get(after).filter(|&&[start, _]| start < span.end) {
            return Err(Error::Overlap {
                first: name(false, index),
                second: name(true, number(other, 0)),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<E: Element + PartialEq + std::fmt::Debug>(values: Vec<E>) {
        let mut copy = values.clone();
        let tensor = Tensor::from(&mut copy);
        for range in [0..values.len(), 1..values.len() - 1] {
            let mut scratch = vec![0.0f64; values.len()];
            // SAFETY: one block at a time.
            unsafe { tensor.block(range, &mut scratch, false) }.store();
        }
        assert_eq!(copy, values);
    }

    #[test]
    fn storage_types_survive_a_round_trip() {
        let values = [0.0, -1.5, 3.25, 1e-3, 65504.0, f32::INFINITY];
        round_trip(values.to_vec());
        round_trip(values.map(f64::from).to_vec());
        round_trip(values.map(bf16::from_f32).to_vec());
        round_trip(values.map(f16::from_f32).to_vec());
    }

    #[test]
    fn bf16_rounds_to_nearest_even_as_the_half_crate() {
        for bits in (0..u32::MAX).step_by(65_521) {
            let x = f32::from_bits(bits);
            let expected = bf16::from_f32(x);
            assert!(to_bf16(x) == expected.to_bits() || x.is_nan(), "{x}");
            assert_eq!(bf16::from_bits(to_bf16(x)).is_nan(), x.is_nan());
        }
    }

    #[test]
    fn overlaps_are_found_and_neighbours_are_not() {
        let name =
            |written: bool, index: usize| format!("{}{index}", if written { "w" } else { "r" });
        let spans = |ends: &[[usize; 2]]| -> Vec<Range<usize>> {
            ends.iter().map(|&[start, end]| start..end).collect()
        };
        let check = |w: &[[usize; 2]], r: &[[usize; 2]]| {
            check_overlap(spans(w).into_iter(), spans(r).into_iter(), name)
        };
        assert!(check(&[[8, 16], [0, 8], [16, 16]], &[[16, 32], [16, 32]]).is_ok());
        assert_eq!(
            check(&[[8, 17], [0, 8], [16, 24]], &[]).unwrap_err().to_string().split(';').next(),
            Some("w0 shares memory with w2")
        );
        assert!(
            check(&[[8, 16]], &[[0, 9]]).is_err()
                && check(&[[8, 16], [32, 40]], &[[20, 33]]).is_err()
        );
    }
}
