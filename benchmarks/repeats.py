"""Which architectures to train again when labels are noisy, and what that is worth.

    python -m benchmarks.repeats --part=choose > benchmarks/results/repeats_choose-cpu.txt
    python -m benchmarks.repeats --part=report > benchmarks/results/repeats-cpu.txt

With one noisy training a query a search meets good architectures and then answers with a lucky one:
the best by its single label. Its best few may be trained again at the end. The protocol of this
study, written before anything was run:

* Searches: the Gaussian process by its defaults (one random first, one query a round, labels by
  rank), 50 runs of 100 queries, seed 0, to the budget.
* Each rule spends K trainings beyond the search (``repeats``), K in 0, 3, 5, 10, 20, and answers
  with one architecture. *Regret* is the best of the table less the answer's mean accuracy, by test
  and by valid; *curse* is the label by which the answer was chosen less its mean valid accuracy.
* At equal cost: the first 100 - K queries of the same runs and K repeats, against all 100 queries
  and none. (A search of fewer queries asks for the same ones.)
* Chosen (``--part=choose``) on CIFAR-10 and CIFAR-100 of NAS-Bench-201: each by labels of single
  runs (edition ``nats``, which has 2 or 3 runs of each), and by mean labels (``v1.1``) with
  Gaussian noise of 0.2 and 0.5, for which there is no end of repeats. The simplest rule is taken
  that is near the best in the mean of the four: its regret by test and by valid, relative to that
  of no repeats, at the same K.
* Reported (``--part=report``), once, for that rule alone, where nothing was chosen: ImageNet16-120
  by single runs, and NAS-Bench-101 with noise of 0.2 (ten queries a round, its habit).
* Differences are of the same runs: mean and standard error of the pairs.

A trap: with labels of single runs the answer is judged by the mean of the very 2 or 3 runs that are
drawn, so that asking again comes near to telling the truth; test accuracy is of the same trainings.
Gaussian noise on means is free of that.

Added once ``halving`` was chosen, before the report was run: ``said``, the mean of the answer's
repeats (without the label it was chosen by, and all of its labels where it has none) less its mean
valid accuracy.

Rules, of K more trainings:
``once`` the K best by label once each, answer by the mean of both labels;
``fresh`` the same, answer by the new label alone;
``twice`` the K/2 best, two more each, answer by the mean of all;
``halving`` the K/2 best once each, of them the better half by mean once more, and so on
(`repeats.halve`, which is what came out);
``leader`` one after another: always the best by the mean of its labels, if it can be trained again;
answer by the mean among what was trained again;
``shrunk`` as ``once``, but the answer is the best of all evaluated by its mean drawn to the mean of
all labels, by as much as the spread between trainings, seen in the repeats, says.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags

from weaknas_jax import Settings, Table, load_nasbench101, load_nasbench201, run_many
from weaknas_jax.core.keys import run_keys
from weaknas_jax.core.protocol import resolve
from weaknas_jax.measures import repeats
from weaknas_jax.runs import task
from weaknas_jax.search import defaults, methods

_PART = flags.DEFINE_enum("part", "choose", ["choose", "report"], "Of the protocol.")
_RUNS = flags.DEFINE_integer("runs", 50, "Runs of each search.", lower_bound=2)
BUDGET, COSTS, DEEPEST = 100, (3, 5, 10, 20), 8
CHOSEN = "halving"


class Place(NamedTuple):
    """A table and its labels: edition (or benchmark), data set, ``labels`` and noise."""

    name: str
    load: Callable[[], Table]
    switches: dict


def _nb201(dataset: str, noise: float = 0.0) -> Place:
    if noise:
        load = lambda: load_nasbench201(dataset)  # noqa: E731
        return Place(f"{dataset}, noise {noise}", load, {"label_noise": noise})
    load = lambda: load_nasbench201(dataset, "nats")  # noqa: E731
    return Place(f"{dataset}, single runs", load, {"labels": "single_run"})


NOISE_101 = {"labels": "test", "label_noise": 0.2}
PLACES = {
    "choose": [
        *(_nb201(dataset) for dataset in ("cifar10", "cifar100")),
        *(_nb201(dataset, noise) for dataset, noise in (("cifar10", 0.2), ("cifar100", 0.5))),
    ],
    "report": [
        _nb201("imagenet16"),
        Place("NAS-Bench-101, noise 0.2", load_nasbench101, NOISE_101),
    ],
}


class Found(NamedTuple):
    """One run: rows, their labels and what further trainings of them return [Q, DEEPEST]."""

    rows: np.ndarray
    labels: np.ndarray
    again: np.ndarray


class Answer(NamedTuple):
    """Place of the answer among the queries, what it was chosen by, trainings spent, what is said.

    The last is the mean of its repeats, where a rule tells it.
    """

    place: int
    label: float
    spent: int
    said: float = np.nan


def _means(one: Found, counts: np.ndarray) -> np.ndarray:
    """Mean of the label and the first ``counts`` further ones, [Q]."""
    used = np.arange(DEEPEST) < counts[:, None]
    return (one.labels + np.where(used, one.again, 0.0).sum(axis=1)) / (1 + counts)


def _train(one: Found, counts: np.ndarray, places: np.ndarray) -> None:
    """Trains these once more where that is possible."""
    deeper = places[counts[places] < DEEPEST]
    counts[deeper] += np.isfinite(one.again[deeper, counts[deeper]])


def _best(values: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-values, kind="stable")[:k]


def _answer(one: Found, counts: np.ndarray, among: np.ndarray) -> Answer:
    means = _means(one, counts)
    place = among[np.argmax(means[among])]
    return Answer(int(place), means[place], int(counts.sum()))


def once(one: Found, k: int) -> Answer:
    counts, best = np.zeros(len(one.rows), int), _best(one.labels, k)
    _train(one, counts, best)
    return _answer(one, counts, best)


def fresh(one: Found, k: int) -> Answer:
    best = _best(one.labels, k)
    first = one.again[best, 0]
    new = np.where(np.isfinite(first), first, one.labels[best])
    spent = np.isfinite(first).sum()
    return Answer(int(best[new.argmax()]), float(new.max()), int(spent))


def twice(one: Found, k: int) -> Answer:
    counts, best = np.zeros(len(one.rows), int), _best(one.labels, -(-k // 2))
    _train(one, counts, best)
    _train(one, counts, best[: k // 2])
    return _answer(one, counts, best)


def halving(one: Found, k: int) -> Answer:
    def train(places: np.ndarray, nth: np.ndarray) -> np.ndarray:
        return one.again[places, nth]

    place, again = repeats.halve(one.labels, train, k)
    own = again.get(place, [])
    label = np.mean([one.labels[place], *own])
    spent = sum(map(len, again.values()))
    return Answer(place, label, spent, np.mean(own) if own else label)


def leader(one: Found, k: int) -> Answer:
    counts = np.zeros(len(one.rows), int)
    for _ in range(k):
        following = one.again[np.arange(len(counts)), np.minimum(counts, DEEPEST - 1)]
        can = (counts < DEEPEST) & np.isfinite(following)
        if not can.any():
            break
        counts[np.argmax(np.where(can, _means(one, counts), -np.inf))] += 1
    return _answer(one, counts, np.flatnonzero(counts))


def shrunk(one: Found, k: int) -> Answer:
    counts, best = np.zeros(len(one.rows), int), _best(one.labels, k)
    _train(one, counts, best)
    means, pairs = _means(one, counts), best[counts[best] > 0]
    within = np.mean((one.labels[pairs] - one.again[pairs, 0]) ** 2) / 2
    middle = one.labels.mean()
    between = max(one.labels.var(ddof=1) - within, 1e-9)
    weight = between / (between + within / (1 + counts))
    value = middle + weight * (means - middle)
    place = int(value.argmax())
    return Answer(place, float(value[place]), int(counts.sum()))


RULES = {f.__name__: f for f in (once, fresh, twice, halving, leader, shrunk)}


def search(place: Place, runs: int) -> tuple[Table, list[Found], np.ndarray]:
    """The table, what the runs did, and the row of the predictor's last choice of each."""
    table = place.load()
    rule = resolve("honest", **place.switches)
    problem, usual = task.make(table, rule), defaults.of("weaknas", "gp", table.space)
    settings = {k: v for k, v in usual.numbers.items() if k in ("noise", "beta")}
    settings |= {"init": usual.init, "per_round": usual.per_round, "budget": BUDGET}
    chosen = "label_transform", "acquisition", "sampling"
    settings |= {name: getattr(usual, name) for name in chosen}

    def build(chunk: int | None = None):
        return methods.make("gp", chunk=chunk, encoding=table.encoding, **settings)

    how = Settings(measure=False, rounds_per_call=25)
    trace, _ = run_many(build, problem, 0, range(runs), how)
    draw, nth = jax.jit(task.draw_repeats), np.tile(np.arange(DEEPEST), BUDGET)
    found = []
    for run, rows, labels in zip(trace.run, trace.queried, trace.scores, strict=True):
        (key,) = run_keys(0, [run])
        again = draw(key, problem.scores, problem.noise, np.repeat(rows, DEEPEST), nth)
        again = np.asarray(again, np.float64).reshape(-1, DEEPEST)
        found.append(Found(rows, labels.astype(np.float64), again))
    return table, found, trace.predicted_top[:, -1]


