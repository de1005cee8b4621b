"""Arithmetic and conditions that a user writes, such as ``params < 5e6``, on whole columns.

The text is read by Python's grammar and only what is listed in `ALLOWED` is given a meaning, so it
can neither call nor reach anything. Numbers are float64: ``9**9**9`` is infinite, at once.

A name that is no word stands in backticks: ```number of layers` < 3``.

A value is absent where a column holds None or NaN. Absent makes arithmetic absent (so does text),
and a comparison with it is False, ``!=`` and ``not in`` too; ``not`` of that is True, as ever.
``is None`` and ``is not None`` ask for it. Text and a number differ, and neither is less.
"""

import ast
import dataclasses
import difflib
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weaknas_jax.core import cells, quoting

ALLOWED = (
    "numbers, 'text' to compare with, True, False, names (`in backticks` if they are no words), "
    "+ - * / // % **, < <= > >= == !=, in and not in (a, list), is None, is not None, and, or, "
    "not, and min max abs log sqrt exp of them"
)
_TRIED = 32  # values in place of an absent one
LENGTH, DEPTH = 2_000, 100  # of a text, of its nesting: enough for people, harmless to the stack

_ARITHMETIC = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
    ast.Pow: np.power,
}
_COMPARISONS = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_CONNECTIVES = {ast.And: np.logical_and, ast.Or: np.logical_or}
_OF_ONE = {"abs": np.abs, "log": np.log, "sqrt": np.sqrt, "exp": np.exp}
_OF_MANY = {"min": np.minimum, "max": np.maximum}

