"""Convert a published PyTorch file to a folder that is read without PyTorch.

weaknas mobilenet convert --weights=FILE --out=FOLDER
"""

from weaknas_jax.cli.mobilenet import flags
from weaknas_jax.supernets.mobilenet import weights

SHARED = ("weights", "width", "out")
"""The shared flags (`flags`) that this command reads."""


def main() -> int:
    source = flags.needed(flags.WEIGHTS, "name a PyTorch file")
    out = flags.needed(flags.OUT, "name the folder to write to")
    weights.save(out, weights.read(source, flags.supernet()))
    print(out)
    return 0
