"""What `supernets/` does for networks that are no MobileNet: recipe, shared weights, search."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from weaknas_jax.search import methods
from weaknas_jax.spaces.choices import Choices, ordinal
from weaknas_jax.supernets import (
    evaluation,
    recalibration,
    recipe,
    search,
    search_report,
    train_many,
    weight_sharing,
)
from weaknas_jax.supernets.data.images import Batch, normalized
from weaknas_jax.supernets.training import Data

CLASSES, WIDTHS = 3, (2, 4, 8)


def pictures(rng, count=32):
    """Images of which the class is a colour."""
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    colours = 120 * np.eye(3, dtype=int)[labels][:, None, None]
    pixels = rng.integers(0, 90, (count, 4, 4, 3)) + colours
    return Batch(
        pixels.astype(np.uint8), labels, np.arange(count, dtype=np.int32), np.ones(count, bool)
    )


class Plain(nnx.Module):
    """A network of layers of Flax."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.bn = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.out = nnx.Linear(8, CLASSES, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.bn(self.conv(x))).mean((1, 2))
        return self.out(self.dropout(x))


def trained(steps, **settings):
    settings = {"epochs": 10, "warmup": 0, "rate": 3e-2, "ema": 0.8} | settings
    made = recipe.make(Plain(nnx.Rngs(0)), recipe.Recipe(**settings), 5)
    state, step, losses, rng = made.init(), jax.jit(made.step), [], np.random.default_rng(0)
    for _ in range(steps):
        state, loss = step(state, pictures(rng), jax.random.key(1))
        losses.append(float(loss))
    return made, state, losses


def test_the_recipe_trains_a_network_of_flax_layers():
    made, state, losses = trained(30)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    fresh = pictures(np.random.default_rng(9), 60)
    for averaged in (True, False):
        network = made.network(state, averaged)
        assert int(recipe.count(network, fresh).top1) > 50
        x = normalized(fresh.images)
        np.testing.assert_array_equal(network(x), network(x))  # nothing is dropped any more
    assert np.abs(state.stats["bn"]["mean"][...]).max() > 0.01
    again = recipe.restored(made.init(), recipe.arrays(state))
    jax.tree.map(np.testing.assert_array_equal, again, state)


def test_in_bfloat16_what_normalises_stays_as_it_is():
    seen = {}

    def forward(net, images, key, settings):
        arrays = {"kernel": net.conv.kernel, "scale": net.bn.scale, "images": images}
        seen.update({name: array.dtype.name for name, array in arrays.items()})
        return recipe.forward(net, images, key, settings)

    made = recipe.make(Plain(nnx.Rngs(0)), recipe.Recipe(bf16=True), 5, forward)
    step = jax.jit(made.step)
    state, _ = step(made.init(), pictures(np.random.default_rng(0)), jax.random.key(0))
    assert seen == {"kernel": "bfloat16", "scale": "float32", "images": "bfloat16"}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state.params)} == {"float32"}


