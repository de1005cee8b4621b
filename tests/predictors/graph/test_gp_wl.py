"""NASBOWL's Gaussian process: kernel, densities and posterior against NumPy in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from weaknas_jax import Prediction, Space
from weaknas_jax.predictors.graph import gp_wl
from weaknas_jax.spaces import graph_arrays

PAIRS = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]  # NAS-Bench-201
NAMES = ("none", "skip", "conv1", "conv3", "pool")
CELLS = np.random.default_rng(0).integers(0, 5, (100, 6))
FORMS = pytest.mark.parametrize("form", ["dot", "oa"])
Q = 12


@functools.cache
def space() -> Space:
    whole = graph_arrays.of_edges(PAIRS, CELLS, NAMES, NAMES[:1], NAMES[1:2])
    graphs = jax.tree.map(jnp.asarray, graph_arrays.cell_graphs(whole))
    return Space(jnp.asarray(CELLS, jnp.float32), graphs=graphs)


@functools.cache
def dense(form: str) -> np.ndarray:
    """Kernels of all depths [L, N, N] from histograms, float64."""
    labels = np.asarray(space().graphs.labels)
    size = labels.max() + 1
    counts = [[np.bincount(row[row >= 0], minlength=size) for row in cell] for cell in labels]
    counts = np.array(counts, float).transpose(1, 0, 2)
    if form == "dot":
        shared = np.einsum("lnd,lmd->lnm", counts, counts)
    else:
        shared = np.array([np.minimum(c[:, None], c).sum(axis=-1) for c in counts])
    shared = shared.cumsum(axis=0)
    scale = np.sqrt(np.diagonal(shared, axis1=1, axis2=2))
    return shared / scale[:, :, None] / scale[:, None, :]


def data(n=8, seed=1):
    """Some cells and labels, padded to Q."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(CELLS), n, replace=False)
    y = rng.normal(size=n).astype(np.float32)
    queried = np.pad(rows, (0, Q - n), constant_values=-1).astype(np.int32)
    return queried, np.pad(y - y.mean(), (0, Q - n)), queried >= 0


@functools.cache
def updates(**settings):
    scorer = gp_wl.gp_wl(**settings)
    return scorer, jax.jit(functools.partial(scorer.update, jax.random.key(0)))


def learn(queried, y, mask, space_=None, **settings):
    scorer, update = updates(**settings)
    at = space_ or space()
    return update(scorer.init(at, Q), at, queried, y, mask, queried)


@functools.cache
def rows_of(form):
    labels = space().graphs.labels
    labels = jnp.moveaxis(gp_wl.numbered(labels) if form == "oa" else labels, 0, -1)
    one = jax.jit(lambda i: gp_wl.shared(labels[..., i, None], labels))
    shared = np.stack([one(i) for i in range(len(CELLS))])
    shared = shared.astype(float).transpose(1, 0, 2)
    scale = np.sqrt(np.diagonal(shared, axis1=1, axis2=2))
    return shared, shared / scale[:, :, None] / scale[:, None, :]


@FORMS
def test_the_kernel_is_that_of_histograms(form):
    shared, kernel = rows_of(form)
    np.testing.assert_allclose(kernel, dense(form), rtol=1e-12)
    np.testing.assert_array_equal(shared, shared.transpose(0, 2, 1))
    np.testing.assert_allclose(np.diagonal(kernel, axis1=1, axis2=2), 1.0)
    assert np.linalg.eigvalsh(kernel).min() > -1e-9


def test_without_refinement_it_is_what_the_operations_have_in_common():
    shared, _ = rows_of("oa")
    ops = np.asarray(space().graphs.contracted.ops)
    counts = np.array([np.bincount(row[row > 0], minlength=9) for row in ops])
    np.testing.assert_array_equal(shared[0], np.minimum(counts[:, None], counts).sum(axis=-1))


@FORMS
def test_isomorphic_cells_are_one_and_others_are_not(form):
    # Nodes 1 and 2 between input and output, without an edge from 1 to 2, change places.
    cells = np.array([[2, 3, 0, 0, 3, 4], [3, 2, 0, 0, 4, 3], [2, 3, 0, 0, 4, 3]])
    whole = graph_arrays.of_edges(PAIRS, cells, NAMES, NAMES[:1], NAMES[1:2])
    labels = jnp.asarray(graph_arrays.cell_graphs(whole).labels)
    labels = jnp.moveaxis(gp_wl.numbered(labels) if form == "oa" else labels, 0, -1)
    row, own = gp_wl.shared(labels[..., :1], labels), gp_wl.shared(labels, labels)
    np.testing.assert_array_equal(row[:, 1], own[:, 0])
    assert row[0, 2] == own[0, 0]  # the same operations
    assert (row[1:, 2] < own[1:, 0]).all()


