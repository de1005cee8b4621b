"""What a search needs of a supernet's space: the network of an architecture, its name, its size."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class Networks(Protocol):
    """A `Choices` whose architectures are the sub-networks of a supernet.

    Attributes:
      image_size: side of the images that multiply-adds are counted for, pixels.
    """

    image_size: int

    def network(self, arch: Mapping[str, Any]) -> Any:
        """The sub-network of named choices, in the form that evaluations take."""
        ...

    def name(self, network: Any) -> str:
        """A text of its own for each sub-network: evaluations are kept by it."""
        ...

    def as_json(self, network: Any) -> Any:
        """A sub-network as JSON, as ``best.json`` holds it."""
        ...

    def sizes(self, networks: Sequence[Any]) -> dict[str, np.ndarray]:
        """``multiply_adds`` and ``parameters`` of N sub-networks, int64 [N] each."""
        ...
