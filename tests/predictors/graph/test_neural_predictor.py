"""The Neural Predictor: matrices by hand, its network again in NumPy, what must not matter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table
from scipy import stats

from weaknas_jax import HONEST
from weaknas_jax.predictors import make
from weaknas_jax.predictors.graph import layers
from weaknas_jax.predictors.graph import neural_predictor as module
from weaknas_jax.runs import task
from weaknas_jax.search.label_transforms import standardize_observed
from weaknas_jax.spaces.graph_arrays import of_lists

CHAIN = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], float)
CELLS = [
    (("input", "a", "b", "a", "output"), [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (0, 4)]),
    (("input", "b", "output"), [(0, 1), (1, 2)]),
]
SMALL = {"width": 24, "hidden": 24, "epochs": 100, "learning_rate": 1e-2}


def network(graphs, depth=2):
    init = jax.jit(module.init, static_argnums=range(1, 5))
    return init(jax.random.key(0), graphs.kinds, depth, 8, 8)


def scores(net, graphs):
    return np.asarray(jax.jit(module.apply)(net, module.inputs(graphs)))


def in_numpy(net, graphs):
    """The network in float64, one graph and one formula at a time."""
    found = []
    for ops, adjacency in zip(graphs.ops, graphs.adjacency, strict=True):
        size = len(ops)
        first = adjacency + np.eye(size)
        first = first / first.sum(axis=1, keepdims=True)
        along = first / first.sum(axis=1, keepdims=True)
        back = first.T / first.T.sum(axis=1, keepdims=True)
        x = np.zeros((size, graphs.kinds))
        for node, kind in enumerate(ops):
            if kind:
                x[node, kind - 1] = 1.0
        for weight in net.layers:
            w1, w2 = np.asarray(weight, float).transpose(1, 0, 2)
            x = (np.maximum(along @ x @ w1, 0) + np.maximum(back @ x @ w2, 0)) / 2
        pooled = x.sum(axis=0) / (ops > 0).sum()
        found.append((pooled @ np.asarray(net.hidden, float) @ np.asarray(net.last, float))[0])
    return np.array(found)


def test_propagation_of_a_chain():
    along, back = module.propagation(jnp.asarray(CHAIN))
    np.testing.assert_allclose(along, [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1]])
    np.testing.assert_allclose(back, [[1, 0, 0], [0.5, 0.5, 0], [0, 1 / 3, 2 / 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("kinds", "depth", "count"),
    [(5, 3, 102_944), (5, 4, 144_416), (7, 3, 103_520), (7, 4, 144_992)],
)
def test_number_of_parameters(kinds, depth, count):
    shapes = jax.eval_shape(lambda key: module.init(key, kinds, depth, 144, 128), jax.random.key(0))
    assert layers.count(shapes) == count


def test_equals_the_same_network_in_numpy():
    graphs = of_lists(CELLS)
    net = network(graphs, depth=3)
    np.testing.assert_allclose(scores(net, graphs), in_numpy(net, graphs), rtol=2e-5, atol=1e-7)


def test_places_without_a_node_change_nothing():
    graphs = of_lists(CELLS)
    alone = of_lists(CELLS[1:], operations=graphs.operations)
    assert alone.nodes < graphs.nodes
    net = network(graphs)
    np.testing.assert_allclose(scores(net, graphs)[1:], scores(net, alone), rtol=1e-6)


def test_the_order_of_inner_nodes_does_not_matter():
    names, edges = CELLS[0]
    other = [{1: 2, 2: 1}.get(node, node) for node in range(5)]
    swapped = [names[other.index(node)] for node in range(5)]
    graphs = of_lists([(names, edges), (swapped, [(other[a], other[b]) for a, b in edges])])
    assert (graphs.ops[0] != graphs.ops[1]).any()
    first, second = scores(network(graphs), graphs)
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_dropout_is_of_training_only():
    graphs = of_lists(CELLS)
    net, x = network(graphs), module.inputs(graphs)
    with_key = module.apply(net, x, jax.random.key(0))
    assert not np.allclose(with_key, module.apply(net, x, jax.random.key(1)))


TABLE = planted_table((4, 4, 4))
SPACE = task.make(TABLE, HONEST, graphs=True).space
ROWS = np.random.default_rng(0).choice(64, 40, replace=False)


def learned(name, rows, other=0, garbage=0.0):
    """Scores of all 64 after some labels, and eight rows of padding that hold ``other``."""
    queried = np.r_[rows, np.full(8, other)].astype(np.int32)
    mask = np.arange(len(queried)) < len(rows)
    y = standardize_observed(jnp.asarray(TABLE.valid_mean[queried], jnp.float32), mask)
    y = jnp.where(mask, y, garbage)
    return np.asarray(learn(name)(queried, y, mask))


@functools.cache
def learn(name):
    scorer = make(name, chunk=32, **SMALL)

    def update(queried, y, mask):
        return scorer.update(jax.random.key(1), (), SPACE, queried, y, mask, queried)[1].mean

    return jax.jit(update)


@pytest.mark.slow  # quickly in test_gates: batches and padding are those of `training`
@pytest.mark.parametrize("name", ["neural_predictor", "neural_predictor_two_stage"])
def test_graphs_and_labels_of_the_padding_change_nothing(name):
    clean, dirty = learned(name, ROWS), learned(name, ROWS, other=33, garbage=np.nan)
    np.testing.assert_array_equal(clean, dirty)
    fewer = learned(name, np.r_[ROWS[:-1], ROWS[0]])  # as many, so that the program is the same
    assert not np.allclose(clean, fewer)


@pytest.mark.slow
def test_two_stages_rank_the_rejected_below_all_others():
    mean = learned("neural_predictor_two_stage", ROWS)
    y = TABLE.valid_mean[ROWS]
    y = (y - y.mean()) / y.std()
    floor = np.sort(y)[int(0.3 * 39)]
    rejected = mean < floor - 1
    assert 0.05 < rejected.mean() < 0.6
    assert TABLE.valid_mean[rejected].mean() < TABLE.valid_mean[~rejected].mean() - 10
    assert stats.kendalltau(mean[rejected], TABLE.valid_mean[rejected]).statistic > 0.3
    assert mean[rejected].max() < floor - 1 - np.log(2) + 1e-5 < mean[~rejected].min()
