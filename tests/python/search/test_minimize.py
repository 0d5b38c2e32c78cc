"""The one-call form: budgets, callbacks, workers, interruption."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from thalweg.search import PolyStep, methods, minimize, register
from thalweg.search.result import OptimizeResult, result_class


def sphere(x):
    return float((np.asarray(x) ** 2).sum())


def rows(x):
    return (x**2).sum(axis=1)


def shifted(x, centre):
    return float(((x - centre) ** 2).sum())


def test_result_is_scipys():
    optimize = pytest.importorskip("scipy.optimize")
    result = minimize(sphere, np.ones(4), seed=0)
    assert isinstance(result, optimize.OptimizeResult)
    assert result.success
    assert result.status == 0
    assert "step radius" in result.message
    assert result.fun < 1e-10
    assert result.fun == sphere(result.x)
    assert result.nfev == result.nit * 9


def test_our_result_behaves_alike(monkeypatch):
    result_class.cache_clear()
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    try:
        result = minimize(sphere, np.ones(2), seed=0)
    finally:
        result_class.cache_clear()
    assert type(result) is OptimizeResult
    assert result["fun"] == result.fun
    assert "nfev" in dir(result)
    assert "fun" in repr(result)
    result.extra = 1
    assert result["extra"] == 1
    del result.extra
    with pytest.raises(AttributeError):
        _ = result.extra


def test_vectorized_workers_and_mappers_give_the_same_run():
    plain = minimize(sphere, np.ones(3), seed=3, maxiter=10)
    for options in (
        {"workers": 2},
        {"workers": lambda fun, points: list(map(fun, points))},
    ):
        other = minimize(sphere, np.ones(3), seed=3, maxiter=10, **options)
        np.testing.assert_array_equal(other.x, plain.x)
    other = minimize(rows, np.ones(3), seed=3, maxiter=10, vectorized=True)
    np.testing.assert_allclose(other.x, plain.x, rtol=1e-9)


def test_budgets_args_and_bounds():
    result = minimize(shifted, np.zeros(3), (np.full(3, 2.0),), bounds=[(0, 1)] * 3, seed=0)
    np.testing.assert_allclose(result.x, 1.0)
    result = minimize(sphere, np.ones(3), seed=0, maxfev=70)
    assert result.status == 1
    assert result.nfev == 63
    assert not result.success
    assert minimize(sphere, np.ones(3), seed=0, maxfev=1).nit == 1
    assert minimize(sphere, np.ones(3), seed=0, maxiter=4).status == 2


def test_callbacks_follow_scipy():
    seen = []

    def with_result(intermediate_result):
        seen.append(intermediate_result.fun)
        return len(seen) == 5

    result = minimize(sphere, np.ones(3), seed=0, callback=with_result)
    assert result.status == 3
    assert result.nit == 5
    assert seen == sorted(seen, reverse=True)

    def with_x(xk):
        assert xk.shape == (3,)
        raise StopIteration

    assert minimize(sphere, np.ones(3), seed=0, callback=with_x).nit == 1


def test_interruption_returns_the_best_so_far():
    calls = 0

    def fun(x):
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt
        return sphere(x)

    result = minimize(fun, np.ones(3), seed=0)
    assert result.status == 4
    assert "interrupted" in result.message
    assert result.nfev == 11
    assert result.fun == sphere(result.x) < 3.0


def test_bad_costs_are_reported():
    def fun(x):
        return np.nan if x[0] > 1.0 else sphere(x)

    result = minimize(fun, np.ones(3), seed=0)
    assert result.nonfinite > 0
    assert "NaN or infinite" in result.message
    assert result.fun < 1e-8


def test_progress_bar(capsys):
    minimize(sphere, np.ones(3), seed=0, maxiter=3, progress=True)
    assert "eval" in capsys.readouterr().err


def test_other_methods_register_under_a_name():
    class Fixed:
        best = (np.zeros(2), np.inf)

        def __init__(self, x0, *, bounds, seed, size=4):
            self.points = np.random.default_rng(seed).normal(size=(size, x0.size))

        def ask(self):
            return self.points

        def tell(self, costs):
            self.best = (self.points[0], 0.0)

        def converged(self, tol):
            return "drawn once"

    register("fixed-test", Fixed)
    assert "fixed-test" in methods()
    assert "polystep" in methods()
    result = minimize(sphere, np.ones(2), method="fixed-test", seed=0, options={"size": 7})
    assert result.nfev == 7
    assert result.message == "drawn once"


def test_refuses():
    ones = np.ones(3)
    with pytest.raises(ValueError, match=r"method must be one of .*polystep"):
        minimize(sphere, ones, method="simplex")
    with pytest.raises(ValueError, match="workers must be 1 with vectorized"):
        minimize(rows, ones, vectorized=True, workers=2)
    with pytest.raises(ValueError, match="workers must be >= 1 or -1"):
        minimize(sphere, ones, workers=0)
    with pytest.raises(ValueError, match="maxfev must be >= 1"):
        minimize(sphere, ones, maxfev=0)
    with pytest.raises(ValueError, match="fun must return 9 costs, got 2"):
        minimize(lambda x: np.ones(2), ones, vectorized=True)
    with pytest.raises(ValueError, match="fun must return one real number"):
        minimize(lambda x: x, ones)
    with pytest.raises(ValueError, match="jitter"):
        minimize(sphere, ones, options={"jitter": 2.0})


def test_import_needs_numpy_alone():
    code = (
        "import sys, thalweg.search; "
        "assert not {'torch', 'scipy', 'sklearn', 'tqdm'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_default_options_reach_the_searcher():
    result = minimize(sphere, np.ones(4), seed=0, options={"particle_dim": 4}, maxiter=2)
    assert isinstance(result.searcher, PolyStep)
    assert result.searcher.population == 9


@pytest.mark.parametrize("answer", [None, "a", [1.0, 2.0], 1j])
def test_refuses_what_is_no_cost(answer):
    with pytest.raises((TypeError, ValueError), match="fun must return one real number, got"):
        minimize(lambda x: answer, np.ones(2))


def test_workers_need_what_can_be_sent():
    with pytest.raises(TypeError, match=r"picklable with workers=2.*define fun"):
        minimize(lambda x: 0.0, np.ones(2), workers=2)
