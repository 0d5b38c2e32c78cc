"""Options that leave probes out or rescale them, against rules read off the candidates."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.search import PolyStep

FIXED = {"step_radius": 0.3, "probe_radius": 0.8, "momentum": 0.0, "scale_cost": 1.0}


def start(d, seed=0):
    return np.random.default_rng(seed).normal(size=d)


def softmax(costs):
    e = np.exp(-(costs - costs.min(1, keepdims=True)))
    return e / e.sum(1, keepdims=True)


def test_one_probe_at_the_mean_radius_while_costs_fall():
    search = PolyStep(start(6), num_probe=3, adaptive_num_probe=True, **FIXED, seed=0)
    transport, falls, single = [], 0, 0
    for t in range(60):
        expected = 1 if falls >= 3 else 3
        x, candidates = search.x, search.ask()
        assert len(candidates) == search.population == 12 * expected
        lengths = np.linalg.norm(candidates - x, axis=1)
        sigma = [0.5] if expected == 1 else [0.25, 0.5, 0.75]
        np.testing.assert_allclose(lengths, np.tile(0.8 * np.array(sigma), 12), rtol=1e-12)
        single += expected == 1
        # Falls, then rises for a while.
        costs = (candidates**2).sum(1) + (0.2 * t if 35 < t < 40 else 0.0)
        search.tell(costs)
        table = costs.reshape(3, 4, expected).mean(2)
        transport.append((softmax(table) * table).sum() / 3)
        fell = t + 1 >= 20 and len(transport) > 2 and transport[-3] > transport[-2] > transport[-1]
        falls = falls + 1 if fell else 0
    assert 0 < single < 40


@pytest.mark.parametrize("groups", [None, [4]])
def test_blocks_that_hardly_move_rest_and_wake(groups):
    search = PolyStep(start(8), adaptive_probes=True, groups=groups, **FIXED, seed=0)
    weight = np.repeat([1.0, 1e-9], 4)
    asked = []
    for t in range(25):
        x, candidates = search.x, search.ask()
        moved = (candidates != x).reshape(len(candidates), 4, 2).any(2)
        asked.append(set(np.flatnonzero(moved.any(0))))
        search.tell((weight * candidates**2).sum(1))
        if t % 10 != 9:
            # Whoever moved is asked next time.
            step = ((search.x - x) ** 2).reshape(4, 2).sum(1)
            expected = set(np.flatnonzero(step >= 1e-6))
            x, candidates = search.x, search.ask()
            moved = (candidates != x).reshape(len(candidates), 4, 2).any(2)
            assert set(np.flatnonzero(moved.any(0))) == expected
            search._core.restore(undo(search))
    assert asked[10] == asked[20] == {0, 1, 2, 3}
    assert not asked[5] & {2, 3}
    assert search.evaluations < 25 * 16


def undo(search):
    """The state before the last ask."""
    state = search._core.save()
    return [
        (k, np.where(np.arange(len(v)) == 3, 0.0, v) if k == "counters" else v) for k, v in state
    ]


def test_a_resting_block_goes_on_with_its_last_costs():
    search = PolyStep(start(4), adaptive_probes=True, **FIXED, seed=0)
    slope = np.array([1.0, 1.0, 1e-4, 0.0])
    search.tell(search.ask() @ slope)
    before = search.x
    candidates = search.ask()
    assert len(candidates) == 4
    search.tell(candidates @ slope)
    # Costs that are linear give the same move again.
    np.testing.assert_allclose(search.x[2:] - before[2:], before[2:] - start(4)[2:], rtol=1e-9)


def test_screened_directions_are_drawn_to_the_mean():
    search = PolyStep(start(6), particle_dim=3, screen=True, **FIXED, seed=0)
    last = None
    for _ in range(10):
        x, candidates = search.x, search.ask()
        costs = np.sin(3 * candidates).sum(1)
        table = costs.reshape(2, 6).copy()
        contrast = np.abs(table[:, :3] - table[:, 3:])
        if last is not None:
            low = last.argmin(1)
            for i, a in enumerate(low):
                mean = costs.reshape(2, 6)[i].mean()
                table[i, [a, a + 3]] = 0.2 * table[i, [a, a + 3]] + 0.8 * mean
        search.tell(costs)
        directions = (candidates - x).reshape(2, 6, 6) / 0.4
        move = 0.3 * (softmax(table)[:, :, None] * directions).sum((0, 1))
        np.testing.assert_allclose(search.x, x + move, rtol=1e-11, atol=1e-13)
        last = contrast


def test_covariance_follows_its_formulas():
    d, p = 6, 2
    search = PolyStep(start(d), covariance=True, **FIXED, seed=0)
    c, path, pull = np.ones(d), np.zeros(d), np.zeros(d)
    usual, wide = None, 1.0
    c_s, c_c, c_1 = 4 / (d + 5), 4 / (d + 4), 2 / ((d + 1.3) ** 2 + 2)
    c_mu = 1 / ((d + 2) ** 2 + 2)
    for _ in range(40):
        x, candidates = search.x, search.ask()
        assert search.radii()["probe_radius"] == pytest.approx(0.8 * wide)
        unit = (candidates - x) / (0.4 * wide)
        # D times a rotation: its rows have norm one without D.
        for i in range(3):
            block = unit[4 * i : 4 * i + 2, 2 * i : 2 * i + 2] / np.sqrt(c[2 * i : 2 * i + 2])
            np.testing.assert_allclose(block @ block.T, np.eye(2), atol=1e-9)
        costs = (np.array([1, 30, 1, 1, 5, 1]) * candidates**2).sum(1)
        weights = softmax(costs.reshape(3, 4)).reshape(-1)
        search.tell(costs)
        move = 0.3 * wide * weights @ unit
        np.testing.assert_allclose(search.x, x + move, rtol=1e-9, atol=1e-12)
        u, w = (v / np.sqrt((v**2).mean()) for v in (move, move / np.sqrt(c)))
        path = (1 - c_c) * path + np.sqrt(c_c * (2 - c_c)) * u
        pull = (1 - c_s) * pull + np.sqrt(c_s * (2 - c_s)) * w
        c = (1 - c_1 - c_mu) * c + c_1 * path**2 + c_mu * p * weights @ unit**2
        length = np.linalg.norm(pull)
        usual = 0.9 * (length if usual is None else usual) + 0.1 * length
        wide = np.clip(wide * np.exp(c_s / (1 + c_s) * (length / usual - 1)), 0.1, 10)
    assert abs(wide - 1) > 0.01


def test_covariance_helps_where_coordinates_differ_in_scale():
    scale, cost = np.logspace(0, 3, 20), {}
    for covariance in (False, True):
        search = PolyStep(start(20), covariance=covariance, seed=0)
        for _ in range(300):
            search.tell((scale * search.ask() ** 2).sum(1))
        cost[covariance] = search.best.cost
    assert cost[True] < 0.1 * cost[False]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"adaptive_probes": True}, "adaptive_probes must be off with an automatic probe_radius"),
        (
            {"adaptive_probes": True, "probe_radius": 1.0, "biased_rotation": True},
            "adaptive_probes must be off",
        ),
        (
            {"adaptive_num_probe": True, "num_probe": 2, "trust_region": True},
            "adaptive_num_probe must be off with",
        ),
        ({"screen": True, "polytope": "cube", "probe_radius": 1.0}, "screen must be off unless"),
        ({"covariance": 2}, "covariance must be"),
    ],
)
def test_refuses_what_does_not_go_together(options, match):
    with pytest.raises(ValueError, match=match):
        PolyStep(np.ones(4), **options)


def test_one_solution_has_one_covariance():
    with pytest.raises(ValueError, match="x0 must be one row with covariance"):
        PolyStep(np.ones((2, 3)), covariance=True)
