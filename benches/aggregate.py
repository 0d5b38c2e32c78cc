"""Aggregators beside torchjd and conflictfree: one process, interleaved, float32.

    python benches/aggregate.py [--threads 1 2] [--only UPGrad ...] [--shapes 8x1000000 ...]
                                [--seconds 1.0]

Each line: the median of ours / peer over interleaved pairs, its quartiles, and the best time of
each side. `Gramian / stream` compares with reading as many bytes once (torch's sum of all entries);
both go round Jacobians of 256 MiB together, so that every byte comes from memory, not from a cache.
"""

import argparse
import itertools
import time

import numpy as np
import torch

import thalweg
import thalweg.aggregate as ag

STREAM = "Gramian / stream"
SHAPES = [(2, 10**6), (8, 10**6), (32, 10**5), (128, 10**4)]


def pairs():
    """Name -> (ours, peer), both callables of the Jacobian."""
    from torchjd import aggregation as peer

    out = {
        "UPGrad": (ag.UPGrad(), peer.UPGrad()),
        "DualProj": (ag.DualProj(), peer.DualProj()),
        "PCGrad": (ag.PCGrad(seed=0), peer.PCGrad()),
        "MGDA": (ag.MGDA(), peer.MGDA()),
        "ConFIG": (ag.ConFIG(), peer.ConFIG()),
        "IMTLG": (ag.IMTLG(), peer.IMTLG()),
        "AlignedMTL": (ag.AlignedMTL(), peer.AlignedMTL()),
        "PCD": (ag.PCD(), peer.PCD()),
        "Krum": (ag.Krum(1), peer.Krum(1)),
        "TrimmedMean": (ag.TrimmedMean(1), peer.TrimmedMean(1)),
        "GradDrop": (ag.GradDrop(seed=0), peer.GradDrop()),
        "FairGrad": (ag.FairGrad(), peer.FairGrad(2.0)),
        "Mean": (ag.Mean(), peer.Mean()),
    }
    try:
        out["CAGrad"] = (ag.CAGrad(0.5), peer.CAGrad(0.5))
    except ImportError:
        print("CAGrad: the peer needs cvxpy and clarabel; skipped")
    try:
        from conflictfree.grad_operator import ConFIG_update
    except ImportError:
        print("conflictfree is not installed; skipped")
    else:
        out["ConFIG (conflictfree)"] = (ag.ConFIG(), lambda j: ConFIG_update(list(j)))
    out["Gramian (torch J @ J.T)"] = (ag.gramian, lambda j: j @ j.T)
    out[STREAM] = (ag.gramian, stream)
    return out


def stream(jacobian):
    """Read every entry once."""
    return jacobian.sum()


def timed(function, jacobian):
    start = time.perf_counter()
    function(jacobian)
    return time.perf_counter() - start


def compare(ours, peer, jacobians, seconds):
    for jacobian in jacobians:
        timed(ours, jacobian), timed(peer, jacobian)
    turn = itertools.cycle(jacobians)
    found = []
    end = time.perf_counter() + seconds
    while len(found) < 5 or (time.perf_counter() < end and len(found) < 200):
        order = (0, 1) if len(found) % 2 else (1, 0)
        times = [0.0, 0.0]
        for side in order:
            times[side] = timed((ours, peer)[side], next(turn))
        found.append(times)
    times = np.array(found)
    ratio = np.percentile(times[:, 0] / times[:, 1], [50, 25, 75])
    return ratio, times.min(0) * 1e3, len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--shapes", nargs="+", default=None)
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    shapes = SHAPES
    if args.shapes:
        shapes = [tuple(int(float(n)) for n in shape.split("x")) for shape in args.shapes]
    print(f"torch {torch.__version__}, numpy {np.__version__}, thalweg {thalweg.__version__}")
    print(
        f"{'':24s} {'m x d':>12s} {'n':>3s} {'ratio':>7s} {'quartiles':>15s}"
        f" {'ours ms':>9s} {'peer ms':>9s}"
    )
    for threads in args.threads:
        torch.set_num_threads(threads)
        thalweg.set_num_threads(threads)
        for m, d in shapes:
            torch.manual_seed(0)
            jacobian = torch.randn(m, d)
            for name, (ours, peer) in pairs().items():
                few = m < 4 and name in ("Krum", "TrimmedMean")
                if few or (args.only and name.split(" ")[0] not in args.only):
                    continue
                several = [jacobian]
                if name == STREAM:
                    bytes_ = jacobian.numel() * jacobian.element_size()
                    several = [jacobian.clone() for _ in range(1 + (1 << 28) // bytes_)]
                ratio, best, n = compare(ours, peer, several, args.seconds)
                print(
                    f"{name:24s} {f'{m} x {d:.0e}':>12s} {threads:3d} {ratio[0]:7.3f}"
                    f" {f'{ratio[1]:.3f}..{ratio[2]:.3f}':>15s}"
                    f" {best[0]:9.3f} {best[1]:9.3f}  n={n}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
