"""How each contender trains the spiking network; all are measured by the same forward pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import ClassVar

import torch
from torch import Tensor, nn

from thalweg.race.lane import LOSS_SAMPLE, Described, Point
from thalweg.race.runner import Plan
from thalweg.race.spiking.network import SurrogateNet, as_arrays
from thalweg.race.tasks import Task
from thalweg.search import SPSA, OpenAIES
from thalweg.search.objectives import Trainer


class SpikingLane:
    """One contender: a network, what was measured, and a step that a subclass takes.

    Attributes
    ----------
    of_torch, note : bool, str
        Whether it is a reference line, and how it trains.
    kept : int
        Bytes that it keeps between steps, a weight.
    network : Network
        What is measured.
    """

    of_torch: ClassVar[bool] = False
    note: ClassVar[str]
    kept: ClassVar[int]

    def __init__(
        self, entrant: Described, task: Task, plan: Plan, weights: Mapping[str, Tensor], lr: float
    ) -> None:
        self.entrant = entrant
        self.network = as_arrays(dict(weights))
        self._task, self._plan = task, plan
        self.steps = plan.epochs * math.ceil(len(task.train[1]) / task.batch_size)
        self._seconds = 0.0
        self.lr = lr
        self.points: list[Point] = []
        self.step_seconds: list[float] = []
        self.diverged = False

    def train(self, batches: Iterable[tuple[Tensor, float]]) -> None:
        """Take a step for every batch of indices, at its share of the rate."""
        images, classes = self._task.train
        for batch, share in batches:
            X, y = images[batch], classes[batch]
            start = perf_counter()
            self._step(X, y, share)
            self.step_seconds.append(perf_counter() - start)
            self._seconds += self.step_seconds[-1]

    def _step(self, X: Tensor, y: Tensor, share: float) -> None:
        """Train on one batch."""
        raise NotImplementedError

    def _settle(self) -> None:
        """Bring `network` up to date."""

    def check(self, epoch: float) -> None:
        """Measure losses and accuracy, outside the clock."""
        self._settle()
        images, classes = (part[:LOSS_SAMPLE].numpy() for part in self._task.train)
        train_loss = self.network.evaluate(images, classes)
        images, classes = (part.numpy() for part in self._task.test)
        test_loss = self.network.evaluate(images, classes)
        accuracy = self.network.accuracy(images, classes)
        self.points.append(Point(epoch, self._seconds, train_loss, test_loss, accuracy))
        self.diverged = not (math.isfinite(train_loss) and math.isfinite(test_loss))

    @property
    def parameters(self) -> int:
        """Number of weights of the network."""
        return int(self.network.theta.size)

    @property
    def state_bytes(self) -> int:
        """Bytes kept between steps."""
        return self.kept * self.parameters


class PolyStepLane(SpikingLane):
    """Polytope steps whose probes cost what they change."""

    note = "probes every unit both ways along shared directions; lr is the first step radius"
    kept = 4

    def __init__(
        self, entrant: Described, task: Task, plan: Plan, weights: Mapping[str, Tensor], *,
        momentum: float = 0.9, epsilon: float = 1.0, decay: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__(entrant, task, plan, weights, lr=0.04)
        self._trainer = Trainer(
            self.network, self.steps, momentum=momentum, epsilon=epsilon, decay=decay,
            seed=plan.seed,
        )  # fmt: skip

    def _step(self, X: Tensor, y: Tensor, share: float) -> None:
        self._trainer.step(X.numpy(), y.numpy())


class OpenAILane(SpikingLane):
    """OpenAI-ES on the loss of each batch."""

    note = "one step of `population` full forward passes a batch"
    kept = 24

    def __init__(
        self, entrant: Described, task: Task, plan: Plan, weights: Mapping[str, Tensor], *,
        population: int = 50, sigma: float = 0.02, lr: float = 0.01, weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(entrant, task, plan, weights, lr=lr)
        self._search = OpenAIES(
            self.network.theta, population=population, sigma=sigma, lr=lr,
            weight_decay=weight_decay, seed=plan.seed,
        )  # fmt: skip

    def _step(self, X: Tensor, y: Tensor, share: float) -> None:
        cost = self.network.objective(X.numpy(), y.numpy())
        self._search.tell(cost(self._search.ask()))

    def _settle(self) -> None:
        self.network.theta = self._search.x


class SPSALane(SpikingLane):
    """SPSA on the loss of each batch."""

    note = "`updates` steps of two full forward passes a batch; lr is a"
    kept = 8

    def __init__(
        self, entrant: Described, task: Task, plan: Plan, weights: Mapping[str, Tensor], *,
        updates: int = 25, a: float = 0.1, c: float = 0.1, alpha: float = 0.602,
        gamma: float = 0.101,
    ) -> None:  # fmt: skip
        super().__init__(entrant, task, plan, weights, lr=a)
        if updates < 1:
            raise ValueError(f"updates must be at least 1, got {updates}; a usual value is 25")
        self._updates = updates
        self._search = SPSA(
            self.network.theta, a=a, c=c, alpha=alpha, gamma=gamma,
            stability=0.1 * updates * self.steps, seed=plan.seed,
        )  # fmt: skip

    def _step(self, X: Tensor, y: Tensor, share: float) -> None:
        cost = self.network.objective(X.numpy(), y.numpy())
        for _ in range(self._updates):
            self._search.tell(cost(self._search.ask()))

    def _settle(self) -> None:
        self.network.theta = self._search.x


class SurrogateLane(SpikingLane):
    """Adam on a surrogate gradient: what a derivative that does not exist is worth."""

    of_torch = True
    note = "backward pass through all steps with a made-up derivative, Adam; the upper line"
    kept = 8

    def __init__(
        self, entrant: Described, task: Task, plan: Plan, weights: Mapping[str, Tensor], *,
        lr: float = 2e-3, slope: float = 10.0,
    ) -> None:  # fmt: skip
        super().__init__(entrant, task, plan, weights, lr=lr)
        if not slope > 0:
            raise ValueError(f"slope must be positive, got {slope}; a usual value is 10")
        hidden, inputs = weights["hidden.weight"].shape
        self._model = SurrogateNet(inputs, hidden, slope)
        self._model.load_state_dict(dict(weights))
        self._adam = torch.optim.Adam(self._model.parameters(), lr=lr)

    def _step(self, X: Tensor, y: Tensor, share: float) -> None:
        for group in self._adam.param_groups:
            group["lr"] = self.lr * share
        self._adam.zero_grad()
        loss = nn.functional.cross_entropy(self._model(X), y)
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()

    def _settle(self) -> None:
        self.network.load_torch(self._model)


LANES: dict[str, type[SpikingLane]] = {
    "polystep": PolyStepLane,
    "openai_es": OpenAILane,
    "spsa": SPSALane,
    "surrogate": SurrogateLane,
}
"""Lanes by the name that a user types."""
