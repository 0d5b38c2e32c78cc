"""MAX-SAT at a hundred thousand variables: PolyStep, then a polish, then the same as probes.

Run `python examples/maxsat.py`; takes a few seconds.
"""

import numpy as np

from thalweg.search.objectives import FactorGraph, MaxSat


def main() -> None:
    """Search a random 3-SAT instance near its threshold, then look at it by hand."""
    problem = MaxSat.random(100_000, ratio=4.27, seed=0)
    print(problem)

    run = problem.polystep(300, seed=0)
    print(
        f"polystep: {100 * run.satisfied:.2f} % satisfied in {run.seconds:.1f} s, {run.nit} steps"
    )
    walk = problem.polish(run.x, max_flips=2_000_000, seed=0)
    print(f"polish:   {100 * walk.satisfied:.2f} % satisfied in {walk.seconds:.1f} s more")

    # The same clauses as a plain evaluator: gains of single flips, exact probes of pairs.
    state = problem.state(walk.x)
    print(f"cost {state.cost}; single flips that would pay: {(state.gains < 0).sum()}")
    pairs = np.random.default_rng(0).integers(0, problem.variables, (100_000, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    changes = state.probe(pairs)
    print(f"best of {len(pairs)} random pairs changes the cost by {changes.min()}")

    # Any other sum of local terms: colour a random graph with three colours.
    edges = np.random.default_rng(1).integers(0, 3000, (6000, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    graph = FactorGraph(3000, values=3)
    graph.add("different", edges)
    colours = graph.polystep(200, seed=0)
    print(f"{len(edges)} edges, three colours: {colours.fun:.0f} clash after {colours.nit} steps")


if __name__ == "__main__":
    main()
