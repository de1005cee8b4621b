"""The objectives of the study: tables of choices with labels of many shapes.

    python -m benchmarks.study.objectives --data=FOLDER

lists them. Labels are always maximised; costs come negated. Each objective has several encodings:
``space``, the names of cells, where it has such; ``onehot``; ``integers``; and ``shuffled``,
integers whose meaning is permuted in each column.
"""

import argparse
import binascii
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.study import made
from weaknas_jax.spaces import nasbench201
from weaknas_jax.spaces.mobilenet import config, window
from weaknas_jax.spaces.nasbench101 import cells
from weaknas_jax.supernets.mobilenet import oracle
from weaknas_jax.tables.table import Table

AT = (20, 50, 100, 200)
"""Numbers of queries at which regret is reported."""
ENCODINGS = ("space", "onehot", "integers", "shuffled")
STRUCTURELESS = "structureless"


@dataclasses.dataclass(frozen=True)
class Objective:
    """Labels of all architectures of a space.

    Attributes:
      name: ``family/what``.
      levels: int [N, L], the level of each choice.
      scores: float [N], what a query returns.
      truth: float [N], what an answer is judged by; the same unless labels are noisy.
      space, names: a space with a record and the names of its architectures, or empty and None.
    """

    name: str
    levels: np.ndarray
    scores: np.ndarray
    truth: np.ndarray
    space: str = ""
    names: np.ndarray | None = None

    @property
    def encodings(self) -> tuple[str, ...]:
        return ENCODINGS if self.names is not None else ENCODINGS[1:]

    def table(self, encoding: str) -> Table:
        """The table of one of its `encodings`, whose test labels are the truth."""
        named = encoding == "space"
        return Table(
            space=self.space if named else "table",
            dataset=self.name,
            encoding=encode(self.levels, encoding),
            valid=self.scores[:, None].astype(np.float64),
            test=self.truth[:, None].astype(np.float64),
            names=self.names if named else None,
            unit="score",
        )

    def regret(self, row: np.ndarray) -> np.ndarray:
        """(best - truth) / (best - median) of rows; 0 = the best, 1 = the median."""
        best, middle = self.truth.max(), np.median(self.truth)
        return (best - self.truth[row]) / max(best - middle, 1e-12)


def half(name: str) -> str:
    """``choose`` or ``report``, by the objective's name.

    >>> half("clean/cifar10"), half("fgsm/1")
    ('choose', 'report')
    """
    return ("choose", "report")[binascii.crc32(name.encode()) % 2]


def encode(levels: np.ndarray, encoding: str) -> np.ndarray:
    """Columns float32 [N, D] of levels int [N, L].

    >>> encode(np.array([[0, 2], [1, 0], [0, 1]]), "onehot").astype(int).tolist()
    [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0], [1, 0, 0, 1, 0]]
    """
    if encoding == "integers":
        return levels.astype(np.float32)
    if encoding == "shuffled":
        rng = np.random.default_rng(7)
        orders = [rng.permutation(column.max() + 1) for column in levels.T]
        shuffled = [order[column] for order, column in zip(orders, levels.T, strict=True)]
        return np.stack(shuffled, axis=1).astype(np.float32)
    columns = [np.eye(column.max() + 1)[column] for column in levels.T]
    return np.hstack(columns).astype(np.float32)


def _cells(data: Path) -> tuple[np.ndarray, np.ndarray]:
    names = np.load(data / "nb201/nasbench201.npz")["arch_str"].astype(str)
    return names, np.array([nasbench201.parse(name) for name in names], int)


def _on_cells(
    data: Path, name: str, scores: np.ndarray, truth: np.ndarray | None = None
) -> Objective:
    names, levels = _cells(data)
    scores = np.asarray(scores, np.float64)
    there = np.isfinite(scores)
    truth = scores if truth is None else np.asarray(truth, np.float64)
    parts = levels[there], scores[there], truth[there]
    return Objective(name, *parts, "nasbench201", names[there])


def _clean(data: Path, name: str) -> Objective:
    """Validation accuracy, the mean of all runs."""
    arrays = np.load(data / "nb201/nasbench201.npz")
    return _on_cells(data, f"clean/{name}", arrays[f"{name}_valid_acc"])


