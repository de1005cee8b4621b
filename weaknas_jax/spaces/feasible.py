"""Looking for the architectures that meet a tight constraint, where drawing at random hardly does.

Walkers go through the space. One that meets the constraint makes a small change (a choice or two,
a swap) and either stays among those that meet it or leaves and is mended; one that does not meet it
changes what is at fault, and keeps what is no worse. What is at fault a `Judge` says:

- of an expression the parts that ``and`` joins, each with the choices that it names, and by how
  much an equation or inequality is missed;
- of a function the choices that it had read before it said no, the last ones first;
- of anything else nothing: then walkers stay around what was met by chance.

A part of the rows is drawn at random throughout. Nothing here decides what is allowed: that is
always `Choices.allowed`.
"""

import ast
import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax import expressions
from weaknas_jax.spaces.choice import stepped
from weaknas_jax.spaces.choices import Choices, SpaceError

WALKERS, RANDOM = 256, 4096
"""Rows of a step: of walkers, and drawn at random as long as nothing leads walkers."""
ENOUGH, LONG, LONGEST = 1_000, 200_000, 500_000
"""So many architectures do once so many rows were looked at; so many rows at most where walkers are
led: what they have not come to by then they hardly will."""
_TRIED = 64
_OTHER, _STEP, _COPY, _SWAP = range(4)


class Verdict(NamedTuple):
    """What is wrong with P rows.

    Attributes:
      faults: float64 [P], 0 = the row is allowed; else the smaller, the nearer it is to that.
      blame: float64 [P, choices], how likely a change of each choice mends something; 0 = not.
      gap: float64 [P], by how much some equation or inequality is missed; 0 = nobody knows.
    """

    faults: np.ndarray
    blame: np.ndarray
    gap: np.ndarray


Judge = Callable[[np.ndarray], Verdict]


