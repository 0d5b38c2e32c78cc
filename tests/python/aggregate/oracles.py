"""Float64 references, from the papers, sharing no code with the product."""

import numpy as np
from scipy.optimize import nnls


def project_cone(jacobian, x):
    """Nearest point to x with J x >= 0, by non-negative least squares on the unit rows."""
    norms = np.linalg.norm(jacobian, axis=1)
    unit = jacobian[norms > 0] / norms[norms > 0, None]
    if not len(unit) or not np.any(x):
        return np.array(x)
    scale = np.linalg.norm(x)
    multipliers, _ = nnls(unit.T, -x / scale, maxiter=1000)
    return x + scale * (unit.T @ multipliers)


def upgrad(jacobian, preference=None):
    m = len(jacobian)
    p = np.full(m, 1 / m) if preference is None else np.asarray(preference, float)
    return sum(project_cone(jacobian, p[i] * jacobian[i]) for i in range(m))


def dualproj(jacobian, preference=None):
    m = len(jacobian)
    p = np.full(m, 1 / m) if preference is None else np.asarray(preference, float)
    return project_cone(jacobian, p @ jacobian)


def config(jacobian, preference=None):
    norms = np.linalg.norm(jacobian, axis=1)
    unit = np.divide(
        jacobian, norms[:, None], out=np.zeros_like(jacobian), where=norms[:, None] > 0
    )
    p = np.ones(len(jacobian)) if preference is None else np.asarray(preference, float)
    q = np.linalg.pinv(unit) @ p
    if np.linalg.norm(q) < 1e-10:
        return np.zeros(jacobian.shape[1])
    e = q / np.linalg.norm(q)
    return (jacobian @ e).sum() * e


def imtlg(jacobian):
    gramian = jacobian @ jacobian.T
    v = np.linalg.pinv(gramian, hermitian=True) @ np.linalg.norm(jacobian, axis=1)
    return v @ jacobian / v.sum()


