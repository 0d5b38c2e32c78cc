//! Views of numpy arrays and torch CPU tensors: where elements lie, and how.
//!
//! torch describes tensors through its C interface, or through DLPack's C exchange table, in tens of
//! nanoseconds; older versions are asked attribute by attribute.

use super::shim::Shim;
use crate::engine::tensor::{Dtype, Tensor, View};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyCapsuleMethods, PyType};
use std::ffi::{c_int, c_void};
use std::ops::Range;

const MAX_DIM: usize = 6;

/// What is known of an array's memory.
#[derive(Clone, Copy)]
pub struct Array {
    data: *mut u8,
    /// `None` for types that steps do not compute with.
    pub dtype: Option<Dtype>,
    /// Whether the processor can read it.
    pub cpu: bool,
    /// Whether it may be written.
    pub writable: bool,
    ndim: usize,
    shape: [i64; MAX_DIM],
    strides: [i64; MAX_DIM],
}

#[repr(C)]
pub struct DlDevice {
    pub kind: i32,
    pub id: i32,
}

#[repr(C)]
pub struct DlDataType {
    pub code: u8,
    pub bits: u8,
    pub lanes: u16,
}

#[repr(C)]
pub struct DlTensor {
    pub data: *mut c_void,
    pub device: DlDevice,
    pub ndim: i32,
    pub dtype: DlDataType,
    pub shape: *const i64,
    pub strides: *const i64,
    pub byte_offset: u64,
}

#[repr(C)]
struct DlExchangeHeader {
    major: u32,
    minor: u32,
    previous: *const c_void,
}

#[repr(C)]
struct DlExchange {
    header: DlExchangeHeader,
    allocator: *const c_void,
    from_object: *const c_void,
    to_object: *const c_void,
    describe: Option<unsafe extern "C" fn(*mut c_void, *mut DlTensor) -> c_int>,
    stream: *const c_void,
}

type Describe = unsafe extern "C" fn(*mut c_void, *mut DlTensor) -> c_int;

/// torch's types, and how to look at a tensor.
pub struct Torch {
    tensor: Py<PyType>,
    parameter: Py<PyType>,
    look: Look,
}

/// Ways to look at a tensor, the fastest first.
enum Look {
    Shim(Shim),
    Exchange(Describe),
    Attributes,
}

impl Torch {
    /// Looks torch up; call it only when torch is loaded.
    pub fn get(py: Python<'_>) -> PyResult<&Self> {
        static TORCH: PyOnceLock<Torch> = PyOnceLock::new();
        TORCH.get_or_try_init(py, || {
            let torch = py.import("torch")?;
            let tensor = torch.getattr("Tensor")?.cast_into::<PyType>()?;
            let parameter = torch.getattr("nn")?.getattr("Parameter")?.cast_into::<PyType>()?;
            let exchange = || describe(tensor.as_any()).map(Look::Exchange);
            let look = Shim::find(&torch).map(Look::Shim).or_else(exchange);
            let look = look.unwrap_or(Look::Attributes);
            Ok(Self { tensor: tensor.unbind(), parameter: parameter.unbind(), look })
        })
    }

    /// Whether `object` is a tensor or parameter and no subclass of them.
    pub fn is_plain(&self, object: &Bound<'_, PyAny>) -> bool {
        // SAFETY: the object is alive; its type is compared and not kept.
        let kind = unsafe { pyo3::ffi::Py_TYPE(object.as_ptr()) };
        [&self.parameter, &self.tensor].iter().any(|plain| plain.as_ptr().cast() == kind)
    }

    /// What torch says of a plain tensor, if it can be described; with an array for a torch that is
    /// asked attribute by attribute.
    #[inline]
    fn describe<R>(
        &self,
        tensor: &Bound<'_, PyAny>,
        described: impl FnOnce(DlTensor) -> Option<R>,
        listed: impl FnOnce(Array) -> Option<R>,
    ) -> PyResult<Option<R>> {
        match &self.look {
            Look::Shim(shim) => Ok(shim.describe(tensor).and_then(described)),
            Look::Exchange(describe) => Ok(descriptor(*describe, tensor).and_then(described)),
            Look::Attributes => by_attributes(tensor).map(listed),
        }
    }

