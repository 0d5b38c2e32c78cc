# Written by `make stubs`; do not edit.

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "GpuMaxSat",
    "GpuSteps",
    "NetworkCore",
    "NetworkTrainer",
    "SearchAskTell",
    "SearchCircuit",
    "SearchFactorGraph",
    "SearchFactorGraphState",
    "SearchGsd",
    "SearchGsdMarginals",
    "SearchGsdNoise",
    "SearchMaxSat",
    "SearchMaxSatState",
    "SearchPolyStep",
    "aggregate_alignedmtl",
    "aggregate_average",
    "aggregate_cagrad",
    "aggregate_combine",
    "aggregate_cone",
    "aggregate_config",
    "aggregate_draws",
    "aggregate_dualproj",
    "aggregate_excess",
    "aggregate_fairgrad",
    "aggregate_finite",
    "aggregate_gcond",
    "aggregate_graddrop",
    "aggregate_gradvac",
    "aggregate_gramian",
    "aggregate_imtlg",
    "aggregate_krum",
    "aggregate_mconfig",
    "aggregate_mgda",
    "aggregate_nashmtl",
    "aggregate_orders",
    "aggregate_pcd",
    "aggregate_pcgrad",
    "aggregate_samgs",
    "aggregate_trimmed_mean",
    "aggregate_upgrad",
    "coordinate_block",
    "coordinate_fractional",
    "coordinate_nmf",
    "coordinate_path",
    "coordinate_svm",
    "coordinate_wasserstein_cp",
    "get_num_threads",
    "gpu_adapters",
    "gpu_bandwidth",
    "gpu_gramian",
    "gpu_memory",
    "gpu_network_evaluate",
    "gpu_network_outputs",
    "gpu_network_probe",
    "gpu_release",
    "gpu_simplex",
    "oblique_tree_train",
    "optex_distances",
    "optex_factor",
    "optex_length",
    "optex_products",
    "optex_weights",
    "optim_admit",
    "optim_ascend",
    "optim_blend",
    "optim_check",
    "optim_decode",
    "optim_dither",
    "optim_encode",
    "optim_formula",
    "optim_noise",
    "optim_normal",
    "optim_products",
    "optim_rules",
    "optim_scale",
    "optim_states",
    "optim_step",
    "optim_total_norm",
    "optim_traits",
    "optim_uniform",
    "project_apply",
    "project_cauchy_schwarz",
    "project_exact_transport",
    "project_polyhedron",
    "project_pull",
    "project_sets",
    "project_sinkhorn",
    "project_sinkhorn_pull",
    "search_gsd_epsilon",
    "search_gsd_rho",
    "search_gsd_start",
    "search_walk",
    "set_num_threads",
    "splitting_activation",
    "splitting_layer",
    "splitting_relu_prox",
    "stay_alone",
    "topo_global",
    "topo_linear",
    "topo_local",
    "topo_logistic",
]

@final
class GpuMaxSat:
    def __new__(cls, core: SearchMaxSat, place: Any) -> GpuMaxSat: ...
    def evaluate(self, /, assignments: NDArray[np.bool_]) -> NDArray[np.int64]: ...
    def gains(self, /, assignment: NDArray[np.bool_]) -> NDArray[np.int64]: ...
    def probe(
        self,
        /,
        assignment: NDArray[np.bool_],
        variables: NDArray[np.uint32],
        offsets: NDArray[np.uintp],
    ) -> NDArray[np.int64]: ...

