"""The space of NAS-Bench-101: cells, their names and sizes, encodings, neighbours."""

import functools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax.spaces.nasbench101 import cells as space
from weaknas_jax.spaces.nasbench101 import encodings
from weaknas_jax.spaces.nasbench101.neighbours import neighbours

SOURCE = Path(os.environ.get("WEAKNAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
TABLE = SOURCE / "nb101" / "nasbench101_test.npz"
KNOWN = [  # code, the benchmark's hash, parameters: a cell of each size, and the best
    (0x020003FF, "043721b9c7fe8c5fad811d47d83132ec", 882_570),
    (0x421001FF, "09fc2d10bdd6225e167a6f81a22a3f06", 2_793_866),
    (0x610102BF, "001a6fcc8b38cbc515be788a86bdc804", 1_756_298),
    (0x7398220F, "001ea832563f8d635ef7d0af25926274", 6_843_402),
    (0x5918A823, "00040b38293651f17fb665401c671bbb", 3_984_576),
    (0x4D095481, "00005c142e6f48ac74fdcf73e3439874", 8_555_530),
    (0x66289520, "02e5a0247bbdcf2860b7e96f74961594", 32_426_634),
]
SEEDS = st.integers(0, 2**32 - 1)
COUNTERS = {
    "paths": encodings.paths,
    "short paths": functools.partial(encodings.paths, longest=3),
    "in": encodings.weisfeiler_lehman,
    "out": functools.partial(encodings.weisfeiler_lehman, direction="out"),
    "both": functools.partial(encodings.weisfeiler_lehman, direction="both"),
    "two steps": functools.partial(encodings.weisfeiler_lehman, steps=2),
}


def on_whole_table(test):
    missing = pytest.mark.skipif(not TABLE.exists(), reason=f"the raw arrays are not at {TABLE}")
    return pytest.mark.slow(missing(test))


def drawn(seed: int, count: int) -> space.Cells:
    """Random graphs, of which some are no cells: half any edges, half trees and a few more."""
    rng = np.random.default_rng(seed)
    matrix = np.triu(rng.random((count, 7, 7)) < rng.uniform(0.2, 0.5, (count, 1, 1)), 1)
    for tree in matrix[: count // 2]:
        tree[:] = np.triu(rng.random((7, 7)) < 0.05, 1)
        for node in range(1, 6):
            tree[rng.integers(node), node] = True
        tree[~tree[:, 1:].any(axis=1), -1] = True
        tree[-1] = False
    ops = np.full((count, 7), space.INPUT, np.int8)
    ops[:, 1:-1], ops[:, -1] = rng.integers(0, 3, (count, 5)), space.OUTPUT
    return space.Cells(matrix.astype(np.uint8), ops)


def random_cells(seed: int, count: int) -> space.Cells:
    """Pruned valid cells, somewhat fewer than drawn, one or more."""
    cells = drawn(seed, count)
    best = space.decode([KNOWN[-1][0]])
    kept = space.valid(cells)
    return space.Cells(
        *(np.concatenate([a[kept], b]) for a, b in zip(space.prune(cells), best, strict=True))
    )


def relabelled(cells: space.Cells, seed: int) -> space.Cells:
    """The same cells with their nodes in another order that edges agree with."""
    rng = np.random.default_rng(seed)
    ranks = np.tile(np.arange(7), (len(cells.ops), 1))
    for row, (matrix, ops) in enumerate(zip(*cells, strict=True)):
        waiting = [node for node in range(1, 6) if ops[node] != space.ABSENT]
        for rank in range(1, len(waiting) + 1):
            node = rng.choice([v for v in waiting if not matrix[waiting, v].any()])
            waiting.remove(node)
            ranks[row, node] = rank
    return space.reorder(cells, ranks)


def walks(matrix, node=0):
    """Every path from a node to the output, as the nodes between."""
    if node == 6:
        return [[]]
    onward = [(v, walks(matrix, v)) for v in np.flatnonzero(matrix[node])]
    return [([v] if v != 6 else []) + rest for v, rests in onward for rest in rests]


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_layouts_and_numbers_are_inverses(seed):
    cells = random_cells(seed, 20)
    for other in (
        space.decode(space.code(cells)),
        space.from_padded(*space.to_padded(cells)),
        space.prune(cells),
    ):
        np.testing.assert_array_equal(other.matrix, cells.matrix)
        np.testing.assert_array_equal(other.ops, cells.ops)
    matrix, ops = space.to_padded(cells)
    names = {space.INPUT: "input", space.OUTPUT: "output", **dict(enumerate(space.OPS))}
    for row, (edges, kinds) in enumerate(zip(matrix, ops, strict=True)):
        size = int((kinds != space.ABSENT).sum())
        cell = space.parse(edges[:size, :size], [names[k] for k in kinds[:size].tolist()])
        assert space.code(cell)[0] == space.code(cells)[row]


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_pruned_is_what_lies_on_a_path(seed):
    cells = drawn(seed, 20)
    pruned, valid = space.prune(cells), space.valid(cells)
    for row, matrix in enumerate(cells.matrix):
        found = walks(matrix)
        steps = {step for walk in found for step in zip([0, *walk], [*walk, 6], strict=True)}
        assert pruned.matrix[row].sum() == len(steps)
        assert valid[row] == (0 < len(steps) <= 9)
        nodes = {node for walk in found for node in walk}
        assert Counter(cells.ops[row, sorted(nodes)].tolist()) == Counter(
            [op for op in pruned.ops[row, 1:-1].tolist() if op != space.ABSENT]
        )


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_isomorphic_cells_are_the_same(seed):
    cells = random_cells(seed, 60)
    other = relabelled(cells, seed)
    np.testing.assert_array_equal(space.hashes(other), space.hashes(cells))
    np.testing.assert_array_equal(space.fingerprint(other), space.fingerprint(cells))
    np.testing.assert_array_equal(encodings.statistics(other), encodings.statistics(cells))
    for counter in COUNTERS.values():
        np.testing.assert_array_equal(counter(other), counter(cells))
    # Three or five nodes cannot share 128 channels evenly: who gets more is a matter of order.
    even = np.isin(cells.matrix[:, 1:, -1].sum(axis=1), (0, 1, 2, 4))
    mine, theirs = space.parameters(cells), space.parameters(other)
    np.testing.assert_array_equal(mine[even], theirs[even])
    np.testing.assert_allclose(mine, theirs, rtol=0.05)


def test_relabelling_does_something():
    cells = random_cells(0, 60)
    assert (space.code(relabelled(cells, 0)) != space.code(cells)).mean() > 0.2


def test_cells_that_differ_are_told_apart():
    cells = random_cells(1, 3000)
    names, prints = space.hashes(cells), space.fingerprint(cells)
    pairs = set(zip(names.tolist(), prints.tolist(), strict=True))
    assert len(pairs) == len(set(names.tolist())) == len(set(prints.tolist())) > 1000


def test_known_hashes_and_parameters():
    codes, hashes, parameters = zip(*KNOWN, strict=True)
    cells = space.decode(codes)
    assert space.hashes(cells).astype(str).tolist() == list(hashes)
    assert space.parameters(cells).tolist() == list(parameters)


CHAIN = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
NAMES = ["input", "maxpool3x3", "output"]
EIGHT = np.eye(8, k=1, dtype=int)
DENSE = np.triu(np.ones((5, 5), int), 1)


@pytest.mark.parametrize(
    ("matrix", "ops", "message"),
    [
        (CHAIN[:2], NAMES, r"square.*\(2, 3\)"),
        ([], [], "square"),
        ([[0]], ["input"], "two nodes or more"),
        (CHAIN, NAMES[:2], "2 operations for the 3 nodes"),
        ([[0, 2, 0], *CHAIN[1:]], NAMES, "other than 0 and 1"),
        ([*CHAIN[:2], [0, 1, 0]], NAMES, "not upper triangular: it has 2 -> 1"),
        ([CHAIN[0], [0, 1, 1], CHAIN[2]], NAMES, "1 -> 1"),
        (CHAIN, ["maxpool3x3", *NAMES[1:]], "'maxpool3x3' to 'output'"),
        (CHAIN, [*NAMES[:2], "input"], "'input' to 'input'"),
        (CHAIN, ["input", "conv5x5", "output"], "node 1 is 'conv5x5'; expected.*conv1x1-bn-relu"),
        ([[0, 1, 0], [0, 0, 0], [0, 0, 0]], NAMES, "no path"),
        (EIGHT, ["input", *["maxpool3x3"] * 6, "output"], "8 nodes"),
        (DENSE, ["input", *["maxpool3x3"] * 3, "output"], "10 edges"),
    ],
)
def test_faults_are_named(matrix, ops, message):
    with pytest.raises(ValueError, match=message):
        space.parse(matrix, ops)


def test_only_what_is_left_after_pruning_counts():
    matrix = np.zeros((8, 8), int)
    matrix[0, 1:] = 1  # to every node, of which only the last leads anywhere
    matrix[6, 7] = 1
    cell = space.parse(matrix, ["input", *["maxpool3x3"] * 5, "conv1x1-bn-relu", "output"])
    assert space.names(space.code(cell)).tolist() == ["108400/1...."]


def test_org_spelled_out():
    cell = space.parse([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "conv1x1-bn-relu", "output"])
    one, two = [1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 1]
    absent = [0] * (3 + 4 + 4 + 4 + 5 + 4 + 6 + 4)
    assert encodings.org(cell)[0].tolist() == one + two + absent
    full = encodings.org(space.decode([KNOWN[-1][0]]))[0]
    assert full.shape == (45,)
    assert full[-10:].tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]  # into the output; the output


def test_adjacency_holds_the_cell():
    cells = random_cells(2, 100)
    rows = encodings.adjacency(cells)
    matrix, _ = space.to_padded(cells)
    np.testing.assert_array_equal(rows[:, :49].reshape(-1, 7, 7), matrix)
    assert len(np.unique(rows, axis=0)) == len(np.unique(space.code(cells)))


def test_paths_by_walking():
    cells = random_cells(3, 100)
    rows = encodings.paths(cells)
    assert rows.shape[1] == 364
    np.testing.assert_array_equal(encodings.paths(cells, 3), rows[:, :40])
    for row, matrix, ops in zip(rows, *cells, strict=True):
        words = ["".join(str(ops[node]) for node in walk) for walk in walks(matrix)]
        columns = [(3 ** len(w) - 1) // 2 + int(w or "0", 3) for w in words]
        assert {c: int(row[c]) for c in np.flatnonzero(row)} == Counter(columns)


@pytest.mark.parametrize("name", ["in", "out", "both", "two steps"])
def test_labels_by_words(name):
    """Two cells have the same row if and only if their nodes have the same labels in words."""

    def refined(matrix, texts):
        into = [sorted(texts[u] for u in np.flatnonzero(matrix[:, v])) for v in range(7)]
        out = [sorted(texts[v] for v in np.flatnonzero(matrix[u])) for u in range(7)]
        chosen = {"in": [into], "out": [out], "both": [into, out], "two steps": [into]}[name]
        return [str((texts[v], *(side[v] for side in chosen))) for v in range(7)]

    cells = random_cells(4, 300)
    count = COUNTERS[name]
    rows = count(cells) if name in ("in", "out") else count(cells, columns=1 << 14)
    words = []
    for matrix, ops in zip(*cells, strict=True):
        texts = [str(op) for op in ops]
        for _ in range(2 if name == "two steps" else 1):
            texts = refined(matrix, texts)
        words.append(Counter(t for t, op in zip(texts, ops, strict=True) if op != space.ABSENT))
    for row, word in zip(rows, words, strict=True):
        assert sorted(row[row > 0]) == sorted(word.values())
    rows_of = {}
    for row, word in zip(rows, words, strict=True):
        rows_of.setdefault(frozenset(word.items()), set()).add(row.tobytes())
    assert all(len(found) == 1 for found in rows_of.values())
    assert len({next(iter(found)) for found in rows_of.values()}) == len(rows_of)


def test_one_step_has_232_labels_and_refuses_what_is_no_cell():
    assert encodings.weisfeiler_lehman(random_cells(5, 10)).shape[1] == 232
    loose = space.decode([1 << 25 | 0b00_11_11_11_11])  # node 1 has no edges
    with pytest.raises(ValueError, match="not pruned"):
        encodings.weisfeiler_lehman(loose)
    for options in ({"steps": 0}, {"direction": "up"}):
        with pytest.raises(ValueError, match="1 or more, in, out or both"):
            encodings.weisfeiler_lehman(loose, **options)


def test_statistics_of_the_best_cell():
    row = encodings.statistics(space.decode([KNOWN[-1][0]]))[0]
    assert row.shape == (63,) == (len(set(encodings.STATISTICS)),)
    found = dict(zip(encodings.STATISTICS, row.tolist(), strict=True))
    # 0 -> {1, 2, 5, 6}, 1 -> 5, 2 -> 3 -> 4 -> 5 -> 6; 1x1, 3x3, pool, 3x3, 3x3
    expected = {
        "conv3x3 nodes": 3,
        "conv1x1 nodes": 1,
        "pool nodes": 1,
        "edges into conv3x3": 5,
        "edges from conv3x3": 3,
        "conv3x3 to output": 1,
        "input to conv3x3": 2,
        "conv3x3 channels": 3,
        "conv1x1 mean channels": 1,
        "conv3x3 depth": 8,
        "conv3x3 height": 7,
        "conv3x3 to conv3x3": 1,
        "conv3x3 to pool": 1,
        "conv1x1 to pool": 0,
        "edges": 9,
        "nodes": 7,
        "edges into output": 1,
        "edges from input": 4,
        "input to output": 1,
        "most edges into a node": 3,
        "most edges from a node": 1,
        "width": 2,
        "longest path": 4,
        "shortest path": 0,
        "mean path": 7 / 4,
        "root paths of 4": 1,
        "most conv3x3 on a path": 3,
        "most convolutions on a path": 3,
        "mean conv3x3 on a path": 5 / 4,
        "mean conv3x3 up to output": 3,
        "least conv3x3 up to output": 3,
        "log weights": np.log((27 + 1 + 4) * 128**2 + 1),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_weights_foretell_the_parameters():
    cells = random_cells(6, 500)
    column = encodings.statistics(cells)[:, encodings.STATISTICS.index("log weights")]
    assert np.corrcoef(column, np.log(space.parameters(cells)))[0, 1] > 0.99


def test_columns_do_not_depend_on_the_cells_given(monkeypatch):
    cells = random_cells(7, 100)
    whole = [count(cells) for count in (*COUNTERS.values(), encodings.org, encodings.statistics)]
    monkeypatch.setattr(encodings, "_CHUNK", 7)
    pieces = [count(cells) for count in (*COUNTERS.values(), encodings.org, encodings.statistics)]
    for a, b in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_feature_blocks():
    cells = random_cells(8, 400)
    blocks, again = (encodings.features(cells, encodings.BLOCKS) for _ in range(2))
    assert {name: block.shape[1] for name, block in blocks.items()} == {
        "statistics": 63,
        "paths": 64,
        "wl_in": 64,
        "wl_out": 64,
    }
    for name, block in blocks.items():
        assert block.dtype == np.float32
        np.testing.assert_allclose(block.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose((block**2).sum(axis=1).mean(), 1, rtol=1e-4)
        np.testing.assert_array_equal(block, again[name])
    spread = blocks["statistics"].std(axis=0)
    np.testing.assert_allclose(spread[spread > 0], 63**-0.5, rtol=0.1)


def test_components_keep_the_distances_of_few_cells():
    cells = random_cells(9, 60)  # no more than there are components
    blocks = encodings.features(cells, encodings.BLOCKS)
    for name, count in (("paths", COUNTERS["paths"]), ("wl_out", COUNTERS["out"])):
        roots = np.sqrt(count(cells).astype(float))
        roots -= roots.mean(axis=0)
        gram = roots @ roots.T / (roots**2).sum(axis=1).mean()
        np.testing.assert_allclose(blocks[name] @ blocks[name].T, gram, atol=1e-5)
    one = encodings.features(space.decode([KNOWN[-1][0]]), encodings.BLOCKS)
    assert all((block == 0).all() for block in one.values())


def test_neighbours_of_a_chain():
    cell = space.parse(CHAIN, NAMES)
    near, source = neighbours(cell)
    # Two other operations; an edge past it; one of three nodes beside an edge or beside it all.
    assert len(near.ops) == len(source) == 2 + 1 + 3 * 3


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_neighbours_are_distinct_valid_and_mutual(seed):
    cells = random_cells(seed, 30)
    near, source = neighbours(cells)
    own, prints = space.fingerprint(cells), space.fingerprint(near)
    assert space.valid(near).all()
    np.testing.assert_array_equal(space.code(space.prune(near)), space.code(near))
    assert (np.tril(near.matrix) == 0).all()
    assert (prints != own[source]).all()
    pairs = list(zip(source.tolist(), prints.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    again, _ = neighbours(relabelled(cells, seed))
    np.testing.assert_array_equal(space.fingerprint(again), prints)

    back, middle = neighbours(near)
    found = set(zip(middle.tolist(), space.fingerprint(back).tolist(), strict=True))
    edges = [c.matrix.sum(axis=(1, 2)).astype(int) for c in (cells, near)]
    nodes = [(c.ops != space.ABSENT).sum(axis=1) for c in (cells, near)]
    lost, fewer = edges[0][source] - edges[1], nodes[0][source] - nodes[1]
    mutual = (lost <= 1) | ((lost == 2) & (fewer == 1))
    for row in np.flatnonzero(mutual).tolist():
        assert (row, int(own[source[row]])) in found
    assert mutual.mean() > 0.8


@pytest.fixture(scope="module")
def table():
    with np.load(TABLE) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def every(table):
    return space.from_padded(table["adjacency"], table["ops"])


@on_whole_table
def test_whole_table_cells(table, every):
    assert len(every.ops) == space.SIZE
    matrix, ops = space.to_padded(every)
    np.testing.assert_array_equal(matrix, table["adjacency"])
    np.testing.assert_array_equal(ops, table["ops"])
    assert space.valid(every).all()
    np.testing.assert_array_equal(space.code(space.prune(every)), space.code(every))


@pytest.mark.long
@on_whole_table
def test_whole_table_hashes(table, every):
    np.testing.assert_array_equal(space.hashes(every), table["hash"])


@on_whole_table
def test_whole_table_fingerprints(every):
    prints = space.fingerprint(every)
    assert len(np.unique(prints)) == space.SIZE
    near, _ = neighbours(space.Cells(every.matrix[::400], every.ops[::400]))
    assert np.isin(space.fingerprint(near), prints).all()


@on_whole_table
def test_whole_table_parameters(table, every):
    np.testing.assert_array_equal(space.parameters(every), table["trainable_parameters"])


@on_whole_table
def test_every_label_is_in_use(every):
    for direction in ("in", "out"):
        assert encodings.weisfeiler_lehman(every, direction=direction).any(axis=0).all()
    assert encodings.paths(every).any(axis=0).all()
