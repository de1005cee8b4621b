"""The MLP against scikit-learn's, and its own promises."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from threadpoolctl import threadpool_limits

from weaknas_jax.predictors import mlp as build
from weaknas_jax.predictors.mlp import (
    CPU_WIDTHS,
    apply,
    init_params,
    scale_by_adam_late_eps,
    train,
)


def data(n, d=30, seed=0):
    rng = np.random.default_rng(seed)
    x = np.eye(5, dtype=np.float32)[rng.integers(0, 5, (n, d // 5))].reshape(n, d)
    y = np.sin(x @ rng.normal(size=d)) + 0.1 * rng.normal(size=n)
    return x, ((y - y.mean()) / (y.std() or 1.0)).astype(np.float32)


def padded(x, y, q):
    n = len(y)
    mask = np.arange(q) < n
    return np.pad(x, ((0, q - n), (0, 0))), np.pad(y, (0, q - n)), mask


def sklearn_twin(params, **settings):
    """scikit-learn's regressor that will start from ``params``."""
    sk = pytest.importorskip("sklearn.neural_network")

    class Twin(sk.MLPRegressor):
        def _initialize(self, y, layer_units, dtype):
            super()._initialize(y, layer_units, dtype)
            self.coefs_ = [np.array(w, dtype) for w, _ in params]
            self.intercepts_ = [np.array(b, dtype) for _, b in params]

    hidden = tuple(len(b) for _, b in params[:-1])
    return Twin(hidden_layer_sizes=hidden, max_iter=100, **settings)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n", [10, 37, 200])
def test_full_batch_training_is_scikit_learns(n):
    """Same start, same batch: loss curves within 2e-4 for 50 epochs and 1e-2 to the end.

    scikit-learn's own threads do not add in the same order twice, so its late losses, and with
    them its last epoch, would differ a little from call to call: it has one. Ours do not.
    """
    x, y = data(n)
    everything, _ = data(500, seed=1)
    params = init_params(jax.random.key(0), (30, 100, 100, 100, 100, 1))
    with threadpool_limits(1):
        twin = sklearn_twin(params).fit(x, y)
    fitted, fit = jax.jit(train)(jax.random.key(1), params, *padded(x, y, 200))
    epochs = int(fit.epochs)
    assert abs(epochs - twin.n_iter_) <= 2
    common = min(epochs, twin.n_iter_)
    np.testing.assert_allclose(fit.losses[:50], twin.loss_curve_[:50], rtol=2e-4)
    np.testing.assert_allclose(fit.losses[:common], twin.loss_curve_[:common], rtol=1e-2)
    assert np.isnan(fit.losses[epochs:]).all()
    ours, theirs = np.asarray(apply(fitted, everything)), twin.predict(everything)
    np.testing.assert_allclose(ours, theirs, atol=3e-2)
    assert np.corrcoef(ours.argsort().argsort(), theirs.argsort().argsort())[0, 1] > 0.999


@pytest.mark.slow  # batches of every width are compared below, with scikit-learn above
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_minibatches_take_as_many_steps_as_scikit_learn():
    """n = 210 is a batch of 200 and one of 10; shuffles differ, so the curves agree loosely."""
    x, y = data(210)
    params = init_params(jax.random.key(0), (30, 100, 100, 1))
    curves = [sklearn_twin(params, random_state=s).fit(x, y).loss_curve_ for s in range(8)]
    fits = [jax.jit(train)(jax.random.key(s), params, *padded(x, y, 256))[1] for s in range(8)]
    first = np.array([c[:15] for c in curves])
    ours = np.array([f.losses[:15] for f in fits])
    spread = first.std(axis=0, ddof=1) + ours.std(axis=0, ddof=1)
    assert (np.abs(first.mean(axis=0) - ours.mean(axis=0)) < 5 * spread / 8**0.5 + 1e-6).all()


@pytest.mark.slow  # of every predictor: quick in test_predictors
def test_padding_changes_nothing():
    x, y = data(23)
    fit = jax.jit(build((32, 32), max_epochs=20).fit)
    xs, ys, mask = padded(x, y, 64)
    clean = fit(jax.random.key(0), xs, ys, mask)
    dirty = fit(
        jax.random.key(0), np.where(mask[:, None], xs, 1e6), np.where(mask, ys, np.nan), mask
    )
    chex.assert_trees_all_equal(clean, dirty)


@pytest.mark.slow  # padding is above
def test_gaps_in_the_mask_only_reorder_the_batch():
    x, y = data(20)
    fit = jax.jit(build((32, 32), max_epochs=20).fit)
    xs, ys, mask = padded(x, y, 40)
    spread = np.arange(40).reshape(2, 20).T.ravel()  # every other row is padding
    together = fit(jax.random.key(0), xs, ys, mask)
    apart = fit(jax.random.key(0), xs[spread], ys[spread], mask[spread])
    chex.assert_trees_all_close(together, apart, atol=2e-4)


