"""Search a benchmark table many times over and report it."""

from weaknas_jax.cli.search import start

if __name__ == "__main__":
    start()
