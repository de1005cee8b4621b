"""Thin mains: parse flags, call the library, write a run folder."""

from weaknas_jax import _interrupt  # noqa: F401 (the package installs it before all else)
