"""Run repeated searches on a benchmark table and report them."""

from weaknas_jax.cli.search import start

if __name__ == "__main__":
    start()