    /// Asks for the memory that describes a plain tensor, which takes as long to come as all the
    /// rest of the work on a small one.
    #[inline]
    pub fn prefetch(&self, tensor: &Bound<'_, PyAny>) {
        if matches!(self.look, Look::Shim(_)) && self.is_plain(tensor) {
            Shim::prefetch(tensor);
        }
    }

    /// A view of a plain tensor; `None` where torch cannot describe it (sparse, for instance).
    #[inline]
    pub fn view(&self, tensor: &Bound<'_, PyAny>) -> PyResult<Option<Array>> {
        self.describe(tensor, |found| found.array(), Some)
    }

    /// The memory of a plain tensor, if it lies on the processor in the layout of `like`; `codes`
    /// says whether bytes may pass for a state.
    #[inline]
    pub fn span_like(
        &self,
        tensor: &Bound<'_, PyAny>,
        like: &Array,
        codes: bool,
    ) -> PyResult<Option<Span>> {
        let span =
            self.describe(tensor, |found| found.span_like(like), |array| array.span_like(like))?;
        Ok(span.filter(|span| codes || span.dtype != Dtype::Code8))
    }

    /// The memory of a plain tensor of one element.
    pub fn scalar(&self, tensor: &Bound<'_, PyAny>) -> PyResult<Option<Span>> {
        let listed = |array: Array| array.span().filter(|span| array.cpu && span.len == 1);
        self.describe(tensor, |found| found.scalar(), listed)
    }
}

/// The descriptor function of DLPack's exchange table, if this torch has one.
fn describe(tensor_type: &Bound<'_, PyAny>) -> Option<Describe> {
    let capsule = tensor_type.getattr("__dlpack_c_exchange_api__").ok()?;
    let capsule = capsule.cast::<PyCapsule>().ok()?;
    let pointer = capsule.pointer_checked(Some(c"dlpack_exchange_api")).ok()?;
    // SAFETY: a capsule of this name holds the table, which lives as long as the library.
    let table = unsafe { pointer.cast::<DlExchange>().as_ref() };
    (table.header.major == 1).then_some(table.describe).flatten()
}

/// What DLPack says of a tensor; its shape and strides hold while the tensor lives unchanged.
#[inline]
fn descriptor(describe: Describe, tensor: &Bound<'_, PyAny>) -> Option<DlTensor> {
    let mut out = std::mem::MaybeUninit::<DlTensor>::zeroed();
    // SAFETY: the object is a torch tensor, and the function fills the descriptor or fails.
    let status = unsafe { describe(tensor.as_ptr().cast(), out.as_mut_ptr()) };
    if status != 0 {
        drop(PyErr::take(tensor.py()));
        return None;
    }
    // SAFETY: status 0 says it is filled; zeroes would be a valid value as well.
    Some(unsafe { out.assume_init() })
}

impl DlTensor {
    fn dtype(&self) -> Option<Dtype> {
        match (self.dtype.code, self.dtype.bits) {
            (2, 32) => Some(Dtype::F32),
            (2, 64) => Some(Dtype::F64),
            (2, 16) => Some(Dtype::F16),
            (4, 16) => Some(Dtype::Bf16),
            (1, 8) => Some(Dtype::Code8),
            _ => None,
        }
    }

    fn start(&self) -> *mut u8 {
        self.data.cast::<u8>().wrapping_add(self.byte_offset as usize)
    }

    fn is_cpu(&self) -> bool {
        self.device.kind == 1
    }

    /// Number of axes, if there are few enough.
    fn axes(&self) -> Option<usize> {
        usize::try_from(self.ndim).ok().filter(|&n| n <= MAX_DIM)
    }

    /// Size along axis `k`, and the stride where one is given.
    #[inline]
    fn axis(&self, k: usize) -> (i64, Option<i64>) {
        assert!(k < self.ndim as usize);
        // SAFETY: both hold `ndim` numbers, above k; nothing ran since the tensor described itself.
        unsafe { (*self.shape.add(k), (!self.strides.is_null()).then(|| *self.strides.add(k))) }
    }

