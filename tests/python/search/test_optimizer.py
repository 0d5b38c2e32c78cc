"""Any torch module: exactness of the variants, buffers, dropout, resumption, refusals."""

from __future__ import annotations

import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from thalweg.search import PolyStepOptimizer  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    """Batches of a few kilobytes: a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


X = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long()


class Sign(nn.Module):
    def forward(self, x):
        return torch.sign(x)


class Branch(nn.Module):
    """Data-dependent control flow: vmap cannot batch it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 2)

    def forward(self, x):
        out = self.linear(x)
        return out if float(out.sum()) > 0 else 2 * out


def net(*middle):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 5), *middle, nn.Linear(5, 2))


def closure_of(model):
    return lambda: nn.functional.cross_entropy(model(X), Y)


@pytest.mark.parametrize("subspace", ["per_layer", "structured", "low_rank", "full", "global"])
@pytest.mark.parametrize("blocks", ["per_layer", "grouped", "monolithic"])
def test_batched_and_looped_variants_are_the_same_module(subspace, blocks):
    told = {}
    for mode in ("vmap", "loop"):
        model = net(nn.Tanh())
        optimizer = PolyStepOptimizer(
            model, subspace=subspace, blocks=blocks, rank=2, evaluate=mode, chunk_size=20,
            particle_dim=3, redraw=2, seed=0,
        )  # fmt: skip
        losses = [optimizer.step(closure_of(model)) for _ in range(3)]
        assert optimizer.evaluator.mode == mode
        told[mode] = losses, [p.detach().clone() for p in model.parameters()]
    np.testing.assert_allclose(told["vmap"][0], told["loop"][0], rtol=1e-4)
    for a, b in zip(told["vmap"][1], told["loop"][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("subspace", ["per_layer", "structured", "full", "global"])
def test_variants_are_base_plus_projected_candidates(subspace):
    model = net(nn.Tanh()).double()
    optimizer = PolyStepOptimizer(
        model, subspace=subspace, rank=3, particle_dim=4, blocks="monolithic", seed=0
    )
    for _ in range(2):
        optimizer.step(lambda: nn.functional.cross_entropy(model(X.double()), Y))
    seen, asked = [], []
    open_step = optimizer.search.open

    def opened():
        count = open_step()
        asked.append(optimizer.search.candidates(0, count) - optimizer.search.x)
        return count

    def record(variants):
        seen.append(variants)
        return torch.arange(len(next(iter(variants.values()))), dtype=torch.float64)

    optimizer.search.open = opened
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer.step_batched(record)
    moves = iter(asked[0])
    for variants in seen:
        for i in range(len(next(iter(variants.values())))):
            move = next(moves)
            for name, value in before.items():
                a, basis = optimizer._starts[name], optimizer._bases[name]
                c = torch.from_numpy(move[a : a + basis.coords])
                got = variants[name][i] if name in variants else value
                torch.testing.assert_close(got, value + basis.expand(c), rtol=1e-9, atol=1e-9)
    assert next(moves, None) is None


def test_trains_what_has_no_gradient():
    model = net(Sign())
    optimizer = PolyStepOptimizer(model, subspace="full", seed=0)

    def error():
        return (model(X).argmax(1) != Y).float().mean()

    first = float(error())
    for _ in range(60):
        optimizer.step(error)
    assert float(error()) < 0.5 * first
    assert optimizer.search.effective_lr > 0


def test_falls_back_to_the_loop_and_says_why():
    model = Branch()
    optimizer = PolyStepOptimizer(model, rank=2, seed=0)
    optimizer.step(closure_of(model))
    assert optimizer.evaluator.mode == "loop"
    assert optimizer.evaluator.reason
    with pytest.raises(RuntimeError):
        PolyStepOptimizer(model, rank=2, evaluate="vmap", seed=0).step(closure_of(model))


@pytest.mark.parametrize("mode", ["vmap", "loop"])
def test_dropout_masks_are_common_to_all_variants(mode):
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = PolyStepOptimizer(model, rank=1, evaluate=mode, chunk_size=16, seed=0)
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(1.0)
        model[2].weight.zero_()
    told = []
    tell = optimizer.search.tell
    optimizer.search.tell = lambda costs: (told.append(costs.copy()), tell(costs))
    torch.manual_seed(3)
    optimizer.step(closure_of(model))
    # With a zero last layer the first one cannot matter, so equal masks mean equal costs.
    first_layer = told[0][1 : 1 + 2 * optimizer._bases["0.weight"].coords]
    assert first_layer.std() < 1e-6


@pytest.mark.parametrize("mode", ["vmap", "loop"])
def test_batch_norm_statistics_move_once_a_step(mode):
    model = net(nn.BatchNorm1d(5))
    optimizer = PolyStepOptimizer(model, rank=1, evaluate=mode, seed=0)
    optimizer.step(closure_of(model))
    assert optimizer.evaluator.mode == mode
    assert int(model[1].num_batches_tracked) == 1
    model.eval()
    kept = model[1].running_mean.clone()
    optimizer.step(closure_of(model))
    assert int(model[1].num_batches_tracked) == 1
    torch.testing.assert_close(model[1].running_mean, kept)


def test_frozen_parameters_and_outside_changes():
    model = net(nn.Tanh())
    model[0].weight.requires_grad_(False)
    kept = model[0].weight.clone()
    optimizer = PolyStepOptimizer(model, rank=2, seed=0)
    optimizer.step(closure_of(model))
    assert torch.equal(model[0].weight, kept)
    with torch.no_grad():
        model[2].bias.fill_(7.0)
    optimizer.step(closure_of(model))
    assert float((model[2].bias.detach() - 7.0).abs().max()) < 2.0


def test_redraw_draws_new_directions_and_keeps_the_weights():
    model = net(nn.Tanh())
    for compat, same in (((), False), (("absorb",), True)):
        optimizer = PolyStepOptimizer(model, rank=1, redraw=2, compat=compat, seed=0)
        before = optimizer._bases["0.weight"].dense.clone()
        for _ in range(3):
            optimizer.step(closure_of(model))
        assert torch.equal(before, optimizer._bases["0.weight"].dense) == same
        base = optimizer._base["0.weight"]
        c = optimizer.search.x[: optimizer._bases["0.weight"].coords]
        move = optimizer._bases["0.weight"].expand(torch.from_numpy(c).float())
        torch.testing.assert_close(model[0].weight.detach(), base + move)


def test_a_resumed_run_equals_an_uninterrupted_one():
    model = net(nn.Tanh())
    optimizer = PolyStepOptimizer(model, rank=2, redraw=3, seed=5)
    for _ in range(4):
        optimizer.step(closure_of(model))
    saved = io.BytesIO()
    torch.save(optimizer.state_dict(), saved)
    saved.seek(0)
    other = net(nn.Tanh())
    resumed = PolyStepOptimizer(other, rank=2, redraw=3, seed=0)
    resumed.load_state_dict(torch.load(saved, weights_only=False))
    for _ in range(4):
        a, b = optimizer.step(closure_of(model)), resumed.step(closure_of(other))
        assert a == b
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
    with pytest.raises(ValueError, match="state must hold the parameters"):
        PolyStepOptimizer(nn.Linear(2, 2), seed=0).load_state_dict(optimizer.state_dict())


def test_an_interrupted_step_changes_nothing_and_is_taken_again():
    model = net(nn.Tanh())
    optimizer = PolyStepOptimizer(model, rank=2, evaluate="loop", seed=5)
    optimizer.step(closure_of(model))
    before = [p.detach().clone() for p in model.parameters()]
    calls = 0

    def interrupted():
        nonlocal calls
        calls += 1
        if calls == 20:
            raise KeyboardInterrupt
        return closure_of(model)()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(interrupted)
    for p, q in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, q)
    whole = net(nn.Tanh())
    straight = PolyStepOptimizer(whole, rank=2, evaluate="loop", seed=5)
    straight.step(closure_of(whole))
    assert straight.step(closure_of(whole)) == optimizer.step(closure_of(model))


def test_nan_losses_are_counted():
    model = net(nn.Tanh())
    optimizer = PolyStepOptimizer(model, rank=1, seed=0)

    def closure():
        loss = closure_of(model)()
        return torch.where(loss > 0.7, torch.nan, loss)

    for _ in range(5):
        optimizer.step(closure)
    assert optimizer.search.nonfinite > 0
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_sparse_bases_have_unit_rows_and_match_their_dense_form(monkeypatch):
    from thalweg.search import subspace

    monkeypatch.setattr(subspace, "_DENSE_BYTES", 0)
    like = torch.zeros(20, 30, dtype=torch.float64)
    basis = subspace.draw("w", like, "per_layer", 4, (0, 0))
    assert basis.index is not None
    assert basis.coords == 4 * 50
    rows = basis.rows(0, basis.coords, like)
    c = torch.randn(basis.coords, dtype=torch.float64)
    torch.testing.assert_close(basis.expand(c).reshape(-1), c @ rows)
    assert (basis.rows(-2, 3, like)[:2] == 0).all()


@pytest.mark.parametrize("mode", ["vmap", "loop", "auto"])
def test_refuses_closures(mode):
    model = net(nn.Tanh())
    optimizer = PolyStepOptimizer(model, rank=1, evaluate=mode, seed=0)

    def backward():
        loss = closure_of(model)()
        loss.backward()
        return loss

    def with_grad():
        with torch.enable_grad():
            return closure_of(model)()

    with pytest.raises(TypeError, match="without calling backward"):
        optimizer.step(backward)
    with pytest.raises(TypeError, match="one that requires grad"):
        optimizer.step(with_grad)

    def leaves_gradients():
        model[0].weight.grad = torch.ones_like(model[0].weight)
        return closure_of(model)()

    with pytest.raises(TypeError, match="leave no gradients"):
        optimizer.step(leaves_gradients)
    with pytest.raises(TypeError, match="one real number, got shape"):
        optimizer.step(lambda: model(X))
    with pytest.raises(TypeError, match="tensor or number, got NoneType"):
        optimizer.step(lambda: None)
    with pytest.raises(ValueError, match=r"losses of shape \(1,\)"):
        optimizer.step_batched(lambda variants: torch.zeros(3))
    optimizer.step(closure_of(model))


def test_refuses_settings():
    model = net(nn.Tanh())
    for options, match in (
        ({"subspace": "half"}, "subspace must be one of"),
        ({"blocks": "two"}, "blocks must be one of"),
        ({"rank": 0}, "rank must be >= 1"),
        ({"redraw": -1}, "redraw must be >= 0"),
        ({"evaluate": "jit"}, "evaluate must be"),
        ({"jitter": 3.0}, "jitter must be in"),
    ):
        with pytest.raises(ValueError, match=match):
            PolyStepOptimizer(model, **options)
    with pytest.raises(ValueError, match="must have a parameter"):
        PolyStepOptimizer(nn.Tanh())
    with pytest.raises(TypeError, match="real floating point"):
        PolyStepOptimizer(nn.Linear(2, 2, dtype=torch.complex64))


def test_another_rank_from_a_step_on_changes_no_weight_and_resumes():
    def build():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.Tanh(), torch.nn.Linear(9, 3))
        return model, PolyStepOptimizer(model, rank=2, rank_schedule=[(2, 3), (4, 1)], seed=0)

    x, y = torch.randn(40, 12), torch.randint(3, (40,))
    model, optimizer = build()
    loss = torch.nn.functional.cross_entropy
    seen, middle = [], None
    for step in range(6):
        before = [p.detach().clone() for p in model.parameters()]
        radii = optimizer.search.radii(0)
        optimizer._follow_schedule()
        assert all((a == b).all() for a, b in zip(before, model.parameters(), strict=True))
        assert optimizer.search.radii(0)["probe_radius"] == pytest.approx(radii["probe_radius"])
        seen.append(len(optimizer.search.x))
        optimizer.step(lambda: loss(model(x), y))
        if step == 2:
            middle = optimizer.state_dict()
    # r (d_out + d_in) for both layers, and the biases
    ranks = [2, 2, 3, 3, 1, 1]
    assert seen == [r * 21 + min(27, r * 12) + 12 for r in ranks]
    other, again = build()
    again.load_state_dict(middle)
    for _ in range(3):
        again.step(lambda: loss(other(x), y))
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize("schedule", [[(3, 2), (3, 1)], [(-1, 2)], [(2, 0)]])
def test_a_rank_schedule_out_of_order_is_refused(schedule):
    with pytest.raises(ValueError, match="rank_schedule must be pairs"):
        PolyStepOptimizer(torch.nn.Linear(2, 2), rank_schedule=schedule)


