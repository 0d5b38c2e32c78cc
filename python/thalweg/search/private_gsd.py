"""Private synthetic tables by a genetic search over cells."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core
from thalweg.search import tables
from thalweg.search._arguments import as_seed
from thalweg.search._releases import Releases
from thalweg.search._space import Space, kind_of
from thalweg.search.budget import Budget
from thalweg.search.tables import Categories, Interval

__all__ = ["PrivateGSD"]

Floats = NDArray[np.float64]
Columns = tuple[Hashable, ...]
OPERATORS = ("mutate", "continuous", "swap", "cross")
# Generations between two chances to be interrupted: tens of milliseconds.
STRIDE = 10_000


class PrivateGSD:
    """Synthetic tables that fit noisy marginals: differential privacy for a table of any kind.

    Pick it where others need rows to work with but must not see yours; categorical, integer and
    real columns may be mixed. Everything that is learned from the table goes through the Gaussian
    mechanism or a noisy choice, and is entered in a ledger; the search itself sees noisy shares
    only and costs no privacy. Two tables are neighbours if one row is replaced by another; the
    number of rows is public.

    Parameters
    ----------
    epsilon : float or None, default 1.0
        Privacy parameter, > 0; None measures without noise, and the table is then not private.
    delta : float, default 1e-9
        Privacy parameter in (0, 1), well below one over the number of rows.
    domain : mapping or "data", optional
        For every column `Categories` or `Interval`. "data" reads it from the table, **which is not
        private**: a rare category or an extreme value of one person is then published. None reads
        it too, but only where epsilon is None.
    marginals : int or sequence of tuples of names, default 2
        Which joint shares the table should keep: all sets of so many columns, or those listed.
    rounds : int, optional
        Adaptive selection: in each of so many rounds half of its budget selects the `per_round`
        marginals with the largest error of the table so far, and half measures them. None measures
        all marginals at once.
    per_round : int, default 1
        Marginals selected in a round, >= 1.
    rows : int, optional
        Rows of the synthetic table, default as many as the table has.
    operators : sequence of str, default ("mutate", "continuous", "swap", "cross")
        Kinds of proposals.
    proposals : int, default 50
        Proposals of a generation, the best of which is made if it helps, >= 1.
    tol : float, default 1e-4
        The search rests where max(100, rows) generations gain less than this share of the cost.
    max_generations : int, optional
        Limit for each search, needed where tol is 0.
    seed : int, Generator or None, default None
        None takes all randomness from the operating system. **Whoever knows the seed can take the
        noise off: a seed voids privacy** and is for tests.

    Attributes
    ----------
    table_ : table of the kind given to `fit`
        The synthetic table, with its types of columns.
    cost_ : float
        Sum of squared differences between its shares and those measured.
    measured_ : dict of tuple to ndarray
        Measured shares of each marginal, an axis a column, in [0, 1]; safe to publish.
    edges_ : dict of name to ndarray
        Edges of the bins of numeric columns.
    budget_ : Budget or None
        Ledger of the last `fit`; every further `fit` of the same people adds to the loss.
    generations_ : int
        Generations of the last search.
    interrupted_ : bool
        Whether Ctrl-C ended it; the table is the best so far, and `refine` goes on.

    Raises
    ------
    ValueError
        For a parameter out of range, a column or marginal that is not in the domain, an empty
        table, missing cells, cells outside of the domain, a marginal of more than 2**24 cells.
    TypeError
        If `table` is no table, or a numeric column holds no numbers.

    Notes
    -----
    rho-zCDP from (epsilon, delta) by the exact conversion of Canonne, Kamath and Steinke
    (arXiv:2004.00010). m marginals get rho / m each: noise sqrt(2) / N / sqrt(2 rho / m) on shares,
    then clipping to [0, 1]. k numeric columns with more integers than bins, or real, take
    rho k / (k + m) to place their bins. Selection adds Gumbel noise sqrt(k / rho) / N, rho that of
    the round, to largest absolute errors.

    A proposal changes one or two cells and costs O(marginals of their columns), whatever the
    number of rows; counts are exact integers. One thread searches, all count; results do not
    depend on the number of threads. Memory O(rows x columns + cells).

    Deviations from the authors' code: numeric columns are kept as bins, and values drawn uniformly
    in them at the end; marginals of numeric columns have one resolution; noise for bins has the
    deviation that zCDP asks for. Noise is float64: attacks on its least bits are not prevented.

    References
    ----------
    Liu, Vietri, Wu 2023, "Generating Private Synthetic Data with Genetic Algorithms",
    arXiv:2306.03257.

    Examples
    --------
    >>> table = {"sex": ["f", "m"] * 50, "age": np.arange(100) % 80}
    >>> domain = {"sex": Categories(["f", "m"]), "age": Interval(0, 99, bins=5, integer=True)}
    >>> search = PrivateGSD(epsilon=2.0, delta=1e-6, domain=domain, seed=0).fit(table)
    >>> sorted(set(search.table_["sex"])), search.table_["age"].shape
    (['f', 'm'], (100,))
    >>> [(entry.mechanism, round(entry.rho / search.budget_.rho, 2))
    ...  for entry in search.budget_.entries]
    [('noisy splits', 0.5), ('gaussian', 0.5)]
    """

    measured_: dict[Columns, Floats]

    def __init__(
        self,
        epsilon: float | None = 1.0,
        delta: float = 1e-9,
        *,
        domain: Mapping[Any, Categories | Interval] | str | None = None,
        marginals: int | Sequence[Sequence[Hashable]] = 2,
        rounds: int | None = None,
        per_round: int = 1,
        rows: int | None = None,
        operators: Sequence[str] = OPERATORS,
        proposals: int = 50,
        tol: float = 1e-4,
        max_generations: int | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        if epsilon is not None:
            Budget(epsilon, delta)
            if domain is None:
                raise ValueError(
                    "domain must be a mapping of columns to Categories or Interval, got None; "
                    'state what is public, or pass "data" to read it without privacy'
                )
        if isinstance(domain, str) and domain != "data":
            raise ValueError(f'domain must be a mapping or "data", got {domain!r}; spell it so')
        counts: dict[str, Any] = {
            "rounds": rounds,
            "per_round": per_round,
            "rows": rows,
            "proposals": proposals,
            "max_generations": max_generations,
        }
        for name, value in counts.items():
            if value is not None and (not isinstance(value, (int, np.integer)) or value < 1):
                raise ValueError(f"{name} must be an integer >= 1, got {value!r}; raise it")
        if not 0.0 <= tol < np.inf:
            raise ValueError(f"tol must be a number >= 0, got {tol}; a usual value is 1e-4")
        if tol == 0.0 and max_generations is None:
            raise ValueError("max_generations must be given where tol is 0, got None; limit it")
        self.epsilon, self.delta, self.domain, self.marginals = epsilon, delta, domain, marginals
        self.rounds, self.per_round, self.rows = rounds, per_round, rows
        self.operators, self.proposals = tuple(operators), proposals
        self._state: Any = None
        self.tol, self.max_generations, self.seed = tol, max_generations, seed

    def fit(self, table: Any) -> PrivateGSD:
        """Measure a table and search for a synthetic one.

        Parameters
        ----------
        table : pandas DataFrame, arrow Table or mapping of names to columns
            At least one row, no missing cells. Not modified.

        Returns
        -------
        PrivateGSD
            Itself.
        """
        columns = tables.columns_of(table)
        domain = self._domain(columns)
        workloads = tables.names_of(self.marginals, list(domain))
        if self.rounds is not None and self.rounds * self.per_round > len(workloads):
            raise ValueError(
                f"rounds * per_round must be at most {len(workloads)}, the number of marginals, "
                f"got {self.rounds * self.per_round}; select fewer"
            )
        read = {
            name: one.read(name, columns[name]) if isinstance(one, Interval)
            else one.encode(name, columns[name])
            for name, one in domain.items()
        }  # fmt: skip
        releases = Releases(self.epsilon, self.delta, self._draw_seed(), self.seed is not None)
        edges, left = _bins(domain, read, len(workloads), releases)
        space = Space(domain, edges)
        codes = space.encode(read)
        rows = codes.size // len(domain)
        self._place(space, self.rows or rows, table)
        truth = space.counts(workloads, codes)
        if self.rounds is None:
            self._measure(releases, range(len(workloads)), workloads, truth, rows, left)
            self._search()
        else:
            self._adapt(releases, workloads, truth, rows, left)
        self.budget_ = releases.budget
        return self

    def fit_shares(
        self, shares: Mapping[Any, ArrayLike], rows: int | None = None, like: Any = None
    ) -> PrivateGSD:
        """Search for a table with given shares, noisy or not; nothing is spent.

        Parameters
        ----------
        shares : mapping of tuple of names to array_like
            Shares of the rows in [0, 1], an axis a column: categories in the order of the domain,
            bins of equal width for an `Interval`.
        rows : int, optional
            Rows of the table; default that of the constructor.
        like : table, optional
            Its kind and types of columns are those of the result; default a dict of arrays.

        Returns
        -------
        PrivateGSD
            Itself.
        """
        if not isinstance(self.domain, Mapping):
            raise ValueError(f"domain must be a mapping here, got {self.domain!r}; state it")
        rows = self.rows if rows is None else rows
        if rows is None or rows < 1:
            raise ValueError(f"rows must be >= 1, got {rows}; say how many rows to make")
        domain = _checked(self.domain)
        workloads = tables.names_of(list(shares), list(domain))
        edges = {name: one.even() for name, one in domain.items() if isinstance(one, Interval)}
        space = Space(domain, edges)
        measured = {}
        for columns, given in zip(workloads, shares.values()):
            array = np.array(given, dtype=np.float64)
            if array.shape != space.shape(columns) or not ((array >= 0) & (array <= 1)).all():
                raise ValueError(
                    f"shares of {columns} must lie in [0, 1] and be of shape "
                    f"{space.shape(columns)}, got {array.shape}; divide counts by the rows"
                )
            measured[columns] = array
        self._draw_seed()
        self._place(space, rows, dict.fromkeys(domain, None) if like is None else like)
        self.measured_ = measured
        self._search()
        self.budget_ = None
        return self

    def refine(self, generations: int) -> PrivateGSD:
        """Go on with the last search, bit for bit as if it had been longer; nothing is spent.

        Parameters
        ----------
        generations : int
            How many more, >= 1.

        Returns
        -------
        PrivateGSD
            Itself.
        """
        if not hasattr(self, "measured_"):
            raise ValueError("there must be a search to go on with, got none; call fit before")
        if generations < 1:
            raise ValueError(f"generations must be >= 1, got {generations}; raise it")
        self._search(generations)
        return self

    def _domain(self, columns: Mapping[Hashable, Any]) -> dict[Hashable, Categories | Interval]:
        if not isinstance(self.domain, Mapping):
            return tables.read_domain(columns)
        domain = _checked(self.domain)
        if set(self.domain) != set(columns):
            raise ValueError(
                f"table must have the columns of the domain {list(self.domain)}, got "
                f"{list(columns)}; drop or describe the others"
            )
        return {name: domain[name] for name in columns}

    def _draw_seed(self) -> int:
        self._seed = as_seed(self.seed)
        return self._seed

    def _place(self, space: Space, rows: int, table: Any) -> None:
        """The uniform first table."""
        self._space, self._kind, self.edges_ = space, kind_of(table), dict(space.edges)
        sizes = [space.size(name) for name in space.names]
        self._codes = _core.search_gsd_start(sizes, rows, self._seed)
        self.measured_ = {}
        self._state = None

    def _measure(
        self,
        releases: Releases,
        which: Sequence[int],
        workloads: Sequence[Columns],
        truth: Sequence[Any],
        rows: int,
        rho: float | None,
    ) -> None:
        part = None if rho is None else rho / len(which)
        for i in which:
            shares = releases.shares(workloads[i], truth[i], rows, part)
            self.measured_[workloads[i]] = shares.reshape(self._space.shape(workloads[i]))

    def _adapt(
        self,
        releases: Releases,
        workloads: Sequence[Columns],
        truth: Sequence[Any],
        rows: int,
        rho: float | None,
    ) -> None:
        rounds = self.rounds or 1
        half = None if rho is None else 0.5 * rho / rounds
        made = self._codes.size // len(self._space.names)
        for _ in range(rounds):
            now = self._space.counts(workloads, self._codes)
            left = [i for i, columns in enumerate(workloads) if columns not in self.measured_]
            errors = np.array([np.abs(truth[i] / rows - now[i] / made).max() for i in left])
            chosen = releases.select(errors, self.per_round, rows, half)
            which = [left[i] for i in chosen]
            self._measure(releases, which, workloads, truth, rows, half)
            # New targets are a new search from the same table, with draws of its own.
            self._seed, self._state = (self._seed + 1) % 2**64, None
            self._search()
            if self.interrupted_:
                break

    def _search(self, generations: int | None = None) -> None:
        workloads = list(self.measured_)
        search = _core.SearchGsd(
            self._space.marginals(workloads),
            self._codes,
            np.concatenate([self.measured_[columns].reshape(-1) for columns in workloads]),
            self._space.listed_edges(),
            {
                "seed": self._seed,
                "proposals": self.proposals,
                "tol": self.tol,
                "operators": list(self.operators),
            },
        )
        if self._state is not None:
            search.restore(self._state)
        limit = self.max_generations if generations is None else generations
        begin = int(search.state[0])
        self.interrupted_ = False
        try:
            while limit is None or search.state[0] - begin < limit:
                left = STRIDE if limit is None else limit - (int(search.state[0]) - begin)
                rests = search.run(min(STRIDE, left))
                # Who asks for more generations gets them.
                if rests and generations is None:
                    break
        except KeyboardInterrupt:
            self.interrupted_ = True
        self._codes, self._state, self.cost_ = search.codes(), search.state, search.cost
        self.generations_ = int(search.state[0])
        self.table_ = self._space.decode(self._codes, self._seed, self._kind)


def _bins(
    domain: Mapping[Hashable, Categories | Interval],
    read: Mapping[Hashable, Any],
    workloads: int,
    releases: Releases,
) -> tuple[dict[Hashable, Floats], float | None]:
    """Edges of all numeric columns, and the rho that is left for marginals."""
    numeric = {name: one for name, one in domain.items() if isinstance(one, Interval)}
    placed = [name for name, one in numeric.items() if not one.given]
    rho = None if releases.budget is None else releases.budget.rho
    part = None if rho is None else rho / (len(placed) + workloads)
    edges = {
        name: releases.edges(name, read[name], one, part) if name in placed else one.even()
        for name, one in numeric.items()
    }
    return edges, None if part is None else part * workloads


def _checked(domain: Mapping[Any, Any]) -> dict[Hashable, Categories | Interval]:
    for name, one in domain.items():
        if not isinstance(one, (Categories, Interval)):
            raise TypeError(
                f"domain[{name!r}] must be Categories or Interval, got {type(one).__name__}; "
                "wrap the values"
            )
    if not domain:
        raise ValueError("domain must describe columns, got none; describe at least one")
    return dict(domain)
