"""How often a run makes the same queries when what the promise names is changed, and when not.

    python -m benchmarks.exactness > benchmarks/results/exactness-cpu.txt

Every variant runs in a process of its own. The first three must agree in all runs; the others show
what a plan, a number of cores or a width is worth, which is why they are recorded with a result.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags, logging

_ONE = flags.DEFINE_string("one", None, "Run one variant, given as JSON; used by the benchmark.")
_RUNS = flags.DEFINE_integer("runs", 4, "Runs of each predictor.", lower_bound=1)
_BUDGET = flags.DEFINE_integer("budget", 40, "Queries of a run, in rounds of 10.")
_PREDICTORS = flags.DEFINE_list("predictors", ["mlp", "linear", "gp"], "Which predictors.")
VARIANTS = {
    "the same again": {},
    "alone": {"alone": True},
    "on 4 devices": {"devices": 4},
    "on 1 core": {"cores": 1},
    "4 lanes": {"lanes": 4},
    "scored in one chunk": {"chunk": 15_632},
}
_SOME = flags.DEFINE_list("variants", list(VARIANTS), "Which variants.")
REFERENCE = {"lanes": 1, "chunk": 984}


def run(variant: dict, predictor: str, path: str) -> None:
    """Writes the queries [R, Q] of one variant."""
    import weaknas_jax as wn
    from weaknas_jax.runs import task

    problem = task.make(wn.load_nasbench201("cifar10"), wn.HONEST)

    def build(chunk: int):
        learner = wn.PREDICTORS[predictor]()
        scorer = learner if isinstance(learner, wn.Scorer) else wn.refit(learner, chunk)
        return wn.weaknas(scorer, budget=_BUDGET.value)

    layout = {**REFERENCE, **variant}
    plan = wn.Plan(layout["lanes"], layout["chunk"])
    program = wn.Program(build, problem, wn.Settings(measure=False), given=plan)
    jobs = [wn.Job(0, run) for run in range(_RUNS.value)]
    batches = [[job] for job in jobs] if variant.get("alone") else [jobs]
    ended = [pair for batch in batches for step in program.work(0, batch) for pair in step.ended]
    np.save(path, np.concatenate([trace.queried for _, trace in sorted(ended, key=lambda p: p[0])]))


def queries(name: str, predictor: str) -> np.ndarray:
    variant = {**VARIANTS[name], "predictor": predictor}
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    if "devices" in variant:
        env["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={variant['devices']}"
    with tempfile.TemporaryDirectory() as folder:
        variant["path"] = str(Path(folder) / "queries.npy")
        line = [sys.executable, "-m", "benchmarks.exactness", f"--one={json.dumps(variant)}"]
        line += [f"--runs={_RUNS.value}", f"--budget={_BUDGET.value}"]
        subprocess.run(line, env=env, check=True)
        return np.load(variant["path"])


def main(_):
    logging.set_verbosity(logging.WARNING)
    if _ONE.value:
        variant = json.loads(_ONE.value)
        if "cores" in variant:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: variant["cores"]])
        run(variant, variant.pop("predictor"), variant.pop("path"))
        return
    from importlib.metadata import version

    print(f"cpu ({os.cpu_count()} cores), JAX {version('jax')}; NAS-Bench-201 / CIFAR-10,")
    print(f"{_RUNS.value} runs of {_BUDGET.value} queries; runs with the same queries throughout,")
    print("and queries before the first that differs, mean over the runs")
    for predictor in _PREDICTORS.value:
        reference = queries("the same again", predictor)
        for name in _SOME.value:
            same = queries(name, predictor) == reference
            prefix = np.where(same.all(axis=1), same.shape[1], (~same).argmax(axis=1))
            whole = f"{same.all(axis=1).sum()} of {len(same)}"
            print(f"{predictor:<8} {name:<20} {whole:>8} {prefix.mean():>6.1f}", flush=True)


if __name__ == "__main__":
    app.run(main)
