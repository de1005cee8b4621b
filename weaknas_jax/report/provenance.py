"""Where results were made: the device, and versions of what they depend on."""

import os
import platform
from importlib import metadata

import jax

from weaknas_jax._version import __version__


def device() -> str:
    """The device in words."""
    first = jax.devices()[0]
    if first.platform == "cpu":
        return f"cpu ({os.cpu_count()} cores)"
    return f"{len(jax.devices())} x {first.device_kind} ({first.platform})"


def versions() -> dict[str, str]:
    """Versions of what results depend on."""
    names = ("jax", "jaxlib", "flax", "optax", "numpy")
    found = {name: metadata.version(name) for name in names}
    return {"weaknas_jax": __version__, "python": platform.python_version(), **found}