@pytest.mark.parametrize("n", [1, 9, 20, 33, 70])
def test_batch_widths_do_not_matter(n):
    x, y = data(n)
    arrays = padded(x, y, 80)
    params = init_params(jax.random.key(0), (30, 32, 32, 1))
    narrow, one = (
        jax.jit(lambda k, p, *a, w=w: train(k, p, *a, max_epochs=10, widths=w))(
            jax.random.key(0), params, *arrays
        )
        for w in ((5, 10, 25, 50), (50,))
    )
    chex.assert_trees_all_close(narrow, one, atol=1e-5)


@pytest.mark.parametrize("widths", [pytest.param((200,), marks=pytest.mark.slow), (16, 64, 200)])
def test_lanes_under_vmap_stop_each_at_its_own_epoch(widths):
    """A lane that has stopped is frozen: losses and weights are those of the lane alone."""
    params = [init_params(jax.random.key(i), (30, 64, 64, 1)) for i in range(3)]
    data_ = [padded(*data(n, seed=n), 250) for n in (8, 60, 210)]
    keys = [jax.random.key(i) for i in range(3)]
    run = jax.tree_util.Partial(train, widths=widths)
    stacked = (
        jax.tree.map(lambda *a: jnp.stack(a), *params),
        *map(jnp.stack, zip(*data_, strict=True)),
    )
    lanes, fits = jax.jit(jax.vmap(run))(jnp.stack(keys), *stacked)
    assert len(set(fits.epochs.tolist())) > 1
    for i in range(3):
        alone, fit = jax.jit(run)(keys[i], params[i], *data_[i])
        np.testing.assert_allclose(fits.losses[i, :20], fit.losses[:20], rtol=1e-3)
        assert abs(int(fits.epochs[i]) - int(fit.epochs)) <= 3
        assert int(np.isfinite(fits.losses[i]).sum()) == int(fits.epochs[i])
        chex.assert_tree_all_finite(jax.tree.map(lambda a, i=i: a[i], lanes))
        if int(fits.epochs[i]) == int(fit.epochs):
            lane = jax.tree.map(lambda a, i=i: a[i], lanes)
            chex.assert_trees_all_close(lane, alone, atol=5e-3)


def test_initial_weights_fill_scikit_learns_bound():
    params = init_params(jax.random.key(0), (30, 1000, 1))
    for (weight, bias), fan in zip(params, (1030, 1001), strict=True):
        bound = (6 / fan) ** 0.5
        for values in (weight, bias):
            assert np.abs(values).max() <= bound
        assert np.abs(weight).max() > 0.98 * bound
        assert abs(np.std(weight) - bound / 3**0.5) < 0.05 * bound


def test_adam_is_optax_adam_but_for_epsilon():
    """With a tiny epsilon the two agree; with a large one, ours follows the closed form."""
    gradients = [{"a": jnp.array([0.3, -2.0, 1e-3]) * (i + 1)} for i in range(5)]
    params = {"a": jnp.zeros(3)}
    ours, theirs = scale_by_adam_late_eps(1e-2, eps=1e-30), optax.adam(1e-2, eps=1e-30)
    state, other = ours.init(params), theirs.init(params)
    _, state = ours.update({"a": jnp.zeros(3)}, state)  # the no-op that `train` begins with
    for gradient in gradients:
        step, state = ours.update(gradient, state)
        expected, other = theirs.update(gradient, other)
        chex.assert_trees_all_close(step, expected, rtol=1e-4)  # optax's float32 1 - b^t

    ours = scale_by_adam_late_eps(1e-2, eps=0.5)
    _, state = ours.update({"a": jnp.zeros(3)}, ours.init(params))
    step, _ = ours.update({"a": jnp.array([2.0, 0.0, -4.0])}, state)
    g = np.array([2.0, 0.0, -4.0])
    rate = 1e-2 * (1 - 0.999) ** 0.5 / (1 - 0.9)
    expected = -rate * 0.1 * g / (np.abs(g) * 0.001**0.5 + 0.5)
    np.testing.assert_allclose(step["a"], expected, rtol=1e-5)


@pytest.mark.slow  # of every predictor: quick in test_predictors
def test_nothing_to_fit_is_harmless():
    fit = build((16,), max_epochs=15).fit
    params = fit(jax.random.key(0), jnp.zeros((20, 30)), jnp.zeros(20), jnp.zeros(20, bool))
    chex.assert_tree_all_finite(params)


def test_widths_end_at_scikit_learns_batch():
    assert CPU_WIDTHS[-1] == 200
    assert list(CPU_WIDTHS) == sorted(CPU_WIDTHS)
