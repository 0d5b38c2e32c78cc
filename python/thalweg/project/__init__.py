"""Points onto sets: projections, proximal maps and transport, batched and differentiable.

Functions take numpy arrays or torch tensors, float32 or float64, and project along `axis` with all
other axes as a batch, in parallel. On torch tensors they are differentiable, with exact
vector-Jacobian products; parameters of sets are constants. torch is imported only by what needs it.
"""

from thalweg.project import cauchy_schwarz, prox
from thalweg.project._engine import ConvergenceWarning
from thalweg.project._transport import Transport
from thalweg.project.ball import frobenius_ball, l2_ball
from thalweg.project.birkhoff import birkhoff, transport
from thalweg.project.box import box, linf_ball
from thalweg.project.conservation import conservation
from thalweg.project.dual_ascent import DualAscent
from thalweg.project.exact_transport import exact_transport
from thalweg.project.halfspace import affine, halfspace, hyperplane, slab
from thalweg.project.invariant_field import invariant_field
from thalweg.project.isotonic import isotonic
from thalweg.project.l0_ball import l0_ball
from thalweg.project.l1_ball import l1_ball
from thalweg.project.least_squares_layer import least_squares_layer
from thalweg.project.linear import centered, skew, symmetric, toeplitz
from thalweg.project.polyhedron import Certificate, polyhedron
from thalweg.project.psd import correlation, psd
from thalweg.project.reflect import reflect
from thalweg.project.simplex import (
    box_section,
    capped_simplex,
    kl_simplex,
    simplex,
    weighted_simplex,
)
from thalweg.project.sinkhorn import sinkhorn
from thalweg.project.soc import soc
from thalweg.project.spectral import nuclear_ball, rank, spectral_ball
from thalweg.project.stiefel import rotation, stiefel
from thalweg.project.wasserstein import wasserstein

__all__ = [
    "Certificate",
    "ConvergenceWarning",
    "DualAscent",
    "Transport",
    "affine",
    "birkhoff",
    "box",
    "box_section",
    "capped_simplex",
    "cauchy_schwarz",
    "centered",
    "conservation",
    "correlation",
    "exact_transport",
    "frobenius_ball",
    "halfspace",
    "hyperplane",
    "invariant_field",
    "isotonic",
    "kl_simplex",
    "l0_ball",
    "l1_ball",
    "l2_ball",
    "least_squares_layer",
    "linf_ball",
    "nuclear_ball",
    "polyhedron",
    "prox",
    "psd",
    "rank",
    "reflect",
    "rotation",
    "simplex",
    "sinkhorn",
    "skew",
    "slab",
    "soc",
    "spectral_ball",
    "stiefel",
    "symmetric",
    "toeplitz",
    "transport",
    "wasserstein",
    "weighted_simplex",
]
