"""Say what network an answer is, and how to build it as a Flax module."""

from weaknas_jax.cli.build import start

if __name__ == "__main__":
    start()
