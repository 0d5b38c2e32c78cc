"""Gradient sliding on numpy arrays: few gradients of the smooth part of a sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.steps.method import Array, Gradient, Method, at, choice, number, parameters
from thalweg.steps.sliding import SEQUENCES, outer, plan

Prox = Callable[[Array, float], Array]


def check_sliding(hyper: dict[str, Any]) -> None:
    """Raise for hyperparameters of gradient sliding outside their range."""
    number("lr", hyper["lr"], 0.0, True, "a usual value is 1 / L for L-smooth f")
    number("lipschitz", hyper["lipschitz"], 0.0, False, "pass a bound of |subgradients of h|")
    number("distance", hyper["distance"], 0.0, True, "pass a bound of |x0 - solution|")
    number("mu", hyper["mu"], 0.0, False, "0 is plain convexity")
    choice("sequence", hyper["sequence"], SEQUENCES)
    horizon = hyper["horizon"]
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise ValueError(f"horizon must be an int >= 1, got {horizon!r}; pass the planned steps")
    if hyper["sequence"] != "convex" and hyper["mu"] == 0:
        raise ValueError(
            f"mu must be > 0 with sequence={hyper['sequence']!r}, got {hyper['mu']!r}; use "
            "sequence='convex'"
        )


class GradientSliding(Method):
    """Gradient sliding: minimize f + h + chi with few gradients of the smooth f.

    Use it when a gradient of f is dear and a subgradient of h is cheap; `thalweg.optim` has the
    same for torch, and says more.

    Parameters
    ----------
    lr : float
        1 / L for L-smooth f, > 0.
    lipschitz : float
        Bound M of the subgradients of h, >= 0.
    distance : float
        Bound R of the distance from the start to a minimiser, > 0.
    mu : float, default 0.0
        Strong convexity, >= 0; see `sequence`.
    sequence : {"convex", "multiphase", "restart_free"}, default "convex"
        Parameters for convex f; for a sum that is mu-strongly convex; for mu-strongly convex chi
        (experimental).
    horizon : int, default 100
        Steps that are planned with "convex", >= 1.
    prox : callable or list of these, optional
        ``prox(v, step)``, argmin over u of chi(u) + |u - v|^2 / (2 step), for instance
        ``lambda v, step: thalweg.project.prox.l1(v, 0.1 * step)``; one for all parameters, or one
        (or None) for each.

    Attributes
    ----------
    gradient_calls, subgradient_calls : int
        Calls so far, in `state_dict` too.

    Raises
    ------
    ValueError, TypeError
        If a hyperparameter is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> x = [np.array([4.0, -4.0])]
    >>> method = GradientSliding(lr=1.0, lipschitz=1.5, distance=6.0, mu=1.0, sequence="multiphase")
    >>> for _ in range(40):
    ...     method.step(x, lambda x: [x[0] - 2.0], lambda x: [np.sign(x[0])])
    >>> np.round(x[0], 1).tolist()
    [1.0, 1.0]
    >>> method.gradient_calls
    40
    """

    hyper = ("lr", "lipschitz", "distance", "mu", "sequence", "horizon")

    def __init__(
        self,
        lr: float,
        lipschitz: float,
        distance: float,
        mu: float = 0.0,
        sequence: str = "convex",
        horizon: int = 100,
        prox: Prox | Sequence[Prox | None] | None = None,
    ) -> None:
        self.lr, self.lipschitz, self.distance = lr, lipschitz, distance
        self.mu, self.sequence, self.horizon = mu, sequence, horizon
        self.prox = prox
        super().__init__()

    def _check(self) -> None:
        check_sliding({name: getattr(self, name) for name in self.hyper})

    @property
    def gradient_calls(self) -> int:
        """Gradients of f so far."""
        return int(self.state.get("step", 0))

    @property
    def subgradient_calls(self) -> int:
        """Subgradients of h so far."""
        return int(self.state.get("subgradient_calls", 0))

    def step(self, params: Sequence[Array], gradient: Gradient, subgradient: Gradient) -> None:
        """Take one step: one call of `gradient`, as many of `subgradient` as the theory asks for.

        Parameters
        ----------
        params : list of ndarray
            float32 or float64, of any shape, and the same list at every step. Changed in place.
        gradient, subgradient : callable
            From a list like `params` to the gradients of f and (stochastic) subgradients of h;
            None for a parameter on which a function does not depend. What depends on neither
            stays as it is.

        Raises
        ------
        ValueError, TypeError
            For arguments or returned arrays that do not fit, NaN and infinity among them;
            parameters and state are then as before, as when a function raises.
        """
        self._check()
        arrays = parameters(params)
        prox = proximal_maps(self.prox, arrays)
        centre = self.state.get("centre", arrays)
        if [c.shape for c in centre] != [p.shape for p in arrays]:
            raise ValueError(
                f"params must be those of the first step, of shapes {[c.shape for c in centre]}, "
                f"got {[p.shape for p in arrays]}; make a new object for other parameters"
            )
        k = self.gradient_calls + 1
        rates = [float(self.lr)] * len(arrays)
        scalars = plan(
            k, rates or [float(self.lr)], float(self.lipschitz), float(self.distance),
            float(self.mu), self.sequence, self.horizon,
        )  # fmt: skip
        averages, points = outer(
            [p.copy() for p in arrays],
            [c.copy() for c in centre],
            at(gradient, "gradient", arrays),
            at(subgradient, "subgradient", arrays),
            scalars,
            prox,
        )
        for p, average in zip(arrays, averages):
            p[...] = average
        self.state = {
            "step": k,
            "subgradient_calls": self.subgradient_calls + scalars.inner,
            "centre": points,
        }


def proximal_maps(prox: Any, params: list[Array]) -> Callable[[int, Array, float], Array]:
    """The map of each parameter, by number, checked.

    Raises
    ------
    TypeError, ValueError
        If it is neither a callable nor a list of one for each parameter.
    """
    maps = [prox] * len(params) if prox is None or callable(prox) else prox
    if not isinstance(maps, (list, tuple)) or any(m is not None and not callable(m) for m in maps):
        raise TypeError(
            f"prox must be a callable or a list of callables, got {type(prox).__name__}; pass "
            "lambda v, step: thalweg.project.prox.l1(v, step)"
        )
    if len(maps) != len(params):
        raise ValueError(
            f"prox must have {len(params)} entries, got {len(maps)}; one a parameter, None for none"
        )

    def apply(i: int, v: Array, step: float) -> Array:
        if maps[i] is None:
            return v
        image = np.asarray(maps[i](v, step))
        if image.shape != v.shape:
            raise ValueError(
                f"prox must keep the shape {v.shape}, got {image.shape}; apply it to each entry"
            )
        if not np.isfinite(image).all():
            raise ValueError("prox must return finite values, got NaN or infinity; look at step")
        return image.astype(v.dtype, copy=False)

    return apply


__all__ = ["GradientSliding", "check_sliding", "proximal_maps"]
