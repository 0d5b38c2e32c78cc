"""DirectionalAttack: the operator, rules of the radii, what it leaves alone, three problems."""

import copy
import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from thalweg.search import DirectionalAttack, attack  # noqa: E402

EXAMPLE = Path(__file__).parents[3] / "examples" / "directional_attack.py"


class Square(torch.nn.Module):
    """Outputs x^2 and the sum of x, so that gradients are known."""

    def forward(self, x):
        return torch.cat([x**2, x.sum(dim=1, keepdim=True)], dim=1)


def norm(y):
    return y[:, :-1].sum(dim=1)


def total(y):
    return y.sum(dim=1)


def left(x, y):
    return x[:, 0] >= 0.25


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 16), torch.nn.BatchNorm1d(16), torch.nn.Tanh(), torch.nn.Dropout(0.5),
        torch.nn.Linear(16, 2),
    )  # fmt: skip


def first(y):
    return y[:, 0]


def made(**chosen):
    return DirectionalAttack(
        np.linspace(-1, 2, 4), network=Square(), loss=norm, seed=3, **{"radius": 0.5, **chosen}
    )


def test_fgsm_is_the_sign_of_the_pulled_back_direction():
    x = torch.tensor([1.0, -2.0, 0.0])
    v = torch.tensor([1.0, 1.0, 1.0, 0.5])
    expected = 0.3 * torch.sign(2 * x * v[:3] + v[3])
    torch.testing.assert_close(attack(Square(), x, v, 0.3), expected)
    assert (attack(Square(), x, v, 0.0) == 0).all()


def test_pgd_equals_its_formula_and_stays_within_the_radius():
    x, v, delta = torch.tensor([0.4, -0.1, 0.2]), torch.tensor([-1.0, -1.0, -1.0, 0.0]), 0.0
    for _ in range(7):
        step = 2.5 * 0.3 / 7 * torch.sign(-2 * (x + delta))
        delta = (delta + step).clamp(-0.3, 0.3)
    found = attack(Square(), x, v, 0.3, rule="pgd", steps=7)
    torch.testing.assert_close(found, delta)
    assert found.abs().max() <= 0.3
    # Near the minimum of a coordinate the whole radius is too long.
    gain = [(v * (Square()((x + d)[None]) - Square()(x[None]))[0]).sum() for d in (found, 0.0)]
    one = attack(Square(), x, v, 0.3)
    assert gain[0] > (v * (Square()((x + one)[None]) - Square()(x[None]))[0]).sum()


def test_iterations_follow_the_published_rules():
    """Every answer of an attack, and what the radii and the next phase become."""
    search = made(radius_min=0.25, radius_max=1.0, attack_radius=0.5)
    assert search.phase == "start"
    search.ask()
    search.tell([-1.0])
    seen = set()
    rng = np.random.default_rng(0)
    for _ in range(3000):
        phase, r, r_attack, best = search.phase, search.radius, search.attack_radius, search.best
        points = search.ask()
        assert search.phase == phase
        # How much cheaper: enough, a little, not at all, infeasible.
        kind = rng.choice(4, p=[0.05, 0.05, 0.5, 0.4])
        cost = [1.1 * best.cost, best.cost * (1 + 1e-4), best.cost, np.nan][kind]
        search.tell([cost])
        seen.add((phase, int(kind), r <= 0.25))
        moved = kind < 2
        np.testing.assert_array_equal(search.x, points[0] if moved else best.x)
        if phase == "attack":
            signs = np.sign(2 * best.x)
            np.testing.assert_allclose(points[0], best.x - r_attack * signs, atol=1e-6)
            factor = [1.3, 1.1, 1 / 1.3, 1 / 1.3][kind]
            assert search.attack_radius == pytest.approx(np.clip(r_attack * factor, 1e-5, 1))
            assert search.radius == (0.5 if kind == 0 and r <= 0.25 else r)
            assert search.phase == ("attack" if kind == 0 else "covering")
            continue
        assert search.attack_radius == r_attack
        if phase in ("search", "poll") and moved:
            assert search.radius == min(2 * r, 1.0)
        elif phase == "covering" and moved:
            assert search.radius == r
        if phase == "covering" and not moved:
            # At its floor search and poll rest.
            assert search.phase == ("attack" if r <= 0.25 else "search")
        if moved:
            assert search.phase == "attack"
    assert {("attack", k, floor) for k in range(4) for floor in (True, False)} <= seen
    assert {phase for phase, _, _ in seen} == {"attack", "covering", "search", "poll"}


