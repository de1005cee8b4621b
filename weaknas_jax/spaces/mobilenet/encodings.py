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
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from weaknas_jax.core.types import Space
from weaknas_jax.spaces.choices import Choices, ordinal
from weaknas_jax.spaces.graphs import Graph
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import cost
from weaknas_jax.spaces.mobilenet import window as windows
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig, mobilenet_v3
from weaknas_jax.spaces.mobilenet.window import Window


class SubNetworks(Choices):
    """All sub-networks in a window of multiply-adds.

    Args:
      config: the supernet.
      window: allowed millions of multiply-adds.
      image_size: at which they are counted.
      encoding: in `window.ENCODINGS`.

    Raises:
      WindowError: the supernet has none there; says what it has.
    """

    def __init__(
        self,
        config: SupernetConfig,
        window: Window,
        image_size: int,
        encoding: str = "one_hot",
    ):
        windows.check(config, window, image_size)
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
        self._encode = windows.ENCODINGS[encoding]
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
        config, nets = self.config, windows.canonical(self.config, population)
        active = archs.active(config, nets)
        kernels = np.where(active, np.searchsorted(config.kernels, nets.kernels), -1)
        expansions = np.where(active, np.searchsorted(config.expansions, nets.expansions), -1)
        depths = np.searchsorted(config.depths, nets.depths)
        return np.concatenate([depths, kernels, expansions], axis=-1).astype(np.int16)

    def network(self, arch: Mapping[str, Any]) -> Arch:
        """The sub-network of named choices.

        Raises:
          SpaceError: an unknown choice or option, or one that should (not) be inactive.
        """
        return Arch(*(part[0] for part in self.population(self.codes(arch)[None])))

    def name(self, network: Arch) -> str:
        """The text of a sub-network, as of `window.names`."""
        return str(windows.names(Arch(*(part[None] for part in network)))[0])

    def as_json(self, network: Arch) -> dict[str, list[int]]:
        """The three lists of a sub-network, as of `arch.to_json`."""
        return json.loads(archs.to_json(network))

    def sizes(self, networks: Sequence[Arch]) -> dict[str, np.ndarray]:
        """``multiply_adds`` and ``parameters`` of sub-networks, int64 [N] each."""
        nothing = np.zeros(0, np.int64)
        if not networks:
            return {"multiply_adds": nothing, "parameters": nothing}
        population = Arch(*(np.stack(part) for part in zip(*networks, strict=True)))
        return {
            "multiply_adds": cost.multiply_adds(self.config, population, self.image_size),
            "parameters": cost.parameters(self.config, population),
        }

    def allowed(self, codes: np.ndarray) -> np.ndarray:
        return windows.inside(self.config, self.population(codes), self.window, self.image_size)

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
        "hot": windows.one_hot(config, population) / np.float32(2**0.5),
        "stages": np.concatenate(sums, axis=-1).astype(np.float32),
    }


def graph(name: str) -> Graph:
    """The blocks of a sub-network by name one after another, with their kernel and expansion."""
    config, arch = mobilenet_v3(), windows.parse(np.array([name]))
    active, most = archs.active(config, arch)[0], config.most
    nodes = ["input"]
    for place in np.flatnonzero(active):
        where = f"{place // most + 1}.{place % most + 1}"
        nodes.append(f"{where}: k{arch.kernels[0, place]} e{arch.expansions[0, place]}")
    nodes.append("output")
    return Graph(tuple(nodes), tuple((i, i + 1, "") for i in range(len(nodes) - 1)))
