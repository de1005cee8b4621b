"""Search a space of your own with a shell command for each architecture."""

from weaknas_jax.cli.jobs import start

if __name__ == "__main__":
    start()