    #[inline]
    fn array(&self) -> Option<Array> {
        let ndim = self.axes()?;
        let (mut shape, mut strides) = ([1; MAX_DIM], [1; MAX_DIM]);
        // One by one: a call to copy a few numbers costs more than they do.
        for k in 0..ndim {
            let (size, stride) = self.axis(k);
            (shape[k], strides[k]) = (size, stride.unwrap_or_default());
        }
        if self.strides.is_null() {
            row_major(&shape[..ndim], &mut strides);
        }
        let (data, dtype, cpu) = (self.start(), self.dtype(), self.is_cpu());
        Some(Array { data, dtype, cpu, writable: true, ndim, shape, strides })
    }

    #[inline]
    fn scalar(&self) -> Option<Span> {
        let single = (0..self.axes()?).all(|k| self.axis(k).0 == 1);
        let (data, len) = (self.start(), 1);
        let dtype = self.dtype().filter(|_| self.is_cpu() && single)?;
        Some(Span { data, len, dtype, writable: true })
    }

    fn span_like(&self, like: &Array) -> Option<Span> {
        if self.strides.is_null() {
            return self.array()?.span_like(like);
        }
        let same = |k: usize| {
            let (size, stride) = self.axis(k);
            size == like.shape[k] && (size <= 1 || stride == Some(like.strides[k]))
        };
        if !self.is_cpu() || self.axes()? != like.ndim || !(0..like.ndim).all(same) {
            return None;
        }
        let (data, len) = (self.start(), like.len());
        self.dtype().map(|dtype| Span { data, len, dtype, writable: true })
    }
}

fn by_attributes(tensor: &Bound<'_, PyAny>) -> PyResult<Array> {
    let numbers = |object: Bound<'_, PyAny>| object.extract::<Vec<i64>>();
    let sizes = numbers(tensor.getattr("shape")?)?;
    let steps = numbers(tensor.call_method0("stride")?)?;
    let ndim = sizes.len();
    if ndim > MAX_DIM {
        return Err(PyRuntimeError::new_err(format!("a tensor of {ndim} dimensions")));
    }
    let (mut shape, mut strides) = ([1; MAX_DIM], [1; MAX_DIM]);
    shape[..ndim].copy_from_slice(&sizes);
    strides[..ndim].copy_from_slice(&steps);
    let dtype = match tensor.getattr("dtype")?.str()?.to_str()? {
        "torch.float32" => Some(Dtype::F32),
        "torch.float64" => Some(Dtype::F64),
        "torch.float16" => Some(Dtype::F16),
        "torch.bfloat16" => Some(Dtype::Bf16),
        "torch.uint8" => Some(Dtype::Code8),
        _ => None,
    };
    let cpu = tensor.getattr("device")?.getattr("type")?.extract::<String>()? == "cpu";
    let data = tensor.call_method0("data_ptr")?.extract::<usize>()? as *mut u8;
    Ok(Array { data, dtype, cpu, writable: true, ndim, shape, strides })
}

/// A view of a numpy array. numpy has no bfloat16: `codes` reads two unsigned bytes as one, and a
/// byte as a code.
pub fn numpy_view(object: &Bound<'_, PyUntypedArray>, codes: bool) -> Option<Array> {
    let descr = object.dtype();
    let native = descr.is_native_byteorder() != Some(false);
    let dtype = match (descr.kind(), descr.itemsize()) {
        (b'f', 4) if native => Some(Dtype::F32),
        (b'f', 8) if native => Some(Dtype::F64),
        (b'u', 1) if codes => Some(Dtype::Code8),
        (b'u', 2) if codes && native => Some(Dtype::Bf16),
        _ => None,
    };
    let size = descr.itemsize().max(1) as isize;
    let ndim = object.ndim();
    if ndim > MAX_DIM {
        return None;
    }
    let (mut shape, mut strides) = ([1; MAX_DIM], [1; MAX_DIM]);
    for k in 0..ndim {
        shape[k] = object.shape()[k] as i64;
        // A stride that is no multiple of the item size never passes for dense.
        let stride = object.strides()[k];
        strides[k] = if stride % size == 0 { (stride / size) as i64 } else { i64::MIN };
    }
    // SAFETY: the object is a numpy array; its header is only read.
    let (data, flags) = unsafe {
        let header = &*object.as_array_ptr();
        (header.fields.data.cast::<u8>(), header.fields.flags)
    };
    let aligned = data.align_offset(descr.alignment().max(1)) == 0;
    let writable = flags & numpy::npyffi::flags::NPY_ARRAY_WRITEABLE != 0;
    let dtype = dtype.filter(|_| aligned);
    Some(Array { data, dtype, cpu: true, writable, ndim, shape, strides })
}

