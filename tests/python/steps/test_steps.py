"""The rules on numpy arrays: equal to their oracles, in place, resumable, and strict."""

import copy
import pickle
import re

import numpy as np
import pytest
from optim import oracles
from optim.formulas import LOSS
from optim.rules import CASES, ROWS, VARIANTS

import thalweg
from thalweg import _core, steps

CLASSES = {entry["name"]: entry["class"] for entry in _core.optim_rules()}
every_rule = pytest.mark.parametrize("case", CASES, ids=str)
EVERYTHING = {
    "weight_decay": 0.1,
    "decay": "cautious",
    "mask": "cautious",
    "maximize": True,
    "clip_norm": 5.0,
    "clip_value": 0.1,
}


class Told:
    """A rule that is told a loss by tests that give none."""

    def step(self, params, grads, *, loss=LOSS):
        super().step(params, grads, loss=loss)


TOLD = {
    name: type(name, (Told, getattr(steps, name)), {"__module__": __name__})
    for name in CLASSES.values()
}
globals().update(TOLD)


def build(case, **options):
    return TOLD[CLASSES[case.rule]](**{**case.hyper, **options})


def draws(shapes, count, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [[np.asarray(rng.standard_normal(s), dtype) for s in shapes] for _ in range(count)]


def bits(rule, params):
    return [p.tobytes() for p in params], [
        (number, name, value.dtype, value.tobytes())
        for number, state in sorted(rule.state.items())
        for name, value in state.items()
    ]


def run(case, grads, params, **options):
    rule = build(case, **options)
    for row in grads:
        rule.step(params, row)
    return rule


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("case", [*CASES, *VARIANTS], ids=str)
def test_equals_the_oracle(case, options, dtype):
    if case.rule == "gravity":
        options = {**options, "v0": "zeros"}
    params, *grads = draws(case.shapes, 51, dtype)
    expected = [p.astype(np.float64) for p in params]
    states = [{"velocity": np.zeros(s)} if case.rule == "gravity" else {} for s in case.shapes]
    rule = run(case, grads, params, **options)
    for t, row in enumerate(grads, 1):
        wide = [g.astype(np.float64) for g in row]
        oracles.step(case.rule, expected, wide, states, t, rule.hyper)
    tolerance = case.exact if dtype == np.float64 else 1e-5
    for p, x in zip(params, expected, strict=True):
        assert p.dtype == dtype
        assert np.abs(p - x).max() <= tolerance * np.abs(x).max()


def test_every_rule_has_a_class():
    assert set(CLASSES) == set(ROWS)
    methods = {"GinzburgLandau", "GradientSliding", "ModelBased", "ProxyProx"}
    names = set(CLASSES.values()) | methods | {"Rule", "dequantize"}
    assert names == set(steps.__all__) == set(dir(steps))


@every_rule
def test_steps_in_place_and_reads_gradients_only(case):
    (params, grads) = draws(case.shapes, 2)
    kept, copies = [p.ctypes.data for p in params], [g.copy() for g in grads]
    for g in grads:
        g.flags.writeable = False
    before = [p.copy() for p in params]
    build(case, **EVERYTHING).step(params, grads)
    assert [p.ctypes.data for p in params] == kept
    assert all((p != b).any() for p, b in zip(params, before, strict=True))
    assert all((g == c).all() for g, c in zip(grads, copies, strict=True))


@every_rule
def test_no_gradient_means_no_change(case):
    params, first, second = draws(case.shapes, 3)
    rule = run(case, [first], params)
    before = bits(rule, params)
    rule.step(params, [None] * len(params))
    assert bits(rule, params) == before
    rule.step(params, [second[0], None, None])
    assert bits(rule, params)[0][1:] == before[0][1:]
    assert bits(rule, params)[0][0] != before[0][0]


def by_state_dict(rule, case):
    fresh = build(case, lr=0.7)
    fresh.load_state_dict(rule.state_dict())
    return fresh


def by_pickle(rule, case):
    return pickle.loads(pickle.dumps(rule))


def by_pickled_state(rule, case):
    fresh = build(case)
    fresh.load_state_dict(pickle.loads(pickle.dumps(rule.state_dict())))
    return fresh


def by_deepcopy(rule, case):
    return copy.deepcopy(rule)


WAYS = (by_state_dict, by_pickle, by_pickled_state, by_deepcopy)


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
@every_rule
def test_a_resumed_run_has_the_same_bits(case, way):
    params, *grads = draws(case.shapes, 7, np.float32)
    rule = run(case, grads[:3], params, **EVERYTHING)
    resumed, copies = way(rule, case), [p.copy() for p in params]
    at_rest = bits(resumed, copies)
    assert resumed.hyper == rule.hyper
    for row in grads[3:]:
        rule.step(params, row)
    assert bits(resumed, copies) == at_rest
    for row in grads[3:]:
        resumed.step(copies, row)
    assert bits(resumed, copies) == bits(rule, params)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda a: np.stack([a, a], axis=-1)[..., 0],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "unaligned": lambda a: (
        np.frombuffer(b"x" + a.tobytes() + b"x" * 7, np.uint8)
        .copy()[1 : 1 + a.nbytes]
        .view(a.dtype)
        .reshape(a.shape)
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@every_rule
def test_any_layout(case, layout):
    shape = (20, 12) if case.rule == "muon" else (6, 5, 4, 3)
    change = LAYOUTS[layout]
    (x,), (g,) = draws([shape], 2)
    expected = x.copy()
    run(case, [[g]] * 3, [expected], weight_decay=0.1, mask="cautious")
    for pair in ((change(x), change(g)), (change(x), g), (x.copy(), change(g))):
        run(case, [[pair[1]]] * 3, [pair[0]], weight_decay=0.1, mask="cautious")
        if case.sums:  # products and sums of another order may round differently
            np.testing.assert_allclose(pair[0], expected, rtol=1e-9, atol=1e-9)
        else:
            assert pair[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)], ids=str)
