"""Progressive shrinking, and networks trained from scratch in one program."""

import dataclasses

import jax
import jax.numpy as jnp
import mobilenet_calls
import numpy as np
import optax
import pytest
from flax import nnx

from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.supernets import training, weight_sharing
from weaknas_jax.supernets.mobilenet import (
    evaluate,
    recalibrate,
    subnet,
    train_many,
    train_supernet,
)
from weaknas_jax.supernets.mobilenet.supernet import Supernet, forward
from weaknas_jax.supernets.training import Data

TINY = dataclasses.replace(mobilenet_calls.TINY, expansions=(2, 4), image_size=8, classes=3)
LARGEST = archs.largest(TINY)


@pytest.fixture(scope="module")
def data():
    """Classes that differ in colour, under noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 96).astype(np.int32)
    images = 60 + 60 * np.eye(3)[labels][:, None, None] + 30 * rng.normal(size=(96, 8, 8, 3))
    return Data(np.clip(images, 0, 255).astype(np.uint8), labels)


@pytest.fixture(scope="module")
def net():
    return Supernet(TINY, nnx.Rngs(0))


def test_sorted_channels_leave_the_largest_network_as_it_was(net, data):
    noisy, rng = nnx.clone(net), np.random.default_rng(1)
    state = nnx.state(noisy)
    nnx.update(noisy, jax.tree.map(lambda a: a + 0.1 * abs(rng.normal(size=a.shape)), state))
    images = training.normalized(jnp.asarray(data.images[:8]))
    ordered = train_supernet.by_importance(noisy)
    apply = jax.jit(lambda net: forward(net, images, LARGEST, "masks")[0])
    before, after = apply(noisy), apply(ordered)
    np.testing.assert_allclose(before, after, atol=1e-5)
    weights = zip(noisy.blocks, ordered.blocks, strict=True)
    for was, block in ((a.full, b.full) for a, b in weights):
        importance = jnp.abs(block.project[...]).sum(axis=1)
        assert (jnp.diff(importance) <= 0).all()
        assert (jnp.diff(jnp.abs(block.squeeze.expand[...]).sum(axis=1)) <= 0).all()
        assert not np.array_equal(was.project[...], block.project[...])


def test_a_stage_opens_one_more_choice():
    plan = train_supernet.stages(TINY, (1, 2, 3, 4))
    assert [stage.steps for stage in plan] == [1, 2, 3, 4]
    rng, seen = np.random.default_rng(0), []
    for stage in plan:
        found = train_supernet.sample(TINY, stage, rng, (50, 2))
        assert found.depths.shape == (50, 2, 1)
        seen.append([np.unique(part).tolist() for part in found])
    kernels, widths, depths = [3, 5], [2, 4], [1, 2]
    assert seen == [
        [[5], [4], [2]],
        [kernels, [4], [2]],
        [kernels, [4], depths],
        [kernels, widths, depths],
    ]


@pytest.mark.slow  # a small supernet learns quickly in test_any_network
def test_shrinking_learns_and_kernel_matrices_move(net, data):
    seen = []
    plan = train_supernet.stages(TINY, (20, 10, 10, 20), rate=1e-2, later=5e-3)
    trained, losses = train_supernet.train(
        net, plan, data, batch=16, chunk=10, each=2, how="masks",
        progress=lambda stage, done, loss: seen.append((stage.name, done)),
    )  # fmt: skip
    assert [name for name, _ in seen] == ["largest"] * 2 + ["kernel", "depth"] + ["width"] * 2
    assert losses.shape == (60,)
    assert losses[-10:].mean() < 0.6 * losses[:5].mean()
    matrix = trained.blocks[1].smaller.matrices[0][...]
    assert np.abs(matrix - np.eye(9)).max() > 1e-4
    assert np.array_equal(net.blocks[1].smaller.matrices[0][...], np.eye(9))
    calibration = jnp.asarray(data.images).reshape(3, 32, 8, 8, 3)
    for arch in (LARGEST, archs.smallest(TINY)):
        found = evaluate.accuracy(trained, arch, calibration, data.batches(32), "masks")
        assert found > 80


def test_the_gradient_of_distillation_leads_to_the_teacher():
    target = jax.nn.softmax(jnp.array([[2.0, 0.0, -1.0]]))
    labels, logits = jnp.array([1]), jnp.zeros((1, 3))

    def gradient(weight):
        return jax.grad(lambda x: weight_sharing.losses(x, labels, target, weight)[0])(logits)

    pull = gradient(1.0) - gradient(0.0)
    np.testing.assert_allclose(pull, jax.nn.softmax(logits) - target, atol=1e-6)
    assert (
        weight_sharing.losses(logits, labels, target, 3.0)[1]
        == weight_sharing.losses(logits, labels, target, 0)[1]
    )


@pytest.fixture(scope="module")
def population():
    some = archs.random(TINY, np.random.default_rng(3), 3)
    some.depths[:, 0] = 1, 2, 2
    some.kernels[:2], some.expansions[:2] = 3, 2
    return some, jax.random.split(jax.random.key(5), 3)


def trained(population, data, rows, **more):
    some, keys = population
    part = jax.tree.map(lambda a: a[rows], some)
    runs = train_many.start(TINY, part, keys[rows])
    settings = {"steps": 6, "rate": 1e-2, "batch": 16, "chunk": 3} | more
    return runs, *train_many.train(TINY, runs, data, **settings)


@pytest.fixture(scope="module")
def three(population, data):
    """Three networks before and after, and their losses."""
    return trained(population, data, np.arange(3), how="masks")


@pytest.mark.slow  # forward passes are compared in test_supernet
def test_a_masked_network_learns_as_the_network_by_itself(three, data):
    """Functions are compared, not arrays: Adam moves a bias that batch normalisation takes away
    by what is nothing but rounding."""
    before, after, losses = three
    start, end = (list(train_many.networks(TINY, runs)) for runs in (before, after))
    rates, placed = training.rates(1e-2, 6), Data(*map(jnp.asarray, data))
    arch = jax.tree.map(np.asarray, start[0][1])
    graph, params, rest = nnx.split(subnet.extract(start[0][0], arch), nnx.Param, ...)

    @jax.jit
    def step(params, state, key, rate):
        images, labels = training.drawn(key, placed, 16)

        def loss(params):
            logits, _ = subnet.forward(nnx.merge(graph, params, rest), images, fresh=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = training.optimizer().update(gradient, state, params)
        return training.stepped(params, updates, rate), state, value

    state, values = training.optimizer().init(params), []
    for number in range(6):
        key = jax.random.fold_in(before.keys[0], number)
        params, state, value = step(params, state, key, rates[number])
        values.append(value)
    np.testing.assert_allclose(losses[0], values, rtol=1e-3)
    images = training.normalized(placed.images[:32])
    masked = subnet.extract(end[0][0], arch)
    apply = jax.jit(lambda net: subnet.forward(net, images, fresh=True)[0])
    expected = apply(nnx.merge(graph, params, rest))
    np.testing.assert_allclose(apply(masked), expected, atol=5e-3)
    assert np.abs(apply(subnet.extract(start[0][0], arch)) - expected).max() > 0.1


@pytest.mark.slow  # forward passes are compared in test_supernet
@pytest.mark.long
def test_masks_and_branches_train_alike(three, population, data):
    _, _, losses = trained(population, data, np.arange(3), how="branches")
    np.testing.assert_allclose(losses, three[2], rtol=1e-3)


def test_what_a_network_lacks_stays_as_it_was_drawn(three):
    before, after, _ = three
    (first, arch), *_ = train_many.networks(TINY, before)
    (last, _), *_ = train_many.networks(TINY, after)
    assert (int(arch.depths[0]), int(arch.kernels[0]), int(arch.expansions[0])) == (1, 3, 2)
    was, block, middle = first.blocks[0].full, last.blocks[0].full, 16
    np.testing.assert_array_equal(block.expand[:, middle:], was.expand[:, middle:])
    np.testing.assert_array_equal(block.project[middle:], was.project[middle:])
    np.testing.assert_array_equal(block.depthwise[0], was.depthwise[0])
    assert np.abs(block.depthwise[1:4, 1:4, :middle] - was.depthwise[1:4, 1:4, :middle]).min() > 0
    blocks = (nnx.state(net.blocks[1], nnx.Param) for net in (first, last))
    jax.tree.map(np.testing.assert_array_equal, *blocks)  # not active
    for net in (first, last):
        np.testing.assert_array_equal(net.blocks[0].smaller.matrices[0][...], np.eye(9))


@pytest.mark.slow  # what a network lacks is above; many at once: test_any_network
def test_a_network_does_not_see_its_neighbours(three, population, data):
    _, together, losses = three
    _, alone, own = trained(population, data, np.arange(1, 2))
    np.testing.assert_allclose(losses[1], own[0], rtol=1e-4)
    assert abs(losses[1] - losses[2]).max() > 1e-2
    one, other = (runs.params["ends"]["stem"] for runs in (together, alone))
    np.testing.assert_allclose(one[1], other[0], atol=1e-4)


@pytest.mark.slow  # networks of one program are above
@pytest.mark.long
def test_threads_change_nothing(three, population, data):
    _, together, losses = three
    _, apart, same = trained(population, data, np.array([1, 2]), workers=2)
    np.testing.assert_allclose(losses[1:], same, rtol=1e-4)
    one, other = (runs.params["ends"]["stem"] for runs in (together, apart))
    np.testing.assert_allclose(one[1], other[0], atol=1e-4)


def test_statistics_are_of_training_images_alone(net, data):
    calibration = jnp.asarray(data.images).reshape(3, 32, 8, 8, 3)
    tested = Data(data.images[:30], data.labels[:30]).batches(10)
    found = evaluate.accuracy(net, LARGEST, calibration, tested, "masks")

    @jax.jit
    def apply(net, calibration, images):
        ready = recalibrate.recalibrated(net, LARGEST, training.normalized(calibration), "masks")
        return forward(ready, training.normalized(images), LARGEST, "masks")[0]

    logits = apply(net, calibration, jnp.asarray(data.images[:30]))
    assert found == pytest.approx(100 * np.mean(np.argmax(logits, -1) == data.labels[:30]))
