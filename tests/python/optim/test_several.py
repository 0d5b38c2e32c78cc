"""What every method that asks for several gradients promises."""

import copy
import functools
import io
import pickle

import numpy as np
import pytest
import torch

from thalweg import optim


def data(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, 5, generator=generator, dtype=torch.float64)
    y = torch.randn(16, 1, generator=generator, dtype=torch.float64)
    return x.to(dtype), y.to(dtype)


class Problem:
    """A small network, its optimizer and its closure; every step sees the next minibatch."""

    def __init__(self, make, dtype=torch.float64, inside=False):
        torch.manual_seed(1)
        layers = [torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)]
        self.model = torch.nn.Sequential(*layers).to(dtype)
        # A parameter that the loss does not know, and a frozen one.
        self.unused = torch.nn.Parameter(torch.ones(3, dtype=dtype))
        self.frozen = torch.nn.Parameter(torch.ones(2, dtype=dtype), requires_grad=False)
        self.params = [*self.model.parameters(), self.unused, self.frozen]
        self.optimizer = make(self.params)
        self.x, self.y = data(dtype)
        self.inside = inside
        self.batch = 0
        self.calls = 0
        self.fault = None

    def loss(self, rows=slice(None)):
        return (self.model(self.x[rows]) - self.y[rows]).square().mean()

    def closure(self):
        self.calls += 1
        first = 4 * (self.batch % 4)
        loss = self.loss(slice(first, first + 4))
        if self.inside:
            loss.backward()
        if self.fault is not None and self.calls == self.fault[0]:
            return self.fault[1](loss)
        return loss

    def step(self):
        self.calls = 0
        try:
            return self.optimizer.step(self.closure)
        finally:
            self.batch += 1

    def bits(self):
        return frozen([p.detach() for p in self.params]), frozen(self.optimizer.state_dict())


