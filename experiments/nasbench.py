"""Search a benchmark table many times over and report it.

    python -m experiments.nasbench

runs WeakNAS with the paper's MLP on NAS-Bench-201 / CIFAR-10, 6 runs of 200 queries, and leaves
``summary.json``, ``trace.npz``, ``config.json`` and ``curve.png`` in a new folder below ``runs/``.
"""

import hashlib
import shlex
import sys
import time
from pathlib import Path

import jax
from absl import app, flags, logging

from experiments import console
from weaknas_jax import batch, methods, protocol, ranking, report, runfolder, task
from weaknas_jax.predictors import PREDICTORS
from weaknas_jax.tables import Table, TableError, load_nasbench201, load_table
from weaknas_jax.tables import nasbench201 as nb201

_enum, _int = flags.DEFINE_enum, flags.DEFINE_integer

OUT = flags.DEFINE_string("out", None, "Folder for the results; default: a new one below runs/.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an experiment that --out holds.")
SPACE = _enum("space", "nasbench201", ["nasbench201", "table"], "What is searched.")
DATASET = _enum("dataset", "cifar10", list(nb201.DATASETS), "Data set of NAS-Bench-201.")
TABLE = flags.DEFINE_string("table", None, "Canonical table (.npz) to search instead.")
VERSION = _enum("table_version", "v1.1", list(nb201.VERSIONS), "Edition of NAS-Bench-201.")
METHOD = _enum("method", "weaknas", list(methods.METHODS), "Search method.")
PREDICTOR = _enum("predictor", "mlp", list(PREDICTORS), "Weak predictor.")
PROTOCOL = _enum("protocol", "honest", list(protocol.PRESETS), "Preset of the switches below.")
SWITCHES = {
    "labels": "What a query returns.",
    "normalize": "Whose mean and deviation scale the labels.",
    "target": "Which optimum is to be met. For a table without test: valid.",
    "report": "Which accuracy stands for a run. For a table without test: best_valid.",
    "counting": "When a met optimum counts: at its query, or at the end of its round.",
    "predicted_top": "The predictor's best: seen if queried, first of the M, or a free look.",
}
for _name, _help in SWITCHES.items():
    _enum(_name, None, list(protocol.CHOICES[_name]), f"{_help} Default: that of --protocol.")
STOP = _enum("stop", "budget", ["budget", "optimum"], "A run ends with its budget, or its target.")
SEEDS = _int("seeds", 6, "How many runs.", lower_bound=1)
FIRST_RUN = _int("first_run", 0, "Number of the first run.", lower_bound=0)
_help = "Root of all random numbers; run i has fold_in(seed, i)."
SEED = _int("seed", 0, _help, lower_bound=0, upper_bound=2**32 - 1)
INIT = _int("init", 10, "M0, random architectures at the start.", lower_bound=1)
PER_ROUND = _int("per_round", 10, "M, queries of each later round.", lower_bound=1)
TOP = _int("top", 100, "N, the predicted best among which they are drawn.", lower_bound=1)
BUDGET = _int("budget", 200, "Q, queries of a run.", lower_bound=1)
DYNAMICS = flags.DEFINE_bool("dynamics", True, "Measure the predictor in each round (Figure 3).")
PRECISION = _enum(
    "matmul_precision",
    "default",
    ["default", "high", "highest", "bfloat16", "tensorfloat32", "float32"],
    "Precision of float32 matrix products on accelerators (a CPU always has float32).",
)
NAMES = [f.name for f in list(globals().values()) if isinstance(f, flags.FlagHolder)] + [*SWITCHES]


def load() -> Table:
    """The table that the flags name.

    Raises:
      TableError: it cannot be had.
    """
    if TABLE.value is not None:
        for ignored in ("dataset", "table_version"):
            if flags.FLAGS[ignored].present:
                console.note(f"note: --{ignored} has no effect, --table={TABLE.value} is searched")
        return load_table(TABLE.value)
    if SPACE.value == "table":
        raise TableError("--space=table needs --table=FILE, a canonical table (.npz)")
    return load_nasbench201(DATASET.value, VERSION.value)


def rules(table: Table) -> protocol.Protocol:
    """The protocol that the flags name, for this table."""
    switches = {name: flags.FLAGS[name].value for name in SWITCHES}
    if table.test is None:
        for name, blind in (("target", "valid"), ("report", "best_valid")):
            if switches[name] not in (None, blind):
                raise TableError(
                    f"--{name}={switches[name]}: {TABLE.value} has no field 'test'; "
                    f"use --{name}={blind}"
                )
            switches[name] = blind
    if switches["report"] == "predicted_best_test" and METHOD.value not in methods.USES_PREDICTOR:
        raise ValueError(
            f"--report=predicted_best_test needs a predictor, and --method={METHOD.value} has none"
        )
    return protocol.resolve(PROTOCOL.value, **switches)


