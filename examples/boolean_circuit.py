"""Learn a circuit from noisy pixels: which segments of a display a digit lights.

Digits are 3 x 5 pixels, two in a hundred of them flipped. The circuit looks at five pixels that
tell the ten digits apart, and has a table of truth for each of the seven segments. No gradient
reaches its entries; the reverse derivative does.
"""

import numpy as np

from thalweg.search.boolean import Circuit, ReverseDerivativeAscent, lookup

PIXELS = [
    "###  # ### ### # # ### ### ### ### ###",
    "# # ##   #   # # # #   #     # # # # #",
    "# #  # ### ### ### ### ###   # ### ###",
    "# #  # #     #   #   # # #   # # #   #",
    "###  # ### ###   # ### ###   # ### ###",
]
SEGMENTS = [0b1110111, 0b0100100, 0b1011101, 0b1101101, 0b0101110,
            0b1101011, 0b1111011, 0b0100101, 0b1111111, 0b1101111]  # fmt: skip

# Among all sets of five that tell them apart, the fewest pairs of digits differ in one pixel.
LOOKED_AT = [1, 3, 5, 7, 9]


def digits():
    """Pixels of the ten digits, shape (10, 15)."""
    widths = [3, 2, 3, 3, 3, 3, 3, 3, 3, 3]
    starts = np.cumsum([0] + [w + 1 for w in widths])
    cut = [[row[s : s + w].ljust(w).rjust(3) for row in PIXELS] for s, w in zip(starts, widths)]
    return np.array([[int(c == "#") for c in "".join(rows)] for rows in cut])


def samples(rng, count, noise):
    which = rng.integers(0, 10, size=count)
    x = digits()[which] ^ (rng.random((count, 15)) < noise)
    return x, (np.array(SEGMENTS)[which][:, None] >> np.arange(7)) & 1


def display():
    """Seven outputs, each a table of 32 entries addressed by five pixels."""
    circuit = Circuit(7 * 32, 15)
    address = [circuit.inputs[i] for i in LOOKED_AT]
    for segment in range(7):
        circuit.output(lookup(circuit.parameters[32 * segment : 32 * (segment + 1)], address))
    return circuit


def main():
    rng = np.random.default_rng(0)
    x, y = samples(rng, 300, 0.02)
    x_new, y_new = samples(rng, 1000, 0.02)
    learner = ReverseDerivativeAscent(display(), seed=0)
    print(f"{len(learner.theta)} parameters, {len(learner.thetas)} starts")
    for epochs in (1, 9):
        learner.fit(x, y, epochs=epochs)
        wrong = learner.predict(x_new) != y_new
        print(
            f"epoch {learner.epochs:2d}: {learner.errors} of 300 samples wrong; of new samples "
            f"{wrong.any(axis=1).mean():.1%} wrong, of their segments {wrong.mean():.1%}"
        )
    seen = (digits()[:, None, LOOKED_AT] == x[:, LOOKED_AT]).all(axis=2).any(axis=0)
    print(f"{1 - seen.mean():.1%} of the samples look like no digit in these pixels")


if __name__ == "__main__":
    main()
