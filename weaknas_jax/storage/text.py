"""Values as text: JSON, CSV, and tables for a terminal or for Markdown."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]] | Sequence[Sequence[Any]]
"""Rows of a table: mappings by column, or lines of cells, the first of which names the columns."""


_NUMBERS = re.compile(r"\[\n([\s\d.,eE+nul-]+)\n\s*\]")  # no text of JSON holds a line break


def to_json(content: Any) -> str:
    """Indented JSON with a line break at its end; a list of numbers is one line.

    >>> print(to_json({"rows": [[1, 2], [None, 0.5]]}), end="")
    {
     "rows": [
      [1, 2],
      [null, 0.5]
     ]
    }

    Raises:
      ValueError: it contains NaN or infinity, which JSON cannot hold.
    """
    text = json.dumps(content, indent=1, allow_nan=False)
    return _NUMBERS.sub(lambda numbers: f"[{' '.join(numbers[1].split())}]", text) + "\n"


def to_csv(rows: Rows) -> str:
    """Rows as CSV, numbers unrounded; None is empty.

    >>> to_csv([{"a": 1}, {"a": None, "b": "x, y"}])
    'a,b\\n1,\\n,"x, y"\\n'
    """
    sheet = io.StringIO()
    csv.writer(sheet, lineterminator="\n").writerows(_lines(rows))
    return sheet.getvalue()


def _lines(rows: Rows) -> Sequence[Sequence[Any]]:
    if not rows or not isinstance(rows[0], Mapping):
        return rows
    records = [dict(row) for row in rows]
    names = list(dict.fromkeys(name for record in records for name in record))
    return [names, *([record.get(name) for name in names] for record in records)]


def columns(lines: Sequence[Sequence[str]], indent: str = "") -> str:
    """Lines of cells, each column as wide as its widest cell.

    >>> print(columns([["a", "b"], ["long", "c"]]))
    a     b
    long  c
    """
    return "\n".join((indent + "  ".join(line)).rstrip() for line in _padded(lines))


def markdown(lines: Sequence[Sequence[Any]]) -> str:
    """Lines of cells as a table of Markdown, the first one its head.

    >>> print(markdown([["a", "b"], ["long", "c"]]), end="")
    | a    | b   |
    | ---- | --- |
    | long | c   |
    """
    head, *body = _padded(lines, 3)
    rule = ["-" * len(cell) for cell in head]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *body))


def _padded(lines: Sequence[Sequence[Any]], least: int = 0) -> list[list[str]]:
    cells = [[str(cell) for cell in line] for line in lines]
    widths = [max(least, *map(len, column)) for column in zip(*cells, strict=True)]
    return [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in cells]
