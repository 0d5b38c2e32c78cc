"""Plain float64 forward passes of the networks, written from the definitions of their units."""

import copy

import numpy as np


def spikes(current, beta, threshold, steps):
    """Spikes (steps, n, units) of currents (steps, n, units), reset to zero."""
    v = np.zeros_like(current[0])
    out = []
    for t in range(steps):
        v = beta * v + current[t]
        fired = v >= threshold
        v = np.where(fired, 0.0, v)
        out.append(fired.astype(float))
    return np.stack(out)


def rounded(w, scale, bits):
    half = 2 ** (bits - 1)
    return scale * np.clip(np.round(w / scale), -half, half - 1)


UNITS = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "sign": lambda z: np.where(z >= 0, 1.0, -1.0),
    "threshold": lambda z: (z >= 0).astype(float),
}


def forward(layers, x):
    """Outputs (n, outputs); `layers` are dicts with w, b, unit and the unit's numbers."""
    h = np.asarray(x, float)  # (n, in) or (n, steps, in)
    train = h.transpose(1, 0, 2) if h.ndim == 3 else None
    for layer in layers:
        if "parts" in layer:
            h, train = select(layer["parts"], h), None
            continue
        w, b = np.asarray(layer["w"], float), np.asarray(layer["b"], float)
        if "bits" in layer:
            w = rounded(w, layer["scale"], layer["bits"])
            b = rounded(b, layer["scale"], layer["bits"])
        if layer["unit"] == "lif":
            steps = layer["steps"]
            current = train @ w.T + b if train is not None else np.stack([h @ w.T + b] * steps)
            train = spikes(current, layer["beta"], layer["threshold"], steps)
            h = train.sum(0)
            continue
        z = h @ w.T + b
        train = None
        if layer["unit"] == "staircase":
            levels = layer["levels"]
            level = np.floor(levels / (1.0 + np.exp(-z)))
            h = np.minimum(level, levels - 1) / levels
        else:
            h = UNITS[layer["unit"]](z)
    return h


def select(parts, h):
    """Argmax attention for two parts (keys, values), a hard mixture of experts for more."""

    def seen(p):
        return (
            h @ np.asarray(p["w"], float).T + p["b"] if np.shape(p["w"])[1] == h.shape[1] else None
        )

    score, *rest = [seen(p) for p in parts]
    chosen = score.argmax(1)
    if len(parts) == 2:
        return rest[0] / (1 + np.exp(-np.asarray(parts[0]["w"])[chosen]))
    experts = [
        np.maximum(rest[2 * e], 0) @ np.asarray(parts[2 * e + 2]["w"], float).T
        + parts[2 * e + 2]["b"]
        for e in range(len(rest) // 2)
    ]
    return np.stack(experts, 1)[np.arange(len(h)), chosen]


def matrices(layers):
    return [part for layer in layers for part in layer.get("parts", [layer])]


def cost(logits, y, loss):
    n = len(logits)
    if loss == "squared":
        return float(((logits - y) ** 2).mean())
    if logits.shape[1] == 1:
        predicted = (logits[:, 0] > 0).astype(int)
    else:
        predicted = logits.argmax(1)
    if loss == "zero_one":
        return float((predicted != y).mean())
    if loss == "f1":
        hits = ((predicted == 1) & (y == 1)).sum()
        total = (predicted == 1).sum() + (y == 1).sum()
        return 0.0 if total == 0 else float(1 - 2 * hits / total)
    if logits.shape[1] == 1:
        z = logits[:, 0]
        return float((np.logaddexp(0.0, z) - z * (y == 1)).mean())
    top = logits.max(1, keepdims=True)
    log = top[:, 0] + np.log(np.exp(logits - top).sum(1))
    return float((log - logits[np.arange(n), y]).mean())


def probe(layers, x, y, loss, layer, directions, radius):
    """Cost changes (units, 2 p): plus directions first, then minus."""
    base = cost(forward(layers, x), y, loss)
    units = len(matrices(layers)[layer]["b"])
    rows = []
    for unit in range(units):
        row = []
        for sign in (1.0, -1.0):
            for u in np.asarray(directions, float):
                moved = copy.deepcopy(layers)
                part = matrices(moved)[layer]
                part["w"], part["b"] = np.array(part["w"], float), np.array(part["b"], float)
                part["w"][unit] += sign * radius[unit] * u[:-1]
                part["b"][unit] += sign * radius[unit] * u[-1]
                row.append(cost(forward(moved, x), y, loss) - base)
        rows.append(row)
    return np.array(rows)