def pair(values: np.ndarray) -> str:
    """Mean and standard error."""
    return f"{np.nanmean(values):+.3f} +- {np.nanstd(values, ddof=1) / len(values) ** 0.5:.3f}"


class Judge(NamedTuple):
    """What answers are judged by: mean accuracies of the table [N] by name."""

    truth: dict[str, np.ndarray]

    def regrets(self, rows) -> dict[str, np.ndarray]:
        """Of answers, by name."""
        return {n: np.nanmax(mean) - mean[np.asarray(rows)] for n, mean in self.truth.items()}

    def excess(self, labels, rows) -> np.ndarray:
        """Labels less the mean valid accuracy."""
        return np.array(labels) - self.truth["valid"][np.asarray(rows)]


def answers(rule: Callable, found: list[Found], k: int) -> tuple[list[Answer], list[int]]:
    """What a rule answers in each run, and the rows."""
    all_ = [rule(one, k) for one in found]
    return all_, [int(one.rows[a.place]) for one, a in zip(found, all_, strict=True)]


def measure(place: Place, runs: int, rules: dict) -> dict:
    """Prints a table of the place; returns relative regrets by (rule, K)."""
    table, found, predicted = search(place, runs)
    judge = Judge({"test": table.test_mean, "valid": table.valid_mean})
    first, rows = answers(lambda one, k: Answer(p := int(one.labels.argmax()), one.labels[p], k),
                          found, 0)  # fmt: skip
    base, curse = judge.regrets(rows), judge.excess([a.label for a in first], rows)
    met = [judge.regrets(one.rows) for one in found]
    print(f"\n{place.name}: {len(found)} runs of {BUDGET} queries; regret by test and by valid")
    for name, regrets in (
        ("no repeats", base),
        ("best met", {n: np.array([m[n].min() for m in met]) for n in base}),
        ("the predictor's best instead", judge.regrets(predicted)),
    ):
        print(f"  {name}: test {pair(regrets['test'])}, valid {pair(regrets['valid'])}")
    print(f"  curse without repeats: {pair(curse)}")
    head = ("rule", "K", "spent", "test", "less than none", "valid", "less than none", "curse")
    lines = [(*head, "said", "equal cost: test", "valid")]
    relative = {}
    for name, rule in rules.items():
        for k in COSTS:
            all_, rows = answers(rule, found, k)
            now = judge.regrets(rows)
            fewer = [Found(*(field[: BUDGET - k] for field in one)) for one in found]
            equal = judge.regrets(answers(rule, fewer, k)[1])
            said = [a.said for a in all_]
            lines.append((
                *(name, str(k), f"{np.mean([a.spent for a in all_]):.1f}"),
                *(part for n in now for part in (pair(now[n]), pair(now[n] - base[n]))),
                pair(judge.excess([a.label for a in all_], rows)),
                pair(judge.excess(said, rows)) if np.isfinite(said).all() else "",
                *(pair(equal[n] - base[n]) for n in now),
            ))  # fmt: skip
            relative[name, k] = [now[n].mean() / base[n].mean() for n in now]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())
    return relative


def main(_):
    part, runs = _PART.value, _RUNS.value
    rules = RULES if part == "choose" else {CHOSEN: RULES[CHOSEN]}
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}; mean +- standard error of runs")
    relative = [measure(place, runs, rules) for place in PLACES[part]]
    print("\nregret relative to no repeats, mean of all places (by test, by valid)")
    for k in COSTS:
        cells = {n: np.mean([r[n, k] for r in relative], axis=0) for n in rules}
        print(f"  K={k:<3}" + "".join(f"  {n} {t:.2f} {v:.2f}" for n, (t, v) in cells.items()))


if __name__ == "__main__":
    app.run(main)