@pytest.mark.parametrize("case", [c for c in CASES if c.rule != "muon"], ids=str)
def test_scalars_and_empty_arrays(case, shape):
    x, y = np.ones(shape), np.ones(4)
    run(case, [[np.ones(shape), np.ones(4)]] * 2, [x, y], mask="cautious", clip_norm=1.0)
    assert np.isfinite(x).all()
    assert x.size == 0 or x.reshape(-1)[0] == pytest.approx(y[0])


@pytest.mark.parametrize("case", [c for c in CASES if c.rule != "muon"], ids=str)
def test_any_number_of_threads(case):
    params, grads = draws([(600, 500), (11,)], 2, np.float32)
    results = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        try:
            copies = [p.copy() for p in params]
            results.append(bits(run(case, [grads] * 2, copies, **EVERYTHING), copies))
        finally:
            thalweg.set_num_threads(0)
    assert results[0] == results[1] == results[2]


def test_a_hyperparameter_may_change_between_steps():
    x = np.zeros(2)
    rule = steps.SGD(lr=1.0)
    rule.step([x], [np.ones(2)])
    rule.lr = 0.25
    rule.step([x], [np.ones(2)])
    assert x.tolist() == [-1.25, -1.25]
    assert "lr=0.25" in repr(rule)


# Refusals: each raises in these words, and changes nothing


def refused(rule, params, grads, error, message):
    before = bits(rule, params)
    with pytest.raises(error, match=re.escape(message)):
        rule.step(params, grads)
    assert bits(rule, params) == before


def test_range():
    message = "betas[1] must be in [0, 1), got 1.0; a usual value is 0.999"
    with pytest.raises(ValueError, match=re.escape(message)):
        steps.Adam(betas=(0.9, 1.0))
    rule = steps.Adam()
    with pytest.raises(ValueError, match=re.escape(message)):
        rule.betas = (0.9, 1.0)
    assert rule.betas == (0.9, 0.999)
    rule.hyper["betas"] = (0.9, 1.0)
    refused(rule, [np.ones(2)], [np.ones(2)], ValueError, message)
    with pytest.raises(TypeError, match="nesterow"):
        steps.SGD(nesterow=True)
    with pytest.raises(AttributeError, match="has no rule 'Adamm'; it has SGD, Adam"):
        _ = steps.Adamm
    with pytest.raises(AttributeError, match="SGD has no attribute 'betas'"):
        _ = steps.SGD().betas


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


