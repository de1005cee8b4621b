"""The whole workflow on a small supernet, in minutes on a CPU, without downloads.

    weaknas mobilenet demo [--quick]

Images made of scikit-learn's digits (extra ``demo``), or of --folder; a supernet trained by
progressive shrinking; a search under a limit of multiply-adds by the accuracy that sub-networks
inherit on validation images; then the winner and other networks of all qualities, trained from
scratch several times each. It measures how well inherited accuracy ranks networks trained from
scratch, and the rank of the winner. Writes results.csv, summary.json and demo.png to --out; the
last line of output is the summary as JSON.
"""

import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags as absl_flags
from flax import nnx

from weaknas_jax.cli import console
from weaknas_jax.cli.mobilenet import agreement, flags
from weaknas_jax.measures import summary as summaries
from weaknas_jax.report import provenance, run_folder
from weaknas_jax.search import methods
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config as configs
from weaknas_jax.spaces.mobilenet import cost, window
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.spaces.mobilenet.encodings import SubNetworks
from weaknas_jax.storage import files
from weaknas_jax.supernets import search
from weaknas_jax.supernets.data import digits, images
from weaknas_jax.supernets.mobilenet import evaluate, train_many, train_supernet
from weaknas_jax.supernets.mobilenet.supernet import Supernet
from weaknas_jax.supernets.training import Data

SHARED = ("out", "seed")
"""The shared flags (`flags`) that this command reads."""
_QUICK = absl_flags.DEFINE_bool(
    "quick", False, "All steps in a minute, too short for meaningful results."
)
_help = "Folder with train/CLASS/* and val/CLASS/* to use instead of digits, resized to 32 x 32."
_FOLDER = absl_flags.DEFINE_string("folder", None, _help)
_int = absl_flags.DEFINE_integer
_NETWORKS = _int("networks", 12, "Number of networks to retrain, with the winner.", lower_bound=3)
_TRAININGS = _int("trainings", 2, "Trainings from scratch of each network.", lower_bound=2)
_help = "Limit of multiply-adds: 0 = those of the smallest sub-network, 1 = of the largest."
_LIMIT = absl_flags.DEFINE_float("limit", 0.6, _help, lower_bound=0.01, upper_bound=1)
_BATCH, _HOW = 32, "masks"  # full-width arithmetic is as fast at this size, and compiles faster

FILES = "results.csv", "summary.json", "demo.png"


class Sizes(NamedTuple):
    """Sizes of the experiment.

    Attributes:
      train, held: images for training, and for each of validation and test.
      calibrate: training images for batch-norm statistics.
      shrink: steps of each stage of the supernet, with batches twice as large as elsewhere.
      retrain: steps of a network from scratch.
      budget: queries of the search.
      pool: sub-networks that the search ranks.
      sample: sub-networks from which those to retrain are chosen.
    """

    train: int = 16_000
    held: int = 2000
    calibrate: int = 1000
    shrink: tuple[int, ...] = (500, 200, 200, 600)
    retrain: int = 500
    budget: int = 60
    pool: int = 1000
    sample: int = 48


QUICK = Sizes(1000, 500, 250, (10, 10, 10, 10), 10, 8, 50, 16)


def main() -> int:
    seed = flags.SEED.value
    sizes = QUICK if _QUICK.value else Sizes()
    default_out = f"runs/demo-{seed}{'-quick' * _QUICK.value}"
    name = default_out if flags.OUT.value is None else flags.OUT.value
    out = run_folder.prepare(name, "demo", may_hold_one=True, names=FILES, kind="demo")
    timing: dict[str, float] = {}
    if _QUICK.value:
        console.note("quick: all steps run, but training is too short for meaningful results")
    with timed(timing, "images"):
        train, validation, test = pictures(sizes, seed)
        first = slice(sizes.calibrate)
        calibration = batched(Data(train.images[first], train.labels[first]))
    config = dataclasses.replace(configs.digits(), classes=int(train.labels.max()) + 1)
    accuracy = jax.jit(functools.partial(evaluate.accuracy, how=_HOW))
    with timed(timing, "supernet"):
        net, learning = supernet(config, sizes, train, seed)

    def inherits(arch: Arch) -> float:
        return float(accuracy(net, arch, calibration.images, validation))

    space = SubNetworks(config, window.Window(0, limit_of(config), whole=False), config.image_size)
    with timed(timing, "search"):
        result = searched(space, inherits, sizes, seed)
    winner = result.best()[0].arch
    with timed(timing, "choice"):
        chosen, inherited = spread_out(space, winner, inherits, sizes, seed)
    with timed(timing, "retraining"):
        runs, losses = retrained(config, chosen, sizes, train, seed)
    with timed(timing, "test"):
        tested = [
            float(accuracy(*one, calibration.images, test))
            for one in train_many.networks(config, runs)
        ]
    scores = np.reshape(tested, (_NETWORKS.value, _TRAININGS.value))
    costs = [cost.multiply_adds(config, e.arch) / 1e6 for e in result.evaluations]
    queries = np.array(costs), np.array([e.score for e in result.evaluations])
    summary = summarize(inherited, scores, queries[1], space.window.high, sizes, timing, seed)
    write(out, config, chosen, inherited, scores, summary)
    low, high = summary["tau_ci95"]
    heading = f"tau {summary['tau']:.2f} [{low:.2f}, {high:.2f}]" + _QUICK.value * ", quick"
    picture = out / "demo.png"
    agreement.draw(
        inherited, scores, 0, queries, space.window.high, (learning, losses), heading, picture
    )
    print(text(summary, out))
    print(json.dumps(summary))
    return 0


