"""Reproduce the paper's figures by our own searches, as picture, CSV and Markdown page."""

from weaknas_jax.cli.paper.figures import start

if __name__ == "__main__":
    start()
