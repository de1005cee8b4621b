"""Decides which files may be replaced or removed: only those provably ours.

A file is recognised by its content (`kind_of`: the ``format`` of our JSON, the arrays of our
``.npz``, the mark in our pictures). Other files, mostly text, are listed with their checksum in
``.weaknas-files`` beside them, before they appear (`listed`). All else belongs to the user and is
refused by its path (`check`, `claim`). Folders that we clear have private names and a marker in
them (`checkpoint`). Nothing in the package replaces or removes a file but by `files` and this.
"""

import hashlib
import json
import os
import re
import secrets
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from weaknas_jax._version import __version__
from weaknas_jax.core.trace import RENAMED, Trace

LIST = ".weaknas-files"
SCRATCH = ".weaknas-"
"""Prefix of the names of incomplete files."""
_HEAD = {"format": "weaknas-files-1"}
MARK = "weaknas-picture-1"
"""Entry in the metadata of every picture."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link that leads nowhere",
}
FIELDS = {
    "config.json": {"config": {"flags", "settings", "runs", "sessions", "table_sha256"}},
    "sweep.json": {"sweep": {"axes", "flags", "platform", "versions"}},
    "predictors.json": {"predictors": {"flags", "label_transforms", "sessions", "table_sha256"}},
    "settings.json": {
        "settings": {"arch", "width", "image_size", "batch_size", "seed", "images", "warmup"}
    },
    "result.json": {"training": {"averaged", "last", "settings", "versions"}},
    "summary.json": {
        "search": {"curve", "queries_to_optimum", "final", "protocol"},
        "jobs": {"complete", "finished", "job_seconds", "best_so_far", "versions"},
        "subnetworks": {"complete", "queries", "promised", "curves", "versions"},
        "demo": {"tau", "winner_place", "spread", "sizes", "versions"},
    },
}
"""Fields that identify a JSON file without ``format``, by its name and kind."""


class NotOurs(ValueError):
    """A file in the way that is not ours; it is unchanged, the message says what to do."""


def ours(path: Path) -> bool:
    """Whether ``path`` is a regular file, or a link to one, that we can prove to have written."""
    return os.path.isfile(path) and (kind_of(path) is not None or listed(path))


def kind_of(path: Path, name: str | None = None) -> str | None:
    """The kind of a regular file, by its content; None = it may not be ours.

    JSON that says ``"format": "weaknas.jobs/2"`` is of the kind ``jobs``.

    Args:
      path: where the content is.
      name: the final name of the file, if different.
    """
    name = name or path.name
    try:
        if Path(name).suffix == ".json":
            return _kind_of_json(json.loads(path.read_bytes()), name)
        if Path(name).suffix == ".npz" or zipfile.is_zipfile(path):
            return "arrays" if _our_arrays(path, name) else None
        drawn = Path(name).suffix in (".png", ".pdf", ".svg", "") and is_picture(path)
        return "picture" if drawn else None
    except (OSError, ValueError, KeyError, EOFError, RecursionError, NotImplementedError):
        return None
    except (zipfile.BadZipFile, zlib.error):
        return None


def _kind_of_json(content: Any, name: str) -> str | None:
    if not isinstance(content, dict):
        return None
    stated = str(content.get("format"))
    if kind := re.fullmatch(r"weaknas\.([a-z]+)/[0-9]+", stated):
        return kind[1]
    for kind, fields in FIELDS.get(name, {}).items():
        if fields <= content.keys():
            return kind
    return stated if stated.startswith("weaknas-") else None


def _our_arrays(path: Path, name: str) -> bool:
    """A trace, or a file whose ``format`` says that it is ours."""
    with zipfile.ZipFile(path) as archive:
        sizes = {i.filename.removesuffix(".npy"): i.file_size for i in archive.infolist()}
    if {RENAMED.get(name, name) for name in sizes} - {"sha256"} == set(Trace._fields):
        return True
    if name == "trace.npz" or sizes.get("format", 2**20) > 1000:
        return False
    with np.load(path, allow_pickle=False) as arrays:
        return str(arrays["format"]).startswith("weaknas-")


def is_picture(path: Path) -> bool:
    """Whether a file is a picture that we drew."""
    content = path.read_bytes()
    picture = content.startswith((b"\x89PNG", b"%PDF", b"<?xml"))
    return picture and MARK.encode() in content


def picture_metadata(kind: str) -> dict[str, str] | None:
    """Metadata for Matplotlib that marks a picture as ours; None = its format has none."""
    field = {"png": "Software", "pdf": "Creator", "svg": "Creator"}.get(kind)
    return field and {field: f"weaknas_jax {__version__}, {MARK}"}


def listed(path: Path) -> bool:
    """Whether the content of ``path`` agrees with our list in its folder."""
    sums = {line["sha256"] for line in _lines(path.parent) or () if line.get("file") == path.name}
    return bool(sums) and sha256(path) in sums


def enter(path: Path, checksum: str) -> None:
    """Lists a file that is about to appear.

    Raises:
      NotOurs: the list's name is taken by another file.
    """
    place = path.parent / LIST
    if not has_list(path.parent):
        scratch = place.with_name(f"{SCRATCH}{secrets.token_hex(8)}.tmp")
        scratch.write_text(json.dumps(_HEAD))
        os.rename(scratch, place)
    with open(place, "a") as file:  # each line begins with its break: a torn one harms no other
        file.write("\n" + json.dumps({"file": path.name, "sha256": checksum}))
        file.flush()
        os.fsync(file.fileno())


def has_list(folder: Path) -> bool:
    """Whether a folder has our list.

    Raises:
      NotOurs: there is something else of that name.
    """
    there = _lines(folder) is not None
    if not there and os.path.lexists(folder / LIST):
        refuse(folder / LIST)
    return there


def _lines(folder: Path) -> list[dict] | None:
    """The entries of our list; None = there is none, or it is not ours."""
    place = folder / LIST
    if not os.path.isfile(place):
        return None
    try:
        head, *lines = place.read_text().split("\n")
        if json.loads(head) != _HEAD:
            return None
    except (ValueError, RecursionError):
        return None
    return [record for line in lines if (record := _record(line)) is not None]


def _record(line: str) -> dict | None:
    try:
        record = json.loads(line)
        return record if isinstance(record, dict) and "sha256" in record else None
    except (ValueError, RecursionError):
        return None


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, *, overwrite: bool = False) -> str | None:
    """Checks that ``path`` is free, or a file that may be replaced.

    Args:
      path: links are followed.
      overwrite: the user allowed this file to be replaced.

    Returns:
      `kind_of` what is there; None = nothing, or it is known by the list alone.

    Raises:
      NotOurs: it may not be replaced.
    """
    real = Path(os.path.realpath(path))
    if not os.path.lexists(real):
        return None
    mode = stat.S_IFMT(os.lstat(real).st_mode)
    if mode != stat.S_IFREG:
        kind = _KINDS.get(mode, "something else")
        raise NotOurs(f"{path}: is {kind} and no regular file; name another place by --out")
    kind = kind_of(path)
    if kind is None and not (overwrite or listed(path)):
        refuse(path)
    return kind


def refuse(path: Path) -> NoReturn:
    """Raises `NotOurs`."""
    raise NotOurs(
        f"{path}: was not written by weaknas_jax, or was changed since, and not even --overwrite "
        "replaces it; move it away, or name another place by --out"
    )


def claim(folder: Path, names: Iterable[str], kind: str | None = None) -> None:
    """Checks, before anything is computed, that all files for ``folder`` may be written.

    Files of version 0.1, which had no list, are added to the list.

    Args:
      folder: need not exist.
      names: of the files.
      kind: of the ``summary.json`` that may be among them, as `kind_of` has it; None = any.

    Raises:
      NotOurs: a file may not be written; the message names it.
    """
    old = not has_list(folder)
    for path in (folder / name for name in names):
        if old and os.path.isfile(path) and not ours(path) and _of_version_0_1(path):
            enter(path, sha256(path))
        there = check(path)
        if path.name == "summary.json" and kind and there not in (None, kind):
            why = f"is a summary of the kind {there}, not {kind}; name another place by --out"
            raise NotOurs(f"{path}: {why}")


_FIRST_LINES = {
    "sweep.csv": rb".*runs,queries,lower_bound,se,.*",
    "sweep.md": rb"\|.*queries to optimum.*",
    "results.csv": rb"(query,score|repeat,query|network,winner),.*",
    "predictors.csv": rb"predictor,n,.*",
    "predictors.md": rb"# .*ranking what was not drawn.*",
    "log.csv": rb"step,epoch,loss,rate,.*",
}
"""First lines of files that version 0.1 wrote beside our JSON."""


def _of_version_0_1(path: Path) -> bool:
    """Whether a file is as version 0.1 wrote it, beside an index that is ours."""
    content, folder = path.read_bytes(), path.parent
    paged = any(map(_is_page, (path, path.with_suffix(".md"), folder / "protocols.md")))
    indexes = [name for name in FIELDS if ours(folder / name)]
    if path.suffix == ".png":
        return bool(indexes or paged) and b"Matplotlib version" in content[:4096]
    if path.name == "best.json" and "summary.json" in indexes:
        best: Any = json.loads((folder / "summary.json").read_bytes()).get("best")
        best = best[0] if isinstance(best, list) and best else best or {}
        return _read(path) == best.get("arch", path)
    first = _FIRST_LINES.get(path.name)
    if first is not None:
        return bool(indexes) and re.fullmatch(first, content.split(b"\n")[0].strip()) is not None
    return paged and path.suffix in (".md", ".csv")


def _is_page(path: Path) -> bool:
    """Whether a file is a page of Markdown that begins or ends with the command that made it."""
    if path.suffix != ".md" or not os.path.isfile(path):
        return False
    lines, command = path.read_bytes().strip().split(b"\n"), b"`python -m experiments."
    if path.name == "protocols.md":
        return lines[0].startswith(command)
    return lines[0].startswith(b"**") and lines[-1].startswith(command)


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None


def remove_list(folder: Path) -> None:
    """Removes a folder's list if none of its files exists any more."""
    lines = _lines(folder)
    if lines is not None and not any((folder / str(line.get("file"))).exists() for line in lines):
        (folder / LIST).unlink()


def remove(path: Path) -> bool:
    """Removes a file if it is ours (of a link the target); returns whether it is gone."""
    if ours(path):
        Path(os.path.realpath(path)).unlink()
    return not path.exists()
