"""Reads CSV text into columns; errors name line and column."""

import csv
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from weaknas_jax.storage.npz import TableError


class Sheet(NamedTuple):
    """The text of a CSV file by column, cells stripped of blanks around them."""

    where: str
    lines: list[int]  # of each row, from 1
    columns: dict[str, list[str]]

    def numbers(self, column: str, *, gaps: bool) -> np.ndarray:
        """A column as float64 [N]; with ``gaps``, an empty cell or "nan" is NaN, else an error."""
        numbers = np.full(len(self.lines), np.nan)
        for row, cell in enumerate(self.columns[column]):
            if cell == "" and gaps:
                continue
            value = number(cell)
            if value is None or np.isinf(value) or (np.isnan(value) and not gaps):
                hint = "leave the cell empty if there is none" if gaps else "expected a number"
                raise self.bad(row, column, hint)
            numbers[row] = value
        return numbers

    def bad(self, row: int, column: str, why: str) -> TableError:
        cell = self.columns[column][row]
        what = f"reads {cell!r}" if cell else "is empty"
        return TableError(f"{self.where}: line {self.lines[row]}, column {column!r} {what}; {why}")


def number(cell: str) -> float | None:
    """The number in a cell, or None."""
    try:
        return float(cell)
    except ValueError:
        return None


def read(path: str | os.PathLike) -> Sheet:
    """Reads a CSV file: UTF-8, commas, one header line, as many cells in every line.

    Raises:
      TableError: the file is missing or not of that form; the message names the line.
    """
    path, lines, rows = Path(path), [], []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                if cells:  # a blank line has none
                    rows.append([cell.strip() for cell in cells])
                    lines.append(reader.line_num)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    except csv.Error as error:
        raise TableError(f"{path}: line {len(lines) + 1} or later: not CSV ({error})") from None
    if not rows:
        raise TableError(f"{path}: no header line")
    header = rows[0]
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise TableError(f"{path}: line 1 has {name} between its cells; use commas")
    for position, column in enumerate(header):
        if column == "" or column in header[:position]:
            what = "has no name" if column == "" else f"is a second {column!r}"
            raise TableError(f"{path}: line {lines[0]}, column {position + 1} {what}")
    if len(rows) == 1:
        raise TableError(f"{path}: nothing but a header line; expected one architecture a line")
    for line, cells in zip(lines, rows, strict=True):
        if len(cells) != len(header):
            raise TableError(
                f"{path}: line {line} has {len(cells)} cells, the header has {len(header)}"
            )
        if any("\0" in cell for cell in cells):
            raise TableError(f"{path}: line {line} has a NUL character: not text")
    columns = dict(zip(header, map(list, zip(*rows[1:], strict=True)), strict=True))
    return Sheet(str(path), lines[1:], columns)
