"""PolyStep against the oracle, and its contracts."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import oracle

import thalweg
from thalweg.search import (
    Bounds,
    Cosine,
    KLSoftmax,
    Linear,
    PolyStep,
    Power,
    Progressive,
    Sinkhorn,
    Tempered,
    TopK,
)


def bumpy(x):
    return (x**2).sum(-1) + np.sin(3 * x).sum(-1) + np.cos(x.sum(-1))


def start(d, seed=0):
    return np.random.default_rng(seed).normal(size=d)


def follow(search, reference, steps, cost=bumpy):
    """Runs both, telling the product's candidates to the oracle.

    The oracle starts each step from the product's x: it divides by the probe radius, which would
    magnify a difference from step to step.
    """
    for t in range(steps):
        x = search.x
        candidates = search.ask()
        costs = cost(candidates)
        x = reference(t, x, candidates, costs)
        search.tell(costs)
        np.testing.assert_allclose(search.x, x, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("polytope", ["orthoplex", "simplex", "cube"])
@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("how", [None, 2.5, "mean", "max_cost", "row_std", "global_std", "ranks"])
def test_a_step_equals_the_oracle(polytope, p, how):
    fixed = {
        "particle_dim": p,
        "polytope": polytope,
        "epsilon": 0.5,
        "step_radius": 0.6,
        "probe_radius": 1.4,
    }
    search = PolyStep(start(6), **fixed, scale_cost=how, momentum=0.0, seed=1)
    v = oracle.counts(polytope, p)

    def reference(t, x, candidates, costs):
        settings = {
            "p": p,
            "v": v,
            "k": 1,
            "eps": 0.5,
            "s": 0.3,
            "rho": 0.7,
            "how": how,
            "solver": "softmax",
        }
        return x + oracle.move(x, candidates, costs, **settings)

    follow(search, reference, 50)


@pytest.mark.parametrize("solver", ["softmax", "greedy", "top_k", "tempered"])
@pytest.mark.parametrize("k", [1, 3])
def test_solvers_and_probes_equal_the_oracle(solver, k):
    search = PolyStep(
        start(8), particle_dim=4, num_probe=k, epsilon=0.7, step_radius=1.0, probe_radius=2.0,
        scale_cost=None, solver=solver, momentum=0.0, seed=2,
    )  # fmt: skip

    def reference(t, x, candidates, costs):
        settings = {
            "p": 4,
            "v": 8,
            "k": k,
            "eps": 0.7,
            "s": 0.7,
            "rho": 1.4,
            "how": None,
            "solver": solver,
        }
        return x + oracle.move(x, candidates, costs, **settings)

    follow(search, reference, 20)


def test_sinkhorn_equals_plain_scaling_iterations():
    search = PolyStep(
        start(8), particle_dim=2, epsilon=0.8, step_radius=1.0, probe_radius=1.0, scale_cost="mean",
        solver=Sinkhorn(tol=1e-13, max_iter=100_000), momentum=0.0, seed=3,
    )  # fmt: skip
    x = search.x
    for _ in range(5):
        candidates = search.ask()
        costs = bumpy(candidates)
        settings = {
            "p": 2,
            "v": 4,
            "k": 1,
            "eps": 0.8,
            "s": 0.8,
            "rho": 0.8,
            "how": "mean",
            "solver": "sinkhorn",
        }
        x = x + oracle.move(x, candidates, costs, **settings)
        search.tell(costs)
        np.testing.assert_allclose(search.x, x, atol=1e-9)


def test_one_sided_transport_starts_at_softmax_and_differs_from_it():
    moved = []
    for solver in ("softmax", KLSoftmax(lam=0.0), KLSoftmax(lam=1.0)):
        search = PolyStep(start(8), solver=solver, seed=0)
        search.tell(bumpy(search.ask()))
        moved.append(search.x)
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-12)
    assert np.abs(moved[0] - moved[2]).max() > 1e-6


def test_momentum_and_schedules_equal_the_oracle():
    search = PolyStep(
        start(6), epsilon=Linear(init=1.0, target=0.2, decay=0.1),
        step_radius=Cosine(init=0.8, target=0.1, total_steps=8), probe_radius=Power(init=1.5),
        momentum=(0.5, 0.95), max_iterations=11, velocity_lr=0.4, scale_cost=1.0, seed=4,
    )  # fmt: skip
    velocity = np.zeros(6)

    def reference(t, x, candidates, costs):
        nonlocal velocity
        eps = max(1.0 - 0.1 * t, 0.2)
        s = 0.1 + 0.35 * (1 + np.cos(np.pi * min(t, 8) / 8))
        rho = 1.5 * (t + 1) ** -0.6
        settings = {
            "p": 2,
            "v": 4,
            "k": 1,
            "eps": eps,
            "s": s,
            "rho": rho,
            "how": 1.0,
            "solver": "softmax",
        }
        velocity = (0.5 + min(1, t / 10) * 0.45) * velocity + oracle.move(
            x, candidates, costs, **settings
        )
        return x + 0.4 * velocity

    follow(search, reference, 20)


def test_amortised_steps_coast_along_the_mean_move():
    search = PolyStep(
        start(6), amortize=3, epsilon=1.0, step_radius=0.5, probe_radius=1.0, scale_cost=1.0,
        momentum=0.0, seed=5,
    )  # fmt: skip
    mean = None

    def reference(t, x, candidates, costs):
        nonlocal mean
        settings = {
            "p": 2,
            "v": 4,
            "k": 1,
            "eps": 1.0,
            "s": 0.5,
            "rho": 1.0,
            "how": 1.0,
            "solver": "softmax",
        }
        d = oracle.move(x, candidates, costs, **settings)
        mean = d if mean is None else 0.7 * mean + 0.3 * d
        return x + d + (2 / 3 + 1 / 3) * mean

    follow(search, reference, 10)
    assert search.step == 30


def test_adaptive_radius_and_trust_region_follow_their_rules():
    search = PolyStep(start(4), step_radius=1.0, probe_radius=1.0, adaptive_radius=True, seed=0)
    multiplier, last, idle = 1.0, None, 0
    for _ in range(60):
        assert search.radii()["step_radius"] == pytest.approx(multiplier)
        costs = np.round(bumpy(search.ask()), 1)
        search.tell(costs)
        cost = costs.mean()
        if last is not None:
            if abs(cost - last) / abs(last) < 1e-4:
                idle += 1
                if idle == 10:
                    multiplier, idle = min(3, 1.5 * multiplier), 0
            else:
                idle = 0
                if cost < last:
                    multiplier = max(0.5, 0.9 * multiplier)
        last = cost
    trusted = PolyStep(
        start(4), step_radius=0.2, probe_radius=0.2, num_probe=2, trust_region=True, seed=0,
        momentum=0.0, scale_cost="global_std",
    )  # fmt: skip
    before = trusted.radii()["step_radius"]
    for _ in range(8):
        trusted.tell((trusted.ask() ** 2).sum(1))
    assert trusted.radii()["step_radius"] > before


def test_newton_refinement_finds_the_bottom_of_a_separable_bowl_sooner():
    cost = {}
    for refine in (False, True):
        search = PolyStep(
            np.full(6, 2.0), num_probe=2, epsilon=1.0, step_radius=1.0, probe_radius=1.0,
            newton_refinement=refine, momentum=0.0, scale_cost="global_std", seed=0,
        )  # fmt: skip
        for _ in range(30):
            search.tell((search.ask() ** 2).sum(1))
        cost[refine] = (search.x**2).sum()
    assert cost[True] < cost[False]


def test_candidates_are_the_rotated_polytope_of_one_block_each():
    search = PolyStep(start(10), particle_dim=4, radius=0.5, seed=0)
    candidates = search.ask()
    assert len(candidates) == search.population == 1 + 3 * 8
    np.testing.assert_array_equal(candidates[0], search.x)
    offsets = (candidates[1:] - search.x).reshape(3, 8, 10)
    for i, block in enumerate(offsets):
        outside = np.delete(block, np.arange(4 * i, min(4 * i + 4, 10)), axis=1)
        assert (outside == 0).all()
        np.testing.assert_allclose(block[:4], -block[4:], atol=1e-15)
    full = offsets[0][:4, :4]
    np.testing.assert_allclose(full @ full.T, 0.25 * np.eye(4), atol=1e-12)
    assert np.linalg.det(full) > 0
    np.testing.assert_array_equal(search.candidates(3, 7), candidates[3:7])


def test_effective_learning_rate_is_that_of_the_linear_regime():
    search = PolyStep(
        start(6), particle_dim=3, epsilon=100.0, step_radius=0.02, probe_radius=0.004,
        scale_cost=2.0, momentum=0.0, seed=0,
    )  # fmt: skip
    x = search.x
    search.tell((search.ask() ** 2).sum(1))
    rate = (0.02 * 100) * (0.004 * 100 / 2) / (3 * 100.0 * 2.0)
    assert search.effective_lr == pytest.approx(rate, rel=1e-4)
    np.testing.assert_allclose(search.x, x - rate * 2 * x, rtol=1e-4)


def test_biased_rotation_starts_with_the_last_direction():
    search = PolyStep(start(4), particle_dim=4, biased_rotation=True, momentum=0.0, seed=0)
    before = search.x
    search.tell(bumpy(search.ask()))
    move = search.x - before
    first = search.ask()[1] - search.x
    cosine = first @ move / np.linalg.norm(first) / np.linalg.norm(move)
    assert cosine == pytest.approx(1.0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "sinkhorn", "particle_dim": 2, "epsilon": Progressive()},
        {"amortize": 2, "biased_rotation": True, "particle_dim": 3},
        {"step_radius": 1.0, "probe_radius": 1.0, "adaptive_radius": True, "jitter": 0.05},
        {"num_probe": 2, "trust_region": True, "newton_refinement": True},
        {"groups": [2, 5], "scale_cost": "row_std"},
        {"groups": [2, 5], "step_radius": 1e-3, "probe_radius": 1.0, "adaptive_probes": True},
        {"num_probe": 3, "adaptive_num_probe": True, "screen": True, "particle_dim": 3},
        {"covariance": True, "step_radius": 0.3, "probe_radius": 1.0},
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(options):
    whole = PolyStep(start(7), seed=9, **options)
    for _ in range(4):
        whole.tell(bumpy(whole.ask()))
    fresh = PolyStep(start(7), seed=1, **options)
    fresh.load_state_dict(whole.state_dict())
    others = [fresh, pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)]
    for _ in range(3):
        candidates = whole.ask()
        for other in others:
            np.testing.assert_array_equal(other.ask(), candidates)
        # Also in the middle of a step.
        others = [pickle.loads(pickle.dumps(other)) for other in others]
        whole.tell(bumpy(candidates))
        for other in others:
            other.tell(bumpy(candidates))
            np.testing.assert_array_equal(other.x, whole.x)
    assert others[0].best.cost == whole.best.cost


def test_the_same_bits_for_any_number_of_threads():
    seen = []
    try:
        for threads in (1, 2, 7):
            thalweg.set_num_threads(threads)
            search = PolyStep(start(600), particle_dim=3, seed=0)
            for _ in range(3):
                search.tell(bumpy(search.ask()))
            seen.append(search.x)
    finally:
        thalweg.set_num_threads(0)
    assert (seen[0] == seen[1]).all()
    assert (seen[0] == seen[2]).all()


@given(
    d=st.integers(1, 9),
    p=st.integers(1, 5),
    width=st.floats(0.01, 100),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=40, deadline=None)
def test_nothing_leaves_the_box(d, p, width, seed):
    low = np.linspace(-1, 0, d)
    high = low + width
    search = PolyStep(np.full(d, 5.0), particle_dim=p, bounds=Bounds(low, high), seed=seed)
    for _ in range(5):
        candidates = search.ask()
        assert (candidates >= low).all()
        assert (candidates <= high).all()
        search.tell(-candidates.sum(1))
    assert (search.x >= low).all()
    assert (search.x <= high).all()
    assert search.best.cost <= -low.sum()


@given(scale=st.floats(1e-6, 1e6), offset=st.floats(-1e3, 1e3))
@settings(max_examples=30, deadline=None)
def test_default_moves_do_not_depend_on_the_unit_of_the_costs(scale, offset):
    moved = []
    for factor, shift in ((1.0, 0.0), (scale, offset * scale)):
        search = PolyStep(start(6), seed=0)
        search.tell(factor * bumpy(search.ask()) + shift)
        moved.append(search.x)
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-7, atol=1e-9)


def test_bad_costs_count_as_worst_and_are_counted():
    search = PolyStep(np.ones(4), seed=0)
    for _ in range(100):
        candidates = search.ask()
        costs = (candidates**2).sum(1)
        costs[3] = np.nan
        costs[5] = np.inf
        costs[7] = -np.inf
        search.tell(costs)
    assert search.nonfinite == 300
    assert np.isfinite(search.x).all()
    assert search.best.cost < 0.1
    nothing = PolyStep(np.ones(4), seed=0)
    nothing.ask()
    nothing.tell(np.full(nothing.population, np.nan))
    np.testing.assert_array_equal(nothing.x, np.ones(4))


def test_several_solutions_are_searched_side_by_side():
    x0 = np.random.default_rng(0).normal(size=(3, 4))
    search = PolyStep(x0, seed=0)
    assert search.population == 3 + 3 * 2 * 4
    for _ in range(150):
        search.tell((search.ask() ** 2).sum(1))
    assert search.x.shape == (3, 4)
    assert np.abs(search.x).max() < 1e-2


def test_the_published_forms():
    es = PolyStep.published_es(np.ones(5), step_radius=0.25, seed=0)
    candidates = es.ask()
    assert len(candidates) == 10
    np.testing.assert_allclose(np.linalg.norm(candidates - 1, axis=1), 0.25)
    training = PolyStep.published(np.ones(6), seed=0)
    assert training.radii() == pytest.approx(
        {"epsilon": 0.1, "step_radius": 0.1, "probe_radius": 0.2}
    )
    costs = np.arange(training.population, dtype=float)
    training.ask()
    costs[0] = np.nan
    training.tell(costs)
    assert training.nonfinite == 1


def test_solvers_with_settings_run():
    for solver in (
        TopK(k=2),
        Tempered(tau=0.5),
        Sinkhorn(adaptive_omega=True, momentum=0.3, anderson=3),
    ):
        search = PolyStep(np.ones(6), solver=solver, seed=0)
        for _ in range(20):
            search.tell((search.ask() ** 2).sum(1))
        assert search.best.cost < 6.0


def rosenbrock(x):
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(1)


@pytest.mark.parametrize(("cost", "target"), [(lambda x: (x**2).sum(1), 1e-8), (rosenbrock, 15.0)])
def test_defaults_do_the_job(cost, target):
    for seed in range(3):
        search = PolyStep(np.random.default_rng(seed).uniform(-1.5, 1.5, 20), seed=seed)
        while search.evaluations < 12_000:
            search.tell(cost(search.ask()))
        assert search.best.cost < target


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"particle_dim": 0}, "particle_dim must be an integer >= 1, got 0"),
        ({"polytope": "torus"}, "polytope must be 'orthoplex', 'cube' or 'simplex'"),
        ({"epsilon": -1.0}, "epsilon must be a positive number, got -1"),
        ({"epsilon": Linear(init=0.0)}, "epsilon must be a positive number or a schedule"),
        ({"epsilon": Progressive()}, "unless solver='sinkhorn'"),
        ({"jitter": 1.0}, "jitter must be in"),
        ({"solver": "gurobi"}, "solver must be 'softmax'"),
        ({"scale_cost": "median"}, "scale_cost must be None"),
        ({"momentum": 1.0}, "momentum must be in"),
        ({"newton_refinement": True}, "num_probe must be at least 2"),
        ({"polytope": "simplex"}, "probe_radius must be a number or a schedule unless"),
        ({"polytope": "cube", "particle_dim": 30, "probe_radius": 1.0}, "at most 20"),
        ({"groups": [3, 2]}, "groups must be increasing"),
        ({"bounds": [(1, 0)] * 40}, "low <= high"),
        ({"bounds": ([0, 0, 0], 1)}, "bounds must be 40 pairs"),
        ({"bounds": Bounds([0, 0, 0], 1)}, "bounds must fit 40"),
        ({"compat": ["all"]}, "compat must be a subset"),
        ({"seed": -1}, "seed must be in"),
    ],
)
def test_refuses_settings(options, match):
    with pytest.raises(ValueError, match=match):
        PolyStep(np.ones(40), **options)


def test_refuses_misuse_and_stays_as_it_was():
    search = PolyStep(np.ones(4), seed=0)
    with pytest.raises(ValueError, match="tell must be called after ask"):
        search.tell(np.ones(9))
    search.ask()
    before = search.state_dict()
    with pytest.raises(ValueError, match="ask must be called once before tell"):
        search.ask()
    with pytest.raises(ValueError, match=r"costs of shape \(3,\) does not match"):
        search.tell(np.ones(3))
    with pytest.raises(TypeError, match="real numbers"):
        search.tell(np.ones(9) * 1j)
    with pytest.raises(ValueError, match="restart must be called after tell"):
        search.restart(np.ones(4))
    after = search.state_dict()
    assert all(np.array_equal(before[k], after[k], equal_nan=True) for k in before)
    with pytest.raises(ValueError, match="same settings"):
        search.load_state_dict(PolyStep(np.ones(5), seed=0).state_dict())
    search.tell(np.ones(9))
    for x0 in ([], np.ones((2, 2, 2)), [np.nan]):
        with pytest.raises(ValueError, match="x0"):
            PolyStep(x0)
    with pytest.raises(TypeError, match="seed must be None"):
        PolyStep([1.0], seed="now")


def terraces(x):
    """A count, as errors of a classifier."""
    return np.floor(20 * np.abs(x).mean(1)) / 20


def test_counts_are_searched_with_long_radii_in_large_blocks():
    search = PolyStep(start(9), radius=0.4, seed=0)
    assert search.population == 1 + 2 * 2 * 5
    search.tell(terraces(search.ask()))
    assert search.population == 1 + 2 * 9
    candidates = search.ask()
    probes = candidates[1:] - search.x
    np.testing.assert_allclose(np.linalg.norm(probes, axis=1), 0.4 * 0.4 * 3, rtol=1e-12)
    assert search.radii()["epsilon"] == pytest.approx(0.1)
    search.tell(terraces(candidates))
    # radii stay
    assert search.radii()["probe_radius"] == pytest.approx(0.48)


def test_smooth_costs_and_fixed_radii_know_no_plateau():
    for search, cost in (
        (PolyStep(start(9), seed=0), lambda x: (x**2).sum(1)),
        (PolyStep(start(9), plateau=False, seed=0), terraces),
        (PolyStep(start(9), probe_radius=1.0, seed=0), terraces),
        (PolyStep(start(9), step_radius=1.0, seed=0), terraces),
    ):
        before = search.population
        search.tell(cost(search.ask()))
        assert search.population == before
        assert search.radii()["epsilon"] == 1.0


def test_a_chosen_block_size_is_kept_on_a_plateau():
    search = PolyStep(start(9), particle_dim=3, seed=0)
    search.tell(terraces(search.ask()))
    blocks = (search.ask()[1:] != search.x).reshape(3, 6, 9).any(1)
    np.testing.assert_array_equal(blocks, np.kron(np.eye(3), np.ones(3)).astype(bool))


def test_a_run_on_a_plateau_resumes_and_reaches_the_ground():
    whole = PolyStep(start(9), seed=9)
    for _ in range(4):
        whole.tell(terraces(whole.ask()))
    fresh = PolyStep(start(9), seed=1)
    fresh.load_state_dict(whole.state_dict())
    others = [fresh, pickle.loads(pickle.dumps(whole))]
    for _ in range(60):
        candidates = whole.ask()
        costs = terraces(candidates)
        for other in others:
            np.testing.assert_array_equal(other.ask(), candidates)
            other.tell(costs)
        whole.tell(costs)
    assert whole.best.cost <= 0.05
