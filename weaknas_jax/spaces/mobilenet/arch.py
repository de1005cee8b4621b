"""Sub-networks of a supernet: three lists of choices, named ones, and the OFA ``net.config`` form.

The choices of blocks beyond a stage's depth are kept, and mean nothing.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from weaknas_jax.spaces.mobilenet.config import SupernetConfig

CHOICES = {"kernels": "kernel size", "expansions": "expansion", "depths": "depth"}


class Arch(NamedTuple):
    """A sub-network; a population has a leading axis.

    Attributes:
      kernels: int32 [blocks], side of each depthwise kernel.
      expansions: int32 [blocks], ratio of each middle.
      depths: int32 [stages], active blocks of each.
    """

    kernels: np.ndarray | jax.Array
    expansions: np.ndarray | jax.Array
    depths: np.ndarray | jax.Array


class ArchError(ValueError):
    """A sub-network outside the supernet; the message names the block or stage."""


def make(config: SupernetConfig, kernels, expansions, depths) -> Arch:
    """A checked sub-network; a single number applies to all blocks or stages.

    Raises:
      ArchError: a length or a choice is not the supernet's.
    """
    choices = {"kernels": kernels, "expansions": expansions, "depths": depths}
    lengths = {name: len(config.blocks) for name in CHOICES} | {"depths": len(config.stages)}
    parts = {}
    for name, value in choices.items():
        part, length = np.asarray(value, np.int32), lengths[name]
        part = np.full(length, part, np.int32) if part.ndim == 0 else part
        if part.shape != (length,):
            raise ArchError(f"{name}: {part.size} numbers, and the supernet has {length}")
        allowed = getattr(config, name)
        for place in np.flatnonzero(~np.isin(part, allowed)):
            where = f"stage {place + 1}" if name == "depths" else _block(config, int(place))
            raise ArchError(f"{where}: {CHOICES[name]} {part[place]}; the supernet has {allowed}")
        parts[name] = part
    return Arch(**parts)


def _block(config: SupernetConfig, place: int) -> str:
    block = config.blocks[place]
    return f"block {place + 1} (stage {block.stage + 1}, place {block.place + 1})"


def largest(config: SupernetConfig) -> Arch:
    """All choices the largest."""
    return make(config, config.kernels[-1], config.expansions[-1], config.depths[-1])


def smallest(config: SupernetConfig) -> Arch:
    """All choices the smallest."""
    return make(config, config.kernels[0], config.expansions[0], config.depths[0])


_WEAKNAS = {
    "weaknas_800": ("3555 7573 3757 3355 7535", "4644 4346 4663 6663 6643", "24444"),
    "weaknas_1000": ("5333 5553 7575 3553 7535", "3343 4644 4666 6664 6663", "43334"),
}
NAMES = ("max", "min", *_WEAKNAS)


def named(config: SupernetConfig, name: str) -> Arch:
    """``max``, ``min``, or one that WeakNAS found with 800 or 1000 queries (Table 7).

    Raises:
      ArchError: no such name, or the supernet has not the blocks for it.
    """
    if name in ("max", "min"):
        return (largest if name == "max" else smallest)(config)
    if name not in _WEAKNAS:
        raise ArchError(f"{name!r}: no such sub-network; there are {', '.join(NAMES)}")
    return make(config, *([int(c) for c in text if c != " "] for text in _WEAKNAS[name]))


def random(config: SupernetConfig, rng: np.random.Generator, count: int) -> Arch:
    """``count`` sub-networks, every choice drawn evenly; fields [count, ...]."""
    blocks, stages = len(config.blocks), len(config.stages)
    return Arch(
        rng.choice(config.kernels, (count, blocks)).astype(np.int32),
        rng.choice(config.expansions, (count, blocks)).astype(np.int32),
        rng.choice(config.depths, (count, stages)).astype(np.int32),
    )


def active(config: SupernetConfig, arch: Arch) -> np.ndarray:
    """Which blocks are active, bool [..., blocks]."""
    stage = [block.stage for block in config.blocks]
    place = np.array([block.place for block in config.blocks])
    return place < np.asarray(arch.depths)[..., stage]


def encode(arch: Arch) -> np.ndarray:
    """The reference's features: kernels, expansions, depths as numbers, float32 [..., D]."""
    return np.concatenate([np.asarray(part) for part in arch], axis=-1).astype(np.float32)


def to_net_config(config: SupernetConfig, arch: Arch) -> dict[str, Any]:
    """The ``net.config`` of the published specialised networks, of active blocks only."""
    blocks = [_fixed_block(config)]
    for place in np.flatnonzero(active(config, arch)):
        block = config.blocks[place]
        kernel, ratio = int(arch.kernels[place]), int(arch.expansions[place])
        middle = block.middles[config.expansions.index(ratio)]
        blocks.append(_block_config(block.c_in, block.c_out, kernel, block.stride, ratio, middle))
        blocks[-1]["mobile_inverted_conv"] |= {
            "act_func": "h_swish" if block.hard_swish else "relu",
            "use_se": block.squeeze,
        }
        blocks[-1]["shortcut"] = _shortcut(block.c_out) if block.residual else None
    last, mixed = config.channels(config.final_expand), config.channels(config.feature_mix)
    return {
        "name": "MobileNetV3",
        "bn": {"momentum": 0.1, "eps": 1e-05},
        "first_conv": _conv(3, config.channels(config.stem), 3, config.stem_stride, "h_swish"),
        "blocks": blocks,
        "final_expand_layer": _conv(config.blocks[-1].c_out, last, 1, 1, "h_swish"),
        "feature_mix_layer": _conv(last, mixed, 1, 1, "h_swish") | {"use_bn": False},
        "classifier": {
            "name": "LinearLayer",
            "in_features": mixed,
            "out_features": config.classes,
            "bias": True,
            "use_bn": False,
            "act_func": None,
            "dropout_rate": 0,
            "ops_order": "weight_bn_act",
        },
    }


