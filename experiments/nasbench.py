"""Search a benchmark table many times over and report it.

    python -m experiments.nasbench

runs WeakNAS with the paper's MLP on NAS-Bench-201 / CIFAR-10, 6 runs of 200 queries, and leaves
``summary.json``, ``trace.npz``, ``config.json`` and ``curve.png`` in a new folder below ``runs/``.
Whatever stops it, ``--out=FOLDER --resume`` goes on with the same runs.
"""

import shlex
import sys
from pathlib import Path

import jax
from absl import app, flags, logging

from experiments import console
from experiments.configure import CHOICES, NUMBERS, Configured, configure
from weaknas_jax import (
    Job,
    Plan,
    PlanError,
    Program,
    methods,
    protocol,
    report,
    runfolder,
    session,
)
from weaknas_jax.checkpoint import CheckpointError
from weaknas_jax.predictors import PREDICTORS
from weaknas_jax.tables import nasbench201
from weaknas_jax.trace import join

_enum, _int, _float = flags.DEFINE_enum, flags.DEFINE_integer, flags.DEFINE_float

OUT = flags.DEFINE_string("out", None, "Folder for the results; default: a new one below runs/.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an experiment that --out holds.")
_help = "Go on with the experiment in --out, finished or not; its flags need not be repeated."
RESUME = flags.DEFINE_bool("resume", False, _help)
_help = "Seconds between checkpoints; 0 = after every round."
EVERY = _float("checkpoint_every", 10.0, _help, lower_bound=0.0)
SPACE = _enum("space", "nasbench201", ["nasbench201", "table"], "What is searched.")
DATASET = _enum("dataset", "cifar10", list(nasbench201.DATASETS), "Data set of NAS-Bench-201.")
TABLE = flags.DEFINE_string("table", None, "Canonical table (.npz) to search instead.")
_help = "Edition of NAS-Bench-201."
VERSION = _enum("table_version", "v1.1", list(nasbench201.VERSIONS), _help)
METHOD = _enum("method", "weaknas", list(methods.METHODS), "Search method.")
PREDICTOR = _enum("predictor", "mlp", list(PREDICTORS), "Weak predictor.")
_helps = {
    "label_transform": "What the predictor is fitted on: labels scaled, or normal scores of ranks.",
    "acquisition": "What architectures are ranked by; the paper's is the predicted mean.",
    "sampling": "How the M are drawn: in the top N by place (the paper: uniform), or the best.",
}
for _name, _help in _helps.items():
    _enum(_name, None, list(CHOICES[_name]), f"{_help} Default: by predictor.")
for _name in sorted({name for of in NUMBERS.values() for name in of}):
    _of = ", ".join(f"{user[2:]} ({of[_name]:g})" for user, of in NUMBERS.items() if _name in of)
    _float(_name, None, f"Numeric setting of (default): {_of}.")
PROTOCOL = _enum("protocol", "honest", list(protocol.PRESETS), "Preset of the switches below.")
_helps = {
    "labels": "What a query returns.",
    "normalize": "Whose mean and deviation scale the labels.",
    "target": "Which optimum is to be met. For a table without test: valid.",
    "report": "Which accuracy stands for a run. For a table without test: best_valid.",
    "counting": "When a met optimum counts: at its query, or at the end of its round.",
    "predicted_top": "The predictor's best: seen if queried, first of the M, or a free look.",
}
for _name, _help in _helps.items():
    _enum(_name, None, list(protocol.CHOICES[_name]), f"{_help} Default: that of --protocol.")
