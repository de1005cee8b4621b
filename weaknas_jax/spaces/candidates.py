"""The rows that a search of `Choices` ranks: the whole of a small space, a sample of a large one.

A sample is refreshed periodically. Rows that were asked for stay; of the others the most promising
stay, half become mutations of the best known architectures, and the rest is new. Every draw depends
only on the seed and the number of the refresh, so that a replay gives the same rows.

In a *tight* space, where random rows rarely meet the constraint, the sample holds the feasible rows
found so far (`feasible`); the rest is empty until more are found.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from weaknas_jax.spaces import feasible, listed
from weaknas_jax.spaces.choice import BIG, stepped
from weaknas_jax.spaces.choices import Choices, SpaceError
from weaknas_jax.spaces.clock import Clock

SIZE = 10_000
_STAY, _PARENTS, _TRIES = 0.2, 8, 200
_SAMPLE, _SHARE = 10_000, 0.005  # a constraint that fewer of so many rows meet is tight
LOOKS = {"start": 2_000_000, "refresh": 20_000, "last": 1_000_000}
"""Rows of a tight space to examine for allowed ones: at the start, at a refresh of the sample, and
each time that all known ones were asked for. A constraint that is a function is called once for
each."""


class Pool(NamedTuple):
    """Rows of a space.

    Attributes:
      codes: [N, choices], see `choices.Choices`.
      whole: it is the whole space, and never changes.
      refreshes: number of refreshes.
      filled: number of rows that hold an architecture, from the first; None = all of them.
      looked: number of rows examined to find these; 0 = the space is not tight.
    """

    codes: np.ndarray
    whole: bool
    refreshes: int = 0
    filled: int | None = None
    looked: int = 0

    @property
    def held(self) -> int:
        """Number of architectures that it holds."""
        return len(self.codes) if self.filled is None else self.filled


def start(choices: Choices, seed: int, size: int = SIZE) -> Pool:
    """The whole space, or a sample of ``size`` rows if it is larger.

    Raises:
      SpaceError: no architecture meets the constraint, or none was found that does.
    """
    codes = choices.enumerate()
    if codes is not None and not len(codes):
        everything = Choices(choices.choices, architectures=choices.architectures)
        count = len(everything.enumerate())
        raise SpaceError(
            f"constraint={_short(choices.constraint)}: no architecture meets it, of the {count:,} "
            "that there are"
        )
    if codes is not None and len(codes) <= size:
        return Pool(codes, whole=True)
    rng = np.random.default_rng([seed, 0])
    if codes is not None:
        return Pool(codes[np.sort(rng.permutation(len(codes))[:size])], whole=False)
    nothing = np.zeros((0, len(choices.names)), choices.dtype)
    rows, looked = _fill(choices, nothing, nothing, size, rng, may_be_tight=True)
    if not looked:
        return Pool(rows, whole=False)
    more, further = feasible.look(
        choices, rng, size - len(rows), LOOKS["start"], rows, rows, _reporter(choices, size, rows)
    )
    rows, looked = np.concatenate([rows, more]), looked + further
    if not len(rows):
        raise SpaceError(
            f"constraint={_short(choices.constraint)}: no architecture was found to meet it among "
            f"the {looked:,} looked at; loosen it, or list the architectures (`architectures`)"
        )
    return Pool(_padded(rows, size), False, 0, len(rows), looked)


def refresh(
    choices: Choices,
    pool: Pool,
    seed: int,
    asked: np.ndarray,
    best: np.ndarray,
    worth: np.ndarray,
    looks: int = LOOKS["refresh"],
) -> Pool:
    """A sample with new rows in place of some that were not queried.

    Args:
      choices, pool, seed: of the search.
      asked: bool [N], rows that stay where they are.
      best: rows of known architectures, the best first.
      worth: float32 [N], predicted scores; the best of the other rows stay.
      looks: rows to examine for allowed ones, in a tight space.
    """
    if pool.whole:
        return pool
    number, size = pool.refreshes + 1, len(pool.codes)
    rng = np.random.default_rng([seed, number])
    free = np.flatnonzero(~asked[: pool.held])
    order = free[np.argsort(-worth[free], kind="stable")]
    parents = pool.codes[best[:_PARENTS]]
    if pool.looked:
        return _refreshed_tight(choices, pool, rng, order[::-1], parents, looks)
    stay = order[: int(_STAY * len(free))]
    kept = np.concatenate([np.flatnonzero(asked), stay])
    wanted = size - len(kept)
    if choices.listed:
        fresh = _of_list(choices.enumerate(), pool.codes[kept], parents, wanted, rng)
    else:
        fresh = _fill(choices, pool.codes[kept], parents, wanted, rng)[0]
    codes, open_rows = pool.codes.copy(), np.setdiff1d(np.arange(size), kept)
    if len(fresh) < len(open_rows):  # the space is nearly exhausted: some old rows stay
        new = {row.tobytes() for row in fresh}
        old = [row for row in pool.codes[open_rows] if row.tobytes() not in new]
        fresh = np.concatenate([fresh, old[: len(open_rows) - len(fresh)]])
    codes[open_rows] = fresh
    return Pool(codes, whole=False, refreshes=number)


def find(pool: Pool, codes: np.ndarray) -> int | None:
    """The row of an architecture, None if it is not in the pool."""
    rows = np.flatnonzero((pool.codes[: pool.held] == codes).all(axis=1))
    return int(rows[0]) if len(rows) else None


def mutate(choices: Choices, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A child of each parent [N, choices]: one active choice in it gets another option, others may.

    Of an ordered choice of very many options half of the changes are steps, evenly on a log scale.
    Consistent, but not held to the constraint.
    """
    size, slots = parents.shape
    options = np.array([len(choice.options) for choice in choices.choices.values()])
    movable = (parents >= 0) & (options > 1)
    chance = np.where(movable, rng.random((size, slots)), -1.0)
    hit = movable & (rng.random((size, slots)) < 1 / slots)
    hit[np.arange(size), chance.argmax(axis=1)] |= movable.any(axis=1)
    step = 1 + rng.integers(np.maximum(options - 1, 1), size=(size, slots))
    children = np.where(hit, (parents + step) % options, parents)
    for at, choice in enumerate(choices.choices.values()):
        if choice.ordered and options[at] > BIG:
            near = np.flatnonzero(hit[:, at] & (rng.random(size) < 0.5))
            among = np.full(len(near), options[at])
            children[near, at] = stepped(parents[near, at], among, rng)
    return choices.complete(children, rng)


