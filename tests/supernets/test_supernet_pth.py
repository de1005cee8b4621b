"""The supernet's weights from files of PyTorch."""

import jax
import numpy as np
import pytest
from flax import nnx
from mobilenet_calls import TINY

from weaknas_jax import TableError
from weaknas_jax.supernets.mobilenet import supernet, weights

torch = pytest.importorskip("torch", reason="the extra 'official' (PyTorch) is not installed")


@pytest.fixture(scope="module")
def net():
    return supernet.Supernet(TINY, nnx.Rngs(0))


@pytest.fixture(scope="module")
def tensors(net):
    return {name: torch.from_numpy(np.array(t)) for name, t in weights.state_dict(net).items()}


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_is_read(net, tensors, wrapped, zipped, tmp_path):
    content = {"state_dict": tensors} if wrapped else tensors
    torch.save(content, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    read = weights.read(tmp_path / "net.pth", TINY)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(read), nnx.state(net))


def test_convolutions_have_pytorchs_layout(net, tensors):
    """The stem and the first 1x1 convolution, by PyTorch itself."""
    x = np.random.default_rng(0).standard_normal((2, 9, 9, 3)).astype(np.float32)
    images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    theirs = torch.nn.functional.conv2d(
        images, tensors["first_conv.conv.weight"], stride=2, padding=1
    )
    ours = jax.lax.conv_general_dilated(
        x,
        net.ends.stem[...],
        (2, 2),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(ours, theirs.numpy().transpose(0, 2, 3, 1), atol=1e-5)
    point = torch.nn.functional.conv2d(theirs, tensors["blocks.0.conv.point_linear.conv.weight"])
    expected = point.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(ours @ net.ends.project[...], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weights": 3}, "holds no state_dict"),
        ([1, 2], "holds no state_dict"),
        (
            {"state_dict": {"first_conv.conv.weight": torch.zeros(8, 3, 3, 3)}},
            "missing: first_conv",
        ),
    ],
)
def test_other_content_is_named(content, message, tmp_path):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(weights.WeightsError, match=rf"net\.pth: {message}"):
        weights.read(tmp_path / "net.pth", TINY)


def test_a_truncated_file_is_named(tensors, tmp_path):
    torch.save(tensors, tmp_path / "net.pth")
    whole = (tmp_path / "net.pth").read_bytes()
    (tmp_path / "net.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TableError, match=r"net\.pth: cannot be read .*nothing in it was run"):
        weights.read(tmp_path / "net.pth", TINY)
