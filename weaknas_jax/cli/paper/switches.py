"""What each switch of a protocol is worth, one at a time from ``honest``, over the same seeds.

Switches that only read a trace are read from the same traces; the others search again by the same
seeds (`searchers`). `weaknas paper protocols` is the command.
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
    """A number of each run.

    Attributes:
      values: float64 [S]; a run that did not meet the optimum counts as its budget.
      censored: how many did not.
    """

    values: np.ndarray
    censored: int = 0


class Row(NamedTuple):
    """A switch, and the paired difference that it makes; queries, or percent of accuracy.

    ``before`` and ``after`` are means over runs, of which some are censored: lower bounds.
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
    """What a switch makes of the difference between two methods, each with its interval."""

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
    """Queries to the optimum of each run; to ``target``, bool [N], where that is given.

    ``most``: those that took more are censored there.
    """
    if target is None:
        target = targets.target_mask(runs.table, rule.target)
    found = metrics.queries_to_target(runs.trace, target, rule)
    budget = min(most or runs.trace.queried.shape[1], runs.trace.queried.shape[1])
    met = found <= budget  # NaN is not
    return Read(np.where(met, found, budget), int((~met).sum()))


def accuracy(runs: Runs, rule: Protocol, at: int) -> Read:
    """The accuracy that the protocol reports after so many queries, percent."""
    return Read(getattr(metrics.curves(runs.trace, runs.table, rule), rule.report)[:, at - 1])


def row(place: str, switch: str, change: str, traces: str, method: str, measure: str,
        before: Read, after: Read) -> Row:  # fmt: skip
    """The paired difference ``after - before``."""
    found = stats.paired_difference(after.values, before.values)
    said = place, switch, change, traces, method, measure, len(before.values)
    means = float(before.values.mean()), float(after.values.mean())
    interval = (found["mean"], found["low"], found["high"], found["significant"])
    return Row(*said, *means, before.censored, after.censored, *interval)


def honest_but(**switches: str) -> Protocol:
    """``honest`` with other switches."""
    return resolve("honest", **switches)


SAME, NEW = "same", "new runs"
_OPTIMUM = "queries to the optimum"


def of_nasbench201(dataset: str, searchers: Sequence[Searcher], search: Search) -> Iterator[Row]:
    """The switches on one data set."""
    v11, nats = (registry.find("nasbench201", dataset, edition) for edition in ("v1.1", "nats"))
    for searcher in searchers:
        yield from of_tables(searcher, v11, nats, search)


def of_tables(searcher: Searcher, table: Table, runs_table: Table, search: Search) -> Iterator[Row]:
    """The switches with one method.

    Args:
      searcher: the method.
      table: an edition of a table.
      runs_table: another edition, which has the runs behind each mean.
      search: does a search.
    """
    measured, counts = searcher.switches, searcher.counts
    honest = search(searcher, table, HONEST)

    def say(switch: str, change: str, traces: str, measure: str, before: Read, after: Read) -> Row:
        return row(table.dataset, switch, change, traces, searcher.name, measure, before, after)

    def both(switch: str, change: str, a: Runs, b: Runs) -> Iterator[Row]:
        yield say(switch, change, NEW, _OPTIMUM, queries(a, HONEST), queries(b, HONEST))
        for at in counts[1:]:
            two = (accuracy(of, HONEST, at) for of in (a, b))
            yield say(switch, change, NEW, f"accuracy at {at}", *two)

    if "report" in measured:
        oracle = honest_but(report="oracle_test")
        for at in counts:
            two = (accuracy(honest, rule, at) for rule in (HONEST, oracle))
            change = "best_valid_test -> oracle_test"
            yield say("report", change, SAME, f"accuracy at {at}", *two)
    if "predicted_top" in measured:
        yield from _looks(searcher, table, None, search)
    if "normalize" in measured:
        whole = search(searcher, table, honest_but(normalize="table"))
        yield from both("normalize", "observed -> table", honest, whole)
    if "counting" in measured:
        two = (queries(honest, rule) for rule in (HONEST, honest_but(counting="round")))
        yield say("counting", "query -> round", SAME, _OPTIMUM, *two)
    if "labels" in measured:
        single = honest_but(labels="single_run")
        two = (search(searcher, runs_table, rule) for rule in (HONEST, single))
        yield from both("labels", "mean -> single_run", *two)
    if "target" in measured:
        two = (queries(honest, rule) for rule in (HONEST, honest_but(target="valid")))
        yield say("target", "test -> valid", SAME, _OPTIMUM, *two)
    if "version" in measured:
        change = f"{table.version} -> {runs_table.version}"
        yield from both("version", change, honest, search(searcher, runs_table, HONEST))
    if "all" in measured:
        leaked = search(searcher, table, PAPER)
        change = "honest -> paper"
        yield say("all", change, NEW, _OPTIMUM, queries(honest, HONEST), queries(leaked, PAPER))
        for at in counts:
            two = accuracy(honest, HONEST, at), accuracy(leaked, PAPER, at)
            yield say("all", change, NEW, f"accuracy at {at}", *two)


