"""Circuits over small semirings, and learning them by their reverse derivative.

=========================  ==============================================================
`Circuit`, `Wire`          gates built with Python operators, evaluated in the core
`lookup`                   a table of truth whose entries are parameters
`Semiring`                 Z_n, saturating counts, chains; Z_2 is the default
`ReverseDerivativeAscent`  the learner: 64 starts at once, the best kept
=========================  ==============================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core
from thalweg.search._arguments import as_choice, as_seed

__all__ = ["Circuit", "ReverseDerivativeAscent", "Semiring", "Wire", "lookup"]

Elements = NDArray[np.uint8]
DERIVATIVES = ("reverse", "flips")


class Semiring:
    """A commutative semiring of 2 to 64 elements 0 .. size - 1, by its tables.

    Parameters
    ----------
    sums, products : array_like, shape (size, size)
        Tables of a commutative semiring; its laws are checked when a circuit is used.

    Examples
    --------
    >>> int(Semiring.modular(5).sums[3, 4]), int(Semiring.saturating(5).sums[3, 4])
    (2, 4)
    """

    def __init__(self, sums: ArrayLike, products: ArrayLike) -> None:
        tables = [np.asarray(table) for table in (sums, products)]
        for name, table in zip(("sums", "products"), tables):
            if table.shape != (len(tables[0]),) * 2 or table.dtype.kind not in "iu":
                raise ValueError(
                    f"{name} must be a square table of integers, got {table.dtype} of shape "
                    f"{table.shape}; pass one row an element"
                )
            if table.size and not (table.min() >= 0 and table.max() < len(table)):
                raise ValueError(
                    f"{name} must hold elements 0 to {len(table) - 1}, got {table.min()} to "
                    f"{table.max()}; number the elements"
                )
        self.sums, self.products = (table.astype(np.uint8) for table in tables)

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.sums)

    @property
    def is_bits(self) -> bool:
        """Whether it is Z_2, which runs 64 lanes in a word."""
        return self.size == 2 and self.sums.tolist() == [[0, 1], [1, 0]]

    @classmethod
    def modular(cls, size: int) -> Semiring:
        """Z_n: sums and products modulo `size`."""
        a = _range(size)
        return cls((a[:, None] + a) % size, (a[:, None] * a) % size)

    @classmethod
    def saturating(cls, size: int) -> Semiring:
        """Counts that stop at `size` - 1; sums cannot be undone, so it evaluates only."""
        a = _range(size)
        return cls(np.minimum(a[:, None] + a, size - 1), np.minimum(a[:, None] * a, size - 1))

    @classmethod
    def chain(cls, size: int) -> Semiring:
        """Levels with max and min; `size` 2 is or and and. It evaluates only."""
        a = _range(size)
        return cls(np.maximum(a[:, None], a), np.minimum(a[:, None], a))


def _range(size: int) -> NDArray[np.int64]:
    if not 2 <= size <= 64:
        raise ValueError(f"size must be in [2, 64], got {size}; take a smaller semiring")
    return np.arange(size)


class Wire:
    """A value in a circuit: `+` and `*` everywhere, `^ & | ~` over Z_2; integers are constants."""

    __slots__ = ("circuit", "index")

    def __init__(self, circuit: Circuit, index: int) -> None:
        self.circuit, self.index = circuit, index

    def __add__(self, other: Wire | int) -> Wire:
        return self.circuit._gate(1, self, other)

    def __mul__(self, other: Wire | int) -> Wire:
        return self.circuit._gate(2, self, other)

    def __xor__(self, other: Wire | int) -> Wire:
        return self._bit("^") + other

    def __and__(self, other: Wire | int) -> Wire:
        return self._bit("&") * other

    def __or__(self, other: Wire | int) -> Wire:
        return self._bit("|") + other + self * other

    def __invert__(self) -> Wire:
        return self._bit("~") + 1

    __radd__, __rmul__ = __add__, __mul__
    __rxor__, __rand__, __ror__ = __xor__, __and__, __or__

    def _bit(self, sign: str) -> Wire:
        if not self.circuit.semiring.is_bits:
            raise TypeError(f"{sign} must be used over Z_2, got another semiring; use + and *")
        return self


class Circuit:
    """Sums and products of parameters, inputs and constants.

    Parameters
    ----------
    parameters, inputs : int
        Numbers of wires, >= 0 and >= 1.
    semiring : Semiring, optional
        Default Z_2, that is xor and and.

    Attributes
    ----------
    parameters, inputs : tuple of Wire
        The wires to build on.
    outputs : tuple of Wire
        What `output` named.

    Raises
    ------
    ValueError
        For a wire of another circuit, values that are no elements, wrong shapes.

    Examples
    --------
    >>> circuit = Circuit(parameters=2, inputs=2)
    >>> (a, b), (x, y) = circuit.parameters, circuit.inputs
    >>> circuit.output((a & x) ^ (b & y))
    >>> circuit.evaluate([1, 1], [[0, 1], [1, 1]]).tolist()
    [[1], [0]]
    >>> circuit.reverse([1, 1], [[0, 1]], [[1]])[0].tolist()   # y alone reaches the output
    [[0, 1]]
    """

    def __init__(self, parameters: int, inputs: int, semiring: Semiring | None = None) -> None:
        if parameters < 0 or inputs < 1:
            raise ValueError(
                f"parameters must be >= 0 and inputs >= 1, got {parameters} and {inputs}; "
                "raise them"
            )
        self.semiring = Semiring.modular(2) if semiring is None else semiring
        self.parameters = tuple(Wire(self, i) for i in range(parameters))
        self.inputs = tuple(Wire(self, parameters + i) for i in range(inputs))
        self.outputs: tuple[Wire, ...] = ()
        self._gates: list[tuple[int, int, int]] = []
        self._core: Any = None

    def constant(self, value: int) -> Wire:
        """A wire that carries an element."""
        if not 0 <= value < self.semiring.size:
            raise ValueError(
                f"a constant must be in [0, {self.semiring.size}), got {value}; take it modulo"
            )
        return self._push(0, int(value), 0)

    def output(self, *wires: Wire) -> None:
        """Name further outputs, at least one in all."""
        self.outputs += tuple(self._own(wire) for wire in wires)
        self._core = None

    def evaluate(self, theta: ArrayLike, x: ArrayLike) -> Elements:
        """Outputs for rows of inputs, 64 rows at once.

        Parameters
        ----------
        theta : array_like, shape (parameters,)
            Elements.
        x : array_like, shape (n, inputs)
            Elements.

        Returns
        -------
        ndarray of uint8, shape (n, outputs)
            What comes out.
        """
        rows = self.rows("x", x, len(self.inputs))
        found = self.core.evaluate(self.theta(theta), rows.reshape(-1))
        return np.asarray(found).reshape(len(rows), -1)

    def reverse(
        self, theta: ArrayLike, x: ArrayLike, errors: ArrayLike, *, derivative: str = "reverse"
    ) -> tuple[Elements, Elements]:
        """Reverse derivatives for rows of inputs and of errors.

        Parameters
        ----------
        theta : array_like, shape (parameters,)
            Elements.
        x : array_like, shape (n, inputs)
            Elements.
        errors : array_like, shape (n, outputs)
            Elements, one an output.
        derivative : {"reverse", "flips"}
            "reverse" is that of polynomials, by the chain rule, in one pass backwards. "flips",
            over Z_2 alone, is f(z) xor f(z with bit i flipped), by running the circuit once a bit.
            They agree where no product has two factors that depend on the same wire.

        Returns
        -------
        tuple of ndarray of uint8, shapes (n, parameters) and (n, inputs)
            Entry i is sum_j (d f_j / d z_i) e_j.
        """
        as_choice("derivative", derivative, DERIVATIVES)
        rows = self.rows("x", x, len(self.inputs))
        back = self.rows("errors", errors, len(self.outputs))
        found = self.core.reverse(
            self.theta(theta), rows.reshape(-1), back.reshape(-1), derivative == "flips"
        )
        both = np.asarray(found).reshape(len(rows), -1)
        return both[:, : len(self.parameters)], both[:, len(self.parameters) :]

    @property
    def core(self) -> Any:
        """The circuit in the core, made when first used."""
        if self._core is None:
            ring = self.semiring
            tables = (ring.sums.reshape(-1).tolist(), ring.products.reshape(-1).tolist())
            self._core = _core.SearchCircuit(
                ring.size,
                None if ring.is_bits else tables,
                (len(self.parameters), len(self.inputs)),
                self._gates,
                [wire.index for wire in self.outputs],
            )
        return self._core

    def rows(self, name: str, values: ArrayLike, width: int) -> Elements:
        """Rows of elements as uint8."""
        array = np.asarray(values)
        if array.ndim != 2 or array.shape[1] != width or len(array) == 0:
            raise ValueError(
                f"{name} must be of shape (n, {width}) with n >= 1, got {array.shape}; "
                "pass one row a sample"
            )
        return self._elements(name, array)

    def theta(self, values: ArrayLike) -> Elements:
        """Parameters as uint8."""
        array = np.asarray(values)
        if array.shape != (len(self.parameters),):
            raise ValueError(
                f"theta must be of shape ({len(self.parameters)},), got {array.shape}; "
                "pass one element a parameter"
            )
        return self._elements("theta", array)

    def _elements(self, name: str, array: NDArray[Any]) -> Elements:
        if array.size and array.dtype.kind not in "biu":
            raise TypeError(f"{name} must hold integers or bools, got {array.dtype}; convert it")
        if array.size and not (array.min() >= 0 and array.max() < self.semiring.size):
            raise ValueError(
                f"{name} must hold elements 0 to {self.semiring.size - 1}, got {array.min()} to "
                f"{array.max()}; take values modulo the size"
            )
        return np.ascontiguousarray(array, dtype=np.uint8)

    def _own(self, wire: Wire) -> Wire:
        if getattr(wire, "circuit", None) is not self:
            raise ValueError(f"wires must be of this circuit, got {wire!r}; build in one circuit")
        return wire

    def _gate(self, kind: int, a: Wire, b: Wire | int) -> Wire:
        other = self._own(b) if isinstance(b, Wire) else self.constant(b)
        return self._push(kind, a.index, other.index)

    def _push(self, kind: int, a: int, b: int) -> Wire:
        self._gates.append((kind, a, b))
        self._core = None
        return Wire(self, len(self.parameters) + len(self.inputs) + len(self._gates) - 1)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_core": None}


def lookup(entries: Sequence[Wire], address: Sequence[Wire]) -> Wire:
    """The entry that the address bits name, the first of which is the least, over Z_2.

    The reverse derivative touches the addressed entry alone, so that one pass over the samples
    fills the table.

    Examples
    --------
    >>> circuit = Circuit(parameters=4, inputs=2)
    >>> circuit.output(lookup(circuit.parameters, circuit.inputs))
    >>> circuit.evaluate([0, 1, 1, 0], [[1, 0], [1, 1]]).tolist()
    [[1], [0]]
    """
    if len(entries) != 2 ** len(address):
        raise ValueError(
            f"entries must be 2**{len(address)}, one an address, got {len(entries)}; add some"
        )
    level = list(entries)
    for bit in address:
        level = [a ^ (bit & (a ^ b)) for a, b in zip(level[::2], level[1::2])]
    return level[0]


class ReverseDerivativeAscent:
    """Learn the parameters of a circuit, sample after sample, by its reverse derivative.

    Pick it for functions of bits that no gradient reaches and a table of truth or a short
    polynomial can express.

    Parameters
    ----------
    circuit : Circuit
        With parameters and outputs, over a semiring whose sums can be undone (Z_n).
    theta : array_like, shape (parameters,), optional
        The first start, default zeros.
    restarts : int, default 64
        Starts that run at once, >= 1; all but the first are random. 64 cost as much as one.
    derivative : {"reverse", "flips"}, default "reverse"
        As in `Circuit.reverse`. "flips" costs `parameters` as much.
    seed : int, Generator or None
        Of starts and of the orders of samples.

    Attributes
    ----------
    theta : ndarray of uint8, shape (parameters,)
        The best parameters so far: those with the fewest samples wrong at the end of an epoch.
    errors : int or None
        Samples that they get wrong, of the samples of the last `fit`.
    thetas : ndarray of uint8, shape (restarts, parameters)
        Where every start is now.
    epochs : int
        Epochs so far.

    Notes
    -----
    theta <- theta + R_theta[f](theta, x; y - f(theta, x)); xor over Z_2, where the formal
    derivative equals the difference of a flip unless a product has two factors that depend on one
    wire. It is no descent: mending one sample may break others, so the order matters, and the best
    is kept. The order is new in each epoch and the same for all starts; 64 starts share a word,
    and words run in parallel with the same result for any number of threads. O(gates) a sample and
    word.

    The paper's formulas are followed as remembered and as they follow from the definition of a
    reverse derivative; starts at once and the best so far are ours.

    References
    ----------
    Wilson, Zanasi 2021, "Reverse Derivative Ascent: A Categorical Approach to Learning Boolean
    Circuits", arXiv:2101.10488.

    Examples
    --------
    >>> circuit = Circuit(parameters=8, inputs=3)
    >>> circuit.output(lookup(circuit.parameters, circuit.inputs))
    >>> x = (np.arange(8)[:, None] >> np.arange(3)) & 1
    >>> learner = ReverseDerivativeAscent(circuit, seed=0)
    >>> learner.fit(x, x.sum(axis=1, keepdims=True) % 2).errors
    0
    >>> learner.predict([[1, 1, 1]]).tolist()
    [[1]]
    """

    def __init__(
        self,
        circuit: Circuit,
        theta: ArrayLike | None = None,
        *,
        restarts: int = 64,
        derivative: str = "reverse",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        as_choice("derivative", derivative, DERIVATIVES)
        count, size = len(circuit.parameters), circuit.semiring.size
        if not circuit.outputs or count == 0:
            raise ValueError(
                f"circuit must have parameters and outputs, got {count} and "
                f"{len(circuit.outputs)}; call circuit.output"
            )
        if restarts < 1:
            raise ValueError(f"restarts must be >= 1, got {restarts}; a usual value is 64")
        self.circuit, self.derivative, self._seed = circuit, derivative, as_seed(seed)
        draws = np.random.default_rng(self._seed)
        self.thetas = draws.integers(0, size, size=(restarts, count)).astype(np.uint8)
        self.thetas[0] = 0 if theta is None else circuit.theta(theta)
        self.theta, self.epochs = self.thetas[0].copy(), 0
        self.errors: int | None = None

    def fit(self, x: ArrayLike, y: ArrayLike, epochs: int = 100) -> ReverseDerivativeAscent:
        """Go over the samples, from where the last call ended.

        Parameters
        ----------
        x : array_like, shape (n, inputs)
            Elements.
        y : array_like, shape (n, outputs)
            Elements.
        epochs : int, default 100
            At most so many, >= 0; fewer where no sample is wrong any more.

        Returns
        -------
        ReverseDerivativeAscent
            Itself.

        Raises
        ------
        ValueError
            For wrong shapes and values that are no elements.
        NotImplementedError
            Over a semiring whose sums cannot be undone; for flips outside of Z_2.
        """
        if epochs < 0:
            raise ValueError(f"epochs must be >= 0, got {epochs}; a usual value is 100")
        rows = self.circuit.rows("x", x, len(self.circuit.inputs))
        wanted = self.circuit.rows("y", y, len(self.circuit.outputs))
        if len(rows) != len(wanted):
            raise ValueError(f"y must have {len(rows)} rows, as x, got {len(wanted)}; align them")
        errors = int((self.circuit.evaluate(self.theta, rows) != wanted).any(axis=1).sum())
        now, best, wrong, when, done = self.circuit.core.ascend(
            rows.reshape(-1),
            wanted.reshape(-1),
            self.thetas.reshape(-1),
            self._seed,
            self.epochs,
            0 if errors == 0 else epochs,
            self.derivative == "flips",
        )
        # The first to get there, however the epochs are split into calls.
        winner = min(range(len(wrong)), key=lambda start: (wrong[start], when[start]))
        if wrong[winner] < errors:
            self.theta = np.asarray(best).reshape(self.thetas.shape)[winner].copy()
            errors = int(wrong[winner])
        self.thetas = np.asarray(now).reshape(self.thetas.shape)
        self.errors, self.epochs = errors, self.epochs + done
        return self

    def predict(self, x: ArrayLike) -> Elements:
        """Outputs of the best parameters for rows of inputs."""
        return self.circuit.evaluate(self.theta, x)
