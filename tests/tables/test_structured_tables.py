"""Tables that say that they are a cell or a chain."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from weaknas_jax import Cell, Chain, Table, TableError, load_nasbench201, load_table, save_table
from weaknas_jax.predictors import kernels, presets
from weaknas_jax.runs import task
from weaknas_jax.spaces import columns as generic
from weaknas_jax.spaces import nasbench201
from weaknas_jax.tables import read_arrays, read_csv
from weaknas_jax.tables.__main__ import main

NAMED = load_nasbench201("cifar10")
OPS = np.array([nasbench201.parse(name) for name in NAMED.names])
CELL = Cell(list(nasbench201.EDGES), none=0, skip=1)
SLOTS = Cell(dict(enumerate(nasbench201.EDGES)), none=0, skip=1)
ENCODINGS = {"integers": nasbench201.integer(OPS), "one-hot": nasbench201.one_hot(OPS)}


def nameless(encoding, structure=CELL):
    """NAS-Bench-201 as a table of columns that nothing else is known of."""
    return dataclasses.replace(
        NAMED, space="table", names=None, extra={}, encoding=encoding, structure=structure
    )


@pytest.fixture(params=ENCODINGS)
def encoding(request):
    return ENCODINGS[request.param]


@pytest.mark.parametrize("structure", [CELL, SLOTS])
def test_a_cell_without_names_is_searched_as_by_names(encoding, structure):
    own, other = task.space(NAMED), task.space(nameless(encoding, structure))
    rows, near = jnp.array([0, 77, 15_624]), jnp.arange(0, 15_625, 7)
    assert own.preset == other.preset == "cell"
    for name, block in own.features.items():
        np.testing.assert_array_equal(block, other.features[name])
    mine, theirs = (
        kernels.on(space.features, presets.blocks_of(space)).rows(rows, near)
        for space in (own, other)
    )
    np.testing.assert_array_equal(mine, theirs)


def test_features_are_of_the_structure_of_the_columns_or_both(encoding):
    table = nameless(encoding)
    columns = generic.features(table.encoding)
    assert set(task.features(table)) == {"paths", "grams", "counts"}
    assert set(task.features(table, "columns")) == set(columns)
    assert task.space(table, "columns").preset == "table"
    both = task.space(table, "all")
    assert set(both.features) == {*columns, "paths", "grams", "counts"}
    assert both.preset == "cell"
    np.testing.assert_array_equal(both.features["counts"], task.features(table)["counts"])


def test_a_part_of_the_table_has_the_features_that_its_rows_have(encoding):
    table = nameless(encoding)
    for mask in (OPS[:, 2] == 3, (OPS != 0).all(axis=1), np.arange(len(OPS)) < 1):
        part = table.where(mask).where(np.ones(int(mask.sum()), bool))  # slots are constant there
        for name, block in task.features(part).items():
            np.testing.assert_array_equal(block, task.features(NAMED)[name][mask])


def test_the_file_keeps_it(tmp_path):
    for structure in (CELL, SLOTS, None):
        table = nameless(ENCODINGS["integers"], structure)
        save_table(tmp_path / "a.npz", table)
        assert load_table(tmp_path / "a.npz").structure == structure
        with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
            assert ("structure" in file) == (structure is not None)
    part = nameless(ENCODINGS["integers"]).where(OPS[:, 0] == 1)
    save_table(tmp_path / "part.npz", part)
    again = load_table(tmp_path / "part.npz")
    assert again.structure == part.structure
    for name, block in task.features(part).items():
        np.testing.assert_array_equal(block, task.features(again)[name])


CSV = "first,second,third,width,valid\n" + "".join(
    f"{a},{b},{c},{8 * w},{50 + i}\n"
    for i, (a, b, c, w) in enumerate(
        itertools.product(["zero", "conv"], ["conv", "same", "pool"], ["conv", "same"], [1, 2])
    )
)
TRIANGLE = '{"cell": {"edges": {"first": [0, 1], "second": [0, 2], "third": [1, 2]}, %s}}'


def test_an_imported_csv_names_its_columns(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(CSV)
    (tmp_path / "cell.json").write_text(TRIANGLE % '"none": ["zero"], "skip": ["same"]')
    line = ["import", "mine.csv", "--out=mine.npz", "--structure=cell.json"]
    assert main(line) == 0
    assert " cell of 3 nodes and 3 edges; zero cuts; same skips\n" in capsys.readouterr().out
    table = load_table("mine.npz")
    structure = Cell({"first": (0, 1), "second": (0, 2), "third": (1, 2)}, "zero", "same")
    assert table.structure == structure
    row = next(  # conv and pool beside it: the paths are conv, and pool
        i
        for i, ops in enumerate(zip(*(table.columns[n] for n in structure.names), strict=True))
        if ops == ("conv", "pool", "same")
    )
    blocks = {k: np.rint(np.asarray(v[row]) ** 2).tolist() for k, v in task.features(table).items()}
    assert blocks["paths"] == [0, 1, 1, 0, 0, 0, 0]
    assert blocks["grams"] == [1, 1, 0, 0, 0, 0]
    assert blocks["counts"] == [1, 1, 1]
    space, width = task.space(table), table.columns["width"]
    assert space.preset == "cell_and_others"
    same = (space.features["others"][:, None] == space.features["others"][None]).all(axis=2)
    assert (same == (width[:, None] == width[None])).all()
    part = table.where(width == 8)  # the width is the same everywhere
    assert task.space(part).preset == "cell"
    (tmp_path / "cell.json").write_text(TRIANGLE % '"none": ["none"]')
    assert main([*line, "--overwrite"]) == 2
    assert (
        "field 'structure': none: no option 'none'; there are 'conv', 'pool'"
        in capsys.readouterr().err
    )
    assert main(["import", "mine.csv", "--out=o.npz", "--structure=none.json"]) == 2
    assert "none.json: cannot be read" in capsys.readouterr().err


def test_arrays_are_a_chain_of_numbers(tmp_path):
    codes = np.array(list(itertools.product([3, 5, 7], repeat=3)))
    np.savez(tmp_path / "raw.npz", codes=codes, valid=np.arange(27) + 50.0)
    table = read_arrays(tmp_path / "raw.npz", encoding=["codes"], structure=Chain(skip=3))
    counts = np.stack([(codes == level).sum(axis=1) for level in (3, 5, 7)], axis=1)
    np.testing.assert_allclose(task.features(table)["counts"] ** 2, counts, atol=1e-5)
    with pytest.raises(TableError, match="'structure': skip: no option 4; there are 3, 5, 7"):
        read_arrays(tmp_path / "raw.npz", encoding=["codes"], structure=Chain(skip=4))


MIXED = np.hstack([np.eye(3)[[0, 1, 2, 0]], np.eye(2)[[0, 1, 1, 0]], [[1], [2], [3], [4]]])
BAD = {
    "no column": (Chain(("depth",)), "no column 'depth'; there are 'op', 'width'"),
    "no slot": (Chain((0, 5)), r"no slot 5; the encoding has slots 0 \.\. 2"),
    "both": (Chain((0, "op")), "name columns, or number slots, but not both"),
    "unequal slots": (Chain((0, 1)), r"different numbers of columns \(slot 0 3, slot 1 2\)"),
    "unequal columns": (Chain(("op", "width")), "'op' holds texts, and 'width' numbers"),
    "too few edges": (Cell({0: (0, 1), 1: (1, 2)}), "different numbers of columns"),
    "all columns": (Cell([(0, 1)]), "'op' holds texts, and 'width' numbers"),
    "no option": (Chain((0,), skip=3), "skip: no option 3; there are 0, 1, 2"),
    "missing option": (Chain(("op",), options=("a",)), "a column has 'b', which is none of"),
    "no structure": ("cell", "'cell': give a Cell or a Chain"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_say_what_is_wrong(case, tmp_path):
    structure, match = BAD[case]
    columns = {"op": np.array(["a", "b", "a", "b"]), "width": np.arange(4)}
    table = Table(
        "table", "t", MIXED, np.arange(4.0)[:, None], columns=columns, structure=structure
    )
    for use in (
        lambda: task.features(table),
        lambda: table.where(np.ones(4, bool)),
        lambda: save_table(tmp_path / "a.npz", table),
    ):
        with pytest.raises(TableError, match=match):
            use()


@pytest.mark.parametrize("text", [np.array(3), np.array("{"), np.array(['{"chain": {}}'])])
def test_a_damaged_field_is_named(tmp_path, text):
    arrays = {"format": "weaknas-table-1", "encoding": np.eye(3), "valid": np.arange(3.0)}
    np.savez(tmp_path / "a.npz", structure=text, **arrays)
    with pytest.raises(TableError, match=r"a\.npz: field 'structure'"):
        load_table(tmp_path / "a.npz")


def test_too_many_values_are_no_options(tmp_path):
    (tmp_path / "m.csv").write_text("a,valid\n" + "".join(f"{i},{i % 90}\n" for i in range(200)))
    with pytest.raises(TableError, match="the columns 'a' have 200 values; at most 128 here"):
        read_csv(tmp_path / "m.csv", structure=Chain())
