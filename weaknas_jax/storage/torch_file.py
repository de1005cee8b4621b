"""Reader of PyTorch's ``.pth`` files as plain data: no code of a file is imported or run."""

import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from weaknas_jax.storage.npz import TableError

# Older releases can be made to run code or corrupt memory even by weights_only=True:
# CVE-2025-32434 (before 2.6), CVE-2026-24747 (before 2.10).
TORCH = (2, 10)
INSTALL = (
    "pip install torch --index-url https://download.pytorch.org/whl/cpu (a CPU build is enough), "
    "then pip install -e '.[official]'"
)


def read_plain(path: str | os.PathLike) -> Any:
    """Content of a ``.pth``: dicts, lists, numbers, texts, tensors; NumPy's scalars as Python's.

    Raises:
      TableError: PyTorch is missing or too old to be safe; the file is missing, damaged, too
        large for the memory, or asks for anything that is not data.
    """
    torch, path = _torch(path), Path(path)
    try:
        if zipfile.is_zipfile(path):  # PyTorch does not verify the checksums of the archive
            with zipfile.ZipFile(path) as archive:
                if (damaged := archive.testzip()) is not None:
                    raise TableError(f"{path}: {damaged} in it is damaged; download it again")
        with warnings.catch_warnings(), torch.serialization.safe_globals(_scalars()):
            warnings.simplefilter("ignore")  # of pickle protocols: what cannot be read is an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except TableError:
        raise
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except MemoryError:
        raise TableError(f"{path}: does not fit into this machine's memory") from None
    except Exception as error:  # a damaged file may fail anywhere in the reader
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        why = f"it asks for {asked[1]}, which is not data" if asked else first
        raise TableError(
            f"{path}: cannot be read as a .pth of plain data ({why}); nothing in it was run. "
            "If it was truncated, download it again"
        ) from None


def _torch(path: str | os.PathLike) -> Any:
    try:
        import torch
    except ImportError:
        raise TableError(f"{path}: reading a .pth needs PyTorch: {INSTALL}") from None
    if torch.__version__ < TORCH:
        raise TableError(
            f"{path}: PyTorch {torch.__version__} cannot read untrusted files safely, "
            f"{'.'.join(map(str, TORCH))} or newer can: {INSTALL}"
        )
    return torch


class _Dtype:
    """Stands in for ``numpy.dtype``, which would accept any memory layout that a file describes."""

    def __init__(self, code: str, *_: Any) -> None:
        if not re.fullmatch("f[248]|[iu][1248]|b1", code):
            raise ValueError(f"a NumPy scalar of type {code!r}")
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        self.code = (">" if state[1] == ">" else "<") + self.code[-2:]


def _scalar(dtype: _Dtype, raw: bytes) -> float | int | bool:
    return np.frombuffer(raw, dtype.code, count=1)[0].item()


def _scalars() -> list[tuple[Callable, str]]:
    """Replacements of the functions that a pickled NumPy scalar calls, old and new names."""
    return [
        (_Dtype, "numpy.dtype"),
        (_scalar, "numpy.core.multiarray.scalar"),
        (_scalar, "numpy._core.multiarray.scalar"),
    ]
