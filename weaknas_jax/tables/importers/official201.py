"""The benchmarks' own files -> `Table`: NAS-Bench-201's ``.pth`` through its authors' package.

The package, ``nas_201_api``, needs PyTorch. Given a path it would unpickle the file; here `pth`
reads it as plain data, and the package's `ArchResults` makes sense of one architecture at a time
(``NASBench201API`` would first copy them all). The whole file is in memory meanwhile, as Python
objects, which takes more than its size on disk.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.spaces import nasbench201
from weaknas_jax.storage import torch_file
from weaknas_jax.storage.npz import TableError
from weaknas_jax.tables import canonical
from weaknas_jax.tables import nasbench201 as packed
from weaknas_jax.tables.table import Table

EPOCHS = 200


class _Keys(NamedTuple):
    training: str  # the benchmark's name for the data trained on
    valid: str
    test: str


KEYS = {
    "cifar10": _Keys("cifar10-valid", "x-valid", "ori-test"),
    "cifar100": _Keys("cifar100", "x-valid", "x-test"),
    "imagenet16": _Keys("ImageNet16-120", "x-valid", "x-test"),
}


class _Row(NamedTuple):
    valid: dict[int, float]  # by seed, percent
    test: dict[int, float]
    extra: dict[str, float]


def read_nasbench201(path: str | os.PathLike, dataset: str = "cifar10") -> Table:
    """One data set of an official NAS-Bench-201 file, such as ``NAS-Bench-201-v1_1-096897.pth``.

    Results are those after 200 epochs. Rows are in the official index, and where the file lacks
    architectures, ``extra["official_index"]`` says which those of the others are. A column of
    ``valid`` and ``test`` is a training seed; NaN = not trained with that seed. Further columns
    where the file has them, means over the runs: ``train_time_s``, ``latency_s``, ``params``
    and, for CIFAR-10, ``full_train_test`` (percent, after training on all 50k images).

    Raises:
      TableError: the file cannot be read as plain data (`pth.read_plain`), or is not as
        ``nas_201_api`` writes it.
    """
    if dataset not in KEYS:
        raise TableError(f"unknown dataset {dataset!r}; NAS-Bench-201 has {', '.join(KEYS)}")
    where = str(path)
    _check_md5(Path(path))
    archs, infos = _parts(torch_file.read_plain(path), where)
    indices, rows, trained_on = sorted(infos), [], set()
    for index in indices:
        try:
            results = _results(infos.pop(index), archs[index])
            rows.append(_row(results, KEYS[dataset], full_training=dataset == "cifar10"))
            trained_on |= set(results.get_dataset_names())
        except Exception as error:  # the package checks nothing: anything may be raised
            raise TableError(
                f"{where}: architecture {index} is not as nas_201_api writes it "
                f"({type(error).__name__}: {error})"
            ) from None
    seeds = sorted({seed for row in rows for seed in row.valid})
    if not seeds:
        raise TableError(
            f"{where}: no results on {KEYS[dataset].training!r}; "
            f"it has {', '.join(sorted(map(repr, trained_on))) or 'none at all'}"
        )
    valid, test = (
        np.array([[getattr(row, part).get(seed, np.nan) for seed in seeds] for row in rows])
        for part in ("valid", "test")
    )
    extra = {}
    for name in dict.fromkeys(name for row in rows for name in row.extra):
        column = np.array([row.extra.get(name, np.nan) for row in rows])
        whole = name == "params" and np.isfinite(column).all()
        extra[name] = np.rint(column).astype(np.int64) if whole else column
    if indices != list(range(nasbench201.SIZE)):
        extra["official_index"] = np.array(indices)
    edition = re.search(r"v(\d+)_(\d+)", Path(path).name)
    table = Table(
        space="nasbench201",
        dataset=dataset,
        encoding=nasbench201.one_hot(np.array([nasbench201.parse(archs[i]) for i in indices])),
        valid=valid,
        test=test if np.isfinite(test).any() else None,
        names=np.array([archs[i] for i in indices]),
        version="v{}.{}".format(*edition.groups()) if edition else "",
        extra=extra,
        source=f"NAS-Bench-201 (Dong & Yang, ICLR 2020), {Path(path).name}, {EPOCHS} epochs; "
        f"runs are the seeds {', '.join(map(str, seeds))}",
        unit="%",
        licence="MIT",
    )
    canonical.check(table, where)
    return table


class Agreement(NamedTuple):
    """How many rows of a table have the shipped table's means, to half a count of its precision."""

    version: str
    rows: int  # compared
    valid: int
    test: int