STOP = _enum("stop", "budget", ["budget", "optimum"], "A run ends with its budget, or its target.")
SEEDS = _int("seeds", 6, "How many runs.", lower_bound=1)
FIRST_RUN = _int("first_run", 0, "Number of the first run.", lower_bound=0)
_help = "Root of all random numbers; run i has fold_in(seed, i)."
SEED = _int("seed", 0, _help, lower_bound=0, upper_bound=2**32 - 1)
INIT = _int("init", 10, "M0, random architectures at the start.", lower_bound=1)
PER_ROUND = _int("per_round", 10, "M, queries of each later round.", lower_bound=1)
TOP = _int("top", 100, "N, the predicted best among which they are drawn.", lower_bound=1)
_help = "N of the last round, where N falls from --top to it; default: it stays."
TOP_END = _int("top_end", None, _help, lower_bound=1)
BUDGET = _int("budget", 200, "Q, queries of a run.", lower_bound=1)
_help = "Measure the predictor in each round (Figure 3). Default: yes, unless rounds are quick."
DYNAMICS = flags.DEFINE_bool("dynamics", None, _help)
DEVICES = _int("devices", None, "How many devices; default: all.", lower_bound=1)
LANES = _int("lanes", None, "Runs side by side on a device; default: planned.", lower_bound=1)
CHUNK = _int("chunk", None, "Architectures scored at once; default: planned.", lower_bound=8)
_help = "MiB of each device that may be used; default: half of a CPU's, 9/10 of another's."
MEMORY = _int("memory", None, _help, lower_bound=1)
PRECISION = _enum(
    "matmul_precision",
    "default",
    ["default", "high", "highest", "bfloat16", "tensorfloat32", "float32"],
    "Precision of float32 matrix products on accelerators (a CPU always has float32).",
)
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]
FREE = {"out", "overwrite", "resume", "checkpoint_every", "seeds", "first_run", "devices"}
FREE |= {"memory", "table"}  # may differ when an experiment is resumed


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        return console.fail(f"unexpected argument {argv[1]!r}; flags begin with --")
    logging.set_verbosity(logging.WARNING)
    again = (
        f"python -m experiments.nasbench --out={OUT.value} --resume" if OUT.value else "it again"
    )
    try:
        stored = _adopt() if RESUME.value else None
        search = configure({name: flags.FLAGS[name].value for name in NAMES})
        if stored is not None and stored["table_sha256"] != search.table_sha256:
            raise ValueError(f"--table={TABLE.value}: not the file that {OUT.value} began with")
        if DEVICES.value and DEVICES.value > len(jax.devices()):
            raise ValueError(f"--devices={DEVICES.value}: there are {len(jax.devices())} here")
        name = f"{search.table.space}-{search.table.dataset}-{METHOD.value}"
        folder = runfolder.prepare(OUT.value, name, RESUME.value or OVERWRITE.value)
        again = f"python -m experiments.nasbench --out={shlex.quote(str(folder))} --resume"
        with runfolder.locked(folder), console.stoppable() as stop:
            try:
                return _search(folder, stored, search, stop, again)
            finally:
                runfolder.discard(folder)
    except CheckpointError as error:
        return console.fail(f"{error}; earlier ones are intact: make room, then go on by {again}")
    except ValueError as error:
        return console.fail(str(error))
    except OSError as error:
        return console.fail(
            f"--out={OUT.value or 'runs'}: {error}; make room, then go on by {again}"
        )
    except KeyboardInterrupt:
        return console.fail(f"interrupted; go on from the last checkpoint by {again}", 130)


def _adopt() -> dict | None:
    """The stored configuration of the experiment to resume, and its flags made those of this call.

    None = nothing is there yet, so that one command line serves the first start and all others.

    Raises:
      ValueError: a flag says otherwise, or the backend is another; names them.
    """
    if OUT.value is None:
        raise ValueError("--resume needs --out=FOLDER, the experiment to go on with")
    if OVERWRITE.value:
        raise ValueError("--resume and --overwrite exclude one another; drop one")
    stored = runfolder.stored_config(Path(OUT.value))
    if stored is None:
        console.note(f"{OUT.value}: nothing to resume there, starting")
        return None
    there = stored["flags"] | {k: stored["settings"][k] for k in ("lanes", "chunk")}
    other = []
    for name in NAMES:
        flag = flags.FLAGS[name]
        if flag.present and name not in FREE and flag.value != there.get(name):
            other.append(f"--{name}={flag.value} (there: {there.get(name)})")
        elif name in there and not flag.present and name not in FREE - {"table"}:
            flag.value = there[name]
    if other:
        raise ValueError(
            f"--resume: {OUT.value} was begun otherwise: {', '.join(other)}; leave these flags "
            "out, or name another folder"
        )
    if stored["platform"] != jax.default_backend():
        raise ValueError(
            f"--resume: {OUT.value} was begun on {stored['platform']}, this is "
            f"{jax.default_backend()}, which rounds otherwise; go on there, or name another folder"
        )
    now = {"device": runfolder.device(), "versions": runfolder.versions()}
    for part, value in now.items():
        if stored[part] != value:
            console.note(
                f"note: begun with other {part} ({stored[part]}): runs may round otherwise"
            )
    return stored


