"""Feed-forward networks that are evaluated, probed and trained without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core
from thalweg.search.objectives._torch_weights import (
    copy_into,
    read_layers,
    read_weights,
)
from thalweg.search.objectives.augment import Augment
from thalweg.search.objectives.layers import Attention, Dense, Floats, Routed, floats
from thalweg.search.objectives.training import Layer, Progress, Training, train


class Network:
    """A feed-forward network with cheap probes.

    Use it to train networks whose loss has no useful gradient: spiking, quantised, thresholded,
    or scored by accuracy or F1 directly.

    Parameters
    ----------
    layers : sequence of Dense, Attention or Routed
        Lowest first. Each is one or more matrices; `parameters`, `probe` and `train` count
        matrices, layer after layer: keys, values; gate, then hidden and output of every expert.
    loss : {"cross_entropy", "squared", "zero_one", "f1"}, default "cross_entropy"
        Cost of the outputs, averaged over samples. With one output, "cross_entropy" is the
        logistic loss and class 1 is predicted where the output is positive. "f1" is one minus the
        F1 score of class 1, of a batch of at most 8191 samples with one or two outputs.

    Raises
    ------
    ValueError
        If shapes do not fit each other, a number is outside its range, or a weight is not finite.

    Notes
    -----
    A probe moves the weights of one unit along a direction u. Its pre-activations move by x.u,
    which all units share, and only what that changes is computed again; `docs/network.md` has the
    algebra and the cost. Inside, everything is float32 and differences are summed in a fixed
    order, so results do not depend on the number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> network = Network([Dense([[1.0, -1.0]], [0.0], "linear")], loss="zero_one")
    >>> network.evaluate([[2.0, 1.0], [0.0, 1.0]], [1, 0])
    0.0
    """

    def __init__(
        self, layers: Sequence[Dense | Attention | Routed], loss: str = "cross_entropy"
    ) -> None:
        if not layers:
            raise ValueError("layers must be at least one layer, got 0; pass a list of layers")
        self.layers = tuple(layers)
        self.loss = loss
        native, self.matrices = [], list[Dense]()
        for index, layer in enumerate(layers):
            kind, parts = layer._parts()
            wanted = {"attention": ["linear"] * 2, "routed": ["linear"] + ["relu", "linear"] * 16}
            for part, unit in zip(parts, wanted.get(kind, [part.unit for part in parts])):
                if part.unit != unit or (kind != "dense" and part.scale is not None):
                    raise ValueError(
                        f"layers[{index}] {kind} parts must have unit {unit!r} and no scale, "
                        f"got {part.unit!r}; see {type(layer).__name__}"
                    )
            native.append((kind, [part._native(f"layers[{index}]") for part in parts]))
            self.matrices += parts
        self._shapes = [item[0].shape for _, items in native for item in items]
        self._core = _core.NetworkCore(native, loss)

    @property
    def inputs(self) -> int:
        """Length of a sample."""
        return int(self._shapes[0][1])

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return int(self._shapes[-1][0])

    def parameters(self) -> list[tuple[Floats, Floats]]:
        """Copies of weights (outputs, inputs) and bias (outputs,) of every matrix."""
        pairs = (self._core.parameters(index) for index in range(len(self._shapes)))
        return [(w.reshape(shape), b) for (w, b), shape in zip(pairs, self._shapes, strict=True)]

    def set_parameters(self, parameters: Iterable[tuple[ArrayLike, ArrayLike]]) -> None:
        """Replace weights and biases by others of the same shapes, or raise and change nothing."""
        pairs = []
        for index, (w, b) in enumerate(parameters):
            name = f"parameters[{index}]"
            pairs.append((floats(w, f"{name} weights", 2), floats(b, f"{name} bias", 1)))
        shapes = [w.shape for w, _ in pairs]
        if shapes != self._shapes or any(len(b) != len(w) for w, b in pairs):
            raise ValueError(
                f"parameters of shape {shapes} does not match the layers of shape "
                f"{self._shapes}; pass one (weights, bias) pair a layer"
            )
        for w, b in pairs:
            if not (np.isfinite(w).all() and np.isfinite(b).all()):
                raise ValueError("parameters holds NaN or infinity; pass finite numbers")
        for index, (w, b) in enumerate(pairs):
            self._core.set_parameters(index, w.ravel(), b)

    @property
    def theta(self) -> Floats:
        """All weights and biases in one vector, layer after layer; assign to it to replace them."""
        return np.concatenate([np.append(w.ravel(), b) for w, b in self.parameters()])

    @theta.setter
    def theta(self, theta: ArrayLike) -> None:
        vector = floats(theta, "theta", 1)
        size = sum(o * (i + 1) for o, i in self._shapes)
        if vector.shape != (size,):
            raise ValueError(
                f"theta of shape {vector.shape} does not match the network of shape ({size},); "
                "pass all weights and biases, layer after layer"
            )
        pairs, start = [], 0
        for o, i in self._shapes:
            weights = vector[start : start + o * i].reshape(o, i)
            pairs.append((weights, vector[start + o * i : start + o * (i + 1)]))
            start += o * (i + 1)
        self.set_parameters(pairs)

    def evaluate(self, X: ArrayLike, y: ArrayLike) -> float:
        """Cost on samples.

        Parameters
        ----------
        X : array_like, shape (samples, inputs) or (samples, steps, inputs)
            Features; the second form varies in time and needs a spiking first layer.
        y : array_like, shape (samples,), or (samples, outputs) for the squared loss
            Classes from 0, or values.
        """
        cost, _ = self._core.evaluate(self._features(X), self._target(y))
        return float(cost)

    def accuracy(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of samples whose class is predicted."""
        features = self._features(X)
        if self.loss == "squared":
            raise ValueError(
                "loss must be one on classes for an accuracy, got 'squared'; "
                "compare outputs(X) with y yourself"
            )
        _, right = self._core.evaluate(features, self._target(y))
        return float(right) / len(features)

    def decision_function(self, X: ArrayLike) -> Floats:
        """Outputs of the last layer, shape (samples, outputs); spike counts if it spikes."""
        out: Floats = self._core.outputs(self._features(X))
        return out.reshape(-1, self.outputs)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Predicted classes, shape (samples,): the first largest output."""
        out = self.decision_function(X)
        if self.outputs == 1:
            return (out[:, 0] > 0).astype(np.int64)
        classes: NDArray[np.int64] = out.argmax(1)
        return classes

    def probe(
        self,
        X: ArrayLike,
        y: ArrayLike,
        layer: int,
        directions: ArrayLike,
        radius: ArrayLike = 1.0,
    ) -> NDArray[np.float64]:
        """Cost changes when one unit's weights move along a direction.

        Parameters
        ----------
        X, y
            As in `evaluate`.
        layer : int
            Matrix whose units are probed, as counted by `parameters`.
        directions : array_like, shape (p, inputs + 1)
            Directions in the layer's input space; the last entry moves the bias.
        radius : float or array_like, shape (outputs,), default 1.0
            How far each unit goes.

        Returns
        -------
        ndarray, shape (outputs, 2 p)
            Cost of the moved network minus the cost now, each unit alone: plus directions first,
            then minus.
        """
        features, target = self._features(X), self._target(y)
        units = self._shapes[layer][0] if 0 <= layer < len(self._shapes) else 1
        radii = np.ascontiguousarray(np.broadcast_to(np.asarray(radius, np.float32), (units,)))
        rows = floats(directions, "directions", 2)
        costs = self._core.probe(features, target, layer, rows, radii)
        return np.asarray(costs).reshape(units, -1)

    def objective(self, X: ArrayLike, y: ArrayLike) -> Callable[[ArrayLike], Any]:
        """The cost as a function of `theta`, for any searcher.

        Returns
        -------
        callable
            f(theta) with theta (d,) gives a float, with (n, d) an array (n,). The network itself
            is left alone.
        """
        features, target = self._features(X), self._target(y)
        twin = Network(self.layers, self.loss)

        def one(theta: ArrayLike) -> float:
            twin.theta = theta
            return float(twin._core.evaluate(features, target)[0])

        def cost(theta: ArrayLike) -> Any:
            theta = np.asarray(theta)
            return one(theta) if theta.ndim == 1 else np.array([one(row) for row in theta])

        return cost

    def train(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: float = 10,
        batch_size: int = 512,
        plan: Sequence[Layer | None] | None = None,
        momentum: float = 0.9,
        epsilon: float = 1.0,
        decay: float = 0.01,
        patience: int = 10,
        seconds: float | None = None,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        augment: Augment | None = None,
        seed: int = 0,
        callback: Callable[[Progress], bool | None] | None = None,
        progress: bool = False,
    ) -> Training:
        """Train by polytope steps, without a gradient.

        Parameters
        ----------
        X, y
            As in `evaluate`.
        epochs : float, default 10
            Passes over the data; the step radius decays over all of them (cosine).
        batch_size : int, default 512
            Samples of a step.
        plan : sequence of Layer or None, one a matrix, optional
            Directions and radii of each matrix, None to leave it as it is; by default
            `Layer.default` of its unit.
        momentum : float, default 0.9
            Share of the last move that is repeated, in [0, 1).
        epsilon : float, default 1.0
            Temperature of the softmax over normalised costs, > 0.
        decay : float, default 0.01
            Share of the step radius left at the end, in (0, 1].
        patience : int, default 10
            A unit whose probes changed nothing for so many steps is lifted; 0 for never.
        seconds : float, optional
            Stop after this time, with what is reached.
        validation : tuple (X, y), optional
            Measured after every epoch.
        augment : callable, optional
            ``augment(X, rng)`` returns the samples of an epoch, of the shape of X, such as
            `shifted`. Its generator is a function of `seed` and the epoch.
        seed : int, default 0
            Batches and directions are a function of it.
        callback : callable, optional
            Called with a `Progress` after every epoch; training stops when it returns True.
        progress : bool, default False
            Show a bar (needs tqdm).

        Returns
        -------
        Training
            History and counts. Ctrl-C ends the training with what it has.
        """
        return train(
            self, self._features(X), self._target(y), epochs=epochs, batch_size=batch_size,
            plan=plan, momentum=momentum, epsilon=epsilon, decay=decay, patience=patience,
            seconds=seconds, validation=validation, augment=augment, seed=seed,
            callback=callback, progress=progress,
        )  # fmt: skip

    @classmethod
    def from_torch(cls, module: Any, loss: str = "cross_entropy") -> Network:
        """A network of the shape and weights of a `torch.nn.Sequential` of Linear, ReLU, Tanh."""
        return cls(read_layers(module), loss)

    def load_torch(self, module: Any) -> None:
        """Copy the weights of the `Linear` modules in `module`, in order, into this network."""
        self.set_parameters(read_weights(module))

    def to_torch(self, module: Any) -> None:
        """Copy the weights of this network into the `Linear` modules of `module`, in order.

        Raises
        ------
        ValueError
            If their number or shapes differ, or one has no bias; then nothing is written.
        """
        copy_into(module, self.parameters(), self._shapes)

    def _features(self, X: ArrayLike) -> Floats:
        array = np.asarray(X)
        if array.ndim not in (2, 3):
            raise ValueError(
                f"X must be (samples, inputs) or (samples, steps, inputs), got {array.shape}; "
                "reshape it"
            )
        if array.dtype.kind not in "fiub":
            raise TypeError(f"X must be numbers, got {array.dtype}; convert it to float32")
        array = np.ascontiguousarray(array, np.float32)
        return array[:, None, :] if array.ndim == 2 else array

    def _target(self, y: ArrayLike) -> NDArray[Any]:
        array = np.asarray(y)
        if self.loss == "squared":
            values = np.ascontiguousarray(array, np.float32)
            return values[:, None] if values.ndim == 1 else values
        if array.dtype.kind not in "iub":
            raise TypeError(
                f"y must be integer labels for the loss {self.loss!r}, got {array.dtype}; "
                "convert it with y.astype(int)"
            )
        if array.ndim != 1:
            raise ValueError(f"y must be (samples,), got {array.shape}; pass one label a sample")
        if array.size and array.min() < 0:
            raise ValueError(f"y must be labels from 0, got {array.min()}; count classes from 0")
        return np.ascontiguousarray(array, np.uint32)
