"""Feature blocks: of NAS-Bench-201 cells, and of tables that nothing is known of."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weaknas_jax.spaces import columns as generic
from weaknas_jax.spaces import nasbench201

CELLS = st.lists(st.integers(0, 4), min_size=6, max_size=6)


@given(CELLS)
def test_cell_features_by_walking_the_graph(ops):
    sequences, live = [], set()
    for path in itertools.chain.from_iterable(
        itertools.permutations(range(6), r) for r in (1, 2, 3)
    ):
        ends = [nasbench201.EDGES[e] for e in path]
        joined = all(a[1] == b[0] for a, b in itertools.pairwise(ends))
        if ends[0][0] == 0 and ends[-1][1] == 3 and joined and all(ops[e] for e in path):
            live |= set(path)
            sequences.append([ops[e] - 2 for e in path if ops[e] > 1])
    blocks = {k: (v[0] ** 2).round() for k, v in nasbench201.features(np.array([ops])).items()}
    assert blocks["paths"].sum() == len(sequences)
    assert sorted(blocks["paths"][blocks["paths"] > 0]) == sorted(
        sequences.count(s) for s in {tuple(s): s for s in sequences}.values()
    )
    singles = [sum(s.count(op) for s in sequences) for op in range(3)]
    pairs = [
        sum(list(itertools.pairwise(s)).count((a, b)) for s in sequences)
        for a in range(3)
        for b in range(3)
    ]
    assert blocks["grams"].tolist() == singles + pairs
    assert blocks["counts"].tolist() == [sum(ops[e] == op for e in live) for op in (1, 2, 3, 4)]


def test_cells_of_one_function_have_the_same_paths_and_no_others_do_by_chance():
    ops = nasbench201.decode(np.arange(nasbench201.SIZE))
    paths = nasbench201.features(ops)["paths"]
    assert paths.shape == (nasbench201.SIZE, 40)
    assert (paths.max(axis=0) > 0).all()  # every column is in use
    groups = {}
    for row in range(0, nasbench201.SIZE, 7):
        groups.setdefault(nasbench201.canonical(ops[row]), []).append(row)
    for rows in groups.values():
        assert (paths[rows] == paths[rows[0]]).all()


def test_slots_are_found():
    one_hot = np.eye(3)[[0, 1, 2, 1]]
    columns = np.hstack([one_hot, np.eye(2)[[0, 1, 1, 0]], [[4.0], [8.0], [6.0], [4.0]]])
    constant = np.ones((4, 1))
    kinds = [(k, b.shape[1]) for k, b in generic.slots_of(np.hstack([columns, constant]))]
    assert kinds == [("choice", 3), ("choice", 2), ("number", 1)]


def test_squared_distance_of_slots_counts_the_choices_that_differ():
    rng = np.random.default_rng(0)
    choices = rng.integers(0, 4, (50, 5))
    encoding = np.eye(4)[choices].reshape(50, -1)
    slots = generic.features(encoding)["slots"]
    distance = ((slots[:, None] - slots[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(distance, (choices[:, None] != choices[None]).sum(axis=2), atol=1e-5)


def test_numbers_count_by_their_place_whatever_their_scale():
    depth = np.array([[2.0], [4.0], [8.0]])
    for scale in (1.0, 1e6):
        found = generic.features(scale * depth)
        np.testing.assert_allclose(found["slots"][:, 0], 2**0.5 * np.array([0, 0.5, 1]), atol=1e-6)
    assert "counts" not in generic.features(depth)


def test_counts_pool_choices_of_equal_width():
    choices = np.random.default_rng(0).integers(0, 3, (50, 4))
    found = generic.features(np.eye(3)[choices].reshape(50, -1))["counts"]
    often = np.stack([(choices == level).sum(axis=1) for level in range(3)], axis=1)
    np.testing.assert_allclose(found**2, often, atol=1e-5)
    assert "counts" not in generic.features(np.eye(3)[choices[:, :2]].reshape(50, -1))


def test_odd_tables_are_survived():
    for encoding in (np.zeros((1, 3)), np.ones((5, 2)), np.full((4, 1), np.nan), np.eye(2)):
        for block in generic.features(encoding).values():
            assert np.isfinite(block).all()
            assert len(block) == len(encoding)
