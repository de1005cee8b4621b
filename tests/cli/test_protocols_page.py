"""What a switch of a protocol is worth: read from planted traces, and written down."""

import csv
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import planted_table

from weaknas_jax import HONEST, Trace
from weaknas_jax.cli.paper import protocols_page, searchers, switches
from weaknas_jax.cli.paper.searchers import Runs, Searcher
from weaknas_jax.cli.paper.switches import Read
from weaknas_jax.measures import metrics

ROOT = Path(__file__).parents[2]
RUNS, BUDGET, ROUND = 6, 20, 5
ALL = ("report", "predicted_top", "normalize", "counting", "labels", "target", "version", "all")
SEARCHER = Searcher("planted", {}, ALL, (5, 10, 20))


def edition(name, seed=0):
    """Its best by test is not its best by validation."""
    table = planted_table(runs=3, noise=3.0, seed=seed)
    test = planted_table(noise=3.0, seed=7).valid - 1.0
    return dataclasses.replace(table, test=test, version=name)


class Planted:
    """Searches at random rows, other ones for each thing that a search depends on."""

    def __init__(self):
        self.asked = []

    def __call__(self, searcher, table, rule):
        depends = searcher.name, table.version, rule.labels, rule.normalize
        depends += (rule.predicted_top.replace("free", "off"),)
        self.asked.append(depends)
        rng = np.random.default_rng(list(repr(depends).encode()))
        queried = np.stack([rng.permutation(len(table))[:BUDGET] for _ in range(RUNS)])
        rounds = BUDGET // ROUND
        nothing = np.full((RUNS, rounds), np.nan, np.float32)
        trace = Trace(
            run=np.arange(RUNS, dtype=np.int32),
            queried=queried.astype(np.int32),
            scores=table.valid_mean[queried].astype(np.float32),
            round=np.repeat(np.arange(rounds, dtype=np.int32), ROUND),
            predicted_top=rng.integers(len(table), size=(RUNS, rounds)).astype(np.int32),
            nan_round=np.full(RUNS, -1, np.int32),
            kendall=nothing,
            kendall_top50=nothing,
            top50_probability=nothing,
        )
        return Runs(table, trace)


@pytest.fixture(scope="module")
def rows():
    return list(switches.of_tables(SEARCHER, edition("one"), edition("two", 1), Planted()))


def test_every_switch_has_its_rows(rows):
    assert [*dict.fromkeys(row.switch for row in rows)] == list(protocols_page.TITLES)
    for row in rows:
        assert row.difference == pytest.approx(row.after - row.before)
        assert row.low <= row.difference <= row.high
        assert row.significant == (not row.low <= 0 <= row.high)
    assert any(row.censored_before for row in rows)


def test_what_only_reads_a_trace_reads_the_same(rows):
    """Each such difference has one sign, whatever the traces are."""
    of = {row.switch: [r for r in rows if r.switch == row.switch] for row in rows}
    same = {"report", "predicted_top", "counting", "target"}
    assert {row.switch for row in rows if row.traces == switches.SAME} == same
    assert all(row.difference >= 0 for row in of["report"] + of["counting"])
    (free,) = (row for row in of["predicted_top"] if row.change == "off -> free")
    assert free.difference <= 0
    assert {row.traces for row in of["predicted_top"]} == {switches.SAME, switches.NEW}


def test_those_that_search_differently_search_again():
    search = Planted()
    list(switches.of_tables(SEARCHER, edition("one"), edition("two", 1), search))
    assert set(search.asked) == {
        ("planted", "one", "mean", "observed", "off"),
        ("planted", "one", "mean", "observed", "counted"),
        ("planted", "one", "mean", "table", "off"),
        ("planted", "two", "mean", "observed", "off"),
        ("planted", "two", "single_run", "observed", "off"),
    }


def test_censored_runs_count_as_the_budget():
    runs = Planted()(SEARCHER, edition("one"), HONEST)
    found = metrics.queries_to_target(runs.trace, np.arange(64) < 3, HONEST)
    read = switches.queries(runs, HONEST, np.arange(64) < 3, most=10)
    late = ~(found <= 10)
    assert late.any()
    assert read.censored == late.sum()
    assert (read.values[late] == 10).all()
    np.testing.assert_array_equal(read.values[~late], found[~late])


