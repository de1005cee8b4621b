"""Golden queries: what searches asked for when these files were made, for `test_golden`.

    python tests/golden.py [CASE ...]             writes tests/golden/CASE.json
    python tests/golden.py --into FOLDER [CASE ...]     writes them elsewhere

A file holds the queries and what made them: versions, and a fingerprint of the arithmetic. It is
written anew only where queries are meant to change, and the change log says so.
"""

import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import exact
import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax import jobs
from weaknas_jax.search import methods
from weaknas_jax.spaces import candidates as pools
from weaknas_jax.spaces.choices import Choices, categorical, integer, ordinal
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config, window
from weaknas_jax.spaces.mobilenet.encodings import SubNetworks
from weaknas_jax.storage import journal
from weaknas_jax.supernets import search
from weaknas_jax.supernets.mobilenet import oracle

FOLDER = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[1]
VERSIONS = ("jaxlib", "numpy", "xgboost-cpu")


def fingerprint() -> str:
    """A digest of float32 arithmetic here: other processors and compilers round otherwise."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(65, 129)), jnp.float32)

    def compute(x):
        gram = x @ x.T + 65 * jnp.eye(65)
        factor = jnp.linalg.cholesky(gram)
        parts = gram, factor, jnp.exp(-(x**2)), jnp.tanh(x), jax.scipy.special.ndtri(0.4 + x / 99)
        return (*parts, jnp.sum(x, axis=0), jax.random.normal(jax.random.key(0), (99,)))

    return hashlib.sha256(b"".join(np.asarray(part) for part in jax.jit(compute)(x))).hexdigest()


def versions() -> dict[str, str | None]:
    """Versions of what decides how numbers are rounded; None = not installed."""

    def version(name):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    return {name: version(name) for name in VERSIONS}


def _planted(case: tuple[str, str | None]) -> dict[str, list]:
    steps = list(exact.program(*case).work(7, exact.jobs()))
    traces = sorted((job.run, trace) for step in steps for job, trace in step.ended)
    return {f"run {run}": trace.queried[0].tolist() for run, trace in traces}


def _main(module: str, *arguments: str) -> dict[str, list]:
    """The queries of every folder that a command leaves."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        line = [sys.executable, "-m", module, *arguments, f"--out={out}"]
        subprocess.run(line, check=True, capture_output=True, env=environment, cwd=ROOT)
        traces = {path.parent.name: np.load(path) for path in sorted(out.rglob("trace.npz"))}
        return {
            f"{'one' if name == 'out' else name} run {run}": queried[queried >= 0].tolist()
            for name, trace in traces.items()
            for run, queried in zip(trace["run"], trace["queried"], strict=True)
        }


CHOICES = {
    "depth": integer(2, 5),
    "width": ordinal(16, 32, 64, 128),
    "op": categorical("conv", "mbconv", "pool"),
    "ratio": ordinal(2, 4, 6, when={"op": "mbconv"}),
    "skip": categorical(True, False),
}


def score(arch: dict[str, Any]) -> dict[str, float]:
    """Of an architecture of `CHOICES`; some fail."""
    if arch["op"] == "pool" and arch["depth"] == 2:
        raise ValueError("too shallow")
    value = arch["depth"] - abs(arch["width"] - 60) / 30 + 2.0 * (arch["op"] == "mbconv")
    return {"score": value + 0.3 * (arch["ratio"] or 0) + 0.2 * arch["skip"], "extra": 1.0}


def _jobs(*names: str) -> dict[str, list]:
    """Journals of a space that is listed, or of one of which a pool is ranked."""
    many = {f"c{at}": categorical("a", "b", "c") for at in range(14)}

    def count(arch):
        return sum(value == "b" for value in arch.values()) + (arch["c0"] == arch["c1"])

    cases = {
        "listed gp": (Choices(CHOICES, constraint="depth * width <= 512"), score, "gp"),
        "listed knn": (Choices(CHOICES), score, "knn"),
        "pool gp": (Choices(many, constraint="c0 != 'c' or c5 == 'a'"), count, "gp"),
    }
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            space, evaluate, predictor = cases[name]
            path = f"{folder}/{name}.jsonl"
            with ThreadPoolExecutor(1) as threads:
                jobs.search(
                    methods.make(predictor, init=5, per_round=3, budget=32),
                    evaluate,
                    space,
                    executor=threads,
                    workers=1,
                    seed=3,
                    pool=500,
                    journal=path,
                )
            asked = [r["archs"] for r in journal.read(path) if r["kind"] == "asked"]
            out[name] = [list(arch.values()) for archs_ in asked for arch in archs_]
    return out


