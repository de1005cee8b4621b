"""Report a finished experiment under other protocol switches, without searching again."""

from weaknas_jax.cli.reread import start

if __name__ == "__main__":
    start()
