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
    from thalweg.search.objectives.augment import Augment
    from thalweg.search.objectives.layers import Dense
    from thalweg.search.objectives.network import Network


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


class Trainer:
    """Polytope steps on batches that the caller picks.

    Use it where `Network.train`, which picks them itself, does not fit.

    Parameters
    ----------
    network : Network
        Trained in place.
    steps : int
        Steps planned, over which the step radius decays.
    plan, momentum, epsilon, decay, patience, seed
        As in `Network.train`.

    Attributes
    ----------
    evaluations : int
        Probes evaluated.
    silent, healed : int
        Units whose probes changed nothing in the last step; units lifted so far.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.search.objectives import Dense, Network, Trainer
    >>> network = Network([Dense.random(2, 2, "linear", rng=0)])
    >>> trainer = Trainer(network, steps=10, seed=0)
    >>> X, y = np.eye(2, dtype=np.float32), np.array([1, 0])
    >>> costs = [trainer.step(X, y) for _ in range(10)]
    >>> costs[-1] < costs[0]
    True
    """

    def __init__(
        self,
        network: Network,
        steps: int,
        *,
        plan: Sequence[Layer | None] | None = None,
        momentum: float = 0.9,
        epsilon: float = 1.0,
        decay: float = 0.01,
        patience: int = 10,
        seed: int = 0,
    ) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}; plan a step")
        self.network = network
        self.evaluations = self.silent = self.healed = 0
        # Every batch is an epoch of its own, taken whole.
        self._core = _core.NetworkTrainer(
            network._core, _native(network, plan), 2**31, steps, decay, momentum, epsilon,
            patience, seed,
        )  # fmt: skip

    def step(self, X: ArrayLike, y: ArrayLike) -> float:
        """Move once; returns the cost on this batch before the move."""
        features, target = self.network._features(X), self.network._target(y)
        self.network._core.check(features, target)
        cost, evaluations, self.silent, healed = self._core.advance(features, target, 1)
        self._core.store(self.network._core)
        self.evaluations += evaluations
        self.healed += healed
        return float(cost)


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
    augment: Augment | None,
    seed: int,
    callback: Callable[[Progress], bool | None] | None,
    progress: bool,
) -> Training:
    """The loop behind `Network.train`, which documents the arguments."""
    if not epochs > 0:
        raise ValueError(f"epochs must be positive, got {epochs}; a usual value is 10")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}; a usual value is 512")
    # checks the data before anything moves
    network._core.check(features, target)
    per_epoch = max(1, len(features) // batch_size)
    total = max(1, round(epochs * per_epoch))
    trainer = _core.NetworkTrainer(
        network._core, _native(network, plan), batch_size, total, decay, momentum, epsilon,
        patience, seed,
    )  # fmt: skip
    bar = require("tqdm").tqdm(total=total, unit="step") if progress else None
    out = Training(message="all epochs made")
    cost, healed, silent, since = 0.0, 0, 0, 0
    seen = features
    try:
        while out.steps < total:
            count = min(_STEPS, per_epoch - out.steps % per_epoch, total - out.steps)
            start = time.perf_counter()
            if augment is not None and out.steps % per_epoch == 0:
                rng = np.random.default_rng([seed, out.steps // per_epoch])
                seen = _augmented(augment, features, rng)
            mean, evaluations, silent, lifted = trainer.advance(seen, target, count)
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


def _native(
    network: Network, plan: Sequence[Layer | None] | None
) -> list[tuple[str, int, float, float]]:
    if plan is None:
        count = len(network.matrices)
        plan = [
            Layer.default(matrix, last=index == count - 1)
            for index, matrix in enumerate(network.matrices)
        ]
    return [
        ("random", 0, 1.0, 1.0) if item is None
        else (item.source, item.directions, item.probe_radius, item.step_radius)
        for item in plan
    ]  # fmt: skip


def _augmented(
    augment: Augment, features: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    steady = features.shape[1] == 1
    given = features[:, 0] if steady else features
    out = np.ascontiguousarray(augment(given, rng), np.float32)
    if out.shape != given.shape:
        raise ValueError(
            f"augment must return samples of shape {given.shape}, got {out.shape}; "
            "change values, not shapes"
        )
    if not np.isfinite(out).all():
        raise ValueError("augment must return finite numbers, got NaN or infinity; see its samples")
    return out[:, None] if steady else out


def _validate(
    network: Network, validation: tuple[ArrayLike, ArrayLike] | None
) -> tuple[float | None, float | None]:
    if validation is None:
        return None, None
    X, y = validation
    cost = network.evaluate(X, y)
    return cost, None if network.loss == "squared" else network.accuracy(X, y)
