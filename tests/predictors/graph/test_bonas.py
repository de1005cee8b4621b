"""BONAS against its layer list, matrices by hand, NumPy, and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from weaknas_jax import HONEST, load_nasbench201
from weaknas_jax.predictors.graph import bonas, layers
from weaknas_jax.runs import task
from weaknas_jax.search import label_transforms
from weaknas_jax.spaces import nasbench201
from weaknas_jax.spaces.graph_arrays import Graphs, of_lists

OPS = "conv1x1", "conv3x3", "pool"
RNG = np.random.default_rng(0)


def some_graphs() -> Graphs:
    """Cells of 5, 4 and 2 nodes."""
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


def trained(kinds=5, width=8):
    """A network whose scales, shifts and moments are not those of the beginning."""
    network, moments = bonas.init(jax.random.key(0), kinds, width)

    def drawn(a, low):
        return jnp.asarray(RNG.uniform(low, 1.5, a.shape), jnp.float32)

    network = network._replace(
        convolutions=tuple(
            c._replace(weight=8 * c.weight, norm=layers.Norm(drawn(c.bias, 0.5), drawn(c.bias, -1)))
            for c in network.convolutions
        )
    )
    return network, tuple(layers.Moments(drawn(m.mean, -1), drawn(m.mean, 0.5)) for m in moments)


@pytest.mark.parametrize(("kinds", "count"), [(5, 13_505), (7, 13_633)])
def test_parameters_are_as_many_as_published(kinds, count):
    shapes = jax.eval_shape(lambda: bonas.init(jax.random.key(0), kinds)[0])
    assert layers.count(shapes) == count


def test_a_space_of_seven_kinds_is_nasbench201():
    graphs = nasbench201.graphs(np.zeros((1, 6), int))
    assert (graphs.kinds, graphs.nodes) == (7, 8)
    assert bonas.inputs(graphs).kinds.shape == (1, 9, 8)


def test_matrices_by_hand():
    chain = of_lists([(("input", "pool", "output"), [(0, 1), (1, 2)])], operations=OPS)
    by_hand = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]]
    read = bonas.inputs(chain, padding=True)
    np.testing.assert_array_equal(read.sums[0], by_hand)
    kinds = [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(read.kinds[0], kinds)


def test_padding_by_hand():
    """An absent node sums itself and counts in the global one as printed; else it is not there."""
    chain = wider(of_lists([(("input", "output"), [(0, 1)])], operations=OPS), 1)
    printed, clean = bonas.inputs(chain, padding=True), bonas.inputs(chain)
    by_hand = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 1, 1]]
    np.testing.assert_array_equal(printed.sums[0], by_hand)
    by_hand = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 1]]
    np.testing.assert_array_equal(clean.sums[0], by_hand)
    assert clean.counted[0].tolist() == [1, 1, 0, 1]
    assert not clean.kinds[0, 2].any()
    assert printed.counted[0].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("padding", [True, False])
def test_the_network_is_what_it_says_in_numpy(padding):
    """Both in training, with moments of the batch, and after it."""
    network, moments = trained()
    read = bonas.inputs(some_graphs(), padding)
    sums, channels, counted = (np.asarray(a, np.float64) for a in read)
    weight = np.array([1.0, 1.0, 0.0])
    counted = counted * weight[:, None]
    new, old = channels, channels
    for c, m in zip(network.convolutions, moments, strict=True):
        new, old = (np.einsum("nij,njc->nic", sums, h @ np.asarray(c.weight)) for h in (new, old))
        new, old = new + np.asarray(c.bias), old + np.asarray(c.bias)
        rows = new[counted > 0]
        new = (new - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)
        old = (old - np.asarray(m.mean)) / np.sqrt(np.asarray(m.variance) + 1e-5)
        new, old = (np.maximum(np.asarray(c.norm.scale) * h + c.norm.shift, 0) for h in (new, old))
    features, _ = bonas.embed(network, moments, read, jnp.asarray(weight, jnp.float32))
    np.testing.assert_allclose(features, new[:, -1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        bonas.embed(network, moments, read)[0], old[:, -1], rtol=1e-3, atol=1e-3
    )


def test_absent_nodes_matter_as_printed_only():
    network, moments = trained()
    graphs = some_graphs()
    for padding in (True, False):
        narrow, wide = (
            bonas.embed(network, moments, bonas.inputs(x, padding))[0]
            for x in (graphs, wider(graphs))
        )
        assert np.allclose(narrow, wide, atol=1e-4) != padding


def test_the_order_of_inner_nodes_changes_nothing():
    network, moments = trained()
    one = some_graphs().rows(slice(0, 1))
    swapped = relabelled(one, [0, 2, 1, 3, 4])
    assert not np.array_equal(one.ops, swapped.ops)
    for padding in (True, False):
        features = [
            bonas.embed(network, moments, bonas.inputs(x, padding))[0] for x in (one, swapped)
        ]
        np.testing.assert_allclose(*features, rtol=1e-4, atol=1e-4)


def regression(n=40, columns=6, rows=48):
    features = RNG.normal(size=(rows, columns)).astype(np.float32)
    y = features @ RNG.normal(size=columns) + 3 + 0.3 * RNG.normal(size=rows)
    return features, y.astype(np.float32), np.arange(rows) < n


def test_the_regression_is_where_the_evidence_is_highest():
    """Against the log evidence of (Bishop, eq. 3.86), maximised on a grid, and its posterior."""
    features, y, mask = regression()
    posterior = bonas.evidence(features, y, mask, (0.0, 0.0), intercept=False, first=1e-5)
    x, t = features[mask].astype(float), y[mask].astype(float)

    size, basis = np.linalg.eigh(x @ x.T)

    def log_evidence(alpha, beta):
        spread = 1 / beta + size / alpha  # of t in the basis of its covariance
        return -0.5 * np.sum((basis.T @ t) ** 2 / spread + np.log(2 * np.pi * spread))

    covariance = np.eye(len(x)) / 2 + x @ x.T / 3
    direct = stats.multivariate_normal(cov=covariance).logpdf(t)
    np.testing.assert_allclose(log_evidence(3, 2), direct)
    alphas, betas = np.exp(np.linspace(-6, 4, 81)), np.exp(np.linspace(-6, 4, 81))
    height = [max(log_evidence(a, b) for a in alphas) for b in betas]
    assert abs(np.log(float(posterior.noise)) + np.log(betas[np.argmax(height)])) < 0.13
    beta = 1 / float(posterior.noise)
    highest = max(log_evidence(a, beta) for a in alphas)
    covariance = np.asarray(posterior.basis * posterior.variance) @ np.asarray(posterior.basis).T
    precision = np.linalg.inv(covariance.astype(float)) - beta * x.T @ x
    alpha = np.trace(precision) / len(precision)
    np.testing.assert_allclose(precision, alpha * np.eye(len(precision)), atol=0.02 * beta)
    assert log_evidence(alpha, beta) > highest - 0.01
    new = RNG.normal(size=(5, x.shape[1]))
    solved = np.linalg.solve(alpha * np.eye(x.shape[1]) + beta * x.T @ x, beta * x.T @ t)
    mean, variance = posterior(jnp.asarray(new, jnp.float32))
    np.testing.assert_allclose(mean, new @ solved, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(variance, np.sum(new @ covariance * new, 1), rtol=1e-3)


def test_the_intercept_follows_the_labels():
    features, y, mask = regression()
    before = bonas.evidence(features, y, mask)(features)
    after = bonas.evidence(features + 2, y + 7, mask)(features + 2)
    np.testing.assert_allclose(before[0] + 7, after[0], atol=5e-3)
    np.testing.assert_allclose(before[1], after[1], rtol=2e-2)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("printed", [True, False])
def test_fewer_labels_than_features_are_safe(n, printed):
    features, y, _ = regression()
    mask = np.arange(48) < n
    settings = {"prior": (0.0, 0.0), "intercept": False, "first": 1e-5} if printed else {}
    mean, variance = bonas.evidence(features, y, mask, **settings)(features)
    assert np.isfinite(mean).all()
    assert (np.isfinite(variance) & (variance > 0)).all()
    if not printed:
        assert np.abs(mean - y[mask].mean() if n else mean).max() < 10


def test_padding_changes_nothing_in_the_regression():
    features, y, mask = regression()
    other = np.where(mask[:, None], features, 50.0), np.where(mask, y, np.nan)
    for a, b in zip(bonas.evidence(features, y, mask), bonas.evidence(*other, mask), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.5, 0.7), (-2.0, 2.0)])
def test_moments_of_a_sigmoid_are_near_the_integral(mean, deviation):
    def moment(power):
        def density(z):
            return special.expit(z) ** power * stats.norm.pdf(z, mean, deviation)

        return integrate.quad(density, mean - 9 * deviation, mean + 9 * deviation)[0]

    exact = moment(1), np.sqrt(moment(2) - moment(1) ** 2)
    printed = bonas.sigmoid_moments(jnp.float32(mean), jnp.float32(deviation**2))
    np.testing.assert_allclose(printed, exact, atol=0.04)


@pytest.fixture(scope="module")
def cells():
    table = load_nasbench201("cifar10")
    return table, task.make(table, HONEST, graphs=True).space


@pytest.mark.slow
@pytest.mark.parametrize(("printed", "least"), [(False, 0.7), (True, 0.45)])
def test_it_ranks_nasbench201_from_a_hundred_labels(cells, printed, least):
    table, space = cells
    rows = np.random.default_rng(0).choice(len(table), 100, replace=False).astype(np.int32)
    mask = np.ones(100, bool)
    y = label_transforms.rank_normal(jnp.asarray(table.valid_mean[rows], jnp.float32), mask)
    scorer = bonas.bonas(printed=printed)
    update = jax.jit(lambda *a: scorer.update(*a)[1])
    prediction = update(jax.random.key(0), (), space, rows, y, mask, rows)
    rest = np.setdiff1d(np.arange(len(table)), rows)
    tau = stats.kendalltau(prediction.mean[rest], table.valid_mean[rest]).statistic
    assert tau > least