def test_what_is_dropped_follows_the_key():
    net, x = Plain(nnx.Rngs(0)), jnp.ones((4, 4, 4, 3))
    one, same, other = (
        recipe.forward(net, x, jax.random.key(seed), recipe.Recipe())[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


# --- a supernet of one elastic layer


class Elastic(nnx.Module):
    """A hidden layer of which a sub-network uses the first channels, normalised; arch: how many."""

    def __init__(self, rngs):
        self.hidden = nnx.Linear(3, WIDTHS[-1], rngs=rngs)
        self.mean = nnx.BatchStat(jnp.zeros(WIDTHS[-1]))
        self.out = nnx.Linear(WIDTHS[-1], CLASSES, rngs=rngs)


def both(net, images, width, fresh):
    """Logits, and the means that normalised."""
    hidden = net.hidden(images.mean((1, 2)))
    uses = jnp.arange(WIDTHS[-1]) < width
    mean = jnp.where(uses, hidden.mean(0), net.mean[...]) if fresh else net.mean[...]
    return net.out(jnp.where(uses, nnx.relu(hidden - mean), 0.0)), mean


def logits(net, images, width):
    return both(net, images, width, True)[0]


def sample(stage, rng, shape):
    return rng.choice(WIDTHS if stage.name == "all" else WIDTHS[-1:], shape)


class Stage:
    def __init__(self, name, steps, rate):
        self.name, self.steps, self.rate = name, steps, rate


def accuracy(net, width, batch):
    """Inherited: recalibrated, then counted."""
    of_batch = functools.partial(lambda images: both(net, normalized(images), width, True)[1])
    own = nnx.clone(net)
    own.mean.set_value(recalibration.of_readable(of_batch, [batch]))
    counts = evaluation.count(lambda images: both(own, images, width, False)[0], batch)
    return 100 * int(counts.top1) / int(counts.images)


def test_a_supernet_of_another_kind_learns_by_shared_weights():
    sharing = weight_sharing.Sharing(logits, lambda net, x: logits(net, x, WIDTHS[-1]), sample)
    plan = [Stage("largest", 40, 5e-2), Stage("all", 80, 3e-2)]
    batch, net = pictures(np.random.default_rng(0), 128), Elastic(nnx.Rngs(0))
    data = Data(batch.images, batch.labels)
    after, losses = weight_sharing.train(net, sharing, plan, data, batch=32, chunk=40)
    assert losses.shape == (120,)
    assert losses[-10:].mean() < 0.6 * losses[:5].mean()
    assert accuracy(after, WIDTHS[-1], batch) > 90
    assert accuracy(after, WIDTHS[-1], batch) > accuracy(net, WIDTHS[-1], batch)


def test_statistics_of_channels_that_are_not_used_stay():
    net = Elastic(nnx.Rngs(0))
    net.mean.set_value(jnp.full(WIDTHS[-1], 7.0))
    images = normalized(pictures(np.random.default_rng(0), 12).images).reshape(3, 4, 4, 4, 3)
    means = recalibration.means(lambda x: both(net, x, 2, True)[1], net.mean[...], images)
    assert (means[2:] == 7).all()
    by_hand = np.mean([net.hidden(x.mean((1, 2))).mean(0) for x in images], axis=0)
    np.testing.assert_allclose(means[:2], by_hand[:2], rtol=1e-5)


def test_many_networks_of_another_kind_are_trained_at_once():
    batch = pictures(np.random.default_rng(0), 64)
    runs = train_many.start(
        lambda key: Elastic(nnx.Rngs(key)),
        nnx.Param,
        np.array([2, 8]),
        jax.random.split(jax.random.key(0), 2),
    )
    graph = nnx.graphdef(Elastic(nnx.Rngs(0)))
    data = Data(batch.images, batch.labels)
    after, losses = train_many.train(graph, logits, runs, data, steps=40, rate=5e-2, batch=32)
    assert losses.shape == (2, 40)
    assert (losses[:, -5:].mean(1) < losses[:, :5].mean(1)).all()
    (narrow, width), (_, other) = train_many.networks(graph, after)
    (before, _), _ = train_many.networks(graph, runs)
    assert (int(width), int(other)) == (2, 8)
    np.testing.assert_array_equal(narrow.out.kernel[2:], before.out.kernel[2:])


class Widths(Choices):
    """Sub-networks of two layers; a network is the pair of their widths."""

    image_size = 4

    def __init__(self):
        super().__init__({"first": ordinal(*range(1, 40)), "second": ordinal(*range(1, 40))})

    def network(self, arch):
        self.codes(arch)
        return arch["first"], arch["second"]

    def name(self, network):
        return "x".join(map(str, network))

    def as_json(self, network):
        return list(network)

    def sizes(self, networks):
        first, second = np.array(networks, np.int64).reshape(-1, 2).T
        return {"multiply_adds": 48 * first * second, "parameters": first * second}


@pytest.mark.parametrize("refresh", [None, 3])
def test_a_search_of_another_kind_of_supernet(tmp_path, refresh):
    method = methods.make("linear", init=4, per_round=2, budget=12)

    def evaluate(network):
        return {"score": float(sum(network)), "depth": 2}

    space = Widths()
    result = search.run(method, space, evaluate, pool=100, refresh=refresh)
    assert result.complete
    assert len({space.name(e.arch) for e in result.evaluations}) == 12
    assert result.best()[0].score == result.curve()[-1] > 60
    findings = search_report.gather([result], space)
    summary = search_report.summarize(findings)
    assert len(search_report.save(tmp_path, findings, summary)) == 4
    best = summary["best"][0]
    assert best["arch"] == list(result.best()[0].arch)
    assert best["multiply_adds"] == 48 * best["parameters"] == 48 * np.prod(best["arch"])