def _single(data: Path, name: str) -> Objective:
    """Validation accuracy of one run; the truth is the test accuracy, the mean of all runs."""
    arrays = np.load(data / "nb201/nasbench201.npz")
    labels = arrays[f"{name}_valid_acc_per_run"][:, 0]
    return _on_cells(data, f"single/{name}", labels, arrays[f"nats_{name}_test_acc"])


_STRENGTHS = ("0p1", "0p5", *(f"{n}p0" for n in range(1, 9)), "255p0")


def _fgsm(data: Path, name: str) -> Objective:
    """Accuracy under FGSM of a strength."""
    strength = {s.removesuffix("p0"): s for s in _STRENGTHS}[name]
    arrays = np.load(data / "nb201/robustness_fgsm.npz")
    return _on_cells(data, f"fgsm/{name}", arrays[f"fgsm_Linf_eps_{strength}"])


_DEVICES = ("edgegpu_latency", "edgegpu_energy", "raspi4_latency", "edgetpu_latency")
_DEVICES += ("pixel3_latency", "eyeriss_energy", "fpga_latency", "eyeriss_arithmetic_intensity")


def _hardware(data: Path, name: str) -> Objective:
    """Accuracy against a cost: a tenth of the percentage, less the cost in its deviations.

    A cost alone is least for the cell without operations.
    """
    cost = np.load(data / "nb201/hw_nas_bench.npz")[f"cifar10_{name}"].astype(np.float64)
    accuracy = np.load(data / "nb201/nasbench201.npz")["cifar10_valid_acc"]
    cost = np.where(cost > 0, cost, np.nan)
    cost = (cost - np.nanmean(cost)) / np.nanstd(cost)
    return _on_cells(data, f"hardware/{name}", accuracy / 10 - cost)


def _cost(data: Path, name: str) -> Objective:
    """A measured cost, to be minimised."""
    cost = np.load(data / "nb201/hw_nas_bench.npz")[f"imagenet16_{name}"].astype(np.float64)
    return _on_cells(data, f"cost/{name}", -np.where(cost > 0, cost, np.nan))


_PROXIES = ("epe_nas", "fisher", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "plain", "snip")
_PROXIES += ("synflow", "zen")


def _proxy(data: Path, name: str) -> Objective:
    """A zero-cost score, also where it has extreme values."""
    scores = np.load(data / "nb201/zero_cost.npz")[f"suitezero_cifar10_{name}"]
    return _on_cells(data, f"proxy/{name}", scores)


def _epochs(data: Path, name: str) -> Objective:
    """NAS-Bench-101: one validation run after some epochs."""
    valid = np.load(data / "nb101/valid_30k.npz")
    whole = np.load(data / "nb101/nasbench101_test.npz")
    rows = valid["row"]
    adjacency, operations = whole["adjacency"][rows], whole["ops"][rows]
    names = cells.names(cells.code(cells.from_padded(adjacency, operations)))
    scores = valid["valid_correct_of_9984"][:, (4, 12, 36, 108).index(int(name))] / 99.84
    edges = adjacency[:, *np.triu_indices(7, 1)].astype(int)
    inner = operations[:, 1:6].astype(int)
    levels = np.hstack([edges, np.where(inner < 0, 3, inner)])  # 3: no node, or the output
    levels = levels[:, (levels != levels[0]).any(axis=0)]
    return Objective(f"epochs/{name}", levels, scores, scores, "nasbench101", names)


def _synthetic(data: Path, name: str) -> Objective:
    """A made table of a shape; the number draws its effects."""
    del data
    kind, number = name.split("-")
    make, levels = made.SHAPES[kind]
    if number == "b":
        levels = (*sorted(levels), 2, 3)
    seed = binascii.crc32(name.encode())
    whole = math.prod(levels) <= 20_000
    x = made.grid(levels) if whole else made.random_rows(levels, 12_000, seed)
    scores = np.asarray(make(np.random.default_rng(seed), levels, x), np.float64)
    return Objective(f"made/{name}", x, scores, scores)


