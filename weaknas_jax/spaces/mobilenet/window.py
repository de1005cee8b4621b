"""Sub-networks whose cost is in a window: drawn evenly per choice, kept if they are inside.

What the reference searches: 10,000 sub-networks of 550 to 600 million multiply-adds at 236 pixels.
Sub-networks that differ only in blocks that are not active are one and the same here; the
reference keeps them apart.
"""

from typing import NamedTuple

import numpy as np

from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import cost
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig

_DRAW, _PATIENCE = 4096, 500  # drawn at once; draws without a find that are borne


class Window(NamedTuple):
    """Allowed millions of multiply-adds, both ends included.

    Attributes:
      low, high: millions.
      whole: costs are cut to whole millions first, as the paper does.
    """

    low: float = 550
    high: float = 600
    whole: bool = True

    def holds(self, multiply_adds: np.ndarray) -> np.ndarray:
        """Whether costs are inside, bool [...]."""
        millions = np.asarray(multiply_adds) / 1e6
        millions = np.floor(millions) if self.whole else millions
        return (self.low <= millions) & (millions <= self.high)


class WindowError(ValueError):
    """A window or a text that holds no valid sub-network; the message says why."""


def draw(
    config: SupernetConfig,
    seed: int,
    count: int = 10_000,
    window: Window = Window(),  # noqa: B008
    image_size: int = 236,
) -> Arch:
    """``count`` different sub-networks in the window, `canonical`, in the order drawn.

    Fields are [count, ...]. The first ones of a larger draw are a smaller draw of the same seed.

    Raises:
      WindowError: the space has none there, or not as many.
    """
    reaches = check(config, window, image_size)
    rng, distinct, idle = np.random.default_rng(seed), {}, 0
    while len(distinct) < count:
        before, drawn = len(distinct), canonical(config, archs.random(config, rng, _DRAW))
        for row in rows(drawn)[inside(config, drawn, window, image_size)]:
            distinct.setdefault(row.tobytes(), row)
        idle = idle + 1 if len(distinct) == before else 0
        if idle == _PATIENCE:
            raise WindowError(f"{reaches}; {len(distinct):,} found of {count:,} asked for")
    return unrows(config, np.stack(list(distinct.values())[:count]))


def check(config: SupernetConfig, window: Window, image_size: int) -> str:
    """A sentence that says which costs the supernet reaches, beside the window asked for.

    Raises:
      WindowError: it has nothing in the window.
    """
    least, most = reach(config, image_size)
    floor = int(least) if window.whole else least
    reaches = (
        f"--flops={window.low:g},{window.high:g} at {image_size} pixels: the space reaches from "
        f"{least:.3g} to {most:.3g} million"
    )
    if window.low > window.high or window.high < floor or window.low > most:
        raise WindowError(reaches)
    return reaches


def reach(config: SupernetConfig, image_size: int) -> tuple[float, float]:
    """Millions of multiply-adds of the smallest sub-network and of the largest."""
    ends = archs.smallest(config), archs.largest(config)
    return tuple(float(cost.multiply_adds(config, end, image_size)) / 1e6 for end in ends)


def inside(config: SupernetConfig, population: Arch, window: Window, image_size: int) -> np.ndarray:
    """Whether the cost is in the window, bool [...]."""
    return window.holds(cost.multiply_adds(config, population, image_size))


def canonical(config: SupernetConfig, population: Arch) -> Arch:
    """The same sub-networks, with the smallest choice where a block is not active."""
    active = archs.active(config, population)
    kernels = np.where(active, population.kernels, np.int32(config.kernels[0]))
    expansions = np.where(active, population.expansions, np.int32(config.expansions[0]))
    return Arch(kernels, expansions, population.depths)


def rows(population: Arch) -> np.ndarray:
    """All choices of each, int32 [..., blocks + blocks + stages]."""
    return np.concatenate([np.asarray(part, np.int32) for part in population], axis=-1)


def unrows(config: SupernetConfig, choices: np.ndarray) -> Arch:
    """The inverse of `rows`."""
    blocks = len(config.blocks)
    return Arch(*np.split(choices, [blocks, 2 * blocks], axis=-1))


def one_hot(config: SupernetConfig, population: Arch) -> np.ndarray:
    """Features for a predictor, float32 [..., D]: choices one-hot, none where not active.

    Kernels of all blocks, then expansions, then depths.
    """
    active = archs.active(config, population)[..., None]

    def levels(part, options):
        return np.asarray(part)[..., None] == np.asarray(options)

    parts = (
        levels(population.kernels, config.kernels) & active,
        levels(population.expansions, config.expansions) & active,
        levels(population.depths, config.depths),
    )
    flat = [part.reshape(*part.shape[:-2], -1) for part in parts]
    return np.concatenate(flat, axis=-1).astype(np.float32)


ENCODINGS = {"one_hot": one_hot, "org": lambda config, population: archs.encode(population)}
"""Encodings for predictors, by name; ``org`` is the reference's, float32 [..., 45]."""


def names(population: Arch) -> np.ndarray:
    """A text of each, str [N]: kernels, expansions, depths as digits.

    >>> from weaknas_jax.spaces.mobilenet.config import mobilenet_v3
    >>> small = archs.smallest(mobilenet_v3())
    >>> str(names(Arch(*(part[None] for part in small)))[0])
    'k33333333333333333333-e33333333333333333333-d22222'
    """
    parts = zip("ked", population, strict=True)
    texts = [[letter + "".join(map(str, row)) for row in part.tolist()] for letter, part in parts]
    return np.array(["-".join(text) for text in zip(*texts, strict=True)])


def parse(texts: np.ndarray) -> Arch:
    """The inverse of `names`: fields [N, ...].

    Raises:
      WindowError: a text is none of these.
    """
    try:
        parts = [[list(map(int, part[1:])) for part in str(text).split("-")] for text in texts]
        return Arch(*(np.array(column, np.int32) for column in zip(*parts, strict=True)))
    except (ValueError, TypeError) as error:
        raise WindowError(f"names: not of sub-networks, such as k33-e46-d2 ({error})") from None
