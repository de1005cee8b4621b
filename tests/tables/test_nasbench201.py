"""The space, and the shipped table against known facts and against its source."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaknas_jax import HONEST, TableError, load_nasbench201
from weaknas_jax.runs import task
from weaknas_jax.spaces import nasbench201 as space
from weaknas_jax.tables import nasbench201 as packed
from weaknas_jax.tables import targets

SOURCE = Path(os.environ.get("WEAKNAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
OPERATIONS = st.tuples(*[st.integers(0, 4)] * 6)


@given(OPERATIONS)
def test_strings_codes_and_encodings_are_inverses(ops):
    assert space.parse(space.to_string(ops)) == ops
    assert tuple(space.decode(space.code(ops)).tolist()) == ops
    assert space.one_hot(np.array(ops)).reshape(6, 5).argmax(axis=1).tolist() == list(ops)
    assert space.integer(np.array(ops)).tolist() == list(ops)


@given(OPERATIONS)
def test_neighbours_differ_in_one_edge(ops):
    found = space.neighbours(ops)
    assert found.shape == (24, 6)
    assert ((found != np.array(ops)).sum(axis=1) == 1).all()
    assert len({tuple(row) for row in found.tolist()}) == 24


@pytest.mark.parametrize(
    ("arch", "names"),
    [
        ("|none~0|+|none~0|none~1|", "3 nodes"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|conv~2|", "'conv~2'"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "'none~0'"),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", "edge 1 of node 2"),
        ("", "not 1"),
    ],
)
def test_bad_strings_name_the_part_at_fault(arch, names):
    with pytest.raises(ValueError, match=names):
        space.parse(arch)


def test_canonical_graphs():
    parse, canonical = space.parse, space.canonical
    empty = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert canonical(parse(empty)) == "0"
    identity = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    assert canonical(parse(identity)) == "x"
    # 0 -> 1 -> 3 and 0 -> 2 -> 3 are the same chain; a dead branch changes nothing.
    one = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|"
    two = "|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|none~0|none~1|avg_pool_3x3~2|"
    assert canonical(parse(one)) == canonical(parse(two)) == "avg_pool_3x3(nor_conv_3x3(x))"
    # A sum passed on by a skip is a sum: x + (x + conv(x)).
    nested = (
        "|nor_conv_1x1~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|none~1|skip_connect~2|"
    )
    assert canonical(parse(nested)) == "nor_conv_1x1(x)+x+x"
    every = {canonical(tuple(row)) for row in space.decode(np.arange(space.SIZE)).tolist()}
    assert len(every) == 4930


def test_cells_that_compute_the_same_score_alike():
    """Within a class of equal graphs, accuracy varies no more than between training runs."""
    table = load_nasbench201("cifar100", "nats")
    names = [space.canonical(space.parse(name)) for name in table.names]
    _, group = np.unique(names, return_inverse=True)
    mean = np.bincount(group, table.valid_mean) / np.bincount(group)
    within = np.median(np.abs(table.valid_mean - mean[group])[np.bincount(group)[group] > 4])
    between_runs = np.nanmedian(np.nanstd(table.valid, axis=1))
    assert within < 2 * between_runs
    assert within < 0.05 * table.valid_mean.std()


@pytest.mark.parametrize(
    ("dataset", "valid", "valid_row", "test", "test_row"),
    [
        ("cifar10", 91.607, 6111, 91.523, 1459),
        ("cifar100", 73.493, 9930, 73.513, 9930),
        ("imagenet16", 46.733, 10676, 47.311, 857),
    ],
)
def test_known_optima(dataset, valid, valid_row, test, test_row):
    table = load_nasbench201(dataset)
    assert round(table.valid_mean.max(), 3) == valid
    assert round(table.test_mean.max(), 3) == test
    assert np.flatnonzero(targets.target_mask(table, "valid")).tolist() == [valid_row]
    assert np.flatnonzero(targets.target_mask(table, "test")).tolist() == [test_row]
    assert np.isfinite(table.encoding).all()
    assert (table.encoding.sum(axis=1) == 6).all()


def test_ties_survive_packing():
    full = load_nasbench201("cifar10").extra["full_train_test"]
    assert np.flatnonzero(full == full.max()).tolist() == [6111, 13714]
    assert round(full.max(), 3) == 94.373


def test_the_editions_differ_and_runs_belong_to_one():
    old, new = load_nasbench201("cifar10"), load_nasbench201("cifar10", "nats")
    assert old.valid.shape[1] == 1
    assert new.valid.shape[1] == 3
    assert np.isnan(new.valid).sum() == 7456
    assert 2000 < (np.abs(old.valid_mean - new.valid_mean) > 1e-9).sum() < 3000
    single = "single_run"
    with pytest.raises(TableError, match="table_version=nats"):
        task.make(old, HONEST.__class__(**{**HONEST.switches(), "name": "x", "labels": single}))


def test_indices_strings_and_neighbours_agree():
    table = load_nasbench201()
    near = packed.neighbour_indices()
    for i in (0, 857, 15_624):
        assert packed.index_of(packed.name_of(i)) == i
        assert packed.name_of(i) == table.names[i]
        differences = (table.encoding[near[i]] != table.encoding[i]).sum(axis=1)
        assert (differences == 2).all()
        assert all(i in near[j] for j in near[i])


def test_unknown_names_list_the_known():
    with pytest.raises(TableError, match="cifar10, cifar100, imagenet16"):
        load_nasbench201("svhn")
    with pytest.raises(TableError, match=r"v1\.1, nats"):
        load_nasbench201(version="v2")


def test_file_is_small_and_loads_in_little_memory():
    assert packed.FILE.stat().st_size < 1_000_000
    assert (packed.FILE.parent / "NOTICE").exists()
    script = (
        "import resource\nfrom weaknas_jax.tables import nasbench201 as n\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "n.load_nasbench201('cifar10', 'nats')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    grown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(grown.stdout) < 200_000  # kilobytes
    assert resource.RUSAGE_SELF == 0


@pytest.mark.skipif(not (SOURCE / "nb201").exists(), reason=f"the raw arrays are not at {SOURCE}")
def test_packed_file_is_what_the_script_makes_of_its_source():
    tools = Path(__file__).parents[2] / "tools"
    sys.path.insert(0, str(tools))
    try:
        import pack_tables
    finally:
        sys.path.remove(str(tools))
    made, shipped = pack_tables.pack_nasbench201(SOURCE), packed.read_packed()
    assert set(made) == set(shipped)
    for name in made:
        np.testing.assert_array_equal(made[name], shipped[name])
    pack_tables.verify_nasbench201(SOURCE)
