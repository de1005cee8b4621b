"""Provenance of results: the device, and versions of the software."""

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
    """Versions of Python and of the packages that results depend on."""
    names = ("jax", "jaxlib", "flax", "optax", "numpy")
    packages = {name: metadata.version(name) for name in names}
    return {"weaknas_jax": __version__, "python": platform.python_version(), **packages}
