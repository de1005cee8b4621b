"""The geometry of a Once-for-all MobileNetV3 supernet (Cai et al., ICLR 2020, section 4).

A stem, a fixed first block, stages of inverted-residual blocks whose depthwise kernel size,
expansion ratio and number are elastic, and a head. Sizes of layers are never elastic but for the
middle of a block, which keeps its first channels.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple


class Block(NamedTuple):
    """One elastic block.

    Attributes:
      stage, place: stage, and place in the stage; the first is always active.
      c_in, c_out: channels.
      stride: of the depthwise convolution.
      hard_swish: its activation; otherwise ReLU.
      squeeze: whether it has squeeze-excite.
      middles: active channels of the middle at each expansion, ascending.
    """

    stage: int
    place: int
    c_in: int
    c_out: int
    stride: int
    hard_swish: bool
    squeeze: bool
    middles: tuple[int, ...]

    @property
    def residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.c_in == self.c_out


@dataclasses.dataclass(frozen=True)
class SupernetConfig:
    """Configuration of a supernet; channels are before ``width_mult`` and rounding.

    Attributes:
      width_mult: multiplies all channels.
      stem, first: channels of the stem and of the fixed first block.
      stages: channels of each elastic stage.
      strides: of the first block of each stage.
      hard_swish, squeeze: of each stage.
      depths: blocks that a stage may have; the largest is built.
      kernels: odd sizes of depthwise kernels, each made of the next larger by a learned matrix.
      expansions: ratios of a block's middle to its input.
      final_expand, feature_mix: channels of the head.
      stem_stride: stride of the stem.
      image_size: side of an image where nothing else is said, pixels.
      classes: how many.
    """

    width_mult: float = 1.0
    stem: int = 16
    first: int = 16
    stages: Sequence[int] = (24, 40, 80, 112, 160)
    strides: Sequence[int] = (2, 2, 2, 1, 2)
    hard_swish: Sequence[bool] = (False, False, True, True, True)
    squeeze: Sequence[bool] = (False, True, False, True, True)
    depths: Sequence[int] = (2, 3, 4)
    kernels: Sequence[int] = (3, 5, 7)
    expansions: Sequence[int] = (3, 4, 6)
    final_expand: int = 960
    feature_mix: int = 1280
    stem_stride: int = 2
    image_size: int = 224
    classes: int = 1000

    def __post_init__(self):
        for field in dataclasses.fields(self):  # hashable, so that it may be static in jit
            value = getattr(self, field.name)
            if isinstance(value, Sequence):
                object.__setattr__(self, field.name, tuple(value))
        for name in ("strides", "hard_swish", "squeeze"):
            if len(getattr(self, name)) != len(self.stages):
                raise ValueError(f"{name}={getattr(self, name)}: one for each of {self.stages}")
        for name in ("depths", "kernels", "expansions"):
            choices = getattr(self, name)
            if not choices or list(choices) != sorted(set(choices)) or choices[0] < 1:
                raise ValueError(f"{name}={choices}: give ascending whole numbers from 1 up")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels={self.kernels}: only odd sizes have a centre")

    def channels(self, count: float) -> int:
        """``count`` channels at this width, rounded."""
        return make_divisible(count * self.width_mult)

    @property
    def most(self) -> int:
        """Blocks that each stage is built with."""
        return self.depths[-1]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All elastic blocks in order; a stage holds `most`."""
        blocks, c_in = [], self.channels(self.first)
        for stage, base in enumerate(self.stages):
            c_out = self.channels(base)
            for place in range(self.most):
                middles = tuple(make_divisible(round(c_in * e)) for e in self.expansions)
                stride = self.strides[stage] if place == 0 else 1
                kinds = self.hard_swish[stage], self.squeeze[stage]
                blocks.append(Block(stage, place, c_in, c_out, stride, *kinds, middles))
                c_in = c_out
        return tuple(blocks)

    def check_image_size(self, size: int) -> None:
        """Raises ValueError where the last feature map would be less than a pixel wide."""
        least = self.stem_stride * math.prod(self.strides) // 2 + 1
        if size < least:
            raise ValueError(f"image size {size}: the network needs at least {least} pixels")


def make_divisible(count: float) -> int:
    """The multiple of 8 nearest to ``count``, at least 8 and at least 0.9 ``count``.

    >>> [make_divisible(v) for v in (2, 19.2, 28.8, 48)]
    [8, 24, 32, 48]
    """
    rounded = max(8, int(count + 4) // 8 * 8)
    return rounded + 8 * (rounded < 0.9 * count)


def squeezed(middle: int) -> int:
    """Channels between the two layers of squeeze-excite.

    >>> [squeezed(middle) for middle in (96, 144, 1152)]
    [24, 40, 288]
    """
    return make_divisible(middle // 4)


def mobilenet_v3(width_mult: float = 1.2, image_size: int = 236) -> SupernetConfig:
    """The published supernets: ``width_mult`` 1.0 and 1.2."""
    return SupernetConfig(width_mult=width_mult, image_size=image_size)


def small(classes: int = 10, image_size: int = 32, width_mult: float = 1.0) -> SupernetConfig:
    """A small one for small images: three stages of one to three blocks."""
    return SupernetConfig(
        width_mult=width_mult,
        stem=16,
        first=16,
        stages=(16, 24, 40),
        strides=(1, 2, 2),
        hard_swish=(False, True, True),
        squeeze=(False, True, True),
        depths=(1, 2, 3),
        kernels=(3, 5, 7),
        expansions=(2, 3, 4),
        final_expand=96,
        feature_mix=128,
        stem_stride=1,
        image_size=image_size,
        classes=classes,
    )


def digits() -> SupernetConfig:
    """A tiny one for `supernets.data.digits`, trained in minutes on two CPU cores: two stages."""
    return SupernetConfig(
        stem=8,
        first=8,
        stages=(16, 24),
        strides=(2, 2),
        hard_swish=(False, True),
        squeeze=(False, True),
        depths=(1, 2, 3),
        kernels=(3, 5),
        expansions=(1, 2, 4),
        final_expand=64,
        feature_mix=64,
        image_size=32,
        classes=10,
    )
