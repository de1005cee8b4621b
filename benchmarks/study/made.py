"""Made tables: labels of levels, of many shapes, drawn by a seed.

Each shape is a function (generator, levels of each choice, rows int [N, L]) -> labels [N].
"""

import itertools

import numpy as np


def grid(levels: tuple[int, ...]) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, levels))))


def random_rows(levels: tuple[int, ...], size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.integers(n, size=2 * size) for n in levels], axis=1)
    return rng.permutation(np.unique(rows, axis=0))[:size]


def _additive(rng, levels, x):
    return sum(rng.normal(size=n)[column] for n, column in zip(levels, x.T, strict=True))


def _pairwise(rng, levels, x):
    total = 0.3 * _additive(rng, levels, x)
    for i, j in itertools.combinations(range(len(levels)), 2):
        if rng.random() < 0.4:
            total += rng.normal(size=(levels[i], levels[j]))[x[:, i], x[:, j]]
    return total


def _ordinal(rng, levels, x):
    """A bowl in the positions, with one interaction."""
    off = _at(levels, x) - rng.uniform(0.1, 0.9, len(levels))
    return -((off**2) @ rng.uniform(0.3, 2.0, len(levels))) - off[:, 0] * off[:, 1]


def _mixed(rng, levels, x):
    """Half of the choices ordered, half not."""
    cut = len(levels) // 2
    left = _ordinal(rng, levels[:cut], x[:, :cut])
    return 2 * left + _pairwise(rng, levels[cut:], x[:, cut:])


def _conditional(rng, levels, x):
    """The first choice says which of the others count."""
    parts = [_additive(rng, levels[1:], x[:, 1:]) for _ in range(levels[0])]
    counts = rng.random((levels[0], len(levels) - 1)) < 0.5
    total = rng.normal(size=levels[0])[x[:, 0]]
    for branch in range(levels[0]):
        others = [j for j in range(len(levels) - 1) if counts[branch, j]]
        if others:
            some = tuple(levels[1 + j] for j in others)
            columns = x[:, [1 + j for j in others]]
            parts[branch] = _ordinal(rng, some, columns) if len(others) > 1 else 0
    return total + np.select([x[:, 0] == b for b in range(levels[0])], parts)


def _needle(rng, levels, x):
    """Additive, and one small region far above it."""
    smooth = _additive(rng, levels, x)
    centre = x[rng.integers(len(x))]
    near = (x != centre).sum(axis=1)
    return smooth / smooth.std() + 4.0 * (near == 0) + 2.0 * (near == 1)


def _plateau(rng, levels, x):
    smooth = _pairwise(rng, levels, x)
    return np.round(1.5 * (smooth - smooth.mean()) / smooth.std())


def _outliers(rng, levels, x):
    """A product of effects, whose best are orders of magnitude ahead."""
    return np.exp(1.2 * _additive(rng, levels, x))


def _failures(rng, levels, x):
    """A third of the architectures fail and score a constant."""
    smooth = _pairwise(rng, levels, x)
    failed = _additive(rng, levels, x)
    return np.where(failed < np.quantile(failed, 1 / 3), smooth.min() - 3 * smooth.std(), smooth)


def _at(levels, x):
    """Positions of the levels in [0, 1]."""
    return x / (np.array(levels) - 1)


def _valley(rng, levels, x):
    """A curved valley, as of learning rate and weight decay, in a bowl of the others."""
    place = _at(levels, x)
    bend = place[:, 0] - rng.uniform(0.3, 0.7) + rng.uniform(0.5, 1.0) * (place[:, 1] - 0.5) ** 2
    along = place[:, 1] - rng.uniform(0.2, 0.8)
    return -8 * bend**2 - along**2 + 0.5 * _ordinal(rng, levels[2:], x[:, 2:])


def _cliff(rng, levels, x):
    """Rises with the first choice until training diverges, sooner where the second is high."""
    place = _at(levels, x)
    limit = rng.uniform(0.6, 0.9) - rng.uniform(0.1, 0.4) * place[:, 1]
    score = 2 * place[:, 0] - 0.5 * place[:, 1] + _ordinal(rng, levels[1:], x[:, 1:])
    return np.where(place[:, 0] > limit, score.min() - 1, score)


def _optimizer(rng, levels, x):
    """A category moves the optimum of an ordered choice; one more counts for half of them."""
    place = _at(levels, x)
    best, gain = rng.uniform(0.1, 0.9, levels[0]), 0.4 * rng.normal(size=levels[0])
    has = rng.random(levels[0]) < 0.5
    score = gain[x[:, 0]] - 4 * (place[:, 1] - best[x[:, 0]]) ** 2
    score -= has[x[:, 0]] * (place[:, 2] - rng.uniform(0.2, 0.8)) ** 2
    return score + 0.5 * _ordinal(rng, levels[3:], x[:, 3:])


def _peak(rng, levels, x):
    """A flat bowl with a narrow peak inside the box."""
    off = _at(levels, x) - rng.uniform(0.25, 0.75, len(levels))
    return -0.3 * (off**2).sum(axis=1) + np.exp(-((off / 0.2) ** 2).sum(axis=1))


def _waves(rng, levels, x):
    """A smooth random function of the positions."""
    waves = rng.normal(size=(len(levels), 256)) * 2.5
    phase = rng.uniform(0, 2 * np.pi, 256)
    return np.cos(_at(levels, x) @ waves + phase) @ rng.normal(size=256)


def _layers(rng, levels, x):
    """Layers of a network: later ones count more, neighbours interact, and labels are noisy."""
    depth = len(levels)
    quality = rng.normal(size=levels[0])
    score = np.zeros(len(x))
    for layer, column in enumerate(x.T):
        own = 0.6 * quality + 0.8 * rng.normal(size=levels[layer])
        score += (0.5 + layer / depth) * own[column]
    for left, right in itertools.pairwise(range(depth)):
        score += 0.4 * rng.normal(size=(levels[left], levels[right]))[x[:, left], x[:, right]]
    return score


SHAPES = {
    "additive": (_additive, (5,) * 6),
    "pairwise": (_pairwise, (4,) * 6),
    "ordinal": (_ordinal, (8, 6, 10, 5, 4)),
    "mixed": (_mixed, (8, 6, 5, 4, 4, 3)),
    "conditional": (_conditional, (4, 5, 6, 5, 4, 3)),
    "needle": (_needle, (5,) * 6),
    "plateau": (_plateau, (4,) * 6),
    "outliers": (_outliers, (5,) * 6),
    "failures": (_failures, (4,) * 6),
    "valley": (_valley, (9, 7, 5, 5, 4)),
    "cliff": (_cliff, (10, 6, 6, 4, 4)),
    "optimizer": (_optimizer, (4, 9, 5, 6, 5)),
    "peak": (_peak, (8, 8, 8, 8)),
    "waves": (_waves, (10, 10, 10, 10)),
    "layers": (_layers, (9,) * 22),
}
"""Function and levels by the name of the shape."""
