"""EnsembleKalman against the textbook formulas with all matrices formed; linear problems."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thalweg
from thalweg.search import EnsembleKalman

N, D, M = 12, 5, 7
RNG = np.random.default_rng(0)
MODEL = RNG.normal(size=(M, D))
TRUTH = np.linspace(-1, 2, D)
START = RNG.normal(size=(N, D))
FULL = np.cov(RNG.normal(size=(M, 50))) + 0.1 * np.eye(M)
NOISES = {
    "number": (0.3, 0.3 * np.eye(M)),
    "variances": (np.linspace(0.1, 1, M), np.diag(np.linspace(0.1, 1, M))),
    "covariance": (FULL, FULL),
}


def bent(x):
    return np.tanh(x @ MODEL.T) + 0.1 * x @ MODEL.T


OBSERVED = bent(TRUTH)


def covariances(x, y):
    dx, dy = x - x.mean(axis=0), y - y.mean(axis=0)
    return dx.T @ dy / len(x), dy.T @ dy / len(x)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("inflation", [1.0, 1.2])
def test_kalman_equals_the_textbook(noise, inflation):
    given_noise, cov = NOISES[noise]
    search = EnsembleKalman(START, OBSERVED, noise=given_noise, inflation=inflation, seed=0)
    x = START
    for _ in range(6):
        np.testing.assert_allclose(search.ask(), x, rtol=1e-8, atol=1e-10)
        y = bent(x)
        search.tell(y)
        cxy, cyy = covariances(x, y)
        x = x + (OBSERVED - y) @ np.linalg.inv(cyy + cov) @ cxy.T
        x = x.mean(axis=0) + inflation * (x - x.mean(axis=0))
        np.testing.assert_allclose(search.x, x.mean(axis=0), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("noise", ["number", "variances"])
def test_localization_weighs_the_covariance(noise):
    given_noise, cov = NOISES[noise]
    local = np.abs(RNG.normal(size=(D, M)))
    search = EnsembleKalman(START, OBSERVED, noise=given_noise, localization=local, seed=0)
    x = START
    for _ in range(4):
        np.testing.assert_allclose(search.ask(), x, rtol=1e-8, atol=1e-10)
        y = bent(x)
        search.tell(y)
        cxy, cyy = covariances(x, y)
        x = x + (OBSERVED - y) @ np.linalg.inv(cyy + cov) @ (local * cxy).T


def test_factors_of_one_change_nothing():
    searches = [
        EnsembleKalman(START, OBSERVED, localization=local, seed=0)
        for local in (None, np.ones((D, M)))
    ]
    for search in searches:
        search.ask()
        search.tell(bent(START))
    np.testing.assert_allclose(searches[0].ask(), searches[1].ask(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("noise", NOISES)
def test_enkg_equals_its_formula(noise):
    given_noise, cov = NOISES[noise]
    search = EnsembleKalman(START, OBSERVED, noise=given_noise, update="enkg", lr=0.7, seed=0)
    x, inverse = START, np.linalg.inv(cov)
    for _ in range(6):
        np.testing.assert_allclose(search.ask(), x, rtol=1e-8, atol=1e-10)
        y = bent(x)
        search.tell(y)
        coef = (y - OBSERVED) @ inverse @ (y - y.mean(axis=0)).T / N
        x = x - 0.7 / np.linalg.norm(coef) * coef @ (x - x.mean(axis=0))


def test_many_steps_reach_the_least_misfit_in_the_span():
    start = RNG.normal(size=(4, D))
    observed = MODEL @ TRUTH
    search = EnsembleKalman(start, observed, noise=0.01, seed=0)
    for _ in range(3000):
        search.tell(search.ask() @ MODEL.T)
    span = (start[1:] - start[0]).T
    t = np.linalg.lstsq(MODEL @ span, observed - MODEL @ start[0], rcond=None)[0]
    np.testing.assert_allclose(search.x, start[0] + span @ t, atol=0.01)


def test_one_step_with_perturbed_observations_is_the_posterior():
    n, noise, parts = 8000, 0.5, []
    start = np.random.default_rng(1).normal(size=(n, D))
    observed = MODEL @ TRUTH
    # In parts of a thousand: a step takes n^2 weights.
    for k in range(0, n, 1000):
        search = EnsembleKalman(start[k : k + 1000], observed, noise=noise, perturbed=True, seed=k)
        search.tell(search.ask() @ MODEL.T)
        parts.append(search.ask())
    x = np.concatenate(parts)
    precision = np.eye(D) + MODEL.T @ MODEL / noise
    mean = np.linalg.solve(precision, MODEL.T @ observed / noise)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), np.linalg.inv(precision), atol=0.02)


@given(seed=st.integers(0, 99), update=st.sampled_from(["kalman", "enkg"]))
@settings(max_examples=25, deadline=None)
def test_members_stay_in_the_span_of_the_first(seed, update):
    start = np.random.default_rng(seed).normal(size=(3, D))
    search = EnsembleKalman(start, OBSERVED, update=update, inflation=1.1, seed=seed)
    for _ in range(5):
        search.tell(bent(search.ask()))
    span = (start[1:] - start[0]).T
    off = (search.ask() - start[0]).T
    off = off - span @ np.linalg.lstsq(span, off, rcond=None)[0]
    assert np.abs(off).max() < 1e-8 * max(1, np.abs(search.x).max())


def test_the_best_member_and_its_misfit():
    search = EnsembleKalman(START, OBSERVED, noise=FULL, seed=0)
    x = search.ask()
    search.tell(bent(x))
    r = OBSERVED - bent(x)
    misfits = (r @ np.linalg.inv(FULL) * r).sum(axis=1) / 2
    assert search.best.cost == pytest.approx(misfits.min())
    np.testing.assert_array_equal(search.best.x, x[misfits.argmin()])
    assert search.evaluations == N


def test_failed_members_count_for_nothing_and_come_back():
    search = EnsembleKalman(START, OBSERVED, noise=0.3, seed=0)
    y = bent(search.ask())
    y[2], y[5, 1] = np.nan, np.inf
    search.tell(y)
    assert search.nonfinite == 2
    good = [i for i in range(N) if i not in (2, 5)]
    x, y = START[good], bent(START[good])
    cxy, cyy = covariances(x, y)
    x = x + (OBSERVED - y) @ np.linalg.inv(cyy + 0.3 * np.eye(M)) @ cxy.T
    after = search.ask()
    np.testing.assert_allclose(after[good], x, rtol=1e-8)
    spread = np.sqrt(((x - x.mean(axis=0)) ** 2).mean(axis=0))
    for i in (2, 5):
        assert (np.abs(after[i] - x.mean(axis=0)) < 6 * spread).all()
        assert not np.allclose(after[i], x.mean(axis=0))
    search.tell(np.full((N, M), np.nan))
    np.testing.assert_array_equal(search.ask(), after)


@pytest.mark.parametrize("copied", ["state", "pickle", "deepcopy"])
@pytest.mark.parametrize("chosen", [{}, {"perturbed": True}, {"update": "enkg"}])
def test_a_resumed_run_equals_an_uninterrupted_one(copied, chosen):
    search = EnsembleKalman(np.zeros(D), OBSERVED, population=8, seed=5, **chosen)
    search.tell(bent(search.ask()))
    y = bent(search.ask())
    if copied == "state":
        other = EnsembleKalman(np.ones(D), OBSERVED, population=8, seed=9, **chosen)
        other.load_state_dict(search.state_dict())
    else:
        other = pickle.loads(pickle.dumps(search)) if copied == "pickle" else copy.deepcopy(search)
    for one in (search, other):
        one.tell(y)
        one.tell(bent(one.ask()))
    np.testing.assert_array_equal(search.ask(), other.ask())


def test_same_bits_on_any_number_of_threads():
    model = np.random.default_rng(2).normal(size=(300, 400))
    ends, before = [], thalweg.get_num_threads()
    try:
        for threads in (1, 2, 7):
            thalweg.set_num_threads(threads)
            search = EnsembleKalman(np.ones(400), np.zeros(300), population=150, seed=0)
            for _ in range(2):
                search.tell(search.ask() @ model.T)
            ends.append(search.ask())
    finally:
        thalweg.set_num_threads(before)
    assert all((end == ends[0]).all() for end in ends)


@pytest.mark.parametrize("boundary", ["reflect", "resample", "transform"])
def test_bounds_hold(boundary):
    search = EnsembleKalman(
        START, 5 + OBSERVED, bounds=[(-0.5, 0.7)] * D, boundary=boundary, inflation=2.0, seed=0
    )
    for _ in range(6):
        x = search.ask()
        assert ((x >= -0.5) & (x <= 0.7)).all()
        search.tell(bent(x))


def test_refusals_leave_the_search_as_it_was():
    search = EnsembleKalman(START, OBSERVED, seed=0)
    with pytest.raises(ValueError, match="tell must be called after ask"):
        search.tell(np.zeros((N, M)))
    search.ask()
    state = search.state_dict()
    with pytest.raises(ValueError, match=r"outputs must be of shape \(12, 7\), got \(12,\)"):
        search.tell(np.zeros(N))
    with pytest.raises(TypeError, match="outputs must be real numbers"):
        search.tell(np.zeros((N, M), dtype=complex))
    np.testing.assert_equal(search.state_dict(), state)
    search.tell(bent(START))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"observation": np.zeros((2, 3))}, r"observation must be of shape \(m,\)"),
        ({"observation": []}, "observation must be at least one finite number"),
        ({"observation": [np.nan]}, "observation must be at least one finite number"),
        ({"noise": 0.0}, "noise must be positive variances"),
        ({"noise": np.ones(3)}, "noise must be positive variances"),
        ({"noise": np.ones((M, M))}, "noise must be positive definite"),
        ({"noise": np.triu(FULL)}, "noise must be symmetric"),
        ({"population": 5}, "population must be left out or the 12 rows"),
        ({"x0": np.ones(D), "population": 1}, "population must be an integer >= 2"),
        ({"update": "eks"}, "update must be 'kalman' or 'enkg'"),
        ({"inflation": 0.9}, "inflation must be a number >= 1"),
        ({"lr": 1.0}, "lr must be left out"),
        ({"update": "enkg", "lr": 0.0}, "lr must be a positive number"),
        ({"update": "enkg", "perturbed": True}, "perturbed must be left out"),
        ({"update": "enkg", "localization": np.ones((D, M))}, "localization must be left out"),
        ({"noise": FULL, "localization": np.ones((D, M))}, "localization must be left out"),
        ({"localization": np.ones((D, M + 1))}, "localization must be finite and of shape"),
        ({"localization": np.ones((D + 1, M))}, "localization must be 5 x 7 numbers"),
        ({"spread": -1.0}, "spread must be a positive number"),
    ],
)
def test_settings_out_of_range(chosen, message):
    settings_ = {"x0": START, "observation": OBSERVED, **chosen}
    with pytest.raises(ValueError, match=message):
        EnsembleKalman(**settings_)
