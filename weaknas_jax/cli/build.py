"""Describe the network of a search result, and how to build it as a Flax module.

    python -m experiments.build best.json
    python -m experiments.build RUN_FOLDER --run=3

The argument is the ``best.json`` of a search with a single run, a run folder together with --run,
or, for a sub-network, a file with the lists ``ks``, ``e``, ``d``. Prints the architecture, its
parameters, and the Python code that builds the network, to be trained elsewhere.
"""

import sys
from pathlib import Path
from typing import NoReturn

from absl import flags

from weaknas_jax.cli import console, entry
from weaknas_jax.cli.help import About
from weaknas_jax.networks import description, registry
from weaknas_jax.report import drawing
from weaknas_jax.storage import files, ownership
from weaknas_jax.storage.text import to_json

_int = flags.DEFINE_integer
_RUN = _int("run", None, "Number of the run, for a folder of many runs.", lower_bound=0)
_help = "Number of classes; default: that of the data set."
_CLASSES = _int("classes", None, _help, lower_bound=1, upper_bound=10_000_000)
_help = "Width of a sub-network's supernet; default: inferred from its parameters, else 1.2."
_WIDTH = flags.DEFINE_enum("width", None, [str(width) for width in registry.WIDTHS], _help)
_help = "Side of the images in pixels; default: that of the data set."
_SIZE = _int("image_size", None, _help, lower_bound=1, upper_bound=4096)
_OUT = flags.DEFINE_string("out", None, "File (.json) for the description, with all shapes.")
_PICTURE = flags.DEFINE_string(
    "picture", None, "File (.png, .pdf, .svg) for a drawing of the cell."
)
_help = "Replace the files --out and --picture even if this program did not write them."
_OVERWRITE = flags.DEFINE_bool("overwrite", False, _help)
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]


@entry.checked_with_arguments
def main(argv: list[str]) -> int:
    if len(argv) != 2:
        return console.fail("name one best.json, or the folder of one search")
    source, out, picture = argv[1], _OUT.value, _PICTURE.value
    overwrite = _OVERWRITE.value
    try:
        for path in filter(None, (out, picture)):
            ownership.check(Path(path), overwrite=overwrite)
        width = None if _WIDTH.value is None else float(_WIDTH.value)
        plan = registry.plan(source, run=_RUN.value, classes=_CLASSES.value, width=width)
        network = description.describe(plan, _SIZE.value)
        graph = None if picture is None else registry.graph(plan)
    except ValueError as error:
        return console.fail(str(error))
    print(description.text(network, source, _RUN.value))
    if out is not None:
        try:
            with files.replacing(out, overwrite=overwrite) as file:
                file.write(to_json(network).encode())
        except (OSError, ownership.NotOurs) as error:
            return console.fail(f"--out={out}: cannot be written ({error})")
        print(out)
    if graph is not None:
        try:
            drawing.draw(graph, picture, f"{plan.answer.space}: {source}", overwrite)
        except (OSError, ValueError) as error:  # also an ending that names no format
            return console.fail(f"--picture={picture}: cannot be written ({error})")
        print(picture)
    return 0


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, About("weaknas build", __doc__, NAMES))
