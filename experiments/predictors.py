"""Which predictor ranks best?"""

from weaknas_jax.cli.predictors import start

if __name__ == "__main__":
    start()
