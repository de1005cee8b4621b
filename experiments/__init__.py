"""The commands of `weaknas_jax.cli` in a clone, as ``python -m experiments.NAME``."""

from weaknas_jax import _interrupt  # noqa: F401 (the package installs it before all else)
