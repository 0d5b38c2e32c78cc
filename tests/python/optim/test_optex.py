"""OptEx against kernel regression in numpy, its workers, and iterations one after the other."""

import copy
import threading

import numpy as np
import pytest
import torch

import thalweg
from thalweg import optim


def matern(a, b, length):
    r = np.sqrt(5.0) * np.linalg.norm(a[:, None] - b[None], axis=-1) / length
    return (1 + r + r * r / 3) * np.exp(-r)


def estimate(z, points, gradients, length, noise, normalize):
    unit = np.sqrt(np.linalg.norm(points, axis=1)).mean() if normalize else 1.0
    points, z = points / unit, z / unit
    kernel = matern(points, points, length) + noise * np.eye(len(points))
    return (matern(z[None], points, length) @ np.linalg.solve(kernel, gradients))[0]


def slope(x):
    """Of Rosenbrock's function in several dimensions."""
    g = np.zeros_like(x)
    g[:-1] = -40 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    g[1:] += 20 * (x[1:] - x[:-1] ** 2)
    return g


def loss_of(x):
    return (10 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def replay(x, steps, lr, momentum, workers, size, length, noise, normalize, select):
    """The method with heavy-ball descent, copies of its state kept beside the points."""
    points, gradients = np.empty((0, len(x))), np.empty((0, len(x)))
    m, first = np.zeros_like(x), True

    def move(x, m, g):
        m = g if first and not len(points) else momentum * m + g
        return x - lr * m, m

    for _ in range(steps):
        stages = [(x, m)]
        if len(points) >= 2:
            for _ in range(workers - 1):
                z, state = stages[-1]
                g = estimate(z, points, gradients, length, noise, normalize)
                stages.append(move(z, state, g))
        true = [slope(z) for z, _ in stages]
        k = len(stages) - 1
        if select == "loss":
            k = int(np.argmin([loss_of(z) for z, _ in stages]))
        x, m = move(*stages[k], true[k])
        points = np.concatenate([points, [z for z, _ in stages]])[-size:]
        gradients = np.concatenate([gradients, true])[-size:]
    return x


@pytest.mark.parametrize("select", ["last", "loss"])
@pytest.mark.parametrize("normalize", [None, "optex"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_follows_the_formulas(select, normalize, dtype):
    start = np.array([0.4, -0.3, 0.5, 0.2, 0.7])
    # Split, so that sums run over several tensors.
    params = [torch.nn.Parameter(torch.tensor(part, dtype=dtype)) for part in np.split(start, [2])]
    base = torch.optim.SGD(params, lr=0.004, momentum=0.5)
    optimizer = optim.OptEx(
        base, workers=3, history=7, noise=1e-3, length_scale=2.0, normalize=normalize, select=select
    )
    for _ in range(12):
        optimizer.step(lambda: loss_of(torch.cat(params)))
    wanted = replay(start, 12, 0.004, 0.5, 3, 7, 2.0, 1e-3, normalize is not None, select)
    found = torch.cat(params).detach().numpy()
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    np.testing.assert_allclose(found, wanted, rtol=tolerance)


def test_the_length_scale_is_the_one_that_predicts_best():
    rng = np.random.default_rng(0)
    w = torch.nn.Parameter(torch.tensor(rng.standard_normal(6)))
    optimizer = optim.OptEx(optim.SGD([w], lr=0.01), workers=3, history=9, noise=1e-3)
    points, gradients = [], []

    def closure():
        points.append(w.detach().numpy().copy())
        gradients.append(slope(points[-1]))
        return loss_of(w)

    for _ in range(6):
        optimizer.step(closure)
    x, g = np.array(points[-9:]), np.array(gradients[-9:])
    apart = np.linalg.norm(x[:, None] - x[None], axis=-1)
    candidates = np.sqrt(np.median(apart[apart > 0] ** 2)) * 2.0 ** np.arange(-2, 11)

    def error(length):
        guesses = [estimate(z, x[:-3], g[:-3], length, 1e-3, False) for z in x[-3:]]
        return ((np.array(guesses) - g[-3:]) ** 2).sum()

    wanted = min(candidates, key=error)
    order = optimizer._history._order
    distances = np.ascontiguousarray(optimizer._history._distances[np.ix_(order, order)])
    np.testing.assert_allclose(distances, apart**2, rtol=1e-9, atol=1e-15)
    assert optimizer._history._length(distances) == pytest.approx(wanted)


def test_one_worker_is_the_base():
    a, b = (torch.nn.Parameter(torch.tensor([0.3, 0.6, -0.2])) for _ in range(2))
    plain, wrapped = optim.Adam([a], lr=0.01), optim.OptEx(optim.Adam([b], lr=0.01), workers=1)
    for _ in range(10):
        plain.zero_grad()
        loss_of(a).backward()
        plain.step()
        wrapped.step(lambda: loss_of(b))
    assert torch.equal(a, b)


def run(workers, threads=None, evaluate=False, steps=12, **options):
    w = torch.nn.Parameter(torch.linspace(-0.5, 1.0, 8, dtype=torch.float64))
    optimizer = optim.OptEx(optim.Adam([w], lr=0.01), workers=workers, history=20, **options)
    if threads is not None:
        thalweg.set_num_threads(threads)
    try:
        for _ in range(steps):
            if evaluate:
                optimizer.step(evaluate=lambda tensors: loss_of(tensors[0]))
            else:
                optimizer.step(lambda: loss_of(w))
    finally:
        thalweg.set_num_threads(0)
    return w.detach()


def test_threads_change_no_bit():
    wanted = run(4)
    for threads in (1, 2, 7):
        assert torch.equal(run(4, threads), wanted)
        assert torch.equal(run(4, threads, evaluate=True), wanted)


def test_evaluations_run_side_by_side():
    w = torch.nn.Parameter(torch.ones(3))
    optimizer = optim.OptEx(optim.SGD([w], lr=0.01), workers=3)
    for _ in range(2):
        optimizer.step(lambda: w.square().sum())
    # Breaks unless three threads wait at once.
    barrier = threading.Barrier(3, timeout=20)

    def evaluate(tensors):
        barrier.wait()
        return tensors[0].square().sum()

    optimizer.step(evaluate=evaluate)
    assert not barrier.broken


def test_evaluate_and_closure_exclude_each_other_and_need_a_graph():
    w = torch.nn.Parameter(torch.ones(3))
    optimizer = optim.OptEx(optim.SGD([w], lr=0.01))
    with pytest.raises(TypeError, match="evaluate must be None where there is a closure"):
        optimizer.step(lambda: w.sum(), evaluate=lambda tensors: tensors[0].sum())
    with pytest.raises(ValueError, match="evaluate must return a loss that depends"):
        optimizer.step(evaluate=lambda tensors: torch.ones(()))
    with pytest.raises(KeyError, match="gone"):
        optimizer.step(evaluate=lambda tensors: {}["gone"])
    assert torch.equal(w, torch.ones(3))


def test_a_base_that_raises_changes_nothing():
    w = torch.nn.Parameter(torch.tensor([0.5, 0.1, 0.2]))
    base = optim.Adam([w], lr=0.01)
    optimizer = optim.OptEx(base, workers=3)
    for _ in range(4):
        optimizer.step(lambda: loss_of(w))
    before, state = w.detach().clone(), copy.deepcopy(optimizer.state_dict())
    steps = iter(range(10))
    plain = base.step

    def failing():
        plain()
        if next(steps) == 2:
            raise RuntimeError("no more")

    base.step = failing
    with pytest.raises(RuntimeError, match="no more"):
        optimizer.step(lambda: loss_of(w))
    assert torch.equal(w, before)
    for name, value in state["state"][0].items():
        assert torch.equal(optimizer.state_dict()["state"][0][name], value)


def test_few_coordinates_are_enough_and_take_less_memory():
    w = torch.nn.Parameter(torch.linspace(-0.5, 1.0, 100, dtype=torch.float64))
    optimizer = optim.OptEx(optim.Adam([w], lr=0.01), history=10, effective_dim=20)
    losses = [float(optimizer.step(lambda: loss_of(w))) for _ in range(30)]
    assert losses[-1] < 0.7 * losses[0]
    (points,) = optimizer.state_dict()["optex"]["points"]
    assert points.shape == (10, 20)


def test_checkpoints_of_the_base_and_of_others():
    w = torch.nn.Parameter(torch.tensor([0.5, 0.1, 0.2]))
    optimizer = optim.OptEx(torch.optim.Adam([w], lr=0.01), workers=2, history=5)
    for _ in range(4):
        optimizer.step(lambda: loss_of(w))
    saved = optimizer.state_dict()
    other = optim.OptEx(torch.optim.Adam([w], lr=0.5), workers=2, history=6)
    with pytest.raises(ValueError, match="give OptEx the same history"):
        other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.5
    other.load_state_dict(optimizer.base.state_dict())
    assert other.param_groups[0]["lr"] == 0.01
    assert other.state_dict()["optex"]["order"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be an integer >= 1, got 0"),
        ({"history": 1}, "history must be an integer >= 2, got 1"),
        ({"noise": 0.0}, r"noise must be in \(0, inf\), got 0.0"),
        ({"length_scale": -1.0}, r"length_scale must be in \(0, inf\), got -1.0"),
        ({"effective_dim": 0}, "effective_dim must be an integer >= 1, got 0"),
        ({"normalize": "unit"}, "normalize must be None or 'optex', got 'unit'"),
        ({"select": "best"}, "select must be 'last' or 'loss', got 'best'"),
    ],
)
def test_options_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        optim.OptEx(optim.SGD([torch.nn.Parameter(torch.ones(2))]), **options)
    with pytest.raises(TypeError, match="base must be an optimizer, got list"):
        optim.OptEx([torch.ones(2)])


def iterations(make, function, workers, target):
    """Steps one after the other until the loss is small."""
    w = torch.nn.Parameter(torch.linspace(-0.5, 0.5, 20, dtype=torch.float64))
    optimizer = optim.OptEx(make([w]), workers=workers, history=40)
    for step in range(1000):
        if float(optimizer.step(lambda: function(w))) < target:
            return step
    return 1000


def bowl(w):
    return 0.5 * (torch.linspace(0.1, 10.0, 20, dtype=torch.float64) * w.square()).sum() + (
        w.square().square().sum()
    )


@pytest.mark.parametrize(
    ("make", "function", "target"),
    [
        (lambda params: optim.Adam(params, lr=0.01), loss_of, 0.5),
        (lambda params: torch.optim.SGD(params, lr=0.02), bowl, 1e-4),
    ],
)
def test_takes_fewer_iterations_one_after_the_other(make, function, target):
    """The authors claim an acceleration of the order of the root of the workers: here 2."""
    alone = iterations(make, function, 1, target)
    beside = iterations(make, function, 4, target)
    assert 50 < alone < 1000
    assert beside < 0.4 * alone
