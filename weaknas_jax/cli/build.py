"""Say what network an answer is, and how to build it as a Flax module.

    python -m experiments.build best.json
    python -m experiments.build RUN_FOLDER --run=3

The answer is the ``best.json`` of a search of a single run, or the folder of one of many runs and
the number of a run; of a sub-network the lists ``ks``, ``e``, ``d``. What is printed: architecture,
parameters, and the lines of Python that make the network, to be trained elsewhere.
"""

import sys
from pathlib import Path
from typing import NoReturn

from absl import flags

from weaknas_jax.cli import console, entry
from weaknas_jax.cli.help import About
from weaknas_jax.networks import description, registry
from weaknas_jax.storage import files, ownership
from weaknas_jax.storage.text import to_json

_int = flags.DEFINE_integer
_RUN = _int("run", None, "Of a folder of many runs, the number of one.", lower_bound=0)
_help = "Classes to tell apart; default: those of the data set."
_CLASSES = _int("classes", None, _help, lower_bound=1, upper_bound=10_000_000)
_help = "Width of a sub-network's supernet; default: as its parameters tell, else 1.2."
_WIDTH = flags.DEFINE_enum("width", None, [str(width) for width in registry.WIDTHS], _help)
_help = "Side of the images in pixels, to be checked; default: that of the data set."
_SIZE = _int("image_size", None, _help, lower_bound=1, upper_bound=4096)
_OUT = flags.DEFINE_string("out", None, "File (.json) for the description, with all shapes.")
_help = "Replace the file --out also if it is no description of ours."
_OVERWRITE = flags.DEFINE_bool("overwrite", False, _help)
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]


@entry.checked_with_arguments
def main(argv: list[str]) -> int:
    if len(argv) != 2:
        return console.fail("name one best.json, or the folder of one search")
    source, out = argv[1], _OUT.value
    try:
        if out is not None:
            ownership.check(Path(out), overwrite=_OVERWRITE.value)
        width = None if _WIDTH.value is None else float(_WIDTH.value)
        choices = {"run": _RUN.value, "classes": _CLASSES.value, "width": width}
        described = description.describe(registry.plan(source, **choices), _SIZE.value)
    except ValueError as error:
        return console.fail(str(error))
    print(description.text(described, source, _RUN.value))
    if out is not None:
        try:
            with files.replacing(out, overwrite=_OVERWRITE.value) as file:
                file.write(to_json(described).encode())
        except (OSError, ownership.NotOurs) as error:
            return console.fail(f"--out={out}: cannot be written ({error})")
        print(out)
    return 0


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, About("weaknas build", __doc__, NAMES))
