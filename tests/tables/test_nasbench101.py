"""The shipped NAS-Bench-101 table, against known facts and its source, and searches of it."""

import dataclasses
import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import call

from weaknas_jax import HONEST, TableError, load_nasbench101, load_nasbench201
from weaknas_jax.cli import search
from weaknas_jax.core.plan import Plan
from weaknas_jax.core.protocol import resolve
from weaknas_jax.runs import task
from weaknas_jax.runs.program import run_many
from weaknas_jax.search import methods
from weaknas_jax.spaces.nasbench101 import cells as space
from weaknas_jax.tables import nasbench101 as packed
from weaknas_jax.tables.importers import official101

SOURCE = Path(os.environ.get("WEAKNAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
TEST = resolve("honest", labels="test")


@pytest.fixture(scope="module")
def some():
    """2,000 rows drawn evenly, and all trainings that failed."""
    table = load_nasbench101()
    chosen = table.test_mean < 12
    chosen[np.random.default_rng(0).choice(len(table), 2000, replace=False)] = True
    return table.where(chosen)


def test_facts():
    table = load_nasbench101()
    assert len(table) == space.SIZE == len(np.unique(packed.codes()))
    assert table.encoding.shape == (space.SIZE, 45)
    best = int(table.test_mean.argmax())
    assert (best, round(table.test_mean[best], 4)) == (362_002, 94.3176)
    cell = space.decode(packed.codes()[[best]])
    assert space.hashes(cell)[0] == b"02e5a0247bbdcf2860b7e96f74961594"
    assert table.extra["params"][best] == 32_426_634
    assert (table.test_mean < 12).sum() == 644
    assert (table.signal, table.version) == ("test", "test108")
    np.testing.assert_array_equal(table.valid, table.test)


def test_a_row_is_found_by_its_name():
    table = load_nasbench101()
    for row in (0, 1234, 362_002, len(table) - 1):
        assert packed.index_of(table.names[row]) == row
    with pytest.raises(KeyError):
        packed.index_of("ffffff/33333")


def test_neighbours_are_rows():
    best = 362_002
    near = packed.neighbour_indices(best)
    assert len(near) == len(set(near.tolist())) == 15
    assert best not in near
    cells = [space.decode(packed.codes()[[row]]) for row in (best, *near)]
    edges, *others = [int(cell.matrix.sum()) for cell in cells]
    assert all(abs(edges - other) <= 1 or other < edges for other in others)
    assert np.mean([best in packed.neighbour_indices(row) for row in near]) > 0.5


def test_only_test_labels_are_there_and_the_protocol_must_say_so(some):
    with pytest.raises(TableError, match="--labels=mean: nasbench101/cifar10 has test accuracy"):
        task.make(some, HONEST)
    with pytest.raises(TableError, match="--labels=test: nasbench201/cifar10 has validation"):
        task.make(load_nasbench201(), TEST)
    np.testing.assert_allclose(task.make(some, TEST).scores[:, 0], some.test_mean, rtol=1e-6)


def test_label_noise_is_of_its_size_and_another_in_each_run(some):
    quiet = task.make(some, TEST)
    noisy = task.make(some, resolve("honest", labels="test", label_noise=0.2))
    first, second = jax.random.key(0), jax.random.key(1)
    np.testing.assert_array_equal(task.draw_labels(first, quiet), quiet.scores[:, 0])
    noise = [np.asarray(task.draw_labels(k, noisy) - quiet.scores[:, 0]) for k in (first, second)]
    deviation_of_deviation = 0.2 / np.sqrt(2 * len(some))
    assert all(abs(n.std() - 0.2) < 4 * deviation_of_deviation for n in noise)
    assert abs(np.corrcoef(noise)[0, 1]) < 4 / np.sqrt(len(some))
    assert noisy.scores.tolist() == quiet.scores.tolist()


@pytest.mark.slow  # of every method in test_methods
def test_failed_trainings_do_not_throw_a_search_off(some):
    """A quarter of these architectures have 10 %, and each search begins with some of them."""
    method = methods.make("gp", init=20, per_round=10, budget=60, beta=2.0, noise=0.3)
    trace = run_many(method, task.make(some, TEST), 0, range(4), given=Plan(1))[0]
    assert (trace.scores[:, :20] < 12).any(axis=1).all()
    ranks = (some.test_mean[:, None] > trace.scores.max(axis=1)).sum(axis=0)
    assert ranks.max() < 20  # of 2,644: the best 1 %


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(not SOURCE.is_dir(), reason=f"{SOURCE} is absent")
def test_every_array_of_the_source(monkeypatch):
    """The quick tests above see single rows; here are all hashes, graphs and figures."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools")
    import pack_tables

    pack_tables.verify_nasbench101(SOURCE)


def test_every_result_says_that_the_search_saw_test_labels(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--space=nasbench101", "--method=random", "--seeds=2", "--init=10", "--budget=30"]
    assert call(search, *arguments, "--label_noise=0.1", f"--out={out}") == 0
    printed = capsys.readouterr().out
    assert "honest, but labels=test, label_noise=0.1" in printed
    assert "the search saw test labels: not directly comparable with the paper's numbers" in printed
    summary = json.loads((out / "summary.json").read_text())
    assert summary["protocol"]["labels"] == "test"
    assert summary["protocol"]["label_noise"] == 0.1


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--labels=mean", "--labels=mean: nasbench101/cifar10 has test accuracy alone"),
        ("--dataset=cifar100", "--dataset=cifar100: nasbench101 has cifar10"),
        ("--table_version=nats", "--table_version=nats: nasbench101 has test108"),
    ],
)
def test_what_it_does_not_have(argument, said, capsys):
    assert call(search, "--space=nasbench101", argument) == 2
    assert said in capsys.readouterr().err


def test_the_benchmarks_own_file_is_compared_with_the_shipped_means():
    table = load_nasbench101()
    chosen = np.isin(np.arange(len(table)), [5, 362_002, 423_623])
    imported = dataclasses.replace(table.where(chosen), test=table.test[chosen].repeat(3, axis=1))
    assert official101.agreement(imported) == (3, 3)
    imported.test[0, 0] += 0.1
    assert official101.agreement(imported) == (2, 3)
    imported.test[1, 2] = np.nan  # a repeat is missing
    assert official101.agreement(imported) == (1, 2)
