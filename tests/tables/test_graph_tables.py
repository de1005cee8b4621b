"""Tables that give their architectures as graphs."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import planted_table

from weaknas_jax import Cell, TableError, load_nasbench201, load_table, save_table
from weaknas_jax.runs import task
from weaknas_jax.spaces import graph_arrays, graphs_file, nasbench201
from weaknas_jax.spaces.choice import SpaceError
from weaknas_jax.tables.__main__ import main

CHAIN = (("input", "conv", "output"), [(0, 1), (1, 2)])
NAMED = load_nasbench201("cifar10")


def of_rows(*rows, **named):
    return graph_arrays.of_lists([CHAIN, *rows], **named)


def test_a_table_keeps_its_graphs(tmp_path):
    table = planted_table()
    save_table(tmp_path / "t.npz", table)
    back = load_table(tmp_path / "t.npz").graphs
    np.testing.assert_array_equal(back.ops, table.graphs.ops)
    np.testing.assert_array_equal(back.adjacency, table.graphs.adjacency)
    assert back.operations == table.graphs.operations
    half = np.arange(len(table)) % 2 == 0
    np.testing.assert_array_equal(table.where(half).graphs.ops, table.graphs.ops[half])


def test_a_cell_without_names_has_the_graphs_of_one_with():
    ops = np.array([nasbench201.parse(name) for name in NAMED.names])
    cell = Cell(list(nasbench201.EDGES), none=0, skip=1)
    nameless = dataclasses.replace(
        NAMED, space="table", names=None, encoding=nasbench201.integer(ops), structure=cell
    )
    own, other = (task.space(table, graphs=True).graphs for table in (NAMED, nameless))
    for form in ("whole", "contracted"):
        np.testing.assert_array_equal(getattr(own, form).ops, getattr(other, form).ops)
        np.testing.assert_array_equal(getattr(own, form).adjacency, getattr(other, form).adjacency)
    np.testing.assert_array_equal(own.labels, other.labels)


def test_a_table_without_graphs_says_who_needs_none():
    table = dataclasses.replace(planted_table(), graphs=None)
    with pytest.raises(TableError, match=r"has no graphs.*--predictor=.*gp"):
        task.space(table, graphs=True)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((("input", "a", "b", "output"), [(0, 1), (1, 2), (2, 1), (2, 3)]), "cycle"),
        ((("input", "output"), []), "no path"),
        ((("input", "a", "output"), [(0, 1)]), "no path"),
        ((("input", "a", "output"), [(0, 3)]), "edge 0 -> 3"),
        ((("input", "a"), [(0, 1)]), "0 nodes are called 'output'"),
        ((("a", "output"), [(0, 1)]), "no node is called 'input'"),
        ((("input", "a", "output"), [[0, 1], [2]]), "pairs of node numbers"),
        ((("input", "a", "output"), [[0, 2, 0], [0, 0, 1], [0, 0, 0]]), "other than 0 and 1"),
        ((("input", *["a"] * 31, "output"), [(0, 1)]), "at most 32"),
    ],
)
def test_a_graph_that_is_none_is_named_by_its_row(row, why):
    with pytest.raises(SpaceError, match=rf"row 1: .*{why}"):
        of_rows(row)


def test_an_unknown_operation_is_named_by_its_row():
    with pytest.raises(SpaceError, match="row 1: operation 'pool' is none of"):
        of_rows((("input", "pool", "output"), [(0, 1), (1, 2)]), operations=("conv",))


def test_nodes_may_come_in_any_order():
    shuffled = (("output", "conv", "input"), [(2, 1), (1, 0)])
    graphs = of_rows(shuffled)
    np.testing.assert_array_equal(graphs.ops[0], graphs.ops[1])
    np.testing.assert_array_equal(graphs.adjacency[0], graphs.adjacency[1])


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("ops", 9, "row 2: an unknown operation"),
        ("ops", graph_arrays.OUTPUT, "row 2: not one output"),
        ("adjacency", 1, "row 2: an edge that does not lead to a later node"),
    ],
)
def test_a_file_of_damaged_graphs_is_refused(tmp_path, field, value, why):
    table = planted_table()
    array = np.array(getattr(table.graphs, field))
    array[2, 1] = value
    graphs = table.graphs.replace(**{field: array})
    with pytest.raises(TableError, match=why):
        save_table(tmp_path / "t.npz", dataclasses.replace(table, graphs=graphs))


def test_import_with_graphs(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("valid,size\n91,3\n92,4\n")
    diamond = {"ops": ["input", "a", "skip", "output"], "edges": [[0, 1], [0, 2], [1, 3], [2, 3]]}
    chain = {"ops": CHAIN[0], "edges": CHAIN[1]}
    file = tmp_path / "graphs.json"
    line = ["import", str(tmp_path / "t.csv"), f"--out={tmp_path / 't.npz'}", f"--graphs={file}"]
    file.write_text(json.dumps({"skip": ["skip"], "graphs": [chain, diamond]}))
    assert main(line) == 0
    assert "3 to 4 nodes, 3 operations" in capsys.readouterr().out
    space = task.space(load_table(tmp_path / "t.npz"), graphs=True).graphs
    assert space.contracted.graph(1).edges == ((0, 1, ""), (0, 2, ""), (1, 2, ""))

    file.write_text(json.dumps({"graphs": [chain]}))
    assert main([*line, "--overwrite"]) == 2
    assert "graphs: ops [1, 3]" in capsys.readouterr().err
    file.write_text(json.dumps({"graphs": [chain, {**chain, "edges": [[0, 1], [1, 0], [1, 2]]}]}))
    assert main([*line, "--overwrite"]) == 2
    assert "--graphs: " in (told := capsys.readouterr().err)
    assert "row 1: nodes [0, 1, 2] lie on or behind a cycle" in told


def test_only_rows_of_the_same_graph_are_merged(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("valid,size\n91,3\n92,3\n93,3\n")
    chains = [{"ops": ["input", op, "output"], "edges": CHAIN[1]} for op in ("a", "b", "a")]
    file, out = tmp_path / "graphs.json", tmp_path / "t.npz"
    line = ["import", str(tmp_path / "t.csv"), f"--out={out}", f"--graphs={file}"]
    file.write_text(json.dumps({"graphs": chains}))
    assert main([*line, "--merge_repeats"]) == 0
    np.testing.assert_array_equal(load_table(out).valid, [[91, 93], [92, np.nan]])
    assert len(load_table(out).graphs) == 2
    file.write_text(json.dumps({"graphs": chains[:2]}))
    assert main([*line, "--merge_repeats", "--overwrite"]) == 2
    assert "graphs: ops [2, 3]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([], "no graphs"),
        ({"graphs": [], "more": 1}, "unknown field 'more'"),
        ({"graphs": [{"ops": ["input"]}]}, "row 0: give"),
        ({"graphs": [{"ops": [1], "edges": []}]}, 'row 0: "ops" must be'),
        ({"graphs": [], "none": "zero"}, "none='zero'"),
    ],
)
def test_a_file_of_no_graphs_says_what_to_write(content, why):
    with pytest.raises(SpaceError, match=why):
        graphs_file.from_json(content)
