"""The same bits, whatever the threads, the layout, the calls and the processor."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from optim.harness import build
from optim.rules import CASES, VARIANTS

import thalweg
from thalweg import _core

NOISY = [c for c in VARIANTS if c.noisy]
# Above the size from which a step is shared among threads.
LARGE = (520, 521)
EVERYTHING = {
    "weight_decay": 0.1,
    "decay": "coupled",
    "mask": "cautious",
    "clip_norm": 1.0,
    "clip_value": 0.01,
}


@pytest.fixture(autouse=True)
def _threads():
    before, ours = torch.get_num_threads(), thalweg.get_num_threads()
    yield
    torch.set_num_threads(before)
    thalweg.set_num_threads(ours)


def tensors(shapes, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def same(t):
    return t.clone()


def stepped(case, values, grads, steps=3, layouts=(same, same), **options):
    """Return parameters and state after some steps, as bytes."""
    params = [torch.nn.Parameter(layouts[0](value.clone())) for value in values]
    strides = [p.stride() for p in params]
    optimizer = build(case, params, **options)
    for k in range(steps):
        for p, g in zip(params, grads, strict=True):
            p.grad = layouts[1](g * (0.5 + k))
        optimizer.step()
    assert [p.stride() for p in params] == strides
    return [digest(optimizer, p) for p in params]


def digest(optimizer, p):
    kept = [p.detach(), *(v for _, v in sorted(optimizer.state.get(p, {}).items()))]
    return [t.float().contiguous().numpy().tobytes() for t in kept if t is not None]


LOW = [
    {"state_dtype": "bfloat16"},
    {"state_dtype": "int8", "rounding": "stochastic"},
    {"state_dtype": "int8", "rounding": "kahan"},
]


@pytest.mark.parametrize("options", LOW, ids=lambda o: "-".join(o.values()))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_any_number_of_threads_in_low_precision(case, options):
    values = tensors([LARGE, (11,)] if case.rule != "muon" else [LARGE], torch.bfloat16)
    grads = [torch.ones_like(v) * v.roll(1) for v in values]
    results = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        results.append(stepped(case, values, grads, steps=2, **options))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("case", [c for c in CASES if c.rule != "muon"] + NOISY, ids=str)
def test_any_number_of_threads(case, options):
    values, grads = tensors([LARGE, (11,)]), tensors([LARGE, (11,)], seed=1)
    results = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        assert thalweg.get_num_threads() == threads
        results.append(stepped(case, values, grads, steps=2, **options))
    assert results[0] == results[1] == results[2]


def test_any_number_of_threads_around_products():
    # The products themselves are torch's, whose thread count stays as it is.
    (case,) = (c for c in CASES if c.rule == "muon")
    values, grads = tensors([LARGE]), tensors([LARGE], seed=1)
    results = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        results.append(stepped(case, values, grads, steps=1, **EVERYTHING))
    assert results[0] == results[1] == results[2]


def channels_last(t):
    return t.to(memory_format=torch.channels_last)


def strided(t):
    return torch.stack([t, t], dim=-1)[..., 0]


def fortran(t):
    order = tuple(reversed(range(t.dim())))
    return t.permute(order).contiguous().permute(order)


def gaps(t):
    padded = torch.zeros([n + 3 for n in t.shape])
    view = padded[tuple(slice(1, n + 1) for n in t.shape)]
    return view.copy_(t)


LAYOUTS = (channels_last, strided, fortran, gaps)
PAIRS = [pair for f in LAYOUTS for pair in ((f, f), (f, same), (same, f))] + [(strided, fortran)]


@pytest.mark.parametrize("layouts", PAIRS, ids=lambda p: "-".join(f.__name__ for f in p))
@pytest.mark.parametrize("case", [c for c in CASES if c.rule != "muon"] + NOISY, ids=str)
def test_any_layout(case, layouts):
    values, grads = tensors([(6, 5, 4, 3)]), tensors([(6, 5, 4, 3)], seed=1)
    for options in ({}, {**EVERYTHING, "clip_norm": None}):
        expected = stepped(case, values, grads, **options)
        found = stepped(case, values, grads, layouts=layouts, **options)
        if case.sums:  # sums over another order of elements
            for ours, theirs in zip(found[0], expected[0], strict=True):
                np.testing.assert_allclose(*both(ours, theirs), rtol=1e-4, atol=1e-6)
        else:
            assert found == expected


def both(*buffers):
    return [np.frombuffer(buffer, np.float32) for buffer in buffers]


@pytest.mark.parametrize("layouts", PAIRS[3:], ids=lambda p: "-".join(f.__name__ for f in p))
def test_any_layout_of_a_matrix(layouts):
    # A product of transposed memory may round differently, hence closeness and not bits.
    (case,) = (c for c in CASES if c.rule == "muon")
    (value,), (grad,) = tensors([(20, 12)]), tensors([(20, 12)], seed=1)
    finals = []
    for of_param, of_grad in ((same, same), layouts):
        p = torch.nn.Parameter(of_param(value.clone()))
        p.grad = of_grad(grad)
        build(case, [p]).step()
        finals.append(p.detach())
    torch.testing.assert_close(finals[1], finals[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", [c for c in CASES if c.alone], ids=str)
def test_one_call_or_several(case):
    shapes = [(40, 30), (3, 5), (200, 150), (1, 1), (17, 33)]
    options = {"weight_decay": 0.1, "mask": "cautious"}
    values, grads = tensors(shapes), tensors(shapes, seed=1)
    together = stepped(case, values, grads, **options)
    apart = [stepped(case, [v], [g], **options)[0] for v, g in zip(values, grads, strict=True)]
    assert together == apart


SCRIPT = """
import sys
sys.path[:0] = {path!r}
from optim.rules import CASES, VARIANTS
from optim.harness import digest_all
print(digest_all([*CASES, *VARIANTS]))
"""


def test_any_simd_level():
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(path=sys.path)],
            env={**os.environ, "THALWEG_SIMD": level, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for level in ("baseline", "avx2", "avx512")
    ]
    digests = [process.communicate(timeout=300)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(digests[0]) == 64
    assert len(set(digests)) == 1


def test_numbers_of_a_seed_do_not_depend_on_their_count():
    long, short = np.empty(1001), np.empty(10)
    _core.optim_normal(long, 5, 2)
    _core.optim_normal(short, 5, 2)
    assert (long[:10] == short).all()


@pytest.mark.skipif(sys.platform != "linux", reason="thread names are read from /proc")
@pytest.mark.parametrize("with_torch", [True, False])
def test_steps_run_on_the_threads_of_torch_where_it_is_loaded(with_torch):
    """A second pool would compete with torch's workers, which spin between operations."""
    code = f"""
import numpy as np, os, thalweg, time
from pathlib import Path
with_torch = {with_torch}
x, g = np.ones(1 << 20, np.float32), np.ones(1 << 20, np.float32)
if with_torch:
    import torch
    from thalweg.optim import SGD
    p = torch.nn.Parameter(torch.from_numpy(x))
    p.grad = torch.from_numpy(g)
    torch.set_num_threads(3)
    assert thalweg.get_num_threads() == 3
    SGD([p], lr=0.5).step()
else:
    thalweg.set_num_threads(3)
    from thalweg.steps import SGD
    SGD(lr=0.5).step([x], [g])
assert (x == 0.5).all()
for _ in range(200):  # A thread takes its name once it runs.
    names = [t.joinpath("comm").read_text() for t in Path("/proc/self/task").iterdir()]
    own = sum(name.startswith("thalweg-") for name in names)
    if with_torch or own == 2:
        break
    time.sleep(0.05)
print(len(names), own)
"""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    threads, own = map(int, done.stdout.split())
    assert threads >= 3
    assert own == (0 if with_torch else 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_of_torch_s_threads_steps():
    """Torch has started its team, we have not used it yet, and only then comes the fork."""
    code = """
import os, signal, torch
from thalweg.optim import SGD
torch.set_num_threads(2)
torch.randn(4_000_000).mul(2).sum()
p = torch.nn.Parameter(torch.ones(1 << 20))
p.grad = torch.ones(1 << 20)
child = os.fork()
if child == 0:
    signal.alarm(60)
    SGD([p], lr=0.5).step()
    first, last = p[0].item(), p[-1].item()
    os._exit(0 if first == last == 0.5 else 1)
raise SystemExit(os.waitpid(child, 0)[1])
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_every_way_to_look_at_a_tensor_shows_the_same():
    """The C interface of torch, DLPack's exchange table, attributes: newer torch, older, oldest."""
    code = """
import sys, torch
hidden = int(sys.argv[1])
if hidden > 0:
    del torch._C._aoti.unsafe_alloc_void_ptr_from_tensor
if hidden > 1:
    del torch.Tensor.__dlpack_c_exchange_api__
from thalweg.optim import AdamW
torch.manual_seed(0)
full = torch.randn(6, 8)
params = [
    torch.nn.Parameter(p)
    for p in (
        torch.randn(3, 4), torch.randn(()), torch.randn(0), torch.randn(5).bfloat16(),
        torch.randn(5).double(), full[::2, 1::3], torch.randn(4, 3).t(),
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    )
]
optimizer = AdamW(params, lr=0.1)
for _ in range(3):
    for p in params:
        p.grad = torch.randn(p.shape, dtype=p.dtype)
    params[5].grad = torch.randn(8, 8)[::2, ::2][:3, :3]
    optimizer.step()
values = torch.cat([p.detach().flatten().double() for p in params])
print(values.numpy().tobytes().hex(), full.sum().item())
"""
    shown = [
        subprocess.run(
            [sys.executable, "-c", code, str(hidden)], capture_output=True, text=True, check=True
        ).stdout
        for hidden in range(3)
    ]
    assert shown[0]
    assert shown[1:] == shown[:1] * 2
