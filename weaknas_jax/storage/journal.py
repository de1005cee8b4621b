"""The journal of a search with real jobs: a file of lines that is only ever appended to.

Each line is a checksum and a JSON object, on disk before the search goes on:

    {"kind": "search", ...}                      what is searched, how; the first line
    {"kind": "settings", ...}                    settings that may differ between calls, as now
    {"kind": "asked", "archs": [...]}            one ask of the method, in its order
    {"kind": "tried", "arch": ..., "error": ...} an attempt that failed and is repeated
    {"kind": "done", "arch": ..., "score": ...}  a finished query; score null = failed for good
    {"kind": "repeat", "arch": ..., ...}         a further evaluation of one of the best, likewise
    {"kind": "again"}                            all queries had failed: the search restarts

A line's checksum covers all lines up to it, so that missing, repeated, changed or moved lines are
detected (format 2; in format 1 it covers the line alone, and only `storage.journal_lines` detects
such faults). Replaying the lines in order restores the state of
the method exactly. An incomplete last line, left by a crash, is cut off and reported. Any other
damage is an error, and nothing is changed; `repair` keeps the lines before it.
"""

import contextlib
import json
import os
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from weaknas_jax.storage import identity, journal_lines

FORMAT, UNCHAINED = "weaknas-journal-2", "weaknas-journal-1"


class JournalError(ValueError):
    """A journal that cannot be used; the message says which file, why, and what to do."""


class DamageError(JournalError):
    """A journal with a damaged line; `repair` keeps the lines before it."""


class Repair(NamedTuple):
    """Result of `repair`.

    Attributes:
      kept, dropped: lines.
      copy: the file as it was, None = nothing was wrong, and nothing was changed.
      why: what was wrong.
    """

    kept: int
    dropped: int
    copy: Path | None = None
    why: str | None = None


class Journal:
    """A journal open for appending; made by `opened`.

    Attributes:
      path: where it is.
      records: its records when opened, without the first line; record i is line i + 2.
      torn: a torn last line was cut off.
    """

    def __init__(self, path: Path, file: Any, records: list[dict], torn: bool, chain: int | None):
        self.path, self.records, self.torn = path, records, torn
        self._file, self._chain = file, chain  # the checksum so far, None = lines stand alone

    def write(self, record: dict[str, Any]) -> None:
        """Appends a record; it is on disk when this returns.

        Raises:
          OSError: it cannot be written; earlier records are intact.
        """
        line, check = _line(record, self._chain or 0)
        start = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"{self.path}: {written} of {len(line)} bytes could be written")
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # a torn line would be cut off at the next start
                self._file.truncate(start)
            raise
        if self._chain is not None:
            self._chain = check


@contextlib.contextmanager
def opened(
    path: str | os.PathLike, header: dict[str, Any], free: Collection[str] = ()
) -> Iterator[Journal]:
    """The journal at ``path``, created if it is missing, for one process at a time.

    Args:
      path: a file.
      header: what is searched and how, as JSON; a journal with another header is another search's.
      free: dotted names of it that may differ.

    Raises:
      identity.IdentityError: another search's; says what differs.
      JournalError: damaged, in use, or no journal.
      OSError: it cannot be read or written.
    """
    path = Path(path)
    header = json.loads(json.dumps({"kind": "search", "format": FORMAT} | header))
    if not path.parent.is_dir():
        raise JournalError(f"{path}: the folder {path.parent} does not exist; make it first")
    with _locked(path, "a+b") as file:
        scan = _checked(path, file.read(), _line(header, 0)[0])
        if scan.records:
            do = "name another file, or ask for what is there"
            first = scan.records[0] | {"format": FORMAT}  # either version of it goes on
            identity.check(path, first, header, free=free, do=do)
        if scan.torn:
            file.truncate(scan.good)
        journal = Journal(path, file, scan.records[1:], scan.torn, scan.chain)
        if not scan.records:
            journal.write(header)
            _sync_folder(path.parent)
        yield journal


def read(path: str | os.PathLike) -> list[dict[str, Any]]:
    """All records of a journal, the first line included; a torn last line is left out.

    Raises:
      JournalError: damaged, or no journal.
      OSError: it cannot be read.
    """
    return _checked(Path(path), Path(path).read_bytes()).records


