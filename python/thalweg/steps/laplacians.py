"""Solvers of (a + b Lap + diag) u = r for the Laplacians of graphs and grids.

Each gives `multiply(u)` = Lap u, and `solve(r)` for the operator that `prepare(a, b, diagonal)`
named last. Those that know a basis of eigenvectors take constant diagonals only, which `constant`
says.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Operator:
    """What the kinds have in common."""

    constant: bool
    shape: tuple[int, ...]

    def prepare(self, a: float, b: float, diagonal: Any) -> None:
        """Make ready to solve with a + b Lap + diagonal."""
        raise NotImplementedError

    def solve(self, r: Floats) -> Floats:
        """The solution for the right-hand side r."""
        raise NotImplementedError

    def multiply(self, u: Floats) -> Floats:
        """Apply the Laplacian."""
        raise NotImplementedError

    def within(self, u: Floats) -> Floats:
        """The nearest u that the operator can represent."""
        return u


class Dense(Operator):
    """A symmetric matrix; the operator is inverted once, O(n^3), and a solve costs O(n^2)."""

    constant = False

    def __init__(self, matrix: Floats) -> None:
        self.matrix, self.shape = matrix, (len(matrix),)
        self.inverse: NDArray[Any] = matrix

    def prepare(self, a: float, b: float, diagonal: Any) -> None:
        """Invert."""
        self.inverse = np.linalg.inv(
            b * self.matrix + np.diag(np.broadcast_to(a + diagonal, self.shape))
        )

    def solve(self, r: Floats) -> Floats:
        """Multiply by the inverse."""
        found: Floats = self.inverse @ r
        return found

    def multiply(self, u: Floats) -> Floats:
        """Multiply."""
        found: Floats = self.matrix @ u
        return found


class Sparse(Operator):
    """A sparse matrix of scipy's; the operator is factored once."""

    constant = False

    def __init__(self, matrix: Any) -> None:
        self.matrix, self.shape = matrix.tocsc().astype(np.float64), (matrix.shape[0],)
        self.factor: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "factor": None}

    def prepare(self, a: float, b: float, diagonal: Any) -> None:
        """Factor."""
        sparse = importlib.import_module("scipy.sparse")
        linalg = importlib.import_module("scipy.sparse.linalg")
        added = sparse.diags(np.broadcast_to(a + diagonal, self.shape))
        self.factor = linalg.splu((b * self.matrix + added).tocsc())

    def solve(self, r: Floats) -> Floats:
        """Substitute."""
        found: Floats = self.factor.solve(r)
        return found

    def multiply(self, u: Floats) -> Floats:
        """Multiply."""
        found: Floats = self.matrix @ u
        return found


class Eigenbasis(Operator):
    """Some eigenvectors of a graph, orthonormal columns: u stays in their span. O(n k) a solve."""

    constant = True

    def __init__(self, values: Floats, vectors: Floats) -> None:
        self.values, self.vectors, self.shape = values, vectors, (len(vectors),)
        self.scale: Any = None

    def prepare(self, a: float, b: float, diagonal: Any) -> None:
        """Invert eigenvalues."""
        self.scale = 1 / (a + diagonal + b * self.values)

    def solve(self, r: Floats) -> Floats:
        """Scale coefficients."""
        found: Floats = self.vectors @ (self.scale * (self.vectors.T @ r))
        return found

    def multiply(self, u: Floats) -> Floats:
        """Scale coefficients."""
        found: Floats = self.vectors @ (self.values * (self.vectors.T @ u))
        return found

    def within(self, u: Floats) -> Floats:
        """Project onto the span."""
        found: Floats = self.vectors @ (self.vectors.T @ u)
        return found


class Grid(Operator):
    """The 2d+1 point Laplacian of a grid, mirrored (Neumann) or periodic; O(n log n) a solve."""

    constant = True

    def __init__(self, shape: tuple[int, ...], spacing: float, boundary: str) -> None:
        self.shape, self.periodic = shape, boundary == "periodic"
        self.spacing = spacing
        half = 1.0 if self.periodic else 0.5
        self.values: Floats = np.zeros(shape)
        for axis, n in enumerate(shape):
            line = (2 - 2 * np.cos(2 * math.pi * half * np.arange(n) / n)) / spacing**2
            self.values = self.values + line.reshape(
                [-1 if a == axis else 1 for a in range(len(shape))]
            )
        self.scale: Any = None

    def prepare(self, a: float, b: float, diagonal: Any) -> None:
        """Invert eigenvalues."""
        self.scale = 1 / (a + diagonal + b * self.values)

    def solve(self, r: Floats) -> Floats:
        """Transform, scale, transform back."""
        if self.periodic:
            found: Floats = np.fft.ifftn(self.scale * np.fft.fftn(r)).real
            return found
        for axis in range(r.ndim):
            r = cosines(r, axis)
        r = self.scale * r
        for axis in range(r.ndim):
            r = from_cosines(r, axis)
        return r

    def multiply(self, u: Floats) -> Floats:
        """Second differences."""
        total: Floats = np.zeros_like(u)
        for axis, n in enumerate(self.shape):
            if self.periodic:
                total += 2 * u - np.roll(u, 1, axis) - np.roll(u, -1, axis)
            elif n > 1:
                steps = np.diff(u, axis=axis)
                pad = [(0, 0)] * u.ndim
                pad[axis] = (1, 1)
                total -= np.diff(np.pad(steps, pad), axis=axis)
        return total / self.spacing**2


