"""GATES: its network again in NumPy, the pairs of its loss, what must not matter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table, quick_and_slow

from weaknas_jax import HONEST
from weaknas_jax.predictors import make
from weaknas_jax.predictors.graph import gates as module
from weaknas_jax.predictors.graph import layers
from weaknas_jax.runs import task
from weaknas_jax.search.label_transforms import standardize_observed
from weaknas_jax.spaces.graph_arrays import of_lists

CELLS = [
    (("input", "a", "b", "a", "output"), [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (0, 4)]),
    (("input", "b", "output"), [(0, 1), (1, 2)]),
    (("input", "b", "zero", "output"), [(0, 1), (1, 3), (0, 2), (2, 3)]),
]
SMALL = {"layers": 2, "width": 8, "hidden": 8, "epochs": 8}


def cells(*rows):
    return of_lists([CELLS[row] for row in rows], none=("zero",), operations=("a", "b", "zero"))


def network(graphs, depth=2):
    init = jax.jit(module.init, static_argnums=range(1, 5))
    return init(jax.random.key(0), graphs.kinds, depth, 8, 8)


def scores(net, graphs):
    return np.asarray(jax.jit(module.apply)(net, module.inputs(graphs)))


def in_numpy(net, graphs):
    """The network in float64, node by node: what nodes of zeros hold is never looked at."""
    net = jax.tree.map(lambda a: np.asarray(a, float), net)
    zero = 3 + graphs.operations.index("zero")
    found = []
    for ops, adjacency in zip(graphs.ops, graphs.adjacency, strict=True):
        there = [node for node, kind in enumerate(ops) if kind not in (0, zero)]
        carried = {node: net.features(net.nodes[0 if ops[node] == 1 else 1]) for node in there}
        gates = {
            node: np.zeros(48) if ops[node] == 1 else net.operations[ops[node] - 2]
            for node in there
        }
        for depth, layer in enumerate(net.layers):
            if depth:
                carried = {node: np.maximum(value, 0) for node, value in carried.items()}
            sent = {node: value @ layer.weight for node, value in carried.items()}
            for node in there:
                received = sum(
                    (sent[other] for other in there if adjacency[other, node]), np.zeros(8)
                )
                gate = 1 / (1 + np.exp(-layer.gate(gates[node])))
                carried[node] = gate * received + sent[node] + layer.bias
        inner = [node for node in there if ops[node] != 1]
        pooled = sum(carried[node] for node in inner) / (len(ops) - 1)
        found.append(net.last(np.maximum(net.hidden(pooled), 0))[0])
    return np.array(found)


def test_equals_the_same_network_in_numpy():
    graphs = cells(0, 1, 2)
    net = network(graphs, depth=3)
    net = net._replace(nodes=net.nodes.at[1].set(0.3))  # it begins at zero
    expected = in_numpy(net, graphs)
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(scores(net, graphs), expected, rtol=2e-5, atol=1e-6)


def test_number_of_parameters():
    """By hand, of NAS-Bench-101's five kinds of nodes and seven of NAS-Bench-201."""
    gates = 4 * (48 * 128 + 128)
    flow = (96 * 128 + 128) + 3 * (128 * 128 + 128)
    rest = 2 * 48 + (48 * 96 + 96) + (128 * 200 + 200) + (200 + 1)
    for kinds in (5, 7):
        shapes = jax.eval_shape(lambda key, k=kinds: module.init(key, k), jax.random.key(0))
        assert layers.count(shapes) == rest + flow + gates + 48 * (kinds - 1)


@pytest.mark.slow
def test_nodes_of_nothing_and_places_without_a_node_change_nothing():
    graphs, narrow = cells(0, 1, 2), cells(1)
    assert narrow.nodes < graphs.nodes
    _, plain, nothing = scores(network(graphs), graphs)
    np.testing.assert_allclose(plain, nothing, rtol=1e-6)
    x = module.inputs(narrow)
    x = x._replace(share=x.share * (narrow.nodes - 1) / (graphs.nodes - 1))
    np.testing.assert_allclose(plain, module.apply(network(graphs), x)[0], rtol=1e-6)


def test_the_order_of_inner_nodes_does_not_matter():
    names, edges = CELLS[0]
    other = {1: 2, 2: 1}
    swapped = names[0], names[2], names[1], *names[3:]
    moved = [(other.get(a, a), other.get(b, b)) for a, b in edges]
    graphs = of_lists([(names, edges), (swapped, moved)])
    assert (graphs.ops[0] != graphs.ops[1]).any()
    first, second = scores(network(graphs), graphs)
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_loss_of_pairs_by_hand():
    """Of labels 2, 1, 1: two pairs, apart by 0.05 the right way, and by 0.2 the wrong way."""
    labels, values = jnp.array([2.0, 1.0, 1.0]), jnp.array([0.5, 0.45, 0.7])
    counts = jnp.triu(jnp.ones((3, 3), bool), 1)
    assert module.hinge(values, labels, counts) == pytest.approx((0.05 + 0.3) / 2)
    assert module.hinge(values, labels, counts.at[0, 2].set(False)) == pytest.approx(0.05)
    assert module.hinge(values, jnp.ones(3), counts) == 0


def test_pairs_are_as_many_as_asked_for():
    counts = jnp.triu(jnp.ones((12, 12), bool), 1).at[:, 9:].set(False)
    few = [module.some_pairs(jax.random.key(at), counts, jnp.int32(8)) for at in (0, 1)]
    assert [int(one.sum()) for one in few] == [8, 8]
    assert all((one <= counts).all() for one in few)
    assert (few[0] != few[1]).any()
    assert (module.some_pairs(jax.random.key(0), counts, jnp.int32(48)) == counts).all()


TABLE = planted_table((4, 4, 4))
SPACE = task.make(TABLE, HONEST, graphs=True).space
ROWS = np.random.default_rng(0).choice(64, 12, replace=False)


@functools.cache
def learn(name):
    scorer = make(name, chunk=32, **SMALL)

    def update(queried, y, mask):
        return scorer.update(jax.random.key(1), (), SPACE, queried, y, mask, queried)[1].mean

    return jax.jit(update)


def learned(name, rows, other=0, garbage=0.0):
    """Scores of all 64 after some labels, and eight rows of padding that hold ``other``."""
    queried = np.r_[rows, np.full(8, other)].astype(np.int32)
    mask = np.arange(len(queried)) < len(rows)
    y = standardize_observed(jnp.asarray(TABLE.valid_mean[queried], jnp.float32), mask)
    return np.asarray(learn(name)(queried, jnp.where(mask, y, garbage), mask))


@pytest.mark.parametrize("name", quick_and_slow(["gates", "gates_printed"], ["gates"]))
def test_graphs_and_labels_of_the_padding_change_nothing(name):
    clean = learned(name, ROWS)
    np.testing.assert_array_equal(clean, learned(name, ROWS, other=33, garbage=np.nan))
    assert not np.allclose(clean, learned(name, np.r_[ROWS[:-1], ROWS[0]]))


def test_scores_of_the_evaluated_are_on_the_scale_of_their_labels():
    mean = learned("gates", ROWS)[ROWS]
    np.testing.assert_allclose([mean.mean(), mean.std()], [0, 1], atol=1e-5)
