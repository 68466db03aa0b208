"""The objectives once more, slowly: loops over NumPy numbers, written from the formulas."""

import math

import numpy as np


def unit(vector):
    return vector / max(np.linalg.norm(vector), 1e-6)


def similarity(teacher):
    n = len(teacher)
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            out[i, j] = min(1.0, unit(teacher[i]) @ unit(teacher[j]))
    return out


def triage_loss(logits, similarity, theta_p, theta_n):
    """The specification's l_i, in its own words."""
    n, total = len(logits), 0.0
    for i in range(n):
        positives = [j for j in range(n) if j == i or similarity[i, j] >= theta_p]
        negatives = [k for k in range(n) if k not in positives and similarity[i, k] < theta_n]
        each = []
        for j in positives:
            below = math.exp(logits[i, j]) + sum(math.exp(logits[i, k]) for k in negatives)
            each.append(-math.log(math.exp(logits[i, j]) / below))
        total += sum(each) / len(each)
    return total / n


def eliminate_loss(logits, similarity, theta_n):
    n, total = len(logits), 0.0
    for i in range(n):
        below = sum(math.exp(logits[i, k]) for k in range(n) if k == i or similarity[i, k] < theta_n)
        total -= math.log(math.exp(logits[i, i]) / below)
    return total / n


def soft_loss(logits, similarity, beta, tau_s):
    n, total = len(logits), 0.0
    for i in range(n):
        soft = [math.exp(similarity[i, j] / tau_s) for j in range(n)]
        below = sum(math.exp(logits[i, k]) for k in range(n))
        for j in range(n):
            wanted = (1 - beta) * (i == j) + beta * soft[j] / sum(soft)
            total -= wanted * math.log(math.exp(logits[i, j]) / below)
    return total / n


def general_loss(logits, weights, allowed):
    """l_i = sum_j Y_ij ( log sum_k max(A_ik, [k = j]) exp z_ik - z_ij )."""
    n, m = logits.shape
    total = 0.0
    for i in range(n):
        for j in range(m):
            below = sum(max(allowed[i, k], float(k == j)) * math.exp(logits[i, k]) for k in range(m))
            total += weights[i, j] * (math.log(below) - logits[i, j])
    return total / n


def sigmoid_loss(scores, signs, scale, bias):
    total = 0.0
    for i in range(len(scores)):
        for j in range(scores.shape[1]):
            total += math.log(1 + math.exp(signs[i, j] * (-scale * scores[i, j] + bias)))
    return total / len(scores)


def hard_negative(embeddings, negatives, temperature):
    n, total = len(embeddings), 0.0
    for i in range(n):
        z = {j: embeddings[i] @ embeddings[j] / temperature for j in range(n) if negatives[i, j]}
        below = sum(math.exp(v / temperature) for v in z.values())
        total += sum(math.exp(v / temperature) / below * v for v in z.values())
    return total / n


def supervised_contrastive(first, second, positives, temperature):
    views = np.concatenate([first, second])
    n, total = len(first), 0.0
    for i in range(2 * n):
        below = sum(math.exp(views[i] @ views[k] / temperature) for k in range(2 * n) if k != i)
        mine = [p for p in range(2 * n) if p != i and (positives[i % n, p % n] or p % n == i % n)]
        total -= sum(views[i] @ views[p] / temperature - math.log(below) for p in mine) / len(mine)
    return total / (2 * n)


def minmax(scores, sigma, eps=1e-6):
    """Weights of one word over patches."""
    low, high = min(scores), max(scores)
    u = [(s - low) / (high - low + eps) for s in scores]
    u = [0.0 if v < sigma else v for v in u]
    return np.array([v / (sum(u) + eps) for v in u])


def sparsemax(z):
    """The projection onto the simplex, by bisection on its threshold."""
    return _by_bisection(z, lambda v: max(v, 0.0))


