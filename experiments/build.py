"""Describe the network of a search result, and how to build it as a Flax module."""

from weaknas_jax.cli.build import start

if __name__ == "__main__":
    start()
