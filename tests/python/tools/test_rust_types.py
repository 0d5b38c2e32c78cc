"""The reader of Rust signatures, on the forms that the bindings use."""

import pytest

from rust_types import annotation, signatures

SOURCE = """
#[pyclass(name = "Seeker")]
pub struct PySeeker { n: usize }

#[pymethods]
impl PySeeker {
    // fn commented_out(x: u8) {}
    fn tell<'py>(&mut self, py: Python<'py>, costs: PyReadonlyArray1<'py, f64>) -> PyResult<()> {
        body(|x| { x })
    }
}

#[pyfunction]
#[pyo3(signature = (x, out = None))]
pub(crate) fn solve(x: PyReadonlyArray2<'_, f32>, mut out: Option<u64>)
    -> PyResult<(f64, Vec<u8>)> { todo() }
"""


def test_signatures_are_found_under_their_python_names():
    assert signatures([SOURCE]) == {
        ("Seeker", "tell"): (
            {"&mut self": "", "py": " Python<'py>", "costs": " PyReadonlyArray1<'py, f64>"},
            "PyResult<()>",
        ),
        (None, "solve"): (
            {"x": " PyReadonlyArray2<'_, f32>", "out": " Option<u64>"},
            "PyResult<(f64, Vec<u8>)>",
        ),
    }


@pytest.mark.parametrize(
    ("rust", "accepted", "returned"),
    [
        ("usize", "int", "int"),
        ("&str", "str", "str"),
        ("Option<&Bound<'_, PyAny>>", "Any", "Any"),
        ("Option<u64>", "int | None", "int | None"),
        ("PyReadonlyArray2<'_, f32>", "NDArray[np.float32]", "NDArray[np.float32]"),
        ("Bound<'py, PyArrayDyn<i64>>", "NDArray[np.int64]", "NDArray[np.int64]"),
        ("Vec<(f64, f64)>", "Sequence[tuple[float, float]]", "list[tuple[float, float]]"),
        ("Vec<u8>", "Sequence[int]", "bytes"),
        ("[f64; 2]", "Sequence[float]", "list[float]"),
        ("PyResult<()>", "None", "None"),
        ("Self", "Seeker", "Seeker"),
        ("Py<Seeker>", "Seeker", "Seeker"),
        ("SomethingElse", "Any", "Any"),
    ],
)
def test_annotation(rust, accepted, returned):
    assert annotation(rust, "Seeker", {"Seeker"}) == accepted
    assert annotation(rust, "Seeker", {"Seeker"}, result=True) == returned
