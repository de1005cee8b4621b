"""Cache of decoded images as bytes in a file, read again for each sub-network."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from weaknas_jax.storage import files, ownership
from weaknas_jax.storage.npz import TableError, read_npz
from weaknas_jax.supernets.data.images import Batch, Images


def fingerprint(images: Images) -> str:
    """Hash of the images' names, classes and file sizes, independent of the path of the folder."""
    digest = hashlib.sha256()
    for path, label in zip(images.paths, images.labels.tolist(), strict=True):
        size = path.stat().st_size
        digest.update(f"{path.parent.name}/{path.name} {label} {size}\n".encode())
    return digest.hexdigest()


class _Stopped(Exception):
    pass


def write(
    path: str | os.PathLike, batches: Iterator[Batch], stop: Callable[[], bool] = lambda: False
) -> bool:
    """Writes batches to the file ``path``; if stopped, writes nothing and returns False.

    Raises:
      OSError: the file cannot be written, e.g. the disk is full.
      ownership.NotOurs: a file of that name exists that this program did not write.
    """
    marks: list[Batch] = []
    ownership.check(Path(path))
    try:
        with files.replacing(Path(path).with_suffix(".bytes")) as file:
            for batch in batches:
                if stop():
                    raise _Stopped
                file.write(np.ascontiguousarray(batch.images).data)
                marks.append(batch._replace(images=np.array(batch.images.shape)))
    except _Stopped:
        return False
    columns = {name: np.stack([getattr(b, name) for b in marks]) for name in Batch._fields}
    with files.replacing(Path(path)) as file:
        np.savez(file, **columns)
    return True


def read(path: str | os.PathLike) -> list[Batch] | None:
    """The batches of a file of `write`, their images memory-mapped; None = no such file."""
    if not Path(path).exists() or not Path(path).with_suffix(".bytes").exists():
        return None
    try:
        arrays = read_npz(path)
        columns = {name: arrays[name] for name in Batch._fields}
    except (TableError, KeyError):
        return None
    shape = len(columns["labels"]), *columns["images"][0]
    pixels = np.memmap(Path(path).with_suffix(".bytes"), np.uint8, "r", shape=shape)
    return [
        Batch(pixels[at], *(columns[name][at] for name in Batch._fields[1:]))
        for at in range(len(pixels))
    ]
