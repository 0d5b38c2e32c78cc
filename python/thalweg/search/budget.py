"""A privacy budget in zCDP, and the ledger of what it was spent on."""

from __future__ import annotations

from typing import NamedTuple

from thalweg import _core

__all__ = ["Budget", "Spending"]


class Spending(NamedTuple):
    """One release: what it was for, by which mechanism, its rho, the scale of its noise."""

    purpose: str
    mechanism: str
    rho: float
    scale: float


class Budget:
    """The rho that (epsilon, delta) allows, and where it went.

    Parameters
    ----------
    epsilon : float
        > 0.
    delta : float
        In (0, 1), below one over the number of rows to mean anything.

    Attributes
    ----------
    rho : float
        Largest rho for which rho-zCDP implies (epsilon, delta)-DP, by the conversion of Canonne,
        Kamath and Steinke (arXiv:2004.00010).
    entries : list of Spending
        Every release, in order; the rho of independent releases add up.

    Examples
    --------
    >>> budget = Budget(1.0, 1e-6)
    >>> budget.spend("ages", "gaussian", 0.25 * budget.rho, scale=0.01)
    >>> round(budget.rho, 4), round(budget.spent / budget.rho, 4)
    (0.0244, 0.25)
    """

    def __init__(self, epsilon: float, delta: float) -> None:
        self.rho = _core.search_gsd_rho(epsilon, delta)
        self.entries: list[Spending] = []

    @property
    def spent(self) -> float:
        """Sum of what was spent."""
        return sum(entry.rho for entry in self.entries)

    def spend(self, purpose: str, mechanism: str, rho: float, scale: float) -> None:
        """Enter a release.

        Raises
        ------
        ValueError
            If it is more than what is left.
        """
        # Shares of a budget add up to it but for rounding.
        if not 0.0 <= rho <= (self.rho - self.spent) + 1e-9 * self.rho:
            raise ValueError(
                f"rho must be in [0, {self.rho - self.spent:g}], what is left, got {rho:g}; "
                "spend less on each release"
            )
        self.entries.append(Spending(purpose, mechanism, rho, scale))

    def epsilon(self, delta: float) -> float:
        """The epsilon that what was spent amounts to, for a delta in (0, 1)."""
        return _core.search_gsd_epsilon(self.spent, delta)

    def __repr__(self) -> str:
        return f"Budget(rho={self.rho:g}, spent={self.spent:g}, entries={len(self.entries)})"