def check_numbers(table: Table) -> None:
    """Raises ValueError, naming the flag, where the numbers do not fit together."""
    init, per_round, top, budget = INIT.value, PER_ROUND.value, TOP.value, BUDGET.value
    if FIRST_RUN.value + SEEDS.value > 2**31:
        raise ValueError(f"--first_run={FIRST_RUN.value}: run numbers end at {2**31 - 1}")
    if budget < init:
        raise ValueError(
            f"--budget={budget} is less than --init={init}: raise --budget or lower --init"
        )
    if budget > len(table):
        raise ValueError(
            f"--budget={budget} is more than the {len(table):,} architectures of the table; "
            "lower --budget"
        )
    if per_round > top and METHOD.value in methods.USES_PREDICTOR:
        raise ValueError(
            f"--per_round={per_round} (M) is more than --top={top} (N): M architectures are drawn "
            "from the predicted top N; lower --per_round or raise --top"
        )


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        return console.fail(f"unexpected argument {argv[1]!r}; flags begin with --")
    logging.set_verbosity(logging.WARNING)
    try:
        table = load()
        check_numbers(table)
        rule = rules(table)
        problem = task.make(table, rule)
        name = f"{table.space}-{table.dataset}-{METHOD.value}"
        folder = runfolder.prepare(OUT.value, name, OVERWRITE.value)
    except ValueError as error:
        return console.fail(str(error))

    jax.config.update("jax_default_matmul_precision", PRECISION.value)
    sizes = {
        "init": INIT.value,
        "per_round": PER_ROUND.value,
        "top": min(TOP.value, len(table)),
        "budget": BUDGET.value,
    }
    settings = batch.Settings(
        stop_at_target=STOP.value == "optimum",
        free_look=rule.predicted_top == "free",
        top=sizes["top"],
        measure=DYNAMICS.value,
        lanes=ranking.plan_lanes(len(table)),
    )
    method = methods.METHODS[METHOD.value](
        predictor=PREDICTORS[PREDICTOR.value](),
        transform=task.transform_for(table, rule),
        predicted_best_first=rule.predicted_top == "counted",
        **sizes,
    )
    said = {
        "command": "python -m experiments.nasbench " + shlex.join(sys.argv[1:]),
        "device": runfolder.device(),
        "versions": runfolder.versions(),
        "matmul_precision": PRECISION.value,
    }
    file = TABLE.value and Path(TABLE.value).read_bytes()
    config = {
        **said,
        "flags": {name: flags.FLAGS[name].value for name in NAMES},
        "protocol": {"name": rule.name, **rule.switches()},
        "settings": {
            **settings._asdict(),
            "chunk": ranking.plan_chunk(len(table), settings.lanes),
            "round_sizes": list(method.sizes),
        },
        "table_sha256": hashlib.sha256(file).hexdigest() if file else None,
    }

    console.note(f"compiling for {said['device']} ...")
    ended, interrupted = [], False
    runs = range(FIRST_RUN.value, FIRST_RUN.value + SEEDS.value)
    try:
        program = batch.Program(method, problem, settings)
        began = time.perf_counter()
        for run in program.finished_runs(SEED.value, runs, console.progress_line()):
            ended.append(run)
    except KeyboardInterrupt:
        interrupted = True
    if not ended:
        runfolder.discard(folder)
        return console.fail("interrupted before the first run had finished; nothing to save", 130)
    trace = batch.collect(method, ended)
    summary = report.summarize(
        trace,
        table,
        rule,
        method=METHOD.value,
        predictor=PREDICTOR.value if METHOD.value in methods.USES_PREDICTOR else None,
        stop=STOP.value,
        seed=SEED.value,
        complete=not interrupted,
        timing={"compile_s": program.compile_s, "run_s": time.perf_counter() - began},
        **said,
        **sizes,
    )
    try:
        paths = runfolder.save(folder, config, trace, summary)
    except OSError as error:
        print(report.text(summary, []))
        return console.fail(f"--out={folder}: could not be written ({error})")
    print(report.text(summary, paths))
    if interrupted:
        return console.fail(f"interrupted: the {len(ended)} finished runs were saved", 130)
    return 0


if __name__ == "__main__":
    app.run(main)
