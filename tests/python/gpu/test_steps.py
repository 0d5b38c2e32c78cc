"""Parameters on a device: what goes there comes back, and what does not fit is refused."""

import os
import subprocess
import sys

import numpy as np
import pytest
from gpu.adapter import gpu

from thalweg import steps


def draws(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.fixture(autouse=True)
def nothing_stays():
    """Whatever a test makes is given back when its objects are gone."""
    before = gpu.memory().buffers
    yield
    assert gpu.memory().buffers <= before


def test_adapters_say_what_they_are():
    found = gpu.adapters()
    assert [adapter.index for adapter in found] == list(range(len(found)))
    kinds = [adapter.kind for adapter in found]
    assert set(kinds) <= {"discrete", "integrated", "virtual", "software", "other"}
    assert kinds == sorted(kinds, key=lambda kind: kind == "software")
    for adapter in found:
        assert adapter.name
        assert adapter.backend in ("vulkan", "metal", "dx12")
        assert ("llvmpipe" in adapter.name) <= (adapter.kind == "software")
        assert adapter.max_binding >= 1 << 27
        assert adapter.max_workgroups >= 65_535


@pytest.mark.parametrize("choice", ["0", 0, gpu.adapters()[0].name[:6].upper()])
def test_an_adapter_is_chosen_by_number_or_name(choice, monkeypatch):
    (x,) = draws((3,))
    assert gpu.Steps("sgd", [x], adapter=choice).adapter == gpu.adapters()[0]
    monkeypatch.setenv("THALWEG_GPU_ADAPTER", str(choice))
    assert gpu.Steps("sgd", [x]).adapter == gpu.adapters()[0]


@pytest.mark.parametrize("choice", ["no such card", "99"])
def test_an_adapter_that_there_is_not_is_refused(choice, monkeypatch):
    (x,) = draws((3,))
    with pytest.raises(ValueError, match=f"adapter must be the number or .*, got {choice}; see"):
        gpu.Steps("sgd", [x], adapter=choice)
    monkeypatch.setenv("THALWEG_GPU_ADAPTER", choice)
    with pytest.raises(ValueError, match="THALWEG_GPU_ADAPTER must be the number"):
        gpu.memory()


def test_without_a_driver_only_this_module_complains():
    code = """
import numpy as np, thalweg
from thalweg import gpu, steps
x = np.ones(3)
steps.SGD(lr=0.5).step([x], [np.ones(3)])
print(x.tolist(), gpu.adapters())
try:
    gpu.Steps("sgd", [np.ones(3, np.float32)])
except RuntimeError as error:
    print(error)
"""
    env = {**os.environ, "VK_DRIVER_FILES": os.devnull, "VK_ICD_FILENAMES": os.devnull}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    if "[]" not in done.stdout:
        pytest.skip("adapters of this system do not depend on the loader's variables")
    assert done.stdout.startswith("[0.5, 0.5, 0.5] []\nno adapter was found")
    assert "mesa-vulkan-drivers" in done.stdout


SHAPES = [(3,), (256,), (257,), (), (0,), (40, 33), (5, 0), (4, 3, 2)]


@pytest.mark.parametrize("limit", [None, 4096, 65_536])
def test_parameters_come_back_as_they_went(limit):
    params = draws(*SHAPES)
    device = gpu.Steps("adamw", params, max_binding=limit)
    found = device.download()
    assert all((a == b).all() and a.shape == b.shape for a, b in zip(found, params, strict=True))
    others = draws(*SHAPES, seed=1)
    device.upload(others)
    out = [np.empty_like(p, order="F") for p in params]
    assert all(a is b for a, b in zip(device.download(out), out, strict=True))
    assert all((a == b).all() for a, b in zip(out, others, strict=True))


@pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("limit", [4096, 16_384])
def test_cut_lists_have_the_same_bits(limit, state_dtype):
    params, *grads = (draws((70, 70), (1000,), (3,), seed=k) for k in range(4))
    options = {"lr": 0.1, "mask": "cautious", "state_dtype": state_dtype}
    whole = gpu.Steps("adamw", params, **options)
    cut = gpu.Steps("adamw", params, max_binding=limit, **options)
    for row in grads:
        whole.step(row)
        cut.step(row)
    for a, b in zip(whole.download(), cut.download(), strict=True):
        assert (a == b).all()


def test_a_step_over_a_thousand_tensors_is_one_of_each():
    params, grads = (draws(*[(7,)] * 1000, seed=k) for k in range(2))
    device = gpu.Steps("adam", params, lr=0.1)
    device.step(grads)
    host = steps.Adam(lr=0.1)
    host.step(params, grads)
    np.testing.assert_allclose(np.stack(device.download()), np.stack(params), rtol=1e-6)


def test_more_workgroups_than_one_dimension_holds():
    limit = gpu.adapters()[0].max_workgroups
    n = (limit + 3) * 1
    params = [np.zeros(1, np.float32)] * n
    device = gpu.Steps("sgd", params, lr=1.0)
    device.step([np.full(1, k, np.float32) for k in range(n)])
    assert (np.concatenate(device.download()) == -np.arange(n, dtype=np.float32)).all()


def test_groups_have_their_own_options():
    (a, b), (g, h) = draws((5,), (300,)), draws((5,), (300,), seed=1)
    device = gpu.Steps(
        "adamw", [{"params": [a], "lr": 0.5}, {"params": [b], "amsgrad": True}], clip_norm=1.0
    )
    host = [steps.AdamW(lr=0.5), steps.AdamW(amsgrad=True)]
    norm = np.sqrt((g.astype(float) ** 2).sum() + (h.astype(float) ** 2).sum())
    device.step([g, h])
    for rule, x, grad in zip(host, (a, b), (g, h)):
        rule.step([x], [(grad / (norm + 1e-6)).astype(np.float32)])
    for found, x in zip(device.download(), (a, b)):
        np.testing.assert_allclose(found, x, rtol=2e-6)
    assert [group.hyper["lr"] for group in device.groups] == [0.5, 1e-3]
    assert len(device.state_dict()["groups"]) == 2


def test_options_change_between_steps():
    (x,), (g,) = draws((20,)), draws((20,), seed=1)
    device, host = gpu.Steps("adamw", [x], lr=0.1), steps.AdamW(lr=0.1)
    for lr in (0.1, 0.05, 0.01):
        device.set(lr=lr)
        host.lr = lr
        device.step([g])
        host.step([x], [g])
    np.testing.assert_allclose(device.download()[0], x, rtol=1e-6)


def test_a_gradient_that_stays_away_leaves_its_parameter():
    params, grads = draws((5,), (300,)), draws((5,), (300,), seed=1)
    device = gpu.Steps("adamw", params, lr=0.1)
    device.step([None, grads[1]])
    found = device.download()
    assert (found[0] == params[0]).all()
    assert (found[1] != params[1]).all()
    assert list(device.state_dict()["state"]) == [1]
    device.step()
    assert (device.download()[0] == params[0]).all()


@pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "int8"])
def test_a_run_moves_between_device_and_host(state_dtype):
    params, *grads = (draws((40, 9), (7,), seed=k) for k in range(7))
    options = {"lr": 0.05, "state_dtype": state_dtype}
    host = steps.AdamW(**options)
    copies = [p.copy() for p in params]
    for row in grads:
        host.step(copies, row)
    moved = steps.AdamW(**options)
    moved_params = [p.copy() for p in params]
    for row in grads[:2]:
        moved.step(moved_params, row)
    device = gpu.Steps("adamw", moved_params, **options)
    device.load_state_dict(moved.state_dict())
    for row in grads[2:4]:
        device.step(row)
    back = steps.AdamW(**options)
    back.load_state_dict(device.state_dict())
    moved_params = device.download()
    for row in grads[4:]:
        back.step(moved_params, row)
    # Rounding up or down is decided by the same words; a number at the border may fall elsewhere.
    limit = {"float32": 2e-6, "bfloat16": 2e-3, "int8": 2e-2}[state_dtype]
    for a, b in zip(moved_params, copies, strict=True):
        np.testing.assert_allclose(a, b, rtol=limit, atol=limit)