def test_a_failed_iteration_polls_one_more_than_the_dimension():
    search = made()
    phases = []
    while search.radius == 0.5:
        phases.append(search.phase)
        search.ask()
        search.tell([1.0])
    assert phases == ["start", "attack", "covering", "search", *["poll"] * 5]
    assert search.evaluations == 9


def test_ends_where_both_radii_are_at_their_floors():
    search = made(radius_min=0.1, attack_radius_min=0.2, feasible=lambda x, y: x[:, 0] > 5)
    result = search.run(10_000)
    assert result.success
    assert "radii at their floors" in result.message
    assert (search.radius, search.attack_radius) == (0.1, 0.2)
    assert result.nonfinite == result.nfev == search.evaluations
    assert result.fun == np.inf


@pytest.mark.parametrize("rule", ["fgsm", "pgd"])
@pytest.mark.parametrize("boundary", ["reflect", "resample", "transform"])
def test_constraints_and_bounds_hold(rule, boundary):
    search = made(
        rule=rule, boundary=boundary, bounds=[(-2, 3), (0.5, 3), (None, 3), (-1, None)],
        feasible=lambda x, y: x[:, 2] >= 0.75,
    )  # fmt: skip
    low, high = np.array([-2, 0.5, -np.inf, -1]), np.array([3, 3, 3, np.inf])
    for _ in range(400):
        points = search.ask()
        assert ((points >= low) & (points <= high)).all()
        search.tell(search.evaluate(points))
    assert search.best.x[2] >= 0.75
    # It may end on the edge of what is feasible; the start costs 6.25, the minimum 0.81.
    assert search.best.cost < 1.2


def test_the_network_is_left_as_it_was():
    model = network()
    model.train()
    model[2].eval()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    model[4].bias.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    flags = [module.training for module in model.modules()]
    search = DirectionalAttack(np.zeros(5), network=model, loss=first, rule="pgd", seed=0)
    with torch.no_grad():
        search.run(60)
    assert search.best.cost < search.evaluate(np.zeros((1, 5)))[0]
    assert [module.training for module in model.modules()] == flags
    assert all((p.grad == 7.0).all() for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()] == [True] * 5 + [False]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    # Dropout and batch statistics are off: the same point costs the same.
    assert len(set(search.evaluate(np.ones((6, 5))))) == 1


