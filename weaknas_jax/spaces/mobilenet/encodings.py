"""Sub-networks of a Once-for-all MobileNetV3 supernet as a space to search.

An architecture is named choices: ``d1`` ... blocks of each stage, ``k1.1`` ... kernel size and
``e1.1`` ... expansion of block 1 of stage 1, of active blocks only. What a predictor sees are the
choices one-hot, nothing where a block is not active, and two feature blocks for kernels:

``hot``     the same, scaled so that the squared distance of two rows is the number of choices of
            active blocks in which they differ
``stages``  of each stage its depth and the sums over its active blocks of the places of kernel and
            expansion among their options: what a network has more or less of, and where
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from weaknas_jax.core.types import Space
from weaknas_jax.spaces.choices import Choices, ordinal
from weaknas_jax.spaces.graphs import Graph
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import cost
from weaknas_jax.spaces.mobilenet import window as pool
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig, mobilenet_v3


class SubNetworks(Choices):
    """All sub-networks in a window of multiply-adds.

    Args:
      config: the supernet.
      window: allowed millions of multiply-adds.
      image_size: at which they are counted.
      encoding: in `pool.ENCODINGS`.

    Raises:
      PoolError: the supernet has none there; says what it has.
    """

    def __init__(
        self,
        config: SupernetConfig,
        window: pool.Window,
        image_size: int,
        encoding: str = "one_hot",
    ):
        pool.check(config, window, image_size)
        self.config, self.window, self.image_size = config, window, image_size
        depths = {f"d{stage + 1}": config.depths for stage in range(len(config.stages))}
        choices = {name: ordinal(*options) for name, options in depths.items()}
        for letter, options in (("k", config.kernels), ("e", config.expansions)):
            for block in config.blocks:
                stage, place = block.stage + 1, block.place + 1
                deep = [depth for depth in config.depths if depth >= place]
                name = f"{letter}{stage}.{place}"
                choices[name] = ordinal(*options, when={f"d{stage}": deep})
        super().__init__(choices)
        self._encode = pool.ENCODINGS[encoding]
        self.cost = "multiply_adds"

    def population(self, codes: np.ndarray) -> Arch:
        """The sub-networks of codes [N, choices]; the smallest choice where none is active."""
        stages, blocks = len(self.config.stages), len(self.config.blocks)
        depths, kernels, expansions = np.split(codes, [stages, stages + blocks], axis=-1)
        parts = ((kernels, "kernels"), (expansions, "expansions"), (depths, "depths"))
        options = {name: np.asarray(getattr(self.config, name), np.int32) for _, name in parts}
        return Arch(*(options[name][np.maximum(part, 0)] for part, name in parts))

    def codes_of(self, population: Arch) -> np.ndarray:
        """The codes of sub-networks, int16 [N, choices]; the inverse of `population`."""
        found = pool.canonical(self.config, population)
        active = archs.active(self.config, found)
        kernels = np.where(active, np.searchsorted(self.config.kernels, found.kernels), -1)
        expansions = np.where(active, np.searchsorted(self.config.expansions, found.expansions), -1)
        depths = np.searchsorted(self.config.depths, found.depths)
        return np.concatenate([depths, kernels, expansions], axis=-1).astype(np.int16)

    def allowed(self, codes: np.ndarray) -> np.ndarray:
        return pool.inside(self.config, self.population(codes), self.window, self.image_size)

    def costs(self, codes: np.ndarray) -> np.ndarray:
        """Millions of multiply-adds, float64 [N]."""
        return cost.multiply_adds(self.config, self.population(codes), self.image_size) / 1e6

    def space(self, codes: np.ndarray) -> Space:
        population = self.population(codes)
        blocks = features(self.config, population)
        encoding = jnp.asarray(self._encode(self.config, population))
        features_ = {name: jnp.asarray(block) for name, block in blocks.items()}
        return Space(encoding, features_, preset="supernet")

    def describe(self) -> dict[str, Any]:
        geometry = {k: v for k, v in dataclasses.asdict(self.config).items() if k != "image_size"}
        return {"supernet": geometry, "window": list(self.window), "image_size": self.image_size}


def features(config: SupernetConfig, population: Arch) -> Mapping[str, np.ndarray]:
    """The feature blocks of sub-networks, float32 [N, d] each, see the module."""
    active, stages = archs.active(config, population), len(config.stages)
    sums = [np.searchsorted(config.depths, population.depths)]
    for part, options in (
        (population.kernels, config.kernels),
        (population.expansions, config.expansions),
    ):
        places = np.where(active, np.searchsorted(options, part), 0)
        sums.append(places.reshape(*places.shape[:-1], stages, config.most).sum(-1))
    return {
        "hot": pool.one_hot(config, population) / np.float32(2**0.5),
        "stages": np.concatenate(sums, axis=-1).astype(np.float32),
    }


def graph(name: str) -> Graph:
    """The blocks of a sub-network by name one after another, with their kernel and expansion."""
    config, arch = mobilenet_v3(), pool.parse(np.array([name]))
    active, most = archs.active(config, arch)[0], config.most
    nodes = ["input"]
    for place in np.flatnonzero(active):
        where = f"{place // most + 1}.{place % most + 1}"
        nodes.append(f"{where}: k{arch.kernels[0, place]} e{arch.expansions[0, place]}")
    nodes.append("output")
    return Graph(tuple(nodes), tuple((i, i + 1, "") for i in range(len(nodes) - 1)))
