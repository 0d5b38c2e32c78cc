"""Trees of hyperplanes, trained on the number of wrong classes itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core


class ObliqueTree:
    """Hard-routed decision tree whose nodes split along hyperplanes.

    Use it where axis-parallel splits need many levels and the model must stay small. Splits are
    searched by polytope steps on the 0-1 loss, all nodes at once; a probe looks only at samples
    that reach its node. The leaves hold the majority of their samples.

    Parameters
    ----------
    depth : int, default 4
        Splits on a path, 1 to 12: 2^depth leaves.
    steps : int, default 300
        Polytope steps of one start.
    starts : int, default 4
        Random starts; the best tree of all is kept.
    directions : int, default 16
        Directions probed a step, both ways, in every node.
    probe_radius, step_radius : float, default 0.3, 0.3
        Radii at the first step for features of unit scale, > 0; the rows of the splits have unit
        norm.
    decay : float, default 0.02
        Share of the radii left at the end, in (0, 1].
    seed : int, default 0
        Everything random is a function of it.

    Attributes
    ----------
    classes_ : ndarray, shape (classes,)
        The classes, sorted.
    splits_ : ndarray, shape (2^depth - 1, features + 1)
        Node i goes on to 2 i + 2 where splits_[i, :-1] x + splits_[i, -1] >= 0, else to 2 i + 1.
    leaves_ : ndarray, shape (2^depth,)
        Index into `classes_` of every leaf.
    train_error_ : float
        Share of wrong classes on the training samples.
    n_evaluations_ : int
        Probes made.
    interrupted_ : bool
        Whether Ctrl-C ended `fit`; the tree is the best met until then.

    Notes
    -----
    A step costs O(samples (nodes inputs + directions (inputs + depth))) and ends with the best
    tree met, not the last one.

    Examples
    --------
    >>> X = [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]
    >>> ObliqueTree(depth=2).fit(X, [0, 0, 1, 1]).predict(X).tolist()
    [0, 0, 1, 1]
    """

    def __init__(
        self,
        depth: int = 4,
        *,
        steps: int = 300,
        starts: int = 4,
        directions: int = 16,
        probe_radius: float = 0.3,
        step_radius: float = 0.3,
        decay: float = 0.02,
        seed: int = 0,
    ) -> None:
        for name, number in (("steps", steps), ("starts", starts), ("directions", directions)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}; see the defaults")
        for name, radius in (("probe_radius", probe_radius), ("step_radius", step_radius)):
            if not 0 < radius < np.inf:
                raise ValueError(f"{name} must be positive, got {radius}; a usual value is 0.3")
        if not 0 < decay <= 1:
            raise ValueError(f"decay must be in (0, 1], got {decay}; a usual value is 0.02")
        self.depth = depth
        self.steps = steps
        self.starts = starts
        self.directions = directions
        self.probe_radius = probe_radius
        self.step_radius = step_radius
        self.decay = decay
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike) -> ObliqueTree:
        """Train on X (samples, features) and classes y (samples,)."""
        features = _features(X)
        labels = np.asarray(y)
        if labels.shape != features.shape[:1]:
            raise ValueError(
                f"y of shape {labels.shape} does not match X of shape {features.shape}; "
                "pass one class a sample"
            )
        self.classes_, inverse = np.unique(labels, return_inverse=True)
        index = np.ascontiguousarray(inverse, np.uint32)
        least, self.n_evaluations_ = np.inf, 0
        for start in range(self.starts):
            (splits, leaves), cost, evaluations, self.interrupted_ = _core.oblique_tree_train(
                features, index, len(self.classes_), self.depth, self.steps, self.directions,
                self.probe_radius, self.step_radius, self.decay, self.seed * 1_000_003 + start,
            )  # fmt: skip
            self.n_evaluations_ += evaluations
            if cost < least:
                least = cost
                self.splits_ = splits.reshape(-1, features.shape[1] + 1)
                self.leaves_ = leaves
            if self.interrupted_:
                break
        self.train_error_ = float(least)
        return self

    def apply(self, X: ArrayLike) -> NDArray[np.int64]:
        """Leaf of every sample, shape (samples,)."""
        features = _features(X)
        if features.shape[1] + 1 != self.splits_.shape[1]:
            raise ValueError(
                f"X of shape {features.shape} does not match the splits of shape "
                f"{self.splits_.shape}; pass the features it was trained on"
            )
        node = np.zeros(len(features), np.int64)
        for _ in range(self.depth):
            split = self.splits_[node]
            right = (split[:, :-1] * features).sum(1) + split[:, -1] >= 0
            node = 2 * node + 1 + right
        leaf: NDArray[np.int64] = node - len(self.splits_)
        return leaf

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Class of every sample, shape (samples,)."""
        classes: NDArray[Any] = self.classes_[self.leaves_[self.apply(X)]]
        return classes

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of right classes."""
        return float((self.predict(X) == np.asarray(y)).mean())


def _features(X: ArrayLike) -> NDArray[np.float64]:
    features = np.ascontiguousarray(X, np.float64)
    if features.ndim != 2 or features.size == 0:
        raise ValueError(
            f"X must be (samples, features) and not empty, got {features.shape}; reshape it"
        )
    if not np.isfinite(features).all():
        raise ValueError("X holds NaN or infinity; drop or fill those samples")
    return features
