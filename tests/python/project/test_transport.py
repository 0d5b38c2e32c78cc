"""Entropic and exact transport: oracle, certificates, gradients, edges."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thalweg
import thalweg.project as pr

BOTH = pytest.mark.parametrize("method", ["sinkhorn", "newton_sparse"])


def oracle(C, a, b, eps, rounds=20000, rho=(np.inf, np.inf)):
    """Alternating exact updates in the log domain, from the definition."""
    f, g = np.zeros(len(a)), np.zeros(len(b))
    damp = [1.0 if np.isinf(r) else r / (r + eps) for r in rho]
    for _ in range(rounds):
        old = g
        z = (g - C) / eps
        top = z.max(1)
        f = damp[0] * eps * (np.log(a) - top - np.log(np.exp(z - top[:, None]).sum(1)))
        z = (f[:, None] - C) / eps
        top = z.max(0)
        g = damp[1] * eps * (np.log(b) - top - np.log(np.exp(z - top).sum(0)))
        if np.abs(g - old).max() <= 1e-16:
            break
    return np.exp((f[:, None] + g - C) / eps)


def problem(n=7, m=5, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.2, 1, n), rng.uniform(0.2, 1, m)
    return rng.uniform(0, 1, (n, m)), a / a.sum(), b / b.sum()


@BOTH
@pytest.mark.parametrize("eps", [1.0, 0.1, 0.02])
def test_equals_the_oracle(method, eps):
    for seed, (n, m) in enumerate([(7, 5), (5, 7), (1, 4), (4, 1), (70, 33)]):
        C, a, b = problem(n, m, seed)
        found = pr.sinkhorn(C, a, b, eps, method, tol=1e-13, max_iter=100000 if n < 50 else None)
        assert found.success
        assert found.residual <= 1e-13
        assert np.abs(found.plan - oracle(C, a, b, eps)).max() <= 1e-10
        again = np.exp((found.f[:, None] + found.g - C) / eps)
        assert np.allclose(again, found.plan, rtol=1e-12, atol=0)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 40),
    m=st.integers(1, 40),
    eps=st.sampled_from([3e-3, 0.05, 1.0]),
    newton=st.booleans(),
)
def test_marginals_hold_and_the_plan_has_its_form(seed, n, m, eps, newton):
    C, a, b = problem(n, m, seed)
    method = "newton_sparse" if newton else "sinkhorn"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = pr.sinkhorn(C, a, b, eps, method, tol=1e-9, max_iter=300 if newton else 200000)
    # A few in a thousand tiny problems with a small eps need more Newton steps, and say so.
    assert found.success != any(w.category is pr.ConvergenceWarning for w in caught)
    assert found.success or (newton and eps < 0.02)
    error = np.abs(found.plan.sum(1) - a).sum() + np.abs(found.plan.sum(0) - b).sum()
    assert error <= (3e-9 if found.success else 3 * found.residual)
    # Optimal iff the plan is a rescaling of exp(-C / eps): cross ratios agree.
    form = np.exp((found.f[:, None] + found.g - C) / eps)
    assert np.allclose(form, found.plan, rtol=1e-11, atol=0)


def test_newton_reaches_what_sweeps_do_not():
    rng = np.random.default_rng(3)
    C = rng.uniform(0, 1, (150, 150))
    found = pr.sinkhorn(C, eps=1e-3, method="newton_sparse", tol=1e-12)
    assert found.success
    assert found.n_iter <= 60
    with pytest.warns(pr.ConvergenceWarning, match="> tol 1.0e-12 after 500 sweeps; raise max_it"):
        slow = pr.sinkhorn(C, eps=1e-3, tol=1e-12, max_iter=500)
    assert not slow.success
    assert slow.residual > 1e-12
    assert "raise max_iter" in slow.message


def test_newton_says_when_it_stops_early():
    C, a, b = problem(20, 20)
    with pytest.warns(pr.ConvergenceWarning, match="after 1 Newton steps"):
        found = pr.sinkhorn(C, a, b, 5e-3, "newton_sparse", tol=1e-14, max_iter=1, warm_up=1)
    assert not found.success


@BOTH
def test_extreme_costs_do_not_overflow(method):
    C, a, b = problem(12, 9)
    for scale, shift in ((1e3, 0.0), (1.0, 1e6), (1e-9, 0.0), (1e3, -1e5)):
        found = pr.sinkhorn(scale * C + shift, a, b, 0.05 * scale, method, tol=1e-8)
        want = oracle(scale * (C), a, b, 0.05 * scale)
        assert found.success
        assert np.abs(found.plan - want).max() <= 1e-6
    far = C.copy()
    far[3] += 1e5  # a row whose kernel underflows everywhere
    assert pr.sinkhorn(far, a, b, 0.05, method, tol=1e-9).success


def test_annealing_and_a_start_save_sweeps():
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0, 1, 80))
    C = (x[:, None] - rng.uniform(0, 1, 80)) ** 2
    plain = pr.sinkhorn(C, eps=2e-3, tol=1e-8, max_iter=100000)
    warm = pr.sinkhorn(C, eps=2e-3, tol=1e-8, start=plain.g)
    assert warm.n_iter <= 3
    near = pr.sinkhorn(C, eps=2e-3, tol=1e-8, max_iter=100000, anneal=True)
    assert np.abs(near.plan - plain.plan).max() <= 1e-7


@BOTH
def test_batches_and_masses_of_zero(method):
    rng = np.random.default_rng(2)
    C = rng.uniform(0, 1, (2, 3, 6, 4))
    a = rng.uniform(0.1, 1, (2, 3, 6))
    a[0, 1, 2] = a[1, 0, 0] = a[1, 0, 5] = 0
    b = rng.uniform(0.1, 1, (2, 3, 4))
    b[1, 2, 3] = 0
    a, b = (v / v.sum(-1, keepdims=True) for v in (a, b))
    found = pr.sinkhorn(C, a, b, 0.1, method, tol=1e-12)
    assert found.plan.shape == C.shape
    assert found.f.shape == a.shape
    for i in range(2):
        for j in range(3):
            rows, columns = a[i, j] > 0, b[i, j] > 0
            part = oracle(C[i, j][np.ix_(rows, columns)], a[i, j][rows], b[i, j][columns], 0.1)
            assert np.abs(found.plan[i, j][np.ix_(rows, columns)] - part).max() <= 1e-10
            assert not found.plan[i, j][~rows].any()
            assert not found.plan[i, j][:, ~columns].any()
            assert (found.f[i, j][~rows] == -np.inf).all()


@BOTH
def test_threads_do_not_change_bits(method):
    C, a, b = problem(200, 150)
    plans = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        plans.append(pr.sinkhorn(C, a, b, 0.01, method, tol=1e-9).plan)
    thalweg.set_num_threads(0)
    assert np.array_equal(plans[0], plans[1])
    assert np.array_equal(plans[0], plans[2])


@pytest.mark.parametrize("rho", [(0.5, 0.5), (0.3, 2.0), (0.7, np.inf)])
def test_unbalanced_equals_the_oracle(rho):
    rng = np.random.default_rng(4)
    C, a, b = rng.uniform(0, 1, (6, 5)), rng.uniform(0.1, 2, 6), rng.uniform(0.1, 1, 5)
    found = pr.sinkhorn(C, a, b, 0.05, rho=rho, tol=1e-13)
    assert np.abs(found.plan - oracle(C, a, b, 0.05, rho=rho)).max() <= 1e-10
    assert np.allclose(pr.sinkhorn(C, a, b, 0.05, rho=0.5).plan.sum(), 1.0, atol=3)


def test_exact_equals_linear_programming():
    scipy = pytest.importorskip("scipy.optimize")
    for seed, (n, m) in enumerate([(1, 1), (3, 6), (8, 8), (12, 5)]):
        C, a, b = problem(n, m, seed)
        rows = np.kron(np.eye(n), np.ones(m))
        columns = np.kron(np.ones(n), np.eye(m))
        want = scipy.linprog(
            C.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([a, b])
        ).fun
        found = pr.exact_transport(C, a, b)
        assert abs((found.plan * C).sum() - want) <= 1e-10
        assert np.abs(found.plan.sum(1) - a).max() <= 1e-14
        slack = C - found.f[:, None] - found.g
        assert slack.min() >= -1e-13
        assert np.abs(slack[found.plan > 0]).max() <= 1e-13
        assert abs(pr.wasserstein(C, a, b) - want) <= 1e-10
        close = pr.wasserstein(C, a, b, 1e-3, method="newton_sparse")
        assert want - 1e-9 <= close <= want + 1e-2
    C = problem(30, 30)[0]
    i, j = scipy.linear_sum_assignment(C)
    plan = pr.exact_transport(C, np.ones(30), np.ones(30)).plan
    assert np.array_equal(np.argwhere(plan), np.stack([i, j], 1))


def test_the_far_projection_is_a_linear_program():
    """Projecting a large matrix onto the couplings maximises <P, X>."""
    for seed in range(5):
        C, a, b = problem(8, 6, seed)
        plan = pr.transport(-1e6 * C, a, b)
        assert np.abs(plan - pr.exact_transport(C, a, b).plan).max() <= 1e-8


def test_single_precision_in_and_out():
    C, a, b = problem()
    found = pr.sinkhorn(C.astype(np.float32), a, b, 0.1)
    assert found.plan.dtype == np.float32
    assert np.abs(found.plan - pr.sinkhorn(C, a, b, 0.1).plan).max() <= 1e-6
    assert pr.exact_transport(C.astype(np.float32), a, b).plan.dtype == np.float32


torch = pytest.importorskip("torch")


@BOTH
def test_gradients_of_the_plan(method):
    C, a, b = (torch.tensor(v) for v in problem(4, 5, 1))
    C = torch.stack([C, C.flip(0)]).requires_grad_()
    options = {"tol": 1e-15, "max_iter": 3000, "method": method}
    assert torch.autograd.gradcheck(lambda C: pr.sinkhorn(C, a, b, 0.3, **options).plan, (C,))
    a[2] = 0
    a = (a / a.sum()).detach()
    assert torch.autograd.gradcheck(lambda C: pr.sinkhorn(C, a, b, 0.3, **options).plan, (C,))


def test_gradients_in_the_masses():
    C, a, b = problem(4, 3, 2)
    V = np.random.default_rng(0).standard_normal(C.shape)
    a_t, b_t = (torch.tensor(v, requires_grad=True) for v in (a, b))
    plan = pr.sinkhorn(torch.tensor(C), a_t, b_t, 0.2, tol=1e-15, max_iter=5000).plan
    (plan * torch.tensor(V)).sum().backward()
    h = 1e-5
    for i in range(3):  # move mass between neighbours: the sum stays
        d = np.zeros(4)
        d[i], d[i + 1] = h, -h
        ends = [(oracle(C, a + s * d, b, 0.2) * V).sum() for s in (1, -1)]
        want = (ends[0] - ends[1]) / (2 * h)
        assert abs(float(a_t.grad[i] - a_t.grad[i + 1]) - want) <= 1e-7
    assert abs(float(a_t.grad.sum())) <= 1e-12
    rho = (0.7, 1.3)
    assert torch.autograd.gradcheck(
        lambda C, a, b: pr.sinkhorn(C, a, b, 0.3, rho=rho, tol=1e-14).plan,
        (torch.tensor(C, requires_grad=True), a_t, b_t),
    )


def test_the_implicit_gradient_is_that_of_unrolled_sweeps():
    C, a, b = (torch.tensor(v) for v in problem(5, 5, 3))
    C.requires_grad_()
    V = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    g = torch.zeros(5, dtype=torch.float64)
    for _ in range(400):
        f = 0.2 * (a.log() - torch.logsumexp((g - C) / 0.2, 1))
        g = 0.2 * (b.log() - torch.logsumexp((f[:, None] - C) / 0.2, 0))
    (want,) = torch.autograd.grad((torch.exp((f[:, None] + g - C) / 0.2) * V).sum(), C)
    plan = pr.sinkhorn(C, a, b, 0.2, tol=1e-15, max_iter=2000).plan
    (got,) = torch.autograd.grad((plan * V).sum(), C, create_graph=True)
    assert float((got - want).detach().abs().max()) <= 1e-13
    with pytest.raises(NotImplementedError, match="second derivatives of thalweg"):
        got.sum().backward()


def test_gradients_of_the_distance():
    C, a, b = (torch.tensor(v, requires_grad=True) for v in problem(4, 4, 5))
    assert torch.autograd.gradcheck(
        lambda C: pr.wasserstein(C, a.detach(), b.detach(), 0.2, tol=1e-15, max_iter=5000), (C,)
    )
    value = pr.wasserstein(C, a, b)
    value.backward()
    plan = pr.exact_transport(C, a, b).plan
    assert torch.equal(C.grad, plan)
    h = 1e-7
    d = torch.tensor([h, -h, 0, 0], dtype=torch.float64)
    moved = pr.wasserstein(C.detach(), a.detach() + d, b.detach())
    assert abs(float(moved - value.detach()) / h - float(a.grad[0] - a.grad[1])) <= 1e-5


def test_soft_permutations_learn_an_alignment():
    """Re-basin in small: gradient steps on costs recover a shuffled order."""
    rng = torch.Generator().manual_seed(0)
    W = torch.randn(8, 12, generator=rng, dtype=torch.float64)
    order = torch.randperm(8, generator=rng)
    logits = torch.zeros(8, 8, dtype=torch.float64, requires_grad=True)
    ones = torch.ones(8, dtype=torch.float64)
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for _ in range(150):
        optimizer.zero_grad()
        P = pr.sinkhorn(-logits, ones, ones, 0.3, "newton_sparse", tol=1e-8).plan
        (P @ W - W[order]).square().mean().backward()
        optimizer.step()
    hard = pr.exact_transport(-logits.detach(), ones, ones).plan
    assert torch.equal(hard @ W, W[order])


def test_other_types_of_tensor_take_the_host():
    C = torch.rand(4, 4, dtype=torch.float64).bfloat16().requires_grad_()
    plan = pr.sinkhorn(C, eps=0.1).plan
    assert plan.dtype == torch.bfloat16
    plan.square().sum().backward()
    assert C.grad.shape == C.shape


C2 = np.zeros((2, 2))
REFUSED = [
    (lambda: pr.sinkhorn(np.zeros(2)), r"C must be of shape \(..., n, m\), got \(2,\)"),
    (lambda: pr.sinkhorn(C2, eps=0.0), "eps must be positive, got 0; try 0.05 of the median"),
    (lambda: pr.sinkhorn(C2, method="auction"), "method must be 'sinkhorn' or 'newton_sparse'"),
    (lambda: pr.sinkhorn(C2, [1.0]), r"a of shape \(1,\) does not match C of shape \(2, 2\)"),
    (lambda: pr.sinkhorn(C2, [1.5, -0.5]), "a must be finite and >= 0, got -0.5"),
    (lambda: pr.sinkhorn(C2, [1.0, 1.0], [1.0, 2.0]), "b must be of sum 2, the sum of a, got 3"),
    (lambda: pr.sinkhorn(C2 + np.nan), "C holds NaN or infinity"),
    (lambda: pr.sinkhorn(C2, tol=0.0), "tol must be positive, got 0"),
    (lambda: pr.sinkhorn(C2, max_iter=0), "max_iter must be an integer >= 1, got 0"),
    (lambda: pr.sinkhorn(C2, rho=-1.0), "rho must be positive, got -1"),
    (lambda: pr.sinkhorn(C2, rho=(1.0, 1.0, 1.0)), "rho must be a number or a pair"),
    (lambda: pr.exact_transport(np.zeros((2, 2, 2))), r"C must be of shape \(n, m\), got"),
    (lambda: pr.exact_transport(C2, [1.0, 1.0], [1.0, 2.0]), "b must be of sum 2"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_refuses_unbalanced_newton():
    with pytest.raises(NotImplementedError, match="newton_sparse with rho is not supported; use"):
        pr.sinkhorn(C2, method="newton_sparse", rho=1.0)
