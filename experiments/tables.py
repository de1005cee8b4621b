"""Reproduce the paper's tables: 1 to 4 on NAS-Bench-101, 5 on NAS-Bench-201."""

from weaknas_jax.cli.paper.tables import start

if __name__ == "__main__":
    start()
