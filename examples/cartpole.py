"""Balance a pole with a policy of hard units: gymnasium's CartPole, no gradient, no value function.

The policy pushes right where a sum of signs is positive, so the return is piecewise constant in
its weights. All candidates of a step meet the same starts.
"""

import gymnasium
import numpy as np

from thalweg.search import PolyStep

HIDDEN, ROLLOUTS, STEPS = 4, 4, 30


def policy(weights, state):
    w1, b1, w2, b2 = np.split(weights, [4 * HIDDEN, 5 * HIDDEN, 6 * HIDDEN])
    return int(np.sign(w1.reshape(HIDDEN, 4) @ state + b1) @ w2 + b2[0] > 0)


def balanced(env, weights, seeds):
    """Mean number of steps that the pole stays up, 500 at most."""
    total = 0.0
    for seed in seeds:
        state, done = env.reset(seed=int(seed))[0], False
        while not done:
            state, reward, fallen, late, _ = env.step(policy(weights, state))
            total += reward
            done = fallen or late
    return total / len(seeds)


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    env = gymnasium.make("CartPole-v1")
    search = PolyStep(rng.normal(size=6 * HIDDEN + 1), seed=0)
    for step in range(STEPS):
        seeds = rng.integers(2**31, size=ROLLOUTS)
        search.tell([-balanced(env, x, seeds) for x in search.ask()])
        score = balanced(env, search.x, rng.integers(2**31, size=10))
        print(f"step {step + 1:2}: {search.evaluations:5} evaluations, {score:5.1f} steps upright")
        if score == 500:
            break
    score = balanced(env, search.x, range(10**6, 10**6 + 20))
    print(f"on 20 other starts: {score:.1f} of 500 steps upright")