def repair(path: str | os.PathLike) -> Repair:
    """Keeps the lines of a damaged journal up to the damage, and a copy of the file beside it.

    The same call of the search evaluates what the dropped lines held again.

    Raises:
      JournalError: no journal, in use, or its first line is damaged.
      OSError: it cannot be read or written.
    """
    path = Path(path)
    if not path.is_file():
        raise JournalError(f"{path}: there is no such file")
    with _locked(path, "r+b") as file:
        content = file.read()
        scan = _scan(path, content)
        if scan.damage is None:
            return Repair(len(scan.records), 0)
        if not scan.records:
            raise JournalError(f"{path}: {scan.damage}: it says what is searched; name another")
        copy = _backup(path, content)
        file.truncate(scan.good)
        os.fsync(file.fileno())
        dropped = content[scan.good :].rstrip(b"\n").count(b"\n") + 1
        return Repair(len(scan.records), dropped, copy, scan.damage)


class _Scan(NamedTuple):
    """Content of a file: the records up to the damage, if any, and their size in bytes."""

    records: list[dict[str, Any]]
    good: int
    chain: int | None = 0
    torn: bool = False
    damage: str | None = None


def _line(record: dict[str, Any], chain: int) -> tuple[bytes, int]:
    text = json.dumps(record, allow_nan=False, separators=(",", ":")).encode()
    check = zlib.crc32(text, chain)
    return b"%08x %s\n" % (check, text), check


def _checked(path: Path, content: bytes, first: bytes = b"") -> _Scan:
    """The content of a file, whose first line may be a part of ``first``; or `DamageError`."""
    scan = _scan(path, content, first)
    if scan.damage is None:
        return scan
    raise DamageError(
        f"{path}: {scan.damage}; restore the file, or keep the lines before that one (and a copy "
        f"of the file) by weaknas_jax.storage.journal.repair({str(path)!r})"
    )


def _scan(path: Path, content: bytes, first: bytes = b"") -> _Scan:
    records, ends, chain, damage = [], [0], 0, None
    while ends[-1] < len(content):
        end = content.find(b"\n", ends[-1])
        line = content[ends[-1] : end if end >= 0 else None]
        record = None if end < 0 else _record(line, chain or 0)
        if record is None:
            last = end in (-1, len(content) - 1)
            if not (last and (end < 0 or line.endswith(b"\0"))):  # zeros: of a file system
                damage = f"line {len(records) + 1} is damaged, or not the one that followed"
            break
        records.append(record)
        ends.append(end + 1)
        if not _is_chained(path, records[0]):
            chain = None
        elif chain is not None:
            chain = int(line[:8], 16)
    if not records and content:
        _check_beginning(path, content, first)
    if records and "mode" in records[0]:
        fault = journal_lines.misfit(records[0]["mode"], records[1:])
        if fault is not None:
            at, why = fault
            records, ends, damage = records[: at + 1], ends[: at + 2], f"line {at + 2} {why}"
    torn = damage is None and ends[-1] < len(content)
    return _Scan(records, ends[-1], chain, torn, damage)


def _record(line: bytes, chain: int) -> dict[str, Any] | None:
    text = line[9:]
    if line[:9] != b"%08x " % zlib.crc32(text, chain):
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _is_chained(path: Path, first: dict[str, Any]) -> bool:
    """Whether the lines after this first one are chained."""
    kind = first.get("format")
    if kind not in (FORMAT, UNCHAINED):
        later = isinstance(kind, str) and kind.startswith("weaknas-journal-")
        why = f"is of a later version ({kind})" if later else "not a journal of ours"
        raise JournalError(f"{path}: {why}; name another file")
    return kind == FORMAT


def _check_beginning(path: Path, content: bytes, first: bytes) -> None:
    """Refuses a file without a complete line, unless it is the start of a journal's first line."""
    begins = rb'[0-9a-f]{8} \{"kind":"search","format":"weaknas.*'
    if not (first.startswith(content) or re.fullmatch(begins, content, re.DOTALL)):
        raise JournalError(f"{path}: not a journal of ours; name another file")


def _backup(path: Path, content: bytes) -> Path:
    """A copy of a file beside it, under an unused name."""
    number = 1
    while True:
        copy = path.with_name(f"{path.name}.damaged-{number}")
        with contextlib.suppress(FileExistsError), open(copy, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            return copy
        number += 1


@contextlib.contextmanager
def _locked(path: Path, mode: str) -> Iterator[Any]:
    """An open file, locked against other processes, at its beginning."""
    if path.exists() and not path.is_file():
        raise JournalError(f"{path}: is no regular file; name another")
    with open(path, mode, buffering=0) as file:
        if not filelock.lock_descriptor(file.fileno(), blocking=False):  # a dead process has none
            why = "another process is at work on it; wait for it, or name another file"
            raise JournalError(f"{path}: {why}")
        file.seek(0)
        yield file


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system lets a folder be flushed
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
