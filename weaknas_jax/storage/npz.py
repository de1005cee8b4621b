"""Flat ``.npz`` files without pickles, with a checksum of their content."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from weaknas_jax.storage import files


class TableError(ValueError):
    """A table file or array that cannot be used; the message says which, why and what to do."""


def content_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over name, dtype, shape and bytes of every array, names in order, no ``sha256``."""
    digest = hashlib.sha256()
    for name in sorted(set(arrays) - {"sha256"}):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_npz(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], *, overwrite: bool = False
) -> None:
    """Writes a compressed ``.npz`` with its checksum, atomically; equal content, equal bytes.

    ``overwrite``: as of `files.replacing`.
    """
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    arrays["sha256"] = np.asarray(content_sha256(arrays))
    with files.replacing(path, overwrite=overwrite) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_npz(path: str | os.PathLike, *, require_checksum: bool = False) -> dict[str, np.ndarray]:
    """Reads every array of an ``.npz``; never unpickles; verifies ``sha256`` where it is present.

    Raises:
      TableError: missing, unreadable, truncated, pickled or corrupted file.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
        if not (magic.startswith(b"PK") or magic == b"\x93NUM" or len(magic) < 4):
            raise TableError(f"{path}: not an .npz file (pickles and text are not read)")
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise TableError(f"{path}: a single array (.npy); expected an .npz with named fields")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
        if strange := [name for name, a in arrays.items() if not isinstance(a, np.ndarray)]:
            raise TableError(f"{path}: a zip archive that holds {strange[0]!r}, which is no array")
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise TableError(f"{path}: a folder; name an .npz file") from None
    except PermissionError:
        raise TableError(f"{path}: no permission to read it") from None
    except TableError:
        raise
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise TableError(
                f"{path}: holds pickled Python objects, which are never loaded; "
                "save plain arrays (numbers and fixed-width strings) with numpy.savez"
            ) from None
        raise TableError(f"{path}: not a readable .npz ({error})") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        KeyError,
        NotImplementedError,
        SyntaxError,
        RuntimeError,
        MemoryError,
        OverflowError,
        UnicodeError,
    ) as error:
        raise TableError(
            f"{path}: truncated or corrupted .npz ({error}); copy or download it again"
        ) from None
    if "sha256" not in arrays:
        if require_checksum:
            raise TableError(f"{path}: no field 'sha256'; the file is not the one that was shipped")
        return arrays
    stated, actual = str(arrays.pop("sha256")), content_sha256(arrays)
    if stated != actual:
        raise TableError(
            f"{path}: checksum mismatch (field 'sha256' says {stated[:12]}..., the content is "
            f"{actual[:12]}...): the file was altered or damaged; restore it, or write it anew "
            "with weaknas_jax.tables.save_table"
        )
    return arrays
