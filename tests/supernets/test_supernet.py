"""The supernet against itself: both ways of running it, the static network, plain NumPy."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config, cost
from weaknas_jax.supernets.mobilenet import layers, recalibrate, subnet, weights
from weaknas_jax.supernets.mobilenet.supernet import forward

CONFIG = config.SupernetConfig(
    stem=8,
    first=8,
    stages=(16, 24),
    strides=(1, 2),
    hard_swish=(False, True),
    squeeze=(False, True),
    depths=(1, 2),
    kernels=(3, 5, 7),
    expansions=(2, 4),
    final_expand=32,
    feature_mix=32,
    image_size=16,
    classes=5,
)
POPULATION = archs.random(CONFIG, np.random.default_rng(1), 4)
ALONE = [jax.tree.map(lambda part, i=i: part[i], POPULATION) for i in range(4)]


@pytest.fixture(scope="module")
def net():
    """All arrays drawn, so that none of them is without effect."""
    net, rng = weights.blank(CONFIG), np.random.default_rng(0)
    tensors = {}
    for entry in weights.entries(net):
        if entry.variable is not None:
            shape = entry.store(np.empty(entry.variable.shape)).shape
            drawn = rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
            small = 0.1 * rng.normal(size=shape)
            if entry.name.endswith("matrix"):
                drawn = np.eye(len(drawn)) + small
            elif ".bn." in entry.name and entry.name.endswith((".weight", "var")):
                drawn = 1 + abs(small)
            elif len(shape) == 1:
                drawn = small
            tensors[entry.name] = drawn
    weights.load(net, tensors)
    return net


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(2), (3, 4, 16, 16, 3))


@pytest.fixture(scope="module")
def programs():
    """Before and after recalibration, in both ways; each traced once for all sub-networks."""
    traces = []

    def program(how):
        @jax.jit
        def apply(net, images, arch):
            traces.append(how)
            return forward(net, images, arch, how)[0]

        @jax.jit
        def statistics(net, images, arch):
            traces.append(how)
            return recalibrate.statistics(net, arch, images, how)

        def run(net, images, arch):
            found = statistics(net, images, arch)
            other = recalibrate.with_statistics(net, found)
            return apply(net, images[0], arch), apply(other, images[0], arch), found

        return run

    return {how: program(how) for how in ("masks", "branches")}, traces


def test_masks_branches_and_the_static_network_agree(net, images, programs):
    compiled, traces = programs
    apply = jax.jit(lambda network, x: network(x))
    for arch in ALONE[:3]:
        masks, branches = (compiled[how](net, images, arch) for how in ("masks", "branches"))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), masks, branches)
        before, after, found = branches
        assert np.abs(before - after).max() > 1e-2
        np.testing.assert_allclose(apply(subnet.extract(net, arch), images[0]), before, atol=1e-5)
        extracted = subnet.extract(recalibrate.with_statistics(net, found), arch)
        np.testing.assert_allclose(apply(extracted, images[0]), after, atol=1e-5)
        parameters = sum(a.size for a in jax.tree.leaves(nnx.state(extracted, nnx.Param)))
        assert parameters == cost.parameters(CONFIG, arch)
    assert sorted(traces) == ["branches"] * 2 + ["masks"] * 2


def test_a_population_is_one_pass(net, images, programs):
    def one(arch):
        return forward(net, images[0], arch, "masks")[0]

    together = jax.jit(jax.vmap(one))(POPULATION)
    for i, arch in enumerate(ALONE):
        before, *_ = programs[0]["masks"](net, images, arch)
        np.testing.assert_allclose(together[i], before, atol=2e-5)


def test_statistics_are_means_over_batches_and_the_rest_stays(net, images, programs):
    arch = archs.smallest(CONFIG)
    *_, found = programs[0]["branches"](net, images, arch)
    (mean, var), *_ = found[0]
    each = [
        jax.lax.conv_general_dilated(
            batch,
            net.ends.stem[...],
            (2, 2),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        for batch in images
    ]
    means = np.mean([np.mean(x, axis=(0, 1, 2)) for x in each], axis=0)
    np.testing.assert_allclose(mean, means, atol=1e-5)
    np.testing.assert_allclose(
        var, np.mean([np.var(x, axis=(0, 1, 2)) for x in each], axis=0), atol=1e-5
    )
    block, full = CONFIG.blocks[0], net.blocks[0].full
    middle = block.middles[0]
    (mean, _), *_ = found[1][0]
    np.testing.assert_array_equal(mean[middle:], full.expand_norm.mean[middle:])
    assert np.abs(mean[:middle] - full.expand_norm.mean[:middle]).min() > 0
    (mean, _), *_ = found[1][1]  # a block that is not active
    np.testing.assert_array_equal(mean, net.blocks[1].full.expand_norm.mean[...])
    pooled = recalibrate.pooled([(1, found), (3, jax.tree.map(lambda a: a + 4, found))])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b + 3, atol=1e-5), pooled, found)


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [7, 8])
def test_depthwise_is_a_grouped_convolution(kernel, stride, side):
    x = jax.random.normal(jax.random.key(0), (2, side, side + 1, 6))
    weight = jax.random.normal(jax.random.key(1), (kernel, kernel, 6))
    pad = (kernel // 2, kernel // 2)
    expected = jax.lax.conv_general_dilated(
        x,
        weight[:, :, None],
        (stride, stride),
        (pad, pad),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=6,
    )
    np.testing.assert_allclose(layers.depthwise(x, weight, stride), expected, atol=1e-5)


def test_a_smaller_kernel_is_the_matrix_times_the_centre():
    rng = np.random.default_rng(0)
    stored, to5, to3 = (
        rng.normal(size=(7, 7, 2)),
        rng.normal(size=(25, 25)),
        rng.normal(size=(9, 9)),
    )
    matrices = [jnp.asarray(to5), jnp.asarray(to3)]
    five = np.stack([(to5 @ stored[1:6, 1:6, c].ravel()).reshape(5, 5) for c in (0, 1)], axis=-1)
    three = np.stack([(to3 @ five[1:4, 1:4, c].ravel()).reshape(3, 3) for c in (0, 1)], axis=-1)
    for size, expected in ((7, stored), (5, five), (3, three)):
        found = layers.elastic_kernel(jnp.asarray(stored), matrices, size)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_image_that_is_too_small_is_refused(net):
    with pytest.raises(ValueError, match="image size 2: the network needs at least 3 pixels"):
        net(jnp.zeros((1, 2, 2, 3)), archs.smallest(CONFIG))


def test_weights_go_to_pytorchs_names_and_back(net):
    tensors = weights.state_dict(net)
    assert tensors["blocks.3.conv.depth_conv.conv.conv.weight"].shape == (64, 1, 7, 7)
    other = weights.blank(CONFIG)
    old = {
        re.sub(r"^(blocks\.\d+)\.conv\.", r"\1.mobile_inverted_conv.", name)
        .replace(".bn.bn.", ".bn.")
        .replace(".conv.conv.weight", ".conv.weight")
        .replace(".linear.", ".linear.linear."): tensor
        for name, tensor in tensors.items()
        if "num_batches" not in name
    }
    assert len(set(old) - set(tensors)) > 50
    weights.load(other, old)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(other), nnx.state(net))


def test_weights_that_do_not_fit_are_named(net):
    tensors = weights.state_dict(net)
    name = "blocks.2.conv.point_linear.conv.conv.weight"
    cases = {
        f"missing: {name}": {k: v for k, v in tensors.items() if k != name},
        "unused: blocks.9.bias": tensors | {"blocks.9.bias": np.zeros(3)},
        rf"{name}: has shape \(1, 2\), and \(16, 64, 1, 1\) is needed": tensors
        | {name: np.zeros((1, 2))},
        "are the same tensor": tensors
        | {"blocks.2.mobile_inverted_conv.point_linear.conv.weight": tensors[name]},
    }
    before = jax.tree.map(np.array, nnx.state(net))
    for message, case in cases.items():
        with pytest.raises(weights.WeightsError, match=message):
            weights.load(net, case)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(net), before)
