"""The network of a NAS-Bench-201 cell (Dong & Yang, ICLR 2020), as a Flax NNX module.

A 3x3 convolution to 16 channels; three stages of five cells of 16, 32 and 64 channels, with a
residual block of stride 2 before the second and the third; batch norm, ReLU, the mean over all
positions and a linear layer. Parameters are those that the benchmark counts, with convolutions on
unused edges. Weights are initialized as in PyTorch.

Known deviations: none in the computation; running variances are the biased ones.
"""

from collections.abc import Sequence

import jax
from flax import nnx

from weaknas_jax.networks.initial import uniform
from weaknas_jax.spaces.nasbench201 import EDGES, OPS

CELLS = 5  # cells per stage
CHANNELS = (16, 32, 64)
_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


def _convolution(channels: tuple[int, int], size: int, rngs: nnx.Rngs, stride: int = 1) -> nnx.Conv:
    return nnx.Conv(
        *channels,
        (size, size),
        strides=stride,
        padding=size // 2,
        use_bias=False,
        kernel_init=uniform,
        rngs=rngs,
    )


def _norm(channels: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(channels, momentum=0.9, epsilon=1e-5, rngs=rngs)


class ReluConvNorm(nnx.Module):
    """ReLU, a convolution without bias, batch norm."""

    def __init__(self, channels: tuple[int, int], size: int, rngs: nnx.Rngs, stride: int = 1):
        self.conv = _convolution(channels, size, rngs, stride)
        self.norm = _norm(channels[1], rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.norm(self.conv(nnx.relu(x)))


class Skip(nnx.Module):
    """The identity."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


class Pool(nnx.Module):
    """3x3 average pooling without padding in the average."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


class Cell(nnx.Module):
    """A cell: each node sums its edges, each an operation on an earlier node.

    Args:
      ops: the six operations, indices into `OPS`, in the order of `EDGES`.
      channels: channels of all nodes.
    """

    def __init__(self, ops: Sequence[int], channels: int, rngs: nnx.Rngs):
        self.edges = nnx.Dict()
        for (source, target), op in zip(EDGES, ops, strict=True):
            if OPS[op] == "none":
                continue
            if OPS[op] in _KERNELS:
                edge = ReluConvNorm((channels, channels), _KERNELS[OPS[op]], rngs)
            else:
                edge = Skip() if OPS[op] == "skip_connect" else Pool()
            self.edges[f"from_{source}_to_{target}"] = edge

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to the same."""
        nodes = [x] + [0 * x] * 3
        for source, target in EDGES:
            name = f"from_{source}_to_{target}"
            if name in self.edges:
                nodes[target] = nodes[target] + self.edges[name](nodes[source])
        return nodes[3]


class Reduction(nnx.Module):
    """A residual block that halves height and width: two convolutions, and 2x2 average pooling."""

    def __init__(self, before: int, after: int, rngs: nnx.Rngs):
        self.first = ReluConvNorm((before, after), 3, rngs, stride=2)
        self.second = ReluConvNorm((after, after), 3, rngs)
        self.shortcut = _convolution((before, after), 1, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, before] to [B, H / 2, W / 2, after]."""
        beside = self.shortcut(nnx.avg_pool(x, (2, 2), (2, 2)))
        return beside + self.second(self.first(x))


class Network(nnx.Module):
    """The whole network.

    Args:
      ops: the six operations of its cell (`spaces.nasbench201.parse`).
      classes: number of classes.
      rngs: its stream ``params`` draws the weights.
    """

    def __init__(self, ops: Sequence[int], classes: int, rngs: nnx.Rngs):
        self.ops = tuple(int(op) for op in ops)
        self.stem = _convolution((3, CHANNELS[0]), 3, rngs)
        self.stem_norm = _norm(CHANNELS[0], rngs)
        self.blocks, before = nnx.List(), CHANNELS[0]
        for channels in CHANNELS:
            if channels != before:
                self.blocks.append(Reduction(before, channels, rngs))
            self.blocks.extend([Cell(self.ops, channels, rngs) for _ in range(CELLS)])
            before = channels
        self.norm = _norm(before, rngs)
        self.classifier = nnx.Linear(before, classes, kernel_init=uniform, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits [B, classes] of images [B, H, W, 3].

        Raises:
          ValueError: height or width is not a multiple of 4.
        """
        if any(side % 4 for side in images.shape[1:3]):
            size = " x ".join(map(str, images.shape[1:3]))
            raise ValueError(f"image size {size}: a NAS-Bench-201 network needs multiples of 4")
        x = self.stem_norm(self.stem(images))
        for block in self.blocks:
            x = block(x)
        return self.classifier(nnx.relu(self.norm(x)).mean(axis=(1, 2)))