def of_nasbench101(searchers: Sequence[Searcher], search: Search) -> Iterator[Row]:
    """The switches that a table of test labels alone allows: the search sees what judges it.

    The optimum is hardly met there, so that queries are counted to the first of the ten best.
    """
    table = registry.find("nasbench101")
    for searcher in searchers:
        yield from of_test_labels(searcher, table, search)


def of_test_labels(searcher: Searcher, table: Table, search: Search) -> Iterator[Row]:
    """`of_nasbench101` with one method."""
    rule = honest_but(labels="test")
    honest = search(searcher, table, rule)
    ten = metrics.milestones(table, rule)["the top 10"]
    measure = "queries to the top 10"
    if "predicted_top" in searcher.switches:
        yield from _looks(searcher, table, ten, search)
    if "normalize" in searcher.switches:
        whole = search(searcher, table, honest_but(labels="test", normalize="table"))
        said = "NAS-Bench-101", "normalize", "observed -> table", NEW, searcher.name
        yield row(*said, measure, *(queries(of, rule, ten) for of in (honest, whole)))
        for at in searcher.counts:
            two = (accuracy(of, rule, at) for of in (honest, whole))
            yield row(*said, f"accuracy at {at}", *two)
    if "counting" in searcher.switches:
        rules = rule, honest_but(labels="test", counting="round")
        said = "NAS-Bench-101", "counting", "query -> round", SAME, searcher.name
        yield row(*said, measure, *(queries(honest, r, ten) for r in rules))


def _looks(
    searcher: Searcher, table: Table, ten: np.ndarray | None, search: Search
) -> Iterator[Row]:
    """A free look at the predicted best, read from the same traces; and one that counts."""
    rule = HONEST if ten is None else honest_but(labels="test")
    free, counted = (
        dataclasses.replace(rule, predicted_top=which) for which in ("free", "counted")
    )
    place = table.dataset if ten is None else "NAS-Bench-101"
    measure = _OPTIMUM if ten is None else "queries to the top 10"
    off, first = search(searcher, table, rule), search(searcher, table, counted)
    for which, traces, other, read_by in (
        ("free", SAME, off, free),
        ("counted", NEW, first, rule),
    ):
        said = place, "predicted_top", f"off -> {which}", traces, searcher.name
        yield row(*said, measure, queries(off, rule, ten), queries(other, read_by, ten))
        if ten is None:
            continue
        by = dataclasses.replace(read_by, report="oracle_test")  # there the same but for the look
        for at in searcher.counts:
            two = accuracy(off, rule, at), accuracy(other, by, at)
            yield row(*said, f"accuracy at {at}", *two)


def shifts(dataset: str, search: Search) -> Iterator[Shift]:
    """What a reading makes of the difference between methods; all of it from the same traces."""
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
    """The difference ``a - b`` by ``honest`` and with ``switches``, and what lies between.

    Accuracy is read after the largest number of queries that both read, 100 at most; queries end
    at the smaller budget of the two.
    """
    two = tuple(search(of, table, HONEST) for of in (a, b))
    most = min(of.trace.queried.shape[1] for of in two)
    at = max(count for count in a.counts if count in b.counts and count <= 100)

    def difference(rule: Protocol) -> np.ndarray:
        if "report" in switches:
            read = [accuracy(of, rule, at) for of in two]
        else:
            read = [queries(of, rule, most=most) for of in two]
        return read[0].values - read[1].values

    honest, switched = (difference(rule) for rule in (HONEST, honest_but(**switches)))
    nothing = np.zeros(len(honest))
    found = [
        stats.paired_difference(*pair)
        for pair in ((honest, nothing), (switched, nothing), (switched, honest))
    ]
    measure = f"accuracy at {at}" if "report" in switches else f"{_OPTIMUM}, at most {most}"
    (switch,) = switches
    change = f"{switch}: {getattr(HONEST, switch)} -> {switches[switch]}"
    cells = [of[key] for of in found for key in ("mean", "low", "high")]
    return Shift(table.dataset, f"{a.name} - {b.name}", measure, change, len(honest), *cells)
