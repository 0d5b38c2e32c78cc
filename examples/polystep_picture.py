"""A picture of steps in two dimensions: polytope, weights, move. Animated with --gif.

python examples/polystep_picture.py [--gif] [--out steps.png]
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

from thalweg.search import PolyStep


def cost(x):
    """A bowl with ripples, cut into terraces."""
    wave = (x**2).sum(-1) + 1.5 * np.sin(3 * x[..., 0]) * np.cos(3 * x[..., 1])
    return np.floor(4 * wave) / 4


def draw(axes, frame):
    before, candidates, costs, after = frame
    axes.clear()
    grid = np.linspace(-4, 4, 200)
    mesh = np.stack(np.meshgrid(grid, grid), -1)
    axes.contourf(grid, grid, cost(mesh), 20, cmap="Greys", alpha=0.6)
    probes, c = candidates[1:], costs[1:]
    weight = np.exp(-(c - c.min()) / max(c.std(), 1e-12))
    ring = probes[[0, 1, 2, 3, 0]]
    axes.plot(*ring.T, color="tab:blue", lw=1)
    axes.scatter(*probes.T, s=20 + 200 * weight / weight.sum(), color="tab:blue", zorder=3)
    axes.annotate("", after, before, arrowprops={"arrowstyle": "->", "color": "tab:red", "lw": 2})
    axes.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal", xticks=[], yticks=[])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gif", action="store_true", help="one frame a step instead of panels")
    parser.add_argument("--out", default=None)
    options = parser.parse_args()
    search, frames = PolyStep(np.array([3.0, 2.5]), radius=1.0, plateau=False, seed=1), []
    for _ in range(12):
        before, candidates = search.x, search.ask()
        costs = cost(candidates)
        search.tell(costs)
        frames.append((before, candidates, costs, search.x))
    if options.gif:
        figure, axes = plt.subplots(figsize=(4, 4), layout="constrained")
        film = FuncAnimation(figure, lambda i: draw(axes, frames[i]), len(frames))
        out = options.out or "steps.gif"
        film.save(out, writer="pillow", fps=2)
    else:
        figure, grid = plt.subplots(2, 3, figsize=(9, 6), layout="constrained")
        for axes, frame, t in zip(grid.flat, frames[::2], range(0, 12, 2)):
            draw(axes, frame)
            axes.set_title(f"step {t}")
        out = options.out or "steps.png"
        figure.savefig(out, dpi=120)
    print(f"{out}: cost {cost(frames[0][0]):.2f} to {search.best.cost:.2f}")
