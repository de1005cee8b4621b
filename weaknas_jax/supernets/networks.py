"""Interface of a supernet's space: network, name and size of an architecture."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class Networks(Protocol):
    """A `Choices` whose architectures are the sub-networks of a supernet.

    Attributes:
      image_size: side of the images for which multiply-adds are counted, pixels.
    """

    image_size: int

    def network(self, arch: Mapping[str, Any]) -> Any:
        """The sub-network of named choices, as evaluations take it."""
        ...

    def name(self, network: Any) -> str:
        """A unique text for each sub-network, the key of its evaluation."""
        ...

    def as_json(self, network: Any) -> Any:
        """A sub-network as JSON, for ``best.json``."""
        ...

    def sizes(self, networks: Sequence[Any]) -> dict[str, np.ndarray]:
        """``multiply_adds`` and ``parameters`` of N sub-networks, int64 [N] each."""
        ...
