"""Networks on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core
from thalweg.gpu._place import as_place
from thalweg.search.objectives import Network as Cpu
from thalweg.search.objectives.layers import Floats, floats


class Network:
    """Costs and probes of a network of dense layers, computed by shaders.

    Use it where the network is large enough that a graphics card pays; whatever does not touch
    costs (weights, training) stays with `network`.

    Parameters
    ----------
    network : thalweg.search.objectives.Network
        Dense layers of any unit: linear, relu, tanh, sign, threshold, staircase, lif. Its weights
        are read at every call.
    adapter : int or str, optional
        Number or part of the name of an adapter; by default that of `THALWEG_GPU_ADAPTER`, else
        the first one.
    max_binding : int, optional
        Bytes of a buffer at most; as many as the adapter allows by default.

    Raises
    ------
    TypeError
        For something else than a network.

    Notes
    -----
    Units and spikes are printed as shaders from the formulas that the CPU runs. Sums run in the
    same order, in float32, so outputs differ by rounding alone; costs are gathered in two floats.
    Expect 1e-6 of the cost. A sample whose pre-activation lies within rounding of a threshold may
    fall on its other side; its cost then differs as if that weight had moved by a rounding error.
    Samples, parameter vectors and probes are split so that every buffer fits.

    Examples
    --------
    >>> from thalweg.search.objectives import Dense, Network as Cpu
    >>> network = Network(Cpu([Dense([[1.0, -1.0]], [0.0], "linear")], loss="zero_one"))
    >>> network.evaluate([[2.0, 1.0], [0.0, 1.0]], [1, 0])
    0.0
    >>> network.probe([[2.0, 1.0], [0.0, 1.0]], [1, 0], 0, [[0.0, 0.0, 1.0]], 2.0).tolist()
    [[0.5, 0.5]]
    """

    def __init__(
        self, network: Cpu, *, adapter: int | str | None = None, max_binding: int | None = None
    ) -> None:
        if not isinstance(network, Cpu):
            raise TypeError(
                f"network must be a thalweg.search.objectives.Network, got "
                f"{type(network).__name__}; build one from its layers"
            )
        self.network = network
        self._place = as_place(adapter, max_binding)

    def evaluate(self, X: ArrayLike, y: ArrayLike) -> float:
        """Cost on samples.

        Parameters
        ----------
        X : array_like, shape (samples, inputs) or (samples, steps, inputs)
            Features; the second form varies in time and needs a spiking first layer.
        y : array_like, shape (samples,), or (samples, outputs) for the squared loss
            Classes from 0, or values.
        """
        return float(self._costs(self._samples(X, y), None)[0])

    def decision_function(self, X: ArrayLike) -> Floats:
        """Outputs of the last layer, shape (samples, outputs); spike counts if it spikes."""
        outputs = self.network.outputs
        features = self.network._features(X)
        # Any targets do: only the outputs are read.
        zeros = np.zeros((len(features), outputs), np.float32)
        target = zeros if self.network.loss == "squared" else np.zeros(len(features), np.uint32)
        core = self.network._core
        out: Floats = _core.gpu_network_outputs(core, features, target, self._place)
        return out.reshape(-1, outputs)

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
            Layer whose units are probed; not one of integer weights.
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
        features, target = self._samples(X, y)
        shapes = self.network._shapes
        units = shapes[layer][0] if 0 <= layer < len(shapes) else 1
        radii = np.ascontiguousarray(np.broadcast_to(np.asarray(radius, np.float32), (units,)))
        rows = floats(directions, "directions", 2)
        if layer < 0:
            raise ValueError(f"layer must be in 0..{len(shapes)}, got {layer}; count layers from 0")
        core = self.network._core
        costs = _core.gpu_network_probe(core, features, target, layer, rows, radii, self._place)
        return np.asarray(costs).reshape(units, -1)

    def objective(self, X: ArrayLike, y: ArrayLike) -> Callable[[ArrayLike], Any]:
        """The cost as a function of `theta`, for any searcher.

        Returns
        -------
        callable
            f(theta) with theta (d,) gives a float, with (n, d) an array (n,), all rows at once:
            pass ``vectorized=True`` to `minimize`. The network itself is left alone.
        """
        samples = self._samples(X, y)
        size = sum(o * (i + 1) for o, i in self.network._shapes)

        def cost(theta: ArrayLike) -> Any:
            given = np.asarray(theta)
            rows = floats(np.atleast_2d(given), "theta", 2)
            if given.ndim > 2 or rows.shape[1] != size:
                raise ValueError(
                    f"theta of shape {given.shape} does not match the network of shape ({size},); "
                    "pass all weights and biases, layer after layer"
                )
            if not np.isfinite(rows).all():
                raise ValueError("theta holds NaN or infinity; pass finite numbers")
            costs = self._costs(samples, rows)
            return float(costs[0]) if given.ndim == 1 else costs

        return cost

    def _samples(self, X: ArrayLike, y: ArrayLike) -> tuple[Floats, NDArray[Any]]:
        return self.network._features(X), self.network._target(y)

    def _costs(self, samples: tuple[Floats, NDArray[Any]], thetas: Any) -> NDArray[np.float64]:
        core = self.network._core
        costs: NDArray[np.float64] = _core.gpu_network_evaluate(core, *samples, thetas, self._place)
        return costs