def _hpo(data: Path, name: str) -> Objective:
    """A made table as of hyper-parameters, most of them ordered."""
    return dataclasses.replace(_synthetic(data, name), name=f"hpo/{name}")


def _layers(data: Path, name: str) -> Objective:
    """22 layers of nine operations each, 12,000 rows; labels have noise."""
    base = _synthetic(data, f"layers-{name}")
    rng = np.random.default_rng(binascii.crc32(b"noise" + name.encode()))
    scores = base.truth + 0.1 * base.truth.std() * rng.normal(size=len(base.truth))
    return dataclasses.replace(base, name=f"layers/{name}", scores=scores)


def _ofa(data: Path, name: str) -> Objective:
    """Accuracy that the predictor of Once-for-all predicts, of random sub-networks at a size."""
    image_size, inside, settings = int(name[:3]), "window" in name, config.mobilenet_v3()
    limits = window.Window(200, 300) if inside else window.Window(0, 2000)
    population = window.draw(settings, 1, 8_000, limits, image_size)
    layers = oracle.read(data / "ofa/accuracy_predictor.npz")
    scores = oracle.predict(layers, settings, population, image_size)
    levels = window.rows(population)
    levels = levels[:, (levels != levels[0]).any(axis=0)]
    levels = np.stack([np.unique(c, return_inverse=True)[1] for c in levels.T], axis=1)
    names = window.names(population)
    return Objective(f"ofa/{name}", levels, scores, scores, "mobilenet_v3", names)


def _noisy(data: Path, name: str) -> Objective:
    """A made table whose labels have noise of half the deviation of the truth."""
    base = _synthetic(data, name)
    rng = np.random.default_rng(binascii.crc32(b"noise" + name.encode()))
    noise = 0.5 * base.truth.std() * rng.normal(size=len(base.truth))
    return dataclasses.replace(base, name=f"noisy/{name}", scores=base.scores + noise)


def _shuffled_labels(data: Path, name: str) -> Objective:
    """Labels that have nothing to do with the architectures."""
    base = _clean(data, "cifar10") if name == "cells" else _synthetic(data, name)
    scores = np.random.default_rng(3).permutation(base.scores)
    return dataclasses.replace(base, name=f"{STRUCTURELESS}/{name}", scores=scores, truth=scores)


_SETS = ("cifar10", "cifar100", "imagenet16")
_ORDERED = ("valley", "cliff", "optimizer", "peak", "waves")
_OTHERS = (*_ORDERED, "layers")
_MADE = tuple(f"{kind}-{n}" for kind in made.SHAPES if kind not in _OTHERS for n in "ab")
LOADERS: dict[str, Callable[[Path], Objective]] = {
    f"{family}/{name}": functools.partial(load, name=name)
    for family, load, names in (
        ("clean", _clean, _SETS),
        ("single", _single, _SETS),
        ("fgsm", _fgsm, tuple(s.removesuffix("p0") for s in _STRENGTHS)),
        ("hardware", _hardware, _DEVICES),
        ("cost", _cost, _DEVICES),
        ("proxy", _proxy, _PROXIES),
        ("epochs", _epochs, ("4", "12", "36", "108")),
        ("made", _synthetic, _MADE),
        ("noisy", _noisy, _MADE[:4]),
        ("hpo", _hpo, tuple(f"{kind}-{n}" for kind in _ORDERED for n in "123")),
        ("layers", _layers, tuple("1234")),
        ("ofa", _ofa, ("160", "192", "224", "224-window")),
        (STRUCTURELESS, _shuffled_labels, ("cells", "pairwise-a", "ordinal-a")),
    )
    for name in names
}
"""Loaders of all objectives by name; each takes the folder of the data."""


def chosen(which: str = "all") -> Iterator[str]:
    """Names of the objectives of ``choose``, ``report`` or ``all``."""
    return (name for name in LOADERS if which in ("all", half(name)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the public tables")
    folder = parser.parse_args().data
    for name, load in LOADERS.items():
        objective = load(folder)
        size, best = len(objective.scores), int((objective.truth == objective.truth.max()).sum())
        print(f"{name:36} {half(name):6} {size:>7,} architectures, {best} optimal")


if __name__ == "__main__":
    main()
