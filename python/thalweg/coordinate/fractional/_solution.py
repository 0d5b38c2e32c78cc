"""What the minimisation of a ratio returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from thalweg.coordinate._matrix import Array


@dataclass
class RatioSolution:
    """A point and the certificate of its stationarity.

    Attributes
    ----------
    x : ndarray, shape (n,)
        The point, float64.
    fun : float
        F(x).
    certificate : float
        What the best move of any one coordinate would gain, relative to F: found by solving every
        one-dimensional problem globally, without proximal term. NaN after Ctrl-C.
    nit : int
        Sweeps made.
    moves : int
        Coordinates moved.
    status : str
        "converged" (certificate <= tol), "limit" (`max_iter`), "time", "stopped" (by the
        callback), "precision" (rounding stopped the progress) or "interrupted" (Ctrl-C).
    history : ndarray, shape (nit + 1,)
        F at the start and after every sweep; it never rises beyond rounding.
    """

    x: Array
    fun: float
    certificate: float
    nit: int
    moves: int
    status: str
    tol: float
    history: Array = field(repr=False)

    @property
    def success(self) -> bool:
        """Whether no move of one coordinate gains more than `tol`."""
        return self.status == "converged"

    @property
    def message(self) -> str:
        """What happened, in words, with the numbers."""
        if self.success:
            return f"no coordinate gains more than {self.certificate:.1e} <= {self.tol:.1e}"
        reached = f"a coordinate gains {self.certificate:.1e} > {self.tol:.1e}"
        if self.status == "precision":
            return f"{reached}: rounding; loosen tol"
        if self.status == "interrupted":
            return f"interrupted after {self.nit} sweeps; there is no certificate"
        if self.status == "stopped":
            return f"stopped by the callback after {self.nit} sweeps"
        limit = "time_limit" if self.status == "time" else "max_iter"
        return f"{reached} after {self.nit} sweeps; raise {limit} or loosen tol"
