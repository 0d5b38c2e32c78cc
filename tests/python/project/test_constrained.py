"""Conservation, layers with constraints, multipliers."""

import numpy as np
import pytest

import thalweg.project as pr

torch = pytest.importorskip("torch")


def gaussian(n=5, k=2, seed=0):
    rng = np.random.default_rng(seed)
    L = rng.standard_normal((n, n))
    return rng.standard_normal(n), L @ L.T, rng.standard_normal((k, n)), rng.standard_normal(k)


def test_conservation_is_conditioning():
    """Against the precision form: cov' = (cov^-1 + G^T noise^-1 G)^-1."""
    mean, cov, G, b = gaussian()
    noise = np.array([[0.3, 0.1], [0.1, 0.5]])
    got, spread = pr.conservation(mean, cov, G, b, noise)
    inverse = np.linalg.inv(cov) + G.T @ np.linalg.inv(noise) @ G
    want = np.linalg.inv(inverse)
    assert np.abs(spread - want).max() <= 1e-9
    shift = want @ (np.linalg.inv(cov) @ mean + G.T @ np.linalg.solve(noise, b))
    assert np.abs(got - shift).max() <= 1e-9
    each, _ = pr.conservation(mean, cov, G, b, np.diag(noise))
    diagonal, _ = pr.conservation(mean, cov, G, b, np.diag(np.diag(noise)))
    assert np.allclose(each, diagonal, rtol=0, atol=1e-14)


def test_without_noise_the_law_holds_exactly():
    mean, cov, G, b = gaussian()
    got, spread = pr.conservation(mean, cov, G, b)
    assert np.abs(G @ got - b).max() <= 1e-12
    assert np.abs(G @ spread).max() <= 1e-12
    plain, _ = pr.conservation(mean, np.ones(5), G, b)
    assert np.abs(plain - pr.affine(mean, G, b)).max() <= 1e-12
    diagonal = np.array([1.0, 0.0, 2.0, 0.5, 3.0])
    moved, wide = pr.conservation(mean, diagonal, G, b)
    full, same = pr.conservation(mean, np.diag(diagonal), G, b)
    assert np.allclose(moved, full, rtol=0, atol=1e-13)
    assert np.allclose(wide, same, rtol=0, atol=1e-13)
    assert moved[1] == mean[1]  # what is certain does not move


def test_conservation_in_batches_and_torch():
    mean, cov, G, b = gaussian()
    means, sides = np.stack([mean, 2 * mean, -mean]), np.stack([b, b, 0 * b])
    got, spread = pr.conservation(means, np.stack([cov] * 3), G, sides)
    for i in range(3):
        one, part = pr.conservation(means[i], cov, G, sides[i])
        assert np.allclose(got[i], one, rtol=0, atol=1e-13)
        assert np.allclose(spread[i], part, rtol=0, atol=1e-13)
    t = torch.tensor(means, requires_grad=True)
    s = torch.tensor(np.abs(means) + 0.5, requires_grad=True)
    both = lambda m, c: pr.conservation(m, c, G, b, 0.1)  # noqa: E731
    assert torch.autograd.gradcheck(both, (t, s))
    assert torch.autograd.gradgradcheck(lambda m: both(m, s.detach())[0], (t,))
    low, _ = pr.conservation(t.detach().float(), 1.0 + 0 * t.detach().float(), G, b)
    assert low.dtype == torch.float32


