"""Ensemble Kalman inversion: parameters that make a model say what was observed."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._ensemble import Ensemble

__all__ = ["EnsembleKalman"]


class EnsembleKalman(Ensemble):
    """Ensemble Kalman inversion: parameters that make a model say what was observed.

    Use it for inverse problems with a model of many parameters and many outputs that can only be
    run: it needs no gradient, and it learns from outputs, which say more than a cost.

    Parameters
    ----------
    x0 : array_like, shape (n, d) or (d,)
        First members, draws of the prior; or a point to draw them around.
    observation : array_like, shape (m,)
        What was observed.
    noise : float or array_like, shape (m,) or (m, m), default 1.0
        Variance of the observations, one for each, or their covariance.
    population : int, default 50
        Members, >= 2; the rows of x0 where it has rows.
    update : {"kalman", "enkg"}, default "kalman"
        The textbook step, or one of fixed length along the same differences, which does not need
        the noise to be known.
    perturbed : bool, default False
        Add draws of the noise to the observation of each member: after one step, members of a
        linear model are draws of the posterior. Otherwise they come to agree.
    inflation : float, default 1.0
        Factor of the deviations from the mean after a step, >= 1: against early agreement.
    localization : array_like, shape (d, m), optional
        Factor of the covariance of each parameter with each observation: 0 where they have nothing
        to do with each other. Needs noise without correlations; takes members out of the span of
        the first ones.
    lr : float, default 2.0
        Length of a step of "enkg", > 0.
    spread : float, default 1.0
        Spread of members drawn around x0 where a coordinate has no bounds, > 0.
    bounds : d pairs (low, high), or `Bounds`, optional
        No member lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        What becomes of a member outside: folded back, its coordinates drawn again uniformly, or
        none gets there, because the search runs in unbounded coordinates mapped into the box.
    seed : None, int or numpy Generator
        Seed of the draws.

    Attributes
    ----------
    x : ndarray, shape (d,)
        The mean of the members.
    best : Best
        The member of least misfit so far, and half its squared residual in units of the noise.
    population, step, evaluations, nonfinite : int
        Members; steps, model runs and bad runs so far.

    Raises
    ------
    ValueError, TypeError
        For settings out of range, before anything happens.

    Notes
    -----
    ``x_i += Cxy (Cyy + noise)^-1 (observation - y_i)`` with covariances over n. Without
    localisation every member stays in the span of the first ones. Members whose outputs are not
    finite count for nothing and are drawn again from the mean and covariance of the others.
    O(n^2 (n + m + d)) a step, without forming Cxy; O(n d m) with localisation.

    References
    ----------
    Iglesias, Law, Stuart 2013, "Ensemble Kalman methods for inverse problems", Inverse Problems 29;
    Zheng et al. 2024, "Ensemble Kalman Diffusion Guidance: A Derivative-free Method for Inverse
    Problems", arXiv:2409.20175 ("enkg").

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> model = rng.normal(size=(20, 5))
    >>> truth = np.arange(5.0)
    >>> search = EnsembleKalman(rng.normal(size=(30, 5)), model @ truth, noise=0.01, seed=0)
    >>> for _ in range(10):
    ...     search.tell(search.ask() @ model.T)
    >>> bool(np.abs(search.x - truth).max() < 0.05)
    True
    """

    method: ClassVar[str] = "ensemble_kalman"

    def __init__(
        self,
        x0: ArrayLike,
        observation: ArrayLike,
        *,
        noise: ArrayLike = 1.0,
        population: int | None = None,
        update: str = "kalman",
        perturbed: bool = False,
        inflation: float = 1.0,
        localization: ArrayLike | None = None,
        lr: float | None = None,
        spread: float = 1.0,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        observed = np.asarray(observation, dtype=np.float64)
        if observed.ndim != 1:
            raise ValueError(
                f"observation must be of shape (m,), got {observed.shape}; flatten it with np.ravel"
            )
        self._outputs = observed.size
        variance = np.asarray(noise, dtype=np.float64)
        if variance.ndim == 2 and not np.allclose(variance, variance.T):
            raise ValueError("noise must be symmetric, got a matrix that is not; pass a covariance")
        settings = {
            "observation": ("values", observed.tolist()),
            "noise": (
                "covariance" if variance.ndim == 2 else "variances",
                variance.ravel().tolist(),
            ),
            "update": update, "perturbed": perturbed, "inflation": inflation,
            "localization": self._local(localization), "lr": lr, "spread": spread,
        }  # fmt: skip
        super().__init__(x0, population, settings, bounds, boundary, seed)

    def _local(self, localization: ArrayLike | None) -> tuple[str, list[float]] | None:
        if localization is None:
            return None
        local = np.asarray(localization, dtype=np.float64)
        if local.ndim != 2 or local.shape[1] != self._outputs or not np.isfinite(local).all():
            raise ValueError(
                f"localization must be finite and of shape (d, {self._outputs}), got "
                f"{local.shape}; give each parameter and observation a factor"
            )
        return "values", local.ravel().tolist()

    def tell(self, outputs: ArrayLike) -> None:
        """Move by what the model says of the candidates, in their order.

        Parameters
        ----------
        outputs : array_like, shape (population, m)
            Rows with NaN or infinity count as failed runs.

        Raises
        ------
        ValueError
            For another shape or without a step; the step stays open.
        TypeError
            For outputs that carry gradients or are not real numbers.
        """
        if getattr(outputs, "requires_grad", False):
            raise TypeError(
                "outputs must be plain numbers, got a tensor that carries gradients; "
                "evaluate under torch.no_grad() or pass outputs.detach()"
            )
        array = np.asarray(outputs)
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"outputs must be real numbers, got {array.dtype}; return one row a candidate"
            )
        expected = (self.population, self._outputs)
        if array.shape != expected:
            raise ValueError(
                f"outputs must be of shape {expected}, got {array.shape}; "
                "return one row a candidate"
            )
        self._core.tell_outputs(np.ascontiguousarray(array, dtype=np.float64))