def _refreshed_tight(choices, pool: Pool, rng, worst: np.ndarray, parents, looks: int) -> Pool:
    """Fills empty rows first, then replaces a part of those not asked for, ``worst`` first.

    Half of the new rows are found near ``parents``, if there are any.
    """
    there, size = pool.codes[: pool.held], len(pool.codes)
    empty = np.arange(pool.held, size)
    room = np.concatenate([empty, worst[: len(worst) - int(_STAY * len(worst))]])
    report = _reporter(choices, size, there)
    near, looked = np.zeros((0, there.shape[1]), there.dtype), 0
    if len(parents):
        half = len(room) // 2
        near, looked = feasible.look(choices, rng, half, looks // 2, there, parents, report)
    homes = there[rng.integers(len(there), size=min(len(there), 1000))]
    taken = np.concatenate([there, near])
    wanted = len(room) - len(near)
    far, further = feasible.look(choices, rng, wanted, looks - looked, taken, homes, report)
    fresh, codes = np.concatenate([near, far]), pool.codes.copy()
    codes[room[: len(fresh)]] = fresh
    filled = pool.held + min(len(empty), len(fresh))
    looked += pool.looked + further
    return Pool(_padded(codes[:filled], size), False, pool.refreshes + 1, filled, looked)


def _padded(rows: np.ndarray, size: int) -> np.ndarray:
    """Rows [n, choices] repeated up to ``size``, which keeps their distribution."""
    return rows[np.arange(size) % len(rows)]


def _of_list(
    rows: np.ndarray, kept: np.ndarray, parents: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    """``size`` rows of a list that are not ``kept``, half of them those nearest to ``parents``."""
    rows = rng.permutation(rows[~listed.among(rows, kept)])
    if len(parents):
        near = np.argsort(listed.nearest(rows, parents), kind="stable")[: size // 2]
        rows = np.concatenate([rows[near], np.delete(rows, near, axis=0)])
    return rows[:size]


def _fill(
    choices: Choices,
    taken: np.ndarray,
    parents: np.ndarray,
    size: int,
    rng: np.random.Generator,
    may_be_tight: bool = False,
) -> tuple[np.ndarray, int]:
    """Up to ``size`` rows that are not ``taken``, half of them children of ``parents``.

    Also the number of rows examined if the space turned out to be tight, 0 = it is not.
    """
    known = {row.tobytes() for row in np.ascontiguousarray(taken, choices.dtype)}
    found, want_children = [], size // 2 if len(parents) else 0
    looked, met, report = 0, 0, _reporter(choices, size, taken[:0])
    for _ in range(_TRIES):
        if len(found) >= size:
            break
        count = max(64, size - len(found))
        if len(found) < want_children:
            drawn = mutate(choices, parents[rng.integers(len(parents), size=count)], rng)
            limit = want_children
        else:
            drawn = choices.complete(np.full((count, len(choices.names)), -1, choices.dtype), rng)
            limit = size
        allowed = drawn[choices.allowed(drawn)]
        looked, met = looked + len(drawn), met + len(allowed)
        for row in allowed:
            name = row.tobytes()
            if len(found) < limit and name not in known:
                known.add(name)
                found.append(row)
        report(len(found), looked)
        if may_be_tight and looked >= _SAMPLE and met < _SHARE * looked:
            break
    tight = may_be_tight and len(found) < size and met < _SHARE * looked
    rows = np.array(found, choices.dtype).reshape(-1, taken.shape[1])
    return rows, looked if tight else 0


def _reporter(choices: Choices, size: int, there: np.ndarray) -> Callable[[int, int], None]:
    clock = Clock(f"constraint={_short(choices.constraint)}:")

    def report(new: int, looked: int) -> None:
        count = len(there) + new
        clock(f"{count:,} of {size:,} architectures found so far, {looked:,} looked at now")

    return report


def _short(constraint: object) -> str:
    if not isinstance(constraint, str):
        return getattr(constraint, "__name__", "of the space")
    return repr(constraint if len(constraint) < 80 else f"{constraint[:77]}...")
