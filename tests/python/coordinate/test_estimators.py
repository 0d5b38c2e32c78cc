"""scikit-learn's own battery, and what it does not check."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso as Reference
from sklearn.linear_model import LassoCV as ReferenceCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import thalweg.coordinate as tc

# The battery compares fits by weight and by repetition to 1e-7, more than a default gap says of
# coefficients; scikit-learn tightens its own iterative estimators for it in the same way.
TIGHT = {"GroupLassoCV": 1e-12, "MultiTaskLassoCV": 1e-12}
ESTIMATORS = [
    getattr(tc, name)(**({"tol": TIGHT[name]} if name in TIGHT else {})) for name in tc._ESTIMATORS
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_battery(estimator, check):
    check(estimator)


def test_importing_the_functional_layer_needs_neither_sklearn_nor_scipy():
    code = (
        "import sys, numpy as np, thalweg, thalweg.coordinate as tc;"
        "tc.solve(np.eye(3), [1.0, 2.0, 3.0], 0.1);"
        "assert not {'sklearn', 'scipy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_agrees_with_scikit_learn():
    X, y = load_diabetes(return_X_y=True)
    ours, theirs = tc.Lasso(0.1, tol=1e-10).fit(X, y), Reference(0.1, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)
    assert ours.n_iter_ < 20
    assert ours.dual_gap_ <= 1e-10 * np.mean(y**2)
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours = tc.SparseLogisticRegression(0.02, tol=1e-9).fit(X, y)
    theirs = LogisticRegression(
        C=1 / (0.02 * len(y)), l1_ratio=1.0, solver="saga", tol=1e-9, max_iter=100_000
    ).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)


def test_cross_validation_agrees_with_scikit_learn():
    X, y = load_diabetes(return_X_y=True)
    alphas = np.logspace(0, -3, 20)
    ours = tc.LassoCV(alphas=alphas, cv=4, tol=1e-9).fit(X, y)
    theirs = ReferenceCV(alphas=alphas, cv=4, tol=1e-9).fit(X, y)
    assert ours.alpha_ == pytest.approx(theirs.alpha_)
    np.testing.assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-4)
    several = tc.ElasticNetCV(l1_ratio=[0.5, 1.0], alphas=alphas, cv=3).fit(X, y)
    assert several.l1_ratio_ in (0.5, 1.0)
    assert several.mse_path_.shape == (2, 20, 3)


@pytest.mark.parametrize("frame", ["pandas", "polars"])
def test_frames_give_feature_names(frame):
    module = pytest.importorskip(frame)
    X, y = load_diabetes(return_X_y=True)
    names = [f"x{j}" for j in range(10)]
    table = module.DataFrame(dict(zip(names, X.T)))
    model = tc.Lasso(0.1).fit(table, y)
    assert model.feature_names_in_.tolist() == names
    np.testing.assert_allclose(model.predict(table), tc.Lasso(0.1).fit(X, y).predict(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = (
            tc.NMF(2)
            .set_output(transform=frame)
            .fit_transform(module.DataFrame(dict(zip(names, (X - X.min(0)).T))))
        )
    assert out.shape == (442, 2)
    assert type(out).__module__.startswith(frame)


def test_pipelines_grids_clones_and_pickles():
    X, y = load_diabetes(return_X_y=True)
    search = GridSearchCV(make_pipeline(StandardScaler(), tc.Lasso()), {"lasso__alpha": [0.1, 1]})
    search.fit(X, y)
    assert search.best_score_ > 0.4
    model = clone(search.best_estimator_).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X), model.predict(X))


def test_warm_start_takes_fewer_passes():
    X, y = load_diabetes(return_X_y=True)
    model = tc.Lasso(0.01, tol=1e-8, warm_start=True).fit(X, y)
    cold = model.n_iter_
    model.fit(X, y)
    assert model.n_iter_ <= min(cold, 2)


@pytest.mark.parametrize("name", ["GroupLasso", "MultiTaskLasso", "SparseLogisticRegression"])
def test_warm_start_of_other_models(name):
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = getattr(tc, name)(0.01, tol=1e-8, warm_start=True).fit(X, y)
    coef, cold = model.coef_, model.n_iter_
    model.fit(X, y)
    assert model.n_iter_ <= 2 <= cold
    np.testing.assert_allclose(model.coef_, coef, atol=1e-5)


@pytest.mark.parametrize("name", ["LinearSVC", "NMF", "GroupLasso", "SparseLogisticRegression"])
def test_progress_of_other_models(name, capsys):
    X, y = load_breast_cancer(return_X_y=True)
    options = {"max_iter": 20, "verbose": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "NMF":
            tc.NMF(2, **options).fit(X)
        else:
            model = getattr(tc, name)(**options)
            if name == "GroupLasso":
                model.set_params(alpha=0.01)
            model.fit(StandardScaler().fit_transform(X), y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert all(any(mark in line for mark in ("gap ", "ratio ")) for line in lines)


def test_every_estimator_warns_with_its_gap_or_ratio():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 400)), rng.integers(0, 2, 200)
    for name in tc._ESTIMATORS:
        if name.endswith("CV"):
            continue
        model = getattr(tc, name)(max_iter=1, tol=1e-14)
        if "alpha" in model.get_params():
            model.set_params(alpha=1e-3)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(np.abs(X) if name == "NMF" else X, y)
        messages = [str(w.message) for w in caught if w.category is ConvergenceWarning]
        assert any(m.startswith(f"{name}: ") and "loosen tol" in m for m in messages), name


def test_a_free_constant_is_one_option_away():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X) + 5
    options = {"C": 0.01, "tol": 1e-6}
    free = tc.LinearSVC(intercept_scaling=np.inf, **options).fit(X, y)
    shifted = tc.LinearSVC(intercept_scaling=np.inf, **options).fit(X - 5, y)
    np.testing.assert_allclose(free.coef_, shifted.coef_, atol=1e-3)
    assert free.score(X, y) > 0.97


def test_no_convergence_is_a_warning_with_the_gap():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 400)), rng.standard_normal(200)
    with pytest.warns(ConvergenceWarning, match=r"Lasso: dual gap .* after 2 iterations; raise"):
        tc.Lasso(1e-3, max_iter=1, tol=1e-12).fit(X, y)


def test_no_penalty_is_a_warning():
    X, y = load_diabetes(return_X_y=True)
    with pytest.warns(UserWarning, match="alpha=0 leaves no penalty"):
        tc.Lasso(0.0).fit(X, y)


def test_verbose_prints_a_line_a_pass(capsys):
    X, y = load_diabetes(return_X_y=True)
    model = tc.Lasso(0.1, verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_
    assert all(line.startswith("objective") for line in lines)


def test_dtype_follows_the_data():
    X, y = load_diabetes(return_X_y=True)
    assert tc.Lasso(0.1).fit(X.astype(np.float32), y).coef_.dtype == np.float32
