"""Supernets compute the same whatever JAX is set to in the user's process."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import LONG
from flax import nnx
from mobilenet_calls import TINY

from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.supernets import recipe
from weaknas_jax.supernets.data import augment
from weaknas_jax.supernets.data.images import Batch, normalized
from weaknas_jax.supernets.mobilenet import (
    evaluate,
    subnet,
    train_many,
    train_subnet,
    train_supernet,
)
from weaknas_jax.supernets.mobilenet.supernet import Supernet, forward
from weaknas_jax.supernets.training import Data

ARCH = archs.smallest(TINY)
KEYS = jax.random.split(jax.random.key(1), 1)


@contextlib.contextmanager
def odd():
    """As a user's process may have it."""
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.threefry_partitionable(False),
    ):
        yield


def pictures():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 16).astype(np.int32)
    pixels = rng.integers(0, 255, (16, 16, 16, 3)).astype(np.uint8)
    return Batch(pixels, labels, np.arange(16, dtype=np.int32), np.ones(16, bool))


def used():
    """What a supernet gives, by name."""
    batch, net = pictures(), Supernet(TINY, nnx.Rngs(0))
    images = normalized(batch.images)
    return {
        "supernet": nnx.state(net),
        "subnet": nnx.state(subnet.extract(net, ARCH)),
        "logits": jax.jit(lambda net, x: forward(net, x, ARCH, "masks")[0])(net, images),
        "inherited": evaluate.inherited(net, [batch], [batch], "masks")(ARCH),
        "erased": jax.jit(augment.erased)(jax.random.key(2), images),
    }


def trained():
    """What training comes to, by name."""
    batch, net = pictures(), Supernet(TINY, nnx.Rngs(0))
    data = Data(batch.images, batch.labels)
    static = subnet.Static(TINY, ARCH, nnx.Rngs(0))
    made = train_subnet.make(static, recipe.Recipe(epochs=2, warmup=0), 2)
    state, loss = jax.jit(made.step)(made.init(), batch, jax.random.key(0))
    plan = train_supernet.stages(TINY, (1, 1, 1, 1))
    some = archs.Arch(*(part[None] for part in ARCH))
    runs = train_many.start(TINY, some, KEYS)
    return {
        "recipe": (recipe.arrays(state), loss),
        "shrunk": train_supernet.train(net, plan, data, batch=8, how="masks"),
        "many": train_many.train(TINY, runs, data, steps=1, batch=8),
        "accuracy": evaluate.accuracy(net, ARCH, batch.images[None], data.batches(8), "masks"),
    }


@pytest.mark.parametrize("computed", [used, pytest.param(trained, marks=LONG)])
def test_the_numbers_do_not_depend_on_the_settings_of_jax(computed):
    usual = computed()
    with odd():
        assert jnp.ones(1).dtype == jnp.float64
        other = computed()
    for name, tree in usual.items():
        pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other[name]), strict=True)
        for one, two in pairs:
            if isinstance(one, jax.Array) and jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
                one, two = jax.random.key_data(one), jax.random.key_data(two)
            assert np.asarray(one).dtype == np.asarray(two).dtype, name
            np.testing.assert_array_equal(one, two, err_msg=name)
