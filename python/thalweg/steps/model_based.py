"""Model-based steps on numpy arrays: the loss is replaced by a model and a proximal term."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.steps.gradient_sliding import Prox, proximal_maps
from thalweg.steps.method import Array, Method, derivative, number, parameters
from thalweg.steps.models import outer_of, several, single


def check_models(hyper: dict[str, Any]) -> None:
    """Raise for hyperparameters of model-based steps outside their range."""
    number("lr", hyper["lr"], 0.0, False, "a usual value is 0.1")
    number("power", hyper["power"], 0.0, False, "0 is a constant rate, 0.5 that of the theory")
    number("lower", hyper["lower"], -np.inf, True, "most losses have 0")
    outer_of(hyper["model"], hyper["outer"])


def checked_values(values: Any, hyper: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The values c of a step, as a vector, less the lower bound of a truncated model.

    Raises
    ------
    ValueError
        If they are not finite, of no use for the model, or below the bound.
    """
    c = np.asarray(values, np.float64)
    if c.ndim > 1 or c.size == 0 or (c.size > 1 and hyper["model"] in ("subgradient", "truncated")):
        wanted = "one value" if c.ndim <= 1 and c.size else "a number or a vector"
        raise ValueError(
            f"value must be {wanted} with model={hyper['model']!r}, got shape {c.shape}; reduce it"
        )
    c = np.atleast_1d(c)
    if not np.isfinite(c).all():
        raise ValueError(f"value must be finite, got {c.tolist()}; look at the data")
    if hyper["model"] == "truncated":
        c = c - hyper["lower"]
        if c[0] < 0:
            raise ValueError(
                f"loss must be >= lower, got {c[0] + hyper['lower']} < {hyper['lower']}; lower it"
            )
    return c


def needs_prox_alone(count: int, outer: Any, prox: Any) -> None:
    """Raise for several values with a regulariser, which has no solver here.

    Raises
    ------
    NotImplementedError
        Where there are both.
    """
    if count > 1 and prox is not None:
        raise NotImplementedError(
            f"prox takes models of one value, got {count} values with outer={outer!r}; leave prox "
            "out or pass one value a step"
        )


class ModelBased(Method):
    """Model-based step: minimize a convex model of the loss plus a proximal term.

    Use it where the right step size is unknown: all models but "subgradient" stand steps that are
    far too long. `thalweg.optim` has the same for torch, and says more.

    Parameters
    ----------
    lr : float, default 0.1
        Step size 1 / beta, >= 0.
    model : {"subgradient", "truncated", "prox_linear", "proximal_point"}, default "truncated"
        The model.
    outer : {"abs", "hinge", "max", "square", "logistic"} or callable, optional
        h of the last two models, by default "abs" and "square"; a callable is the derivative of h.
    lower : float, default 0.0
        Lower bound of the loss, for "truncated".
    power : float, default 0.0
        Step k uses `lr / k**power`, >= 0.
    prox : callable or list of these, optional
        ``prox(v, step)``, argmin over u of r(u) + |u - v|^2 / (2 step).

    Raises
    ------
    ValueError, TypeError
        If a hyperparameter is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> x = [np.array([3.0, 1.0])]
    >>> ModelBased(lr=1e6).step(x, x[0] @ x[0] / 2, [x[0]])
    >>> x[0].tolist()
    [1.5, 0.5]
    """

    hyper = ("lr", "model", "outer", "lower", "power")

    def __init__(
        self,
        lr: float = 0.1,
        model: str = "truncated",
        outer: str | Callable[[float], float] | None = None,
        lower: float = 0.0,
        power: float = 0.0,
        prox: Prox | Sequence[Prox | None] | None = None,
    ) -> None:
        self.lr, self.model, self.outer = lr, model, outer
        self.lower, self.power = lower, power
        self.prox = prox
        super().__init__()

    def _check(self) -> None:
        check_models({name: getattr(self, name) for name in self.hyper})

    def step(self, params: Sequence[Array], value: Any, jacobian: Sequence[Any]) -> None:
        """Take one step, in place.

        Parameters
        ----------
        params : list of ndarray
            float32 or float64, of any shape.
        value : float or array_like, shape (m,)
            The loss; for "prox_linear" and "proximal_point" the inner values c.
        jacobian : list of ndarray or None
            Gradients of it, like `params`; with an axis of length m in front
            for m > 1. What has None stays
            as it is.

        Raises
        ------
        ValueError, TypeError, NotImplementedError
            For arguments that do not fit, NaN and infinity among them; parameters and state are
            then as before.
        """
        self._check()
        hyper = {name: getattr(self, name) for name in self.hyper}
        arrays = parameters(params)
        c = checked_values(value, hyper)
        outer = outer_of(self.model, self.outer)
        needs_prox_alone(len(c), outer, self.prox)
        maps = proximal_maps(self.prox, arrays)
        k = int(self.state.get("step", 0)) + 1
        rate = float(self.lr) / k ** float(self.power)
        if len(c) > 1:
            shells = [np.empty((len(c), *p.shape), p.dtype) for p in arrays]
            rows = derivative(jacobian, shells, "jacobian")
        else:
            rows = derivative(jacobian, arrays, "jacobian")
            rows = [None if g is None else g[None] for g in rows]
        flat = [None if g is None else g.reshape(len(c), -1).astype(np.float64) for g in rows]
        gram = rate * sum((g @ g.T for g in flat if g is not None), np.zeros((len(c), len(c))))

        def moved(s: Any) -> list[Array]:
            points = []
            for i, (p, g) in enumerate(zip(arrays, flat)):
                if g is None:
                    points.append(p)
                    continue
                point = (p - rate * (s @ g).reshape(p.shape)).astype(p.dtype)
                points.append(maps(i, point, rate))
            return points

        def along(s: float) -> float:
            if self.prox is None:
                return float(c[0] - s * gram[0, 0])
            points = moved(np.array([s]))
            shifts = (
                float(g[0] @ (y - p).ravel().astype(np.float64))
                for y, p, g in zip(points, arrays, flat)
                if g is not None
            )
            return float(c[0]) + sum(shifts)

        if len(c) > 1:
            s = several(outer, c, gram)
        else:
            square = float(gram[0, 0]) if self.prox is None else None
            s = np.array([single(outer, along, float(c[0]), square)])
        points = moved(s)
        for p, g, y in zip(arrays, flat, points):
            if g is not None:
                p[...] = y
        self.state = {"step": k}


__all__ = ["ModelBased", "check_models", "checked_values", "needs_prox_alone"]
