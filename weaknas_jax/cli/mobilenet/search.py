"""Search sub-networks in a window of multiply-adds (WeakNAS, Table 7).

    weaknas mobilenet search --weights=FILE --imagenet=DIR
    weaknas mobilenet search --evaluator=oracle --oracle=FILE
    weaknas mobilenet search --evaluator=command --command='python train.py {arch}'

The accuracy of a sub-network is inherited from the supernet, predicted by an accuracy predictor
(not measured), or the last line of output of your command. Evaluations are stored in a file: the
same command line resumes a stopped search. The paper's setting is
``--predictor=gbrt --encoding=org --refresh=0``.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from absl import flags as absl_flags

from weaknas_jax import jobs
from weaknas_jax.cli import console, idle, job_flags
from weaknas_jax.cli.define import asked_numbers, define_named, define_numbers
from weaknas_jax.cli.mobilenet import flags
from weaknas_jax.cli.mobilenet.evaluate import read_images
from weaknas_jax.jobs import checks
from weaknas_jax.jobs.command import Command
from weaknas_jax.report import provenance, run_folder
from weaknas_jax.search import defaults, methods
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.spaces.mobilenet.encodings import SubNetworks
from weaknas_jax.supernets import search, search_report
from weaknas_jax.supernets.data import decoded_cache
from weaknas_jax.supernets.mobilenet import evaluate, oracle, weights

SHARED = (
    *("width", "image_size", "flops", "encoding", "count", "oracle", "oracle_size", "out", "seed"),
    *flags.IMAGE_FLAGS,
    *job_flags.NAMES,
)
"""The shared flags (`flags`) that this command reads."""
_enum, _int = absl_flags.DEFINE_enum, absl_flags.DEFINE_integer
_help = "Source of accuracies."
_EVALUATOR = _enum("evaluator", "supernet", ["supernet", "oracle", "command"], _help)
_help = "Shell command for each sub-network; {arch} is the sub-network as JSON."
_COMMAND = absl_flags.DEFINE_string("command", None, _help)
_METHOD = define_named("method", choices=methods.EVERYWHERE)
_PREDICTOR = define_named("predictor")
for _name in methods.CHOICES:
    define_named(_name)
define_numbers()
_default = "Default: 10, 1, 100 for a Gaussian process, else the paper's 100, 100, 1000."
_INIT = _int("init", None, f"M0, random sub-networks at the start. {_default}", lower_bound=1)
_PER_ROUND = _int("per_round", None, f"M, queries of a later round. {_default}", lower_bound=1)
_BUDGET = _int("budget", None, f"Q, queries in all. {_default}", lower_bound=1)
_TOP = _int("top", 1000, "N, size of the predicted top from which M are drawn.", lower_bound=1)
_help = "Queries between refreshes of the pool around the best; 0 = never, as in the paper."
_REFRESH = _int("refresh", 5, _help, lower_bound=0)
_REPEATS = _int("repeats", 1, "Number of searches, with seeds from --seed on.", lower_bound=1)
_help = "File of evaluations, shared by searches; default: evaluations.jsonl in --out."
_CACHE = absl_flags.DEFINE_string("cache", None, _help)
_READ_BY = {
    "supernet": flags.IMAGE_FLAGS,
    "oracle": ("oracle", "oracle_size"),
    "command": ("command", *job_flags.NAMES),
}
"""Flags that each evaluator reads."""


class Source(NamedTuple):
    """A source of accuracies.

    Attributes:
      about: everything the accuracies depend on, as JSON.
      opened: ``opened(folder, stop)``, a context with the evaluation function; None where it was
        stopped while preparing.
      jobs: arguments of `supernets.search.run` for parallel jobs; empty = one by one, in-process.
    """

    about: dict[str, Any]
    opened: Callable[..., contextlib.AbstractContextManager]
    jobs: Mapping[str, Any] = MappingProxyType({})


def main() -> int:
    config, size = flags.supernet(), flags.SIZE.value
    space = SubNetworks(config, flags.window(), size, flags.ENCODING.value)
    _check_flags()
    method = _method()
    sources = {"supernet": _supernet, "oracle": _oracle, "command": _command}
    source = sources[_EVALUATOR.value](config)
    settings = {
        "space": space.describe(),
        "method": jobs.metadata(method),
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
    with console.stoppable("starting no more evaluations; waiting for the running ones") as stop:
        console.note(f"{folder}: {_REPEATS.value} x {method.budget} queries")
        try:
            results = _searches(method, space, source, folder, stop)
        except KeyboardInterrupt:
            results = []
    if not results:
        return console.interrupted(stop)
    fields = {"settings": settings, "evaluator": _EVALUATOR.value, "about": source.about}
    fields |= {"budget": method.budget, "device": provenance.device()}
    findings = search_report.gather(results, space)
    summary = search_report.summarize(findings, **fields, versions=provenance.versions())
    print(search_report.text(summary, search_report.save(folder, findings, summary)))
    if stop():
        return console.interrupted(stop)
    return 0


def _searches(method, space, source: Source, folder: Path, stop) -> list[search.Result]:
    """The results of repeats with at least one query; in async mode each also has a journal."""
    path, results = _CACHE.value or folder / "evaluations.jsonl", []
    line = console.every(20.0, job_flags.progress_text)
    with search.cache(path, source.about) as cache, source.opened(folder, stop) as evaluate_one:
        for seed in range(flags.SEED.value, flags.SEED.value + _REPEATS.value):
            if evaluate_one is None or stop():
                break
            journal = str(folder / f"journal-{seed}.jsonl")
            result = search.run(
                method,
                space,
                evaluate_one,
                seed=seed,
                pool=flags.COUNT.value,
                refresh=_REFRESH.value or None,
                cache=cache,
                progress=line,
                stop=stop,
                journal=journal if source.jobs.get("mode") == "async" else None,
                **source.jobs,
            )
            results.append(result)
    return [result for result in results if result.evaluations]


def _method():
    predictor = _PREDICTOR.value if methods.METHODS[_METHOD.value].predictor else None
    default = defaults.of(_METHOD.value, predictor, "subnetworks")
    budget = _BUDGET.value or default.budget
    return methods.make(
        _PREDICTOR.value,
        method=_METHOD.value,
        space="subnetworks",
        init=min(_INIT.value or default.init, budget),
        per_round=_PER_ROUND.value or default.per_round,
        budget=budget,
        top=_TOP.value,
        **{name: absl_flags.FLAGS[name].value for name in methods.CHOICES},
        **asked_numbers(),
    )


def _check_flags() -> None:
    """Raises ValueError where the chosen method or evaluator does not read a flag."""
    idle.refuse_in_one_search()
    chosen = _EVALUATOR.value
    others = {name for of in _READ_BY.values() for name in of} - set(_READ_BY[chosen])
    for name in idle.present(sorted(others)):
        users = ", ".join(of for of, names in _READ_BY.items() if name in names)
        raise ValueError(f"--{name}: only for --evaluator={users}, not {chosen}; leave it out")


def _oracle(config: SupernetConfig) -> Source:
    path, size = flags.needed(flags.ORACLE, "name a file"), flags.ORACLE_SIZE.value
    layers = oracle.read(path)
    about = {"oracle": hashlib.sha256(Path(path).read_bytes()).hexdigest(), "oracle_size": size}

    def predicted(arch: archs.Arch) -> dict[str, float]:
        return {"score": float(oracle.predict(layers, config, arch, size))}

    predicted(archs.largest(config))  # raises at once for an unknown image size
    return Source(about, lambda folder, stop: contextlib.nullcontext(predicted))


def _command(config: SupernetConfig) -> Source:
    del config
    line = flags.needed(_COMMAND, "name a shell command, with {arch}")
    workers, timeout = job_flags.WORKERS.value, job_flags.TIMEOUT.value
    checks.seconds("--timeout", timeout)

    @contextlib.contextmanager
    def opened(folder: Path, stop) -> Iterator[search.Evaluate]:
        command = Command(line, ("arch",), folder / "logs", workers, timeout)

        def called(arch: archs.Arch) -> dict[str, Any]:
            returned = command(json.loads(archs.to_json(arch)))
            return returned if isinstance(returned, dict) else {"score": returned}

        try:
            yield called
        finally:
            command.end()

    job_settings = {
        "workers": workers,
        "mode": job_flags.MODE.value,
        "retries": job_flags.RETRIES.value,
    }
    return Source({"command": line}, opened, job_settings)


def _supernet(config: SupernetConfig) -> Source:
    net = weights.read(flags.needed(flags.WEIGHTS, "name a file or folder"), config)
    config.check_image_size(flags.SIZE.value)
    if not flags.RECALIBRATE.value:
        raise ValueError(
            "--recalibrate=0: inherited accuracy needs recalibration; give more than 0"
        )
    train = flags.split("train", config.classes, flags.RECALIBRATE.value)
    validation_split = flags.split("val", config.classes, flags.IMAGES.value)
    about = {
        "weights": weights.digest(net),
        "train": decoded_cache.fingerprint(train),
        "val": decoded_cache.fingerprint(validation_split),
        "image_size": flags.SIZE.value,
        "batch": flags.BATCH.value,
        "data_seed": flags.DATA_SEED.value,
    }

    @contextlib.contextmanager
    def opened(folder: Path, stop) -> Iterator[search.Evaluate | None]:
        image_settings = {name: value for name, value in about.items() if name != "weights"}
        mark = hashlib.sha256(json.dumps(image_settings).encode()).hexdigest()[:8]
        calibration = _decoded(folder / f"train-{mark}.npz", train, "training", stop, True)
        validation = calibration and _decoded(
            folder / f"val-{mark}.npz", validation_split, "validation", stop, False
        )
        yield validation and evaluate.inherited(net, calibration, validation, flags.HOW.value)

    return Source(about, opened)


def _decoded(path: Path, split, label: str, stop, augment: bool) -> list | None:
    """The batches of a split, decoded to a file once; None = stopped while decoding."""
    batches = decoded_cache.read(path)
    if batches is None:
        broken: list[str] = []
        size, count = flags.SIZE.value, len(split.paths)
        console.note(f"{path}: {count:,} images, {count * size**2 * 3 / 1e9:.1f} GB")
        decoded = read_images(
            split, label, lambda: False, broken, flags.DATA_SEED.value if augment else None
        )
        if not decoded_cache.write(path, decoded, stop):
            return None
        for name in broken:
            console.note(f"skipped, cannot be read: {name}")
        batches = decoded_cache.read(path)
    return batches
