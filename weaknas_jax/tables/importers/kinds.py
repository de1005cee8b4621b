"""The kind of a file, detected by its content."""

import os
import zipfile
from pathlib import Path

from weaknas_jax.storage.npz import TableError
from weaknas_jax.tables.importers import tfrecord

NAMES = {
    "csv": "a CSV",
    "npz": "a .npz of arrays",
    "pth": "a .pth (official NAS-Bench-201 file)",
    "tfrecord": "a .tfrecord (official NAS-Bench-101 file)",
}
_HEAD = 4096  # bytes looked at to tell text from binary
_AS_CSV = "save it as CSV (UTF-8, commas) and import that"
_UNPACKED = "unpack it and import what is in it"
_AGAIN = "a page in place of the file: download it again"
_FOREIGN = (
    (b"PAR1", "a Parquet file", _AS_CSV),
    (b"ARROW1", "an Arrow file", _AS_CSV),
    (b"\x89HDF", "an HDF5 file", _AS_CSV),
    (b"SQLite format 3", "an SQLite database", _AS_CSV),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", _AS_CSV),
    (b"%PDF", "a PDF", _AS_CSV),
    (b"\x1f\x8b", "a gzip archive", _UNPACKED),
    (b"BZh", "a bzip2 archive", _UNPACKED),
    (b"\xfd7zXZ", "an xz archive", _UNPACKED),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACKED),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACKED),
    (b"\xff\xfe", "UTF-16 text", "save the CSV as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save the CSV as UTF-8"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
)
_FOREIGN_TEXT = (
    ("<!doctype html", "HTML", _AGAIN),
    ("<html", "HTML", _AGAIN),
    ("<?xml", "XML", _AS_CSV),
    ("{", "JSON", _AS_CSV),
    ("[{", "JSON", _AS_CSV),
)


def kind_of(path: str | os.PathLike) -> str:
    """``npz`` (also a lone array), ``pth`` (any pickle, not unpickled), ``tfrecord`` or ``csv``.

    Raises:
      TableError: no such file, a folder, an empty file, a broken archive, another kind (named if
        common), or possibly a TFRecord while google-crc32c is not installed.
    """
    path, members = Path(path), None
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
        if tfrecord.begins(head):  # first: its length may look like the start of another kind
            return "tfrecord"
        if head.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
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
    if members is not None:
        return _kind_of_archive(path, members)
    if not head:
        raise TableError(f"{path}: the file is empty")
    if head.startswith(b"\x93NUMPY"):
        return "npz"
    if head.startswith(b"\x80"):
        return "pth"
    text = head.removeprefix(b"\xef\xbb\xbf").decode("latin-1").lstrip().lower()
    foreign = [rest for begin, *rest in _FOREIGN if head.startswith(begin)]
    foreign += [rest for begin, *rest in _FOREIGN_TEXT if text.startswith(begin)]
    for kind, advice in foreign:
        raise TableError(f"{path}: {kind}; {advice}")
    if b"\0" in head:
        raise TableError(f"{path}: neither .npz, nor .pth, nor .tfrecord, nor CSV text")
    return "csv"


def _kind_of_archive(path: Path, members: list[str]) -> str:
    """The kind of a zip archive, by its member names."""
    if any(Path(name).name == "data.pkl" for name in members):
        return "pth"
    if "[Content_Types].xml" in members:
        raise TableError(f"{path}: an Office document (.xlsx?), not a table; {_AS_CSV}")
    if strange := [name for name in members if not name.endswith(".npy")]:
        why = f"a zip archive that holds {strange[0]!r}, no .npz of arrays"
        raise TableError(f"{path}: {why}; {_UNPACKED}")
    return "npz"