def agreement(table: Table) -> list[Agreement]:
    """Compares an imported table with each shipped edition, architecture by architecture."""
    images, found = packed.DATASETS[table.dataset], []
    for version in packed.VERSIONS:
        shipped = packed.load_nasbench201(table.dataset, version)
        index = {name: row for row, name in enumerate(shipped.names)}
        rows = [index[name] for name in table.names]
        found.append(
            Agreement(
                version,
                len(rows),
                _agree(table.valid_mean, shipped.valid_mean[rows], 6 * images.valid_images),
                0
                if table.test is None
                else _agree(table.test_mean, shipped.test_mean[rows], images.test_images),
            )
        )
    return found


def _agree(mine: np.ndarray, theirs: np.ndarray, count: int) -> int:
    return int((np.abs(mine - theirs) <= 0.5 * 100 / count).sum())


def _check_md5(path: Path) -> None:
    """The authors put the end of a file's MD5 into its name; it tells a broken download early."""
    if not (stated := re.fullmatch(r"NAS-Bench-201-v\d_\d-([0-9a-f]{6})\.pth", path.name)):
        return
    try:
        with open(path, "rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror})") from None
    if not md5.endswith(stated[1]):
        raise TableError(
            f"{path}: its MD5 ends in {md5[-6:]}, its name says {stated[1]}: "
            "truncated or damaged; download it again"
        )


def _parts(content: Any, where: str) -> tuple[list[str], dict[int, dict]]:
    """The architectures' strings and their results by index, their types checked."""
    if not isinstance(content, dict):
        raise TableError(
            f"{where}: holds a {type(content).__name__}; an official file is a dict with "
            "meta_archs, arch2infos and evaluated_indexes"
        )
    for field in ("meta_archs", "arch2infos", "evaluated_indexes"):
        if field not in content:
            raise TableError(f"{where}: field {field!r} is missing: not a NAS-Bench-201 file")
    archs, infos = content["meta_archs"], content["arch2infos"]
    if not isinstance(archs, list | tuple):
        raise TableError(f"{where}: field 'meta_archs' is not a list of architecture strings")
    for index, arch in enumerate(archs):
        try:
            nasbench201.parse(arch)
        except (ValueError, AttributeError, TypeError) as error:
            raise TableError(f"{where}: field 'meta_archs', entry {index}: {error}") from None
    if not isinstance(infos, dict) or not infos:
        raise TableError(f"{where}: field 'arch2infos' holds no architectures")
    for index in infos:
        if type(index) is not int or not 0 <= index < len(archs):
            raise TableError(
                f"{where}: field 'arch2infos' has the key {index!r}; "
                f"expected an index into the {len(archs):,} entries of 'meta_archs'"
            )
    return list(archs), infos


def _results(info: dict, arch: str) -> Any:
    """The package's `ArchResults` of the long training (``hp="200"``)."""
    from nas_201_api import ArchResults

    full = info["full"]
    if not isinstance(full, dict):  # the package would take a text for a path, and load it
        raise TypeError(f"'full' is a {type(full).__name__}, not a dict")
    results = ArchResults.create_from_state_dict(full)
    if results.arch_str != arch:
        raise ValueError(f"it is {results.arch_str!r}, in 'meta_archs' {arch!r}")
    return results


def _row(results: Any, keys: _Keys, full_training: bool) -> _Row:
    if keys.training not in results.dataset_seed:
        return _Row({}, {}, {})
    if (epochs := results.get_total_epoch(keys.training)) != EPOCHS:
        raise ValueError(f"trained for {epochs} epochs, not {EPOCHS}")
    runs = results.query(keys.training)
    if not all(type(seed) is int for seed in runs):
        raise TypeError("a seed is not an integer")
    costs = {
        "train_time_s": [run.get_times()["T-train@total"] for run in runs.values()],
        "latency_s": [run.get_latency() for run in runs.values()],  # seconds; -1 = not measured
        "params": [run.params and run.params * 1e6 for run in runs.values()],  # stored in millions
    }
    extra = {
        name: float(np.mean(known))
        for name, values in costs.items()
        if (known := [value for value in values if value is not None and value >= 0])
    }
    if full_training and "cifar10" in results.dataset_seed:
        after = [_accuracy(run, "ori-test") for run in results.query("cifar10").values()]
        extra["full_train_test"] = float(np.mean(after))
    return _Row(
        {seed: _accuracy(run, keys.valid) for seed, run in runs.items()},
        {seed: _accuracy(run, keys.test) for seed, run in runs.items()},
        extra,
    )


def _accuracy(run: Any, part: str) -> float:
    """Percent after the last epoch; NaN where the run was not scored on that part."""
    return float(run.get_eval(part)["accuracy"]) if part in run.get_eval_set() else np.nan
