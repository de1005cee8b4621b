"""The effect of each switch of a protocol, one at a time from ``honest``, over the same seeds.

Switches that only affect evaluation are compared on the same traces; the others need new runs with
the same seeds (`searchers`). `weaknas paper protocols` is the command.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from weaknas_jax.cli.paper.searchers import GP, LOCAL, RANDOM, TEN, Runs, Search, Searcher
from weaknas_jax.core.protocol import HONEST, PAPER, Protocol, resolve
from weaknas_jax.measures import metrics, stats
from weaknas_jax.tables import Table, registry, targets


class Read(NamedTuple):
    """A number for each run.

    Attributes:
      values: float64 [S]; a run that did not meet the optimum counts as its budget.
      censored: number of those runs.
    """

    values: np.ndarray
    censored: int = 0


class Row(NamedTuple):
    """A switch and the paired difference it makes, in queries or percent of accuracy.

    ``before`` and ``after`` are means over runs: lower bounds where runs are censored.
    """

    place: str
    switch: str
    change: str
    traces: str
    method: str
    measure: str
    runs: int
    before: float
    after: float
    censored_before: int
    censored_after: int
    difference: float
    low: float | None
    high: float | None
    significant: bool


class Shift(NamedTuple):
    """The effect of a switch on the difference between two methods, with intervals."""

    place: str
    methods: str
    measure: str
    change: str
    runs: int
    honest: float
    honest_low: float | None
    honest_high: float | None
    switched: float
    switched_low: float | None
    switched_high: float | None
    shift: float
    shift_low: float | None
    shift_high: float | None


def queries(
    runs: Runs, rule: Protocol, target: np.ndarray | None = None, most: int | None = None
) -> Read:
    """Queries to the optimum of each run, or to ``target``, bool [N].

    ``most``: runs that took more are censored there.
    """
    if target is None:
        target = targets.target_mask(runs.table, rule.target)
    counts = metrics.queries_to_target(runs.trace, target, rule)
    budget = min(most or runs.trace.queried.shape[1], runs.trace.queried.shape[1])
    met = counts <= budget  # NaN is not
    return Read(np.where(met, counts, budget), int((~met).sum()))


def accuracy(runs: Runs, rule: Protocol, at: int) -> Read:
    """The accuracy that the protocol reports after ``at`` queries, percent."""
    return Read(getattr(metrics.curves(runs.trace, runs.table, rule), rule.report)[:, at - 1])


def row(place: str, switch: str, change: str, traces: str, method: str, measure: str,
        before: Read, after: Read) -> Row:  # fmt: skip
    """The paired difference ``after - before``."""
    result = stats.paired_difference(after.values, before.values)
    labels = place, switch, change, traces, method, measure, len(before.values)
    means = float(before.values.mean()), float(after.values.mean())
    interval = (result["mean"], result["low"], result["high"], result["significant"])
    return Row(*labels, *means, before.censored, after.censored, *interval)


def honest_but(**switches: str) -> Protocol:
    """``honest`` with other switches."""
    return resolve("honest", **switches)


SAME, NEW = "same", "new runs"
_OPTIMUM = "queries to the optimum"


def of_nasbench201(dataset: str, searchers: Sequence[Searcher], search: Search) -> Iterator[Row]:
    """The rows of a data set of NAS-Bench-201."""
    v11, nats = (registry.find("nasbench201", dataset, edition) for edition in ("v1.1", "nats"))
    for searcher in searchers:
        yield from of_tables(searcher, v11, nats, search)


def of_tables(searcher: Searcher, table: Table, runs_table: Table, search: Search) -> Iterator[Row]:
    """The rows of a method.

    Args:
      searcher: the method.
      table: an edition of a table.
      runs_table: another edition, with the single runs behind each mean.
      search: runs a search.
    """
    measured, counts = searcher.switches, searcher.counts
    honest = search(searcher, table, HONEST)

    def make_row(
        switch: str, change: str, traces: str, measure: str, before: Read, after: Read
    ) -> Row:
        return row(table.dataset, switch, change, traces, searcher.name, measure, before, after)

    def rows_of_new_runs(switch: str, change: str, a: Runs, b: Runs) -> Iterator[Row]:
        yield make_row(switch, change, NEW, _OPTIMUM, queries(a, HONEST), queries(b, HONEST))
        for at in counts[1:]:
            two = (accuracy(of, HONEST, at) for of in (a, b))
            yield make_row(switch, change, NEW, f"accuracy at {at}", *two)

    if "report" in measured:
        oracle = honest_but(report="oracle_test")
        for at in counts:
            two = (accuracy(honest, rule, at) for rule in (HONEST, oracle))
            change = "best_valid_test -> oracle_test"
            yield make_row("report", change, SAME, f"accuracy at {at}", *two)
    if "predicted_top" in measured:
        yield from _predicted_top(searcher, table, None, search)
    if "normalize" in measured:
        whole = search(searcher, table, honest_but(normalize="table"))
        yield from rows_of_new_runs("normalize", "observed -> table", honest, whole)
    if "counting" in measured:
        two = (queries(honest, rule) for rule in (HONEST, honest_but(counting="round")))
        yield make_row("counting", "query -> round", SAME, _OPTIMUM, *two)
    if "labels" in measured:
        single = honest_but(labels="single_run")
        two = (search(searcher, runs_table, rule) for rule in (HONEST, single))
        yield from rows_of_new_runs("labels", "mean -> single_run", *two)
    if "target" in measured:
        two = (queries(honest, rule) for rule in (HONEST, honest_but(target="valid")))
        yield make_row("target", "test -> valid", SAME, _OPTIMUM, *two)
    if "version" in measured:
        change = f"{table.version} -> {runs_table.version}"
        yield from rows_of_new_runs("version", change, honest, search(searcher, runs_table, HONEST))
    if "all" in measured:
        leaked = search(searcher, table, PAPER)
        change = "honest -> paper"
        yield make_row(
            "all", change, NEW, _OPTIMUM, queries(honest, HONEST), queries(leaked, PAPER)
        )
        for at in counts:
            two = accuracy(honest, HONEST, at), accuracy(leaked, PAPER, at)
            yield make_row("all", change, NEW, f"accuracy at {at}", *two)


def of_nasbench101(searchers: Sequence[Searcher], search: Search) -> Iterator[Row]:
    """The rows of NAS-Bench-101, whose table has test labels only: they also guide the search.

    The optimum is rarely met there, so queries are counted to the first of the ten best.
    """
    table = registry.find("nasbench101")
    for searcher in searchers:
        yield from of_test_labels(searcher, table, search)


def of_test_labels(searcher: Searcher, table: Table, search: Search) -> Iterator[Row]:
    """The rows of a method on a table with test labels only."""
    rule = honest_but(labels="test")
    honest = search(searcher, table, rule)
    best_ten = metrics.milestones(table, rule)["the top 10"]
    measure = "queries to the top 10"
    if "predicted_top" in searcher.switches:
        yield from _predicted_top(searcher, table, best_ten, search)
    if "normalize" in searcher.switches:
        rescaled = search(searcher, table, honest_but(labels="test", normalize="table"))
        labels = "NAS-Bench-101", "normalize", "observed -> table", NEW, searcher.name
        yield row(*labels, measure, *(queries(runs, rule, best_ten) for runs in (honest, rescaled)))
        for at in searcher.counts:
            two = (accuracy(runs, rule, at) for runs in (honest, rescaled))
            yield row(*labels, f"accuracy at {at}", *two)
    if "counting" in searcher.switches:
        rules = rule, honest_but(labels="test", counting="round")
        labels = "NAS-Bench-101", "counting", "query -> round", SAME, searcher.name
        yield row(*labels, measure, *(queries(honest, r, best_ten) for r in rules))


def _predicted_top(
    searcher: Searcher, table: Table, best_ten: np.ndarray | None, search: Search
) -> Iterator[Row]:
    """Evaluating the predicted best for free, from the same traces, and as a counted query."""
    rule = HONEST if best_ten is None else honest_but(labels="test")
    free, counted = (
        dataclasses.replace(rule, predicted_top=setting) for setting in ("free", "counted")
    )
    dataset = table.dataset if best_ten is None else "NAS-Bench-101"
    measure = _OPTIMUM if best_ten is None else "queries to the top 10"
    without, first = search(searcher, table, rule), search(searcher, table, counted)
    for setting, traces, runs, runs_rule in (
        ("free", SAME, without, free),
        ("counted", NEW, first, rule),
    ):
        labels = dataset, "predicted_top", f"off -> {setting}", traces, searcher.name
        yield row(
            *labels, measure, queries(without, rule, best_ten), queries(runs, runs_rule, best_ten)
        )
        if best_ten is None:
            continue
        reporting = dataclasses.replace(
            runs_rule, report="oracle_test"
        )  # equal there, but for the predicted best
        for at in searcher.counts:
            two = accuracy(without, rule, at), accuracy(runs, reporting, at)
            yield row(*labels, f"accuracy at {at}", *two)


def shifts(dataset: str, search: Search) -> Iterator[Shift]:
    """The effect of switches on differences between methods, all from the same traces."""
    table = registry.find("nasbench201", dataset)
    for a, b, switches in (
        (TEN, RANDOM, {"report": "oracle_test"}),
        (TEN, LOCAL, {"report": "oracle_test"}),
        (GP, TEN, {"report": "oracle_test"}),
        (TEN, LOCAL, {"predicted_top": "free"}),
        (TEN, LOCAL, {"counting": "round"}),
        (TEN, LOCAL, {"target": "valid"}),
    ):
        yield shift(a, b, switches, table, search)


def shift(
    a: Searcher, b: Searcher, switches: Mapping[str, str], table: Table, search: Search
) -> Shift:
    """The difference ``a - b`` by ``honest`` and with ``switches``, and the shift between them.

    Accuracy is compared at the largest count that both have, at most 100; queries are censored at
    the smaller budget.
    """
    both_runs = tuple(search(runs, table, HONEST) for runs in (a, b))
    budget = min(runs.trace.queried.shape[1] for runs in both_runs)
    num_queries = max(count for count in a.counts if count in b.counts and count <= 100)

    def difference(rule: Protocol) -> np.ndarray:
        if "report" in switches:
            numbers = [accuracy(runs, rule, num_queries) for runs in both_runs]
        else:
            numbers = [queries(runs, rule, most=budget) for runs in both_runs]
        return numbers[0].values - numbers[1].values

    honest, switched = (difference(rule) for rule in (HONEST, honest_but(**switches)))
    zeros = np.zeros(len(honest))
    differences = [
        stats.paired_difference(*pair)
        for pair in ((honest, zeros), (switched, zeros), (switched, honest))
    ]
    measure = (
        f"accuracy at {num_queries}" if "report" in switches else f"{_OPTIMUM}, at most {budget}"
    )
    (switch,) = switches
    change = f"{switch}: {getattr(HONEST, switch)} -> {switches[switch]}"
    cells = [runs[key] for runs in differences for key in ("mean", "low", "high")]
    return Shift(table.dataset, f"{a.name} - {b.name}", measure, change, len(honest), *cells)