Columns = Mapping[str, np.ndarray]
_Meaning = Callable[[Columns], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Expression:
    """A parsed expression; make it by `parse`.

    Attributes:
      text: as it was written.
      names: the columns that it needs, sorted.
      asked: those of them of which it asks whether they are absent.
    """

    text: str
    names: tuple[str, ...]
    asked: frozenset[str]
    _what: str = dataclasses.field(repr=False)
    _meaning: _Meaning = dataclasses.field(repr=False, compare=False)

    def __call__(self, columns: Columns) -> np.ndarray:
        """Its value for each of N rows: bool [N] of a condition, else float64 [N].

        A bare name of a column of texts gives that.

        Args:
          columns: [N] each: numbers, texts, or objects that are a number, a text or None.

        Raises:
          ValueError: a name is not among them, or its column holds something else.
        """
        size = len(next(iter(columns.values()), [None]))
        read = {name: self._read(name, columns) for name in self.names}
        with np.errstate(all="ignore"):
            return np.broadcast_to(self._meaning(read), size).copy()

    def remarks(self, columns: Columns) -> list[str]:
        """Counts of rows that a condition excludes only by a missing value, one line a column.

        Of those rows some value that the column has elsewhere would meet it. A column of which it
        asks ``is None`` is left out.

        Args:
          columns: as of a call.
        """
        allowed, lines = cells.truth(self(columns)), []
        for name in self.names:
            column = self._read(name, columns)
            absent = ~cells.present(column)
            if name in self.asked or not absent.any() or absent.all():
                continue
            values = np.unique(column[~absent].astype(str), return_index=True)[1]
            some = values[np.linspace(0, len(values) - 1, min(_TRIED, len(values))).astype(int)]
            lost = np.zeros(len(column), bool)
            for value in column[~absent][some]:
                with_value = {**columns, name: np.where(absent, value, column)}
                lost |= cells.truth(self(with_value)) & absent & ~allowed
            if lost.any():
                keep = f"({quoting.as_name(name)} is None or ...)"
                lines.append(
                    f"{self._what}: {lost.sum():,} of {len(lost):,} are dropped because {name!r} "
                    f"has no value there; to keep them write {keep} around what is asked of it"
                )
        return lines

    def _read(self, name: str, columns: Columns) -> np.ndarray:
        """A column as bool, float64 (NaN = absent), text or objects (None = absent)."""
        if name not in columns:
            close = difflib.get_close_matches(name, columns, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            known = ", ".join(map(quoting.as_name, sorted(columns))) or "none"
            raise ValueError(f"{self._what}: there is no {name!r}; {hint}There are: {known}")
        column = np.asarray(columns[name])
        if column.dtype.kind in "fiu":
            return column.astype(np.float64)
        if column.dtype.kind in "bU":
            return column
        if column.dtype.kind == "S":
            return np.char.decode(column, "utf-8", "replace")
        column = column.astype(object)
        present = [value for value in column if not cells.absent(value)]
        if all(isinstance(value, bool | np.bool_) for value in present):
            return column.astype(bool if len(present) == len(column) else np.float64)
        if all(cells.is_number(value) for value in present):
            return column.astype(np.float64)
        for value in present:
            if not (cells.is_number(value) or isinstance(value, str)):
                why = f"is {value!r} somewhere, which is neither a number nor text"
                raise ValueError(f"{self._what}: {name!r} {why}")
        return np.where(cells.present(column), column, None)  # pyright: ignore[reportCallIssue]


def parse(text: str, what: str) -> Expression:
    """Reads an expression.

    >>> cheap = parse("params < 5e6 and op in ('conv', 'pool')", "--constraint")
    >>> cheap.names
    ('op', 'params')
    >>> cheap({"params": np.array([1e6, 2e6, 9e6]), "op": np.array(["conv", "none", "pool"])})
    array([ True, False, False])
    >>> parse("log(x) / 0", "--cost")({"x": np.array([1.0, np.e])})
    array([nan, inf])
    >>> parse("x.size", "--cost")
    Traceback (most recent call last):
    ...
    ValueError: --cost: 'x.size' is not allowed; allowed are numbers, 'text' to compare with, ...

    Args:
      text: what the user wrote.
      what: what errors begin with: the flag or field, and its value.

    Raises:
      ValueError: it is none, or says something that is not in `ALLOWED`; names the part.
    """
    if not text.strip():
        raise ValueError(f"{what}: is empty; allowed are {ALLOWED}")
    if len(text) > LENGTH:
        raise ValueError(f"{what}: has {len(text):,} characters; at most {LENGTH:,} are read")
    source, quoted = quoting.without_backticks(text.strip(), what, ALLOWED)
    reader = _Reader(source, what, quoted)
    try:
        tree = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        rest = reader.as_written((error.text or "")[(error.offset or 1) - 1 :])
        where = f" at {rest!r}" if rest else ""
        why = f"cannot be read{where} ({error.msg})"
        raise ValueError(f"{what}: {why}; allowed are {ALLOWED}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"{what}: cannot be read ({error}); allowed are {ALLOWED}") from None
    meaning = reader.read(tree)
    names, asked = tuple(sorted(reader.names)), frozenset(reader.asked)
    return Expression(text, names, asked, what, meaning)


class _Reader:
    """Evaluates the allowed nodes of a syntax tree, and rejects all others.

    A meaning takes the columns to an array [N] or [] of bool, float64, text or objects.
    """

    def __init__(self, text: str, what: str, quoted: Mapping[str, str]):
        self.text, self.what, self.quoted = text, what, quoted
        self.names, self.asked = set(), set()

    def as_written(self, part: str) -> str:
        """A part of the text, with names in backticks restored."""
        for word, name in self.quoted.items():
            part = part.replace(word, f"`{name}`")
        return part

    def read(self, node: ast.AST, depth: int = 0) -> _Meaning:
        """A number, a truth value or a column."""
        if depth > DEPTH:
            raise ValueError(f"{self.what}: is nested more than {DEPTH} deep")
        read = functools.partial(self.read, depth=depth + 1)
        match node:
            case ast.Constant(value=bool() | int() | float()):
                value = self._constant(node)
                return lambda columns: value
            case ast.Constant(value=str()):
                raise self._error(node, "can only be compared, with a column or in a list")
            case ast.Name(id=name):
                name = self.quoted.get(name, name)
                self.names.add(name)
                return lambda columns: columns[name]
            case ast.UnaryOp(op=ast.USub()):
                operand = read(node.operand)
                return lambda columns: -cells.number(operand(columns))
            case ast.UnaryOp(op=ast.Not()):
                operand = read(node.operand)
                return lambda columns: np.logical_not(cells.truth(operand(columns)))
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return _joined(
                    _ARITHMETIC[type(node.op)], cells.number, read(node.left), read(node.right)
                )
            case ast.BoolOp():
                return _joined(_CONNECTIVES[type(node.op)], cells.truth, *map(read, node.values))
            case ast.Compare():
                return self._comparison(node, depth + 1)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _OF_ONE | _OF_MANY:
                return self._call(node, name, depth + 1)
        raise self._error(node, "is not allowed")

    def _comparison(self, node: ast.Compare, depth: int) -> _Meaning:
        """A chain: every neighbouring pair must hold."""
        operands, pairs = [node.left, *node.comparators], []
        for op, left, right in zip(node.ops, operands, operands[1:], strict=False):
            if isinstance(right, ast.Constant) and right.value is None:
                pairs.append(self._absence(op, left, depth))
            elif isinstance(op, ast.In | ast.NotIn):
                pairs.append(self._membership(op, left, right, depth))
            elif type(op) in _COMPARISONS:
                compare = functools.partial(cells.compare, _COMPARISONS[type(op)])
                sides = (self._side(side, depth) for side in (left, right))
                pairs.append(_joined(compare, lambda value: value, *sides))
            else:
                raise self._error(node, "is not allowed")
        return _joined(np.logical_and, cells.truth, *pairs)

    def _absence(self, op: ast.cmpop, left: ast.AST, depth: int) -> _Meaning:
        if not isinstance(op, ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
            raise self._error(left, "can only be compared with None by 'is None', 'is not None'")
        side, wanted = self._side(left, depth), isinstance(op, ast.IsNot | ast.NotEq)
        if isinstance(left, ast.Name):
            self.asked.add(self.quoted.get(left.id, left.id))
        return lambda columns: cells.present(side(columns)) == wanted

    def _membership(self, op: ast.cmpop, left: ast.AST, right: ast.AST, depth: int) -> _Meaning:
        if not isinstance(right, ast.Tuple | ast.List):
            raise self._error(right, "is no list; after 'in' give one, such as ('a', 'b') or (3,)")
        side, values = self._side(left, depth), [self._constant(item) for item in right.elts]

        def member(columns: Columns) -> np.ndarray:
            asked = side(columns)
            found = np.zeros(np.shape(asked), bool)
            for value in values:
                found = found | cells.compare(operator.eq, asked, value)
            return found if isinstance(op, ast.In) else cells.present(asked) & ~found

        return member

    def _call(self, node: ast.Call, name: str, depth: int) -> _Meaning:
        if name in _OF_ONE and len(node.args) != 1:
            raise self._error(node, f"is not allowed: {name} takes one value")
        if name in _OF_MANY and len(node.args) < 2:
            raise self._error(node, f"is not allowed: {name} takes two or more values")
        values = [self.read(value, depth) for value in node.args]
        if name in _OF_MANY:
            return _joined(_OF_MANY[name], cells.number, *values)
        return lambda columns: _OF_ONE[name](cells.number(values[0](columns)))

    def _side(self, node: ast.AST, depth: int) -> _Meaning:
        """An operand of a comparison, where text is allowed."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = self._constant(node)
            return lambda columns: text
        return self.read(node, depth)

    def _constant(self, node: ast.AST) -> np.ndarray:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
                return -cells.number(self._constant(node.operand))
            case ast.Constant(value=bool() as value):
                return np.asarray(value)
            case ast.Constant(value=str() as value):
                return np.asarray(value)
            case ast.Constant(value=int() | float() as value):
                try:
                    return np.asarray(value, np.float64)
                except OverflowError:
                    raise self._error(node, "is too large a number") from None
        raise self._error(node, "is neither a number nor 'text'")

    def _error(self, node: ast.AST, why: str) -> ValueError:
        part = self.as_written(ast.get_source_segment(self.text, node) or self.text)
        return ValueError(f"{self.what}: {part!r} {why}; allowed are {ALLOWED}")


def _joined(join: Callable[..., Any], of: Callable[..., Any], *parts: _Meaning) -> _Meaning:
    return lambda columns: functools.reduce(join, [of(part(columns)) for part in parts])
