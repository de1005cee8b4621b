"""Optuna studies of spaces of every kind, our sampler and Optuna's: how good, and how soon settled.

    python -m benchmarks.optuna_spaces > benchmarks/results/optuna_spaces-cpu.txt

Synthetic objectives, to be maximised, each with its optimum at 1. Written down before anything was
measured: the design of the sampler (levels of a float, what a repeated combination counts, how
failures count) is chosen on ``CHOOSE`` alone, and ``REPORT`` only reports. Two figures of each:
the true value of the trial that a study ends with as its best, and the share of the last half of
the trials that have the best combination of the discrete parameters (of a space without any, that
are within a tenth of the range of each). The samplers take turns, seed by seed.
"""

import warnings

import numpy as np
import optuna
from absl import app, flags, logging

from benchmarks.objectives import CHOOSE, REPORT, SAMPLERS, outcome

_SEEDS = flags.DEFINE_integer("seeds", 20, "Studies of each objective and sampler.", lower_bound=2)
_TRIALS = flags.DEFINE_integer("trials", 80, "Trials of a study.", lower_bound=2)
_ONLY = flags.DEFINE_list("only", [], "Objectives by name; all of them if none is named.")
_WHICH = flags.DEFINE_list("samplers", [], "Samplers by name; all of them if none is named.")


def main(_):
    logging.set_verbosity(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    problems = {name: p for name, p in (CHOOSE | REPORT).items() if name in (_ONLY.value or [name])}
    samplers = [name for name in SAMPLERS if name in (_WHICH.value or [name])]
    seeds, trials = _SEEDS.value, _TRIALS.value
    print(
        f"Optuna {optuna.__version__}; {seeds} studies each of {trials} trials, mean +- standard "
        "error; best: true value of the best trial (1 = optimum);\nhits: share of the last half "
        "of the trials with the best combination; ms: a suggestion, compiling included"
    )
    for name, problem in problems.items():
        group = "choose" if name in CHOOSE else "report"
        outcomes = {sampler: [] for sampler in samplers}
        for seed in range(seeds):
            for sampler in samplers:
                outcomes[sampler].append(outcome(problem, sampler, seed, trials))
        for sampler, studies in outcomes.items():
            best, hits, milli = np.array(studies).T
            error = best.std(ddof=1) / len(best) ** 0.5
            print(
                f"{group} {name:>10} {sampler:>15}: best {best.mean():.4f} +- {error:.4f}  "
                f"hits {100 * hits.mean():5.1f} % +- "
                f"{100 * hits.std(ddof=1) / len(hits) ** 0.5:4.1f}  ms {milli.mean():6.1f}",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
