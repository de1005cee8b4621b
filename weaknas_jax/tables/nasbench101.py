"""NAS-Bench-101 as it ships in the wheel: CIFAR-10, 108 epochs, mean test accuracy of three runs.

There is no validation accuracy here. The search sees test labels, which is stated in every result
(``labels=test``), and so published numbers are not directly comparable; a table
made of the benchmark's own file has both (`official101`).

Rows are in the order of the cells' numbers (`nasbench101.cells.code`). An accuracy is stored as its
count of correct images and comes back exact. 644 cells near 10 % failed to train;
they are real and are included. Sources and licences: ``packed/NOTICE``.
"""

import functools
from pathlib import Path

import numpy as np

from weaknas_jax.spaces.nasbench101 import cells as nasbench101
from weaknas_jax.spaces.nasbench101 import encodings
from weaknas_jax.spaces.nasbench101.neighbours import neighbours
from weaknas_jax.storage.npz import read_npz
from weaknas_jax.tables.table import Table, check_edition

FORMAT = "weaknas-nasbench101-1"
FILE = Path(__file__).parent / "packed" / "nasbench101.npz"
DATASETS = ("cifar10",)
VERSIONS = ("test108",)
IMAGES = 29_952  # three runs of 9,984


@functools.cache
def read_packed() -> dict[str, np.ndarray]:
    """The arrays of the shipped file, checksum verified.

    ``step`` uint32 [N], differences of ascending codes; ``test`` uint16 [N], counts of `IMAGES`.
    """
    return read_npz(FILE, require_checksum=True)


@functools.cache
def codes() -> np.ndarray:
    """The number of each row's cell, uint32 [N], ascending; not to be written to."""
    return np.cumsum(read_packed()["step"], dtype=np.uint32)


@functools.cache
def load_nasbench101(dataset: str = "cifar10", version: str = "test108") -> Table:
    """NAS-Bench-101; ``valid`` repeats ``test``, see the module. Read only: do not write to it.

    Raises:
      TableError: unknown data set or version, or a damaged installation.
    """
    check_edition("NAS-Bench-101", dataset, DATASETS, version, VERSIONS)
    numbers = codes()
    cells = nasbench101.decode(numbers)
    test = read_packed()["test"][:, None] * 100.0 / IMAGES
    return Table(
        space="nasbench101",
        dataset=dataset,
        encoding=encodings.org(cells),
        valid=test,
        test=test,
        names=nasbench101.names(numbers),
        version=version,
        signal="test",
        extra={"params": nasbench101.parameters(cells)},
        source="NAS-Bench-101 (Ying et al., ICML 2019), 108 epochs; see packed/NOTICE",
        licence="Apache-2.0, see packed/NOTICE",
    )


@functools.cache
def _by_fingerprint() -> tuple[np.ndarray, np.ndarray]:
    """The fingerprints of all rows, ascending, and the row of each."""
    prints = nasbench101.fingerprint(nasbench101.decode(codes()))
    order = np.argsort(prints)
    return prints[order], order


def neighbour_indices(row: int) -> np.ndarray:
    """The rows one edit away from a row, ascending, int64 [n]; see `nasbench101.neighbours`."""
    near, _ = neighbours(nasbench101.decode(codes()[[row]]))
    prints, order = _by_fingerprint()
    return np.sort(order[np.searchsorted(prints, nasbench101.fingerprint(near))])


def index_of(cell: str) -> int:
    """The row of a cell's name.

    Raises:
      KeyError: the table lists no such cell (it lists one of those that are isomorphic).
    """
    number = nasbench101.code(nasbench101.read_names([cell]))[0]
    row = int(np.searchsorted(codes(), number))
    if row == nasbench101.SIZE or codes()[row] != number:
        raise KeyError(cell)
    return row
