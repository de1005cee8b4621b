"""Draw several experiments over one another."""

from weaknas_jax.cli.plot import start

if __name__ == "__main__":
    start()
