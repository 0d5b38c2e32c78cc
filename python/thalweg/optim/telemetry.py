"""What every step did: norms of gradient, update and parameter, and their angle."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from torch import Tensor

from thalweg._extras import require

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer


class Reading(NamedTuple):
    """One step of one tensor, or of one group.

    Attributes
    ----------
    grad_norm : float
        Of the gradient, unscaled and before any clipping.
    update_norm : float
        Of the change of the parameter, weight decay included.
    param_norm : float
        Of the parameter after the step.
    cosine : float
        Of the angle between the change and the steepest descent: 1 for plain gradient descent,
        0 where one of the two vanishes.
    """

    grad_norm: float
    update_norm: float
    param_norm: float
    cosine: float


class Telemetry:
    """Record what each step does to each tensor, or to each group.

    The figures come from the pass that moves the parameters, while their elements are in cache.

    Parameters
    ----------
    optimizer : Optimizer
        One of `thalweg.optim`. It keeps one recorder; a second one replaces the first.
    per : {"tensor", "group"}
        What a reading is about.
    keep : int, optional
        Steps to keep in `history`; all by default.

    Attributes
    ----------
    last : dict of str to Reading
        The latest step. Tensors go by their names if the optimizer was given named parameters, else
        by "group.number" ("0.3" is the fourth of the first group); groups by their numbers.
    history : list of dict
        All steps that are kept, the latest last; a step that was skipped leaves no entry.

    Raises
    ------
    TypeError
        If `optimizer` is not one of `thalweg.optim`.
    ValueError
        If `per` is unknown or `keep` is not positive.

    Notes
    -----
    Takes a small loop more in cache, and no pass over memory. Parameters, states and their bits are
    those of a step without it. When parameters are stepped inside the backward pass
    (`fuse_backward`), a step ends when a tensor comes for the second time.

    Examples
    --------
    >>> import torch
    >>> from thalweg.optim import SGD
    >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> optimizer = SGD([("w", w)], lr=0.5)
    >>> telemetry = Telemetry(optimizer)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> telemetry.last["w"]
    Reading(grad_norm=10.0, update_norm=5.0, param_norm=0.0, cosine=1.0)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        per: Literal["tensor", "group"] = "tensor",
        keep: int | None = None,
    ) -> None:
        from thalweg.optim.optimizer import Optimizer as Base

        if not isinstance(optimizer, Base):
            raise TypeError(
                f"optimizer must be one of thalweg.optim, got {type(optimizer).__name__}; "
                "other optimizers do not measure their steps"
            )
        if per not in ("tensor", "group"):
            raise ValueError(f'per must be "tensor" or "group", got {per!r}; try "tensor"')
        if keep is not None and keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}; leave it out to keep all")
        self.per = per
        self._optimizer = optimizer
        self._rows: deque[dict[Tensor, Reading]] = deque(maxlen=keep)
        self._open = False
        optimizer._telemetry = self

    @property
    def history(self) -> list[dict[str, Reading]]:
        """Readings of all steps that are kept, the latest last."""
        names = self._names()
        return [self._by_name(row, names) for row in self._rows]

    @property
    def last(self) -> dict[str, Reading]:
        """Readings of the latest step; empty before the first."""
        return self._by_name(self._rows[-1], self._names()) if self._rows else {}

    def remove(self) -> None:
        """Stop recording; what was recorded stays."""
        if self._optimizer._telemetry is self:
            self._optimizer._telemetry = None

    def record(
        self, params: Iterable[Tensor], readings: Iterable[Iterable[float]], last: bool = True
    ) -> None:
        """Take the readings of one call; the optimizer does this after each step.

        Parameters
        ----------
        params : iterable of Tensor
            What was stepped.
        readings : iterable of four floats
            In the order of `params`.
        last : bool, default True
            Whether the step ends here; else it does when one of its tensors comes again.
        """
        new = {p: Reading(*reading) for p, reading in zip(params, readings, strict=True)}
        if not new:
            return
        if self._open and self._rows and not any(p in self._rows[-1] for p in new):
            self._rows[-1].update(new)
        else:
            self._rows.append(new)
        self._open = not last

    @staticmethod
    def _by_name(row: dict[Tensor, Reading], names: dict[Tensor, str]) -> dict[str, Reading]:
        grouped: dict[str, list[Reading]] = {}
        for p, reading in row.items():
            grouped.setdefault(names[p], []).append(reading)
        return {name: _joined(readings) for name, readings in grouped.items()}

    def _names(self) -> dict[Tensor, str]:
        names: dict[Tensor, str] = {}
        for number, group in enumerate(self._optimizer.param_groups):
            known = group.get("param_names")
            for index, p in enumerate(group["params"]):
                if self.per == "group":
                    names[p] = str(number)
                else:
                    names[p] = known[index] if known else f"{number}.{index}"
        return names

    def plot(self, keys: Iterable[str] | None = None) -> Any:
        """Draw the history: four panels over the steps, a line for each tensor or group.

        Parameters
        ----------
        keys : iterable of str, optional
            Which to draw; all by default.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is missing (extra "plot").
        ValueError
            If nothing was recorded.
        """
        history = self.history
        if not history:
            raise ValueError("history must hold a step, got none; step the optimizer first")
        pyplot = require("matplotlib.pyplot")
        figure, panels = pyplot.subplots(2, 2, sharex=True, figsize=(9, 6), layout="constrained")
        wanted = (
            list(keys)
            if keys is not None
            else list(dict.fromkeys(k for row in history for k in row))
        )
        for field, panel in zip(Reading._fields, panels.flat, strict=True):
            for key in wanted:
                points = [
                    (at, getattr(row[key], field)) for at, row in enumerate(history) if key in row
                ]
                panel.plot(*zip(*points, strict=True), label=key)
            panel.set_title(field.replace("_", " "))
            if field != "cosine":
                panel.set_yscale("log")
        for panel in panels[1]:
            panel.set_xlabel("step")
        if len(wanted) <= 12:
            panels[0, 0].legend(fontsize="small")
        return figure


def _joined(readings: list[Reading]) -> Reading:
    """The reading of several tensors as one vector."""
    if len(readings) == 1:
        return readings[0]
    gradient, update, parameter = (math.sqrt(sum(r[k] ** 2 for r in readings)) for k in range(3))
    product = sum(r.cosine * r.grad_norm * r.update_norm for r in readings)
    both = gradient * update
    return Reading(gradient, update, parameter, product / both if both else 0.0)


__all__ = ["Reading", "Telemetry"]
