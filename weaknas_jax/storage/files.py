"""Atomic writes of files, which replace only files that we wrote (`ownership`)."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from weaknas_jax.storage import ownership
from weaknas_jax.storage import text as texts


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a whole text file, or leaves ``path`` as it was (`replacing`)."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Writes a JSON file in the format of `text.to_json`."""
    write_text(path, texts.to_json(content))


def write_csv(path: str | os.PathLike, rows: texts.Rows) -> None:
    """Writes rows in the format of `text.to_csv`."""
    write_text(path, texts.to_csv(rows))


def write_picture(
    path: str | os.PathLike, figure: Any, dpi: float = 150, *, overwrite: bool = False
) -> None:
    """Writes a figure of Matplotlib; the ending chooses the format, by default PNG."""
    kind = Path(path).suffix.lstrip(".").lower() or "png"
    with replacing(path, overwrite=overwrite) as file:
        metadata = ownership.picture_metadata(kind)
        figure.savefig(file, format=kind, dpi=dpi, **({"metadata": metadata} if metadata else {}))


@contextlib.contextmanager
def replacing(path: str | os.PathLike, *, overwrite: bool = False) -> Iterator[IO[bytes]]:
    """A file to write to, which replaces ``path`` once it is complete and on disk.

    If the body or the disk fails, ``path`` stays as it was. If it is a link, its target is
    replaced. An existing file keeps its permissions; a new one gets the process defaults.

    Args:
      path: a file, which need not exist.
      overwrite: the user allowed this file to be replaced, whoever wrote it.

    Raises:
      ownership.NotOurs: the existing file is not ours, or not a regular file.
    """
    path = Path(path)
    ownership.check(path, overwrite=overwrite)
    real = Path(os.path.realpath(path))
    scratch, handle = _scratch(real.parent)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if real.exists():
            _keep_permissions(real, scratch)
        proven = overwrite or ownership.kind_of(scratch, path.name) is not None
        if not proven or ownership.has_list(path.parent):
            ownership.enter(path, ownership.sha256(scratch))
        os.replace(scratch, real)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def probe(folder: Path) -> None:
    """Raises OSError if no file can be created in ``folder``."""
    scratch, handle = _scratch(folder)
    os.close(handle)
    scratch.unlink()


def is_scratch(name: str) -> bool:
    """Whether a file is the incomplete output of a process that died while writing."""
    return name.startswith(ownership.SCRATCH) and name.endswith(".tmp")


def _scratch(folder: Path) -> tuple[Path, int]:
    """A new empty file with an unused name, open for writing."""
    while True:
        path = folder / f"{ownership.SCRATCH}{secrets.token_hex(8)}.tmp"
        with contextlib.suppress(FileExistsError):
            return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _keep_permissions(old: Path, new: Path) -> None:
    before = old.stat()
    with contextlib.suppress(OSError):  # only root may give files away
        os.chown(new, before.st_uid, before.st_gid)
    os.chmod(new, stat.S_IMODE(before.st_mode))
