"""The supernet of width 1.2 against outputs of the original PyTorch code on seeded weights."""

import json
import os
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config
from weaknas_jax.supernets.mobilenet import layers, recalibrate, subnet, weights
from weaknas_jax.supernets.mobilenet.supernet import forward, kernels_of

SOURCE = Path(os.environ.get("WEAKNAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
OFA = SOURCE / "ofa"
pytestmark = pytest.mark.skipif(not OFA.exists(), reason=f"{OFA} is not here")
WIDE = config.mobilenet_v3(1.2)


@pytest.fixture(scope="module")
def oracle():
    return dict(np.load(OFA / "oracle_w1.2.npz", allow_pickle=False))


@pytest.fixture(scope="module")
def tensors(oracle):
    """The seeded weights, as a state_dict; running statistics are the oracle's."""
    shapes, found = json.loads((OFA / "state_dict_shapes_w1.2.json").read_text()), {}
    for name, shape in shapes.items():
        if "num_batches_tracked" in name:
            found[name] = np.zeros((), np.int64)
        elif "running_" in name:
            found[name] = oracle[f"base_stat/{name}"]
        else:
            drawn = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
            if name.endswith("_matrix"):
                drawn = np.eye(len(drawn)) + 0.1 * drawn
            elif ".bn." in name and name.endswith(".weight"):
                drawn = 1 + 0.1 * drawn
            elif name.endswith(".bias"):
                drawn = 0.1 * drawn
            else:
                drawn = drawn * np.sqrt(2 / np.prod(shape[1:]))
            found[name] = drawn.astype(np.float32)
    return found


@pytest.fixture(scope="module")
def net(tensors):
    net = weights.blank(WIDE)
    weights.load(net, tensors)
    return net


@pytest.fixture(scope="module")
def images():
    """Eight test images, and three batches of 16 to recalibrate on."""
    mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)
    stored = np.load(OFA / "inputs.npz", allow_pickle=False)
    test, batches = (
        (stored[name] / np.float32(255) - mean) / std for name in ("images_u8", "calib_u8")
    )
    return jnp.asarray(test), jnp.asarray(batches.reshape(3, 16, 236, 236, 3))


@pytest.fixture(scope="module")
def noise():
    drawn = np.random.RandomState(0).standard_normal((8, 3, 160, 160)).astype(np.float32)
    return jnp.asarray(drawn.transpose(0, 2, 3, 1))


def test_all_475_tensors_go_both_ways(net, tensors):
    back = weights.state_dict(net)
    assert len(back) == 475
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        np.testing.assert_array_equal(back[name], tensor, err_msg=name)
    assert sum(a.size for a in jax.tree.leaves(nnx.state(net, nnx.Param))) == 10_715_752


@pytest.mark.parametrize("width", ["1.0", "1.2"])
def test_shapes_are_those_of_the_original(width):
    theirs = json.loads((OFA / f"state_dict_shapes_w{width}.json").read_text())
    ours = {}
    for entry in weights.entries(weights.blank(config.mobilenet_v3(float(width)))):
        shape = () if entry.variable is None else entry.variable.shape
        ours[entry.name] = list(entry.store(np.empty(shape)).shape)
    assert ours == theirs


def test_kernels_are_the_original_ones(net, oracle):
    for number in (1, 10, 20):
        kernels = kernels_of(WIDE, net.blocks[number - 1], 16)
        for size, kernel in kernels.items():
            theirs = oracle[f"kernel/block{number}/k{size}_first16"][:, 0].transpose(1, 2, 0)
            np.testing.assert_allclose(kernel, theirs, atol=1e-5)


def difference(ours, theirs) -> tuple[float, float]:
    """The largest, and the largest of theirs."""
    assert np.shape(ours) == np.shape(theirs)
    return np.abs(ours - theirs).max(), np.abs(theirs).max()


@pytest.mark.long
@pytest.mark.slow  # features of one sub-network are below, both ways in test_supernet.py
def test_logits_and_statistics_are_the_original_ones(net, oracle, images, noise):
    """One program for all sub-networks, by branches; and by masks on the random inputs."""
    test, batches = images

    @jax.jit
    def run(net, arch):
        before, _ = forward(net, test, arch, "branches")
        new = recalibrate.recalibrated(net, arch, batches, "branches")
        return before, forward(new, test, arch, "branches")[0], new

    on_noise = jax.jit(lambda net, arch: forward(net, noise, arch, "masks")[0])
    for name in archs.NAMES:
        arch = archs.named(WIDE, name)
        before, after, new = run(net, arch)
        apart = {
            "logits_images": before,
            "logits_images_recal": after,
            "logits_random": on_noise(net, arch),
            "logits_random_recal": on_noise(new, arch),
        }
        apart = {key: difference(ours, oracle[f"{name}/{key}"]) for key, ours in apart.items()}
        found, prefix = weights.state_dict(new), f"{name}/recal_stat/"
        checked = [key for key in oracle if key.startswith(prefix)]
        assert len(checked) >= 60
        statistics = max(
            np.divide(*difference(found.pop(key.removeprefix(prefix)), oracle[key]))
            for key in checked
        )
        for key, (largest, scale) in apart.items():
            print(f"{name} {key}: within {largest:.1e} of up to {scale:.3g}")
            # logits of noise reach 70 after recalibration on images
            assert largest <= 1e-4 * (1 if "images" in key else max(1.0, scale / 10))
        print(f"{name} statistics: within {statistics:.1e} of the largest")
        assert statistics <= 2e-5
        stayed = [key for key in found if "running_" in key]
        for key in stayed:
            np.testing.assert_array_equal(found[key], oracle[f"base_stat/{key}"])


def test_features_of_every_stage_are_the_original_ones(net, oracle, noise):
    name = "weaknas_1000"
    tensors = weights.state_dict(net)
    prefix = f"{name}/recal_stat/"
    tensors |= {k.removeprefix(prefix): v for k, v in oracle.items() if k.startswith(prefix)}
    recalibrated = weights.blank(WIDE)
    weights.load(recalibrated, tensors)
    network = subnet.extract(recalibrated, archs.named(WIDE, name))

    @jax.jit
    def features(network, x):
        x, _ = layers.beginning(network.ends, x, 2, False)
        found = {"block0": x}
        for block, of_block in zip(network.geometry, network.blocks, strict=True):
            x, _ = layers.inverted(of_block, block, x, False)
            found[f"stage{block.stage + 1}"] = x
        return found

    for stage, feature in features(network, noise[:2]).items():
        at = f"{name}/feat_random_recal/{stage}"
        shape = oracle[f"{at}/shape"]
        assert feature.shape == (2, *shape[2:], shape[1])
        scale = np.abs(oracle[f"{at}/slice"]).max()
        part = feature[0, :6, :6, :16].transpose(2, 0, 1)
        np.testing.assert_allclose(part, oracle[f"{at}/slice"], atol=2e-5 * max(1.0, scale))
        means = feature.mean(axis=(1, 2))
        np.testing.assert_allclose(means, oracle[f"{at}/mean_hw"][:2], atol=2e-5 * max(1.0, scale))
