"""Predictor-based neural architecture search in JAX.

The packages, each of which imports only those before it:

`core`, `storage` -> `spaces`, `predictors` -> `tables` -> `search` -> `runs` -> `measures` ->
`report` -> `jobs` -> `supernets` -> `networks`; `integrations` and `cli` stand above all.
Start reading at `weaknas_jax.search.loop`. The public names are those of `weaknas_jax.public`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from weaknas_jax import _interrupt  # noqa: F401 (before what takes long to import)
from weaknas_jax._version import __version__ as __version__

if TYPE_CHECKING:
    from weaknas_jax.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """A public name, or a package: so that ``weaknas --help`` waits for no import of JAX."""
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module 'weaknas_jax' has no attribute {name!r}")
    public = importlib.import_module("weaknas_jax.public")
    here = globals()
    here.update({key: getattr(public, key) for key in public.__all__ if hasattr(public, key)})
    if name == "__all__":
        return public.__all__
    if name in here:
        return here[name]
    raise AttributeError(f"module 'weaknas_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    public = importlib.import_module("weaknas_jax.public")
    return sorted({*globals(), *public.__all__})
