"""The study of objectives: searches of other libraries, files of results, its examples."""

import doctest
import importlib
import itertools
import pkgutil

import numpy as np
import pytest

import weaknas_jax as wn
from benchmarks import study
from benchmarks.study import libraries, peers, report, results
from benchmarks.study.objectives import Objective
from weaknas_jax.storage import ownership
from weaknas_jax.storage.npz import TableError, read_npz, write_npz

WHOLE = np.array(list(itertools.product(range(4), range(3), range(1), range(5))))
SPARSE = WHOLE[np.random.default_rng(0).permutation(len(WHOLE))[:15]]
MAIN = "__main__"  # defines the flags of a process


def objective(levels):
    scores = -((levels - np.array([2, 1, 0, 3])) ** 2).sum(axis=1).astype(float)
    return Objective("made/bowl", levels, scores, scores)


CASES = {"whole": ("onehot", WHOLE), "sparse": ("integers", SPARSE)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", peers.PEERS)
def test_peers_ask_for_distinct_rows_after_our_first(name, case):
    for package in peers.PEERS[name].packages:
        pytest.importorskip(package)
    encoding, levels = CASES[case]
    queried = peers.search(objective(levels), encoding, name, seeds=2, budget=9)
    assert queried.shape == (2, 9)
    assert queried.dtype == np.int32
    assert [len(set(row)) for row in queried.tolist()] == [9, 9]
    np.testing.assert_array_equal(queried[:, 0], peers.first_rows(len(levels), 2))
    again = peers.search(objective(levels), encoding, name, seeds=1, budget=9)
    np.testing.assert_array_equal(queried[:1], again)


@pytest.mark.slow
def test_tpe_finds_more_than_chance():
    bowl, best = objective(WHOLE), []
    for encoding in ("onehot", "integers", "shuffled"):
        queried = peers.search(bowl, encoding, "tpe", seeds=10, budget=25)
        best.append((bowl.regret(queried).min(axis=1) == 0).mean())
    assert min(best) > 25 / len(WHOLE)  # a search by chance meets the best that often


def test_first_rows_are_those_of_our_searches():
    table = objective(WHOLE).table("integers")
    found = wn.search_table(
        table,
        method="random",
        stop="budget",
        init=1,
        per_round=1,
        budget=2,
        seeds=3,
        dynamics=False,
    )
    np.testing.assert_array_equal(peers.first_rows(len(WHOLE), 3), found.trace.queried[:, 0])


class Stubborn:
    """Proposes the same levels for ever, and notes what it is told."""

    def __init__(self, choices, seed, budget, levels):
        self.levels, self.told, self.added = levels, [], []
        Stubborn.last = self

    def ask(self):
        return self.levels

    def tell(self, score):
        self.told.append(score)

    def add(self, levels, score):
        self.added.append(levels)


def test_repeated_and_missing_proposals_are_told_and_replaced(monkeypatch):
    record = peers.PeerRecord(Stubborn, (), {"levels": (2, 1, 3)})
    monkeypatch.setitem(peers.PEERS, "stubborn", record)
    queried = peers.search(objective(WHOLE), "integers", "stubborn", 1, 4)
    assert len(set(queried[0].tolist())) == 4
    assert Stubborn.last.told == [0.0] * (1 + 2 * peers.REPEATS)
    assert len(Stubborn.last.added) == 3  # the first row, and two random ones

    without = WHOLE[objective(WHOLE).scores < 0]
    queried = peers.search(objective(without), "integers", "stubborn", 1, 4)
    assert Stubborn.last.told == [None] * 3
    off = np.abs(without[queried[0, 1:]] - [2, 1, 0, 3]) / [3, 2, 1, 4]
    np.testing.assert_allclose(off.sum(axis=1), [1 / 4, 1 / 4, 1 / 3])

    everything = peers.search(objective(SPARSE), "onehot", "stubborn", 1, 99)
    assert sorted(everything[0].tolist()) == list(range(len(SPARSE)))


def test_botorch_looks_at_some_rows_of_a_large_table(monkeypatch):
    monkeypatch.setattr(libraries, "ALL", 10)
    monkeypatch.setattr(libraries, "_SUBSET", 3)
    pytest.importorskip("botorch")
    queried = peers.search(objective(WHOLE), "onehot", "botorch", seeds=1, budget=9)
    assert len(set(queried[0].tolist())) == 9


def test_a_library_that_is_missing_is_named(monkeypatch):
    record = peers.PeerRecord(Stubborn, ("no_such_library",), {})
    monkeypatch.setitem(peers.PEERS, "stubborn", record)
    with pytest.raises(SystemExit, match="--methods=stubborn needs the package no_such_library"):
        peers.require(["stubborn"])


def test_results_of_other_sizes_are_not_lost(tmp_path):
    path = tmp_path / "gp" / "made-bowl--onehot.npz"
    assert results.missing(path, 2, 5) == (2, 5)
    rows = np.zeros((2, 5), np.int32)
    results.write(path, rows, rows.astype(float), 1.0, 2, 5)
    assert results.missing(path, 2, 5) is None
    assert results.missing(path, 1, 4) is None  # more is there
    assert results.missing(path, 3, 5) == (3, 5)
    assert results.missing(path, 1, 9) == (2, 9)  # not fewer searches than are there
    results.write(path, np.zeros((2, 9), np.int32), np.zeros((2, 9)), 1.0, 2, 9)
    assert results.size(path) == (2, 9)
    assert int(read_npz(path)["budget"]) == 9


def test_results_of_a_table_with_fewer_rows_than_the_budget_are_complete(tmp_path):
    path = tmp_path / "small.npz"
    results.write(path, np.zeros((2, 5), np.int32), np.zeros((2, 5)), 1.0, 2, 200)
    assert results.missing(path, 2, 200) is None


def test_results_of_before_and_files_of_others(tmp_path):
    old = tmp_path / "old.npz"
    write_npz(old, {"queried": np.zeros((2, 5), np.int32), "regret": np.zeros((2, 5))})
    assert results.missing(old, 2, 5) is None
    assert results.missing(old, 3, 5) == (3, 5)

    foreign = tmp_path / "foreign.npz"
    np.savez(foreign, queried=np.zeros((2, 5), np.int32))
    with pytest.raises(ownership.NotOurs, match=r"foreign\.npz"):
        results.missing(foreign, 3, 5)
    np.savez(foreign, other=np.zeros(3))
    with pytest.raises(TableError, match="no field 'queried'"):
        results.missing(foreign, 3, 5)


def test_examples_of_the_study():
    names = [module.name for module in pkgutil.iter_modules(study.__path__) if module.name != MAIN]
    modules = [importlib.import_module(f"benchmarks.study.{name}") for name in names]
    tried = {module.__name__: doctest.testmod(module) for module in modules}
    assert {name for name, outcome in tried.items() if outcome.failed} == set()
    assert sum(outcome.attempted for outcome in tried.values()) >= 3


def test_losses_are_where_another_method_has_less_regret_in_pairs():
    rng = np.random.default_rng(0)
    own = np.tile(rng.uniform(0.2, 0.3, (1, 10, 1)), (2, 1, 20))
    other = np.stack([own[0] - 0.1, own[1] + 0.1])
    cases = [("made/a", "integers"), ("made/b", "integers")]
    lines = report.losses(report.Curves(["mine", "other"], cases, np.stack([own, other])), "mine")
    assert lines[0] == "mine loses, 95 %: 1 of 2"
    assert "made/a (integers) at 20" in lines[1]
    assert "other" in lines[1]