def entmax15(z):
    return _by_bisection(np.asarray(z) / 2, lambda v: max(v, 0.0) ** 2)


def _by_bisection(z, shape):
    low, high = min(z) - 2, max(z)
    for _ in range(200):
        tau = (low + high) / 2
        low, high = (tau, high) if sum(shape(v - tau) for v in z) > 1 else (low, tau)
    return np.array([shape(v - low) for v in z])


def within(words, patches, mask, types, temperature, sigma, weight=None):
    """L_STA over a batch, word by word."""
    total = 0.0
    for i in range(len(words)):
        valid = [m for m in range(words.shape[1]) if mask[i, m]]
        view = {m: unit(sum(a * p for a, p in zip(minmax(patches[i] @ words[i, m], sigma), patches[i], strict=True))) for m in valid}
        losses, shares = [], []
        for one in valid:
            rivals = [m for m in valid if m == one or types is None or types[i, m] != types[i, one]]
            row = [math.exp(view[one] @ words[i, m] / temperature) for m in rivals]
            column = [math.exp(view[m] @ words[i, one] / temperature) for m in rivals]
            own = math.exp(view[one] @ words[i, one] / temperature)
            losses.append((-math.log(own / sum(row)) - math.log(own / sum(column))) / 2)
            shares.append(1.0 if weight is None else weight[i, one])
        if sum(shares) > 0:
            total += sum(a * b for a, b in zip(losses, shares, strict=True)) / sum(shares)
    return total / len(words)


def patch_to_word(words, patches, mask, sigma, temperature):
    total = 0.0
    for i in range(len(words)):
        valid = words[i][mask[i]]
        weights = [minmax(valid @ p, sigma) for p in patches[i]] if len(valid) else []
        if not np.any(weights):
            continue
        view = [unit(a @ valid) for a in weights]
        for p in range(patches.shape[1]):
            row = [math.exp(view[p] @ q / temperature) for q in patches[i]]
            column = [math.exp(v @ patches[i, p] / temperature) for v in view]
            own = math.exp(view[p] @ patches[i, p] / temperature)
            total -= (math.log(own / sum(row)) + math.log(own / sum(column))) / 2 / patches.shape[1]
    return total / len(words)


def film_score(word, film, sigma):
    return unit(minmax(film @ word, sigma) @ film) @ word


def cross_film(words, types, mask, patches, report_types, report_mask, similarity, theta_n, sigma, temperature, combine="and", others=None):
    losses = []
    for i in range(len(words)):
        for k in range(words.shape[1]):
            if not mask[i, k]:
                continue
            own = math.exp(film_score(words[i, k], patches[i], sigma) / temperature)
            below, rivals = own, 0
            for f in range(len(patches)) if others is None else others[i]:
                lacks = types[i, k] not in [t for t, m in zip(report_types[f], report_mask[f], strict=True) if m]
                unlike = similarity is None or similarity[i, f] < theta_n
                if f != i and (lacks and unlike if combine == "and" or similarity is None else lacks or unlike):
                    below += math.exp(film_score(words[i, k], patches[f], sigma) / temperature)
                    rivals += 1
            if rivals:
                losses.append(-math.log(own / below))
    return sum(losses) / len(losses) if losses else 0.0


def report_score(words, patches, mask, sigma, temperature):
    """Own pairs only."""
    n = len(words)
    z = np.zeros((n, n))
    told = [i for i in range(n) if mask[i].any()]
    for i in told:
        for f in range(n):
            z[i, f] = np.mean([film_score(w, patches[f], sigma) for w in words[i][mask[i]]]) / temperature
    total = 0.0
    for i in told:
        total -= math.log(math.exp(z[i, i]) / sum(math.exp(z[i, f]) for f in range(n))) / 2
        total -= math.log(math.exp(z[i, i]) / sum(math.exp(z[j, i]) for j in told)) / 2
    return total / max(len(told), 1)
