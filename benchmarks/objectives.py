"""Synthetic objectives of Optuna studies in spaces of every kind, each with its optimum at 1.

`benchmarks.optuna_spaces` compares samplers on them, and the tests of our sampler use them.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import optuna

from weaknas_jax.integrations.optuna import WeakNASSampler

SAMPLERS = {
    "WeakNASSampler": lambda seed: WeakNASSampler(seed=seed),
    "mixture": lambda seed: WeakNASSampler("mixture", seed=seed),
    "TPESampler": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "RandomSampler": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


class Problem(NamedTuple):
    """What is searched.

    Attributes:
      ask: (trial) -> the parameters, as a user's objective asks for them.
      truth: (parameters) -> the score without noise, at most 1.
      hit: (parameters) -> whether they are of the best combination.
      noise: deviation of what a trial returns.
    """

    ask: Callable[[optuna.Trial], dict[str, Any]]
    truth: Callable[[dict[str, Any]], float]
    hit: Callable[[dict[str, Any]], bool]
    noise: float = 0.0


def log_distance(value: float, best: float) -> float:
    """In powers of ten."""
    return abs(math.log10(value / best))


OPTIMIZERS = ("sgd", "adam", "lamb")
_BEST_RATE = {"sgd": 1e-1, "adam": 1e-3, "lamb": 1e-2}


def rate_ask(trial):
    return {
        "optimizer": trial.suggest_categorical("optimizer", OPTIMIZERS),
        "depth": trial.suggest_int("depth", 1, 4),
        "lr": trial.suggest_float("lr", 1e-5, 1.0, log=True),
    }


def rate_truth(p):
    """The learning rate that is best depends on the optimizer, and falls with the depth."""
    base = {"sgd": 0.85, "adam": 1.0, "lamb": 0.75}[p["optimizer"]]
    best = _BEST_RATE[p["optimizer"]] * 10 ** (-0.2 * (p["depth"] - 3))
    return base - 0.1 * abs(p["depth"] - 3) - 0.15 * log_distance(p["lr"], best) ** 2


def _widths_ask(trial):
    depth = trial.suggest_int("depth", 1, 4)
    widths = {f"w{i}": trial.suggest_int(f"w{i}", 16, 128, step=16) for i in range(depth)}
    return {"depth": depth} | widths


def _widths_truth(p):
    """Three layers, each of a width of its own; what is asked for depends on the depth."""
    wanted = (96, 48, 32, 64)
    miss = [((p[f"w{i}"] - wanted[i]) / 112) ** 2 for i in range(p["depth"])]
    return 1.0 - 0.25 * abs(p["depth"] - 3) - 0.6 * sum(miss)


def _box(best: tuple[float, ...]):
    names = [f"x{i}" for i in range(len(best))]

    def ask(trial):
        return {name: trial.suggest_float(name, 0.0, 1.0) for name in names}

    def hit(p):
        return all(abs(p[name] - b) <= 0.1 for name, b in zip(names, best, strict=True))

    return names, ask, hit


_BOWL = (0.3, 0.8, 0.55, 0.1)
_NAMES, _bowl_ask, _bowl_hit = _box(_BOWL)


def _bowl_truth(p):
    """A bowl in four dimensions with one interaction."""
    d = [p[name] - b for name, b in zip(_NAMES, _BOWL, strict=True)]
    return 1.0 - sum(v * v for v in d) - 0.8 * d[0] * d[1]


_RIDGE = (0.7, 0.2, 0.45, 0.85)
_, _ridge_ask, _ridge_hit = _box(_RIDGE)


def _ridge_truth(p):
    """Waves of different heights along four axes, one of which hardly matters."""
    d = [p[name] - b for name, b in zip(_NAMES, _RIDGE, strict=True)]
    waves = sum(0.05 * (1 - math.cos(6 * math.pi * v)) for v in d[:2])
    return 1.0 - 1.5 * d[0] ** 2 - d[1] ** 2 - 0.7 * abs(d[2]) - 0.02 * d[3] ** 2 - waves


def _noisy_ask(trial):
    return {
        "op": trial.suggest_categorical("op", ("a", "b", "c", "d", "e")),
        "width": trial.suggest_int("width", 1, 8),
        "decay": trial.suggest_float("decay", 0.0, 0.5),
    }


def _noisy_truth(p):
    base = {"a": 0.6, "b": 0.7, "c": 1.0, "d": 0.8, "e": 0.5}[p["op"]]
    return base - 0.05 * abs(p["width"] - 6) - 1.5 * (p["decay"] - 0.2) ** 2


def either_ask(trial):
    """``extra`` goes by one or the other of two parameters, which no tree of conditions says."""
    p = {"a": trial.suggest_categorical("a", (0, 1, 2)), "b": trial.suggest_int("b", 0, 4)}
    if p["a"] == 1 or p["b"] >= 3:
        p["extra"] = trial.suggest_float("extra", 0.0, 1.0)
    return p


def either_truth(p):
    value = {0: 0.5, 1: 0.8, 2: 0.6}[p["a"]] - 0.08 * abs(p["b"] - 2)
    return value + (0.2 - 0.6 * abs(p["extra"] - 0.75) if "extra" in p else 0.0)


def _branches_ask(trial):
    p = {"optimizer": trial.suggest_categorical("optimizer", OPTIMIZERS)}
    p["lr"] = trial.suggest_float("lr", 1e-5, 1.0, log=True)
    if p["optimizer"] == "sgd":
        p["momentum"] = trial.suggest_float("momentum", 0.0, 0.99)
        if trial.suggest_categorical("nesterov", (True, False)):
            p["nesterov"] = True
            p["warmup"] = trial.suggest_int("warmup", 0, 20)
        else:
            p["nesterov"] = False
    elif p["optimizer"] == "adam":
        p["beta"] = trial.suggest_float("beta", 0.8, 0.999)
    return p


def _branches_truth(p):
    """Nested: the best is in the deepest branch."""
    value = -0.1 * log_distance(p["lr"], _BEST_RATE[p["optimizer"]]) ** 2
    if p["optimizer"] == "sgd":
        value += 0.85 - 0.8 * (p["momentum"] - 0.9) ** 2
        return value + (0.15 - 0.01 * abs(p["warmup"] - 8) if p["nesterov"] else 0.0)
    return value + (0.85 - 2 * abs(p["beta"] - 0.9) if p["optimizer"] == "adam" else 0.7)


def _huge_ask(trial):
    return {
        "steps": trial.suggest_int("steps", 1, 10**9, log=True),
        "units": trial.suggest_int("units", 1, 100_000),
        "kind": trial.suggest_categorical("kind", ("p", "q", "r", "s")),
    }


def _huge_truth(p):
    value = {"p": 0.7, "q": 0.9, "r": 1.0, "s": 0.5}[p["kind"]]
    value -= (
        0.04 * log_distance(p["steps"], {"p": 1e2, "q": 1e7, "r": 1e5, "s": 1e3}[p["kind"]]) ** 2
    )
    return value - 0.8 * ((p["units"] - 30_000) / 100_000) ** 2


def _widened_ask(trial):
    """After a quarter of the trials the ranges are found to have been too narrow."""
    wide = trial.number >= 20
    return {
        "depth": trial.suggest_int("depth", 1, 8 if wide else 4),
        "lr": trial.suggest_float("lr", 1e-4, 1.0 if wide else 1e-2, log=True),
        "op": trial.suggest_categorical("op", ("a", "b", "c")),
    }


def _widened_truth(p):
    base = {"a": 1.0, "b": 0.8, "c": 0.85}[p["op"]]
    return base - 0.06 * abs(p["depth"] - 7) - 0.12 * log_distance(p["lr"], 0.1) ** 2


def _late_ask(trial):
    """A parameter that is asked for after a while only."""
    p = {"op": trial.suggest_categorical("op", ("a", "b", "c"))}
    p["depth"] = trial.suggest_int("depth", 1, 6)
    if trial.number >= 25:
        p["drop"] = trial.suggest_float("drop", 0.0, 0.6)
    return p


def _late_truth(p):
    base = {"a": 0.7, "b": 1.0, "c": 0.8}[p["op"]]
    return base - 0.06 * abs(p["depth"] - 4) - 1.2 * (p.get("drop", 0.5) - 0.2) ** 2


CHOOSE = {
    "rate": Problem(rate_ask, rate_truth, lambda p: (p["optimizer"], p["depth"]) == ("adam", 3)),
    "widths": Problem(_widths_ask, _widths_truth, lambda p: p["depth"] == 3),
    "bowl": Problem(_bowl_ask, _bowl_truth, _bowl_hit),
    "noisy": Problem(_noisy_ask, _noisy_truth, lambda p: (p["op"], p["width"]) == ("c", 6), 0.1),
    "either": Problem(either_ask, either_truth, lambda p: (p["a"], p["b"]) == (1, 2)),
}
REPORT = {
    "branches": Problem(
        _branches_ask, _branches_truth, lambda p: p["optimizer"] == "sgd" and p["nesterov"]
    ),
    "ridge": Problem(_ridge_ask, _ridge_truth, _ridge_hit),
    "huge": Problem(_huge_ask, _huge_truth, lambda p: p["kind"] == "r"),
    "widened": Problem(_widened_ask, _widened_truth, lambda p: (p["op"], p["depth"]) == ("a", 7)),
    "late": Problem(_late_ask, _late_truth, lambda p: (p["op"], p["depth"]) == ("b", 4)),
    "noisy rate": Problem(
        rate_ask, rate_truth, lambda p: (p["optimizer"], p["depth"]) == ("adam", 3), 0.15
    ),
}


class Outcome(NamedTuple):
    """Of one study: the true value of its best trial, the share of hits, ms a suggestion."""

    best: float
    hits: float
    milli: float


def outcome(problem: Problem, sampler: str, seed: int, trials: int) -> Outcome:
    """One study of ``problem``, whose noise is the same for every sampler."""
    study = optuna.create_study(sampler=SAMPLERS[sampler](seed), direction="maximize")
    asked, spent = [], 0.0
    for number in range(trials):
        began = time.perf_counter()
        trial = study.ask()
        asked.append(problem.ask(trial))
        spent += time.perf_counter() - began
        luck = np.random.default_rng([seed, number]).normal()
        study.tell(trial, problem.truth(asked[-1]) + problem.noise * luck)
    late = [problem.hit(p) for p in asked[trials // 2 :]]
    best = problem.truth(asked[study.best_trial.number])
    return Outcome(best, float(np.mean(late)), 1e3 * spent / trials)