@final
class GpuSteps:
    def __new__(
        cls,
        groups: Sequence[tuple[str, dict[Any, Any], Sequence[tuple[int, tuple[int, int] | None]]]],
        adapter: str | None = None,
        max_binding: int | None = None,
    ) -> GpuSteps: ...
    def set_hyper(self, /, group: int, rule: str, hyper: dict[Any, Any]) -> None: ...
    def write(self, /, number: int, column: str, state: int, values: NDArray[np.uint8]) -> None: ...
    def read(self, /, number: int, column: str, state: int, out: NDArray[np.uint8]) -> None: ...
    def counters(self, /, number: int) -> tuple[int, bool, list[float]]: ...
    def set_counters(
        self, /, number: int, clock: int, stepped: bool, scalars: Sequence[float]
    ) -> None: ...
    def step(
        self,
        /,
        active: Sequence[int],
        on_nonfinite: str,
        loss: float | None = None,
        grad_scale: float = 1.0,
    ) -> tuple[bool, float | None]: ...
    def finish(self, /) -> None: ...
    @property
    def adapter(self) -> dict[Any, Any]: ...

@final
class NetworkCore:
    def __new__(cls, layers: Sequence[tuple[str, Sequence[Any]]], loss: str) -> NetworkCore: ...
    def parameters(self, /, layer: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    def set_parameters(
        self, /, layer: int, weights: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> None: ...
    def check(self, /, features: NDArray[np.float32], target: Any) -> None: ...
    def evaluate(self, /, features: NDArray[np.float32], target: Any) -> tuple[float, int]: ...
    def outputs(self, /, features: NDArray[np.float32]) -> NDArray[np.float32]: ...
    def probe(
        self,
        /,
        features: NDArray[np.float32],
        target: Any,
        layer: int,
        directions: NDArray[np.float32],
        radius: NDArray[np.float32],
    ) -> NDArray[np.float64]: ...

@final
class NetworkTrainer:
    def __new__(
        cls,
        core: NetworkCore,
        plans: Sequence[tuple[str, int, float, float]],
        batch_size: int,
        steps: int,
        decay: float,
        momentum: float,
        epsilon: float,
        patience: int,
        seed: int,
    ) -> NetworkTrainer: ...
    def advance(
        self, /, features: NDArray[np.float32], target: Any, count: int
    ) -> tuple[float, int, int, int]: ...
    def store(self, /, core: NetworkCore) -> None: ...
    def state(self, /) -> tuple[int, NDArray[np.float32], list[int]]: ...
    def restore(
        self, /, step: int, velocity: NDArray[np.float32], silent: Sequence[int]
    ) -> None: ...
    @property
    def step(self) -> int: ...

@final
class SearchAskTell:
    def __new__(
        cls,
        name: str,
        x0: NDArray[np.float64],
        settings: Sequence[tuple[str, Any]],
        bounds: Any,
        boundary: str,
        seed: int,
    ) -> SearchAskTell: ...
    def ask(self, /, out: NDArray[np.float64]) -> None: ...
    def tell(self, /, costs: NDArray[np.float64]) -> None: ...
    def tell_outputs(self, /, outputs: NDArray[np.float64]) -> None: ...
    def samples(self, /) -> NDArray[np.uint64]: ...
    def tell_ranking(self, /, order: Sequence[int], groups: Sequence[int]) -> None: ...
    def ranked(self, /) -> int | None: ...
    def phase(self, /) -> str: ...
    def place(self, /, x: NDArray[np.float64], cost: float, renew: bool) -> bool: ...
    def population(self, /) -> int: ...
    def x(self, /) -> Any: ...
    def best(self, /) -> tuple[Any, float]: ...
    def counters(self, /) -> tuple[int, int, int]: ...
    def reach(self, /) -> float: ...
    def save(self, /) -> list[tuple[str, Any]]: ...
    def restore(self, /, saved: Sequence[tuple[str, NDArray[np.float64]]]) -> None: ...

@final
class SearchCircuit:
    def __new__(
        cls,
        size: int,
        tables: tuple[Sequence[int], Sequence[int]] | None,
        shape: tuple[int, int],
        gates: Sequence[tuple[int, int, int]],
        outputs: Sequence[int],
    ) -> SearchCircuit: ...
    def evaluate(self, /, theta: Any, x: Any) -> Any: ...
    def reverse(self, /, theta: Any, x: Any, errors: Any, flips: bool) -> Any: ...
    def ascend(
        self, /, x: Any, y: Any, starts: Any, seed: int, first: int, epochs: int, flips: bool
    ) -> Any: ...

@final
class SearchFactorGraph:
    def __new__(cls, domains: NDArray[np.uint32]) -> SearchFactorGraph: ...
    def add_tables(self, /, scopes: NDArray[np.uint32], tables: NDArray[np.float64]) -> None: ...
    def add(
        self, /, kind: str, target: float, scopes: NDArray[np.uint32], weights: NDArray[np.float64]
    ) -> None: ...
    def evaluate(self, /, values: NDArray[np.uint32]) -> float: ...
    def state(self, /, values: NDArray[np.uint32]) -> SearchFactorGraphState: ...
    def polystep(
        self, /, settings: Any, start: NDArray[np.uint32] | None, callback: Any
    ) -> dict[Any, Any]: ...
    @property
    def terms(self) -> int: ...

@final
class SearchFactorGraphState:
    def values(self, /) -> NDArray[np.uint32]: ...
    def set(self, /, variables: NDArray[np.uint32], values: NDArray[np.uint32]) -> None: ...
    def probe(
        self,
        /,
        variables: NDArray[np.uint32],
        values: NDArray[np.uint32],
        offsets: NDArray[np.uintp],
    ) -> NDArray[np.float64]: ...
    @property
    def cost(self) -> float: ...

@final
class SearchGsd:
    def __new__(
        cls,
        marginals: SearchGsdMarginals,
        codes: NDArray[np.uint32],
        targets: NDArray[np.float64],
        edges: Sequence[Sequence[float]],
        settings: Any,
    ) -> SearchGsd: ...
    def run(self, /, generations: int) -> bool: ...
    def codes(self, /) -> NDArray[np.uint32]: ...
    def restore(self, /, state: Any) -> None: ...
    @property
    def cost(self) -> float: ...
    @property
    def state(self) -> Any: ...

@final
class SearchGsdMarginals:
    def __new__(
        cls, sizes: Sequence[int], columns: Sequence[Sequence[int]]
    ) -> SearchGsdMarginals: ...
    def count(self, /, codes: NDArray[np.uint32]) -> NDArray[np.int64]: ...
    @property
    def offsets(self) -> list[int]: ...

@final
class SearchGsdNoise:
    def __new__(cls, key: Sequence[int]) -> SearchGsdNoise: ...
    def shares(
        self, /, counts: NDArray[np.int64], rows: int, rho: float | None
    ) -> tuple[Any, float]: ...
    def select(
        self, /, scores: NDArray[np.float64], k: int, rows: int, rho: float | None
    ) -> tuple[list[int], float]: ...
    def edges(
        self,
        /,
        values: NDArray[np.float64],
        low: float,
        high: float,
        bins: int,
        grain: float,
        rho: float | None,
    ) -> tuple[Any, float]: ...

@final
class SearchMaxSat:
    def __new__(
        cls,
        variables: int,
        literals: NDArray[np.int32],
        offsets: NDArray[np.uintp],
        weights: NDArray[np.uint64],
    ) -> SearchMaxSat: ...
    @staticmethod
    def read(text: Sequence[int], name: str, weighted: bool) -> SearchMaxSat: ...
    def write(self, /) -> bytes: ...
    def arrays(self, /) -> Any: ...
    def split(self, /, cost: int) -> tuple[int, int]: ...
    def evaluate(self, /, assignments: NDArray[np.bool_]) -> Any: ...
    def state(self, /, assignment: NDArray[np.bool_]) -> SearchMaxSatState: ...
    def polystep(
        self, /, settings: Any, start: NDArray[np.bool_] | None, callback: Any
    ) -> dict[Any, Any]: ...
    def polish(
        self,
        /,
        seed: int,
        max_flips: int | None,
        seconds: float | None,
        exponent: float,
        start: NDArray[np.bool_],
        callback: Any,
    ) -> dict[Any, Any]: ...
    @property
    def clauses(self) -> int: ...
    @property
    def has_hard(self) -> bool: ...
    @property
    def total_weight(self) -> int: ...
    @property
    def variables(self) -> int: ...
    @property
    def weighted(self) -> bool: ...

@final
class SearchMaxSatState:
    def assignment(self, /) -> NDArray[np.bool_]: ...
    def gains(self, /) -> Any: ...
    def flip(self, /, variables: NDArray[np.uint32]) -> None: ...
    def probe(self, /, variables: NDArray[np.uint32], offsets: NDArray[np.uintp]) -> Any: ...
    @property
    def cost(self) -> int: ...

@final
class SearchPolyStep:
    def __new__(
        cls,
        x0: NDArray[np.float64],
        dim: int,
        settings: Sequence[tuple[str, Any]],
        groups: Sequence[int],
        bounds: Any,
        seed: int,
    ) -> SearchPolyStep: ...
    def ask(self, /) -> None: ...
    def candidates(self, /, start: int, out: NDArray[np.float64]) -> None: ...
    def offsets(self, /, start: int, out: NDArray[np.float64]) -> None: ...
    def set_radii(self, /, group: int, step: float, probe: float) -> None: ...
    def tell(self, /, costs: NDArray[np.float64]) -> None: ...
    def restart(self, /, x: NDArray[np.float64]) -> None: ...
    def population(self, /) -> int: ...
    def probes(self, /) -> int: ...
    def awake(self, /, group: int) -> list[int] | None: ...
    def groups(self, /) -> int: ...
    def x(self, /) -> Any: ...
    def best_x(self, /) -> Any: ...
    def counters(self, /) -> tuple[int, int, int, bool]: ...
    def costs(self, /) -> tuple[float, float, float]: ...
    def radii(self, /, group: int) -> tuple[float, float, float]: ...
    def save(self, /) -> Any: ...
    def restore(self, /, saved: Sequence[tuple[str, NDArray[np.float64]]]) -> None: ...

def aggregate_alignedmtl(
    gramian: Any, preference: NDArray[np.float64] | None = None, scale: str = "min"
) -> Any: ...
def aggregate_average(block: Any, means: Any, beta: float) -> None: ...
def aggregate_cagrad(
    gramian: Any, c: float, rescale: str, count_zero_rows: bool, norm_eps: float | None = None
) -> Any: ...
def aggregate_combine(block: Any, weights: NDArray[np.float64], out: Any) -> float: ...
def aggregate_cone(
    blocks: Sequence[NDArray[np.float64]],
    update: Sequence[NDArray[np.float64]],
    tolerance: float,
    each: bool,
    preference: NDArray[np.float64] | None = None,
) -> NDArray[np.float64] | None: ...
def aggregate_config(
    gramian: Any,
    preference: NDArray[np.float64] | None = None,
    length: str = "projection",
    row: int | None = None,
) -> Any: ...
def aggregate_draws(seed: int, step: int, first: int, n: int) -> NDArray[np.float64]: ...
def aggregate_dualproj(
    gramian: Any,
    preference: NDArray[np.float64] | None = None,
    compat: tuple[float, float] | None = None,
) -> Any: ...
def aggregate_excess(block: Any, squares: Any, out: NDArray[np.float64]) -> None: ...
def aggregate_fairgrad(gramian: Any, alpha: float) -> Any: ...
def aggregate_finite(block: Any) -> bool: ...
def aggregate_gcond(
    gramian: Any,
    cross: Any,
    previous: Sequence[float],
    norms: Sequence[float],
    winners: Sequence[int],
    *,
    thresholds: Sequence[float],
    power: float,
    window: int,
    tie: Sequence[float],
    norm_beta: float,
    norm_cap: float | None,
    max_iters: int | None,
    absolute: float | None,
    staged: bool,
) -> tuple[NDArray[np.float64], list[float], list[int]]: ...
def aggregate_graddrop(
    block: Any, leak: Sequence[float], seed: int, step: int, first: int, out: Any
) -> None: ...
def aggregate_gradvac(
    gramian: Any, targets: NDArray[np.float64], orders: Sequence[int], beta: float, eps: float
) -> Any: ...
def aggregate_gramian(block: Any, gramian: NDArray[np.float64], other: Any = None) -> None: ...
def aggregate_imtlg(gramian: Any, raw: bool) -> Any: ...
def aggregate_krum(distances: Any, byzantine: int, selected: int, squared: bool) -> Any: ...
def aggregate_mconfig(
    direction: Any, previous: Any, squares: Any, betas: Sequence[float], eps: float, step: int
) -> None: ...
def aggregate_mgda(gramian: Any, frank_wolfe: tuple[float, int] | None = None) -> Any: ...
def aggregate_nashmtl(gramian: Any, max_norm: float) -> Any: ...
def aggregate_orders(seed: int, step: int, m: int) -> list[int]: ...
def aggregate_pcd(gramian: Any, tau: Sequence[float], scales: Sequence[float]) -> Any: ...
def aggregate_pcgrad(gramian: Any, orders: Sequence[int]) -> Any: ...
def aggregate_samgs(
    block: Any, means: Any, beta: float, factor: float | None, out: Any
) -> None: ...
def aggregate_trimmed_mean(block: Any, trim: int, out: Any) -> None: ...
def aggregate_upgrad(
    gramian: Any,
    preference: NDArray[np.float64] | None = None,
    compat: tuple[float, float] | None = None,
) -> Any: ...
def coordinate_block(
    x: Any,
    y: NDArray[np.float64],
    weights: NDArray[np.float64],
    alphas: Sequence[float],
    groups: Sequence[Sequence[int]],
    norm: Sequence[float],
    ridge: Sequence[float],
    l1: float,
    positive: bool,
    intercept: bool,
    settings: Any,
    start: NDArray[np.float64] | None = None,
    callback: Any = None,
) -> list[Any]: ...
def coordinate_fractional(
    numerator: Any,
    denominator: Any,
    x0: NDArray[np.float64],
    l1: float,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    settings: Any,
    callback: Any = None,
) -> dict[Any, Any]: ...
def coordinate_nmf(
    x: Any,
    xt: Any,
    w: NDArray[np.float64],
    h: NDArray[np.float64],
    strengths: Sequence[float],
    fix_h: bool,
    tol: float,
    max_iter: int,
    callback: Any = None,
) -> tuple[int, float, str]: ...
def coordinate_path(
    x: Any,
    y: NDArray[np.float64],
    weights: NDArray[np.float64],
    loss: str,
    delta: float,
    penalty: Any,
    alphas: Sequence[float],
    intercept: bool,
    settings: Any,
    start: tuple[NDArray[np.float64], float] | None = None,
    callback: Any = None,
) -> dict[Any, Any]: ...
def coordinate_svm(
    x: Any,
    y: NDArray[np.float64],
    cost: NDArray[np.float64],
    squared: bool,
    scaling: float,
    tol: float,
    max_iter: int,
    seed: int,
    callback: Any = None,
) -> dict[Any, Any]: ...
def coordinate_wasserstein_cp(
    x: NDArray[np.float64],
    sizes: Sequence[int],
    costs: Sequence[NDArray[np.float64]],
    codes: NDArray[np.float64],
    factors: Sequence[NDArray[np.float64]],
    potentials: NDArray[np.float64],
    weights: Sequence[float],
    limits: Sequence[float],
    max_iter: int,
    inner_max_iter: int,
    fix_factors: bool,
    callback: Any = None,
) -> tuple[list[float], str]: ...
def get_num_threads() -> int: ...
def gpu_adapters() -> list[Any]: ...
def gpu_bandwidth(bytes: int, repeat: int, adapter: str | None = None) -> list[float]: ...
def gpu_gramian(blocks: Sequence[NDArray[np.float32]], place: Any) -> NDArray[np.float64]: ...
def gpu_memory(adapter: str | None = None) -> tuple[int, int | None, int]: ...
def gpu_network_evaluate(
    core: NetworkCore,
    features: NDArray[np.float32],
    target: Any,
    thetas: NDArray[np.float32] | None,
    place: Any,
) -> NDArray[np.float64]: ...
def gpu_network_outputs(
    core: NetworkCore, features: NDArray[np.float32], target: Any, place: Any
) -> NDArray[np.float32]: ...
def gpu_network_probe(
    core: NetworkCore,
    features: NDArray[np.float32],
    target: Any,
    layer: int,
    directions: NDArray[np.float32],
    radius: NDArray[np.float32],
    place: Any,
) -> NDArray[np.float64]: ...
def gpu_release() -> None: ...
def gpu_simplex(x: NDArray[np.float32], radius: float, place: Any) -> NDArray[np.float32]: ...
def oblique_tree_train(
    features: NDArray[np.float64],
    labels: NDArray[np.uint32],
    classes: int,
    depth: int,
    steps: int,
    directions: int,
    probe_radius: float,
    step_radius: float,
    decay: float,
    seed: int,
) -> tuple[Any, float, int, bool]: ...
def optex_distances(block: Any, point: Any, out: NDArray[np.float64]) -> None: ...
def optex_factor(
    distances: NDArray[np.float64], length: float, noise: float
) -> NDArray[np.float64]: ...
def optex_length(
    distances: NDArray[np.float64],
    gramian: NDArray[np.float64],
    held: int,
    candidates: NDArray[np.float64],
    noise: float,
) -> float | None: ...
def optex_products(block: Any, point: Any, out: NDArray[np.float64]) -> None: ...
def optex_weights(
    factor: NDArray[np.float64], distances: NDArray[np.float64], length: float
) -> NDArray[np.float64]: ...
def optim_admit(rule: str, hyper: dict[Any, Any], loss: float | None) -> None: ...
def optim_ascend(
    values: list[Any], params: list[Any], gradients: list[Any], factor: float, adaptive: bool
) -> bool: ...
def optim_blend(
    x: list[Any], a: list[Any], b: list[Any] | None, weights: Sequence[Sequence[float]]
) -> float | None: ...
def optim_check(rule: str, hyper: dict[Any, Any], on_nonfinite: str) -> None: ...
def optim_decode(
    codes: NDArray[np.uint8], scales: NDArray[np.float32], values: NDArray[np.float32]
) -> None: ...
def optim_dither(parameter: int, slot: int, step: int) -> tuple[int, int]: ...
def optim_encode(
    values: NDArray[np.float32], codes: NDArray[np.uint8], scales: NDArray[np.float32]
) -> None: ...
def optim_formula(
    rule: str,
    hyper: dict[Any, Any],
    stage: str,
    t: int,
    call: int,
    scalars: Sequence[float],
    single: bool,
    measured: Sequence[float],
    loss: float | None,
    grad_scale: float,
    norm: float | None,
) -> Any: ...
def optim_noise(out: NDArray[np.float64], seed: int, stream: int) -> None: ...
def optim_normal(out: NDArray[np.float64], seed: int, stream: int) -> None: ...
def optim_products(
    g: list[Any], other: list[Any], former: list[Any] | None = None
) -> list[list[float]] | None: ...
def optim_rules() -> list[Any]: ...
def optim_scale(gradients: list[Any], factor: float) -> bool: ...
def optim_states(rule: str, hyper: dict[Any, Any]) -> list[tuple[str, str, float, int]]: ...
def optim_step(
    groups: list[Any],
    state: dict[Any, Any],
    host: Any,
    grad_scale: float,
    on_nonfinite: str,
    observe: bool = False,
    loss: float | None = None,
) -> tuple[list[Any], bool, float | None, list[tuple[float, float, float, float]]] | None: ...
def optim_total_norm(gradients: list[Any], norm_type: float) -> float | None: ...
def optim_traits(rule: str, hyper: dict[Any, Any]) -> dict[Any, Any]: ...
def optim_uniform(seed: int, stream: int) -> float: ...
def project_apply(
    set: str, scalars: Sequence[float], vectors: Sequence[NDArray[np.float64]], x: Any, out: Any
) -> float: ...
def project_cauchy_schwarz(
    name: str,
    scalars: Sequence[float],
    matrix: NDArray[np.float64],
    x: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> list[float]: ...
def project_exact_transport(
    cost: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
def project_polyhedron(
    scalars: Sequence[float],
    vectors: Sequence[NDArray[np.float64]],
    x: NDArray[np.float64],
    warm: NDArray[np.float64] | None,
    out: NDArray[np.float64],
    multipliers: NDArray[np.float64],
) -> tuple[list[float], list[int]]: ...
def project_pull(
    set: str,
    scalars: Sequence[float],
    vectors: Sequence[NDArray[np.float64]],
    x: Any,
    y: Any,
    v: Any,
    out: Any,
) -> None: ...
def project_sets() -> list[str]: ...
def project_sinkhorn(
    cost: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    eps: float,
    rho: Sequence[float],
    options: tuple[float, int, bool, int],
    newton: bool,
    start: NDArray[np.float64] | None,
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    plan: NDArray[np.float64],
) -> tuple[list[float], list[int]]: ...
def project_sinkhorn_pull(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    eps: float,
    rho: Sequence[float],
    plan: NDArray[np.float64],
    v: NDArray[np.float64],
    cost_out: NDArray[np.float64],
    a_out: NDArray[np.float64],
    b_out: NDArray[np.float64],
) -> None: ...
def search_gsd_epsilon(rho: float, delta: float) -> float: ...
def search_gsd_rho(epsilon: float, delta: float) -> float: ...
def search_gsd_start(sizes: Sequence[int], rows: int, seed: int) -> NDArray[np.uint32]: ...
def search_walk(
    tensors: list[Any],
    moves: Sequence[Sequence[Sequence[float]]],
    seed: int,
    streams: Sequence[int],
    dither: int | None = None,
) -> bool: ...
def set_num_threads(n: int) -> None: ...
def splitting_activation(
    blocks: Any, last: bool, strengths: Sequence[float], chunk: int
) -> float: ...
def splitting_layer(
    blocks: Any,
    skip: bool,
    strengths: Sequence[float],
    chunk: int,
    cross: NDArray[np.float64],
    gram: NDArray[np.float64] | None,
) -> tuple[float, list[float], NDArray[np.float64], NDArray[np.float64]]: ...
def splitting_relu_prox(
    a: NDArray[np.float64], c: NDArray[np.float64], g: float
) -> NDArray[np.float64]: ...
def stay_alone(alone: bool) -> None: ...
def topo_global(
    order: Sequence[int], score: Any, settings: Any, callback: Any = None
) -> dict[Any, Any]: ...
def topo_linear(
    x: NDArray[np.float64], order: Sequence[int], ridge: float, settings: Any, callback: Any = None
) -> dict[Any, Any]: ...
def topo_local(
    order: Sequence[int], score: Any, settings: Any, callback: Any = None
) -> dict[Any, Any]: ...
def topo_logistic(
    x: NDArray[np.float64],
    order: Sequence[int],
    alpha: float,
    intercept: bool,
    gap: float,
    settings: Any,
    callback: Any = None,
) -> dict[Any, Any]: ...
