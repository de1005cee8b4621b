"""What kind of file a path names, told by its content."""

import os
import zipfile
from pathlib import Path

from weaknas_jax.tables import tfrecord
from weaknas_jax.tables.store import TableError

_HEAD = 4096  # bytes looked at to tell text from binary


def kind_of(path: str | os.PathLike) -> str:
    """``npz`` (also a lone array), ``pth`` (any pickle, not unpickled), ``tfrecord`` or ``csv``.

    Raises:
      TableError: no such file, a folder, an empty file, a broken archive, none of these, or
        maybe a TFRecord, and what it takes to tell is not installed.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
        if tfrecord.begins(head):  # first: its length may look like the start of another kind
            return "tfrecord"
        if head.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
            return "pth" if any(Path(name).name == "data.pkl" for name in members) else "npz"
    except TableError as error:
        raise TableError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise TableError(f"{path}: a folder; name a file") from None
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise TableError(
            f"{path}: cannot be read, or is truncated or corrupted ({error}); "
            "copy or download it again"
        ) from None
    if not head:
        raise TableError(f"{path}: the file is empty")
    if head.startswith(b"\x93NUMPY"):
        return "npz"
    if head.startswith(b"\x80"):
        return "pth"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{path}: UTF-16 text; save the CSV as UTF-8")
    if b"\0" in head:
        raise TableError(f"{path}: neither .npz, nor .pth, nor .tfrecord, nor CSV text")
    return "csv"
