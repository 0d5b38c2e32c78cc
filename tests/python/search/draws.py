"""Philox 4x32-10 (Salmon et al. 2011) in plain integers: the draws of a search, replayed.

A stream is 2**56 times its purpose plus 2**28 times the step plus the index of a candidate.
"""

import math

START, RESAMPLING = 2, 1


def stream(step, index, purpose=0):
    return (purpose << 56) + (step << 28) + index


def words(seed, key, index):
    low = 2**32 - 1
    c = [index & low, index >> 32, key & low, key >> 32]
    k = [seed & low, seed >> 32]
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b & low, (a >> 32) ^ c[3] ^ k[1], a & low]
        k = [(k[0] + 0x9E3779B9) & low, (k[1] + 0xBB67AE85) & low]
    return c


def uniform(seed, key, index):
    w = words(seed, key, index)
    return [((w[i] + (w[i + 1] << 32)) >> 11) / 2**53 for i in (0, 2)]


def normal(seed, key, index):
    u, v = uniform(seed, key, index)
    r = math.sqrt(-2 * math.log1p(-u))
    return [r * math.cos(2 * math.pi * v), r * math.sin(2 * math.pi * v)]


def below(seed, key, index, bound):
    w = words(seed, key, index)
    return ((w[0] + (w[1] << 32)) * bound) >> 64


def first(seed, step, index, box, centre, sigma):
    """A first member: uniform in the box, or normal around the centre without one."""
    key, out = stream(step, index, START), []
    for j, x in enumerate(centre):
        if box is None:
            out.append(x + sigma * normal(seed, key, j)[0])
        else:
            low, high = box[j]
            out.append(low + uniform(seed, key, j)[0] * (high - low))
    return out


def fold(x, low, high):
    """A ray between two mirrors, one mirror at a time."""
    while not low <= x <= high:
        x = 2 * low - x if x < low else 2 * high - x
    return x