fn row_major(shape: &[i64], strides: &mut [i64]) {
    let mut stride = 1;
    for k in (0..shape.len()).rev() {
        strides[k] = stride;
        stride *= shape[k];
    }
}

impl Array {
    /// Sizes along the axes.
    pub fn shape(&self) -> &[i64] {
        &self.shape[..self.ndim]
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape().iter().product::<i64>() as usize
    }

    /// Whether elements fill a stretch of memory, in any order of axes.
    pub fn is_dense(&self) -> bool {
        if self.is_row_major() || self.is_empty() {
            return true;
        }
        let mut axes: Vec<usize> = (0..self.ndim).filter(|&k| self.shape[k] > 1).collect();
        axes.sort_unstable_by_key(|&k| self.strides[k]);
        let mut expected = 1;
        axes.into_iter().all(|k| {
            let fits = self.strides[k] == expected;
            expected *= self.shape[k];
            fits
        })
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of slices along the first axis; 1 without elements or with fewer than two axes.
    pub fn filters(&self) -> usize {
        if self.ndim < 2 || self.is_empty() { 1 } else { self.shape[0] as usize }
    }

    /// Whether elements lie in the order of their indices.
    pub fn is_row_major(&self) -> bool {
        let mut expected = 1;
        (0..self.ndim).rev().all(|k| {
            let fits = self.shape[k] == 1 || self.strides[k] == expected;
            expected *= self.shape[k];
            fits
        })
    }

    /// Whether the elements of both lie in the same order.
    pub fn same_layout(&self, other: &Self) -> bool {
        self.ndim == other.ndim
            && (0..self.ndim).all(|k| {
                self.shape[k] == other.shape[k]
                    && (self.shape[k] <= 1 || self.strides[k] == other.strides[k])
            })
    }

    /// The memory, if it lies on the processor in the layout of `like`.
    pub fn span_like(&self, like: &Self) -> Option<Span> {
        self.span().filter(|_| self.cpu && self.same_layout(like))
    }

    /// Rows, columns, and whether columns lie one after the other, for a dense matrix; an array of
    /// more axes is one of `shape[0]` rows, whose columns may lie in any order. None for fewer axes,
    /// and where neither rows nor columns lie together.
    pub fn matrix(&self) -> Option<([usize; 2], bool)> {
        let (&rows, rest) = self.shape().split_first().filter(|(_, rest)| !rest.is_empty())?;
        let columns: i64 = rest.iter().product();
        let by_rows = self.is_row_major() || self.strides[0] == columns || rows <= 1;
        let by_columns = self.strides[0] == 1 || columns <= 1;
        (by_rows || by_columns || rows * columns == 0)
            .then_some(([rows as usize, columns as usize], !by_rows))
    }

    /// The shape as Python prints it.
    pub fn shape_text(&self) -> String {
        let sizes: Vec<String> = self.shape().iter().map(i64::to_string).collect();
        match &sizes[..] {
            [size] => format!("({size},)"),
            sizes => format!("({})", sizes.join(", ")),
        }
    }

    /// The addresses of each element, in no order.
    pub fn elements(&self) -> Vec<Range<usize>> {
        let size = self.dtype.map_or(0, Dtype::size);
        let mut starts = vec![self.data as usize];
        for (&n, &stride) in self.shape().iter().zip(&self.strides) {
            let step = stride as isize * size as isize;
            let along =
                |start: usize| (0..n as isize).map(move |k| start.wrapping_add_signed(k * step));
            starts = starts.into_iter().flat_map(along).collect();
        }
        starts.into_iter().map(|start| start..start + size).collect()
    }

    /// The memory without the shape; `None` for types that steps do not compute with.
    pub fn span(&self) -> Option<Span> {
        let Self { data, writable, .. } = *self;
        self.dtype.map(|dtype| Span { data, len: self.len(), dtype, writable })
    }
}

/// A dense stretch of memory.
#[derive(Clone, Copy)]
pub struct Span {
    data: *mut u8,
    len: usize,
    /// How its elements are stored.
    pub dtype: Dtype,
    /// Whether it may be written.
    pub writable: bool,
}

impl Span {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The addresses it covers.
    pub fn addresses(&self) -> Range<usize> {
        let start = self.data as usize;
        start..start + self.len * self.dtype.size()
    }

