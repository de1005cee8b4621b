"""NAS-Bench-201 as it ships in the wheel: 200 epochs, three data sets, two editions.

The editions are part of the protocol and never mixed (about 2,400 rows differ):

``v1.1``  the mean validation and test accuracy of the official v1.1 file;
``nats``  NATS-Bench (v1.0): validation accuracy of each of the 2 or 3 training runs, and the
          test means that belong to them. Only this edition can serve ``--labels=single_run``.

CIFAR-10 is the benchmark's ``cifar10-valid``: trained on one half of the 50k, searched on the
other half (x-valid), scored on ori-test of the same training. The test accuracy after training on
all 50k, which papers print (94.37), is the extra column ``full_train_test``.

Every accuracy is stored as its count of correct images and comes back exact (float64 percent), so
that ties in the table are ties here. Sources and licences: ``packed/NOTICE``.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from weaknas_jax.spaces import nasbench201
from weaknas_jax.storage.npz import read_npz
from weaknas_jax.tables.table import Table, check_edition

FORMAT = "weaknas-nasbench201-1"
FILE = Path(__file__).parent / "packed" / "nasbench201.npz"
VERSIONS = ("v1.1", "nats")


class _Dataset(NamedTuple):
    valid_images: int  # one run's validation images
    test_images: int  # denominator of the test mean: images x 6, or x 3 where that is enough


DATASETS = {
    "cifar10": _Dataset(25_000, 60_000),
    "cifar100": _Dataset(5_000, 30_000),
    "imagenet16": _Dataset(3_000, 18_000),
}


@functools.cache
def read_packed() -> dict[str, np.ndarray]:
    """The arrays of the shipped file, checksum verified.

    ``ops`` uint16 [N] (`spaces.nasbench201.code`); ``valid`` uint32 [3, N], counts of
    6 x valid_images; ``test`` uint16 [4, N] (the fourth: CIFAR-10 after full training);
    ``nats_test_minus_test`` int32 [4, N]; ``nats_valid_runs`` uint16 [3, N, 3], 0 = no such run;
    ``train_time_s`` float32 [2, N] (CIFAR-10, half of CIFAR-100's; ImageNet16-120);
    ``latency_s`` float32 [3, N]; ``params`` uint32 [3, N].
    """
    return read_npz(FILE, require_checksum=True)


def load_nasbench201(dataset: str = "cifar10", version: str = "v1.1") -> Table:
    """NAS-Bench-201 of one data set, rows in the official index.

    Args:
      dataset: ``cifar10``, ``cifar100`` or ``imagenet16``.
      version: ``v1.1`` or ``nats``, see the module.

    Raises:
      TableError: unknown data set or version, or a damaged installation.
    """
    check_edition("NAS-Bench-201", dataset, DATASETS, version, VERSIONS)
    raw, which = read_packed(), list(DATASETS).index(dataset)
    images = DATASETS[dataset]
    test = raw["test"].astype(np.int64)
    if version == "nats":
        test = test + raw["nats_test_minus_test"]
        runs = raw["nats_valid_runs"][which].astype(np.float64)
        valid = np.where(runs > 0, runs * 100 / images.valid_images, np.nan)
    else:
        valid = raw["valid"][which, :, None] * 100.0 / (6 * images.valid_images)
    hours = raw["train_time_s"][1 if dataset == "imagenet16" else 0].astype(np.float64)
    extra = {
        "train_time_s": hours * 2 if dataset == "cifar100" else hours,
        "latency_s": raw["latency_s"][which].astype(np.float64),
        "params": raw["params"][which].astype(np.int64),
    }
    if dataset == "cifar10":
        extra["full_train_test"] = test[3] * 100.0 / images.test_images
    ops = nasbench201.decode(raw["ops"])
    return Table(
        space="nasbench201",
        dataset=dataset,
        encoding=nasbench201.one_hot(ops),
        valid=valid,
        test=test[which][:, None] * 100.0 / images.test_images,
        names=_names(raw["ops"].tobytes()),
        version=version,
        extra=extra,
        source="NAS-Bench-201 (Dong & Yang, ICLR 2020), 200 epochs; see packed/NOTICE",
        licence="MIT and Apache-2.0, see packed/NOTICE",
    )


@functools.lru_cache(maxsize=2)
def _names(codes: bytes) -> np.ndarray:
    ops = nasbench201.decode(np.frombuffer(codes, np.uint16))
    return np.array([nasbench201.to_string(row) for row in ops])


def index_of(arch: str) -> int:
    """The official index of an architecture string.

    >>> index_of("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    1651
    """
    return int(np.flatnonzero(read_packed()["ops"] == nasbench201.code(nasbench201.parse(arch)))[0])


def name_of(index: int) -> str:
    """The architecture string of an official index; the inverse of `index_of`."""
    return nasbench201.to_string(nasbench201.decode(read_packed()["ops"][index]))


def neighbour_indices() -> np.ndarray:
    """The official indices of each architecture's 24 one-edit neighbours, int32 [N, 24]."""
    codes = read_packed()["ops"].astype(np.int64)
    index = np.empty(nasbench201.SIZE, np.int32)
    index[codes] = np.arange(len(codes))
    ops = nasbench201.decode(codes)
    return index[nasbench201.code(np.stack([nasbench201.neighbours(row) for row in ops]))]
