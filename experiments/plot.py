"""Plot the curves of several experiments in one figure."""

from weaknas_jax.cli.plot import start

if __name__ == "__main__":
    start()
