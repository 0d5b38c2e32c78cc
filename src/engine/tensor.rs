//! Flat views of caller memory, and the conversion between what is stored and what is computed in.

use super::codes::{self, BLOCK};
use super::convert::{self, Bf16, F16, Half};
use super::real::Float;
use super::rng::Dither;
use super::simd;
use super::{Error, Result};
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
    /// Eight bits and a scale for each block; see [`codes`].
    Code8,
}

impl Dtype {
    /// Bytes an element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Bf16 | Self::F16 => 2,
            Self::Code8 => 1,
        }
    }

    /// The name that numpy and torch use.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
            Self::Code8 => "uint8",
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
    /// Scales of codes, or the low halves of split numbers; null where there are none.
    beside: *mut u8,
    /// Rounds stochastically with these words.
    dither: Option<Dither>,
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
            beside: std::ptr::null_mut(),
            dither: None,
            memory: PhantomData,
        }
    }
}

impl<'a, E: Element> From<&'a mut Vec<E>> for Tensor<'a> {
    fn from(vec: &'a mut Vec<E>) -> Self {
        vec.as_mut_slice().into()
    }
}

impl<'a> Tensor<'a> {
    /// Codes and their scales, one for each [`BLOCK`].
    ///
    /// # Errors
    /// [`Error::Shape`] if there are more or fewer scales.
    pub fn coded(codes: &'a mut [u8], scales: &'a mut [f32]) -> Result<Self> {
        if scales.len() != scale_count(codes.len()) {
            return Err(Error::Shape {
                name: "scales".into(),
                given: format!("({},)", scales.len()),
                other: "their codes".into(),
                expected: format!("({},)", scale_count(codes.len())),
                fix: "make one for each block of 256".into(),
            });
        }
        // SAFETY: slices of these lengths, borrowed for as long as the tensor.
        Ok(unsafe { Self::coded_from_raw(codes.as_mut_ptr(), codes.len(), scales.as_mut_ptr()) })
    }
}

/// Elements in a row that are only read, borrowed for `'a`.
#[derive(Debug)]
pub struct View<'a>(Tensor<'a>);

impl<'a, E: Element> From<&'a [E]> for View<'a> {
    fn from(slice: &'a [E]) -> Self {
        // SAFETY: the elements of a slice; a view is never written.
        Self(unsafe { Tensor::from_raw(slice.as_ptr().cast_mut().cast(), slice.len(), E::DTYPE) })
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

    /// As [`Tensor::prefetch`].
    #[inline]
    pub(crate) fn prefetch(&self, range: &Range<usize>) {
        self.0.prefetch(range);
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
        debug_assert!(dtype != Dtype::Code8, "codes come with scales");
        let beside = std::ptr::null_mut();
        Self { data, len, dtype, beside, dither: None, memory: PhantomData }
    }

    /// Wraps foreign codes and their scales, one for each [`BLOCK`].
    ///
    /// # Safety
    /// As for [`Tensor::from_raw`], of `len` bytes and `len / BLOCK` singles, rounded up.
    pub unsafe fn coded_from_raw(codes: *mut u8, len: usize, scales: *mut f32) -> Self {
        let beside = scales.cast();
        Self { data: codes, len, dtype: Dtype::Code8, beside, dither: None, memory: PhantomData }
    }

    /// Splits a number of two bytes: what rounding leaves out goes to `low`, and comes back when
    /// it is read. Other types stay as they are.
    ///
    /// # Safety
    /// As for [`Tensor::from_raw`], for `low`, of the type and length of this tensor.
    pub unsafe fn split_from_raw(mut self, low: *mut u8) -> Self {
        if matches!(self.dtype, Dtype::Bf16 | Dtype::F16) {
            self.beside = low;
        }
        self
    }

    /// Rounds stochastically from now on, where numbers are rounded at all and are not split.
    pub fn dithered(mut self, dither: Dither) -> Self {
        self.dither = Some(dither);
        self
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
        Tensor { memory: PhantomData, ..*self }
    }

    /// The elements, if they are stored as `F`.
    pub fn as_mut_slice<F: Float>(&mut self) -> Option<&mut [F]> {
        let data = self.direct::<F>(&(0..self.len))?;
        // SAFETY: all of the memory, of type F, exclusive through `&mut self`.
        Some(unsafe { std::slice::from_raw_parts_mut(data, self.len) })
    }

    /// Asks for the memory of `range`, which may reach past the end, before it is needed.
    #[inline]
    pub(crate) fn prefetch(&self, range: &Range<usize>) {
        let size = self.dtype.size();
        let start = self.data.wrapping_add(range.start * size);
        for byte in (0..range.len() * size).step_by(64) {
            simd::prefetch(start.wrapping_add(byte));
        }
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
                Dtype::F32 => {
                    convert::each(self.stored::<f32>(range), out, |x| F::from_f64(x.into()));
                }
                Dtype::F64 => convert::each(self.stored::<f64>(range), out, F::from_f64),
                Dtype::Bf16 => self.widen::<Bf16, F>(range, out),
                Dtype::F16 => self.widen::<F16, F>(range, out),
                Dtype::Code8 => {
                    let scales = std::slice::from_raw_parts(self.scales(&range), scale_count(n));
                    codes::decode(self.stored(range), scales, out);
                }
            }
        }
        out
    }

    /// # Safety
    /// As for `stored`.
    unsafe fn widen<H: Half, F: Float>(&self, range: Range<usize>, out: &mut [F]) {
        // SAFETY: the caller's promise; what lies beside has the type and length of the memory.
        unsafe {
            if self.beside.is_null() {
                return H::widen(self.stored(range), out);
            }
            let low = self.beside.cast::<u16>().add(range.start);
            let low = std::slice::from_raw_parts(low, range.len());
            convert::join::<H, F>(self.stored(range), low, out);
        }
    }

    /// The scales of the blocks of `range`, which must begin with a block.
    ///
    /// # Safety
    /// `range` is inside the memory, which holds codes.
    unsafe fn scales(&self, range: &Range<usize>) -> *mut f32 {
        assert!(range.start.is_multiple_of(BLOCK), "a part begins inside a block of codes");
        // SAFETY: the caller's promise; there is a scale for each block of the memory.
        unsafe { self.beside.cast::<f32>().add(range.start / BLOCK) }
    }

    /// # Safety
    /// `range` is inside the memory, `E` is the type stored there, and nobody writes it meanwhile.
    unsafe fn stored<E>(&self, range: Range<usize>) -> &[E] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.data.cast::<E>().add(range.start), range.len()) }
    }

    /// # Safety
    /// As for `stored`, and nobody else reads the range either.
    #[allow(clippy::mut_from_ref)]
    unsafe fn place<E>(&self, range: &Range<usize>) -> &mut [E] {
        // SAFETY: the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(self.data.cast::<E>().add(range.start), range.len())
        }
    }

    /// Rounds `values` into `range`.
    ///
    /// # Safety
    /// As for `place`.
    unsafe fn narrow<H: Half, F: Float>(
        &self,
        range: &Range<usize>,
        values: &[F],
        dither: Option<Dither>,
    ) {
        // SAFETY: the caller's promise; what lies beside has the type and length of the memory.
        unsafe {
            if self.beside.is_null() {
                let to = self.place(range);
                return match dither {
                    Some(dither) => H::stochastic(values, to, dither, range.start),
                    None => H::nearest(values, to),
                };
            }
            let low = self.beside.cast::<u16>().add(range.start);
            let low = std::slice::from_raw_parts_mut(low, range.len());
            convert::split::<H, F>(values, self.place(range), low);
        }
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

    /// Rounds a scratch copy back into its tensor, as the tensor asks for; nothing to do for the
    /// memory itself.
    #[inline]
    pub fn store(self) {
        let dither = self.home.and_then(|(tensor, _)| tensor.dither);
        self.write(dither);
    }

    /// As [`Block::store`], to nearest.
    #[inline]
    pub fn store_nearest(self) {
        self.write(None);
    }

    #[inline]
    fn write(self, dither: Option<Dither>) {
        let Some((tensor, start)) = self.home else { return };
        let range = start..start + self.data.len();
        // SAFETY: `block` took exclusive access to this range of a tensor of this type.
        unsafe {
            match tensor.dtype {
                Dtype::F32 => {
                    convert::each(self.data, tensor.place(&range), |x: F| x.to_f64() as f32);
                }
                Dtype::F64 => convert::each(self.data, tensor.place(&range), F::to_f64),
                Dtype::Bf16 => tensor.narrow::<Bf16, F>(&range, self.data, dither),
                Dtype::F16 => tensor.narrow::<F16, F>(&range, self.data, dither),
                Dtype::Code8 => {
                    let scales = tensor.scales(&range);
                    let scales = std::slice::from_raw_parts_mut(scales, scale_count(range.len()));
                    let codes = tensor.place(&range);
                    codes::encode(self.data, codes, scales, dither, start);
                }
            }
        }
    }
}

