"""Local search for architectures that meet a tight constraint, which random rows rarely do.

Walkers move through the space. One that meets the constraint makes a small change (a choice or two,
a swap); if the result does not meet it, it is repaired. One that does not meet it changes a choice
that a `judge` blames, and keeps the change if it is no worse. A part of the rows is drawn at
random, most of them if no judge guides the walkers. Only `Choices.allowed` decides what is allowed.
"""

from collections.abc import Callable, Sequence

import numpy as np

from weaknas_jax.spaces.choice import stepped
from weaknas_jax.spaces.choices import Choices
from weaknas_jax.spaces.judge import by_nothing, judge_of

WALKERS, RANDOM = 256, 4096
"""Rows of a step: walkers, and random rows while walkers are not guided."""
ENOUGH, LONG, LONGEST = 1_000, 200_000, 500_000
"""Architectures that suffice after LONG examined rows; most rows to examine with guided walkers,
which rarely find anything new after that."""
_TRIED = 64
_OTHER, _STEP, _COPY, _SWAP = range(4)


def look(
    choices: Choices,
    rng: np.random.Generator,
    want: int,
    most: int,
    taken: np.ndarray,
    homes: Sequence[np.ndarray],
    report: Callable[[int, int], None] = lambda met, looked: None,
) -> tuple[np.ndarray, int]:
    """Up to ``want`` allowed rows that are not ``taken``, and the number of rows examined.

    Ends early if walkers only find known rows.

    Args:
      choices: the space.
      rng: of all draws.
      want, most: rows to find, and most rows to examine.
      taken: codes [n, choices] that are known already.
      homes: allowed codes [m, choices] to start from, the most important ones.
      report: called periodically with the numbers of rows found and examined.
    """
    slots = len(choices.names)
    nothing = np.full((WALKERS, slots), -1, choices.dtype)
    met = _Met(want, taken)
    homes = list(homes)
    rows, walkers = choices.complete(nothing, rng), np.arange(WALKERS)
    judge = judge_of(choices, rows[:_TRIED])
    even, unknown = np.ones((WALKERS, slots)), np.zeros(WALKERS)
    faults, blame, gap = unknown + np.inf, even.copy(), unknown.copy()
    guided = judge.func is not by_nothing
    most = min(most, LONGEST) if guided else most
    if homes:
        start = walkers % 2 == 0
        rows[start] = np.stack(homes)[rng.integers(len(homes), size=start.sum())]
        faults[start] = 0.0
    strict, age, patience = walkers % 4 < 2, np.zeros(WALKERS), 50 + 20 * slots
    walked, reached, drawn, lucky = _TRIED, 0, 0, 1  # rows looked at, and what they brought
    while walked + drawn < most and len(met.rows) < want and not met.stale:
        if len(met.rows) >= ENOUGH and walked + drawn >= LONG:
            break
        at_home = faults == 0
        moved = _moved(choices, rows, np.where(at_home[:, None], 1.0, blame), gap, rng)
        twice = at_home & (rng.random(WALKERS) < 0.5)
        moved[twice] = _moved(choices, moved[twice], even[twice], unknown[twice], rng)
        verdict = judge(moved)
        allowed = verdict.faults == 0
        fresh = met.take(moved[allowed])
        walked, reached, homes = walked + WALKERS, reached + len(fresh), homes + fresh
        accepted = (verdict.faults <= faults) | (at_home & ~strict)
        better = allowed | (verdict.faults < faults)
        rows[accepted], faults[accepted] = moved[accepted], verdict.faults[accepted]
        blame[accepted], gap[accepted] = verdict.blame[accepted], verdict.gap[accepted]
        share = 0.5 if guided else 4.0 if homes else np.inf
        if drawn <= share * walked and reached * drawn <= 3 * lucky * walked:
            chance = choices.complete(np.repeat(nothing, RANDOM // WALKERS, axis=0), rng)
            fresh = met.take(chance[choices.allowed(chance)])
            drawn, lucky, homes = drawn + RANDOM, lucky + len(fresh), homes + fresh
        age = np.where(accepted & better, 0, age + 1)
        lost = age > patience
        if lost.any():
            again = choices.complete(nothing[: lost.sum()], rng)
            back = np.full(len(again), np.inf)
            if homes:
                home = (rng.random(len(again)) < 0.5) | strict[lost]
                pick = rng.integers(len(homes), size=home.sum())
                again[home] = np.reshape([homes[at] for at in pick], (-1, slots))
                back[home] = 0.0
            rows[lost], faults[lost], age[lost], blame[lost], gap[lost] = again, back, 0, 1.0, 0.0
        report(len(met.rows), walked + drawn)
    return np.array(met.rows, choices.dtype).reshape(-1, slots), walked + drawn


class _Met:
    """Allowed rows found so far, without duplicates."""

    def __init__(self, want: int, taken: np.ndarray):
        self._want, self._again = want, 0
        self._names = {row.tobytes() for row in np.ascontiguousarray(taken)}
        self.rows: list[np.ndarray] = []

    @property
    def stale(self) -> bool:
        """Whether many allowed rows in succession were known already."""
        return self._again > 200 + 5 * len(self._names)

    def take(self, rows: np.ndarray) -> list[np.ndarray]:
        """Adds allowed rows; returns the new ones."""
        fresh = []
        for row in rows:
            name = row.tobytes()
            if name in self._names:
                self._again += 1
            elif len(self.rows) < self._want:
                self._names.add(name)
                self.rows.append(row.copy())
                fresh.append(row.copy())
                self._again = 0
        return fresh


def _moved(
    choices: Choices,
    rows: np.ndarray,
    weights: np.ndarray,
    gap: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Rows with one choice changed in each, drawn by ``weights`` [P, choices], and completed.

    Half of the steps of an ordered choice have the size ``gap`` [P] of the row, in values.
    """
    count, own = len(rows), list(choices.choices.values())
    options = np.array([len(choice.options) for choice in own])
    ordered = np.array([choice.ordered for choice in own])
    movable = (rows >= 0) & (options > 1)
    weights = np.where(movable, weights, 0.0)
    weights = np.where(weights.any(axis=1, keepdims=True), weights, movable)
    chance = rng.random(rows.shape) ** (1 / np.maximum(weights, 1e-12)) * (weights > 0)
    two = np.argsort(-chance, axis=1)[:, :2]
    at, partner, every = two[:, 0], two[:, -1], np.arange(count)
    kind, old, among = rng.integers(4, size=count), rows[every, at].astype(np.int64), options[at]
    other = (old + 1 + rng.integers(np.maximum(among - 1, 1), size=count)) % among
    near = stepped(np.maximum(old, 0), among, rng)
    spacing = np.array([getattr(choice.options, "step", 1) for choice in own], np.float64)[at]
    leap = np.minimum(np.round(gap / spacing), among).astype(np.int64)
    target = old + np.where(rng.random(count) < 0.5, leap, -leap)
    leaps = (leap > 0) & (target >= 0) & (target < among) & (rng.random(count) < 0.5)
    near = np.where(leaps, target, near)
    new = np.where((kind == _STEP) & ordered[at], near, other)
    moved = rows.copy()
    moves = movable[every, at]
    moved[every[moves], at[moves]] = new[moves]
    paired = moves & (kind >= _COPY) & (at != partner) & movable[every, partner]
    for i in np.flatnonzero(paired):
        here, there = own[at[i]], own[partner[i]]
        copied = here.place(there.options[rows[i, partner[i]]])
        if copied is None or copied == rows[i, at[i]]:
            continue
        moved[i, at[i]] = copied
        back = there.place(here.options[rows[i, at[i]]])
        if kind[i] == _SWAP and back is not None:
            moved[i, partner[i]] = back
    return choices.complete(moved, rng)