def _pools() -> dict[str, list]:
    """Digests of the rows of pools, and of what a refresh brings."""
    spaces = {
        "three": Choices({f"c{at}": categorical("a", "b", "c") for at in range(14)}),
        "mixed": Choices(
            {f"w{at}": integer(1, 40) for at in range(6)}
            | {
                f"op{at}": categorical("x", "y", "z", when={"w0": range(5 * at, 40)})
                for at in (1, 3)
            },
            constraint="w0 + w1 <= 60",
        ),
    }
    out = {}
    for name, space in spaces.items():
        drawn = pools.start(space, 5, 700)
        asked = np.arange(700) < 20
        worth = np.linspace(0, 1, 700)
        after = pools.refresh(space, drawn, 5, asked, np.arange(20)[::-1], worth)
        for part, rows in (("start", drawn.codes), ("refresh", after.codes)):
            out[f"{name} {part}"] = [hashlib.sha256(rows.astype(np.int16)).hexdigest()]
    return out


def _optuna() -> dict[str, list]:
    """What is suggested in a study whose values can be listed."""
    import optuna

    from weaknas_jax.integrations.optuna import WeakNASSampler

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=WeakNASSampler(seed=2), direction="minimize")

    def objective(trial):
        depth, width = trial.suggest_int("depth", 1, 6), trial.suggest_int("width", 8, 64, step=8)
        kind = trial.suggest_categorical("kind", ["a", "b", "c"])
        return abs(depth - 4) + abs(width - 40) / 16 + 2 * (kind != "b")

    study.optimize(objective, n_trials=30)
    return {"suggested": [list(trial.params.values()) for trial in study.trials]}


def _sub_networks() -> dict[str, list]:
    """A search among sub-networks by an oracle whose weights are drawn here."""
    rng = np.random.default_rng(0)
    sizes = [2 * 60 + len(oracle.SIZES), 40, 40, 40, 1]
    layers = {}
    for layer, (fan_in, fan_out) in zip((0, 2, 4, 6), itertools.pairwise(sizes), strict=True):
        layers[f"{layer}_weight"] = rng.normal(size=(fan_out, fan_in)) / fan_in**0.5
        layers[f"{layer}_bias"] = rng.normal(size=fan_out) / 9
    wide = config.mobilenet_v3(1.2)

    def evaluate(arch: archs.Arch) -> dict[str, float]:
        return {"score": float(oracle.predict(layers, wide, arch, 224))}

    space = SubNetworks(wide, window.Window(550, 600), 224)
    method = methods.make("gp", init=6, per_round=2, budget=30)
    result = search.run(method, space, evaluate, seed=1, pool=300)
    population = archs.Arch(
        *(np.stack(part) for part in zip(*(e.arch for e in result.evaluations), strict=True))
    )
    return {"asked": window.names(population).tolist()}


CASES: dict[str, Callable[[], dict[str, list]]] = {
    **{
        "planted-" + "-".join(filter(None, case)): lambda case=case: _planted(case)
        for case in exact.CASES
    },
    "main": lambda: _main("experiments.nasbench", "--predictor=gp", "--seeds=3"),
    "default": lambda: _main(
        "experiments.nasbench", "--dataset=cifar10", "--seeds=2", "--budget=40", "--stop=budget"
    ),
    "mlp": lambda: _main(
        "experiments.nasbench",
        *("--predictor=mlp", "--dataset=cifar100", "--seeds=1", "--budget=40"),
    ),
    "sweep": lambda: _main(
        "experiments.sweep",
        *("--predictor=knn,linear", "--dataset=imagenet16", "--seeds=2", "--budget=40"),
        *("--labels=single_run", "--table_version=nats", "--top=20,100"),
    ),
    "nasbench101": lambda: _main(
        "experiments.nasbench",
        *("--space=nasbench101", "--predictor=gp", "--seeds=1", "--budget=60"),
    ),
    "nasbench101-knn": lambda: _main(
        "experiments.nasbench",
        *("--space=nasbench101", "--predictor=knn", "--seeds=1", "--init=50", "--budget=80"),
    ),
    "jobs-listed": lambda: _jobs("listed gp", "listed knn"),
    "jobs-pool": lambda: _jobs("pool gp"),
    "optuna": _optuna,
    "pools": _pools,
    "sub-networks": _sub_networks,
}
QUICK = {"jobs-pool", "planted-weaknas-gp", "planted-evolution"}
"""The others are slow tests."""
LONG = {"mlp", "nasbench101-knn", "sweep"}


def main(*arguments: str) -> None:
    folder, names = FOLDER, arguments
    if arguments[:1] == ("--into",):
        folder, names = Path(arguments[1]), arguments[2:]
    folder.mkdir(exist_ok=True)
    for name in names or CASES:
        content = {"versions": versions(), "fingerprint": fingerprint(), "queries": CASES[name]()}
        text = json.dumps(content, separators=(",", ":"))
        (folder / f"{name}.json").write_text(text + "\n")
        print(name, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