def alignedmtl(jacobian, mode="min"):
    m = len(jacobian)
    values, vectors = np.linalg.eigh(jacobian @ jacobian.T)
    kept = values > values.max() * m * np.finfo(float).eps
    lam = values[kept]
    scale = {"min": lam.min(), "median": np.sort(lam)[(len(lam) - 1) // 2], "rmse": lam.mean()}[
        mode
    ]
    b = np.sqrt(scale) * (vectors[:, kept] / np.sqrt(lam)) @ vectors[:, kept].T
    return (b @ np.full(m, 1 / m)) @ jacobian


def pcgrad(jacobian, orders):
    out = np.zeros(jacobian.shape[1])
    for i, order in enumerate(orders):
        x = jacobian[i].copy()
        for j in order:
            g = jacobian[j]
            if j != i and x @ g < 0:
                x -= (x @ g) / (g @ g) * g
        out += x
    return out


def gradvac(jacobian, orders, targets, beta, eps):
    out = np.zeros(jacobian.shape[1])
    targets = targets.copy()
    for i, order in enumerate(orders):
        x = jacobian[i].copy()
        for j in order:
            if j == i:
                continue
            g = jacobian[j]
            cosine = x @ g / (np.linalg.norm(x) * np.linalg.norm(g) + eps)
            t = targets[i, j]
            if cosine < t:
                sine = np.sqrt(1 - t**2)
                top = np.linalg.norm(x) * (t * np.sqrt(1 - cosine**2) - cosine * sine)
                x += top / (np.linalg.norm(g) * sine + eps) * g
            targets[i, j] = (1 - beta) * t + beta * cosine
        out += x
    return out, targets


def krum(jacobian, f, k, squared):
    m = len(jacobian)
    distances = np.array([[np.linalg.norm(a - b) for b in jacobian] for a in jacobian])
    if squared:
        distances **= 2
    scores = [np.sort(np.delete(distances[i], i))[: m - f - 2].sum() for i in range(m)]
    best = np.argsort(scores, kind="stable")[:k]
    return jacobian[best].mean(0)


def trimmed_mean(jacobian, b):
    return np.sort(jacobian, axis=0)[b : len(jacobian) - b].mean(0)


def graddrop(jacobian, leak, draws):
    out = np.zeros(jacobian.shape[1])
    for c, u in enumerate(draws):
        column = jacobian[:, c]
        if not column.any():
            continue
        p = 0.5 * (1 + column.sum() / np.abs(column).sum())
        for i, x in enumerate(column):
            keep = (x > 0 and p > u) or (x < 0 and p < u)
            out[c] += x if keep else leak[i] * x
    return out


def samgs(jacobians, gamma, betas=(0.9, 0.99), switch="mean"):
    """Outputs over several steps."""
    beta1, beta2 = betas
    moment, v, outs = np.zeros_like(jacobians[0]), 0.0, []
    for t, jac in enumerate(jacobians, 1):
        m = len(jac)
        s = np.linalg.norm(jac, axis=1)
        phis = [2 * s[i] * s[j] / (s[i] ** 2 + s[j] ** 2) for i in range(m) for j in range(i)]
        phi = np.mean(phis) if phis else 1.0
        moment = beta1 * moment + (1 - beta1) * jac
        v = beta2 * v + (1 - beta2) * (1 - phi) ** 2 + 1e-8
        level = phi if switch == "mean" else min(phis, default=1.0)
        if level < gamma:
            out = s.mean() * sum(g / n for g, n in zip(jac, s) if n > 0)
        else:
            hat, vhat = moment / (1 - beta1**t), v / (1 - beta2**t)
            out = (jac * np.abs(hat)).sum(0) / np.sqrt(vhat)
        outs.append(m * out)
    return outs


def mconfig(gradients, losses, m, beta1=0.9, beta2=0.999, eps=1e-8):
    """Outputs over steps that each bring one gradient of one loss."""
    d = len(gradients[0])
    moment, f, s = np.zeros((m, d)), np.zeros(d), np.zeros(d)
    seen, t, outs = np.zeros(m, int), 0, []
    for g, i in zip(gradients, losses):
        seen[i] += 1
        moment[i] = beta1 * moment[i] + (1 - beta1) * g
        if not seen.all():
            outs.append(np.zeros(d))
            continue
        t += 1
        direction = config(moment / (1 - beta1**seen)[:, None])
        full = direction * (1 - beta1**t)
        fake, f = (full - beta1 * f) / (1 - beta1), full
        s = beta2 * s + (1 - beta2) * fake**2
        outs.append(direction / (np.sqrt(s / (1 - beta2**t)) + eps))
    return outs


def gcond(jacobians, momentum=0.85, staged=False, thresholds=(-0.8, -0.5, 0.0), window=3):
    """Outputs over several calls, on the vectors themselves."""
    crit, main, weak = thresholds
    m, d = jacobians[0].shape
    nu, winners, previous, mom, outs = np.ones(m), [], np.zeros((m, d)), np.zeros(d), []

    def cos(a, b):
        return a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300)

    for t, jac in enumerate(jacobians, 1):
        a = jac.copy()
        nu = 0.95 * nu + 0.05 * np.linalg.norm(a, axis=1)
        for _ in range(2 * m):
            floor = 1e-12 * np.linalg.norm(jac, axis=1).max()
            pairs = [
                (cos(a[i], a[j]), i, j)
                for i in range(m)
                for j in range(i + 1, m)
                if min(np.linalg.norm(a[i]), np.linalg.norm(a[j])) > floor
            ]
            if not pairs or min(pairs)[0] >= weak - 1e-12:
                break
            c, i, j = min(pairs)
            dot, ni, nj = a[i] @ a[j], a[i] @ a[i], a[j] @ a[j]
            if staged and c >= main:
                a[i], a[j] = a[i] - dot / nj * a[j], a[j] - dot / ni * a[i]
                continue
            full = len(winners) >= window
            if full and all(w == i for w in winners):
                w, y = j, i
            elif full and all(w == j for w in winners):
                w, y = i, j
            else:
                strength = [np.linalg.norm(a[k]) / nu[k] for k in (i, j)]
                score = [
                    0.8 * max(0, cos(a[k], previous[k])) + 0.2 * x / sum(strength)
                    for k, x in zip((i, j), strength)
                ]
                w, y = (j, i) if score[1] > score[0] else (i, j)
            winners = ([*winners, w])[-window:]
            if staged:
                if c < crit:
                    a[y] = 0
                else:
                    a[y] = a[y] - dot / (a[w] @ a[w]) * a[w]
                continue
            if c >= main:
                angle = np.pi / 2 * (1 - np.clip((c - main) / (weak - main), 0, 1))
            elif c > crit:
                angle = np.pi / 2 + np.pi / 2 * ((c - main) / (crit - main)) ** 2
            else:
                angle = np.pi
            old_w, old_y = a[w].copy(), a[y].copy()
            a[w] = old_w - np.sin(angle) * dot / (old_y @ old_y) * old_y
            a[y] = old_y - np.sin(min(angle, np.pi / 2)) * dot / (old_w @ old_w) * old_w
        previous = a
        mom = momentum * mom + (1 - momentum) * a.sum(0)
        outs.append(mom / (1 - momentum**t))
    return outs
