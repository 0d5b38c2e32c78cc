"""PolyStep: blocks of coordinates probe a rotated polytope and move to its weighted centre."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg._core import SearchPolyStep
from thalweg.search._arguments import as_bounds, as_costs, as_seed, as_start
from thalweg.search._radii import (
    automatic,
    first_radius,
    plateau_dim,
    published,
    published_es,
)
from thalweg.search._state import Stateful
from thalweg.search.choices import _Choice
from thalweg.search.result import Best

__all__ = ["PolyStep"]

Array = NDArray[np.float64]
_COMPAT = ("repair",)


class PolyStep(Stateful):
    """Polytope search, for costs without a useful gradient.

    Use it when the cost is piecewise constant or a black box (spikes, rounding, argmax, a
    simulator), and you can afford ``2 * d`` evaluations a step.

    Parameters
    ----------
    x0 : array_like, shape (d,) or (n, d)
        Start; several rows are searched side by side.
    particle_dim : int, optional
        Coordinates of a block, >= 1. Default 2, and up to 160 on a plateau.
    polytope : {"orthoplex", "simplex", "cube"}, default "orthoplex"
        Shape that a block probes: ``2 p``, ``p + 1`` or ``2**p`` vertices.
    num_probe : int, default 1
        Probes along each direction, >= 1; their costs are averaged.
    epsilon : float or schedule, default 1.0
        Temperature: below it differences of costs count linearly, above it they saturate.
    ent_epsilon : float, optional
        Temperature of the solver where it differs from `epsilon`.
    step_radius, probe_radius : "auto", float or schedule, default "auto"
        How far a block moves at most, and how far out costs are taken. "auto" follows the costs
        (see Notes). A number is multiplied by `epsilon`, a schedule is not, as published.
    radius : float, optional
        First automatic probe radius. Default: a fifth of the width of `bounds`, else the
        root mean square of `x0`, else 1.
    radius_limit : float, default 1000
        Largest automatic probe radius, in first ones.
    patience : int, default 30
        Steps on a plateau (some probes cost exactly as x) without a better candidate before the
        search goes back to its best one, with 1, 4 or 16 times its first radii in turn; 0 for
        never. Needs automatic radii and one solution, and stops by itself when the best then
        costs something else, that is, when costs are noisy.
    plateau : bool, default True
        Search with long fixed radii, large blocks and a tenth of `epsilon` where a quarter of the
        first candidates cost the same as another one, as counts do. Needs automatic radii.
    jitter : float, default 0.0
        Random relative change of the probe radius, in [0, 1).
    solver : str or solver, default "softmax"
        "softmax", "sinkhorn", "greedy", "top_k", "tempered", or an object of
        `thalweg.search.choices` with settings.
    scale_cost : float, str or None, default "global_std"
        None, a divisor, "mean", "max_cost", "row_std", "global_std" or "ranks".
    momentum : float or (float, float), optional
        Factor of the velocity, in [0, 1); a pair is walked through in `max_iterations` steps.
        Default 0.8, and 0.5 on a plateau.
    velocity_lr : float, optional
        Factor of the velocity in a move. Default ``1 - momentum`` with an automatic step
        radius, else 1.
    max_iterations : int, default 50
        Steps over which `momentum` changes.
    amortize : int, default 1
        One step in `amortize` is evaluated; the others coast along the mean move.
    adaptive_radius : bool, default False
        The published radius multiplier; acts on radii that are not automatic.
    newton_refinement, trust_region : bool, default False
        The published quadratic model; both need ``num_probe >= 2``.
    adaptive_num_probe : bool, default False
        One probe a direction while the transport cost keeps falling, from step 20 on.
    adaptive_probes : bool, default False
        A block that moved less than 1e-3 keeps its costs and is not evaluated, except in every
        tenth step. Needs a `probe_radius` of its own.
    screen : bool, default False
        Of each block, costs of the half of the directions that differed least in the last step
        are drawn to their mean. Rotations are new each step, so this mostly slows down; published.
    covariance : bool, default False
        Learn a scale for each coordinate from the moves, and one for both radii (CMA, CSA;
        experimental). The latter acts on radii that are not automatic.
    biased_rotation : bool, default False
        Let rotations start with the previous direction of their block.
    groups : sequence of int, optional
        Ends of groups of coordinates (layers): each has its own radii and scale of costs.
    bounds : d pairs (low, high), or `Bounds`, scipy's or ours, optional
        Candidates and moves are clipped to this box.
    compat : iterable of str, default ()
        Published behaviour where it differs: "repair" replaces bad costs by
        ``max(2 max |cost| + 1, 1e6)``.
    seed : None, int or numpy Generator
        Seed of the rotations.

    Attributes
    ----------
    population : int
        Candidates of the coming or open step.
    x : ndarray, shape of x0
        Where the search stands.
    best : Best
        The cheapest candidate so far.
    effective_lr : float
        Learning rate of the last move (before momentum): the multiple of the finite-difference
        gradient nearest to it.
    mean_cost : float
        Mean probe cost of the last step.
    step, evaluations, nonfinite : int
        Steps and costs so far, and how many of the costs were NaN or infinite.

    Raises
    ------
    ValueError, TypeError
        For settings out of range, before anything happens.

    Notes
    -----
    A step draws a rotation R_i for every block, takes costs C_ik at ``x_i + rho R_i t_k`` for the
    vertices t_k, and moves ``x_i += s R_i sum_k W_ik t_k`` with ``W_i = softmax(-C_i / eps)``.
    Where differences of costs stay below eps times the scale of costs this is gradient descent on
    central differences with learning rate ``s rho / (p eps scale)``; `effective_lr` is what it
    amounted to, saturation included.

    Automatic radii: the probe radius rests where costs bend twice as much as they slope (one more
    evaluation a step, at x itself), the step radius grows while moves agree with those before.
    Published settings: `PolyStep.published` and `PolyStep.published_es`.

    Cost of a step apart from evaluations: O(d p^2 + d V), memory O(d p).

    References
    ----------
    Le 2026, "Training Non-Differentiable Networks via Optimal Transport", arXiv:2605.01928.

    Examples
    --------
    >>> import numpy as np
    >>> search = PolyStep(np.full(10, 3.0), seed=0)
    >>> for _ in range(200):
    ...     x = search.ask()
    ...     search.tell((x**2).sum(axis=1))
    >>> bool(search.best.cost < 1e-6)
    True
    """

    _core: SearchPolyStep

    def __init__(
        self,
        x0: ArrayLike,
        *,
        particle_dim: int | None = None,
        polytope: str = "orthoplex",
        num_probe: int = 1,
        epsilon: float | _Choice = 1.0,
        ent_epsilon: float | None = None,
        step_radius: str | float | _Choice = "auto",
        probe_radius: str | float | _Choice = "auto",
        radius: float | None = None,
        radius_limit: float = 1e3,
        patience: int = 30,
        plateau: bool = True,
        jitter: float = 0.0,
        solver: str | _Choice = "softmax",
        scale_cost: float | str | None = "global_std",
        momentum: float | tuple[float, float] | None = None,
        velocity_lr: float | None = None,
        max_iterations: int = 50,
        amortize: int = 1,
        adaptive_radius: bool = False,
        newton_refinement: bool = False,
        trust_region: bool = False,
        adaptive_num_probe: bool = False,
        adaptive_probes: bool = False,
        screen: bool = False,
        covariance: bool = False,
        biased_rotation: bool = False,
        groups: Sequence[int] | None = None,
        bounds: Any = None,
        compat: Iterable[str] = (),
        seed: int | np.random.Generator | None = None,
    ) -> None:
        start = as_start(x0)
        dim = start.shape[-1]
        box = as_bounds(bounds, dim)
        compat = tuple(compat)
        for name in compat:
            if name not in _COMPAT:
                raise ValueError(
                    f"compat must be a subset of {_COMPAT}, got {name!r}; drop what is unknown"
                )
        if radius is None:
            radius = first_radius(start, box)
        calm = 0.5 if momentum is None and velocity_lr is None else None
        momentum = 0.8 if momentum is None else momentum
        pair = (momentum, momentum) if isinstance(momentum, (int, float)) else tuple(momentum)
        if velocity_lr is None:
            velocity_lr = 1.0 - pair[-1] if step_radius == "auto" else 1.0
        given: dict[str, Any] = {
            "particle_dim": min(2 if particle_dim is None else int(particle_dim), dim),
            "polytope": polytope,
            "num_probe": num_probe,
            "epsilon": epsilon,
            "ent_epsilon": ent_epsilon,
            "step_radius": automatic(step_radius, 0.3 * radius),
            "probe_radius": automatic(probe_radius, radius),
            "radius_limit": radius_limit,
            "patience": patience,
            "plateau": plateau_dim(dim, particle_dim) if plateau else 0,
            "plateau_momentum": calm,
            "jitter": jitter,
            "solver": solver,
            "scale_cost": "none" if scale_cost is None else scale_cost,
            "momentum": ("pair", [float(v) for v in pair]) if any(pair) else 0.0,
            "velocity_lr": velocity_lr,
            "max_iterations": max_iterations,
            "amortize": amortize,
            "adaptive_radius": adaptive_radius,
            "newton_refinement": newton_refinement,
            "trust_region": trust_region,
            "adaptive_num_probe": adaptive_num_probe,
            "adaptive_probes": adaptive_probes,
            "screen": screen,
            "covariance": covariance,
            "biased_rotation": biased_rotation,
            "published_repair": "repair" in compat,
        }
        self._given: dict[str, Any] = {
            name: value._setting() if isinstance(value, _Choice) else value
            for name, value in given.items()
            if value is not None
        }
        self._shape = start.shape
        self._groups = [int(end) for end in groups or ()]
        self._box = box
        self._build(start, as_seed(seed))

    def _build(self, start: Array, seed: int) -> None:
        self._seed = seed
        settings = list(self._given.items())
        flat = np.ascontiguousarray(start).reshape(-1)
        dim = self._shape[-1]
        box = None if self._box is None else tuple(self._box)
        self._core = SearchPolyStep(flat, dim, settings, self._groups, box, seed)

    def _rebuild(self, seed: int) -> None:
        self._build(np.zeros(self._shape), seed)

    @classmethod
    def published(cls, x0: ArrayLike, **changes: Any) -> PolyStep:
        """The published defaults for training: fixed radii, raw costs, Sinkhorn, no momentum.

        Parameters
        ----------
        x0 : array_like
            Start.
        **changes
            Settings that differ from the published defaults.
        """
        return cls(x0, **{**published(), **changes})

    @classmethod
    def published_es(cls, x0: ArrayLike, **changes: Any) -> PolyStep:
        """The published ask/tell form: each row of `x0` one particle, costs at the vertices.

        Parameters
        ----------
        x0 : array_like, shape (d,) or (n, d)
            Start.
        **changes
            `step_radius` (a length, default 0.5), or any other setting.
        """
        start = as_start(x0)
        length = float(changes.pop("step_radius", 0.5))
        settings = published_es(start.shape[-1], length)
        return cls(start, **{**settings, **changes})

    def ask(self) -> Array:
        """Open a step.

        Returns
        -------
        ndarray, shape (population, d)
            Candidates to evaluate.

        Raises
        ------
        ValueError
            If the last candidates have not been told.
        """
        self._core.ask()
        return self.candidates(0, self.population)

    def open(self) -> int:
        """Open a step without writing its candidates; returns their number.

        For problems where ``(population, d)`` numbers do not fit: fetch them by `candidates`.
        """
        self._core.ask()
        return self.population

    def candidates(self, start: int, stop: int) -> Array:
        """Candidates `start` to `stop` - 1 of the open step, shape (stop - start, d)."""
        if not 0 <= start <= stop <= self.population:
            raise ValueError(
                f"start, stop must be ordered within 0..{self.population}, "
                f"got {start}, {stop}; ask for fewer"
            )
        out = np.empty((stop - start, self._shape[-1]))
        self._core.candidates(start, out)
        return out

    def tell(self, costs: ArrayLike) -> None:
        """Move by the costs of the candidates, in their order; lower is better.

        Parameters
        ----------
        costs : array_like, shape (population,)
            NaN and infinities count as worse than every finite cost.

        Raises
        ------
        ValueError
            For the wrong number of costs or without a step; the step stays open.
        TypeError
            For costs that carry gradients or are not real numbers.
        """
        self._core.tell(as_costs(costs))

    def restart(self, x: ArrayLike) -> None:
        """Continue from another `x` of the same shape; velocity is dropped, radii stay."""
        self._core.restart(np.ascontiguousarray(as_start(x)).reshape(-1))

    @property
    def population(self) -> int:
        """Candidates of a step."""
        return int(self._core.population())

    @property
    def x(self) -> Array:
        """Where the search stands, of the shape of x0."""
        return np.asarray(self._core.x()).reshape(self._shape)

    @property
    def best(self) -> Best:
        """The cheapest candidate so far and its cost."""
        return Best(self._core.best_x(), self._core.costs()[0])

    @property
    def mean_cost(self) -> float:
        """Mean probe cost of the last step."""
        return float(self._core.costs()[1])

    @property
    def effective_lr(self) -> float:
        """Multiple of the finite-difference gradient nearest to the last move."""
        return float(self._core.costs()[2])

    @property
    def step(self) -> int:
        """Steps so far, coasting ones included."""
        return int(self._core.counters()[0])

    @property
    def evaluations(self) -> int:
        """Costs told so far."""
        return int(self._core.counters()[1])

    @property
    def nonfinite(self) -> int:
        """How many of the costs were NaN or infinite."""
        return int(self._core.counters()[2])

    def radii(self, group: int = 0) -> dict[str, float]:
        """Temperature, step radius and probe radius of a group at this step."""
        epsilon, step, probe = self._core.radii(group)
        return {"epsilon": epsilon, "step_radius": step, "probe_radius": probe}

    def converged(self, tol: float) -> str | None:
        """Says so when an automatic step radius fell below `tol` in every group."""
        step = max(self._core.radii(g)[1] for g in range(self._core.groups()))
        automatic = isinstance(self._given["step_radius"], tuple)
        if automatic and self._given["step_radius"][0] == "auto" and step < tol:
            return f"step radius {step:.1e} < tol {tol:.1e}"
        return None

    def __repr__(self) -> str:
        return f"PolyStep(d={self._shape[-1]}, step={self.step}, best={self.best.cost:.6g})"