def test_a_table_of_test_labels_says_less():
    rows = list(switches.of_test_labels(SEARCHER, edition("one"), Planted()))
    assert {row.switch for row in rows} == {"predicted_top", "normalize", "counting"}
    assert {row.measure.rsplit(" ", 1)[0] for row in rows} == {"queries to the top", "accuracy at"}


def test_a_shift_is_what_lies_between():
    other = SEARCHER._replace(name="other")
    table, search = edition("one"), Planted()
    for turned in ({"report": "oracle_test"}, {"target": "valid"}):
        found = switches.shift(SEARCHER, other, turned, table, search)
        assert found.shift == pytest.approx(found.switched - found.honest)
        assert found.honest_low <= found.honest <= found.honest_high


def test_cells_say_bounds_and_what_is_not_significant():
    few, many = Read(np.array([1.0, 2.0, 3.0, 4.0])), Read(np.array([9.0, 9.0, 9.0, 20.0]), 1)
    noise = Read(np.array([3.0, 1.0, 4.0, 3.0]))

    def said(a, b):
        row = switches.row("cifar10", "target", "a -> b", switches.SAME, "m", "queries", a, b)
        return protocols_page.markdown([row], [], "command").splitlines()[-1]

    assert said(few, few).endswith("| 2.5 to 2.5: 0 in every run |")
    assert "| 2.5 to >= 11.8 [1]: **+9.2 (+" in said(few, many)
    assert said(few, noise).endswith(" n.s. |")


def test_the_picture_and_the_tables(rows, tmp_path):
    left, right = protocols_page.draw(rows, tmp_path / "p.png").axes
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    for axes, measure in ((left, "queries"), (right, "accuracy")):
        of = [row for row in rows if row.measure.startswith(measure)]
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert {name.split(":")[0] for name in names} == {row.switch for row in of}
        dots = {line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "o"}
        assert dots <= {row.difference for row in of}
    assert {row.difference for row in rows if row.measure.startswith("queries")} == {
        line.get_xdata()[0] for line in left.get_lines() if line.get_marker() == "o"
    }
    text = protocols_page.markdown(rows, [], "the command")
    assert all(title in text for title in protocols_page.TITLES.values())


_SMALL = """
import sys
from absl import flags
from weaknas_jax.cli.paper import protocols, searchers, switches
from weaknas_jax.tables import registry

random = searchers.RANDOM
searchers.ON_201, switches.of_nasbench101 = (random,), lambda *_: ()
switches.shifts = lambda dataset, search: [
    switches.shift(random, random, {"target": "valid"}, registry.find("nasbench201"), search)
]
flags.FLAGS(sys.argv)
print(protocols.main(["protocols"]), protocols.main(["protocols", "stray"]))
"""


@pytest.mark.slow  # its parts are above
def test_the_command(tmp_path):
    """In its own process: absl takes each flag once."""
    command = [sys.executable, "-c", _SMALL, "--quick", "--runs=2", f"--out={tmp_path}"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 2", done.stderr
    assert "unexpected argument 'stray'" in done.stderr
    for name in ("protocols.md", "protocols.csv", "comparisons.csv", "protocols.png"):
        assert (tmp_path / name).is_file()
        assert name in done.stdout
    with open(tmp_path / "protocols.csv") as file:
        found = list(csv.DictReader(file))
    assert [row["measure"] for row in found] == [f"accuracy at {at}" for at in (50, 100, 200)]
    assert "--quick --runs=2" in done.stdout  # the line that the process was called by


def test_a_search_that_was_done_is_read_again(tmp_path, monkeypatch):
    searcher = Searcher("random", {"method": "random", "budget": 20}, (), ())
    table = planted_table(runs=2)
    first = searchers.searching(3, 1, tmp_path)(searcher, table, HONEST).trace
    (file,) = tmp_path.glob("*.npz")

    def again():
        return searchers.searching(3, 1, tmp_path)(searcher, table, HONEST).trace

    with monkeypatch.context() as patch:
        patch.setattr(searchers, "run_many", lambda *a: pytest.fail("it searched again"))
        for one, other in zip(first, again(), strict=True):
            np.testing.assert_array_equal(one, other)
    file.write_bytes(file.read_bytes()[:-40])  # damaged: done again
    np.testing.assert_array_equal(again().queried, first.queried)