def test_global_coordinates_are_orthonormal_over_all_tensors():
    model = net(nn.Tanh())
    optimizer = PolyStepOptimizer(model, subspace="global", rank=6, redraw=3, seed=0)
    assert optimizer.search.x.shape == (6,)
    wide = torch.cat([basis.dense for basis in optimizer._bases.values()], 1)
    torch.testing.assert_close(wide @ wide.T, torch.eye(6), rtol=0, atol=1e-5)
    first = optimizer.step(closure_of(model))
    for _ in range(40):
        last = optimizer.step(closure_of(model))
    assert last < first
    again = torch.cat([basis.dense for basis in optimizer._bases.values()], 1)
    assert (wide - again).abs().max() > 0.01


def test_factors_move_along_their_product():
    from thalweg.search import subspace

    like = torch.zeros(5, 4, dtype=torch.float64)
    basis = subspace.draw("w", like, "low_rank", 2, (0, 0))
    assert basis.coords == 2 * 9
    c = torch.randn(18, dtype=torch.float64)
    torch.testing.assert_close(basis.expand(0 * c), like)
    basis.follow(c)
    exact = torch.autograd.functional.jacobian(basis.expand, c).reshape(20, 18).T
    torch.testing.assert_close(basis.rows(-1, 19, like)[1:19], exact)
    assert (basis.rows(-1, 19, like)[[0, -1]] == 0).all()
    moved = basis.expand(c)
    a, b = basis.start
    torch.testing.assert_close(moved, (a + c[:10].view(5, 2)) @ (b + c[10:].view(2, 4)) - a @ b)


