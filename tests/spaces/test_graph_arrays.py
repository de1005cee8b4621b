"""Architectures as graphs in arrays."""

import itertools

import numpy as np

from weaknas_jax import Cell, Choices, categorical, integer, load_nasbench101
from weaknas_jax.spaces import graph_arrays, nasbench201
from weaknas_jax.spaces.nasbench101 import cells

OPS = nasbench201.decode(np.arange(nasbench201.SIZE))
WHOLE = nasbench201.graphs(OPS)
SPACE = graph_arrays.cell_graphs(WHOLE)


def edges_of(graphs, row):
    return {tuple(edge) for edge in np.argwhere(np.asarray(graphs.adjacency[row])).tolist()}


def test_nodes_of_nasbench201_are_its_edges():
    assert WHOLE.nodes == 8
    assert WHOLE.kinds == 7
    edges = {(0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7)}
    assert edges_of(WHOLE, 1234) == edges


def test_nothings_are_cut_and_chains_of_identities_keep_their_path():
    none, skip, conv = 0, 1, 3
    rows = [
        [none] * 6,
        [skip, none, skip, none, none, skip],  # 0 -> 1 -> 2 -> 3, all identities
        [conv, none, skip, none, none, conv],
        [conv, none, none, none, none, conv],  # nothing passes
    ]
    graphs = graph_arrays.contract(nasbench201.graphs(np.array(rows)))
    assert [edges_of(graphs, row) for row in range(4)] == [
        set(),
        {(0, 7)},
        {(0, 1), (1, 6), (6, 7)},
        set(),
    ]
    assert graphs.present.sum(axis=1).tolist() == [2, 2, 4, 2]


def test_contracted_graphs_keep_what_a_cell_computes():
    """Equal canonical forms without sums of equal terms have equal refined labels."""
    labels = np.sort(SPACE.labels[:, -1], axis=1)
    plain = [row for row in range(0, nasbench201.SIZE, 13) if len(set(OPS[row])) == 5]
    forms = {row: nasbench201.canonical(OPS[row]) for row in plain}
    pairs = [(a, b) for a, b in itertools.combinations(plain, 2) if forms[a] == forms[b]]
    assert len(pairs) > 5
    same = [np.array_equal(labels[a], labels[b]) for a, b in pairs]
    assert np.mean(same) > 0.9


def test_labels_are_refined_and_number_those_of_nasbench101():
    table = load_nasbench101()
    graphs = cells.graphs(cells.read_names(table.names[::29]))
    labels = graph_arrays.refined_labels(graphs, 3)
    assert ((labels == -1) == ~np.asarray(graphs.present)[:, None]).all()
    for level in (1, 2):
        pairs = np.unique(labels[:, [level - 1, level]].transpose(0, 2, 1).reshape(-1, 2), axis=0)
        assert len(pairs) == len(np.unique(labels[:, level]))  # each stands for one of before


def test_isomorphic_cells_have_the_same_labels():
    rng = np.random.default_rng(0)
    names = load_nasbench101().names[rng.choice(cells.SIZE, 50, replace=False)]
    graphs = cells.graphs(cells.read_names(names))
    rows = []
    for row in range(len(graphs)):
        graph = graphs.graph(row)
        order = [0, *(1 + rng.permutation(len(graph.nodes) - 2)), len(graph.nodes) - 1]
        place = {node: at for at, node in enumerate(order)}
        edges = [(place[a], place[b]) for a, b, _ in graph.edges]
        rows.append((tuple(graph.nodes[node] for node in order), edges))
        rows.append((graph.nodes, [(a, b) for a, b, _ in graph.edges]))
    labels = graph_arrays.refined_labels(graph_arrays.of_lists(rows))
    labels = np.sort(labels, axis=2)
    np.testing.assert_array_equal(labels[0::2], labels[1::2])


def test_choices_of_a_cell_have_its_graphs():
    ops = ("none", "skip", "conv")
    edges = {"a": (0, 1), "b": (0, 2), "c": (1, 2)}
    choices = {name: categorical(*ops) for name in edges} | {"width": integer(1, 3)}
    space = Choices(choices, structure=Cell(edges, none="none", skip="skip"))
    row = np.array([[2, 0, 1, 0], [1, 2, 1, 2]])
    graphs = space.graphs(row)
    assert graphs.whole.graph(0).nodes == ("input", "conv", "none", "skip", "output")
    assert graphs.contracted.graph(0).nodes == ("input", "conv", "output")
    assert Choices(choices).graphs(row) is None