def look(
    choices: Choices,
    rng: np.random.Generator,
    want: int,
    most: int,
    taken: np.ndarray,
    homes: np.ndarray,
    report: Callable[[int, int], None] = lambda met, looked: None,
) -> tuple[np.ndarray, int]:
    """Up to ``want`` allowed rows that are not ``taken``, and how many rows were looked at.

    Ends early where walkers only meet what they have met before.

    Args:
      choices: the space.
      rng: of all draws.
      want, most: rows that are wanted, and that are looked at.
      taken: codes [n, choices] that are there.
      homes: allowed codes [m, choices] to start from, the most important ones.
      report: called with what was met so far, now and then.
    """
    slots = len(choices.names)
    nothing = np.full((WALKERS, slots), -1, choices.dtype)
    met = _Met(want, taken)
    homes = list(homes)
    rows, walkers = choices.complete(nothing, rng), np.arange(WALKERS)
    judge = judge_of(choices, rows[:_TRIED])
    even, unknown = np.ones((WALKERS, slots)), np.zeros(WALKERS)
    faults, blame, gap = unknown + np.inf, even.copy(), unknown.copy()
    guided = judge.func is not _by_nothing
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
        if reached * drawn <= 3 * lucky * walked and (not guided or drawn < walked // 2):
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
    """Rows that were met, each once."""

    def __init__(self, want: int, taken: np.ndarray):
        self._want, self._again = want, 0
        self._names = {row.tobytes() for row in np.ascontiguousarray(taken)}
        self.rows: list[np.ndarray] = []

    @property
    def stale(self) -> bool:
        """Whether nothing new came for long although much was met."""
        return self._again > 200 + 5 * len(self._names)

    def take(self, rows: np.ndarray) -> list[np.ndarray]:
        """Notes allowed rows; returns the new ones."""
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


def judge_of(choices: Choices, some: np.ndarray) -> Judge:
    """The judge of a space, the best that its constraint allows: ``some`` codes are tried."""
    if type(choices).allowed is Choices.allowed and isinstance(choices.constraint, str):
        return functools.partial(_by_parts, choices, _parts(choices))
    if type(choices).allowed is Choices.allowed and callable(choices.constraint):
        least = min((len(read) for read in _readings(choices, some) if read is not None), default=0)
        if least < len(choices.names):  # it says no before it has read everything
            return functools.partial(_by_reading, choices)
    return functools.partial(_by_nothing, choices)


class _Part(NamedTuple):
    """A condition that an expression joins with others by ``and``.

    Attributes:
      holds: the condition.
      missed: by how much it is missed, in numbers; None = that has no size.
      names: float64 [choices], 1 = it depends on that choice.
    """

    holds: expressions.Expression
    missed: expressions.Expression | None
    names: np.ndarray


def _parts(choices: Choices) -> list[_Part]:
    parts = []
    for text, difference in _conditions(choices.constraint):
        holds = expressions.parse(f"({text}) and True", "constraint")
        missed = None
        if difference is not None and all(choices.choices[n].numeric for n in holds.names):
            with contextlib.suppress(ValueError):  # a text that is compared with
                missed = expressions.parse(difference, "constraint")
        about = set(holds.names).union(*(choices.needs(name) for name in holds.names))
        parts.append(_Part(holds, missed, np.isin(choices.names, list(about)).astype(np.float64)))
    return parts


def _conditions(text: str) -> Iterator[tuple[str, str | None]]:
    """The conditions that ``and`` joins, and of a comparison the difference of its sides."""
    try:
        nodes = [ast.parse(text.strip(), mode="eval").body]
    except SyntaxError:  # a way of writing that is not Python's
        yield text, None
        return
    while nodes:
        node = nodes.pop(0)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            nodes = node.values + nodes
            continue
        if not isinstance(node, ast.Compare):
            yield ast.unparse(node), None
            continue
        sides = [node.left, *node.comparators]
        for op, left, right in zip(node.ops, sides, sides[1:], strict=False):
            pair = ast.unparse(ast.Compare(left, [op], [right]))
            sized = isinstance(op, ast.Eq | ast.Lt | ast.LtE | ast.Gt | ast.GtE)
            yield pair, f"({ast.unparse(left)}) - ({ast.unparse(right)})" if sized else None


def _by_parts(choices: Choices, parts: Sequence[_Part], codes: np.ndarray) -> Verdict:
    columns = choices.columns(codes)
    faults, blame, gap = np.zeros(len(codes)), np.zeros(codes.shape), np.zeros(len(codes))
    for part in parts:
        broken = ~np.asarray(part.holds(columns), bool)
        size = np.zeros(len(codes))
        if part.missed is not None and broken.any():
            size = np.nan_to_num(np.abs(part.missed(columns)), nan=0.0, posinf=1e300)
        faults += np.where(broken, 1.0 + np.minimum(np.log1p(size) / 50, 1.0), 0.0)
        gap = np.where(broken & (gap == 0), size, gap)
        blame += broken[:, None] * part.names
    met = faults == 0
    if met.any():
        met[met] = choices.allowed(codes[met])
    return Verdict(np.where((faults == 0) & ~met, 1.0, faults), _or_all(blame), gap)


def _by_reading(choices: Choices, codes: np.ndarray) -> Verdict:
    """What a function reads before it says no is at fault, what it reads last more likely."""
    slots, names = len(choices.names), choices.names
    columns = {name: at for at, name in enumerate(names)}
    needs = [[columns[other] for other in choices.needs(name)] for name in names]
    faults, at_fault, weights = np.zeros(len(codes)), [], []
    for at, read in enumerate(_readings(choices, codes)):
        if read is None:
            continue
        read = [columns[name] for name in read if name in columns] or range(slots)
        faults[at] = 2.0 - len(read) / slots
        for place, column in enumerate(read, 1):
            weight = 0.5 / len(read) + 0.5 ** min(len(read) - place + 2, 60)
            for one in (column, *needs[column]):
                at_fault.append(at * slots + one)
                weights.append(weight)
    blame = np.bincount(np.array(at_fault, int), weights, codes.size)
    return Verdict(faults, _or_all(blame.reshape(codes.shape)), np.zeros(len(codes)))


def _readings(choices: Choices, codes: np.ndarray) -> Iterator[dict[str, None] | None]:
    """Of each of codes [P, choices] the names that its constraint read, in order; None = met."""
    for arch in choices.archs(codes):
        watched = _Watched(arch)
        watched.read = []
        try:
            meets = bool(choices.constraint(watched))
        except Exception as error:
            raise SpaceError(f"constraint: fails by {error!r}, for {arch}") from error
        yield None if meets else dict.fromkeys(watched.read)


def _by_nothing(choices: Choices, codes: np.ndarray) -> Verdict:
    faults = np.where(choices.allowed(codes), 0.0, 1.0)
    return Verdict(faults, np.ones(codes.shape), np.zeros(len(codes)))


def _or_all(blame: np.ndarray) -> np.ndarray:
    """Where nothing is to blame everything is."""
    return np.where(blame.any(axis=1, keepdims=True), blame, 1.0)


class _Watched(dict):
    """An architecture that notes what is read of it, in order; all, where it is read as a whole.

    Reading past it does no harm: less is known of what is at fault.
    """

    __slots__ = ("read",)

    def _all(self) -> dict[str, Any]:
        self.read += dict.keys(self)
        return {name: dict.__getitem__(self, name) for name in dict.keys(self)}

    def __getitem__(self, name: str) -> Any:
        self.read.append(name)
        return dict.__getitem__(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.append(name)
        return dict.get(self, name, default)

    def __iter__(self) -> Iterator[str]:  # its own, so that dict(arch) and **arch read one by one
        return dict.__iter__(self)

    def keys(self):
        return dict.keys(self)

    def values(self):
        return self._all().values()

    def items(self):
        return self._all().items()

    def copy(self):
        return self._all()

    def __eq__(self, other: object) -> bool:
        return self._all() == other

    def __ne__(self, other: object) -> bool:
        return self._all() != other

    def __or__(self, other: Any) -> dict:
        return self._all() | other

    def __repr__(self) -> str:
        return repr(self._all())

    __hash__ = None


def _moved(
    choices: Choices,
    rows: np.ndarray,
    weights: np.ndarray,
    gap: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Rows with a choice changed in each, drawn by ``weights`` [P, choices]; consistent again.

    A step of an ordered choice is as often as not one of the ``gap`` [P] of its row in values.
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
