"""Makes a folder that needs no PyTorch of a published file.

weaknas mobilenet convert --weights=FILE --out=FOLDER
"""

from weaknas_jax.cli.mobilenet import flags
from weaknas_jax.supernets.mobilenet import weights

SHARED = ("weights", "width", "out")
"""The flags that it reads of those in `flags`."""


def main() -> int:
    source = flags.needed(flags.WEIGHTS, "name a PyTorch file")
    out = flags.needed(flags.OUT, "name the folder to write to")
    weights.save(out, weights.read(source, flags.supernet()))
    print(out)
    return 0
