"""Searches sub-networks in a window of multiply-adds (WeakNAS, Table 7).

    python -m experiments.mobilenet search --weights=FILE --imagenet=DIR
    python -m experiments.mobilenet search --evaluator=oracle --oracle=FILE
    python -m experiments.mobilenet search --evaluator=command --command='python train.py {arch}'

The accuracy of a sub-network is what it inherits from the supernet, what an accuracy predictor
says (no measurement), or what a command of yours prints last. Every evaluation is kept in a file:
the same line goes on where it was stopped, whatever stopped it. The paper's setting is
``--predictor=gbrt --encoding=org --refresh=0``.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags as absl_flags

from weaknas_jax import jobs
from weaknas_jax.cli import console, idle
from weaknas_jax.cli.configure import NUMBERS
from weaknas_jax.cli.mobilenet import flags
from weaknas_jax.cli.mobilenet.evaluate import read_images
from weaknas_jax.jobs.command import Command
from weaknas_jax.predictors import PREDICTORS
from weaknas_jax.report import run_folder
from weaknas_jax.search import methods
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet.encodings import SubNetworks
from weaknas_jax.supernets import search, search_report
from weaknas_jax.supernets.data import decoded_cache
from weaknas_jax.supernets.mobilenet import evaluate, oracle, weights

SHARED = (
    "weights",
    "width",
    "image_size",
    "flops",
    "encoding",
    "count",
    "imagenet",
    "images",
    "data_seed",
    "recalibrate",
    "batch",
    "how",
    "workers",
    "oracle",
    "oracle_size",
    "out",
    "seed",
)
"""The flags that it reads of those in `flags`."""
_enum, _int = absl_flags.DEFINE_enum, absl_flags.DEFINE_integer
_help = "Where accuracies come from."
_EVALUATOR = _enum("evaluator", "supernet", ["supernet", "oracle", "command"], _help)
_help = "Shell command for each sub-network; {arch} is it as JSON."
_COMMAND = absl_flags.DEFINE_string("command", None, _help)
_JOBS = _int("jobs", 1, "Commands at once.", lower_bound=1, upper_bound=10_000)
_METHOD = _enum("method", "weaknas", methods.EVERYWHERE, "Search method.")
_PREDICTOR = _enum("predictor", "gp", list(PREDICTORS), "Weak predictor.")
for _name, _registry in methods.CHOICES.items():
    _enum(_name, None, list(_registry), "As of experiments.nasbench. Default: by predictor.")
for _name in sorted({name for of in NUMBERS.values() for name in of}):
    absl_flags.DEFINE_float(_name, None, "As of experiments.nasbench.")
_default = "Default: 10, 1, 100 for a Gaussian process, else the paper's 100, 100, 1000."
_INIT = _int("init", None, f"M0, random sub-networks at the start. {_default}", lower_bound=1)
_PER_ROUND = _int("per_round", None, f"M, queries of a later round. {_default}", lower_bound=1)
_BUDGET = _int("budget", None, f"Q, queries in all. {_default}", lower_bound=1)
_TOP = _int("top", 1000, "N, the predicted best among which the M are drawn.", lower_bound=1)
_help = "Queries between refreshes of the pool around the best; 0 = it stays, as in the paper."
_REFRESH = _int("refresh", 5, _help, lower_bound=0)
_REPEATS = _int("repeats", 1, "Searches, with --seed and those after it.", lower_bound=1)
_help = "File of evaluations, shared by searches; default: evaluations.jsonl in --out."
_CACHE = absl_flags.DEFINE_string("cache", None, _help)
_IMAGES = ("weights", "imagenet", "images", "data_seed", "recalibrate", "batch", "how", "workers")
_READ_BY = {
    "supernet": _IMAGES,
    "oracle": ("oracle", "oracle_size"),
    "command": ("command", "jobs"),
}
"""The flags of each evaluator."""
_PROCESSES = ("gp", "gp_ml")


class Source(NamedTuple):
    """Where accuracies come from.

    Attributes:
      about: what they depend on, as JSON.
      opened: ``opened(folder, stop)``, a context that gives the function of a sub-network; None
        where it was stopped before that.
    """

    about: dict[str, Any]
    opened: Callable[..., contextlib.AbstractContextManager]


def main() -> int:
    wide, size = flags.supernet(), flags.SIZE.value
    space = SubNetworks(wide, flags.window(), size, flags.ENCODING.value)
    _check_flags()
    method = _method()
    source = {"supernet": _supernet, "oracle": _oracle, "command": _command}[_EVALUATOR.value](wide)
    settings = {
        "space": space.describe(),
        "method": jobs.said(method),
        "pool": flags.COUNT.value,
        "refresh": _REFRESH.value,
        "seed": flags.SEED.value,
    }
    mark = hashlib.sha256(json.dumps([settings, source.about]).encode()).hexdigest()[:8]
    name = f"mobilenet-{_EVALUATOR.value}"
    out = f"runs/{name}-{mark}" if flags.OUT.value is None else flags.OUT.value
    folder = run_folder.prepare(
        out, name, may_hold_one=True, names=search_report.FILES, kind="subnetworks"
    )
    with console.stoppable("stopping after this sub-network") as stop:
        console.note(f"{folder}: {_REPEATS.value} x {method.budget} queries")
        try:
            results = _searches(method, space, source, folder, stop)
        except KeyboardInterrupt:
            results = []
    if not results:
        return console.interrupted("experiments.mobilenet search", stop)
    more = {"settings": settings, "evaluator": _EVALUATOR.value, "about": source.about}
    more |= {"budget": method.budget, "device": run_folder.device()}
    summary = search_report.summarize(results, space, **more, versions=run_folder.versions())
    print(search_report.text(summary, search_report.save(folder, results, space, summary)))
    if stop():
        return console.interrupted("experiments.mobilenet search", stop)
    return 0


def _searches(method, space, source: Source, folder: Path, stop) -> list[search.Result]:
    path, results = _CACHE.value or folder / "evaluations.jsonl", []
    with search.cache(path, source.about) as known, source.opened(folder, stop) as evaluate_one:
        for repeat in range(_REPEATS.value):
            if evaluate_one is None or stop():
                break
            results.append(
                search.run(
                    method,
                    space,
                    evaluate_one,
                    seed=flags.SEED.value + repeat,
                    pool=flags.COUNT.value,
                    refresh=_REFRESH.value or None,
                    workers=_JOBS.value,
                    known=known,
                    progress=console.every(20.0, lambda done: _line(done, method.budget)),
                    stop=stop,
                )
            )
    return [result for result in results if result.evaluations]


def _method():
    process = _PREDICTOR.value in _PROCESSES
    init, per_round, budget = (10, 1, 100) if process else (100, 100, 1000)
    budget = _BUDGET.value or budget
    named = [*methods.CHOICES, *(name for of in NUMBERS.values() for name in of)]
    given = {name: absl_flags.FLAGS[name].value for name in named}
    return methods.make(
        _PREDICTOR.value,
        method=_METHOD.value,
        init=min(_INIT.value or init, budget),
        per_round=_PER_ROUND.value or per_round,
        budget=budget,
        top=_TOP.value,
        **{name: value for name, value in given.items() if value is not None},
    )


def _check_flags() -> None:
    """Raises ValueError where a flag of this line is not read by what was chosen."""
    idle.refuse_in_one_search()
    chosen = _EVALUATOR.value
    others = {name for of in _READ_BY.values() for name in of} - set(_READ_BY[chosen])
    for name in idle.given(sorted(others)):
        users = ", ".join(of for of, names in _READ_BY.items() if name in names)
        raise ValueError(f"--{name}: is for --evaluator={users}, not {chosen}; leave it out")


def _oracle(wide) -> Source:
    path, size = flags.needed(flags.ORACLE, "name a file"), flags.ORACLE_SIZE.value
    layers = oracle.read(path)
    about = {"oracle": hashlib.sha256(Path(path).read_bytes()).hexdigest(), "oracle_size": size}

    def predicted(arch: archs.Arch) -> dict[str, float]:
        return {"score": float(oracle.predict(layers, wide, arch, size))}

    predicted(archs.largest(wide))  # an image size that it has not is an error now
    return Source(about, lambda folder, stop: contextlib.nullcontext(predicted))


def _command(wide) -> Source:
    del wide
    line = flags.needed(_COMMAND, "name a shell command, with {arch}")

    @contextlib.contextmanager
    def opened(folder: Path, stop) -> Iterator[search.Evaluate]:
        command = Command(line, ("arch",), folder / "logs", _JOBS.value)

        def called(arch: archs.Arch) -> dict[str, Any]:
            found = command(json.loads(archs.to_json(arch)))
            return found if isinstance(found, dict) else {"score": found}

        try:
            yield called
        finally:
            command.end()

    return Source({"command": line}, opened)


def _supernet(wide) -> Source:
    net = weights.read(flags.needed(flags.WEIGHTS, "name a file or folder"), wide)
    wide.check_image_size(flags.SIZE.value)
    if not flags.RECALIBRATE.value:
        raise ValueError("--recalibrate=0: a sub-network is worthless without; give some images")
    train = flags.split("train", wide, flags.RECALIBRATE.value)
    tested = flags.split("val", wide, flags.IMAGES.value)
    about = {
        "weights": weights.digest(net),
        "train": decoded_cache.fingerprint(train),
        "val": decoded_cache.fingerprint(tested),
        "image_size": flags.SIZE.value,
        "batch": flags.BATCH.value,
        "data_seed": flags.DATA_SEED.value,
    }

    @contextlib.contextmanager
    def opened(folder: Path, stop) -> Iterator[search.Evaluate | None]:
        of_images = {name: value for name, value in about.items() if name != "weights"}
        mark = hashlib.sha256(json.dumps(of_images).encode()).hexdigest()[:8]
        calibration = _held(folder / f"train-{mark}.npz", train, "training", stop, True)
        validation = calibration and _held(
            folder / f"val-{mark}.npz", tested, "validation", stop, False
        )
        yield validation and evaluate.inherited(net, calibration, validation, flags.HOW.value)

    return Source(about, opened)


def _held(path: Path, split, what: str, stop, augment: bool) -> list | None:
    """The batches of a split, decoded into a file once; None = stopped before they were."""
    found = decoded_cache.read(path)
    if found is None:
        broken: list[str] = []
        size, count = flags.SIZE.value, len(split.paths)
        console.note(f"{path}: {count:,} images, {count * size**2 * 3 / 1e9:.1f} GB")
        batches = read_images(
            split, what, lambda: False, broken, flags.DATA_SEED.value if augment else None
        )
        if not decoded_cache.write(path, batches, stop):
            return None
        for name in broken:
            console.note(f"left out, cannot be read: {name}")
        found = decoded_cache.read(path)
    return found


def _line(done: list[search.Evaluation], budget: int) -> str:
    last, scored = done[-1], [e for e in done if e.error is None]
    said = last.error or f"{last.score:.3f} in {last.seconds:.1f} s"
    line = f"[{len(done)}/{budget}] {said}"
    if scored:
        line += f", best {max(e.score for e in scored):.3f}"
    if failed := len(done) - len(scored):
        line += f", {failed} failed"
    return line
