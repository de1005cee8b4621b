"""The network of a NAS-Bench-101 cell (Ying et al., ICML 2019), as a Flax NNX module.

A 3x3 convolution to 128 channels; three stacks of three cells of 128, 256 and 512 channels, with a
2x2 max pooling before the second and the third; the mean over all positions and a linear layer.
In a cell each node sums its inputs, cropped to its channels; the input of the cell is projected by
a 1x1 convolution; the output concatenates, and adds the projected input. Parameters are those that
the benchmark counts.

Known deviations: none in the computation; running variances are the biased ones.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from weaknas_jax.networks.initial import normal
from weaknas_jax.spaces.nasbench101.cells import NODES, OPS, Cells, channels

STACK = 3  # cells per stack
CHANNELS = (128, 256, 512)
_KERNELS = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}


class ConvNormRelu(nnx.Module):
    """A convolution without bias, batch norm, ReLU."""

    def __init__(self, before: int, after: int, size: int, rngs: nnx.Rngs):
        self.conv = nnx.Conv(
            *(before, after, (size, size)),
            padding="SAME",
            use_bias=False,
            kernel_init=normal,
            rngs=rngs,
        )
        self.norm = nnx.BatchNorm(after, momentum=0.997, epsilon=1e-5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.relu(self.norm(self.conv(x)))


class Cell(nnx.Module):
    """A cell between ``before`` and ``after`` channels.

    Attributes:
      sources: source nodes of each node, empty for the input.
      widths: channels of each node.
      convolutions: by node, of nodes whose operation is one.
      projections: by node, of nodes with an edge from the input of the cell.
    """

    def __init__(self, cell: Cells, before: int, after: int, rngs: nnx.Rngs):
        matrix, ops = cell.matrix[0], cell.ops[0]
        self.sources = tuple(tuple(np.flatnonzero(matrix[:, v]).tolist()) for v in range(NODES))
        self.widths = tuple(channels(cell, after)[0].tolist())
        self.convolutions, self.projections = nnx.Dict(), nnx.Dict()
        for node in range(1, NODES):
            width, op = self.widths[node], OPS[ops[node]] if ops[node] >= 0 else ""
            if op in _KERNELS:
                self.convolutions[f"node_{node}"] = ConvNormRelu(width, width, _KERNELS[op], rngs)
            if 0 in self.sources[node]:
                self.projections[f"node_{node}"] = ConvNormRelu(before, width, 1, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, before] to [B, H, W, after]."""
        nodes = {}
        for node in range(1, NODES - 1):
            if not self.sources[node]:
                continue  # the cell has no such node
            name, width = f"node_{node}", self.widths[node]
            inside = [nodes[source][..., :width] for source in self.sources[node] if source]
            if name in self.projections:
                inside.append(self.projections[name](x))
            total = sum(inside[1:], start=inside[0])
            if name in self.convolutions:
                nodes[node] = self.convolutions[name](total)
            else:
                nodes[node] = nnx.max_pool(total, (3, 3), padding="SAME")
        joined = [nodes[source] for source in self.sources[-1] if source]
        outputs = [jnp.concatenate(joined, axis=-1)] if joined else []
        if (name := f"node_{NODES - 1}") in self.projections:
            outputs.append(self.projections[name](x))
        return sum(outputs[1:], start=outputs[0])


class Network(nnx.Module):
    """The whole network.

    Args:
      cell: one cell, pruned (`spaces.nasbench101.cells.parse`).
      classes: number of classes.
      rngs: its stream ``params`` draws the weights.
    """

    def __init__(self, cell: Cells, classes: int, rngs: nnx.Rngs):
        self.stem = ConvNormRelu(3, CHANNELS[0], 3, rngs)
        self.stacks, before = nnx.List(), CHANNELS[0]
        for width in CHANNELS:
            stack = nnx.List()
            for _ in range(STACK):
                stack.append(Cell(cell, before, width, rngs))
                before = width
            self.stacks.append(stack)
        self.classifier = nnx.Linear(before, classes, kernel_init=normal, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits [B, classes] of images [B, H, W, 3]."""
        x = self.stem(images)
        for i, stack in enumerate(self.stacks):
            x = nnx.max_pool(x, (2, 2), (2, 2), padding="SAME") if i else x
            for cell in stack:
                x = cell(x)
        return self.classifier(x.mean(axis=(1, 2)))