def test_schedule_free_has_two_points():
    (x,), (g,) = draws((50,)), draws((50,), seed=1)
    device, host = gpu.Steps("schedulefreeadamw", [x], lr=0.1), steps.ScheduleFreeAdamW(lr=0.1)
    for _ in range(3):
        device.step([g])
        host.step([x], [g])
    device.eval()
    host.eval([x])
    np.testing.assert_allclose(device.download()[0], x, rtol=1e-5)
    with pytest.raises(ValueError, match="train_mode must be True for a step of Schedule"):
        device.step([g])
    device.train()
    host.train([x])
    np.testing.assert_allclose(device.download()[0], x, rtol=1e-5)
    device.step([g])


@pytest.mark.parametrize(
    ("params", "options", "error", "message"),
    [
        ([np.ones(3)], {}, TypeError, r"params\[0\] must be float32, got float64"),
        ([[1.0]], {}, TypeError, r"params\[0\] must be a numpy array, got list"),
        ([np.ones(3, np.float32), {}], {}, TypeError, "must be a dict with the key 'params'"),
        ([np.ones(3, np.float32)], {"lr": -1.0}, ValueError, "lr must be"),
        ([np.ones(3, np.float32)], {"momentum": 0.5}, TypeError, "momentum"),
        ([np.ones(3, np.float32)], {"max_binding": 100}, ValueError, "max_binding must be a mul"),
    ],
)
def test_what_does_not_fit_is_refused(params, options, error, message):
    with pytest.raises(error, match=message):
        gpu.Steps("adamw", params, **options)


