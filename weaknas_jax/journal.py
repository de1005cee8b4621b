"""The journal of a search with real jobs: a file of lines that is only ever appended to.

Each line is a checksum and a JSON object, on disk before the search goes on:

    {"kind": "search", ...}                      what is searched, how; the first line
    {"kind": "asked", "archs": [...]}            one ask of the method, in its order
    {"kind": "tried", "arch": ..., "error": ...} an attempt that failed and is repeated
    {"kind": "done", "arch": ..., "score": ...}  a finished query; score null = failed for good

Replaying the lines in order restores the state of the method exactly. A torn last line is what a
crash leaves: it is cut off, and said. Any other damage is an error, and nothing is changed.
"""

import contextlib
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

try:
    import fcntl
except ImportError:  # no such locks on this system
    fcntl = None

FORMAT = "weaknas-journal-1"


class JournalError(ValueError):
    """A journal that cannot be used; says which file, why, and what to do."""


class Journal(NamedTuple):
    """A journal open for appending.

    Attributes:
      path: where it is.
      file: the open file.
      records: what it held when it was opened, without the first line.
      torn: a torn last line was cut off.
    """

    path: Path
    file: Any
    records: list[dict[str, Any]]
    torn: bool

    def write(self, record: dict[str, Any]) -> None:
        """Appends a record; it is on disk when this returns.

        Raises:
          OSError: it cannot be written; what was there before is whole.
        """
        start = self.file.seek(0, os.SEEK_END)
        try:
            self.file.write(_line(record))
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # a torn line would be cut off at the next start
                self.file.truncate(start)
            raise


@contextlib.contextmanager
def opened(path: str | os.PathLike, header: dict[str, Any]) -> Iterator[Journal]:
    """The journal at ``path``, begun if there is none, for one process at a time.

    Args:
      path: a file.
      header: what is searched and how, as JSON; a journal that says otherwise is another search's.

    Raises:
      JournalError: another search's, damaged, in use, or no journal.
      OSError: it cannot be read or written.
    """
    path = Path(path)
    header = json.loads(json.dumps({"kind": "search", "format": FORMAT} | header))
    if not path.parent.is_dir():
        raise JournalError(f"{path}: the folder {path.parent} does not exist; make it first")
    with open(path, "a+b", buffering=0) as file:
        _lock(path, file)
        file.seek(0)
        content = file.read()
        records, good = _parse(path, content, _line(header))
        if good < len(content):
            file.truncate(good)
        journal = Journal(path, file, records[1:], good < len(content))
        if records:
            _same(path, records[0], header)
        else:
            journal.write(header)
            _sync_folder(path.parent)
        yield journal


def read(path: str | os.PathLike) -> list[dict[str, Any]]:
    """All records of a journal, the first line included; a torn last line is left out.

    Raises:
      JournalError: damaged, or no journal.
      OSError: it cannot be read.
    """
    return _parse(Path(path), Path(path).read_bytes(), b"")[0]


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, allow_nan=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(path: Path, content: bytes, first: bytes) -> tuple[list[dict[str, Any]], int]:
    """The records, and how many bytes of ``content`` they are; ``first``: what may be cut short."""
    records, at = [], 0
    while at < len(content):
        end = content.find(b"\n", at)
        record = None if end < 0 else _record(content[at:end])
        if record is None:
            if end < 0 or end == len(content) - 1:
                break  # the last line
            raise JournalError(
                f"{path}: line {len(records) + 1} is damaged, and more follow; restore the file, "
                "or name another"
            )
        records.append(record)
        at = end + 1
    ours = records[0].get("format") == FORMAT if records else _torn_at_once(content, first)
    if not ours:
        raise JournalError(f"{path}: not a journal of ours; name another file")
    return records, at


def _torn_at_once(content: bytes, first: bytes) -> bool:
    """Whether a file without a whole line is the beginning of a first line: this, or a long one."""
    other = re.fullmatch(rb'[0-9a-f]{8} \{"kind":"search","format":"weaknas[^\n]*', content)
    return first.startswith(content) or other is not None


def _record(line: bytes) -> dict[str, Any] | None:
    check, _, text = line.partition(b" ")
    try:
        whole = int(check, 16) == zlib.crc32(text)
        return json.loads(text) if whole and len(check) == 8 else None
    except ValueError:
        return None


def _same(path: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    differ = [name for name in here | there if here.get(name) != there.get(name)]
    if not differ:
        return
    said = ", ".join(f"{n}={_short(here.get(n))} (there: {_short(there.get(n))})" for n in differ)
    raise JournalError(f"{path}: the journal of another search: {said}; name another file")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _lock(path: Path, file: Any) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(
            f"{path}: another process is at work on it; wait for it, or name another file"
        ) from None


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system lets a folder be flushed
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
