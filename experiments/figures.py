"""The paper's figures from our searches: each as picture, CSV and a page of Markdown."""

from weaknas_jax.cli.paper.figures import start

if __name__ == "__main__":
    start()
