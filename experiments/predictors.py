"""Compare how well predictors rank."""

from weaknas_jax.cli.predictors import start

if __name__ == "__main__":
    start()
