"""Search at every combination of listed settings."""

from weaknas_jax.cli.sweep import start

if __name__ == "__main__":
    start()
