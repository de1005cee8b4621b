"""Measure the effect of each switch of an evaluation protocol, on NAS-Bench-201 and -101."""

from weaknas_jax.cli.paper.protocols import start

if __name__ == "__main__":
    start()
