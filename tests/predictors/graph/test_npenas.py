"""NPENAS against its layer list, matrices by hand, and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from weaknas_jax import HONEST, Space, load_nasbench201
from weaknas_jax.predictors.graph import layers, npenas
from weaknas_jax.runs import task
from weaknas_jax.search import label_transforms
from weaknas_jax.spaces import nasbench201
from weaknas_jax.spaces.graph_arrays import Graphs, cell_graphs, of_lists

OPS = "conv1x1", "conv3x3", "pool"
RNG = np.random.default_rng(0)


def some_graphs() -> Graphs:
    five = ("input", "conv3x3", "pool", "conv1x1", "output")
    return of_lists(
        [
            (five, [(0, 1), (0, 2), (1, 3), (2, 4), (3, 4)]),
            (("input", "pool", "conv1x1", "output"), [(0, 1), (0, 2), (1, 3), (2, 3)]),
            (("input", "output"), [(0, 1)]),
        ],
        operations=OPS,
    )


def wider(x: Graphs, by: int = 2) -> Graphs:
    """With more absent nodes."""
    rows = ((0, 0), (0, by))
    return x.replace(ops=np.pad(x.ops, rows), adjacency=np.pad(x.adjacency, (*rows, (0, by))))


def relabelled(x: Graphs, order: list[int]) -> Graphs:
    """With nodes in another order."""
    return x.replace(ops=x.ops[:, order], adjacency=x.adjacency[:, order][:, :, order])


READ = {"clean": (npenas.present, 5), "printed": (npenas.isolated, 6)}
EPSILON = 0.03  # not that of any other layer


def trained(kinds: int, width: int = 8):
    """A network whose scales, shifts and moments are not those of the beginning."""
    network, moments = npenas.init(jax.random.key(0), kinds, width)

    def drawn(a, low):
        return jnp.asarray(RNG.uniform(low, 1.5, a.shape), jnp.float32)

    network = network._replace(
        hops=tuple(
            one._replace(norm=layers.Norm(drawn(one.norm.scale, 0.5), drawn(one.norm.shift, -1)))
            for one in network.hops
        )
    )
    return network, tuple(layers.Moments(drawn(m.mean, -1), drawn(m.mean, 0.5)) for m in moments)


@pytest.mark.parametrize(
    ("kinds", "count"), [(5 + 1, 6_241), (7 + 1, 6_305), (5, 6_209), (7, 6_273)]
)
def test_parameters_are_as_many_as_published(kinds, count):
    shapes = jax.eval_shape(lambda: npenas.init(jax.random.key(0), kinds)[0])
    assert layers.count(shapes) == count


def test_matrices_by_hand():
    """The printed form gives an absent node a kind and an edge from the input."""
    chain = wider(of_lists([(("input", "pool", "output"), [(0, 1), (1, 2)])], operations=OPS), 1)
    clean, printed = npenas.present(chain), npenas.isolated(chain)
    by_hand = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(clean.sums[0], by_hand)
    by_hand = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1]]
    np.testing.assert_array_equal(printed.sums[0], by_hand)
    kinds = [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(clean.kinds[0], kinds)
    np.testing.assert_array_equal(printed.kinds[0], np.c_[kinds, [0, 0, 0, 1]])
    assert clean.counted[0].tolist() == [1, 1, 1, 0]
    assert printed.counted[0].tolist() == [1, 1, 1, 1]


def test_nothings_are_cut_as_printed():
    """All edges to the output are: they and the output are joined to the input."""
    at = {pair: i for i, pair in enumerate(nasbench201.EDGES)}
    ops = np.full((1, 6), nasbench201.OPS.index("nor_conv_3x3"))
    for pair in ((0, 3), (1, 3), (2, 3)):  # nothing reaches the output
        ops[0, at[pair]] = nasbench201.OPS.index("none")
    cell = nasbench201.graphs(ops)
    read = npenas.isolated(cell)
    output = int(np.argmax(np.asarray(cell.ops[0]) == 2))
    source = int(np.argmax(np.asarray(cell.ops[0]) == 1))
    gone = np.asarray(read.kinds[0, :, -1]) == 1
    assert gone.sum() == 3
    for node in [*np.flatnonzero(gone), output]:
        row = np.eye(8)[node] + np.eye(8)[source]
        np.testing.assert_array_equal(read.sums[0, node], row)
    kept = np.ix_(~gone, ~gone)
    whole = np.array(npenas.present(cell).sums[0])
    whole[output, source] = 1
    np.testing.assert_array_equal(np.asarray(read.sums[0])[kept], whole[kept])


@pytest.mark.parametrize("name", READ)
def test_the_network_is_what_it_says_in_numpy(name):
    """Both in training, with moments of the batch, and after it."""
    read, columns = READ[name]
    network, moments = trained(columns)
    x = read(some_graphs())
    sums, channels, counted = (np.asarray(a, np.float64) for a in x)
    weight = np.array([1.0, 1.0, 0.0])
    used = counted * weight[:, None] > 0

    def linear(layer, h):
        return h @ np.asarray(layer.weight, float) + np.asarray(layer.bias)

    new, old = channels, channels
    for one, m in zip(network.hops, moments, strict=True):
        new, old = (
            np.maximum(linear(one.second, np.maximum(linear(one.first, sums @ h), 0)), 0)
            for h in (new, old)
        )
        new = (new - new[used].mean(0)) / np.sqrt(new[used].var(0) + EPSILON)
        old = (old - np.asarray(m.mean)) / np.sqrt(np.asarray(m.variance) + EPSILON)
        new, old = (np.asarray(one.norm.scale) * h + one.norm.shift for h in (new, old))
    for weighed, h in ((jnp.asarray(weight, jnp.float32), new), (None, old)):
        pooled = np.sum(counted[..., None] * h, 1) / counted.sum(1, keepdims=True)
        expected = linear(network.last, np.maximum(linear(network.before, pooled), 0))[:, 0]
        outputs, _ = npenas.apply(network, moments, x, weighed, epsilon=EPSILON)
        np.testing.assert_allclose(outputs, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", READ)
def test_absent_nodes_matter_as_printed_only(name):
    read, columns = READ[name]
    model, graphs = trained(columns), some_graphs()
    narrow, wide = (npenas.apply(*model, read(x))[0] for x in (graphs, wider(graphs)))
    assert np.allclose(narrow, wide, atol=1e-4) == (name == "clean")


@pytest.mark.parametrize("name", READ)
def test_the_order_of_inner_nodes_changes_nothing(name):
    read, columns = READ[name]
    one = some_graphs().rows(slice(0, 1))
    swapped = relabelled(one, [0, 2, 1, 3, 4])
    assert not np.array_equal(one.ops, swapped.ops)
    model = trained(columns)
    outputs = [npenas.apply(*model, read(x))[0] for x in (one, swapped)]
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("n", "batch"), [(10, 10), (20, 16), (32, 16), (100, 16)])
def test_the_printed_rate_is_the_cosine_of_too_few_batches(n, batch):
    """At the first batch of an epoch, as the code counts them: int(epochs n / batch) in all."""
    epochs, rate = 300, npenas.overrun(0.005, 300, jnp.int32(n))
    for epoch in (0, 100, 250, 299):
        progress = epoch * -(-n // 16) / (epochs * n / batch)
        expected = 0.0025 * (1 + np.cos(np.pi * progress))
        np.testing.assert_allclose(rate(jnp.int32(epoch)), expected, rtol=1e-3, atol=1e-8)


def test_biases_are_biases_and_shifts():
    network, _ = npenas.init(jax.random.key(0), 5)
    marked = npenas._are_biases(network)
    assert marked.last == layers.Dense(weight=False, bias=True)
    assert marked.hops[0].norm == layers.Norm(scale=False, shift=True)


@pytest.mark.slow
def test_lanes_as_printed_are_lanes_alone_for_a_few_steps():
    """Those of a whole training are not: nearly constant channels amplify rounding."""
    graphs = nasbench201.graphs(RNG.integers(0, 5, (32, 6)))
    space = Space(jnp.ones((32, 1)), graphs=jax.tree.map(jnp.asarray, cell_graphs(graphs)))
    scorer = npenas.npenas(printed=True, epochs=3, width=8)
    rows = jnp.arange(32, dtype=jnp.int32)

    @jax.jit
    def learn(key, y, mask):
        return scorer.update(key, (), space, rows, y, mask, rows)[1].mean

    keys = jax.random.split(jax.random.key(0), 2)
    y, mask = jax.random.normal(keys[0], (2, 32)), rows < jnp.array([[12], [30]])
    together = jax.vmap(learn)(keys, y, mask)
    for lane in range(2):
        alone = learn(keys[lane], y[lane], mask[lane])
        np.testing.assert_allclose(together[lane], alone, atol=0.02)
    assert np.abs(together[0] - together[1]).max() > 0.1


@pytest.fixture(scope="module")
def cells():
    table = load_nasbench201("cifar10")
    return table, task.make(table, HONEST, graphs=True).space


@pytest.mark.slow
@pytest.mark.parametrize(("printed", "least"), [(False, 0.65), (True, 0.5)])
def test_it_ranks_nasbench201_from_a_hundred_labels(cells, printed, least):
    table, space = cells
    rows = np.random.default_rng(0).choice(len(table), 100, replace=False).astype(np.int32)
    mask = np.ones(100, bool)
    y = label_transforms.rank_normal(jnp.asarray(table.valid_mean[rows], jnp.float32), mask)
    scorer = npenas.npenas(printed=printed)
    update = jax.jit(lambda *a: scorer.update(*a)[1])
    prediction = update(jax.random.key(0), (), space, rows, y, mask, rows)
    rest = np.setdiff1d(np.arange(len(table)), rows)
    tau = stats.kendalltau(prediction.mean[rest], table.valid_mean[rest]).statistic
    assert tau > least
