"""Projections onto the simplex by a shader, against sorting in float64."""

import numpy as np
import pytest
from gpu.adapter import gpu
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import project


def oracle(x, radius):
    """max(x - tau, 0) for a row, tau from the sorted row, in float64."""
    d = np.asarray(x, np.float64) - np.max(x)
    ordered = np.sort(d)[::-1]
    taus = (np.cumsum(ordered) - radius) / np.arange(1, len(d) + 1)
    tau = taus[np.flatnonzero(ordered > taus)[-1]]
    return np.maximum(d - tau, 0.0)


def close(found, want, radius):
    assert found.dtype == np.float32
    assert (found >= 0).all()
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-10 * radius)


def rows_of(x, radius):
    return np.stack([oracle(row, radius) for row in x])


@pytest.mark.parametrize(("m", "n"), [(1, 1), (7, 3), (3, 256), (5, 257), (2, 5000), (1, 70_000)])
@pytest.mark.parametrize("radius", [1e-3, 1.0, 300.0])
def test_equals_sorting_and_the_cpu(m, n, radius):
    x = np.random.default_rng(m * n).standard_normal((m, n)).astype(np.float32)
    before = x.copy()
    found = gpu.simplex(x, radius)
    close(found, rows_of(x, radius), radius)
    np.testing.assert_allclose(found, project.simplex(x, radius), rtol=1e-6, atol=1e-10 * radius)
    assert (x == before).all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=40),
    st.sampled_from([0.0, 1e-6, 0.5, 1.0, 1e9]),
)
def test_any_row(row, radius):
    x = np.array([row], np.float32)
    x[np.abs(x) < 1e-37] = 0.0
    found = gpu.simplex(x, radius)
    if radius == 0.0:
        assert (found == 0.0).all()
        return
    close(found, rows_of(x, radius), radius)
    assert float(found.sum(dtype=float)) == pytest.approx(radius, rel=1e-6)


def test_ties_negative_and_huge_entries():
    huge = np.finfo(np.float32).max
    x = np.array(
        [[2, 2, 2, 2], [-5, -5, -6, -9], [huge, -huge, huge, 0], [1e8, 1e8 - 8, 1e8, -1e8]],
        np.float32,
    )
    want = [[0.25] * 4, [0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0], [0.5, 0, 0.5, 0]]
    assert gpu.simplex(x).tolist() == want


def test_long_ties_and_a_point_of_the_simplex():
    even = np.full((1, 30_000), -7.25, np.float32)
    np.testing.assert_allclose(gpu.simplex(even), 1 / 30_000, rtol=2e-7)
    inside = gpu.simplex(np.random.default_rng(0).random((4, 500), np.float32))
    np.testing.assert_allclose(gpu.simplex(inside), inside, rtol=1e-6, atol=1e-10)


def test_rows_that_take_many_rounds():
    # Halves that are dropped one after the other, and gaps that grow.
    halves = np.concatenate([np.full(2**k, -1.0 + 2.0**-k) for k in range(14)])
    for x, radius in [(halves, 1.0), (halves, 0.9), (-(1.05 ** np.arange(300)), 3.0)]:
        row = x.astype(np.float32)[None]
        close(gpu.simplex(row, radius), rows_of(row, radius), radius)


def test_axes_shapes_and_strides():
    x = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    for axis in (0, 1, -1):
        want = project.simplex(x.astype(float), 2.0, axis=axis)
        np.testing.assert_allclose(gpu.simplex(x, 2.0, axis), want, rtol=1e-6, atol=1e-9)
    assert (gpu.simplex(x[::-1, :, ::2]) == gpu.simplex(x[::-1, :, ::2].copy())).all()
    assert gpu.simplex(np.zeros((0, 5), np.float32)).shape == (0, 5)
    assert gpu.simplex(np.array([3.0, 3.0], np.float32)).tolist() == [0.5, 0.5]


def test_small_buffers_and_repeats_give_the_same_bits():
    x = np.random.default_rng(0).standard_normal((50, 300)).astype(np.float32)
    found = gpu.simplex(x)
    assert (gpu.simplex(x, max_binding=8192) == found).all()
    assert (gpu.simplex(x) == found).all()


def test_refusals():
    x = np.zeros((2, 3000), np.float32)
    with pytest.raises(TypeError, match="must be float32 on a GPU, got float64"):
        gpu.simplex(x.astype(float))
    with pytest.raises(TypeError, match="must be a numpy array, got list"):
        gpu.simplex([[0.0]])
    with pytest.raises(TypeError, match="radius must be a number, got str"):
        gpu.simplex(x, "one")
    for radius in (-1.0, 1e-40, 1e39, np.nan, np.inf):
        with pytest.raises(ValueError, match="radius must be 0 or in"):
            gpu.simplex(x, radius)
    with pytest.raises(ValueError, match=r"axis must be in \[-2, 1\], got 2"):
        gpu.simplex(x, axis=2)
    with pytest.raises(ValueError, match="rows of 1 to"):
        gpu.simplex(x[:, :0])
    with pytest.raises(ValueError, match="x rows must be at most 8192 bytes"):
        gpu.simplex(x, max_binding=8192)
    x[1, 7] = np.inf
    with pytest.raises(ValueError, match="x holds NaN or infinity"):
        gpu.simplex(x)
