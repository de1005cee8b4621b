"""Traces of every registered method and predictor, for `test_exact`; run by it on other devices.

python tests/exact.py FILE.npz GROUP     writes those of a group, on as many devices as there are
"""

import sys

import numpy as np
import pytest
from conftest import LONG, SMALL, build, planted_table

from weaknas_jax import PREDICTORS, Job, Program, Settings
from weaknas_jax.core import protocol
from weaknas_jax.predictors import make
from weaknas_jax.runs import task
from weaknas_jax.search import defaults
from weaknas_jax.search.acquisition import ACQUISITIONS
from weaknas_jax.search.methods import METHODS
from weaknas_jax.search.sampling import SAMPLINGS

RUNS = range(5)
CASES = [
    (method, predictor)
    for method in METHODS
    for predictor in (PREDICTORS if METHODS[method].predictor else [None])
]
KIN = {
    "gp_ml",
    "mixture",
    "knn",
    "mlp",
    "mlp_pairwise",
    "mlp_listwise",
    "ensemble",
    "warm_ensemble",
}
KIN |= {"forest", "random", "local_search", "mcts", "lanas"}
KIN |= {name for name, record in PREDICTORS.items() if record.reads == "graph"}
KIN |= {name for name, record in METHODS.items() if record.own is not None}
"""Those made of the same code as another one (`refit.refit`, `baselines.plain`): slow tests."""
ONE_OF_GRAPHS = ("weaknas", "bonas")
MARKS = {"quick": (), "kin": pytest.mark.slow, "printed": LONG}
"""Of the tests of each group of cases."""


def group(case):
    """Tests of a group share a process on four devices."""
    if case[1] is not None and PREDICTORS[case[1]].printed:
        return "printed"
    return "kin" if KIN & set(case) and case != ONE_OF_GRAPHS else "quick"


PARAMETERS = [pytest.param(case, id=str(case), marks=MARKS[group(case)]) for case in CASES]


def program(method, predictor, **layout):
    """A short search with labels of single runs; every random number of a run is in use."""
    table = planted_table(noise=0.5, runs=3)
    problem = task.make(
        table, protocol.resolve("honest", labels="single_run"), neighbours=True, graphs=True
    )

    def search(chunk):
        if predictor is None:
            return build(method, budget=11, chunk=chunk)
        usual = defaults.of(method, predictor)
        return build(
            method,
            make(predictor, table.encoding, **SMALL.get(predictor, {})),
            budget=11,
            chunk=chunk,
            acquisition=ACQUISITIONS[usual.acquisition](),
            sampler=SAMPLINGS[usual.sampling](),
        )

    return Program(search, problem, Settings(), **layout)


def jobs(runs=RUNS):
    return [Job(0, run) for run in runs]


def main(path, which):
    found = {}
    for case in [case for case in CASES if group(case) == which]:
        for step in program(*case).work(7, jobs()):
            for job, trace in step.ended:
                found |= {f"{case} {job.run} {k}": v for k, v in trace._asdict().items()}
    np.savez(path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
