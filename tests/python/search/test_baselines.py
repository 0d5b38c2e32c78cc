"""OpenAI-ES and SPSA against references from their papers; what all such searchers promise."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thalweg
from thalweg.search import (
    CBO,
    CMA,
    GFM,
    SPSA,
    Cosine,
    CoveringDirectSearch,
    DifferentialEvolution,
    GFMPlus,
    NelderMead,
    OpenAIES,
    ParticleSwarm,
    RandomSearch,
    SepCMA,
    ZORankSGD,
    minimize,
)

SEARCHERS = [
    OpenAIES, SPSA, DifferentialEvolution, SepCMA, ParticleSwarm, NelderMead, RandomSearch,
    CMA, CBO, GFM, GFMPlus, CoveringDirectSearch, ZORankSGD,
]  # fmt: skip
BOUNDARIES = ["reflect", "resample", "transform"]
D = 7


def cost(x):
    """Not symmetric, with ties."""
    return np.floor(4 * ((x - 0.3) ** 2).sum(axis=1)) / 4 + 0.1 * x[:, 0]


def centred_ranks(costs):
    order = np.empty(len(costs))
    for i, c in enumerate(costs):
        order[i] = (costs < c).sum() + ((costs == c).sum() - 1) / 2
    return order / (len(costs) - 1) - 0.5


def reference_es(x, candidates, costs, state, t, *, sigma, lr, optimizer, shaping, decay):
    """One step of Alg. 1, the noise read off the candidates."""
    n = len(costs)
    noise = (candidates[0::2] - x) / sigma
    u = centred_ranks(costs)
    if shaping == "zscore":
        u = (costs - costs.mean()) / (costs.std() + 1e-8)
    g = ((u[0::2] - u[1::2])[:, None] * noise).sum(0) / (n * sigma) + decay * x
    m, v = state
    if optimizer == "sgd":
        m = 0.9 * m + g
        return x - lr * m, (m, v)
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return x - lr * step, (m, v)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("shaping", ["ranks", "zscore"])
def test_openai_es_equals_its_reference(optimizer, shaping):
    chosen = {"sigma": 0.3, "lr": 0.05, "optimizer": optimizer, "shaping": shaping}
    search = OpenAIES(np.linspace(-1, 2, D), population=8, weight_decay=0.1, seed=3, **chosen)
    x, state = search.x, (np.zeros(D), np.zeros(D))
    for t in range(1, 31):
        candidates = search.ask()
        np.testing.assert_allclose(candidates[0::2] - x, x - candidates[1::2], atol=1e-12)
        costs = cost(candidates)
        search.tell(costs)
        x, state = reference_es(x, candidates, costs, state, t, decay=0.1, **chosen)
        np.testing.assert_allclose(search.x, x, rtol=1e-9, atol=1e-12)


def test_spsa_equals_its_reference():
    search = SPSA(np.linspace(-1, 2, D), directions=3, a=0.2, c=0.3, stability=5, seed=1)
    x = search.x
    for t in range(30):
        candidates = search.ask()
        c, a = 0.3 / (t + 1) ** 0.101, 0.2 / (t + 6) ** 0.602
        signs = (candidates[0::2] - x) / c
        np.testing.assert_allclose(np.abs(signs), 1.0)
        np.testing.assert_allclose(candidates[1::2], 2 * x - candidates[0::2], atol=1e-12)
        costs = cost(candidates)
        search.tell(costs)
        x = x - a * ((costs[0::2] - costs[1::2])[:, None] / (2 * c) * signs).mean(0)
        np.testing.assert_allclose(search.x, x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [OpenAIES, SPSA])
def test_draws_are_those_of_their_law(make):
    search = make(np.zeros(4000), seed=0)
    step = search.ask()[0]
    scale = 0.02 if make is OpenAIES else 0.1
    assert abs(step.mean()) < 4 * scale / np.sqrt(4000)
    assert step.std() == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("make", SEARCHERS)
def test_same_bits_on_any_number_of_threads(make):
    ends, before = [], thalweg.get_num_threads()
    try:
        for threads in (1, 2, 7):
            thalweg.set_num_threads(threads)
            # A simplex and a covariance take memory of the square of that.
            search = make(np.ones({NelderMead: 301, CMA: 601}.get(make, 20_001)), seed=5)
            for _ in range(3):
                search.tell(cost(search.ask()))
            ends.append(search.x)
    finally:
        thalweg.set_num_threads(before)
    assert all((end == ends[0]).all() for end in ends)


@pytest.mark.parametrize("make", SEARCHERS)
@pytest.mark.parametrize("copied", ["state", "pickle", "deepcopy"])
@given(steps=st.integers(0, 30), boundary=st.sampled_from([None, *BOUNDARIES]))
@settings(max_examples=10, deadline=None)
def test_a_resumed_run_equals_an_uninterrupted_one(make, copied, steps, boundary):
    chosen = {"bounds": [(-1, 2)] * D, "boundary": boundary} if boundary else {}
    search = make(np.ones(D), seed=5, **chosen)
    for _ in range(steps):
        search.tell(cost(search.ask()))
    open_step = search.ask()
    if copied == "state":
        other = make(np.zeros(D), seed=9, **chosen)
        other.load_state_dict(search.state_dict())
    else:
        other = pickle.loads(pickle.dumps(search)) if copied == "pickle" else copy.deepcopy(search)
    for one in (search, other):
        one.tell(cost(open_step))
        for _ in range(3):
            one.tell(cost(one.ask()))
    assert (search.x == other.x).all()
    assert search.best.cost == other.best.cost
    assert (search.step, search.evaluations) == (other.step, other.evaluations)


@pytest.mark.parametrize("make", SEARCHERS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@given(low=st.floats(-2, 0.9), width=st.floats(0, 3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_bounds_hold(make, boundary, low, width, seed):
    sides = [(low, low + width), (low, np.inf), (-np.inf, low), (-np.inf, np.inf)]
    box = np.array([sides[i % 4] for i in range(D)])
    wide = {
        SPSA: {"c": 1.0}, NelderMead: {"initial_step": 1.0}, ParticleSwarm: {},
        GFM: {"delta": 1.0}, GFMPlus: {"delta": 1.0},
        CoveringDirectSearch: {"radius": 2.0, "speculative": True}, ZORankSGD: {"mu": 1.0},
    }  # fmt: skip
    search = make(
        np.ones(D), bounds=box, boundary=boundary, seed=seed, **wide.get(make, {"sigma": 1.0})
    )
    for _ in range(5):
        candidates = search.ask()
        assert np.isfinite(candidates).all()
        assert (candidates >= box[:, 0]).all()
        assert (candidates <= box[:, 1]).all()
        search.tell(cost(candidates))
        assert ((search.x >= box[:, 0]) & (search.x <= box[:, 1])).all()


@pytest.mark.parametrize("make", SEARCHERS)
def test_the_transform_starts_where_it_was_told(make):
    start = np.array([0.5, 7.0, -3.0, 2.0])
    box = [(-1, 2), (2, None), (None, 1), (None, None)]
    search = make(start, bounds=box, boundary="transform", seed=0)
    np.testing.assert_allclose(search.x, start, rtol=1e-12)
    with pytest.raises(ValueError, match="boundary must be one of"):
        make(start, bounds=box, boundary="clip")
    with pytest.raises(ValueError, match="bounds must be low <= high"):
        make(start, bounds=[(1, 0)] * 4)


def test_coordinates_outside_are_drawn_again_uniformly():
    search = OpenAIES(
        np.zeros(4000), sigma=0.5, bounds=[(-1, 1)] * 4000, boundary="resample", seed=0
    )
    free = OpenAIES(np.zeros(4000), sigma=0.5, seed=0)
    drawn, raw = search.ask()[0], free.ask()[0]
    outside = np.abs(raw) > 1
    np.testing.assert_array_equal(drawn[~outside], raw[~outside])
    again = drawn[outside]
    assert abs(again.mean()) < 4 / np.sqrt(3 * len(again))
    assert again.std() == pytest.approx(1 / np.sqrt(3), rel=0.15)


@pytest.mark.parametrize("make", SEARCHERS)
def test_bad_costs_are_worst_and_counted(make):
    search = make(np.ones(D), seed=0)
    costs = cost(search.ask())
    costs[0] = np.nan
    search.tell(costs)
    assert search.nonfinite == 1
    assert search.best.cost == min(costs[np.isfinite(costs)], default=np.inf)
    before = search.x
    asked = len(search.ask())
    search.tell(np.full(asked, np.inf))
    assert search.nonfinite == 1 + asked
    assert np.isfinite(search.x).all()
    if make is SPSA:
        assert (search.x == before).all()


@pytest.mark.parametrize("make", SEARCHERS)
def test_refusals_leave_the_search_as_it_was(make):
    search = make(np.ones(D), seed=0)
    with pytest.raises(ValueError, match="tell must be called after ask"):
        search.tell([1.0])
    candidates = search.ask()
    with pytest.raises(ValueError, match="ask must be called once before tell"):
        search.ask()
    state = search.state_dict()
    with pytest.raises(ValueError, match=r"costs of shape \(\d+,\) does not match"):
        search.tell(np.ones(search.population + 1))
    with pytest.raises(TypeError, match="costs must be real numbers"):
        search.tell(["a"] * search.population)
    with pytest.raises(TypeError, match="costs must be real numbers"):
        search.tell(np.ones(search.population, dtype=complex))
    np.testing.assert_equal(search.state_dict(), state)
    search.tell(cost(candidates))
    with pytest.raises(ValueError, match="state must be one of a search with the same settings"):
        search.load_state_dict(make(np.ones(D + 1)).state_dict())
    assert search.step == 1


@pytest.mark.parametrize(
    ("make", "chosen", "message"),
    [
        (OpenAIES, {"population": 3}, "population must be even"),
        (OpenAIES, {"sigma": 0.0}, "sigma must be"),
        (OpenAIES, {"lr": -1.0}, "lr must be"),
        (OpenAIES, {"optimizer": "rms"}, "optimizer must be 'adam' or 'sgd'"),
        (OpenAIES, {"shaping": "none"}, "shaping must be 'ranks' or 'zscore'"),
        (OpenAIES, {"momentum": 1.0}, r"momentum must be in \[0, 1\)"),
        (OpenAIES, {"weight_decay": -1.0}, "weight_decay must be"),
        (OpenAIES, {"sigma": Cosine(init=1.0, target=0.0)}, "sigma must be"),
        (SPSA, {"a": 0.0}, "a must be a positive number"),
        (SPSA, {"c": np.inf}, "c must be a positive number"),
        (SPSA, {"alpha": -0.1}, "alpha must be a number >= 0"),
        (SPSA, {"directions": 0}, "directions must be an integer >= 1"),
        (SPSA, {"bounds": [(1, 0)] * D}, "bounds must be low <= high"),
    ],
)
def test_settings_out_of_range(make, chosen, message):
    with pytest.raises(ValueError, match=message):
        make(np.ones(D), **chosen)
    with pytest.raises(ValueError, match=r"x0 must be of shape \(d,\)"):
        make(np.ones((2, D)))


def test_schedules_are_followed():
    search = OpenAIES(np.ones(D), sigma=Cosine(init=0.5, target=0.1, total_steps=4), seed=0)
    widths = []
    for _ in range(6):
        candidates = search.ask()
        widths.append(np.abs(candidates - search.x).mean())
        search.tell(cost(candidates))
    assert widths[0] > widths[2] > widths[4]


@pytest.mark.parametrize("make", SEARCHERS)
def test_minimize_refuses_a_budget_of_zero(make):
    with pytest.raises(ValueError, match="maxfev must be >= 1"):
        minimize(lambda x: x @ x, np.ones(3), method=make.method, maxfev=0)


@pytest.mark.parametrize("method", ["openai_es", "spsa"])
def test_minimize_knows_them(method):
    options = {"sigma": 0.1, "lr": 0.05} if method == "openai_es" else {}
    result = minimize(
        lambda x: ((x - 1) ** 2).sum(), np.zeros(4), method=method, seed=0, maxfev=20_000,
        options=options,
    )  # fmt: skip
    assert result.fun < 0.05