def test_rules_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match=r"rule must be one of sgd, adam, .*, got 'adamv'"):
        gpu.Steps("adamv", draws((3,)))
    with pytest.raises(ValueError, match="each parameter of Muon must be a matrix"):
        gpu.Steps("muon", draws((3,)))


@pytest.mark.parametrize(
    ("grads", "error", "message"),
    [
        ([np.ones(3, np.float32)], ValueError, "grads must be as many as params, got 1 for 2"),
        ([np.ones(3), None], TypeError, r"grads\[0\] must be float32, got float64"),
        ([None, np.ones((5, 2), np.float32)], ValueError, r"grads\[1\] of shape \(5, 2\) does not"),
        (None, ValueError, "grads must be given in the first step"),
    ],
)
def test_gradients_that_do_not_fit_are_refused(grads, error, message):
    params = draws((3,), (2, 5))
    device = gpu.Steps("adamw", params)
    with pytest.raises(error, match=message):
        device.step(grads)
    assert all((a == b).all() for a, b in zip(device.download(), params, strict=True))


def test_out_that_does_not_fit_stays_as_it_is():
    params = draws((3,), (2, 5))
    device = gpu.Steps("adamw", params)
    frozen = np.zeros((2, 5), np.float32)
    frozen.flags.writeable = False
    for last in (np.zeros((5, 2), np.float32), frozen):
        out = [np.zeros(3, np.float32), last]
        with pytest.raises(ValueError, match=r"out\[1\] must be a writable array of shape \(2, 5"):
            device.download(out)
        assert not out[0].any()
    with pytest.raises(TypeError, match=r"out\[0\] must be float32"):
        device.download([np.zeros(3), frozen])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_that_are_not_finite(bad):
    params, grads = draws((3,), (600,)), draws((3,), (600,), seed=1)
    grads[1][599] = bad
    device = gpu.Steps("adamw", params, on_nonfinite="raise")
    with pytest.raises(ValueError, match="grad of parameter 1 holds NaN or infinity"):
        device.step(grads)
    device.set(on_nonfinite="skip")
    device.step(grads)
    assert all((a == b).all() for a, b in zip(device.download(), params, strict=True))
    assert device.state_dict()["state"] == {}
    device.set(on_nonfinite="propagate")
    device.step(grads)
    assert np.isnan(device.download()[1][599])


