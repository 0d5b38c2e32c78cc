"""Private tables: counts, budgets, noise, choices, frames; all against plain numpy."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import gsd_oracle

import thalweg
from thalweg.search import Categories, Interval, PrivateGSD

DOMAIN = {
    "sex": Categories(["f", "m"]),
    "work": Categories(["none", "part", "full", "own"]),
    "age": Interval(0, 90, bins=6, integer=True),
    "pay": Interval(0.0, 10.0, bins=5),
}


def people(rows=300, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 91, size=rows)
    work = np.where(age < 18, 0, rng.integers(0, 4, size=rows))
    return {
        "sex": [["f", "m"][i] for i in rng.integers(0, 2, size=rows)],
        "work": [DOMAIN["work"].values[i] for i in work],
        "age": age,
        "pay": np.where(work == 0, 0.0, np.minimum(10.0, rng.exponential(3.0, size=rows))),
    }


def exact(**options):
    return PrivateGSD(None, domain=DOMAIN, seed=1, **options)


def same(a, b):
    return all(list(a[name]) == list(b[name]) for name in a)


# Counts


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(0, 10**6))
def test_cost_equals_a_recount(k, rows, seed):
    search = PrivateGSD(
        None, domain=DOMAIN, marginals=k, rows=rows, tol=0, max_generations=60, seed=seed
    )
    search.fit(people(50, seed))
    assert search.cost_ == pytest.approx(gsd_oracle.cost(search, DOMAIN), rel=1e-5, abs=1e-9)


def test_a_generation_changes_two_cells_at_most_and_never_for_the_worse():
    search = exact(tol=0, max_generations=1).fit(people(40))
    moved = 0
    for _ in range(150):
        before, cost = search.table_, search.cost_
        search.refine(1)
        changed = sum(a != b for name in before for a, b in zip(before[name], search.table_[name]))
        # Values of a bin stay where they are: all draws come from one seed.
        assert changed <= 2
        assert search.cost_ <= cost
        moved += search.cost_ < cost
    assert moved > 20
    assert search.cost_ == pytest.approx(gsd_oracle.cost(search, DOMAIN), rel=1e-5)


@pytest.mark.parametrize("operator", ["mutate", "continuous", "swap", "cross"])
def test_each_operator_helps_alone(operator):
    first = exact(operators=(operator,), tol=0, max_generations=1).fit(people())
    later = exact(operators=(operator,), tol=0, max_generations=400).fit(people())
    assert later.cost_ < 0.9 * first.cost_


def test_without_noise_small_tables_are_met():
    table = people(60)
    search = exact(tol=0, max_generations=60_000).fit(table)
    assert search.cost_ < 1e-4
    for columns, measured in search.measured_.items():
        truth = gsd_oracle.shares(table, columns, DOMAIN, search.edges_)
        np.testing.assert_allclose(measured, truth, atol=1e-15)


# Budgets


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-9), (1.0, 1e-6), (5.0, 1e-2)])
def test_rho_is_that_of_the_definition(epsilon, delta):
    budget = PrivateGSD(
        epsilon, delta, domain=DOMAIN, max_generations=1, seed=0
    ).fit(people()).budget_  # fmt: skip
    assert budget.rho == pytest.approx(gsd_oracle.rho(epsilon, delta), rel=1e-6)
    assert budget.spent == pytest.approx(budget.rho, rel=1e-12)
    assert budget.epsilon(delta) == pytest.approx(epsilon, rel=1e-6)


def test_budget_at_once():
    # Six pairs and two numeric columns that need bins: eight equal shares.
    budget = PrivateGSD(1.0, 1e-6, domain=DOMAIN, max_generations=1, seed=0).fit(people()).budget_
    part = gsd_oracle.rho(1.0, 1e-6) / 8
    assert [e.mechanism for e in budget.entries] == ["noisy splits"] * 2 + ["gaussian"] * 6
    assert [e.rho for e in budget.entries] == pytest.approx([part] * 8, rel=1e-6)
    sigma = np.sqrt(2) / 300 / np.sqrt(2 * part)
    assert [e.scale for e in budget.entries[2:]] == pytest.approx([sigma] * 6, rel=1e-6)
    # 91 integers, 6 bins: log2(91 / 6) + 1 = 4.9 levels of halving, and the first.
    splits = np.sqrt(2 * (4 + 1)) / 300 / np.sqrt(2 * part)
    assert budget.entries[0].scale == pytest.approx(splits, rel=1e-6)


def test_budget_of_rounds():
    budget = PrivateGSD(
        1.0, 1e-6, domain={k: DOMAIN[k] for k in ("sex", "work")} | {"age": Categories(range(91))},
        rounds=1, per_round=2, max_generations=1, seed=0,
    ).fit({k: v for k, v in people().items() if k != "pay"}).budget_  # fmt: skip
    rho = gsd_oracle.rho(1.0, 1e-6)
    assert [e.mechanism for e in budget.entries] == ["gumbel top-k", "gaussian", "gaussian"]
    assert [e.rho for e in budget.entries] == pytest.approx([rho / 2, rho / 4, rho / 4], rel=1e-6)
    assert budget.entries[0].scale == pytest.approx(np.sqrt(2) / np.sqrt(rho) / 300, rel=1e-6)
    assert budget.entries[1].scale == pytest.approx(np.sqrt(2) / 300 / np.sqrt(rho / 2), rel=1e-6)


def test_a_ledger_refuses_what_is_not_there():
    budget = PrivateGSD(1.0, 1e-6, domain=DOMAIN, max_generations=1, seed=0).fit(people()).budget_
    with pytest.raises(ValueError, match="rho must be in"):
        budget.spend("more", "gaussian", 0.01 * budget.rho, 1.0)


def test_search_and_refinement_spend_nothing():
    search = PrivateGSD(1.0, 1e-6, domain=DOMAIN, max_generations=5, seed=0).fit(people())
    entries, measured = list(search.budget_.entries), dict(search.measured_)
    search.refine(50)
    assert search.budget_.entries == entries
    assert all((search.measured_[k] == v).all() for k, v in measured.items())


# Noise


def test_noise_is_normal_with_the_stated_deviation():
    domain = {"a": Categories([0, 1]), "b": Categories([0, 1])}
    table = {"a": np.repeat([0, 1], 200), "b": np.tile([0, 1], 200)}
    scores = []
    for seed in range(300):
        search = PrivateGSD(2.0, 1e-6, domain=domain, rows=1, max_generations=1, seed=seed)
        search.fit(table)
        (measured,) = search.measured_.values()
        scores.extend(((measured - 0.25) / search.budget_.entries[0].scale).reshape(-1))
    # Four deviations of the estimates from 1200 draws.
    assert abs(np.mean(scores)) < 0.12
    assert abs(np.std(scores) - 1) < 0.09
    assert abs(np.mean(np.abs(scores) < 1) - 0.6827) < 0.055


def test_noisy_shares_are_clipped():
    search = PrivateGSD(0.01, 1e-9, domain=DOMAIN, max_generations=1, seed=0).fit(people())
    together = np.concatenate([m.reshape(-1) for m in search.measured_.values()])
    assert together.min() == 0.0
    assert together.max() == 1.0


def test_without_a_seed_the_key_is_the_systems(monkeypatch):
    from thalweg.search import _releases

    asked = []

    def urandom(count):
        asked.append(count)
        return bytes(range(count))

    monkeypatch.setattr(_releases.os, "urandom", urandom)
    runs = [PrivateGSD(1.0, domain=DOMAIN, max_generations=1).fit(people()) for _ in range(2)]
    assert asked == [32, 32]
    for a, b in zip(*(run.measured_.values() for run in runs)):
        np.testing.assert_array_equal(a, b)
    monkeypatch.undo()
    other = PrivateGSD(1.0, domain=DOMAIN, max_generations=1).fit(people())
    assert any((a != b).any() for a, b in zip(runs[0].measured_.values(), other.measured_.values())
               if a.shape == b.shape)  # fmt: skip


# Adaptive selection


def dependent(rows=400):
    rng = np.random.default_rng(3)
    table = {name: rng.integers(0, 3, size=rows) for name in "abcd"}
    table["d"] = table["b"].copy()
    return table, {name: Categories([0, 1, 2]) for name in "abcd"}


@pytest.mark.parametrize("epsilon", [None, 50.0])
def test_selection_takes_the_worst_marginal(epsilon):
    table, domain = dependent()
    search = PrivateGSD(epsilon, domain=domain, rounds=1, seed=0).fit(table)
    assert list(search.measured_) == [("b", "d")]


def test_rounds_measure_different_marginals_and_mend_the_worst():
    table, domain = dependent()
    search = PrivateGSD(None, domain=domain, rounds=3, per_round=2, seed=0).fit(table)
    assert len(search.measured_) == 6
    found = gsd_oracle.shares(search.table_, ("b", "d"), domain, {})
    assert np.abs(found - gsd_oracle.shares(table, ("b", "d"), domain, {})).max() < 0.01


# Numeric columns


def test_bins_part_the_values_evenly_where_there_is_no_noise():
    rng = np.random.default_rng(0)
    table = {"x": rng.gamma(2.0, 1.0, size=5000).clip(0, 30), "y": rng.integers(0, 4, size=5000)}
    domain = {"x": Interval(0, 30, bins=8), "y": Interval(0, 3, integer=True)}
    search = PrivateGSD(None, domain=domain, max_generations=1, tol=0, seed=0).fit(table)
    shares = np.histogram(table["x"], search.edges_["x"])[0] / 5000
    np.testing.assert_allclose(shares, 1 / 8, atol=0.02)
    assert search.edges_["y"].tolist() == [0, 1, 2, 3, 4]


def test_values_lie_in_the_interval_and_integers_are_whole():
    search = PrivateGSD(1.0, 1e-6, domain=DOMAIN, seed=4).fit(people())
    age, pay = search.table_["age"], search.table_["pay"]
    assert age.dtype == people()["age"].dtype
    assert age.min() >= 0
    assert age.max() <= 90
    assert ((pay >= 0) & (pay <= 10)).all()


# One result


@pytest.mark.parametrize("threads", [2, 7])
def test_threads_do_not_matter(threads):
    one = PrivateGSD(1.0, domain=DOMAIN, rounds=2, seed=5).fit(people())
    thalweg.set_num_threads(threads)
    try:
        many = PrivateGSD(1.0, domain=DOMAIN, rounds=2, seed=5).fit(people())
    finally:
        thalweg.set_num_threads(0)
    assert same(one.table_, many.table_)
    assert one.cost_ == many.cost_


def test_a_longer_search_is_the_same_search():
    whole = exact(tol=0, max_generations=500).fit(people())
    part = exact(tol=0, max_generations=130).fit(people())
    part = pickle.loads(pickle.dumps(part)).refine(200).refine(170)
    assert same(whole.table_, part.table_)
    assert (whole.cost_, whole.generations_) == (part.cost_, part.generations_)


def test_seeds_differ():
    tables = [exact_seed.table_ for exact_seed in
              (PrivateGSD(None, domain=DOMAIN, seed=s).fit(people()) for s in (0, 1))]  # fmt: skip
    assert not same(*tables)


def test_early_stop_and_limit():
    assert exact(max_generations=250).fit(people()).generations_ == 250
    rested = exact(tol=0.5).fit(people())
    assert rested.generations_ % 300 == 0
    assert 600 <= rested.generations_ <= 3000


def test_ctrl_c_returns_what_there_is(monkeypatch):
    from thalweg.search import private_gsd

    class Impatient:
        def __init__(self, *given):
            self.search, self.runs = real(*given), 0

        def __getattr__(self, name):
            return getattr(self.search, name)

        def run(self, generations):
            if self.runs == 2:
                raise KeyboardInterrupt
            self.runs += 1
            return self.search.run(generations)

    real = private_gsd._core.SearchGsd
    monkeypatch.setattr(private_gsd, "STRIDE", 50)
    monkeypatch.setattr(private_gsd._core, "SearchGsd", Impatient)
    search = exact(rounds=2).fit(people())
    assert (search.interrupted_, search.generations_, len(search.measured_)) == (True, 100, 1)
    monkeypatch.undo()
    assert not search.refine(100).interrupted_
    assert search.generations_ == 200


# Frames


def test_pandas_types_come_back():
    pandas = pytest.importorskip("pandas")
    plain = people(80)
    work = pandas.CategoricalDtype([*DOMAIN["work"].values, "retired"], ordered=True)
    frame = pandas.DataFrame(plain).astype({"work": work, "age": "int16", "pay": "float32"})
    frame.index += 100
    before = frame.copy(deep=True)
    found = PrivateGSD(None, domain=DOMAIN, max_generations=50, seed=0).fit(frame).table_
    pandas.testing.assert_frame_equal(frame, before)
    assert isinstance(found, pandas.DataFrame)
    assert list(found.columns) == list(frame.columns)
    assert [str(found[n].dtype) for n in ("age", "pay")] == ["int16", "float32"]
    assert found["sex"].dtype == frame["sex"].dtype
    # Categories are those of the domain: those of the frame may be private.
    assert found["work"].dtype == pandas.CategoricalDtype(DOMAIN["work"].values, ordered=True)
    assert not found.isna().any().any()


def test_arrow_types_come_back():
    arrow = pytest.importorskip("pyarrow")
    kinds = {"sex": arrow.string(), "work": arrow.dictionary(arrow.int8(), arrow.string()),
             "age": arrow.uint8(), "pay": arrow.float32()}  # fmt: skip
    plain = people(80)
    table = arrow.table({name: arrow.array(plain[name], type=kind) if name != "work"
                         else arrow.array(plain[name]).dictionary_encode().cast(kind)
                         for name, kind in kinds.items()})  # fmt: skip
    found = PrivateGSD(None, domain=DOMAIN, max_generations=50, seed=0).fit(table).table_
    assert found.schema == table.schema
    assert found.num_rows == 80
    assert set(found["work"].to_pylist()) <= set(DOMAIN["work"].values)


def test_a_domain_can_be_read_where_it_is_asked_for():
    search = PrivateGSD(1.0, domain="data", max_generations=20, seed=0).fit(people())
    assert set(search.table_["work"]) <= set(DOMAIN["work"].values)
    assert search.table_["age"].max() <= people()["age"].max()
    read = PrivateGSD(None, max_generations=20, seed=0).fit({"flag": [True, False], "n": [3, 3]})
    assert read.table_["n"] == [3, 3]
    assert set(map(type, read.table_["flag"])) == {bool}


def test_nothing_of_the_rows_is_kept():
    pandas = pytest.importorskip("pandas")
    plain = people(400)
    for table in (plain, pandas.DataFrame(plain)):
        search = PrivateGSD(
            1.0, domain=DOMAIN, marginals=[("sex", "work")], rows=1, max_generations=1
        )
        small = len(pickle.dumps(search.fit(table)))
        assert small < 6000


def test_given_shares_are_met():
    domain = {"a": Categories("xyz"), "n": Interval(0, 8, bins=4)}
    shares = {("a", "n"): np.diag([0.5, 0.25, 0.25]) @ np.eye(3, 4), ("a",): [0.5, 0.25, 0.25]}
    search = PrivateGSD(None, domain=domain, tol=0, max_generations=5000, seed=0)
    search.fit_shares(shares, rows=40)
    assert search.cost_ == 0.0
    assert search.budget_ is None
    assert search.table_["a"].tolist().count("x") == 20
    inside = search.table_["n"][search.table_["a"] == "z"]
    assert ((inside >= 4) & (inside < 6)).all()


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be finite and > 0"),
        ({"epsilon": -1.0}, "epsilon must be finite and > 0"),
        ({"epsilon": np.nan}, "epsilon must be finite and > 0"),
        ({"delta": 0.0}, r"delta must be in \(0, 1\)"),
        ({"delta": 1.0}, r"delta must be in \(0, 1\)"),
        ({"domain": None}, "domain must be a mapping"),
        ({"domain": "table"}, "domain must be a mapping"),
        ({"rows": 0}, "rows must be an integer >= 1"),
        ({"rounds": 0}, "rounds must be an integer >= 1"),
        ({"per_round": 1.5}, "per_round must be an integer >= 1"),
        ({"proposals": 0}, "proposals must be an integer >= 1"),
        ({"tol": -1.0}, "tol must be a number >= 0"),
        ({"tol": 0.0}, "max_generations must be given"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        PrivateGSD(**{"domain": DOMAIN, **options})


def without(name):
    return {k: v for k, v in people().items() if k != name}


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (people(), {"marginals": [("sex", "height")]}, "got 'height'"),
        (people(), {"marginals": []}, "marginals must be different sets"),
        (people(), {"marginals": [("sex", "age"), ("age", "sex")]}, "must be different sets"),
        (people(), {"marginals": [("sex", "sex")]}, "different columns"),
        (people(), {"marginals": 5}, r"marginals must be in \[1, 4\]"),
        (people(), {"rounds": 4, "per_round": 2}, "rounds \\* per_round must be at most 6"),
        (people(), {"operators": ("grow",)}, "operators must be"),
        (people(), {"operators": ()}, "operators must be"),
        (without("age"), {}, "table must have the columns of the domain"),
        ({**people(), "extra": [0] * 300}, {}, "table must have the columns of the domain"),
        ({name: [] for name in DOMAIN}, {}, "must have rows and columns"),
        ({}, {}, "must have rows and columns"),
        ({**people(), "sex": ["f"]}, {}, "columns must be of one length"),
        ({**people(), "sex": ["x"] * 300}, {}, "'sex' must hold values of its domain, got 'x'"),
        ({**people(), "age": np.full(300, 91)}, {}, "'age' must lie in"),
        ({**people(), "age": np.full(300, 1.5)}, {}, "'age' must lie in"),
        ({**people(), "pay": np.full(300, np.nan)}, {}, "'pay' holds missing cells"),
        ({**people(), "pay": np.full(300, np.inf)}, {}, "'pay' must lie in"),
        ({**people(), "sex": [None] * 300}, {}, "'sex' holds missing cells"),
    ],
)
def test_tables_are_checked(table, options, message):
    with pytest.raises(ValueError, match=message):
        PrivateGSD(None, domain=DOMAIN, **options).fit(table)


def test_other_kinds_are_refused():
    with pytest.raises(TypeError, match="table must be a pandas DataFrame"):
        PrivateGSD(None, domain=DOMAIN).fit(np.zeros((3, 4)))
    with pytest.raises(TypeError, match="'pay' must hold numbers"):
        PrivateGSD(None, domain=DOMAIN).fit({**people(), "pay": ["much"] * 300})
    with pytest.raises(TypeError, match=r"domain\['sex'\] must be Categories or Interval"):
        PrivateGSD(None, domain={**DOMAIN, "sex": ["f", "m"]}).fit(people())


def test_missing_cells_of_frames_are_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(people()).astype({"age": "Int64", "work": "category"})
    for name in ("age", "work", "pay"):
        holes = frame.copy()
        holes.loc[3, name] = None
        with pytest.raises(ValueError, match=f"'{name}' holds missing cells"):
            PrivateGSD(None, domain=DOMAIN).fit(holes)
    twice = frame.rename(columns={"pay": "age"})
    with pytest.raises(ValueError, match="columns must have different names"):
        PrivateGSD(None, domain=DOMAIN).fit(twice)


def test_too_many_cells_are_refused():
    domain = {name: Categories(range(5000)) for name in "ab"}
    with pytest.raises(ValueError, match="at most 16777216 cells"):
        PrivateGSD(None, domain=domain).fit({"a": [0], "b": [0]})


def test_domains_are_checked():
    with pytest.raises(ValueError, match="values must be different"):
        Categories(["a", "a"])
    with pytest.raises(ValueError, match="values must be different"):
        Categories([])
    for low, high in [(1, 0), (0, 0), (0, np.inf), (np.nan, 1)]:
        with pytest.raises(ValueError, match="an interval must be finite"):
            Interval(low, high)
    with pytest.raises(ValueError, match="integer ends"):
        Interval(0, 1.5, integer=True)
    with pytest.raises(ValueError, match="bins must be"):
        Interval(0, 1, bins=0)


@pytest.mark.parametrize(
    ("shares", "rows", "message"),
    [
        ({("a",): [0.5, 0.5]}, None, "rows must be >= 1"),
        ({("a",): [0.5]}, 4, "of shape"),
        ({("a",): [0.5, np.nan]}, 4, "must lie in"),
        ({("a",): [2.0, 3.0]}, 4, "must lie in"),
        ({("b",): [0.5, 0.5]}, 4, "got 'b'"),
    ],
)
def test_shares_are_checked(shares, rows, message):
    search = PrivateGSD(None, domain={"a": Categories([0, 1])})
    with pytest.raises(ValueError, match=message):
        search.fit_shares(shares, rows=rows)


def test_refinement_needs_a_search():
    with pytest.raises(ValueError, match="call fit before"):
        exact().refine(3)
    with pytest.raises(ValueError, match="generations must be >= 1"):
        exact(max_generations=1).fit(people()).refine(0)