/// Scales of `n` codes.
pub fn scale_count(n: usize) -> usize {
    n.div_ceil(BLOCK)
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
    fn codes_are_written_block_by_block_and_the_rest_stays() {
        let (mut codes, mut scales) = (vec![7u8; 600], vec![1.0f32; 3]);
        let tensor = Tensor::coded(&mut codes, &mut scales).expect("three blocks");
        let mut scratch = [0.0f64; 600];
        // SAFETY: one block at a time.
        let part = unsafe { tensor.block(256..512, &mut scratch, false) };
        part.data.iter_mut().zip(1..).for_each(|(x, i)| *x = f64::from(i));
        part.store();
        // SAFETY: as above.
        let part = unsafe { tensor.block(512..600, &mut scratch, true) };
        part.data.fill(1.0);
        part.store();
        assert!(codes[..256].iter().chain(&codes[512..]).all(|&code| code == 7));
        assert_eq!(scales, [1.0, -256.0, 1.0]);
        assert!(codes[256..512].is_sorted() && codes[256] < codes[511]);
        let error = Tensor::coded(&mut codes, &mut scales[..2]).expect_err("too few");
        assert!(error.to_string().starts_with("scales of shape (2,) does not match their codes"));
    }

    #[test]
    fn split_tensors_keep_what_rounding_leaves_out() {
        let (mut high, mut low) = (vec![bf16::ONE; 300], vec![bf16::ZERO; 300]);
        // SAFETY: as long and of the same type.
        let tensor = unsafe { Tensor::from(&mut high).split_from_raw(low.as_mut_ptr().cast()) };
        let mut scratch = [0.0f32; 300];
        for _ in 0..100 {
            // SAFETY: one block at a time.
            let part = unsafe { tensor.block(10..290, &mut scratch, false) };
            part.data.iter_mut().for_each(|x| *x += 1e-4);
            part.store();
        }
        // SAFETY: as above.
        let data = unsafe { tensor.block(0..300, &mut scratch, false) }.data;
        assert!(data[..10].iter().chain(&data[290..]).all(|&x| x == 1.0));
        assert!(data[10..290].iter().all(|&x| (x - 1.01).abs() < 1e-3));
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
