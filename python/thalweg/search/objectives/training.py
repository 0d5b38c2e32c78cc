"""Training of networks by polytope steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core
from thalweg._extras import require

if TYPE_CHECKING:
    from thalweg.search.objectives.network import Dense, Network


@dataclass(frozen=True)
class Layer:
    """How one layer is probed and moved.

    Parameters
    ----------
    directions : int, default 16
        Directions probed a step, both ways: 2 p probes a unit.
    probe_radius : float, default 0.3
        How far a probe moves the pre-activation, in root mean square over the batch.
    step_radius : float, default 0.05
        Largest move of a step, in the same unit.
    source : {"residuals", "differences", "random"}, default "residuals"
        Sums over random halves of the batch of inputs times a random mix of the residuals of the
        outputs; differences of two random inputs; or Gaussian directions.
    """

    directions: int = 16
    probe_radius: float = 0.3
    step_radius: float = 0.05
    source: str = "residuals"

    @classmethod
    def default(cls, layer: Dense, *, last: bool = False) -> Layer:
        """The settings that train a layer of this kind fast."""
        if layer.unit == "lif":
            return cls(16, 0.3, 0.02, "random") if last else cls(32, 0.7, 0.04)
        if layer.unit in ("staircase", "sign", "threshold"):
            return cls(16, 0.3 if last else 1.0, 0.05)
        return cls(16, 0.3, 0.04 if last else 0.05)


@dataclass(frozen=True)
class Progress:
    """Where a training stands after an epoch.

    Attributes
    ----------
    epoch, seconds, evaluations : int, float, int
        Epochs made, time spent training, probes evaluated.
    cost : float
        Mean cost of the epoch's batches, each before its step.
    validation_cost, validation_accuracy : float or None
        On the validation data, if given; no accuracy for the squared loss.
    silent : int
        Units whose probes changed nothing in the last step.
    healed : int
        Units lifted in this epoch because they stayed silent.
    """

    epoch: int
    seconds: float
    evaluations: int
    cost: float
    validation_cost: float | None
    validation_accuracy: float | None
    silent: int
    healed: int


@dataclass
class Training:
    """What `Network.train` did.

    Attributes
    ----------
    history : list of Progress
        One an epoch.
    steps, evaluations : int
        Steps made and probes evaluated.
    seconds : float
        Time spent training, validation not counted.
    message : str
        Why it ended.
    """

    history: list[Progress] = field(default_factory=list)
    steps: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    message: str = ""


# A native call makes so many steps, then Python looks at signals and the clock.
_STEPS = 8


def train(
    network: Network,
    features: NDArray[np.float32],
    target: NDArray[Any],
    *,
    epochs: float,
    batch_size: int,
    plan: Sequence[Layer | None] | None,
    momentum: float,
    epsilon: float,
    decay: float,
    patience: int,
    seconds: float | None,
    validation: tuple[ArrayLike, ArrayLike] | None,
    seed: int,
    callback: Callable[[Progress], bool | None] | None,
    progress: bool,
) -> Training:
    """The loop behind `Network.train`, which documents the arguments."""
    if not epochs > 0:
        raise ValueError(f"epochs must be positive, got {epochs}; a usual value is 10")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}; a usual value is 512")
    if plan is None:
        count = len(network.matrices)
        plan = [
            Layer.default(matrix, last=index == count - 1)
            for index, matrix in enumerate(network.matrices)
        ]
    # checks the data before anything moves
    network._core.check(features, target)
    per_epoch = max(1, len(features) // batch_size)
    total = max(1, round(epochs * per_epoch))
    plans = [
        ("random", 0, 1.0, 1.0) if item is None
        else (item.source, item.directions, item.probe_radius, item.step_radius)
        for item in plan
    ]  # fmt: skip
    trainer = _core.NetworkTrainer(
        network._core, plans, batch_size, total, decay, momentum, epsilon, patience, seed
    )
    bar = require("tqdm").tqdm(total=total, unit="step") if progress else None
    out = Training(message="all epochs made")
    cost, healed, silent, since = 0.0, 0, 0, 0
    try:
        while out.steps < total:
            count = min(_STEPS, per_epoch - out.steps % per_epoch, total - out.steps)
            start = time.perf_counter()
            mean, evaluations, silent, lifted = trainer.advance(features, target, count)
            out.seconds += time.perf_counter() - start
            out.steps += count
            out.evaluations += evaluations
            cost, healed, since = cost + mean * count, healed + lifted, since + count
            if bar is not None:
                bar.update(count)
            late = seconds is not None and out.seconds >= seconds
            if out.steps % per_epoch == 0 or out.steps == total or late:
                trainer.store(network._core)
                epoch = -(-out.steps // per_epoch)
                checked = _validate(network, validation)
                entry = Progress(
                    epoch, out.seconds, out.evaluations, cost / since, *checked, silent, healed
                )
                out.history.append(entry)
                cost, healed, since = 0.0, 0, 0
                if callback is not None and callback(entry):
                    out.message = "the callback asked to stop"
                    break
            if late:
                out.message = f"the time of {seconds} s is over"
                break
    except KeyboardInterrupt:
        out.message = "interrupted"
    finally:
        trainer.store(network._core)
        if bar is not None:
            bar.close()
    return out


def _validate(
    network: Network, validation: tuple[ArrayLike, ArrayLike] | None
) -> tuple[float | None, float | None]:
    if validation is None:
        return None, None
    X, y = validation
    cost = network.evaluate(X, y)
    return cost, None if network.loss == "squared" else network.accuracy(X, y)
