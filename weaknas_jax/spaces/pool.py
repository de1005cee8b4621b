"""The rows that a search of `Choices` ranks: the whole of a small space, a sample of a large one.

A sample is refreshed now and then. What was asked for keeps its row; of the other rows some, the
most promising, stay, half are mutations of the best known architectures, and the rest is new. Every
draw depends on the seed and the number of the refresh alone, so that a replay finds the same rows.
"""

from typing import NamedTuple

import numpy as np

from weaknas_jax.spaces.choices import Choices, SpaceError

SIZE = 10_000
_STAY, _PARENTS, _TRIES = 0.2, 8, 200


class Pool(NamedTuple):
    """Rows of a space.

    Attributes:
      codes: int16 [N, choices], see `choices.Choices`.
      whole: it is all of the space, and never changes.
      refreshes: how often it was refreshed.
    """

    codes: np.ndarray
    whole: bool
    refreshes: int = 0


def start(choices: Choices, seed: int, size: int = SIZE) -> Pool:
    """The space, or a sample of ``size`` rows of it where there are more.

    Raises:
      SpaceError: no architecture meets the constraint, or hardly any does.
    """
    codes = choices.enumerate()
    if codes is not None and not len(codes):
        raise SpaceError(f"constraint={choices.constraint!r}: no architecture meets it")
    if codes is not None and len(codes) <= size:
        return Pool(codes, whole=True)
    rng = np.random.default_rng([seed, 0])
    if codes is not None:
        return Pool(codes[np.sort(rng.permutation(len(codes))[:size])], whole=False)
    nothing = np.zeros((0, len(choices.names)), np.int16)
    return Pool(_fill(choices, nothing, nothing, size, rng), whole=False)


def refresh(
    choices: Choices, pool: Pool, seed: int, asked: np.ndarray, best: np.ndarray, worth: np.ndarray
) -> Pool:
    """A sample with new rows in place of those that were not asked for.

    Args:
      choices, pool, seed: of the search.
      asked: bool [N], rows that stay where they are.
      best: rows of known architectures, the best first.
      worth: float32 [N], by which a part of the others stays.
    """
    if pool.whole:
        return pool
    number, size = pool.refreshes + 1, len(pool.codes)
    rng = np.random.default_rng([seed, number])
    free = np.flatnonzero(~asked)
    order = free[np.argsort(-worth[free], kind="stable")]
    stay = order[: int(_STAY * len(free))]
    kept = np.concatenate([np.flatnonzero(asked), stay])
    parents = pool.codes[best[:_PARENTS]]
    fresh = _fill(choices, pool.codes[kept], parents, size - len(kept), rng)
    codes, open_rows = pool.codes.copy(), np.setdiff1d(np.arange(size), kept)
    if len(fresh) < len(open_rows):  # nearly all that there is: some old rows stay
        new = {row.tobytes() for row in fresh}
        old = [row for row in pool.codes[open_rows] if row.tobytes() not in new]
        fresh = np.concatenate([fresh, old[: len(open_rows) - len(fresh)]])
    codes[open_rows] = fresh
    return Pool(codes, whole=False, refreshes=number)


def find(pool: Pool, codes: np.ndarray) -> int | None:
    """The row of an architecture, None if it has none."""
    rows = np.flatnonzero((pool.codes == codes).all(axis=1))
    return int(rows[0]) if len(rows) else None


def mutate(choices: Choices, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A child of each parent [N, choices]: one active choice in it gets another option, others may.

    Consistent, but not held to the constraint.
    """
    size, slots = parents.shape
    options = np.array([len(choice.options) for choice in choices.choices.values()])
    movable = (parents >= 0) & (options > 1)
    chance = np.where(movable, rng.random((size, slots)), -1.0)
    hit = movable & (rng.random((size, slots)) < 1 / slots)
    hit[np.arange(size), chance.argmax(axis=1)] |= movable.any(axis=1)
    step = 1 + rng.integers(np.maximum(options - 1, 1), size=(size, slots))
    return choices.complete(np.where(hit, (parents + step) % options, parents), rng)


def _fill(choices, taken: np.ndarray, parents: np.ndarray, size: int, rng) -> np.ndarray:
    """Up to ``size`` rows that are not ``taken``, half of them children of ``parents``."""
    known = {row.tobytes() for row in np.ascontiguousarray(taken, np.int16)}
    found, want_children = [], size // 2 if len(parents) else 0
    for _ in range(_TRIES):
        if len(found) >= size:
            break
        some = max(64, size - len(found))
        if len(found) < want_children:
            drawn = mutate(choices, parents[rng.integers(len(parents), size=some)], rng)
            limit = want_children
        else:
            drawn = choices.complete(np.full((some, len(choices.names)), -1, np.int16), rng)
            limit = size
        for row in drawn[choices.allowed(drawn)].astype(np.int16):
            name = row.tobytes()
            if len(found) < limit and name not in known:
                known.add(name)
                found.append(row)
    if not known:
        raise SpaceError(f"constraint={choices.constraint!r}: no architecture was found to meet it")
    return np.array(found, np.int16).reshape(-1, taken.shape[1])
