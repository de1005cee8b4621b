"""Draw several experiments over one another.

    python -m experiments.plot RUN [RUN ...] [--out=curves.png]

RUN is the folder of a finished experiment.
"""

import os
import sys

from absl import flags

from experiments import console, entry
from experiments.help import About
from weaknas_jax import plots, runfolder

_FILE = flags.DEFINE_string("out", "curves.png", "Picture to write; .png, .pdf or .svg.")
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]


@entry.checked_with_arguments
def main(argv: list[str]) -> int:
    if len(argv) < 2:
        return console.fail("name the folder of at least one experiment")
    try:
        summaries = [runfolder.load_summary(folder) for folder in argv[1:]]
        names = [os.path.basename(os.path.normpath(folder)) for folder in argv[1:]]
        if len(set(names)) < len(names):
            names = [os.path.normpath(folder) for folder in argv[1:]]
        plots.draw([plots.Result(n, s) for n, s in zip(names, summaries, strict=True)], _FILE.value)
    except runfolder.FolderError as error:
        return console.fail(str(error))
    except (OSError, ValueError) as error:
        return console.fail(f"--out={_FILE.value}: cannot be written ({error})")
    print(_FILE.value)
    return 0


if __name__ == "__main__":
    entry.start(main, About("experiments.plot", __doc__, NAMES))