@pytest.mark.parametrize("kind", ["per_layer", "structured", "low_rank", "full", "global"])
def test_coordinates_stay_within_their_number(kind):
    model = nn.Sequential(nn.Linear(20, 10), nn.Tanh(), nn.Linear(10, 6))
    for most in (70, 100, 10_000):
        optimizer = PolyStepOptimizer(model, subspace=kind, rank=4, max_coords=most, seed=0)
        assert len(optimizer.search.x) <= most
        first = optimizer.step(lambda: model(torch.ones(1, 20)).square().sum())
        assert np.isfinite(first)
    if kind != "global":
        with pytest.raises(ValueError, match="max_coords must be >="):
            PolyStepOptimizer(model, subspace=kind, rank=4, max_coords=17)


def test_a_redraw_at_stagnation_waits_for_it():
    model = net(nn.Tanh())
    optimizer = PolyStepOptimizer(model, rank=1, redraw="stagnation", seed=0)
    for _ in range(15):
        optimizer.step(closure_of(model))
    before = optimizer._bases["0.weight"].dense.clone()
    for _ in range(20):
        optimizer.step(lambda: torch.tensor(1.0))
    assert torch.equal(before, optimizer._bases["0.weight"].dense)
    for _ in range(2):
        optimizer.step(lambda: torch.tensor(1.0))
    assert not torch.equal(before, optimizer._bases["0.weight"].dense)