@FORMS
def test_the_order_of_nodes_is_of_no_account(form):
    queried, y, mask = data()
    rng = np.random.default_rng(2)
    labels = np.asarray(space().graphs.labels)
    mixed = np.stack([row[:, rng.permutation(row.shape[1])] for row in labels])
    other = space().replace(graphs=space().graphs.replace(labels=jnp.asarray(mixed)))
    _, a = learn(queried, y, mask, form=form)
    _, b = learn(queried, y, mask, other, form=form)
    np.testing.assert_array_equal(a.mean, b.mean)
    np.testing.assert_array_equal(a.std, b.std)


def solved(n=8):
    queried, y, mask = data(n)
    at = np.maximum(queried, 0)
    grams = np.where(mask[:, None] & mask, dense("dot")[:, at][:, :, at], np.eye(Q))
    noises = jnp.array(gp_wl.NOISES)
    return (
        gp_wl.over_depths(jnp.asarray(grams, jnp.float32), noises, y, mask),
        queried[mask],
        y[mask],
    )


def test_weights_are_densities_of_students_t():
    """One degree of freedom: a normal distribution whose variance has an inverse gamma prior."""
    of, rows, y = solved()
    weights, amplitude = gp_wl.weigh(of, len(y))
    grams = dense("dot")[:, rows][:, :, rows]
    covariances = [[gram + noise * np.eye(len(y)) for noise in gp_wl.NOISES] for gram in grams]
    density = [
        [stats.multivariate_t(shape=c, df=1).logpdf(y) for c in some] for some in covariances
    ]
    wanted = np.exp(density - np.max(density))
    np.testing.assert_allclose(weights, wanted / wanted.sum(), rtol=2e-3)
    squares = [[y @ np.linalg.solve(c, y) for c in some] for some in covariances]
    np.testing.assert_allclose(amplitude, (1 + np.array(squares)) / (len(y) + 1), rtol=1e-4)


def test_the_terms_of_the_evidence_are_those_of_a_normal_distribution():
    of, rows, y = solved()
    grams = dense("dot")[:, rows][:, :, rows]
    evidence = -0.5 * (of.square + of.log_det + len(y) * np.log(2 * np.pi))
    for gram, some in zip(grams, evidence, strict=True):
        for noise, value in zip(gp_wl.NOISES, some, strict=True):
            normal = stats.multivariate_normal(cov=gram + noise * np.eye(len(y)))
            assert value == pytest.approx(normal.logpdf(y), rel=1e-4)


@FORMS
def test_mean_and_deviation_are_those_of_the_mixture(form):
    queried, y, mask = data()
    rows, labels = queried[mask], y[mask]
    _, prediction = learn(queried, y, mask, form=form)
    parts = []
    for kernel in dense(form):
        for noise in gp_wl.NOISES:
            c, cross = kernel[np.ix_(rows, rows)] + noise * np.eye(len(rows)), kernel[rows]
            square = labels @ np.linalg.solve(c, labels)
            s = (1 + square) / (len(rows) + 1)
            variance = s * (1 - (cross * np.linalg.solve(c, cross)).sum(axis=0))
            density = -0.5 * np.linalg.slogdet(c)[1] - (len(rows) + 1) / 2 * np.log1p(square)
            parts.append((density, cross.T @ np.linalg.solve(c, labels), variance))
    density, means, variances = map(np.array, zip(*parts, strict=True))
    weights = np.exp(density - density.max())
    weights /= weights.sum()
    mean = weights @ means
    np.testing.assert_allclose(prediction.mean, mean, atol=1e-3)
    deviation = np.sqrt(weights @ (variances + (means - mean) ** 2))
    np.testing.assert_allclose(prediction.std, deviation, atol=1e-3)


def test_labels_one_by_one_are_labels_at_once():
    queried, y, mask = data()
    scorer, update = updates()
    state = scorer.init(space(), Q)
    for at in range(mask.sum()):
        so_far = np.arange(Q) <= at
        new = np.where(np.arange(Q) == 0, queried[at], -1)
        rows, labels = np.where(so_far, queried, -1), np.where(so_far, y, 0)
        state, one_by_one = update(state, space(), rows, labels, so_far, new)
    _, at_once = learn(queried, y, mask)
    np.testing.assert_array_equal(one_by_one.mean, at_once.mean)
    np.testing.assert_array_equal(one_by_one.std, at_once.std)


def test_a_failed_label_says_nothing():
    queried, y, mask = data()
    _, without = learn(queried, y, mask & (np.arange(Q) != 3))
    y[3] = np.nan
    _, failed = learn(queried, y, mask & (np.arange(Q) != 3))
    np.testing.assert_array_equal(without.mean, failed.mean)
    left = np.concatenate([np.delete(queried, 3), [-1]]).astype(np.int32)
    _, never = learn(left, np.append(np.delete(y, 3), 0.0).astype(np.float32), left >= 0)
    np.testing.assert_allclose(failed.mean, never.mean, atol=1e-4)


