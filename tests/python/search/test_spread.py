"""`spread` in one, two and four gloo processes; see processes.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import thalweg
from thalweg.search import PolyStep, spread
from thalweg.search._processes import fingerprint

dist = pytest.importorskip("torch.distributed")
SCRIPT = Path(__file__).with_name("processes.py")
WORLDS = (1, 2, 4)
NAMES = [
    "all_searchers",
    "through_minimize",
    "in_a_group",
    "a_module",
    "a_module_that_fails",
    "failures",
    "differences",
    "some_leave_early",
    "one_dies",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each scenario came to, by the number of processes, a list with an entry for each."""
    if sys.platform == "win32" or not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    folder = tmp_path_factory.mktemp("spread")
    environment = {**os.environ, "PYTHONPATH": str(Path(thalweg.__file__).parents[1])}
    # Seven processes on two cores: one thread each.
    environment |= {"OMP_NUM_THREADS": "1", "THALWEG_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *map(str, WORLDS)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    found = {name: {world: [] for world in WORLDS} for name in NAMES}
    for world in WORLDS:
        for rank in range(world):
            path = folder / f"{world}-{rank}.json"
            written = json.loads(path.read_text()) if path.exists() else {}
            for name in NAMES:
                found[name][world].append(written.get(name, done.stderr))
    return found


@pytest.mark.xdist_group("spread")
@pytest.mark.parametrize("name", NAMES)
def test_in_several_processes(results, name):
    single = results[name][1][0]
    for world in WORLDS:
        outside = name == "in_a_group" and world > 1
        expected = [single] * (world - outside) + ["ok"] * outside
        assert results[name][world] == expected, "\n".join(results[name][world])
    assert " " not in single, single


def test_one_process_needs_no_group():
    search = PolyStep(np.ones(3), seed=0)
    with spread(lambda x: x.sum(axis=1), search) as costs:
        assert costs.processes == 1
        candidates = search.ask()
        np.testing.assert_array_equal(costs(candidates), candidates.sum(axis=1))
        assert costs(np.empty((0, 3))).shape == (0,)
        with pytest.raises(ValueError, match=r"points must be of shape \(n, d\)"):
            costs(np.ones(3))
    with pytest.raises(TypeError, match="fun must be callable"):
        spread(3)
    with pytest.raises(ValueError, match="group must be None before init_process_group"):
        spread(len, group=object())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.ones(3), np.ones(4)),
        (np.ones(4), np.ones((2, 2))),
        (np.ones(3), np.ones(3, dtype=np.float32)),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ([[1], [2]], [[1, [2]]]),
        ("1", 1),
        (None, False),
        (0.0, -0.0),
        ({1, 2}, {1, 3}),
        (PolyStep(np.ones(3), seed=0), PolyStep(np.ones(3), seed=1)),
        (PolyStep(np.ones(3), seed=0, jitter=0.1), PolyStep(np.ones(3), seed=0)),
    ],
)
def test_fingerprints_tell_apart(one, other):
    assert fingerprint(one) != fingerprint(other)


def test_fingerprints_are_of_values():
    assert fingerprint({"a": 1, "b": 2.0}) == fingerprint({"b": 2.0, "a": 1})
    assert fingerprint(np.arange(6.0)[::2]) == fingerprint(np.array([0.0, 2.0, 4.0]))
    same = [PolyStep(np.ones(3), bounds=[(0, 1)] * 3, seed=0) for _ in range(2)]
    assert fingerprint(same[0]) == fingerprint(same[1])


def test_fingerprints_of_tensors():
    torch = pytest.importorskip("torch")
    x = torch.arange(4.0)
    assert fingerprint(x) == fingerprint(x.clone())
    assert fingerprint(x) != fingerprint(x.double())
    assert fingerprint(x) != fingerprint(x.view(2, 2))
    half = torch.tensor(1.5, dtype=torch.bfloat16)
    assert fingerprint(half) == fingerprint(half.clone())
    assert fingerprint(half) != fingerprint(half * 2)