def cosines(x: Floats, axis: int) -> Floats:
    """Discrete cosine transform, type 2: sum_j x_j cos(pi k (2 j + 1) / (2 n)).

    Through one complex transform of the even entries followed by the odd ones backwards.
    """
    x = np.moveaxis(x, axis, -1)
    n = x.shape[-1]
    folded = np.concatenate([x[..., ::2], x[..., 1::2][..., ::-1]], axis=-1)
    turn = np.exp(-0.5j * math.pi * np.arange(n) / n)
    return np.moveaxis((np.fft.fft(folded) * turn).real, -1, axis)


def from_cosines(y: Floats, axis: int) -> Floats:
    """The inverse of `cosines`."""
    y = np.moveaxis(y, axis, -1)
    n = y.shape[-1]
    turn = np.exp(0.5j * math.pi * np.arange(n) / n)
    mirrored = np.concatenate([np.zeros_like(y[..., :1]), y[..., :0:-1]], axis=-1)
    folded = np.fft.ifft((y - 1j * mirrored) * turn).real
    x = np.empty_like(folded)
    half = (n + 1) // 2
    x[..., ::2] = folded[..., :half]
    x[..., 1::2] = folded[..., half:][..., ::-1]
    return np.moveaxis(x, -1, axis)


def laplacian(operator: Any, spacing: float, boundary: str) -> Operator:
    """The solver for what a user gave.

    Raises
    ------
    TypeError, ValueError
        If it is no Laplacian.
    """
    if isinstance(operator, int) and not isinstance(operator, bool):
        operator = (operator,)
    if (
        isinstance(operator, tuple)
        and operator
        and all(isinstance(n, (int, np.integer)) for n in operator)
    ):
        if min(operator) < 1:
            raise ValueError(f"laplacian must be a shape of sides >= 1, got {operator}; mend it")
        return Grid(tuple(int(n) for n in operator), float(spacing), boundary)
    if isinstance(operator, tuple) and len(operator) == 2:
        values, vectors = (np.array(part, np.float64) for part in operator)
        if values.ndim != 1 or vectors.ndim != 2 or vectors.shape[1] != len(values):
            raise ValueError(
                f"laplacian must be (k values, n x k vectors), got shapes {values.shape} and "
                f"{vectors.shape}; pass what numpy.linalg.eigh returns"
            )
        if not np.allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-6):
            raise ValueError("laplacian must have orthonormal eigenvectors, got others; scale them")
        _semidefinite(float(values.min(initial=0.0)), float(np.abs(values).max(initial=0.0)))
        return Eigenbasis(np.maximum(values, 0.0), vectors)
    if hasattr(operator, "tocsc"):
        if operator.shape[0] != operator.shape[1] or abs(operator - operator.T).max() > 1e-9 * max(
            abs(operator).max(), 1e-300
        ):
            raise ValueError("laplacian must be symmetric, got another matrix; pass D - W")
        return Sparse(operator)
    matrix = np.array(operator, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(
            f"laplacian must be square, got shape {matrix.shape}; pass D - W, or a tuple for a grid"
        )
    if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T, rtol=1e-9, atol=1e-12):
        raise ValueError("laplacian must be symmetric and finite, got another; pass D - W")
    spectrum = np.linalg.eigvalsh(matrix)
    _semidefinite(float(spectrum[0]), float(np.abs(spectrum).max()))
    return Dense(matrix)


def _semidefinite(least: float, size: float) -> None:
    if not least >= -1e-9 * max(size, 1.0):
        raise ValueError(
            f"laplacian must have eigenvalues >= 0, got {least:.3g}; pass D - W with weights >= 0"
        )


__all__ = [
    "Dense",
    "Eigenbasis",
    "Grid",
    "Operator",
    "Sparse",
    "cosines",
    "from_cosines",
    "laplacian",
]