def test_fits_of_few_labels_are_fits_of_all_slots(monkeypatch):
    queried, y, mask = data()
    _, small = learn(queried, y, mask)
    monkeypatch.setattr(gp_wl, "_LEAST", 4)
    monkeypatch.setattr(gp_wl, "_LARGEST", 300)  # columns in blocks that overlap
    assert gp_wl._sizes(Q) == [4, 8, 12]
    scorer = gp_wl.gp_wl()
    state = scorer.init(space(), Q)
    _, cut = jax.jit(scorer.update)(None, state, space(), queried, y, mask, queried)
    np.testing.assert_allclose(cut.mean, small.mean, atol=1e-4)
    np.testing.assert_allclose(cut.std, small.std, atol=1e-3)


def test_a_pick_shrinks_the_deviations_as_its_label_would():
    """The second pick is the one of the highest deviation after the first, of the same mixture."""
    queried, y, mask = data()
    state, prediction = learn(queried, y, mask)
    scorer, _ = updates()
    rows, inverse = queried[mask], np.asarray(state.posterior.inverse, float)[:, :8, :8]
    kernel = dense("dot")
    cross = kernel[:, rows] / np.asarray(state.scale, float)[:, rows, None]
    covariance = np.einsum("h,hnm->nm", np.asarray(state.posterior.amplitude, float), kernel)
    covariance -= np.einsum("hqn,hqr,hrm->nm", cross, inverse, cross)
    np.testing.assert_allclose(np.diagonal(covariance), state.posterior.variance, atol=1e-3)
    seen, wanted = np.isin(np.arange(len(CELLS)), rows), []
    for _ in range(4):
        variance = np.diagonal(covariance) + np.asarray(state.posterior.spread)
        pick = int(np.argmax(np.where(seen | np.isin(np.arange(100), wanted), -1, variance)))
        row = covariance[pick] / np.sqrt(covariance[pick, pick] + float(state.posterior.noise))
        covariance = covariance - np.outer(row, row)
        wanted.append(pick)
    picks = jax.jit(scorer.select, static_argnums=(2, 5))(
        state, space(), lambda of: of.std, prediction, seen, 5, 4
    )
    assert picks.tolist() == [*wanted, -1]


def test_the_printed_process_has_one_depth_and_the_noise_of_a_label():
    queried, y, mask = data()
    rows = queried[mask]
    scorer, update = updates(printed=True)
    state, first = update(scorer.init(space(), Q), space(), queried, 3 * y + 1, mask, queried)
    none = np.full_like(queried, -1)
    _, later = update(state, space(), queried, 3 * y + 1, mask, none)
    labels = y[mask] / y[mask].std(ddof=1)
    for prediction, current in ((first, 0.001), (later, 0.01)):
        evidence = {}
        for h in (1, 2, 3):
            c = dense("dot")[h][np.ix_(rows, rows)] + current * np.eye(len(rows))
            square = labels @ np.linalg.solve(c, labels)
            evidence[h] = -square / 2 + np.linalg.slogdet(c)[1] / 2
        kernel = dense("dot")[max(evidence, key=evidence.__getitem__)]
        c, cross = kernel[np.ix_(rows, rows)] + 0.01 * np.eye(len(rows)), kernel[rows]
        np.testing.assert_allclose(prediction.mean, cross.T @ np.linalg.solve(c, labels), atol=1e-3)
        variance = 1.01 - (cross * np.linalg.solve(c, cross)).sum(axis=0)
        np.testing.assert_allclose(prediction.std, np.sqrt(variance), atol=2e-3)


def flawed(noise, gram, y, mask):
    return gp_wl.flawed_evidence(gp_wl.solve(gram, noise, y, mask))


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_the_flawed_evidence_drives_the_noise_to_its_upper_end(scale):
    """Which is why `printed` makes none of its steps: the first already ends there."""
    queried, y, mask = data()
    at = np.maximum(queried, 0)
    slope = jax.jit(jax.vmap(jax.grad(flawed), in_axes=(0, None, None, None)))
    noises = jnp.geomspace(1e-5, 1e-2, 7)
    for kernel in dense("oa"):
        gram = jnp.asarray(np.where(mask[:, None] & mask, kernel[np.ix_(at, at)], np.eye(Q)))
        assert (slope(noises, gram.astype(jnp.float32), scale * y, mask) > 0).all()


def test_a_deterministic_search_keeps_its_first_noise():
    queried, y, mask = data()
    state, _ = learn(queried, y, mask, printed=True, deterministic=True)
    assert float(state.posterior.noise) == pytest.approx(0.001)
    state, _ = learn(queried, y, mask, printed=True)
    assert float(state.posterior.noise) == pytest.approx(0.01)


def test_a_space_without_graphs_is_refused():
    with pytest.raises(ValueError, match="graphs=True"):
        gp_wl.gp_wl().init(Space(jnp.eye(3)), 2)


def test_a_prediction_of_the_space_comes_before_any_label():
    queried, y, mask = data()
    for printed in (False, True):
        _, prediction = learn(queried, y, np.zeros_like(mask), printed=printed)
        assert isinstance(prediction, Prediction)
        np.testing.assert_array_equal(prediction.mean, 0.0)
        assert (np.asarray(prediction.std) > 0.3).all()