def _conv(c_in: int, c_out: int, kernel: int, stride: int, act: str) -> dict[str, Any]:
    return {
        "name": "ConvLayer",
        "kernel_size": kernel,
        "stride": stride,
        "dilation": 1,
        "groups": 1,
        "bias": False,
        "in_channels": c_in,
        "out_channels": c_out,
        "use_bn": True,
        "act_func": act,
        "dropout_rate": 0,
        "ops_order": "weight_bn_act",
    }


def _shortcut(channels: int) -> dict[str, Any]:
    return {"name": "IdentityLayer", "in_channels": [channels], "out_channels": [channels]}


def _block_config(c_in: int, c_out: int, kernel: int, stride: int, ratio: int, middle: int | None):
    return {
        "name": "MobileInvertedResidualBlock",
        "mobile_inverted_conv": {
            "name": "MBInvertedConvLayer",
            "in_channels": c_in,
            "out_channels": c_out,
            "kernel_size": kernel,
            "stride": stride,
            "expand_ratio": ratio,
            "mid_channels": middle,
        },
    }


def _fixed_block(config: SupernetConfig) -> dict[str, Any]:
    c_in, c_out = config.channels(config.stem), config.channels(config.first)
    block = _block_config(c_in, c_out, 3, 1, 1, None)
    block["mobile_inverted_conv"] |= {"act_func": "relu", "use_se": False}
    return block | {"shortcut": _shortcut(c_out) if c_in == c_out else None}


_SHAPE = ("in_channels", "out_channels", "stride")


def from_net_config(config: SupernetConfig, content: Mapping[str, Any]) -> Arch:
    """The sub-network of a ``net.config``; the choices of blocks that are not active are smallest.

    ``expand_ratio`` is taken, or ``mid_channels`` where the file has rounded it. Reads both
    spellings of the block (``mobile_inverted_conv`` and ``conv``).

    Raises:
      ArchError: it is not a network of this supernet; names the block.
    """
    try:
        layers = [block.get("mobile_inverted_conv") or block["conv"] for block in content["blocks"]]
        shapes = [tuple(layer[name] for name in _SHAPE) for layer in layers]
        sides = [layer["kernel_size"] for layer in layers]
    except (KeyError, TypeError, AttributeError) as error:
        raise ArchError(f"not a net.config of MobileNetV3: {error!r}") from None
    kernels, expansions, depths = smallest(config)
    depths, at = np.zeros_like(depths), 1  # the first block is the fixed one
    for place, block in enumerate(config.blocks):
        same = at < len(layers) and shapes[at] == (block.c_in, block.c_out, block.stride)
        if same and block.place == depths[block.stage]:
            kernels[place], expansions[place] = sides[at], _ratio(config, place, layers[at])
            depths[block.stage] += 1
            at += 1
    if at < len(layers):
        what = "{} to {} channels, stride {}".format(*shapes[at])
        raise ArchError(f"block {at} of the file ({what}): the supernet has none there")
    return make(config, kernels, expansions, depths)


def _ratio(config: SupernetConfig, place: int, read: Mapping[str, Any]) -> int:
    block, ratio, middle = config.blocks[place], read.get("expand_ratio"), read.get("mid_channels")
    if ratio in config.expansions:
        return ratio
    if middle in block.middles:
        return config.expansions[block.middles.index(middle)]
    raise ArchError(
        f"{_block(config, place)}: expansion {ratio}; the supernet has {config.expansions}"
    )


def to_json(arch: Arch) -> str:
    """The three lists as ``ks``, ``e`` and ``d``."""
    lists = {"ks": arch.kernels, "e": arch.expansions, "d": arch.depths}
    return json.dumps({name: np.asarray(part).tolist() for name, part in lists.items()})


def read(config: SupernetConfig, text: str | Path) -> Arch:
    """A sub-network by name, or of a JSON file: lists ``ks``, ``e``, ``d``, or a ``net.config``.

    Raises:
      ArchError: there is no such name or file, or it is no sub-network of this supernet.
    """
    if str(text) in NAMES:
        return named(config, str(text))
    try:
        content = json.loads(Path(text).read_text())
    except FileNotFoundError:
        names = ", ".join(NAMES)
        raise ArchError(f"{text}: no such file, and no name ({names})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArchError(f"{text}: cannot be read as JSON ({error})") from None
    if isinstance(content, Mapping):
        content = content.get("architecture", content)  # the best.json of a search on a table
    try:
        if isinstance(content, Mapping) and "blocks" in content:
            return from_net_config(config, content)
        if isinstance(content, Mapping) and {"ks", "e", "d"} <= set(content):
            lists: list[Sequence[int]] = [content[name] for name in ("ks", "e", "d")]
            return make(config, *lists)
    except (ArchError, TypeError, ValueError) as error:
        raise ArchError(f"{text}: {error}") from None
    raise ArchError(f"{text}: neither the lists ks, e, d nor a net.config")