def test_a_tensor_too_large_is_refused():
    params = draws((65, 32))
    with pytest.raises(ValueError, match=r"elements of params\[0\] must be at most 2048"):
        gpu.Steps("muon", params, max_binding=8192)
    wide = np.broadcast_to(np.float32(0), (1 << 32,))
    with pytest.raises(ValueError, match=r"elements of params\[0\] must be at most 4294967040"):
        gpu.Steps("sgd", [wide])
    assert gpu.Steps("sgd", params, max_binding=8192).download()[0].shape == (65, 32)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_memory_that_there_is_not_is_an_error():
    # The memory of software Vulkan is that of the process, which may have 1 GiB more.
    code = """
import resource
import numpy as np
from thalweg import gpu
x = np.ones(5, np.float32)
device = gpu.Steps("sgd", [x], lr=1.0)
before = gpu.memory()
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
limit = pages * resource.getpagesize() + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    gpu.Steps("sgd", [np.broadcast_to(np.float32(0), (1 << 28,))] * 4)
except MemoryError as error:
    print(error)
print(gpu.memory() == before)
device.step([x])
print(device.download()[0].tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    error, same, x = done.stdout.splitlines()
    assert "is out of memory; use smaller or fewer tensors, state_dtype=" in error
    assert [same, x] == ["True", "[0.0, 0.0, 0.0, 0.0, 0.0]"]


def test_ten_thousand_steps_leave_nothing_behind():
    params, grads = draws((300,), (17, 5)), draws((300,), (17, 5), seed=1)
    device = gpu.Steps("adamw", params, lr=1e-4)
    seen = []
    for k in range(10_000):
        device.step(None if k else grads)
        if k in (100, 9_999):
            device.finish()
            seen.append(gpu.memory())
    assert seen[0] == seen[1]


def test_two_processes_share_an_adapter():
    code = """
import numpy as np
from thalweg import gpu
x = np.ones(1000, np.float32)
device = gpu.Steps("sgd", [x], lr=0.5)
for _ in range(50):
    device.step([x])
print(float(device.download()[0][0]))
"""
    others = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [other.communicate(timeout=60)[0].strip() for other in others] == ["-24.0", "-24.0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_is_told_to_spawn():
    code = """
import os, numpy as np
from thalweg import gpu
x = np.ones(3, np.float32)
device = gpu.Steps("sgd", [x])
if os.fork() == 0:
    try:
        device.step([x])
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "before this process was forked" in done.stdout


def test_a_lost_device_says_so_and_another_can_be_started():
    params, grads = draws((300,)), draws((300,), seed=1)
    device = gpu.Steps("adamw", params)
    device.step(grads)
    kept = [array.copy() for array in params]
    gpu.release()
    out = [np.zeros(300, np.float32)]
    for use in (
        lambda: device.step(grads),
        lambda: device.step(),
        lambda: device.download(out),
        lambda: device.upload(params),
        device.finish,
    ):
        with pytest.raises(RuntimeError, match="is lost, with all that lay on it; make a new"):
            use()
    assert not out[0].any()
    assert all((a == b).all() for a, b in zip(params, kept, strict=True))
    again = gpu.Steps("adamw", params)
    again.step(grads)
    assert (again.download()[0] != params[0]).all()


def test_bandwidth_is_positive_and_its_arguments_are_checked():
    assert gpu.bandwidth(1, 3) > 1e6
    with pytest.raises(ValueError, match="megabytes must be at least 1, got 0"):
        gpu.bandwidth(0)
    with pytest.raises(ValueError, match="repeat must be at least 1, got 0"):
        gpu.bandwidth(1, 0)