def frozen(value):
    """A value to compare bit for bit."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), bits(value))
    if isinstance(value, dict):
        return tuple((key, frozen(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    return repr(value)


def bits(tensor):
    return (
        tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()
        if tensor.dim()
        else (repr(tensor.item()))
    )


METHODS = {
    "SMB": lambda params, **more: optim.SMB(params, **{"lr": 2.0, **more}),
    "SMBi": lambda params, **more: optim.SMB(
        params, **{"lr": 2.0, "independent_batch": True, **more}
    ),
    "SPIDER": lambda params, **more: optim.SPIDER(params, **{"lr": 0.05, "q": 3, **more}),
    "O2NC": lambda params, **more: optim.O2NC(
        params, **{"radius": 0.02, "length": 5, "lr": 0.01, **more}
    ),
    "OptEx": lambda params, **more: optim.OptEx(
        optim.Adam(params, **{"lr": 0.02, **more}), workers=3, history=8
    ),
    "OptEx loss": lambda params, **more: optim.OptEx(
        torch.optim.AdamW(params, **{"lr": 0.02, **more}), workers=3, history=8, select="loss"
    ),
}
every = pytest.mark.parametrize("name", METHODS)


def raises(loss):
    raise KeyError("the data is gone")


FAULTS = {
    "raises": (raises, KeyError, "the data is gone"),
    "nan": (lambda loss: loss * float("nan"), ValueError, "finite loss, got nan"),
    "infinite": (lambda loss: loss + float("inf"), ValueError, "finite loss, got inf"),
    "vector": (lambda loss: loss.repeat(2), ValueError, r"one element, got shape \(2,\)"),
    "nothing": (lambda loss: None, TypeError, "must return the loss, got NoneType"),
}


@every
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("before", [0, 1, 4])
def test_a_step_that_raises_changes_nothing(name, fault, before):
    change, error, message = FAULTS[fault]
    faulty, healthy = Problem(METHODS[name]), Problem(METHODS[name])
    for problem in (faulty, healthy):
        for _ in range(before):
            problem.step()
    healthy.step()
    # In every call of the closure that a step makes.
    for call in range(1, healthy.calls + 1):
        bits = faulty.bits()
        faulty.fault = (call, change)
        with pytest.raises(error, match=message):
            faulty.step()
        assert faulty.bits() == bits
        faulty.batch -= 1
    faulty.fault = None
    faulty.step()
    assert faulty.bits() == healthy.bits()


@pytest.mark.parametrize("name", ["SMB", "SMBi", "SPIDER", "O2NC"])
def test_an_older_checkpoint_gets_the_defaults(name):
    problem = Problem(METHODS[name])
    saved = problem.optimizer.state_dict()
    for group in saved["param_groups"]:
        for key in set(group) - {"params", "lr"}:
            del group[key]
    problem.optimizer.load_state_dict(saved)
    problem.step()


@every
def test_gradients_that_are_not_finite_change_nothing(name):
    for call in (1, 2):
        problem = Problem(METHODS[name])
        for _ in range(4):
            problem.step()
        bits = problem.bits()
        bad = torch.zeros((), dtype=torch.float64)

        def break_gradient(loss, bad=bad, problem=problem):
            # Zero, with an infinite derivative.
            weight = problem.model[0].weight.sum()
            return loss + (weight - weight.detach()).abs().sqrt() + bad

        problem.fault = (call, break_gradient)
        try:
            problem.step()
        except ValueError as error:
            assert "finite" in str(error)  # noqa: PT017
            assert problem.bits() == bits
        else:
            # The step had only one call, or needed no gradient from the second.
            assert call == 2
            assert all(p.isfinite().all() for p in problem.params)


@every
def test_no_closure_is_refused(name):
    problem = Problem(METHODS[name])
    with pytest.raises(TypeError, match="closure must be a function that returns the loss"):
        problem.optimizer.step()
    with pytest.raises(ValueError, match="depends on the parameters"):
        problem.optimizer.step(lambda: torch.ones(()))


@every
def test_grad_scaler_is_refused(name):
    problem = Problem(METHODS[name])
    scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
        scaler.step(problem.optimizer, closure=problem.closure)


@every
@pytest.mark.parametrize("how", ["state_dict", "deepcopy", "pickle"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_resumes_with_the_same_bits(name, how, dtype):
    whole = Problem(METHODS[name], dtype)
    for _ in range(8):
        whole.step()
    if how == "state_dict":
        file = io.BytesIO()
        model = whole.model.state_dict()
        torch.save({"model": model, "optimizer": whole.optimizer.state_dict()}, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        resumed = Problem(METHODS[name], dtype)
        resumed.model.load_state_dict(saved["model"])
        resumed.optimizer.load_state_dict(saved["optimizer"])
        resumed.batch = whole.batch
    elif how == "deepcopy":
        resumed = copy.deepcopy(whole)
    else:
        if name.startswith("OptEx") and dtype == torch.bfloat16:
            pytest.skip("one way is enough")
        resumed = pickle.loads(pickle.dumps(whole))
    assert resumed.bits() == whole.bits()
    for _ in range(9):
        whole.step()
        resumed.step()
        assert resumed.bits() == whole.bits()


@every
def test_backward_may_be_the_closures_or_the_methods(name):
    left, own = Problem(METHODS[name]), Problem(METHODS[name], inside=True)
    for _ in range(9):
        assert float(left.step().detach()) == float(own.step().detach())
    assert left.bits() == own.bits()


@every
def test_parameters_without_gradients_stay(name):
    problem = Problem(METHODS[name])
    for _ in range(7):
        problem.step()
    assert torch.equal(problem.unused, torch.ones(3, dtype=torch.float64))
    assert torch.equal(problem.frozen, torch.ones(2, dtype=torch.float64))
    assert problem.unused not in problem.optimizer.state


@every
def test_learns(name):
    problem = Problem(
        functools.partial(METHODS[name], lr=0.1 if "OptEx" in name else 0.5)
        if name not in ("SPIDER", "O2NC")
        else METHODS[name]
    )
    before = float(problem.loss().detach())
    for _ in range(60):
        problem.step()
    assert float(problem.loss().detach()) < 0.8 * before


@every
def test_groups_have_their_own_rates_and_schedulers_change_them(name):
    def make(params):
        first = {"params": params[:2], "lr": 0.0 if name in ("SPIDER", "OptEx") else 0.01}
        return METHODS[name]([first, {"params": params[2:]}])

    problem = Problem(make)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(problem.optimizer, 0.5)
    frozen_weight = problem.params[0].detach().clone()
    for _ in range(4):
        problem.step()
        scheduler.step()
    rates = [group["lr"] for group in problem.optimizer.param_groups]
    assert rates[1] == METHODS[name]([torch.ones(1, requires_grad=True)]).param_groups[0]["lr"] / 16
    if name in ("SPIDER", "OptEx"):
        assert torch.equal(problem.params[0], frozen_weight)
    assert all(p.isfinite().all() for p in problem.params)


@every
def test_a_group_may_come_later(name):
    problem = Problem(METHODS[name])
    problem.step()
    late = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    problem.optimizer.add_param_group({"params": [late]})
    plain = problem.loss
    problem.loss = lambda rows=slice(None): plain(rows) + late.square().sum()
    for _ in range(12):
        problem.step()
    assert late.norm() < 2.0


def test_complex_parameters_of_a_base_are_refused():
    w = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    optimizer = optim.OptEx(torch.optim.SGD([w], lr=0.1))
    with pytest.raises(NotImplementedError, match="takes no complex or distributed parameters"):
        optimizer.step(lambda: w.abs().sum())


@pytest.mark.parametrize("name", ["SMB", "SMBi", "SPIDER", "O2NC"])
def test_sparse_and_complex_are_refused(name):
    table = torch.nn.Embedding(4, 2, sparse=True)
    optimizer = METHODS[name](table.parameters())
    before = table.weight.detach().clone()
    with pytest.raises(NotImplementedError, match="takes no sparse gradient"):
        optimizer.step(lambda: table(torch.tensor([1, 2])).square().sum())
    assert torch.equal(table.weight, before)
    with pytest.raises(NotImplementedError, match="takes no complex parameters"):
        METHODS[name]([torch.ones(2, dtype=torch.complex64, requires_grad=True)])


@every
def test_unusual_tensors_step_as_usual_ones(name):
    """Strided, empty and 0-d parameters take the same path as dense ones, up to rounding."""

    def run(strided):
        start = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64).reshape(4, 3)
        w = torch.empty(3, 4, dtype=torch.float64).t() if strided else torch.empty_like(start)
        w = torch.nn.Parameter(w.copy_(start))
        if strided:
            wide = torch.zeros(4, 6, dtype=torch.float64)
            w = torch.nn.Parameter(wide[:, ::2].copy_(start))
        scale = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        empty = torch.nn.Parameter(torch.empty(0, 3, dtype=torch.float64))
        optimizer = METHODS[name]([w, scale, empty])
        for _ in range(9):
            optimizer.step(
                lambda: (scale * w - 0.3).square().sum() + w.mul(w).mul(w).cos().sum() + empty.sum()
            )
        return np.append(w.detach().numpy().ravel(), scale.item())

    np.testing.assert_allclose(run(True), run(False), rtol=1e-9, atol=1e-12)