def pictures(sizes: Sizes, seed: int) -> tuple[Data, Data, Data]:
    """Training images, and batches of validation and test images."""
    if _FOLDER.value is None:
        train = digits.make(seed, "train", sizes.train)
        held = [digits.make(seed, split, sizes.held) for split in ("validation", "test")]
    else:
        splits = [images.find(_FOLDER.value, split) for split in ("train", "val")]
        counts = sizes.train, 2 * sizes.held
        drawn_splits = [
            images.drawn(*split_and_count, seed)
            for split_and_count in zip(splits, counts, strict=True)
        ]
        train, whole = (images.in_memory(split, digits.SIDE) for split in drawn_splits)
        held = [tuple(part[half::2] for part in whole) for half in (0, 1)]
    return Data(*map(jnp.asarray, train)), *(batched(Data(*part)) for part in held)


def batched(data: Data) -> Data:
    """``data`` in batches of 250, or in one smaller batch."""
    return data.batches(min(250, len(data.labels)))


def limit_of(config: SupernetConfig) -> float:
    """The limit of --limit in millions of multiply-adds."""
    least, most = window.reach(config, config.image_size)
    return least + _LIMIT.value * (most - least)


def supernet(
    config: SupernetConfig, sizes: Sizes, train: Data, seed: int
) -> tuple[Supernet, np.ndarray]:
    """Trains a supernet by progressive shrinking; returns it with its losses."""
    return train_supernet.train(
        Supernet(config, nnx.Rngs(seed)),
        train_supernet.stages(config, sizes.shrink, rate=1e-2, later=4e-3),
        train,
        seed=seed,
        batch=2 * _BATCH,
        chunk=100,
        how=_HOW,
        progress=lambda stage, done, loss: console.note(
            f"  {stage.name}: step {done}/{stage.steps}, loss {loss:.3f}"
        ),
    )


