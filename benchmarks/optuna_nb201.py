"""Optuna studies of NAS-Bench-201 / CIFAR-10, our sampler and Optuna's: trials to the optimum.

    python -m benchmarks.optuna_nb201 > benchmarks/results/optuna-cpu.txt

Everything goes through Optuna's own interface. A study has six categorical parameters, the
operation of each edge; no sampler is told that they make a cell. A trial returns the mean
validation accuracy, and a study ends with the trial that is the best architecture by test accuracy,
or at the cap. The samplers take turns on one machine; a suggestion is timed from the ask to the
last of its six values, without the objective. Needs the extra ``optuna``.
"""

import time
import warnings
from typing import NamedTuple

import jax
import numpy as np
import optuna
from absl import app, flags, logging

from weaknas_jax import HONEST, load_nasbench201
from weaknas_jax.integrations.optuna import WeakNASSampler
from weaknas_jax.runs import task
from weaknas_jax.spaces.nasbench201 import EDGES, OPS, to_string

_SEEDS = flags.DEFINE_integer("seeds", 50, "Studies of each sampler.", lower_bound=2)
_CAP = flags.DEFINE_integer("cap", 1000, "Trials at which a study ends anyway.", lower_bound=1)
SAMPLERS = {
    "WeakNASSampler": lambda seed: WeakNASSampler(seed=seed),
    "TPESampler": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "TPESampler, univariate": lambda seed: optuna.samplers.TPESampler(
        seed=seed, multivariate=False
    ),
    "RandomSampler": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


class Outcome(NamedTuple):
    """A study: trials, whether the last is the optimum, repeated ones, ms of each suggestion."""

    trials: int
    found: bool
    repeated: int
    milli: np.ndarray


def main(_):
    logging.set_verbosity(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    table, seeds, cap = load_nasbench201("cifar10"), _SEEDS.value, _CAP.value
    problem = task.make(table, HONEST)
    rows = {str(name): row for row, name in enumerate(table.names)}
    scores, target = np.asarray(problem.truth), np.asarray(problem.target)

    def study(sampler) -> Outcome:
        studied = optuna.create_study(sampler=sampler, direction="maximize")
        asked, milli = [], []
        while len(asked) < cap and not (asked and target[asked[-1]]):
            began = time.perf_counter()
            trial = studied.ask()
            ops = [trial.suggest_categorical(f"{a}->{b}", OPS) for a, b in EDGES]
            milli.append(1e3 * (time.perf_counter() - began))
            asked.append(rows[to_string(OPS.index(op) for op in ops)])
            studied.tell(trial, float(scores[asked[-1]]))
        repeated = len(asked) - len(set(asked))
        return Outcome(len(asked), bool(target[asked[-1]]), repeated, np.array(milli))

    study(SAMPLERS["WeakNASSampler"](seeds))  # not counted: compiles
    outcomes = {name: [] for name in SAMPLERS}
    for seed in range(seeds):
        for name, sampler in SAMPLERS.items():
            outcomes[name].append(study(sampler(seed)))
    print(
        f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, Optuna {optuna.__version__}; "
        f"NAS-Bench-201 / CIFAR-10, {seeds} studies each, cap {cap:,}"
    )
    print("trials to the optimum (a study that ends at the cap counts as the cap); ms a suggestion")
    print(
        f"{'':24}   median  quartiles        mean (standard error)  found  repeated"
        "   ms: median  trials 51-100  last 50 before the cap"
    )
    for name, studies in outcomes.items():
        print(f"{name:>24}: {_line(studies, cap)}")


def _line(studies: list[Outcome], cap: int) -> str:
    trials = np.array([outcome.trials for outcome in studies])
    found = sum(outcome.found for outcome in studies)

    def reached(value: float) -> str:
        return f">={cap:,}" if value >= cap and found < len(studies) else f"{value:,.0f}"

    low, middle, high = (reached(q) for q in np.quantile(trials, (0.25, 0.5, 0.75)))
    error = trials.std(ddof=1) / len(trials) ** 0.5
    mean = ("" if found == len(studies) else ">=") + f"{trials.mean():,.1f}"
    share = sum(outcome.repeated for outcome in studies) / trials.sum()
    milli = [outcome.milli for outcome in studies]
    early = np.concatenate([times[50:100] for times in milli])
    late = np.concatenate([times[cap - 50 : cap] for times in milli])
    times = "".join(
        f"{np.median(part):12.1f}" if len(part) else f"{'-':>12}"
        for part in (np.concatenate(milli), early, late)
    )
    return (
        f"{middle:>7}  {f'{low}..{high}':15}  {f'{mean} ({error:.1f})':>20}   "
        f"{found:3} of {len(studies)}  {100 * share:5.1f} %  {times}"
    )


if __name__ == "__main__":
    app.run(main)
