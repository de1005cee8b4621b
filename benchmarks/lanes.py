"""Seconds a run for a round of the paper's MLP, one lane at a time against lanes under vmap.

    python -m benchmarks.lanes > benchmarks/results/lanes-cpu.txt

What `plan.first` chooses by backend is to be the faster one here. The programs are timed in
turn; the ratio is of seconds a run.
"""

import time

import jax
import numpy as np
from absl import app, flags, logging

from weaknas_jax import HONEST, Job, Plan, Program, Settings, load_nasbench201, mlp, refit, weaknas
from weaknas_jax.core import plan
from weaknas_jax.runs import task

_LANES = flags.DEFINE_integer("lanes", 4, "Lanes under vmap.", lower_bound=2)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timings of each.", lower_bound=1)
_BUDGET = flags.DEFINE_integer("budget", 50, "Queries of a run, in rounds of 10.")


def main(_):
    logging.set_verbosity(logging.WARNING)
    table, lanes = load_nasbench201("cifar10"), _LANES.value
    problem = task.make(table, HONEST)
    programs = {}
    for width in (1, lanes):
        widths = None if width == 1 else (200,)  # under vmap a switch runs every branch
        method = weaknas(refit(mlp(widths=widths)), budget=_BUDGET.value)
        programs[width] = Program(method, problem, Settings(), given=Plan(width))
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, runs of {_BUDGET.value} queries")
    seconds = {width: [] for width in programs}
    for _ in range(_REPEATS.value):
        for width, program in programs.items():
            began = time.perf_counter()
            steps = program.work(0, [Job(0, run) for run in range(lanes)])
            assert sum(len(step.ended) for step in steps) == lanes
            seconds[width].append((time.perf_counter() - began) / lanes)
    for width, times in seconds.items():
        print(
            f"{width} lane(s): {np.median(times):.2f} s a run "
            f"({min(times):.2f}..{max(times):.2f}), compile {programs[width].compile_s:.1f} s"
        )
    ratio = np.array(seconds[lanes]) / np.array(seconds[1])
    print(f"vmap / one at a time: {np.median(ratio):.2f} ({ratio.min():.2f}..{ratio.max():.2f})")
    print(f"the plan on this backend: {plan.first(len(table)).lanes} lane(s)")


if __name__ == "__main__":
    app.run(main)