Z = np.zeros(3)
REFUSED = [
    (lambda: pr.conservation(Z, Z + 1, [[1.0, 1.0]], [1.0]), r"G must be of shape \(k, 3\), got"),
    (lambda: pr.conservation(Z, np.ones(2), np.ones((1, 3)), [1.0]), "cov must be of shape"),
    (lambda: pr.conservation(Z, Z + 1, np.ones((1, 3)), [1.0, 2.0]), "b must be of shape"),
    (
        lambda: pr.conservation(Z, Z + 1, np.ones((1, 3)), [1.0], np.ones((2, 2))),
        "noise must be a number or of shape",
    ),
    (lambda: pr.conservation(Z, Z + np.nan, np.ones((1, 3)), [1.0]), "cov holds NaN or infinity"),
    (lambda: pr.conservation(Z, Z + 1, np.ones((2, 3)), [1.0, 1.0]), "got a singular matrix; drop"),
    (lambda: pr.conservation(Z, Z, np.ones((1, 3)), [1.0]), "must be positive definite, got a sin"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=range(len(REFUSED)))
def test_conservation_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_fields_keep_their_invariants():
    g = torch.Generator().manual_seed(0)
    f = torch.randn(4, 6, dtype=torch.float64, generator=g, requires_grad=True)
    D = torch.randn(4, 3, 6, dtype=torch.float64, generator=g, requires_grad=True)
    y = pr.invariant_field(f, D)
    assert float((D @ y.unsqueeze(-1)).detach().abs().max()) <= 1e-13
    want = f - torch.einsum("bnk,bk->bn", torch.linalg.pinv(D), (D @ f[..., None])[..., 0])
    assert float((y - want).detach().abs().max()) <= 1e-12
    assert torch.autograd.gradcheck(pr.invariant_field, (f, D))
    repeated = torch.cat([D, 2 * D[:, :1], 0 * D[:, :1]], 1)
    assert float((pr.invariant_field(f, repeated) - y).detach().abs().max()) <= 1e-10
    nothing = torch.zeros(4, 2, 6, dtype=torch.float64, requires_grad=True)
    still = pr.invariant_field(f, nothing)
    assert torch.equal(still, f)
    still.sum().backward()
    assert torch.isfinite(nothing.grad).all()
    with pytest.raises(ValueError, match=r"gradients must be of shape \(..., k, 6\), got"):
        pr.invariant_field(f, D[..., :5])


def test_an_invariant_field_conserves_energy_along_its_flow():
    x = torch.tensor([1.0, 0.3], dtype=torch.float64)
    energy = lambda x: 0.5 * x[1] ** 2 - torch.cos(x[0])  # noqa: E731
    drift = lambda x: torch.stack([x[1] + 0.1 * x[0], -torch.sin(x[0]) + 0.2])  # noqa: E731
    start = energy(x)
    field = lambda x: pr.invariant_field(  # noqa: E731
        drift(x), torch.stack([torch.sin(x[0]), x[1]])[None]
    )
    for _ in range(500):
        k1 = field(x)
        k2 = field(x + 0.01 * k1)
        x = x + 0.005 * (k1 + k2)
    assert abs(float(energy(x) - start)) <= 1e-5


def residual(w, theta):
    """A small nonlinear system with three residuals for two unknowns."""
    a, b = w[:, :1], w[:, 1:]
    return torch.cat([a * a + b - theta[:, :1], a - b * b + theta[:, 1:], 0.3 * (a * b - 1)], 1)


def test_the_layer_minimises_and_differentiates():
    theta = torch.tensor([[2.0, 0.5], [1.5, 1.0], [3.0, 0.2]], dtype=torch.float64)
    theta.requires_grad_()
    w0 = torch.ones(3, 2, dtype=torch.float64)
    layer = lambda t: pr.least_squares_layer(residual, w0, t, tol=1e-11, max_iter=500)  # noqa: E731
    w = layer(theta).detach().requires_grad_()
    (slope,) = torch.autograd.grad(residual(w, theta).square().sum(), w)
    assert float(slope.abs().max()) <= 1e-9
    assert torch.autograd.gradcheck(layer, (theta,), eps=1e-6, atol=1e-6)
    for i in range(3):  # subdomains as a batch are solved as one by one
        alone = pr.least_squares_layer(
            residual, w0[i : i + 1], theta[i : i + 1], tol=1e-11, max_iter=500
        )
        assert float((alone - layer(theta)[i]).detach().abs().max()) <= 1e-9
    (y,) = torch.autograd.grad(layer(theta).sum(), theta, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives of thalweg"):
        y.sum().backward()


def test_gauss_newton_is_exact_for_zero_residuals():
    theta = torch.tensor([[4.0, 9.0]], dtype=torch.float64, requires_grad=True)
    for gauss_newton in (False, True):
        w = pr.least_squares_layer(
            lambda w, t: w**2 - t, torch.ones_like(theta), theta, gauss_newton=gauss_newton
        )
        (slope,) = torch.autograd.grad(w.sum(), theta)
        assert torch.allclose(slope, 0.5 / theta.detach().sqrt(), atol=1e-8)


def test_a_differential_equation_inside_a_network():
    """U = B w with u'' = -pi^2 sin(pi x) and u(0) = u(1) = 0, over a learned basis."""
    x = torch.linspace(0, 1, 21, dtype=torch.float64)
    powers = torch.stack([x**k for k in range(1, 7)], 1)
    second = torch.stack([k * (k - 1) * x ** max(k - 2, 0) for k in range(1, 7)], 1)
    mix = torch.eye(6, dtype=torch.float64, requires_grad=True)

    def equation(w, mix):
        inner = w @ (second @ mix).T + np.pi**2 * torch.sin(np.pi * x)
        ends = w @ (powers @ mix)[[-1]].T
        return torch.cat([inner, 30 * ends], 1)

    w = pr.least_squares_layer(equation, torch.zeros(1, 6, dtype=torch.float64), mix)
    u = (w @ (powers @ mix).T)[0]
    assert float((u - torch.sin(np.pi * x)).detach().abs().max()) <= 5e-3
    # The span does not change with an invertible mix, nor does u.
    (slope,) = torch.autograd.grad((u * torch.cos(x)).sum(), mix)
    assert float(slope.abs().max()) <= 1e-6


def test_the_layer_refuses_and_warns():
    with pytest.raises(ValueError, match=r"w0 must be a tensor of shape \(batch, k\), got"):
        pr.least_squares_layer(residual, torch.ones(2))
    with pytest.raises(ValueError, match=r"residual must return shape \(1, r\), got \(2,\); a row"):
        pr.least_squares_layer(lambda w: w[0], torch.ones(1, 2))
    with pytest.warns(pr.ConvergenceWarning, match="after 1 steps; raise max_iter"):
        pr.least_squares_layer(lambda w: w**2 - 7, torch.ones(1, 2), max_iter=1)


def solve(dual, steps=600):
    """Min |x - (2, 2)|^2 subject to x_1 <= 1, x_1 + x_2 <= 5."""
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([x], 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        values = torch.stack([x[0], x.sum()])
        dual.lagrangian((x - 2).square().sum(), values).backward()
        optimizer.step()
        dual.ascend(torch.stack([x[0], x.sum()]))
    return x.detach()


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.5}, {"rho": 1.0}, {"lr": [0.1, 0.05]}],
    ids=["plain", "momentum", "augmented", "steps"],
)
def test_dual_ascent_finds_point_and_multipliers(options):
    dual = pr.DualAscent([1.0, 5.0], **{"lr": 0.1, **options})
    x = solve(dual)
    assert torch.allclose(x, torch.tensor([1.0, 2.0], dtype=torch.float64), atol=1e-4)
    if "rho" not in options:
        assert torch.allclose(dual.multipliers, torch.tensor([2.0, 0.0]).double(), atol=1e-3)


