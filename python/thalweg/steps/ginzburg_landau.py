"""Ginzburg-Landau energy on graphs and grids: convex-concave splitting with momentum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.steps.laplacians import laplacian as make_operator
from thalweg.steps.method import Array, Method, choice, number, parameters

Floats = NDArray[np.float64]


class GinzburgLandau(Method):
    """Ginzburg-Landau energy on a graph or grid, by convex-concave splitting with momentum.

    Use it to split nodes or pixels into two classes with a short boundary between them: labels for
    few nodes of a graph (semi-supervised learning), inpainting and segmentation of images.

    Parameters
    ----------
    laplacian : tuple of ints, array_like (n, n), scipy sparse matrix, or (values, vectors)
        The shape of a grid; the Laplacian D - W of a graph (symmetric, eigenvalues >= 0); or its
        first k eigenvalues and eigenvectors, (k,) and (n, k), in whose span u then stays.
    eps : float, default 1.0
        Width of the boundary, > 0.
    lr : float, default 1.0
        Step h in time, > 0. Any is stable.
    momentum : {"fista"} or float in [0, 1), default "fista"
        `k / (k + 3)`, or a constant; 0 is the plain splitting.
    convexity : float, default 2.0
        c of the split, >= 2.
    fidelity : float, default 0.0
        Weight lam of the data, >= 0.
    mask : array_like like u, optional
        Where data count, in [0, 1]; everywhere by default.
    target : array_like like u, optional
        The data u0, for instance -1 and 1; needed with `fidelity`.
    spacing : float, default 1.0
        Distance of neighbours on a grid, > 0.
    boundary : {"neumann", "periodic"}, default "neumann"
        How a grid ends.

    Attributes
    ----------
    restarts : int
        Steps so far whose momentum was dropped since the energy had risen.

    Raises
    ------
    ValueError, TypeError
        For hyperparameters or operators that do not fit. That a sparse matrix has no negative
        eigenvalue is not checked.

    Notes
    -----
    The energy is `eps/2 <u, Lap u> + sum W(u) / eps + lam/2 sum mask (u - u0)^2` with `W(u) = (u^2
    - 1)^2 / 4` for |u| <= 1 and `(|u| - 1)^2` beyond, which has the same curvature there, 2. So `W
    = (c u^2/2 + 1/4) - W_e` with W_e convex everywhere for c >= 2. A step takes the first part
    implicitly and W_e explicitly, at `y = u + rho (u - u_prev)`:

    ``(1 + h (eps Lap + c/eps + lam mask)) u_new = y + h (W_e'(y) / eps + lam mask u0)``.

    It minimizes a function above the energy that touches it at y, so rho = 0 lowers the energy for
    every h. With momentum the energy is watched: where it would rise, the step is taken again with
    rho = 0 and k starts anew, so `step` never raises the energy either.

    The linear operator is constant: a matrix is inverted and a sparse one factored (by scipy) when
    the first step needs it; grids use cosine or Fourier transforms, O(n log n). On grids and
    eigenvectors the mask is split as well, lam implicit and lam (1 - mask) explicit, which is as
    stable. Beyond [-1, 1] the quartic well would not be; its minimisers are the same.

    References
    ----------
    Akande, Dondl, Gupta, Onwunta, Wojtowytsch 2025, "Momentum-based minimization of the
    Ginzburg-Landau functional on Euclidean spaces and graphs", arXiv:2501.00389.
    Bertozzi, Flenner 2012, "Diffuse interface models on graphs for classification of high
    dimensional data", Multiscale Model. Simul. 10.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.array([-1.0, 0, 0, 0, 0, 0, 0, 1.0])
    >>> method = GinzburgLandau((8,), lr=10.0, fidelity=10.0, mask=target != 0, target=target)
    >>> u = target.copy()
    >>> result = method.minimize(u)
    >>> (result.x > 0).tolist()
    [False, False, False, False, True, True, True, True]
    """

    hyper = ("eps", "lr", "momentum", "convexity", "fidelity")

    def __init__(
        self,
        laplacian: Any,
        eps: float = 1.0,
        lr: float = 1.0,
        momentum: str | float = "fista",
        convexity: float = 2.0,
        *,
        fidelity: float = 0.0,
        mask: Any = None,
        target: Any = None,
        spacing: float = 1.0,
        boundary: str = "neumann",
    ) -> None:
        self.eps, self.lr, self.momentum = eps, lr, momentum
        self.convexity, self.fidelity = convexity, fidelity
        number("spacing", spacing, 0.0, True, "pixels have 1")
        choice("boundary", boundary, ("neumann", "periodic"))
        self.operator = make_operator(laplacian, spacing, boundary)
        shape = self.operator.shape
        self.mask = _field("mask", 1.0 if mask is None else mask, shape)
        if self.mask.min(initial=0.0) < 0 or self.mask.max(initial=0.0) > 1:
            raise ValueError("mask must be in [0, 1], got other values; raise fidelity instead")
        self.target = _field("target", 0.0 if target is None else target, shape)
        self._prepared: tuple[float, ...] | None = None
        super().__init__()
        if target is None and fidelity > 0:
            raise ValueError("target must be given with fidelity > 0, got None; pass the data")

    def _check(self) -> None:
        number("eps", self.eps, 0.0, True, "a usual value is 1 on grids of spacing 1")
        number("lr", self.lr, 0.0, True, "a usual value is eps")
        number("convexity", self.convexity, 2.0, False, "2 is enough")
        number("fidelity", self.fidelity, 0.0, False, "0 is no data")
        if self.momentum != "fista":
            number("momentum", self.momentum, 0.0, False, "or 'fista'")
            if float(self.momentum) >= 1:
                raise ValueError(
                    f"momentum must be 'fista' or in [0, 1), got {self.momentum!r}; try 'fista'"
                )

    def __getstate__(self) -> dict[str, Any]:
        # Factors of sparse matrices do not pickle.
        return {**self.__dict__, "_prepared": None}

    @property
    def restarts(self) -> int:
        """Steps whose momentum was dropped."""
        return int(self.state.get("restarts", 0))

    def energy(self, u: Any) -> float:
        """The energy of u, in float64."""
        u = _field("u", u, self.operator.shape)
        self._check()
        with np.errstate(over="ignore", invalid="ignore"):
            return self._energy(u)

    def _energy(self, u: Floats) -> float:
        bend = float(np.vdot(u, self.operator.multiply(u)))
        beyond = np.maximum(np.abs(u) - 1, 0.0)
        inside = np.clip(u, -1.0, 1.0)
        well = float(((inside**2 - 1) ** 2 / 4 + beyond**2).sum())
        data = float((self.mask * (u - self.target) ** 2).sum())
        return self.eps / 2 * bend + well / self.eps + self.fidelity / 2 * data

    def step(self, u: Array) -> float:
        """Take one step, in place; return the energy after it.

        Parameters
        ----------
        u : ndarray
            float32 or float64, of the shape of the grid or (n,); the same at every step.

        Returns
        -------
        float
            The energy; at most that before, up to rounding.

        Raises
        ------
        ValueError, TypeError
            For arrays that do not fit, NaN and infinity among them; u and state are then as before.
        """
        self._check()
        (u,) = parameters([u], "u")
        now = self.operator.within(_field("u", u, self.operator.shape))
        self._prepare()
        before = self.energy(now)
        if not math.isfinite(before):
            raise ValueError(f"u must stay finite, got an energy of {before}; scale it to [-1, 1]")
        k, restarts = int(self.state.get("k", 0)), self.restarts
        last = self.state.get("previous")
        rho = k / (k + 3) if self.momentum == "fista" else float(self.momentum) * (k > 0)
        ahead = now if last is None or rho == 0 else now + rho * (now - last)
        new = self._advance(ahead).astype(u.dtype)
        after = self.energy(new)
        slack = 8 * float(np.finfo(u.dtype).eps) * max(abs(before), abs(after))
        if ahead is not now and not after <= before + slack:
            new, k, restarts = self._advance(now).astype(u.dtype), 0, restarts + 1
            after = self.energy(new)
        self.state = {"k": k + 1, "restarts": restarts, "previous": now}
        u[...] = new
        return after

    def minimize(self, u: Array, max_iter: int = 1000, tol: float = 1e-6) -> Any:
        """Step until u rests.

        Parameters
        ----------
        u : ndarray
            The start, not changed; see `step`.
        max_iter : int, default 1000
            Most steps, >= 1.
        tol : float, default 1e-6
            Ends where no entry moved by more, >= 0.

        Returns
        -------
        OptimizeResult
            `x`, `fun` (the energy), `success`, `status` (0 converged, 2 steps spent), `message`,
            `nit`, `restarts`.

        Raises
        ------
        ValueError, TypeError
            As `step`.
        """
        from thalweg.search.result import result_class

        number("max_iter", max_iter, 1, False, "a usual value is 1000")
        number("tol", tol, 0.0, False, "a usual value is 1e-6")
        (u,) = parameters([np.array(u)], "u")
        value, nit, moved = math.nan, 0, math.inf
        while nit < max_iter and moved > tol:
            old = u.copy()
            value = self.step(u)
            moved, nit = float(np.abs(u - old).max(initial=0.0)), nit + 1
        success = moved <= tol
        return result_class()(
            x=u,
            fun=value,
            success=success,
            status=0 if success else 2,
            message=f"moved by {moved:.1e} in the last of {nit} steps",
            nit=nit,
            restarts=self.restarts,
        )

    def _prepare(self) -> None:
        """Factor the operator, unless that was done for these hyperparameters."""
        key = (self.eps, self.lr, self.convexity, self.fidelity)
        if self._prepared != key:
            h = float(self.lr)
            mask = 1.0 if self.operator.constant else self.mask
            self.operator.prepare(
                1 + h * self.convexity / self.eps, h * self.eps, h * self.fidelity * mask
            )
            self._prepared = key

    def _advance(self, y: Floats) -> Floats:
        """The minimiser of the split energy around y."""
        concave = self.convexity * y - _well_slope(y)
        data = self.mask * self.target
        if self.operator.constant:
            data = data + (1 - self.mask) * y
        return self.operator.solve(y + self.lr * (concave / self.eps + self.fidelity * data))


def _well_slope(u: Floats) -> Floats:
    """W'(u), quadratic beyond [-1, 1]."""
    inside = np.clip(u, -1.0, 1.0)
    slope: Floats = inside**3 - inside + 2 * (u - inside)
    return slope


def _field(name: str, values: Any, shape: tuple[int, ...]) -> Floats:
    """Values of the shape of the operator, in float64.

    Raises
    ------
    ValueError
        If shape or values do not fit.
    """
    found = np.array(values, np.float64)
    if found.shape != shape and (name == "u" or found.shape != ()):
        raise ValueError(f"{name} must be of shape {shape}, got {found.shape}; reshape it")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; replace such entries")
    return np.broadcast_to(found, shape) if found.shape == () else found


__all__ = ["GinzburgLandau"]
