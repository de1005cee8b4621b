"""Packs the raw benchmark arrays into the small exact files that ship in the wheel.

    python tools/pack_tables.py --source=DIR

DIR holds ``nb201/nasbench201.npz`` and ``nb101/nasbench101_test.npz`` (see
`weaknas_jax/tables/packed/NOTICE` for where their arrays come from). Every accuracy is a count of
correct images, so integers lose nothing; the script reads its own output back and compares all of
it before it ends.
"""

import os
from pathlib import Path

import numpy as np
from absl import app, flags

from weaknas_jax.spaces import nasbench201
from weaknas_jax.spaces.nasbench101 import cells as nasbench101
from weaknas_jax.storage.npz import read_npz, write_npz
from weaknas_jax.tables import nasbench101 as packed101
from weaknas_jax.tables import nasbench201 as packed

_SOURCE = flags.DEFINE_string("source", "../shared/data", "Folder with the raw arrays.")


def counts(percent: np.ndarray, images: int) -> np.ndarray:
    """Percent as counts of ``images``; fails unless it comes back to the rounding of float32."""
    number = np.rint(percent.astype(np.float64) * images / 100)
    if not np.allclose(number * 100 / images, percent, rtol=0, atol=8e-6):
        raise ValueError(f"not counts of {images} images")
    return number.astype(np.int64)


def pack_nasbench201(source: Path) -> dict[str, np.ndarray]:
    """The arrays of the packed file; `weaknas_jax.tables.nasbench201` documents them."""
    raw = read_npz(source / "nb201" / "nasbench201.npz")
    ops = np.array([nasbench201.parse(name.decode()) for name in raw["arch_str"]])
    sets = list(packed.DATASETS)
    tests = [f"{name}_test_acc" for name in sets] + ["cifar10_full_test_acc"]
    images = [packed.DATASETS[name].test_images for name in sets]
    images.append(packed.DATASETS["cifar10"].test_images)
    test = np.stack([counts(raw[k], n) for k, n in zip(tests, images, strict=True)])
    nats = np.stack([counts(raw[f"nats_{k}"], n) for k, n in zip(tests, images, strict=True)])
    runs = np.stack(
        [
            counts(
                np.nan_to_num(raw[f"{name}_valid_acc_per_run"]), packed.DATASETS[name].valid_images
            )
            for name in sets
        ]
    )
    if not (np.isnan(raw["cifar10_valid_acc_per_run"]) == (runs[0] == 0)).all():
        raise ValueError("a run without a single correct image: 0 cannot stand for 'no run'")
    valid = [counts(raw[f"{k}_valid_acc"], 6 * packed.DATASETS[k].valid_images) for k in sets]
    time = {k: raw[f"{k}_train_time_s"] for k in sets}
    if not (time["cifar100"] == 2 * time["cifar10"]).all():
        raise ValueError("cifar100 no longer takes exactly twice the time of cifar10-valid")
    return {
        "format": np.asarray(packed.FORMAT),
        "ops": nasbench201.code(ops).astype(np.uint16),
        "valid": np.stack(valid).astype(np.uint32),
        "test": test.astype(np.uint16),
        "nats_test_minus_test": (nats - test).astype(np.int32),
        "nats_valid_runs": runs.astype(np.uint16),
        "train_time_s": np.stack([time["cifar10"], time["imagenet16"]]),
        "latency_s": np.stack([raw[f"{k}_latency_s"] for k in sets]),
        "params": np.stack([np.rint(raw[f"{k}_params_m"] * 1e6) for k in sets]).astype(np.uint32),
    }


def verify_nasbench201(source: Path) -> None:
    """Every array of the raw file against what the package loads."""
    raw = read_npz(source / "nb201" / "nasbench201.npz")
    same = lambda a, b: np.array_equal(np.asarray(a, np.float32), b, equal_nan=True)  # noqa: E731
    near = lambda a, b: np.allclose(a, b.astype(np.float64), rtol=0, atol=8e-6, equal_nan=True)  # noqa: E731
    for name in packed.DATASETS:
        old, new = packed.load_nasbench201(name), packed.load_nasbench201(name, "nats")
        checks = {
            "arch_str": (old.names == np.char.decode(raw["arch_str"])).all(),
            "valid_acc": near(old.valid_mean, raw[f"{name}_valid_acc"]),
            "test_acc": near(old.test_mean, raw[f"{name}_test_acc"]),
            "valid_acc_per_run": near(new.valid, raw[f"{name}_valid_acc_per_run"]),
            "nats_test_acc": near(new.test_mean, raw[f"nats_{name}_test_acc"]),
            "train_time_s": same(old.extra["train_time_s"], raw[f"{name}_train_time_s"]),
            "latency_s": same(old.extra["latency_s"], raw[f"{name}_latency_s"]),
            "params_m": same(old.extra["params"] / 1e6, raw[f"{name}_params_m"]),
        }
        if name == "cifar10":
            for table, key in ((old, "cifar10_full_test_acc"), (new, "nats_cifar10_full_test_acc")):
                checks[key] = near(table.extra["full_train_test"], raw[key])
        if failed := [key for key, passed in checks.items() if not passed]:
            raise ValueError(f"{name}: {', '.join(failed)} did not survive packing")


def pack_nasbench101(source: Path) -> dict[str, np.ndarray]:
    """The arrays of the packed file; `weaknas_jax.tables.nasbench101` documents them."""
    raw = read_npz(source / "nb101" / "nasbench101_test.npz")
    codes = nasbench101.code(nasbench101.from_padded(raw["adjacency"], raw["ops"]))
    order = np.argsort(codes)
    test = counts(raw["test_acc_108_mean"].astype(np.float64) * 100, packed101.IMAGES)
    return {
        "format": np.asarray(packed101.FORMAT),
        "step": np.diff(codes[order], prepend=np.uint32(0)),
        "test": test[order].astype(np.uint16),
    }


def verify_nasbench101(source: Path) -> None:
    """Every array of the raw file against what the package loads and computes."""
    raw = read_npz(source / "nb101" / "nasbench101_test.npz")
    table, cells = packed101.load_nasbench101(), nasbench101.decode(packed101.codes())
    hashes = nasbench101.hashes(cells)
    row = np.argsort(hashes)  # the raw file is in the order of hashes
    matrix, ops = nasbench101.to_padded(nasbench101.Cells(cells.matrix[row], cells.ops[row]))
    checks = {
        "hash": np.array_equal(hashes[row], raw["hash"]),
        "adjacency": np.array_equal(matrix, raw["adjacency"]),
        "ops": np.array_equal(ops, raw["ops"]),
        "trainable_parameters": np.array_equal(
            table.extra["params"][row], raw["trainable_parameters"]
        ),
        "test_acc_108_mean": np.allclose(
            table.test_mean[row] / 100, raw["test_acc_108_mean"], rtol=0, atol=8e-8
        ),
    }
    if failed := [key for key, passed in checks.items() if not passed]:
        raise ValueError(f"NAS-Bench-101: {', '.join(failed)} did not survive packing")


BENCHMARKS = (
    (packed, pack_nasbench201, verify_nasbench201),
    (packed101, pack_nasbench101, verify_nasbench101),
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    source = Path(_SOURCE.value)
    for module, pack, verify in BENCHMARKS:
        write_npz(module.FILE, pack(source))
        module.read_packed.cache_clear()
        verify(source)
        print(f"{module.FILE}: {os.path.getsize(module.FILE):,} bytes, equal to its source")


if __name__ == "__main__":
    app.run(main)
