"""Diagnosis of rows that violate a tight constraint: how badly, and which choices to change.

- Expression: each violated part of those joined by ``and`` blames the choices that it names; an
  equation or inequality also gives the size of its violation.
- Function: the choices that it read before it returned False are blamed, the last ones most.
- Anything else, or a function that reads everything first: all choices are blamed equally.

Only `Choices.allowed` decides what is allowed; this suggests what to change.
"""

import ast
import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.spaces import expressions
from weaknas_jax.spaces.choices import Choices, SpaceError


class Verdict(NamedTuple):
    """Diagnosis of P rows.

    Attributes:
      faults: float64 [P], 0 = the row is allowed; else smaller = nearer to that.
      blame: float64 [P, choices], how likely a change of each choice helps; 0 = not at all.
      gap: float64 [P], size of the violation of an equation or inequality; 0 = unknown.
    """

    faults: np.ndarray
    blame: np.ndarray
    gap: np.ndarray


Judge = Callable[[np.ndarray], Verdict]


def judge_of(choices: Choices, some: np.ndarray) -> Judge:
    """The most informative judge of a space; a function is tried on the codes ``some``."""
    if type(choices).allowed is Choices.allowed and isinstance(choices.constraint, str):
        return functools.partial(_by_parts, choices, _parts(choices))
    if type(choices).allowed is Choices.allowed and callable(choices.constraint):
        least = min((len(read) for read in readings(choices, some) if read is not None), default=0)
        if least < len(choices.names):  # it says no before it has read everything
            return functools.partial(_by_reading, choices)
    return functools.partial(by_nothing, choices)


class _Part(NamedTuple):
    """A condition that an expression joins with others by ``and``.

    Attributes:
      holds: the condition.
      missed: size of its violation; None = it has no size.
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
            with contextlib.suppress(ValueError):  # a comparison with text
                missed = expressions.parse(difference, "constraint")
        about = set(holds.names).union(*(choices.needs(name) for name in holds.names))
        parts.append(_Part(holds, missed, np.isin(choices.names, list(about)).astype(np.float64)))
    return parts


def _conditions(text: str) -> Iterator[tuple[str, str | None]]:
    """The conditions joined by ``and``, and for a comparison the difference of its sides."""
    try:
        nodes = [ast.parse(text.strip(), mode="eval").body]
    except SyntaxError:  # not Python syntax
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
    """Blames the choices that a function read before it returned False, the last ones most."""
    slots, names = len(choices.names), choices.names
    columns = {name: at for at, name in enumerate(names)}
    needs = [[columns[other] for other in choices.needs(name)] for name in names]
    faults, at_fault, weights = np.zeros(len(codes)), [], []
    for at, read in enumerate(readings(choices, codes)):
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


def readings(choices: Choices, codes: np.ndarray) -> Iterator[dict[str, None] | None]:
    """The names that the constraint read of each of codes [P, choices], in order; None = met."""
    for arch in choices.archs(codes):
        watched = _Watched(arch)
        watched.read = []
        try:
            meets = bool(choices.constraint(watched))  # pyright: ignore[reportCallIssue]
        except Exception as error:
            raise SpaceError(f"constraint: fails by {error!r}, for {arch}") from error
        yield None if meets else dict.fromkeys(watched.read)


def by_nothing(choices: Choices, codes: np.ndarray) -> Verdict:
    """A verdict of allowed or not, which blames all choices equally."""
    faults = np.where(choices.allowed(codes), 0.0, 1.0)
    return Verdict(faults, np.ones(codes.shape), np.zeros(len(codes)))


def _or_all(blame: np.ndarray) -> np.ndarray:
    """``blame`` with rows of zeros replaced by ones."""
    return np.where(blame.any(axis=1, keepdims=True), blame, 1.0)


class _Watched(dict):
    """An architecture that records the names read from it, in order; a read of the whole, as all.

    Reads that bypass it are harmless: the blame is only less precise.
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