def test_outputs_behind_the_mask_do_not_steer():
    chosen = {"network": Square(), "loss": total, "radius": 0.5, "seed": 0}
    search = DirectionalAttack([1.0, -0.1], mask=[True, True, False], **chosen)
    free = DirectionalAttack([1.0, -0.1], **chosen)
    for one in (search, free):
        one.tell(one.evaluate(one.ask()))
    # With the sum of x the slope of the second coordinate is 1 - 0.2, without it -0.2.
    np.testing.assert_allclose(search.ask(), [[0.5, 0.4]], atol=1e-6)
    np.testing.assert_allclose(free.ask(), [[0.5, -0.6]], atol=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("copied", ["state", "pickle", "deepcopy"])
def test_a_resumed_run_equals_an_uninterrupted_one(steps, copied):
    search = made(feasible=left)
    for _ in range(steps):
        search.tell(search.evaluate(search.ask()))
    points = search.ask()
    if copied == "state":
        other = made(feasible=left)
        other.load_state_dict(search.state_dict())
    else:
        other = pickle.loads(pickle.dumps(search)) if copied == "pickle" else copy.deepcopy(search)
    for one in (search, other):
        one.tell(one.evaluate(points))
        one.run(50)
    np.testing.assert_equal(search.state_dict(), other.state_dict())


def test_an_interrupted_run_stands_between_steps():
    calls = []

    def loss(y):
        calls.append(len(y))
        if len(calls) == 20:
            raise KeyboardInterrupt
        if len(calls) == 40:
            raise ZeroDivisionError("of the user")
        return norm(y)

    search, whole = (
        DirectionalAttack(np.ones(4), network=Square(), loss=f, seed=3) for f in (loss, norm)
    )
    assert search.run(30).status == 4
    with pytest.raises(ZeroDivisionError, match="of the user"):
        search.run(30)
    search.run(maxiter=12)
    while whole.evaluations < search.evaluations:
        whole.tell(whole.evaluate(whole.ask()))
    np.testing.assert_array_equal(search.x, whole.x)
    assert search.best.cost == whole.best.cost


def test_refusals_change_nothing():
    search = made()
    with pytest.raises(ValueError, match="tell must be called after ask"):
        search.tell([1.0])
    for _ in range(2):
        search.tell(search.evaluate(search.ask()))
    assert search.phase == "attack"
    search.ask()
    state = search.state_dict()
    with pytest.raises(ValueError, match="ask must be called once before tell"):
        search.ask()
    with pytest.raises(ValueError, match=r"costs of shape \(2,\) does not match"):
        search.tell([1.0, 2.0])
    with pytest.raises(TypeError, match="costs must be plain numbers"):
        search.tell(torch.ones(1, requires_grad=True))
    with pytest.raises(ValueError, match="got one without its attack"):
        search.load_state_dict({k: v for k, v in state.items() if k != "attack"})
    with pytest.raises(ValueError, match="maxfev must be >= 1"):
        search.run(0)
    np.testing.assert_equal(search.state_dict(), state)


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        ({"network": norm}, TypeError, r"network must be a torch.nn.Module, got function"),
        ({"loss": 3}, TypeError, "loss must be callable, got 3"),
        ({"feasible": True}, TypeError, "feasible must be callable, got True"),
        ({"rule": "cw"}, ValueError, "rule must be one of"),
        ({"attack_radius": 2.0}, ValueError, "attack_radius must be in"),
        ({"attack_radius_min": 0.0}, ValueError, "attack_radius_min must be in"),
        ({"attack_radius_max": np.nan}, ValueError, "attack_radius_min must be in"),
        ({"radius": -1.0}, ValueError, "radius must be a positive number"),
        ({"bounds": [(1, 0)] * 4}, ValueError, "bounds must be low <= high"),
    ],
)
def test_settings_out_of_range(chosen, error, message):
    with pytest.raises(error, match=message):
        DirectionalAttack(np.ones(4), **{"network": Square(), "loss": norm, **chosen})


class Steps(torch.nn.Module):
    def forward(self, x):
        return x.detach().round()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"network": Steps(), "loss": total}, "network must be differentiable"),
        ({"loss": lambda y: torch.ones(len(y))}, "loss must be differentiable"),
        ({"mask": [True]}, r"mask of shape \(1,\) does not match an output of shape \(5,\)"),
        ({"loss": torch.sum}, r"loss must return 1 costs for 1 outputs, got shape \(\)"),
        ({"feasible": lambda x, y: x}, "feasible must return 1 truth values"),
    ],
)
def test_functions_that_do_not_fit(chosen, message):
    search = DirectionalAttack(np.ones(4), **{"network": Square(), "loss": norm, **chosen})
    with pytest.raises(ValueError, match=message):
        search.run(10)


def test_the_operator_refuses():
    x, v = torch.ones(3), torch.ones(4)
    for radius in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="radius must be a finite number >= 0"):
            attack(Square(), x, v, radius)
    with pytest.raises(ValueError, match=r"direction of shape \(3,\) does not match an output"):
        attack(Square(), x, x, 0.1)
    with pytest.raises(ValueError, match="steps must be an integer >= 1"):
        attack(Square(), x, v, 0.1, rule="pgd", steps=0)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("directional_attack_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["reactor", "mixture", "picture"])
def test_the_hybrid_beats_its_parts_at_equal_evaluations(example, name):
    torch.manual_seed(0)
    costs = example.compare(getattr(example, name)(), 400, 3)
    medians = {way: np.median(cost) for way, cost in costs.items()}
    assert medians["hybrid"] < medians["direct search"]
    assert medians["hybrid"] < medians["attacks"]
