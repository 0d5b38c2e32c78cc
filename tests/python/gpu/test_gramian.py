"""Inner products by a shader, against sums of exact products without any rounding."""

import math

import numpy as np
import pytest
from gpu.adapter import gpu
from hypothesis import given, settings
from hypothesis import strategies as st


def oracle(jacobian):
    """Products of two float32 are exact in float64, and fsum rounds once."""
    rows = np.asarray(jacobian, np.float64)
    return np.array([[math.fsum(a * b) for b in rows] for a in rows])


def error(found, jacobian):
    """Largest error relative to the lengths of the two rows."""
    want = oracle(jacobian)
    size = np.sqrt(np.diag(want))
    scale = np.maximum(np.outer(size, size), np.finfo(float).tiny)
    return float((np.abs(found - want) / scale).max())


def draw(m, d, seed=0):
    return np.random.default_rng(seed).standard_normal((m, d)).astype(np.float32)


@pytest.mark.parametrize(
    ("m", "d"), [(1, 1), (1, 9000), (3, 7), (4, 130), (5, 3000), (9, 257), (17, 2500), (33, 600)]
)
def test_equals_the_exact_sums(m, d):
    jacobian = draw(m, d)
    found = gpu.gramian(jacobian)
    assert found.dtype == np.float64
    assert error(found, jacobian) < 1e-10
    assert (found == found.T).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 60), st.integers(0, 2**31), st.floats(-30, 30))
def test_rows_of_any_size(m, d, seed, power):
    sizes = 10.0 ** (power * np.random.default_rng(seed).uniform(-1, 1, (m, 1)))
    jacobian = (draw(m, d, seed) * sizes).astype(np.float32)
    assert error(gpu.gramian(jacobian), jacobian) < 1e-10


def test_cancelling_sums_keep_their_digits():
    # Terms of 8000 in all sum to less than 1: singles alone would lose most of it.
    a = draw(1, 4000)[0]
    jacobian = np.stack([np.concatenate([a, a]), np.concatenate([a, -a])])
    jacobian[0, 0] += np.float32(0.25)
    found = gpu.gramian(jacobian)
    assert found[0, 1] == pytest.approx(oracle(jacobian)[0, 1], rel=1e-5)


def test_the_largest_and_the_smallest_singles():
    limits = np.finfo(np.float32)
    jacobian = np.array([[limits.max, limits.max], [limits.tiny, -limits.tiny], [0, 0]], np.float32)
    found = gpu.gramian(jacobian)
    assert error(found, jacobian) < 1e-10
    assert found[0, 0] > 1e77
    assert found[1, 1] > 0.0
    assert (found[2] == 0.0).all()


def test_blocks_and_pieces_are_added():
    jacobian = draw(6, 5000)
    blocks = [jacobian[:, :1000].reshape(6, 10, 100), jacobian[:, 1000:]]
    assert error(gpu.gramian(blocks), jacobian) < 1e-10
    pieces = gpu.gramian(jacobian, max_binding=16384)
    assert error(pieces, jacobian) < 1e-10
    assert (gpu.gramian(jacobian[:, ::-1][:, ::-1]) == gpu.gramian(jacobian)).all()
    assert (gpu.gramian(np.zeros((2, 0), np.float32)) == 0.0).all()


def test_the_same_bits_every_time():
    jacobian = draw(8, 20_000)
    assert (gpu.gramian(jacobian) == gpu.gramian(jacobian.copy())).all()


def test_refusals_leave_the_array_alone():
    jacobian = draw(40, 30)
    before = jacobian.copy()
    with pytest.raises(TypeError, match=r"must be float32 on a GPU, got float64; convert it with"):
        gpu.gramian(jacobian.astype(float))
    with pytest.raises(TypeError, match="must be a numpy array, got list"):
        gpu.gramian([[[1.0]]])
    with pytest.raises(ValueError, match="at least one array, got none"):
        gpu.gramian([])
    with pytest.raises(ValueError, match=r"of shape \(m, d\) with m > 0, got \(30,\)"):
        gpu.gramian(jacobian[0])
    with pytest.raises(ValueError, match="the same number of rows"):
        gpu.gramian([jacobian, jacobian[:3]])
    with pytest.raises(ValueError, match="the gramian must be at most 4096 bytes"):
        gpu.gramian(jacobian, max_binding=4096)
    with pytest.raises(ValueError, match=r"see thalweg\.gpu\.adapters"):
        gpu.gramian(jacobian, adapter=99)
    assert (jacobian == before).all()
    jacobian[3, 4] = np.nan
    with pytest.raises(ValueError, match="jacobian holds NaN or infinity"):
        gpu.gramian(jacobian)


def test_after_a_lost_device_the_next_call_opens_another():
    jacobian = draw(2, 3)
    first = gpu.gramian(jacobian)
    gpu.release()
    assert (gpu.gramian(jacobian) == first).all()
