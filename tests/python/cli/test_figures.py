"""The small computations behind table and picture."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.race import entrants, idx
from thalweg.race.lane import Point
from thalweg.race.picture import spread
from thalweg.race.result import crossing
from thalweg.race.sweep import Trial, at_edge, best


def point(epoch, loss):
    return Point(epoch, 10 * epoch, loss, loss, 0.5)


def test_crossing_is_interpolated_in_the_logarithm():
    curve = [point(0, 1.0), point(1, 0.1), point(2, 0.001), point(3, 1.0)]
    epochs, seconds = crossing(curve, 0.01)
    assert epochs == pytest.approx(1.5)
    assert seconds == pytest.approx(15.0)
    assert crossing(curve, 0.1) == (1, 10)
    assert crossing(curve, 1e-4) == (None, None)
    assert crossing([point(0, 1.0), point(1, math.nan)], 0.5) == (None, None)
    assert crossing([point(0, 1.0), point(1, 0.0)], 0.5)[0] < 0.01


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_spread_keeps_order_and_distance(ends):
    gap = 0.05
    heights = spread(ends, gap)
    order = sorted(range(len(ends)), key=lambda i: ends[i])
    for low, high in pairwise(order):
        assert heights[high] - heights[low] >= gap - 1e-12
    assert min(heights) >= -1e-12
    assert max(heights) <= 1 + 1e-12


def test_spread_leaves_distant_heights():
    assert spread([0.9, 0.1, 0.5], 0.1) == pytest.approx([0.9, 0.1, 0.5])


def test_best_rate():
    trials = [Trial(0.1, math.nan), Trial(0.3, 0.5), Trial(1.0, 0.2), Trial(3.0, math.nan)]
    assert best(trials) == trials[2]
    assert not at_edge(trials)
    assert at_edge(trials[:3])
    diverged = [Trial(0.1, math.nan), Trial(0.3, math.nan)]
    assert best(diverged) == diverged[0]


def test_parse_keeps_commas_inside_brackets():
    first, second = entrants.parse("torch:adamw:betas=(0.8,0.9):fused=none, torch:SGD:lr=1e-2")
    assert first.settings["betas"] == (0.8, 0.9)
    assert first.settings["fused"] is None
    assert second.settings == {"lr": 0.01, "momentum": 0.9}
    assert [first.name, second.name] == ["torch:AdamW", "torch:SGD"]


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_idx_element_types(tmp_path, code, dtype):
    elements = np.arange(6, dtype=dtype).reshape(2, 3)
    header = bytes([0, 0, code, 2, 0, 0, 0, 2, 0, 0, 0, 3])
    (tmp_path / "data").write_bytes(header + elements.tobytes())
    assert np.array_equal(idx.read(tmp_path / "data"), elements)


def test_idx_finds_the_dotted_name(tmp_path):
    (tmp_path / "train-images.idx3-ubyte").write_bytes(b"")
    assert idx.find(tmp_path, "train-images-idx3-ubyte").name == "train-images.idx3-ubyte"