def _search(
    folder: Path, stored: dict | None, search: Configured, stop: console.Stop, again: str
) -> int:
    """Does what is missing of the experiment in ``folder``, saves and prints it."""
    runs = set(stored["runs"]) if stored else set()
    if stored is None or SEEDS.present or FIRST_RUN.present:
        runs |= set(range(FIRST_RUN.value, FIRST_RUN.value + SEEDS.value))
    old, summary = runfolder.earlier(folder) if stored else (None, None)
    missing = sorted(runs - set(old.run.tolist() if old else ()))
    if not missing and summary is not None:
        print(report.text(summary, runfolder.paths(folder)))
        console.note(f"{folder}: finished already, all {len(runs)} runs; nothing was done")
        return 0

    said = {
        "command": "python -m experiments.nasbench " + shlex.join(sys.argv[1:]),
        "device": runfolder.device(),
        "versions": runfolder.versions(),
        "matmul_precision": PRECISION.value,
    }
    spent = summary["timing"] if summary else {"compile_s": 0.0, "run_s": 0.0}
    checkpoints, complete, traces = runfolder.checkpoints(folder), True, [old] if old else []
    if missing:
        program = _compile(search, said["device"])
        config = {
            **(stored or _config(search, program, said)),
            "runs": sorted(runs),
            "sessions": [*(stored["sessions"] if stored else []), said],
        }
        runfolder.begin(folder, config, anew=stored is None)
        result = session.execute(
            program,
            SEED.value,
            [Job(0, run) for run in missing],
            checkpoints,
            every=EVERY.value,
            seconds=spent["run_s"],
            progress=console.progress_line(),
            stop=stop,
        )
        spent = {"compile_s": program.compile_s, "run_s": result.seconds}
        complete, traces = result.complete, traces + [trace for _, trace in result.ended]
        if not traces:
            return console.fail(f"interrupted; go on by {again}", stop.code)

    trace = join(traces)
    summary = report.summarize(
        trace,
        search.table,
        search.protocol,
        complete=complete,
        timing=spent,
        **said,
        **search.said,
    )
    paths = runfolder.save(folder, trace, summary)
    print(report.text(summary, paths))
    if not complete:
        done = f"{len(trace.run)} of {len(runs)} runs are finished and saved"
        return console.fail(f"interrupted: {done}; go on by {again}", stop.code)
    checkpoints.remove()
    if summary["broken"]:
        rounds = ", ".join(f"run {run} in round {at}" for run, at in summary["broken"].items())
        return console.fail(
            f"the predictor returned NaN (--seed={SEED.value}): {rounds}; each of these runs ended "
            f"there, its queries are in {folder / 'trace.npz'}",
            1,
        )
    return 0


def _compile(search: Configured, device: str) -> Program:
    """The program, and its plan printed.

    Raises:
      PlanError: it does not fit; names the flags.
    """
    jax.config.update("jax_default_matmul_precision", PRECISION.value)
    console.note(f"compiling for {device} ...")
    try:
        program = Program(
            search.build,
            search.problem,
            search.settings,
            points=[search.point],
            given=Plan(LANES.value or search.lanes, CHUNK.value),
            bound=MEMORY.value and MEMORY.value * 2**20,
            devices=jax.devices()[: DEVICES.value],
        )
    except PlanError as error:
        raise PlanError(f"{error}; raise --memory, or lower --lanes or --chunk") from None
    console.note(
        f"plan: {program.plan.lanes} lane(s) on each of {program.devices} device(s), "
        f"{program.plan.chunk:,} architectures scored at once; at most "
        f"{program.peak / 2**20:,.0f} MiB of a device, {program.bound / 2**20:,.0f} allowed"
    )
    return program


def _config(search: Configured, program: Program, said: dict) -> dict:
    """What ``config.json`` holds of an experiment that begins."""
    rule = search.protocol
    return {
        **said,
        "platform": jax.default_backend(),
        "flags": {name: flags.FLAGS[name].value for name in NAMES},
        "protocol": {"name": rule.name, **rule.switches()},
        "numbers": search.point,
        "settings": {
            **search.settings._asdict(),
            **program.plan._asdict(),
            "round_sizes": list(program.sizes),
        },
        "memory": {"planned_peak_bytes": program.peak, "bound_bytes": program.bound},
        "table_sha256": search.table_sha256,
    }


if __name__ == "__main__":
    app.run(main)
