"""Processes that share one SQLite study: how often two of them evaluate the same combination.

    python -m benchmarks.optuna_processes > benchmarks/results/optuna_processes-cpu.txt

Each study is searched by several processes at once, whose objective takes no time at all, which is
the worst case: every trial is asked for while others are. Counted are trials whose parameters an
earlier trial has had. Needs the extra ``optuna``.
"""

import multiprocessing
import multiprocessing.pool
import tempfile

import numpy as np
import optuna
from absl import app, flags

from weaknas_jax.integrations.optuna import WeakNASSampler

_STUDIES = flags.DEFINE_integer("studies", 4, "Studies.", lower_bound=2)
_TRIALS = flags.DEFINE_integer("trials", 80, "Trials of a study.", lower_bound=2)
_PROCESSES = flags.DEFINE_integer("processes", 4, "At once.", lower_bound=1)


def objective(trial: optuna.Trial) -> float:
    """352 combinations, the best of them (2.0) at ("skip", 6, 0.7)."""
    op = trial.suggest_categorical("op", ("conv", "skip", "pool", "none"))
    depth, ratio = trial.suggest_int("depth", 1, 8), trial.suggest_float("ratio", 0, 1, step=0.1)
    effect = {"conv": 0.6, "skip": 1.0, "pool": 0.3, "none": 0.0}[op]
    return effect + 1.0 - ((depth - 6) / 8) ** 2 - (ratio - 0.7) ** 2


def work(storage: str, seed: int, trials: int) -> None:
    """What each of the processes does."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="s", storage=storage, sampler=WeakNASSampler(seed=seed))
    study.optimize(objective, n_trials=trials)


def repeated(pool: multiprocessing.pool.Pool, seed: int, trials: int, processes: int) -> float:
    """The share of the trials of one study that an earlier one had been before."""
    with tempfile.TemporaryDirectory() as folder:
        storage = f"sqlite:///{folder}/s.db"
        optuna.create_study(study_name="s", storage=storage, direction="maximize")
        pool.starmap(work, [(storage, seed, trials // processes)] * processes, chunksize=1)
        study = optuna.load_study(study_name="s", storage=storage)
        asked = [tuple(sorted(trial.params.items())) for trial in study.trials]
    return 1 - len(set(asked)) / len(asked)


def main(_):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    processes, trials = _PROCESSES.value, _TRIALS.value
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        repeated(pool, _STUDIES.value, 2 * processes, processes)  # not counted: compiles
        shares = [repeated(pool, seed, trials, processes) for seed in range(_STUDIES.value)]
    print(
        f"{_STUDIES.value} studies of {trials} trials, {processes} processes on one SQLite file: "
        f"repeated {100 * np.mean(shares):.1f} % of the trials "
        f"({', '.join(f'{100 * share:.1f}' for share in shares)})"
    )


if __name__ == "__main__":
    app.run(main)
