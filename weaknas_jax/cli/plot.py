"""Plot the curves of several experiments in one figure.

    weaknas plot RUN [RUN ...] [--out=curves.png]

RUN is the folder of a finished experiment. A picture that this program drew is replaced; any
other file only with ``--overwrite``.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

from absl import flags

from weaknas_jax.cli import console, entry
from weaknas_jax.cli.help import About
from weaknas_jax.report import plots, run_folder
from weaknas_jax.storage import ownership

_FILE = flags.DEFINE_string("out", "curves.png", "Picture to write; .png, .pdf or .svg.")
_help = "Replace the file --out even if this program did not draw it."
_OVERWRITE = flags.DEFINE_bool("overwrite", False, _help)
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]


@entry.checked_with_arguments
def main(argv: list[str]) -> int:
    if len(argv) < 2:
        return console.fail("name the folder of at least one experiment")
    path = Path(_FILE.value)
    try:
        if path.is_file() and not (_OVERWRITE.value or ownership.is_picture(path)):
            return console.fail(
                f"--out={path}: this program did not draw it; add --overwrite to replace it"
            )
        ownership.check(path, overwrite=_OVERWRITE.value)
        summaries = [run_folder.load_summary(folder) for folder in argv[1:]]
    except ValueError as error:
        return console.fail(str(error))
    names = [os.path.basename(os.path.normpath(folder)) for folder in argv[1:]]
    if len(set(names)) < len(names):
        names = [os.path.normpath(folder) for folder in argv[1:]]
    results = [plots.Result(n, s) for n, s in zip(names, summaries, strict=True)]
    try:
        plots.draw(results, path, _OVERWRITE.value)
    except (OSError, ValueError) as error:
        return console.fail(f"--out={_FILE.value}: cannot be written ({error})")
    print(path)
    return 0


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, About("weaknas plot", __doc__, NAMES))
