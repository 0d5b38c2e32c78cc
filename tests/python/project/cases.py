"""One row a set: how to call it, its oracle, and what holds for it.

The battery walks these rows; a name of the native registry without a row fails it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from project import oracles as o

import thalweg.project as pr
from thalweg.project import prox


@dataclass
class Case:
    """A set with parameters for vectors of n entries (or matrices of the shape)."""

    id: str
    name: str  # in the native registry
    call: Callable[..., Any]  # (x, axis=, out=) or (x, axes=, out=)
    oracle: Callable[[np.ndarray], np.ndarray]
    shape: tuple[int, ...] = (9,)
    convex: bool = True  # idempotent and non-expansive (a projection onto a convex set)
    proximal: bool = False  # firmly non-expansive, not idempotent
    tol: float = 1e-10
    least: int = 0  # smallest n
    fixed: bool = False  # parameters fix n
    large: float = 1e4  # scale up to which the oracle is good

    @property
    def matrix(self):
        return len(self.shape) == 2


def w(n, seed=1):
    return np.random.default_rng(seed).uniform(0.3, 2.0, n)


N = 9
A = np.random.default_rng(5).standard_normal((3, N))
A[2] = A[0] - 2 * A[1]  # dependent, and consistent
B = A @ np.random.default_rng(6).standard_normal(N)
G = np.random.default_rng(7).standard_normal((6, N))
LABELS = np.array([0, 1, 0, 2, 2, 1, 0, 3, 3])
ROOT = np.sqrt(np.bincount(LABELS))
LO, HI = -w(N, 2), w(N, 3)
MASS = np.array([1.0, 2.0, 0.5, 1.5])
MASS_COLUMNS = np.array([2.0, 0.0, 3.0])


def vec(f, *given, **named):
    return lambda x, **k: f(x, *given, **named, **k)


def soft_matrix(lam):
    return lambda x: o.singular(x, lambda s: np.maximum(s - lam, 0))


CASES = [
    Case("box", "box", vec(pr.box, -0.5, 0.7), lambda x: np.clip(x, -0.5, 0.7)),
    Case("box_each", "box", vec(pr.box, LO, HI), lambda x: np.clip(x, LO, HI), fixed=True),
    Case("box_open", "box", vec(pr.box, 0.0), lambda x: np.maximum(x, 0)),
    Case("linf_ball", "box", vec(pr.linf_ball, 0.6), lambda x: np.clip(x, -0.6, 0.6)),
    Case("l2_ball", "l2_ball", vec(pr.l2_ball, 0.8), lambda x: o.l2_ball(x, 0.8)),
    Case(
        "l2_ball_center",
        "l2_ball",
        vec(pr.l2_ball, 0.8, w(N)),
        lambda x: o.l2_ball(x, 0.8, w(N)),
        fixed=True,
    ),
    Case("l1_ball", "l1_ball", vec(pr.l1_ball, 1.3), lambda x: o.l1_ball(x, 1.3)),
    Case(
        "l1_ball_weights",
        "l1_ball",
        vec(pr.l1_ball, 1.3, w(N)),
        lambda x: o.l1_ball(x, 1.3, w(N)),
        fixed=True,
    ),
    Case("l0_ball", "l0_ball", vec(pr.l0_ball, 3), lambda x: o.l0_ball(x, 3), convex=False),
    Case("simplex", "simplex", vec(pr.simplex, 1.5), lambda x: o.simplex(x, 1.5), least=1),
    Case(
        "weighted_simplex",
        "section",
        vec(pr.weighted_simplex, w(N), 2.0),
        lambda x: o.section(x, w(N), 0.0, np.inf, 2.0),
        fixed=True,
    ),
    Case(
        "capped_simplex",
        "section",
        vec(pr.capped_simplex, HI, 3.0),
        lambda x: o.section(x, 1.0, 0.0, HI, 3.0),
        fixed=True,
    ),
    Case(
        "box_section",
        "section",
        vec(pr.box_section, w(N), LO, HI, 0.4),
        lambda x: o.section(x, w(N), LO, HI, 0.4),
        fixed=True,
    ),
    Case(
        "kl_simplex",
        "kl",
        vec(pr.kl_simplex, 1.5),
        lambda x: o.kl(x, 1.5),
        least=1,
        convex=False,
    ),
    Case(
        "kl_capped",
        "kl",
        vec(pr.kl_simplex, 2.0, w(N) / 2),
        lambda x: o.kl(x, 2.0, w(N) / 2),
        fixed=True,
        convex=False,
    ),
    Case(
        "halfspace",
        "slab",
        vec(pr.halfspace, w(N), 0.1),
        lambda x: o.slab(x, w(N), -np.inf, 0.1),
        fixed=True,
    ),
    Case(
        "hyperplane",
        "slab",
        vec(pr.hyperplane, w(N), 0.3),
        lambda x: o.slab(x, w(N), 0.3, 0.3),
        fixed=True,
    ),
    Case(
        "slab",
        "slab",
        vec(pr.slab, w(N), -0.2, 0.3),
        lambda x: o.slab(x, w(N), -0.2, 0.3),
        fixed=True,
    ),
    Case("affine", "affine", vec(pr.affine, A, B), lambda x: o.affine(x, A, B), fixed=True),
    Case("soc", "soc", pr.soc, o.soc, least=1),
    Case("isotonic", "isotonic", pr.isotonic, o.isotonic),
    Case(
        "isotonic_weights",
        "isotonic",
        vec(pr.isotonic, w(N), increasing=False, lo=-0.5, hi=0.4),
        lambda x: o.isotonic(x, w(N), False, -0.5, 0.4),
        fixed=True,
        convex=False,
    ),
    Case(
        "reflect_box",
        "reflect_box",
        vec(pr.reflect, lo=-0.3, hi=0.4),
        lambda x: o.reflect_box(x, -0.3, 0.4),
        convex=False,
    ),
    Case(
        "reflect_half",
        "reflect_box",
        vec(pr.reflect, lo=0.1, hi=np.inf),
        lambda x: o.reflect_box(x, 0.1, np.inf),
        convex=False,
    ),
    Case(
        "reflect_ball",
        "reflect_ball",
        vec(pr.reflect, "ball", radius=0.7, center=0.1),
        lambda x: o.reflect_ball(x, 0.7, 0.1),
        convex=False,
    ),
    Case("l1", "prox_l1", vec(prox.l1, 0.4), lambda x: o.soft(x, 0.4), proximal=True),
    Case(
        "l1_weights",
        "prox_l1",
        vec(prox.l1, 0.4, w(N), positive=True),
        lambda x: np.maximum(x - 0.4 * w(N), 0),
        proximal=True,
        fixed=True,
    ),
    Case(
        "elastic_net",
        "prox_l1",
        vec(prox.elastic_net, 0.4, 0.7),
        lambda x: o.soft(x, 0.4) / (1 + 0.4 * 0.7),
        proximal=True,
    ),
    Case("ridge", "prox_l1", vec(prox.ridge, 0.4), lambda x: x / 1.4, proximal=True),
    Case(
        "l2", "prox_l2", vec(prox.l2, 0.9), lambda x: o.group(x, 0 * x, 0.9, [1.0]), proximal=True
    ),
    Case("linf", "prox_linf", vec(prox.linf, 0.9), lambda x: x - o.l1_ball(x, 0.9), proximal=True),
    Case(
        "l0",
        "prox_l0",
        vec(prox.l0, 0.3),
        lambda x: np.where(x * x > 0.6, x, 0),
        convex=False,
    ),
    Case(
        "huber",
        "prox_huber",
        vec(prox.huber, 0.4, 0.5),
        lambda x: np.where(np.abs(x) <= 0.9, x / 1.8, x - 0.4 * np.sign(x)),
        proximal=True,
    ),
    Case(
        "mcp",
        "prox_mcp",
        vec(prox.mcp, 0.4, 3.0),
        lambda x: np.where(np.abs(x) <= 1.2, o.soft(x, 0.4) * 1.5, x),
        convex=False,
    ),
    Case(
        "scad",
        "prox_scad",
        vec(prox.scad, 0.4, 3.0),
        lambda x: np.where(
            np.abs(x) <= 0.8,
            o.soft(x, 0.4),
            np.where(np.abs(x) <= 1.2, 2 * x - np.sign(x) * 1.2, x),
        ),
        convex=False,
    ),
    Case(
        "group",
        "prox_group",
        vec(prox.group, LABELS, 0.3),
        lambda x: o.group(x, LABELS, 0.3, ROOT),
        fixed=True,
        proximal=True,
    ),
    Case(
        "sparse_group",
        "prox_group",
        vec(prox.group, LABELS, 0.3, "none", l1=0.2),
        lambda x: o.group(x, LABELS, 0.3, np.ones(4), 0.2),
        fixed=True,
        proximal=True,
    ),
    Case(
        "tv1d", "prox_tv1d", vec(prox.tv1d, 0.4), lambda x: o.tv1d(x, 0.4), proximal=True, tol=1e-9
    ),
    Case(
        "tv1d_edges",
        "prox_tv1d",
        vec(prox.tv1d, w(N - 1) - 0.3, l1=0.1),
        lambda x: o.soft(o.tv1d(x, w(N - 1) - 0.3), 0.1),
        fixed=True,
        proximal=True,
        tol=1e-9,
    ),
    Case("psd", "psd", pr.psd, o.psd, (4, 4)),
    Case("correlation", "correlation", pr.correlation, o.correlation, (4, 4), tol=1e-8, large=3.0),
    Case(
        "spectral_ball",
        "spectral_ball",
        vec(pr.spectral_ball, 0.9),
        lambda x: o.singular(x, lambda s: np.minimum(s, 0.9)),
        (5, 3),
    ),
    Case(
        "nuclear_ball",
        "nuclear_ball",
        vec(pr.nuclear_ball, 1.2),
        lambda x: o.singular(x, lambda s: o.l1_ball(s, 1.2)),
        (3, 5),
    ),
    Case(
        "frobenius_ball",
        "l2_ball",
        vec(pr.frobenius_ball, 0.8),
        lambda x: o.l2_ball(x.ravel(), 0.8).reshape(x.shape),
        (3, 4),
    ),
    Case(
        "rank",
        "rank",
        vec(pr.rank, 2),
        lambda x: o.singular(x, lambda s: s * (np.arange(len(s)) < 2)),
        (4, 3),
        convex=False,
    ),
    Case(
        "nuclear", "prox_nuclear", vec(prox.nuclear, 0.6), soft_matrix(0.6), (4, 3), proximal=True
    ),
    Case(
        "stiefel",
        "stiefel",
        pr.stiefel,
        lambda x: o.singular(x, np.ones_like),
        (5, 3),
        convex=False,
    ),
    Case("rotation", "stiefel", pr.rotation, o.rotation, (3, 3), convex=False),
    Case(
        "birkhoff",
        "transport",
        pr.birkhoff,
        lambda x: o.transport(x, np.ones(4), np.ones(4)),
        (4, 4),
        large=3.0,
    ),
    Case(
        "transport",
        "transport",
        vec(pr.transport, MASS, MASS_COLUMNS),
        lambda x: o.transport(x, MASS, MASS_COLUMNS),
        (4, 3),
        large=3.0,
    ),
    Case("symmetric", "symmetric", pr.symmetric, lambda x: (x + x.T) / 2, (3, 3)),
    Case("skew", "skew", pr.skew, lambda x: (x - x.T) / 2, (3, 3)),
    Case("toeplitz", "toeplitz", pr.toeplitz, o.toeplitz, (3, 4)),
    Case("centered", "centered", pr.centered, lambda x: x - x.mean(1, keepdims=True), (3, 4)),
]

BY_ID = {case.id: case for case in CASES}
