"""Reflection into any convex set, against the closed forms and by its definition."""

import numpy as np
import pytest

import thalweg.project as pr

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


def test_is_the_closed_form_for_boxes_and_balls():
    x = 5 * RNG.standard_normal((40, 3))
    got = pr.reflect(x, lambda z: pr.box(z, -0.5, 1.0))
    assert np.abs(got - pr.reflect(x, lo=-0.5, hi=1.0)).max() <= 1e-11
    got = pr.reflect(x, lambda z: pr.l2_ball(z, 0.7, 0.2))
    assert np.abs(got - pr.reflect(x, "ball", radius=0.7, center=0.2)).max() <= 1e-11
    a = np.array([1.0, 2.0, -0.5])
    got = pr.reflect(x, lambda z: pr.halfspace(z, a, 0.3))
    want = x - 2 * np.maximum(x @ a - 0.3, 0)[:, None] / (a @ a) * a
    assert np.abs(got - want).max() <= 1e-12


@pytest.mark.parametrize(
    "project",
    [
        lambda z: pr.polyhedron(z, [[1.0, 1, 0], [-1, 0.5, 0], [0, -1, 1], [0, 0, -1]], 1.0),
        lambda z: pr.l1_ball(z, 2.0),
        pr.soc,
        pr.isotonic,
        lambda z: pr.box(z, 0.0, np.inf),
    ],
    ids=["polyhedron", "l1_ball", "soc", "isotonic", "orthant"],
)
def test_ends_inside_and_leaves_what_is_inside(project):
    x = 3 * RNG.standard_normal((30, 3))
    y = pr.reflect(x, project)
    assert np.abs(project(y) - y).max() <= 1e-12
    inside = np.abs(project(x) - x).max(-1) == 0
    assert np.abs(y[inside] - x[inside]).max(initial=0.0) <= 1e-13
    # One reflection at most doubles the way: no farther from any point of the set than x was.
    inner = project(RNG.standard_normal((30, 3)))
    near, far = (((p - inner) ** 2).sum(-1) for p in (y, x))
    assert (near <= far + 1e-9).all()
    t = torch.tensor(x[:4], requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: pr.reflect(t, project), (t,), eps=1e-7, atol=1e-5)


def test_matrices_and_single_precision():
    x = RNG.standard_normal((5, 4, 4))
    y = pr.reflect(x, pr.psd)
    assert np.linalg.eigvalsh(y).min() >= -1e-11
    low = pr.reflect(x.astype(np.float32), lambda z: pr.box(z, 0.0, 1.0))
    assert low.dtype == np.float32
    assert low.min() >= 0
    assert low.max() <= 1


def test_a_set_without_interior_is_projected_onto():
    x = RNG.standard_normal((6, 4))
    y = pr.reflect(x, pr.simplex)
    assert np.abs(y.sum(-1) - 1).max() <= 1e-12
    plane = pr.reflect(x, lambda z: pr.hyperplane(z, np.ones(4), 2.0))
    assert np.abs(plane - pr.hyperplane(x, np.ones(4), 2.0)).max() <= 1e-13


def test_out_and_too_few_reflections():
    x = np.array([10.3, -4.0])
    out = np.empty(2)
    assert pr.reflect(x, lambda z: pr.box(z, 0.0, 1.0), out=out) is out
    assert np.abs(out - [0.3, 0.0]).max() <= 1e-12
    t = torch.zeros(2, dtype=torch.float64)
    assert pr.reflect(torch.tensor(x), lambda z: pr.box(z, 0.0, 1.0), out=t) is t
    assert np.array_equal(t.numpy(), out)
    with pytest.warns(pr.ConvergenceWarning, match="2 reflections end 7.3e[+]00 outside; raise"):
        pr.reflect(x, lambda z: pr.box(z, 0.0, 1.0), max_iter=2)
    with pytest.raises(ValueError, match="x holds NaN or infinity"):
        pr.reflect(x * np.nan, pr.box)
