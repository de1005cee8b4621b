"""What each switch of an evaluation protocol is worth, on NAS-Bench-201 and NAS-Bench-101."""

from weaknas_jax.cli.paper.protocols import start

if __name__ == "__main__":
    start()
