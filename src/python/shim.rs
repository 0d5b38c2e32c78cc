//! torch's C interface for tensors, asked through the object that Python holds.
//!
//! A third of the time that DLPack's exchange table takes, which goes through the layer that binds
//! C++ to Python: for a step over many small tensors that is most of the work.

use super::array::{DlDataType, DlDevice, DlTensor};
use crate::engine::simd::prefetch;
use pyo3::ffi::PyObject_HEAD_INIT;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};
use std::ffi::{CStr, c_void};

/// `f(tensor, out)`: writes what is asked for to `out`, and returns 0 unless it fails.
type Get = unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32;
type Constant = unsafe extern "C" fn() -> i32;

/// Functions of the stable C interface of libtorch.
pub struct Shim {
    data: Get,
    dim: Get,
    sizes: Get,
    strides: Get,
    dtype: Get,
    device: Get,
    layout: Get,
    strided: i32,
    cpu: i32,
    /// torch's number of a type, and DLPack's code and bits.
    dtypes: [(i32, u8, u8); 5],
}

/// Where a tensor object keeps its C++ tensor: right after the header of the object.
const OFFSET: usize = size_of_val(&PyObject_HEAD_INIT);

/// Cache lines of a C++ tensor.
const LINES: usize = 4;

impl Shim {
    /// The functions, where this torch has them and its objects are laid out as expected.
    pub fn find(torch: &Bound<'_, PyModule>) -> Option<Self> {
        let shim = Self::look_up()?;
        let probe = torch.call_method1("zeros", (3, 5)).ok()?;
        (Self::holds_tensor(torch, &probe)? && shim.describe(&probe).is_some()).then_some(shim)
    }

    /// Whether the object holds the same C++ tensor as a handle that torch makes of it.
    fn holds_tensor(torch: &Bound<'_, PyModule>, tensor: &Bound<'_, PyAny>) -> Option<bool> {
        let handles = torch.getattr("_C").ok()?.getattr("_aoti").ok()?;
        let handle = handles.call_method1("unsafe_alloc_void_ptr_from_tensor", (tensor,)).ok()?;
        let pointer = handle.cast::<PyCapsule>().ok()?.pointer_checked(None).ok()?;
        let size = tensor.get_type().getattr("__basicsize__").ok()?.extract::<usize>().ok()?;
        if size < OFFSET + size_of::<usize>() {
            return Some(false);
        }
        // SAFETY: a C++ tensor is one pointer; the object is large enough to hold it there.
        let same = unsafe {
            let inside = tensor.as_ptr().cast::<u8>().add(OFFSET).cast::<usize>();
            pointer.cast::<usize>().read() == inside.read()
        };
        // Frees the handle.
        handles.call_method1("alloc_tensor_by_stealing_from_void_ptr", (handle,)).ok()?;
        Some(same)
    }

    #[cfg(target_os = "linux")]
    fn look_up() -> Option<Self> {
        // SAFETY: nothing is loaded or initialised; the strings end with NUL.
        let library = unsafe {
            libc::dlopen(c"libtorch_cpu.so".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_NOW)
        };
        if library.is_null() {
            return None;
        }
        // SAFETY: as above.
        let symbol = |name: &CStr| unsafe { libc::dlsym(library, name.as_ptr()) };
        // SAFETY: functions of these names have had these types since the interface exists.
        let get = |name| unsafe { std::mem::transmute::<*mut c_void, Option<Get>>(symbol(name)) };
        let constant = |name| {
            // SAFETY: as above; they take nothing and return a constant.
            unsafe {
                let function = std::mem::transmute::<*mut c_void, Option<Constant>>(symbol(name));
                Some(function?())
            }
        };
        Some(Self {
            data: get(c"aoti_torch_get_data_ptr")?,
            dim: get(c"aoti_torch_get_dim")?,
            sizes: get(c"aoti_torch_get_sizes")?,
            strides: get(c"aoti_torch_get_strides")?,
            dtype: get(c"aoti_torch_get_dtype")?,
            device: get(c"aoti_torch_get_device_type")?,
            layout: get(c"aoti_torch_get_layout")?,
            strided: constant(c"aoti_torch_layout_strided")?,
            cpu: constant(c"aoti_torch_device_type_cpu")?,
            dtypes: [
                (constant(c"aoti_torch_dtype_float32")?, 2, 32),
                (constant(c"aoti_torch_dtype_float64")?, 2, 64),
                (constant(c"aoti_torch_dtype_float16")?, 2, 16),
                (constant(c"aoti_torch_dtype_bfloat16")?, 4, 16),
                (constant(c"aoti_torch_dtype_uint8")?, 1, 8),
            ],
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn look_up() -> Option<Self> {
        None
    }

    /// Asks for the memory in which torch keeps what it will say of a plain tensor.
    #[inline]
    pub fn prefetch(tensor: &Bound<'_, PyAny>) {
        let object = tensor.as_ptr().cast::<u8>().wrapping_add(OFFSET).cast::<*const u8>();
        // SAFETY: `find` saw that tensor objects hold a pointer there.
        let inside = unsafe { object.read() };
        for line in 0..LINES {
            prefetch(inside.wrapping_add(64 * line));
        }
    }

    /// What torch says of a plain tensor; none for one that is not strided or not on the processor.
    #[inline]
    pub fn describe(&self, tensor: &Bound<'_, PyAny>) -> Option<DlTensor> {
        let object = tensor.as_ptr().cast::<u8>().wrapping_add(OFFSET).cast::<c_void>();
        // SAFETY: `find` saw that tensor objects hold a C++ tensor there; each function writes one
        // value of the type it is given a place for.
        let ask = |get: Get, out: *mut c_void| unsafe { get(object, out) } == 0;
        let number = |get: Get| {
            let mut out = 0i32;
            ask(get, (&raw mut out).cast()).then_some(out)
        };
        let pointer = |get: Get| {
            let mut out = std::ptr::null_mut::<c_void>();
            ask(get, (&raw mut out).cast()).then_some(out)
        };
        if number(self.layout)? != self.strided || number(self.device)? != self.cpu {
            return None;
        }
        let mut ndim = 0i64;
        let known = ask(self.dim, (&raw mut ndim).cast());
        let dtype = number(self.dtype)?;
        let found = self.dtypes.iter().find(|(number, ..)| *number == dtype);
        let (code, bits) = found.map_or((u8::MAX, 0), |&(_, code, bits)| (code, bits));
        Some(DlTensor {
            data: pointer(self.data)?,
            device: DlDevice { kind: 1, id: 0 },
            ndim: i32::try_from(ndim).ok().filter(|_| known)?,
            dtype: DlDataType { code, bits, lanes: 1 },
            shape: pointer(self.sizes)?.cast(),
            strides: pointer(self.strides)?.cast(),
            byte_offset: 0,
        })
    }
}