@pytest.mark.parametrize("kind", ["per_layer", "global"])
def test_redrawn_directions_hold_the_last_moves(kind):
    model = net(nn.Tanh()).double()

    def closure():
        return nn.functional.cross_entropy(model(X.double()), Y)

    settings = {"subspace": kind, "rank": 2, "directions": "moves", "redraw": 6}
    optimizer = PolyStepOptimizer(model, **settings, max_iterations=6, seed=0)
    for _ in range(6):
        optimizer.step(closure)
    moves = [dict(m) for m in optimizer._recent]
    saved = None
    for _ in range(2):
        optimizer.step(closure)
        saved = saved or optimizer.state_dict()
    names = ["0.weight"] if kind == "per_layer" else list(moves[0])
    rows = torch.stack([torch.cat([m[n] for n in names]) for m in moves])
    wide = torch.cat([optimizer._bases[n].dense for n in names], 1)
    top = torch.linalg.svd(rows, full_matrices=False)[2][0]
    # The largest move lies in the new directions; at random it would not.
    assert float((wide @ top).norm()) == pytest.approx(1.0, abs=1e-5)
    other = net(nn.Tanh()).double()
    again = PolyStepOptimizer(other, **settings, max_iterations=6, seed=3)
    again.load_state_dict(saved)
    again.step(lambda: nn.functional.cross_entropy(other(X.double()), Y))
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_resting_blocks_are_left_out_of_the_variants():
    model = net(nn.Tanh())
    fixed = {"step_radius": 1e-3, "probe_radius": 0.5, "scale_cost": 1.0, "momentum": 0.0}
    optimizer = PolyStepOptimizer(
        model, rank=2, redraw=0, particle_dim=3, adaptive_probes=True, **fixed, seed=0
    )
    counts = []

    def costs(variants):
        counts[-1] += len(next(iter(variants.values())))
        assert all(len(v) == len(next(iter(variants.values()))) for v in variants.values())
        return torch.zeros(len(next(iter(variants.values()))))

    for _ in range(11):
        counts.append(0)
        optimizer.step_batched(costs)
    assert counts[0] == counts[10] > 0
    assert set(counts[1:10]) == {0}


def test_refuses_new_settings():
    for options, match in (
        ({"max_coords": 0}, "max_coords must be >= 1"),
        ({"redraw": "always"}, "redraw must be one of"),
        ({"directions": "best"}, "directions must be one of"),
        ({"directions": "moves", "subspace": "full"}, "directions must be 'random'"),
    ):
        with pytest.raises(ValueError, match=match):
            PolyStepOptimizer(net(), **options)