REFUSED = [
    (lambda x, g: [g.T.copy()], ValueError, "grad of shape (4, 3) does not match its parameter of"),
    (lambda x, g: [], ValueError, "grads must be as many as params, got 0 for 1; pass None"),
    (lambda x, g: [g.tolist()], TypeError, "grads[0] must be a numpy array, got list; convert"),
    (lambda x, g: [g.astype(int)], TypeError, "each gradient must be float32 or float64, got int"),
    (
        lambda x, g: [g.astype(">f8")],
        TypeError,
        "each gradient must be float32 or float64, got >f8",
    ),
    (lambda x, g: [g.astype(complex)], TypeError, "each gradient must be float32 or float64, got"),
    (lambda x, g: [g.astype(object)], TypeError, "each gradient must be float32 or float64, got"),
    (lambda x, g: [x], ValueError, "the gradient of parameter 0 shares memory with parameter 0"),
]


@pytest.mark.parametrize(("grads", "error", "message"), REFUSED, ids=lambda v: str(v)[:24])
@every_rule
def test_gradients(case, grads, error, message):
    (x,), (g,) = draws([(3, 4)], 2)
    rule = build(case)
    refused(rule, [x], grads(x, g), error, message)
    assert rule.state == {}
    rule.step([x], [g])
    refused(rule, [x], grads(x, g), error, message)


PARAMETERS = [
    (read_only, ValueError, "each parameter and state must be writable, got a read-only array"),
    (lambda a: read_only(a)[::-1], ValueError, "must be writable, got a read-only array; pass a"),
    (
        lambda a: np.ones((3, 4), int),
        TypeError,
        "each parameter must be float32 or float64, got int",
    ),
    (
        lambda a: np.ones((3, 4), "f2"),
        TypeError,
        "each parameter must be float32 or float64, got f",
    ),
    (
        lambda a: np.lib.stride_tricks.as_strided(a, (3, 4), (8, 0), writeable=True),
        ValueError,
        "overlaps itself; pass a copy",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), PARAMETERS, ids=lambda v: str(v)[:24])
@every_rule
def test_parameters(case, make, error, message):
    (good,), (bad,), (g,) = draws([(3, 4)], 3)
    rule = build(case)
    refused(rule, [good, make(bad)], [g, g], error, message)
    assert rule.state == {}


def test_parameters_that_overlap():
    memory = np.ones(10)
    refused(
        steps.Adam(),
        [memory[:6], memory[4:]],
        [np.ones(6), np.ones(6)],
        ValueError,
        "parameter 0 shares memory with parameter 1; give each its own",
    )


def test_a_list_is_no_parameter():
    with pytest.raises(TypeError, match=re.escape("params[0] must be a numpy array, got list;")):
        steps.Adam().step([[1.0]], [np.ones(1)])


def test_other_parameters_than_at_first():
    rule = steps.Adam()
    rule.step([np.ones(2)], [np.ones(2)])
    message = "params must be those of the first step, of shapes [(2,)], got shapes [(3,)]; make a"
    refused(rule, [np.ones(3)], [np.ones(3)], ValueError, message)


def test_muon_takes_matrices():
    refused(steps.Muon(), [np.ones(3)], [np.ones(3)], ValueError, "each parameter of Muon must be")


@every_rule
def test_nonfinite_gradients(case):
    for policy in ("raise", "skip", "propagate"):
        params, first, second = draws(case.shapes, 3)
        rule = run(case, [first], params, on_nonfinite=policy)
        second[1].flat[1] = np.nan
        before = bits(rule, params)
        if policy == "raise":
            message = "grad of parameter 1 holds NaN or infinity; lower the learning rate, clip"
            refused(rule, params, second, ValueError, message)
        else:
            rule.step(params, second)
            assert (bits(rule, params) == before) == (policy == "skip")


def test_a_state_of_another_rule():
    rule = steps.Adam()
    message = "state_dict must be of rule 'adam', got 'sgd'; load it into an object of the class"
    with pytest.raises(ValueError, match=message):
        rule.load_state_dict(steps.SGD().state_dict())
    bad = steps.Adam().state_dict()
    bad["hyper"]["lr"] = -1.0
    with pytest.raises(ValueError, match="lr must be a finite number >= 0, got -1"):
        rule.load_state_dict(bad)
    assert rule.lr == 1e-3
