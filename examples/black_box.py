"""A black-box simulator: aim a throw with drag and a bouncing ball, rounded to whole centimetres.

The simulator rounds, branches and sometimes fails, so there is nothing to differentiate.
"""

import numpy as np

from thalweg.search import Bounds, minimize

TARGET = np.array([8.0, 1.0])


def throw(x, steps=400, dt=0.005):
    """Closest approach to the target, in whole centimetres; NaN when the ball leaves the hall."""
    speed, angle, drag = x
    position = np.zeros(2)
    velocity = speed * np.array([np.cos(angle), np.sin(angle)])
    nearest = np.inf
    for _ in range(steps):
        velocity = velocity - dt * (np.array([0.0, 9.81]) + drag * np.hypot(*velocity) * velocity)
        position = position + dt * velocity
        if position[1] < 0:
            position[1], velocity[1] = 0.0, -0.7 * velocity[1]
        if position[1] > 6:
            return np.nan
        nearest = min(nearest, np.hypot(*(position - TARGET)))
    return round(100 * nearest) + 0.1 * speed


if __name__ == "__main__":
    box = Bounds([1.0, 0.0, 0.0], [30.0, 1.5, 0.2])
    result = minimize(throw, [10.0, 0.5, 0.05], bounds=box, seed=0, maxfev=1500)
    speed, angle, drag = result.x
    print(f"speed {speed:.2f} m/s, angle {np.degrees(angle):.1f} degrees, drag {drag:.3f}")
    print(f"cost {result.fun:.2f} after {result.nfev} throws ({result.message})")