def searched(
    space: SubNetworks, inherits: Callable[[Arch], float], sizes: Sizes, seed: int
) -> search.Result:
    """Searches sub-networks with a Gaussian process."""
    init = min(20, sizes.budget // 2)
    method = methods.make("gp", init=init, per_round=4, budget=sizes.budget)

    def progress(state):
        if state.finished % 20 == 0:
            console.note(
                f"  {state.finished}/{state.budget} queries, best {state.best.score:.2f} %"
            )

    return search.run(
        method,
        space,
        lambda arch: {"score": inherits(arch)},
        seed=seed,
        pool=sizes.pool,
        refresh=None,
        progress=progress,
    )


def spread_out(
    space: SubNetworks, winner: Arch, inherits: Callable[[Arch], float], sizes: Sizes, seed: int
) -> tuple[Arch, np.ndarray]:
    """The networks to retrain, the winner first, fields [N, ...], and their inherited accuracy [N].

    From random sub-networks under the limit, takes a sample evenly spaced in cost; from this,
    without the winner, networks evenly spaced in the order of inherited accuracy.
    """
    config = space.config
    drawn = archs.random(config, np.random.default_rng([seed, 1]), 5000)
    rows = np.unique(window.rows(window.canonical(config, drawn)), axis=0)
    rows = rows[(rows != window.rows(winner)).any(axis=1)]
    costs = cost.multiply_adds(config, window.unrows(config, rows))
    inside = space.window.holds(costs)
    rows, costs = rows[inside], costs[inside] / 1e6
    targets = np.linspace(costs.min(), costs.max(), sizes.sample)
    sample = np.unique(np.abs(costs[:, None] - targets).argmin(axis=0))
    if len(sample) < _NETWORKS.value - 1:
        raise ValueError(f"--networks={_NETWORKS.value}: give at most {len(sample) + 1}")
    inherited = np.array([inherits(window.unrows(config, row)) for row in rows[sample]])
    order = np.argsort(-inherited, kind="stable")
    even_indices = np.linspace(0, len(order) - 1, _NETWORKS.value - 1).round().astype(int)
    selected = order[even_indices]
    chosen = window.unrows(config, np.stack([window.rows(winner), *rows[sample][selected]]))
    return chosen, np.array([inherits(winner), *inherited[selected]])


def retrained(
    config: SupernetConfig, chosen: Arch, sizes: Sizes, train: Data, seed: int
) -> tuple[train_many.Runs, np.ndarray]:
    """Trains all networks from scratch, repeats of a network adjacent; returns them with losses."""
    repeats = _TRAININGS.value
    population = jax.tree.map(lambda part: np.repeat(part, repeats, axis=0), chosen)
    keys = jax.random.split(jax.random.key(seed + 2**16), _NETWORKS.value * repeats)
    return train_many.train(
        config,
        train_many.start(config, population, keys),
        train,
        steps=sizes.retrain,
        rate=1e-2,
        batch=_BATCH,
        chunk=100,
        how=_HOW,
        workers=os.cpu_count() or 1,
        progress=lambda done, losses: console.note(
            f"  {len(keys)} networks: step {done}/{sizes.retrain}, loss {losses.mean():.3f}"
        ),
    )


def summarize(inherited, scores, queries, limit, sizes, timing, seed) -> dict[str, Any]:
    """All numbers of the result, in percent, seconds and millions of multiply-adds."""
    means, spread = scores.mean(axis=1), agreement.spread(scores)
    tau, interval = agreement.tau(inherited, means)
    return {
        "quick": _QUICK.value,
        "seed": seed,
        "tau": tau,
        "tau_ci95": interval,
        "winner_place": agreement.place(means, 0),
        "networks": len(means),
        "winner": {"inherited": inherited[0], "retrained": means[0]},
        "best_retrained": means.max(),
        "spread": spread._asdict(),
        "seed_range_mean": float(np.ptp(scores, axis=1).mean()),
        "limit": limit,
        "search": {"first_20": np.max(queries[:20]), "best": np.max(queries), "n": len(queries)},
        "sizes": sizes._asdict(),
        "seconds": {name: round(value, 1) for name, value in timing.items()},
        "seconds_total": round(sum(timing.values()), 1),
        "device": provenance.device(),
        "versions": provenance.versions(),
    }


def write(out: Path, config, chosen: Arch, inherited, scores, summary: dict[str, Any]) -> None:
    """Writes results.csv and summary.json."""
    trainings = [f"retrained_{i}" for i in range(scores.shape[1])]
    lines = [["network", "winner", "multiply_adds", "parameters", "inherited", *trainings]]
    costs, sizes = cost.multiply_adds(config, chosen), cost.parameters(config, chosen)
    for i, name in enumerate(window.names(chosen)):
        row = [f"{value:.3f}" for value in (inherited[i], *scores[i])]
        lines.append([name, int(i == 0), int(costs[i]), int(sizes[i]), *row])
    files.write_csv(out / "results.csv", lines)
    summaries.write(out / "summary.json", "demo", summary)


def text(summary: dict[str, Any], out: Path) -> str:
    """The result as a few lines of text."""
    spread, (low, high) = summary["spread"], summary["tau_ci95"]
    lines = [
        f"tau {summary['tau']:.2f}, 95 % interval over networks [{low:.2f}, {high:.2f}]",
        f"winner: rank {summary['winner_place']} of {summary['networks']} retrained",
        f"deviation between networks {spread['networks']:.2f} %, between trainings of one "
        f"{spread['seeds']:.2f} % (p = {spread['p_value']:.1g} for no difference)",
        f"{summary['seconds_total']:.0f} s; written to {out}",
    ]
    return "\n".join(
        (["quick: the numbers are not meaningful"] if summary["quick"] else []) + lines
    )


@contextmanager
def timed(timing: dict[str, float], name: str) -> Iterator[None]:
    """Context that announces a step and records its seconds in ``timing``."""
    console.note(f"{name} ...")
    start = time.perf_counter()
    yield
    timing[name] = time.perf_counter() - start
    console.note(f"{name}: {timing[name]:.0f} s")