    /// The elements, to write.
    ///
    /// # Safety
    /// The array is dense, on the processor, kept alive by the caller for `'a`, and nobody else
    /// touches its elements meanwhile.
    pub unsafe fn tensor<'a>(&self) -> Tensor<'a> {
        // SAFETY: the caller's promise; numpy's and torch's elements are initialised and aligned.
        unsafe { Tensor::from_raw(self.data, self.len, self.dtype) }
    }

    /// The elements with what lies beside them: scales of codes, or the low halves of split
    /// numbers.
    ///
    /// # Safety
    /// As for [`Span::tensor`], for both; the lengths and types fit.
    pub unsafe fn tensor_with<'a>(&self, beside: &Self) -> Tensor<'a> {
        // SAFETY: the caller's promise.
        unsafe {
            match self.dtype {
                Dtype::Code8 => Tensor::coded_from_raw(self.data, self.len, beside.data.cast()),
                _ => self.tensor().split_from_raw(beside.data),
            }
        }
    }

    /// The elements, to read.
    ///
    /// # Safety
    /// As for [`Span::tensor`], but others may read too.
    pub unsafe fn read<'a>(&self) -> View<'a> {
        // SAFETY: as above.
        unsafe { View::from_raw(self.data, self.len, self.dtype) }
    }

    /// The one element of a counter, if it can be read as one.
    pub fn scalar(&self) -> Option<f64> {
        // SAFETY: one element of this type, alive while the caller holds the array.
        unsafe {
            match self.dtype {
                Dtype::F32 if self.len == 1 => Some((*self.data.cast::<f32>()).into()),
                Dtype::F64 if self.len == 1 => Some(*self.data.cast::<f64>()),
                _ => None,
            }
        }
    }

    /// The elements of a small array of float32 or float64, if it has `len`.
    pub fn numbers(&self, len: usize) -> Option<Vec<f64>> {
        if self.len != len {
            return None;
        }
        // SAFETY: elements of this type, alive while the caller holds the array.
        unsafe {
            match self.dtype {
                Dtype::F32 => {
                    let data = self.data.cast::<f32>();
                    Some((0..len).map(|k| f64::from(*data.add(k))).collect())
                }
                Dtype::F64 => {
                    let data = self.data.cast::<f64>();
                    Some((0..len).map(|k| *data.add(k)).collect())
                }
                Dtype::Bf16 | Dtype::F16 | Dtype::Code8 => None,
            }
        }
    }

    /// Sets the elements that [`Span::numbers`] could read.
    pub fn set_numbers(&self, values: &[f64]) {
        for (k, &value) in values.iter().enumerate().take(self.len) {
            // SAFETY: as for `numbers`, and the GIL keeps other writers away.
            unsafe {
                match self.dtype {
                    Dtype::F32 => *self.data.cast::<f32>().add(k) = value as f32,
                    Dtype::F64 => *self.data.cast::<f64>().add(k) = value,
                    Dtype::Bf16 | Dtype::F16 | Dtype::Code8 => {}
                }
            }
        }
    }

    /// Whether elements are float32.
    pub fn is_single(&self) -> bool {
        self.dtype == Dtype::F32
    }

    /// Sets the one element of a counter that [`Span::scalar`] could read.
    pub fn set_scalar(&self, value: f64) {
        // SAFETY: as for `scalar`, and the GIL keeps other writers away.
        unsafe {
            match self.dtype {
                Dtype::F32 => *self.data.cast::<f32>() = value as f32,
                Dtype::F64 => *self.data.cast::<f64>() = value,
                Dtype::Bf16 | Dtype::F16 | Dtype::Code8 => {}
            }
        }
    }
}
