"""Block coordinate descent for ReLU networks: closed forms instead of gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg import _core
from thalweg._extras import require
from thalweg.coordinate._matrix import count, in_range, reporter
from thalweg.coordinate._network import (
    Block,
    linear_layers,
    parameters,
    samples,
    skips,
    targets,
)

Double = NDArray[np.float64]


class BlockCoordinateTrainer:
    """Train a ReLU network layer by layer, without gradients.

    Use it for dense networks on data that fits in memory: a sweep is a few large matrix products,
    lowers its objective whatever the data, and has no step size.

    Parameters
    ----------
    model : torch.nn.Sequential or list of torch.nn.Linear
        Linear and ReLU in turn, ending with a Linear; in a list ReLU is understood between the
        layers. float32 or float64, on the CPU. Trained in place, from the weights it has.
    gamma, rho : float, default 1.0
        Strengths of the activations and of the layers, > 0.
    alpha : float, default 5.0
        Strength of the distance from the last iterate, >= 0; more is slower and steadier.
    joint_bias : bool, default False
        Solve for weights and bias together, instead of each with the other as it was.
    residual : bool or sequence of bool, default False
        Layers whose input is added to their activation: all of equal width (True), or those named.
        For a list of layers; `predict` adds the inputs too.
    chunk : int, default 4096
        Samples that are worked on at a time, >= 1: memory for products of so many rows.

    Attributes
    ----------
    sweeps : int
        Sweeps done.

    Raises
    ------
    TypeError, ValueError
        If the model has other modules, widths do not fit, or a strength is out of range.

    Notes
    -----
    Minimises, over the weights and over inputs U_i and activations V_i of every layer,

      1/2 |V_N - Y|^2 + sum_i gamma/2 |V_i - S_i - sigma_i(U_i)|^2
                            + rho/2 |U_i - V_{i-1} W_i' - b_i|^2

    block by block from the last layer to the first, each block exactly (S_i = V_{i-1} with a skip,
    else 0; sigma_N = identity). Memory: U and V, 2 n sum(widths) numbers, and the products of a
    chunk. With alpha > 0 every system is positive definite. Without `joint_bias` weights and bias
    are updated in parallel, as in the published code; that step alone is not proven to lower the
    objective.

    References
    ----------
    Zeng, Lau, Lin, Yao 2019, "Global convergence of block coordinate descent in deep learning",
    ICML, arXiv:1803.00225.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> X = torch.linspace(-1, 1, 64)[:, None]
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1))
    >>> history = BlockCoordinateTrainer(model, alpha=0.1).fit(X, X.abs(), sweeps=200)
    >>> bool(((model(X) - X.abs()) ** 2).mean() < 0.01)
    True
    """

    def __init__(
        self,
        model: Any,
        *,
        gamma: float = 1.0,
        rho: float = 1.0,
        alpha: float = 5.0,
        joint_bias: bool = False,
        residual: bool | Sequence[bool] = False,
        chunk: int = 4096,
    ) -> None:
        torch = require("torch")
        self.layers = linear_layers(model)
        self.skips = skips(residual, self.layers, isinstance(model, torch.nn.Sequential))
        self.gamma = in_range("gamma", gamma, 0.0, 1e30, strict=True)
        self.rho = in_range("rho", rho, 0.0, 1e30, strict=True)
        self.alpha = in_range("alpha", alpha, 0.0, 1e30)
        self.joint_bias = bool(joint_bias)
        self.chunk = count("chunk", chunk)
        self.dtype = parameters(self.layers[0])[0].dtype
        self._torch = torch
        self.reset()

    def reset(self) -> None:
        """Forget the data: the next sweep starts from a forward pass."""
        self.sweeps = 0
        self._U: list[Block] = []
        self._V: list[Block] = []
        self._x: Block = np.zeros((0, 0))
        self._y: Block = np.zeros((0, 0))
        self._given: tuple[Any, Any] | None = None
        self._factor: Any = None

    def fit(
        self,
        X: Any,
        Y: Any,
        sweeps: int = 50,
        *,
        verbose: int = 0,
        callback: Callable[[dict[str, float]], Any] | None = None,
    ) -> list[float]:
        """Run sweeps, going on where the last one ended.

        Parameters
        ----------
        X : array or Tensor, shape (n, in_features)
            Samples.
        Y : array or Tensor, shape (n, out_features) or (n,)
            Targets; a vector of integers holds classes, and becomes one-hot.
        sweeps : int, default 50
            Sweeps to run, >= 0.
        verbose, callback
            A line, or a call, after each sweep: its number and the objective before it.

        Returns
        -------
        list of float
            Objective before every sweep and at the end, `sweeps + 1` numbers.
        """
        report = reporter(verbose, callback, ("sweep", "objective"))
        history = []
        for _ in range(count("sweeps", sweeps, 0)):
            history.append(self.sweep(X, Y))
            if report is not None:
                report([float(self.sweeps), history[-1]])
        self._data(X, Y)
        return [*history, self.objective()]

    def sweep(self, X: Any, Y: Any) -> float:
        """Update every block once, and return the objective as it was before.

        The data must be that of the first sweep; `reset` allows other data.
        """
        self._data(X, Y)
        total = 0.0
        for i in reversed(range(len(self.layers))):
            total += self._update_layer(i)
            if i:
                total += self._update_activation(i - 1)
        self.sweeps += 1
        return total

    def objective(self) -> float:
        """Return the objective of the blocks as they are, at the cost of a forward pass."""
        total = 0.0
        for i, layer in enumerate(self.layers):
            W, b = parameters(layer)
            for rows in self._chunks():
                U, V = self._U[i][rows], self._V[i][rows].astype(np.float64)
                off = U.astype(np.float64) - (self._input(i)[rows] @ W.T) - b
                active = U if i == len(self.layers) - 1 else np.maximum(U, 0)
                gap = V - active - (self._input(i)[rows] if self.skips[i] else 0)
                total += 0.5 * (self.rho * np.sum(off * off) + self.gamma * np.sum(gap * gap))
                if i == len(self.layers) - 1:
                    total += 0.5 * np.sum((V - self._y[rows]) ** 2)
        return float(total)

    def predict(self, X: Any) -> Any:
        """Return the network's output as a Tensor of shape (n, out_features), skips included."""
        V = samples(X, self.layers[0].in_features, self.dtype, "X")
        for i, layer in enumerate(self.layers):
            W, b = parameters(layer)
            U = V @ W.T + b
            active = U if i == len(self.layers) - 1 else np.maximum(U, 0)
            V = active + V if self.skips[i] else active
        return self._torch.from_numpy(V)

    def state_dict(self) -> dict[str, Any]:
        """Return the blocks U and V and the count of sweeps; the weights are the model's.

        As of torch's optimizers, the tensors are those in use: copy or save them.
        """
        tensors = self._torch.from_numpy
        return {
            "sweeps": self.sweeps,
            "U": [tensors(U) for U in self._U],
            "V": [tensors(V) for V in self._V],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the blocks of another trainer of a model of the same layers."""
        U, V = (
            [np.array(block.numpy(force=True), dtype=self.dtype) for block in state[key]]
            for key in ("U", "V")
        )
        widths = [layer.out_features for layer in self.layers] if U else []
        shapes = [block.shape for block in U]
        n = len(U[0]) if U else 0
        if shapes != [(n, width) for width in widths] or [v.shape for v in V] != shapes:
            raise ValueError(
                f"state of blocks {shapes} does not match layers of widths {widths}; "
                "load the state of a trainer of the same layers"
            )
        self.reset()
        self._U, self._V, self.sweeps = U, V, int(state["sweeps"])

    def _data(self, X: Any, Y: Any) -> None:
        """Take the data, and start the blocks if there are none."""
        if self._given is not None and self._given[0] is X and self._given[1] is Y:
            return
        x = samples(X, self.layers[0].in_features, self.dtype, "X")
        y = targets(Y, self.layers[-1].out_features, self.dtype)
        if len(x) != len(y):
            raise ValueError(f"X of {len(x)} samples does not match Y of {len(y)}; pass both whole")
        known = self._given is not None
        if known and not (np.array_equal(x, self._x) and np.array_equal(y, self._y)):
            raise ValueError(
                "X and Y must be those of the first sweep, got others; call reset() to start anew"
            )
        if self._U and len(self._U[0]) != len(x):
            raise ValueError(
                f"X of {len(x)} samples does not match a state of {len(self._U[0])}; "
                "pass the data that it was saved with, or call reset()"
            )
        self._x, self._y = x, y
        if not self._U:
            self._start()
        self._given = (X, Y)

    def _start(self) -> None:
        V: Block = self._x
        for i, layer in enumerate(self.layers):
            W, b = parameters(layer)
            U = V @ W.T
            U += b
            active = U.copy() if i == len(self.layers) - 1 else np.maximum(U, 0)
            V = active + V if self.skips[i] else active
            self._U.append(U)
            self._V.append(V)

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, len(self._x), self.chunk):
            yield slice(start, min(start + self.chunk, len(self._x)))

    def _input(self, i: int) -> Block:
        return self._V[i - 1] if i else self._x

    def _update_layer(self, i: int) -> float:
        """Update U (of the last layer also V), then W and b, of layer i."""
        (W, b), V = parameters(self.layers[i]), self._input(i)
        y = self._y if i == len(self.layers) - 1 else None
        fresh = i > 0 or self._factor is None
        gram = np.zeros((W.shape[1],) * 2) if fresh else None
        cross = np.zeros(W.shape)
        layer, output, target, residual = _core.splitting_layer(
            (V, W, b, self._U[i], self._V[i], y),
            self.skips[i],
            (self.gamma, self.rho, self.alpha),
            self.chunk,
            cross,
            gram,
        )
        self._fit_weights(i, gram, cross, target, residual)
        return 0.5 * (self.rho * layer + output[0] + self.gamma * output[1])

    def _fit_weights(
        self, i: int, gram: Double | None, cross: Double, target: Double, residual: Double
    ) -> None:
        """Solve for the weights and the bias of layer i."""
        layer, n = self.layers[i], len(self._x)
        W, b = (part.astype(np.float64) for part in parameters(layer))
        joint = self.joint_bias and layer.bias is not None
        factor = None if i else self._factor
        if gram is not None:
            sums = self._input(i).sum(axis=0, dtype=np.float64) if joint else None
            factor = self._factorise(i, gram, sums, n)
            if not i:
                self._factor = factor
        right = self.alpha * W + self.rho * cross
        if joint:
            # The bias as the weight of a constant one, and its change as the unknown.
            right = np.column_stack([right, self.rho * target])
        solved = self._torch.cholesky_solve(self._torch.from_numpy(right.T.copy()), factor)
        solved = solved.T.numpy()
        if joint:
            W, b = solved[:, :-1], b + solved[:, -1]
        else:
            b = (self.alpha * b + self.rho * residual) / (self.rho * n + self.alpha)
            W = solved
        with self._torch.no_grad():
            layer.weight.copy_(self._torch.from_numpy(np.ascontiguousarray(W)))
            if layer.bias is not None:
                layer.bias.copy_(self._torch.from_numpy(np.ascontiguousarray(b)))

    def _factorise(self, i: int, gram: Double, sums: Double | None, n: int) -> Any:
        """The Cholesky factor of alpha I + rho V'V, with a constant column if `sums` are given."""
        if sums is not None:
            gram = np.block([[gram, sums[:, None]], [sums[None, :], np.full((1, 1), float(n))]])
        system = self.rho * gram
        system[np.diag_indices_from(system)] += self.alpha
        factor, failed = self._torch.linalg.cholesky_ex(self._torch.from_numpy(system))
        pivots = factor.diagonal().numpy() ** 2
        least = 10 * np.finfo(self.dtype).eps * system.diagonal()
        if int(failed) or not (pivots > least).all():
            raise ValueError(
                f"the inputs of layer {i} must be linearly independent at alpha = {self.alpha:g}, "
                "got a singular block; raise alpha"
            )
        return factor

    def _update_activation(self, i: int) -> float:
        """Update the activation V of hidden layer i."""
        W, b = parameters(self.layers[i + 1])
        wide = not self.skips[i + 1] and len(W) < W.shape[1]
        # Either way one inverse of the smaller size, in float64 and rounded once.
        system = self.rho * (W @ W.T if wide else W.T @ W).astype(np.float64)
        system[np.diag_indices_from(system)] += self.gamma * (1 + self.skips[i + 1])
        torch = self._torch
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(torch.from_numpy(system))).numpy()
        gain = (self.rho * inverse @ W.astype(np.float64) if wide else inverse).astype(self.dtype)
        distance = _core.splitting_activation(
            (
                self._V[i],
                self._U[i],
                self._input(i) if self.skips[i] else None,
                self._U[i + 1],
                self._V[i + 1] if self.skips[i + 1] else None,
                W,
                b,
                np.ascontiguousarray(gain),
            ),
            i + 1 == len(self.layers) - 1,
            (self.gamma, self.rho),
            self.chunk,
        )
        return 0.5 * self.gamma * distance