def test_dual_ascent_caps_and_gives():
    capped = pr.DualAscent([1.0, 5.0], max_multiplier=1.0)
    assert abs(float(solve(capped)[0]) - 1.5) <= 1e-6
    giving = pr.DualAscent([1.0, 5.0], slack_cost=2.0)
    x = solve(giving)
    # Stationary: lam = 2 (2 - x_1) and x_1 - 1 = lam / 2.
    assert abs(float(x[0]) - 1.5) <= 1e-4


def test_dual_ascent_resumes_and_refuses():
    one, two = pr.DualAscent([0.5], momentum=0.9), pr.DualAscent([0.5], momentum=0.9)
    one.ascend([1.0])
    two.load_state_dict(one.state_dict())
    for dual in (one, two):
        dual.ascend([0.7])
    assert torch.equal(one.multipliers, two.multipliers)
    for make, message in (
        (lambda: pr.DualAscent([]), "bounds must be finite numbers, at least one"),
        (lambda: pr.DualAscent([1.0], lr=0.0), "lr must be positive, got 0.0; a usual"),
        (lambda: pr.DualAscent([1.0], momentum=1.0), r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: pr.DualAscent([1.0], rho=-1.0), "rho must be >= 0, got -1.0; see the class"),
        (lambda: one.ascend([1.0, 2.0]), r"constraints must be of shape \(1,\), got \(2,\)"),
        (lambda: one.ascend([float("nan")]), "constraints holds NaN or infinity; skip"),
        (
            lambda: one.load_state_dict(pr.DualAscent([1.0, 2.0]).state_dict()),
            "multipliers must be 1, got",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            make()
