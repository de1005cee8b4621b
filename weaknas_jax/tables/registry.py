"""The tables in the wheel by name, ``benchmark/dataset@edition``, and their published optima.

To add a packed benchmark, add an entry to `SHIPPED`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from weaknas_jax.storage.npz import TableError, content_sha256, read_npz
from weaknas_jax.tables import nasbench101, nasbench201
from weaknas_jax.tables.table import Table
from weaknas_jax.tables.targets import target_mask


class Best(NamedTuple):
    """A published optimum: percent to three places, and the only row that attains it."""

    target: str  # valid or test
    percent: float
    row: int


class Benchmark(NamedTuple):
    """A packed benchmark.

    Attributes:
      load: (dataset, version) -> Table.
      versions: editions, the default first.
      facts: the optima of each data set in the default edition.
    """

    file: Path
    load: Callable[[str, str], Table]
    datasets: tuple[str, ...]
    versions: tuple[str, ...]
    size: int
    facts: dict[str, tuple[Best, ...]]


SHIPPED = {
    "nasbench201": Benchmark(
        file=nasbench201.FILE,
        load=nasbench201.load_nasbench201,
        datasets=tuple(nasbench201.DATASETS),
        versions=nasbench201.VERSIONS,
        size=15_625,
        facts={
            "cifar10": (Best("valid", 91.607, 6111), Best("test", 91.523, 1459)),
            "cifar100": (Best("valid", 73.493, 9930), Best("test", 73.513, 9930)),
            "imagenet16": (Best("valid", 46.733, 10676), Best("test", 47.311, 857)),
        },
    ),
    "nasbench101": Benchmark(
        file=nasbench101.FILE,
        load=nasbench101.load_nasbench101,
        datasets=nasbench101.DATASETS,
        versions=nasbench101.VERSIONS,
        size=423_624,
        facts={"cifar10": (Best("test", 94.318, 362_002),)},
    ),
}


def datasets() -> list[str]:
    """Data sets of all benchmarks, without duplicates."""
    return list(dict.fromkeys(name for b in SHIPPED.values() for name in b.datasets))


def versions() -> list[str]:
    """Editions of all benchmarks, without duplicates."""
    return list(dict.fromkeys(name for b in SHIPPED.values() for name in b.versions))


def names() -> Iterator[str]:
    """Full names of all shipped tables."""
    for name, benchmark in SHIPPED.items():
        for dataset in benchmark.datasets:
            for version in benchmark.versions:
                yield f"{name}/{dataset}@{version}"


def find(space: str, dataset: str | None = None, version: str | None = None) -> Table:
    """A shipped table by the values of flags; None = the first of the benchmark.

    Raises:
      TableError: the benchmark has no such data set or edition; names the flag.
    """
    benchmark = SHIPPED[space]
    if dataset is not None and dataset not in benchmark.datasets:
        there = ", ".join(benchmark.datasets)
        raise TableError(f"--dataset={dataset}: {space} has {there}")
    if version is not None and version not in benchmark.versions:
        there = ", ".join(benchmark.versions)
        raise TableError(f"--table_version={version}: {space} has {there}")
    return benchmark.load(dataset or benchmark.datasets[0], version or benchmark.versions[0])


def load(name: str) -> Table:
    """A shipped table by name; without ``@edition`` the default one.

    >>> load("nasbench201/cifar100").version
    'v1.1'

    Raises:
      TableError: there is no such table; the message lists all tables.
    """
    place, _, version = name.partition("@")
    benchmark, _, dataset = place.partition("/")
    entry = SHIPPED.get(benchmark)
    version = version or (entry.versions[0] if entry else "")
    if f"{benchmark}/{dataset}@{version}" not in names():
        raise TableError(
            f"{name!r} is neither a shipped table nor a file; shipped are {', '.join(names())}"
        )
    return entry.load(dataset, version)


def checksum(name: str) -> str:
    """The SHA-256 of the packed file that holds a shipped table."""
    return content_sha256(read_npz(SHIPPED[name.partition("/")[0]].file, require_checksum=True))


def faults(name: str) -> list[str]:
    """Faults of a shipped benchmark, in its checksum, size or known optima; empty = none."""
    benchmark = SHIPPED[name]
    try:
        read_npz(benchmark.file, require_checksum=True)
        tables = {d: benchmark.load(d, benchmark.versions[0]) for d in benchmark.datasets}
    except TableError as error:
        return [str(error)]
    messages = []
    for dataset, table in tables.items():
        where = f"{benchmark.file}: {name}/{dataset}"
        if (different := len(set(table.names))) != benchmark.size:
            messages.append(
                f"{where} has {different:,} different architectures, not {benchmark.size:,}"
            )
        for target, percent, row in benchmark.facts[dataset]:
            mean = table.test_mean if target == "test" else table.valid_mean
            rows = np.flatnonzero(target_mask(table, target)).tolist()
            if (round(float(mean[rows[0]]), 3), rows) != (percent, [row]):
                messages.append(
                    f"{where}: best {target} is {mean[rows[0]]:.3f} in rows {rows}, "
                    f"expected {percent} in row {row}"
                )
    return messages
