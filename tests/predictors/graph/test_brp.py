"""BRP-NAS: matrices and sizes by hand, the comparator against a sort, training and search."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import build, planted_table
from scipy import stats

import weaknas_jax as wn
from weaknas_jax.predictors.graph import brp, layers
from weaknas_jax.runs import task
from weaknas_jax.search.baselines import brp_nas
from weaknas_jax.spaces import graph_arrays, nasbench201

OPERATIONS = ("conv3x3", "conv1x1", "pool")
CHAIN = [("input", "conv3x3", "output"), [(0, 1), (1, 2)]]
KEY = jax.random.key(0)
SMALL_PAIRS = brp.PRINTED._replace(width=8, epochs=3, batch=6, learning_rate=3e-3)
SMALL_CELLS = brp.CLEAN._replace(width=8, epochs=20)


def nasbench201_cells(*ops):
    """Contracted cells: none 0, skip 1, conv1x1 2, conv3x3 3, pool 4."""
    return graph_arrays.contract(nasbench201.graphs(np.array(ops)))


def nasbench101_cells():
    """Two cells in 7 nodes, the second of 5."""
    whole = ("input", *OPERATIONS, *OPERATIONS[:2], "output")
    edges = [(at, at + 1) for at in range(6)] + [(0, 4), (2, 6)]
    small = ("input", *OPERATIONS, "output"), [(0, 1), (1, 2), (2, 4), (0, 3), (3, 4)]
    return graph_arrays.of_lists([(whole, edges), small])


def test_the_matrix_of_a_chain_of_three():
    expected = [[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    np.testing.assert_array_equal(brp.matrix(graph_arrays.of_lists([CHAIN]))[0], expected)


def test_contraction_keeps_the_path_of_two_skips_and_all_none_leaves_the_ends():
    # Edges 01, 02, 12, 03, 13, 23: 0 -skip- 1 -skip- 2 -conv3x3- 3, and nothing else.
    cells = nasbench201_cells((1, 0, 1, 0, 0, 3), (0,) * 6)
    assert cells.operations == ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    assert np.argwhere(cells.adjacency[0]).tolist() == [[0, 6], [6, 7]]
    assert cells.graph(0).nodes == ("input", "nor_conv_3x3", "output")
    own = np.asarray(brp.matrix(cells))[:, 1:, 1:]
    np.testing.assert_array_equal(own[1], np.eye(8))
    columns = np.asarray(brp.features(cells, brp.PRINTED))
    assert columns.shape == (2, 9, 6)
    assert columns[1].sum(axis=1).tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 1]  # global, input, output


def test_absent_nodes_are_an_operation_where_the_space_has_no_nothing():
    cells = nasbench101_cells()
    assert np.asarray(brp.features(cells, brp.PRINTED))[:, :, 5].sum(axis=1).tolist() == [0, 2]
    assert brp.features(cells, brp.CLEAN).shape == (2, 8, 6)


@pytest.mark.parametrize(
    ("cells", "how", "number"),
    [
        (nasbench101_cells(), brp.PRINTED, 1_093_802),
        (nasbench201_cells((2,) * 6), brp.PRINTED, 1_093_202),
        (nasbench201_cells((2,) * 6), brp.CLEAN._replace(width=600), 1_091_400),  # 600 -> 1
    ],
)
def test_numbers_of_parameters(cells, how, number):
    assert layers.count(jax.eval_shape(lambda: brp.init(KEY, cells, how))) == number


def test_convolutions_begin_within_one_by_the_root_of_the_width():
    for convolution, _ in brp.init(KEY, nasbench101_cells(), SMALL_PAIRS).layers:
        for values in convolution:
            assert 0.5 < np.abs(values).max() * 8**0.5 <= 1


def plainly(params, cell, columns):
    """The embedding in float64, node by node."""
    edges, h = np.asarray(cell.adjacency[0], float), np.asarray(columns, float)
    for convolution, scale in params.layers:
        weight, bias, gain, shift = (np.asarray(a, float) for a in (*convolution, *scale))
        sums = [h.sum(axis=0)]
        for node in range(len(edges)):
            sums.append(h[node + 1] + sum(h[j + 1] for j in np.flatnonzero(edges[node])))
        h = np.array(sums) @ weight + bias
        h = (h - h.mean(axis=1, keepdims=True)) / np.sqrt(h.var(axis=1, keepdims=True) + 1e-5)
        h = np.maximum(gain * h + shift, 0)
    return h[0]


@pytest.mark.parametrize("how", [SMALL_PAIRS, SMALL_CELLS])
def test_embeddings_are_those_of_the_network_written_plainly(how):
    cells = nasbench101_cells()
    params = brp.init(KEY, cells, how)
    computed = brp.embed(params, cells, how)
    for row in range(2):
        columns = brp.features(cells, how)[row]
        expected = plainly(params, cells.rows(slice(row, row + 1)), columns)
        np.testing.assert_allclose(computed[row], expected, atol=2e-5)


def test_scores_do_not_depend_on_the_order_of_inner_nodes():
    names, edges = (
        ("input", *OPERATIONS, "output"),
        [(0, 1), (1, 4), (0, 2), (2, 4), (0, 3), (3, 4)],
    )
    order = [0, 3, 1, 2, 4]
    other = [names[at] for at in order], [(order.index(a), order.index(b)) for a, b in edges]
    cells = graph_arrays.of_lists([(names, edges), other])
    assert (cells.ops[0] != cells.ops[1]).any()
    scores = brp.predict(brp.init(KEY, cells, SMALL_CELLS), cells, SMALL_CELLS).mean
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)


def test_a_sort_by_an_antisymmetric_comparator_is_a_sort_by_the_score():
    rng = np.random.default_rng(0)
    e, p, common = rng.normal(size=(40, 8)), rng.normal(size=8), rng.normal(size=16)
    weight = np.stack([common + np.append(p, -p), common], axis=1)
    head = layers.Dense(jnp.asarray(weight, jnp.float32), jnp.array([0.3, 0.3]))

    def compare(i, j):
        logits = np.concatenate([e[i], e[j]]) @ weight + 0.3
        return logits[0] - logits[1]

    ranked = sorted(range(40), key=functools.cmp_to_key(compare))
    assert np.argsort(brp.score(head, jnp.asarray(e, jnp.float32))).tolist() == ranked


def test_the_score_is_the_antisymmetric_part_of_any_comparator():
    rng = np.random.default_rng(1)
    e = jnp.asarray(rng.normal(size=(2, 8)), jnp.float32)
    head = layers.dense(jax.random.key(1), 16, 2)

    def gap(i, j):
        logits = head(jnp.concatenate([e[i], e[j]]))
        return logits[0] - logits[1]

    s = brp.score(head, e)
    np.testing.assert_allclose((gap(0, 1) - gap(1, 0)) / 2, s[0] - s[1], rtol=1e-4)
    p, q, c = brp.comparator(head)
    np.testing.assert_allclose(gap(0, 1), p @ e[0] + q @ e[1] + c, rtol=1e-4)


def test_pairs_are_ordered_and_of_different_cells():
    assert len(brp.ordered_pairs(3)[0]) == 6
    pairs = set(zip(*(np.asarray(part).tolist() for part in brp.ordered_pairs(5)), strict=True))
    assert pairs == {(i, j) for i in range(5) for j in range(5) if i != j}


def test_the_loss_is_the_divergence_of_two_distributions():
    y, logits = np.array([0.7, -0.4]), np.array([-1.0, 0.2])
    t, q = (np.exp(a) / np.exp(a).sum() for a in (y, logits))
    expected = (t * np.log(t / q)).sum()
    np.testing.assert_allclose(brp.divergence(y[0] - y[1], logits[0] - logits[1]), expected, 1e-5)


CELLS = task.space(planted_table(), graphs=True).graphs.contracted
TRUTH = planted_table().valid_mean


def problem(n=12, size=16):
    rows = np.random.default_rng(0).choice(64, size, replace=False)
    y = (TRUTH[rows] - TRUTH.mean()) / TRUTH.std()
    return CELLS.rows(rows), jnp.asarray(y, jnp.float32), jnp.arange(size) < n


@pytest.mark.parametrize("how", [pytest.param(SMALL_PAIRS, marks=pytest.mark.slow), SMALL_CELLS])
def test_padding_changes_nothing(how):
    x, y, mask = problem()
    params = brp.init(KEY, x, how)
    fit = jax.jit(lambda x, y: brp.train(KEY, params, x, y, mask, how))
    other = CELLS.rows(jnp.where(mask, jnp.arange(16), 5)).replace(
        ops=jnp.where(mask[:, None], x.ops, CELLS.ops[5]),
        adjacency=jnp.where(mask[:, None, None], x.adjacency, CELLS.adjacency[5]),
    )
    chex.assert_trees_all_equal(fit(x, y), fit(other, jnp.where(mask, y, jnp.nan)))


def ladder(how, monkeypatch):
    """Epochs and batch of each stage."""
    asked = []

    def descend(key, params, x, y, mask, how, epochs, batch):
        asked.append((int(epochs), int(batch)))
        return params

    monkeypatch.setattr(brp, "_descend_pairs", descend)
    monkeypatch.setattr(brp, "_descend_cells", descend)
    x, y, mask = problem()
    for stage in range(1, 6):
        brp.train(KEY, None, x, y, mask, how, stage, 5)
    return asked


def test_stages_take_more_epochs_and_larger_batches(monkeypatch):
    printed = [(50, 12), (100, 24), (150, 36), (200, 48), (250, 60)]
    assert ladder(brp.PRINTED, monkeypatch) == printed
    batches = {batch for _, batch in ladder(brp.CLEAN, monkeypatch)}
    assert batches == {brp.CLEAN.batch}


@pytest.mark.slow
def test_a_stage_of_nothing_trains_nothing():
    x, y, mask = problem()
    for how in (SMALL_PAIRS, SMALL_CELLS):
        params = brp.init(KEY, x, how)
        after = jax.jit(lambda s, p=params, h=how: brp.train(KEY, p, x, y, mask, h, s, 5))(0)
        chex.assert_trees_all_equal(params, after)


@pytest.mark.slow
def test_training_on_pairs_stops_early(monkeypatch):
    """With a rate of 0 nothing ever improves: after epoch 21, 35 more are run."""
    x, y, mask = problem(3, 4)
    how = SMALL_PAIRS._replace(epochs=1000, learning_rate=0.0, l2=0.0)
    steps = []
    direction = how.direction

    def update(gradients, memory, params):
        jax.debug.callback(lambda: steps.append(1))
        return direction.update(gradients, memory, params)

    counted = direction._replace(update=update)
    monkeypatch.setattr(brp.Settings, "direction", property(lambda how: counted))
    params = brp.init(KEY, x, how)
    jax.block_until_ready(brp.train(KEY, params, x, y, mask, how))
    jax.effects_barrier()
    assert len(steps) == brp.FIRST_COUNTED + 1 + 35  # 6 pairs: one batch an epoch


def test_thresholds_of_the_search():
    assert brp_nas.threshold(15_625, jnp.arange(1, 5)).tolist() == [7812, 3906, 1953, 976]


def test_half_are_the_best_and_half_from_above_the_threshold():
    scores, stage = jnp.arange(64.0), lambda asked: 1 + (asked - 8) // 8
    draw = jax.jit(lambda key, seen: brp_nas.narrowing(stage).draw(key, scores, seen, 0, 8))
    for over in range(1, 5):
        seen = np.zeros(64, bool)
        seen[: 8 * over] = True  # the worst
        drawn = np.stack([draw(jax.random.key(seed), seen) for seed in range(20)])
        assert (drawn[:, ::2] == [63, 62, 61, 60]).all()
        others = drawn[:, 1::2]
        above = 64 - 64 // 2**over
        pool = [row for row in range(above, 60) if not seen[row]]
        if over < 4:
            assert set(others.ravel()) <= set(pool)
            assert len(set(others.ravel())) > 0.7 * len(pool)
        else:  # the four above rank 4 are taken: it goes on down the ranking
            assert (others == [59, 58, 57, 56]).all()
    seen = np.arange(64) < 40
    assert draw(KEY, seen).tolist() == list(range(63, 55, -1))


@pytest.mark.slow  # quickly each part of it above
def test_the_search_trains_on_in_stages_and_then_goes_down_its_ranking():
    space = task.space(planted_table(), graphs=True)
    method = build("brp_nas", init=4, per_round=4, budget=28)
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)
    state, predictions, asked = method.init(KEY, space), [], []
    for _ in range(7):
        state, indices = ask(state)
        state, info = tell(state, indices, jnp.asarray(TRUTH, jnp.float32)[indices])
        predictions.append(np.asarray(info.prediction.mean))
        asked += indices.tolist()
    moved = [not np.array_equal(*pair) for pair in itertools.pairwise(predictions)]
    assert moved == [True] * 4 + [False] * 2
    ranking = [row for row in np.argsort(-predictions[4], kind="stable") if row not in asked[:20]]
    assert asked[20:] == ranking[:8]


def test_a_space_without_graphs_is_told():
    with pytest.raises(ValueError, match="this predictor reads graphs"):
        wn.run(build("brp_nas"), task.make(planted_table(), wn.HONEST), 0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "bar"), [("brp", 0.7)])
def test_it_ranks_nasbench201(name, bar):
    """From 100 labels of CIFAR-10."""
    table = wn.load_nasbench201("cifar10")
    space, truth = task.space(table, described=False, graphs=True), table.valid_mean
    rows = np.random.default_rng(0).choice(len(truth), 100, replace=False)
    y = jnp.asarray((truth[rows] - truth[rows].mean()) / truth[rows].std(), jnp.float32)
    scorer = wn.PREDICTORS[name]()
    _, prediction = jax.jit(lambda s, y: scorer.update(KEY, (), s, rows, y, y < 99, rows))(space, y)
    rest = np.setdiff1d(np.arange(len(truth)), rows)
    assert stats.kendalltau(prediction.mean[rest], truth[rest]).statistic > bar
